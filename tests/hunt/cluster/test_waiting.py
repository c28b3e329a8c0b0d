"""Workers are waited for as long as they may work, and no longer."""

from __future__ import annotations

import threading
import time
from asyncio import CancelledError
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from hunt.cluster import asking, elsewhere, waiting
from hunt.cluster.connect import Place, Workers
from hunt.cluster.waiting import Watch, given
from hunt.errors import HuntError

PATIENCE_S = 0.2


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {"_STEP_S": 0.01, "_LOOK_S": 0.02, "_RELIEF_S": 0.03, "_PATIENCE_S": PATIENCE_S, "_AGAIN": 0.5}
    for name, value in times.items():
        monkeypatch.setattr(waiting, name, value)


class Future:
    """A task; those that no worker does never end."""

    def __init__(self, ends: bool = False, result: Callable[[], Any] = str) -> None:
        self.status, self.result = "pending", result
        self.done: Callable[[Future], None] = lambda _: None
        if ends:
            self.end()

    def add_done_callback(self, done: Callable[[Future], None]) -> None:
        self.done = done
        if self.status != "pending":
            done(self)

    def end(self, status: str = "finished") -> None:
        self.status = status
        self.done(self)

    def cancelled(self) -> bool:
        return self.status == "cancelled"


class Client:
    """What a scheduler tells of its workers."""

    id = "client"

    def __init__(self, **status: str) -> None:
        self.told = {name: worker(status) for name, status in status.items()}
        self.relieved: list[list[str]] = []
        self.moved: list[tuple[Any, ...]] = []

    def scheduler_info(self, n_workers: int) -> dict[str, Any]:
        return {"workers": self.told}

    def cancel(self, futures: list[Future]) -> None:
        for future in futures:
            future.status = "cancelled"

    def run(self, task: Any, workers: list[str], on_error: str) -> None:
        self.relieved.append(workers)

    def run_on_scheduler(self, *task: Any) -> None:
        self.moved.append(task)


def worker(status: str, **counts: int) -> dict[str, Any]:
    return {"status": status, "host": f"machine of {status}", "metrics": {"task_counts": counts}}


def watch(client: Any) -> Watch:
    return Watch(Workers(client, Place(1)))


def beat() -> None:
    pass


def test_a_task_whose_machines_are_gone_is_given_up() -> None:
    client = Client(a="running", b="paused")
    watched = watch(client)
    client.told = {"a": worker("running")}
    futures = [Future(ends=True), Future(), Future()]
    told = watched.ended(futures, beat, stuck=lambda there: () if "machine of paused" in there else (1,))
    assert [next(told), next(told)] == [0, 1]
    assert [future.status for future in futures] == ["finished", "cancelled", "pending"]


def test_without_any_worker_the_run_ends() -> None:
    with pytest.raises(HuntError, match="no worker is left"):
        list(watch(Client()).ended([Future()], beat))


def test_of_halted_workers_everything_is_given_up_and_they_are_told_to_let_go() -> None:
    client = Client(a="paused")
    assert list(watch(client).ended([Future(), Future()], beat)) == [0, 1]
    assert 2 <= len(client.relieved) < 10 and client.relieved[0] == ["a"]


def test_what_a_worker_was_given_goes_to_others_when_letting_go_is_no_help() -> None:
    client = Client(a="paused", b="running")
    future = Future()
    threading.Timer(PATIENCE_S, future.end).start()
    assert list(watch(client).ended([future], beat)) == [0]
    assert client.moved and set(map(str, client.moved)) == {str((elsewhere.move, ["a"], "client"))}
    assert len(client.moved) < len(client.relieved)  # at first it is only told to let go


def test_when_nothing_is_done_at_all_everything_is_given_up() -> None:
    client = Client(a="running")
    client.told["a"]["metrics"] = {"task_counts": {"executing": 1, "memory": 3}}
    futures = [Future(), Future(), Future()]
    threading.Timer(2 * PATIENCE_S, futures[2].end).start()
    threading.Timer(2.5 * PATIENCE_S, lambda: client.told.update(a=worker("running", memory=3))).start()
    told, begin = watch(client).ended(futures, beat), time.monotonic()
    assert next(told) == 2 and {*told} == {0, 1}
    assert time.monotonic() - begin > 3 * PATIENCE_S


def test_what_ends_though_nobody_is_ever_seen_at_work_is_waited_for() -> None:
    """Workers say from time to time what they do: in between they may have done much."""
    futures = [Future() for _ in range(5)]
    for number, future in enumerate(futures):
        threading.Timer(0.6 * PATIENCE_S * (number + 1), future.end).start()
    assert list(watch(Client(a="running")).ended(futures, beat)) == [0, 1, 2, 3, 4]
    assert all(future.status == "finished" for future in futures)


@pytest.mark.parametrize("status", ["pending", "lost"])  # Dask says so first, and tells callbacks that it has ended
def test_a_result_that_is_lost_before_it_is_fetched_is_waited_for_again_and_a_failure_is_not(status: str) -> None:
    lost, failed, fine = Future(), Future(), Future(ends=True, result=lambda: "fine")

    def lose() -> str:
        if lost.result is lose:
            lost.status, lost.result = status, lambda: "again"
            threading.Timer(0.1, lost.end).start()
        raise RuntimeError("the worker is gone")

    lost.result = lose
    lost.end()
    failed.end("error")
    client = Client(a="running")
    assert dict(watch(client).results([lost, failed, fine], beat)) == {0: "again", 1: None, 2: "fine"}


def test_what_is_lost_again_and_again_has_failed() -> None:
    future = Future()

    def lose() -> str:
        losses.append(future.status)
        future.status = "pending"
        threading.Timer(0.02, future.end).start()
        raise RuntimeError("the worker is gone")

    losses: list[str] = []
    future.result = lose
    future.end()
    assert list(watch(Client(a="running")).results([future], beat)) == [(0, None)]
    assert 1 < len(losses) < 10


def test_a_scheduler_that_does_not_answer_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    client, never = Client(a="running"), threading.Event()
    watched = watch(client)
    monkeypatch.setattr(asking, "ANSWER_S", 0.5)
    monkeypatch.setattr(client, "scheduler_info", lambda n_workers: never.wait(20))
    with pytest.raises(HuntError, match="the scheduler is gone"):
        list(watched.ended([Future()], beat))
    never.set()


def test_new_tasks_are_not_given_up_at_once_where_others_were_waited_for_in_vain() -> None:
    client = Client(a="running")
    watched = watch(client)
    assert list(watched.ended([Future()], beat)) == [0]
    future = Future()
    threading.Timer(0.02, lambda: client.told.update(a=worker("running", executing=1))).start()
    threading.Timer(2 * PATIENCE_S, future.end).start()
    assert list(watched.ended([future], beat)) == [0] and future.status == "finished"


def test_who_is_halted_is_waited_for_once_not_for_each_thing_that_is_asked() -> None:
    watched = watch(Client(a="paused"))
    list(watched.ended([Future()], beat))
    begin = time.monotonic()
    for _ in range(10):
        assert list(watched.ended([Future()], beat)) == [0]
    assert time.monotonic() - begin < 5 * PATIENCE_S


def test_who_works_again_by_the_time_that_one_thing_was_done_here_does_the_others() -> None:
    client = Client(a="paused")
    watched = watch(client)
    futures = [Future(), Future()]
    told = watched.ended(futures, beat)
    assert next(told) == 0
    client.told = {"a": worker("running", executing=1)}
    time.sleep(0.05)
    threading.Timer(2 * PATIENCE_S, futures[1].end).start()
    assert list(told) == [1]
    assert futures[1].status == "finished"


@pytest.mark.parametrize("state", ["executing", "long-running", "flight", "cancelled", "resumed"])
def test_a_halted_worker_that_is_still_at_something_is_waited_for(state: str) -> None:
    client = Client()
    client.told = {"a": worker("paused", **{state: 1})}
    future = Future()
    threading.Timer(2 * PATIENCE_S, future.end).start()
    assert list(watch(client).ended([future], beat)) == [0]
    assert future.status == "finished"


@pytest.mark.parametrize("status", [{}, {"a": "paused"}], ids=["no worker", "a halted one"])
def test_who_takes_long_over_what_has_ended_costs_no_other_task(status: dict[str, str]) -> None:
    client = Client(**status)
    futures = [Future(ends=True), Future()]
    told = watch(client).ended(futures, beat)
    assert next(told) == 0
    time.sleep(2 * PATIENCE_S)
    threading.Timer(PATIENCE_S / 4, futures[1].end).start()
    assert list(told) == [1]
    assert futures[1].status == "finished"


def test_what_has_just_ended_is_not_given_up() -> None:
    client = Client(a="paused")
    watched = watch(client)
    list(watched.ended([Future()], beat))
    future = Future()
    told = watched.ended([Future(), future], beat, stuck=lambda _: ())
    assert next(told) == 0
    future.end()
    assert list(told) == [1]
    assert future.status == "finished"


def test_what_somebody_else_has_cancelled_has_ended_and_gave_nothing() -> None:
    future = Future()
    future.end("cancelled")
    assert list(watch(Client(a="running")).ended([future], beat)) == [0]
    assert given(future, beat) is None


def test_what_was_cancelled_for_there_is_no_scheduler_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(a="running")
    watched = watch(client)
    monkeypatch.setattr(client, "scheduler_info", _gone)
    future = Future()
    future.end("cancelled")
    with pytest.raises(HuntError, match="the scheduler is gone"):
        list(watched.ended([future], beat))


def _gone(n_workers: int) -> dict[str, Any]:
    raise OSError


def test_what_is_lost_on_its_way_here_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_PATIENCE_S", 20.0)
    never = threading.Event()
    future = Future(ends=True, result=never.wait)
    threading.Timer(0.05, lambda: setattr(future, "status", "pending")).start()
    begin = time.monotonic()
    assert given(future, beat) is None
    assert time.monotonic() - begin < 10
    never.set()


def test_who_never_hands_over_what_is_there_is_not_waited_for_either() -> None:
    never, beats = threading.Event(), SimpleNamespace(n=0)
    future = Future(ends=True, result=never.wait)
    assert given(future, lambda: setattr(beats, "n", beats.n + 1)) is None
    assert beats.n > 3
    never.set()


@pytest.mark.parametrize("error", [OSError, CancelledError])
def test_what_has_failed_gave_nothing(error: type[BaseException]) -> None:
    def fails() -> None:
        raise error

    assert given(Future(ends=True, result=fails), beat) is None
    assert given(Future(ends=True, result=lambda: 7), beat) == 7
