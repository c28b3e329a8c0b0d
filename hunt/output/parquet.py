"""Parquet: the findings with their own types, for data frames; bytes, and so never for a terminal."""

from __future__ import annotations

import io
from typing import TextIO

from hunt.model import Report
from hunt.output._stream import as_bytes

BINARY = True  # a terminal is refused before anything is read


def write(report: Report, out: TextIO) -> None:
    """findings.COLUMNS; times in ns UTC, lists as lists, null where a column is empty."""
    buffer = io.BytesIO()  # a pipe can't be written to in any but one direction
    report.findings.write_parquet(buffer, compression="zstd", compression_level=1, statistics=False)
    as_bytes(out).write(buffer.getvalue())
