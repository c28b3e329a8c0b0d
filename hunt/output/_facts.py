"""Coverage as it was asked for: a page a host on a terminal, one row a fact everywhere else."""

from __future__ import annotations

from typing import TextIO

import polars as pl

from hunt import schema
from hunt.coverage import FACTS
from hunt.output._rows import flat
from hunt.output._safe import exact_json, safe
from hunt.output._stream import as_bytes
from hunt.output.csv import encode


def write(facts: pl.DataFrame, shown: str, out: TextIO) -> None:
    """FACTS as a table, CSV or JSON lines; a table becomes tab-separated lines in a pipe."""
    if shown == "csv":
        as_bytes(out).write(encode(flat(facts)))
    elif shown == "jsonl":
        lines = as_bytes(out)
        for row in facts.with_columns(schema.time_text(pl.col("start", "end"))).iter_rows(named=True):
            lines.write(exact_json(row).encode() + b"\n")
    elif out.isatty():
        from hunt.output import _coverage  # rich takes its time; a pipe is spared it

        _coverage.show(facts, out)
    else:
        for cells in ([*FACTS], *flat(facts).iter_rows()):
            out.write("\t".join("" if cell is None else safe(str(cell)) for cell in cells) + "\n")
