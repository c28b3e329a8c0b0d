"""A case in parts of some hosts each: nothing that lineage compares lies on two hosts, and of few rows the arrays of
numbers stay small, near to the processor, and are gone before the next part's are made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from hunt.lineage.keys import hashed, host_key

Numbers = npt.NDArray[np.uint16]

_ROWS = 500_000  # of a part, about; more if a host has more


class Logged(Protocol):
    """Where events are read from: a case, or a part of one."""

    def frame(self, channel: str, event_id: int) -> pl.LazyFrame:
        """The distinct events of one type."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some hosts of a case."""

    parts: Parts
    number: int

    def frame(self, channel: str, event_id: int) -> pl.LazyFrame:
        """The distinct events of one type on these hosts."""
        frame = self.parts.case.frame(channel, event_id)
        if self.parts.count == 1:
            return frame
        mine = pl.Series(self.parts.events(channel, event_id) == self.number)
        # An expression, so that of the many columns only those that are asked for are filtered.
        return frame.select(pl.all().filter(mine))


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that a case falls into. Iterates over them."""

    case: Logged
    count: int
    _events: dict[tuple[str, int], Numbers] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Part]:
        return (Part(self, number) for number in range(self.count))

    def split(self, frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """The rows of each part, by `host_key`."""
        if self.count == 1:
            yield frame
            return
        numbers = self._numbers(frame)
        for number in range(self.count):
            # Rows that are gathered from a frame of several chunks would bring copies of their texts.
            yield frame.filter(pl.Series(numbers == number))

    def _numbers(self, hosts: pl.DataFrame) -> Numbers:
        return (hashed(hosts, "host_key") % np.uint64(self.count)).astype(np.uint16)

    def events(self, channel: str, event_id: int) -> Numbers:
        """The part of each event of a type."""
        kind = channel, event_id
        if kind not in self._events:
            hosts = host_key(self.case.frame(channel, event_id).select("host").collect()["host"])
            self._events[kind] = self._numbers(hosts.to_frame())
        return self._events[kind]


def parted(case: Logged, rows: int) -> Parts:
    """A case of which that many rows are looked at."""
    return Parts(case, min(1 + rows // _ROWS, np.iinfo(np.uint16).max))


def whole(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """One frame of those of all parts, each by `host_key`, in that order."""
    if len(frames) == 1:
        return frames[0]
    slices = [part for frame in frames for part in _by_host(frame)]
    slices.sort(key=_host)
    return pl.concat([*slices, frames[0].clear()], rechunk=True)


def _host(rows: pl.DataFrame) -> tuple[bool, str]:
    host = rows["host_key"][0]
    return host is not None, host or ""  # null comes first, as in a sorted frame


def _by_host(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    begin = 0
    for length in frame["host_key"].rle().struct.field("len"):
        yield frame.slice(begin, length)
        begin += length
