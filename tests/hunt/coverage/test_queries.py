"""What became of a query: unknown is never clean."""

from __future__ import annotations

import re

import polars as pl

from hunt import coverage
from hunt.events import Events
from hunt.model import SYSMON, Batch, EventType, Help, Hunt, Need, Problem, QueryResult, Severity, Status, Unknown
from hunt.parts import Together
from hunt.registry import Query, queries
from tests.helpers import OUTLOOK, POWERSHELL, Row, batch, case, event, start
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


def test_what_tells_the_same_without_sysmon_is_asked_for_there() -> None:
    needs, instead = (Need(SYSMON, 1, frozenset()),), (Need(SECURITY, 4688, frozenset()),)
    ends = Help(SYSMON, 5, "ends are not known", EventType(SECURITY, 4689))
    query = Query(Hunt("q", "Q", Severity.LOW, 1, (), needs, _nothing, "", (ends,), instead=instead), "q.py")

    def said(*rows: Row) -> str:
        events = case(*rows)
        return coverage.evaluate(events, seen_of(events, (*needs, *instead)), query).reason.partition("confidence")[2]

    def audited(event_id: int) -> Row:
        return event(event_id, channel=SECURITY)

    assert said(audited(4688)) == f"; no event 4689 of {SECURITY}: ends are not known"
    assert said(audited(4688), audited(4689)) == ""
    both = said(start(OUTLOOK, host="WS02"), audited(4688), audited(4689))
    assert both == f"; no event 5 of {SYSMON} on 1 of 2 hosts: ends are not known"


def test_what_could_not_be_told_of_the_hunt_itself_makes_it_run_partly() -> None:
    counts = pl.LazyFrame({"host": ["WS01"], "unknown": [1], "total": [2]})
    parts = tuple(Unknown(said, lambda case: counts, (Need(SYSMON, 1, frozenset()),), said == "b") for said in "ab")
    needs = (Need(SYSMON, 1, frozenset()),)
    for some, status in ((parts, Status.PARTLY), (parts[:1], Status.RAN)):
        query = Query(Hunt("q", "Q", Severity.LOW, 1, (), needs, _nothing, unknowns=some), "q.py")
        events = case(start(OUTLOOK))
        result = coverage.evaluate(events, seen_of(events, needs), query)
        (told,) = coverage.with_unknown([result], [query], coverage.unknown(Together(events), [query]))
        reason = "; ".join(f"{part.said}: 1 process start" for part in some)
        assert (told.status, told.reason) == (status, reason)


def test_every_host_is_told_when_a_query_could_have_fired_and_what_it_lacked() -> None:
    told = cover(start(OUTLOOK, 5), start(POWERSHELL, 90), event(10, 3), event(22, host="WS02"))
    able, unable = of_kind("query", told)
    assert (able["host"], able["query"], able["start"], able["end"]) == ("WS01", "outlook-script-host", 5, 90)
    assert unable == {
        "host": "WS02",
        "query": "outlook-script-host",
        "detail": f"could not fire: no event 1 of {SYSMON}, no event 4688 of Security",
    }
    missing = [fact for fact in of_kind("query_missing", told) if fact["channel"] == SYSMON]
    lacking = [(fact["host"], fact["event_id"]) for fact in missing]
    assert lacking == [
        ("WS01", 1), ("WS01", 5), ("WS01", 7), ("WS01", 11),
        ("WS02", 1), ("WS02", 5), ("WS02", 7), ("WS02", 10), ("WS02", 11),
    ]  # fmt: skip
    blank = missing[0]["detail"]
    assert {"Hashes,", "IntegrityLevel,", "TerminalSessionId"} <= set(blank.split())
    assert blank.endswith(f" in event 1 of {SYSMON}: what they tell is not known")
    (said,) = (fact["detail"] for fact in missing if (fact["host"], fact["event_id"]) == ("WS01", 7))
    assert "grade C" in said
    assert said.endswith("the unsigned and new branch was not evaluable")


# What stands in for the needs, with less to tell.


def replaced(events: Events) -> QueryResult:
    needs, instead = (Need(SYSMON, 1, frozenset()),), (Need(SECURITY, 4688, frozenset()),)
    hunt = Hunt("q", "Q", Severity.LOW, 1, (), needs, _nothing, instead=instead)
    return coverage.evaluate(events, seen_of(events, (*needs, *instead)), Query(hunt, "q.py"))


def created(host: str) -> Row:
    return event(4688, channel=SECURITY, host=host, NewProcessName=OUTLOOK)


def test_a_host_without_what_a_query_needs_is_evaluable_by_what_stands_in_for_it() -> None:
    result = replaced(case(start(OUTLOOK, host="WS01"), created("WS02")))
    assert (result.status, result.hosts_ran) == (Status.RAN, ("WS01", "WS02"))
    assert result.reason == (
        f"event 1 of {SYSMON} absent on 1 of 2 hosts: event 4688 of Security in its place, with lower confidence"
    )


def test_a_host_with_neither_is_not_evaluable() -> None:
    result = replaced(case(created("WS02"), event(5, host="WS03")))
    assert (result.status, result.hosts_ran, result.hosts_not_evaluable) == (Status.PARTLY, ("WS02",), ("WS03",))
    assert f"no event 1 of {SYSMON}" in result.reason
    assert "no event 4688 of Security on 1 of the hosts" in result.reason


def test_hidden_channels_count_as_absent() -> None:
    needs, instead = (Need(SYSMON, 1, frozenset()),), (Need(SECURITY, 4688, frozenset()),)
    query = Query(Hunt("q", "Q", Severity.LOW, 1, (), needs, _nothing, instead=instead), "q.py")
    events = case(start(OUTLOOK, host="WS01"), created("WS02"))
    result = coverage.evaluate(events, coverage.Seen(), query, lambda channel: channel == SECURITY)
    assert (result.hosts_ran, result.hosts_not_evaluable) == (("WS02",), ("WS01",))


def test_what_stands_in_must_have_its_own_key_fields() -> None:
    needs = (Need(SYSMON, 1, frozenset({"Image"}), keys=frozenset({"Image"})),)
    instead = (Need(SECURITY, 4688, frozenset({"NewProcessName"}), keys=frozenset({"NewProcessName"})),)
    query = Query(Hunt("q", "Q", Severity.LOW, 1, (), needs, _nothing, instead=instead), "q.py")
    dropped = {"Image": ""}
    events = case(
        start(OUTLOOK, host="WS01") | dropped,
        created("WS01"),
        created("WS02") | {"NewProcessName": None},
        start(OUTLOOK, host="WS03"),
    )
    seen = seen_of(events, (*needs, *instead))
    result = coverage.evaluate(events, seen, query)
    assert (result.status, result.hosts_ran, result.hosts_not_evaluable) == (Status.PARTLY, ("WS01", "WS03"), ("WS02",))
    assert "no NewProcessName in event 4688 of Security on 1 of 3 hosts: nothing can match" in result.reason
    assert (
        f"event 1 of {SYSMON} without the fields that it needs on 1 of 2 hosts: "
        "event 4688 of Security in its place, with lower confidence"
    ) in result.reason
    facts = coverage.facts(events, seen, (), [query], [result], ())
    details = facts.filter(kind="query").sort("host")["detail"].to_list()
    assert details[0].startswith("could have fired")
    assert details[1] == f"could not fire: no event 1 of {SYSMON}, no NewProcessName in event 4688 of Security"
    assert details[2].startswith("could have fired")


def test_what_stands_in_and_was_only_recovered_is_no_whole_log() -> None:
    needs, instead = (Need(SYSMON, 1, frozenset()),), (Need(SECURITY, 4688, frozenset()),)
    query = Query(Hunt("q", "Q", Severity.LOW, 1, (), needs, _nothing, instead=instead), "q.py")
    carved = batch(created("WS02"))
    stale = {kind: frame.with_columns(recovered=pl.lit(value=True)) for kind, frame in carved.frames.items()}
    events = Events()
    events.add(batch(start(OUTLOOK, host="WS01"), event(5, host="WS02")))
    events.add(Batch(stale, carved.census.clear()))
    result = coverage.evaluate(events, coverage.Seen(), query)
    assert (result.status, result.hosts_ran) == (Status.PARTLY, ("WS01", "WS02"))
    assert "event 4688 of Security was only recovered on 1 of 2 hosts: most are missing" in result.reason


def test_coverage_tells_of_a_host_without_sysmon_that_security_stands_in() -> None:
    told = cover(created("WS02"))
    (query,) = of_kind("query", told)
    assert query["detail"].startswith("could have fired")
    assert query["start"] == query["end"] == 0
    (fact,) = (fact for fact in of_kind("query_missing", told) if fact["event_id"] == 1)
    assert fact["detail"] == (f"no event 1 of {SYSMON}: event 4688 of Security in its place, with lower confidence")


# Part of a query that can't be answered of every process.


def test_processes_of_which_a_part_could_not_be_told_are_counted_by_host() -> None:
    counts = pl.LazyFrame({"host": ["A", "B"], "unknown": [3, 0], "total": [5, 2]})
    part = Unknown("age unknown", lambda case: counts, (Need(SYSMON, 1, frozenset()),))
    query = Query(Hunt("q", "Q", Severity.LOW, 1, (), (), _nothing, unknowns=(part,)), "q.py")
    (fact,) = coverage.unknown(Together(case()), [query])
    assert (fact.kind, fact.host, fact.query, fact.count) == ("not_evaluable", "A", "q", 3)
    assert fact.detail == "age unknown: 3 of 5 process starts"
    result = coverage.evaluate(case(), coverage.Seen(), query)
    (said,) = coverage.with_unknown([result], [query], [fact])
    assert said.reason == "age unknown: 3 process starts"
    (quiet,) = coverage.with_unknown([result], [query], [])
    assert quiet.reason == ""


def test_holes_in_the_logs_of_a_query_are_told_with_it() -> None:
    rows = [start(POWERSHELL, at, record_id=str(number)) for at, number in ((0, 1), (1, 2), (2, 9), (3, 10))]
    (query,) = of_kind("query", cover(*rows))
    assert query["detail"] == "could have fired; 1 gap in its logs"


# What looks like a result and is none.


def test_a_query_whose_key_fields_have_no_value_on_a_host_could_not_fire_there() -> None:
    """A shipper may drop fields: the events are there, and nothing in them can match."""
    blank = {"ParentProcessGuid": None, "Image": ""}
    rows = (start(OUTLOOK, host="WS01", Hashes="SHA256=AB"), start(OUTLOOK, host="WS02") | blank)
    (flagship,) = (query for query in queries() if query.hunt.id == "outlook-script-host")
    wanted = (*flagship.hunt.needs, *flagship.hunt.instead)
    events = case(*rows)
    result = coverage.evaluate(events, seen_of(events, wanted), flagship)
    assert (result.status, result.hosts_ran, result.hosts_not_evaluable) == (Status.PARTLY, ("WS01",), ("WS02",))
    assert f"no Image, ParentProcessGuid in event 1 of {SYSMON} on 1 of 2 hosts: nothing can match" in result.reason
    assert re.search(r"no [^:;]*IntegrityLevel, [^:;]*TerminalSessionId in event 1", result.reason)
    assert "Hashes" not in result.reason
    told = cover(*rows)
    able, unable = of_kind("query", told)
    assert able["detail"] == "could have fired; blind where Outlook ran already (1 interval known)"
    assert unable["detail"] == (
        f"could not fire: no Image, ParentProcessGuid in event 1 of {SYSMON}, no event 4688 of Security"
    )
    assert "start" not in unable
    alone = case(start(OUTLOOK) | blank)
    assert coverage.evaluate(alone, seen_of(alone, wanted), flagship).status is Status.NOT_EVALUABLE


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
