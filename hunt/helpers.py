"""Processes that decode beside this one: threads of one process wait for each other, as its interpreter runs one at a
time; two threads decode a tenth faster than one, two processes nearly twice as fast.

A helper is asked by its standard input to call a function of a parser, and leaves what that gives in a file, with few
words by its standard output on what lies there; it is asked for the next before it has answered, so that it never
waits. It is a convenience: if it goes wrong, the work is done here. Nothing heavy is imported here before it is used:
what can't be forked (`forks`) is begun first of all, and imports while this process does.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hunt import pulse, serving
from hunt.forks import Fork, can_fork
from hunt.wire import ends, heard, say, unpacked

if TYPE_CHECKING:
    from hunt.wire import Result

    Take = Callable[[int], memoryview]  # lends memory of so many bytes

# Bytes of evidence; less is read before a helper has imported what it needs, or a copy has shown what it can: measured.
WORTH, WORTH_COPIED = 96 << 20, 24 << 20
_MOST = 31  # helpers: what they give is put together by one thread, which more would wait for
# Modules are found where this process finds them.
_PROGRAM = (
    "import gc, sys; gc.disable(); sys.path[:] = {path!r}; from hunt import serving; serving.serve_started({folder!r})"
)


class Helper:
    """A process. Asked by several threads, it answers one after the other; any may end it."""

    def __init__(self) -> None:
        """Raises OSError if none can be begun."""
        folder = tempfile.gettempdir()
        self._process = Fork(partial(serving.serve, folder=folder)) if can_fork() else _started(folder)
        assert self._process.stdin and self._process.stdout
        self._to, self._from = self._process.stdin, self._process.stdout
        self.lanes = [Lane(self, number) for number in range(serving.LANES)]
        self._asking = threading.Lock()
        self._turn = threading.Condition()
        self._asked = self._answered = 0

    def ready(self) -> bool:
        """Wait until it has all that it needs; whether it has."""
        with ExitStack() as stack:
            for lane in self.lanes:
                stack.enter_context(lane.used)
            try:
                for lane in self.lanes:
                    lane.open(Path(os.fsdecode(heard(self._from))))
            except (OSError, EOFError):
                return False
            return True

    def ask(self, words: bytes) -> bytes:
        """What it answers. Raises whatever went wrong."""
        with self._asking:
            say(self._to, words)
            turn, self._asked = self._asked, self._asked + 1
        with self._turn:
            self._turn.wait_for(lambda: self._answered == turn)
        try:
            return heard(self._from)
        finally:
            with self._turn:
                self._answered += 1
                self._turn.notify_all()

    def end(self) -> None:
        """Whatever it may be doing."""
        with suppress(OSError):
            self._process.kill()
        self._process.wait()
        for lane in self.lanes:
            lane.close()  # who waited for it has met its end
        for stream in (self._to, self._from):
            with suppress(OSError):
                stream.close()


class Lane:
    """A place for a unit that a helper is asked for: while it decodes one, the next already waits in another lane, and
    what it made of the last is taken. Used by one thread at a time."""

    def __init__(self, helper: Helper, number: int) -> None:
        self.helper = helper
        self.used = threading.Lock()
        self._number = number
        self._left: FileIO | None = None  # the file where results are left
        self._path = Path()  # of that one

    def open(self, path: Path) -> None:
        """Raises OSError."""
        self._path = path
        self._left = FileIO(path, "r")

    def do(self, work: Callable[..., Result], *given: Any, take: Take, tables: bool = False) -> Result:
        """What `work`, a function of a module, gives. Raises whatever went wrong: the helper is of no use then.

        `tables`: see `hunt.model.Reading`.
        """
        with self.used:
            answer = self.helper.ask(pickle.dumps((self._number, work, given)))
            told, sizes = pickle.loads(answer)  # noqa: S301 - written by ourselves, a moment ago
            return unpacked(told, self._held(sizes, take), tables)

    def _held(self, sizes: Sequence[int], take: Take) -> list[memoryview]:
        """The buffers that were left, in memory of this process: the next ones will lie where they lay."""
        ending = list(ends(sizes))
        held = take(ending[-1] if ending else 0)
        assert self._left
        self._left.seek(0)
        got = 0
        while got < held.nbytes:
            more = self._left.readinto(held[got:])
            if not more:
                raise EOFError("less lies there than was said")
            got += more
        return [held[end - size : end] for end, size in zip(ending, sizes, strict=True)]

    def close(self) -> None:
        """Once nobody uses it: the helper is gone."""
        with self.used:
            if self._left:
                with suppress(OSError):
                    self._left.close()
                self._path.unlink(missing_ok=True)


def _started(folder: str) -> subprocess.Popen[bytes]:
    if not sys.executable or getattr(sys, "frozen", False):
        raise OSError("no interpreter to run it in")
    command = [sys.executable, "-P", "-c", _PROGRAM.format(path=sys.path, folder=folder)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)  # noqa: S603 - ourselves


class Helpers:
    """All helpers of this process: those that are still importing, those that work, and those that wait."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._begun: list[Helper] = []
        self._idle: list[Lane] = []
        self._here = 0  # units that this process decodes
        self._turns: deque[object] = deque()  # who waits for a place

    def begin(self, count: int) -> None:
        """See to it that there are so many, soon. Does not wait for them, nor complain if there can't be any."""
        begun: list[Helper] = []
        with self._free:
            for _ in range(min(count, _MOST) - len(self._begun)):
                with suppress(OSError):
                    begun.append(Helper())
            self._begun += begun
        for helper in begun:  # only now: with threads, no process can be copied
            threading.Thread(target=self._welcome, args=(helper,), daemon=True).start()

    def _welcome(self, helper: Helper) -> None:
        if helper.ready():
            for lane in helper.lanes:
                self.give(lane)
        else:
            self.drop(helper)

    def places(self, jobs: int) -> int:
        """Where units can be decoded, `jobs` of them at a time: for each a thread can wait."""
        with self._free:
            return self._most_here(jobs) + sum(len(helper.lanes) for helper in self._begun)

    def _most_here(self, jobs: int) -> int:
        return max(1, jobs - len(self._begun))  # threads would wait for each other

    def place(self, jobs: int) -> Lane | None:
        """Where the next unit is decoded, of `jobs` at a time: there; or None: here, by who asks, who then has to say
        that it is `done`. Waits until either can be: who came first, whose unit is asked for first, goes first."""
        turn = object()
        with self._free:
            self._turns.append(turn)
            try:
                while True:
                    if self._turns[0] is turn:
                        # Here it is begun at once; a helper may have one to end before.
                        if self._here < self._most_here(jobs):
                            self._here += 1
                            return None
                        lane = self.take()
                        if lane:
                            return lane
                    self._free.wait()
            finally:
                self._turns.remove(turn)
                self._free.notify_all()

    def done(self) -> None:
        """A unit was decoded here."""
        with self._free:
            self._here -= 1
            self._free.notify_all()

    def take(self) -> Lane | None:
        """One that waits for work, if there is any: of a helper that has as little to do as possible."""
        with self._free:
            if not self._idle:
                return None
            idle = Counter(lane.helper for lane in self._idle)
            lane = max(self._idle, key=lambda lane: idle[lane.helper])
            self._idle.remove(lane)
            return lane

    def give(self, lane: Lane) -> None:
        with self._free:
            if lane.helper in self._begun:
                self._idle.append(lane)
                self._free.notify_all()

    def drop(self, helper: Helper) -> None:
        with self._free:
            if helper not in self._begun:
                return
            self._begun.remove(helper)
            self._idle = [lane for lane in self._idle if lane.helper is not helper]
            self._free.notify_all()
        helper.end()

    def end(self) -> None:
        """All of them."""
        with self._free:
            ended, self._begun = self._begun, []
            self._idle.clear()
            self._free.notify_all()
        for helper in ended:
            helper.end()


HELPERS = Helpers()


def prepare(evidence: Sequence[Path], jobs: int) -> None:
    """Begin helpers if there is much to read: called before all that takes its time to import."""
    if jobs < 2 or pulse.orders().careful:  # then files are read one by one, by another process
        return
    if can_fork() and _much(evidence, WORTH_COPIED):
        serving.ready()  # this process needs it too, and its copies then have it; or there are threads from then on
    if _much(evidence, WORTH_COPIED if can_fork() else WORTH):
        HELPERS.begin(jobs - 1)


def _much(evidence: Sequence[Path], worth: int) -> bool:
    """Whether there are so many bytes, by the sizes of files: of folders the first thousand are looked at."""
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
            if size >= worth:
                return True
    return False
