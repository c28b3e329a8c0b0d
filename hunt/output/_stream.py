"""Bytes to a text stream: files for machines are UTF-8 with LF on every system."""

from __future__ import annotations

from typing import BinaryIO, TextIO, cast


class _Encoded:
    """A text stream without a buffer below (a test's StringIO, say) as one of bytes."""

    def __init__(self, out: TextIO) -> None:
        self.out = out

    def write(self, content: bytes) -> int:
        return self.out.write(content.decode())


def as_bytes(out: TextIO) -> BinaryIO:
    """The stream of bytes below a text stream, after what was written to the latter."""
    out.flush()
    return cast(BinaryIO, getattr(out, "buffer", None) or _Encoded(out))
