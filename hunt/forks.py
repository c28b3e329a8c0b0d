"""Copies of this process, which have at once what it has imported. For processes that do nothing but one thing.

What other threads hold at that moment stays held in a copy for ever. So only a process without threads of its own is
copied, on Linux, where those that its libraries have begun can be looked at; and nobody should wait for a copy before
it has shown that it can work.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, NoReturn

from hunt import pulse

# Of the allocator of Polars, which sees to forks itself, and of what clears up files that Polars has spilled.
_HARMLESS = frozenset({"jemalloc_bg_thd", "polars-ooc-clea"})
_STUCK_S = 60  # a copy that has not called `alive` by then ends: nobody may be left who would end it


def can_fork() -> bool:
    """Whether this process can be copied now."""
    return sys.platform == "linux" and threading.active_count() == 1 and all(_others_sleep())


def _others_sleep() -> Iterator[bool]:
    """Of each thread but this one, whether it is one that may be there, and does nothing."""
    own = threading.get_native_id()
    try:
        for task in Path("/proc/self/task").iterdir():
            if task.name != str(own):
                # "7 (name) S ...", as proc(5) has it; a name may hold anything but is cut at 15 bytes
                _, _, rest = (task / "stat").read_text(encoding="ascii", errors="replace").partition("(")
                name, _, rest = rest.rpartition(")")
                yield name in _HARMLESS and rest.split()[0] == "S"
    except OSError:
        yield False


class Fork:
    """A copy of this process, as `subprocess.Popen` would have it."""

    def __init__(self, work: Callable[[IO[bytes], IO[bytes]], NoReturn]) -> None:
        """`work` gets what is written to `stdin`; what it writes can be read from `stdout`. Raises OSError."""
        asked, to = os.pipe()
        try:
            heard, told = os.pipe()
        except OSError:
            os.close(asked)
            os.close(to)
            raise
        # A copy that met an interrupt with the handlers of this process would live on as this process does.
        ending = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ending)
        gc.freeze()  # else looking for garbage there would copy all memory
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # from Python 3.12 on: that there are threads
                self.pid = os.fork()
                if not self.pid:
                    _live(work, asked, told)
        except OSError:
            for end in (asked, to, heard, told):
                os.close(end)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(asked)
        os.close(told)
        self.stdin, self.stdout = os.fdopen(to, "wb"), os.fdopen(heard, "rb")
        self._code: int | None = None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None: it lives."""
        return self._end(os.WNOHANG)

    def wait(self) -> int:
        code = self._end(0)
        assert code is not None
        return code

    def _end(self, how: int) -> int | None:
        if self._code is None:
            try:
                pid, status = os.waitpid(self.pid, how)
            except ChildProcessError:  # somebody else has waited for all of this process's
                self._code = 0
            else:
                self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code


def alive() -> None:
    """This process, which may be a copy, has shown that it can work."""
    if hasattr(signal, "alarm"):
        signal.alarm(0)


def _live(work: Callable[[IO[bytes], IO[bytes]], NoReturn], asked: int, told: int) -> NoReturn:
    """The life of a copy: nothing of what the process has open, or is asked to do at its end, is its own."""
    try:
        pulse.detach()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
        signal.alarm(_STUCK_S)
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in range(3):
            os.dup2(nothing, standard)
        # Pipes of others would not end with who has made them.
        there = [int(path.name) for path in Path("/proc/self/fd").iterdir()]  # may be numbered to a thousand million
        for place in {*there} - {0, 1, 2, asked, told}:
            with suppress(OSError):  # the folder itself, which is closed by now
                os.close(place)
        work(os.fdopen(asked, "rb"), os.fdopen(told, "wb"))
    finally:
        os._exit(1)
