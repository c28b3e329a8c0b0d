"""What a Dask scheduler can bear: tasks of no work, in the shape of ours, against one scheduler process.

    python tests/bench/scheduler.py --tasks 100000
    nice -n 19 python tests/bench/scheduler.py --tasks 1000000

Half of the tasks are "reads", whose results are held until the end as a run holds them; the other half are "facts", one
for each read, which come back and are released. At the end parts of all reads are asked for, a hundred reads each.
Scheduler, worker and client are processes of their own here; the worker does nothing, so what is measured is the
scheduler and the client. Prints tasks a second and the scheduler's memory.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

_BATCH = 10_000
_FAN = 100


def nothing(of: object) -> int:
    return 0


def nothing_of(reads: Sequence[object]) -> int:
    return len(reads)


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--tasks", type=int, default=100_000)
    asked.add_argument("--threads", type=int, default=4, help="of the worker")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder, processes(Path(folder), given.threads) as (client, scheduler):
        measured(client, scheduler, given.tasks // 2)


def measured(client: Any, scheduler: psutil.Process, reads: int) -> None:
    from distributed import as_completed

    def memory() -> int:
        return int(scheduler.memory_info().rss)

    before, began, cpu = memory(), time.monotonic(), sum(scheduler.cpu_times()[:2])
    held: list[Any] = []
    for first in range(0, reads, _BATCH):
        numbers = range(first, min(first + _BATCH, reads))
        own = client.map(nothing, numbers, key=[f"read-{n:032x}" for n in numbers])
        facts = client.map(nothing, own, key=[f"facts-{n:032x}" for n in numbers])
        held += own
        for _ in as_completed(facts, loop=client.loop):
            pass
        if first // _BATCH % 5 == 0:
            done = time.monotonic() - began
            print(f"{2 * len(held):>9,} tasks  {2 * len(held) / done:>7,.0f} /s  {memory() >> 20:>6,} MiB", flush=True)
    read = time.monotonic() - began
    print(f"reads and facts: {2 * reads:,} tasks in {read:,.0f} s, {2 * reads / read:,.0f} /s", flush=True)
    more = memory() - before
    print(f"scheduler: {more >> 20:,} MiB for {reads:,} held results, {more // reads:,} bytes each", flush=True)
    groups = [held[first : first + _FAN] for first in range(0, reads, _FAN)]
    again = time.monotonic()
    parts = [client.submit(nothing_of, group, key=f"part-{n}") for n, group in enumerate(groups)]
    client.gather(parts)
    print(f"parts: {len(parts):,} tasks of {_FAN} reads each in {time.monotonic() - again:,.0f} s")
    used = sum(scheduler.cpu_times()[:2]) - cpu
    each = used / (2 * reads + len(parts)) * 1e6
    print(f"scheduler's CPU: {used:,.0f} s, {each:,.0f} us a task; {memory() >> 20:,} MiB at the end")


@contextlib.contextmanager
def processes(folder: Path, threads: int) -> Iterator[tuple[Any, psutil.Process]]:
    """(a client, the scheduler's process)."""
    from distributed import Client

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    where = folder / "scheduler.json"
    shared = ["--scheduler-file", str(where), "--no-dashboard"]
    scheduler = _started(folder, "scheduler", "--host", "127.0.0.1", "--port", "0", *shared)
    worker = _started(folder, "worker", "--no-nanny", "--nthreads", str(threads), *shared)
    try:
        while not where.exists():
            assert scheduler.poll() is None
            time.sleep(0.1)
        with Client(scheduler_file=str(where), set_as_default=False) as client:
            client.wait_for_workers(1, timeout=60)
            yield client, psutil.Process(scheduler.pid)
    finally:
        for process in (worker, scheduler):
            process.kill()
            process.wait()


def _started(folder: Path, what: str, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"distributed.cli.dask_{what}", *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)


if __name__ == "__main__":
    main()
