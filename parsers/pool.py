"""Buffers that are used again: the page faults of fresh memory cost more than what is written into it."""

from __future__ import annotations

import contextlib
import mmap
import sys
from collections.abc import Sequence

import numpy as np

from .framing import U8

_KEPT = 12  # buffers; what is taken beyond them is not used again
_MOST = 2  # times the size asked for that a buffer may have
_HUGE = 2 << 20  # bytes of a huge page (x86-64, and AArch64 with pages of 4 KiB)
_ADVICE: int | None = getattr(mmap, "MADV_HUGEPAGE", None)  # Linux


class Pool:
    """Lends buffers of bytes. One is free again when nothing refers to it, or to a part of it, any more.

    What is in a buffer is whatever was there before. Not for several threads at once.
    """

    def __init__(self) -> None:
        # The arrays that own memory: every view of a view refers to its owner alone.
        self._owners: list[U8] = []

    def take(self, size: int) -> U8:
        """A buffer of `size` bytes."""
        idle = [place for place in range(len(self._owners)) if _references(self._owners, place) == _IDLE]
        # Not one that is far too large: the next that asks may need that much.
        for place in idle:
            if size <= _room(self._owners[place]) <= _MOST * (size + _HUGE):
                return _aligned(self._owners[place], size)
        owner = _fresh(size)
        if len(self._owners) < _KEPT:
            self._owners.append(owner)
        elif idle:
            self._owners[idle[0]] = owner
        return _aligned(owner, size)


def _fresh(size: int) -> U8:
    """In huge pages if there are any: where page tables are slow to read, as in virtual machines, it is much faster."""
    if size < _HUGE:
        return np.empty(size, np.uint8)
    if _ADVICE is None:
        return np.empty(size + _HUGE, np.uint8)
    # Private: of shared memory, as `mmap` makes it by default, kernels as they are set up have no huge pages.
    memory = mmap.mmap(-1, -(-size // _HUGE) * _HUGE + _HUGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel without them
        memory.madvise(_ADVICE)
    return np.frombuffer(memory, np.uint8)


def _room(owner: U8) -> int:
    """How many bytes it can lend: from the first huge page on, if it is large enough to have any."""
    return owner.size - _begin(owner)


def _begin(owner: U8) -> int:
    return -owner.ctypes.data % _HUGE if owner.size > _HUGE else 0


def _aligned(owner: U8, size: int) -> U8:
    begin = _begin(owner) if _room(owner) >= size else 0
    return owner[begin : begin + size]


def _references(buffers: Sequence[U8], place: int) -> int:
    return sys.getrefcount(buffers[place])


_IDLE = _references([np.empty(1, np.uint8)], 0)  # which interpreters count differently
