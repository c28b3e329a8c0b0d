"""Waiting for tasks, in signs of life and with an ear for interrupts."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hunt import pulse
from hunt.cluster.connect import Workers
from hunt.errors import HuntError

_STEP_S = 0.25  # between two signs of life
_LOOK_S = 5.0  # between two looks whether there are workers
_PATIENCE_S = 120.0  # without any: those that died are started again by then


def ended(
    workers: Workers, futures: Sequence[Any], beat: Callable[[], None], enough: Callable[[], bool] = lambda: False
) -> Iterator[int]:
    """The places of futures as they end, well or badly, until all have or it is `enough`.

    Raises HuntError if the scheduler is gone, or all workers are and none comes back.
    """
    done: queue.SimpleQueue[int] = queue.SimpleQueue()
    for place, future in enumerate(futures):
        future.add_done_callback(lambda _, place=place: done.put(place))
    left = len(futures)
    looked = met = time.monotonic()
    while left and not enough():
        try:
            place = done.get(timeout=_STEP_S)
        except queue.Empty:
            beat()
            now = time.monotonic()
            if now - looked > _LOOK_S:
                looked = now
                met = now if _any(workers) else met
                if now - met > _PATIENCE_S:
                    where = workers.place.shown
                    raise HuntError(f"--cluster {where}: no worker is left; nothing was written") from None
            continue
        if futures[place].cancelled():
            raise gone(workers)
        left -= 1
        met = time.monotonic()
        beat()
        yield place


def gone(workers: Workers) -> HuntError:
    return HuntError(f"--cluster {workers.place.shown}: the scheduler is gone; nothing was written")


def _any(workers: Workers) -> bool:
    try:
        return bool(workers.there())
    except Exception:  # it no longer answers: whatever Dask raises then
        raise gone(workers) from None


def ending() -> None:
    """A sign of life while hunts run."""
    pulse.beat(pulse.Phase.ENDING)
