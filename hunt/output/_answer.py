"""What a query in SQL has answered: a table, CSV, JSON lines or Parquet."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO, TextIO

import polars as pl

from hunt.output._rows import safe_cells
from hunt.output._safe import exact_json, safe
from hunt.output._stream import as_bytes
from hunt.output.csv import encode

SUFFIXES = {f".{name}": name for name in ("csv", "jsonl", "parquet")}


def write(rows: pl.DataFrame, shown: str, raw: bool, out: TextIO) -> None:
    """Rows as a table (in a pipe tab-separated lines) or as one of SUFFIXES. `raw`: cells of CSV as they are."""
    if shown != "table":
        _encode(rows, shown, raw, as_bytes(out))
    elif out.isatty():
        _table(rows, out)
    else:
        for cells in (rows.columns, *_flat(rows).iter_rows()):
            out.write("\t".join("" if cell is None else safe(str(cell)) for cell in cells) + "\n")


def save(rows: pl.DataFrame, path: Path, raw: bool) -> None:
    """A file of the format that its name says; it appears whole. Raises OSError."""
    partial = path.with_name(path.name + ".part")
    try:
        with partial.open("wb") as file:
            _encode(rows, SUFFIXES[path.suffix.lower()], raw, file)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _encode(rows: pl.DataFrame, shown: str, raw: bool, out: BinaryIO) -> None:
    if shown == "csv":
        named = rows if raw else rows.rename(dict(zip(rows.columns, _names(rows.columns), strict=True)))
        out.write(encode(_flat(named), raw=raw))
    elif shown == "jsonl":
        times = [name for name, dtype in rows.schema.items() if dtype.is_temporal()]
        for row in _texts(rows, times).iter_rows(named=True):
            out.write(exact_json(row).encode() + b"\n")
    else:
        buffer = io.BytesIO()  # a pipe can't be written to in any but one direction
        rows.write_parquet(buffer, compression="zstd")
        out.write(buffer.getvalue())


def _names(columns: list[str]) -> list[str]:
    """Columns are named by the evidence, too."""
    shown = safe_cells(pl.Series(columns, dtype=pl.String)).to_list()
    return [name if shown.index(name) == at else f"{name}#{at}" for at, name in enumerate(shown)]


def _flat(rows: pl.DataFrame) -> pl.DataFrame:
    """Lists and the like as JSON, times as ISO 8601 with all their decimals; numbers stay."""
    nested = [name for name, dtype in rows.schema.items() if dtype.is_nested() or dtype == pl.Binary]
    texts = {name: [None if v is None else exact_json(v) for v in _plain(rows[name])] for name in nested}
    times = [name for name, dtype in rows.schema.items() if dtype.is_temporal() and name not in texts]
    return _texts(rows, times).with_columns(pl.Series(name, told, dtype=pl.String) for name, told in texts.items())


def _plain(column: pl.Series) -> list[object]:
    return [bytes(value).hex() for value in column] if column.dtype == pl.Binary else column.to_list()


def _texts(rows: pl.DataFrame, times: list[str]) -> pl.DataFrame:
    zoned = [name for name in times if isinstance(rows.schema[name], pl.Datetime)]
    others = [name for name in times if name not in zoned]
    return rows.with_columns(
        *(pl.col(name).dt.strftime("%Y-%m-%dT%H:%M:%S%.9fZ") for name in zoned),
        *(pl.col(name).cast(pl.String) for name in others),
    )


def _table(rows: pl.DataFrame, out: TextIO) -> None:
    from rich.table import Table  # takes its time; a pipe is spared it
    from rich.text import Text

    from hunt.output._console import Page

    table = Table(box=None, pad_edge=False)
    for name in rows.columns:
        table.add_column(Text(safe(name)), overflow="fold")
    for cells in _flat(rows).iter_rows():
        table.add_row(*(Text("" if cell is None else safe(str(cell))) for cell in cells))
    Page(out).print(table)
