"""Which folders are cases."""

from __future__ import annotations

from pathlib import Path

CASE, FORMAT = "case.json", "evtx-hunt case"  # where a case's manifest lies, and what it says it is
_HEAD = 4096  # bytes of a manifest that say whose it is


def is_case(path: Path) -> bool:
    """Whether a path is the folder of a case, of whatever version and however damaged."""
    manifest = path / CASE
    try:
        if not manifest.is_file():  # evidence may hold a pipe of that name, that nobody writes to
            return False
        with manifest.open("rb") as file:
            return FORMAT.encode() in file.read(_HEAD)
    except (OSError, ValueError):  # the latter: a name that no file can have
        return False
