"""Where chunks and records of event logs begin in raw data, at any byte: images, page files, memory, free space.

A magic alone is not believed: a chunk's header has to carry its own checksum, a record its size at both ends and the
head of BinXML. What is searched is read once, in windows that overlap by as much as a chunk or a record can be long.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from hunt.checksums import crc32

from . import records
from .framing import I64, U8, loads

WINDOW = 32 << 20  # bytes
REACH = records.CHUNK  # bytes by which windows overlap; no record is longer than a chunk either
_BLOCK = 1 << 20  # bytes read at a time; what can't be read is left out in blocks of this size
_SEARCHED = 4 << 20  # bytes searched for records at a time: what is found may be much, if it was made to be
_MOST_BAD = 10_000  # blocks; a disk that fails more often is not read on

_CHUNK_WORD = int.from_bytes(records.CHUNK_MAGIC, "little")
_RECORD_WORD = int.from_bytes(records.RECORD_MAGIC, "little")
_FRAGMENT_WORD = 0x0001010F  # BinXML 1.1, no flags: how the service begins every record
_HEADER_SIZE = 128  # of a chunk, as its header itself says
_NO_CHECKSUMS = 4  # chunk flag


@dataclass(frozen=True, slots=True)
class Window:
    """A part of raw data: things that begin in its first `own` bytes are its, the rest is the next one's."""

    start: int  # offset of `data` in the file
    data: bytearray
    own: int
    bad: tuple[tuple[int, int, str], ...]  # (offset, bytes, reason) of what could not be read; zeros stand there


@dataclass(frozen=True, slots=True)
class Head:
    """A chunk's header that holds together. `whole`: so do its records."""

    at: int  # in the window
    free: int  # bytes from `at` to the end of its records
    whole: bool


# What a file begins with whose contents are packed: of it, nothing would be found, and that would look like innocence.
# Sources: libewf's and libyal's format descriptions; RFC 1952, 8878; PKWARE's APPNOTE; AVML's README.
_PACKED = (
    (b"EVF\x09\x0d\x0a\xff\x00", "E01 image"),
    (b"EVF2\x0d\x0a\x81\x00", "Ex01 image"),
    (b"LVF\x09\x0d\x0a\xff\x00", "L01 image"),
    (b"AFF10\r\n", "AFF image"),
    (b"AVML", "AVML memory image"),
    *((magic, "hibernation file") for magic in (b"HIBR", b"hibr", b"WAKE", b"wake", b"RSTR")),
    (b"\x1f\x8b\x08", "gzip"),
    (b"PK\x03\x04", "zip"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"BZh", "bzip2"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
)


def compressed(head: bytes) -> str | None:
    """What packs a file that begins so, if it is packed."""
    return next((name for magic, name in _PACKED if head.startswith(magic)), None)


def windows(file: BinaryIO, size: int) -> Iterator[Window]:
    """All of a file of `size` bytes. Raises OSError if hardly anything of it can be read."""
    start, kept = 0, b""
    failed = 0
    while start < size:
        data = bytearray(kept)
        bad: list[tuple[int, int, str]] = []
        while len(data) < WINDOW + REACH and start + len(data) < size:
            block = _block(file, start + len(data), min(_BLOCK, size - start - len(data), WINDOW + REACH - len(data)))
            if isinstance(block, OSError):
                failed += 1
                if failed > _MOST_BAD:
                    raise block
                missing = min(_BLOCK, size - start - len(data), WINDOW + REACH - len(data))
                bad.append((start + len(data), missing, str(block.strerror or block)))
                block = bytes(missing)
            if not block:
                size = start + len(data)  # shorter than it was said to be
            data += block
        own = len(data) if start + len(data) >= size else WINDOW
        yield Window(start, data, own, tuple(bad))
        start, kept = start + own, bytes(data[own:])


def _block(file: BinaryIO, at: int, size: int) -> bytes | OSError:
    try:
        file.seek(at)
        return file.read(size)
    except OSError as error:
        return error


def chunks(window: Window) -> list[Head]:
    """Every chunk header in the window, ascending; those behind its own part as well."""
    data = window.data
    if data.find(records.CHUNK_MAGIC[:-1]) < 0:
        return []
    raw = np.frombuffer(data, np.uint8)
    if raw.size < records.CHUNK_HEADER:
        return []
    at = np.flatnonzero(loads(raw, "<u8") == _CHUNK_WORD).astype(np.int64)
    at = at[at + records.CHUNK_HEADER <= raw.size]
    words = loads(raw, "<u4")
    free = words[at + 48].astype(np.int64)
    # One without a single record holds nothing to carve.
    likely = (words[at + 40] == _HEADER_SIZE) & (free <= records.CHUNK)
    likely &= free >= records.CHUNK_HEADER + records.RECORD_MIN
    found = zip(at[likely].tolist(), free[likely].tolist(), strict=True)
    heads = (_head(memoryview(data), place, end) for place, end in found)
    return [head for head in heads if head]


def _head(data: memoryview, at: int, free: int) -> Head | None:
    flags, header_sum = struct.unpack_from("<II", data, at + 120)
    inside = at + free <= len(data)
    if flags & _NO_CHECKSUMS:
        return Head(at, free, inside)
    if header_sum != crc32(data[at + 128 : at + records.CHUNK_HEADER], crc32(data[at : at + 120])):
        return None
    body: int = struct.unpack_from("<I", data, at + 52)[0]
    return Head(at, free, inside and body == crc32(data[at + records.CHUNK_HEADER : at + free]))


def singles(window: Window) -> tuple[I64, I64]:
    """(places, sizes) of whatever looks like a record and begins in the window's own part, ascending."""
    raw = np.frombuffer(window.data, np.uint8)
    parts = [
        _singles(raw, begin, min(begin + _SEARCHED, window.own)) for begin in range(0, window.own, _SEARCHED)
    ]  # fmt: skip
    none = np.empty(0, np.int64)
    return np.concatenate([none, *(at for at, _ in parts)]), np.concatenate([none, *(size for _, size in parts)])


def _singles(raw: U8, begin: int, end: int) -> tuple[I64, I64]:
    # One byte first: comparing at every place the four bytes that begin there takes twice as long.
    at = np.flatnonzero(raw[begin:end] == 0x2A).astype(np.int64) + begin
    at = at[at + records.RECORD_MIN + 4 <= raw.size]
    words = loads(raw, "<u4") if raw.size >= 4 else np.empty(0, np.uint32)
    at = at[words[at] == _RECORD_WORD]
    at = at[words[at + records.RECORD_HEADER] == _FRAGMENT_WORD]
    size = words[at + 4].astype(np.int64)
    fits = (size >= records.RECORD_MIN + 4) & (size <= records.CHUNK - records.CHUNK_HEADER) & (at + size <= raw.size)
    at, size = at[fits], size[fits]
    again = words[at + size - 4] == size
    return at[again], size[again]
