"""Waiting for tasks, in signs of life and with an ear for interrupts."""

from __future__ import annotations

import queue
import time
from asyncio import CancelledError
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

from hunt import pulse
from hunt.cluster.connect import Workers
from hunt.errors import HuntError

_STEP_S = 0.25  # between two signs of life
_LOOK_S = 5.0  # between two looks whether there are workers
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

    Raises HuntError if the scheduler is gone, or all workers are and none comes back.
    """
    done: queue.SimpleQueue[int] = queue.SimpleQueue()
    for place, future in enumerate(futures):
        future.add_done_callback(lambda _, place=place: done.put(place))
    left = set(range(len(futures)))
    since: dict[int, float] = {}  # stuck
    looked = met = time.monotonic()
    while left and not enough():
        try:
            place = done.get(timeout=_STEP_S)
        except queue.Empty:
            beat()
            now = time.monotonic()
            if now - looked > _LOOK_S:
                looked = now
                machines = _machines(workers)
                met = now if machines else met
                if now - met > _PATIENCE_S:
                    where = workers.place.shown
                    raise HuntError(f"--cluster {where}: no worker is left; nothing was written") from None
                since = {n: since.get(n, now) for n in left.intersection(stuck(machines) if machines else ())}
                for given_up in [n for n, begin in since.items() if now - begin > _PATIENCE_S]:
                    left.remove(given_up)
                    workers.client.cancel([futures[given_up]])
                    yield given_up
            continue
        if place not in left:
            continue
        if futures[place].cancelled():
            raise gone(workers)
        left.remove(place)
        met = time.monotonic()
        beat()
        yield place


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


def _machines(workers: Workers) -> Collection[str]:
    try:
        return workers.machines()
    except Exception:  # it no longer answers: whatever Dask raises then
        raise gone(workers) from None


def ending() -> None:
    """A sign of life while hunts run."""
    pulse.beat(pulse.Phase.ENDING)
