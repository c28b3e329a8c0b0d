"""JSON lines with the names of the Elastic Common Schema, one finding a line; ours stand below `evtx_hunt`.

See: https://www.elastic.co/docs/reference/ecs/ecs-field-reference
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TextIO

import polars as pl

from hunt import attack, schema
from hunt.model import Report, Severity
from hunt.output._deed import message
from hunt.output._safe import exact_json
from hunt.output._stream import as_bytes
from hunt.rules.model import RISKS

_VERSION = "8.17.0"  # the first that has all of these fields is far older; none of them has changed since

# Columns of findings.csv that have a name in ECS and no other form there.
_SAME = {
    "process_guid": "process.entity_id",
    "pid": "process.pid",
    "image": "process.executable",
    "command_line": "process.command_line",
    "parent_image": "process.parent.executable",
    "parent_command_line": "process.parent.command_line",
    "sha256": "process.hash.sha256",
    "signer": "process.code_signature.subject_name",
    "finding_id": "event.id",
    "reason": "event.reason",
    "action": "event.action",
    "start": "event.start",
    "end": "event.end",
    "risk_score": "event.risk_score",
    "query": "rule.id",
    "title": "rule.name",
    "host": "host.name",
}
_LONGEST = 2**63 / 1e9  # seconds that fit ECS's type as nanoseconds; times of ours never lie further apart
_OTHERWISE = frozenset({"user", "techniques", "source_ip", "span_seconds"})  # in ECS in another form


def write(report: Report, out: TextIO) -> None:
    """One object a finding, nothing of it lost: what ECS has no name for stands in `evtx_hunt`."""
    lines = as_bytes(out)
    times = [c for c, dtype in report.findings.schema.items() if isinstance(dtype, pl.Datetime)]
    for row in report.findings.with_columns(schema.time_text(pl.col(times))).iter_rows(named=True):
        lines.write(exact_json(_nested(_fields(row))).encode() + b"\n")


def _fields(row: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Dotted names and values; null ones are left out."""
    if row["end"] or row["start"]:
        yield "@timestamp", row["end"] or row["start"]
    yield from (("ecs.version", _VERSION), ("message", message(row)))
    yield from (("event.kind", "alert"), ("event.module", "evtx_hunt"), ("event.dataset", "evtx_hunt.finding"))
    yield "event.severity", RISKS[Severity(row["severity"])]
    if row["span_seconds"] is not None and 0 <= row["span_seconds"] < _LONGEST:
        yield "event.duration", round(row["span_seconds"] * 1e9)
    yield "rule.ruleset", "evtx-hunt"
    yield from ((name, row[column]) for column, name in _SAME.items() if row[column] is not None)
    for column, name in (("image", "process.name"), ("parent_image", "process.parent.name")):
        if row[column]:
            yield name, row[column].replace("/", "\\").rsplit("\\", 1)[-1]
    yield from _user(row["user"])
    if _is_address(row["source_ip"]):
        yield "source.ip", row["source_ip"].strip()
    yield from _threat(row["techniques"] or ())
    rest = {c: v for c, v in row.items() if c not in _SAME and c not in _OTHERWISE and v is not None}
    if row["source_ip"] and not _is_address(row["source_ip"]):
        rest["source_ip"] = row["source_ip"]
    if row["techniques"]:
        rest["techniques"] = row["techniques"]
    yield from ((f"evtx_hunt.{column}", value) for column, value in rest.items())


def _user(user: str | None) -> Iterator[tuple[str, str]]:
    r"""CONTOSO\alice is alice of CONTOSO; a SID is an id; anything else is a name."""
    if not user:
        return
    domain, slash, name = user.partition("\\")
    if slash and domain and name and "\\" not in name:
        yield from (("user.domain", domain), ("user.name", name))
    elif user.upper().startswith("S-1-"):
        yield "user.id", user
    else:
        yield "user.name", user


def _is_address(text: str | None) -> bool:
    try:
        ipaddress.ip_address((text or "").strip())
    except ValueError:
        return False
    return True


def _threat(techniques: Iterable[str]) -> Iterator[tuple[str, object]]:
    """Sub-techniques apart from their techniques, as ECS has them."""
    named = tuple(dict.fromkeys(techniques))
    if not named:
        return
    whole = tuple(dict.fromkeys(technique.partition(".")[0] for technique in named))
    parts = tuple(technique for technique in named if "." in technique)
    tactics = dict.fromkeys(tactic for technique in named for tactic in attack.tactics(technique))
    yield "threat.framework", "MITRE ATT&CK"
    yield "threat.technique.id", list(whole)
    if parts:
        yield "threat.technique.subtechnique.id", list(parts)
    if known := [tactic for tactic in tactics if tactic != attack.ELSEWHERE]:
        yield "threat.tactic.name", known


def _nested(fields: Iterable[tuple[str, object]]) -> dict[str, Any]:
    """Dotted names as objects in one another."""
    whole: dict[str, Any] = {}
    for name, value in fields:
        *above, last = name.split(".")
        place = whole
        for step in above:
            place = place.setdefault(step, {})
        place[last] = value
    return whole
