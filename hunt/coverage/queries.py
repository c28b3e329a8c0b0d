"""Which queries could have fired, on which hosts and when, and what was missing where they could not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import polars as pl

from hunt.coverage.facts import Fact, counted, key
from hunt.coverage.logs import LISTED, Census
from hunt.events import Events
from hunt.model import SYSMON, Help, Need, QueryResult, Status
from hunt.registry import Query

# Event types that tell of starts: a query that needs one of them does not see a process that runs already.
_STARTS = frozenset({(key(SYSMON), 1), ("security", 4688)})


def evaluate(events: Events, query: Query) -> QueryResult:
    """What became of a query before it ran: ran, partly or not_evaluable, with the hosts and the reason.

    A query that lacks only what `helps` it has run; the reason says what it could not tell.
    """
    hunt = query.hunt
    able = {need: {host.lower() for host in events.hosts(need.event_type)} for need in hunt.needs}
    ran: list[str] = []
    without: list[str] = []
    for host in events.hosts():
        (ran if all(host.lower() in hosts for hosts in able.values()) else without).append(host)
    status = Status.NOT_EVALUABLE if not ran else Status.PARTLY if without else Status.RAN
    reasons = [] if status is Status.RAN else [*_missing(able, without)]
    reasons += _lost(events, hunt.helps, ran)
    return QueryResult(hunt.id, hunt.title, query.file, status, "; ".join(reasons), tuple(ran), tuple(without), 0)


def _missing(able: dict[Need, set[str]], without: list[str]) -> Iterator[str]:
    for need, hosts in able.items():
        lacking = [host for host in without if host.lower() not in hosts]
        if lacking or not hosts:
            where = f" on {len(lacking)} of the hosts" if hosts else ""
            yield f"no event {need.event_id} of {need.channel}{where}"


def _lost(events: Events, helps: Sequence[Help], ran: Sequence[str]) -> Iterator[str]:
    """What could not be told on hosts on which the query ran."""
    for help_ in helps:
        having = {host.lower() for host in events.hosts(help_.event_type)}
        lacking = [host for host in ran if host.lower() not in having]
        if lacking:
            where = "" if len(lacking) == len(ran) else f" on {len(lacking)} of {len(ran)} hosts"
            yield f"no event {help_.event_id} of {help_.channel}{where}: {help_.without}"


def count(results: Iterable[QueryResult], findings: pl.DataFrame) -> Iterator[QueryResult]:
    """The results with the number of findings of each."""
    counts = dict(findings.group_by("query").len().iter_rows())
    return (replace(result, findings=counts.get(result.query, 0)) for result in results)


def by_host(
    queries: Sequence[Query], results: Sequence[QueryResult], census: Census, told: Sequence[Fact]
) -> Iterator[Fact]:
    """Facts of the kinds query and query_missing: for each host, when a query could have fired and what it lacked."""
    of_hosts: dict[str, list[Fact]] = {}
    for fact in told:
        of_hosts.setdefault(key(fact.host), []).append(fact)
    for query, result in zip(queries, results, strict=True):
        able = {key(host) for host in result.hosts_ran}
        for host in (*result.hosts_ran, *result.hosts_not_evaluable):
            ran = key(host) in able
            start, end = _span(query, host, census) if ran else (None, None)
            lacking = [*_lacking(query, host, census)]
            said = "could have fired" if ran else f"could not fire: {_why_not(query, host, census) or result.reason}"
            notes = _notes(query, of_hosts.get(key(host), [])) if ran else []
            yield Fact("query", host, "", query.hunt.id, None, start, end, detail="; ".join((said, *notes)))
            yield from lacking


def _why_not(query: Query, host: str, census: Census) -> str:
    """The needs that a host lacks; "" where it lacks none, and a filter hides them, say."""
    lacking = [need for need in query.hunt.needs if census.span(host, need.channel, need.event_id) is None]
    return ", ".join(f"no event {need.event_id} of {need.channel}" for need in lacking)


def _lacking(query: Query, host: str, census: Census) -> Iterator[Fact]:
    hunt = query.hunt
    for need in hunt.needs:
        if census.span(host, need.channel, need.event_id) is None:
            detail = f"no event {need.event_id} of {need.channel}: the query could not be evaluated"
            yield Fact("query_missing", host, need.channel, hunt.id, need.event_id, detail=detail)
    for help_ in hunt.helps:
        if census.span(host, help_.channel, help_.event_id) is None:
            detail = f"no event {help_.event_id} of {help_.channel}: {help_.without}"
            yield Fact("query_missing", host, help_.channel, hunt.id, help_.event_id, detail=detail)


def _span(query: Query, host: str, census: Census) -> tuple[int | None, int | None]:
    """When all that a query needs was logged; (None, None) if never at the same time."""
    spans = [census.span(host, need.channel, need.event_id) or (None, None) for need in query.hunt.needs]
    starts, ends = [s for s, _ in spans if s is not None], [e for _, e in spans if e is not None]
    if not starts or not ends or max(starts) > min(ends):
        return None, None
    return max(starts), min(ends)


_HOLES = {"gap": "gap", "silence": "silence", "restart": "new beginning", "cleared": "clearing"}


def _notes(query: Query, own: Sequence[Fact]) -> list[str]:
    """What makes a query partly blind where it could have fired; `own`: the facts of the host."""
    channels = {key(need.channel) for need in query.hunt.needs}
    notes = []
    for kind, name in _HOLES.items():
        holes = sum(fact.kind == kind and key(fact.channel) in channels for fact in own)
        if holes:
            said = counted(holes, name) if holes <= LISTED else f"more than {LISTED} {name}s"
            notes.append(f"{said} in its logs")
    alive = sum(fact.kind == "outlook_alive" for fact in own)
    if alive and any(need.event_type.key in _STARTS for need in query.hunt.needs):
        notes.append(f"blind where Outlook ran already ({counted(alive, 'interval')} known)")
    return notes
