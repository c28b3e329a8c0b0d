"""The reference parser: events of every kind read exactly, and damage and malice cost no more than their record."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hunt.model import SYSMON, EventType, Problem, Progress
from parsers import records
from parsers.evtx_reference import PARSER
from samples import values
from samples.binxml import FRAGMENT, OPEN, TEMPLATE, VALUE, Element, Instance, Layout, Slot, Writer
from samples.chunk import write_file
from samples.evtx_writer import Event, UserData, log_bytes, sysmon_process, write_log
from samples.templates import instance
from samples.values import NULL, STRINGS, Value
from tests.helpers import evidence, read

START = values.to_filetime("2026-03-02 08:15:00")


def event(**given: object) -> Event:
    defaults: dict[str, object] = {
        "provider": "Contoso",
        "provider_guid": "{0E2BC1B7-5D4B-4E2F-9C5F-1F1B1B0A0F01}",
        "event_id": 7,
        "channel": "Contoso/Debug",
        "computer": "WS01",
        "time": START,
    }
    return Event(**{**defaults, **given})  # type: ignore[arg-type]


def one(path: Path, *events: Event, exported: bool = True) -> dict[str, object]:
    """The only row of a log with these events."""
    frames, problems = read(PARSER, write_log(path / "log.evtx", events, exported=exported))
    assert problems == []
    (frame,) = frames.values()
    (row,) = frame.iter_rows(named=True)
    return row


@pytest.mark.parametrize("exported", [True, False])
def test_a_sysmon_start_reads_as_it_was_written(tmp_path: Path, exported: bool) -> None:
    text = "a <b> & 'c' \"d\" \x1b[31m"
    written = sysmon_process(Image=r"C:\Users\zoë\外.exe", time=START, CommandLine=text, LogonId=0x53CA2)
    row = one(tmp_path, written, exported=exported)
    assert row["CommandLine"] == text
    assert row["Image"] == r"C:\Users\zoë\外.exe"
    assert row["ProcessGuid"] == written.field("ProcessGuid")
    assert row["ProcessId"] == int(written.field("ProcessId"))
    assert row["LogonId"] == 0x53CA2
    assert (row["host"], row["channel"], row["event_id"], row["record_id"]) == (written.computer, SYSMON, 1, 1)


@pytest.mark.parametrize("decimals", ["0000000", "0000001", "6789017", "9999999"])
def test_time_created_is_exact_to_100_ns(tmp_path: Path, decimals: str) -> None:
    path = write_log(tmp_path / "log.evtx", [event(time=f"2026-03-02 08:15:00.{decimals}")])
    (frame,) = read(PARSER, path)[0].values()
    assert frame["logged"].dt.strftime("%Y-%m-%d %H:%M:%S%.9f")[0] == f"2026-03-02 08:15:00.{decimals}00"


def test_a_value_leads_back_to_its_bytes(tmp_path: Path) -> None:
    path = write_log(tmp_path / "log.evtx", [event(record_id=n, header_id=n + 500) for n in (10, 11, 12)])
    (frame,) = read(PARSER, path, "found/here.evtx")[0].values()
    content = path.read_bytes()
    for row in frame.iter_rows(named=True):
        magic, _, number = struct.unpack_from("<4sIQ", content, row["offset"])
        assert (magic, number) == (b"\x2a\x2a\0\0", row["record_number"])
    assert frame.select("record_id", "record_number", "source").rows() == [
        (n, n + 500, "found/here.evtx") for n in (10, 11, 12)
    ]


@pytest.mark.parametrize("optional", [True, False])
def test_event_data_with_names(tmp_path: Path, optional: bool) -> None:
    row = one(tmp_path, event(data=[("A", "x"), ("B", values.u32(5)), ("C", "")], optional=optional))
    assert (row["A"], row["B"], row["C"]) == ("x", "5", "")


def test_classic_events_have_unnamed_data_and_binary(tmp_path: Path) -> None:
    row = one(
        tmp_path,
        event(provider_guid=None, channel="Application", qualifiers=0x4000, unnamed=["a", "", "c"], binary=b"\0\xff"),
    )
    assert (row["Data"], row["Binary"], row["System.Qualifiers"]) == (["a", "", "c"], "00FF", 0x4000)
    assert row["System.Version"] is None


def test_an_event_id_written_into_the_template_is_read(tmp_path: Path) -> None:
    row = one(tmp_path, event(provider_guid=None, channel="Application", event_id=64, literal_event_id=True))
    assert row["event_id"] == 64


def test_user_data_are_fields_by_leaf_name(tmp_path: Path) -> None:
    body = UserData("AuditEventsCleared", [("SubjectUserName", "alice"), ("Count", values.u64(3))])
    row = one(tmp_path, event(user_data=body))
    assert (row["SubjectUserName"], row["Count"]) == ("alice", "3")


def test_an_event_without_a_body_has_its_system_columns(tmp_path: Path) -> None:
    row = one(tmp_path, event(user_sid="S-1-5-18", activity_id="{00000001-0002-0003-0004-000000000005}"))
    assert row["System.UserID"] == "S-1-5-18"
    assert row["System.ActivityID"] == "{00000001-0002-0003-0004-000000000005}"


def test_a_record_without_a_template_is_named_and_the_next_is_read(tmp_path: Path) -> None:
    """python-evtx takes elements outside of templates for two bytes longer than they are."""
    log = [event(record_id=5, header_id=900, data=[("A", "x")], rendered=True), event(record_id=6)]
    frames, problems = read(PARSER, write_log(tmp_path / "log.evtx", log))
    assert ids(frames) == [6]
    assert of_records(problems) == [900]


def test_channels_and_ids_are_kept_apart(tmp_path: Path) -> None:
    log = [event(event_id=1), event(event_id=2, channel="Other"), event(event_id=1, channel="Other")]
    frames, _ = read(PARSER, write_log(tmp_path / "log.evtx", log))
    assert set(frames) == {EventType("Contoso/Debug", 1), EventType("Other", 2), EventType("Other", 1)}


def test_progress_reaches_the_end_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "log.evtx"
    path.write_bytes(good())
    at = [part.bytes_read for part in PARSER.read(evidence(path)) if isinstance(part, Progress)]
    assert at == sorted(at)
    assert at[-1] == path.stat().st_size


# Damage, made from a good log.

TOTAL = 90


@cache
def good() -> bytes:
    """A log of two chunks."""
    return log_bytes(
        sysmon_process(Image=rf"C:\tools\tool{n}.exe", time=START + n * 10_000_000) for n in range(1, TOTAL + 1)
    )


@cache
def places() -> dict[int, tuple[int, int]]:
    """Of each record: offset in the file, size."""
    content = good()
    header = records.file_header(content[: records.FILE_HEADER])
    return {
        frame.number: (chunk.offset + frame.offset, frame.size)
        for chunk in records.chunks(io.BytesIO(content), header)
        for frame in chunk.frames
    }


def read_bytes(path: Path, content: bytes) -> tuple[dict[EventType, pl.DataFrame], list[Problem]]:
    target = path / "log.evtx"
    target.write_bytes(content)
    return read(PARSER, target)


def ids(frames: dict[EventType, pl.DataFrame]) -> list[int]:
    return sorted(number for frame in frames.values() for number in frame["record_number"])


def of_records(problems: list[Problem]) -> list[int | None]:
    return [problem.record_id for problem in problems if problem.kind == "record"]


def test_a_record_that_cannot_be_read_is_a_problem_and_the_next_is_read(tmp_path: Path) -> None:
    offset, size = places()[30]
    content = bytearray(good())
    content[offset + 24 : offset + size - 4] = b"\xee" * (size - 28)
    frames, problems = read_bytes(tmp_path, bytes(content))
    assert ids(frames) == [n for n in range(1, TOTAL + 1) if n != 30]
    (problem,) = (problem for problem in problems if problem.kind == "record")
    assert (problem.source, problem.offset, problem.record_id) == ("log.evtx", offset, 30)
    assert problem.reason.startswith("chunk 0: ")


@pytest.mark.parametrize("chunk", [0, 1])
def test_losing_a_template_costs_only_the_records_of_its_chunk(tmp_path: Path, chunk: int) -> None:
    per_chunk = [[n for n in places() if (places()[n][0] - 4096) // 65536 == number] for number in (0, 1)]
    offset, size = places()[per_chunk[chunk][0]]
    content = bytearray(good())
    content[offset + 24 : offset + size - 4] = bytes(size - 28)
    frames, problems = read_bytes(tmp_path, bytes(content))
    assert set(per_chunk[1 - chunk]) <= set(ids(frames))
    assert sorted([*ids(frames), *map(int, filter(None, of_records(problems)))]) == list(range(1, TOTAL + 1))


@pytest.mark.parametrize("cut", [0, 8, 100, 4095, 4096, 4097, 4600, 5000, 30_000, 69_632, 69_700, 90_000])
def test_a_truncated_log_gives_all_before_the_cut_and_says_what_is_missing(tmp_path: Path, cut: int) -> None:
    frames, problems = read_bytes(tmp_path, good()[:cut])
    assert ids(frames) == [n for n, (offset, size) in places().items() if offset + size <= cut]
    assert problems


@pytest.mark.parametrize("content", [b"", b"no event log", b"MZ" + bytes(9000), b"PK\3\4" + bytes(9000)])
def test_what_is_no_event_log_is_not_accepted(content: bytes) -> None:
    assert not PARSER.accepts(content[:8192])


def test_only_a_file_header_is_a_log_of_no_records(tmp_path: Path) -> None:
    header = bytearray(good()[:4096])
    struct.pack_into("<H", header, 42, 0)
    frames, problems = read_bytes(tmp_path, bytes(header))
    assert frames == {}
    assert [problem.reason for problem in problems] == ["file header checksum is wrong"]


_OFFSETS = st.integers(0, len(good()) - 1)


@settings(max_examples=40)
@given(
    changes=st.lists(st.tuples(_OFFSETS, st.binary(min_size=1, max_size=8)), max_size=10),
    cut=st.none() | _OFFSETS,
)
def test_whatever_is_flipped_or_cut_reading_ends_and_every_record_is_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, bytes]], cut: int | None
) -> None:
    flipped = bytearray(good())
    for offset, new in changes:
        flipped[offset : offset + len(new)] = new
    content = bytes(flipped)[: len(good())][:cut]
    frames, problems = read_bytes(tmp_path_factory.mktemp("flips"), content)
    untouched = {n for n, (at, _) in places().items() if content[_chunk_of(at)] == good()[_chunk_of(at)]}
    assert untouched <= set(ids(frames))
    assert problems or _same_where_it_matters(content)


def _chunk_of(offset: int) -> slice:
    start = 4096 + (offset - 4096) // 65536 * 65536
    return slice(start, start + 65536)


def _same_where_it_matters(content: bytes) -> bool:
    """Whether all that checksums cover is as it was: not reserved bytes, not those behind a chunk's last record."""
    covered = [slice(0, 120), slice(124, 128)]
    for start in (4096, 4096 + 65536):
        free = struct.unpack_from("<I", good(), start + 48)[0]
        covered += [slice(start, start + 120), slice(start + 124, start + free)]
    return all(content[part] == good()[part] for part in covered)


# Malice: what a log may do to whoever reads it.


def crafted(path: Path, body: Callable[[Writer], None], after: bool = True) -> tuple[list[int], list[Problem]]:
    """(records read, problems) of a log with a crafted record 1 and a sound record 2."""
    sound = event(record_id=2)
    following = [(2, START, lambda writer: writer.record(instance(sound, 2, Layout())))] if after else []
    frames, problems = read_bytes(path, write_file([(1, START, body), *following], Layout()))
    return ids(frames), problems


def raw(content: Callable[[int], bytes]) -> Callable[[Writer], None]:
    """A record of these bytes; the function is told the offset in the chunk at which they will stand."""

    def write(writer: Writer) -> None:
        writer.out += content(len(writer.out))

    return write


def _root(content: tuple[Element | Slot | str, ...]) -> Element:
    system = Element("System", (), (Element("EventID", (), ("7",)), Element("Channel", (), ("c",))))
    return Element("Event", (), (system, Element("EventData", (), content)))


def test_a_template_that_repeats_a_value_without_end_is_bounded(tmp_path: Path) -> None:
    data = Element("Data", (), tuple(Slot(0, 1) for _ in range(2000)))
    bomb = Instance(_root((data,)), (values.string("x" * 20_000),))
    read_ids, problems = crafted(tmp_path, lambda writer: writer.record(bomb))
    assert read_ids == [2]
    assert "characters of XML" in problems[0].reason


def test_an_array_that_repeats_a_long_name_without_end_is_bounded(tmp_path: Path) -> None:
    data = Element("N" * 10_000, (), (Slot(0, STRINGS),))
    bomb = Instance(_root((data,)), (Value(STRINGS, b"\0\0" * 15_000, ""),))
    read_ids, problems = crafted(tmp_path, lambda writer: writer.record(bomb))
    assert read_ids == [2]
    assert "characters of XML" in problems[0].reason


def _instance(template: int, values_: list[bytes], kinds: list[int], definition: bytes = b"") -> bytes:
    head = FRAGMENT + struct.pack("<BBII", TEMPLATE, 1, 1, template) + definition
    table = b"".join(struct.pack("<HBB", len(v), kind, 0) for v, kind in zip(values_, kinds, strict=True))
    return head + struct.pack("<I", len(values_)) + table + b"".join(values_)


def _definition(body: bytes) -> bytes:
    return struct.pack("<I", 0) + b"\1" * 16 + struct.pack("<I", len(body)) + body


def test_values_that_nest_into_each_other_are_read_once_and_not_time_and_again(tmp_path: Path) -> None:
    """Every level's two values begin where the next two levels stand: read as they claim, time doubles with each."""

    def build(start: int) -> bytes:
        template = start + len(FRAGMENT) + 10
        level = struct.pack("<BBII", TEMPLATE, 1, 1, template)
        size = len(FRAGMENT) + len(level) + 12
        table = struct.pack("<IHBBHBB", 2, size, 0x21, 0, size, 0x21, 0)
        last = (FRAGMENT + level + struct.pack("<I", 0)).ljust(size, b"\0")
        return FRAGMENT + level + _definition(FRAGMENT + b"\0") + table + (FRAGMENT + level + table) * 80 + last * 3

    read_ids, problems = crafted(tmp_path, raw(build))
    assert read_ids == [2]
    assert of_records(problems) == [1]


def test_many_nested_values_do_not_each_read_on_to_the_end_of_the_record(tmp_path: Path) -> None:
    def build(start: int) -> bytes:
        template = start + len(FRAGMENT) + 10
        return _instance(template, [b"\2"] * 9_000, [0x21] * 9_000, _definition(FRAGMENT + b"\0"))

    read_ids, problems = crafted(tmp_path, raw(build))
    assert read_ids == [2]
    assert of_records(problems) == [1]


def test_nesting_deeper_than_any_real_event_is_refused(tmp_path: Path) -> None:
    def build(start: int) -> bytes:
        template = start + len(FRAGMENT) + 10
        inner = _instance(template, [], [])
        for _ in range(1500):
            inner = _instance(template, [inner], [0x21])
        return FRAGMENT + struct.pack("<BBII", TEMPLATE, 1, 1, template) + _definition(FRAGMENT + b"\0") + inner[14:]

    read_ids, problems = crafted(tmp_path, raw(build))
    assert read_ids == [2]
    assert of_records(problems) == [1]


def test_elements_nested_deeper_than_any_real_event_are_refused(tmp_path: Path) -> None:
    def build(_: int) -> bytes:
        element = struct.pack("<BHII", OPEN, 0xFFFF, 0, 0) + b"\2"
        return FRAGMENT + element * 3000 + b"\4" * 3000 + b"\0"

    read_ids, problems = crafted(tmp_path, raw(build))
    assert read_ids == [2]
    assert of_records(problems) == [1]


def test_a_template_that_holds_itself_ends(tmp_path: Path) -> None:
    def build(start: int) -> bytes:
        template = start + len(FRAGMENT) + 10
        itself = struct.pack("<BBII", TEMPLATE, 1, 1, template)
        return _instance(template, [], [], _definition(FRAGMENT + itself + b"\0"))

    read_ids, problems = crafted(tmp_path, raw(build))
    assert read_ids == [2]
    assert of_records(problems) == [1]


def test_a_name_whose_next_is_itself_is_read_like_any_other(tmp_path: Path) -> None:
    content = bytearray(log_bytes([event(record_id=1, data=[("A", "x")])]))
    for at in range(4096 + 128, 4096 + 384, 4):  # the chunk's 64 buckets of names
        (name,) = struct.unpack_from("<I", content, at)
        if name:
            struct.pack_into("<I", content, 4096 + name, name)
    frames, problems = read_bytes(tmp_path, bytes(content))
    assert ids(frames) == [1]
    assert of_records(problems) == []


@pytest.mark.parametrize("offset", [0, 65_530, 65_535, 65_536, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_template_outside_the_chunk_costs_its_record(tmp_path: Path, offset: int) -> None:
    read_ids, problems = crafted(tmp_path, raw(lambda _: _instance(offset, [], [])))
    assert read_ids == [2]
    assert of_records(problems) == [1]


@pytest.mark.parametrize("offset", [65_530, 65_535, 65_536, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_name_outside_the_chunk_costs_its_record(tmp_path: Path, offset: int) -> None:
    element = FRAGMENT + struct.pack("<BHII", OPEN, 0xFFFF, 0, offset) + b"\3\0"
    read_ids, problems = crafted(tmp_path, raw(lambda _: element))
    assert read_ids == [2]
    assert of_records(problems) == [1]


@pytest.mark.parametrize("values_", [0xFFFFFFFF, 70_000, 5])
def test_more_values_than_the_record_holds_cost_it(tmp_path: Path, values_: int) -> None:
    def build(start: int) -> bytes:
        template = start + len(FRAGMENT) + 10
        return _instance(template, [], [], _definition(FRAGMENT + b"\0"))[:-4] + struct.pack("<I", values_)

    read_ids, problems = crafted(tmp_path, raw(build))
    assert read_ids == [2]
    assert of_records(problems) == [1]


def test_a_substitution_of_a_value_that_is_not_there_costs_the_record(tmp_path: Path) -> None:
    root = _root((Element("Data", (), (Slot(40, 1, optional=False),)),))
    read_ids, problems = crafted(tmp_path, lambda writer: writer.record(Instance(root, (values.string("x"),))))
    assert read_ids == [2]
    assert of_records(problems) == [1]


def test_an_event_id_of_thousands_of_digits_costs_its_record(tmp_path: Path) -> None:
    root = Element("Event", (), (Element("System", (), (Element("EventID", (), ("9" * 6000,)),)),))
    read_ids, problems = crafted(tmp_path, lambda writer: writer.record(Instance(root, ())))
    assert read_ids == [2]
    assert "without a number as EventID" in problems[0].reason


def test_an_element_name_that_is_markup_costs_its_record(tmp_path: Path) -> None:
    root = _root((Element("a><System><EventID>1</EventID></System><b", (), ("x",)),))
    read_ids, problems = crafted(tmp_path, lambda writer: writer.record(Instance(root, ())))
    assert read_ids == [2]
    assert "not well-formed" in problems[0].reason


def test_values_that_look_like_markup_stay_text(tmp_path: Path) -> None:
    text = "</Data></EventData><System><EventID>1</EventID></System>]]><![CDATA[&lt;"
    row = one(tmp_path, event(data=[("A", text)]))
    assert (row["A"], row["event_id"]) == (text, 7)


def test_a_null_value_where_one_was_promised_is_blank_or_absent(tmp_path: Path) -> None:
    assert one(tmp_path, event(data=[("A", Value(NULL, b"", "")), ("B", "x")], optional=True)).get("A") is None
    assert one(tmp_path, event(data=[("A", Value(NULL, b"", "")), ("B", "x")]))["A"] == ""


def test_times_outside_of_what_frames_hold_are_kept_as_text(tmp_path: Path) -> None:
    row = one(tmp_path, event(time=0))
    assert row["logged"] is None
    assert "1601-01-01" in str(row["unparsed"])


def test_an_event_of_today_has_todays_time(tmp_path: Path) -> None:
    at = datetime(2026, 3, 2, 8, 15, tzinfo=UTC)
    assert one(tmp_path, event(time=at))["time"] == at


def test_value_token_and_open_token_are_those_of_the_specification() -> None:
    assert (OPEN, VALUE, TEMPLATE) == (0x01, 0x05, 0x0C)  # [MS-EVEN6] 2.2.12: what crafted records above rely on
