"""Two worker processes for all tests of a cluster, started once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest

from hunt.cluster import connect
from hunt.cluster.connect import Workers, connected


@pytest.fixture(scope="package")
def started() -> Iterator[Workers]:
    with connected("local:2", 4 << 30) as workers:
        workers.client.run_on_scheduler(_impatient)
        yield workers


def _impatient(dask_scheduler: Any) -> None:
    dask_scheduler.allowed_failures = 1


@pytest.fixture
def workers(started: Workers, monkeypatch: pytest.MonkeyPatch) -> Workers:
    """The workers, to whom `--cluster` leads whatever it names."""
    monkeypatch.setattr(connect, "connected", lambda where, memory: nullcontext(started))
    return started


@pytest.fixture
def pids(workers: Workers) -> Callable[[], set[int]]:
    """The processes of the workers."""
    return lambda: set(workers.client.run(os.getpid).values())
