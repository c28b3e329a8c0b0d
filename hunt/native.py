"""The compiled kernels of the EVTX decoder (`kernels/`), where they were built.

Each has a twin in numpy that does as much, beside where it is called: parsers/, `encoded`.

EVTX_HUNT_PURE in the environment leaves them aside.
"""

from __future__ import annotations

import os

try:
    if os.environ.get("EVTX_HUNT_PURE"):
        raise ImportError("not wanted")
    from hunt import _native

    kernels = _native
except ImportError:  # or there was no compiler, or this is a checkout that was never installed
    kernels = None  # type: ignore[assignment]
