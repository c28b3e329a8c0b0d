"""Workers to hand work to: of this machine, started for one run, or those of a Dask scheduler that is there."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import tempfile
import time
from asyncio import CancelledError
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hunt import pulse
from hunt.cluster import asking
from hunt.cluster.versions import Versions, asked, here
from hunt.errors import HuntError

MOST_LOCAL = 256  # processes of this machine
_CONNECT_S = 8.0  # until a scheduler must have answered
_WORKERS_S = 10.0  # until it must have a worker; those of this machine take longer to start on a busy one
_START_S = 120.0
_SHOWN = 3  # workers that are named in a complaint
_LOCAL_MEMORY = 1 << 30  # bytes that a worker is taken to have, if it does not say


@dataclass(frozen=True, slots=True)
class Place:
    """What `--cluster` names: so many processes here, or the address of a scheduler."""

    workers: int = 0
    address: str = ""

    @property
    def shown(self) -> str:
        return self.address or f"local:{self.workers}"


def place(text: str) -> Place:
    """Read `local:N`, `tcp://HOST:PORT` or `tls://HOST:PORT`. Raises HuntError for anything else."""
    local = re.fullmatch(r"local:([0-9]{1,9})", text)
    if local:
        if not 1 <= int(local[1]) <= MOST_LOCAL:
            raise HuntError(f"--cluster {text}: 1 to {MOST_LOCAL} processes can be started")
        return Place(int(local[1]))
    if re.fullmatch(r"(tcp|tls)://[^\s/]+:[0-9]{1,5}", text):
        return Place(address=text)
    raise HuntError(f"--cluster {text}: local:N, tcp://HOST:PORT or tls://HOST:PORT is wanted")


@dataclass(frozen=True, slots=True)
class Workers:
    """A connection to workers that run what runs here."""

    client: Any  # distributed.Client
    place: Place
    versions: Versions = field(default_factory=here)

    def there(self, beat: Callable[[], None] = pulse.alive) -> Mapping[str, Mapping[str, Any]]:
        """What the scheduler last told of each worker, by address. Raises HuntError if it does not answer."""
        try:
            told: Mapping[str, Mapping[str, Any]]
            told = asking.answer(lambda: self.client.scheduler_info(n_workers=-1)["workers"], beat)
        except (Exception, CancelledError):  # whatever Dask raises where nobody answers
            raise self.gone() from None
        return told

    def run(self, ask: Callable[..., object], *values: object, workers: Collection[str]) -> Mapping[str, Any]:
        """What a function gave in each of these workers that answers; what it raised there is its answer."""
        return asking.of_workers(self.client, ask, *values, workers=workers)

    def gone(self) -> HuntError:
        """What a run without its scheduler ends with."""
        return HuntError(f"--cluster {self.place.shown}: the scheduler is gone; nothing was written")

    @contextmanager
    def needed(self) -> Iterator[None]:
        """What fails within because there is no scheduler any more raises HuntError: Dask then raises all sorts."""
        try:
            yield
        except HuntError:
            raise
        except Exception as error:
            if self.client.status == "running" and self._answers():
                raise
            raise self.gone() from error

    def _answers(self) -> bool:
        try:
            self.client.sync(self.client.scheduler.identity, n_workers=0, callback_timeout=_CONNECT_S)
        except Exception:
            return False
        return True

    def count(self) -> int:
        """Tasks that run at the same time."""
        return max(1, sum(int(worker["nthreads"]) for worker in self.there().values()))

    def memory(self) -> int:
        """Bytes that the smallest worker has for each of its tasks."""
        least = [int(w["memory_limit"] or _LOCAL_MEMORY) // max(1, w["nthreads"]) for w in self.there().values()]
        return min(least, default=_LOCAL_MEMORY)

    def machines(self, there: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, list[str]]:
        """The addresses of workers by the machine that they run on; `there`: what was told of them a moment ago."""
        found: dict[str, list[str]] = {}
        for address, worker in sorted((self.there() if there is None else there).items()):
            found.setdefault(str(worker["host"]), []).append(address)
        return found


@contextmanager
def connected(where: str, memory: int) -> Iterator[Workers]:
    """Workers for a `with` block; those of this machine, which may take so many bytes together, end with it.

    Raises HuntError: the extra is not installed, nobody answers, no worker is there, one runs something else.
    """
    wanted = place(where)
    try:
        import dask
        import distributed
    except ImportError:
        raise HuntError("--cluster: Dask is not installed; pip install evtx-hunt[cluster]") from None
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("distributed")]:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what is wrong, we say
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(_SETTINGS))
        if wanted.workers:
            address = stack.enter_context(_started(distributed, wanted.workers, memory))
        else:
            address = wanted.address
        workers = Workers(_client(distributed, address), wanted)
        stack.callback(_close, workers.client)
        with workers.needed():
            _wait(workers)
            _compare(workers)
        yield workers


_SETTINGS = {
    "distributed.comm.timeouts.connect": _CONNECT_S,
    "distributed.worker.profile.enabled": False,
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 32 << 20,  # glibc's own upper bound
    "distributed.scheduler.allowed-failures": 2,  # for ours: a file that kills workers is not worth more of them
    "distributed.admin.large-graph-warning-threshold": "1TiB",  # what no worker sees is handed over, and told
}


@contextmanager
def _started(distributed: Any, number: int, memory: int) -> Iterator[str]:
    """A scheduler and workers on this machine alone: nobody else can reach 127.0.0.1."""
    each = max(_LEAST, memory // (number + 1))
    variables = {
        "POLARS_MAX_THREADS": "1",  # as many processors as processes, whatever they do
        # Dask's own threshold gives memory back to the system whenever a buffer is freed, and keeps glibc from learning
        # not to; it is then faulted in again for the next one, which costs more than decoding. Without any, glibc keeps
        # so much that Dask halts small workers.
        "MALLOC_TRIM_THRESHOLD_": str(each // 8),
    }
    with _folder() as path, _environment(**variables):
        cluster = distributed.LocalCluster(
            n_workers=number,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},  # what tells its health
            memory_limit=each,
            local_directory=path,
            preload=["hunt.cluster.apart"],
            silence_logs=logging.CRITICAL,
        )
        try:
            yield cluster.scheduler_address
        finally:
            with suppress(Exception):  # they end with this process at the latest
                cluster.close(timeout=10)


_LEAST = 512 << 20  # bytes of memory that a worker needs at least: libraries and one piece


def _folder() -> tempfile.TemporaryDirectory[str]:
    """What workers of this machine spill goes here; removed by who watches this process if it can't do so itself."""
    folder = tempfile.TemporaryDirectory(prefix=pulse.TEMPORARY, ignore_cleanup_errors=True)
    pulse.temporary(Path(folder.name))
    return folder


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Variables that processes started within see, unless the user has set them."""
    new = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            del os.environ[name]


def _client(distributed: Any, address: str) -> Any:
    try:
        # First in few words: a Client that finds nobody is slow to give up.
        asyncio.run(asyncio.wait_for(_answer(distributed, address), _CONNECT_S))
        return distributed.Client(address, timeout=_CONNECT_S, set_as_default=False)
    # Whatever answers there, or does not: no scheduler, TLS that is not configured, another protocol.
    except Exception as error:
        said = str(error).splitlines()[0][:200] if str(error) else "nothing was heard"
        raise HuntError(f"--cluster {address}: no Dask scheduler answers there ({said})") from None


async def _answer(distributed: Any, address: str) -> None:
    security = distributed.Security().get_connection_args("client")
    async with distributed.rpc(address, connection_args=security) as scheduler:
        await scheduler.identity(n_workers=0)


def _close(client: Any) -> None:
    with suppress(Exception):  # a scheduler that is gone
        client.close(timeout=5)


def _wait(workers: Workers) -> None:
    """Until there is a worker, and all that were started here are."""
    wanted, seconds = (workers.place.workers, _START_S) if workers.place.workers else (1, _WORKERS_S)
    until = time.monotonic() + seconds
    while len(workers.there()) < wanted:
        if time.monotonic() > until:
            missing = "has no workers" if not workers.there() else f"started {len(workers.there())} only"
            raise HuntError(f"--cluster {workers.place.shown}: {missing} after {seconds:.0f} s")
        pulse.alive()
        time.sleep(0.05)


def _compare(workers: Workers) -> None:
    """Raises HuntError if a worker runs anything else than this process."""
    there = sorted(workers.there())
    told = workers.run(asked(), workers=there)
    silent = [address for address in there if address not in told and address in workers.there()]
    if silent:
        raise HuntError(f"--cluster {workers.place.shown}: no answer from {_some(silent)}")
    wrong = []
    for address, versions in sorted(told.items()):
        if isinstance(versions, tuple) and len(versions) == len(workers.versions):
            other = Versions(*versions).other(than=workers.versions)
        else:
            other = str(versions) if isinstance(versions, str) else f"can't tell its version ({versions!r})"[:300]
        if other:
            wrong.append(f"worker {address}: {other}")
    if wrong:
        raise HuntError(f"--cluster {workers.place.shown}: {_some(wrong)}: install the same")


def _some(wrong: Sequence[str]) -> str:
    more = f"; and {len(wrong) - _SHOWN} more workers" if len(wrong) > _SHOWN else ""
    return f"{'; '.join(wrong[:_SHOWN])}{more}"
