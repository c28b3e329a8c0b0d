"""CSV for Timesketch: a row for each event of a finding."""

from __future__ import annotations

from typing import TextIO

from hunt.model import Report
from hunt.output import _timesketch
from hunt.output._rows import rows
from hunt.output._stream import as_bytes
from hunt.output.csv import encode


def write(report: Report, out: TextIO) -> None:
    """`_timesketch.rows`, lists as JSON; cells are made harmless for spreadsheets unless `--csv raw` is given."""
    as_bytes(out).write(encode(rows(_timesketch.rows(report)), raw=report.options.get("csv") == "raw"))
