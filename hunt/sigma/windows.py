"""Windows of time over items of groups: each begins with an item and holds all of its group within the span.

A window that lies inside another one of its group is of no account, so that "less than" asks of what there really was.
Windows that meet a condition and overlap are one match: a burst is reported once, whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Items:
    """What windows are laid over, sorted by group and time."""

    group: Ints  # small and dense
    time: Ints  # ns


@dataclass(frozen=True, slots=True)
class Windows:
    """Each from item `first` to item `last`, both inside; neither inside another."""

    first: Ints
    last: Ints

    def counts(self) -> Ints:
        return self.last - self.first + 1

    def of(self, flags: Flags) -> Ints:
        """How many flagged items each has."""
        before = np.concatenate([[0], np.cumsum(flags)])
        return np.asarray(before[self.last + 1] - before[self.first])

    def distinct(self, items: Items, values: Ints) -> Ints:
        """How many values each has, -1 not counted.

        An item is the first of its value in all windows that begin after the item before it of the same value: a range
        of windows, and the number of ranges over a window is the number of its values.
        """
        own = np.flatnonzero(values >= 0)
        order = own[np.lexsort((own, values[own], items.group[own]))]
        before = np.full(len(values), -1, np.int64)
        same = (values[order[1:]] == values[order[:-1]]) & (items.group[order[1:]] == items.group[order[:-1]])
        before[order[1:][same]] = order[:-1][same]
        # Windows by number: those whose first item lies behind `before`, and that hold the item.
        begin = np.searchsorted(self.first, before[own], side="right")
        begin = np.maximum(begin, np.searchsorted(self.last, own, side="left"))
        end = np.searchsorted(self.first, own, side="right")
        valid = begin < end
        change = np.zeros(len(self.first) + 1, np.int64)
        np.add.at(change, begin[valid], 1)
        np.add.at(change, end[valid], -1)
        return np.cumsum(change)[:-1]

    def statistic(self, items: Items, span: int, values: Floats, which: pl.Expr) -> Floats:
        """Of the numbers of each, NaN not counted; NaN where there are none. `which`: of the column `x`."""
        numbers = pl.Series("x", values, nan_to_null=True)
        frame = pl.DataFrame({"group": items.group, "time": items.time}).with_columns(numbers)
        laid_ = frame.rolling("time", period=f"{span}i", offset="0i", closed="both", group_by="group")
        found = laid_.agg(which)["x"][self.first]
        return found.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def laid(items: Items, span: int) -> Windows:
    """All windows of a span (ns, both ends inside)."""
    if not len(items.group):
        return Windows(np.empty(0, np.int64), np.empty(0, np.int64))
    times = np.unique(items.time)
    most = len(times) + 1
    here = items.group * most + np.searchsorted(times, items.time)
    until = items.group * most + np.searchsorted(times, items.time + span, side="right") - 1
    last = np.searchsorted(here, until, side="right") - 1
    first = np.arange(len(last))
    whole = np.ones(len(last), np.bool_)
    whole[1:] = last[1:] > last[:-1]
    return Windows(first[whole], last[whole])


def compared(values: npt.NDArray[np.generic], op: str, number: float) -> Flags:
    """Which meet a condition; NaN meets none."""
    with np.errstate(invalid="ignore"):
        found = {
            "lt": np.less,
            "lte": np.less_equal,
            "gt": np.greater,
            "gte": np.greater_equal,
            "eq": np.equal,
            "neq": np.not_equal,
        }[op](values, number)
    return np.asarray(found & ~np.isnan(values.astype(np.float64)), np.bool_)


def bursts(windows: Windows, met: Flags) -> Windows:
    """What overlapping windows that meet a condition make together; longer than the span, maybe."""
    first, last = windows.first[met], windows.last[met]
    begins = np.ones(first.size, np.bool_)
    begins[1:] = first[1:] > last[:-1]
    at = np.flatnonzero(begins)
    return Windows(first[at], last[np.r_[at[1:], first.size][: at.size] - 1])
