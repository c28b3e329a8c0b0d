"""`hunt lineage`: evidence in, who requested what out. No query is run."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from hunt import coverage, interrupts, isolation
from hunt.events import Events
from hunt.isolation import Guard
from hunt.lineage import security
from hunt.lineage.needs import HELPS, NEEDS, READS
from hunt.model import Hunt, Problem, QueryResult, Reading, Severity, Tally
from hunt.pipeline import Request
from hunt.reading import collect, read
from hunt.registry import Query
from hunt.watcher import Watcher


@dataclass(frozen=True, slots=True)
class Traced:
    """What `trace` found."""

    lineage: pl.DataFrame  # hunt.lineage.LINEAGE
    candidates: pl.DataFrame  # hunt.lineage.CANDIDATES, of these children
    hidden: int  # children that filters hide
    told: QueryResult  # on which hosts anything could be told, and what was missing where
    tallies: tuple[Tally, ...]
    problems: tuple[Problem, ...]
    hosts: tuple[str, ...]
    interrupted: bool
    unread: tuple[str, ...]


# What lineage needs, as queries say it: so that coverage can tell where it is blind.
HUNT = Hunt(
    "lineage", "", Severity.INFORMATIONAL, 0, (), NEEDS, lambda case: case.lineage, helps=HELPS, instead=security.NEEDS
)


def trace(request: Request, watcher: Watcher | None = None) -> Traced:
    """Read all evidence and say who requested each process that a broker started. Raises HuntError."""
    watcher = watcher or Watcher()
    isolation.bound(request.bounds)
    with (
        interrupts.listening() as stop,
        collect(request.evidence, request.opening, request.out, hashed=False, cases=request.cases) as collected,
    ):

        def attempt(guard: Guard) -> Traced:
            events = Events((*NEEDS, *READS), request.settings)
            seen = coverage.Seen(request.filters.wants(events.wants()))
            with guard.stop.whole():
                reading = Reading(seen.wants(), request.jobs, request.slack, once=True)
                tallies, problems = read(collected, reading, seen.before(events.add), watcher, guard)
                if not guard.stop.requested:
                    channels = sorted(events.census()["channel"].drop_nulls().unique())
                    for absent in request.filters.check(events.hosts(), channels):
                        watcher.note(absent)
                lineage = events.lineage.collect()
                shown = request.filters.inside(lineage)
                of_shown = events.candidates.join(
                    shown.lazy().select("child_row"), on="child_row", how="semi"
                ).collect()
            unread = (*collected.problems, *problems, *guard.problems)
            return Traced(
                shown,
                of_shown,
                lineage.height - shown.height,
                coverage.evaluate(events, seen, Query(HUNT, "")),
                tallies,
                tuple(sorted(unread, key=lambda problem: problem.place)),
                events.hosts(),
                guard.stop.requested,
                tuple(guard.unread),
            )

        return isolation.attempts(attempt, request.bounds, stop, watcher.note)
