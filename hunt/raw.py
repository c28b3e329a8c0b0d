"""Raw data as evidence: images, page files, memory dumps. It is told from logs by being named as such."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from hunt import registry
from hunt.errors import EvidenceError
from hunt.evidence import Collection, identify
from hunt.model import Evidence
from hunt.sources import Unique, printable
from hunt.store.collection import live


def joined(collected: Collection, raw: Sequence[Path], hashed: bool = True) -> Collection:
    """A collection with files of raw data, which are carved; its logs tell what single records in them need.

    Raises EvidenceError for what is no file that can be read.
    """
    if not raw:
        return collected
    carver = registry.carver([*live(collected)])
    unique = Unique()
    for source in (*(item.source for item, _ in collected.files), *(problem.source for problem in collected.problems)):
        unique(source)
    files = [(_raw(path, unique(printable(path.resolve().name or "raw")), hashed), carver) for path in _once(raw)]
    return replace(collected, files=(*collected.files, *files))


def _once(paths: Sequence[Path]) -> list[Path]:
    return list({path.resolve(): path for path in paths}.values())


def _raw(path: Path, source: str, hashed: bool) -> Evidence:
    """A file or disk. One of no size that can be told, such as a pipe, is none."""
    if not (path.is_file() or path.is_block_device()):
        raise EvidenceError(f"{path}: {'is no file or disk that can be read' if path.exists() else 'no such file'}")
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)  # a disk has one, though its entry has none
        found = identify(path, source) if hashed else Evidence(path, source, size, "")
        return replace(found, modified=datetime.fromtimestamp(path.stat().st_mtime, UTC))
    except OSError as error:
        raise EvidenceError(f"{path}: can't be opened: {error.strerror or error}") from None
