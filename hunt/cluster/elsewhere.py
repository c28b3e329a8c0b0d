"""What halted workers have not begun, given to others: what Dask's scheduler runs for us.

Dask moves what waits for a worker that is behind, but not the tasks that a halted one is to begin next.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def move(halted: Iterable[str], client: str, dask_scheduler: Any = None) -> None:
    """Ask these workers, by address, to hand over what they have not begun of a client's tasks.

    Each goes to the worker that may do it and has the least to do; without one it stays. A worker that has begun
    with it in the meantime keeps it.
    """
    stealing = dask_scheduler.extensions["stealing"]
    there = (dask_scheduler.workers.get(address) for address in halted)
    for holder in [worker for worker in there if worker and worker not in dask_scheduler.running]:
        for task in list(holder.processing):
            able = dask_scheduler.valid_workers(task)
            others = dask_scheduler.running if able is None else able  # those that run
            if others and _wanted(task, client):
                least = min(others, key=lambda other: _load(other, stealing))
                stealing.move_task_request(task, holder, least)


def _load(worker: Any, stealing: Any) -> tuple[float, int]:
    """For each of its threads, what is on its way to it as well; then what it keeps."""
    return (len(worker.processing) + stealing.in_flight_tasks[worker]) / max(1, worker.nthreads), worker.nbytes


def _wanted(task: Any, client: str) -> bool:
    """Whether a client waits for it, or for something that is made of it."""
    asks = any(asker.client_key == client for asker in task.who_wants)
    return asks or any(_wanted(made, client) for made in task.dependents)
