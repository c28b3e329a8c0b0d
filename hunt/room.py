"""How much memory a run may take, and what of it events may fill."""

from __future__ import annotations

from dataclasses import dataclass

from hunt import memory
from hunt.errors import HuntError, TooLargeError

LEAST = 512 << 20  # bytes: the libraries, and one unit of decoding with what is made of it
# Measured (tests/bench/memory.py): interpreter, Polars, numpy, pyarrow and a thousand rules before anything is read.
_BASE = 260 << 20
# What hunts need at their peak for each byte of the events that they look at: the events, each type once more while
# copies are sought, and what joins make of it.
_HUNTING = 2.0
# While evidence is read: the events that wait, each type once more while it is sorted, and again while it is written;
# and what allocators keep of what was decoded.
_WAITING = 3.0
_DECODING = 0.25  # of what is left: units that are decoded, and what is made of them


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes. `memory` is what the user allows, `decoding` the share of what is being read.

    Of events, `waiting` are kept while evidence is read before they are written to disk, `part` are hunted in at a
    time, and `whole` at once of all hosts.
    """

    memory: int
    waiting: int
    part: int
    whole: int
    decoding: int = 1 << 40

    @staticmethod
    def of(allowed: int) -> Room:
        """Raises HuntError if that is less than it takes."""
        if allowed < LEAST:
            raise HuntError(f"--memory: {LEAST >> 20}M is the least that a run takes")
        free = allowed - _BASE
        decoding = int(free * _DECODING)
        hunting = int(free / _HUNTING)
        return Room(allowed, int((free - decoding) / _WAITING), hunting, hunting, decoding)

    def refuse(self, events: int) -> TooLargeError:
        """Why so many bytes of events can't be looked at at once."""
        total = int(events * self.memory / max(1, self.part))
        return TooLargeError(f"needs about {shown(total)} at once; --memory allows {shown(self.memory)}", events)


def default(most: int) -> Room:
    """Half of what the machine has, and no more than four fifths of `most`, beyond which a run is ended."""
    return Room.of(max(LEAST, min(memory.of_machine() // 2, most * 4 // 5)))


def shown(size: int) -> str:
    """1.5 GiB, 300 MiB."""
    return f"{size / (1 << 30):.1f} GiB" if size >= 1 << 30 else f"{max(1, size >> 20)} MiB"
