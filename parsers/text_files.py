"""Text exports as UTF-8 in blocks of bounded size, every place traced back to its byte in the file.

UTF-8 with or without a mark, and UTF-16 as Windows' own tools and PowerShell's redirection write it.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

LONGEST = 16 << 20  # bytes of one event as text: a record of 64 KiB needs less, whatever renders it
_BLOCK = 1 << 20
_OVERLAP = 4096  # bytes: what is searched for may stand across two blocks

_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def encoding(head: bytes) -> tuple[str, int]:
    """The encoding of a text that begins so, and the size of its mark; UTF-16 is known without a mark too."""
    for mark, name in _MARKS.items():
        if head.startswith(mark):
            return name, len(mark)
    for first, name in ((b"<\0", "utf-16-le"), (b"{\0", "utf-16-le"), (b"[\0", "utf-16-le"), (b"\0<", "utf-16-be")):
        if head.startswith(first):
            return name, 0
    return "utf-8", 0


def text_head(head: bytes) -> bytes:
    """The first bytes of a file as UTF-8."""
    name, mark = encoding(head)
    body = head[mark:]
    return body if name == "utf-8" else _transcoder(name)(body, False)


def _transcoder(name: str) -> Callable[[bytes, bool], bytes]:
    decoder = codecs.getincrementaldecoder(name)("replace")
    return lambda raw, final: decoder.decode(raw, final).encode("utf-8")


class TextFile:
    """A window over a file: `data` holds UTF-8, whole or in part, and grows at its end by `more`."""

    def __init__(self, path: Path, offset: int | None = None) -> None:
        """Opens the file at a byte offset, or after its mark. Raises OSError."""
        self._file: BinaryIO = path.open("rb")
        self.encoding, mark = encoding(self._file.read(4))
        start = mark if offset is None else offset
        self._file.seek(start)
        self._transcode = None if self.encoding == "utf-8" else _transcoder(self.encoding)
        self.data = b""
        self.ended = False
        self.taken = start  # bytes of the file that are done
        self.forgotten = 0  # bytes of UTF-8 that stood before `data`
        self._known = (0, start)  # a place in `data`, and its byte in the file

    def __enter__(self) -> TextFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def more(self, keep: int) -> bool:
        """Forget what stands before `keep`, which becomes 0, and read a block further; False if there is nothing."""
        known = self.offset(keep)
        self.data = self.data[keep:]
        self.forgotten += keep
        self._known = (0, known)
        if self.ended:
            return False
        block = self._file.read(_BLOCK)
        self.taken += len(block)
        self.ended = not block
        self.data += self._transcode(block, not block) if self._transcode else block
        return True

    def offset(self, place: int) -> int:
        """The byte of the file at a place of `data`, at or behind the last one that was asked for."""
        before, byte = self._known
        if not self._transcode:
            byte += place - before
        elif place > before:  # one unit of UTF-16 for each character, two for those of four bytes
            byte += len(self.data[before:place].decode("utf-8").encode("utf-16-le"))
        self._known = (place, byte)
        return byte

    def search(self, pattern: re.Pattern[bytes], start: int) -> re.Match[bytes] | None:
        """The first match from `start` on of a pattern that fits into _OVERLAP; what is passed over is forgotten."""
        while True:
            found = pattern.search(self.data, start)
            if self.ended or (found and found.end() < len(self.data)):
                return found
            keep = max(start, found.start() if found else len(self.data) - _OVERLAP)
            while keep > start and self.data[keep : keep + 1] and self.data[keep] & 0xC0 == 0x80:
                keep -= 1  # not inside a character
            self.more(keep)
            start = 0
