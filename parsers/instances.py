"""Template instances of many records at once: which template, and where each value stands.

An instance: optionally `0f 01 01 00`; `0c`, a byte, u32 template id, u32 offset of the definition in the chunk; the
definition itself if it stands right there; u32 count, count x (u16 size, u8 type, u8 0), then the values. Everything
is checked against the end of the record (or of the value, for BinXML in a value) before it is believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hunt.arrays import grouped

from . import bxml, framing, records
from .batch import Batch
from .framing import I64, Mask

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
    """The values of records of one template: matrices of (value, record). `at` and `size` in bytes."""

    rows: I64  # which of the records asked for
    at: I64
    size: I64
    kind: npt.NDArray[np.uint8]

    def take(self, chosen: I64) -> Values:
        """Those of some of the rows, in their order."""
        if chosen.size == self.rows.size:
            return self
        at, size = self.at.take(chosen, axis=1), self.size.take(chosen, axis=1)
        return Values(self.rows[chosen], at, size, self.kind.take(chosen, axis=1))


def values(batch: Batch, start: I64, end: I64) -> tuple[list[Values], I64]:
    """The values that stand at `start`, grouped by their number; and the records whose values don't fit."""
    count = batch.u32[start].astype(np.int64)
    groups: list[Values] = []
    left = np.ones(start.size, bool)
    first = start + 4
    for number in distinct_numbers(count)[:_MAX_COUNTS]:
        rows = np.flatnonzero((count == number) & (first + 4 * number <= end))
        if not rows.size:
            continue
        begin = first if rows.size == first.size else first[rows]
        found = _described(batch, rows, begin, number)
        after = found.at[-1] + found.size[-1] if number else begin
        fit = after <= end[rows]
        if not fit.all():
            found = found.take(np.flatnonzero(fit))
        left[found.rows] = False
        groups.append(found)
    return groups, np.flatnonzero(left)


def _described(batch: Batch, rows: I64, begin: I64, number: int) -> Values:
    """What the descriptors at `begin` say, so many for each record."""
    at, size = np.empty((number, rows.size), np.int64), np.empty((number, rows.size), np.int64)
    kind = np.empty((number, rows.size), np.uint8)
    for part in framing.parts(rows.size, _RECORDS):
        described = np.ascontiguousarray(framing.rows(batch.data, begin[part], 4 * number).view("<u4").T)
        np.bitwise_and(described, 0xFFFF, out=size[:, part], casting="unsafe")
        np.right_shift(described, 16, out=described)
        np.copyto(kind[:, part], described, casting="unsafe")
        after = begin[part] + 4 * number
        for index in range(number):
            at[index, part] = after
            after += size[index, part]
    return Values(rows, at, size, kind)


def distinct_numbers(numbers: npt.NDArray[np.integer[Any]]) -> list[int]:
    """Distinct numbers, ascending."""
    found: list[int] = grouped(numbers).values.tolist()
    return found
