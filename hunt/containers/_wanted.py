"""Which files of a disk image are handed on: all of small volumes; of large ones those that are logs by name.

Opening each of a million files to see its first bytes takes an hour; their names take seconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from typing import BinaryIO

EVERYTHING = 10_000  # files of a volume up to which all are handed on

_LOGS = ("evtx",)
_ARCHIVES = ("zip", "7z", "tar", "tgz", "tbz2", "txz", "tzst", "gz", "bz2", "xz", "zst")
# Where a Windows disk is full of archives that nobody collected.
_NO_ARCHIVES = re.compile(
    r"(windows|program files|program files \(x86\)|programdata/(microsoft|package cache)|\$recycle\.bin"
    r"|users/[^/]*/appdata)/",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class File:
    """A file on a volume. `name`: its path, / between folders."""

    name: str
    size: int
    modified: datetime | None
    open: Callable[[], BinaryIO]


@dataclass(frozen=True, slots=True)
class Rest:
    """Files that were not opened, since their names are not those of logs or archives."""

    said: str


Found = File | Rest | str


@dataclass(slots=True)
class Wanted:
    """The choice for one volume."""

    everything: int = EVERYTHING
    all: bool = False  # so few files that every one is wanted

    def path(self, path: str) -> bool:
        """Whether a file is handed on."""
        if self.all:
            return True
        suffix = path.rpartition(".")[2].lower()
        return suffix in _LOGS or (suffix in _ARCHIVES and not _NO_ARCHIVES.match(path))

    def pattern(self) -> re.Pattern[bytes]:
        """Finds the endings of wanted names in UTF-16; also where they do not end a name."""
        endings = b"|".join(re.escape(ending.encode("utf-16-le")) for ending in _LOGS + _ARCHIVES)
        return re.compile(rb"\.\x00(?:" + endings + b")", re.IGNORECASE)

    def rest(self, others: int, deleted: int = 0) -> Rest:
        gone = f"; {deleted} deleted ones with such names" if deleted else ""
        return Rest(f"* ({others} other files, neither event logs nor archives by name{gone})")


def choose(files: Iterator[File | str], wanted: Wanted) -> Iterator[Found]:
    """The wanted of all files of a volume, and how many there were besides."""
    first = list(islice(files, wanted.everything + 1))
    wanted.all = len(first) <= wanted.everything
    others = 0
    for found in chain(first, files):
        if isinstance(found, str) or wanted.path(found.name):
            yield found
        else:
            others += 1
    if others:
        yield wanted.rest(others)
