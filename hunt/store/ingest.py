"""`hunt ingest`: evidence in, a case out. Lot by lot: what is killed goes on where it was."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from hunt import evidence, interrupts, isolation, pulse, registry
from hunt.errors import EvidenceError, HuntError
from hunt.evidence import Collection
from hunt.interrupts import Stop
from hunt.isolation import Bounds, Guard
from hunt.model import Evidence, Opening, Problem, Reading, Tally
from hunt.reading import read
from hunt.store import layout, lock, lots, manifests
from hunt.store.folders import PARTIAL, Folder, folder
from hunt.store.layout import Case, Lot, Met, inside
from hunt.store.lot import LotWriter
from hunt.store.lots import Plan, Work
from hunt.store.manifests import CaseError
from hunt.watcher import Watcher

_LEAST_MEMORY = 1 << 30  # bytes: a lot of 256 MiB takes some 600 MiB to decode and write


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be read, where it goes, and how."""

    evidence: Sequence[Path]
    case: str  # a path or a URL
    jobs: int = 1
    bounds: Bounds = field(default_factory=Bounds)
    opening: Opening = field(default_factory=Opening)
    slack: bool = False  # also stale records behind the live ones
    wait: bool = True  # for another ingest's end


@dataclass(frozen=True, slots=True)
class Ingested:
    """What `ingest` did."""

    name: str  # of the case, for people
    case: Case
    tallies: tuple[Tally, ...]  # of logs that were read; of a large one one for each piece
    aliases: int  # logs that equal others
    known: int  # logs that were in already
    changed: bool  # whether the case is another one now
    problems: tuple[Problem, ...]  # of this evidence, also those met before
    interrupted: bool


def ingest(asked: Asked, watcher: Watcher | None = None) -> Ingested:
    """Bring evidence into a case. Raises HuntError for what can't be served, and OSError in writing.

    Whatever ends it, the case is whole, and says which logs it lacks.
    """
    watcher = watcher or Watcher()
    if asked.bounds.max_memory is not None and asked.bounds.max_memory < _LEAST_MEMORY:
        raise HuntError(f"--max-memory: {_LEAST_MEMORY >> 20}M is the least that an ingest takes")
    where = folder(asked.case)
    _apart(where, asked.evidence)
    before = _opened(where)
    isolation.bound(asked.bounds)
    with interrupts.listening() as stop, _collected(asked, before, where.local) as collected:
        for problem in collected.problems:
            watcher.problem(problem)
        with lock.held(where, asked.wait, watcher.note) as held:
            case = _opened(where)  # another ingest may have written meanwhile
            if held.dirty:
                _sweep(where, case)
            plan = lots.plan(case, collected, asked.slack)
            writing = _Writing(where, case, plan, asked, watcher, stop)
            try:
                with stop.whole():
                    writing.all()
            except BaseException:
                held.tidy = False
                raise
            return writing.done(case, collected)


def _apart(where: Folder, arguments: Sequence[Path]) -> None:
    """Raises EvidenceError where evidence would be written to, or a case taken for evidence."""
    if where.local is None:
        return
    place = where.local.resolve()
    for argument in arguments:
        other = argument.resolve()
        if place == other or other in place.parents:
            raise EvidenceError(f"{where.name}: lies in the evidence {argument}; a case is never written there")
        if (other / layout.CASE).is_file() or (place in other.parents and (place / layout.CASE).is_file()):
            raise EvidenceError(f"{argument}: is (part of) a case, not evidence")


def _opened(where: Folder) -> Case:
    """The case that is there, or a new one. Raises CaseError for anything else: nothing is mixed with it."""
    if manifests.exists(where):
        return manifests.load(where)
    ours = (layout.LOCK, layout.CASE + PARTIAL)
    try:
        empty = all(name in ours for name in where.names())
    except NotADirectoryError:
        raise CaseError(f"{where.name}: is a file, not the folder of a case") from None
    if not empty:
        raise CaseError(f"{where.name}: holds other files and is no case; name a new or an empty folder")
    return Case()


@contextmanager
def _collected(asked: Asked, case: Case, out: Path | None) -> Iterator[Collection]:
    """The evidence. Containers that are in whole are not opened again."""
    opened = {entry.key: entry.source for entry in case.containers()}
    lacking = [problem.source for problem in case.collecting()] + [entry.source for entry in case.pending]
    unread = {name for source in lacking for name in layout.around(source)}

    def known(container: Evidence) -> bool:
        own = opened.get((container.sha256, container.source))
        return own is not None and own not in unread

    begin, avoid = partial(pulse.beat, pulse.Phase.COLLECTING), pulse.orders().avoid
    parsers, containers = registry.parsers(), registry.containers()
    with evidence.collect(
        asked.evidence, parsers, containers, asked.opening, out, begin=begin, avoid=avoid, known=known
    ) as collected:
        yield collected


def _sweep(where: Folder, case: Case) -> None:
    """Remove what an ingest left that was killed: files of ours that no manifest names."""
    named: set[str] = set()
    for lot in case.lots:
        named |= {layout.lot_path(lot.id), *(file.path for file in lot.files)}
        named |= {layout.census_path(lot.id)} if lot.census else set()
    ours = (f"{layout.EVENTS}/", f"{layout.LOTS}/", layout.CASE + PARTIAL)  # an analyst may keep notes beside them
    for path in [path for path in where.files() if path.startswith(ours) and path not in named]:
        where.remove(path)


class _Writing:
    """The lots of one ingest, each committed before the next is read."""

    def __init__(self, where: Folder, case: Case, plan: Plan, asked: Asked, watcher: Watcher, stop: Stop) -> None:
        self._where = where
        self._case = case
        self._plan = plan
        self._asked = asked
        self._watcher = watcher
        self._stop = stop
        self._tallies: list[Tally] = []

    def all(self) -> None:
        """Everything that is planned, or as far as an interrupt lets it. Raises OSError."""
        if self._plan.lots:
            self._commit(replace(self._case, pending=self._plan.pending))
        every = [work for lot in self._plan.lots for work in lot]
        progress = _Progress(self._watcher, len(every), sum(work.size for work in every))
        closing = [self._plan.closing] if self._plan.closing else []
        for number, work in enumerate(self._plan.lots, 1):
            lot = self._lot(work, progress)
            if lot is None:
                return
            # What was met besides is told with the last one: a case that lacks it must not look complete.
            self._add([lot, *(closing if number == len(self._plan.lots) else ())])
        if not self._plan.lots:
            self._add(closing)

    def done(self, before: Case, collected: Collection) -> Ingested:
        """What was done, out of the state before and now."""
        sources = {item.source for item, _ in collected.files} | {item.source for item in collected.containers}
        entries: tuple[Met, ...] = (*self._case.items(), *self._case.containers())
        named = {entry.source for entry in entries if entry.named in sources}
        problems = [problem for problem in self._case.problems() if inside(problem.source, named)]
        told = tuple(dict.fromkeys((*self._plan.problems, *problems)))
        aliases = len(self._case.aliases()) - len(before.aliases())
        changed = self._case != before
        name, plan, stop = self._where.name, self._plan, self._stop
        return Ingested(name, self._case, tuple(self._tallies), aliases, plan.known, changed, told, stop.requested)

    def _lot(self, work: tuple[Work, ...], progress: _Progress) -> Lot | None:
        """A lot that was read and written; None if an interrupt came before it was read whole."""
        collection = Collection(tuple(each.file() for each in work), (), ())

        def attempt(guard: Guard) -> tuple[Lot, tuple[Tally, ...]] | None:
            writer = LotWriter(self._where, work, self._plan.slack, self._asked.jobs, self._case.buckets)
            try:
                reading = Reading(jobs=self._asked.jobs, processes=True, slack=self._plan.slack, more=True)
                tallies, problems = read(collection, reading, writer.add, progress, guard)
                if guard.unread:
                    writer.discard()
                    return None
                lot = writer.finish(tallies, problems)
            except BaseException:
                _try(writer.discard)
                raise
            for trace in guard.faults:
                self._watcher.fault(trace)
            return lot, tallies

        found = isolation.attempts(attempt, self._asked.bounds, self._stop, self._watcher.note)
        isolation.bound(self._asked.bounds)  # the next lot is read the quick way again
        if found is None:
            return None
        progress.over(sum(each.size for each in work))
        self._tallies += found[1]
        return found[0]

    def _add(self, added: Sequence[Lot]) -> None:
        """From now on these lots are there."""
        case = self._case
        for lot in added:
            content = manifests.lot_json(lot)
            self._where.write(layout.lot_path(lot.id), content)
            hashes = {**case.hashes, lot.id: hashlib.sha256(content).hexdigest()}
            case = replace(case, lots=(*case.lots, lot), hashes=hashes)
            case = replace(case, pending=lots.left(case, lot))
        self._where.settle()
        self._commit(case)

    def _commit(self, case: Case) -> None:
        if case != self._case:
            self._where.write(layout.CASE, manifests.case_json(case))
            self._where.settle()
            self._case = case


def _try(remove: Callable[[], None]) -> None:
    """On the way out of a failure: what stays is invisible, and removed by the next ingest."""
    try:
        remove()
    except OSError:
        return


class _Progress(Watcher):
    """Tells of many lots as one."""

    def __init__(self, watcher: Watcher, files: int, size: int) -> None:
        self._watcher = watcher
        self._before = 0  # bytes of lots that are done
        self._records = self._met = 0
        watcher.begin(files, size)

    def over(self, size: int) -> None:
        """A lot of so many bytes is done."""
        self._before += size
        self._records += self._met
        self._met = 0

    def at(self, source: str, bytes_done: int, records: int) -> None:
        self._met = records
        self._watcher.at(source, self._before + bytes_done, self._records + records)

    def problem(self, problem: Problem) -> None:
        self._watcher.problem(problem)

    def tally(self, tally: Tally) -> None:
        self._watcher.tally(tally)
