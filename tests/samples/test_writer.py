"""The writer's files are sound in themselves, and what can't be written is refused."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import evtx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samples import values
from samples.binxml import name_hash
from samples.evtx_writer import Event, UserData, log_bytes, process_guid, sysmon_event, sysmon_process, write_log
from samples.sysmon import SCHEMAS, Schema
from samples.values import Value

CMD = r"C:\Windows\System32\cmd.exe"


def event(**given: Any) -> Event:
    about = {"provider": "Contoso", "provider_guid": "{B1E3E5A0-2C4D-4E6F-8A9B-0C1D2E3F4A5B}", "event_id": 1}
    return Event(**{**about, "channel": "C", "computer": "PC", "time": "2026-03-02 09:00:00", **given})


def read_back(content: bytes) -> list[dict[str, Any]]:
    records: Iterator[Any] = iter(evtx.PyEvtxParser(io.BytesIO(content)).records_json())
    return [json.loads(record["data"])["Event"] for record in records]


def chunks_of(content: bytes) -> list[bytes]:
    return [content[start : start + 0x10000] for start in range(4096, len(content), 0x10000)]


@pytest.fixture(scope="module")
def long_log() -> bytes:
    return log_bytes([sysmon_process(Image=CMD, time=f"2026-03-02 09:{n:02}:00") for n in range(60)] * 3)


def test_a_file_header_tells_chunks_and_records(long_log: bytes) -> None:
    magic, first, last, following = struct.unpack_from("<8s3Q", long_log)
    count = len(chunks_of(long_log))
    assert (magic, first, last, following) == (b"ElfFile\0", 0, count - 1, 181)
    assert struct.unpack_from("<I4H", long_log, 32) == (128, 1, 3, 4096, count)
    assert count == 5


def test_all_checksums_are_right(long_log: bytes) -> None:
    assert zlib.crc32(long_log[:120]) == struct.unpack_from("<I", long_log, 124)[0]
    for chunk in chunks_of(long_log):
        free, data_checksum = struct.unpack_from("<II", chunk, 48)
        assert zlib.crc32(chunk[512:free]) == data_checksum
        assert zlib.crc32(chunk[:120] + chunk[128:512]) == struct.unpack_from("<I", chunk, 124)[0]


def test_records_follow_each_other_and_number_on_across_chunks(long_log: bytes) -> None:
    numbers = []
    for chunk in chunks_of(long_log):
        first, last, first_id, last_id = struct.unpack_from("<4Q", chunk, 8)
        last_offset, offset = struct.unpack_from("<I", chunk, 44)[0], 512
        ids = []
        while offset < struct.unpack_from("<I", chunk, 48)[0]:
            magic, size, record_id = struct.unpack_from("<IIQ", chunk, offset)
            assert (magic, size % 8) == (0x2A2A, 0)
            assert struct.unpack_from("<I", chunk, offset + size - 4)[0] == size
            ids.append(record_id)
            previous, offset = offset, offset + size
        assert (ids[0], ids[-1], len(ids), previous) == (first_id, last_id, last - first + 1, last_offset)
        numbers += ids
    assert numbers == list(range(1, 181))


def test_the_tables_of_a_chunk_lead_to_every_name_and_template(long_log: bytes) -> None:
    for chunk in chunks_of(long_log):
        names = {}
        for bucket, offset in enumerate(struct.unpack_from("<64I", chunk, 128)):
            while offset:
                following, stored_hash, length = struct.unpack_from("<IHH", chunk, offset)
                units = chunk[offset + 8 : offset + 8 + 2 * length]
                assert (stored_hash, stored_hash % 64) == (name_hash(units) & 0xFFFF, bucket)
                names[units.decode("utf-16-le")] = offset
                offset = following
        assert {"Event", "System", "Provider", "Name", "EventData", "Data", "Computer"} <= names.keys()
        templates = [offset for offset in struct.unpack_from("<32I", chunk, 384) if offset]
        assert len(templates) == 2
        assert all(chunk[offset - 10 : offset - 8] == b"\x0c\x01" for offset in templates)


def test_name_hashes_are_those_of_windows() -> None:
    stored = {"Event": 0x0CBA, "Data": 0x6F8A, "Name": 0x954B, "EventData": 0x8244}  # read from a Windows log
    assert {name: name_hash(name.encode("utf-16-le")) & 0xFFFF for name in stored} == stored


def test_a_template_stands_once_in_a_chunk_and_again_in_the_next(long_log: bytes) -> None:
    name = "ParentCommandLine".encode("utf-16-le")
    assert [chunk.count(name) for chunk in chunks_of(long_log)] == [1] * 5


def test_text_up_to_what_a_chunk_holds_is_written() -> None:
    text = "x" * 31_000
    (read,) = read_back(log_bytes([event(data=[("Text", text)])]))
    assert read["EventData"]["Text"] == text


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"data": [("Text", "x" * 32_000)]}, "does not fit a chunk"),
        ({"data": [("Text", "x" * 40_000)]}, "at most 65535"),
        ({"data": [("Text", "a\0b")]}, "NUL"),
        ({"data": [], "unnamed": []}, "one body"),
        ({"user_data": UserData("A", []), "binary": b""}, "one body"),
        ({"event_id": 70_000}, "does not fit"),
        ({"user_sid": "alice"}, "security identifier"),
        ({"time": "yesterday"}, "no time"),
        ({"time": datetime(1500, 1, 1, tzinfo=UTC)}, "outside the range"),
        ({"rendered": True}, "record_id"),
    ],
)
def test_what_no_log_can_hold_is_refused(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        log_bytes([event(**given)])


def test_a_log_without_events_is_refused() -> None:
    with pytest.raises(ValueError, match="without events"):
        log_bytes([])


def test_a_kept_log_and_an_exported_one_read_the_same() -> None:
    events = [sysmon_process(Image=CMD), event(data=[("Id", values.size_t(0x1A2C)), ("Text", "")])]
    kept, exported = log_bytes(events, exported=False), log_bytes(events)
    assert kept != exported
    assert read_back(kept) == read_back(exported)


def test_a_time_keeps_its_hundred_nanoseconds(tmp_path: Path) -> None:
    path = write_log(tmp_path / "a.evtx", [event(time="2026-03-02 08:15:00.1234567")])
    record: Any = next(iter(evtx.PyEvtxParser(str(path)).records_json()))
    assert record["timestamp"] == "2026-03-02T08:15:00.1234567Z UTC"


def test_forwarded_events_keep_their_own_number_beside_the_collectors() -> None:
    content = log_bytes([event(record_id=3229, header_id=1, rendered=True, data=[("A", "1")])])
    assert struct.unpack_from("<Q", content, 4096 + 512 + 8) == (1,)
    assert content[4096 + 512 + 24 :][:5] == b"\x0f\x01\x01\x00\x41"  # an element, no template
    (read,) = read_back(content)
    assert (read["System"]["EventRecordID"], read["EventData"]) == ("3229", {"A": "1"})


@pytest.mark.parametrize("fields", SCHEMAS)
def test_each_schema_has_its_fields(fields: Schema) -> None:
    (read,) = read_back(log_bytes([sysmon_process(Image=CMD, fields=fields)]))
    names = read["EventData"].keys()
    assert len(names) == {"old": 16, "rule": 21, "mid": 22, "new": 23}[fields]
    assert ("RuleName" in names, "OriginalFileName" in names, "ParentUser" in names) == (
        fields != "old",
        fields in ("mid", "new"),
        fields == "new",
    )


def test_a_child_names_its_parent() -> None:
    parent = sysmon_process(Image=CMD, CommandLine="cmd /c start")
    child = sysmon_process(Image="C:\\a.exe", parent=parent)
    for theirs, own in {
        "ParentProcessGuid": "ProcessGuid",
        "ParentProcessId": "ProcessId",
        "ParentImage": "Image",
        "ParentCommandLine": "CommandLine",
        "ParentUser": "User",
    }.items():
        assert child.field(theirs) == parent.field(own)


def test_a_process_guid_holds_host_and_second() -> None:
    # 69A54704 is 2026-03-02 08:15:00 UTC.
    one, other = (process_guid(host, "2026-03-02 08:15:00.9", 4) for host in ("A", "B"))
    assert (one[10:19], other[10:19]) == ("4704-69A5", "4704-69A5")
    assert one[:9] != other[:9]


def test_unknown_sysmon_fields_are_refused() -> None:
    with pytest.raises(ValueError, match="ParentUser in the schema 'mid'"):
        sysmon_process(Image=CMD, fields="mid", ParentUser="alice")
    with pytest.raises(ValueError, match="Sysmon 99"):
        sysmon_event(99, time=0)


_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=300)
_VALUES: st.SearchStrategy[tuple[Value, object]] = st.one_of(
    _TEXT.map(lambda text: (values.string(text), text)),
    st.integers(-(2**31), 2**31 - 1).map(lambda number: (values.i32(number), number)),
    st.integers(0, 2**64 - 1).map(lambda number: (values.u64(number), number)),
    st.integers(0, 2**64 - 1).map(lambda number: (values.hex64(number), f"{number:#x}")),
    st.booleans().map(lambda flag: (values.boolean(flag), flag)),
    st.uuids().map(lambda uuid: (values.guid(str(uuid)), str(uuid).upper())),
    st.binary(max_size=40).map(lambda data: (values.binary(data), data.hex().upper())),
    st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)).map(
        lambda moment: (values.filetime(moment), f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z")
    ),
)


@given(st.lists(st.lists(_VALUES, min_size=1, max_size=8), min_size=1, max_size=5))
def test_whatever_is_written_is_read_again(rows: list[list[tuple[Value, object]]]) -> None:
    events = [event(data=[(f"F{index}", value) for index, (value, _) in enumerate(row)]) for row in rows]
    read = [record["EventData"] for record in read_back(log_bytes(events))]
    assert read == [{f"F{index}": seen for index, (_, seen) in enumerate(row)} for row in rows]
