"""The compiled kernels of the decoder (`kernels/`), where they were built; each has a twin in numpy that does as much.

EVTX_HUNT_PURE in the environment leaves them aside.
"""

from __future__ import annotations

import os

try:
    if os.environ.get("EVTX_HUNT_PURE"):
        raise ImportError("not wanted")
    from . import _native

    kernels = _native
except ImportError:  # or there was no compiler, or this is a checkout that was never installed
    kernels = None  # type: ignore[assignment]
