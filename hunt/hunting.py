"""Hunts over the parts of a case, stage by stage; what each part gave becomes one result again.

`Stage` and `Unknowns` are work for `Parts.each`: they, and what they give, can be sent to another process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import polars as pl

from hunt import findings
from hunt.errors import TooLargeError
from hunt.events import Events
from hunt.model import Hunt, Need, QueryResult, Status, Unknown
from hunt.parts import Parts, Together
from hunt.rules.model import PartlyError, RuleError, late
from hunt.shares import host_key


class Turns(Protocol):
    """Who is told of hunts, and may end them."""

    def over(self) -> bool:
        """Whether no hunt is to begin any more."""

    def go_on(self, hunt: Hunt) -> bool:
        """Whether a hunt is to begin."""

    def done(self, hunt: Hunt, found: int) -> None:
        """It gave so many findings."""


class Quiet:
    """Nobody is told, nothing is ended: elsewhere."""

    def over(self) -> bool:
        return False

    def go_on(self, hunt: Hunt) -> bool:
        return True

    def done(self, hunt: Hunt, found: int) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a hunt could not be done on the hosts of one part, or not be told of all their events."""

    hunt: str  # id
    status: Status
    reason: str
    hosts: frozenset[str]  # keys of the part's
    untold: int = 0  # how many events could not be told in time, besides
    size: int = 0  # bytes of events, for which memory has no room


@dataclass(frozen=True, slots=True)
class Counts:
    """What `Unknown.counts` gave of one part: its place among those asked, host, unknown, total; None: why not."""

    rows: tuple[tuple[int, str, int | None, int], ...]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Unknowns:
    """Counts, on each part, of what hunts can't answer."""

    asked: Sequence[Unknown]

    def __call__(self, events: Events) -> Counts:
        rows: list[tuple[int, str, int | None, int]] = []
        why = ""
        for number, part in enumerate(self.asked):
            try:
                counted = part.counts(events.only(part.reads)).collect()
            except TooLargeError as error:
                why = str(error)
                rows += [(number, host, None, 0) for host in events.hosts() or ("",)]
            else:
                rows += [(number, *row) for row in counted.iter_rows()]
        return Counts(tuple(rows), why)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What hunts of one stage gave in one part."""

    matches: pl.DataFrame  # findings.FOUND
    told: pl.DataFrame  # findings.COLUMNS
    events: pl.DataFrame  # findings.EVENT_COLUMNS, `fields` null
    failures: tuple[Failure, ...] = ()
    counts: Counts | None = None  # if they were asked for
    unparsed: int = 0  # values that did not fit their column's type, if counts were asked for


_NO_MATCHES = pl.DataFrame(schema=findings.FOUND)
_NOTHING = pl.DataFrame(schema=findings.COLUMNS), pl.DataFrame(schema=findings.EVENT_COLUMNS)


@dataclass(frozen=True, slots=True)
class Stage:
    """Some hunts, to be run on each part. `before`: FOUND, what earlier stages found anywhere; None: none has run.

    `unknowns`: also count these, and what was not parsed; None: neither.
    """

    hunts: Sequence[Hunt]
    before: pl.DataFrame | None = None
    unknowns: Unknowns | None = None
    turns: Turns = field(default_factory=Quiet)

    def __reduce__(self) -> tuple[type[Stage], tuple[object, ...]]:
        return Stage, (self.hunts, self.before, self.unknowns)  # elsewhere, nobody is told

    def __call__(self, events: Events) -> Outcome:
        matches = [_NO_MATCHES]
        failures: list[Failure] = []
        outcomes = [_NOTHING]
        hosts = frozenset(host.lower() for host in events.hosts()) or frozenset({""})
        for case, hunts in events.for_hunts(self.hunts):
            if isinstance(case, TooLargeError):
                lacking = str(case), hosts, 0, case.size
                failures += [Failure(hunt.id, Status.NOT_EVALUABLE, *lacking) for hunt in hunts]
                continue
            case.findings = None if self.before is None else case.share.of(self.before)
            own = [*run_on(case, hunts, hosts, self.turns, failures)]
            if own:
                matches += own
                found = pl.concat(own)
                outcomes.append(findings.told(events.located(findings.references(found)), found))
        told, met = (pl.concat(part) for part in zip(*outcomes, strict=True))
        done = Outcome(pl.concat(matches), told, met, tuple(failures))
        if self.unknowns is None:
            return done
        return replace(done, counts=self.unknowns(events), unparsed=events.unparsed())


def run_on(
    case: Events, hunts: Iterable[Hunt], hosts: frozenset[str], turns: Turns, failures: list[Failure]
) -> Iterator[pl.DataFrame]:
    """FOUND of each hunt that finds anything; what goes wrong, on these `hosts`, is added to `failures`."""
    for hunt in hunts:
        if not turns.go_on(hunt):
            failures.append(Failure(hunt.id, Status.NOT_EVALUABLE, "interrupted before it ran", hosts))
            continue
        try:
            found = findings.of_hunt(case, hunt)
        except PartlyError as error:
            failures.append(Failure(hunt.id, error.status, error.rest, hosts, error.untold))
            found = findings.matches(hunt, error.found)
        except RuleError as error:
            failures.append(Failure(hunt.id, error.status, error.reason, hosts))
            continue
        if found.height:
            yield found
        turns.done(hunt, found.height)


@dataclass(slots=True)
class Hunted:
    """What all hunts gave, sorted: COLUMNS (nothing marked as harmless) and EVENT_COLUMNS, `fields` null."""

    found: pl.DataFrame
    events: pl.DataFrame
    failures: list[Failure]
    counted: Counted
    unparsed: int  # values that did not fit their column's type

    def judged(self, result: QueryResult) -> QueryResult:
        """What became of a query after its turns on all parts."""
        own = [failure for failure in self.failures if failure.hunt == result.query]
        return _judged(result, own) if own else result


Mark = Callable[[pl.DataFrame], pl.DataFrame]


def run(parts: Parts, hunts: Sequence[Hunt], turns: Turns, mark: Mark, others: Sequence[Hunt] = ()) -> Hunted:
    """All hunts, in the order of their stages; from the second on they see what was found before, as `mark` marks it.

    Hunts that look across hosts get all of them at once, as far as memory allows it. What hunts can't answer is
    counted for them and for `others`, which are not run.
    """
    outcomes: list[Outcome] = []
    refused: list[Failure] = []
    counting = _Counting(parts, (*hunts, *others))
    for stage in sorted({1, *(hunt.stage for hunt in hunts)}):
        before = mark(pl.concat(part.matches for part in outcomes)) if stage > 1 else None
        of_stage = [hunt for hunt in hunts if hunt.stage == stage]
        refused += [*_without(outcomes, of_stage)] if stage > 1 else []
        by_host = [hunt for hunt in of_stage if counting.by_host(hunt)]
        across = [hunt for hunt in of_stage if not counting.by_host(hunt)]
        if by_host or stage == 1:
            outcomes += parts.each(Stage(by_host, before, counting.unknowns if stage == 1 else None, turns))
        if across:
            outcomes.append(_across(parts, across, before, turns))
    told, events = (pl.concat(p) for p in zip(_NOTHING, *((part.told, part.events) for part in outcomes), strict=True))
    failures = [*(failure for part in outcomes for failure in part.failures), *refused]
    counted = counting.done(part.counts for part in outcomes)
    return Hunted(*findings.in_order(told, events), failures, counted, sum(part.unparsed for part in outcomes))


def _without(outcomes: Iterable[Outcome], hunts: Iterable[Hunt]) -> Iterator[Failure]:
    """What these hunts build on and did not get: hunts of earlier stages for whose events memory has no room."""
    failed = [failure for part in outcomes for failure in part.failures if failure.size]
    if failed:
        named = ", ".join(sorted({failure.hunt for failure in failed}))
        reason = f"builds on what others find, for which memory had no room on some hosts: {named}"
        yield from (Failure(hunt.id, Status.PARTLY, reason, frozenset()) for hunt in hunts)


@dataclass(frozen=True, slots=True)
class Counted:
    """What hunts can't answer, of each Unknown: host, how many of how many; None: not counted, for `why`."""

    rows: Mapping[Unknown, Sequence[tuple[str, int | None, int]]]
    why: str = ""


@dataclass(slots=True)
class _Counting:
    """Which hunts, and what of them, can be asked of each part by itself."""

    parts: Parts
    hunts: Sequence[Hunt]

    def by_host(self, hunt: Hunt) -> bool:
        return self.parts.undivided or not hunt.across_hosts

    @property
    def unknowns(self) -> Unknowns:
        return Unknowns(self._asked(True))

    def _asked(self, by_host: bool) -> tuple[Unknown, ...]:
        return tuple(dict.fromkeys(u for hunt in self.hunts if self.by_host(hunt) == by_host for u in hunt.unknowns))

    def done(self, counts: Iterable[Counts | None]) -> Counted:
        """What parts gave for `unknowns`, and what is asked of all hosts at once."""
        rows: dict[Unknown, list[tuple[str, int | None, int]]] = {}
        why = ""
        asked = self._asked(True)
        for part in filter(None, counts):
            why = why or part.why
            for number, host, count, total in part.rows:
                rows.setdefault(asked[number], []).append((host, count, total))
        for unknown in self._asked(False):
            if unknown in asked:  # of another hunt, too: it is counted
                continue
            try:
                rows[unknown] = list(unknown.counts(self.parts.whole(unknown.reads)).collect().iter_rows())
            except TooLargeError as error:
                why = str(error)
                rows[unknown] = [("", None, 0)]
        return Counted(rows, why)


def counted(parts: Parts, hunts: Sequence[Hunt]) -> Counted:
    """What hunts can't answer, without running them."""
    counting = _Counting(parts, hunts)
    return counting.done(parts.each(counting.unknowns))


def gather(
    case: Events, hunts: Sequence[Hunt], fields: bool = True, mark: Mark = lambda found: found
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(findings, their events) of one case: COLUMNS and EVENT_COLUMNS, sorted. Raises RuleError for a failed hunt."""
    hunted = run(Together(case), hunts, Quiet(), mark)
    for failure in hunted.failures:
        raise RuleError(failure.status, failure.reason)
    events = hunted.events
    return hunted.found, events.with_columns(findings.seen(case, events).alias("fields")) if fields else events


def _across(parts: Parts, hunts: Sequence[Hunt], before: pl.DataFrame | None, turns: Turns) -> Outcome:
    """Hunts that look across hosts: together if that fits, else one by one."""
    try:
        case = _all_hosts(parts, hunts, before)
        case.findings = before
        failures: list[Failure] = []
        matches = pl.concat([_NO_MATCHES, *run_on(case, hunts, frozenset(), turns, failures)])
        return Outcome(matches, *_told(parts, matches), tuple(failures))
    except TooLargeError as error:
        if len(hunts) > 1:
            return _united([_across(parts, [hunt], before, turns) for hunt in hunts])
        everywhere = Failure(
            hunts[0].id, Status.NOT_EVALUABLE, f"looks across hosts, {error}", frozenset(), size=error.size
        )
        return Outcome(_NO_MATCHES, *_NOTHING, (everywhere,))


@runtime_checkable
class _OfFew(Protocol):
    """Parts that need not bring all events together for hunts that build on findings."""

    def of_few(self, needs: Iterable[Need], everywhere: Iterable[Need], keys: Iterable[str]) -> Events:
        """As `whole`, but only what is needed `everywhere` of other hosts than these."""


def _all_hosts(parts: Parts, hunts: Sequence[Hunt], before: pl.DataFrame | None) -> Events:
    needs = [need for hunt in hunts for need in hunt.wanted]
    if before is None or not isinstance(parts, _OfFew) or any(hunt.everywhere is None for hunt in hunts):
        return parts.whole(needs)
    everywhere = [need for hunt in hunts for need in hunt.everywhere or ()]
    return parts.of_few(needs, everywhere, before.select(host_key().unique())["host"].to_list())


def _told(parts: Parts, matches: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`findings.told` of matches that may be of events on any hosts."""
    references = findings.references(matches)
    keys = references.select(host_key().unique())["host"].to_list()
    kinds = references.select("channel", "event_id").unique().iter_rows()
    met = [pl.DataFrame(schema=findings.LOCATED)]
    for events in parts.of_hosts(keys, [Need(channel, event_id, frozenset()) for channel, event_id in kinds]):
        own = events.share.of(references)
        met.append(findings.located(events.located(own), own))
    return findings.with_events(matches, pl.concat(met))


def _united(outcomes: Sequence[Outcome]) -> Outcome:
    matches, told, events = (
        pl.concat(frames) for frames in zip(*((part.matches, part.told, part.events) for part in outcomes), strict=True)
    )
    return Outcome(matches, told, events, tuple(failure for part in outcomes for failure in part.failures))


def _judged(result: QueryResult, failures: Sequence[Failure]) -> QueryResult:
    hosts = {host.lower() for host in result.hosts_ran}
    hard = [failure for failure in failures if not failure.status.able]
    if any("" in failure.hosts for failure in hard):  # events that name no host: coverage knows none that they ran on
        hosts.add("")
    lost = hosts.intersection(frozenset().union(*(failure.hosts for failure in hard)))
    if hard and (lost == hosts or not all(failure.hosts for failure in hard)):
        worst = max(hard, key=lambda failure: failure.size)
        return result.unable(worst.reason, worst.status)
    soft = dict.fromkeys(failure.reason for failure in failures if failure.status.able)
    said = [late(sum(failure.untold for failure in failures)), *soft]
    if lost:
        worst = max((f for f in hard if f.hosts & lost), key=lambda failure: failure.size)
        said.append(f"on {len(lost)} of {len(hosts)} hosts not evaluable: {worst.reason}")
    if not any(said):  # nowhere that it could have run
        return result
    return replace(
        result,
        status=Status.PARTLY,
        reason="; ".join(filter(None, (result.reason, *said))),
        hosts_ran=tuple(host for host in result.hosts_ran if host.lower() not in lost),
        hosts_not_evaluable=tuple(
            sorted((*result.hosts_not_evaluable, *(h for h in result.hosts_ran if h.lower() in lost)), key=str.lower)
        ),
    )


Work = Callable[[pl.DataFrame, Events], pl.DataFrame]


def by_part(parts: Parts, rows: pl.DataFrame, needs: Sequence[Need], work: Work) -> pl.DataFrame:
    """`work` of the rows of each part's hosts (column `host`), in the order of `rows`; a row gives one."""
    if parts.undivided:
        (events,) = parts.of_hosts((), needs)
        return work(rows, events)
    numbered = rows.with_row_index("_of")
    keys = numbered.select(host_key().unique())["host"].to_list()
    done = []
    for events in parts.of_hosts(keys, needs):
        own = events.share.of(numbered)
        if own.height:
            done.append(work(own.drop("_of"), events).with_columns(own["_of"]))
    return pl.concat(done).sort("_of").drop("_of") if done else work(rows, Events(needs))
