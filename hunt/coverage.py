"""Which queries could have fired, on which hosts, and what was missing where they could not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import polars as pl

from hunt.events import Events
from hunt.model import Need, QueryResult, Status
from hunt.registry import Query


def evaluate(events: Events, query: Query) -> QueryResult:
    """What became of a query before it ran: ran, partly or not_evaluable, with the hosts and the reason."""
    hunt = query.hunt
    able = {need: {host.lower() for host in events.hosts(need.event_type)} for need in hunt.needs}
    ran: list[str] = []
    without: list[str] = []
    for host in events.hosts():
        (ran if all(host.lower() in hosts for hosts in able.values()) else without).append(host)
    status = Status.NOT_EVALUABLE if not ran else Status.PARTLY if without else Status.RAN
    reason = "" if status is Status.RAN else _missing(able, without)
    return QueryResult(hunt.id, hunt.title, query.file, status, reason, tuple(ran), tuple(without), 0)


def _missing(able: dict[Need, set[str]], without: list[str]) -> str:
    lacking = {
        need: hosts
        for need, able_hosts in able.items()
        if (hosts := [host for host in without if host.lower() not in able_hosts]) or not able_hosts
    }
    return "; ".join(
        f"no event {need.event_id} of {need.channel}" + (f" on {len(hosts)} of the hosts" if able[need] else "")
        for need, hosts in lacking.items()
    )


def count(results: Iterable[QueryResult], findings: pl.DataFrame) -> Iterator[QueryResult]:
    """The results with the number of findings of each."""
    counts = dict(findings.group_by("query").len().iter_rows())
    return (replace(result, findings=counts.get(result.query, 0)) for result in results)
