"""One bad file never ends a run.

Files are read in two ways. The quick one reads them together in this process, and gives up on all if one goes wrong: a
parser raises what it should not, takes too long over a file, or (told by `supervisor`, which then starts anew) does
not come back, dies or takes too much memory. The careful one then begins again and reads file by file in a process of
its own, which may die: what went wrong becomes a Problem of that file, the rest is read.
"""

from __future__ import annotations

import gc
import pickle
import re
import signal
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from hunt import memory, pulse
from hunt.interrupts import Stop
from hunt.model import Batch, Evidence, Parser, Problem, Progress, Reading
from hunt.pulse import Phase

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

T = TypeVar("T")
Part = Batch | Problem | Progress


_SILENCE_S = 300.0
LEAST_MEMORY = 512 << 20  # bytes: less than this, libraries and one unit of 32 MiB do not fit in


@dataclass(frozen=True, slots=True)
class Bounds:
    """What reading may take. None: what is sensible for a file of its size, and for this machine."""

    file_timeout: float | None = None  # seconds for one file
    max_memory: int | None = None  # bytes for all of a run

    def seconds(self, size: int) -> float:
        """How long a file of so many bytes may take."""
        # The slowest way to read (record by record) does some MiB a second on a slow machine.
        return 300 + size / (256 << 10) if self.file_timeout is None else self.file_timeout

    @property
    def silence_s(self) -> float:
        """How long a parser may work without handing anything on: 32 MiB at a time are some 130 s at 256 KiB/s."""
        return _SILENCE_S if self.file_timeout is None else self.file_timeout

    @property
    def memory(self) -> int:
        return memory.of_machine() * 4 // 5 if self.max_memory is None else self.max_memory


class SuspectError(Exception):
    """The quick way met something that the careful one must look into."""


class Guard:
    """How one attempt reads, and what it could not. `careful` as the module says."""

    def __init__(self, bounds: Bounds, stop: Stop, careful: bool = False) -> None:
        self.bounds = bounds
        self.stop = stop
        self.careful = careful
        self.problems: list[Problem] = []  # found by reading again what was read before
        self.faults: list[str] = []  # tracebacks of our own bugs
        self.unread: list[str] = []  # sources that an interrupt kept from being read whole
        self._worker: _Worker | None = None

    def read(self, parser: Parser, files: Sequence[Evidence], reading: Reading) -> Iterator[Part]:
        """What `parser.read` gives for these files; ends early, with `unread`, if an interrupt asks for it."""
        waiting = {item.source: item.size for item in files}
        parts = self._carefully(parser, files, reading) if self.careful else self._quickly(parser, files, reading)
        try:
            while not self.stop.requested:
                with self.stop.breakable():
                    part = next(parts, None)
                if part is None:
                    return
                if isinstance(part, Progress) and part.source in waiting:
                    waiting[part.source] -= part.size
                yield part
        except KeyboardInterrupt:
            if not self.stop.requested:
                raise
        finally:
            parts.close()
        late = [item for item in files if waiting[item.source] > 0]
        self.unread += [item.source for item in late]
        for item in late:
            done = item.size - waiting[item.source]
            yield Problem(item.source, "file", f"not read whole: interrupted at {done} of {item.size} bytes")

    def records(self, parser: Parser, evidence: Evidence, offsets: Sequence[int]) -> Batch:
        """What `parser.records` gives. Raises OSError if it can't be read."""
        if self.careful:
            answers = list(self._ask(parser, evidence, offsets, self.problems.append))
            if answers:
                return cast(Batch, answers[0])
            raise OSError("the file can't be read a second time")
        pulse.beat(Phase.READING, evidence.source)
        try:
            return parser.records(evidence, offsets)
        except OSError as error:
            why = f"can't be read a second time, for all fields of findings' events: {error.strerror or error}"
            self.problems.append(Problem(evidence.source, "file", why))
            raise
        except (
            Exception,
            SystemExit,
        ) as error:  # a foreign file: the careful way finds out what is wrong
            raise _suspect(evidence.source, error) from error

    def close(self) -> None:
        if self._worker:
            self._worker.close()
            self._worker = None

    def _quickly(self, parser: Parser, files: Sequence[Evidence], reading: Reading) -> Generator[Part, None, None]:
        sizes = {item.source: item.size for item in files}
        spent: dict[str, float] = {}
        pulse.beat(Phase.READING, files[0].source)
        parts = _read(parser, files, reading)
        waited = 0.0
        while True:
            began = time.monotonic()
            try:
                part = next(parts, None)
            except (Exception, SystemExit) as error:  # some file's fault or ours: the careful way finds out whose
                raise _suspect(f"one of {len(files)} files ({parser.name})", error) from error
            waited += time.monotonic() - began
            if part is None:
                return
            if not isinstance(part, Batch):
                spent[part.source] = spent.get(part.source, 0) + waited
                waited = 0.0
                if spent[part.source] > self.bounds.seconds(sizes.get(part.source, 0)):
                    raise SuspectError(f"{part.source} takes too long (--file-timeout)")
                pulse.beat(Phase.READING, part.source)
            yield part

    def _carefully(self, parser: Parser, files: Sequence[Evidence], reading: Reading) -> Generator[Part, None, None]:
        alone = replace(reading, jobs=1)
        for number, item in enumerate(files):
            if memory.own() > self.bounds.memory * 9 // 10:
                for unread in files[number:]:
                    yield Problem(
                        unread.source, "file", "not read: what was read before takes nearly all of --max-memory"
                    )
                return
            problems: list[Problem] = []
            yield from self._ask(parser, item, alone, problems.append)
            yield from problems

    def _ask(
        self, parser: Parser, item: Evidence, what: Reading | Sequence[int], failed: Callable[[Problem], None]
    ) -> Iterator[Any]:
        """The parts that the worker sends; what ends it, or it ends with, goes to `failed`."""
        self._worker = self._worker or _Worker()
        answers = self._worker.answers(parser, item, what, self.bounds)
        done, how = 0, None
        try:
            for answer in answers:
                if isinstance(answer, _End):
                    how = answer
                    break
                done += answer.size if isinstance(answer, Progress) else 0
                yield answer
        finally:
            if how is None or how.gone:  # it is in the middle of something, or no more
                self.close()
        if how and how.reason:
            again = "" if isinstance(what, Reading) else ", on the second reading"
            reason = f"reading stopped at {done} of {item.size} bytes{again}: {how.reason}"
            failed(Problem(item.source, "file", reason))
        if how and how.trace:
            self.faults.append(f"{item.source}: {how.trace}")


def bound(bounds: Bounds, careful: bool = False) -> None:
    """Work begins: tell who watches this process (`supervisor`) what it may take; the careful way sees to it itself."""
    if not gc.isenabled():  # as `cli` leaves it while modules are imported
        memory.keep()
    if careful or pulse.orders().careful:
        pulse.bound(_SILENCE_S, bounds.memory * 5 // 4)
    else:
        pulse.bound(bounds.silence_s, bounds.memory)


def attempts(work: Callable[[Guard], T], bounds: Bounds, stop: Stop, told: Callable[[str], None]) -> T:
    """The result of the work, done the quick way, or from its beginning the careful one if the quick one fails."""
    if not pulse.orders().careful:
        try:
            return _attempt(work, Guard(bounds, stop))
        except SuspectError as suspect:
            told(f"{suspect}; reading again, file by file")
            bound(bounds, careful=True)
    return _attempt(work, Guard(bounds, stop, careful=True))


def _attempt(work: Callable[[Guard], T], guard: Guard) -> T:
    try:
        return work(guard)
    finally:
        guard.close()


def _read(parser: Parser, files: Sequence[Evidence], reading: Reading) -> Iterator[Part]:
    yield from parser.read(files, reading)  # also what it raises before it gives anything is raised by `next`


def _suspect(where: str, error: BaseException) -> SuspectError:
    return SuspectError(f"{where}: {_described(error)}")


def _described(error: BaseException) -> str:
    """An exception in one line, the same on every run."""
    return re.sub(r"0x[0-9a-f]{6,16}", "0x…", traceback.format_exception_only(error)[-1].strip())


# The process that may die.


@dataclass(frozen=True, slots=True)
class _End:
    """The last answer to a request: all was said, or why not; `gone`: the process is no more, or must not go on."""

    reason: str = ""
    trace: str = ""
    gone: bool = False


_TOO_MUCH = "it takes more memory than there is for it (--max-memory)"
_READY = b"ready"
_START_S = 120.0  # a process imports some libraries; on a busy machine that may take its time
_STEP_S = 0.1  # between two looks at a process that sends nothing
_LONGEST_STEP_S = 5.0  # a machine that slept did not read


@dataclass(slots=True)
class _Worker:
    """A process that reads one file after the other."""

    connection: Connection = field(init=False)
    process: Any = field(init=False)

    def __post_init__(self) -> None:
        import multiprocessing

        context = multiprocessing.get_context("spawn")  # what a fork would copy may be broken
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        self._ready()

    def _ready(self) -> None:
        """Wait until it has imported what it needs, which is not a file's fault."""
        if not self.connection.poll(_START_S) or self.connection.recv_bytes() != _READY:
            raise RuntimeError("a process to read in did not start")

    def answers(
        self, parser: Parser, item: Evidence, what: Reading | Sequence[int], bounds: Bounds
    ) -> Iterator[Batch | Problem | Progress | _End]:
        """Everything it says of one file; the last is an _End."""
        limit, most = bounds.seconds(item.size), bounds.memory
        spent, taken = 0.0, 0
        try:
            self.connection.send_bytes(pickle.dumps((parser, item, what)))
            self._ready()
            now = time.monotonic()
            while True:
                ready = self.connection.poll(_STEP_S)
                pulse.beat(Phase.READING, item.source)
                before, now = now, time.monotonic()
                spent += min(now - before, _LONGEST_STEP_S)
                if spent > limit:
                    yield _End(f"took longer than {limit:g} s (--file-timeout)", gone=True)
                    return
                # Half for one file, so that the others have the rest.
                if taken > most // 2 or memory.own() + memory.own(self.process.pid) > most:
                    yield _End(_TOO_MUCH, gone=True)
                    return
                if not ready:
                    continue
                content = self.connection.recv_bytes(most)
                taken += len(content)
                answer = pickle.loads(content)  # noqa: S301 - written by ourselves, a moment ago
                yield answer
                if isinstance(answer, _End):
                    return
        except (EOFError, OSError):
            self.process.join(_LONGEST_STEP_S)
            if self.process.is_alive():  # what it sent was refused
                yield _End(_TOO_MUCH, gone=True)
                return
            yield _End(f"it ended the process that read it ({_exit(self.process.exitcode)})", gone=True)

    def close(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.join()


def _exit(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _serve(connection: Connection) -> None:
    """The life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that was interrupted ends this one
    connection.send_bytes(_READY)
    while True:
        try:
            parser, item, what = pickle.loads(connection.recv_bytes())  # noqa: S301 - from the process that started us
        except EOFError:
            return
        connection.send_bytes(_READY)
        for answer in _answers(parser, item, what):
            connection.send_bytes(pickle.dumps(answer, pickle.HIGHEST_PROTOCOL))


def _answers(parser: Parser, item: Evidence, what: Reading | Sequence[int]) -> Iterator[Part | _End]:
    try:
        if isinstance(what, Reading):
            yield from parser.read([item], what)
        else:
            yield parser.records(item, what)
    except OSError as error:
        yield _End(error.strerror or str(error))
    except (Exception, SystemExit) as error:  # one foreign file: whatever reading it raises, the others are read
        yield _End(f"a fault of this tool, {_described(error)}", traceback.format_exc())
    else:
        yield _End()
