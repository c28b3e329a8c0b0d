"""Which queries could have fired, on which hosts and when, and what was missing where they could not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import polars as pl

from hunt.coverage.facts import Fact, counted, key
from hunt.coverage.logs import LISTED, Census
from hunt.coverage.seen import Seen
from hunt.events import Events
from hunt.model import SYSMON, EventType, Help, Hunt, Need, QueryResult, Status, Unknown
from hunt.registry import Query

# Event types that tell of starts: a query that needs one of them does not see a process that runs already.
_STARTS = frozenset({(key(SYSMON), 1), ("security", 4688)})


Needs = tuple[Need, ...]
Shows = Callable[[str], bool]  # of which channels events are decoded
_Having = Mapping[Need, set[str]]  # the hosts, by their keys, that have the events of a need


def everything(channel: str) -> bool:
    return True


def evaluate(events: Events, seen: Seen, query: Query, shows: Shows = everything) -> QueryResult:
    """What became of a query before it ran: ran, partly or not_evaluable, with the hosts and the reason.

    A query that lacks only what `helps` it, or fields that are none of its keys, has run; the reason says what it could
    not tell. So it has by what stands `instead`. Where the events it needs were only recovered it has run on few of
    them: partly.
    """
    hunt = query.hunt
    having = _having(events, hunt, shows)
    ways = {host: _way(hunt, having, seen, host) for host in events.hosts()}
    ran = [host for host, way in ways.items() if way is not None]
    without = [host for host, way in ways.items() if way is None]
    little = [
        *(said for way in _ways(hunt) for said in _stale(events, way, _by(ways, way), len(ran))),
        *_nameless(events, [need for need in having if shows(need.channel)]),
    ]
    status = Status.NOT_EVALUABLE if not ran else Status.PARTLY if without or little else Status.RAN
    reasons = [] if ran and not without else [*_missing(having, without)]
    reasons += [*_blank(hunt, seen, ways), *little, *_replaced(hunt, having, ways), *_lost(events, hunt, ways)]
    return QueryResult(hunt.id, hunt.title, query.file, status, "; ".join(reasons), tuple(ran), tuple(without), 0)


def _ways(hunt: Hunt) -> tuple[Needs, ...]:
    """What a host must have for a hunt: all of the first, or all of the second."""
    return (hunt.needs, hunt.instead) if hunt.instead else (hunt.needs,)


def _having(events: Events, hunt: Hunt, shows: Shows) -> _Having:
    every = (need for way in _ways(hunt) for need in way)
    return {need: _keys(events.hosts(need.event_type)) if shows(need.channel) else set() for need in every}


def _way(hunt: Hunt, having: _Having, seen: Seen, host: str) -> Needs | None:
    """By what of a host a hunt can run; None if it can't."""

    def met(need: Need) -> bool:
        return key(host) in having[need] and not _keys_lacking(seen, need, host)

    return next((way for way in _ways(hunt) if all(map(met, way))), None)


def _by(ways: Mapping[str, Needs | None], way: Needs) -> list[str]:
    """The hosts on which a hunt runs by these."""
    return [host for host, own in ways.items() if own == way]


def _keys(hosts: Iterable[str]) -> set[str]:
    return {key(host) for host in hosts}


def _keys_lacking(seen: Seen, need: Need, host: str) -> list[str]:
    return [field for field in seen.lacking(need, host) if field in need.keys]


def _event(kind: Need | EventType) -> str:
    return f"event {kind.event_id} of {kind.channel}"


def _named(needs: Iterable[Need]) -> str:
    return ", ".join(map(_event, needs))


def _in_its_place(hunt: Hunt) -> str:
    return f"{_named(hunt.instead)} in its place, with lower confidence"


def _replaced(hunt: Hunt, having: _Having, ways: Mapping[str, Needs | None]) -> Iterator[str]:
    """On how many hosts what a hunt needs was absent, or of no use, and something else stood in."""
    if not hunt.instead:
        return
    ran = sum(way is not None for way in ways.values())
    hosts = _by(ways, hunt.instead)
    blank = [host for host in hosts if all(key(host) in having[need] for need in hunt.needs)]
    for count, what in ((len(hosts) - len(blank), "absent"), (len(blank), "without the fields that it needs")):
        if count:
            yield f"{_named(hunt.needs)} {what}{_on(count, ran)}: {_in_its_place(hunt)}"


def unknown(events: Events, queries: Iterable[Query]) -> Iterator[Fact]:
    """Facts of the kind not_evaluable: of how many processes of a host a query could not tell all it asks."""
    told: dict[Unknown, list[tuple[str, int, int]]] = {}
    for query in queries:
        for part in query.hunt.unknowns:
            if part not in told:
                told[part] = list(part.counts(events).collect().iter_rows())
            for host, count, total in told[part]:
                if count:
                    detail = f"{part.said}: {count} of {counted(total, 'process start')}"
                    of = part.reads[0]
                    yield Fact(
                        "not_evaluable", host, of.channel, query.hunt.id, of.event_id, count=count, detail=detail
                    )


def with_unknown(
    results: Iterable[QueryResult], queries: Iterable[Query], facts: Iterable[Fact]
) -> Iterator[QueryResult]:
    """The results, each saying of how many processes it could not tell all it asks; partly where that is vital."""
    numbers: Counter[tuple[str, str]] = Counter()
    for fact in facts:
        numbers[fact.query, fact.detail.rpartition(": ")[0]] += fact.count or 0
    for result, query in zip(results, queries, strict=True):
        met = [part for part in query.hunt.unknowns if numbers[query.hunt.id, part.said]]
        said = [f"{part.said}: {counted(numbers[query.hunt.id, part.said], 'process start')}" for part in met]
        partly = result.status == Status.RAN and any(part.vital for part in met)
        reason = "; ".join((*filter(None, [result.reason]), *said))
        yield replace(result, reason=reason, status=Status.PARTLY if partly else result.status)


def _missing(having: _Having, without: Sequence[str]) -> Iterator[str]:
    for need, hosts in having.items():
        lacking = [host for host in without if key(host) not in hosts]
        if lacking or not hosts:
            yield f"no {_event(need)}{f' on {len(lacking)} of the hosts' if hosts else ''}"


def _blank(hunt: Hunt, seen: Seen, ways: Mapping[str, Needs | None]) -> Iterator[str]:
    """Fields that have no value in any event of a host: an export or a shipper may have left them out."""
    without = [host for host, way in ways.items() if way is None]
    for way in _ways(hunt):
        for need in way:
            for hosts, lacking, means in (
                (without, _keys_lacking, "nothing can match"),
                (_by(ways, way), Seen.lacking, "what they tell is not known"),
            ):
                told = Counter(tuple(fields) for host in hosts if (fields := lacking(seen, need, host)))
                for names, count in sorted(told.items()):
                    yield f"no {', '.join(names)} in {_event(need)}{_on(count, len(ways))}: {means}"


def _stale(events: Events, needs: Sequence[Need], hosts: Sequence[str], ran: int) -> Iterator[str]:
    for need in needs:
        live = _keys(events.hosts(need.event_type, live=True))
        lacking = [host for host in hosts if key(host) not in live]
        if lacking:
            yield f"{_event(need)} was only recovered{_on(len(lacking), ran)}: most are missing"


def _nameless(events: Events, needs: Sequence[Need]) -> Iterator[str]:
    """Events of no host: nothing is joined to them, and they are of none of the hosts that are told of."""
    nameless = events.census().filter(pl.col("host").is_null())
    for need in needs:
        channel, event_id = need.event_type.key
        own = nameless.filter(pl.col("channel").str.to_lowercase() == channel, event_id=event_id)
        if own.height:
            number = counted(int(own["records"].sum()), "record")
            yield f"{number} of {_event(need)} without a host: nothing can be joined to them"


def _on(count: int, hosts: int) -> str:
    return "" if count == hosts else f" on {count} of {hosts} hosts"


def _lost(events: Events, hunt: Hunt, ways: Mapping[str, Needs | None]) -> Iterator[str]:
    """What could not be told on hosts on which the query ran."""
    ran = [host for host, way in ways.items() if way is not None]
    for help_ in hunt.helps:
        by_kind: dict[EventType, list[str]] = {}
        for host in ran:
            by_kind.setdefault(_helping(hunt, help_, ways[host]), []).append(host)
        for kind, hosts in by_kind.items():
            having = _keys(events.hosts(kind, live=True))
            lacking = [host for host in hosts if key(host) not in having]
            if lacking:
                yield f"no {_event(kind)}{_on(len(lacking), len(ran))}: {help_.without}"


def _helping(hunt: Hunt, help_: Help, way: Needs | None) -> EventType:
    """The event type that helps on a host where the hunt runs by `way`."""
    replaced = bool(hunt.instead) and way == hunt.instead
    return help_.instead if replaced and help_.instead else help_.event_type


def count(results: Iterable[QueryResult], findings: pl.DataFrame) -> Iterator[QueryResult]:
    """The results with the number of findings of each."""
    counts = dict(findings.group_by("query").len().iter_rows())
    return (replace(result, findings=counts.get(result.query, 0)) for result in results)


def by_host(
    queries: Sequence[Query],
    results: Sequence[QueryResult],
    events: Events,
    census: Census,
    seen: Seen,
    told: Sequence[Fact],
    shows: Shows,
) -> Iterator[Fact]:
    """Facts of the kinds query and query_missing: for each host, when a query could have fired and what it lacked."""
    holes = _holes(told, census)
    for query, result in zip(queries, results, strict=True):
        hunt = query.hunt
        having = _having(events, hunt, shows)
        hidden = not all(shows(need.channel) for need in having)
        able = _keys(result.hosts_ran)
        for host in (*result.hosts_ran, *result.hosts_not_evaluable):
            ran = key(host) in able
            way = _way(hunt, having, seen, host)
            used = hunt.needs if way is None else way
            lacking = [*_lacking(query, host, census, seen, way)]
            vital = "" if hidden else ", ".join(_what(fact) for fact, is_vital in lacking if is_vital)
            start, end = _span(used, host, census) if ran else (None, None)
            said = "could have fired" if ran else f"could not fire: {vital or result.reason}"
            notes = _notes(used, holes.get(key(host), []), start is not None) if ran else []
            yield Fact("query", host, "", hunt.id, None, start, end, detail="; ".join((said, *notes)))
            yield from (fact for fact, _ in lacking)


def _what(lacking: Fact) -> str:
    return lacking.detail.partition(": ")[0]


def _lacking(query: Query, host: str, census: Census, seen: Seen, way: Needs | None) -> Iterator[tuple[Fact, bool]]:
    """(what a query lacks on a host, whether it could not run for that); `way`: by what it can run there."""
    hunt = query.hunt
    lost = "the query could not be evaluated" if way is None else _in_its_place(hunt)

    def fact(of: Need | EventType, detail: str) -> Fact:
        return Fact("query_missing", host, of.channel, hunt.id, of.event_id, detail=detail)

    for each in _ways(hunt):
        if each != way and way == hunt.needs:
            continue  # what could stand in for them is of no use
        for need in each:
            if census.span(host, need.channel, need.event_id) is None:
                if each == way:
                    yield fact(need, f"{_event(need)} was only recovered: most are missing"), False
                else:
                    yield fact(need, f"no {_event(need)}: {lost}"), True
            vital = _keys_lacking(seen, need, host)
            others = [field for field in seen.lacking(need, host) if field not in vital]
            if vital:
                yield fact(need, f"no {', '.join(vital)} in {_event(need)}: {lost}"), True
            if others:
                yield fact(need, f"no {', '.join(others)} in {_event(need)}: what they tell is not known"), False
    for help_ in hunt.helps:
        kind = _helping(hunt, help_, way)
        if census.span(host, kind.channel, kind.event_id) is None:
            yield fact(kind, f"no {_event(kind)}: {help_.without}"), False


def _span(needs: Needs, host: str, census: Census) -> tuple[int | None, int | None]:
    """When all that a query needs was logged; (None, None) if never at the same time, or at times unknown."""
    spans = [census.span(host, need.channel, need.event_id) or (None, None) for need in needs]
    starts, ends = [s for s, _ in spans if s is not None], [e for _, e in spans if e is not None]
    if not starts or not ends or max(starts) > min(ends):
        return None, None
    return max(starts), min(ends)


_HOLES = {
    "gap": "gap",
    "silence": "silence",
    "restart": "new beginning",
    "cleared": "clearing",
    "damage": "damaged part",
    "sysmon_stopped": "Sysmon stop",
    "sysmon_error": "Sysmon error",
    "clock_step": "clock step",
    "time_backwards": "clock setback",
}
_Hole = tuple[str, str]  # the channel, by its key, and the kind


def _holes(told: Sequence[Fact], census: Census) -> dict[str, list[_Hole]]:
    """What makes hunts partly blind, by host."""
    holes: dict[str, list[_Hole]] = {}
    for fact in told:
        stopped = fact.kind == "sysmon_state" and "stopped" in fact.detail
        kind = "sysmon_stopped" if stopped else fact.kind
        # A damaged log may hold several hosts and channels: any of them may have been in what is lost.
        logs = census.logs_of(fact.source) if kind == "damage" else ((key(fact.host), key(fact.channel)),)
        for host, channel in logs:
            holes.setdefault(host, []).append((channel, kind))
    return holes


def _notes(needs: Needs, own: Sequence[_Hole], timed: bool) -> list[str]:
    """What makes a query partly blind where it could have fired by these `needs`; `own`: the holes of the host."""
    channels = {key(need.channel) for need in needs}
    notes = [] if timed else ["but it is not known when, or what it needs was never logged at the same time"]
    counts = Counter(kind for channel, kind in own if channel in channels)
    for kind, name in _HOLES.items():
        if counts[kind]:
            number = counts[kind]
            notes.append(f"{counted(number, name) if number <= LISTED else f'more than {LISTED} {name}s'} in its logs")
    alive = sum(kind == "outlook_alive" for _, kind in own)
    if alive and any(need.event_type.key in _STARTS for need in needs):
        notes.append(f"blind where Outlook ran already ({counted(alive, 'interval')} known)")
    return notes
