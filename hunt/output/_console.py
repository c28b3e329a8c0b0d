"""Where rich prints results."""

from __future__ import annotations

import errno
import os
from typing import TextIO

from rich.console import Console


class Page(Console):
    """Takes text as it is. Closing its pipe early ends as with other output, not with rich's exit code 1."""

    def __init__(self, out: TextIO, width: int | None = None) -> None:
        super().__init__(file=out, highlight=False, markup=False, width=width)

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
