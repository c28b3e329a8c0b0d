"""What others are asked, who may never answer: a process can stand still with all its connections open."""

from __future__ import annotations

import threading
from asyncio import CancelledError
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from hunt import pulse

ANSWER_S = 60.0  # in which a scheduler, or a worker, must answer
_STEP_S = 0.25  # between two signs of life

T = TypeVar("T")


def answer(ask: Callable[[], T], beat: Callable[[], None] = pulse.alive) -> T:
    """What was answered. Raises TimeoutError after a minute without any; whatever `ask` raises, before."""
    asked = _asked(ask)
    for _ in range(round(ANSWER_S / _STEP_S)):
        with suppress(TimeoutError):
            return asked.result(_STEP_S)
        if asked.done():  # it is the answer: somebody there ran out of time
            break
        beat()
    return asked.result(0)


def of_workers(client: Any, ask: Callable[..., object], *values: object, workers: Collection[str]) -> Mapping[str, Any]:
    """What a function gave in each of these workers, by address; those that are gone, or stand still, are left out.

    What it raised there is its answer.
    """

    def run(addresses: Collection[str]) -> Mapping[str, Any]:
        told: Mapping[str, Any] = client.run(ask, *values, workers=list(addresses), on_error="return")
        return told

    with suppress(TimeoutError):
        return answer(lambda: run(workers))
    # Dask waits for all: one that stands still hides what the others have answered.
    alone = [_asked(partial(run, [address])) for address in workers]
    told: dict[str, Any] = {}
    with suppress(TimeoutError):
        answer(lambda: [asked.exception() for asked in alone])
    for asked in alone:
        if asked.done() and not asked.exception():
            told.update(asked.result())
    return told


def _asked(ask: Callable[[], T]) -> Future[T]:
    """Who does not answer must not hold us up, nor our end: threads of a pool would."""
    future: Future[T] = Future()

    def asking() -> None:
        try:
            future.set_result(ask())
        except (Exception, CancelledError) as error:  # whatever Dask raises where nobody answers
            future.set_exception(error)

    threading.Thread(target=asking, daemon=True).start()
    return future
