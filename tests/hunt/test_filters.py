"""What --since, --until, --host and --channel show and hide; that reading is as without them."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner, Result

from hunt import registry
from hunt.cli import main
from hunt.errors import HuntError, QueryError
from hunt.filters import GRADES, Filters, moment
from hunt.findings import COLUMNS, EVENT_COLUMNS
from hunt.model import SYSMON, Wants
from samples.evtx_writer import Event, sysmon_process, write_log
from tests.helpers import OUTLOOK, POWERSHELL, quickly

# Times that users give.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-02T08:15:00Z", "2026-03-02T08:15:00+00:00"),
        ("2026-03-02T08:15:00.123456+02:00", "2026-03-02T06:15:00.123456+00:00"),
        ("2026-03-02 08:15", "2026-03-02T08:15:00+00:00"),
        ("20260302T081500Z", "2026-03-02T08:15:00+00:00"),
        (" 2026-03-02 ", "2026-03-02T00:00:00+00:00"),
    ],
)
def test_times_are_iso_8601_and_become_utc(text: str, expected: str) -> None:
    assert moment(text).at.isoformat() == expected


def test_a_time_without_a_zone_is_taken_as_utc_and_that_is_known() -> None:
    assert moment("2026-03-02T08:15:00").assumed
    assert moment("2026-03-02").assumed
    assert not moment("2026-03-02T08:15:00+00:00").assumed


def test_a_date_alone_as_an_end_is_all_of_that_day() -> None:
    assert moment("2026-03-02", end=True).at == datetime(2026, 3, 2, 23, 59, 59, 999999, UTC)
    assert moment("20260302", end=True).at == moment("2026-03-02", end=True).at
    assert moment("2026-W10-1", end=True).at == moment("2026-03-02", end=True).at
    assert moment("2026W10 08", end=True).at == datetime(2026, 3, 2, 8, tzinfo=UTC)
    assert moment("2026-03-02T00:00", end=True).at == datetime(2026, 3, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        *("", "soon", "08:15", "2026-13-01", "2026-02-30", "1772439300", "2026-03-02T25:00", "2026-03-02T08:15:00Q"),
        *("0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00", "1600-01-01", "2300-01-01", "2026-03-02\0", "٢٠٢٦-03-02"),
    ],
)
def test_what_is_no_time_or_lies_where_no_log_can_is_refused(text: str) -> None:
    with pytest.raises(HuntError):
        moment(text)


# Which findings are shown.


def findings(*rows: tuple[str, str, list[str | None]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(id, host, times of its events) as the frames of a report."""
    found = pl.DataFrame([{"finding_id": i, "query": "q", "host": host} for i, host, _ in rows], infer_schema_length=99)
    events = pl.DataFrame(
        [{"finding_id": i, "host": host, "time": time} for i, host, times in rows for time in times],
        schema={"finding_id": pl.String, "host": pl.String, "time": pl.String},
    ).with_columns(pl.col("time").str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="ns", time_zone="UTC"))
    return (
        found.with_columns(pl.lit(None, t).alias(c) for c, t in COLUMNS.items() if c not in found.columns),
        events.with_columns(pl.lit(None, t).alias(c) for c, t in EVENT_COLUMNS.items() if c not in events.columns),
    )


def shown(filters: Filters, *rows: tuple[str, str, list[str | None]]) -> list[str]:
    kept, events, hidden = filters.apply(*findings(*rows))
    assert set(events["finding_id"]) == set(kept["finding_id"])
    assert sum(hidden.values()) == len(rows) - kept.height
    return kept["finding_id"].to_list()


ROWS: tuple[tuple[str, str, list[str | None]], ...] = (
    ("early", "A", ["2026-03-02T08:00:00", "2026-03-02T08:00:10"]),
    ("across", "B", ["2026-03-02T08:00:00", "2026-03-02T10:00:00"]),
    ("late", "a.example.com", ["2026-03-02T10:00:00.000000001"]),
    ("unknown", "C", [None]),
)


def test_a_finding_is_shown_if_any_of_its_events_lies_inside() -> None:
    since, until = moment("2026-03-02T09:00Z").at, moment("2026-03-02T09:30Z").at
    assert shown(Filters(since=since), *ROWS) == ["across", "late", "unknown"]
    assert shown(Filters(until=since), *ROWS) == ["early", "across", "unknown"]
    assert shown(Filters(since=since, until=until), *ROWS) == ["unknown"]  # none of its events lies between
    assert shown(Filters(), *ROWS) == ["early", "across", "late", "unknown"]


def test_both_ends_belong_to_the_span_to_the_last_nanosecond_of_a_microsecond() -> None:
    at = moment("2026-03-02T10:00:00Z").at
    assert shown(Filters(since=at, until=at), *ROWS) == ["across", "late", "unknown"]
    assert shown(Filters(since=moment("2026-03-02T10:00:00.000001Z").at), *ROWS) == ["unknown"]


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        (("b",), ["across"]),
        (("A",), ["early", "late"]),  # also where it is the part before the dot
        (("a.example.com",), ["late"]),
        (("A.EXAMPLE.*",), ["late"]),
        (("?",), ["early", "across", "late", "unknown"]),
        (("b", "c"), ["across", "unknown"]),
        (("example",), []),
    ],
)
def test_hosts_are_named_without_case_whole_or_without_domain_or_with_wildcards(
    hosts: tuple[str, ...], expected: list[str]
) -> None:
    assert shown(Filters(hosts=hosts), *ROWS) == expected


def graded(least: str | None) -> list[str]:
    """What is left of a finding of each grade, and one without a grade."""
    found, events = findings(*((grade, "A", [None]) for grade in (*GRADES, "none")))
    told = found.with_columns(pl.col("finding_id").replace("none", None).alias("grade"))
    kept, rest, hidden = Filters(min_grade=least).apply(told, events)
    assert set(rest["finding_id"]) == set(kept["finding_id"])
    assert sum(hidden.values()) == len(GRADES) + 1 - kept.height
    return kept["finding_id"].to_list()


def test_findings_below_a_grade_are_hidden_and_those_without_one_are_not() -> None:
    assert graded(None) == graded("F") == [*GRADES, "none"]
    assert graded("C") == ["direct", "A", "B", "C", "none"]
    assert graded("direct") == ["direct", "none"]


def test_a_start_is_shown_whoever_asked_for_it() -> None:
    found, events = findings(*((grade, "A", [None]) for grade in GRADES))
    told = found.with_columns(pl.col("finding_id").alias("grade"))
    starts = told["query"].unique().to_list()
    assert Filters(min_grade="A").apply(told, events, starts)[0].height == len(GRADES)


def test_since_after_until_is_refused() -> None:
    with pytest.raises(HuntError, match="--since 2026-03-02T09:00:00Z is after --until 2026-03-01"):
        Filters(since=moment("2026-03-02T09:00Z").at, until=moment("2026-03-01T09:00Z").at)


def test_a_name_that_the_evidence_has_not_is_said_and_refused_if_it_is_the_only_one() -> None:
    with pytest.raises(QueryError, match=r"no host of the evidence is --host ws7 \(have: WS01\)"):
        list(Filters(hosts=("ws7",)).check(["WS01"], []))
    assert list(Filters(hosts=("ws7", "ws01")).check(["WS01"], [])) == ["no host of the evidence is --host ws7"]
    assert list(Filters(channels=("*sysmon*",)).check(["WS01"], [SYSMON])) == []


def test_hidden_channels_are_not_decoded() -> None:
    wants = Wants({(SYSMON.lower(), 1): frozenset({"Image"}), ("security", 4624): frozenset({"LogonType"})})
    assert Filters(channels=("SECURITY",)).wants(wants).types == {("security", 4624): frozenset({"LogonType"})}
    assert Filters().wants(wants) is wants


# The whole way.


def pair(host: str, hour: int) -> list[Event]:
    parent = sysmon_process(Image=POWERSHELL, time=f"2026-03-02 {hour:02d}:59:50", host=host, record_id=hour)
    child = sysmon_process(Image=OUTLOOK, time=f"2026-03-02 {hour + 1:02d}:00:10", host=host, parent=parent)
    return [parent, child]


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    write_log(folder / "a.evtx", pair("WS01.contoso.example", 8))
    write_log(folder / "b.evtx", pair("WS02.contoso.example", 12))
    return folder


def hunt(*arguments: object, every: bool = False) -> Result:
    result = CliRunner().invoke(main, quickly(arguments, every))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def results(out: Path) -> dict[str, Any]:
    tables = {}
    for name in ("findings", "events", "queries"):
        with (out / f"{name}.csv").open(newline="", encoding="utf-8") as file:
            tables[name] = list(csv.DictReader(file))
    return tables | {"manifest": json.loads((out / "manifest.json").read_text())}


def test_a_story_that_since_cuts_in_two_is_told_whole(logs: Path, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    hunt("run", logs, "-o", whole)
    # Between the requester's start (08:59:50) and Outlook's (09:00:10).
    result = hunt("run", logs, "-o", cut, "--since", "2026-03-02T09:00:00Z", "--until", "2026-03-02T09:30:00Z")
    first = results(whole)["findings"][0]
    assert results(cut)["findings"] == [first]
    assert first["grade"] == "direct"
    same = [event for event in results(whole)["events"] if event["finding_id"] == first["finding_id"]]
    assert results(cut)["events"] == same
    assert [event["time"] for event in same] == ["2026-03-02T08:59:50.000000Z", "2026-03-02T09:00:10.000000Z"]
    assert result.stderr.startswith("hunt: 1 finding (1 more hidden by filters); 4 records read in 2 files of 2 hosts")


def test_a_story_through_com_that_since_cuts_in_two_is_told_whole(samples: Path, tmp_path: Path) -> None:
    log = samples / "logs" / "com-grades.evtx"
    hunt("run", log, "-o", tmp_path / "whole")
    # Between the starts of the script hosts and those of Outlook.
    hunt("run", log, "-o", tmp_path / "cut", "--since", "2026-03-02T09:00:00.440Z")
    assert results(tmp_path / "cut")["findings"] == results(tmp_path / "whole")["findings"]


def test_leads_are_hidden_by_a_least_grade_and_counted(samples: Path, tmp_path: Path) -> None:
    result = hunt(
        "run", samples / "logs" / "com-grades.evtx", "-o", tmp_path, "-q", "outlook-script-host", "--min-grade", "b"
    )
    assert sorted(row["grade"] for row in results(tmp_path)["findings"]) == ["A", "B"]
    (query,) = results(tmp_path)["queries"]
    assert (query["findings"], "4 more findings outside --min-grade" in query["reason"]) == ("2", True)
    assert results(tmp_path)["manifest"]["options"]["min_grade"] == "B"
    assert "hunt: 2 findings (4 more hidden by filters)" in result.stderr


def test_a_channel_that_hides_sysmon_leaves_what_security_tells(samples: Path, tmp_path: Path) -> None:
    logs = (samples / "logs" / "security-only.evtx", samples / "logs" / "clone-b.evtx")
    hunt("run", *logs, "-o", tmp_path, "-q", "outlook-script-host", "--channel", "Security")
    (query,) = results(tmp_path)["queries"]
    assert (query["status"], query["findings"]) == ("partly", "6")
    hosts = ("2012", "AUDIT", "BARE", "CROWD", "DEFAULT")
    assert json.loads(query["hosts_ran"]) == [f"SRV-{name}.contoso.example" for name in hosts]
    assert f"{SYSMON} is hidden by --channel" in query["reason"]


def test_what_filters_hide_is_counted(logs: Path, tmp_path: Path) -> None:
    hunt("run", logs, "-o", tmp_path / "out", "--host", "ws01")
    out = results(tmp_path / "out")
    assert [row["host"] for row in out["findings"]] == ["WS01.contoso.example"]
    (query,) = [row for row in out["queries"] if row["query"] == "outlook-script-host"]
    assert (query["findings"], query["status"]) == ("1", "ran")
    assert "1 more finding outside --host" in query["reason"]
    assert (out["manifest"]["findings"], out["manifest"]["findings_hidden"]) == (1, 1)
    assert out["manifest"]["options"]["hosts"] == ["ws01"]


def test_a_hidden_finding_is_no_reason_to_fail(logs: Path) -> None:
    assert hunt("run", logs, "--until", "2020-01-01", "--fail-on", "low").exit_code == 0


def test_a_channel_that_hides_what_a_query_needs_makes_it_not_evaluable(logs: Path, tmp_path: Path) -> None:
    logon = Event("Microsoft-Windows-Security-Auditing", 4624, "Security", "WS03", "2026-03-02 08:00:00")
    write_log(logs / "c.evtx", [logon])
    result = hunt("run", logs, "-o", tmp_path / "out", "--channel", "Security", every=True)
    number = sum(row["status"] == "not_evaluable" for row in results(tmp_path / "out")["queries"])
    assert number > len(registry.select(())) - 3  # few queries can do with logons alone
    assert f"; {number} queries could not run, so nothing is known of what they look for" in result.stderr
    (query,) = [row for row in results(tmp_path / "out")["queries"] if row["query"] == "outlook-script-host"]
    assert query["status"] == "not_evaluable"
    assert f"{SYSMON} is hidden by --channel" in query["reason"]
    assert json.loads(query["hosts_ran"]) == []
    assert len(json.loads(query["hosts_not_evaluable"])) == 3


def test_a_channel_may_have_its_short_name(logs: Path) -> None:
    assert len(hunt("run", logs, "--channel", "sysmon").stdout.splitlines()) == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ("--since", "soon"),
        ("--until", "2026-99-99"),
        ("--since", "2026-03-02T10:00Z", "--until", "2026-03-02T09:00Z"),
        ("--host", "WS99"),
        ("--channel", "Nowhere"),
        ("--max-memory", "1M"),
    ],
)
def test_what_can_not_be_asked_is_one_line_and_exit_code_2(logs: Path, arguments: tuple[str, ...]) -> None:
    result = hunt("run", logs, *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("hunt: ")


def test_a_time_without_a_zone_is_said(logs: Path) -> None:
    result = hunt("run", logs, "--since", "2026-03-02T10:00")
    assert "--since 2026-03-02T10:00 names no zone: taken as 2026-03-02T10:00:00Z" in result.stderr
    assert len(result.stdout.splitlines()) == 2
