"""Template instances of many records at once: which template, and where each value stands.

An instance: optionally `0f 01 01 00`; `0c`, a byte, u32 template id, u32 offset of the definition in the chunk; the
definition itself if it stands right there; u32 count, count x (u16 size, u8 type, u8 0), then the values. Everything
is checked against the end of the record (or of the value, for BinXML in a value) before it is believed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from . import bxml, framing, records
from .batch import Batch
from .framing import I64, Mask

_START, _TEMPLATE = 0x0F, 0x0C
_HEAD = 10  # token, byte, template id, offset
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
        """Those of some of the rows."""
        return Values(self.rows[chosen], self.at[:, chosen], self.size[:, chosen], self.kind[:, chosen])


def values(batch: Batch, start: I64, end: I64) -> tuple[list[Values], I64]:
    """The values that stand at `start`, grouped by their number; and the records whose values don't fit."""
    words = batch.u32
    count = words[start].astype(np.int64)
    groups: list[Values] = []
    left = np.ones(start.size, bool)
    for number in np.unique(count)[:_MAX_COUNTS].tolist():
        rows = np.flatnonzero(count == number)
        rows = rows[start[rows] + 4 + 4 * number <= end[rows]]
        if not rows.size:
            continue
        described = np.ascontiguousarray(framing.rows(batch.data, start[rows] + 4, 4 * number).view("<u4").T)
        size = np.bitwise_and(described, 0xFFFF, dtype=np.int64, casting="unsafe")
        after = np.cumsum(size, axis=0)
        after += start[rows] + 4 + 4 * number
        if number:
            fit = after[-1] <= end[rows]
            rows, described, size, after = rows[fit], described[:, fit], size[:, fit], after[:, fit]
        left[rows] = False
        groups.append(Values(rows, after - size, size, (described >> 16).astype(np.uint8)))
    return groups, np.flatnonzero(left)
