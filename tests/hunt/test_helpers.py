"""Other processes that decode: what they make of evidence is what this one makes of it, and they may die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from hunt import helpers
from hunt.helpers import Helper, Helpers, Lane
from hunt.model import ALL_COLUMNS, SYSMON, Problem, Reading, Wants
from hunt.parsers import workers
from hunt.parsers.evtx import PARSER
from tests.helpers import Result, differences, evidence, gather
from tests.parsers.logs import good

STARTS = Wants({(SYSMON.lower(), 1): ALL_COLUMNS})


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> Iterator[Helpers]:
    """Helpers of this test's own."""
    own = Helpers()
    monkeypatch.setattr(helpers, "HELPERS", own)
    monkeypatch.setattr(workers, "HELPERS", own)
    monkeypatch.setattr(helpers, "WORTH", 0)
    yield own
    own.end()


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[Helper]:
    """Who has decoded units, one entry each."""
    found: list[Helper] = []
    do = Lane.do

    def noted(self: Lane, *work: Any, **named: Any) -> Any:
        result = do(self, *work, **named)
        found.append(self.helper)
        return result

    monkeypatch.setattr(Lane, "do", noted)
    return found


def logs(folder: Path) -> list[Path]:
    """Good ones, those that end in their second chunk, and those with a record that can't be read: many units."""
    content = good()
    torn = bytearray(content)
    at = torn.index(b"**\0\0", 4096 + 512 + 4)
    torn[at + 24 : at + 40] = b"\xff" * 16
    made = {"good": content, "short": content[:-40_000], "torn": bytes(torn)}
    paths = []
    for name, data in made.items():
        for number in range(12):
            paths.append(folder / f"{name}{number}.evtx")
            paths[-1].write_bytes(data)
    return paths


def waiting(others: Helpers) -> Lane:
    """Of one that has imported all it needs."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        lane = others.take()
        if lane:
            return lane
        time.sleep(0.02)
    raise AssertionError("no helper is ready")


def same(one: Result, other: Result) -> bool:
    return (
        differences(one.frames, other.frames) == []
        and sorted(map(repr, one.problems)) == sorted(map(repr, other.problems))
        and one.census.equals(other.census)
        and one.progress == other.progress
    )


@pytest.mark.parametrize("wants", [Wants(), STARTS], ids=["everything", "some columns of one type"])
@pytest.mark.parametrize("slack", [False, True])
def test_what_helpers_decode_is_what_is_decoded_here(
    wants: Wants, slack: bool, tmp_path: Path, others: Helpers, used: list[Helper]
) -> None:
    files = [evidence(path) for path in logs(tmp_path)]
    here = gather(PARSER, files, Reading(wants, 2, slack=slack))
    others.begin(1)
    others.give(waiting(others))
    there = gather(PARSER, files, Reading(wants, 2, processes=True, slack=slack))
    assert used
    assert here.lost  # there is damage to tell of
    assert same(here, there)


def test_a_helper_that_dies_costs_no_record(tmp_path: Path, others: Helpers) -> None:
    files = [evidence(path) for path in logs(tmp_path)]
    others.begin(1)
    lane = waiting(others)
    lane.helper._process.kill()
    others.give(lane)
    there = gather(PARSER, files, Reading(jobs=2, processes=True))
    assert same(gather(PARSER, files, Reading(jobs=2)), there)
    assert others.take() is None


def test_a_helper_that_says_nonsense_costs_no_record(tmp_path: Path, others: Helpers) -> None:
    files = [evidence(path) for path in logs(tmp_path)]
    others.begin(1)
    lane = waiting(others)
    assert lane._left
    lane._left.close()
    lane._left = FileIO(os.devnull, "r")  # there is nothing of what it leaves
    others.give(lane)
    assert same(gather(PARSER, files, Reading(jobs=2)), gather(PARSER, files, Reading(jobs=2, processes=True)))


def test_a_helper_is_asked_for_the_next_before_it_has_answered(others: Helpers) -> None:
    others.begin(1)
    first = waiting(others)
    second = waiting(others)
    assert first.helper is second.helper and first is not second
    assert others.take() is None
    told: list[str] = []

    def ask(lane: Lane, what: str) -> None:
        lane.do(_told, what, take=lambda size: memoryview(bytearray(size)))
        told.append(what)

    threads = [threading.Thread(target=ask, args=(lane, what)) for lane, what in ((first, "one"), (second, "two"))]
    first.helper._turn.acquire()  # nobody hears an answer
    for number, thread in enumerate(threads):
        thread.start()
        until = time.monotonic() + 30
        while first.helper._asked <= number:
            assert time.monotonic() < until
            time.sleep(0.01)
    assert told == []
    first.helper._turn.release()
    for thread in threads:
        thread.join(30)
    assert sorted(told) == ["one", "two"]


def _told(what: str) -> list[Problem]:
    return [Problem(what, "file", what)]


def test_no_more_is_decoded_here_than_helpers_leave(others: Helpers) -> None:
    others.begin(1)
    lanes = [waiting(others), waiting(others)]
    assert others.place(jobs=2) is None  # here
    waits = threading.Thread(target=others.place, args=(2,), daemon=True)
    waits.start()
    waits.join(0.2)
    assert waits.is_alive()
    others.done()
    waits.join(30)
    assert not waits.is_alive()
    others.done()
    others.drop(lanes[0].helper)
    assert [others.place(jobs=2), others.place(jobs=2)] == [None, None]


def test_helpers_that_can_t_be_begun_are_done_without(
    tmp_path: Path, others: Helpers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    files = [evidence(path) for path in logs(tmp_path)]
    assert same(gather(PARSER, files, Reading(jobs=2)), gather(PARSER, files, Reading(jobs=2, processes=True)))


def test_nothing_is_left_of_them(
    tmp_path: Path, others: Helpers, used: list[Helper], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / "logs"
    folder.mkdir()
    files = [evidence(path) for path in logs(folder)]
    others.begin(1)
    others.give(waiting(others))
    assert [path.name for path in tmp_path.iterdir() if path != folder]
    gather(PARSER, files, Reading(jobs=2, processes=True))
    assert used
    assert [*tmp_path.iterdir()] == [folder]
    assert used[0]._process.poll() is not None


def test_a_helper_ends_with_the_process_that_began_it(tmp_path: Path) -> None:
    program = (
        "import os, sys, time; from hunt.helpers import Helper; h = Helper(); h.ready(); "
        "print(h._process.pid, flush=True); time.sleep(60)"
    )
    there = {**os.environ, "TMPDIR": str(tmp_path), "TEMP": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=there)
    assert parent.stdout
    number = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 30
    while _lives(number):
        assert time.monotonic() < until
        time.sleep(0.02)
    assert [*tmp_path.iterdir()] == []


def _lives(number: int) -> bool:
    import psutil

    try:
        return bool(psutil.Process(number).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_an_interrupt_is_for_the_process_that_was_started(tmp_path: Path, others: Helpers, used: list[Helper]) -> None:
    others.begin(1)
    lane = waiting(others)
    lane.helper._process.send_signal(signal.SIGINT)
    others.give(lane)
    files = [evidence(path) for path in logs(tmp_path)]
    gather(PARSER, files, Reading(jobs=2, processes=True))
    assert used == [lane.helper] * len(used)
    assert used


def test_helpers_are_begun_for_much_evidence_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []
    monkeypatch.setattr(helpers.HELPERS, "begin", begun.append)
    monkeypatch.setattr(helpers, "WORTH", 1000)
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "small").write_bytes(bytes(600))
    helpers.prepare([tmp_path / "small", tmp_path / "not there"], 4)
    helpers.prepare([tmp_path], 4)
    assert begun == []
    (deep / "more").write_bytes(bytes(600))
    helpers.prepare([tmp_path], 1)
    assert begun == []
    helpers.prepare([tmp_path], 4)
    assert begun == [3]


def test_who_waited_first_gets_the_next_place() -> None:
    """Units that are asked for first are done first: results are taken in their order."""
    found, given = helpers.Helpers(), []
    assert found.place(1) is None

    def wait(number: int) -> None:
        found.place(1)
        given.append(number)

    threads = [threading.Thread(target=wait, args=(number,)) for number in range(6)]
    for number, thread in enumerate(threads):
        thread.start()
        while len(found._turns) <= number:
            time.sleep(0.001)
    for number, thread in enumerate(threads):
        found.done()
        thread.join(30)
        assert given == list(range(number + 1))
