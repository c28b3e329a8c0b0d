"""Many queries at once: one pass over each event type for all of them, then the sequences out of what their steps met.

A query that can't be run on these events ends alone: the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from hunt import ecs
from hunt.eql import joined
from hunt.eql.columns import Catalogue, Rows, Table
from hunt.eql.conditions import tests
from hunt.eql.joined import Met
from hunt.eql.plan import Plan, Reading
from hunt.eql.selection import select
from hunt.eql.values import as_text
from hunt.model import Case, EventType

ROWS = 500_000  # of an event type that are looked at together: some hundred MB with all that rules read of them

# What queries match: HITS of `hunt.rules.matches`; `rule` is the number of the plan.
Hits = pl.DataFrame
_SCHEMA = {
    "rule": pl.UInt32,
    "match": pl.UInt32,
    "step": pl.UInt32,
    "channel": pl.String,
    "event_id": pl.UInt32,
    "row": pl.UInt32,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What all queries matched, and why some could not be run, by the number of their plan."""

    hits: Hits
    errors: dict[int, Exception]


@dataclass(frozen=True, slots=True, order=True)
class _Turn:
    """A step of a query, on one event type."""

    plan: int
    step: int  # from 0; `until` is the one after the last
    reading: Reading = field(compare=False)


def evaluate(
    case: Case,
    plans: Sequence[Plan],
    catalogue: Catalogue = ecs,
    beat: Callable[[], object] = lambda: None,
) -> Outcome:
    """Every match of every plan. `beat` is called now and then."""
    errors: dict[int, Exception] = {}
    met: dict[tuple[int, int], list[Met]] = {}
    for kind, turns in _by_kind(plans).items():
        for turn, part in _pass(case, kind, turns, catalogue, errors, beat):
            met.setdefault((turn.plan, turn.step), []).append(part)
    parts = []
    for number, plan in enumerate(plans):
        beat()
        own = [met.pop((number, step), []) for step in range(len(plan.every))]
        if number not in errors:
            try:
                parts.append(_hits(number, joined.matches(plan, own)))
            except Exception as error:  # one rule's trouble must not end the others; it is told, and raised by its hunt
                errors[number] = error
    return Outcome(pl.concat([pl.DataFrame(schema=_SCHEMA), *parts]), errors)


def _by_kind(plans: Sequence[Plan]) -> dict[EventType, list[_Turn]]:
    turns: dict[EventType, list[_Turn]] = {}
    for number, plan in enumerate(plans):
        for step, planned in enumerate(plan.every):
            for reading in planned.readings:
                turns.setdefault(reading.kind, []).append(_Turn(number, step, reading))
    return dict(sorted(turns.items()))


def _pass(
    case: Case,
    kind: EventType,
    turns: Sequence[_Turn],
    catalogue: Catalogue,
    errors: dict[int, Exception],
    beat: Callable[[], object],
) -> Iterator[tuple[_Turn, Met]]:
    frame = case.frame(*kind).drop("sources", strict=False).collect()
    uses: dict[str, int] = {}
    for turn in turns:
        for leaf in tests(turn.reading.condition):
            for name in leaf.test.fields:
                uses[name] = uses.get(name, 0) + 1
    for first in range(0, frame.height, ROWS):
        events = frame.slice(first, ROWS)
        table = Table(case, kind, events, catalogue, uses)
        for turn in turns:
            beat()
            if turn.plan in errors:
                continue
            try:
                rows = select(turn.reading.condition, table)
                if len(rows):
                    yield turn, _met(kind, turn.reading, table, events, rows, first)
            except Exception as error:  # as above
                errors[turn.plan] = error


def _met(kind: EventType, reading: Reading, table: Table, events: pl.DataFrame, rows: Rows, first: int) -> Met:
    """The events that meet a step, with their keys; those that have no key, or no time, are left out of sequences."""
    if not reading.keys:
        return Met(kind, rows + first, _places(events, rows), pl.DataFrame())
    names = sorted({name for key in reading.keys for name in key.fields})
    fields = table.frame(names, rows) if names else pl.DataFrame({"": rows})
    lists = [name for name in names if isinstance(fields.schema[name], pl.List)]
    numbered = fields.with_columns(pl.Series(" row", rows))
    for name in lists:  # an event of several values stands under each
        numbered = numbered.explode(name)
    keys = numbered.select(as_text(key.value).alias(f"key{n}") for n, key in enumerate(reading.keys))
    there = np.ones(numbered.height, bool)
    for n, key in enumerate(reading.keys):
        if not key.optional:
            there &= keys[f"key{n}"].is_not_null().to_numpy()
    if not there.all():
        kept = np.flatnonzero(there)
        keys, numbered = keys[kept], numbered.select(" row")[kept]
    rows = numbered[" row"].to_numpy()
    return Met(kind, rows + first, _places(events, rows), keys)


def _places(events: pl.DataFrame, rows: Rows) -> pl.DataFrame:
    """Where the events of some rows stand in time."""
    places = events.select("time", "record_id")
    return places if len(rows) == places.height and (rows == np.arange(len(rows))).all() else places[rows]


def _hits(number: int, found: pl.DataFrame) -> pl.DataFrame:
    return found.with_columns(pl.lit(number, pl.UInt32).alias("rule")).select(
        pl.col(c).cast(dtype) for c, dtype in _SCHEMA.items()
    )
