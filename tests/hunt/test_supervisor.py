"""A run that is watched behaves as one process: its streams, its exit code, nothing that stays behind."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from hunt import supervisor
from hunt.pulse import Orders, Phase, Sign
from samples.evtx_writer import sysmon_process, write_log
from tests.helpers import OUTLOOK, POWERSHELL, ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a shell, and processes that fork")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log with one finding."""
    parent = sysmon_process(Image=POWERSHELL, time="2026-03-02 08:15:00", host="WS01", record_id=10)
    child = sysmon_process(Image=OUTLOOK, time="2026-03-02 08:15:02", host="WS01", parent=parent)
    write_log(tmp_path / "good.evtx", [parent, child])
    return tmp_path / "good.evtx"


def hunt(arguments: str, temporary: Path) -> subprocess.CompletedProcess[str]:
    """`hunt` with these arguments and redirections, as a shell starts it."""
    temporary.mkdir(exist_ok=True)
    command = f"exec {shlex.quote(sys.executable)} -m hunt.cli {arguments}"
    environment = {**os.environ, "TMPDIR": str(temporary)}
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert list(temporary.iterdir()) == []
    return done


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_reason_to_fail(log: Path, tmp_path: Path, closed: str) -> None:
    done = hunt(f"run {log} -o {tmp_path / 'out'} {closed}", tmp_path / "tmp")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert len((tmp_path / "out" / "findings.csv").read_text().splitlines()) == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("shown", ["table", "jsonl"])
def test_results_that_can_not_be_printed_are_one_line_and_no_traceback(log: Path, tmp_path: Path, shown: str) -> None:
    done = hunt(f"run {log} --format {shown} >/dev/full", tmp_path / "tmp")
    assert (done.returncode, done.stderr) == (2, "hunt: stdout: can't write: No space left on device\n")


def test_without_a_temporary_folder_that_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none(**_: object) -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(supervisor.tempfile, "mkdtemp", none)
    monkeypatch.setattr(supervisor.threading, "active_count", lambda: 1)  # whatever other tests have left running
    with pytest.raises(SystemExit) as left:
        supervisor.watch()
    assert left.value.code == 2
    assert "hunt: no temporary folder: No usable temporary directory found; TMPDIR names one" in capsys.readouterr().err


def test_what_fails_before_the_work_begins_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(supervisor.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(supervisor, "_fork", refused)
    monkeypatch.setattr(supervisor.threading, "active_count", lambda: 1)  # as above
    with pytest.raises(SystemExit) as left:
        supervisor.watch(forks=True)
    assert left.value.code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("phase", "said"),
    [
        (Phase.COLLECTING, "the process was ended by SIGKILL; nothing was written"),
        (Phase.ENDING, "the process was ended by SIGKILL; results, if there are any, are not complete"),
    ],
)
def test_only_what_is_known_is_said_of_results(phase: Phase, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    ending = supervisor.Ending(-9, "", Sign(1, phase, "", 0, 0.0, 0, finished=False))
    interrupts = supervisor._Interrupts()
    interrupts.restore()
    assert supervisor._after(ending, Orders(), interrupts) == 2
    assert capsys.readouterr().err == f"hunt: {said}\n"
