"""The case: every event once with all its places, whatever mixture of logs it came from."""

from __future__ import annotations

import polars as pl
import pytest

from hunt import copies, registry, schema
from hunt.events import Events, printed
from hunt.model import ALL_COLUMNS, SYSMON, Batch, EventType, Need
from tests.helpers import OUTLOOK, POWERSHELL, Row, batch, case, event, moment, start


def starts(*rows: Row) -> pl.DataFrame:
    return case(*rows).frame(SYSMON, 1).collect()


def places(frame: pl.DataFrame) -> list[list[tuple[str, int]]]:
    return [[(at["path"], at["offset"]) for at in sources] for sources in frame["sources"].to_list()]


def test_an_event_met_in_two_logs_counts_once_and_keeps_both_places() -> None:
    row = start(OUTLOOK, source="live.evtx", offset="5000")
    frame = starts(row, row | {"source": "archive.evtx", "offset": "9000"})
    assert frame.height == 1
    assert places(frame) == [[("archive.evtx", 9000), ("live.evtx", 5000)]]


def test_copies_in_one_log_count_once_too() -> None:
    row = start(OUTLOOK, source="live.evtx", offset="5000")
    assert places(starts(row, row | {"offset": "7000"})) == [[("live.evtx", 5000), ("live.evtx", 7000)]]


def test_copies_met_in_different_batches_count_once() -> None:
    row = start(OUTLOOK, source="a.evtx", offset="1")
    events = case()
    for source in ("c.evtx", "a.evtx", "b.evtx"):
        events.add(batch(row | {"source": source}))
    frame = events.frame(SYSMON, 1).collect()
    assert [path for path, _ in places(frame)[0]] == ["a.evtx", "b.evtx", "c.evtx"]


@pytest.mark.parametrize(
    "change",
    [
        {"record_id": "999999"},
        {"logged": moment("0.001")},
        {"CommandLine": "another"},
        {"host": "WS02"},
        {"User": None},
        {"Extra": ""},
        {"provider": "Microsoft-Windows-Sysmon2"},
        {"System.Version": "4"},
    ],
)
def test_events_that_differ_in_anything_but_their_place_are_two(change: Row) -> None:
    row = start(OUTLOOK, source="a.evtx")
    assert starts(row, row | {"source": "b.evtx"} | change).height == 2


def test_a_copy_whose_host_is_spelled_in_another_case_is_the_same_event() -> None:
    row = start(OUTLOOK, host="WS01.Contoso.example", source="a.evtx")
    frame = starts(row, row | {"host": "ws01.contoso.EXAMPLE", "source": "b.evtx"})
    assert frame["host"].to_list() == ["WS01.Contoso.example"]
    assert len(places(frame)[0]) == 2


def test_a_forwarded_copy_with_rendered_texts_and_its_own_record_number_is_the_same_event() -> None:
    row = start(OUTLOOK, source="a.evtx")
    forwarded = row | {"source": "b.evtx", "record_number": "88", "RenderingInfo.Message": "Process Create: ..."}
    assert starts(row, forwarded).height == 1


def test_copies_with_unnamed_data_are_compared_by_all_of_it() -> None:
    row = event(7, channel="Application", Data=["a", "", "b"], source="a.evtx")
    same, other = row | {"source": "b.evtx"}, row | {"source": "c.evtx", "Data": ["a", "b", ""]}
    frame = case(row, same, other).frame("Application", 7).collect()
    assert sorted(map(len, places(frame))) == [1, 2]


def test_blank_and_absent_fields_make_two_events() -> None:
    row = event(7, channel="Application", A="x", B="")
    assert case(row, row | {"B": None}).frame("Application", 7).collect().height == 2


def test_rows_stand_in_order_of_source_and_offset() -> None:
    rows = [start(OUTLOOK, source=source, offset=offset) for source, offset in (("b", "2"), ("a", "9"), ("b", "1"))]
    assert starts(*rows).select("source", "offset").rows() == [("a", 9), ("b", 1), ("b", 2)]


def test_old_and_new_field_sets_make_one_frame() -> None:
    old = {name: value for name, value in start(OUTLOOK).items() if name not in ("User", "LogonId")}
    events = case()
    events.add(batch(old))
    events.add(batch(start(POWERSHELL, ParentUser="bob", OriginalFileName="PowerShell.EXE")))
    frame = events.frame(SYSMON, 1).collect()
    assert frame["ParentUser"].to_list() == [None, "bob"]
    assert frame["LogonId"].to_list() == [None, 0x53CA2]


def test_a_channel_written_in_another_case_is_the_same_channel() -> None:
    events = case(start(OUTLOOK))
    events.add(batch(start(POWERSHELL, channel=SYSMON.upper()) | {"provider": "Microsoft-Windows-Sysmon"}))
    assert events.frame(SYSMON.lower(), 1).collect().height == 2
    assert events.types() == (EventType(SYSMON, 1),)


def test_providers_that_name_a_field_alike_but_mean_other_types_share_a_frame() -> None:
    sysmon = start(OUTLOOK, ProcessId="77")
    foreign = start(OUTLOOK) | {"provider": "Microsoft-Windows-Security-Auditing", "ProcessId": "0xfffffffff"}
    unlisted = start(OUTLOOK) | {"provider": "Evil", "ProcessId": "text", "UtcTime": "never"}
    for order in ((sysmon, foreign, unlisted), (unlisted, foreign, sysmon)):
        events = case()
        for row in order:
            events.add(batch(row))
        frame = events.frame(SYSMON, 1).collect()
        assert frame.height == 3
        assert frame.schema["ProcessId"] == pl.UInt32
        assert sorted(frame["ProcessId"].drop_nulls()) == [77]
        assert events.unparsed() == 3


@pytest.mark.parametrize("provider", [None, "microsoft-windows-sysmon", "Evil"])
def test_events_of_no_known_provider_are_read_as_their_channels_are(provider: str | None) -> None:
    """As exports write them that drop or change the provider: a hunt that met text for a number would not end well."""
    usual, odd = start(OUTLOOK, LogonId="0x53ca2"), start(OUTLOOK, LogonId="0x53ca2") | {"provider": provider}
    met, wanted = starts(odd), starts(usual)
    assert dict(met.schema) == {name: wanted.schema[name] for name in met.columns}
    assert (met["LogonId"].item(), met["time"].item()) == (0x53CA2, wanted["time"].item())


def test_one_forged_event_changes_no_types_that_hunts_rely_on() -> None:
    for wanted in {need.event_type for query in registry.queries() for need in query.hunt.wanted}:
        usual = dict(case().frame(*wanted).collect().schema)
        fields = {name: "x" for name, dtype in usual.items() if name not in schema.RESERVED and not dtype.is_nested()}
        forged = event(wanted.event_id, channel=wanted.channel, provider="Evil", **fields)
        met = case(forged).frame(*wanted).collect().schema
        assert {name: met[name] for name in usual} == usual, wanted


def test_the_same_events_give_the_same_frame_however_they_are_batched() -> None:
    rows = [start(OUTLOOK, n) | {"provider": p} for n, p in enumerate(["Microsoft-Windows-Sysmon", "Evil"] * 3)]
    whole, single = case(*rows), case()
    for row in reversed(rows):
        single.add(batch(row))
    one, other = (e.frame(SYSMON, 1).collect() for e in (whole, single))
    assert one.equals(other.select(one.columns))


def test_places_that_a_case_tells_are_the_same_for_few_events_and_for_all() -> None:
    images = [rf"C:\tools\tool{n}.exe" for n in range(6)]
    rows = [start(image, at, record_id=str(at + 1)) for at, image in enumerate(images)]
    read = Events()
    for source in ("b", "a"):  # each lot has a row of its own for all copies in it
        copied = (
            row | {"source": source, "offset": str(10 * at + n)} for at, row in enumerate(rows) for n in (1, 2, 3)
        )
        for part in batch(*copied).frames.values():
            read.add(Batch({EventType(SYSMON, 1): copies.collapsed(part)}, schema.census([part])))
    whole = read.frame(SYSMON, 1).collect()
    assert whole["sources"].list.len().to_list() == [6] * 6
    assert whole["sources"][0].to_list() == [{"path": p, "offset": n} for p in "ab" for n in (1, 2, 3)]
    few = read.frame(SYSMON, 1).filter(pl.col("Image").is_in(images[1::2])).collect()
    assert few.equals(whole[1::2])
    assert read.frame(SYSMON, 1).select("Image").collect()["Image"].to_list() == images
    assert [frame["sources"].to_list() for _, frame in read.distinct([Need(SYSMON, 1, ALL_COLUMNS)])] == [
        whole["sources"].to_list()
    ]


def test_values_that_do_not_fit_are_counted_once_an_event() -> None:
    row = start(OUTLOOK, ProcessId='many":"', LogonId='"\\":"', source="a.evtx")
    assert case(row, row | {"source": "b.evtx"}).unparsed() == 2
    assert case(start(OUTLOOK)).unparsed() == 0
    assert case().unparsed() == 0


def test_hosts_are_listed_once_sorted_and_as_printed() -> None:
    rows = [start(OUTLOOK, host=host) for host in ("ws02", "WS01", "ws01", "Ws03")]
    events = case(*rows, event(5, host="AA"))
    assert events.hosts() == ("AA", "WS01", "ws02", "Ws03")
    assert events.hosts(EventType(SYSMON, 5)) == ("AA",)
    assert events.hosts(EventType("Security", 4624)) == ()


def test_an_event_type_that_was_not_met_is_an_empty_frame_with_what_hunts_read() -> None:
    events = Events([Need(SYSMON, 1, frozenset({"Image", "ProcessId"}))])
    frame = events.frame(SYSMON, 1).collect()
    assert frame.height == 0
    assert {"Image", "ProcessId", "sources", *schema.CORE, *schema.SYSTEM} == set(frame.columns)
    assert frame.schema["ProcessId"] == pl.UInt32


def test_a_column_that_a_hunt_reads_and_no_event_has_is_null() -> None:
    events = Events([Need(SYSMON, 1, frozenset({"Nowhere", "LogonId"}))])
    events.add(batch({name: value for name, value in start(OUTLOOK).items() if name != "LogonId"}))
    frame = events.frame(SYSMON, 1).collect()
    assert frame.select("Nowhere", "LogonId").rows() == [(None, None)]
    assert frame.schema["LogonId"] == pl.UInt64


def test_frames_handed_out_do_not_change_when_more_is_read() -> None:
    events = case(start(OUTLOOK))
    before = events.frame(SYSMON, 1)
    events.add(batch(start(POWERSHELL)))
    assert before.collect().height == 1
    assert events.frame(SYSMON, 1).collect().height == 2


def test_fields_print_as_windows_has_them_and_without_what_stands_in_columns_of_its_own() -> None:
    (fields,) = printed(starts(start(OUTLOOK, LogonId="0x3e7", ProcessId="77", Blank="")), 1)
    assert fields["LogonId"] == "0x3e7"
    assert fields["ProcessId"] == 77
    assert fields["Blank"] == ""
    assert fields["provider"] == "Microsoft-Windows-Sysmon"
    assert not {"host", "source", "offset", "sources", "record_id", "System.Level"} & fields.keys()


def test_hosts_of_which_recovered_events_alone_are_left_are_hosts_too() -> None:
    """Stale records of slack are in no census."""
    events = case(start(OUTLOOK))
    stale = batch(event(5, host="WS09"))
    marked = {kind: frame.with_columns(pl.lit(value=True).alias("recovered")) for kind, frame in stale.frames.items()}
    events.add(Batch(marked, stale.census.clear()))
    assert events.hosts() == ("WS01", "WS09")
    assert events.hosts(EventType(SYSMON, 5)) == ("WS09",)
