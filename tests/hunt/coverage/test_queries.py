"""What became of a query: unknown is never clean."""

from __future__ import annotations

import polars as pl

from hunt import coverage
from hunt.events import Events
from hunt.model import SYSMON, Batch, Help, Hunt, Need, Problem, QueryResult, Severity, Status
from hunt.registry import Query, queries
from tests.helpers import OUTLOOK, POWERSHELL, batch, case, event, start
from tests.hunt.coverage.cover import cover, of_kind, seen_of

SECURITY = "Security"


def evaluate(events: Events, *needs: tuple[str, int]) -> QueryResult:
    wanted = tuple(Need(channel, number, frozenset()) for channel, number in needs)
    hunt = Hunt("q", "Q", Severity.LOW, 1, (), wanted, lambda case: pl.LazyFrame())
    return coverage.evaluate(events, seen_of(events, wanted), Query(hunt, "queries/q.py"))


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


# By host, with what helps.


def helped(events: Events, *helps: Help) -> QueryResult:
    needs = (Need(SYSMON, 1, frozenset()),)
    query = Query(Hunt("q", "Q", Severity.LOW, 1, (), needs, _nothing, "", helps), "q.py")
    return coverage.evaluate(events, seen_of(events, needs), query)


def _nothing(case: object) -> pl.LazyFrame:
    return pl.LazyFrame()


GRADE_A = Help(SYSMON, 10, "brokered grade A cannot be reached")


def test_a_query_that_lacks_what_helps_has_run_and_says_what_it_cannot_tell() -> None:
    result = helped(case(start(OUTLOOK)), GRADE_A)
    assert (result.status, result.hosts_ran) == (Status.RAN, ("WS01",))
    assert result.reason == f"no event 10 of {SYSMON}: brokered grade A cannot be reached"
    assert helped(case(start(OUTLOOK), event(10)), GRADE_A).reason == ""


def test_what_helps_is_missed_only_where_the_query_ran() -> None:
    rows = (start(OUTLOOK, host="WS01"), start(OUTLOOK, host="WS02"), event(10, host="WS02"), event(5, host="WS03"))
    result = helped(case(*rows), GRADE_A)
    assert result.status is Status.PARTLY
    assert result.reason == (
        f"no event 1 of {SYSMON} on 1 of the hosts; "
        f"no event 10 of {SYSMON} on 1 of 2 hosts: brokered grade A cannot be reached"
    )


def test_every_host_is_told_when_a_query_could_have_fired_and_what_it_lacked() -> None:
    told = cover(start(OUTLOOK, 5), start(POWERSHELL, 90), event(10, 3), event(22, host="WS02"))
    able, unable = of_kind("query", told)
    assert (able["host"], able["query"], able["start"], able["end"]) == ("WS01", "outlook-script-host", 5, 90)
    assert unable == {
        "host": "WS02",
        "query": "outlook-script-host",
        "detail": f"could not fire: no event 1 of {SYSMON}",
    }
    lacking = [(fact["host"], fact["event_id"]) for fact in of_kind("query_missing", told)]
    assert lacking == [("WS01", 1), ("WS01", 5), ("WS01", 7), ("WS02", 1), ("WS02", 5), ("WS02", 7), ("WS02", 10)]
    details = [fact["detail"] for fact in of_kind("query_missing", told)]
    assert (
        details[0]
        == f"no Hashes, IntegrityLevel, TerminalSessionId in event 1 of {SYSMON}: what they tell is not known"
    )
    assert f"no event 7 of {SYSMON}: the unsigned branch was not evaluable" in details


def test_holes_in_the_logs_of_a_query_are_told_with_it() -> None:
    rows = [start(POWERSHELL, at, record_id=str(number)) for at, number in ((0, 1), (1, 2), (2, 9), (3, 10))]
    (query,) = of_kind("query", cover(*rows))
    assert query["detail"] == "could have fired; 1 gap in its logs"


# What looks like a result and is none.


def test_a_query_whose_key_fields_have_no_value_on_a_host_could_not_fire_there() -> None:
    """A shipper may drop fields: the events are there, and nothing in them can match."""
    blank = {"ParentProcessGuid": None, "Image": ""}
    rows = (start(OUTLOOK, host="WS01", Hashes="SHA256=AB"), start(OUTLOOK, host="WS02") | blank)
    wanted = tuple(need for query in queries() for need in query.hunt.needs)
    events = case(*rows)
    result = coverage.evaluate(events, seen_of(events, wanted), queries()[0])
    assert (result.status, result.hosts_ran, result.hosts_not_evaluable) == (Status.PARTLY, ("WS01",), ("WS02",))
    assert f"no Image, ParentProcessGuid in event 1 of {SYSMON} on 1 of 2 hosts: nothing can match" in result.reason
    assert "no IntegrityLevel, TerminalSessionId in event 1" in result.reason
    told = cover(*rows)
    able, unable = of_kind("query", told)
    assert able["detail"] == "could have fired; blind where Outlook ran already (1 interval known)"
    assert unable["detail"] == f"could not fire: no Image, ParentProcessGuid in event 1 of {SYSMON}"
    assert "start" not in unable
    alone = case(start(OUTLOOK) | blank)
    assert coverage.evaluate(alone, seen_of(alone, wanted), queries()[0]).status is Status.NOT_EVALUABLE


def test_a_field_that_some_event_of_the_host_has_is_there() -> None:
    blank = {"ParentProcessGuid": None}
    (query,) = of_kind("query", cover(start(OUTLOOK) | blank, start(POWERSHELL, host="ws01"), batches=2))
    assert query["detail"].startswith("could have fired")


def test_events_that_were_only_recovered_are_no_whole_log() -> None:
    carved = batch(start(POWERSHELL), event(10))
    stale = {kind: frame.with_columns(recovered=pl.lit(value=True)) for kind, frame in carved.frames.items()}
    events = Events()
    events.add(batch(event(5)))
    events.add(Batch(stale, carved.census.clear()))
    need, seen = Need(SYSMON, 1, frozenset()), coverage.Seen()
    query = Query(Hunt("q", "Q", Severity.LOW, 1, (), (need,), _nothing, "", (GRADE_A,)), "q.py")
    result = coverage.evaluate(events, seen, query)
    assert (result.status, result.hosts_ran) == (Status.PARTLY, ("WS01",))
    assert result.reason == (
        f"event 1 of {SYSMON} was only recovered: most are missing; "
        f"no event 10 of {SYSMON}: brokered grade A cannot be reached"
    )
    facts = coverage.facts(events, seen, (), [query], [result], ()).filter(pl.col("kind").str.starts_with("query"))
    assert [detail.partition(":")[0] for detail in facts["detail"]] == [
        f"event 1 of {SYSMON} was only recovered",
        f"no event 10 of {SYSMON}",
        "could have fired; but it is not known when, or what it needs was never logged at the same time",
    ]


def test_what_was_lost_or_not_logged_is_told_with_the_query() -> None:
    rows = [start(POWERSHELL), event(4, 1, State="Stopped"), event(255, 2, ID="QUEUE"), event(4, 3, State="Started")]
    bad = [Problem("sysmon.evtx", "chunk", "bad chunk magic", offset=9, size=65536)]
    (query,) = of_kind("query", cover(*rows, problems=bad))
    assert query["detail"] == (
        "could have fired; 1 damaged part in its logs; 1 Sysmon stop in its logs; 1 Sysmon error in its logs"
    )


def test_damage_of_a_log_of_several_hosts_is_told_on_each_of_them() -> None:
    rows = [start(POWERSHELL, host=host, source="all.jsonl") for host in ("WS01", "WS02")]
    bad = [Problem("all.jsonl", "record", "no JSON", offset=9, size=6), Problem("x.evtx", "file", "no chunk")]
    told = of_kind("query", cover(*rows, start(POWERSHELL, host="WS03"), problems=bad))
    assert ["damaged" in query["detail"] for query in told] == [True, True, False]


def test_events_that_name_no_host_are_not_taken_for_clean() -> None:
    nameless = event(1, channel=SYSMON) | {"host": None}
    result = evaluate(case(start(OUTLOOK, host="WS01"), nameless), (SYSMON, 1))
    assert (result.status, result.hosts_ran) == (Status.PARTLY, ("WS01",))
    assert result.reason == f"1 record of event 1 of {SYSMON} without a host: nothing can be joined to them"
    assert evaluate(case(nameless), (SYSMON, 1)).status is Status.NOT_EVALUABLE
