"""`hunt frame`: evidence in, its events as files out. No query is run, and nothing of what queries need is imported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from hunt import interrupts, isolation
from hunt.evidence import Collection
from hunt.export import Export
from hunt.isolation import Bounds, Guard
from hunt.model import Opening, Problem, Reading, Tally
from hunt.reading import collect, read
from hunt.watcher import Watcher


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be read, and how."""

    evidence: Sequence[Path]
    out: Path | None = None  # never read as evidence
    jobs: int = 1
    bounds: Bounds = field(default_factory=Bounds)
    opening: Opening = field(default_factory=Opening)
    slack: bool = False  # also stale records behind the live ones
    cases: Sequence[str] = ()  # that are read as the evidence they were made from


@dataclass(frozen=True, slots=True)
class Exported:
    """What `export` gave."""

    target: Export
    tallies: tuple[Tally, ...]
    problems: tuple[Problem, ...]
    interrupted: bool
    unread: tuple[str, ...]


def export(asked: Asked, target: Callable[[], Export], watcher: Watcher | None = None) -> Exported:
    """Read all evidence, write the events that `target` wants as they are. Raises HuntError, and OSError in writing."""
    watcher = watcher or Watcher()
    isolation.bound(asked.bounds)
    with (
        interrupts.listening() as stop,
        collect(asked.evidence, asked.opening, asked.out, hashed=False, cases=asked.cases) as collected,
    ):

        def attempt(guard: Guard) -> Exported:
            with guard.stop.whole(), target() as files:
                if asked.slack:
                    tallies, problems = _with_stale(asked, collected, files, watcher, guard)
                else:
                    reading = Reading(files.wants(), asked.jobs, processes=True, tables=True)
                    tallies, problems = read(collected, reading, files.add, watcher, guard)
            unread = tuple(guard.unread)
            return Exported(files, tallies, (*collected.problems, *problems), guard.stop.requested, unread)

        return isolation.attempts(attempt, asked.bounds, stop, watcher.note)


def _with_stale(
    asked: Asked, collected: Collection, files: Export, watcher: Watcher, guard: Guard
) -> tuple[tuple[Tally, ...], list[Problem]]:
    """As `read`, stale records last; what is live as well is not repeated: the logs are read again to know."""
    from hunt.recovered import Recovered  # with it comes all that tells events apart

    stale = Recovered()
    reading = Reading(files.wants(), asked.jobs, slack=True)
    told = read(collected, reading, partial(stale.split, live=files.add), watcher, guard)
    if len(stale):
        read(collected, Reading(stale.wants(), asked.jobs), stale.compare, guard=guard)
    for batch in stale.batches(sources=False):
        files.add(batch)
    return told
