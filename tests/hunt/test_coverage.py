"""What became of a query: unknown is never clean."""

from __future__ import annotations

import polars as pl

from hunt import coverage
from hunt.events import Events
from hunt.model import SYSMON, Hunt, Need, QueryResult, Severity, Status
from hunt.registry import Query
from tests.helpers import OUTLOOK, case, event, start

SECURITY = "Security"


def evaluate(events: Events, *needs: tuple[str, int]) -> QueryResult:
    wanted = tuple(Need(channel, number, frozenset()) for channel, number in needs)
    hunt = Hunt("q", "Q", Severity.LOW, 1, (), wanted, lambda case: pl.LazyFrame())
    return coverage.evaluate(events, Query(hunt, "queries/q.py"))


def test_a_query_whose_events_every_host_has_ran() -> None:
    events = case(start(OUTLOOK, host="WS01"), start(OUTLOOK, host="WS02"))
    result = evaluate(events, (SYSMON, 1))
    assert (result.status, result.reason) == (Status.RAN, "")
    assert (result.hosts_ran, result.hosts_not_evaluable) == (("WS01", "WS02"), ())
    assert (result.query, result.title, result.file) == ("q", "Q", "queries/q.py")


def test_a_query_whose_events_some_hosts_lack_ran_partly_and_names_them() -> None:
    events = case(start(OUTLOOK, host="WS01"), event(5, host="WS02"), event(5, host="WS03"))
    result = evaluate(events, (SYSMON, 1))
    assert result.status is Status.PARTLY
    assert (result.hosts_ran, result.hosts_not_evaluable) == (("WS01",), ("WS02", "WS03"))
    assert result.reason == f"no event 1 of {SYSMON} on 2 of the hosts"


def test_a_query_whose_events_no_host_has_is_not_evaluable() -> None:
    result = evaluate(case(event(5, host="WS01")), (SYSMON, 1))
    assert result.status is Status.NOT_EVALUABLE
    assert (result.hosts_ran, result.hosts_not_evaluable) == ((), ("WS01",))
    assert result.reason == f"no event 1 of {SYSMON}"


def test_no_events_at_all_make_every_query_not_evaluable() -> None:
    result = evaluate(case(), (SYSMON, 1))
    assert result.status is Status.NOT_EVALUABLE
    assert result.reason == f"no event 1 of {SYSMON}"


def test_a_query_needs_all_its_events_on_one_and_the_same_host() -> None:
    events = case(start(OUTLOOK, host="WS01"), event(4624, channel=SECURITY, host="WS02"))
    result = evaluate(events, (SYSMON, 1), (SECURITY, 4624))
    assert result.status is Status.NOT_EVALUABLE
    assert f"no event 1 of {SYSMON} on 1 of the hosts" in result.reason
    assert "no event 4624 of Security on 1 of the hosts" in result.reason


def test_only_what_is_missing_is_named() -> None:
    events = case(start(OUTLOOK, host="WS01"))
    result = evaluate(events, (SYSMON, 1), (SECURITY, 4624))
    assert result.reason == "no event 4624 of Security"


def test_a_host_whose_name_changes_case_is_one_host() -> None:
    events = case(start(OUTLOOK, host="WS01"), event(5, host="ws01"))
    result = evaluate(events, (SYSMON, 1))
    assert result.status is Status.RAN
    assert len(result.hosts_ran) == 1


def test_findings_are_counted_by_query() -> None:
    ran = evaluate(case(start(OUTLOOK)), (SYSMON, 1))
    found = pl.DataFrame({"query": ["q", "other", "q"]})
    assert [result.findings for result in coverage.count([ran], found)] == [2]
    assert [result.findings for result in coverage.count([ran], found.clear())] == [0]
