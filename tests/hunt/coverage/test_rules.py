"""Rules in files: what they need of which there are several kinds, and thousands of them told in few facts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from hunt import coverage
from hunt.events import Events
from hunt.filters import Filters
from hunt.model import ANY_CHANNEL, ANY_ID, SYSMON, Batch, Need, QueryResult, Status
from hunt.registry import Query
from hunt.rules.model import RuleInfo, hunt_of
from tests.helpers import OUTLOOK, Row, batch, event, start

SECURITY = "Security"
STARTS = (
    Need(SYSMON, 1, frozenset({"Image"}), frozenset({"Image"})),
    Need(SECURITY, 4688, frozenset({"NewProcessName"})),
)
REGISTRY = tuple(Need(SYSMON, number, frozenset({"TargetObject"})) for number in (12, 13, 14))


def rule(*any_of: tuple[Need, ...], limits: Sequence[str] = (), number: int = 0) -> Query:
    info = RuleInfo(Path(f"r{number}.yml"), id=f"r{number}", title="R")
    hunt = hunt_of(info, lambda case: pl.LazyFrame(), any_of=any_of, limits=limits)
    return Query(hunt, f"r{number}.yml", info.path, info, ours=False)


def seen_of(queries: Sequence[Query], *rows: Row) -> tuple[Events, coverage.Seen]:
    events = Events(need for query in queries for need in query.hunt.wanted)
    seen = coverage.Seen(events.wants())
    seen.before(events.add)(batch(*rows))
    return events, seen


def evaluate(query: Query, *rows: Row) -> QueryResult:
    return coverage.evaluate(*seen_of([query], *rows), query)


def started(host: str) -> Row:
    return event(4688, channel=SECURITY, host=host, NewProcessName=OUTLOOK)


def test_one_of_several_event_types_is_enough() -> None:
    result = evaluate(rule(STARTS), start(OUTLOOK, host="A"), started("B"))
    assert (result.status, result.hosts_ran, result.reason) == (Status.RAN, ("A", "B"), "")


def test_a_host_with_none_of_them_is_named_with_what_it_lacks() -> None:
    result = evaluate(rule(STARTS), start(OUTLOOK, host="A"), event(5, host="B"))
    assert (result.status, result.hosts_not_evaluable) == (Status.PARTLY, ("B",))
    assert result.reason == f"no event 1 of {SYSMON} or event of Security on 1 of the hosts"


def test_without_any_of_them_nothing_can_be_evaluated() -> None:
    result = evaluate(rule(REGISTRY), event(5))
    assert (result.status, result.reason) == (Status.NOT_EVALUABLE, f"no event 12, 13 or 14 of {SYSMON}")


def test_of_each_group_one_is_needed() -> None:
    result = evaluate(rule(STARTS, REGISTRY), start(OUTLOOK, host="A"), event(13, host="B", TargetObject="x"))
    assert result.status is Status.NOT_EVALUABLE
    assert result.hosts_not_evaluable == ("A", "B")


def test_events_without_the_field_that_decides_are_none() -> None:
    result = evaluate(rule(STARTS), start("", host="A"), start("", host="B"), started("B"))
    assert (result.hosts_ran, result.hosts_not_evaluable) == (("B",), ("A",))
    assert f"no Image in event 1 of {SYSMON} on 1 of 2 hosts: nothing can match" in result.reason


def test_kinds_of_the_same_channel_that_are_absent_are_told_and_others_are_not() -> None:
    result = evaluate(rule(REGISTRY), event(13, TargetObject="x"))
    assert (result.status, result.reason) == (Status.RAN, f"no event 12 or 14 of {SYSMON} to look into")


def test_kinds_that_were_only_recovered_are_few_of_them() -> None:
    query = rule(STARTS)
    whole = batch(start(OUTLOOK))
    stale = {kind: frame.with_columns(recovered=True) for kind, frame in whole.frames.items()}
    events, seen = seen_of([query], event(5))
    seen.before(events.add)(Batch(stale, whole.census.clear()))
    result = coverage.evaluate(events, seen, query)
    assert (result.status, result.reason) == (
        Status.PARTLY,
        f"event 1 of {SYSMON} was only recovered: most are missing",
    )


def test_what_a_rule_can_never_tell_is_said_of_it() -> None:
    result = evaluate(rule(STARTS, limits=["does not exclude what is signed"]), start(OUTLOOK))
    assert (result.status, result.reason) == (Status.RAN, "does not exclude what is signed")


def test_a_rule_on_a_whole_channel_runs_where_the_channel_is() -> None:
    system = rule((Need("System", ANY_ID, frozenset({"*"})),))
    result = evaluate(system, event(104, channel="System", host="A"), event(1, host="B"))
    assert (result.hosts_ran, result.reason) == (("A",), "no event of System on 1 of the hosts")
    every = rule((Need(ANY_CHANNEL, ANY_ID, frozenset({"*"})),))
    assert evaluate(every, event(104, channel="System", host="A"), event(1, host="B")).status is Status.RAN


def test_a_channel_that_is_hidden_takes_only_its_own_part_away() -> None:
    queries = [rule(STARTS), rule(REGISTRY)]
    events, seen = seen_of(queries, start(OUTLOOK, host="A"), started("A"))
    only = Filters(channels=(SECURITY,))
    results = coverage.evaluate_all(events, seen, queries, only.shows_channel)
    starts, registry = (only.hidden(query.hunt, result) for query, result in zip(queries, results, strict=True))
    assert (starts.status, starts.reason) == (Status.RAN, f"{SYSMON} is hidden by --channel")
    assert (registry.status, registry.reason) == (Status.NOT_EVALUABLE, f"{SYSMON} is hidden by --channel")


SERVICES = (Need("System", 7045, frozenset({"ServiceName"})),)


def test_what_windows_writes_whenever_it_happens_did_not_happen_where_its_log_has_none() -> None:
    result = evaluate(rule(SERVICES), event(104, channel="System", host="A"), event(1, host="B"))
    assert (result.status, result.hosts_ran, result.hosts_not_evaluable) == (Status.PARTLY, ("A",), ("B",))
    assert result.reason == "no event 7045 of System on 1 of the hosts; no event 7045 of System was written"
    assert evaluate(rule(SERVICES), event(1)).reason == "no event of System"


def test_what_windows_writes_if_it_is_told_to_is_unknown_where_there_is_none() -> None:
    logons = (Need(SECURITY, 4625, frozenset()),)
    assert evaluate(rule(logons), event(4624, channel=SECURITY)).reason == "no event 4625 of Security"
    cleared = (Need(SECURITY, 1102, frozenset()),)
    assert evaluate(rule(cleared), event(4624, channel=SECURITY)).status is Status.RAN


# Facts.


def facts(queries: Sequence[Query], *rows: Row, unusable: Sequence[QueryResult] = ()) -> list[dict[str, Any]]:
    events, seen = seen_of(queries, *rows)
    results = coverage.evaluate_all(events, seen, queries)
    return coverage.facts(events, seen, (), queries, results, (), unusable=unusable).filter(kind="rules").to_dicts()


def test_rules_that_need_the_same_are_one_fact_a_host() -> None:
    queries = [rule(STARTS, number=number, limits=[str(number)]) for number in range(500)]
    told = facts(queries, start(OUTLOOK, host="A"), start(OUTLOOK, 9, host="A"), event(5, host="B"))
    assert [(row["host"], row["count"], row["detail"].partition(";")[0]) for row in told] == [
        ("A", 500, f"500 rules on event 1 of {SYSMON} or event 4688 of Security could have fired"),
        ("B", 500, f"500 rules could not fire: no event 1 of {SYSMON} or event of Security"),
    ]  # fmt: skip
    assert (told[0]["end"] - told[0]["start"]).total_seconds() == 9
    assert told[1]["start"] is None


def test_events_without_the_fields_are_told_apart_from_none() -> None:
    (told,) = facts([rule(STARTS)], start(""))
    assert told["detail"].endswith(
        f"could not fire: in event 1 of {SYSMON} or event 4688 of Security fields that they need have no value"
    )


def test_rules_that_cannot_be_run_are_told_by_their_reason() -> None:
    bad = [QueryResult(f"b{n}", "B", "b", Status.UNSUPPORTED, "samples", (), (), 0) for n in range(3)]
    bad.append(QueryResult("c", "C", "c", Status.INVALID, "line 1: no condition", (), (), 0))
    told = facts([], start(OUTLOOK), unusable=bad)
    assert [(row["query"], row["count"], row["detail"]) for row in told] == [
        ("c", 1, "1 rule invalid: line 1: no condition"),
        (None, 3, "3 rules unsupported: samples"),
    ]


def test_equal_needs_are_looked_up_once(monkeypatch: Any) -> None:
    from hunt.coverage import able

    asked = []
    result = able.Able.result
    monkeypatch.setattr(able.Able, "result", lambda self, query: asked.append(query) or result(self, query))
    queries = [rule(STARTS, number=number) for number in range(2000)]
    events, seen = seen_of(queries, start(OUTLOOK))
    results = coverage.evaluate_all(events, seen, queries)
    assert [r.query for r in results] == [q.hunt.id for q in queries]
    assert len(asked) == 1
