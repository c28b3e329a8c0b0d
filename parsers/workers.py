"""Units of work for several threads, and processes (`hunt.helpers`).

Numpy lets other threads run while it works, but then they wait for each other.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice

from hunt import memory
from hunt.helpers import HELPERS, Lane
from hunt.model import Reading, Wants

from .decode import Decoder
from .pool import Pool
from .unit import Result, Segment, Unit
from .unit import decode as decode_unit

Segments = Sequence[Segment]


def decode(units: Iterator[Segments], reading: Reading) -> Iterator[Result]:
    """The results of the units, in their order."""
    ahead = list(islice(units, 2))
    idle = _Idle(reading.wants)
    if reading.more:
        idle.decoders += _kept.take(reading.wants)
    if reading.jobs == 1 or len(ahead) < 2:
        for unit in (*ahead, *units):
            yield idle.decode(unit, reading.slack)
    else:
        yield from _spread(iter([*ahead, *units]), reading, idle)
    if reading.more:
        _kept.give(idle.decoders)


class _Idle:
    """Decoders that no thread uses: each is one thread's at a time. One that has failed does not come back."""

    def __init__(self, wants: Wants) -> None:
        self.wants = wants
        self.decoders: list[Decoder] = []

    def decode(self, unit: Segments, slack: bool) -> Result:
        try:
            decoder = self.decoders.pop()
        except IndexError:
            decoder = Decoder(self.wants)
        result = decode_unit(Unit(decoder, unit, slack))
        self.decoders.append(decoder)
        return result


class _Kept:
    """The decoders of the last reading that others follow."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._decoders: list[Decoder] = []

    def take(self, wants: Wants) -> list[Decoder]:
        with self._lock:
            taken, self._decoders = self._decoders, []
        return [decoder for decoder in taken if decoder.wants == wants]

    def give(self, decoders: Iterable[Decoder]) -> None:
        with self._lock:
            # Evidence that was made of new templates leaves room for those of others.
            self._decoders = [decoder for decoder in decoders if not decoder.templates.crowded]

    def let_go(self) -> None:
        self.give(())


_kept = _Kept()
memory.can_let_go(_kept.let_go)


def _spread(units: Iterator[Segments], reading: Reading, idle: _Idle) -> Iterator[Result]:
    def work(unit: Segments) -> Result:
        if not reading.processes:
            return idle.decode(unit, reading.slack)
        lane = HELPERS.place(reading.jobs)
        if lane:
            return _elsewhere(lane, unit, reading) or idle.decode(unit, reading.slack)
        try:
            return idle.decode(unit, reading.slack)
        finally:
            HELPERS.done()

    threads = HELPERS.places(reading.jobs) if reading.processes else reading.jobs
    pool = ThreadPoolExecutor(threads, "decode")
    # More than can run, so that none waits; not all, for their results stay in memory until they are asked for.
    running: deque[Future[Result]] = deque(pool.submit(work, unit) for unit in islice(units, threads + 2))
    try:
        while running:
            result = running.popleft().result()
            running.extend(pool.submit(work, unit) for unit in islice(units, 1))
            yield result
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        if reading.processes and not reading.more:
            HELPERS.end()


def _elsewhere(lane: Lane, unit: Segments, reading: Reading) -> Result | None:
    """What a helper makes of a unit; None: it has failed."""
    try:
        alone = replace(reading, jobs=1, processes=False, more=True)
        result = lane.do(_decoded, unit, alone, take=_take, tables=reading.tables)
    except Exception:  # whatever it is: if it is the evidence's fault, it is met again here
        HELPERS.drop(lane.helper)
        return None
    HELPERS.give(lane)
    return result


_of_thread = threading.local()


def _take(size: int) -> memoryview:
    """Memory for what a helper has left, which is used again."""
    if not hasattr(_of_thread, "pool"):
        _of_thread.pool = Pool()
    return memoryview(_of_thread.pool.take(size))


def _decoded(unit: Segments, reading: Reading) -> Result:
    """What helpers do."""
    (result,) = decode(iter([unit]), reading)
    return result
