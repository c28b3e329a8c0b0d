"""Evidence becomes a case: once, whole, the same bytes however it is read; and what can't be served is refused."""

from __future__ import annotations

import errno
import os
import random
import signal
import struct
import threading
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from hunt import schema
from hunt.errors import EvidenceError, HuntError
from hunt.isolation import Guard, SuspectError
from hunt.model import Batch, EventType, Evidence, Opening, Progress, Reading
from hunt.store import folders, layout, lock, lots, manifests
from hunt.store.lot import LotWriter
from hunt.store.lots import Work
from hunt.watcher import Watcher
from samples.evtx_writer import sysmon_process, write_log
from samples.sysmon import sysmon_event
from tests.helpers import OUTLOOK, batch, start
from tests.hunt.store.ingesting import SMALL, TIME, load, logs, read, records, rows, take, tree


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lots of two logs each."""
    monkeypatch.setattr(lots, "LOT", SMALL)


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    return logs(tmp_path / "evidence")


@pytest.fixture
def case(tmp_path: Path) -> Path:
    return tmp_path / "case"


# What is in a case.


@pytest.mark.usefixtures("small")
def test_every_record_stands_in_the_case_with_its_place(evidence: Path, case: Path) -> None:
    done = take(case, evidence)
    logs_read = [evidence / f"{name}.evtx" for name in "ABCD"]
    told = [record for record in records(case) if not record[0].startswith("triage.zip")]
    assert told == read(*logs_read)
    assert len(told) == 16
    assert (done.known, done.aliases, done.changed, done.problems, done.interrupted) == (0, 1, True, (), False)
    assert sum(tally.read for tally in done.tallies) == 17


def test_the_case_tells_of_all_that_was_met(evidence: Path, case: Path) -> None:
    take(case, evidence)
    told = load(case)
    assert [item.source for item in told.items()] == [
        "A.evtx",
        "B.evtx",
        "C.evtx",
        "D.evtx",
        "triage.zip!logs/inner.evtx",
    ]
    assert [(item.found, item.read, item.problems) for item in told.items()] == [(4, 4, 0)] * 4 + [(1, 1, 0)]
    assert {item.parser for item in told.items()} == {"evtx"}
    assert [(alias.source, alias.of) for alias in told.aliases()] == [("copy.evtx", "A.evtx")]
    assert told.skipped() == ("notes.txt",)
    assert [opened.source for opened in told.containers()] == ["triage.zip"]
    assert (told.problems(), told.pending) == ((), ())


def test_files_are_sorted_and_their_manifest_is_right(evidence: Path, case: Path) -> None:
    take(case, evidence)
    lot = load(case).lots[0]
    assert sorted(file.path for file in lot.files) == sorted(
        path.relative_to(case).as_posix() for path in (case / "events").rglob("*.parquet")
    )
    hosts = set()
    for file in lot.files:
        frame = pl.read_parquet(case / file.path, hive_partitioning=False)
        assert (frame.height, file.bytes) == (file.rows, (case / file.path).stat().st_size)
        key = frame.select(pl.col("host").str.to_lowercase(), "time", "source", "offset")
        assert key.equals(key.sort(key.columns, maintain_order=True))
        assert {layout.bucket(host) for host in frame["host"]} == {file.bucket}
        assert set(zip(frame["channel"].str.to_lowercase(), frame["event_id"], strict=True)) == {file.event_type.key}
        assert frame.columns[:25] == [*schema.CORE, *schema.SYSTEM] and frame.columns[-1] == "sources"
        hosts |= set(frame["host"])
    assert len(hosts) == 9


def test_a_census_counts_every_record_once(evidence: Path, case: Path) -> None:
    take(case, evidence)
    lot = load(case).lots[0]
    counted = pl.read_parquet(case / layout.census_path(lot.id))
    assert dict(counted.schema) == dict(schema.CENSUS)
    by_source = dict(counted.group_by("source").agg(pl.col("records").sum()).rows())
    assert by_source == {item.source: item.read for item in lot.items}


def test_the_same_evidence_gives_the_same_bytes_with_any_number_of_threads(samples: Path, tmp_path: Path) -> None:
    chosen = [*sorted((samples / "logs").glob("s*.evtx")), samples / "damaged"]
    for jobs in (1, 4):
        take(tmp_path / str(jobs), *chosen, jobs=jobs)
    assert tree(tmp_path / "1") == tree(tmp_path / "4")
    assert len({layout.bucket(host) for host in rows(tmp_path / "1")["host"]}) > 1


def test_stale_records_are_rows_of_their_own(case: Path, tmp_path: Path) -> None:
    log = write_log(tmp_path / "a.evtx", [sysmon_process(Image=OUTLOOK, time=TIME, record_id=7) for _ in range(3)])
    content = bytearray(log.read_bytes())  # a log that was begun anew: its first record is all that counts
    first = struct.unpack_from("<I", content, 4608 + 4)[0]
    struct.pack_into("<QQQQ", content, 4096 + 8, 1, 1, 1, 1)
    struct.pack_into("<II", content, 4096 + 44, 512, 512 + first)
    content[4096 + 120] |= 4  # no checksums
    log.write_bytes(content)
    take(case, log, slack=True)
    assert rows(case).sort("offset")["recovered"].to_list() == [False, True, True]
    assert rows(case)["sources"].null_count() == 3


def test_records_that_stand_twice_are_stored_once_and_none_is_lost(case: Path, tmp_path: Path) -> None:
    events = [sysmon_process(Image=OUTLOOK, time=TIME, host="WS", record_id=n + 1) for n in range(6)]
    folder = tmp_path / "logs"
    folder.mkdir()
    paths = [write_log(folder / "b.evtx", events[:4]), write_log(folder / "a.evtx", events[2:])]
    take(case, folder)
    told = rows(case)
    assert told.height == 6
    assert records(case) == read(*paths)
    twice = told.filter(pl.col("sources").is_not_null())
    assert twice["sources"].list.eval(pl.element().struct.field("path")).to_list() == [["a.evtx", "b.evtx"]] * 2
    assert twice["source"].to_list() == ["a.evtx"] * 2
    assert sum(file.records for lot in load(case).lots for file in lot.files) == 8


# More evidence.


@pytest.mark.usefixtures("small")
def test_what_is_in_is_not_decoded_again_and_nothing_changes(
    evidence: Path, case: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(case, evidence)
    before = tree(case)
    monkeypatch.setattr(LotWriter, "add", None)  # whoever decodes fails
    done = take(case, evidence)
    assert (done.changed, done.known, done.tallies) == (False, 5, ())
    assert tree(case) == before


@pytest.mark.usefixtures("small")
def test_more_evidence_adds_to_what_is_there(evidence: Path, case: Path) -> None:
    take(case, evidence)
    before = tree(case)
    write_log(evidence / "E.evtx", [sysmon_process(Image=OUTLOOK, time=TIME, host="WS-E")])
    done = take(case, evidence)
    assert [tally.evidence.source for tally in done.tallies] == ["E.evtx"]
    after = tree(case)
    assert before.items() - after.items() == {(layout.CASE, before[layout.CASE])}
    assert [item.source for item in load(case).items()][-1] == "E.evtx"
    assert len(records(case)) == 18


@pytest.mark.usefixtures("small")
def test_part_by_part_is_the_same_as_at_once_but_for_the_lots(evidence: Path, case: Path, tmp_path: Path) -> None:
    for name in "ABCD":
        take(case, evidence / f"{name}.evtx")
    take(case, evidence)
    take(tmp_path / "whole", evidence)
    assert records(case) == records(tmp_path / "whole")
    assert load(case).items() == load(tmp_path / "whole").items()


def test_a_log_of_the_same_name_from_elsewhere_gets_a_name_of_its_own(case: Path, tmp_path: Path) -> None:
    for host in "AB":
        folder = tmp_path / host
        folder.mkdir()
        write_log(folder / "Sysmon.evtx", [sysmon_process(Image=OUTLOOK, time=TIME, host=host)])
        with zipfile.ZipFile(folder / "t.zip", "w") as archive:
            write_log(tmp_path / "x", [sysmon_process(Image=OUTLOOK, time=TIME, host=f"{host}-in")])
            archive.write(tmp_path / "x", "x.evtx")
        take(case, folder)
        take(case, folder)
    told = {item.source: item.named for item in load(case).items()}
    assert told == {
        "Sysmon.evtx": "Sysmon.evtx", "t.zip!x.evtx": "t.zip!x.evtx",
        "Sysmon.evtx#2": "Sysmon.evtx", "t.zip#2!x.evtx": "t.zip!x.evtx",
    }  # fmt: skip
    assert dict(rows(case).select("source", "host").rows()) == {
        "Sysmon.evtx": "A", "t.zip!x.evtx": "A-in", "Sysmon.evtx#2": "B", "t.zip#2!x.evtx": "B-in",
    }  # fmt: skip
    assert not take(case, tmp_path / "A", tmp_path / "A" / "t.zip").changed


def test_a_copy_that_comes_later_is_a_further_place_and_not_decoded(evidence: Path, case: Path, tmp_path: Path) -> None:
    take(case, evidence / "A.evtx")
    files = {path for path in tree(case) if path.endswith(".parquet")}
    done = take(case, evidence / "copy.evtx")
    assert (done.aliases, done.tallies) == (1, ())
    assert {path for path in tree(case) if path.endswith(".parquet")} == files
    assert [(alias.source, alias.of) for alias in load(case).aliases()] == [("copy.evtx", "A.evtx")]
    assert not take(case, evidence / "copy.evtx").changed


def test_an_archive_that_is_in_is_not_opened_again(evidence: Path, case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take(case, evidence / "triage.zip")
    before = tree(case)
    monkeypatch.setattr("hunt.unpack.Unpacker.open", None)
    assert not take(case, evidence / "triage.zip").changed
    assert tree(case) == before


def test_an_archive_that_could_not_be_read_is_opened_again_with_a_password(case: Path, tmp_path: Path) -> None:
    import pyzipper

    log = write_log(tmp_path / "x.evtx", [sysmon_process(Image=OUTLOOK, time=TIME)])
    open_log = write_log(tmp_path / "y.evtx", [sysmon_process(Image=OUTLOOK, time=TIME, host="Y")])
    closed = tmp_path / "closed.zip"
    with pyzipper.AESZipFile(closed, "w", encryption=pyzipper.WZ_AES) as archive:
        archive.setpassword(b"secret")
        archive.write(log, "x.evtx")
    done = take(case, closed, open_log)
    assert len(done.problems) == 1
    assert len(take(case, closed, open_log).problems) == 1  # nothing is new, and it still can't be read
    done = take(case, closed, open_log, opening=Opening("secret"))
    assert (done.changed, done.problems) == (True, ())
    assert load(case).problems() == ()
    assert {item.source for item in load(case).items()} == {"closed.zip!x.evtx", "y.evtx"}


def test_damage_is_told_of_the_log_that_has_it(case: Path, samples: Path) -> None:
    done = take(case, samples / "damaged")
    told = load(case)
    assert done.problems and set(told.problems()) == set(done.problems)
    assert sum(item.problems for item in told.items()) == sum(len(lot.problems) for lot in told.lots)
    assert take(case, samples / "damaged").problems


# Large logs, and many event types.


def test_a_large_log_is_cut_into_lots_that_are_committed_one_by_one(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [
        sysmon_process(Image=OUTLOOK, time=TIME, host=f"H{n % 3}", CommandLine="x" * 2000, record_id=n + 1)
        for n in range(90)
    ]
    log = write_log(tmp_path / "large.evtx", events)
    assert log.stat().st_size > 4 * 65536
    monkeypatch.setattr(lots, "LOT", 2 * 65536)
    done = take(case, log)
    told = load(case)
    assert len(told.lots) > 2 and len(told.items()) == 1
    assert (told.items()[0].read, told.items()[0].part, told.pending) == (90, None, ())
    assert records(case) == read(log)
    assert {tally.evidence.source for tally in done.tallies} == {"large.evtx"}
    assert not take(case, log).changed


class Slow:
    """A parser that knows no pieces, of a log that is larger than a lot: it hands on rows of fixed places."""

    name = "slow"

    def __init__(self, offsets: Sequence[int]) -> None:
        self.offsets = offsets

    def accepts(self, head: bytes) -> bool:
        return False

    def read(self, files: Sequence[Evidence], reading: Reading) -> Iterator[Batch | Progress]:
        for at in self.offsets:
            yield batch(start(OUTLOOK, source=files[0].source, offset=str(at), record_id=str(at)))
        yield Progress(files[0].source, files[0].size)

    def records(self, evidence: Evidence, offsets: Sequence[int]) -> Batch:
        raise NotImplementedError


def test_a_large_log_of_another_format_is_written_in_parts_wherever_its_rows_come_from(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lots, "LOT", 100)
    chance = random.Random(1)
    offsets = sorted(range(0, 1000, 25), key=lambda at: at + chance.randrange(150))
    item = Evidence(tmp_path / "x", "x.jsonl", 1000, "f" * 64)
    writer = LotWriter(folders.folder(str(case)), [Work(item, Slow(offsets), "x.jsonl")], False, 1)
    for part in Slow(offsets).read([item], Reading()):
        if isinstance(part, Batch):
            writer.add(part)
    lot = writer.finish([_tally(item)], [])
    assert len({file.part for file in lot.files}) > 3
    found = [pl.read_parquet(case / file.path)["offset"].to_list() for file in lot.files]
    assert sorted(at for part in found for at in part) == sorted(offsets)
    assert max(map(len, found)) < 12


def _tally(item: Evidence) -> Any:
    from hunt.model import Tally

    return Tally(item, "slow", 100, 100, 0)


def test_a_log_made_of_event_types_does_not_become_as_many_files(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hunt.store import lot as of_lots
    from hunt.store.rest import unfolded

    monkeypatch.setattr(of_lots, "MOST_TYPES", 3)
    kinds = [1, 1, 1, 3, 3, 5, 5, 10, 11, 13, 22]
    events = [sysmon_event(kind, time=TIME, host=f"H{n % 2}") for n, kind in enumerate(kinds)]
    log = write_log(tmp_path / "many.evtx", events)
    take(case, log)
    files = load(case).lots[0].files
    assert {file.event_id for file in files} == {1, 3, 5, -1}
    assert records(case) == read(log)
    whole: dict[EventType, list[pl.DataFrame]] = {}
    for file in files:
        if file.event_type == layout.REST:
            for kind, frame in unfolded(pl.read_parquet(case / file.path, hive_partitioning=False)):
                whole.setdefault(kind, []).append(frame)
    assert sorted(kind.event_id for kind in whole) == [10, 11, 13, 22]


# What can't be served.


def refused(case: Path | str, *evidence: Path, match: str, **asked: Any) -> None:
    with pytest.raises(HuntError, match=match) as error:
        take(case, *evidence, **asked)
    assert "\n" not in str(error.value)


def test_a_folder_of_other_things_is_never_written_to(evidence: Path, tmp_path: Path) -> None:
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter1.txt").write_text("It was")
    refused(folder, evidence, match="holds other files and is no case")
    refused(folder / "chapter1.txt", evidence, match="is a file, not the folder of a case")
    assert [path.name for path in folder.iterdir()] == ["chapter1.txt"]


def test_evidence_is_never_written_to(evidence: Path, tmp_path: Path) -> None:
    before = tree(evidence)
    for case in (evidence, evidence / "case", evidence / "deep" / "case"):
        refused(case, evidence, match="lies in the evidence")
    (tmp_path / "link").symlink_to(evidence)
    refused(tmp_path / "link" / "case", evidence, match="lies in the evidence")
    assert tree(evidence) == before


def test_a_case_is_no_evidence(evidence: Path, case: Path, tmp_path: Path) -> None:
    take(case, evidence / "A.evtx")
    refused(tmp_path / "other", case, match="not evidence")
    refused(case, case / "events", match="not evidence")
    assert not (tmp_path / "other").exists()


def test_evidence_without_logs_leaves_nothing_behind(case: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(EvidenceError):
        take(case, tmp_path / "notes.txt")
    assert not case.exists()


def test_stale_records_are_asked_for_from_the_beginning(evidence: Path, case: Path, tmp_path: Path) -> None:
    take(case, evidence / "A.evtx")
    before = tree(case)
    refused(case, evidence / "B.evtx", match="--slack: the case was made without it", slack=True)
    assert tree(case) == before
    other = tmp_path / "other"
    take(other, evidence / "A.evtx", slack=True)
    take(other, evidence / "B.evtx")
    assert [lot.slack for lot in load(other).lots] == [True, True]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="nothing is closed to root")
def test_a_folder_that_can_not_be_written_is_an_error_of_the_system(evidence: Path, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(PermissionError):
        take(closed / "case", evidence)


@pytest.mark.usefixtures("small")
def test_a_disk_that_gets_full_leaves_what_was_committed(
    evidence: Path, case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(tmp_path / "whole", evidence)
    room = [120_000]  # bytes: one lot, and part of the next

    def full(self: folders.Local, path: str, content: bytes) -> None:
        room[0] -= len(content)
        if room[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(self, path, content)

    write = folders.Local.write
    with monkeypatch.context() as patched:
        patched.setattr(folders.Local, "write", full)
        with pytest.raises(OSError, match="No space left"):
            take(case, evidence)
    told = load(case)
    assert 0 < len(told.items()) < 5
    assert len(told.items()) + len(told.pending) == 5
    assert all("ingest it again" in problem.reason for problem in told.problems())
    named = {file.path for lot in told.lots for file in lot.files}
    assert {path.relative_to(case).as_posix() for path in (case / "events").rglob("*.parquet")} == named
    take(case, evidence)
    assert tree(case) == tree(tmp_path / "whole")


class Interrupts(Watcher):
    """Ctrl-C, as soon as reading has begun for the second time."""

    def __init__(self) -> None:
        self.tallies = 0

    def tally(self, tally: object) -> None:
        self.tallies += 1
        if self.tallies == 2:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.usefixtures("small")
def test_an_interrupt_leaves_a_whole_case_that_says_what_it_lacks(evidence: Path, case: Path, tmp_path: Path) -> None:
    from hunt.store.ingest import Asked, ingest

    done = ingest(Asked([evidence], str(case)), Interrupts())
    assert done.interrupted
    told = load(case)
    assert (len(told.items()), len(told.pending)) == (2, 3)
    assert len(told.problems()) == 3
    assert records(case) == read(evidence / "A.evtx", evidence / "B.evtx")
    assert not take(case, evidence).interrupted
    take(tmp_path / "whole", evidence)
    assert tree(case) == tree(tmp_path / "whole")


def test_what_is_lacking_stays_told_when_other_evidence_comes(evidence: Path, case: Path) -> None:
    late = layout.Pending("old.evtx", "old.evtx", 5, "e" * 64)
    case.mkdir()
    (case / layout.CASE).write_bytes(manifests.case_json(layout.Case(pending=(late,))))
    take(case, evidence / "A.evtx")
    assert load(case).pending == (late,)
    assert [problem.source for problem in load(case).problems()] == ["old.evtx"]


# Two at once.


class Notes(Watcher):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_a_second_ingest_waits_or_is_refused(evidence: Path, case: Path, tmp_path: Path) -> None:
    from hunt.store.ingest import Asked, ingest

    notes = Notes()
    with lock.held(folders.folder(str(case)), True, notes.note):
        refused(case, evidence, match="another ingest writes into it", wait=False)
        waiting = threading.Thread(target=ingest, args=(Asked([evidence], str(case)), notes))
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
        assert not (case / layout.CASE).exists()
    waiting.join(30)
    assert not waiting.is_alive()
    assert notes.notes == [f"{case}: another ingest writes into it; waiting for its end"]
    take(tmp_path / "whole", evidence)
    assert tree(case) == tree(tmp_path / "whole")


def test_two_ingests_at_once_bring_in_everything_once(evidence: Path, case: Path) -> None:
    threads = [
        threading.Thread(target=take, args=(case, *(evidence / f"{name}.evtx" for name in names)))
        for names in ("AB", "BC", "CD")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert records(case) == read(*(evidence / f"{name}.evtx" for name in "ABCD"))
    assert sorted(item.source for item in load(case).items()) == ["A.evtx", "B.evtx", "C.evtx", "D.evtx"]


def test_notes_beside_a_case_are_left_alone(evidence: Path, case: Path) -> None:
    take(case, evidence / "A.evtx")
    for name in ("notes.txt", "events/left.parquet.part", "lots/x/lot.json"):
        (case / name).parent.mkdir(exist_ok=True)
        (case / name).write_text("x")
    (case / layout.LOCK).write_text("an ingest was killed")
    take(case, evidence / "A.evtx")
    assert (case / "notes.txt").exists()
    assert not (case / "events" / "left.parquet.part").exists()
    assert not (case / "lots" / "x").exists()


@pytest.mark.usefixtures("small")
def test_a_lot_that_is_read_again_file_by_file_is_the_same_lot(
    evidence: Path, case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when one of its files breaks a parser, after others were read and written."""
    take(tmp_path / "whole", evidence)
    finish, broken = LotWriter.finish, [True]

    def breaks(self: LotWriter, *told: Any) -> layout.Lot:
        lot = finish(self, *told)
        if broken.pop(0) if broken else False:
            raise SuspectError("a file")
        return lot

    monkeypatch.setattr(LotWriter, "finish", breaks)
    monkeypatch.setattr(Guard, "_carefully", Guard._quickly)
    take(case, evidence)
    assert not broken
    assert tree(case) == tree(tmp_path / "whole")
