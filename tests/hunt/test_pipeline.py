"""The whole flow: evidence to report, with nothing lost on the way."""

from __future__ import annotations

import errno
import json
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from hunt import coverage, pipeline, pulse, registry
from hunt.errors import EvidenceError, QueryError
from hunt.model import Batch, Evidence, Problem, Reading, Report, Settings, Status
from hunt.watcher import Watcher
from samples import safe_yaml
from samples.evtx_writer import Event, log_bytes, sysmon_event, sysmon_process, write_log
from tests.helpers import OUTLOOK

CMD = r"C:\Windows\System32\cmd.exe"


def pair(host: str = "WS01", gap: int = 2) -> list[Event]:
    parent = sysmon_process(Image=CMD, time="2026-03-02 08:15:00", host=host, record_id=10)
    child = sysmon_process(Image=OUTLOOK, time=f"2026-03-02 08:15:{gap:02d}", host=host, parent=parent)
    return [parent, child]


def run(*paths: Path, **request: Any) -> Report:
    return pipeline.run(pipeline.Request(paths, **request))


def test_a_folder_of_logs_becomes_findings(tmp_path: Path) -> None:
    write_log(tmp_path / "a.evtx", pair("WS01"))
    write_log(tmp_path / "b.evtx", pair("WS02"))
    report = run(tmp_path)
    assert report.findings.select("host", "sources").rows() == [("WS01", ["a.evtx"]), ("WS02", ["b.evtx"])]
    assert report.hosts == ("WS01", "WS02")
    assert [(t.evidence.source, t.found, t.read, t.problems) for t in report.tallies] == [
        ("a.evtx", 2, 2, 0),
        ("b.evtx", 2, 2, 0),
    ]
    assert (report.problems, report.skipped, report.unparsed) == ((), (), 0)


def test_parent_and_child_in_different_logs_are_joined(tmp_path: Path) -> None:
    parent, child = pair()
    write_log(tmp_path / "a.evtx", [child])
    write_log(tmp_path / "b.evtx", [parent])
    report = run(tmp_path)
    assert report.findings["start_source"].to_list() == ["event"]
    assert report.findings["sources"].to_list() == [["a.evtx", "b.evtx"]]


def test_an_archived_copy_adds_a_source_and_no_finding(tmp_path: Path) -> None:
    write_log(tmp_path / "live.evtx", pair())
    write_log(tmp_path / "archive.evtx", pair(), exported=False)
    report = run(tmp_path)
    assert report.findings["sources"].to_list() == [["archive.evtx", "live.evtx"]]
    assert report.findings.height == 1


def test_the_window_reaches_the_query(tmp_path: Path) -> None:
    write_log(tmp_path / "a.evtx", pair(gap=30))
    assert run(tmp_path).findings.height == 1
    assert run(tmp_path, settings=Settings(window_s=29)).findings.height == 0


def test_found_is_read_and_problems_of_records(tmp_path: Path) -> None:
    content = bytearray(log_bytes(pair()))
    size = struct.unpack_from("<I", content, 4608 + 4)[0]
    content[4608 + size + 24 : 4608 + size + 60] = b"\xee" * 36
    (tmp_path / "a.evtx").write_bytes(content)
    report = run(tmp_path)
    (tally,) = report.tallies
    records = [problem for problem in report.problems if problem.kind == "record"]
    assert (tally.found, tally.read, len(records)) == (2, 1, 1)
    assert tally.problems == len(report.problems)


def test_problems_of_finding_files_and_of_reading_them_stand_together_sorted(tmp_path: Path) -> None:
    content = bytearray(log_bytes(pair()))
    content[4096:4104] = bytes(8)
    (tmp_path / "b.evtx").write_bytes(content)
    (tmp_path / "a.evtx").write_text("text")
    (tmp_path / "c.evtx").touch()
    (tmp_path / "d.txt").touch()
    report = run(tmp_path)
    assert [problem.source for problem in report.problems] == ["a.evtx", "b.evtx", "c.evtx"]
    assert report.skipped == ("d.txt",)


def test_a_disk_that_fails_while_reading_leaves_what_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_log(tmp_path / "a.evtx", pair())
    (parser,) = (p for p in registry.parsers() if p.accepts((tmp_path / "a.evtx").read_bytes()))

    class Failing:
        name = "failing"

        def accepts(self, head: bytes) -> bool:
            return True

        def read(self, files: Sequence[Evidence], reading: Reading) -> Iterator[Any]:
            yield from parser.read(files, reading)
            for item in files:
                yield Problem(item.source, "file", "reading stopped: Input/output error")

        def records(self, evidence: Evidence, offsets: Sequence[int]) -> Batch:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(registry, "parsers", lambda: (Failing(),))
    report = run(tmp_path)
    assert {(problem.source, problem.kind) for problem in report.problems} == {("a.evtx", "file")}
    assert [problem.reason for problem in report.problems] == [
        "can't be read a second time, for all fields of findings' events: Input/output error",
        "reading stopped: Input/output error",
    ]
    assert report.findings.height == 1
    for row in report.events.iter_rows(named=True):  # what can't be read again keeps what the hunt has seen
        assert json.loads(row["fields"])["Image"] in (CMD, OUTLOOK)


def test_no_file_is_blamed_for_what_takes_long_after_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_log(tmp_path / "a.evtx", pair())
    phases: list[pulse.Phase] = []
    at: list[pulse.Phase] = []
    monkeypatch.setattr(pulse, "beat", lambda phase, source="": phases.append(phase))
    facts = coverage.facts

    def slow(*given: Any) -> Any:
        at.append(phases[-1])  # with `--file-timeout 1` the run would be stopped here, as if a file were being read
        return facts(*given)

    monkeypatch.setattr(coverage, "facts", slow)
    assert run(tmp_path).findings.height == 1
    assert pulse.Phase.READING in phases
    assert at == [pulse.Phase.ENDING]


def test_our_own_bugs_travel_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_log(tmp_path / "a.evtx", pair())

    def broken(*_: object, **__: object) -> Any:
        raise ZeroDivisionError("a bug of ours")

    monkeypatch.setattr("hunt.hunting.run", broken)
    with pytest.raises(ZeroDivisionError):
        run(tmp_path)


def test_an_unknown_query_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(QueryError):
        run(tmp_path / "nowhere", queries=["nope"])


def test_nothing_to_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError):
        run(tmp_path)


def test_a_query_without_its_events_is_not_evaluable_and_finds_nothing(tmp_path: Path) -> None:
    write_log(tmp_path / "a.evtx", [sysmon_event(5, time="2026-03-02 08:15:00")])
    report = run(tmp_path)
    assert [query.status for query in report.queries] == [Status.NOT_EVALUABLE] * len(report.queries)
    assert report.findings.height == 0


def test_a_watcher_hears_of_every_byte(tmp_path: Path) -> None:
    write_log(tmp_path / "a.evtx", pair())
    write_log(tmp_path / "b.evtx", pair("WS02"))
    told: list[tuple[str, int, int]] = []

    class Listener(Watcher):
        def begin(self, files: int, size: int) -> None:
            self.size = size
            assert files == 2

        def at(self, source: str, bytes_done: int, records: int) -> None:
            told.append((source, bytes_done, records))

    watcher = Listener()
    pipeline.run(pipeline.Request([tmp_path]), watcher)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert told[-1] == ("b.evtx", watcher.size, 4)


def test_where_the_evidence_lies_changes_no_finding(tmp_path: Path) -> None:
    for place in ("x/one.evtx", "y/deep/er/two.evtx"):
        (tmp_path / place).parent.mkdir(parents=True)
        write_log(tmp_path / place, pair())
    one, two = (run(tmp_path / name).findings.drop("sources") for name in ("x", "y"))
    assert one.equals(two)


# The samples: what their scenarios promise is what is found, no more and no less.


def _expected(samples: Path, folder: str) -> dict[str, Any]:
    everything = safe_yaml.read(samples / "expected.yml")
    return {name: entry for name, entry in everything.items() if name.startswith(f"{folder}/")}


Found = tuple[str, str, int, str, str, bool]  # query, host, record, grade, what tells the start, uncertain


def _promised(entries: dict[str, Any]) -> list[Found]:
    # What a user did in all logs is one chain: tests/queries/test_collection_chain.py has them log by log.
    findings = [f for entry in entries.values() for f in entry["findings"] if f["query"] != "collection-chain"]
    once = {(f["query"], f["host"], f["record"]): f for f in findings}  # overlapping logs promise the same one
    return sorted(
        (f["query"], f["host"], f["record"], f["grade"], f["parent_start"], f["verdict"] == "uncertain")
        for f in once.values()
    )


def _found(report: Report) -> list[Found]:
    last = report.events.sort("step").group_by("finding_id", maintain_order=True).last()
    joined = report.findings.join(last.select("finding_id", "record_id"), on="finding_id")
    told = joined.filter(pl.col("query") != "collection-chain").select(
        "query",
        "host",
        "record_id",
        pl.col("grade").fill_null(""),
        pl.col("start_source").fill_null(""),
        pl.col("confidence") == "uncertain",
    )
    return sorted(told.rows())


def test_the_samples_give_exactly_what_their_scenarios_promise(samples: Path) -> None:
    entries = _expected(samples, "logs")
    report = run(samples / "logs")
    assert _found(report) == _promised(entries)
    assert report.problems == ()
    assert {t.evidence.source for t in report.tallies if t.found != t.read} == set()
    assert {f"logs/{t.evidence.source}": t.found for t in report.tallies} == {
        name: entry["records"] for name, entry in entries.items()
    }


def test_the_damaged_samples_give_what_can_be_saved_and_name_the_rest(samples: Path) -> None:
    entries = _expected(samples, "damaged")
    report = run(samples / "damaged")
    assert _found(report) == _promised(entries)
    for tally in report.tallies:
        entry = entries[f"damaged/{tally.evidence.source}"]
        assert entry["records_at_least"] <= tally.read <= entry["records_at_best"]
        assert tally.problems >= entry["problems_at_least"]


def test_every_event_of_a_finding_leads_back_to_its_record(samples: Path) -> None:
    names = ("collection-local", "exchange-admin", "forwarded", "long-log", "overlap-live", "security-only")
    report = run(*(samples / "logs" / f"{name}.evtx" for name in names))
    assert {place["path"] for row in report.events["sources"] for place in row} == {f"{name}.evtx" for name in names}
    for row in report.events.iter_rows(named=True):
        fields = json.loads(row["fields"])
        assert fields.keys() - {"provider", "logged"}
        for place in row["sources"]:
            with (samples / "logs" / place["path"]).open("rb") as log:
                log.seek(place["offset"])
                assert log.read(4) == b"\x2a\x2a\0\0"
