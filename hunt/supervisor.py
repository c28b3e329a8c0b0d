"""Watches the process that does the work, so that no file can end a run: not by a crash, nor by an endless loop in C,
nor by taking all memory.

The work is done in a process of its own, made before anything heavy is imported (on Linux and macOS a fork: some
milliseconds). If reading ends badly there, the process and its helpers are killed, and a second one reads file by file,
each in a further process that may die alone (`isolation`). Healthy evidence never pays for that.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, Protocol

import click

from hunt import memory, pulse
from hunt.output import safe
from hunt.pulse import Orders, Phase, Pulse, Sign

FAILED, INTERRUPTED = 2, 130

_STEP_S = 0.25  # between two looks at the process
_ALONE_S = 2.0  # before that, other processes of its have not read much; a short run is spared looking for them
_OPENING_S = 1800.0  # a container whose members are looked for; disk images see to their own 120 seconds
_GRACE_S = 1.0  # from the second Ctrl-C to the end
_ATTEMPTS = 8  # each but the last two may find a container that must not be opened
_PROGRAM = "hunt.cli"  # what a process that is not forked runs
_VARIABLE = "EVTX_HUNT_SUPERVISED"  # tells a process that was not forked where its pulse lies


def watch(forks: bool = hasattr(os, "fork")) -> None:
    """Returns in the process that is to do the work. The one that was called stays behind, and ends as that one ends.

    The worker's temporary files lie in a folder that is removed here, however it ends.
    """
    given = os.environ.pop(_VARIABLE, None)
    if given:
        _attach(Path(given))
        return
    if forks and threading.active_count() > 1:  # a fork would leave their locks locked for ever
        return
    interrupts = _Interrupts()
    try:
        folder = Path(tempfile.mkdtemp(prefix="evtx-hunt-"))
    except OSError as error:
        _refuse(f"no temporary folder: {error.strerror or error}; TMPDIR names one")
    try:
        following = _watched(folder, interrupts, forks)
    except OSError as error:  # a full disk, no more processes
        shutil.rmtree(folder, ignore_errors=True)
        _refuse(f"can't begin: {error.strerror or error} ({folder})")
    if following is None:
        return
    shutil.rmtree(folder, ignore_errors=True)
    leave(following)


def _watched(folder: Path, interrupts: _Interrupts, forks: bool) -> int | None:
    """The exit code; None in the process that is to do the work."""
    page = Pulse(folder, create=True)
    orders = Orders()
    for _ in range(_ATTEMPTS):
        child = _fork() if forks else _spawn(folder)
        if child is None:
            interrupts.restore()
            _attach(folder)
            return None
        ending = _follow(child, page, interrupts)
        following = _after(ending, orders, interrupts)
        if isinstance(following, int):
            code = following
            break
        orders = following
        _say(f"hunt: {orders.trouble}")
        page.clear()
        page.order(orders)
    else:
        _say("hunt: given up; nothing was written")
        code = FAILED
    for debris in page.debris():
        shutil.rmtree(debris, ignore_errors=True)
    page.close()
    return code


def _attach(folder: Path) -> None:
    pulse.attach(folder)
    tempfile.tempdir = str(folder)


def _refuse(reason: str) -> NoReturn:
    _say(f"hunt: {reason}")
    sys.exit(FAILED)


def leave(code: int) -> NoReturn:
    """End at once: nothing is open any more, and what the interpreter would tidy up takes a tenth of a second.

    Raises OSError if what was printed can't be written.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _say(line: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\x1b[?25h\r\x1b[K")  # a progress bar that was killed has left the cursor hidden
    click.echo(safe(line), err=True)


@dataclass(frozen=True, slots=True)
class Ending:
    """How the working process ended: by itself, or for a reason that is told to people."""

    code: int
    reason: str
    sign: Sign


def _after(ending: Ending, orders: Orders, interrupts: _Interrupts) -> Orders | int:
    """What follows: orders for another attempt, or the exit code."""
    sign = ending.sign
    if sign.finished and not ending.reason:
        return ending.code if ending.code >= 0 else 128 - ending.code
    if interrupts.count:
        _say("hunt: interrupted")
        return INTERRUPTED
    where = f" while reading {sign.source}" if sign.source else ""
    trouble = f"the process {ending.reason or _died(ending.code)}{where}"
    if sign.phase is Phase.READING and not orders.careful:
        return replace(orders, careful=True, trouble=f"{trouble}; reading again, file by file")
    if sign.phase is Phase.COLLECTING and sign.source and sign.source not in orders.avoid:
        avoid = (*orders.avoid, sign.source)
        return replace(orders, avoid=avoid, trouble=f"{trouble}; beginning again without it")
    results = "results, if there are any, are not complete" if sign.phase is Phase.ENDING else "nothing was written"
    _say(f"hunt: {trouble}; {results}")
    return FAILED


def _died(code: int) -> str:
    if code >= 0:
        return f"ended by itself (exit code {code})"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was ended by {name}"


class _Interrupts:
    """Ctrl-C and requests to end: the working process sees to them; here they are counted and handed on."""

    def __init__(self) -> None:
        self.count = 0
        self.last = 0.0  # by time.monotonic
        names = ("SIGINT", "SIGTERM", "SIGHUP")
        self._before: dict[int, Any] = {getattr(signal, n): None for n in names if hasattr(signal, n)}
        for number in self._before:
            self._before[number] = signal.getsignal(number)
            if self._before[number] is not signal.SIG_IGN:
                signal.signal(number, self._heard)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        self.last = time.monotonic()

    def restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


class _Child(Protocol):
    pid: int

    def wait(self, seconds: float) -> int | None:
        """The exit code (negative: the signal that ended it), or None if it still runs after so many seconds."""


class _Forked:
    def __init__(self, pid: int, alive: int) -> None:
        self.pid = pid
        self._alive = alive  # the end of a pipe that is closed when the process is gone

    def wait(self, seconds: float) -> int | None:
        if not select.select([self._alive], [], [], seconds)[0]:
            return None
        os.close(self._alive)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def _fork() -> _Child | None:
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        return _Forked(pid, reader)
    os.close(reader)
    return None


class _Spawned:
    def __init__(self, folder: Path) -> None:
        import subprocess

        command = [sys.executable, "-m", _PROGRAM, *sys.argv[1:]]
        self._process = subprocess.Popen(command, env={**os.environ, _VARIABLE: str(folder)})  # noqa: S603 - ourselves
        self.pid = self._process.pid

    def wait(self, seconds: float) -> int | None:
        from subprocess import TimeoutExpired

        try:
            return self._process.wait(seconds)
        except TimeoutExpired:
            return None


def _spawn(folder: Path) -> _Child:
    return _Spawned(folder)


def _follow(child: _Child, page: Pulse, interrupts: _Interrupts) -> Ending:
    """Wait for the end of the working process, or bring it about."""
    watched = _Watched(child.pid)
    handed_on = beats = 0
    silent = 0.0
    before = time.monotonic()
    while (code := child.wait(_STEP_S)) is None:
        sign = page.sign()
        now = time.monotonic()
        # A machine that slept, or a process that was halted together with this one, was not silent.
        silent = 0.0 if sign.beats != beats else silent + min(now - before, 2 * _STEP_S)
        before, beats = now, sign.beats
        reason = ""
        if interrupts.count > max(sign.interrupts, handed_on):
            # A terminal tells both processes; who else did, has told only this one.
            handed_on = interrupts.count
            if os.name == "posix":
                os.kill(child.pid, signal.SIGINT)
        if interrupts.count > 1 and now - interrupts.last > _GRACE_S:
            reason = "was interrupted"
        elif silent > _patience_s(sign) and not interrupts.count:
            reason = f"gave no sign of life for {silent:.0f} s"
        elif sign.memory and (taken := watched.memory()) > sign.memory:
            reason = f"took {taken >> 20} MiB of memory (--max-memory)"
        if reason:
            watched.kill()
            while (code := child.wait(1.0)) is None:
                watched.kill()
            return Ending(code, reason, sign)
    return Ending(code, "", page.sign())


def _patience_s(sign: Sign) -> float:
    """How long the working process may give no sign of life."""
    if sign.phase is Phase.READING and sign.silence_s:
        return sign.silence_s
    if sign.phase is Phase.COLLECTING and sign.source:
        return _OPENING_S
    return float("inf")


@dataclass(slots=True)
class _Watched:
    """The working process and those that it has started."""

    pid: int
    began: float = field(default_factory=time.monotonic)
    known: list[Any] = field(default_factory=list)
    looked: float = 0.0

    def _all(self, fresh: bool = False) -> list[Any]:
        import psutil  # some milliseconds; by now the other process works

        now = time.monotonic()
        if fresh or not self.known or now - self.looked > 2:
            try:
                process = psutil.Process(self.pid)
                self.known = [process, *process.children(recursive=True)]
            except psutil.NoSuchProcess:
                self.known = []
            self.looked = now
        return self.known

    def memory(self) -> int:
        """Bytes that they hold for themselves."""
        if time.monotonic() - self.began < _ALONE_S:
            return memory.own(self.pid)
        return sum(memory.own(process.pid) for process in self._all())

    def kill(self) -> None:
        import psutil

        for process in self._all(fresh=True):
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
