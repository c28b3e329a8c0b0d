"""HTML: one self-contained page for people; `hunt.report` makes it."""

from __future__ import annotations

from typing import TextIO

from hunt.model import Report
from hunt.output._stream import as_bytes

TELLS_STORIES = True  # the run is asked to tell them


def write(report: Report, out: TextIO) -> None:
    """The page, in UTF-8."""
    from hunt.report import page  # templates take their time; other formats are spared it

    as_bytes(out).write(page(report).encode())
