"""Pieces of columns of many batches -> one frame per event type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from hunt import arrays, schema

from . import texts
from .columns import Column, Items, Numbers, Texts
from .framing import I64, U8, U64, Mask
from .texts import Views

Buffers = Sequence[U8 | bytes]


@dataclass(frozen=True, slots=True)
class Placed:
    """A piece with where its records stand: `place` orders them over all files."""

    provider: str | None
    columns: Mapping[str, Column]
    place: I64
    number: U64
    source: npt.NDArray[np.uint32]  # index of the file
    offset: U64
    recovered: Mask


def frame(pieces: Sequence[Placed], event_id: int, sources: Sequence[str], buffers: Buffers) -> pl.DataFrame:
    """Columns and types of `hunt.schema`, rows by place."""
    # In the order in which the rows have them, however the records were grouped.
    names = dict.fromkeys(name for piece in sorted(pieces, key=lambda p: int(p.place[0])) for name in piece.columns)
    rows = _Rows([piece.place for piece in pieces])
    made = [_column(name, pieces, rows, buffers) for name in names if any(_exists(piece, name) for piece in pieces)]
    ready = {name for name in names if all(_ready(piece.columns[name]) for piece in pieces if name in piece.columns)}
    files = pl.Series("source", sources, dtype=pl.String)
    told = [
        pl.Series("event_id", [event_id], dtype=pl.UInt32).new_from_index(0, rows.count),
        arrays.numbers("record_number", rows.joined([piece.number for piece in pieces])),
        files.gather(arrays.numbers("", rows.joined([piece.source for piece in pieces]))),
        arrays.numbers("offset", rows.joined([piece.offset for piece in pieces])),
        arrays.numbers("recovered", rows.joined([piece.recovered for piece in pieces])),
    ]
    whole = pl.DataFrame([*(column for column in made if column.dtype != schema.TEXTS or column.count()), *told])
    return schema.conform(whole, event_id, ready=ready, own={piece.provider for piece in pieces})


class _Rows:
    """Puts the rows of pieces together, by place."""

    def __init__(self, places: Sequence[I64]) -> None:
        place = np.concatenate(places)
        self.count = place.size
        self.order: I64 | None = None  # if it is not that of the pieces
        if (place[1:] < place[:-1]).any():
            self.order = np.argsort(place, kind="stable")
            rank = np.empty_like(self.order)
            rank[self.order] = np.arange(self.count)
            self._ranks = np.split(rank, np.cumsum([part.size for part in places])[:-1])

    def joined(self, parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Parts of a column, one of each piece."""
        if len(parts) == 1:
            return parts[0]
        if self.order is None:
            return np.concatenate(parts)
        whole = np.empty(self.count, parts[0].dtype)
        for rank, part in zip(self._ranks, parts, strict=True):
            whole[rank] = part
        return whole

    def views(self, parts: Sequence[Views]) -> Views:
        """The same for views, which are moved as one item each."""
        items = [np.ascontiguousarray(part).view("V16")[:, 0] for part in parts]
        return self.joined(items).view(np.uint64).reshape(-1, 2)

    def sorted(self, series: pl.Series) -> pl.Series:
        """A column that has the rows of all pieces already."""
        return series if self.order is None else series.gather(self.order)


def _exists(piece: Placed, name: str) -> bool:
    column = piece.columns.get(name)
    return column is not None and column.exists


def _ready(column: Column) -> bool:
    return isinstance(column, Texts) and column.ready


def _column(name: str, pieces: Sequence[Placed], rows: _Rows, buffers: Buffers) -> pl.Series:
    """One column of all pieces, null where a piece lacks it."""
    columns, sizes = [piece.columns.get(name) for piece in pieces], [piece.place.size for piece in pieces]
    if all(isinstance(column, Texts | None) for column in columns):
        return _texts(name, columns, sizes, rows, buffers)
    if all(isinstance(column, Numbers | None) for column in columns):
        return _numbers(name, columns, sizes, rows)
    parts = [_series(name, column, size, buffers) for column, size in zip(columns, sizes, strict=True)]
    dtype: pl.DataType = schema.TEXTS if name == schema.DATA else pl.String()
    return rows.sorted(pl.concat([_as(part, dtype) for part in parts]))


def _as(part: pl.Series, dtype: pl.DataType) -> pl.Series:
    """A part as text where others could not be numbers: conform reads them all again, with what did not fit."""
    if isinstance(part.dtype, pl.Datetime):
        return part.dt.strftime("%Y-%m-%d %H:%M:%S%.9f")
    return part if part.dtype == dtype else part.cast(dtype)


def _texts(
    name: str, columns: Sequence[Column | None], sizes: Sequence[int], rows: _Rows, buffers: Buffers
) -> pl.Series:
    views, valid, whole = [], [], True
    for column, size in zip(columns, sizes, strict=True):
        there = isinstance(column, Texts)
        views.append(column.views if isinstance(column, Texts) else np.zeros((size, 2), np.uint64))
        some = column.valid if isinstance(column, Texts) else None
        whole = whole and there and some is None
        valid.append(some if some is not None else np.full(size, there))
    return texts.series(name, rows.views(views), None if whole else rows.joined(valid), buffers)


def _numbers(name: str, columns: Sequence[Column | None], sizes: Sequence[int], rows: _Rows) -> pl.Series:
    values, valid, dtype, whole = [], [], None, True
    for column, size in zip(columns, sizes, strict=True):
        if isinstance(column, Numbers):
            dtype = column.dtype
            values.append(column.values)
            whole = whole and column.valid is None
            valid.append(column.valid if column.valid is not None else np.ones(size, bool))
        else:
            whole = False
            values.append(np.zeros(size, np.uint64))
            valid.append(np.zeros(size, bool))
    if len({part.dtype for part in values}) > 1:  # times, and none
        values = [part.astype(np.int64) for part in values]
    return _typed(name, rows.joined(values), None if whole else rows.joined(valid), dtype)


def _typed(
    name: str, values: npt.NDArray[np.generic], valid: npt.NDArray[np.bool_] | None, dtype: pl.DataType | None
) -> pl.Series:
    series = arrays.numbers(name, values.astype(np.int64) if dtype == schema.TIME else values)
    return arrays.masked(series.cast(dtype or pl.UInt64()), valid)


def _series(name: str, column: Column | None, size: int, buffers: Buffers) -> pl.Series:
    match column:
        case Texts():
            return texts.series(name, column.views, column.valid, buffers)
        case Numbers():
            return _typed(name, column.values, column.valid, column.dtype)
        case Items():
            return _items(name, column, size, buffers)
    return pl.Series(name, [None], dtype=pl.Null).new_from_index(0, size)


def _items(name: str, column: Items, size: int, buffers: Buffers) -> pl.Series:
    """Lists of the texts that are there: a null stands for no element at all, an array for several."""
    parts = []
    for index, (text, array) in enumerate(column.items):
        item = texts.series(str(index), text.views, text.valid, buffers)
        split = item.str.split("\0") if array else item.to_frame().select(pl.concat_list(pl.col(str(index))))[:, 0]
        parts.append(split.alias(str(index)))
    lists = pl.DataFrame(parts, height=size).select(
        pl.concat_list(pl.col(c).fill_null([]) for c in map(str, range(len(parts))))
    )
    joined = lists[:, 0].list.drop_nulls()
    if name != schema.DATA:  # a field of several values, as `event_xml` has them
        lines = joined.list.join("\n").to_frame("x").with_columns(some=joined.list.len() > 0)
        return lines.select(pl.when(pl.col("some")).then(pl.col("x")))[:, 0].alias(name)
    # An event without a single item has no Data at all.
    return joined.to_frame("x").select(pl.when(pl.col("x").list.len() > 0).then(pl.col("x")))[:, 0].alias(name)
