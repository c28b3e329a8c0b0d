"""Which queries could have fired, on which hosts and when, and what was missing where they could not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import polars as pl

from hunt.coverage.facts import Fact, counted, key
from hunt.coverage.logs import LISTED, Census
from hunt.coverage.seen import Seen
from hunt.events import Events
from hunt.model import SYSMON, Help, Need, QueryResult, Status
from hunt.registry import Query

# Event types that tell of starts: a query that needs one of them does not see a process that runs already.
_STARTS = frozenset({(key(SYSMON), 1), ("security", 4688)})


def evaluate(events: Events, seen: Seen, query: Query) -> QueryResult:
    """What became of a query before it ran: ran, partly or not_evaluable, with the hosts and the reason.

    A query that lacks only what `helps` it, or fields that are none of its keys, has run; the reason says what it could
    not tell. Where the events it needs were only recovered it has run on few of them: partly.
    """
    hunt = query.hunt
    ran: list[str] = []
    without: list[str] = []
    having = {need: _keys(events.hosts(need.event_type)) for need in hunt.needs}
    for host in events.hosts():
        able = all(key(host) in hosts and not _keys_lacking(seen, need, host) for need, hosts in having.items())
        (ran if able else without).append(host)
    little = [*_stale(events, hunt.needs, ran), *_nameless(events, hunt.needs)]
    status = Status.NOT_EVALUABLE if not ran else Status.PARTLY if without or little else Status.RAN
    reasons = [*_missing(having, without), *_blank(seen, hunt.needs, ran, without), *little]
    reasons += _lost(events, hunt.helps, ran)
    return QueryResult(hunt.id, hunt.title, query.file, status, "; ".join(reasons), tuple(ran), tuple(without), 0)


def _keys(hosts: Iterable[str]) -> set[str]:
    return {key(host) for host in hosts}


def _keys_lacking(seen: Seen, need: Need, host: str) -> list[str]:
    return [field for field in seen.lacking(need, host) if field in need.keys]


def _event(kind: Need | Help) -> str:
    return f"event {kind.event_id} of {kind.channel}"


def _missing(having: Mapping[Need, set[str]], without: Sequence[str]) -> Iterator[str]:
    for need, hosts in having.items():
        lacking = [host for host in without if key(host) not in hosts]
        if lacking or not hosts:
            yield f"no {_event(need)}{f' on {len(lacking)} of the hosts' if hosts else ''}"


def _blank(seen: Seen, needs: Sequence[Need], ran: Sequence[str], without: Sequence[str]) -> Iterator[str]:
    """Fields that have no value in any event of a host: an export or a shipper may have left them out."""
    for need in needs:
        for hosts, lacking, means in (
            (without, _keys_lacking, "nothing can match"),
            (ran, Seen.lacking, "what they tell is not known"),
        ):
            told = Counter(tuple(fields) for host in hosts if (fields := lacking(seen, need, host)))
            for names, count in sorted(told.items()):
                yield f"no {', '.join(names)} in {_event(need)}{_on(count, len(ran) + len(without))}: {means}"


def _stale(events: Events, needs: Sequence[Need], ran: Sequence[str]) -> Iterator[str]:
    for need in needs:
        live = _keys(events.hosts(need.event_type, live=True))
        lacking = [host for host in ran if key(host) not in live]
        if lacking:
            yield f"{_event(need)} was only recovered{_on(len(lacking), len(ran))}: most are missing"


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


def _lost(events: Events, helps: Sequence[Help], ran: Sequence[str]) -> Iterator[str]:
    """What could not be told on hosts on which the query ran."""
    for help_ in helps:
        having = _keys(events.hosts(help_.event_type, live=True))
        lacking = [host for host in ran if key(host) not in having]
        if lacking:
            yield f"no {_event(help_)}{_on(len(lacking), len(ran))}: {help_.without}"


def count(results: Iterable[QueryResult], findings: pl.DataFrame) -> Iterator[QueryResult]:
    """The results with the number of findings of each."""
    counts = dict(findings.group_by("query").len().iter_rows())
    return (replace(result, findings=counts.get(result.query, 0)) for result in results)


def by_host(
    queries: Sequence[Query],
    results: Sequence[QueryResult],
    census: Census,
    seen: Seen,
    told: Sequence[Fact],
) -> Iterator[Fact]:
    """Facts of the kinds query and query_missing: for each host, when a query could have fired and what it lacked."""
    holes = _holes(told, census)
    for query, result in zip(queries, results, strict=True):
        able = _keys(result.hosts_ran)
        for host in (*result.hosts_ran, *result.hosts_not_evaluable):
            ran = key(host) in able
            lacking = [*_lacking(query, host, census, seen, ran)]
            vital = ", ".join(_what(fact) for fact, is_vital in lacking if is_vital)
            start, end = _span(query, host, census) if ran else (None, None)
            said = "could have fired" if ran else f"could not fire: {vital or result.reason}"
            notes = _notes(query, holes.get(key(host), []), start is not None) if ran else []
            yield Fact("query", host, "", query.hunt.id, None, start, end, detail="; ".join((said, *notes)))
            yield from (fact for fact, _ in lacking)


def _what(lacking: Fact) -> str:
    return lacking.detail.partition(": ")[0]


def _lacking(query: Query, host: str, census: Census, seen: Seen, ran: bool) -> Iterator[tuple[Fact, bool]]:
    """(what a query lacks on a host, whether it can't do without)."""

    def fact(of: Need | Help, detail: str) -> Fact:
        return Fact("query_missing", host, of.channel, query.hunt.id, of.event_id, detail=detail)

    for need in query.hunt.needs:
        if census.span(host, need.channel, need.event_id) is None:
            if ran:
                yield fact(need, f"{_event(need)} was only recovered: most are missing"), True
            else:
                yield fact(need, f"no {_event(need)}: the query could not be evaluated"), True
        vital = _keys_lacking(seen, need, host)
        others = [field for field in seen.lacking(need, host) if field not in vital]
        if vital:
            yield fact(need, f"no {', '.join(vital)} in {_event(need)}: the query could not be evaluated"), True
        if others:
            yield fact(need, f"no {', '.join(others)} in {_event(need)}: what they tell is not known"), False
    for help_ in query.hunt.helps:
        if census.span(host, help_.channel, help_.event_id) is None:
            yield fact(help_, f"no {_event(help_)}: {help_.without}"), False


def _span(query: Query, host: str, census: Census) -> tuple[int | None, int | None]:
    """When all that a query needs was logged; (None, None) if never at the same time, or at times unknown."""
    spans = [census.span(host, need.channel, need.event_id) or (None, None) for need in query.hunt.needs]
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


def _notes(query: Query, own: Sequence[_Hole], timed: bool) -> list[str]:
    """What makes a query partly blind where it could have fired; `own`: the holes of the host."""
    channels = {key(need.channel) for need in query.hunt.needs}
    notes = [] if timed else ["but it is not known when, or what it needs was never logged at the same time"]
    counts = Counter(kind for channel, kind in own if channel in channels)
    for kind, name in _HOLES.items():
        if counts[kind]:
            number = counts[kind]
            notes.append(f"{counted(number, name) if number <= LISTED else f'more than {LISTED} {name}s'} in its logs")
    alive = sum(kind == "outlook_alive" for _, kind in own)
    if alive and any(need.event_type.key in _STARTS for need in query.hunt.needs):
        notes.append(f"blind where Outlook ran already ({counted(alive, 'interval')} known)")
    return notes
