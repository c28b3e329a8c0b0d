"""Ctrl-C ends a run in order: what was read is searched and written. A second one ends it at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from hunt import pulse

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Stop:
    """Whether an end was asked for, and whether it may come in the middle of what is being done right now."""

    def __init__(self) -> None:
        self.requested = False
        self._breakable = True

    @contextmanager
    def whole(self) -> Iterator[None]:
        """What is done within is done whole: the first interrupt only asks."""
        before, self._breakable = self._breakable, False
        try:
            yield
        finally:
            self._breakable = before

    @contextmanager
    def breakable(self) -> Iterator[None]:
        """What is done within may be broken off at any point, by KeyboardInterrupt."""
        before, self._breakable = self._breakable, True
        try:
            yield
        finally:
            self._breakable = before

    def _heard(self, number: int, frame: FrameType | None) -> None:
        pulse.interrupted()
        again, self.requested = self.requested, True
        if again or self._breakable:
            raise KeyboardInterrupt


_listening: list[Stop] = []


@contextmanager
def listening() -> Iterator[Stop]:
    """Interrupts go to the Stop given; within another such block, to that one. Signals that are ignored stay so."""
    if _listening:
        yield _listening[0]
        return
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():  # signals are none of its business
        yield stop
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    _listening.append(stop)
    try:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, stop._heard)
        yield stop
    finally:
        _listening.clear()
        for number, handler in before.items():
            if handler is not None and handler is not signal.SIG_IGN:
                signal.signal(number, handler)
