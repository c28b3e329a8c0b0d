"""Template instances of many records at once: which template, and where each value stands.

An instance: optionally `0f 01 01 00`; `0c`, a byte, u32 template id, u32 offset of the definition in the chunk; the
definition itself if it stands right there; u32 count, count x (u16 size, u8 type, u8 0), then the values. Everything
is checked against the end of the record (or of the value, for BinXML in a value) before it is believed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hunt import native
from hunt.arrays import grouped

from . import bxml, framing, records
from .batch import Batch
from .framing import I32, I64, Mask
from .value_types import ANY, EVEN, SIZE, are_null

_START, _TEMPLATE = 0x0F, 0x0C
_HEAD = 10  # token, byte, template id, offset
_RECORDS = 1 << 12  # that are read at a time
_MAX_COUNTS = 4  # different numbers of values that instances of one template are believed to have


@dataclass(frozen=True, slots=True)
class Instances:
    """For each place: whether a template instance begins there, its definition and its values (bytes in the batch)."""

    found: Mask
    definition: I64
    values: I64  # where u32 count stands


def instances(batch: Batch, at: I64, end: I64) -> Instances:
    """Read the heads of what begins at `at` and ends at `end`. What is no template instance is left to others."""
    if native.kernels:
        found, definition, start = np.empty(at.size, bool), np.empty(at.size, np.int64), np.empty(at.size, np.int64)
        native.kernels.instances(batch.data, at, end, found, definition, start)
        return Instances(found, definition, start)
    data, words = batch.data, batch.u32
    safe = data.size - 1
    at = at + np.where(data[np.minimum(at, safe)] == _START, 4, 0)
    found = (at + _HEAD + 4 <= end) & (data[np.minimum(at, safe)] == _TEMPLATE)
    last = words.size - 1
    base = at & ~np.int64(records.CHUNK - 1)
    offset = words[np.minimum(at + 6, last)].astype(np.int64)
    found &= offset + bxml.TEMPLATE_HEADER <= records.CHUNK
    definition = np.where(found, base + offset, 0)
    # The id is the GUID's first word: where it is not, the definition is another's, as in the slack of a used chunk.
    found &= words[np.minimum(at + 2, last)] == words[np.minimum(definition + 4, last)]
    resident = definition == at + _HEAD
    body = words[np.minimum(definition + 20, last)].astype(np.int64)
    start = at + _HEAD + np.where(resident, bxml.TEMPLATE_HEADER + body, 0)
    found &= start + 4 <= end
    return Instances(found, definition, np.where(found, start, 0))


@dataclass(frozen=True, slots=True)
class Values:
    """The values of records of one template: matrices of (value, record). `at` and `size` in bytes.

    Only the rows of values that were asked for (`Asked.first`) are filled, until `whole` fills all.
    """

    rows: I64  # which of the records asked for
    begin: I64  # where their descriptors stand
    at: I32
    size: npt.NDArray[np.uint16]
    kind: npt.NDArray[np.uint8]
    misfit: Mask  # records with a value of a wrong size, or of an unknown type
    filled: I64

    def take(self, chosen: I64) -> Values:
        """Those of some of the rows, in their order."""
        if chosen.size == self.rows.size:
            return self
        told = (self.rows[chosen], self.begin[chosen])
        if not native.kernels:
            at, size, kind = (self.at.take(chosen, 1), self.size.take(chosen, 1), self.kind.take(chosen, 1))
            return Values(*told, at, size, kind, self.misfit[chosen], self.filled)
        taken = _Matrices(len(self.kind), chosen.size)
        native.kernels.take(
            self.rows.size, self.at, self.size, self.kind, self.filled, chosen, taken.at, taken.size, taken.kind
        )
        return Values(*told, taken.at, taken.size, taken.kind, self.misfit[chosen], self.filled)

    def whole(self, batch: Batch) -> Values:
        """With all values."""
        if self.filled.size == len(self.kind):
            return self
        every = Asked(np.arange(len(self.kind)), np.zeros(len(self.kind), bool))
        full, _ = _described(batch, self.rows, self.begin, np.zeros_like(self.begin), every)
        return replace(full, misfit=self.misfit)


class _Matrices:
    """Room for some values of some records. What is not filled takes no memory."""

    def __init__(self, values: int, records: int) -> None:
        shape = (values, records)
        self.at, self.size, self.kind = np.empty(shape, np.int32), np.empty(shape, np.uint16), np.empty(shape, np.uint8)


@dataclass(frozen=True, slots=True)
class Asked:
    """Of a template's values: which are looked up at once, ascending; and by value whether its size is looked at."""

    first: I64
    looked_at: Mask


Ask = Callable[[int], Asked]


def values(batch: Batch, start: I64, end: I64, ask: Ask) -> tuple[list[Values], I64]:
    """The values that stand at `start`, grouped by their number; and the records whose values don't fit.

    `ask`: by the number of values, what is asked for.
    """
    count = batch.u32[start].astype(np.int64)
    groups: list[Values] = []
    left = np.ones(start.size, bool)
    first = start + 4
    for number in distinct_numbers(count)[:_MAX_COUNTS]:
        room = first <= end - 4 * number
        rows = np.flatnonzero(room if (count == number).all() else room & (count == number))
        if not rows.size:
            continue
        some = slice(None) if rows.size == first.size else rows
        found, fit = _described(batch, rows, first[some], end[some], ask(number))
        if not fit.all():
            found = found.take(np.flatnonzero(fit))
        left[found.rows] = False
        groups.append(found)
    return groups, np.flatnonzero(left)


def _described(batch: Batch, rows: I64, begin: I64, end: I64, asked: Asked) -> tuple[Values, Mask]:
    """What the descriptors at `begin` say, so many for each record; whether the values end before `end`."""
    number = asked.looked_at.size
    made = _Matrices(number, rows.size)
    at, size, kind, misfit = made.at, made.size, made.kind, np.zeros(rows.size, bool)
    if native.kernels:
        fit = np.empty(rows.size, bool)
        told = (asked.first, SIZE, asked.looked_at)
        native.kernels.describe(batch.data, begin, end, *told, at, size, kind, fit, misfit)
        return Values(rows, begin, at, size, kind, misfit, asked.first), fit
    for part in framing.parts(rows.size, _RECORDS):
        described = np.ascontiguousarray(framing.rows(batch.data, begin[part], 4 * number).view("<u4").T)
        np.bitwise_and(described, 0xFFFF, out=size[:, part], casting="unsafe")
        np.right_shift(described, 16, out=described)
        np.copyto(kind[:, part], described, casting="unsafe")
        after = begin[part] + 4 * number
        for index in range(number):
            at[index, part] = after
            after += size[index, part]
    for index in np.flatnonzero(asked.looked_at).tolist():
        _note_misfits(kind[index], size[index], misfit)
    fit = (at[-1] + size[-1] if number else begin) <= end
    return Values(rows, begin, at, size, kind, misfit, np.arange(number)), fit


def _note_misfits(kind: npt.NDArray[np.uint8], size: npt.NDArray[np.uint16], misfit: Mask) -> None:
    """Set `misfit` where a size is not one of its type's."""
    right = int(SIZE[kind[0]]) if kind.size and (kind == kind[0]).all() else None
    if right == ANY:
        return
    if right is None:
        by_type = SIZE[kind]
        other = (by_type != size) & (by_type != ANY) & ((by_type != EVEN) | (size & 1 != 0))
    else:
        other = (size & 1) != 0 if right == EVEN else size != right
    if other.any():
        misfit |= other & ~are_null(kind, size)


def distinct_numbers(numbers: npt.NDArray[np.integer[Any]]) -> list[int]:
    """Distinct numbers, ascending."""
    found: list[int] = grouped(numbers).values.tolist()
    return found
