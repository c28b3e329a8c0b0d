"""Whether a query can run on the evidence, host by host, and what it lacks where it can't."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import polars as pl

from hunt.coverage.configured import family, is_configured
from hunt.coverage.facts import counted, key
from hunt.coverage.named import event, in_its_place, named, one_of
from hunt.coverage.seen import Seen
from hunt.events import Events
from hunt.model import ALL_COLUMNS, ANY_CHANNEL, ANY_ID, EventType, Help, Hunt, Need, QueryResult, Status
from hunt.registry import Query

Needs = tuple[Need, ...]
Hosts = frozenset[str]  # by their keys
Shows = Callable[[str], bool]  # of which channels events are decoded


def everything(channel: str) -> bool:
    return True


def required(hunt: Hunt) -> Needs:
    """Every need that decides whether a hunt can run."""
    return (*hunt.needs, *hunt.instead, *(need for group in hunt.any_of for need in group))


@dataclass(frozen=True, slots=True)
class Way:
    """By what of a host a hunt can run there: `needs` or `instead` of the hunt, and what there is of its `any_of`."""

    all_of: Needs
    met: tuple[Needs, ...] = ()

    @property
    def used(self) -> Needs:
        return (*self.all_of, *(need for group in self.met for need in group))


class Able:
    """What hosts have of what hunts need; each need is looked up once, however many hunts have it.

    Hosts are sets of their keys: with thousands of rules and hundreds of hosts nothing is asked host by host.
    """

    def __init__(self, events: Events, seen: Seen, shows: Shows = everything) -> None:
        self._events, self._seen, self._shows = events, seen, shows
        self.hosts = events.hosts()
        self._named = [(host, key(host)) for host in self.hosts]
        self._keys = frozenset(own for _, own in self._named)
        self._having: dict[EventType, Hosts] = {}
        self._live: dict[EventType, Hosts] = {}
        self._filled: dict[tuple[str, int], dict[frozenset[str], Hosts]] = {}
        self._met: dict[Need, Hosts] = {}
        self._families: dict[str, Hosts] = {}
        self._nameless: dict[tuple[str, int], int] | None = None

    def hides(self, channel: str) -> bool:
        """Whether events of a channel are not decoded."""
        return channel != ANY_CHANNEL and not self._shows(channel)

    def having(self, kind: EventType) -> Hosts:
        """The hosts that have events of a type, or whose logs would have them if they had happened."""
        if kind not in self._having:
            hosts = frozenset() if self.hides(kind.channel) else self._hosts_of(kind)
            if not is_configured(kind) and not self.hides(kind.channel):
                hosts |= self.live(EventType(kind.channel, ANY_ID))
            self._having[kind] = hosts
        return self._having[kind]

    def _hosts_of(self, kind: EventType) -> Hosts:
        if kind.channel != ANY_CHANNEL:
            return _keys(self._events.hosts(kind))
        channels = self._events.census()["channel"].drop_nulls().unique()
        kinds = (EventType(channel, kind.event_id) for channel in channels if self._shows(channel))
        return _union(_keys(self._events.hosts(each)) for each in kinds)

    def live(self, kind: EventType) -> Hosts:
        """Those that have events of it which are not recovered."""
        if kind not in self._live:
            self._live[kind] = _keys(self._events.hosts(kind, live=True))
        return self._live[kind]

    def _only_stale(self, kind: EventType) -> Hosts:
        """The hosts that have recovered events of a type, and no other ones."""
        return self._hosts_of(kind) - self.live(kind)

    def met(self, need: Need) -> Hosts:
        """The hosts that have the events of a need, with values in its keys."""
        if need not in self._met:
            self._met[need] = self.having(need.event_type) - _union(self.blank(need, need.keys).values())
        return self._met[need]

    def blank(self, need: Need, columns: frozenset[str]) -> dict[tuple[str, ...], Hosts]:
        """Which of some columns of a need have no value in any event, and on which of the hosts that have such."""
        told: dict[tuple[str, ...], Hosts] = {}
        if columns:
            for filled, hosts in self._profiles(need.event_type).items():
                if names := tuple(sorted(columns - ALL_COLUMNS - filled)):
                    told[names] = told.get(names, frozenset()) | hosts
        return told

    def _profiles(self, kind: EventType) -> dict[frozenset[str], Hosts]:
        """Hosts by the columns in which their events of a type have values: mostly they are alike."""
        if kind.key not in self._filled:
            alike: dict[frozenset[str], set[str]] = {}
            for host, columns in self._seen.filled(kind).items():
                alike.setdefault(frozenset(columns), set()).add(host)
            self._filled[kind.key] = {columns: frozenset(hosts) for columns, hosts in alike.items()}
        return self._filled[kind.key]

    def nameless(self, kind: EventType) -> int:
        """How many events of a type are of no host: nothing is joined to them, and no host's coverage has them."""
        if self._nameless is None:
            named = (pl.col("channel").fill_null("").str.to_lowercase(), "event_id")
            none = self._events.census().filter(pl.col("host").is_null()).group_by(*named).agg(pl.col("records").sum())
            self._nameless = {(channel, event_id): records for channel, event_id, records in none.iter_rows()}
        return 0 if self.hides(kind.channel) else sum(n for of, n in self._nameless.items() if kind.holds(of))

    def ran(self, hunt: Hunt) -> tuple[Hosts, Hosts]:
        """The hosts on which a hunt can run by its `needs` and `any_of`, and by what stands `instead`."""
        keys = self.about(hunt)
        by_needs = keys.intersection(*(self.met(need) for need in hunt.needs))
        by_needs = by_needs.intersection(*(_union(map(self.met, group)) for group in hunt.any_of))
        if not hunt.instead:
            return by_needs, frozenset()
        return by_needs, keys.intersection(*(self.met(need) for need in hunt.instead)) - by_needs

    def about(self, hunt: Hunt) -> Hosts:
        """The hosts that a hunt is about: those with any events of its family, computers or the tenants of a cloud.

        That a computer has no log of the cloud, and an organisation no Sysmon, tells nobody anything.
        """
        if not self._families:
            met = self._events.census().select("host", pl.col("channel").fill_null("")).unique()
            rows = [(key(host), family(channel)) for host, channel in met.drop_nulls("host").iter_rows()]
            for cloud in {own for _, own in rows if own}:
                self._families[cloud] = frozenset(host for host, own in rows if own == cloud) & self._keys
            computers = {host for host, own in rows if not own}
            self._families[""] = self._keys - (_union(self._families.values()) - computers)
        families = {family(need.channel) for need in required(hunt) if need.channel != ANY_CHANNEL}
        return self._families.get(families.pop(), frozenset()) if len(families) == 1 else self._keys

    def way(self, hunt: Hunt, host: str) -> Way | None:
        """By what a hunt can run on a host; None if it can't."""
        by_needs, by_others = self.ran(hunt)
        if key(host) in by_others:
            return Way(hunt.instead)
        if key(host) not in by_needs:
            return None
        return Way(hunt.needs, tuple(tuple(n for n in group if key(host) in self.met(n)) for group in hunt.any_of))

    def lacking(self, need: Need, host: str) -> list[str]:
        """The columns of a need that have no value in any event of a host."""
        return self._seen.lacking(need, host)

    def keys_lacking(self, need: Need, host: str) -> list[str]:
        """Those of them without which nothing can match."""
        return [field for field in self._seen.lacking(need, host) if field in need.keys]

    def result(self, query: Query) -> QueryResult:
        """What became of a query before it ran: ran, partly or not_evaluable, with the hosts and the reason.

        A query that lacks only what `helps` it, or fields that are none of its keys, has run; the reason says what it
        could not tell. So it has by what stands `instead`. Where the events it needs were only recovered it has run on
        few of them: partly.
        """
        hunt = query.hunt
        by_needs, by_others = self.ran(hunt)
        fired = by_needs | by_others
        about = self.about(hunt)
        without = about - fired
        little = [*self._stale(hunt, by_needs, by_others), *self._without_host(required(hunt))]
        status = Status.NOT_EVALUABLE if not fired else Status.PARTLY if without or little else Status.RAN
        reasons = [] if fired and not without else [*self._missing(hunt, without)]
        reasons += [*self._blank(hunt, without, by_needs, by_others), *little, *self._replaced(hunt, by_others, fired)]
        reasons += [*self._kinds(hunt, by_needs, fired), *self._never(hunt, by_needs, fired)]
        reasons += [*self._lost(hunt, by_needs, by_others), *hunt.limits]
        told = "; ".join(dict.fromkeys(reasons))
        ran = tuple(host for host, own in self._named if own in fired)
        rest = tuple(host for host, own in self._named if own in without)
        return QueryResult(hunt.id, hunt.title, query.file, status, told, ran, rest, 0)

    def _missing(self, hunt: Hunt, without: Hosts) -> Iterator[str]:
        every = [*((need,) for need in (*hunt.needs, *hunt.instead)), *hunt.any_of]
        for group in dict.fromkeys(every):
            hosts = _union(self.having(need.event_type) for need in group)
            lacking = without - hosts
            if lacking or not hosts:
                said = one_of(group) if group not in hunt.any_of else self.absent(group)
                yield f"no {said}{f' on {len(lacking)} of the hosts' if hosts else ''}"

    def absent(self, group: Iterable[Need], host: str | None = None) -> str:
        """What of a group lacks, on a host or on all: where a whole channel does, its ids say no more."""
        there = {kind: self.having(EventType(kind, ANY_ID)) for kind in {need.channel for need in group}}
        lack = {c for c, hosts in there.items() if not hosts or (host is not None and key(host) not in hosts)}
        return one_of(Need(n.channel, ANY_ID, n.columns) if n.channel in lack else n for n in group)

    def _never(self, hunt: Hunt, by_needs: Hosts, fired: Hosts) -> Iterator[str]:
        """What a rule looks for and no log of a host has, though it would have it."""
        for group in hunt.any_of or tuple((need,) for need in hunt.needs):
            none = by_needs - _union(self._hosts_of(need.event_type) for need in group)
            if none and not any(is_configured(need.event_type) for need in group):
                yield f"no {one_of(group)} was written{_on(len(none), len(fired))}"

    def _blank(self, hunt: Hunt, without: Hosts, by_needs: Hosts, by_others: Hosts) -> Iterator[str]:
        """Fields that have no value in any event of a host: an export or a shipper may have left them out."""
        every = [*((need, by_needs) for need in hunt.needs), *((need, by_others) for need in hunt.instead)]
        every += [(need, by_needs & self.met(need)) for group in hunt.any_of for need in group]
        for need, used in every:
            for hosts, columns, means in (
                (without, need.keys, "nothing can match"),
                (used, need.columns - need.excludes, "what they tell is not known"),
                (used, need.excludes, "what the rule leaves out by them is not left out"),
            ):
                for names, lacking in sorted(self.blank(need, columns).items()):
                    if count := len(lacking & hosts):
                        yield f"no {', '.join(names)} in {event(need)}{_on(count, len(self.hosts))}: {means}"

    def _stale(self, hunt: Hunt, by_needs: Hosts, by_others: Hosts) -> Iterator[str]:
        every = [*(((need,), by_needs) for need in hunt.needs), *(((need,), by_others) for need in hunt.instead)]
        for group, ran in (*every, *((group, by_needs) for group in hunt.any_of)):
            stale = ran - _union(self.having(need.event_type) - self._only_stale(need.event_type) for need in group)
            if stale:
                there = [need for need in group if stale & self.met(need)]
                were = "were" if len(there) > 1 else "was"
                on = _on(len(stale), len(by_needs | by_others))
                yield f"{one_of(there)} {were} only recovered{on}: most are missing"

    def _without_host(self, needs: Needs) -> Iterator[str]:
        for kind, need in {need.event_type: need for need in needs}.items():
            if number := self.nameless(kind):
                records = counted(number, "record")
                yield f"{records} of {event(need)} without a host: nothing can be joined to them"

    def _replaced(self, hunt: Hunt, by_others: Hosts, fired: Hosts) -> Iterator[str]:
        """On how many hosts what a hunt needs was absent, or of no use, and something else stood in."""
        if not by_others:
            return
        blank = by_others.intersection(*(self.having(need.event_type) for need in hunt.needs))
        for count, what in ((len(by_others - blank), "absent"), (len(blank), "without the fields that it needs")):
            if count:
                yield f"{named(hunt.needs)} {what}{_on(count, len(fired))}: {in_its_place(hunt)}"

    def _kinds(self, hunt: Hunt, by_needs: Hosts, fired: Hosts) -> Iterator[str]:
        """Event types of a channel that a rule looks into, where only others of this channel are there.

        Types of another channel tell of the same acts in other words (Sysmon 1, Security 4688): none is missed.
        """
        told: dict[int, list[Need]] = {}
        for group in hunt.any_of:
            for need in (need for need in group if is_configured(need.event_type)):
                alike = _union(self.met(other) for other in group if key(other.channel) == key(need.channel))
                if count := len((by_needs & alike) - self.met(need)):
                    told.setdefault(count, []).append(need)
        for count, absent in sorted(told.items(), reverse=True):
            yield f"no {one_of(absent)} to look into{_on(count, len(fired))}"

    def _lost(self, hunt: Hunt, by_needs: Hosts, by_others: Hosts) -> Iterator[str]:
        """What could not be told on hosts on which the query ran."""
        for help_ in hunt.helps:
            of: dict[EventType, Hosts] = {}
            for hosts, replaced in ((by_needs, False), (by_others, True)):
                kind = helping(hunt, help_, replaced)
                of[kind] = of.get(kind, frozenset()) | hosts
            for kind, hosts in of.items():
                lacking = hosts - _union(self.live(each) for each in (kind, *help_.others))
                if lacking:
                    on = _on(len(lacking), len(by_needs | by_others))
                    yield f"no {one_of(_needs(kind, help_))}{on}: {help_.without}"


def _needs(kind: EventType, help_: Help) -> Needs:
    return tuple(Need(*each, frozenset()) for each in (kind, *help_.others))


def helping(hunt: Hunt, help_: Help, replaced: bool) -> EventType:
    """The event type that helps on a host; `replaced`: the hunt runs there by what stands `instead`."""
    return help_.instead if replaced and help_.instead else help_.event_type


def evaluate(events: Events, seen: Seen, query: Query, shows: Shows = everything) -> QueryResult:
    """What became of one query before it ran: `Able.result`."""
    return Able(events, seen, shows).result(query)


def evaluate_all(events: Events, seen: Seen, queries: Iterable[Query], shows: Shows = everything) -> list[QueryResult]:
    """The same of many; rules that need the same have the same answer, which is looked for once."""
    able = Able(events, seen, shows)
    known: dict[object, QueryResult] = {}
    results = []
    for query in queries:
        hunt = query.hunt
        asked = (hunt.needs, hunt.any_of, hunt.instead, hunt.helps, hunt.limits)
        result = known.get(asked) or known.setdefault(asked, able.result(query))
        results.append(replace(result, query=hunt.id, title=hunt.title, file=query.file))
    return results


def _keys(hosts: Iterable[str]) -> Hosts:
    return frozenset(key(host) for host in hosts)


def _union(sets: Iterable[Hosts]) -> Hosts:
    return frozenset[str]().union(*sets)


def _on(count: int, hosts: int) -> str:
    return "" if count == hosts else f" on {count} of {hosts} hosts"
