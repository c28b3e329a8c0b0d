"""Where the records of an EVTX file stand: file header, chunks, record frames. Contents are not looked at.

Layout ([MS-EVEN6] and libyal's "Windows XML Event Log (EVTX) format"): a 4096-byte file header, then chunks of 65,536
bytes, each with a 512-byte header. A record: u32 0x00002a2a, u32 size, u64 number, FILETIME, BinXML, u32 size again.
Sizes and offsets come from the evidence: nothing is read outside its chunk, whatever they say.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from hunt.checksums import crc32
from hunt.model import Problem

FILE_HEADER = 4096
CHUNK = 65536
CHUNK_HEADER = 512
FILE_MAGIC = b"ElfFile\0"
CHUNK_MAGIC = b"ElfChnk\0"
RECORD_MAGIC = b"\x2a\x2a\0\0"
RECORD_HEADER = 24
RECORD_MIN = RECORD_HEADER + 4  # the size stands again at the end


@dataclass(frozen=True, slots=True)
class Frame:
    """One record as its header tells it; offsets in bytes from the start of the chunk."""

    offset: int
    size: int
    number: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes between records where at least one record should stand; `numbers` as far as its neighbours tell."""

    offset: int
    size: int
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk slot: `data` is shorter than 65,536 bytes only where the file ends in it."""

    number: int
    offset: int  # in the file
    data: bytes
    damage: str | None  # what is wrong with it as a whole
    frames: tuple[Frame, ...]
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True)
class FileHeader:
    """What the file header says. `chunks` is a claim: logs that were not closed hold more."""

    chunks: int
    dirty: bool
    damage: str | None


def accepts(head: bytes) -> bool:
    """Whether a file begins as an EVTX log does; one whose file header alone is damaged counts."""
    return head.startswith(FILE_MAGIC) or head[FILE_HEADER : FILE_HEADER + 8] == CHUNK_MAGIC


def file_header(head: bytes) -> FileHeader:
    """Read the file header; never raises: what is wrong with it is said in `damage`."""
    if len(head) < FILE_HEADER:
        return FileHeader(0, False, f"the file ends in its header: {len(head)} of {FILE_HEADER} bytes")
    if not head.startswith(FILE_MAGIC):
        return FileHeader(0, False, "bad magic in the file header")
    chunks = struct.unpack_from("<H", head, 42)[0]
    flags, checksum = struct.unpack_from("<II", head, 120)
    # Flag 4: written without checksums.
    damage = None if flags & 4 or checksum == crc32(head[:120]) else "file header checksum is wrong"
    return FileHeader(chunks, bool(flags & 1), damage)


def chunks(log: BinaryIO, header: FileHeader) -> Iterator[Chunk]:
    """Every chunk that holds anything, to the end of the file: a log that was not closed counts too few."""
    log.seek(FILE_HEADER)
    number = 0
    while data := log.read(CHUNK):
        found = chunk(number, data, header)
        if found:
            yield found
        number += 1
    if number < header.chunks:
        yield missing(number, header)


def chunk(number: int, data: bytes, header: FileHeader) -> Chunk | None:
    """One chunk slot; None if it is empty and the header does not count it."""
    if data != bytes(len(data)):
        return _chunk(number, data)
    if number < header.chunks:
        return Chunk(number, _at(number), data, "no data where the file header counts a chunk", (), ())
    return None


def missing(number: int, header: FileHeader) -> Chunk:
    """What stands for the chunks from `number` on, which the header counts and the file does not hold."""
    reason = f"the file ends before chunk {number}: its header counts {header.chunks}"
    return Chunk(number, _at(number), b"", reason, (), ())


def problems(source: str, found: Chunk) -> Iterator[Problem]:
    """What is wrong with a chunk, and each record that is known to have stood where none can be read."""
    if found.damage:
        yield Problem(source, "chunk", f"chunk {found.number}: {found.damage}", offset=found.offset)
    for gap in found.gaps:
        at = found.offset + gap.offset
        lost = f"chunk {found.number}: {gap.size} bytes hold no record that can be read"
        if not gap.numbers:
            yield Problem(source, "chunk", lost, offset=at, size=gap.size)
        for number in gap.numbers:  # the bytes are told once
            size = gap.size if number == gap.numbers[0] else None
            yield Problem(source, "record", lost, offset=at, record_id=number, size=size)


def _at(number: int) -> int:
    return FILE_HEADER + number * CHUNK


def _chunk(number: int, data: bytes) -> Chunk:
    damage, bounds = _chunk_header(data)
    frames, gaps = _walk(data, bounds)
    return Chunk(number, _at(number), data, damage, frames, gaps)


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What a chunk's header says of its records; without a header that can be believed, no numbers."""

    end: int = CHUNK  # where the records end, in the chunk
    first: int | None = None
    last: int | None = None


def _chunk_header(data: bytes) -> tuple[str | None, _Bounds]:
    """(what is wrong with the chunk, what its header says)."""
    short = f"the file ends in a chunk: {len(data)} of {CHUNK} bytes" if len(data) < CHUNK else None
    if len(data) < CHUNK_HEADER:
        return short, _Bounds()
    if not data.startswith(CHUNK_MAGIC):
        return "bad chunk magic; the records that still stand in it are read", _Bounds()
    first, last, free = struct.unpack_from("<24xQQ8xI", data)
    if not CHUNK_HEADER <= free <= CHUNK:
        return f"chunk header says that its records end at {free}", _Bounds()
    return short or _checksums(data, free), _Bounds(free, first, last)


def _checksums(data: bytes, free: int) -> str | None:
    flags, header_sum = struct.unpack_from("<II", data, 120)
    if flags & 4:  # written without checksums
        return None
    if header_sum != crc32(data[128:CHUNK_HEADER], crc32(data[:120])):
        return "chunk header checksum is wrong"
    if struct.unpack_from("<I", data, 52)[0] != crc32(data[CHUNK_HEADER:free]):
        return "checksum of the chunk's records is wrong"
    return None


def _walk(data: bytes, bounds: _Bounds) -> tuple[tuple[Frame, ...], tuple[Gap, ...]]:
    """Frames one after the other; where one does not follow, the next that does, and a gap between them."""
    frames: list[Frame] = []
    gaps: list[Gap] = []
    end = min(bounds.end, len(data))
    at, expected = CHUNK_HEADER, bounds.first
    while at + RECORD_MIN <= end:
        frame = _frame(data, at, end) or _next_frame(data, at + 1, end)
        if frame is None:
            break
        if frame.offset > at:
            gaps.append(_gap(at, frame.offset, expected, frame.number))
        frames.append(frame)
        at, expected = frame.offset + frame.size, frame.number + 1
    if bounds.last is not None and at + RECORD_MIN <= bounds.end:
        gaps.append(_gap(at, bounds.end, expected, bounds.last + 1))
    elif bounds.last is not None and expected is not None and expected <= bounds.last and bounds.end < CHUNK:
        # The header counts more records than it leaves room for: they may stand behind the end that it names.
        return _walk(data, _Bounds(CHUNK, bounds.first, bounds.last))
    return tuple(frames), tuple(gaps)


def slack(data: bytes, at: int) -> Iterator[Frame]:
    """Whole records that still stand behind the last live one: from before the chunk was used again."""
    while (at := data.find(RECORD_MAGIC, at)) >= 0:
        frame = _frame(data, at, len(data))
        if frame and data[at + frame.size - 4 : at + frame.size] == struct.pack("<I", frame.size):
            yield frame
            at += frame.size
        else:
            at += 1


def frame_at(data: bytes, at: int) -> Frame | None:
    """The record at `at` of a chunk; None if none stands there."""
    return _frame(data, at, len(data))


def _frame(data: bytes, at: int, end: int) -> Frame | None:
    """The record at `at`, if its header holds together."""
    if at + RECORD_MIN > end or data[at : at + 4] != RECORD_MAGIC:
        return None
    size, number = struct.unpack_from("<IQ", data, at + 4)
    if not RECORD_MIN <= size <= end - at:
        return None
    after = at + size
    again = struct.unpack_from("<I", data, after - 4)[0]
    if again == size or after == end or data[after : after + 4] == RECORD_MAGIC:
        return Frame(at, size, number)
    return None


def _next_frame(data: bytes, at: int, end: int) -> Frame | None:
    while (at := data.find(RECORD_MAGIC, at, end)) >= 0:
        frame = _frame(data, at, end)
        if frame:
            return frame
        at += 1
    return None


def _gap(start: int, end: int, expected: int | None, following: int) -> Gap:
    """Numbers are believed only if that many records fit into the bytes they would have stood in."""
    if expected is not None and 0 < following - expected <= max(1, (end - start) // RECORD_MIN):
        return Gap(start, end - start, tuple(range(expected, following)))
    return Gap(start, end - start, ())
