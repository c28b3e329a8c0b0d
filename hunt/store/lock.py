"""One ingest at a time: the second one waits, or is refused.

Here it is a lock of the operating system on a file of the case, which a process that is killed lets go of. Elsewhere it
is an object, which one that is killed leaves there: its line says how to get rid of it.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from hunt.errors import HuntError
from hunt.store.folders import Folder
from hunt.store.layout import LOCK

_STEP_S = 0.2  # between two tries; a network is asked less often
_REMOTE_STEP_S = 5.0
_FAR = 1 << 30  # the byte that is locked on Windows, where nobody may read what is locked
_BUSY = b"an ingest writes here\n"  # stays if it is killed: then there is something to tidy up


class Held:
    """The lock while it is held."""

    def __init__(self, dirty: bool) -> None:
        self.dirty = dirty  # an ingest before was killed, and may have left files that no manifest names
        self.tidy = True  # whether this one leaves none


@contextmanager
def held(folder: Folder, wait: bool, tell: Callable[[str], None]) -> Iterator[Held]:
    """Hold the lock of a case. Raises HuntError if another ingest has it and `wait` is not set, OSError if it can't."""
    taken = _local(folder.local, wait, tell) if folder.local is not None else _remote(folder, wait, tell)
    with taken as lock:
        yield lock


@contextmanager
def _local(place: Path, wait: bool, tell: Callable[[str], None]) -> Iterator[Held]:
    place.mkdir(parents=True, exist_ok=True)
    path = place / LOCK
    told = False
    while True:
        file = open(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0)  # noqa: SIM115, PTH123 - closed below
        try:
            if _try(file):
                if path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno())):
                    break
                file.close()  # somebody has removed it meanwhile
                continue
        except BaseException:
            file.close()
            raise
        file.close()
        told = _refuse_or_tell(str(place), "", wait, tell, told)
        time.sleep(_STEP_S)
    with file:
        lock = Held(dirty=bool(file.read(1)))
        file.seek(0)
        file.write(_BUSY)
        try:
            yield lock
        finally:
            if lock.tidy:
                file.truncate(0)


def _refuse_or_tell(name: str, hint: str, wait: bool, tell: Callable[[str], None], told: bool) -> bool:
    if not wait:
        raise HuntError(f"{name}: another ingest writes into it{hint}")
    if not told:
        tell(f"{name}: another ingest writes into it{hint}; waiting for its end")
    return True


if sys.platform == "win32":
    import msvcrt

    def _try(file: BinaryIO) -> bool:
        file.seek(_FAR)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            file.seek(0)
        return True

else:
    import fcntl

    def _try(file: BinaryIO) -> bool:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def _remote(folder: Folder, wait: bool, tell: Callable[[str], None]) -> Iterator[Held]:
    token = secrets.token_hex(16).encode()
    told = False
    hint = f"; if none is at work any more, remove {folder.name.rstrip('/')}/{LOCK}"
    while not folder.claim(LOCK, token):
        told = _refuse_or_tell(folder.name, hint, wait, tell, told)
        time.sleep(_REMOTE_STEP_S)
    try:
        yield Held(dirty=True)  # whoever removed the lock of one that was killed did not say so
    finally:
        with suppress(FileNotFoundError):
            if folder.read(LOCK) == token:
                folder.remove(LOCK)
