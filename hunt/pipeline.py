"""The whole flow on one page: evidence -> parsers -> events -> hunts -> report."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import polars as pl

from hunt import (
    allow,
    coverage,
    details,
    evidence,
    filters,
    findings,
    interrupts,
    isolation,
    pulse,
    raw,
    registry,
    schema,
    story,
)
from hunt.events import Events
from hunt.filters import Filters
from hunt.isolation import Bounds, Guard
from hunt.model import (
    Batch,
    Evidence,
    Hunt,
    Opening,
    Parser,
    Problem,
    QueryResult,
    Reading,
    Report,
    Settings,
    Tally,
    Wants,
)
from hunt.reading import collect, read
from hunt.rules.choose import Chosen, RuleFilter, choose, with_foundations
from hunt.rules.model import RuleError
from hunt.watcher import Watcher


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asks of `hunt run`."""

    evidence: Sequence[Path]
    queries: Sequence[str] = ()  # ids, rule files, folders of rules; none: all of ours
    settings: Settings = field(default_factory=Settings)
    out: Path | None = None
    jobs: int = 1
    options: Mapping[str, object] = field(default_factory=dict)  # of outputs; the report carries them on
    filters: Filters = field(default_factory=Filters)
    bounds: Bounds = field(default_factory=Bounds)
    opening: Opening = field(default_factory=Opening)
    slack: bool = False  # also stale records behind the live ones
    carve: Sequence[Path] = ()  # raw data: what is carved out of it joins the evidence
    allowed: allow.Allowlist = field(default_factory=allow.Allowlist)
    stories: bool = False  # told even if nothing is written
    rules: RuleFilter = field(default_factory=RuleFilter)
    eql: str | None = None  # a query that was typed, in the place of `queries`


def run(request: Request, watcher: Watcher | None = None) -> Report:
    """Read all evidence, run the hunts, report. Raises HuntError for what can't be served.

    An interrupt while reading or hunting ends the run in order: what was read by then is reported.
    """
    watcher = watcher or Watcher()
    clock = _Clock(watcher)
    chosen = _choose(request, watcher)
    clock.done("rules")
    isolation.bound(request.bounds)
    with interrupts.listening() as stop, collect(request.evidence, request.opening, request.out) as logs:
        collected = raw.joined(logs, request.carve)
        clock.done("collect")
        for problem in collected.problems:
            watcher.problem(problem)
        return isolation.attempts(
            lambda guard: _report(request, chosen, collected, guard, watcher, clock),
            request.bounds,
            stop,
            watcher.note,
        )


def _choose(request: Request, watcher: Watcher) -> Chosen:
    chosen = with_foundations(choose(request.queries, request.rules, request.eql))
    for note in chosen.notes():
        watcher.note(note)
    return chosen


def _report(
    request: Request,
    chosen: Chosen,
    collected: evidence.Collection,
    guard: Guard,
    watcher: Watcher,
    clock: _Clock,
) -> Report:
    queries = chosen.queries
    wanted = [need for query in queries for need in query.hunt.wanted]
    telling = request.stories or request.out is not None
    wanted += [*request.allowed.needs(), *(story.NEEDS if telling else ())]
    events = Events(wanted, request.settings)
    seen = coverage.Seen(request.filters.wants(events.wants()))
    with guard.stop.whole():
        reading = Reading(seen.wants(), request.jobs, request.slack)  # cleared logs and starts whatever --channel hides
        tallies, problems = read(collected, reading, seen.before(events.add), watcher, guard)
        clock.done("read")
        if not guard.stop.requested:  # else what was not read may have had it
            for absent in request.filters.check(events.hosts(), _channels(events)):
                watcher.note(absent)

        shows = request.filters.shows_channel
        evaluated = coverage.evaluate_all(events, seen, queries, shows)
        results = [request.filters.hidden(q.hunt, r) for q, r in zip(queries, evaluated, strict=True)]
        able = [q for q, r in zip(queries, results, strict=True) if r.status.able]
        able.sort(key=lambda query: query.hunt.stage)
        clock.done("coverage")
        turns = _Turns(able, guard, watcher, clock)
        mark = partial(request.allowed.mark, case=events)
        found, of_findings = findings.gather(events, turns, turns.tell, False, turns.fail, mark)
        clock.done("findings")
        found = request.allowed.mark(found, events)
        of_starts = [query.hunt.id for query in queries if query.hunt.of_starts]
        shown, of_shown, hidden = request.filters.apply(found, of_findings, of_starts)
        complete = _read_again(of_shown, collected, guard, partial(findings.seen, events), request.jobs)
        clock.done("details")
        told = None
        if telling and not guard.stop.requested:
            told = story.tell(shown, found, events, partial(_read_again, collected=collected, guard=guard), shows)
            clock.done("story")
        results = [turns.judge(result) for result in results]
        counted = [*filters.count_hidden(coverage.count(results, shown), hidden, request.filters.named())]
        unread = tuple(sorted((*collected.problems, *problems, *guard.problems), key=lambda problem: problem.place))
        unknown = [*coverage.unknown(events, queries)]
        counted = [*coverage.with_unknown(counted, queries, unknown)]
        unusable = chosen.results(events.hosts())
        covered = coverage.facts(events, seen, unread, queries, results, tallies, unknown, shows, unusable)
        clock.done("coverage")
        report = Report(
            findings=shown,
            events=complete,
            queries=(*counted, *unusable),
            problems=unread,
            tallies=tallies,
            skipped=collected.skipped,
            hosts=events.hosts(),
            unparsed=events.unparsed(),
            options={
                "queries": list(request.queries),
                "window_s": request.settings.window_s,
                "threshold": request.settings.threshold,
                **request.filters.told(),
                **request.options,
            },
            containers=collected.containers,
            rules={**_hashes(queries), **chosen.sha256},
            left_out=chosen.left_out,
            docs={query.hunt.id: query.hunt.doc for query in queries},
            techniques=chosen.techniques(),
            hidden=hidden,
            interrupted=guard.stop.requested,
            unread=tuple(guard.unread),
            timings=clock.took,
            coverage=covered,
            allowed=request.allowed.told(),
            story=told,
        )
    pulse.beat(pulse.Phase.ENDING)
    for note in request.allowed.notes():
        watcher.note(note)
    for trace in guard.faults:
        watcher.fault(trace)
    return report


def _hashes(queries: Iterable[registry.Query]) -> dict[str, str]:
    ours = ((query.hunt.id, query.path) for query in queries if query.ours)
    return {id_: hashlib.sha256(path.read_bytes()).hexdigest() for id_, path in ours if path}


def _read_again(
    events: pl.DataFrame,
    collected: evidence.Collection,
    guard: Guard,
    seen: details.Seen | None = None,
    jobs: int = 1,
) -> pl.DataFrame:
    def sweep(parser: Parser, item: Evidence, wants: Wants) -> Iterator[Batch]:
        before = len(guard.unread)
        parts = guard.read(parser, [item], Reading(wants, jobs))
        yield from (part for part in parts if isinstance(part, Batch))
        del guard.unread[before:]  # an interrupt: all of it was read, once

    complete = details.complete(events, collected, guard.records, seen, sweep)
    pulse.beat(pulse.Phase.ENDING)  # what follows reads nothing, and may take longer than a file
    return complete


@dataclass(frozen=True, slots=True)
class Covered:
    """What `cover` found."""

    facts: pl.DataFrame  # coverage.FACTS
    queries: tuple[QueryResult, ...]
    tallies: tuple[Tally, ...]
    problems: tuple[Problem, ...]
    skipped: tuple[str, ...]  # files met in folders whose content no parser knows
    hosts: tuple[str, ...]
    interrupted: bool
    unread: tuple[str, ...]


def cover(request: Request, watcher: Watcher | None = None) -> Covered:
    """Read all evidence and say what the queries could have seen in it, without running them. Raises HuntError."""
    watcher = watcher or Watcher()
    chosen = _choose(request, watcher)
    queries = chosen.queries
    isolation.bound(request.bounds)
    with (
        interrupts.listening() as stop,
        collect(request.evidence, request.opening, request.out, hashed=False) as collected,
    ):

        def attempt(guard: Guard) -> Covered:
            parts = [part for query in queries for part in query.hunt.unknowns]
            few = Events(need for part in parts for need in part.reads)
            needs = [need for query in queries for need in coverage.required(query.hunt)]
            events = Events((*needs, *(need for part in parts for need in part.reads)))
            seen = coverage.Seen(events.wants())

            def take(batch: Batch) -> None:
                events.count(batch)
                few.add(_narrowed(batch, few.wants()))

            with guard.stop.whole():
                reading = Reading(seen.wants(), request.jobs, request.slack)
                tallies, problems = read(collected, reading, seen.before(take), watcher, guard)
                unread = tuple(
                    sorted((*collected.problems, *problems, *guard.problems), key=lambda problem: problem.place)
                )
                results = coverage.evaluate_all(events, seen, queries)
                unknown = [*coverage.unknown(few, queries)]
                unusable = chosen.results(events.hosts())
                facts = coverage.facts(events, seen, unread, queries, results, tallies, unknown, unusable=unusable)
            late = guard.stop.requested, tuple(guard.unread)
            told = (*results, *unusable)
            return Covered(facts, told, tallies, unread, collected.skipped, events.hosts(), *late)

        return isolation.attempts(attempt, request.bounds, stop, watcher.note)


def _narrowed(batch: Batch, wants: Wants) -> Batch:
    """Without the events and fields that are not wanted: others are decoded to be counted."""
    frames = {}
    for kind, frame in batch.frames.items():
        columns = wants.of(kind)
        if columns is not None:
            own = {*schema.CORE, *schema.SYSTEM, *columns}
            frames[kind] = frame.select(c for c in frame.columns if c in own)
    return Batch(frames, batch.census)


class _Clock:
    """Seconds that each step took: no result, but of interest."""

    def __init__(self, watcher: Watcher) -> None:
        self.took: dict[str, float] = {}
        self._exact: dict[str, float] = {}
        self._watcher = watcher
        self._last = time.monotonic()

    def done(self, step: str, quiet: bool = False) -> None:
        """`quiet`: one of thousands, which need no line each in the log."""
        now = time.monotonic()
        self._exact[step] = self._exact.get(step, 0.0) + now - self._last
        self.took[step] = round(self._exact[step], 3)
        if not quiet:
            self._watcher.timing(step, now - self._last)
        self._last = now


_TOLD = 100  # rules, of which there may be thousands, that are hunted for between two lines of the log


@dataclass(slots=True)
class _Turns:
    """Hunts one after the other, until an interrupt asks for the end."""

    queries: Sequence[registry.Query]
    guard: Guard
    watcher: Watcher
    clock: _Clock
    left: set[str] = field(default_factory=set)  # ids of those that did not run
    failed: dict[str, RuleError] = field(default_factory=dict)  # by id
    findings: int = 0
    _ours: bool = True

    def __iter__(self) -> Iterator[Hunt]:
        before = self.guard.stop.requested  # then what was read is still hunted in
        for number, query in enumerate(self.queries):
            if self.guard.stop.requested and not before:
                self.left.update(query.hunt.id for query in self.queries[number:])
                return
            pulse.beat(pulse.Phase.ENDING)
            if query.ours or number % _TOLD == 0:
                self.watcher.hunting(query.hunt.id, number, len(self.queries), self.findings)
            self._ours = query.ours
            yield query.hunt

    def tell(self, hunt: Hunt, findings: int) -> None:
        self.findings += findings
        # Rules share their work: what the first one took says nothing of it.
        self.clock.done(f"query {hunt.id}" if self._ours else "rules run", quiet=not self._ours)

    def fail(self, hunt: Hunt, error: RuleError) -> None:
        self.failed[hunt.id] = error

    def judge(self, result: QueryResult) -> QueryResult:
        """What became of a query after its turn."""
        if result.query in self.left:
            return result.unable("interrupted before it ran")
        error = self.failed.get(result.query)
        if error and error.status.able:
            return replace(result, status=error.status, reason="; ".join(filter(None, (result.reason, str(error)))))
        return result.unable(str(error), error.status) if error else result


def _channels(events: Events) -> list[str]:
    return sorted(events.census()["channel"].drop_nulls().unique())
