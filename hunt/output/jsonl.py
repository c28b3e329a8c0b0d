"""JSON lines: one finding a line, values exact."""

from __future__ import annotations

from typing import TextIO

import polars as pl

from hunt import schema
from hunt.model import Report
from hunt.output._safe import exact_json
from hunt.output._stream import as_bytes


def write(report: Report, out: TextIO) -> None:
    """One object a finding, columns of findings.csv; null where a column is empty."""
    lines = as_bytes(out)
    times = [c for c, dtype in report.findings.schema.items() if isinstance(dtype, pl.Datetime)]
    for row in report.findings.with_columns(schema.time_text(pl.col(times))).iter_rows(named=True):
        lines.write(exact_json(row).encode() + b"\n")
