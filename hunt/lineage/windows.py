"""Pairs of rows that lie close in time, within parts (a host, a logon session): an interval join that can't explode.

It takes time in proportion to the rows and to the pairs that are taken, whatever lies in a window.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hunt.lineage.kinds import UNKNOWN, Ints, Small


@dataclass(frozen=True, slots=True)
class Pairs:
    """Positions on both sides, by the left one, the latest of the right ones first; `left_over`: for each row on the
    left how many more there are than were taken."""

    left: Ints
    right: Small
    left_over: Ints


@dataclass(frozen=True, slots=True)
class Clock:
    """Times that are sorted, each once, and the place of every row's time among them."""

    times: Ints
    rank: Small


def clock(time: Ints) -> Clock:
    """Of the times of some rows; quick where they are in order, or made of few parts that are."""
    order = np.argsort(time, kind="stable")
    ordered = time[order]
    new = np.concatenate([np.ones(min(ordered.size, 1), bool), ordered[1:] != ordered[:-1]])
    rank = np.empty(time.size, np.int32)
    rank[order] = np.cumsum(new) - 1
    return Clock(ordered[new], rank)


@dataclass(frozen=True, slots=True)
class Timeline:
    """Rows in order of part and time, which `key` has as one number each."""

    times: Ints
    key: Ints
    row: Small

    def near(self, part: Ints, time: Ints, before: int, after: int) -> Window:
        """For each of some rows those here of its part with time - before <= here <= time + after (ns)."""
        placed = np.flatnonzero(part != UNKNOWN)
        base = part[placed].astype(np.int64) * (self.times.size + 1)
        low = np.searchsorted(self.key, base + np.searchsorted(self.times, time[placed] - before, "left"))
        high = np.searchsorted(self.key, base + np.searchsorted(self.times, time[placed] + after, "right"))
        return Window(self, part.size, placed, low, np.maximum(high - low, 0))


@dataclass(frozen=True, slots=True)
class Window:
    """What `Timeline.near` found: for the rows `placed` of `size`, the positions from `low` on."""

    line: Timeline
    size: int
    placed: Ints
    low: Ints
    found: Ints

    def only(self, which: Ints) -> Window:
        """For some of `placed`."""
        return Window(self.line, self.size, self.placed[which], self.low[which], self.found[which])

    def covered(self) -> Ints:
        """The positions of all that lie in any of them."""
        edges = np.zeros(self.line.row.size + 1, np.int64)
        np.add.at(edges, self.low, 1)
        np.add.at(edges, self.low + self.found, -1)
        return np.flatnonzero(np.cumsum(edges)[:-1] > 0)

    def latest(self, most: Ints | int, skip: Ints | int = 0) -> Pairs:
        """The `most` latest for each row, or for each of `placed`, but for the `skip` latest.

        Takes time in proportion to the pairs taken.
        """
        found = np.maximum(self.found - skip, 0)
        taken = np.minimum(found, most)
        left_over = np.zeros(self.size, np.int64)
        left_over[self.placed] = found - taken
        step = np.arange(int(taken.sum()), dtype=np.int64) - np.repeat(np.cumsum(taken) - taken, taken)
        at = np.repeat(self.low + found - 1, taken) - step
        return Pairs(np.repeat(self.placed, taken), self.line.row[at], left_over)


def timeline(part: Small, time: Clock) -> Timeline:
    """Of all rows that have a part, which `places` gives."""
    row = np.flatnonzero(part != UNKNOWN).astype(np.int32)
    key = part[row].astype(np.int64)
    key *= time.times.size + 1
    key += time.rank[row]
    if not (key[1:] >= key[:-1]).all():  # logs mostly are in order
        order = np.argsort(key, kind="stable").astype(np.int32)
        key, row = key[order], row[order]
    return Timeline(time.times, key, row)


def pairs(left: tuple[Ints, Ints], right: tuple[Ints, Ints], before: int, after: int, most: int) -> Pairs:
    """The `most` latest on the right for each row on the left: rows (part, time) with any parts."""
    parts = distinct(left[0])
    line = timeline(places(parts, right[0]), clock(right[1]))
    return line.near(places(parts, left[0]), left[1], before, after).latest(most)


def distinct(values: Ints) -> Ints:
    """Sorted. np.unique hashes, which is slower where most are distinct."""
    ordered = np.sort(values)
    new = np.concatenate([np.ones(min(ordered.size, 1), bool), ordered[1:] != ordered[:-1]])
    return np.asarray(ordered[new])


def places(parts: Ints, part: Ints) -> Small:
    """The place of each among `parts`, which are sorted; UNKNOWN for others."""
    found = np.full(part.size, UNKNOWN, np.int32)
    for begin in range(0, part.size if parts.size else 0, _AT_ONCE):  # all at once, it takes four times the memory
        some = part[begin : begin + _AT_ONCE]
        at = np.minimum(np.searchsorted(parts, some), parts.size - 1)
        found[begin : begin + _AT_ONCE] = np.where((parts[at] == some) & (some != UNKNOWN), at, UNKNOWN)
    return found


_AT_ONCE = 1 << 20
