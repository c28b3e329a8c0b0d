"""Findings as a table for a terminal, by rich."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TextIO

import polars as pl
from rich import box
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hunt.filters import GRADES
from hunt.model import Report, Severity
from hunt.output import _coverage, _queries
from hunt.output._console import Page
from hunt.output._deed import brief, deed, elapsed, short, text, unfolded
from hunt.output._rows import flat
from hunt.output._safe import safe
from hunt.rules.model import labels


def write(report: Report, out: TextIO) -> None:
    """The findings, every query that could not run everywhere, what the evidence lacks."""
    show(report, Page(out))


_MOST = 100  # findings that are shown one by one
_EACH = 3  # of each query, if there are more than these


def show(report: Report, console: Console, most: int = _MOST) -> None:
    """The same where it is to be drawn, with so many findings."""
    findings, left = _foremost(report.findings, most)
    if findings.height:
        for part in _narrow(findings, console.width) if console.width < _WIDE else (_broad(findings),):
            console.print(part)
    if left:
        console.print(Text(f"and {left} more findings (findings.csv with -o; --format csv)", "bold"))
    console.print(_counts(report.findings))
    for line in _queries.told(report):
        console.print(line)
    if report.coverage is not None:
        for line in _coverage.summary(report.coverage):
            console.print(line)


def _foremost(findings: pl.DataFrame, most: int) -> tuple[pl.DataFrame, int]:
    """(findings to show, how many others there are): all of few; of many the most severe, some of each query."""
    if findings.height <= most:
        return findings, 0
    rank = pl.col("severity").replace_strict({s.value: -s.rank for s in Severity}, default=0, return_dtype=pl.Int8)
    loud = findings.sort(pl.col("suppressed").is_not_null(), rank, maintain_order=True)
    some = loud.filter(pl.int_range(pl.len()).over("query") < _EACH).head(most)
    return some, findings.height - some.height


def _counts(findings: pl.DataFrame) -> Text:
    """`135 findings: 1 critical, 24 high; grades: 30 direct, 5 A; 60 hosts`: those that nothing suppresses."""
    loud = findings.filter(pl.col("suppressed").is_null())
    quiet = findings.height - loud.height
    if not findings.height:
        return Text("No findings.", "bold")
    severities = dict(loud.group_by("severity").len().iter_rows())
    grades = dict(loud.drop_nulls("grade").group_by("grade").len().iter_rows())
    told = Text(f"{loud.height} finding{'s' * (loud.height != 1)}", "bold")
    for place, severity in enumerate(s.value for s in reversed(Severity) if s.value in severities):
        told.append(": " if place == 0 else ", ")
        told.append(f"{severities[severity]} {severity}", _queries.STYLES.get(severity, ""))
    hosts = loud["host"].drop_nulls().str.to_lowercase().n_unique()
    told.append(f"; on {hosts} host{'s' * (hosts != 1)}" if hosts else "")
    if grades:
        told.append(f"; by grade: {', '.join(f'{grades[g]} {g}' for g in GRADES if g in grades)}")
    told.append(f"; {quiet} more suppressed by the allowlist" if quiet else "")
    return told


_WIDE = 120  # columns from which severity, time and place get columns of their own


def _broad(findings: pl.DataFrame) -> Table:
    table = _table("Severity", "When (UTC)", "Host, user", "What")
    for row in flat(findings).iter_rows(named=True):
        table.add_row(_severity(row), Text(_when(row)), _where(row), _what(row))
    return table


def _narrow(findings: pl.DataFrame, width: int) -> Iterator[RenderableType]:
    """Below one another: columns would leave too little room for what was done."""
    for row in flat(findings).iter_rows(named=True):
        head = Text.assemble(_severity(row), "  ", _when(row), "  ", (text(row, "host"), "bold"))
        user = text(row, "user")
        fits = head.cell_len + 2 + cell_len(user) <= width
        yield head.append(f"  {user}" if fits else "")
        if not fits:
            yield Padding(Text(user), (0, 0, 0, 2))
        yield Padding(_what(row), (0, 0, 1, 2))


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
    """When it began: findings stand in that order, and what is said of them is told from there on."""
    return str(row["start"] or row["end"] or "")[:19].replace("T", " ")


def _where(row: Mapping[str, object]) -> Text:
    return Text.assemble((text(row, "host"), "bold"), "\n", text(row, "user"))


def _what(row: Mapping[str, object]) -> Text:
    """Who started or did what, how much later, and why that matters; command lines below."""
    told = Text.assemble(*deed(row), "\n")
    said = ", ".join(part for part in (elapsed(row), _surely(row)) if part)
    evidence = _texts(row["evidence"])
    reason, steps, left = unfolded(text(row, "reason"), [safe(item) for item in evidence])
    if said:
        told.append(f"{said}, {text(row, 'query')}\n")
    told.append(reason, "italic")
    if not said:  # a rule's: what it is called says more than its id
        told.append(f"  {text(row, 'query')}", "dim")
    for step in steps[:_STEPS]:
        told.append(f"\n- {short(brief(step))}", "italic")
    if left := left + max(0, len(steps) - _STEPS):
        told.append(f"\n- and {left} more (hunt show-finding)", "italic")
    if rules_own := labels(evidence):
        told.append(f"\n{short(safe(rules_own))}", "dim")
    if row["suppressed"] is not None:
        told.append(f"\nsuppressed: {text(row, 'suppressed')}", "bold green")
    for column in ("command_line", "target_command_line"):
        if row[column]:
            told.append(f"\n$ {short(text(row, column))}", "dim")
    told.append(f"\n{row['finding_id']}", "dim")
    return told


def _surely(row: Mapping[str, object]) -> str:
    """Of rules nobody states a confidence."""
    if not (row["grade"] or row["confidence"]):
        return ""
    return ", ".join(filter(None, (_grade(row), f"confidence {row['confidence'] or 'not stated'}")))


def _grade(row: Mapping[str, object]) -> str:
    return "" if not row["grade"] else text(row, "grade") if row["grade"] == "direct" else f"grade {text(row, 'grade')}"


def _texts(cell: object) -> list[str]:
    return [str(item) for item in json.loads(str(cell))] if cell else []


_STEPS = 12  # of a chain that are shown
