"""tar, as it comes: POSIX (ustar, pax), GNU and the old one; damaged headers are passed over and what follows is read.

The standard library's reader ends without a word at the first damaged header; this one says so and looks for the next.
Format: POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from hunt.model import Member, Opening, Problem
from hunt.streams import BLOCK, exactly, stream
from hunt.streams import blocks as blocks_of

_BLOCK = 512
_LONGEST = 1 << 20  # bytes of a long name or a pax header: far more than paths may have
# Links, devices, folders, pipes; GNU's folders, parts of files, labels. What is not known is a file, by POSIX.
_NO_FILES = b"123456DMV"
_ASCII = bytes(range(128))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Tar:
    """See `hunt.model.StreamContainer`."""

    name = "tar"

    def accepts(self, head: bytes) -> bool:
        # The magic alone: a first header that is damaged.
        return _header(head[:_BLOCK]) is not None or (head[257:262] == b"ustar" and len(head) >= _BLOCK)

    def members(self, path: Path, opening: Opening) -> Iterator[Member | Problem]:
        with path.open("rb") as file:
            yield from _Reading(file, path.stat().st_size).members()

    def unpack(self, stream: BinaryIO, opening: Opening) -> Iterator[Member | Problem]:
        return _Reading(stream).members()


@dataclass(frozen=True, slots=True)
class _Header:
    name: str
    size: int  # bytes
    kind: bytes
    modified: datetime | None
    sparse: bool = False


class _Reading:
    def __init__(self, tar: BinaryIO, size: int | None = None) -> None:
        """`size` (bytes) of a file, in which members can be leapt over."""
        self._tar = tar
        self._size = size
        self._place = 0  # bytes into the archive
        self._left = 0  # bytes of the member that are not read yet
        self._pad = 0

    def members(self) -> Iterator[Member | Problem]:
        special: dict[str, str] = {}
        ended = lost = False
        while block := exactly(self._tar, _BLOCK):
            at, self._place = self._place, self._place + len(block)
            header = _header(block)
            if header is None:
                # After zeros comes the end, or another archive that was appended.
                if not block.strip(b"\0"):
                    ended = True
                elif not (ended or lost):
                    lost = True
                    yield Problem("", "file", "a damaged header: what follows is searched for the next", offset=at)
                continue
            ended = lost = False
            self._left, self._pad = header.size, -header.size % _BLOCK
            if header.kind in (b"L", b"K", b"x", b"X", b"g"):
                if header.size > _LONGEST:
                    yield Problem("", "file", f"a header of {header.size} bytes is passed over", offset=at)
                else:
                    special |= _special(header.kind, exactly(self._tar, header.size))
                    self._place += header.size
                    self._left = 0
            else:
                yield from self._member(_renamed(header, special))
                special = {}
            if not self._skip():
                yield Problem("", "file", "is cut: its last member ends early", offset=self._place)
                return
        if not ended:
            yield Problem("", "file", "ends without the mark of its end: it may be cut", offset=self._place)

    def _member(self, header: _Header) -> Iterator[Member | Problem]:
        # A pax header may have said another size.
        self._left, self._pad = header.size, -header.size % _BLOCK
        if header.sparse:
            yield Problem(header.name, "file", "is stored as a sparse file, which can't be read")
        elif header.kind not in _NO_FILES and (header.size or not header.name.endswith("/")):
            yield Member(header.name, header.size, header.modified, lambda: stream(self._content()))
        elif header.name.lower().endswith(".evtx") and header.kind != b"5":
            yield Problem(header.name, "file", "is no file that can be read")

    def _content(self) -> Iterator[bytes]:
        for block in blocks_of(self._tar, self._left):
            self._left -= len(block)
            self._place += len(block)
            yield block

    def _skip(self) -> bool:
        """To the next header; False if the archive ends before."""
        rest = self._left + self._pad
        if self._size is not None and self._place + rest <= self._size:
            self._place = self._tar.seek(self._place + rest)
            return True
        while rest:
            block = self._tar.read(min(rest, BLOCK))
            if not block:
                return rest <= self._pad and not self._left
            rest -= len(block)
            self._place += len(block)
        return True


def _header(block: bytes) -> _Header | None:
    """A header block whose checksum holds."""
    if len(block) < _BLOCK:
        return None
    said = _number(block[148:156])
    # The checksum is reckoned as if its own field held blanks; some old programs took bytes as signed.
    unsigned = sum(block) - sum(block[148:156]) + 8 * 0x20
    if said is None or said not in (unsigned, unsigned - 256 * len(block.translate(None, _ASCII))):
        return None
    size = _number(block[124:136])
    if size is None or size < 0:
        return None
    name, kind = _text(block[:100]), block[156:157]
    if block[257:263] == b"ustar\0" and block[345]:
        name = f"{_text(block[345:500])}/{name}"
    if kind in b"123456":  # links, devices, folders, pipes have no content, whatever size they say
        size = 0
    return _Header(name, size, kind, _time(_number(block[136:148])), sparse=kind == b"S")


def _number(field: bytes) -> int | None:
    """Octal digits, or GNU's base 256."""
    if field[0] in (0x80, 0xFF):
        return int.from_bytes(field[1:], "big") - (256 ** (len(field) - 1) if field[0] == 0xFF else 0)
    digits = field.strip(b"\0 ")
    if not digits:
        return 0
    return int(digits, 8) if digits.isdigit() and not set(digits) & set(b"89") else None


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "backslashreplace")


def _time(seconds: float | None) -> datetime | None:
    try:
        return None if seconds is None else _EPOCH + timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        return None


def _special(kind: bytes, data: bytes) -> dict[str, str]:
    """What a header before a header says of the next member."""
    if kind == b"L":
        return {"path": _text(data)}
    return dict(_records(data)) if kind in (b"x", b"X") else {}


def _records(data: bytes) -> Iterator[tuple[str, str]]:
    """pax records: `LENGTH KEY=VALUE\\n`, the length of all of it; ends at the first that is not."""
    while data:
        digits, _, _ = data.partition(b" ")
        if not digits.isdigit() or len(digits) > 7 or not len(digits) + 2 < int(digits) <= len(data):
            return
        record, data = data[len(digits) + 1 : int(digits) - 1], data[int(digits) :]
        key, _, value = record.decode("utf-8", "backslashreplace").partition("=")
        yield key, value


def _renamed(header: _Header, special: dict[str, str]) -> _Header:
    name = special.get("GNU.sparse.name") or special.get("path") or header.name
    size = special.get("size", "")
    seconds = special.get("mtime", "")
    return _Header(
        name,
        int(size)
        if size.isascii() and size.isdigit() and len(size) < 20 and header.kind not in _NO_FILES
        else header.size,
        header.kind,
        (_time(float(seconds)) if _is_number(seconds) else None) or header.modified,
        header.sparse or any(key.startswith("GNU.sparse.") for key in special),
    )


def _is_number(text: str) -> bool:
    return text.isascii() and text.replace(".", "", 1).removeprefix("-").isdigit()


CONTAINER = Tar()
