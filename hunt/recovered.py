"""Recovered events are held back until it is known which of them are live as well: those are not repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import polars as pl

from hunt import schema
from hunt.events import Events
from hunt.model import ALL_COLUMNS, Batch, Wants

_NO_CENSUS = pl.DataFrame(schema=schema.CENSUS)
# What copies have in common, whatever they were read from.
_IDENTITY = (pl.col("host").str.to_lowercase(), pl.col("record_id"), pl.col("logged").dt.truncate("1ms"))


class Recovered:
    """Takes events that were recovered, then those that are live; gives those of the former that no live one equals.

    All of the recovered are in memory, of the live ones those with the same host, record id and time as any of them.
    """

    def __init__(self) -> None:
        self._events = Events()
        self._known: dict[tuple[str, int], pl.DataFrame] | None = None

    def add(self, batch: Batch) -> None:
        """Take events that all are recovered."""
        self._events.add(Batch(batch.frames, _NO_CENSUS))

    def split(self, batch: Batch, live: Callable[[Batch], None]) -> None:
        """Take the recovered events of a batch, hand on the others."""
        stale = {kind: frame.filter("recovered") for kind, frame in batch.frames.items() if frame["recovered"].any()}
        if stale:
            self.add(Batch(stale, _NO_CENSUS))
            rest = {kind: frame.filter(~pl.col("recovered")) for kind, frame in batch.frames.items()}
            batch = Batch({kind: frame for kind, frame in rest.items() if frame.height}, batch.census)
        live(batch)

    def wants(self) -> Wants:
        """What of the live events is needed."""
        return Wants(dict.fromkeys((kind.key for kind in self._events.types()), ALL_COLUMNS))

    def compare(self, live: Batch) -> None:
        """Take live events, after all recovered ones."""
        if self._known is None:
            self._known = {
                kind.key: self._events.frame(*kind).select(_IDENTITY).unique().collect()
                for kind in self._events.types()
            }
        same = {
            kind: frame.join(self._known[kind.key], left_on=_IDENTITY, right_on=_IDENTITY, how="semi", nulls_equal=True)
            for kind, frame in live.frames.items()
            if kind.key in self._known
        }
        self._events.add(Batch({kind: frame for kind, frame in same.items() if frame.height}, _NO_CENSUS))

    def __len__(self) -> int:
        """How many different events there are of those that have been taken."""
        return sum(int(self._events.frame(*kind).select(pl.len()).collect().item()) for kind in self._events.types())

    def batches(self, sources: bool = True) -> Iterator[Batch]:
        """The events that are not live, each once, a batch for each type; `sources`: also everywhere it was found."""
        for kind in self._events.types():
            found = self._events.frame(*kind).filter("recovered").collect()
            if found.height:
                yield Batch({kind: found if sources else found.drop("sources")}, _NO_CENSUS)
