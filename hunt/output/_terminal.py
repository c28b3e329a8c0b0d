"""Findings as a table for a terminal, by rich."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TextIO

import polars as pl
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hunt.model import Report, Severity
from hunt.output import _coverage, _queries
from hunt.output._rows import flat
from hunt.output._safe import safe
from hunt.rules.model import labels


def write(report: Report, out: TextIO) -> None:
    """The findings, every query that could not run everywhere, what the evidence lacks."""
    console = Console(file=out, highlight=False, markup=False)
    findings, left = _foremost(report.findings)
    if findings.height:
        console.print(_narrow(findings) if console.width < _WIDE else _broad(findings))
    else:
        console.print(Text("No findings."))
    if left:
        console.print(Text(f"and {left} more findings (findings.csv with -o; --format csv)", "bold"))
    for line in _queries.told(report):
        console.print(line)
    if report.coverage is not None:
        for line in _coverage.summary(report.coverage):
            console.print(line)


_MOST = 100  # findings that are shown one by one
_EACH = 3  # of each query, if there are more than these


def _foremost(findings: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """(findings to show, how many others there are): all of few; of many the most severe, some of each query."""
    if findings.height <= _MOST:
        return findings, 0
    rank = pl.col("severity").replace_strict({s.value: -s.rank for s in Severity}, default=0, return_dtype=pl.Int8)
    loud = findings.sort(pl.col("suppressed").is_not_null(), rank, maintain_order=True)
    some = loud.filter(pl.int_range(pl.len()).over("query") < _EACH).head(_MOST)
    return some, findings.height - some.height


_WIDE = 120  # columns from which severity, time and place get columns of their own


def _broad(findings: pl.DataFrame) -> Table:
    table = _table("Severity", "When (UTC)", "Host, user", "What")
    for row in flat(findings).iter_rows(named=True):
        table.add_row(_severity(row), Text(_when(row)), _where(row), _what(row))
    return table


def _narrow(findings: pl.DataFrame) -> Table:
    table = _table("Severity, when (UTC), where", "What")
    for row in flat(findings).iter_rows(named=True):
        table.add_row(Text("\n").join((_severity(row), Text(_when(row)), _where(row))), _what(row))
    return table


def _table(*names: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_lines=True, padding=(0, 1, 0, 0))
    for name in names[:-1]:
        table.add_column(name, overflow="fold", max_width=32)
    table.add_column(names[-1], overflow="fold", ratio=1)
    return table


def _severity(row: Mapping[str, object]) -> Text:
    if row["suppressed"] is not None:
        return Text(f"{row['severity']}, suppressed", "dim")
    return Text(str(row["severity"]), _queries.STYLES.get(str(row["severity"]), ""))


def _when(row: Mapping[str, object]) -> str:
    return str(row["end"] or row["start"] or "")[:19].replace("T", " ")


def _where(row: Mapping[str, object]) -> Text:
    return Text.assemble((_text(row, "host"), "bold"), "\n", _text(row, "user"))


def _what(row: Mapping[str, object]) -> Text:
    """Who started or did what, how much later, and why that matters; command lines below."""
    text = Text.assemble(*_deed(row), "\n")
    said = ", ".join(part for part in (_after(row), _surely(row)) if part)
    if said:
        text.append(f"{said}, {_text(row, 'query')}\n")
    text.append(_text(row, "reason"), "italic")
    if not said:  # a rule's: what it is called says more than its id
        text.append(f"  {_text(row, 'query')}", "dim")
    if row["evidence"] and (rules_own := labels(json.loads(str(row["evidence"])))):
        text.append(f"\n{_short(safe(rules_own))}", "dim")
    if row["suppressed"] is not None:
        text.append(f"\nsuppressed: {_text(row, 'suppressed')}", "bold green")
    for column in ("command_line", "target_command_line"):
        if row[column]:
            text.append(f"\n$ {_short(_text(row, column))}", "dim")
    return text


def _deed(row: Mapping[str, object]) -> list[str | tuple[str, str]]:
    """`a.exe (1) → b.exe (2)`, `a.exe (1): object`; for events without images who did what to what."""
    who = _name(row, "image", "pid") if row["image"] or (row["pid"] is not None and row["actor"] is None) else ""
    target = _name(row, "target_image", "target_pid")
    if row["target_image"] or row["target_pid"] is not None or row["grade"]:
        return [(who or "unknown", "bold"), " → ", (target, "bold")]
    what = ": ".join(text for text in (_text(row, "action"), _short(_text(row, "object"))) if text)
    if row["parent_image"] and not what:
        return [_name(row, "parent_image"), " → ", (who, "bold")]
    actor = who or _text(row, "actor")
    return [(actor, "bold"), ": " if actor and what else "", what] if actor or what else [("event", "bold")]


def _surely(row: Mapping[str, object]) -> str:
    """Of rules nobody states a confidence."""
    if not (row["grade"] or row["confidence"]):
        return ""
    return ", ".join(filter(None, (_text(row, "grade"), f"confidence {row['confidence'] or 'not stated'}")))


_SHOWN = 240  # characters of a command line; all of it stands in findings.csv


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"


def _after(row: Mapping[str, object]) -> str:
    return "" if row["span_seconds"] is None else f"after {row['span_seconds']:g} s"


def _name(row: Mapping[str, object], image: str, pid: str = "") -> str:
    name = _text(row, image).replace("/", "\\").rsplit("\\", 1)[-1] or "unknown"
    return f"{name} ({row[pid]})" if pid and row[pid] is not None else name


def _text(row: Mapping[str, object], column: str) -> str:
    return safe(str(row[column])) if row[column] is not None else ""
