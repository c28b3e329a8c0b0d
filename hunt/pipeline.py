"""The whole flow on one page: evidence -> parsers -> events -> hunts -> report."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from hunt import (
    allow,
    coverage,
    details,
    evidence,
    filters,
    findings,
    hunting,
    interrupts,
    isolation,
    pulse,
    raw,
    registry,
    room,
    schema,
    story,
)
from hunt.errors import TooLargeError
from hunt.events import Events
from hunt.filters import Filters
from hunt.isolation import Bounds, Guard
from hunt.model import (
    Batch,
    Evidence,
    Hunt,
    Need,
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
from hunt.parts import Gathered, Parts, Together
from hunt.reading import collect, read
from hunt.room import Room
from hunt.rules.choose import Chosen, RuleFilter, choose, with_foundations
from hunt.spill import Gathering
from hunt.spool import Spool
from hunt.watcher import Watcher

if TYPE_CHECKING:
    from hunt.cluster.connect import Workers


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
    room: Room | None = None  # what it may take of memory; None: `room.default`
    cases: Sequence[str] = ()  # cases that are read as the evidence they were made from; paths, URLs
    cluster: str | None = None  # who reads and hunts, as `cluster.connect.place` names them; None: this process


def run(request: Request, watcher: Watcher | None = None) -> Report:
    """Read all evidence, run the hunts, report. Raises HuntError for what can't be served.

    An interrupt while reading or hunting ends the run in order: what was read by then is reported.
    """
    watcher = watcher or Watcher()
    clock = _Clock(watcher)
    chosen = _choose(request, watcher)
    clock.done("rules")
    isolation.bound(request.bounds)
    with (
        interrupts.listening() as stop,
        _workers(request) as workers,
        collect(request.evidence, request.opening, request.out, cases=request.cases) as logs,
    ):
        collected = raw.joined(logs, request.carve)
        clock.done("collect")
        for problem in collected.problems:
            watcher.problem(problem)
        return isolation.attempts(
            lambda guard: _report(request, chosen, collected, guard, watcher, clock, workers),
            request.bounds,
            stop,
            watcher.note,
        )


def _workers(request: Request) -> AbstractContextManager[Workers | None]:
    if request.cluster is None:
        return nullcontext()
    from hunt.cluster.connect import connected  # Dask, which few need

    return connected(request.cluster, (request.room or room.default(request.bounds.memory)).memory)


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
    workers: Workers | None,
) -> Report:
    queries = chosen.queries
    wanted = [need for query in queries for need in query.hunt.wanted]
    telling = request.stories or request.out is not None
    wanted += [*request.allowed.needs(), *(story.NEEDS if telling else ())]
    with guard.stop.whole(), _gathered(request, wanted, collected, guard, watcher, workers) as gathered:
        clock.done("read")
        tallies, problems = gathered.tallies, gathered.problems
        events, seen, parts = gathered.events, gathered.seen, gathered.parts
        if not guard.stop.requested:  # else what was not read may have had it
            for absent in request.filters.check(events.hosts(), _channels(events)):
                watcher.note(absent)

        shows = request.filters.shows_channel
        evaluated = coverage.evaluate_all(events, seen, queries, shows)
        results = [request.filters.hidden(q.hunt, r) for q, r in zip(queries, evaluated, strict=True)]
        able = [q for q, r in zip(queries, results, strict=True) if r.status.able]
        clock.done("coverage")
        turns = _Turns(able, guard, watcher, clock)
        mark = partial(_marked, parts=parts, allowed=request.allowed, tell=watcher.note)
        others = [q.hunt for q, r in zip(queries, results, strict=True) if not r.status.able]
        hunted = hunting.run(parts, [query.hunt for query in able], turns, mark, others)
        clock.done("findings")
        found = mark(hunted.found)
        of_starts = [query.hunt.id for query in queries if query.hunt.of_starts]
        shown, of_shown, hidden = request.filters.apply(found, hunted.events, of_starts)
        complete = _read_again(of_shown, collected, guard, partial(_seen, parts=parts, needs=wanted), request.jobs)
        clock.done("details")
        told = None
        if telling and not guard.stop.requested:
            again = partial(_read_again, collected=collected, guard=guard)
            told = story.tell(shown, found, partial(parts.of_hosts, needs=story.NEEDS), again, shows)
            clock.done("story")
        results = [hunted.judged(result) for result in results]
        counted = [*filters.count_hidden(coverage.count(results, shown), hidden, request.filters.named())]
        unread = tuple(sorted((*collected.problems, *problems, *guard.problems), key=lambda problem: problem.place))
        unknown = [*coverage.unknown_of(hunted.counted, queries)]
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
            unparsed=hunted.unparsed,
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


@contextmanager
def _gathered(
    request: Request,
    wanted: Sequence[Need],
    collected: evidence.Collection,
    guard: Guard,
    watcher: Watcher,
    workers: Workers | None,
) -> Iterator[Gathered]:
    """All evidence read."""
    wants = request.filters.wants(Events(wanted).wants())
    most = request.room or room.default(request.bounds.memory)
    if workers and not guard.careful:  # what goes wrong here is looked into here, with nobody's help
        from hunt.cluster.gather import Job, gather

        job = Job(collected, wanted, request.settings, wants, request.slack, most, guard, watcher)
        with gather(workers, job) as got:
            yield got
        return
    seen = coverage.Seen(wants)
    reading = Reading(seen.wants(), request.jobs, request.slack, once=True, room=most.decoding)
    size = sum(item.size for item, _ in collected.files)
    with Spool(request.evidence) as spool:
        gathering = Gathering(wanted, request.settings, most, spool, size, lambda: guard.stop.requested)
        # Cleared logs and starts are seen whatever --channel hides.
        tallies, problems = read(collected, reading, seen.before(gathering.add), watcher, guard)
        yield Gathered(tallies, problems, gathering.events, seen, gathering.parts())


def _marked(found: pl.DataFrame, parts: Parts, allowed: allow.Allowlist, tell: Callable[[str], None]) -> pl.DataFrame:
    needs = allowed.needs()
    allowed.begin()
    if not needs:  # what findings say themselves is enough
        return allowed.mark_more(found, Events())

    def marked(own: pl.DataFrame, events: Events) -> pl.DataFrame:
        try:
            return allowed.mark_more(own, events.only(needs))
        except TooLargeError as error:
            hosts = ", ".join(events.hosts())
            tell(f"--allow is not applied to {own.height} findings on {hosts}: who ran them {error}")
            return own

    return hunting.by_part(parts, found, needs, marked)


def _seen(events: pl.DataFrame, parts: Parts, needs: Sequence[Need]) -> pl.Series:
    """`fields` of events as far as hunts have read them."""

    def told(own: pl.DataFrame, case: Events) -> pl.DataFrame:
        return own.with_columns(findings.seen(case.located(own), own).alias("fields"))

    return hunting.by_part(parts, events, needs, told)["fields"]


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
        collect(request.evidence, request.opening, request.out, hashed=False, cases=request.cases) as collected,
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
                reading = Reading(seen.wants(), request.jobs, request.slack, once=True)
                tallies, problems = read(collected, reading, seen.before(take), watcher, guard)
                unread = tuple(
                    sorted((*collected.problems, *problems, *guard.problems), key=lambda problem: problem.place)
                )
                results = coverage.evaluate_all(events, seen, queries)
                unknown = [*coverage.unknown(Together(few), queries)]
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


class _Turns:
    """Hunts one after the other, until an interrupt asks for the end."""

    def __init__(self, queries: Sequence[registry.Query], guard: Guard, watcher: Watcher, clock: _Clock) -> None:
        self._ours = {query.hunt.id: query.ours for query in queries}
        self._numbers = {query.hunt.id: number for number, query in enumerate(queries)}
        self._guard, self._watcher, self._clock = guard, watcher, clock
        self._interrupted = guard.stop.requested  # before: then what was read is still hunted in
        self._findings = 0

    def over(self) -> bool:
        return self._guard.stop.requested and not self._interrupted

    def go_on(self, hunt: Hunt) -> bool:
        if self.over():
            return False
        pulse.beat(pulse.Phase.ENDING)
        number = self._numbers[hunt.id]
        if self._ours[hunt.id] or number % _TOLD == 0:
            self._watcher.hunting(hunt.id, number, len(self._numbers), self._findings)
        return True

    def done(self, hunt: Hunt, found: int) -> None:
        self._findings += found
        # Rules share their work: what the first one took says nothing of it.
        ours = self._ours[hunt.id]
        self._clock.done(f"query {hunt.id}" if ours else "rules run", quiet=not ours)


def _channels(events: Events) -> list[str]:
    return sorted(events.census()["channel"].drop_nulls().unique())
