"""One file, compressed: gzip, bzip2, xz, Zstandard. What is inside has no name of its own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from hunt.model import Member, Opening, Problem
from hunt.streams import blocks, exactly, stream

_ZSTD_SKIPPABLE = tuple(bytes([n, 0x2A, 0x4D, 0x18]) for n in range(0x50, 0x60))  # RFC 8878, 3.1.2
_INPUT = 1 << 15  # bytes; see `decoded_all`


class Compressed:
    """See `hunt.model.StreamContainer`."""

    name = "compressed"

    def accepts(self, head: bytes) -> bool:
        return _codec(head) is not None

    def members(self, path: Path, opening: Opening) -> Iterator[Member | Problem]:
        with path.open("rb", buffering=0) as file:
            yield from self.unpack(file, opening)

    def unpack(self, stream_: BinaryIO, opening: Opening) -> Iterator[Member | Problem]:
        from . import _codecs

        head = exactly(stream_, 16)
        codec = getattr(_codecs, _codec(head) or "")

        def source() -> Iterator[bytes]:
            yield head
            yield from blocks(stream_, most=_INPUT)

        meter = opening.budget.meter()
        yield Member("", None, _modified(head), lambda: stream(_codecs.decoded_all(source(), codec, meter)))


def _codec(head: bytes) -> str | None:
    """The name of a function of `_codecs`."""
    if head[:3] == b"\x1f\x8b\x08":
        return "gzip"
    if head[:3] == b"BZh" and head[4:10] in (b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90"):
        return "bzip2"  # a block, or the end of an empty stream
    if head[:6] == b"\xfd7zXZ\0":
        return "xz"
    if head[:4] == b"\x28\xb5\x2f\xfd" or head[:4] in _ZSTD_SKIPPABLE:
        return "zstandard"
    return None


def _modified(head: bytes) -> datetime | None:
    """gzip says when (RFC 1952, MTIME); 0 means it does not."""
    seconds = int.from_bytes(head[4:8], "little") if head[:2] == b"\x1f\x8b" else 0
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


CONTAINER = Compressed()
