"""Evidence -> parsers -> batches and problems: what every command that reads does first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

import polars as pl

from hunt import evidence, pulse, registry
from hunt.isolation import Guard
from hunt.model import Batch, Evidence, Opening, Parser, Problem, Reading, Tally
from hunt.watcher import Watcher


def collect(
    paths: Sequence[Path], opening: Opening, out: Path | None = None, hashed: bool = True
) -> AbstractContextManager[evidence.Collection]:
    """`evidence.collect` with all formats we have; what can't be opened alive is left alone the next time."""
    if not paths:  # raw data alone
        return nullcontext(evidence.Collection((), (), ()))
    begin, avoid = partial(pulse.beat, pulse.Phase.COLLECTING), pulse.orders().avoid
    parsers, containers = registry.parsers(), registry.containers()
    return evidence.collect(paths, parsers, containers, opening, out, hashed, begin, avoid)


def read(
    collected: evidence.Collection,
    reading: Reading,
    take: Callable[[Batch], None],
    watcher: Watcher | None = None,
    guard: Guard | None = None,
) -> tuple[tuple[Tally, ...], list[Problem]]:
    """Decode all files, hand on their batches; (what each file gave, everything that could not be read).

    Without a guard, what a parser raises travels up, and an interrupt ends it all.
    """
    watcher = watcher or Watcher()
    problems: list[Problem] = []
    records: Counter[str] = Counter()
    done = 0
    watcher.begin(len(collected.files), sum(item.size for item, _ in collected.files))
    for parser, files in _by_parser(collected):
        for part in guard.read(parser, files, reading) if guard else parser.read(files, reading):
            if isinstance(part, Problem):
                problems.append(part)
                watcher.problem(part)
            elif isinstance(part, Batch):
                take(part)
                records.update(dict(part.census.group_by("source").agg(pl.col("records").sum()).iter_rows()))
            else:
                done += part.size
                watcher.at(part.source, done, records.total())
    pulse.beat(pulse.Phase.ENDING)
    failed = Counter(problem.source for problem in problems if problem.kind == "record")
    any_kind = Counter(problem.source for problem in problems)
    tallies = tuple(
        Tally(i, parser.name, records[i.source] + failed[i.source], records[i.source], any_kind[i.source])
        for i, parser in collected.files
    )
    for tally in tallies:
        watcher.tally(tally)
    return tallies, problems


def _by_parser(collected: evidence.Collection) -> Iterable[tuple[Parser, list[Evidence]]]:
    names = dict.fromkeys(parser.name for _, parser in collected.files)
    for name in names:
        files = [(item, parser) for item, parser in collected.files if parser.name == name]
        yield files[0][1], [item for item, _ in files]
