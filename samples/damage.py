"""Damage as real logs have it, done to good ones: overwritten records, a cut, a size of zero, a broken chunk magic."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

from samples.chunk import CHUNK_HEADER_SIZE, CHUNK_SIZE, FILE_HEADER_SIZE


def apply(content: bytes, step: Mapping[str, Any]) -> bytes:
    """The content with one step of damage: `do` names it, the rest are its arguments (chunks and records from 0)."""
    arguments = {name: value for name, value in step.items() if name != "do"}
    return _STEPS[step["do"]](content, **arguments)


def overwrite_records(content: bytes, chunk: int, records: list[int]) -> bytes:
    """Fill the BinXML of these records with 0xEE; their headers and lengths stay, so the ones behind can be found."""
    out = bytearray(content)
    for record in records:
        offset, size = _record(content, chunk, record)
        out[offset + 24 : offset + size - 4] = b"\xee" * (size - 28)
    return bytes(out)


def zero_size(content: bytes, chunk: int, record: int) -> bytes:
    """Set a record's size, at its head, to zero: a reader that trusts it never gets past it."""
    out = bytearray(content)
    struct.pack_into("<I", out, _record(content, chunk, record)[0] + 4, 0)
    return bytes(out)


def bad_magic(content: bytes, chunk: int) -> bytes:
    """Overwrite the chunk's magic, as a torn write does."""
    out = bytearray(content)
    offset = FILE_HEADER_SIZE + chunk * CHUNK_SIZE
    out[offset : offset + 8] = b"\xde\xad\xbe\xef" * 2
    return bytes(out)


def cut(content: bytes, chunk: int, record: int) -> bytes:
    """End the file in the middle of a record."""
    offset, size = _record(content, chunk, record)
    return content[: offset + size // 2]


def _record(content: bytes, chunk: int, record: int) -> tuple[int, int]:
    """Offset in the file and size of a record."""
    offset = FILE_HEADER_SIZE + chunk * CHUNK_SIZE + CHUNK_HEADER_SIZE
    for _ in range(record):
        offset += int(struct.unpack_from("<I", content, offset + 4)[0])
    return offset, int(struct.unpack_from("<I", content, offset + 4)[0])


_STEPS: dict[str, Callable[..., bytes]] = {
    "overwrite_records": overwrite_records,
    "zero_size": zero_size,
    "bad_magic": bad_magic,
    "cut": cut,
}
