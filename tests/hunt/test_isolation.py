"""One bad file never ends a run: what is wrong with it is said, everything else is read."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from hunt import isolation, pipeline, pulse, registry
from hunt.interrupts import Stop
from hunt.isolation import Bounds, Guard, SuspectError
from hunt.model import Batch, Evidence, Problem, Progress, Reading, Report
from hunt.pulse import Orders, Phase, Pulse
from hunt.watcher import Watcher
from samples.evtx_writer import sysmon_process, write_log
from tests.helpers import OUTLOOK, POWERSHELL, ROOT, evidence
from tests.rogues import MAGIC, ROGUE

MIB = 1 << 20


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A folder with a good log: one finding."""
    folder = tmp_path / "logs"
    folder.mkdir()
    parent = sysmon_process(Image=POWERSHELL, time="2026-03-02 08:15:00", host="WS01", record_id=10)
    child = sysmon_process(Image=OUTLOOK, time="2026-03-02 08:15:02", host="WS01", parent=parent)
    write_log(folder / "good.evtx", [parent, child])
    return folder


def rogues(folder: Path, *names: str) -> None:
    for name in names:
        (folder / f"{name}.rogue").write_bytes(MAGIC + name.encode())


class Told(Watcher):
    """Remembers what it hears."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.faults: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def fault(self, trace: str) -> None:
        self.faults.append(trace)


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, **bounds: Any) -> tuple[Report, Told]:
    ours = registry.parsers()
    monkeypatch.setattr(registry, "parsers", lambda: (*ours, ROGUE))
    told = Told()
    return pipeline.run(pipeline.Request([folder], ["outlook-script-host"], bounds=Bounds(**bounds)), told), told


# Within one process: what comes back.


def test_a_bug_that_one_file_meets_is_its_problem_and_is_not_hidden(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rogues(logs, "bug", "good")
    report, told = run(logs, monkeypatch)
    (problem,) = report.problems
    assert (problem.source, problem.kind) == ("bug.rogue", "file")
    assert problem.reason == (
        "reading stopped at 3 of 9 bytes: a fault of this tool, ZeroDivisionError: a bug of ours in bug.rogue"
    )
    assert report.findings.height == 1
    assert any("ZeroDivisionError" in note and "reading again, file by file" in note for note in told.notes)
    assert any("in bug\n" in fault for fault in told.faults)  # the traceback, with the function


def test_the_careful_way_reads_what_the_quick_one_reads(samples: Path) -> None:
    parser = next(p for p in registry.parsers() if p.name == "evtx")
    files = [evidence(path) for path in sorted((samples / "logs").glob("*.evtx"))[:4]]
    both = []
    for careful in (False, True):
        guard = Guard(Bounds(), Stop(), careful)
        parts = list(guard.read(parser, files, Reading()))
        rows: dict[Any, int] = {}
        for part in parts:
            for kind, frame in part.frames.items() if isinstance(part, Batch) else ():
                rows[kind] = rows.get(kind, 0) + frame.height
        done = sum(part.size for part in parts if isinstance(part, Progress))
        again = guard.records(parser, files[0], [4608]).frames
        both.append((rows, done, {kind: frame.rows() for kind, frame in again.items()}))
        guard.close()
    assert both[0] == both[1]
    assert both[0][0]


def test_a_second_reading_that_fails_is_a_problem(tmp_path: Path) -> None:
    item = Evidence(tmp_path / "gone.evtx", "gone.evtx", 5, "")
    parser = next(p for p in registry.parsers() if p.name == "evtx")
    guard = Guard(Bounds(), Stop(), careful=True)
    with pytest.raises(OSError, match="second time"):
        guard.records(parser, item, [4608])
    guard.close()
    assert [problem.reason for problem in guard.problems] == [
        "reading stopped at 0 of 5 bytes, on the second reading: No such file or directory"
    ]


def test_so_it_is_on_the_quick_way(tmp_path: Path) -> None:
    item = Evidence(tmp_path / "gone.evtx", "gone.evtx", 5, "")
    parser = next(p for p in registry.parsers() if p.name == "evtx")
    guard = Guard(Bounds(), Stop())
    with pytest.raises(OSError, match="No such file"):
        guard.records(parser, item, [4608])
    assert [problem.reason for problem in guard.problems] == [
        "can't be read a second time, for all fields of findings' events: No such file or directory"
    ]


def test_a_file_that_drips_is_suspect_when_its_time_is_over(tmp_path: Path) -> None:
    rogues(tmp_path, "drip")
    guard = Guard(Bounds(file_timeout=0.2), Stop())
    with pytest.raises(SuspectError, match=r"drip\.rogue takes too long \(--file-timeout\)"):
        list(guard.read(ROGUE, [evidence(tmp_path / "drip.rogue")], Reading()))


def test_what_a_file_may_take_grows_with_its_size() -> None:
    assert Bounds().seconds(0) == 300
    assert Bounds().seconds(1 << 30) == 300 + 4096
    assert Bounds(file_timeout=7).seconds(1 << 40) == 7
    assert 64 * MIB < Bounds().memory < 1 << 50
    assert Bounds(max_memory=5).memory == 5


def test_exceptions_are_told_alike_on_every_run() -> None:
    assert isolation._described(ValueError(f"no {object()}")) == "ValueError: no <object object at 0x…>"


def test_a_failed_attempt_begins_again_once() -> None:
    ways: list[bool] = []

    def work(guard: Guard) -> str:
        ways.append(guard.careful)
        if not guard.careful:
            raise SuspectError("x")
        return "done"

    told: list[str] = []
    assert isolation.attempts(work, Bounds(), Stop(), told.append) == "done"
    assert (ways, told) == ([False, True], ["x; reading again, file by file"])


# An interrupt.


class _Interrupted:
    """A parser in the middle of which an end is asked for."""

    name = "interrupted"

    def __init__(self, stop: Stop) -> None:
        self.stop = stop

    def accepts(self, head: bytes) -> bool:
        return True

    def read(self, files: Sequence[Evidence], reading: Reading) -> Iterator[Any]:
        yield Progress(files[0].source, files[0].size)
        yield Progress(files[1].source, 3)
        self.stop.requested = True
        raise KeyboardInterrupt

    def records(self, evidence: Evidence, offsets: Sequence[int]) -> Batch:
        raise OSError


def test_files_that_an_interrupt_keeps_from_being_read_are_problems(tmp_path: Path) -> None:
    files = [Evidence(tmp_path / name, name, 10, "") for name in "abc"]
    stop = Stop()
    guard = Guard(Bounds(), stop)
    parts = list(guard.read(_Interrupted(stop), files, Reading()))
    assert guard.unread == ["b", "c"]
    assert [(p.source, p.reason) for p in parts if isinstance(p, Problem)] == [
        ("b", "not read whole: interrupted at 3 of 10 bytes"),
        ("c", "not read whole: interrupted at 0 of 10 bytes"),
    ]
    assert [p.source for p in guard.read(_Interrupted(stop), files[:1], Reading())] == [
        "a"
    ]  # nothing is begun any more


# Signs of life.


def test_the_page_tells_what_was_written_there(tmp_path: Path) -> None:
    watcher, worker = Pulse(tmp_path, create=True), Pulse(tmp_path)
    assert watcher.sign() == pulse.Sign(0, Phase.COLLECTING, "", 0, 0.0, 0, False)
    worker.bound(300.0, 1 << 40)
    worker.beat(Phase.READING, "ä" * 2000)
    worker.interrupted()
    worker.finish()
    sign = watcher.sign()
    assert (sign.beats, sign.phase, sign.interrupts, sign.silence_s, sign.memory) == (
        1,
        Phase.READING,
        1,
        300.0,
        1 << 40,
    )
    assert sign.finished
    assert sign.source == "ä" * 512
    orders = Orders(careful=True, trouble="x\x1b", avoid=("a.zip", "b\udcff"))
    watcher.order(orders)
    assert worker.orders() == orders
    watcher.clear()
    assert watcher.sign().beats == 0
    worker.close()
    watcher.close()


def test_without_anybody_who_watches_nothing_is_told() -> None:
    pulse.beat(Phase.READING, "x")
    pulse.bound(1, 1)
    pulse.finish()
    assert pulse.orders() == Orders()


# As a program: what does not come back.


def hunt(*arguments: object, spawn: bool = False) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "tests.rogues", *(["spawn"] if spawn else []), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, cwd=ROOT, check=False, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


def problems(out: Path) -> dict[str, str]:
    with (out / "problems.csv").open(newline="", encoding="utf-8") as file:
        return {row["source"]: row["reason"] for row in csv.DictReader(file)}


needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="signals, and processes that fork")


@needs_posix
def test_whatever_files_do_to_their_parser_the_others_are_read(
    logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rogues(logs, "c_loop", "memory", "leave", "crash", "exit", "good")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    bounds = ("--file-timeout", 1, "--max-memory", "700M")
    code, stdout, stderr = hunt("run", logs, "-o", tmp_path / "out", *bounds, "--log", tmp_path / "log")
    assert code == 3
    assert len(stdout.splitlines()) == 2  # the good log's finding
    told = problems(tmp_path / "out")
    assert sorted(told) == ["c_loop.rogue", "crash.rogue", "exit.rogue", "leave.rogue", "memory.rogue"]
    assert told["c_loop.rogue"] == "reading stopped at 3 of 12 bytes: took longer than 1 s (--file-timeout)"
    assert told["crash.rogue"] == "reading stopped at 3 of 11 bytes: it ended the process that read it (SIGSEGV)"
    assert told["leave.rogue"] == "reading stopped at 3 of 11 bytes: it ended the process that read it (exit code 0)"
    assert "SystemExit" in told["exit.rogue"]
    assert "(--max-memory)" in told["memory.rogue"] or "(--file-timeout)" in told["memory.rogue"]
    first = stderr.splitlines()[0]
    assert "gave no sign of life" in first
    assert "while reading c_loop.rogue; reading again, file by file" in first
    assert list((tmp_path / "tmp").iterdir()) == []
    said = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["event"] for line in said].count("begin") == 2  # both attempts
    assert said[-1]["event"] == "end"


def test_a_process_that_ends_as_if_all_were_well_is_not_believed(logs: Path) -> None:
    rogues(logs, "leave")
    code, stdout, stderr = hunt("run", logs, spawn=True)  # as where no process can fork
    assert code == 3
    assert len(stdout.splitlines()) == 2
    assert "ended by itself (exit code 0) while reading leave.rogue; reading again" in stderr


def test_an_archive_that_ends_the_process_is_not_opened_again(logs: Path) -> None:
    (logs / "a.zip").write_bytes(b"ROGUE-BOX")
    code, stdout, stderr = hunt("run", logs)
    assert code == 3
    assert len(stdout.splitlines()) == 2
    first, last = stderr.splitlines()
    assert first == "hunt: the process ended by itself (exit code 0) while reading a.zip; beginning again without it"
    assert "1 problem" in last


@needs_posix
def test_memory_that_a_file_takes_is_bounded(logs: Path, tmp_path: Path) -> None:
    rogues(logs, "memory")
    began = time.monotonic()
    out = tmp_path / "out" / "starts.csv"
    out.parent.mkdir()
    code, _, stderr = hunt("frame", logs, "-e", "sysmon:1", "-o", out, "--max-memory", "550M")
    assert code == 3
    assert len(out.read_text().splitlines()) == 3
    assert [path.name for path in out.parent.iterdir()] == ["starts.csv"]  # nothing that the killed process began
    assert "of memory (--max-memory) while reading memory.rogue; reading again" in stderr
    assert time.monotonic() - began < 60  # 10,000 times 32 MiB would take longer


@needs_posix
def test_a_bug_elsewhere_is_a_traceback_and_no_clean_result(logs: Path, tmp_path: Path) -> None:
    program = (
        "import sys; sys.argv = ['hunt', 'run', sys.argv[1]]\n"
        "from hunt import cli, coverage\n"
        "coverage.evaluate_all = None\n"
        "cli.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(logs)], capture_output=True, cwd=ROOT, check=False, text=True
    )
    assert done.returncode == 1
    assert "TypeError" in done.stderr
    assert done.stdout == ""
