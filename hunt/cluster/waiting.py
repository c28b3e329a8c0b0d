"""Waiting for tasks, in signs of life and with an ear for interrupts."""

from __future__ import annotations

import math
import queue
import threading
import time
from asyncio import CancelledError
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from hunt import memory, pulse
from hunt.cluster import elsewhere
from hunt.cluster.connect import Workers
from hunt.errors import HuntError

_STEP_S = 0.25  # between two signs of life
_LOOK_S = 1.0  # between two looks at the workers
_RELIEF_S = 5.0  # between two times that those without memory are told to let go of some; it takes less to do so
_PATIENCE_S = 120.0  # without any: those that died are started again by then
_AGAIN = 0.9  # of that has passed for new tasks, if others were waited for in vain
_TRIES = 3  # times that a result is waited for which was there and is lost
_COMING = ("pending", "lost")  # futures that have not ended
_BUSY = ("executing", "long-running", "flight", "cancelled", "resumed")  # tasks that take a thread, or travel


Stuck = Callable[[Iterable[str]], Iterable[int]]  # the places of futures that can't end with these machines alone


class Watch:
    """What a run has seen of its workers while it waited for them.

    A machine that has done nothing for some minutes, for it is gone or all its workers are halted for want of memory,
    is not waited for any more, until it is seen to work. Nor is anything if no machine does anything at all: Dask never
    does a task that was done, is lost, and needs one that has failed since.
    """

    def __init__(self, workers: Workers) -> None:
        self.workers = workers
        self._looked, self._relieved = time.monotonic(), -math.inf
        self._aside: dict[str, threading.Thread] = {}  # what is asked of others, by what it is
        self._told: frozenset[str] = frozenset()  # those that were told then
        self._nobody = 0.0  # seconds that were waited without any worker
        self._vain = dict.fromkeys(workers.machines(), 0.0)  # and for each machine, while it did nothing
        self._still = 0.0  # and while nothing was done, nor ended, though workers were there that would

    def ended(
        self,
        futures: Sequence[Any],
        beat: Callable[[], None],
        enough: Callable[[], bool] = lambda: False,
        stuck: Stuck = lambda _: (),
    ) -> Iterator[int]:
        """The places of futures as they end, well or badly, until all have or it is `enough`.

        One that no machine can do which is worth waiting for is cancelled: it has ended.

        Raises HuntError if the scheduler is gone, or all workers are and none comes back.
        """
        self._still = min(self._still, _AGAIN * _PATIENCE_S)  # it was of other tasks
        done: queue.SimpleQueue[int] = queue.SimpleQueue()
        for place, future in enumerate(futures):
            future.add_done_callback(lambda _, place=place: done.put(place))
        left = set(range(len(futures)))
        lost: set[int] = set()  # what was there, and is done again: to Dask's callbacks it has ended
        while left and not enough():
            try:
                place = done.get(timeout=_STEP_S)
            except queue.Empty:
                place = -1
                beat()
                for again in sorted(lost):
                    if futures[again].status not in _COMING:
                        lost.discard(again)
                        done.put(again)
            if place in left and futures[place].status == "lost":
                lost.add(place)
            elif place in left:
                if futures[place].cancelled():
                    self.workers.there(beat)  # somebody else may have done so; without a scheduler everything is
                left.remove(place)
                self._still = 0.0
                beat()
                yield place
            for place in self._given_up(left, stuck, beat) if self._due() else ():
                if futures[place].status not in _COMING:  # it has just ended
                    continue
                left.remove(place)
                self.workers.client.cancel([futures[place]])
                yield place
                if self._due():  # that took a while: by now somebody may work again
                    break

    def results(
        self,
        futures: Sequence[Any],
        beat: Callable[[], None],
        enough: Callable[[], bool] = lambda: False,
        stuck: Stuck = lambda _: (),
    ) -> Iterator[tuple[int, Any]]:
        """As `ended`, with what each gave; None: it has failed. What was there and is lost is waited for again."""
        left = [*range(len(futures))]
        for tries in range(_TRIES):
            places, left = left, []

            def of_these(machines: Iterable[str], places: Sequence[int] = places) -> Iterator[int]:
                found = {*stuck(machines)}
                return (n for n, place in enumerate(places) if place in found)

            for n in self.ended([futures[place] for place in places], beat, enough, of_these):
                future, gave = futures[places[n]], given(futures[places[n]], beat)
                if gave is None and future.status not in ("error", "cancelled") and tries < _TRIES - 1:
                    left.append(places[n])
                else:
                    yield places[n], gave

    def _due(self) -> bool:
        return time.monotonic() - self._looked > _LOOK_S

    def _given_up(self, left: Collection[int], stuck: Stuck, beat: Callable[[], None]) -> list[int]:
        """The places that can't end any more. Raises HuntError as `ended` does."""
        now = time.monotonic()
        # Who was busy with something else was not waiting.
        waited, self._looked = min(now - self._looked, 2 * _LOOK_S), now
        there = self.workers.there(beat)
        self._looked = time.monotonic()
        self._nobody = 0.0 if there else self._nobody + waited
        if self._nobody > _PATIENCE_S:
            where = self.workers.place.shown
            raise HuntError(f"--cluster {where}: no worker is left; nothing was written") from None
        self._relieve(there)
        working = self.workers.machines({address: told for address, told in there.items() if _works(told)})
        machines = {*self._vain, *self.workers.machines(there)}
        self._vain = {name: 0.0 if name in working else self._vain.get(name, 0.0) + waited for name in machines}
        hoped = [name for name, seconds in self._vain.items() if seconds <= _PATIENCE_S]
        self._still = self._still + waited if working and not any(map(_busy, there.values())) else 0.0
        if (machines and not hoped) or self._still > _PATIENCE_S:
            return sorted(left)
        return sorted(set(left).intersection(stuck(hoped)))

    def _relieve(self, there: Mapping[str, Mapping[str, Any]]) -> None:
        """Those that wait for memory are told to let go of what they can; if it is no help, others do their work."""
        halted = frozenset(address for address, told in there.items() if told["status"] == "paused")
        now = time.monotonic()
        if not halted or now - self._relieved < _RELIEF_S:
            return
        client, still = self.workers.client, sorted(halted & self._told)
        self._relieved, self._told = now, halted
        # A scheduler without this program, or one of another Dask, does no such thing: they keep what they were given.
        self._ask("move", lambda: still and client.run_on_scheduler(elsewhere.move, still, client.id))
        self._ask("relieve", lambda: client.run(memory.relieve, workers=sorted(halted), on_error="ignore"))

    def _ask(self, what: str, ask: Callable[[], Any]) -> None:
        """Ask others for something, one at a time: who does not answer must not hold us up."""

        def asking() -> None:
            with suppress(Exception, CancelledError):  # a worker, or a scheduler, that is gone: seen at the next look
                ask()

        if what not in self._aside or not self._aside[what].is_alive():
            self._aside[what] = threading.Thread(target=asking, daemon=True)
            self._aside[what].start()


def _works(told: Mapping[str, Any]) -> bool:
    """Whether a worker does anything, or would."""
    return told["status"] != "paused" or _busy(told)


def _busy(told: Mapping[str, Any]) -> bool:
    tasks = told["metrics"].get("task_counts", {})
    return any(tasks.get(state) for state in _BUSY)


def given(future: Any, beat: Callable[[], None]) -> Any:
    """What a task that has ended gave; None: it has failed, or its worker was lost with it, as may be at any moment."""
    came: queue.SimpleQueue[Any] = queue.SimpleQueue()
    until = time.monotonic() + _PATIENCE_S
    if future.status == "finished":
        threading.Thread(target=lambda: came.put(_result(future)), daemon=True).start()
    # If it is lost on its way, Dask would wait until somebody has done it again.
    while future.status == "finished" and time.monotonic() < until:
        try:
            return came.get(timeout=_STEP_S)
        except queue.Empty:
            beat()
    return None


def _result(future: Any) -> Any:
    try:
        return future.result()
    except (Exception, CancelledError):  # whatever Dask raises then: it is done again, here, and says what is wrong
        return None


def ending() -> None:
    """A sign of life while hunts run."""
    pulse.beat(pulse.Phase.ENDING)
