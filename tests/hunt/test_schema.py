"""Texts become typed columns only where the schema lists them, and whatever does not fit is kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hunt import schema
from hunt.model import SYSMON
from hunt.places import SOURCES
from hunt.schema import CORE, SYSTEM, TIME

SYSMON_PROVIDER = "Microsoft-Windows-Sysmon"
SECURITY_PROVIDER = "Microsoft-Windows-Security-Auditing"


def conform(provider: str = SYSMON_PROVIDER, **columns: str) -> pl.DataFrame:
    """One row of text, conformed as an event 1."""
    row = {"provider": provider, **columns}
    return schema.conform(pl.DataFrame({name: [value] for name, value in row.items()}), 1)


def read(field: str, text: str | None, provider: str = SYSMON_PROVIDER, event_id: int = 1) -> Any:
    frame = pl.DataFrame({"provider": [provider], field: [text]}, schema={"provider": pl.String, field: pl.String})
    return schema.conform(frame, event_id)[field][0]


def test_every_frame_begins_with_the_core_and_system_columns_whatever_it_was_given() -> None:
    frame = conform(Zeta="z", host="WS01", Image="i")
    assert frame.columns == [*CORE, *SYSTEM, "Zeta", "Image"]
    assert {name: frame.schema[name] for name in {**CORE, **SYSTEM}} == {**CORE, **SYSTEM}


def test_a_field_that_is_not_listed_stays_text() -> None:
    assert conform(Version="5", ProcessId="7").select("Version", "ProcessId").row(0) == ("5", 7)


def test_what_a_field_holds_depends_on_its_provider() -> None:
    assert read("ProcessId", "0x1f4", SECURITY_PROVIDER) == 500
    assert conform(provider=SECURITY_PROVIDER, ProcessId="0x1f4").schema["ProcessId"] == pl.UInt64
    assert conform(provider="Contoso", ProcessId="0x1f4")["ProcessId"][0] == "0x1f4"
    assert read("LogonType", "3", SECURITY_PROVIDER, 4624) == 3
    assert read("LogonType", "3", SECURITY_PROVIDER, 4663) == "3"


@given(st.integers(0, 2**32 - 1))
def test_numbers_read_back(number: int) -> None:
    assert read("ProcessId", str(number)) == number
    assert read("ProcessId", hex(number)) == number


@given(st.integers(0, 2**64 - 1))
def test_hexadecimal_ids_read_back_and_print_as_windows_does(number: int) -> None:
    frame = conform(LogonId=hex(number))
    assert frame["LogonId"][0] == number
    assert frame.select(schema.hex_text(pl.col("LogonId")))[0, 0] == hex(number)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("ProcessId", "4294967296"),
        ("ProcessId", "-1"),
        ("ProcessId", "1.5"),
        ("ProcessId", "1e3"),
        ("ProcessId", "+1"),
        ("ProcessId", " 1"),
        ("ProcessId", "0x"),
        ("ProcessId", "0xfffffffff"),
        ("ProcessId", "\u0665"),
        ("ProcessId", "1" * 400),
        ("LogonId", "18446744073709551616"),
        ("LogonId", "0x10000000000000000"),
        ("LogonId", "0xzz"),
        ("UtcTime", "yesterday"),
        ("UtcTime", "2026-02-30 00:00:00.000"),
        ("UtcTime", "2026-03-02 25:00:00.000"),
        ("UtcTime", "2026-03-02 08:15:00.1234567890"),
        ("UtcTime", "2026-03-02 08:15:00.123+01:00"),
        ("UtcTime", "1677-12-31 23:59:59.999"),
        ("UtcTime", "2262-01-01 00:00:00.000"),
        ("UtcTime", "1601-01-01 00:00:00.000"),
        ("UtcTime", "9999-12-31 23:59:59.999"),
        ("UtcTime", "-"),
    ],
)
def test_a_text_that_does_not_fit_is_null_and_kept(field: str, text: str) -> None:
    frame = conform(**{field: text})
    assert frame[field][0] is None
    assert json.loads(frame["unparsed"][0]) == {field: text}


@pytest.mark.parametrize("field", ["ProcessId", "LogonId", "UtcTime"])
def test_blank_and_absent_are_null_without_ado(field: str) -> None:
    for text in ("", None):
        frame = pl.DataFrame({"provider": [SYSMON_PROVIDER], field: [text]}, schema_overrides={field: pl.String})
        assert schema.conform(frame, 1).select(field, "unparsed").row(0) == (None, None)


def test_blank_text_stays_blank() -> None:
    assert read("CommandLine", "") == ""


@given(st.datetimes(datetime(1678, 1, 1), datetime(2261, 12, 31, 23, 59, 59)), st.integers(0, 9))
def test_times_read_to_the_nanosecond(at: datetime, decimals: int) -> None:
    whole = at.replace(microsecond=0, tzinfo=UTC)
    fraction = "123456789"[:decimals]
    text = f"{whole:%Y-%m-%d %H:%M:%S}" + (f".{fraction}" if fraction else "")
    expected = int((whole - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 10**9 + int(fraction.ljust(9, "0"))
    for written in (text, text.replace(" ", "T") + "Z"):
        assert conform(UtcTime=written)["UtcTime"].dt.timestamp("ns")[0] == expected


def test_the_time_of_a_sysmon_event_is_its_utc_time_else_when_it_was_logged() -> None:
    logged = "2026-03-02T08:15:00.1234567Z"
    both = conform(UtcTime="2026-03-02 08:14:59.998", logged=logged)
    assert both["time"].dt.timestamp("ms")[0] == both["logged"].dt.timestamp("ms")[0] - 125
    for frame in (
        conform(logged=logged),
        conform(UtcTime="?", logged=logged),
        conform(provider="Contoso", UtcTime="2026-03-02 08:14:59.998", logged=logged),
    ):
        assert frame["time"][0] is not None
        assert frame["time"].to_list() == frame["logged"].to_list()


@given(st.uuids())
def test_guids_are_printed_as_sysmon_does_whatever_their_form(guid: UUID) -> None:
    printed = f"{{{guid}}}".upper()
    expected = None if guid.int == 0 else printed
    for text in (printed, printed.lower(), str(guid), str(guid).upper()):
        assert read("ProcessGuid", text) == expected


@pytest.mark.parametrize("field", ["ProcessGuid", "SourceProcessGUID", "System.ActivityID"])
def test_the_null_guid_is_null_and_no_misfit(field: str) -> None:
    frame = conform(**{field: "{00000000-0000-0000-0000-000000000000}"})
    assert frame.select(field, "unparsed").row(0) == (None, None)


def test_text_in_a_guid_column_stays() -> None:
    assert read("ProcessGuid", "-") == "-"
    assert read("ProcessGuid", "{not-a-guid}") == "{not-a-guid}"


@pytest.mark.parametrize("name", sorted(schema.RESERVED))
def test_a_field_cannot_take_the_place_of_a_column_of_ours(name: str) -> None:
    assert schema.column_name(name) == f"data.{name}"


def test_other_fields_keep_their_names() -> None:
    assert schema.column_name("Image") == "Image"


_HOSTILE = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('"\\\0\x1b\u202e{}:,\n'), min_size=1)


@settings(max_examples=60)
@given(_HOSTILE, _HOSTILE)
def test_unparsed_reads_back_exactly(pid: str, logon: str) -> None:
    expected = {name: text for name, text in (("ProcessId", pid), ("LogonId", logon)) if read(name, text) is None}
    found = conform(ProcessId=pid, LogonId=logon)["unparsed"][0]
    assert (json.loads(found) if found else {}) == expected


def test_misfits_of_a_second_pass_join_those_of_the_first() -> None:
    first = conform(provider="Contoso", ProcessId="many", event_id_text="x", logged="never")
    assert json.loads(first["unparsed"][0]) == {"logged": "never"}
    second = schema.conform(first, 1, [SYSMON_PROVIDER])
    assert json.loads(second["unparsed"][0]) == {"logged": "never", "ProcessId": "many"}


def test_misfits_of_one_row_say_nothing_of_another() -> None:
    columns = {"provider": [SYSMON_PROVIDER] * 3, "ProcessId": ["x", "1", "y"], "LogonId": ["y", "0x2", "3"]}
    frame = pl.DataFrame(columns)
    unparsed = schema.conform(frame, 1)["unparsed"].to_list()
    assert [text and json.loads(text) for text in unparsed] == [
        {"ProcessId": "x", "LogonId": "y"},
        None,
        {"ProcessId": "y"},
    ]


def test_what_is_typed_already_stays() -> None:
    once = conform(ProcessId="7", UtcTime="2026-03-02 08:15:00", LogonId="0x3e7", Data="x")
    assert schema.conform(once, 1).equals(once)


def test_a_number_typed_for_another_provider_is_read_for_this_one() -> None:
    security = conform(provider=SECURITY_PROVIDER, ProcessId="0xffffffffff")
    both = schema.conform(security, 1, [SYSMON_PROVIDER])
    assert both.schema["ProcessId"] == pl.UInt32
    assert json.loads(both["unparsed"][0]) == {"ProcessId": "1099511627775"}


def test_no_events_still_have_all_columns_with_the_types_they_would_have() -> None:
    frame = schema.empty(SYSMON.upper(), 1, ["ProcessId", "Image", "UtcTime"])
    assert frame.height == 0
    assert frame.schema["ProcessId"] == pl.UInt32
    assert frame.schema["Image"] == pl.String
    assert frame.schema["UtcTime"] == TIME
    assert schema.empty("Contoso", 1, ["ProcessId"]).schema["ProcessId"] == pl.String


def test_an_empty_frame_conforms() -> None:
    frame = pl.DataFrame(schema={"provider": pl.String, "ProcessId": pl.String})
    assert schema.conform(frame, 1).height == 0


def test_times_print_as_iso_8601_with_microseconds() -> None:
    frame = conform(logged="2026-03-02T08:15:00.1234567Z")
    assert frame.select(schema.time_text(pl.col("logged")))[0, 0] == "2026-03-02T08:15:00.123456Z"


def test_every_listed_field_has_a_type_of_its_kind() -> None:
    for provider, by_event in schema.KINDS.items():
        for event_id, fields in by_event.items():
            for field, kind in fields.items():
                assert schema.kinds([provider], event_id or 1)[field] is kind
                assert not field.startswith("System.")


def test_seconds_are_the_same_wherever_a_row_stands() -> None:
    for rows in range(1, 40):
        frame = pl.DataFrame({"d": pl.Series([60_500_000_000] * rows, dtype=pl.Duration("ns"))})
        for first in range(min(rows, 9)):
            assert set(frame.slice(first).lazy().select(schema.seconds(pl.col("d"))).collect()["d"]) == {60.5}


def test_seconds_are_as_exact_as_a_float_can_be() -> None:
    spans = [0, 1, 999_999_999, 60_500_000_000, 10**17 + 1, -1_500_000_000, None]
    told = pl.DataFrame({"d": pl.Series(spans, dtype=pl.Duration("ns"))}).select(schema.seconds(pl.col("d")))["d"]
    assert told.to_list() == [None if span is None else span / 1e9 for span in spans]


# Memory.


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([None] * 1000, dtype=pl.String),
        pl.Series(["short"] * 1000),
        pl.Series([f"text of more than twelve letters, number {n:04}" for n in range(1000)]),
        pl.Series(range(1000), dtype=pl.UInt64),
        pl.Series([None, 1] * 500, dtype=pl.UInt32),
        pl.Series([[{"source": f"C:\\logs\\{n:08}.evtx", "offset": n}] * 3 for n in range(1000)], dtype=SOURCES),
        pl.Series([["a", None], [], None, ["b"]] * 250, dtype=pl.List(pl.String)),
    ],
    ids=str,
)
def test_what_a_column_takes_in_memory_is_told_within_a_third(column: pl.Series) -> None:
    taken = column.to_arrow(compat_level=pl.CompatLevel.newest()).get_total_buffer_size()
    assert 2 / 3 * taken <= schema.size_of(column) <= 4 / 3 * taken + 4096
    assert schema.size(column.alias("a").to_frame()) == schema.size_of(column)
