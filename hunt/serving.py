"""The life of a helper (`helpers`): a process that calls functions of parsers, and leaves what they give in a file."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import tempfile
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import IO, NoReturn

from hunt.forks import alive
from hunt.wire import ends, heard, packed, say

LANES = 2  # units that a helper is asked for at the same time: each has a file for what is made of it


def ready() -> None:
    """Import what helpers need."""
    from hunt import registry

    registry.parsers()


def serve_started(folder: str) -> NoReturn:
    """The life of one that was started as a program of its own: it is asked by its standard input."""
    told = sys.stdout.buffer
    sys.stdout = sys.stderr  # nothing else may be told there
    serve(sys.stdin.buffer, told, folder)


def serve(asked: IO[bytes], told: IO[bytes], folder: str) -> NoReturn:
    """Ends with what it is asked by, and so with the process that has begun it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that has begun it
    from hunt import memory

    ready()
    memory.keep()
    _prove()
    alive()
    files = [tempfile.mkstemp(prefix="evtx-hunt-decoded-", dir=folder) for _ in range(LANES)]
    lanes = [FileIO(number, "r+") for number, _ in files]
    try:
        for _, path in files:
            say(told, os.fsencode(path))
        while True:
            lane, work, given = pickle.loads(heard(asked))  # noqa: S301 - from the process that has begun us
            left = lanes[lane]
            buffers: list[memoryview] = []
            content = packed(work(*given), buffers)
            for end, buffer in zip(ends([b.nbytes for b in buffers]), buffers, strict=True):
                left.seek(end - buffer.nbytes)
                done = 0
                while done < buffer.nbytes:
                    done += left.write(buffer[done:]) or 0
            say(told, pickle.dumps((content, [buffer.nbytes for buffer in buffers])))
    except (EOFError, OSError):  # nobody asks any more, or wants to know
        for left, (_, path) in zip(lanes, files, strict=True):
            with suppress(OSError):
                left.close()
                Path(path).unlink(missing_ok=True)
    os._exit(0)  # nothing is open


def _prove() -> None:
    """Work with the threads of Polars: a copy that lacks what it needs for that is stuck here, where nobody waits."""
    import numpy as np
    import polars as pl

    from hunt.arrays import series

    numbers = pl.DataFrame({"n": np.arange(1 << 16)[::-1] % 1009}).with_columns(pl.col("n").cast(pl.String).alias("t"))
    sums = numbers.lazy().group_by("t").agg(pl.col("n").sum()).sort("n").collect()
    series(sums["t"].to_arrow()).sort()
