"""Findings as a table for a terminal, by rich."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hunt.model import QueryResult, Report, Status
from hunt.output import _coverage
from hunt.output._rows import flat
from hunt.output._safe import safe

_STYLES = {"critical": "bold white on red", "high": "bold red", "medium": "yellow", "low": "cyan"}


def write(report: Report, out: TextIO) -> None:
    """The findings, every query that could not run everywhere, what the evidence lacks."""
    console = Console(file=out, highlight=False, markup=False)
    if report.findings.height:
        console.print(_narrow(report) if console.width < _WIDE else _broad(report))
    else:
        console.print(Text("No findings."))
    for query in report.queries:
        if query.status is not Status.RAN or query.reason:
            console.print(_limits(query))
    if report.coverage is not None:
        for line in _coverage.summary(report.coverage):
            console.print(line)


_WIDE = 120  # columns from which severity, time and place get columns of their own


def _broad(report: Report) -> Table:
    table = _table("Severity", "When (UTC)", "Host, user", "What")
    for row in flat(report.findings).iter_rows(named=True):
        table.add_row(_severity(row), Text(_when(row)), _where(row), _what(row))
    return table


def _narrow(report: Report) -> Table:
    table = _table("Severity, when (UTC), where", "What")
    for row in flat(report.findings).iter_rows(named=True):
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
    return Text(str(row["severity"]), _STYLES.get(str(row["severity"]), ""))


def _when(row: Mapping[str, object]) -> str:
    return str(row["end"] or row["start"] or "")[:19].replace("T", " ")


def _where(row: Mapping[str, object]) -> Text:
    return Text.assemble((_text(row, "host"), "bold"), "\n", _text(row, "user"))


def _what(row: Mapping[str, object]) -> Text:
    """Who started what, how much later, and why that matters; command lines below."""
    text = Text.assemble(
        (_name(row, "image", "pid"), "bold"),
        " → ",
        (_name(row, "target_image", "target_pid"), "bold"),
        f"\n{_after(row)}{row['grade'] or ''}, confidence {row['confidence'] or 'not stated'}, {row['query']}\n",
        (_text(row, "reason"), "italic"),
    )
    if row["suppressed"] is not None:
        text.append(f"\nsuppressed: {_text(row, 'suppressed')}", "bold green")
    for column in ("command_line", "target_command_line"):
        if row[column]:
            text.append(f"\n$ {_short(_text(row, column))}", "dim")
    return text


_SHOWN = 240  # characters of a command line; all of it stands in findings.csv


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"


def _after(row: Mapping[str, object]) -> str:
    return "" if row["span_seconds"] is None else f"after {row['span_seconds']:g} s, "


def _name(row: Mapping[str, object], image: str, pid: str) -> str:
    name = _text(row, image).replace("/", "\\").rsplit("\\", 1)[-1] or "unknown"
    return f"{name} ({row[pid]})" if row[pid] is not None else name


def _text(row: Mapping[str, object], column: str) -> str:
    return safe(str(row[column])) if row[column] is not None else ""


def _limits(query: QueryResult) -> Text:
    if query.status is Status.RAN:
        return Text.assemble((f"{query.query} ran with limits: ", "yellow"), safe(query.reason))
    ran, without = len(query.hosts_ran), len(query.hosts_not_evaluable)
    where = f"{ran} of {ran + without} hosts" if query.status is Status.PARTLY else "none of the hosts"
    return Text.assemble(
        (f"{query.query} could run on {where}: ", "bold yellow"), safe(query.reason), " (unknown is not clean)"
    )
