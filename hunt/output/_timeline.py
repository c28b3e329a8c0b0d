"""Events in the order of time: a line each for people, CSV or JSON lines for machines."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from typing import TextIO

import polars as pl

from hunt import schema
from hunt.output._rows import flat
from hunt.output._safe import exact_json, safe
from hunt.output._stream import as_bytes
from hunt.output.csv import encode
from hunt.timeline import COLUMNS


def write(parts: Iterable[pl.DataFrame], shown: str, raw: bool, out: TextIO) -> int:
    """Rows of `timeline.COLUMNS` as they come; how many there were. A terminal gets lines that fit it."""
    count = 0
    first = True
    lines = as_bytes(out) if shown != "table" else None
    for part in parts:
        count += part.height
        if lines is None:
            _table(part, first, out)
        elif shown == "csv":
            lines.write(encode(flat(part), raw=raw, header=first))
        else:
            for row in part.with_columns(schema.time_text(pl.col("time"))).iter_rows(named=True):
                lines.write(exact_json(row).encode() + b"\n")
        first = False
    if first:  # nothing came: the header alone
        empty = pl.DataFrame(schema=COLUMNS)
        if lines is None:
            _table(empty, first, out)
        elif shown == "csv":
            lines.write(encode(empty, raw=raw))
    return count


# `Image=C:\\Windows\\` at the beginning of a summary: on a terminal the file's name says more than its folder.
_PATH = re.compile(r"^(?:RuleName=[^ ]* )?(?:Image|NewProcessName)=(?:[^=]*\\)?(?=[^\\=]+(?: [A-Za-z]+=|$))")

_SHOWN = ("time", "host", "channel", "event_id", "user", "summary")


def _table(part: pl.DataFrame, first: bool, out: TextIO) -> None:
    rows = flat(part.select(_SHOWN)).iter_rows()
    if not out.isatty():
        if first:
            out.write("\t".join(_SHOWN) + "\n")
        for row in rows:
            out.write("\t".join("" if cell is None else safe(str(cell)) for cell in row) + "\n")
        return
    from rich.cells import cell_len, set_cell_size

    width = shutil.get_terminal_size().columns
    for time, host, channel, event_id, _, summary in rows:
        when = (time or "no time")[:23].replace("T", " ")
        where = (host or "").partition(".")[0]
        line = safe(f"{when:<23} {where} {_short(channel or '')} {event_id}  {_PATH.sub('', summary or '')}")
        out.write((line if cell_len(line) <= width else set_cell_size(line, width - 1) + "…") + "\n")


def _short(channel: str) -> str:
    """`Sysmon` of Microsoft-Windows-Sysmon/Operational."""
    return channel.removeprefix("Microsoft-Windows-").removesuffix("/Operational")
