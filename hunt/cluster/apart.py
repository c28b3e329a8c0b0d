"""What workers of this machine load first (Dask's `preload`)."""

from __future__ import annotations

import os
import signal


def dask_setup(worker: object) -> None:
    """Ctrl-C in a terminal is told to all processes of a session: the one that ends a run in order ends its workers.

    Ignoring it is not enough: Polars listens for itself while it works.
    """
    if hasattr(os, "setsid"):
        os.setsid()
    else:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
