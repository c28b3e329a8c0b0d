"""Units of work for several threads: numpy lets others run while it works, and it works most of the time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from hunt.model import Reading

from .decode import Decoder
from .unit import Result, Segment, Unit
from .unit import decode as decode_unit

Segments = Sequence[Segment]


def decode(units: Iterator[Segments], reading: Reading) -> Iterator[Result]:
    """The results of the units, in their order."""
    ahead = list(islice(units, 2))
    if reading.jobs == 1 or len(ahead) < 2:
        decoder = Decoder(reading.wants)
        for unit in (*ahead, *units):
            yield decode_unit(Unit(decoder, unit, reading.slack))
        return
    yield from _spread(iter([*ahead, *units]), reading)


def _spread(units: Iterator[Segments], reading: Reading) -> Iterator[Result]:
    idle: list[Decoder] = []  # each is one thread's at a time

    def work(unit: Segments) -> Result:
        decoder = idle.pop() if idle else Decoder(reading.wants)
        try:
            return decode_unit(Unit(decoder, unit, reading.slack))
        finally:
            idle.append(decoder)

    pool = ThreadPoolExecutor(reading.jobs, "decode")
    # One more than can run, so that none waits; not all, for their results stay in memory until they are asked for.
    running: deque[Future[Result]] = deque(pool.submit(work, unit) for unit in islice(units, reading.jobs + 1))
    try:
        while running:
            result = running.popleft().result()
            running.extend(pool.submit(work, unit) for unit in islice(units, 1))
            yield result
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
