"""Documents of rule files, kept from run to run by the hash of the file: parsing a large set takes seconds.

One file in the user's cache folder, a line for each rule file: its hash, a checksum, JSON. It is data alone: whoever
can write it can make a rule say something else, as he could in the rule itself, and nothing more. What is damaged, of
another version or can't be written is as if it were not there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hunt.sigma.document import Document, of_plain, to_plain

# Raised with each change to what a document is or how a rule becomes one: what older versions wrote is then not read.
FORMAT = 2
LARGEST = 64 << 20  # bytes of the file; all of SigmaHQ's rules take some 4 MB
_HEAD = 64 + 1 + 32 + 1  # a line's beginning: hash of the rule file, checksum of the rest


def folder() -> Path | None:
    """Where this user's programs keep what they can make again; None if there is no such place."""
    try:
        if sys.platform == "win32":
            base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # no home
        return None
    return base / "evtx-hunt" if base.is_absolute() else None


class Cache:
    """What was kept of some rule files, by the SHA-256 of their content."""

    def __init__(self, path: Path | None, wanted: Iterable[str]) -> None:
        """Read what there is of the wanted ones."""
        self._path = path
        self._lines: dict[str, bytes] = {}
        self._new: dict[str, bytes] = {}
        wanted = set(wanted)
        self.known: dict[str, tuple[Document, ...]] = {}
        for line in _lines(path):
            key = line[:64].decode("ascii", "replace")
            self._lines[key] = line
            if key in wanted and (found := _read(line)) is not None:
                self.known[key] = found

    def keep(self, key: str, documents: Sequence[Document]) -> None:
        self._new[key] = _line(key, documents)

    def write(self) -> None:
        """Keep what is new, and of the old what fits."""
        if not self._new or self._path is None:
            return
        lines = self._lines | self._new
        room = LARGEST - sum(map(len, self._new.values()))
        for key, line in self._lines.items():
            if key in self._new:
                continue
            room -= len(line) + 1
            if room < 0:
                del lines[key]
        with contextlib.suppress(OSError):
            _replace(self._path, [_version(), *lines.values()])


def place() -> Path | None:
    """The file of this version."""
    base = folder()
    return base / "sigma-rules.jsonl" if base else None


@cache
def _version() -> bytes:
    try:
        pysigma = version("pysigma")
    except PackageNotFoundError:
        pysigma = "?"
    return f"evtx-hunt sigma {FORMAT} pysigma {pysigma}".encode()


def _lines(path: Path | None) -> list[bytes]:
    try:
        if path is None or not path.is_file() or path.stat().st_size > LARGEST + 4096:
            return []
        first, *lines = path.read_bytes().split(b"\n")
    except OSError:
        return []
    return [line for line in lines if len(line) > _HEAD] if first == _version() else []


def _read(line: bytes) -> tuple[Document, ...] | None:
    body = line[_HEAD:]
    if line[65:97] != _checksum(line[:64], body):
        return None
    try:
        return tuple(of_plain(given) for given in json.loads(body))
    # Whatever stands in the file: what can't be read is made again.
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError):
        return None


def _line(key: str, documents: Sequence[Document]) -> bytes:
    body = json.dumps([to_plain(document) for document in documents], separators=(",", ":")).encode()
    return b" ".join((key.encode(), _checksum(key.encode(), body), body))


def _checksum(key: bytes, body: bytes) -> bytes:
    """Against damage, not against an enemy."""
    return hashlib.blake2b(key + body, digest_size=16).hexdigest().encode()


def _replace(path: Path, lines: Sequence[bytes]) -> None:
    """All or nothing: another run may read or write it at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(b"\n".join(lines) + b"\n")
        Path(name).replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
