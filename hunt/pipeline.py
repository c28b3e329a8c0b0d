"""The whole flow on one page: evidence -> parsers -> events -> hunts -> report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from hunt import coverage, evidence, findings, registry
from hunt.events import Events
from hunt.model import Batch, Evidence, Parser, Problem, Progress, Report, Settings, Status, Tally


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asks of `hunt run`."""

    evidence: Sequence[Path]
    queries: Sequence[str] = ()  # ids; none: all of ours
    settings: Settings = field(default_factory=Settings)
    out: Path | None = None
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
    tallies, problems = read(collected, events, watcher)

    results = [coverage.evaluate(events, query) for query in queries]
    able = [q.hunt for q, result in zip(queries, results, strict=True) if result.status is not Status.NOT_EVALUABLE]
    found, of_findings = findings.gather(events, able)
    return Report(
        findings=found,
        events=of_findings,
        queries=tuple(coverage.count(results, found)),
        problems=tuple(sorted((*collected.problems, *problems), key=_place)),
        tallies=tallies,
        skipped=collected.skipped,
        hosts=events.hosts(),
        unparsed=events.unparsed(),
        options={"queries": list(request.queries), "window_s": request.settings.window_s, **request.options},
    )


def read(
    collected: evidence.Collection, events: Events, watcher: Watcher | None = None
) -> tuple[tuple[Tally, ...], list[Problem]]:
    """Decode every file into `events`; (what each file gave, everything that could not be read)."""
    tallies: list[Tally] = []
    problems: list[Problem] = []
    meter = _Meter(collected, watcher)
    for item, parser in collected.files:
        tally, of_file = _read_file(item, parser, events, meter)
        tallies.append(tally)
        problems += of_file
    return tuple(tallies), problems


class _Meter:
    """Adds up over all files what a watcher wants to know."""

    def __init__(self, collected: evidence.Collection, watcher: Watcher | None) -> None:
        self.watcher = watcher
        self.done = self.records = 0
        if watcher:
            watcher.begin(len(collected.files), sum(item.size for item, _ in collected.files))

    def tell(self, item: Evidence, bytes_read: int) -> None:
        if self.watcher:
            self.watcher.at(item.source, self.done + min(bytes_read, item.size), self.records)


def _read_file(item: Evidence, parser: Parser, events: Events, meter: _Meter) -> tuple[Tally, list[Problem]]:
    read, problems = 0, []
    try:
        for part in parser.read(item):
            if isinstance(part, Batch):
                events.add(part)
                read += part.records
                meter.records += part.records
            elif isinstance(part, Progress):
                meter.tell(item, part.bytes_read)
            else:
                problems.append(part)
    except OSError as error:  # the disk, a lock, a share that went away: what was read until then stays
        problems.append(Problem(item.source, "file", f"reading stopped: {error.strerror or error}"))
    meter.done += item.size
    meter.tell(item, 0)
    failed = sum(problem.kind == "record" for problem in problems)
    return Tally(item, parser.name, read + failed, read, len(problems)), problems


def _place(problem: Problem) -> tuple[str, int, int, str]:
    return problem.source, problem.offset or 0, problem.record_id or 0, problem.reason
