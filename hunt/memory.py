"""How much memory a process takes, and how much there is."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path


def own(pid: int | None = None) -> int:
    """Bytes that a process (None: this one) holds for itself: without mapped files, where the system tells; 0: gone."""
    if sys.platform == "linux":  # psutil takes longer to import than a short run has
        try:
            _, resident, shared, *_ = Path(f"/proc/{pid or 'self'}/statm").read_text(encoding="ascii").split()
        except (OSError, ValueError):
            return 0
        return (int(resident) - int(shared)) * os.sysconf("SC_PAGESIZE")
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def of_machine() -> int:
    """Bytes that this machine, or the container it runs in, has."""
    if hasattr(os, "sysconf"):
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE")
    else:
        import psutil

        total = int(psutil.virtual_memory().total)
    try:
        allowed = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()  # control groups, version 2
    except OSError:
        return total
    return min(total, int(allowed)) if allowed.isdecimal() else total


def keep() -> None:
    """What is there by now stays: from here on garbage is looked for again, but not among what was imported."""
    gc.freeze()
    gc.enable()


_kept: list[Callable[[], object]] = []


def can_let_go(of: Callable[[], object]) -> None:
    """Something that is kept only to be faster the next time: `relieve` calls this to let go of it."""
    _kept.append(of)


def relieve() -> None:
    """Let go of all that can be made again, and hand it to the system."""
    for let_go in _kept:
        let_go()
    give_back()


def give_back() -> None:
    """Hand memory that is free to the system, which libraries keep for what may come."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
    trim = _trim()
    if trim:
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    """glibc's malloc_trim: what many threads have freed stays in pools of each of them."""
    if sys.platform != "linux":
        return None
    import ctypes

    return getattr(ctypes.CDLL(None), "malloc_trim", None)
