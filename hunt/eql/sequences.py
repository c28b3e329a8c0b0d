"""Events one after the other: Elasticsearch's state machine for sequences, as one sort and one look at the row before.

The machine has one slot for each step and key. An event of step k takes what stands in slot k-1 and fills slot k, so
the last A wins and is consumed: of A1 A2 B1 B2 only (A2, B1) is a match. Put the open sequences and the events of the
next step in order, and an event takes one if, and only if, an open sequence is the row just before it in its key.

Events are told by numbers: `order`, the same for the same event wherever it stands, and ascending in time; `key`, small
and dense. https://www.elastic.co/docs/reference/query-languages/eql/eql-syntax#eql-how-sequence-queries-handle-matches
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Packed = npt.NDArray[np.uint64]

# Of one event: it takes what was open before it opens anything, and an `until` closes what it opened itself.
_NEXT, _OPEN, _UNTIL = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Events:
    """Events that meet a step, in any order; an event may stand under several keys."""

    order: Ints
    key: Ints


@dataclass(frozen=True, slots=True)
class Chains:
    """Matches, a row each: `events` has a column for each step, the `order` of its event."""

    key: Ints
    events: npt.NDArray[np.int64]

    def only(self, which: npt.NDArray[np.bool_] | Ints) -> Chains:
        return Chains(self.key[which], self.events[which])


def chains(steps: Sequence[Events], time: Ints, maxspan: int | None = None, until: Events | None = None) -> Chains:
    """All matches of some steps. `time`: of each event by its order, in ns, ascending; `maxspan`: in ns, inclusive.

    Sorted by the order of their events, the first one's first.
    """
    bits = _Bits.of(steps, until)
    first = np.sort(bits.packed(steps[0], _OPEN))
    found = Chains(bits.key(first), bits.order(first)[:, None])
    ends = bits.packed(until, _UNTIL) if until is not None else np.empty(0, np.uint64)
    for step in steps[1:]:
        found = _extended(found, step, ends, bits, time, maxspan)
    return found.only(np.lexsort(found.events.T[::-1]))


def _extended(found: Chains, step: Events, ends: Packed, bits: _Bits, time: Ints, maxspan: int | None) -> Chains:
    """With one more event each; what finds none is gone."""
    opened = bits.packed(Events(found.events[:, -1], found.key), _OPEN)
    rows = np.concatenate([opened, bits.packed(step, _NEXT), ends])
    rows.sort()
    rank = bits.rank(rows)
    is_open = rank == _OPEN
    takes = np.flatnonzero((rank[1:] == _NEXT) & is_open[:-1] & (bits.key(rows[1:]) == bits.key(rows[:-1]))) + 1
    # Open sequences stand here in the order they have in `found`: both are sorted by key and last event.
    number = (np.cumsum(is_open) - 1)[takes - 1]
    last = bits.order(rows[takes])
    if maxspan is not None:
        near = time[last] - time[found.events[number, 0]] <= maxspan
        number, last = number[near], last[near]
    return Chains(found.key[number], np.column_stack([found.events[number], last]))


@dataclass(frozen=True, slots=True)
class _Bits:
    """A key, an order and a rank as one number that sorts as the three do."""

    width: int  # bits of an order and a rank

    @staticmethod
    def of(steps: Sequence[Events], until: Events | None) -> _Bits:
        every = [*steps, *([until] if until is not None else [])]
        order = max((int(one.order.max(initial=0)) for one in every), default=0)
        key = max((int(one.key.max(initial=0)) for one in every), default=0)
        width = order.bit_length() + 2
        if width + key.bit_length() > 64:
            raise MemoryError("more events and keys than fit in 64 bits")  # 2**31 of each: no machine holds them
        return _Bits(width)

    def packed(self, events: Events, rank: int) -> Packed:
        low = (events.order.astype(np.uint64) << np.uint64(2)) | np.uint64(rank)
        return np.asarray((events.key.astype(np.uint64) << np.uint64(self.width)) | low)

    def key(self, rows: Packed) -> Ints:
        return (rows >> np.uint64(self.width)).astype(np.int64)

    def order(self, rows: Packed) -> Ints:
        return ((rows & np.uint64((1 << self.width) - 1)) >> np.uint64(2)).astype(np.int64)

    def rank(self, rows: Packed) -> npt.NDArray[np.uint8]:
        return (rows & np.uint64(3)).astype(np.uint8)


def without(found: Chains, missing: Sequence[tuple[int, Events]], steps: int, time: Ints, maxspan: int) -> Chains:
    """The matches between whose events none of `missing` stood: (before which of the events, counted from 0, what).

    As Elasticsearch does it: compared by time alone, both ends excluded. What may not come before the first event or
    after the last is looked for as far away as `maxspan` allows, from one end of the match to the other; if a sequence
    excludes events at both ends, both must be there, within maxspan of each other, for it to be no match.
    """
    keep = np.ones(len(found.key), bool)
    starts, ends = time[found.events[:, 0]], time[found.events[:, -1]]
    before, after = np.full(len(keep), _LONG_AGO), np.full(len(keep), _NEVER)
    leads = trails = False
    for position, events in missing:
        index = _Index(events, time)
        if position == 0:
            leads = True
            before = np.maximum(before, index.last_before(found.key, starts))
        elif position == steps:
            trails = True
            after = np.minimum(after, index.first_after(found.key, ends))
        else:
            left, right = time[found.events[:, position - 1]], time[found.events[:, position]]
            keep &= index.first_after(found.key, left) >= right
    if leads or trails:
        begin = before if leads else starts
        end = after if trails else ends
        there = (before != _LONG_AGO) | (not leads)
        there &= (after != _NEVER) | (not trails)
        span = np.subtract(end, begin, where=there, out=np.full(len(keep), _NEVER))
        keep &= ~(there & (span <= maxspan))
    return found.only(keep)


_LONG_AGO, _NEVER = np.iinfo(np.int64).min, np.iinfo(np.int64).max


class _Index:
    """Events by key and time."""

    def __init__(self, events: Events, time: Ints) -> None:
        by = np.lexsort((time[events.order], events.key))
        self._key, self._time = events.key[by], time[events.order][by]
        # Times as ranks among all that occur, so that key and time fit in one number.
        self._ranks = np.unique(self._time)
        self._packed = self._pack(self._key, np.searchsorted(self._ranks, self._time))

    def _pack(self, key: Ints, rank: npt.NDArray[np.intp]) -> Ints:
        return np.asarray(key * (len(self._ranks) + 1) + rank, np.int64)

    def last_before(self, key: Ints, time: Ints) -> Ints:
        """The time of the last event of each key before a time, or _LONG_AGO."""
        at = np.searchsorted(self._packed, self._pack(key, np.searchsorted(self._ranks, time, "left")), "left") - 1
        return self._of(at, key, _LONG_AGO)

    def first_after(self, key: Ints, time: Ints) -> Ints:
        """The time of the first event of each key after a time, or _NEVER."""
        at = np.searchsorted(self._packed, self._pack(key, np.searchsorted(self._ranks, time, "right")), "left")
        return self._of(at, key, _NEVER)

    def _of(self, at: npt.NDArray[np.intp], key: Ints, none: int) -> Ints:
        if not len(self._key):
            return np.full(len(key), none)
        there = np.clip(at, 0, len(self._key) - 1)
        same = (at >= 0) & (at < len(self._key)) & (self._key[there] == key)
        return np.where(same, self._time[there], none)
