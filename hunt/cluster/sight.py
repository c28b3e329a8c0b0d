"""Which machines see a file: by its path and size, and before it is read there, by what stands in it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hunt.cluster.connect import Workers
from hunt.model import Evidence, Parser
from hunt.store.known import CASE
from hunt.store.parser import Stored

_SAMPLE = 1 << 16  # bytes; of a log: its header and first chunk, one in the middle, its last


def witness(item: Evidence, parser: Parser) -> Path | None:
    """The file by which a log is recognised elsewhere: itself, of a case its manifest; None: it is reached by a URL."""
    if not isinstance(parser, Stored):
        return item.path.absolute()
    local = parser.store.folder.local
    return local.absolute() / CASE if local else None


def absolute(parser: Parser) -> Parser:
    """As it must be where there is another working directory."""
    local = parser.store.folder.local if isinstance(parser, Stored) else None
    if local is None or not isinstance(parser, Stored):
        return parser
    return replace(parser, store=replace(parser.store, where=str(local.absolute())))


def who_sees(workers: Workers, files: Mapping[Path, int]) -> dict[Path, frozenset[str]]:
    """For each file the machines that have one of that path and size; one worker of each is asked."""
    machines = workers.machines()
    asked = {addresses[0]: machine for machine, addresses in machines.items()}
    told = workers.run(sizes, [str(path) for path in files], workers=list(asked))
    found: dict[Path, set[str]] = {path: set() for path in files}
    for address, machine in asked.items():
        answer = told.get(address)
        if isinstance(answer, list):  # else it went away, stands still, or failed: it sees nothing
            for (path, there), size in zip(files.items(), answer, strict=True):
                if size == there:
                    found[path].add(machine)
    return {path: frozenset(there) for path, there in found.items()}


def sizes(paths: Sequence[str]) -> list[int | None]:
    """Bytes of each file; None where there is none."""
    return [_size(path) for path in paths]


def _size(path: str) -> int | None:
    try:
        return Path(path).stat().st_size if Path(path).is_file() else None
    except (OSError, ValueError):
        return None


def token(path: Path) -> str:
    """Tells a file from another one of its name and size, as machines of the same layout have; "": can't be read.

    Its whole hash would be one more reading of all evidence.
    """
    digest = hashlib.blake2b(digest_size=16)
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            digest.update(str(size).encode())
            for at in (0, size // 2, max(0, size - _SAMPLE)):
                file.seek(at)
                digest.update(file.read(_SAMPLE))
    except OSError:
        return ""
    return digest.hexdigest()
