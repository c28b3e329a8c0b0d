"""Events of text exports, one by one, gathered to batches: wanted ones as rows, all of them counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

import polars as pl

from hunt import schema
from hunt.model import ALL_COLUMNS, Batch, EventType, Evidence, Problem, Progress, Wants

from . import event_xml
from .event_xml import Row

_RECORDS = 16_384  # and _BYTES of text: frames of a useful size, rows of a bounded one
_BYTES = 32 << 20
# Cells of a frame, and fields of one event: evidence may be made of names that stand once each.
_CELLS = 16 << 20
_FIELDS = 4096
# A Problem each would fill the memory, where evidence is made of nothing else: more are counted in one.
MOST_PROBLEMS = 100_000

_ALWAYS = frozenset({*schema.CORE, "UtcTime"})  # places and times an event
_COUNTED = ("host", "channel", "provider", "event_id", "record_id", "logged")


@dataclass(slots=True)
class Gathered:
    """What was read of one file and not handed on yet."""

    evidence: Evidence
    wants: Wants
    # By event type: rows, what orders of names they have, all their names.
    rows: dict[EventType, tuple[list[Row], set[int], set[str]]] = field(default_factory=dict)
    cells: int = 0  # of the largest frame
    counted: list[tuple[object, ...]] = field(default_factory=list)  # of every event, _COUNTED
    taken: int = 0  # bytes of the file that were read, handed on as Progress
    failed: int = 0

    def add(self, offset: int, head: Row, rest: Callable[[frozenset[str]], Row]) -> None:
        """An event: what it is counted by, and how to get its other columns, if any are wanted.

        Raises ValueError for what is no event.
        """
        wanted = self.wants.of(_kind(head))
        if wanted is not None:
            row = head | rest(wanted)
            if wanted != ALL_COLUMNS:
                row = {column: value for column, value in row.items() if column in wanted or column in _ALWAYS}
            if len(row) > _FIELDS:
                raise ValueError(f"an event with {len(row)} fields")
            row["source"], row["offset"] = self.evidence.source, offset
            self._place(_kind(row), row)
        self.counted.append(tuple(map(head.get, _COUNTED)))

    def _place(self, kind: EventType, row: Row) -> None:
        rows, shapes, names = self.rows.setdefault(kind, ([], set(), set()))
        rows.append(row)
        shape = hash(tuple(row))
        if shape not in shapes:
            shapes.add(shape)
            names.update(row)
        self.cells = max(self.cells, len(rows) * len(names))

    def problem(self, offset: int, reason: str) -> Iterator[Problem]:
        """An event that was found and can't be read."""
        self.failed += 1
        if self.failed <= MOST_PROBLEMS:
            yield Problem(self.evidence.source, "record", reason, offset=offset)

    def batches(self, read: int, at_end: bool = False) -> Iterator[Batch | Problem | Progress]:
        """What there is, if it is enough; `read`: bytes of the file that were read by now."""
        enough = len(self.counted) >= _RECORDS or read - self.taken >= _BYTES or self.cells >= _CELLS
        if not enough and not at_end:
            return
        if self.counted:
            yield self.whole()
        if at_end and self.failed > MOST_PROBLEMS:
            more = f"{self.failed - MOST_PROBLEMS} more events can't be read"
            yield Problem(self.evidence.source, "file", more)
        yield Progress(self.evidence.source, read - self.taken)
        self.rows.clear()
        self.cells = 0
        self.counted.clear()
        self.taken = read

    def whole(self) -> Batch:
        """All that was not handed on yet."""
        frames = {kind: event_xml.frame(rows, kind.event_id) for kind, (rows, _, _) in self.rows.items()}
        return Batch(frames, schema.census([self._all()] if self.counted else []))

    def _all(self) -> pl.DataFrame:
        """Every event with what the census counts."""
        columns = zip(_COUNTED, zip(*self.counted, strict=True), strict=True)
        frame = pl.DataFrame([pl.Series(name, list(column), pl.String()) for name, column in columns])
        return schema.conform(frame.with_columns(pl.lit(self.evidence.source).alias("source")), 0)


def _kind(row: Row) -> EventType:
    return _event_type(str(row.get("channel") or ""), str(row.get("event_id", "")))


@lru_cache(4096)
def _event_type(channel: str, event_id: str) -> EventType:
    if not event_xml.EVENT_ID.fullmatch(event_id) or int(event_id) > 0xFFFFFFFF:
        raise ValueError("an event without a number as EventID")
    return EventType(channel, int(event_id))
