"""What reads a disk image may hang, crash or print: the run goes on behind it, and tells."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from hunt.containers import _sandbox
from hunt.containers._walk import Unread
from hunt.errors import ContainerError
from tests.hunt.containers import walks

NOWHERE = Path("nowhere.img")


def told(walk: _sandbox.Walk) -> list[str]:
    """Names with contents, reasons, in order."""
    found = []
    for entry in _sandbox.found(NOWHERE, walk):
        if isinstance(entry, Unread):
            found.append(f"{entry.name}: {entry.reason}")
        else:
            with entry.open() as stream:
                found.append(f"{entry.name} {stream.read().decode()}")
    return found


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second without a sign of life is too long."""
    monkeypatch.setattr(_sandbox, "SILENCE_S", 1.0)


ALL = [f"p{number}/{name} good" for number in range(3) for name in "ab"]


def test_files_come_in_order_and_what_is_printed_never_reaches_our_output(capfd: pytest.CaptureFixture[str]) -> None:
    assert told(walks.printing) == ALL
    assert capfd.readouterr().out == ""


@pytest.mark.usefixtures("impatient")
def test_a_volume_that_hangs_is_left_and_the_next_is_read() -> None:
    expected = [entry for entry in ALL if entry != "p1/b good"]
    expected.insert(3, "p1: stopped after 1 files: no sign of life for 1 seconds")
    assert told(walks.hanging) == expected


@pytest.mark.usefixtures("impatient")
def test_a_volume_that_takes_long_and_says_so_is_read() -> None:
    assert told(walks.slow) == ALL


def test_a_volume_may_not_take_forever_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sandbox, "WALK_S", 0.5)
    found = [entry for entry in told(walks.slow) if "stopped" in entry]
    assert found == ["p1: stopped after 1 files: finding its files took more than 0 seconds"]


def test_a_volume_that_crashes_its_reader_is_left_and_the_next_is_read() -> None:
    expected = [entry for entry in ALL if entry != "p1/b good"]
    expected.insert(3, "p1: stopped after 1 files: its reader ended unexpectedly (139)")
    assert told(walks.crashing) == expected


@pytest.mark.usefixtures("impatient")
def test_a_file_that_hangs_fails_and_the_next_is_read_and_nothing_said_twice() -> None:
    found = []
    for entry in _sandbox.found(NOWHERE, walks.one_hangs):
        if isinstance(entry, Unread):
            found.append(entry.reason)
        else:
            try:
                found.append(entry.open().read().decode())
            except OSError as error:
                found.append(str(error))
    silent = "can't be read (on): no sign of life for 1 seconds"
    assert found == ["a note", "good", silent, "another", "good"]


@pytest.mark.usefixtures("impatient")
def test_an_image_that_hangs_before_its_first_volume_is_an_error() -> None:
    with pytest.raises(ContainerError, match="stopped while its volumes were looked for: no sign of life"):
        told(walks.hangs_at_once)


@pytest.mark.usefixtures("impatient")
def test_an_image_that_hangs_between_its_volumes_keeps_what_came_before() -> None:
    entries = _sandbox.found(NOWHERE, walks.hangs_between)
    assert [next(entries).name for _ in range(2)] == ["p0/a", "p0"]
    with pytest.raises(ContainerError, match="stopped while its volumes were looked for"):
        next(entries)


def test_an_image_that_can_not_be_opened_is_an_error() -> None:
    with pytest.raises(ContainerError, match="is no disk"):
        told(walks.fails)


def test_a_file_is_good_until_the_next_is_asked_for_and_no_process_is_left_behind() -> None:
    before = set(multiprocessing.active_children())
    entries = _sandbox.found(NOWHERE, walks.good)
    first = next(entries)
    next(entries)
    assert isinstance(first, _sandbox.Found)
    with pytest.raises(OSError, match="any more"):
        first.open().read()
    assert set(multiprocessing.active_children()) - before
    entries.close()  # type: ignore[attr-defined]
    assert not set(multiprocessing.active_children()) - before


def test_a_file_that_takes_all_memory_fails_and_the_next_is_read() -> None:
    entries = _sandbox.found(NOWHERE, walks.taking_memory)
    greedy = next(entries)
    assert isinstance(greedy, _sandbox.Found)
    with pytest.raises(OSError, match="MemoryError"):
        greedy.open().read()
    following = next(entries)
    assert isinstance(following, _sandbox.Found)
    assert following.open().read() == b"good"
    entries.close()  # type: ignore[attr-defined]
