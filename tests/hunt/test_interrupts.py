"""Ctrl-C leaves what is done and says what is missing; a second one ends at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hunt import interrupts
from samples.evtx_writer import sysmon_process, write_log
from tests.helpers import OUTLOOK, POWERSHELL, ROOT
from tests.rogues import MAGIC

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A good log that is read first, and a file that is never read to its end."""
    folder = tmp_path / "logs"
    folder.mkdir()
    parent = sysmon_process(Image=POWERSHELL, time="2026-03-02 08:15:00", host="WS01", record_id=10)
    child = sysmon_process(Image=OUTLOOK, time="2026-03-02 08:15:02", host="WS01", parent=parent)
    write_log(folder / "good.evtx", [parent, child])
    return folder


def started(logs: Path, what: str, tmp_path: Path) -> subprocess.Popen[str]:
    """A run that has come to the second file."""
    (logs / "z.rogue").write_bytes(MAGIC + what.encode())
    log = tmp_path / "run.log"
    arguments = ["run", logs, "-o", tmp_path / "out", "--log", log]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.rogues", *map(str, arguments)],
        cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    _wait_for(lambda: log.exists() and '"source": "z.rogue"' in log.read_text())
    return process


def _wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("to_all", [False, True], ids=["one process is told", "a terminal tells all"])
def test_an_interrupt_leaves_what_was_read_and_says_what_was_not(logs: Path, tmp_path: Path, to_all: bool) -> None:
    process = started(logs, "drip", tmp_path)
    if to_all:
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert len(stdout.splitlines()) == 2
    last = stderr.splitlines()[-1]
    assert "1 finding; 2 records read in 2 files" in last
    assert "interrupted, 1 of 2 files not read whole" in last
    assert "part of the evidence could not be read" in last
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (manifest["complete"], manifest["not_read"], manifest["findings"]) == (False, ["z.rogue"], 1)
    problems = (tmp_path / "out" / "problems.csv").read_text()
    assert "z.rogue,,,,file,not read whole: interrupted at 3 of 10 bytes" in problems
    assert not list(tmp_path.glob("evtx-hunt-*"))


def test_a_second_interrupt_ends_at_once_even_in_a_loop_in_c(logs: Path, tmp_path: Path) -> None:
    process = started(logs, "c_loop", tmp_path)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None  # it can't hear
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, stderr = process.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert process.returncode == 130
    assert stderr.splitlines()[-1] == "hunt: interrupted"
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob("evtx-hunt-*"))


def test_the_work_ends_when_who_watches_it_is_killed(logs: Path, tmp_path: Path) -> None:
    process = started(logs, "drip", tmp_path)
    process.kill()
    process.communicate(timeout=60)
    _wait_for(lambda: '"event": "end"' in (tmp_path / "run.log").read_text())
    _wait_for(lambda: not list(tmp_path.glob("evtx-hunt-*")))


# Within one process.


def test_what_must_be_whole_is_ended_first() -> None:
    done = []
    with interrupts.listening() as stop:
        with stop.whole():
            signal.raise_signal(signal.SIGINT)
            done.append("whole")
        assert stop.requested
    assert done == ["whole"]


def test_what_may_break_breaks_and_a_second_interrupt_breaks_everything() -> None:
    with interrupts.listening() as stop:
        with pytest.raises(KeyboardInterrupt), stop.whole(), stop.breakable():
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt), stop.whole():
            signal.raise_signal(signal.SIGTERM)


def test_afterwards_signals_mean_what_they_did_before() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interrupts.listening() as stop, interrupts.listening() as inner:
        assert inner is stop
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before


def test_signals_that_are_ignored_stay_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupts.listening():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_threads_do_not_touch_signals() -> None:
    heard = []

    def listen() -> None:
        with interrupts.listening() as stop:
            heard.append(stop.requested)

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert heard == [False]
