"""CSV: findings.csv on stdout; `encode` for the files of `-o OUT`."""

from __future__ import annotations

import io
from typing import TextIO

import polars as pl

from hunt.model import Report
from hunt.output._rows import flat, harmless
from hunt.output._stream import as_bytes


def write(report: Report, out: TextIO) -> None:
    """findings.csv. Cells are made harmless unless the report's options say `csv: raw`."""
    as_bytes(out).write(encode(flat(report.findings), raw=report.options.get("csv") == "raw"))


def encode(table: pl.DataFrame, raw: bool = False, header: bool = True) -> bytes:
    """A flat table as CSV: UTF-8, LF, a header, null as an empty cell; `raw` leaves cells as the evidence has them."""
    buffer = io.BytesIO()
    (table if raw else harmless(table)).write_csv(buffer, include_header=header)
    return buffer.getvalue()
