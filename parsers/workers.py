"""Units of work for several processes: Python's lock lets threads decode one at a time only.

The first unit is decoded here, while the others' processes start. Frames come back as Arrow streams of their own texts,
not of all that was decoded.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import NamedTuple, cast

import polars as pl
import pyarrow as pa

from hunt.model import Batch, EventType, Problem, Progress, Reading

from .decode import Decoder
from .unit import Result, Segment, Unit
from .unit import decode as decode_unit

SPREAD = 128 << 20  # bytes of evidence from which further processes are worth their start

_MOST = 61 if sys.platform == "win32" else 1024  # what Windows can wait for at once, less two

Segments = Sequence[Segment]


def decode(units: Iterator[Segments], size: int, reading: Reading) -> Iterator[Result]:
    """The results of the units, in their order; `size`: bytes of all."""
    decoder = Decoder(reading.wants)
    if reading.jobs > 1 and size >= SPREAD:
        yield from _spread(units, decoder, reading)
        return
    for unit in units:
        yield decode_unit(Unit(decoder, unit, reading.slack))


def _spread(units: Iterator[Segments], decoder: Decoder, reading: Reading) -> Iterator[Result]:
    running: deque[tuple[Segments, Future[_Sent]]] = deque()
    first = next(units, ())
    ahead = list(islice(units, reading.jobs + 1))  # one more than can run, so that none waits
    pool = ProcessPoolExecutor(min(reading.jobs, _MOST), _context(), _begin, (reading,))
    starter = ThreadPoolExecutor(1)  # the start of a process blocks until it has imported what it needs
    try:
        started = [(unit, starter.submit(pool.submit, _work, unit)) for unit in ahead]
        yield decode_unit(Unit(decoder, first, reading.slack))
        running.extend((unit, _submitted(future)) for unit, future in started)
        while running:
            unit, future = running.popleft()
            following = next(units, None)
            if following:
                running.append((following, _submitted(starter.submit(pool.submit, _work, following))))
            try:
                result = _received(future.result())
            except BrokenProcessPool:  # a worker was killed, for its memory say: what is left is decoded here
                result = decode_unit(Unit(decoder, unit, reading.slack))
            yield result
    finally:
        starter.shutdown(wait=False, cancel_futures=True)
        pool.shutdown(wait=False, cancel_futures=True)


def _submitted(submission: Future[Future[_Sent]]) -> Future[_Sent]:
    """The future of the work; one that failed already, if the pool is broken."""
    try:
        return submission.result()
    except BrokenProcessPool as error:
        failed: Future[_Sent] = Future()
        failed.set_exception(error)
        return failed


def _context() -> multiprocessing.context.BaseContext:
    if sys.platform in ("win32", "darwin"):
        return multiprocessing.get_context("spawn")
    # One process imports what all need, and has no threads when it forks.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


class _Sent(NamedTuple):
    """A result on its way: frames and census as Arrow streams."""

    frames: dict[EventType, bytes]
    census: bytes
    others: list[Problem | Progress]


_worker: list[tuple[Decoder, Reading]] = []  # of this process, if it is a worker


def _begin(reading: Reading) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that was interrupted ends its workers
    _worker.append((Decoder(reading.wants), reading))


def _work(segments: Segments) -> _Sent:
    decoder, reading = _worker[0]
    batch, *others = decode_unit(Unit(decoder, segments, reading.slack))
    batch = cast(Batch, batch)
    frames = {kind: _stream(frame) for kind, frame in batch.frames.items()}
    return _Sent(frames, _stream(batch.census), [part for part in others if not isinstance(part, Batch)])


def _received(sent: _Sent) -> Result:
    frames = {kind: _frame(stream) for kind, stream in sent.frames.items()}
    return [Batch(frames, _frame(sent.census)), *sent.others]


def _stream(frame: pl.DataFrame) -> bytes:
    table = frame.to_arrow()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return cast(bytes, sink.getvalue().to_pybytes())


def _frame(stream: bytes) -> pl.DataFrame:
    with pa.ipc.open_stream(stream) as reader:
        return cast(pl.DataFrame, pl.from_arrow(reader.read_all()))
