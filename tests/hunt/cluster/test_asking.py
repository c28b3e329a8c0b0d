"""Others that never answer, answer late, or with what went wrong there."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from hunt.cluster import asking, connect
from hunt.cluster.connect import Place, Workers
from hunt.cluster.sight import who_sees
from hunt.errors import HuntError


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "ANSWER_S", 1.0)


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """What is waited for in vain, until the test is over."""
    event = threading.Event()
    yield event
    event.set()


def test_an_answer_is_waited_for_in_signs_of_life() -> None:
    signs, enough = iter(range(2)), threading.Event()

    def beat() -> None:
        if next(signs, None) is None:
            enough.set()

    assert asking.answer(lambda: enough.wait(20), beat) is True


def test_no_answer_is_not_waited_for_for_ever(hurried: None, never: threading.Event) -> None:
    with pytest.raises(TimeoutError):
        asking.answer(never.wait)


@pytest.mark.parametrize("wrong", [TimeoutError("there"), OSError("there"), KeyError("there")])
def test_what_went_wrong_there_is_raised_at_once(wrong: Exception) -> None:
    def ask() -> None:
        raise wrong

    began = time.monotonic()
    with pytest.raises(type(wrong), match="there"):
        asking.answer(ask)
    assert time.monotonic() - began < 5


@dataclass(frozen=True, slots=True)
class Client:
    """Of workers some of which stand still: Dask waits for all that it asks."""

    still: frozenset[str]
    never: threading.Event
    asked: list[list[str]] = field(default_factory=list)

    def run(self, ask: Callable[..., object], *values: object, workers: list[str], on_error: str) -> dict[str, Any]:
        self.asked.append(workers)
        if self.still.intersection(workers):
            self.never.wait(20)
        return {address: ask(*values) for address in workers if address != "gone"}


def test_workers_that_stand_still_do_not_hide_what_others_answer(hurried: None, never: threading.Event) -> None:
    client = Client(frozenset("b"), never)
    assert asking.of_workers(client, str.upper, "x", workers=["a", "b", "gone", "c"]) == {"a": "X", "c": "X"}
    assert sorted(map(len, client.asked)) == [1, 1, 1, 1, 4]


def test_workers_that_all_answer_are_asked_once(never: threading.Event) -> None:
    client = Client(frozenset(), never)
    assert asking.of_workers(client, str.upper, "x", workers=["a", "b"]) == {"a": "X", "b": "X"}
    assert client.asked == [["a", "b"]]


# The real thing: a worker whose process is stopped. It keeps its connections, and says nothing.


@pytest.fixture
def halted(started: Workers, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(asking, "ANSWER_S", 3.0)  # in which the other one answers on a busy machine, too
    told = started.client.run(os.getpid)
    address = sorted(told)[0]
    os.kill(told[address], signal.SIGSTOP)
    yield address
    os.kill(told[address], signal.SIGCONT)


@pytest.mark.skipif(os.name == "nt", reason="nothing stops a process there")
def test_a_stopped_worker_is_named_instead_of_waited_for(started: Workers, halted: str) -> None:
    with pytest.raises(HuntError) as error:
        connect._compare(started)
    assert str(error.value) == f"--cluster {started.place.shown}: no answer from {halted}"


@pytest.mark.skipif(os.name == "nt", reason="nothing stops a process there")
def test_a_stopped_worker_sees_no_file(
    started: Workers, halted: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "some.evtx").write_bytes(b"some")
    machines = {f"machine of {address}": [address] for address in started.there()}
    monkeypatch.setattr(Workers, "machines", lambda self: machines)
    files = {tmp_path / "some.evtx": 4}
    assert who_sees(started, files) == {tmp_path / "some.evtx": {*machines} - {f"machine of {halted}"}}


def test_a_scheduler_that_stands_still_ends_the_run(hurried: None, never: threading.Event) -> None:
    class Still:
        def scheduler_info(self, n_workers: int) -> dict[str, Any]:
            never.wait(20)
            return {"workers": {}}

    workers = Workers(Still(), Place(address="tcp://h.example:8786"))
    for ask in (workers.count, workers.memory, workers.machines):
        with pytest.raises(HuntError, match=r"--cluster tcp://h\.example:8786: the scheduler is gone"):
            ask()
