"""The census of a unit: what is known of every record, wanted or not, by a few numpy operations.

EventRecordID and TimeCreated are values of the record's outer template, of one type each; a record that has them
otherwise is read on its own. The record's header is not asked: where a log was saved from a viewer, exported or
forwarded, its number is another one and its time is none, as in most of 224 real logs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from hunt import arrays, runs, schema
from hunt.arrays import grouped
from hunt.runs import NO_ID, NO_TIME

from . import event_xml
from .batch import Batch, Names
from .framing import I64, U64
from .instances import Values
from .layout import Slot

_EPOCH = 116_444_736_000_000_000  # 1970 as FILETIME: 100 ns since 1601
_SPAN = (1 << 63) // 100  # FILETIMEs on either side of 1970 that ns in 64 bits can tell
_ONE_BY_ONE = 1024  # records of a unit of another layout whose id and time are read; of all others they are not known
_NEVER = int(np.iinfo(np.int64).max)

_UINT64, _FILETIME = 0x0A, 0x11  # value types

Read = Callable[[int], event_xml.Row | None]
Table = npt.NDArray[np.int64]


def written(batch: Batch, found: Values, sources: Mapping[str, Slot | None]) -> tuple[I64, I64]:
    """EventRecordIDs and TimeCreated (ns since 1970) of records; NO_ID, NO_TIME where not known.

    `sources`: where the values of the outer template's columns stand.
    """
    ids, times = np.full(found.rows.size, NO_ID, np.int64), np.full(found.rows.size, NO_TIME, np.int64)
    for name, kind, told in (("record_id", _UINT64, ids), ("logged", _FILETIME, times)):
        slot = sources.get(name)
        if slot is None:
            continue
        right = (found.kind[slot.index] == kind) & (found.size[slot.index] == 8)
        rows = slice(None) if right.all() else np.flatnonzero(right)
        read = batch.u64[found.at[slot.index][rows]]
        if name == "record_id":
            told[rows] = np.where(read < runs.HIGHEST, read.astype(np.int64), NO_ID)
        else:
            ticks = read.astype(np.int64) - _EPOCH
            told[rows] = np.where((ticks > -_SPAN) & (ticks < _SPAN), ticks * 100, NO_TIME)
    return ids, times


@dataclass(slots=True)
class Census:
    """Collects what is told of the records of a unit; `frame` counts them."""

    names: Names
    # Segment, host, channel, provider, event id, EventRecordID, TimeCreated, whether the header has another number.
    _told: list[Table] = field(default_factory=list)
    _singles: list[tuple[int, ...]] = field(default_factory=list)
    _left: int = _ONE_BY_ONE

    def complete(self, ids: I64, times: I64, read: Read) -> None:
        """Fill in what is not known of some records; `read` reads one, by its place among them."""
        unknown = np.flatnonzero((ids == NO_ID) | (times == NO_TIME))
        for row in unknown[: self._left].tolist():
            event = read(row)
            if event:
                ids[row], times[row] = written_as(event)
        self._left -= min(self._left, unknown.size)

    def add(self, told: Table, numbers: U64, ids: I64, times: I64) -> None:
        """Count records. `told`: their segments, hosts, channels, providers and event ids, a row each; the last three
        are a record's number in its header, its EventRecordID and its TimeCreated."""
        self._told.append(np.concatenate([told, [ids, times, numbers.astype(np.int64) != ids]]))

    def add_one(self, segment: int, event: event_xml.Row, number: int) -> None:
        """Count a record that was read on its own."""
        texts = (None if (text := event.get(c)) is None else str(text) for c in ("host", "channel", "provider"))
        record_id, time = written_as(event)
        numbers = (self.names.number(text) for text in texts)
        self._singles.append((segment, *numbers, int(str(event["event_id"])), record_id, time, number != record_id))

    def frame(self, sources: Sequence[str]) -> pl.DataFrame:
        """`schema.CENSUS`; `sources`: the files of the segments, by position."""
        singles = np.array(self._singles, np.int64).reshape(-1, 8).T
        told = np.concatenate([np.empty((8, 0), np.int64), *self._told, singles], axis=1)
        first = {source: position for position, source in reversed(list(enumerate(sources)))}
        told[0] = np.array([first[source] for source in sources], np.int64)[told[0]]  # segments of one file are one
        names = len(self.names.texts)
        counted = _counted(told, names)
        of_logs = _combined(told[:3], names)
        found = runs.capped(runs.found(of_logs.numbers, told[5], told[6]))
        keys, groups = runs.lists(found)
        # The first row of each log tells its runs.
        logs = of_logs.of(np.array(counted[:3]))
        groups_of = grouped(logs)
        place = np.full(logs.size, -1, np.int64)
        place[groups_of.firsts] = np.searchsorted(keys, groups_of.values)
        columns = dict(zip(_COLUMNS, counted, strict=True))
        return pl.DataFrame([*self._named(columns, sources), groups.gather(runs.known(place, -1)).alias("runs")])

    def _named(self, columns: Mapping[str, I64], sources: Sequence[str]) -> list[pl.Series]:
        """The columns with their types, and texts for the numbers of files and names."""
        texts = pl.Series(self.names.texts, dtype=pl.String)
        told = {c: texts.gather(arrays.numbers("", columns[c])).alias(c) for c in ("host", "channel", "provider")}
        told["source"] = pl.Series("source", sources, dtype=pl.String).gather(arrays.numbers("", columns["source"]))
        told |= {
            "start": runs.known(columns["start"], _NEVER).cast(schema.TIME).alias("start"),
            "end": runs.known(columns["end"], NO_TIME).cast(schema.TIME).alias("end"),
        }
        return [told[c] if c in told else arrays.numbers(c, columns[c]).cast(schema.CENSUS[c]) for c in _COLUMNS]


_COLUMNS = (*schema.CENSUS_KEYS, "records", "start", "end", "renumbered")


def _counted(told: Table, names: int) -> Sequence[I64]:
    """_COLUMNS of all records, by kind, in the order in which the kinds were met."""
    if not told.shape[1]:
        return [np.empty(0, np.int64) for _ in _COLUMNS]
    key = _combined(told[:5], names).numbers
    order = np.argsort(key, kind="stable")
    sorted_key, times = key[order], told[6][order]
    at = np.concatenate([[0], np.flatnonzero(sorted_key[1:] != sorted_key[:-1]) + 1])
    counts = np.diff(np.append(at, key.size))
    starts = np.minimum.reduceat(np.where(times == NO_TIME, _NEVER, times), at)
    ends = np.maximum.reduceat(times, at)
    other = np.add.reduceat(told[7][order], at)
    first = order[at]
    met = np.argsort(first)
    return [*told[:5, first[met]], *(column[met] for column in (counts, starts, ends, other))]


def written_as(event: Mapping[str, object]) -> tuple[int, int]:
    """EventRecordID and TimeCreated of a row of text, as `written` tells them."""
    record_id = str(event.get("record_id") or "")
    known = int(record_id) if record_id.isascii() and record_id.isdecimal() and len(record_id) < 20 else NO_ID
    return known if known < runs.HIGHEST else NO_ID, _time(str(event.get("logged") or ""))


# As `hunt.schema` reads times; a text of another shape, or a year beyond what ns in 64 bits tell, is none.
_WRITTEN = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?Z?")


def _time(text: str) -> int:
    shape = _WRITTEN.fullmatch(text)
    if not shape or not 1678 <= int(text[:4]) <= 2261:
        return NO_TIME
    try:
        second = datetime.fromisoformat(shape[1]).replace(tzinfo=UTC)
    except ValueError:
        return NO_TIME
    whole = (second - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    return whole * 1_000_000_000 + int((shape[2] or "").ljust(9, "0"))


@dataclass(frozen=True, slots=True)
class _Combined:
    """Columns of numbers as one number each."""

    numbers: I64
    sizes: Sequence[int]
    distinct: Table | None  # where the numbers count these columns, sorted

    def of(self, told: Table) -> I64:
        """The numbers of other columns, all of which were met."""
        if self.distinct is None:
            return _mixed(told, self.sizes)
        both = np.concatenate([self.distinct, told], axis=1)
        _, which = np.unique(both, axis=1, return_inverse=True)
        return which.astype(np.int64).ravel()[self.distinct.shape[1] :]


def _combined(told: Table, names: int) -> _Combined:
    """Rows of `told` as one number each: few bits together, but for evidence made to have too many names.

    The first row is the segment, the last of five the event id; between them are numbers of `names`.
    """
    sizes = [int(told[0].max(initial=0)) + 1, *(names,) * (min(len(told), 4) - 1)]
    if len(told) == 5:
        sizes.append(int(told[4].max(initial=0)) + 1)
    if math.prod(sizes) >= 1 << 62:
        distinct, which = np.unique(told, axis=1, return_inverse=True)
        return _Combined(which.astype(np.int64).ravel(), sizes, distinct)
    return _Combined(_mixed(told, sizes), sizes, None)


def _mixed(told: Table, sizes: Sequence[int]) -> I64:
    key: I64 = told[0].astype(np.int64)
    for row, size in zip(told[1:], sizes[1:], strict=True):
        key = key * size + row
    return key
