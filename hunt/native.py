"""The compiled kernels of the EVTX decoder (`kernels/`), where they were built.

Each has a twin in numpy that does as much, beside where it is called: parsers/, `encoded`.
EVTX_HUNT_PURE in the environment leaves them aside.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path

_FOLDER = Path(__file__).parent / "kernels"


def sources() -> int | None:
    """What stands here to be compiled, as setup.py tells it; None where nothing does: in an installed wheel."""
    files = sorted(_FOLDER.glob("*.[ch]"))
    return zlib.crc32(b"".join(path.read_bytes() for path in files)) >> 1 if files else None


try:
    if os.environ.get("EVTX_HUNT_PURE"):
        raise ImportError("not wanted")
    from hunt import _native

    if sources() not in (None, _native.SOURCES):
        raise ImportError("built before the sources changed: install again")
    kernels = _native
except ImportError:  # or there was no compiler, or this is a checkout that was never installed
    kernels = None  # type: ignore[assignment]
