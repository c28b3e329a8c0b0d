"""The whole flow on one page: evidence -> parsers -> events -> hunts -> report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import polars as pl

from hunt import coverage, details, evidence, findings, registry
from hunt.events import Events
from hunt.model import Batch, Evidence, Parser, Problem, Reading, Report, Settings, Status, Tally


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asks of `hunt run`."""

    evidence: Sequence[Path]
    queries: Sequence[str] = ()  # ids; none: all of ours
    settings: Settings = field(default_factory=Settings)
    out: Path | None = None
    jobs: int = 1
    options: Mapping[str, object] = field(default_factory=dict)  # of outputs; the report carries them on


class Watcher(Protocol):
    """Is told how far the reading has come; a progress bar, say."""

    def begin(self, files: int, size: int) -> None:
        """So many files, so many bytes in all."""

    def at(self, source: str, bytes_done: int, records: int) -> None:
        """So many bytes of all files are done, so many records read."""


def run(request: Request, watcher: Watcher | None = None) -> Report:
    """Read all evidence, run the hunts, report. Raises HuntError for what can't be served."""
    queries = registry.select(request.queries)
    collected = evidence.collect(request.evidence, registry.parsers(), leave_out=request.out)
    events = Events((need for query in queries for need in query.hunt.needs), request.settings)
    tallies, problems = read(collected, Reading(events.wants(), request.jobs), events.add, watcher)

    results = [coverage.evaluate(events, query) for query in queries]
    able = [q.hunt for q, result in zip(queries, results, strict=True) if result.status is not Status.NOT_EVALUABLE]
    found, of_findings = findings.gather(events, able)
    return Report(
        findings=found,
        events=details.complete(of_findings, collected),
        queries=tuple(coverage.count(results, found)),
        problems=tuple(sorted((*collected.problems, *problems), key=_place)),
        tallies=tallies,
        skipped=collected.skipped,
        hosts=events.hosts(),
        unparsed=events.unparsed(),
        options={"queries": list(request.queries), "window_s": request.settings.window_s, **request.options},
    )


def read(
    collected: evidence.Collection, reading: Reading, take: Callable[[Batch], None], watcher: Watcher | None = None
) -> tuple[tuple[Tally, ...], list[Problem]]:
    """Decode all files, hand on their batches; (what each file gave, everything that could not be read)."""
    problems: list[Problem] = []
    records: Counter[str] = Counter()
    done = 0
    if watcher:
        watcher.begin(len(collected.files), sum(item.size for item, _ in collected.files))
    for parser, files in _by_parser(collected):
        for part in parser.read(files, reading):
            if isinstance(part, Problem):
                problems.append(part)
            elif isinstance(part, Batch):
                take(part)
                records.update(dict(part.census.group_by("source").agg(pl.col("records").sum()).iter_rows()))
            else:
                done += part.size
                if watcher:
                    watcher.at(part.source, done, records.total())
    failed = Counter(problem.source for problem in problems if problem.kind == "record")
    any_kind = Counter(problem.source for problem in problems)
    tallies = tuple(
        Tally(i, parser.name, records[i.source] + failed[i.source], records[i.source], any_kind[i.source])
        for i, parser in collected.files
    )
    return tallies, problems


def _by_parser(collected: evidence.Collection) -> Iterable[tuple[Parser, list[Evidence]]]:
    names = dict.fromkeys(parser.name for _, parser in collected.files)
    for name in names:
        files = [(item, parser) for item, parser in collected.files if parser.name == name]
        yield files[0][1], [item for item, _ in files]


def _place(problem: Problem) -> tuple[str, int, int, str]:
    return problem.source, problem.offset or 0, problem.record_id or 0, problem.reason
