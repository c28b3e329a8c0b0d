"""Signs of life: a page of memory shared by the process that works and the one that watches it (`supervisor`).

A process that nobody watches has no page; everything here then does nothing.
"""

from __future__ import annotations

import mmap
import os
import shutil
import signal
import struct
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path


class Phase(IntEnum):
    """What the working process is at: decides what its death means."""

    COLLECTING = 0  # nothing was read; the source named, if any, is a container being opened
    READING = 1  # nothing was written: reading can begin again
    ENDING = 2  # queries run, results are written


@dataclass(frozen=True, slots=True)
class Sign:
    """What the working process said last."""

    beats: int
    phase: Phase
    source: str  # what is being read
    interrupts: int  # that it has handled
    silence_s: float  # it asks to be stopped if it does not beat for so long; 0: never
    memory: int  # bytes; it asks to be stopped if it takes more; 0: never
    finished: bool  # it came to its own end: exit code and output are what they should be


@dataclass(frozen=True, slots=True)
class Orders:
    """What was learnt from an attempt that ended badly."""

    careful: bool = False  # read file by file, in a process that may die
    trouble: str = ""  # what happened, for people
    avoid: tuple[str, ...] = ()  # containers that are not to be opened again


_LAYOUT = struct.Struct("<QQdIBBH")  # beats, memory, silence, interrupts, phase, finished, length of the source
_SOURCE = 1024  # bytes of a source that are shown
_PAGE = _LAYOUT.size + _SOURCE
_PULSE, _ORDERS, _DEBRIS = "pulse", "orders.json", "debris"
TEMPORARY = ".evtx-hunt-"  # how temporary folders that lie beside results are called


class Pulse:
    """The page, in a file of a folder that both processes know. One writes, the other reads."""

    def __init__(self, folder: Path, create: bool = False) -> None:
        self.folder = folder
        path = folder / _PULSE
        if create:
            path.write_bytes(bytes(_PAGE))
        with path.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), _PAGE)
        self._beats = self._interrupts = self._memory = 0
        self._silence = 0.0
        self._phase, self._source = Phase.COLLECTING, b""
        self._watcher = os.getppid()
        self._alone = False

    def close(self) -> None:
        self._page.close()

    def clear(self) -> None:
        """For another attempt."""
        self._page[:] = bytes(_PAGE)

    def beat(self, phase: Phase, source: str = "") -> None:
        self._phase, self._source = phase, source.encode("utf-8", "replace")[:_SOURCE]
        self.alive()

    def alive(self) -> None:
        self._beats += 1
        self._write()
        if self._orphaned() and not self._alone:
            self._alone = True
            signal.raise_signal(signal.SIGINT)  # who watched was killed: what was asked of it is not wanted any more

    def _orphaned(self) -> bool:
        return os.name == "posix" and os.getppid() != self._watcher

    def bound(self, silence_s: float, memory: int) -> None:
        self._silence, self._memory = silence_s, memory
        self._write()

    def interrupted(self) -> None:
        self._interrupts += 1
        self._write()

    def finish(self) -> None:
        self._write(finished=True)
        if self._orphaned():
            shutil.rmtree(self.folder, ignore_errors=True)  # nobody else will

    def _write(self, finished: bool = False) -> None:
        _LAYOUT.pack_into(
            self._page,
            0,
            self._beats,
            self._memory,
            self._silence,
            self._interrupts,
            self._phase,
            finished,
            len(self._source),
        )
        self._page[_LAYOUT.size : _LAYOUT.size + len(self._source)] = self._source

    def sign(self) -> Sign:
        """What stands there. The source may be torn if it is being written right now; all else is one number each."""
        beats, memory, silence, interrupts, phase, finished, length = _LAYOUT.unpack_from(self._page, 0)
        source = self._page[_LAYOUT.size : _LAYOUT.size + length].decode("utf-8", "replace")
        return Sign(beats, Phase(phase), source, interrupts, silence, memory, bool(finished))

    def order(self, orders: Orders) -> None:
        """Leave orders for the next attempt."""
        import json

        said = {"careful": orders.careful, "trouble": orders.trouble, "avoid": orders.avoid}
        (self.folder / _ORDERS).write_text(json.dumps(said), encoding="utf-8")

    def temporary(self, path: Path) -> None:
        with (self.folder / _DEBRIS).open("a", encoding="utf-8", errors="surrogateescape") as file:
            file.write(f"{path.absolute()}\0")

    def debris(self) -> list[Path]:
        """Temporary folders that were made; most are gone again."""
        try:
            told = (self.folder / _DEBRIS).read_text(encoding="utf-8", errors="surrogateescape")
        except FileNotFoundError:
            return []
        return [path for text in told.split("\0") if (path := Path(text)).name.startswith(TEMPORARY)]

    def orders(self) -> Orders:
        import json

        try:
            said = json.loads((self.folder / _ORDERS).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return Orders()
        return Orders(said["careful"], said["trouble"], tuple(said["avoid"]))


_attached: list[Pulse] = []  # of this process: none or one


def attach(folder: Path) -> None:
    """This process does the work that is watched by way of this folder."""
    _attached[:] = [Pulse(folder)]


def detach() -> None:
    """This process is a copy of the one that is watched: its signs of life are none of that one."""
    _attached.clear()


def beat(phase: Phase, source: str = "") -> None:
    """A sign of life: so far this process has come."""
    for pulse in _attached:
        pulse.beat(phase, source)


def alive() -> None:
    """A sign of life: still at the same."""
    for pulse in _attached:
        pulse.alive()


def bound(silence_s: float, memory: int) -> None:
    """Ask to be stopped after so many seconds without a beat while reading, or at so many bytes of memory."""
    for pulse in _attached:
        pulse.bound(silence_s, memory)


def temporary(path: Path) -> None:
    """Tell of a temporary folder beside results, so that it is removed if this process can't do so."""
    for pulse in _attached:
        pulse.temporary(path)


def interrupted() -> None:
    """Tell that an interrupt has arrived here."""
    for pulse in _attached:
        pulse.interrupted()


def finish() -> None:
    """Tell that this process ends as it should."""
    for pulse in _attached:
        pulse.finish()


def orders() -> Orders:
    """What an earlier attempt has taught; nothing on the first one."""
    return _attached[0].orders() if _attached else Orders()
