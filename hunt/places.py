"""Where events stand: `sources`, which has every place of an event and its copies, and the order of rows by place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from hunt.arrays import series

SOURCES = pl.List(pl.Struct({"path": pl.String, "offset": pl.UInt64}))

_AS_IT_IS = pl.CompatLevel.newest()  # texts are not copied
_FAR = 1 << 44  # bytes: no log is as large, and a million of them can be numbered beside the offset

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Several:
    """Places that rows tell of, as they were told: of some archives there are hundreds a row, and copying them costs
    more than all else."""

    told: pl.Series  # SOURCES; null: a row stands for itself alone
    at: Rows | None  # which of them is each row's; None: they are in the order of the rows


def in_place(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows by source and offset."""
    return _taken(frame, _order(frame))


def apart(frame: pl.DataFrame) -> tuple[pl.DataFrame, Several | None]:
    """Rows by source and offset, without `sources`, which is beside them if there is any."""
    bare = frame.drop("sources", strict=False)
    order = _order(bare)
    return _taken(bare, order), Several(frame["sources"], order) if "sources" in frame.columns else None


def _taken(frame: pl.DataFrame, order: Rows | None) -> pl.DataFrame:
    # Rows of one piece are found several times as fast as those of many.
    return frame if order is None else frame.rechunk()[order]


def _order(frame: pl.DataFrame) -> Rows | None:
    """The rows by source and offset; None: as they mostly are. Sorting them again costs more than all else."""
    source, offset = pl.col("source"), pl.col("offset")
    later = (source > source.shift()) | ((source == source.shift()) & (offset >= offset.shift()))
    if frame.height < 2 or frame.select(later.slice(1).all(ignore_nulls=False)).item():
        return None
    # By one number, and rows that mostly follow on each other: several times as fast as by the texts.
    names = frame["source"].unique().sort()
    high = frame["offset"].max()
    if names.null_count() or frame["offset"].null_count() or not isinstance(high, int) or high >= _FAR:
        return frame.select(pl.arg_sort_by(source, offset, maintain_order=True))[:, 0].to_numpy().astype(np.int64)
    numbers = pl.int_range(len(names), dtype=pl.UInt64, eager=True)
    rank = frame["source"].replace_strict(names, numbers) if len(names) > 1 else 0
    return np.argsort((rank * _FAR + frame["offset"]).to_numpy(), kind="stable")


def live_first(frame: pl.DataFrame) -> Rows:
    recovered = frame["recovered"].to_numpy()
    return np.concatenate([np.flatnonzero(~recovered), np.flatnonzero(recovered)])


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Where events and their copies stand, made for those that are asked for."""

    several: Several | None
    _rows: pl.DataFrame  # source, offset, recovered
    _members: Rows  # the rows of one event after those of the other
    _ends: Rows  # where those of each event begin, and the last one's end

    def of(self, events: pl.Series | None = None) -> pl.Series:
        """`sources` of these events, by number, or of all: the places of live ones first, by path and offset."""
        counts, members = np.diff(self._ends), self._members
        if events is not None:
            asked = events.to_numpy()
            begin, counts = self._ends[asked], counts[asked]
            members = members[np.repeat(begin - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())]
        if self.several is None or not self.several.told.list.len().max():  # null: none of them tells of any
            told = self._rows.select(path=pl.col("source").gather(members), offset=pl.col("offset").gather(members))
            return _lists(told, counts)
        number = np.repeat(np.arange(counts.size), counts)
        told, sizes = _flat(self._rows, self.several, members)
        recovered = self._rows["recovered"].gather(members)
        if members.size > counts.size and not _follow(told, sizes, number, recovered):
            rows = np.repeat(np.arange(members.size), sizes)  # of each place
            groups = told.with_columns(_event=pl.Series(number[rows]), _recovered=recovered.gather(rows))
            told = groups.sort("_event", "_recovered", "path", "offset", maintain_order=True).select("path", "offset")
        return _lists(told, np.bincount(number, weights=sizes, minlength=counts.size).astype(np.int64))


def places(frame: pl.DataFrame, several: Several | None, first: Rows, kept: Rows) -> Places:
    """The places of rows that are kept. `frame`: rows by source and offset. `first`: for each row the one kept."""
    members = np.arange(frame.height)
    if kept.size < frame.height:
        members = live_first(frame)
        members = members[np.argsort(first[members], kind="stable")]
    ends = np.concatenate([[0], np.cumsum(np.bincount(first, minlength=frame.height)[kept])])
    return Places(several, frame.select("source", "offset", "recovered"), members, ends)


def _flat(frame: pl.DataFrame, several: Several, order: Rows) -> tuple[pl.DataFrame, Rows]:
    """The places of the rows in this order, each a row of `path` and `offset`, and how many each row has.

    If all are asked for they are gathered once: lists that are gathered, and then taken apart, are copied twice.
    """
    told, rows = several.told, order if several.at is None else several.at[order]
    if rows.size < told.len():
        told, rows = told.gather(rows), np.arange(rows.size)
    alone = (told.list.len().fill_null(0) == 0).to_numpy()
    own = frame[order[alone[rows]]].select(pl.concat_list(pl.struct(path="source", offset="offset")).cast(SOURCES))
    # Those that stand where they stand come last.
    lists = pl.concat([told, own[:, 0]]).rechunk().to_arrow(compat_level=_AS_IT_IS)
    ends = np.asarray(lists.offsets)
    begin, counts = ends[:-1][rows], np.diff(ends)[rows]
    begin[alone[rows]], counts[alone[rows]] = ends[alone.size : -1], 1
    index = np.arange(counts.sum(), dtype=np.uint32)
    index += np.repeat((begin - (np.cumsum(counts) - counts)).astype(np.uint32), counts)  # may go below zero and back
    return series(lists.values).struct.unnest()[pl.Series(index)], counts


def _lists(places: pl.DataFrame, counts: npt.NDArray[Any]) -> pl.Series:
    """SOURCES of rows that stand in so many places each, one row after the other."""
    places = places.with_columns(_own(places["path"]))
    ends = np.concatenate([[0], np.cumsum(counts)])
    lists = pa.LargeListArray.from_arrays(
        pa.array(ends, pa.int64()), places.to_struct().to_arrow(compat_level=_AS_IT_IS)
    )
    return series(lists).cast(SOURCES).alias("sources")


def _own(paths: pl.Series) -> pl.Series:
    """Paths whose letters are nowhere else: an Arrow array, places and all, is kept while letters of it are used.

    Places that are collapsed again and again would keep all that they were before.
    """
    names = pl.Series(paths.name, paths.unique().to_list(), pl.String)
    if len(names) < 2:
        return names.new_from_index(0, len(paths)) if len(names) else names
    return names.gather(paths.replace_strict(names, pl.int_range(len(names), dtype=pl.UInt32, eager=True)))


def _follow(places: pl.DataFrame, counts: Rows, first: Rows, recovered: pl.Series) -> bool:
    """Whether each row's places come after those of the row before it, if both stand for the same and are live."""
    ends = np.cumsum(counts)
    begin, last = places[ends - counts], places[ends - 1].select(pl.all().shift())
    path, offset = begin["path"], begin["offset"]
    later = (path > last["path"]) | ((path == last["path"]) & (offset >= last["offset"]))
    other = pl.Series(np.append(True, first[1:] != first[:-1])) | (recovered != recovered.shift())
    return bool((later | other)[1:].all(ignore_nulls=False))
