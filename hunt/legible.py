"""Text on streams that can't show all of it: a Windows code page, an ASCII pipe."""

from __future__ import annotations

import codecs

ERRORS = "evtx-hunt"  # for `reconfigure(errors=...)`

# What we print of our own beyond ASCII. Other characters are the evidence's, and show as \u4e2d.
_PLAIN = {"→": "->", "⇢": "~>", "…": "...", "–": "-", "’": "'"}  # noqa: RUF001 - these are what is replaced


def _replaced(error: UnicodeError) -> tuple[str | bytes, int]:
    """Each character on its own: as plain ones if it is ours, else escaped."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    shown = (_PLAIN.get(c) or c.encode("ascii", "backslashreplace").decode("ascii") for c in lost)
    return "".join(shown), error.end


codecs.register_error(ERRORS, _replaced)
