"""A disk image is read by a process of its own, which may hang, crash or fill its memory without harm to the run.

The libraries that read file systems follow what the disk says; a disk that lies can hold them forever. The process
says from time to time that it is alive, and is ended if it does not; the next one goes on behind what stopped it.
Besides, what they print can't reach our stdout.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, BinaryIO, cast

from hunt import pulse
from hunt.errors import ContainerError

from ._walk import Step, Unit, Unread
from ._wanted import File, Rest

START_S = 300.0  # seconds that a process may take to begin, on a busy machine
SILENCE_S = 120.0  # seconds without a sign of life after which the process is ended: a slow disk needs some
WALK_S = 3600.0  # seconds that finding the files of one volume may take in all
MEMORY = 8 << 30  # bytes of address space; POSIX only
_RESTARTS = 32
_BEAT_S = 0.25
_MOST = 1 << 20  # bytes of one answer


@dataclass(frozen=True, slots=True)
class Found:
    """A file of the image, good until the next is asked for."""

    name: str
    size: int
    modified: datetime | None
    open: Callable[[], BinaryIO]


class StoppedError(Exception):
    """The process was ended, or ended by itself."""


Walk = Callable[[Path, int, Callable[[], None]], Iterator[Step]]


def found(path: Path, walk: Walk) -> Iterator[Found | Unread]:
    """All that `walk(path, first unit, beat)` gives, which runs in the other process. Raises ContainerError, OSError.

    `walk` must be a function of a module, and give the same for the same image.
    """
    position = _Position()
    for _ in range(_RESTARTS):
        with _Process(path, walk, position) as process:
            try:
                yield from process.found()
                return
            except StoppedError as stopped:
                if not process.reached:
                    raise ContainerError(f"stopped while its volumes were looked for: {stopped}") from None
                if not process.reading:
                    yield Unread(position.name, f"stopped after {position.files} files: {stopped}")
                    position.next_unit()
    raise ContainerError(f"stopped {_RESTARTS} times; what is left is not read")


@dataclass(slots=True)
class _Position:
    """How far the processes have come: a unit, and so many files of it."""

    unit: int | None = None
    name: str = ""
    first: int = 0  # unit that the next process begins at
    files: int = 0
    walked_s: float = 0.0

    def at(self, unit: int, name: str) -> None:
        if unit != self.unit:
            self.files, self.walked_s = 0, 0.0
        self.unit, self.name, self.first = unit, name, unit

    def next_unit(self) -> None:
        assert self.unit is not None
        self.first = self.unit + 1
        self.files, self.walked_s = 0, 0.0


class _Process:
    """One process, and the questions it answers."""

    def __init__(self, path: Path, walk: Walk, position: _Position) -> None:
        self._position = position
        self._skip = position.files
        self._started = False
        self._current = 0  # number of the file that may be read
        self.reached = False  # whether it came to a volume
        self.reading = False  # whether it was ended while a file was read
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, path, walk, position.first), daemon=True)
        self._process.start()
        theirs.close()

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def found(self) -> Iterator[Found | Unread]:
        skip = self._skip
        while True:
            kind, *values = self._ask("next")
            if kind == "unit":
                self._position.at(*values)
                self.reached = True
                skip = skip if self._position.files else 0
            elif kind == "unread":
                if not skip:  # else it was said by the process before
                    yield Unread(*values)
            elif kind == "file":
                self._current += 1
                if skip:
                    skip -= 1
                    continue
                self._position.files += 1
                yield self._member(*values)
                if self.reading:
                    raise StoppedError
            elif kind == "failed":
                raise ContainerError(values[0])
            else:
                return

    def _member(self, name: str, size: int, modified: datetime | None) -> Found:
        number = self._current
        return Found(name, size, modified, lambda: cast(BinaryIO, io.BufferedReader(_Remote(self, number), _MOST)))

    def read(self, number: int, size: int) -> bytes:
        """Bytes of the current file from where the last ones ended. Raises OSError."""
        if number != self._current or self.reading:
            raise OSError("can't be read any more")
        try:
            kind, value = self._ask("read", min(size, _MOST))
        except StoppedError as stopped:
            self.reading = True
            raise OSError(f"can't be read (on): {stopped}") from None
        if kind != "bytes":
            raise OSError(value)
        return cast(bytes, value)

    def _ask(self, question: str, *values: int) -> tuple[Any, ...]:
        position = self._position
        began = time.monotonic()
        try:
            self._pipe.send((question, *values))
            while True:
                patience = SILENCE_S if self._started else START_S
                if not self._pipe.poll(patience):
                    raise StoppedError(f"no sign of life for {patience:.0f} seconds")
                answer: tuple[Any, ...] = self._pipe.recv()
                pulse.alive()
                if not self._started:
                    self._started, began = True, time.monotonic()
                if question == "next" and position.walked_s + time.monotonic() - began > WALK_S:
                    raise StoppedError(f"finding its files took more than {WALK_S:.0f} seconds")
                if answer[0] != "alive":
                    break
        except (EOFError, OSError):
            self._process.join(1)
            raise StoppedError(f"its reader ended unexpectedly ({self._process.exitcode})") from None
        if question == "next":
            position.walked_s += time.monotonic() - began
        return answer


class _Remote(io.RawIOBase):
    """A file's bytes, asked for piece by piece."""

    def __init__(self, process: _Process, number: int) -> None:
        self._process, self._number = process, number

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self._process.read(self._number, len(buffer))
        buffer[: len(part)] = part
        return len(part)


def _serve(pipe: Connection, path: Path, walk: Walk, first: int) -> None:
    """The other process: answers until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who is interrupted ends us
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - for as long as the process lives
    _bound_memory()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    pipe.send(("alive",))
    steps = walk(path, first, _beat(pipe))
    file: File | None = None
    stream: BinaryIO | None = None
    with contextlib.suppress(EOFError, OSError):
        while True:
            question, *values = pipe.recv()
            if question == "read":
                try:
                    stream = stream or (file.open() if file else cast(BinaryIO, io.BytesIO()))
                    pipe.send(("bytes", stream.read(values[0])))
                except Exception as error:  # of the libraries: each file fails by itself
                    pipe.send(("failed", str(error) or type(error).__name__))
                continue
            file = stream = None
            answer, file = _next(steps)
            pipe.send(answer)


def _next(steps: Iterator[Step]) -> tuple[tuple[Any, ...], File | None]:
    try:
        step = next(steps)
    except StopIteration:
        return ("end",), None
    except Exception as error:  # as above: the image as a whole
        return ("failed", str(error) or type(error).__name__), None
    if isinstance(step, Unit):
        return ("unit", step.number, step.name), None
    if isinstance(step, Unread):
        return ("unread", step.name, step.reason), None
    if isinstance(step, Rest):
        return ("file", step.said, 0, None), None
    return ("file", step.name, step.size, step.modified), step


def _beat(pipe: Connection) -> Callable[[], None]:
    last = time.monotonic()

    def beat() -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > _BEAT_S:
            last = now
            pipe.send(("alive",))

    return beat


def _end_with_parent() -> None:
    """Who hangs does not notice that nobody asks any more."""
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)


def _bound_memory() -> None:
    if sys.platform == "win32":
        return
    import resource

    with contextlib.suppress(ValueError, OSError):  # macOS refuses, or a lower limit stands
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
