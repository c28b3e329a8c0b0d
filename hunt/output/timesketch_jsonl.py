"""JSON lines for Timesketch: an object for each event of a finding, values exact."""

from __future__ import annotations

from typing import TextIO

import polars as pl

from hunt import schema
from hunt.model import Report
from hunt.output import _timesketch
from hunt.output._safe import exact_json
from hunt.output._stream import as_bytes


def write(report: Report, out: TextIO) -> None:
    """`_timesketch.rows`; what is null is left out."""
    lines = as_bytes(out)
    table = _timesketch.rows(report)
    times = [c for c, dtype in table.schema.items() if isinstance(dtype, pl.Datetime)]
    for row in table.with_columns(schema.time_text(pl.col(times))).iter_rows(named=True):
        told = {name: value for name, value in row.items() if value is not None}
        lines.write(exact_json(told).encode() + b"\n")
