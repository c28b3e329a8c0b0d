"""All evidence read by workers: facts come back, events stay there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from hunt import coverage, pulse
from hunt.cluster import lots as cutting
from hunt.cluster import tasks
from hunt.cluster.connect import Workers
from hunt.cluster.grouping import room_of
from hunt.cluster.held import parts_of
from hunt.cluster.lots import Lot
from hunt.cluster.reads import Lots, beyond
from hunt.cluster.sight import absolute, token, who_sees, witness
from hunt.cluster.tasks import Facts, How, Order, Read
from hunt.cluster.waiting import Watch
from hunt.events import Events
from hunt.evidence import Collection
from hunt.interrupts import Stop
from hunt.isolation import Guard, SuspectError
from hunt.model import Batch, Evidence, Need, Problem, Reading, Settings, Wants
from hunt.parts import Gathered
from hunt.reading import by_parser, tallied
from hunt.room import Room
from hunt.shares import Agreed
from hunt.store import collection
from hunt.watcher import Watcher


@dataclass(frozen=True, slots=True)
class Job:
    """What is read of which evidence, and for whom."""

    collected: Collection
    needs: Sequence[Need]
    settings: Settings
    wants: Wants  # of hunts, as `--channel` leaves them
    slack: bool
    room: Room
    guard: Guard
    watcher: Watcher

    @property
    def stop(self) -> Stop:
        return self.guard.stop


@contextmanager
def gather(workers: Workers, job: Job) -> Iterator[Gathered]:
    """Read all evidence; the events are there as long as the `with` block lasts.

    Raises HuntError if scheduler or workers are lost for good, or a case can't tell what is asked for.
    """
    with workers.needed():
        there = room_of(workers)
        reading = Reading(coverage.Seen(job.wants).wants(), 1, job.slack, once=True, room=there.decoding, more=True)
        collection.check(job.collected, reading)
        run = _Run(Watch(workers), job, reading)
        run.read()
        yield run.gathered()


@dataclass(slots=True)
class _Run:
    watch: Watch
    job: Job
    reading: Reading
    lots: list[Lot] = field(default_factory=list)
    facts: dict[int, Facts] = field(default_factory=dict)  # by place of the lot
    held: dict[int, Any] = field(default_factory=dict)  # its Read: a future, or what was read here
    witnesses: dict[str, Path | None] = field(default_factory=dict)  # by source
    tokens: dict[Path, str] = field(default_factory=dict)
    how: Any = None  # a future of what all reads need
    everywhere: frozenset[str] = frozenset()  # machines that there were when lots were given out
    done: int = 0  # bytes
    records: int = 0

    @property
    def workers(self) -> Workers:
        return self.watch.workers

    def read(self) -> None:
        job = self.job
        files = [item for item, _ in job.collected.files]
        total = sum(item.size for item in files)
        job.watcher.begin(len(files), total)
        self.lots = self._cut(files, cutting.size_of_lots(total, self.workers.count()))
        ordered = self._ordered()
        futures = [self.workers.client.submit(tasks.facts, read, key=f"facts-{read.key}") for read in ordered.values()]
        places, reads = list(ordered), list(ordered.values())
        stop = job.guard.stop
        again: list[tuple[int, str]] = []

        def stuck(machines: Iterable[str]) -> Iterator[int]:
            there = frozenset(machines)
            for n, place in enumerate(places):
                if beyond(reads[n], self.how, self._bound_to(place), there):
                    yield n

        for n, gave in self.watch.results(futures, self._beat, lambda: stop.requested, stuck):
            place = places[n]
            waited = futures[n].cancelled()
            if waited:  # else it would be read there as well as here, as soon as there is a worker for it
                reads[n].cancel()
            # A worker that died over it, more than once: the error is Dask's.
            lost = "no worker that can see it is left, or has memory" if waited else "it has ended workers"
            facts = gave or Facts(lost)
            if facts.trouble:
                again.append((place, facts.trouble))
            else:
                self.held[place] = reads[n]
                self._take(place, facts)
        here = [place for place, lot in enumerate(self.lots) if not lot.machines]
        for place, trouble in sorted([*again, *((place, "") for place in here)]):
            if stop.requested:
                break
            self._read_here(place, trouble)
        self._interrupted()
        pulse.beat(pulse.Phase.ENDING)

    def _beat(self) -> None:
        pulse.beat(pulse.Phase.READING)

    def _cut(self, files: Sequence[Evidence], size: int) -> list[Lot]:
        self.witnesses = {item.source: witness(item, parser) for item, parser in self.job.collected.files}
        there = who_sees(self.workers, {path: _size(path) for path in self.witnesses.values() if path})
        everywhere = frozenset(self.workers.machines())

        def sees(item: Evidence) -> frozenset[str]:
            path = self.witnesses[item.source]
            return there[path] if path else everywhere

        self._tell(files, sees, everywhere)
        parsers = [(absolute(parser), items) for parser, items in by_parser(self.job.collected)]
        return cutting.cut(parsers, sees, size)

    def _tell(
        self, files: Sequence[Evidence], sees: Callable[[Evidence], frozenset[str]], everywhere: frozenset[str]
    ) -> None:
        """Which files not all machines see."""
        few: dict[frozenset[str], list[str]] = {}
        for item in files:
            machines = sees(item)
            if machines != everywhere:
                few.setdefault(machines, []).append(item.source)
        for machines, sources in sorted(few.items(), key=lambda entry: sorted(entry[0])):
            more = f" and {len(sources) - 1} more files" if len(sources) > 1 else ""
            where = f"only {', '.join(sorted(machines))} of {len(everywhere)} machines" if machines else "no worker"
            does = "there" if machines else "here, and handed over"
            self.job.watcher.note(f"{sources[0]}{more}: {where} can see it; read {does}")

    def _ordered(self) -> dict[int, Any]:
        """Futures of all lots that workers see, by place."""
        name = cutting.named(self.workers.versions, self.reading, self.job.wants)
        how = How(self.reading, self.job.wants, self.workers.versions)
        submit, self.everywhere = self.workers.client.submit, frozenset(self.workers.machines())
        self.how = submit(tasks.same, how, key=f"how-{name}")
        ordered = {}
        for place, lot in enumerate(self.lots):
            bound = self._bound_to(place)
            where = {} if bound is None else {"workers": sorted(bound)}
            if lot.machines:
                ordered[place] = submit(tasks.read, self._order(lot), self.how, key=f"read-{lot.key(name)}", **where)
        return ordered

    def _bound_to(self, place: int) -> frozenset[str] | None:
        """The machines that can read a lot. None: those that all can, and any that join later."""
        machines = self.lots[place].machines
        return None if machines == self.everywhere else machines

    def _order(self, lot: Lot) -> Order:
        paths = dict.fromkeys(self.witnesses[item.source] for item in lot.items)
        tokens = tuple((str(path), self._token(path)) for path in paths if path)
        seconds = self.job.guard.bounds.seconds(lot.size)
        return Order(lot, tokens, seconds)

    def _token(self, path: Path) -> str:
        if path not in self.tokens:
            self.tokens[path] = token(path)
        return self.tokens[path]

    def _take(self, place: int, facts: Facts) -> None:
        self.facts[place] = facts
        self.done += facts.read.total()
        self.records += facts.records
        for problem in facts.problems:
            self.job.watcher.problem(problem)
        self.job.watcher.at(self.lots[place].items[-1].source, self.done, self.records)

    def _read_here(self, place: int, trouble: str) -> None:
        """A lot that no worker sees; or one that went wrong there, file by file in a process that may die."""
        lot = self.lots[place]
        items = lot.items
        if len(items) == 1:  # of a piece, what is told of bytes is told of it
            items = [replace(items[0], size=lot.size)]
        if trouble:
            more = f" and {len(items) - 1} more files" if len(items) > 1 else ""
            self.job.watcher.note(f"{items[0].source}{more}: {trouble}; reading again here, file by file")
        self.held[place] = done = self._here(lot, items, self.job.guard.stop, quick=not trouble)
        self._take(place, done.facts)

    def _here(self, lot: Lot, items: Sequence[Evidence], stop: Stop, quick: bool) -> Read:
        try:
            return tasks.gathered(self._parts(lot, items, stop, careful=not quick), self.job.wants)
        except SuspectError:
            return tasks.gathered(self._parts(lot, items, stop, careful=True), self.job.wants)

    def _again(self, place: int) -> Read:
        """Read again what was lost, also after an interrupt: what was read is hunted in. What is missing is told."""
        lot, job = self.lots[place], self.job
        source = lot.items[0].source
        job.watcher.note(f"{source}: was read by a worker that is lost, and can't be by others; reading again here")
        done = self._here(lot, lot.items, Stop(), quick=True)
        before, now = self.facts[place], done.facts
        new = [problem for problem in now.problems if problem not in before.problems]
        if not new and not _alike(before.census, now.census):
            reason = (
                f"{before.records} records were read and lost with a worker; read again, {now.records} are not the same"
            )
            new = [Problem(source, "file", reason)]
        job.guard.problems += new
        for problem in new:
            job.watcher.problem(problem)
        return done

    def _parts(self, lot: Lot, items: Sequence[Evidence], stop: Stop, careful: bool) -> Iterator[Any]:
        guard = self.job.guard
        own = Guard(guard.bounds, stop, careful or guard.careful)
        try:
            yield from own.read(lot.as_parser(), items, self.reading)
        finally:
            own.close()
            guard.faults += own.faults
            guard.unread += own.unread

    def _interrupted(self) -> None:
        """What was not read by then is told; tasks that still run are given up."""
        left = [place for place in range(len(self.lots)) if place not in self.facts]
        if not left:
            return
        read: Counter[str] = Counter()
        for facts in self.facts.values():
            read.update(facts.read)
        sizes = {piece.evidence.source: piece.evidence.size for place in left for piece in self.lots[place].pieces}
        for source, size in sizes.items():
            self.job.guard.unread.append(source)
            reason = f"not read whole: interrupted at {read[source]} of {size} bytes"
            problem = Problem(source, "file", reason)
            self.facts.setdefault(-1, Facts()).problems.append(problem)
            self.job.watcher.problem(problem)

    def gathered(self) -> Gathered:
        """All facts together, in reading order, and the parts that hold the events."""
        job = self.job
        events, seen, agreed = Events(job.needs, job.settings), coverage.Seen(job.wants), Agreed()
        problems: list[Problem] = []
        for _, facts in sorted(self.facts.items()):
            problems += facts.problems
            events.count(Batch(facts.stale, facts.census))
            seen.merge(facts.seen)
            agreed.merge(facts.agreed)
        problems = _once(problems)
        records = dict(events.census().group_by("source").agg(pl.col("records").sum()).iter_rows())
        tallies = tallied(job.collected, records, problems)
        for tally in tallies:
            job.watcher.tally(tally)
        places = sorted(place for place in self.facts if place in self.held)
        kinds: Counter[tuple[str, int]] = Counter()
        for facts in self.facts.values():
            kinds.update(facts.kinds)
        lots = Lots(
            [self.held[place] for place in places],
            [self.facts[place].hosts for place in places],
            kinds,
            [self.facts[place].records for place in places],
            [self._bound_to(place) for place in places],
            self.how,
            lambda n: self._again(places[n]),
        )
        return Gathered(tallies, problems, events, seen, parts_of(self.watch, lots, job, events, agreed))


def _alike(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    return one.sort(pl.all()).equals(other.sort(pl.all()), null_equal=True)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1


def _once(problems: Sequence[Problem]) -> list[Problem]:
    """Without what each piece of a file says of the whole of it."""
    met: set[Problem] = set()
    kept = []
    for problem in problems:
        if problem.kind != "file" or problem not in met:
            kept.append(problem)
        met.add(problem)
    return kept
