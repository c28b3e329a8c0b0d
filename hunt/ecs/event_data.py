"""`winlog.event_data.*`: any field of an event under its own name, as the text that Windows renders."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl
import pyarrow as pa

from hunt import schema
from hunt.ecs.fields import Field, Fields, made
from hunt.ecs.values import text
from hunt.model import EventType

PREFIX = "winlog.event_data."


def of_columns(kind: EventType, columns: Iterable[str]) -> Fields:
    """Those of an event type whose fields are known."""
    return {PREFIX + column: of_column(kind, column) for column in columns}


def of_column(kind: EventType, field: str) -> Field:
    """One field as text."""
    column = schema.column_name(field)
    known = expected(kind).get(column)
    return made(lambda name: rendered(name, known), column)


def expected(kind: EventType) -> dict[str, schema.Kind]:
    """Which columns of the event type are not text, in events of its channel's own provider."""
    return schema.kinds((schema.PROVIDERS.get(kind.key[0]),), kind.event_id)


def rendered(column: str, kind: schema.Kind | None) -> pl.Expr:
    """A column as Windows prints it; what counts as absent is null."""
    value = pl.col(column)
    if kind is schema.Kind.HEX:
        return hex_text(value)
    if kind is schema.Kind.TIME:
        return value.dt.strftime("%Y-%m-%d %H:%M:%S%.3f")  # as Sysmon does
    return text(column) if kind in (None, schema.Kind.GUID) else value.cast(pl.String)


def hex_text(value: pl.Expr) -> pl.Expr:
    """Unsigned numbers as 0x3e7, all at once."""
    return value.map_batches(_hex, return_dtype=pl.String, is_elementwise=True)


def _hex(numbers: pl.Series) -> pl.Series:
    big = numbers.fill_null(0).cast(pl.UInt64).to_numpy().astype(">u8")
    raw = pa.FixedSizeBinaryArray.from_buffers(pa.binary(8), len(big), [None, pa.py_buffer(np.ascontiguousarray(big))])
    digits = pl.Series(numbers.name, raw.cast(pa.large_binary())).to_frame("raw").select(
        pl.col("raw").bin.encode("hex").str.strip_chars_start("0")
    )["raw"]  # fmt: skip
    shown = digits.to_frame("digits").select(
        pl.lit("0x") + pl.when(pl.col("digits") == "").then(pl.lit("0")).otherwise("digits")
    )[:, 0]
    return shown.set(numbers.is_null(), None).alias(numbers.name)
