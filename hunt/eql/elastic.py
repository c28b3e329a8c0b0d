"""Elastic's rule files, as in https://github.com/elastic/detection-rules: TOML with a table `rule`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hunt.eql.found import Found
from hunt.model import Status
from hunt.rules.model import RISKS, RuleError, RuleInfo, severity, techniques

# Settings of a rule that change what its query means, and the values that do not.
_SETTINGS = {"event_category_override": "event.category", "timestamp_field": "@timestamp"}
_PLACE = re.compile(r" \(at line ([0-9]+), column ([0-9]+)\)$")


def read(path: Path) -> Found | None:
    """What a file says; None if it is some other TOML."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        content = tomllib.loads(text)
    except UnicodeDecodeError:
        return Found(None, RuleError(Status.INVALID, "no UTF-8 text"))
    except tomllib.TOMLDecodeError as error:
        place = _PLACE.search(str(error))
        where = (int(place[1]), int(place[2])) if place else ()
        return Found(None, RuleError(Status.INVALID, f"no TOML: {_PLACE.sub('', str(error))}", *where))
    except (RecursionError, ValueError) as error:
        return Found(None, RuleError(Status.INVALID, f"no TOML: {'too deep' if not str(error) else error}"))
    rule = content.get("rule")
    if not isinstance(rule, dict) or not ("query" in rule or "type" in rule):
        return None
    metadata = content.get("metadata")
    info = _info(path, rule, metadata if isinstance(metadata, dict) else {})
    kind = str(rule.get("type", ""))
    if kind != "eql":
        language = f" in {rule['language']}" if isinstance(rule.get("language"), str) else ""
        return Found(
            info, RuleError(Status.UNSUPPORTED, f"a rule of the type {kind or 'that it does not say'}{language}")
        )
    for name, meant in _SETTINGS.items():
        if rule.get(name, meant) != meant:
            return Found(info, RuleError(Status.UNSUPPORTED, f"{name} = {str(rule[name])[:60]}"))
    if not info.text.strip():
        return Found(info, RuleError(Status.INVALID, "no query"))
    limits = ("never excludes by its filters, which are no EQL",) if rule.get("filters") else ()
    return Found(info, None, _line(text), limits)


def _line(text: str) -> int:
    """On which line of the file the query's text begins."""
    found = re.search(r"(?m)^query\s*=\s*(?:'''|\"\"\")?(\r?\n)?", text)
    return text.count("\n", 0, found.end()) + 1 if found else 1


def _info(path: Path, rule: Mapping[str, Any], metadata: Mapping[str, Any]) -> RuleInfo:
    level = _text(rule, "severity").lower()
    known = severity(level) or RuleInfo(path).severity
    risk = rule.get("risk_score")
    score = risk if isinstance(risk, int) and not isinstance(risk, bool) and 0 <= risk <= 100 else RISKS[known]
    return RuleInfo(
        path,
        id=_text(rule, "rule_id"),
        title=_text(rule, "name"),
        severity=known,
        risk_score=score,
        attack=techniques(_techniques(rule)),
        description=" ".join(_text(rule, "description").split()),
        false_positives=_texts(rule, "false_positives"),
        references=_texts(rule, "references"),
        level=level,
        status=_text(metadata, "maturity").lower(),
        tags=_texts(rule, "tags"),
        author=", ".join(_texts(rule, "author")),
        licence=_text(rule, "license"),
        text=_text(rule, "query"),
    )


def _techniques(rule: Mapping[str, Any]) -> Iterator[str]:
    for threat in _tables(rule, "threat"):
        for technique in _tables(threat, "technique"):
            yield _text(technique, "id")
            yield from (_text(one, "id") for one in _tables(technique, "subtechnique"))


def _tables(table: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = table.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _text(table: Mapping[str, Any], name: str) -> str:
    found = table.get(name)
    return found if isinstance(found, str) else ""


def _texts(table: Mapping[str, Any], name: str) -> tuple[str, ...]:
    found = table.get(name)
    values = found if isinstance(found, list) else [found]
    return tuple(" ".join(one.split()) for one in values if isinstance(one, str))
