"""Evidence -> parsers -> batches and problems: what every command that reads does first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import polars as pl

from hunt import evidence, pulse, registry
from hunt.isolation import Guard
from hunt.model import Batch, Evidence, Opening, Parser, Problem, Reading, Tally
from hunt.store import collection as stored
from hunt.store.known import is_case
from hunt.watcher import Watcher


@contextmanager
def collect(
    paths: Sequence[Path],
    opening: Opening,
    out: Path | None = None,
    hashed: bool = True,
    cases: Sequence[str] = (),
) -> Iterator[evidence.Collection]:
    """`evidence.collect` with all formats we have; what can't be opened alive is left alone the next time.

    `cases`: cases (paths, URLs) that are read as the evidence they were made from; a path that is one is so, too.
    """
    logs = [path for path in paths if not is_case(path)]
    stores = stored.load([*cases, *(str(path) for path in paths if path not in logs)])
    if not logs:  # cases, or raw data alone
        yield stored.joined(evidence.Collection((), (), ()), stores)
        return
    begin, avoid = partial(pulse.beat, pulse.Phase.COLLECTING), pulse.orders().avoid
    parsers, containers = registry.parsers(), registry.containers()
    with evidence.collect(logs, parsers, containers, opening, out, hashed, begin, avoid) as found:
        yield stored.joined(found, stores)


def read(
    collected: evidence.Collection,
    reading: Reading,
    take: Callable[[Batch], None],
    watcher: Watcher | None = None,
    guard: Guard | None = None,
) -> tuple[tuple[Tally, ...], list[Problem]]:
    """Decode all files, hand on their batches; (what each file gave, everything that could not be read).

    Without a guard, what a parser raises travels up, and an interrupt ends it all. Raises HuntError for what a case
    can't tell.
    """
    stored.check(collected, reading)
    watcher = watcher or Watcher()
    problems: list[Problem] = []
    records: Counter[str] = Counter()
    done = 0
    watcher.begin(len(collected.files), sum(item.size for item, _ in collected.files))
    for parser, files in by_parser(collected):
        for part in guard.read(parser, files, reading) if guard else parser.read(files, reading):
            if isinstance(part, Problem):
                problems.append(part)
                watcher.problem(part)
            elif isinstance(part, Batch):
                take(part)
                if part.census.height:  # of many batches of a case it is told once
                    records.update(dict(part.census.group_by("source").agg(pl.col("records").sum()).iter_rows()))
            else:
                done += part.size
                watcher.at(part.source, done, records.total())
    pulse.beat(pulse.Phase.ENDING)
    tallies = tallied(collected, records, problems)
    for tally in tallies:
        watcher.tally(tally)
    return tallies, problems


def tallied(
    collected: evidence.Collection, records: Mapping[str, int], problems: Sequence[Problem]
) -> tuple[Tally, ...]:
    """What each file gave. `records`: how many of each source became rows."""
    failed = Counter(problem.source for problem in problems if problem.kind == "record")
    any_kind = Counter(problem.source for problem in problems)
    read = Counter(records)
    return tuple(
        Tally(i, parser.name, read[i.source] + failed[i.source], read[i.source], any_kind[i.source])
        for i, parser in collected.files
    )


def by_parser(collected: evidence.Collection) -> Iterable[tuple[Parser, list[Evidence]]]:
    """Files that are read together: those of one parser, or of one case."""
    groups: dict[object, tuple[Parser, list[Evidence]]] = {}
    for item, parser in collected.files:
        groups.setdefault(stored.together(parser), (parser, []))[1].append(item)
    yield from groups.values()
