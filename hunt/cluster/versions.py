"""Which versions a process runs: workers of others would find something else, and nobody would know."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import hunt
from hunt import __version__, registry

_SUFFIXES = (".py", ".eql", ".yml", ".lark")  # of files that decide what is found


class Versions(NamedTuple):
    """What must be the same everywhere."""

    hunt: str
    source: str  # of our own files: tells two checkouts of one version apart
    polars: str
    python: str  # without its last number

    def other(self, than: Versions) -> str:
        """For people: what is not as `than` has it; "" if all is."""
        named = zip(("evtx-hunt", "evtx-hunt's source", "polars", "Python"), self, than, strict=True)
        return ", ".join(f"{name} {own} (here: {theirs})" for name, own, theirs in named if own != theirs)


@cache
def here() -> Versions:
    """Of this process."""
    return Versions(__version__, _source(), version("polars"), ".".join(map(str, sys.version_info[:2])))


def asked() -> Callable[[], Versions | str]:
    """A function that tells `here` elsewhere. It travels by value: nothing of ours may be there, which it then says."""

    def told() -> Versions | str:
        try:
            from hunt.cluster import versions
        except Exception as error:  # whatever is installed there
            return f"can't import evtx-hunt ({error})"
        return tuple(versions.here())  # type: ignore[return-value]  # a class of theirs need not be one of ours

    return told


def _source() -> str:
    """Hash of our own source, however its lines end and wherever it lies."""
    digest = hashlib.sha256()
    for name, path in sorted(_files()):
        digest.update(f"{name}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).digest())
    return digest.hexdigest()[:12]


def _files() -> Iterator[tuple[str, Path]]:
    apart = registry.folders()  # in hunt/ where it is installed, beside it in a checkout
    for name, root in {"": Path(hunt.__path__[0]), **apart}.items():
        for path in root.rglob("*"):
            inside = path.relative_to(root)
            if path.suffix in _SUFFIXES and (name or inside.parts[0] not in apart):
                yield f"{name}/{inside.as_posix()}", path
