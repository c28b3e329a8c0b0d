"""Findings for people: a rich table on a terminal, tab-separated lines in a pipe."""

from __future__ import annotations

from typing import TextIO

from hunt.model import Report
from hunt.output._rows import flat
from hunt.output._safe import safe

# What a pipe gets of each finding; everything stands in findings.csv.
PLAIN = (
    *("severity", "grade", "confidence", "start", "end", "host", "user", "image", "command_line"),
    *("target_image", "target_command_line", "span_seconds", "query", "finding_id", "suppressed"),
)


def write(report: Report, out: TextIO) -> None:
    """The findings; on a terminal also every query that could not run everywhere, and what the evidence lacks."""
    if out.isatty():
        from hunt.output import _terminal  # rich takes its time; a pipe is spared it

        _terminal.write(report, out)
    else:
        _lines(report, out)


def _lines(report: Report, out: TextIO) -> None:
    rows = [PLAIN, *flat(report.findings.select(PLAIN)).iter_rows()]
    for row in rows:
        cells = ("" if cell is None else safe(str(cell)) for cell in row)
        out.write("\t".join(cells) + "\n")
