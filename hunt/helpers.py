"""Processes that decode beside this one: threads of one process wait for each other, as its interpreter runs one at a
time; two threads decode a tenth faster than one, two processes nearly twice as fast.

A helper is asked by its standard input to call a function of a parser, and leaves what that gives in a file, with few
words by its standard output on what lies there. It is a convenience: if it goes wrong, the work is done here. Nothing
heavy is imported here before it is used: helpers are begun first of all, and import while this process does.
"""

from __future__ import annotations

import os
import pickle
import struct
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hunt.isolation import Part

    Result = list[Part]
    Take = Callable[[int], memoryview]  # lends memory of so many bytes

WORTH = 96 << 20  # bytes of evidence; less is read before a helper has imported what it needs (measured)
_MOST = 31  # helpers: what they give is put together by one thread, which more would wait for
_WORDS = struct.Struct("<Q")  # how many bytes follow
_ALIGNED = 64  # bytes: as Arrow wants its buffers
# Ctrl-C is for the process that was started; modules are found where it finds them.
_PROGRAM = (
    "import gc, signal, sys; gc.disable(); signal.signal(signal.SIGINT, signal.SIG_IGN); sys.path[:] = {path!r}; "
    "from hunt import helpers; helpers.serve({folder!r})"
)


class Helper:
    """A process. Used by one thread at a time; any may end it."""

    def __init__(self) -> None:
        """Raises OSError if none can be begun."""
        if not sys.executable or getattr(sys, "frozen", False):
            raise OSError("no interpreter to run it in")
        command = [sys.executable, "-P", "-c", _PROGRAM.format(path=sys.path, folder=tempfile.gettempdir())]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)  # noqa: S603 - ourselves
        assert self._process.stdin and self._process.stdout
        self._to, self._from = self._process.stdin, self._process.stdout
        self._used = threading.Lock()
        self._left: FileIO | None = None  # the file where it leaves results
        self._path = Path()  # of that one

    def ready(self) -> bool:
        """Wait until it has imported what it needs; whether it has."""
        with self._used:
            try:
                self._path = Path(os.fsdecode(_heard(self._from)))
                self._left = FileIO(self._path, "r")
            except (OSError, EOFError):
                return False
            return True

    def do(self, work: Callable[..., Result], *given: Any, take: Take) -> Result:
        """What `work`, a function of a module, gives. Raises whatever went wrong: the helper is of no use then."""
        with self._used:
            _say(self._to, pickle.dumps((work, given)))
            told, sizes = pickle.loads(_heard(self._from))  # noqa: S301 - written by ourselves, a moment ago
            return _unpacked(told, self._held(sizes, take))

    def _held(self, sizes: Sequence[int], take: Take) -> list[memoryview]:
        """The buffers that it has left, in memory of this process: the next ones will lie where they lay."""
        ends = list(_ends(sizes))
        held = take(ends[-1] if ends else 0)
        assert self._left
        self._left.seek(0)
        got = 0
        while got < held.nbytes:
            more = self._left.readinto(held[got:])
            if not more:
                raise EOFError("less lies there than was said")
            got += more
        return [held[end - size : end] for end, size in zip(ends, sizes, strict=True)]

    def end(self) -> None:
        """Whatever it may be doing."""
        with suppress(OSError):
            self._process.kill()
        self._process.wait()
        with self._used:  # who waited for it has met its end
            for stream in (self._to, self._from, self._left):
                if stream:
                    with suppress(OSError):
                        stream.close()
            if self._left:
                self._path.unlink(missing_ok=True)


def _ends(sizes: Sequence[int]) -> Iterator[int]:
    """Where buffers end that lie one after the other, each where Arrow would have it begin."""
    at = 0
    for size in sizes:
        at = -(-at // _ALIGNED) * _ALIGNED + size
        yield at


def _say(stream: IO[bytes], words: bytes) -> None:
    stream.write(_WORDS.pack(len(words)) + words)
    stream.flush()


def _heard(stream: IO[bytes]) -> bytes:
    return _read(stream, *_WORDS.unpack(_read(stream, _WORDS.size)))


def _read(stream: IO[bytes], size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise EOFError("the process is gone")
    return content


class Helpers:
    """All helpers of this process: those that are still importing, those that work, and those that wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun: list[Helper] = []
        self._idle: deque[Helper] = deque()

    def begin(self, count: int) -> None:
        """See to it that there are so many, soon. Does not wait for them, nor complain if there can't be any."""
        with self._lock:
            for _ in range(min(count, _MOST) - len(self._begun)):
                try:
                    helper = Helper()
                except OSError:
                    return
                self._begun.append(helper)
                threading.Thread(target=self._welcome, args=(helper,), daemon=True).start()

    def _welcome(self, helper: Helper) -> None:
        if helper.ready():
            self.give(helper)
        else:
            self.drop(helper)

    def take(self) -> Helper | None:
        """One that waits for work, if there is any."""
        with self._lock:
            return self._idle.popleft() if self._idle else None

    def give(self, helper: Helper) -> None:
        with self._lock:
            if helper in self._begun:
                self._idle.append(helper)

    def drop(self, helper: Helper) -> None:
        with self._lock:
            if helper not in self._begun:
                return
            self._begun.remove(helper)
        helper.end()

    def end(self) -> None:
        """All of them."""
        with self._lock:
            ended, self._begun = self._begun, []
            self._idle.clear()
        for helper in ended:
            helper.end()


HELPERS = Helpers()


def prepare(evidence: Sequence[Path], jobs: int) -> None:
    """Begin helpers if there is much to read: called before all that takes its time to import."""
    if jobs > 1 and _much(evidence):
        HELPERS.begin(jobs - 1)


def _much(evidence: Sequence[Path]) -> bool:
    """Whether it is worth it, by the sizes of files; of folders not more than the first thousand are looked at."""
    size, left = 0, 1000
    folders = deque(evidence)
    with suppress(OSError):
        while folders and left > 0:
            path = folders.popleft()
            if not path.is_dir():
                size += path.stat().st_size
            else:
                with os.scandir(path) as entries:
                    for entry in entries:
                        left -= 1
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(Path(entry.path))
                        elif entry.is_file():
                            size += entry.stat().st_size
            if size >= WORTH:
                return True
    return False


# What the process does.


def serve(folder: str) -> None:
    """The life of a helper. Ends with its standard input, and so with the process that has begun it."""
    asked, told = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # nothing else may be told there
    from hunt import memory, registry

    registry.parsers()
    memory.keep()
    number, path = tempfile.mkstemp(prefix="evtx-hunt-decoded-", dir=folder)
    left = FileIO(number, "r+")
    try:
        _say(told, os.fsencode(path))
        while True:
            work, given = pickle.loads(_heard(asked))  # noqa: S301 - from the process that has begun us
            buffers: list[memoryview] = []
            content = _packed(work(*given), buffers)
            for end, buffer in zip(_ends([b.nbytes for b in buffers]), buffers, strict=True):
                left.seek(end - buffer.nbytes)
                done = 0
                while done < buffer.nbytes:
                    done += left.write(buffer[done:]) or 0
            _say(told, pickle.dumps((content, [buffer.nbytes for buffer in buffers])))
    except (EOFError, OSError):  # nobody asks any more, or wants to know
        with suppress(OSError):
            left.close()
            Path(path).unlink(missing_ok=True)
    os._exit(0)  # nothing is open


def _packed(result: Result, buffers: list[memoryview]) -> bytes:
    """A result, its columns as Arrow has them: with texts of their own, their buffers apart."""
    from hunt.model import Batch

    parts: list[Any] = []
    for part in result:
        if isinstance(part, Batch):
            frames = [(kind, frame.height, _columns(frame)) for kind, frame in part.frames.items()]
            parts.append((frames, (part.census.height, _columns(part.census))))
        else:
            parts.append(part)
    return pickle.dumps(parts, protocol=5, buffer_callback=lambda buffer: buffers.append(buffer.raw()))


def _columns(frame: Any) -> list[tuple[str, Any]]:
    return [(column.name, column.to_arrow()) for column in frame.iter_columns()]


def _unpacked(content: bytes, buffers: Sequence[memoryview]) -> Result:
    from hunt.model import Batch

    result: Result = []
    for part in pickle.loads(content, buffers=buffers):  # noqa: S301 - as above
        if isinstance(part, tuple):
            frames, census = part
            result.append(Batch({kind: _frame(*of) for kind, *of in frames}, _frame(*census), own=True))
        else:
            result.append(part)
    return result


def _frame(height: int, columns: Sequence[tuple[str, Any]]) -> Any:
    import polars as pl

    from hunt.arrays import series

    frame = pl.DataFrame([series(array).alias(name) for name, array in columns])
    if frame.height != height:
        raise ValueError(f"{frame.height} rows, not {height}")
    return frame
