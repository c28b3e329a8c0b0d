"""What halted workers have not begun, given to others: what Dask's scheduler runs for us.

Dask moves what waits for a worker that is behind, but not the tasks that a halted one is to begin next.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

_MOST = 512  # tasks that are moved at a time: meanwhile the scheduler does nothing else


def move(halted: Iterable[str], client: str, dask_scheduler: Any = None) -> None:
    """Ask these workers, by address, to hand over what they have not begun of a client's tasks, or some of it.

    Each goes to the worker that may do it and has the least to do; without one it stays. A worker that has begun
    with it in the meantime keeps it.
    """
    stealing = dask_scheduler.extensions["stealing"]
    there = (dask_scheduler.workers.get(address) for address in halted)
    holders = [worker for worker in there if worker and worker not in dask_scheduler.running]
    others: set[Any] = set()
    waiting = (
        (holder, task) for holder in holders for task in list(holder.processing) if _wanted(task, client, others)
    )
    loads = {worker: _load(worker, stealing) for worker in dask_scheduler.running}
    for holder, task in islice(waiting, _MOST):
        able = dask_scheduler.valid_workers(task)
        able = loads.keys() if able is None else able & loads.keys()  # those that run
        if able:
            least = min(able, key=lambda other: loads[other])
            stealing.move_task_request(task, holder, least)
            loads[least] = _load(least, stealing)


def _load(worker: Any, stealing: Any) -> tuple[float, int]:
    """For each of its threads, what is on its way to it as well; then what it keeps."""
    return (len(worker.processing) + stealing.in_flight_tasks[worker]) / max(1, worker.nthreads), worker.nbytes


def _wanted(task: Any, client: str, others: set[Any]) -> bool:
    """Whether a client waits for it, or for something that is made of it; `others`: tasks known not to be."""
    met: set[Any] = set()
    left = [task]
    while left:
        made = left.pop()
        if made not in others and made not in met:
            if any(asker.client_key == client for asker in made.who_wants or ()):
                return True
            met.add(made)
            left += made.dependents
    others |= met
    return False
