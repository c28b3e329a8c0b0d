r"""Our own rule files: what a rule says of itself in YAML between two lines of `---`, then its query.

    ---
    id: temp-from-office
    title: Office writes a program and starts it
    severity: high
    risk: 73
    techniques: [T1204.002]
    description: What it means.
    false_positives: [Installers of add-ins.]
    blind: [Sysmon does not log FileCreate.]
    references: [https://attack.mitre.org/techniques/T1204/002/]
    ---
    sequence by process.entity_id with maxspan=1m ...

Everything but the query may be left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from hunt.eql.found import Found
from hunt.model import Severity, Status
from hunt.rules.model import RISKS, RuleError, RuleInfo, severity, techniques

_FENCE = "---"
_LARGEST = 1 << 14  # characters before the query
_MOST_BRACKETS = 200  # in them: PyYAML takes a time that grows with the square of their depth
_TEXTS = ("id", "title", "description", "author", "licence", "status")
_LISTS = ("techniques", "false_positives", "blind", "references", "tags")
_KNOWN = (*_TEXTS, *_LISTS, "severity", "risk")


def read(path: Path) -> Found:
    """What a file says; what it says wrongly is an error of the rule."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        return Found(None, RuleError(Status.INVALID, "no UTF-8 text"))
    lines = text.splitlines()
    if not lines or lines[0].rstrip() != _FENCE:
        return Found(RuleInfo(path, text=text))
    end = next((n for n, line in enumerate(lines[1:], 1) if line.rstrip() == _FENCE), None)
    if end is None:
        return Found(None, RuleError(Status.INVALID, f"no second line of {_FENCE}", 1))
    try:
        said = _said("\n".join(lines[1:end]))
        info = _info(path, said, "\n".join(lines[end + 1 :]))
    except RuleError as error:
        return Found(None, error)
    return Found(info, first_line=end + 2)


def _said(text: str) -> Mapping[str, object]:
    if len(text) > _LARGEST:
        raise RuleError(Status.INVALID, f"more than {_LARGEST} characters before the query")
    if text.count("[") + text.count("{") > _MOST_BRACKETS:
        raise RuleError(Status.INVALID, f"no YAML of ours: more than {_MOST_BRACKETS} brackets before the query")
    try:
        said = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = (mark.line + 2, mark.column + 1) if mark else ()
        raise RuleError(Status.INVALID, f"no YAML: {error.problem}", *where) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RuleError(
            Status.INVALID, f"no YAML: {str(error).splitlines()[0] if str(error) else 'too deep'}"
        ) from None
    said = {} if said is None else said
    if not isinstance(said, dict):
        raise RuleError(Status.INVALID, "names and values are expected before the query", 2)
    unknown = sorted(str(name)[:40] for name in said if name not in _KNOWN)
    if unknown:
        raise RuleError(Status.INVALID, f"unknown {', '.join(unknown)} (have: {', '.join(_KNOWN)})", 2)
    return said


def _info(path: Path, said: Mapping[str, object], query: str) -> RuleInfo:
    texts = {name: _text(said, name) for name in _TEXTS}
    lists = {name: _texts(said, name) for name in _LISTS}
    level = _text(said, "severity").lower()
    known = severity(level) if level else Severity.MEDIUM
    if known is None:
        raise RuleError(Status.INVALID, f"severity must be one of {', '.join(Severity)}", 2)
    risk = said.get("risk", RISKS[known])
    if not isinstance(risk, int) or isinstance(risk, bool) or not 0 <= risk <= 100:
        raise RuleError(Status.INVALID, "risk must be a number from 0 to 100", 2)
    return RuleInfo(
        path,
        id=texts["id"],
        title=texts["title"],
        severity=known,
        risk_score=risk,
        attack=techniques(lists["techniques"]),
        description=texts["description"],
        false_positives=lists["false_positives"],
        blind=lists["blind"],
        references=lists["references"],
        level=level,
        status=texts["status"].lower(),
        tags=lists["tags"],
        author=texts["author"],
        licence=texts["licence"],
        text=query,
    )


def _text(said: Mapping[str, object], name: str) -> str:
    value = said.get(name, "")
    if not isinstance(value, str | int | float):
        raise RuleError(Status.INVALID, f"{name} must be a text", 2)
    return str(value).strip()


def _texts(said: Mapping[str, object], name: str) -> tuple[str, ...]:
    value = said.get(name, [])
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str | int | float) for one in values):
        raise RuleError(Status.INVALID, f"{name} must be a list of texts", 2)
    return tuple(str(one).strip() for one in values)
