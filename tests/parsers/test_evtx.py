"""Events of every kind, read exactly by both parsers of EVTX."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hunt.model import SYSMON, EventType, Parser
from samples import values
from samples.evtx_writer import UserData, sysmon_process, write_log
from samples.values import NULL, Value
from tests.helpers import gather_bytes, read
from tests.parsers.logs import START, event, good, one


@pytest.mark.parametrize("exported", [True, False])
def test_a_sysmon_start_reads_as_it_was_written(parser: Parser, tmp_path: Path, exported: bool) -> None:
    text = "a <b> & 'c' \"d\" \x1b[31m"
    written = sysmon_process(Image=r"C:\Users\zoë\外.exe", time=START, CommandLine=text, LogonId=0x53CA2)
    row = one(parser, tmp_path, written, exported=exported)
    assert row["CommandLine"] == text
    assert row["Image"] == r"C:\Users\zoë\外.exe"
    assert row["ProcessGuid"] == written.field("ProcessGuid")
    assert row["ProcessId"] == int(written.field("ProcessId"))
    assert row["LogonId"] == 0x53CA2
    assert (row["host"], row["channel"], row["event_id"], row["record_id"]) == (written.computer, SYSMON, 1, 1)


@pytest.mark.parametrize("decimals", ["0000000", "0000001", "6789017", "9999999"])
def test_time_created_is_exact_to_100_ns(parser: Parser, tmp_path: Path, decimals: str) -> None:
    path = write_log(tmp_path / "log.evtx", [event(time=f"2026-03-02 08:15:00.{decimals}")])
    (frame,) = read(parser, path)[0].values()
    assert frame["logged"].dt.strftime("%Y-%m-%d %H:%M:%S%.9f")[0] == f"2026-03-02 08:15:00.{decimals}00"


def test_a_value_leads_back_to_its_bytes(parser: Parser, tmp_path: Path) -> None:
    path = write_log(tmp_path / "log.evtx", [event(record_id=n, header_id=n + 500) for n in (10, 11, 12)])
    (frame,) = read(parser, path, "found/here.evtx")[0].values()
    content = path.read_bytes()
    for row in frame.iter_rows(named=True):
        magic, _, number = struct.unpack_from("<4sIQ", content, row["offset"])
        assert (magic, number) == (b"\x2a\x2a\0\0", row["record_number"])
    assert frame.select("record_id", "record_number", "source").rows() == [
        (n, n + 500, "found/here.evtx") for n in (10, 11, 12)
    ]


@pytest.mark.parametrize("optional", [True, False])
def test_event_data_with_names(parser: Parser, tmp_path: Path, optional: bool) -> None:
    row = one(parser, tmp_path, event(data=[("A", "x"), ("B", values.u32(5)), ("C", "")], optional=optional))
    assert (row["A"], row["B"], row["C"]) == ("x", "5", "")


def test_classic_events_have_unnamed_data_and_binary(parser: Parser, tmp_path: Path) -> None:
    row = one(
        parser,
        tmp_path,
        event(provider_guid=None, channel="Application", qualifiers=0x4000, unnamed=["a", "", "c"], binary=b"\0\xff"),
    )
    assert (row["Data"], row["Binary"], row["System.Qualifiers"]) == (["a", "", "c"], "00FF", 0x4000)
    assert row["System.Version"] is None


def test_an_event_id_written_into_the_template_is_read(parser: Parser, tmp_path: Path) -> None:
    row = one(parser, tmp_path, event(provider_guid=None, channel="Application", event_id=64, literal_event_id=True))
    assert row["event_id"] == 64


def test_user_data_are_fields_by_leaf_name(parser: Parser, tmp_path: Path) -> None:
    body = UserData("AuditEventsCleared", [("SubjectUserName", "alice"), ("Count", values.u64(3))])
    row = one(parser, tmp_path, event(user_data=body))
    assert (row["SubjectUserName"], row["Count"]) == ("alice", "3")


def test_an_event_without_a_body_has_its_system_columns(parser: Parser, tmp_path: Path) -> None:
    row = one(parser, tmp_path, event(user_sid="S-1-5-18", activity_id="{00000001-0002-0003-0004-000000000005}"))
    assert row["System.UserID"] == "S-1-5-18"
    assert row["System.ActivityID"] == "{00000001-0002-0003-0004-000000000005}"


def test_channels_and_ids_are_kept_apart(parser: Parser, tmp_path: Path) -> None:
    log = [event(event_id=1), event(event_id=2, channel="Other"), event(event_id=1, channel="Other")]
    frames, _ = read(parser, write_log(tmp_path / "log.evtx", log))
    assert set(frames) == {EventType("Contoso/Debug", 1), EventType("Other", 2), EventType("Other", 1)}


def test_progress_adds_up_to_the_bytes_of_the_file(parser: Parser, tmp_path: Path) -> None:
    for content in (good(), good()[:90_000], good()[:4096], good()[:100]):
        found = gather_bytes(parser, tmp_path, content)
        assert {part.source for part in found.progress} == {"log.evtx"}
        assert sum(part.size for part in found.progress) == len(content)


def test_values_that_look_like_markup_stay_text(parser: Parser, tmp_path: Path) -> None:
    text = "</Data></EventData><System><EventID>1</EventID></System>]]><![CDATA[&lt;"
    row = one(parser, tmp_path, event(data=[("A", text)]))
    assert (row["A"], row["event_id"]) == (text, 7)


def test_a_null_value_where_one_was_promised_is_blank_or_absent(parser: Parser, tmp_path: Path) -> None:
    assert one(parser, tmp_path, event(data=[("A", Value(NULL, b"", "")), ("B", "x")], optional=True)).get("A") is None
    assert one(parser, tmp_path, event(data=[("A", Value(NULL, b"", "")), ("B", "x")]))["A"] == ""


def test_times_outside_of_what_frames_hold_are_kept_as_text(parser: Parser, tmp_path: Path) -> None:
    row = one(parser, tmp_path, event(time=0))
    assert row["logged"] is None
    assert "1601-01-01" in str(row["unparsed"])


def test_an_event_of_today_has_todays_time(parser: Parser, tmp_path: Path) -> None:
    at = datetime(2026, 3, 2, 8, 15, tzinfo=UTC)
    assert one(parser, tmp_path, event(time=at))["time"] == at
