"""How the columnar parser reads: only what is wanted, many files, in parts, again by offset; the same frames always."""

from __future__ import annotations

import errno
import io
import struct
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from hunt import runs, schema
from hunt.model import SYSMON, Evidence, Reading, Wants
from parsers import bxml, evtx, templates, unit
from parsers.evtx import PARSER
from samples.evtx_writer import log_bytes, sysmon_event, sysmon_process, write_log
from tests.helpers import ROOT, Result, differences, evidence, frame_differences, gather, gather_bytes
from tests.parsers.logs import START, event, good, places

pytestmark = pytest.mark.usefixtures("either_way")

SAMPLES = sorted((ROOT / "samples" / "logs").glob("*.evtx"))


def wanting(**columns: frozenset[str]) -> Reading:
    return Reading(Wants({(SYSMON.lower(), int(name.removeprefix("e"))): wanted for name, wanted in columns.items()}))


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Three chunks of several event types, names and templates at other places in each."""
    events = [sysmon_event(number, time=START) for number in (3, 5, 7, 10, 11, 22)] * 12
    starts = [sysmon_process(Image=rf"C:\zoë\tool{n}.exe", time=START + n) for n in range(60)]
    log = [*events[:30], *starts[:20], *events[30:], *starts[20:]]
    return write_log(tmp_path / "mixed.evtx", log, exported=False)


# Projection: what is not wanted is counted all the same.


def test_only_wanted_event_types_and_columns_come_out(mixed: Path) -> None:
    found = gather(PARSER, [evidence(mixed)], wanting(e1=frozenset({"Image", "NoSuchField"})))
    ((kind, frame),) = found.frames.items()
    assert (kind, frame.height) == ((SYSMON, 1), 60)
    assert set(frame.columns) == {*schema.CORE, *schema.SYSTEM, "Image", "UtcTime"}
    everything = gather(PARSER, [evidence(mixed)]).frames[kind]
    wanted = [*schema.CORE, "Image", "UtcTime"]
    assert frame_differences(frame.select(wanted), everything.select(wanted)) == []


def test_the_census_counts_every_record_wanted_or_not(mixed: Path) -> None:
    counts = [
        gather(PARSER, [evidence(mixed)], reading).census.group_by("event_id").agg(pl.col("records").sum())
        for reading in (Reading(), wanting(e1=frozenset()), wanting(e99=frozenset()), Reading(Wants({})))
    ]
    expected = {1: 60} | dict.fromkeys((3, 5, 7, 10, 11, 22), 12)
    assert [dict(count.iter_rows()) for count in counts] == [expected] * 4


def test_what_is_wanted_is_told_without_case(mixed: Path) -> None:
    (kind,) = gather(PARSER, [evidence(mixed)], wanting(e5=frozenset())).frames
    assert kind == (SYSMON, 5)


def test_records_without_a_template_are_wanted_or_not_like_all_others(tmp_path: Path) -> None:
    log = [event(record_id=5, header_id=900, data=[("A", "x")], rendered=True), event(record_id=6, event_id=8)]
    content = log_bytes(log)
    some = gather_bytes(PARSER, tmp_path, content, Reading(Wants({("contoso/debug", 8): frozenset()})))
    assert (some.numbers, some.records) == ([6], 2)
    assert gather_bytes(PARSER, tmp_path, content).numbers == [6, 900]


# In parts: sizes of batches and units, and threads, change nothing.


@pytest.mark.parametrize(("batch", "one_unit"), [(1, 1), (1, 512), (2, 3), (3, 1), (128, 2)])
def test_sizes_of_batches_and_units_change_nothing(
    batch: int, one_unit: int, mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [evidence(mixed), *(evidence(path) for path in SAMPLES)]
    whole = gather(PARSER, files)
    monkeypatch.setattr(unit, "BATCH_CHUNKS", batch)
    monkeypatch.setattr(evtx, "UNIT_CHUNKS", one_unit)
    assert _differences(gather(PARSER, files), whole) == []


def test_several_threads_give_what_one_gives(mixed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [evidence(mixed), *(evidence(path) for path in SAMPLES)]
    whole = gather(PARSER, files)
    monkeypatch.setattr(evtx, "UNIT_CHUNKS", 2)
    assert _differences(gather(PARSER, files, Reading(jobs=4)), whole) == []


def _differences(one: Result, other: Result) -> list[str]:
    found = differences(one.frames, other.frames)
    censuses = [_whole(result.census) for result in (one, other)]
    return found + ([] if all(a.equals(b) for a, b in zip(*censuses, strict=True)) else ["census"])


def _whole(census: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Counts and runs, however many units they came from."""
    keys = list(schema.CENSUS_KEYS)
    counts = census.group_by(keys).agg(
        pl.col("records").sum(), pl.col("start").min(), pl.col("end").max(), pl.col("renumbered").sum()
    )
    told = census.select(*schema.LOG, "runs").explode("runs").unnest("runs").drop_nulls("more")
    return counts.sort(keys, nulls_last=True), runs.union(told, schema.LOG)


# Many files.


def test_files_read_together_keep_their_sources_and_offsets_in_order(tmp_path: Path) -> None:
    paths = [
        write_log(tmp_path / f"{name}.evtx", [sysmon_process(Image=f"{name}{n}", time=START) for n in range(70)])
        for name in "cab"
    ]
    (frame,) = gather(PARSER, [evidence(path) for path in paths]).frames.values()
    assert frame["source"].to_list() == [f"{name}.evtx" for name in "cab" for _ in range(70)]
    assert frame["Image"].to_list() == [f"{name}{n}" for name in "cab" for n in range(70)]
    for source, offset, number in frame.select("source", "offset", "record_number").iter_rows():
        content = (tmp_path / source).read_bytes()
        assert struct.unpack_from("<4s4xQ", content, offset) == (b"\x2a\x2a\0\0", number)


def test_a_file_that_went_away_is_a_problem_and_the_others_are_read(tmp_path: Path) -> None:
    one, gone, other = (write_log(tmp_path / f"{name}.evtx", [event()]) for name in ("a", "gone", "z"))
    files = [evidence(path) for path in (one, gone, other)]
    gone.unlink()
    found = gather(PARSER, files)
    assert [(problem.source, problem.kind) for problem in found.problems] == [("gone.evtx", "file")]
    assert found.census["source"].to_list() == ["a.evtx", "z.evtx"]


def test_a_file_that_became_shorter_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "log.evtx"
    path.write_bytes(good())
    before = evidence(path)
    path.write_bytes(good()[: 4096 + 65536])
    found = gather(PARSER, [before])
    assert found.numbers == [n for n, (offset, _) in places(good()).items() if offset < 4096 + 65536]


def test_what_stands_before_a_place_that_cannot_be_read_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.evtx"
    path.write_bytes(good())
    broken = 4096 + 65536 + 1000

    class Disk(io.FileIO):
        def readinto(self, buffer: object) -> int:
            if self.tell() >= broken:
                raise OSError(errno.EIO, "Input/output error")
            place = memoryview(buffer)  # type: ignore[arg-type]
            return super().readinto(place[: broken - self.tell()])

    opened = Path.open
    monkeypatch.setattr(Path, "open", lambda self, mode, **how: Disk(self) if how else opened(self, mode))
    found = gather(PARSER, [evidence(path)])
    assert [(problem.kind, problem.reason) for problem in found.problems] == [
        ("file", "reading stopped: Input/output error")
    ]
    assert found.numbers == [n for n, (offset, _) in places(good()).items() if offset < 4096 + 65536]


def test_no_files_give_nothing() -> None:
    found = gather(PARSER, [])
    assert (found.frames, found.problems, found.records) == ({}, [], 0)


# A second time, by offset.


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_records_read_again_by_their_offsets_are_the_same_rows(path: Path) -> None:
    file = evidence(path)
    read = gather(PARSER, [file]).frames
    offsets = sorted(offset for frame in read.values() for offset in frame["offset"])
    again = PARSER.records(file, offsets)
    assert differences(dict(again.frames), read) == []
    one = PARSER.records(file, offsets[-1:])
    assert [frame["offset"].to_list() for frame in one.frames.values()] == [offsets[-1:]]
    assert one.census["records"].to_list() == [1]


def test_offsets_where_no_record_stands_give_nothing(tmp_path: Path) -> None:
    path = write_log(tmp_path / "log.evtx", [event()])
    for offset in (0, 8, 4096, 4609, 65_535, 1 << 40):
        assert PARSER.records(evidence(path), [offset]).frames == {}


def test_records_of_a_file_that_is_gone_raise(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"gone\.evtx"):
        PARSER.records(Evidence(tmp_path / "gone.evtx", "gone.evtx", 1, ""), [4608])


# Slack.


def test_stale_records_are_read_on_demand_and_marked(tmp_path: Path) -> None:
    """A chunk that was used before: its header ends after one record, the others still stand behind it."""
    content = bytearray(log_bytes(event(record_id=n, data=[("A", str(n))]) for n in (1, 2, 3)))
    (at, size), *_ = places(bytes(content)).values()
    struct.pack_into("<QQQQ", content, 4096 + 8, 1, 1, 1, 1)
    struct.pack_into("<II", content, 4096 + 44, at - 4096, at - 4096 + size)
    content[4096 + 120] |= 4  # no checksums
    plain = gather_bytes(PARSER, tmp_path, bytes(content))
    assert (plain.numbers, plain.records, plain.problems) == ([1], 1, [])
    found = gather_bytes(PARSER, tmp_path, bytes(content), Reading(slack=True))
    (frame,) = found.frames.values()
    assert frame.select("record_number", "A", "recovered").rows() == [(1, "1", False), (2, "2", True), (3, "3", True)]
    assert found.records == 1  # stale ones are none of the log's


# Readings that follow each other keep what they have learnt.


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Offsets of the templates that are parsed from now on."""
    met: list[int] = []
    parse = bxml.template
    monkeypatch.setattr(bxml, "template", lambda data, offset: (met.append(offset), parse(data, offset))[1])
    return met


@pytest.mark.parametrize("jobs", [1, 2])
def test_readings_that_follow_each_other_parse_no_template_again(mixed: Path, jobs: int, parsed: list[int]) -> None:
    follow = Reading(jobs=jobs, more=True)
    alone = gather(PARSER, [evidence(mixed)])
    first = gather(PARSER, [evidence(mixed)], follow)
    parsed.clear()
    second = gather(PARSER, [evidence(mixed)], follow)
    assert parsed == []
    assert differences(first.frames, alone.frames) == differences(second.frames, alone.frames) == []


def test_a_reading_of_other_wants_takes_nothing_from_the_one_before(mixed: Path) -> None:
    alone = gather(PARSER, [evidence(mixed)], wanting(e5=frozenset({"Image"})))
    gather(PARSER, [evidence(mixed)], Reading(more=True))
    after = gather(PARSER, [evidence(mixed)], replace(wanting(e5=frozenset({"Image"})), more=True))
    assert differences(after.frames, alone.frames) == []


def test_templates_made_to_fill_the_memory_are_not_kept_for_the_next_reading(
    mixed: Path, parsed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(templates, "_KEPT", 4)  # of which more than two are too many
    gather(PARSER, [evidence(mixed)], Reading(more=True))
    parsed.clear()
    gather(PARSER, [evidence(mixed)], Reading(more=True))
    assert parsed
