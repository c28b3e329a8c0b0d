"""An EVTX file in the making: chunks of 64 KiB, each with its records, name and template tables and checksums."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence

from samples.binxml import NAME_BUCKETS, TEMPLATE_BUCKETS, Layout, Table, Writer

FILE_HEADER_SIZE = 4096
CHUNK_SIZE = 0x10000
CHUNK_HEADER_SIZE = 512  # 128 bytes of header, 64 name buckets and 32 template buckets of 4 bytes
RECORD_MAGIC = 0x2A2A
RECORD_OVERHEAD = 28  # magic, size, number, FILETIME; the size again at the end

Body = Callable[[Writer], None]


class Chunk:
    """Takes records until one doesn't fit."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._out = bytearray(CHUNK_HEADER_SIZE)
        self._names = Table([0] * NAME_BUCKETS)
        self._templates = Table([0] * TEMPLATE_BUCKETS)
        self._ids: list[int] = []
        self._last = 0

    def __len__(self) -> int:
        return len(self._ids)

    def append(self, record_id: int, filetime: int, body: Body) -> bool:
        """Write a record, or change nothing and return False when the chunk has no room left for it."""
        names, templates, start = self._names.copy(), self._templates.copy(), len(self._out)
        self._out += bytes(RECORD_OVERHEAD - 4)
        body(Writer(self._out, self._names, self._templates, self._layout))
        self._out += bytes(-(len(self._out) + 4 - start) % 8)  # Windows keeps records on 8-byte boundaries
        size = len(self._out) + 4 - start
        if start + size > CHUNK_SIZE:
            del self._out[start:]
            self._names, self._templates = names, templates
            return False
        self._out += struct.pack("<I", size)
        struct.pack_into("<IIQQ", self._out, start, RECORD_MAGIC, size, record_id, filetime)
        self._ids.append(record_id)
        self._last = start
        return True

    def finish(self, first_number: int) -> bytes:
        """The chunk's 65,536 bytes. `first_number`: the place of its first record in the file, counted from 1."""
        free = len(self._out)
        chunk = self._out + bytes(CHUNK_SIZE - free)
        numbers = (first_number, first_number + len(self) - 1, self._ids[0], self._ids[-1])
        data_checksum = zlib.crc32(chunk[CHUNK_HEADER_SIZE:free])
        struct.pack_into("<8s4Q4I", chunk, 0, b"ElfChnk", *numbers, 128, self._last, free, data_checksum)
        struct.pack_into("<I", chunk, 120, 1)  # as in every real chunk; undocumented
        struct.pack_into(f"<{NAME_BUCKETS}I", chunk, 128, *self._names.heads)
        struct.pack_into(f"<{TEMPLATE_BUCKETS}I", chunk, 384, *self._templates.heads)
        struct.pack_into("<I", chunk, 124, zlib.crc32(chunk[:120] + chunk[128:CHUNK_HEADER_SIZE]))
        return bytes(chunk)


def write_file(records: Sequence[tuple[int, int, Body]], layout: Layout) -> bytes:
    """A whole EVTX file from (record id, FILETIME, body). Raises ValueError for a record too large for any chunk."""
    chunks: list[Chunk] = [Chunk(layout)]
    for record_id, filetime, body in records:
        if chunks[-1].append(record_id, filetime, body):
            continue
        chunks.append(Chunk(layout))
        if not chunks[-1].append(record_id, filetime, body):
            room = CHUNK_SIZE - CHUNK_HEADER_SIZE
            raise ValueError(f"record {record_id} does not fit a chunk, which holds {room} bytes of records")
    return _join([chunk for chunk in chunks if len(chunk)], len(records))


def _join(chunks: Sequence[Chunk], count: int) -> bytes:
    header = bytearray(FILE_HEADER_SIZE)
    struct.pack_into("<8s3Q", header, 0, b"ElfFile", 0, len(chunks) - 1, count + 1)  # first, last chunk; next record
    struct.pack_into("<I4H", header, 32, 128, 1, 3, FILE_HEADER_SIZE, len(chunks))  # version 3.1
    struct.pack_into("<I", header, 124, zlib.crc32(header[:120]))
    parts, number = [bytes(header)], 1
    for chunk in chunks:
        parts.append(chunk.finish(number))
        number += len(chunk)
    return b"".join(parts)
