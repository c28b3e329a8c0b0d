"""An ingest that is killed, at whatever moment, and done again: the case is the one of an undisturbed ingest."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hunt.store import layout, lots
from tests.helpers import ROOT
from tests.hunt.store import ingesting
from tests.hunt.store.ingesting import load, logs, take, tree

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")

Run = Callable[[int | None, Path, Path], tuple[int | None, int]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs an ingest in a process of its own: (how it ended, steps that it took)."""
    context = multiprocessing.get_context("forkserver")  # one that has imported all, and no threads that would be lost
    context.set_forkserver_preload(["tests.hunt.store.ingesting", "pytest.__main__"])
    counted = tmp_path_factory.mktemp("steps") / "steps"

    def ran(step: int | None, case: Path, evidence: Path) -> tuple[int | None, int]:
        counted.write_text("0")
        process: Any = context.Process(target=ingesting.until, args=(step, case, evidence, counted))
        process.start()
        process.join(60)
        return process.exitcode, int(counted.read_text())

    return ran


def test_killed_at_twenty_moments_and_done_again_gives_the_same_bytes(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lots, "LOT", ingesting.SMALL)
    evidence = logs(tmp_path / "evidence")
    whole = tmp_path / "whole"
    ended, steps = run(None, whole, evidence)
    assert ended == 0
    expected = tree(whole)
    assert len(load(whole).lots) > 3
    lacking = 0
    for step in random.Random(20260302).sample(range(1, steps + 1), 20):
        case = tmp_path / f"killed-{step}"
        assert run(step, case, evidence)[0] == -signal.SIGKILL
        if (case / layout.CASE).exists():
            told = load(case)  # whole as far as it goes, and it says what it lacks
            lacking += bool(told.pending)
            assert told.pending or told == load(whole)
            known = {item.source for item in told.items()} | {late.source for late in told.pending}
            assert known >= {f"{name}.evtx" for name in "ABCD"}
        take(case, evidence)
        assert tree(case) == expected, step
    assert lacking


def test_the_command_killed_with_all_its_processes_goes_on_where_it_was(tmp_path: Path) -> None:
    evidence = logs(tmp_path / "evidence")
    case = tmp_path / "case"
    command = [sys.executable, "-m", "hunt.cli", "ingest", str(evidence), "--case", str(case), "--jobs", "2"]
    for seconds in (0.0, 0.1):
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)}, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        while not case.exists() and process.poll() is None:
            time.sleep(0.005)
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
    take(case, evidence)
    take(tmp_path / "whole", evidence)
    assert tree(case) == tree(tmp_path / "whole")
