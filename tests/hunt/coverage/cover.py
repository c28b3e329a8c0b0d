"""Events to the facts that coverage tells of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from hunt import coverage
from hunt.events import Events
from hunt.model import Batch, Need, Problem, Tally
from hunt.registry import queries
from tests.helpers import T0, Row, batch

Told = dict[str, Any]


def seen_of(events: Events, needs: Sequence[Need]) -> coverage.Seen:
    """What coverage has seen of the events of a case."""
    seen = coverage.Seen(Events(needs).wants())
    seen.add(Batch({kind: events.frame(*kind).collect() for kind in events.types()}, events.census()))
    return seen


def cover(*rows: Row, problems: Sequence[Problem] = (), tallies: Sequence[Tally] = (), batches: int = 1) -> list[Told]:
    """All facts, of one query; times in seconds after T0, what does not apply left out."""
    flagship = [query for query in queries() if query.hunt.id == "outlook-script-host"]
    events = Events(need for query in flagship for need in (*query.hunt.needs, *query.hunt.instead))
    seen = coverage.Seen(events.wants())
    take = seen.before(events.count)
    for part in range(batches):
        if rows[part::batches]:
            take(batch(*rows[part::batches]))
    results = [coverage.evaluate(events, seen, query) for query in flagship]
    facts = coverage.facts(events, seen, problems, flagship, results, tallies)
    assert dict(facts.schema) == dict(coverage.FACTS)
    return [{name: _plain(value) for name, value in row.items() if value is not None} for row in facts.to_dicts()]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return round((value - datetime.fromtimestamp(T0, UTC)).total_seconds(), 3)
    return value


def of_kind(kind: str, told: Sequence[Told]) -> list[Told]:
    """Facts of one kind, without it."""
    return [{name: value for name, value in fact.items() if name != "kind"} for fact in told if fact["kind"] == kind]
