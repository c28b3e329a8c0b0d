"""Waiting for tasks, in signs of life and with an ear for interrupts."""

from __future__ import annotations

import queue
import threading
import time
from asyncio import CancelledError
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from hunt import memory, pulse
from hunt.cluster.connect import Workers
from hunt.errors import HuntError

_STEP_S = 0.25  # between two signs of life
_LOOK_S = 1.0  # between two looks at the workers
_PATIENCE_S = 120.0  # without any: those that died are started again by then


Stuck = Callable[[Iterable[str]], Iterable[int]]  # the places of futures that can't end with these machines alone


def ended(
    workers: Workers,
    futures: Sequence[Any],
    beat: Callable[[], None],
    enough: Callable[[], bool] = lambda: False,
    stuck: Stuck = lambda _: (),
) -> Iterator[int]:
    """The places of futures as they end, well or badly, until all have or it is `enough`.

    One that is `stuck` for some minutes, for the only machines that could do it are gone, is cancelled: it has ended.
    So are all that are left if no worker has memory for anything for so long.

    Raises HuntError if the scheduler is gone, or all workers are and none comes back.
    """
    done: queue.SimpleQueue[int] = queue.SimpleQueue()
    for place, future in enumerate(futures):
        future.add_done_callback(lambda _, place=place: done.put(place))
    left = set(range(len(futures)))
    watch = _Watch(workers, stuck)
    while left and not enough():
        try:
            place = done.get(timeout=_STEP_S)
        except queue.Empty:
            place = -1
            beat()
        if place in left:
            if futures[place].cancelled():
                raise gone(workers)
            left.remove(place)
            beat()
            yield place
            watch.begin()
        for given_up in watch.given_up(left):
            left.remove(given_up)
            workers.client.cancel([futures[given_up]])
            yield given_up
            watch.begin()


class _Watch:
    """What is seen of the workers while tasks are waited for."""

    def __init__(self, workers: Workers, stuck: Stuck) -> None:
        self._workers, self._stuck = workers, stuck
        self._looked = time.monotonic()
        self._since: dict[int, float] = {}  # stuck
        self._relief: threading.Thread | None = None
        self.begin()

    def begin(self) -> None:
        """A task has ended, and whoever took it may have taken long: nobody has been waited for since."""
        self._met = self._ran = time.monotonic()

    def given_up(self, left: Collection[int]) -> list[int]:
        """The places that can't end any more. Raises HuntError as `ended` does."""
        now = time.monotonic()
        if now - self._looked <= _LOOK_S:
            return []
        self._looked = now
        there = _there(self._workers)
        machines = self._workers.machines(there)
        self._met = now if machines else self._met
        if now - self._met > _PATIENCE_S:
            where = self._workers.place.shown
            raise HuntError(f"--cluster {where}: no worker is left; nothing was written") from None
        if not self._all_halted(there):
            self._ran = now
        if now - self._ran > _PATIENCE_S:
            return [*left]
        stuck = set(left).intersection(self._stuck(machines) if machines else ())
        self._since = {n: self._since.get(n, now) for n in stuck}
        return [n for n, begin in self._since.items() if now - begin > _PATIENCE_S]

    def _all_halted(self, there: Mapping[str, Mapping[str, Any]]) -> bool:
        """Whether nothing runs, and workers wait for memory; they are told to let go of what they can."""
        halted = [address for address, worker in there.items() if worker["status"] == "paused"]
        if halted and (self._relief is None or not self._relief.is_alive()):
            # Who does not answer must not hold us up.
            self._relief = threading.Thread(target=self._relieve, args=(halted,), name="relieve", daemon=True)
            self._relief.start()
        running = any(worker["metrics"].get("task_counts", {}).get("executing") for worker in there.values())
        return bool(halted) and not running

    def _relieve(self, halted: list[str]) -> None:
        with suppress(Exception, CancelledError):  # a worker, or a scheduler, that is gone: seen at the next look
            self._workers.client.run(memory.relieve, workers=halted, on_error="ignore")


def given(future: Any) -> Any:
    """What a task that has ended gave; None: it has failed, or its worker was lost with it, as may be at any moment."""
    if future.status != "finished":
        return None
    try:
        return future.result()
    except (Exception, CancelledError):  # whatever Dask raises then: it is done again, here, and says what is wrong
        return None


def gone(workers: Workers) -> HuntError:
    return HuntError(f"--cluster {workers.place.shown}: the scheduler is gone; nothing was written")


def _there(workers: Workers) -> Mapping[str, Mapping[str, Any]]:
    try:
        return workers.there()
    except Exception:  # it no longer answers: whatever Dask raises then
        raise gone(workers) from None


def ending() -> None:
    """A sign of life while hunts run."""
    pulse.beat(pulse.Phase.ENDING)
