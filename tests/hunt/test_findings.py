"""Findings and their events: the contract of findings.csv and events.csv, ids that depend on the events alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

import polars as pl
import pytest

from hunt import findings, schema
from hunt.findings import reference
from hunt.hunting import gather
from hunt.model import SYSMON, Batch, Case, Hunt, Need, Severity
from queries.outlook_script_host import HUNT
from tests.helpers import OUTLOOK, POWERSHELL, Row, batch, case, moment, start

# fmt: off
FINDINGS = [
    "finding_id", "query", "title", "severity", "risk_score", "confidence", "grade", "host", "user", "start",
    "end", "span_seconds", "process_guid", "pid", "image", "command_line", "parent_image", "parent_command_line",
    "target_process_guid", "target_pid", "target_image", "target_command_line", "sha256", "signer", "integrity",
    "session", "logon_id", "source_ip", "actor", "object", "action", "techniques", "reason", "competitors",
    "ambiguous", "locality", "origin", "attached", "start_source", "evidence", "suppressed", "sources",
]
# fmt: on
EVENTS = ["finding_id", "step", "time", "host", "channel", "event_id", "record_id", "sources", "fields"]


def pair(**child: object) -> tuple[Row, Row]:
    parent = start(POWERSHELL, source="a.evtx", offset="100", Hashes="SHA256=" + "AB" * 32, IntegrityLevel="High")
    return parent, start(OUTLOOK, "2.5", parent=parent, source="b.evtx", offset="200", **child)


def hunt(find: Callable[[Case], pl.LazyFrame], query: str = "mine") -> Hunt:
    needs = (Need(SYSMON, 1, frozenset({"Image"})),)
    return Hunt(query, "Mine", Severity.HIGH, 73, ("T1000",), needs, find)


def every_start(case: Case) -> pl.LazyFrame:
    """A hunt's find that reports every process start and says nothing else of it."""
    starts = case.frame(SYSMON, 1)
    return starts.select("host", pl.col("time").alias("start"), pl.concat_list(reference(1)).alias("events"))


def test_findings_have_the_columns_of_the_contract_in_its_order() -> None:
    found, events = gather(case(*pair()), [HUNT])
    assert found.columns == FINDINGS == list(findings.COLUMNS)
    assert events.columns == EVENTS == list(findings.EVENT_COLUMNS)
    assert dict(found.schema) == dict(findings.COLUMNS)
    assert dict(events.schema) == dict(findings.EVENT_COLUMNS)


def test_no_findings_have_the_same_columns() -> None:
    found, events = gather(case(start(OUTLOOK)), [HUNT])
    assert dict(found.schema) == dict(findings.COLUMNS)
    assert dict(events.schema) == dict(findings.EVENT_COLUMNS)
    assert (found.height, events.height) == (0, 0)


def test_a_finding_names_the_script_host_and_the_outlook_it_started() -> None:
    parent, child = pair()
    (row,) = gather(case(parent, child), [HUNT])[0].iter_rows(named=True)
    assert row["process_guid"] == parent["ProcessGuid"]
    assert row["target_process_guid"] == child["ProcessGuid"]
    assert row["sha256"] == "ab" * 32
    assert row["logon_id"] == "0x53ca2"
    assert row["integrity"] == "High"
    assert (row["grade"], row["locality"], row["evidence"]) == ("direct", "local", ["ParentProcessGuid"])
    assert (row["competitors"], row["ambiguous"], row["suppressed"]) == (0, False, None)
    assert row["sources"] == ["a.evtx", "b.evtx"]


def test_events_say_which_step_they_are_where_they_stand_and_what_they_hold() -> None:
    parent, child = pair()
    found, events = gather(case(parent, child), [HUNT])
    first, second = events.iter_rows(named=True)
    assert [first["step"], second["step"]] == [1, 2]
    assert {first["finding_id"], second["finding_id"]} == {found["finding_id"][0]}
    assert first["sources"] == [{"path": "a.evtx", "offset": 100}]
    assert second["record_id"] == int(child["record_id"])
    assert json.loads(second["fields"])["ParentProcessGuid"] == parent["ProcessGuid"]


def test_every_source_of_every_event_is_kept() -> None:
    parent, child = pair()
    rows = [row | {"source": source} for row in (parent, child) for source in ("x.evtx", "y.evtx", "a/z.evtx")]
    found, events = gather(case(*rows), [HUNT])
    assert found["sources"].to_list() == [["a/z.evtx", "x.evtx", "y.evtx"]]
    assert [len(sources) for sources in events["sources"]] == [3, 3]


def test_the_finding_id_is_a_hash_of_the_query_and_its_events() -> None:
    events = [
        {"host": "WS02", "channel": "c", "record_id": 7, "time": "t2"},
        {"host": "ws01", "channel": "c", "record_id": 9, "time": "t1"},
    ]
    expected = hashlib.sha256(b"q\nws01\tc\t9\tt1\nws02\tc\t7\tt2").hexdigest()[:16]
    assert findings.finding_id("q", events) == findings.finding_id("q", events[::-1]) == expected


@pytest.mark.parametrize("name", ["host", "channel", "record_id", "time"])
def test_the_finding_id_changes_with_each_of_its_parts(name: str) -> None:
    event: dict[str, object] = {"host": "h", "channel": "c", "record_id": 7, "time": "t"}
    assert findings.finding_id("q", [event]) != findings.finding_id("q", [event | {name: "other"}])
    assert findings.finding_id("q", [event]) != findings.finding_id("p", [event])


def test_the_finding_id_does_not_depend_on_where_the_evidence_lay_or_how_its_host_was_spelled() -> None:
    parent, child = pair()
    moved = [row | {"source": "elsewhere.evtx", "offset": "1", "record_number": "9"} for row in (child, parent)]
    spelled = [row | {"host": "ws01"} for row in (parent, child)]
    ids = [gather(case(*rows), [HUNT])[0]["finding_id"][0] for rows in ((parent, child), moved, spelled)]
    assert len(set(ids)) == 1
    assert len(ids[0]) == 16
    assert int(ids[0], 16) >= 0


def unnumbered(*rows: Row) -> list[Row]:
    return [row | {"record_id": None, "record_number": None} for row in rows]


def test_findings_of_events_that_nothing_names_apart_keep_ids_of_their_own_with_more_evidence() -> None:
    pairs = {at: unnumbered(*pair(CommandLine=at, ProcessId=str(40 + n))) for n, at in enumerate(("b", "c", "a"))}

    def ids(*which: str) -> dict[str, str]:
        placed = [row | {"source": f"{n}.evtx"} for n, at in enumerate(which) for row in pairs[at]]
        found, _ = gather(case(*placed), [HUNT])
        return dict(zip(found["target_command_line"], found["finding_id"], strict=True))

    told = ids("b", "c")
    assert sorted(told) == ["b", "c"]
    assert len(set(told.values())) == 2
    assert told == ids("c", "b")
    for row in (row for of in pairs.values() for row in of):
        row["host"] = "ws01"  # as another collection spells it
    assert ids("a", "c", "b").items() >= told.items()
    assert ids("b")["b"] not in told.values()


def test_findings_that_nothing_at_all_tells_apart_are_numbered() -> None:
    rows = [*unnumbered(*pair()), start(OUTLOOK, 9)]
    twice = [*rows, rows[1] | {"source": "c.evtx", "Company": "other"}]
    ids = [set(gather(case(*order), [hunt(every_start)])[0]["finding_id"]) for order in (twice, twice[::-1])]
    assert len(ids[0]) == 4
    assert ids[0] == ids[1]


def test_events_of_one_moment_without_record_ids_stand_by_host_and_place() -> None:
    rows = [
        row | {"host": host, "source": f"{host}.json", "offset": str(offset)}
        for offset in (30, 200)
        for host in ("WS02", "WS01")
        for row in unnumbered(start(OUTLOOK, CommandLine=f"{host} {offset}"))
    ]

    def together(case: Case) -> pl.LazyFrame:
        return case.frame(SYSMON, 1).select(reference(1).implode().alias("events"))

    found, events = gather(case(*rows), [hunt(together)])
    assert events["host"].unique().sort().to_list() == ["WS01", "WS02"] and events["host"].is_sorted()
    for seed in range(10):
        assert findings.in_order(found, events.sample(fraction=1, shuffle=True, seed=seed))[1].equals(events)


def test_the_finding_id_of_a_known_pair_never_changes() -> None:
    """Ids stand in reports and tickets: a new version must give old findings their old ids."""
    parent = start(POWERSHELL, record_id="10")
    found, _ = gather(case(parent, start(OUTLOOK, 1, parent=parent, record_id="11")), [HUNT])
    expected = "\n".join(
        (
            "outlook-script-host",
            "ws01\tMicrosoft-Windows-Sysmon/Operational\t10\t2026-03-02 08:15:00+00:00",
            "ws01\tMicrosoft-Windows-Sysmon/Operational\t11\t2026-03-02 08:15:01+00:00",
        )
    )
    assert found["finding_id"][0] == hashlib.sha256(expected.encode()).hexdigest()[:16]


def test_findings_stand_by_time_whatever_hunt_and_log_they_came_from() -> None:
    rows = [start(OUTLOOK, at, source=source) for at, source in ((30, "a"), (10, "b"), (20, "c"))]
    for order in (rows, rows[::-1]):
        found, events = gather(case(*order), [hunt(every_start, "b"), hunt(every_start, "a")])
        assert found["start"].is_sorted()
        assert found["query"].to_list() == ["a", "b"] * 3
        assert events["finding_id"].is_sorted()


def test_what_a_hunt_does_not_say_of_a_match_its_hunt_does_or_nobody() -> None:
    (row,) = gather(case(start(OUTLOOK)), [hunt(every_start)])[0].iter_rows(named=True)
    assert (row["query"], row["title"], row["severity"], row["risk_score"]) == ("mine", "Mine", "high", 73)
    assert row["techniques"] == ["T1000"]
    assert row["suppressed"] is None
    assert row["image"] is row["grade"] is row["competitors"] is row["signer"] is None


def test_a_hunt_may_say_more_of_one_match_than_of_all() -> None:
    def find(case: Case) -> pl.LazyFrame:
        return every_start(case).with_columns(title=pl.lit("This one"), severity=pl.lit("low"), grade=pl.lit("B"))

    (row,) = gather(case(start(OUTLOOK)), [hunt(find)])[0].iter_rows(named=True)
    assert (row["title"], row["severity"], row["grade"]) == ("This one", "low", "B")


def test_an_event_of_two_findings_stands_under_both() -> None:
    _, events = gather(case(start(OUTLOOK)), [hunt(every_start, "a"), hunt(every_start, "b")])
    assert events["finding_id"].n_unique() == events.height == 2


def test_events_without_record_id_or_time_are_found_again() -> None:
    row = start(OUTLOOK, record_id=None, UtcTime="?", logged="?")
    _, events = gather(case(row), [hunt(every_start)])
    assert events.height == 1
    assert json.loads(events["fields"][0])["Image"] == OUTLOOK


def test_times_keep_their_nanoseconds() -> None:
    found, events = gather(case(start(OUTLOOK, "0.123456789")), [hunt(every_start)])
    assert found.select(pl.col("start").dt.strftime("%S%.9f"))[0, 0] == moment("0.123456789")[-12:]
    assert events.schema["time"] == schema.TIME


def test_evidence_text_in_events_is_exact() -> None:
    text = 'a"\\\x1b\u202e\n\t[red]=1+1'
    _, events = gather(case(start(OUTLOOK, CommandLine=text)), [hunt(every_start)])
    assert json.loads(events["fields"][0])["CommandLine"] == text


def test_a_finding_with_recovered_events_says_so_and_is_less_sure() -> None:
    parent, child = pair()
    events = case()
    for row, recovered in ((parent, False), (child, True)):
        whole = batch(row)
        marked = {k: f.with_columns(pl.lit(recovered).alias("recovered")) for k, f in whole.frames.items()}
        events.add(Batch(marked, whole.census))
    (row,) = gather(events, [HUNT])[0].iter_rows(named=True)
    (live,) = gather(case(parent, child), [HUNT])[0].iter_rows(named=True)
    assert (live["confidence"], row["confidence"]) == ("high", "medium")
    assert row["reason"] == live["reason"] + "; 1 of its 2 events recovered, not live (step 2)"
    assert row["evidence"] == [*live["evidence"], "recovered"]
    told = {"confidence", "reason", "evidence"}
    assert {c: v for c, v in row.items() if c not in told} == {c: v for c, v in live.items() if c not in told}


def test_a_hunt_that_says_nothing_of_its_findings_still_marks_recovered_ones() -> None:
    whole = batch(start(OUTLOOK))
    marked = {k: f.with_columns(pl.lit(value=True).alias("recovered")) for k, f in whole.frames.items()}
    events = case()
    events.add(Batch(marked, whole.census))
    (row,) = gather(events, [hunt(every_start)])[0].iter_rows(named=True)
    assert (row["confidence"], row["evidence"]) == (None, ["recovered"])
    assert row["reason"] == "Mine; 1 of its 1 events recovered, not live (step 1)"
