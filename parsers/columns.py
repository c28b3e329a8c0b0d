"""Values of many records as columns: the same texts and numbers as `values` and `hunt.schema` make of them one by one.

What has a fast way: ASCII in UTF-16, GUIDs, unsigned numbers, times. Everything else is read through `values`, each
distinct value once. Records that don't fit what a column can be are named, for the walker to read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from hunt import native, schema
from hunt.schema import Kind

from . import framing, texts, times, values
from .batch import Batch
from .framing import I32, I64, U64, Mask
from .instances import Values
from .layout import Shape, Slot
from .texts import Views
from .value_types import FILETIME, GUID, SIZES, UNSIGNED, are_null

_RECORDS = 1 << 11  # that are read at a time
_BEFORE = np.array([2 ** (8 * size) - 1 for size in range(9)], np.uint64)  # the bits of so many bytes

_EPOCH = 116_444_736_000_000_000  # 1970 as a FILETIME
# What ns in 64 bits can tell, by whole years, as `hunt.schema` has it.
_FIRST_TIME, _LAST_TIME = (
    int(np.datetime64(day, "s").astype(np.int64)) * 10_000_000 + _EPOCH for day in ("1678-01-01", "2262-01-01")
)

Typed = npt.NDArray[np.uint64] | npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Texts:
    """A text column of some records. `ready`: it needs no further reading as its kind."""

    views: Views
    valid: Mask | None
    exists: bool
    ready: bool = False

    def keep(self, rows: Mask) -> Texts:
        valid = None if self.valid is None else self.valid[rows]
        return Texts(self.views[rows], valid, self.exists, self.ready)


@dataclass(frozen=True, slots=True)
class Numbers:
    """A column of numbers; `dtype` is what they are in the frame."""

    values: Typed
    valid: Mask | None
    dtype: pl.DataType
    exists: bool = True

    def keep(self, rows: Mask) -> Numbers:
        valid = None if self.valid is None else self.valid[rows]
        return Numbers(self.values[rows], valid, self.dtype, self.exists)


@dataclass(frozen=True, slots=True)
class Items:
    """The column of unnamed Data: its items, each with whether it is an array (then NUL stands between its texts)."""

    items: Sequence[tuple[Texts, bool]]
    exists: bool = True

    def keep(self, rows: Mask) -> Items:
        return Items([(text.keep(rows), array) for text, array in self.items], self.exists)


Column = Texts | Numbers | Items


def fragile(found: Values, shape: Shape) -> Mask:
    """Records with a value by which the names of their columns would be others."""
    bad = np.zeros(found.rows.size, bool)
    for index in shape.fragile:
        bad |= are_null(found.kind[index], found.size[index]) | ((found.kind[index] & values.ARRAY) != 0)
    return bad


class Reader:
    """Makes the columns of some records of one shape. `bad`: those that turned out to fit no column."""

    def __init__(self, batch: Batch, found: Values, kinds: Mapping[str, Kind]) -> None:
        self.batch = batch
        self.found = found
        self.kinds = kinds
        self.count = found.rows.size
        self.bad = np.zeros(self.count, bool)
        first = found.kind[:, :1]
        # Value by value: its type if all records have the same, and no null among them; else -1.
        alike = (found.kind == first).all(axis=1)
        full = (found.size > 0).all(axis=1) | (first[:, 0] == values.STRING)
        self.of_type = np.where(alike & full & (first[:, 0] != values.NULL), first[:, 0].astype(np.int16), -1).tolist()

    def columns(self, slots: Mapping[str, Slot]) -> dict[str, Column]:
        """The columns that one value each fills."""
        made: dict[str, Column] = {}
        strings = {name: slot for name, slot in slots.items() if self.of_type[slot.index] == values.STRING}
        # A GUID where a number or a time should be is a text that does not fit.
        able = {name: slot for name, slot in slots.items() if self.kinds.get(name) in (None, Kind.GUID)}
        guids = {name: slot for name, slot in able.items() if self.of_type[slot.index] == GUID}
        made |= self._numbers(slots)
        timed = {name: self._typed(name, slot) for name, slot in strings.items() if self.kinds.get(name) is Kind.TIME}
        made |= {name: column for name, column in timed.items() if column}
        made |= self._strings({name: slot for name, slot in strings.items() if name not in made})
        made |= self._guids(guids)
        for name, slot in slots.items():
            if name not in made:
                made[name] = self._typed(name, slot) or self._general(slot, "\n")
        return {name: made[name] for name in slots}

    def items(self, slots: Sequence[Slot | None], shared: Mapping[int, Texts]) -> Items:
        """The column of unnamed Data; `shared`: its items that are no values."""
        made: list[tuple[Texts, bool]] = []
        for place, slot in enumerate(slots):
            if slot is None:
                made.append((shared[place], False))
                continue
            arrays = (self.found.kind[slot.index] & values.ARRAY) != 0
            if arrays.any():
                self.bad |= ~arrays & ~are_null(self.found.kind[slot.index], self.found.size[slot.index])
            made.append((self._general(slot, "\0"), bool(arrays.any())))
        return Items(made, exists=any(text.exists for text, _ in made))

    def _strings(self, slots: Mapping[str, Slot]) -> Mapping[str, Texts]:
        """Columns of nothing but UTF-16, all in one go."""
        if not slots:
            return {}
        chosen = [slot.index for slot in slots.values()]
        if native.kernels:
            made = self.batch.texts(self.found.at, self.found.size, chosen)
            return {name: Texts(column, None, exists=True) for name, column in zip(slots, made, strict=True)}
        # Record by record, as they stand in memory.
        parts = (self.found.at, self.found.size)
        at, size = (np.ascontiguousarray(part[chosen].T, np.int64).ravel() for part in parts)
        views = self._utf16(at, size).reshape(self.count, len(chosen), 2)
        return {name: Texts(views[:, place], None, exists=True) for place, name in enumerate(slots)}

    def _utf16(self, at: I64, size: I64) -> Views:
        """UTF-16 with the NULs at its end, if any, left out. By numpy alone."""
        batch, length = self.batch, size >> 1
        views, plain, last = batch.halves.views(at, length, batch.number)
        ended = np.flatnonzero((last == 0) & (length > 0))
        if ended.size:
            views[ended], plain[ended], last = batch.halves.views(at[ended], length[ended] - 1, batch.number)
            plain[ended] &= (last != 0) | (length[ended] == 1)  # there may be more than one NUL
        rest = np.flatnonzero(~plain)
        if rest.size:
            views[rest], _ = texts.converted(batch.data, at[rest], size[rest], _utf16_text, batch.notes)
        return views

    def _guids(self, slots: Mapping[str, Slot]) -> Mapping[str, Texts]:
        columns = {}
        for name, (views, some) in self._guid_views(slots).items():
            if self.kinds.get(name) is Kind.GUID:  # the null GUID is null
                columns[name] = Texts(views, None if some.all() else some, exists=True, ready=True)
            else:  # another provider may list it
                columns[name] = Texts(views, None, exists=True, ready=bool(some.all()))
        return columns

    def _guid_views(self, slots: Mapping[str, Slot]) -> Mapping[str, tuple[Views, Mask]]:
        """Columns of nothing but GUIDs, and which are not null."""
        if not slots:
            return {}
        if native.kernels:
            made, some = self.batch.guids(self.found.at, [slot.index for slot in slots.values()])
            return dict(zip(slots, zip(made, some, strict=True), strict=True))
        raw = {
            name: framing.rows(self.batch.data, self.found.at[slot.index], 16).view("<u8")
            for name, slot in slots.items()
        }
        alike = {name for name, words in raw.items() if (words == words[0]).all()}  # a provider's own, say
        differ = [words for name, words in raw.items() if name not in alike]
        if differ:
            made = self.batch.add(texts.guid_texts(np.concatenate(differ).view(np.uint8)))
            views = iter(made.reshape(len(differ), -1, 2))
        return {
            name: (
                self._alike(GUID, words[0].tobytes()) if name in alike else next(views),
                (words[:, 0] | words[:, 1]) != 0,
            )
            for name, words in raw.items()
        }

    def _string_texts(self, at: I32, size: npt.NDArray[np.uint16]) -> Views:
        if not native.kernels:
            return self._utf16(at.astype(np.int64), size.astype(np.int64))
        views: Views = self.batch.texts(at[None], size[None], [0])[0]
        return views

    def _guid_texts(self, at: I32) -> Views:
        if not native.kernels:
            return self.batch.add(texts.guid_texts(framing.rows(self.batch.data, at, 16)))
        views: Views = self.batch.guids(at[None], [0])[0][0]
        return views

    def _alike(self, kind: int, raw: bytes) -> Views:
        """The same text for all records."""
        return np.repeat(self.batch.notes.views([str(values.text(kind, raw))]), self.count, axis=0)

    def _numbers(self, slots: Mapping[str, Slot]) -> dict[str, Column]:
        """Columns of numbers and times of one type without nulls, all in one go."""
        kinds = {name: kind for name in slots if (kind := self.kinds.get(name)) not in (None, Kind.GUID)}
        typed = {name: (kind, self.of_type[slots[name].index]) for name, kind in kinds.items()}
        chosen = {
            name: of_type
            for name, (kind, of_type) in typed.items()
            if of_type == FILETIME or (of_type in UNSIGNED and kind is not Kind.TIME)
            if (of_type == FILETIME) == (kind is Kind.TIME)
        }
        if not chosen:
            return {}
        read = self._read([slots[name].index for name in chosen], [SIZES[of_type] for of_type in chosen.values()])
        if read is None:
            return {}
        made = {}
        for column, (name, of_type) in zip(read, chosen.items(), strict=True):
            kind = kinds[name]
            made[name] = _times(column, None) if kind is Kind.TIME else _unsigned(column, None, of_type, kind.dtype)
        return {name: column for name, column in made.items() if column}

    def _read(self, indices: Sequence[int], sizes: Sequence[int]) -> U64 | None:
        """Unsigned numbers of some values, of so many bytes each; None where they stand too near to the data's end."""
        read = np.empty((len(indices), self.count), np.uint64)
        if native.kernels:
            chosen, widths = np.array(indices, np.int64), np.array(sizes, np.int64)
            native.kernels.numbers(self.batch.data, self.found.at, chosen, widths, read)
            return read
        words, kept = self.batch.u64, _BEFORE[sizes][:, None]
        if int(self.found.at[indices].max()) >= words.size:
            return None
        # Record by record, as they stand in memory: eight bytes from each place, of which those that follow are cut.
        for part in framing.parts(self.count, _RECORDS):
            at = np.ascontiguousarray(self.found.at[:, part][indices].T)
            np.bitwise_and(words[at.ravel()].reshape(at.shape).T, kept, out=read[:, part])
        return read

    def _typed(self, name: str, slot: Slot) -> Numbers | None:
        """A column of numbers or times, where its values are; None where a text must be kept."""
        kind, of_type = self.kinds.get(name), self.of_type[slot.index]
        if kind is None or kind is Kind.GUID:
            return None
        at, null = self.found.at[slot.index], None
        if of_type == -1:
            types = self.found.kind[slot.index]
            null = are_null(types, self.found.size[slot.index])
            met = set(types[~null].tolist()) if slot.optional else set()
            if len(met) != 1:
                return None
            of_type = met.pop()
            at = np.where(null, 0, at)
        valid = None if null is None else ~null
        if kind is Kind.TIME and of_type == FILETIME:
            return _times(self.batch.unsigned(at, 8), valid)
        if kind is Kind.TIME:
            return self._written_times(at, self.found.size[slot.index]) if self._alone(slot) else None
        if of_type not in UNSIGNED:
            return None
        return _unsigned(self.batch.unsigned(at, SIZES[of_type]), valid, of_type, kind.dtype)

    def _alone(self, slot: Slot) -> bool:
        return bool(self.of_type[slot.index] == values.STRING)

    def _written_times(self, at: I32, size: npt.NDArray[np.uint16]) -> Numbers | None:
        """Times as Sysmon writes them; None if one is written otherwise."""
        if native.kernels:
            since = np.empty(self.count, np.int64)
            right = native.kernels.times(self.batch.data, at, size, since)
            return Numbers(since, None, schema.TIME) if right else None
        ends = self.batch.u16[np.maximum(at + size - 2, 0)] == 0  # with a NUL behind
        if not (size - 2 * ends == 2 * times.WRITTEN).all():
            return None
        read = times.read(framing.rows(self.batch.data, at, 2 * times.WRITTEN).view("<u2"))
        return None if read is None else Numbers(read, None, schema.TIME)

    def _general(self, slot: Slot, joint: str) -> Texts:
        """Values of any types as texts; `bad` is set where one is not of its type after all."""
        at, size, kind = (part[slot.index] for part in (self.found.at, self.found.size, self.found.kind))
        null = are_null(kind, size)
        views = np.zeros((at.size, 2), np.uint64)  # that of "", which a null is where it is not optional
        valid = ~null if slot.optional else np.ones(at.size, bool)
        for of_type in set(kind[~null].tolist()):
            rows = np.flatnonzero((kind == of_type) & ~null)
            if of_type == values.STRING:
                views[rows] = self._string_texts(at[rows], size[rows])
            elif of_type == GUID:
                views[rows] = self._guid_texts(at[rows])
            elif of_type & values.ARRAY and not slot.repeats:
                self.bad[rows] = True
            else:
                read = _TextOf(of_type, joint)
                views[rows], fits = texts.converted(self.batch.data, at[rows], size[rows], read, self.batch.notes)
                self.bad[rows] |= ~fits
        return Texts(views, None if valid.all() else valid, exists=bool(valid.any()))


def _unsigned(read: U64, valid: Mask | None, of_type: int, dtype: pl.DataType) -> Numbers | None:
    """None if one is too large for the column: then its text must be kept."""
    if valid is not None:
        read[~valid] = 0
    if dtype == pl.UInt32() and SIZES[of_type] == 8 and int(read.max()) > 0xFFFFFFFF:
        return None
    return Numbers(read, valid, dtype)


def _times(ticks: U64, valid: Mask | None) -> Numbers | None:
    """FILETIMEs as ns since 1970; None if one is beyond what ns can tell: then its text must be kept."""
    if valid is not None:
        ticks[~valid] = _EPOCH
    if int(ticks.min()) < _FIRST_TIME or int(ticks.max()) >= _LAST_TIME:
        return None
    return Numbers((ticks.astype(np.int64) - _EPOCH) * 100, valid, schema.TIME)


def _utf16_text(raw: bytes) -> str:
    return str(values.text(values.STRING, raw))


@dataclass(frozen=True, slots=True)
class _TextOf:
    """Reads one value of a type; None for what is none. Items of an array are put together by `joint`."""

    kind: int
    joint: str

    def __call__(self, raw: bytes) -> str | None:
        try:
            text = values.text(self.kind, raw)
        except ValueError:
            return None
        return text if isinstance(text, str) else self.joint.join(text)
