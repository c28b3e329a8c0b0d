"""What an ingest has to do: which of the evidence is not in the case yet, what the case calls it, in which lots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from hunt.errors import HuntError
from hunt.evidence import Collection
from hunt.model import Evidence, Parser, Piece, Problem, Ranged
from hunt.pieces import PieceParser
from hunt.store.layout import (
    Alias,
    Case,
    Item,
    Lot,
    Met,
    Opened,
    Pending,
    around,
    inside,
    moment_text,
)
from hunt.store.manifests import lot_id

# Bytes of evidence: large enough for few files, small enough that one fits into memory decoded. Large logs are cut by
# it, so that it changes with layout.SCHEMA only.
LOT = 256 << 20


@dataclass(frozen=True, slots=True)
class Work:
    """A log to be read, or a part of one."""

    evidence: Evidence  # under the name the case has for it
    parser: Parser
    named: str
    part: tuple[int, int] | None = None

    @property
    def size(self) -> int:
        return self.evidence.size if self.part is None else self.part[1] - self.part[0]

    def item(self, found: int = 0, read: int = 0, problems: int = 0) -> Item:
        """What the case says of it."""
        e = self.evidence
        at = moment_text(e.modified)
        return Item(e.source, self.named, e.size, e.sha256, at, self.parser.name, found, read, problems, self.part)

    def file(self) -> tuple[Evidence, Parser]:
        """What is read, and with what."""
        if self.part is None:
            return self.evidence, self.parser
        assert isinstance(self.parser, Ranged)
        piece = Piece(self.evidence, *self.part)
        return replace(self.evidence, size=piece.size), PieceParser.of(self.parser, piece)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done. Nothing: `lots` and `closing` are empty."""

    slack: bool
    lots: tuple[tuple[Work, ...], ...]
    pending: tuple[Pending, ...]  # all that is to be read, also by ingests that were ended before
    closing: Lot | None  # what else is to be told
    known: int  # logs that are in already
    problems: tuple[Problem, ...]  # met in looking for logs


def plan(case: Case, collected: Collection, slack: bool) -> Plan:
    """What of a collection is not in a case yet. Raises HuntError for stale records of logs that are in without."""
    if slack and not case.slack:
        raise HuntError("--slack: the case was made without it; for stale records, ingest into another one")
    slack = slack or (case.slack and any(lot.slack for lot in case.lots))
    names = _Names(case, collected)
    containers = [_opened(item, names(item.source, item.sha256)) for item in collected.containers]
    late = {pending.key for pending in case.pending}
    held = {item.sha256: item.source for item in case.items() if item.key not in late}
    known_logs: tuple[Met, ...] = (*case.items(), *case.aliases())
    there = {entry.key for entry in known_logs} - late
    work: list[Work] = []
    aliases: list[Alias] = []
    known = 0
    for item, parser in collected.files:
        key = (item.sha256, item.source)
        if key in there:
            known += 1
            continue
        own = replace(item, source=names(*key[::-1]))
        if held.setdefault(item.sha256, own.source) == own.source:
            work.append(Work(own, parser, item.source))
        else:
            at = moment_text(item.modified)
            aliases.append(Alias(own.source, item.source, item.size, item.sha256, at, held[item.sha256]))
    problems = tuple(replace(problem, source=names.inside(problem.source)) for problem in collected.problems)
    skipped = [names.inside(source) for source in collected.skipped]
    pending = {p.key: p for p in case.pending}
    for own_work in work:
        e = own_work.evidence
        pending[e.sha256, own_work.named] = Pending(e.source, own_work.named, e.size, e.sha256)
    closing = _closing(case, slack, aliases, containers, skipped, problems)
    return Plan(slack, tuple(_lots(case, work)), tuple(pending.values()), closing, known, problems)


def left(case: Case, lot: Lot) -> tuple[Pending, ...]:
    """What is pending of a case that this lot was just added to."""
    done = {alias.key for alias in lot.aliases} | {item.key for item in lot.items if item.part is None}
    for item in (item for item in lot.items if item.part):
        read = {same.part for other in case.lots for same in other.items if same.source == item.source and same.part}
        if sum(end - begin for begin, end in read) >= item.size:
            done.add(item.key)
    return tuple(pending for pending in case.pending if pending.key not in done)


def _lots(case: Case, work: Sequence[Work]) -> Iterator[tuple[Work, ...]]:
    """In order, as many as fit; pieces of large logs alone."""
    done = {(item.source, item.part) for lot in case.lots for item in lot.items}
    waiting: list[Work] = []
    size = 0
    for each in (part for whole in work for part in _parts(whole)):
        if (each.evidence.source, each.part) in done:
            continue
        if waiting and (each.part or size + each.size > LOT):
            yield tuple(waiting)
            waiting, size = [], 0
        if each.part:
            yield (each,)
        else:
            waiting.append(each)
            size += each.size
    if waiting:
        yield tuple(waiting)


def _parts(work: Work) -> Iterator[Work]:
    if work.evidence.size > LOT and isinstance(work.parser, Ranged):
        for piece in work.parser.pieces(work.evidence, LOT):
            yield replace(work, part=(piece.begin, piece.end))
    else:
        yield work


def _closing(
    case: Case,
    slack: bool,
    aliases: Sequence[Alias],
    containers: Sequence[Opened],
    skipped: Sequence[str],
    problems: Sequence[Problem],
) -> Lot | None:
    """A lot that reads nothing and tells what is new; None if nothing is."""
    told, before = set(case.collecting()), {opened.key for opened in case.containers()}
    other = {name for problem in told.symmetric_difference(problems) for name in around(problem.source)}
    # One that is told again takes back what could not be read in it the last time.
    opened = [container for container in containers if container.key not in before or container.source in other]
    again = {container.source for container in opened}
    collecting = [p for p in dict.fromkeys(problems) if p not in told or inside(p.source, again)]
    known = set(case.skipped())
    names = [name for name in skipped if name not in known]
    if not (aliases or opened or collecting or names):
        return None
    rest = (tuple(aliases), tuple(opened), tuple(names), tuple(collecting))
    return Lot(
        lot_id(slack, (), [repr(part) for part in rest]),
        slack,
        aliases=rest[0],
        containers=rest[1],
        skipped=rest[2],
        collecting=rest[3],
    )


def _opened(item: Evidence, source: str) -> Opened:
    return Opened(source, item.source, item.size, item.sha256, moment_text(item.modified))


@dataclass(slots=True)
class _Names:
    """What a case calls evidence: as it is called, or `a#2` if another `a` is in already."""

    case: Case
    collected: Collection
    taken: set[str] = field(init=False)
    own: dict[tuple[str, str], str] = field(init=False)  # by hash and name
    containers: dict[str, str] = field(init=False)
    _used: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        entries: tuple[Met, ...] = (
            *self.case.items(),
            *self.case.aliases(),
            *self.case.containers(),
            *self.case.pending,
        )
        self.own = {(entry.sha256, entry.named): entry.source for entry in entries}
        self.taken = {entry.source for entry in entries}
        self._used = frozenset(self.taken)
        self.taken |= {item.source for item, _ in self.collected.files}
        self.taken |= {item.source for item in self.collected.containers}
        self.containers = {}
        for item in self.collected.containers:
            self.containers[item.source] = self(item.source, item.sha256)

    def __call__(self, named: str, sha256: str) -> str:
        key = (sha256, named)
        if key not in self.own:
            name = self.inside(named)
            self.own[key] = self._free(name) if name in self._used else name
            self.taken.add(self.own[key])
        return self.own[key]

    def inside(self, source: str) -> str:
        """A name with that of the container it lies in as the case has it."""
        for name in around(source):
            if name != source and name in self.containers:
                return self.containers[name] + source[len(name) :]
        return source

    def _free(self, name: str) -> str:
        number = 2
        while f"{name}#{number}" in self.taken:
            number += 1
        return f"{name}#{number}"
