"""Carving: whatever surrounds chunks and records, each is found once; what can't be known is told and not guessed."""

from __future__ import annotations

import json
import random
import struct
import tempfile
from pathlib import Path
from typing import Any

import evtx
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hunt import schema
from hunt.model import SYSMON, EventType, Reading, Wants
from parsers import carve, records, scan
from parsers.carve import carver
from parsers.evtx import PARSER
from samples.evtx_writer import log_bytes, sysmon_process
from tests.helpers import Result, count, differences, evidence, gather
from tests.parsers.logs import START, TOTAL, good, places, summed
from tests.parsers.raw_data import carved, chunks, junk, record

EVERY = list(range(1, TOTAL + 1))


def log_of(*logs: bytes) -> bytes:
    """Chunks as a log again, for readers of logs."""
    return good()[: records.FILE_HEADER] + b"".join(logs)


def as_others_read(raw: bytes, folder: Path) -> list[tuple[int, Any]]:
    """(record id, CommandLine) of all records of a log, as PyPI evtx has them."""
    path = folder / "others.evtx"
    path.write_bytes(raw)
    found = []
    for item in evtx.PyEvtxParser(str(path)).records_json():
        content = json.loads(item["data"])["Event"]
        found.append((item["event_record_id"], content["EventData"].get("CommandLine")))
    return sorted(found)


def command_lines(found: Result) -> list[tuple[int, Any]]:
    rows = [frame.select("record_id", "CommandLine").rows() for frame in found.frames.values()]
    return sorted(row for part in rows for row in part)


def test_chunks_are_found_at_any_offset_and_read_as_another_parser_reads_the_log(tmp_path: Path) -> None:
    first, second = chunks(good())
    found = carved(tmp_path, junk(12_345) + second + junk(7, 2) + first + junk(70_001, 3))
    assert found.problems == []
    assert found.numbers == EVERY
    assert command_lines(found) == as_others_read(good(), tmp_path)


def test_what_is_carved_is_marked_and_leads_back_to_its_bytes(tmp_path: Path) -> None:
    raw = junk(777) + chunks(good())[0]
    found = carved(tmp_path, raw)
    (frame,) = found.frames.values()
    assert frame["recovered"].to_list() == [True] * frame.height
    assert set(frame["source"]) == {"raw.bin"}
    for offset, number in frame.select("offset", "record_number").iter_rows():
        assert raw[offset : offset + 4] == records.RECORD_MAGIC
        assert struct.unpack_from("<Q", raw, offset + 8)[0] == number
    assert found.records == frame.height
    assert sum(part.size for part in found.progress) == len(raw)


small = log_bytes([sysmon_process(Image=rf"C:\{n}.exe", time=START + n) for n in range(3)])


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.binary(max_size=300), st.sampled_from(["whole", "magic", "head"])), max_size=4), st.binary()
)
def test_whatever_surrounds_whole_chunks_all_their_records_are_found_once(
    around: list[tuple[bytes, str]], end: bytes
) -> None:
    (chunk,) = chunks(small)
    misleading = {"whole": b"", "magic": b"ElfChnk\0**\0\0", "head": chunk[:200] + record(small, 2)[:40]}
    raw = b"".join(before + misleading[what] + chunk for before, what in around) + end
    with tempfile.TemporaryDirectory() as folder:
        found = carved(Path(folder), raw)
        assert found.numbers == sorted([1, 2, 3] * len(around))
        offsets = [offset for frame in found.frames.values() for offset in frame["offset"]]
        assert len(set(offsets)) == len(offsets)
        assert [problem for problem in found.problems if problem.kind == "record"] == []


@settings(max_examples=12)
@given(st.integers(0, 3 * 65_536), st.integers(0, 65_536))
def test_where_windows_meet_changes_nothing(before: int, between: int) -> None:
    raw = bytes(before) + chunks(good())[0] + bytes(between) + record(good(), 5)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        whole = carved(Path(folder), raw)
        patch.setattr(scan, "WINDOW", 65_536)
        assert differences(carved(Path(folder), raw).frames, whole.frames) == []
        assert 5 in whole.numbers


def test_of_a_torn_chunk_what_is_left_is_read_and_the_rest_told(tmp_path: Path) -> None:
    first, second = chunks(good())
    found = carved(tmp_path, first[:30_000] + junk(50_000) + second)
    lost = [n for n in EVERY if n not in found.numbers]
    kept = [n for n, (at, size) in places(good()).items() if at + size <= 4096 + 30_000]
    assert [n for n in found.numbers if n in kept] == kept
    assert lost == list(range(lost[0], lost[-1] + 1))
    assert {problem.kind for problem in found.problems} == {"chunk"}
    assert "checksum" in found.problems[0].reason


def test_a_record_that_ends_with_another_size_is_told_and_not_read(tmp_path: Path) -> None:
    """Its page may be followed by one of another log, and its text then be half of each."""
    first, second = chunks(good())
    at, size = places(good())[20][0] - records.FILE_HEADER, places(good())[20][1]
    found = carved(tmp_path, first[: at + size - 4] + struct.pack("<I", size + 8) + first[at + size :] + second)
    assert found.numbers == [n for n in EVERY if n != 20]
    assert [(p.offset, p.reason[:5]) for p in found.problems if p.kind == "record"] == [(at, "torn:")]


def test_a_chunk_without_its_header_is_read_by_where_its_records_say_they_stood(tmp_path: Path) -> None:
    first, second = chunks(good())
    # Of the second, the record that holds the templates is cut: the others are read by those of the first.
    found = carved(tmp_path, junk(100) + first[512:] + junk(33) + second[700:])
    cut = min(n for n, (at, _) in places(good()).items() if at >= 4096 + 65_536)
    assert found.problems == []
    assert command_lines(found) == [pair for pair in as_others_read(good(), tmp_path) if pair[0] != cut]


@pytest.mark.parametrize("seed", range(6))
def test_pages_in_disorder_as_memory_has_them_give_many_events_and_no_wrong_one(seed: int, tmp_path: Path) -> None:
    pages = [good()[at : at + 4096] for at in range(4096, len(good()), 4096)]
    random.Random(seed).shuffle(pages)
    expected = as_others_read(good(), tmp_path)
    live = tmp_path / "live.evtx"  # the record that holds the templates is longer than a page
    live.write_bytes(small)
    found = command_lines(carved(tmp_path, b"".join(pages), [evidence(live)]))
    assert [pair for pair in found if pair not in expected] == []
    assert len(set(found)) == len(found)
    whole = {n for n, (at, size) in places(good()).items() if at // 4096 == (at + size - 1) // 4096}
    assert whole - {number for number, _ in found} == set()


def test_a_single_record_is_read_by_the_template_of_a_whole_chunk(tmp_path: Path) -> None:
    number = 10
    found = carved(tmp_path, record(good(), number) + junk(3) + chunks(good())[1])
    assert number in found.numbers
    assert found.problems == []
    expected = dict(as_others_read(good(), tmp_path))
    assert dict(command_lines(found))[number] == expected[number]


def test_a_single_record_whose_template_is_nowhere_is_told_with_what_its_header_says(tmp_path: Path) -> None:
    found = carved(tmp_path, junk(50) + record(good(), 10) + junk(50))
    (problem,) = found.problems
    assert found.records == 0
    assert (problem.kind, problem.offset, problem.record_id) == ("record", 50, 10)
    assert problem.reason.startswith("template not found: id ")
    assert problem.reason.endswith("; written 2026-03-02T08:15:10.0141592Z")


def test_a_single_record_that_holds_its_template_needs_no_other(tmp_path: Path) -> None:
    found = carved(tmp_path, junk(99) + record(small, 1) + junk(99))
    assert (found.numbers, found.problems) == ([1], [])


def test_logs_that_are_known_tell_the_template(tmp_path: Path) -> None:
    live = tmp_path / "live.evtx"
    live.write_bytes(good())
    found = carved(tmp_path, junk(50) + record(good(), 10), [evidence(live)])
    assert (found.numbers, found.problems) == ([10], [])


def test_definitions_that_differ_under_one_id_are_not_chosen_between(tmp_path: Path) -> None:
    """In ordinary logs a template holds the computer's name: a record must not get another host's."""
    (chunk,) = chunks(small)
    renamed = chunk.replace("WS01".encode("utf-16-le"), "WS02".encode("utf-16-le"))
    (other,) = chunks(summed(log_of(renamed)))
    single = junk(9) + record(small, 3)
    (frame,) = carved(tmp_path, chunk + other).frames.values()
    assert frame["host"].n_unique() == 2
    (problem,) = carved(tmp_path, chunk + other + single).problems
    assert problem.record_id == 3
    assert "defined in several ways" in problem.reason
    for one in (chunk, other):
        assert carved(tmp_path, one + single).numbers == [1, 2, 3, 3]


def test_stale_records_in_the_slack_of_carved_chunks_are_read(tmp_path: Path) -> None:
    (chunk,) = chunks(small)
    size = struct.unpack_from("<I", chunk, 512 + 4)[0]
    used = bytearray(chunk)
    struct.pack_into("<QQQQ", used, 8, 1, 1, 1, 1)
    struct.pack_into("<II", used, 44, 512, 512 + size)
    found = carved(tmp_path, junk(77) + chunks(summed(log_of(bytes(used))))[0])
    assert found.numbers == [1, 2, 3]
    assert found.problems == []


def test_copies_of_a_chunk_are_all_found(tmp_path: Path) -> None:
    (chunk,) = chunks(small)
    assert carved(tmp_path, chunk + junk(1) + chunk + chunk).numbers == [1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_records_are_read_again_by_their_places(tmp_path: Path) -> None:
    first, second = chunks(good())
    raw = junk(10) + second + record(good(), 10) + junk(40) + first[512:20_000]
    mine = carver()
    found = carved(tmp_path, raw, using=mine)
    (frame,) = found.frames.values()
    offsets = frame["offset"].to_list()
    for again in (mine, carver()):
        batch = again.records(evidence(tmp_path / "raw.bin"), offsets)
        (read,) = batch.frames.values()
        assert read.select(sorted(read.columns)).equals(frame.sort("offset").select(sorted(read.columns)))


def test_only_what_is_wanted_is_given_as_a_log_gives_it(tmp_path: Path) -> None:
    log = tmp_path / "log.evtx"
    log.write_bytes(good())
    reading = Reading(Wants({EventType(SYSMON, 1).key: frozenset({"Image", "ProcessId", "System.Level"})}))
    ours, theirs = carved(tmp_path, good(), reading=reading), gather(PARSER, [evidence(log)], reading)
    place = [pl.lit("x").alias("source"), pl.lit(value=False).alias("recovered")]
    for result in (ours, theirs):
        assert {*schema.CORE, *schema.SYSTEM, "Image", "ProcessId"} <= set(result.frames[EventType(SYSMON, 1)].columns)
    assert differences(
        {kind: frame.with_columns(place) for kind, frame in ours.frames.items()},
        {kind: frame.with_columns(place) for kind, frame in theirs.frames.items()},
    ) == []  # fmt: skip
    nothing = carved(tmp_path, good(), reading=Reading(Wants({})))
    assert (nothing.frames, nothing.records) == ({}, TOTAL)


@pytest.mark.parametrize(
    ("head", "name"), [(b"EVF\x09\x0d\x0a\xff\x00", "E01"), (b"PK\x03\x04", "zip"), (b"HIBR", "hibernation")]
)
def test_compressed_data_is_told_and_no_silence(head: bytes, name: str, tmp_path: Path) -> None:
    (problem,) = carved(tmp_path, head + junk(1000)).problems
    assert name in problem.reason
    assert "compressed" in problem.reason


@pytest.mark.parametrize("size", [0, 1, 3, 31, 511, 513])
def test_hardly_any_data_is_no_trouble(size: int, tmp_path: Path) -> None:
    for raw in (bytes(size), b"*" * size, (b"ElfChnk\0" * 70)[:size], chunks(small)[0][:size]):
        found = carved(tmp_path, raw)
        assert (found.numbers, found.lost) == ([], [])


def test_disks_that_fail_in_places_are_read_around_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = chunks(small)[0] + bytes(3 << 20) + chunks(small)[0]
    block = scan._block

    def failing(file: Any, at: int, size: int) -> bytes | OSError:
        return OSError(5, "Input/output error") if at == 1 << 20 else block(file, at, size)

    monkeypatch.setattr(scan, "_block", failing)
    found = carved(tmp_path, raw)
    assert found.numbers == [1, 1, 2, 2, 3, 3]
    assert [(p.offset, p.reason) for p in found.problems] == [
        (1 << 20, "1048576 bytes can't be read: Input/output error")
    ]


# What is made to mislead


def magics(per: int, size: int, many: int) -> bytes:
    """Heads of records, one every `per` bytes, of which each claims to hold those that follow."""
    head = struct.pack("<IIQQ", 0x2A2A, size, 1, START) + b"\x0f\1\1\0\x0c\1\1\1"
    return head[:per].ljust(per, b"\0") * many


@pytest.mark.parametrize("raw", [b"ElfChnk\0" * 60_000, b"**\0\0" * 60_000, b"*" * 200_000])
def test_magics_without_number_cost_next_to_nothing(raw: bytes, tmp_path: Path) -> None:
    found = carved(tmp_path, raw + chunks(small)[0])
    assert (found.numbers, found.problems) == ([1, 2, 3], [])


def test_records_on_top_of_each_other_are_tried_no_more_than_the_file_is_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []
    read = carve.orphans.row

    def counting(record: bytes, *rest: Any) -> Any:
        tried.append(len(record))
        return read(record, *rest)

    monkeypatch.setattr(carve.orphans, "row", counting)
    raw = magics(32, 32 * 1000 + 8, 40_000)
    found = carved(tmp_path, raw)
    assert sum(tried) < 3 * len(raw)
    assert found.records == 0
    told = [problem for problem in found.problems if "not tried" in problem.reason]
    assert len(tried) + int(told[0].reason.split()[0]) > 38_000


def test_a_record_that_claims_to_hold_others_does_not_hide_them(tmp_path: Path) -> None:
    inner = record(small, 1) * 3
    size = 28 + 4 + len(inner)
    trap = struct.pack("<IIQQ", 0x2A2A, size, 9, START) + b"\x0f\1\1\0" + inner + struct.pack("<I", size)
    found = carved(tmp_path, junk(20) + trap)
    assert found.numbers == [1, 1, 1]
    assert found.lost == [9]


def test_chunk_headers_without_number_are_limited(tmp_path: Path) -> None:
    head = chunks(small)[0][:512]
    raw = head * 4096
    found = carved(tmp_path, raw)
    assert found.numbers == []
    (told,) = [problem for problem in found.problems if "more chunks" in problem.reason]
    assert int(told.reason.split()[0]) == 4096 - len(raw) // 4096


def test_problems_are_counted_where_there_are_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carve, "_LISTED", 10)
    raw = magics(36, 36, 500).replace(b"\x0c\1\1\1" + bytes(4), b"\x0c\1\1\1" + struct.pack("<I", 36))
    found = carved(tmp_path, raw)
    assert len(found.problems) == 11
    assert found.problems[-1].reason == "490 more problems of kind record: 10 are listed"


def test_real_logs_are_carved_as_they_are_read(real_evidence: Path, tmp_path: Path) -> None:
    logs = sorted((real_evidence / "evtx").rglob("*.evtx"), key=lambda path: (path.stat().st_size, path.name))[:40]
    some = [path for path in logs if path.stat().st_size < 1 << 20]
    for path in some:
        ours, theirs = carved(tmp_path, junk(1) + path.read_bytes()), gather(PARSER, [evidence(path)])
        for frame, other in _pairs(ours, theirs):
            live = frame.filter(pl.col("offset").is_in((other["offset"] + 1).to_list()))
            assert live.height == other.height
            assert live.sort("offset")["record_id"].to_list() == other.sort("offset")["record_id"].to_list()
        assert count(ours.frames) >= count(theirs.frames)
    assert some


def _pairs(ours: Result, theirs: Result) -> list[tuple[pl.DataFrame, pl.DataFrame]]:
    assert set(theirs.frames) <= set(ours.frames)
    return [(ours.frames[kind], theirs.frames[kind]) for kind in theirs.frames]
