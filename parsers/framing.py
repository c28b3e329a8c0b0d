"""Record frames of many chunks at once; the same frames as `records` finds one by one.

Chunks that hold together (magic, checksums, records from the header to the free space without a break) are framed by a
few numpy operations over all of them. Every other chunk goes through `records`, which says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hunt import native
from hunt.checksums import crc32

from . import records

U8 = npt.NDArray[np.uint8]
U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_NO_CHECKSUMS = 4  # chunk flag
_TURNS = 16


@dataclass(frozen=True, slots=True)
class Frames:
    """Records of a batch of chunks in ascending order; offsets in bytes from the start of the batch."""

    offset: I64
    size: I64
    number: U64


def parts(count: int, size: int) -> Iterator[slice]:
    """So many at a time that what is made on the way stays in the processor's cache."""
    return (slice(begin, min(begin + size, count)) for begin in range(0, count, size))


def loads(data: U8, code: str) -> npt.NDArray[Any]:
    """Unaligned little-endian numbers: element i is the number that begins at byte i."""
    width = np.dtype(code).itemsize
    return np.ndarray((data.size - width + 1,), code, buffer=data.data, strides=(1,))


def rows(data: U8, at: npt.NDArray[np.integer[Any]], width: int) -> U8:
    """So many bytes from each place, one row each: many times faster than number by number.

    Places must lie so that the whole width is inside the data.
    """
    if not width or not at.size:
        return np.empty((at.size, width), np.uint8)
    items = np.ndarray((data.size - width + 1,), f"V{width}", buffer=data.data, strides=(1,))[at]
    found: U8 = items.view(np.uint8).reshape(-1, width)
    return found


def equal(data: U8, at: I64, raw: bytes) -> Mask:
    """At which of the places these bytes stand; all of them must fit in the data."""
    if not raw:
        return np.ones(at.size, bool)
    found, wanted = rows(data, at, len(raw)), np.frombuffer(raw, np.uint8)
    if len(raw) % 4 == 0:  # in fewer, larger numbers
        found, wanted = found.view(np.uint32), wanted.view(np.uint32)
    same = found == wanted
    right: Mask = np.ones(at.size, bool) if same.all() else same.all(axis=1)
    return right


def sound(data: U8, used: Sequence[int]) -> Mask:
    """Which of the chunks in `data` can be framed at once: right magic and checksums, a sane header.

    `data`: chunks of 65,536 bytes side by side; `used`: how many bytes of each the file really holds.
    """
    chunks = data.reshape(-1, records.CHUNK)
    words = chunks[:, : records.CHUNK_HEADER].view("<u4")
    free, flags = words[:, 12], words[:, 30]  # bytes 48 and 120 of the header
    good: Mask = (chunks[:, :8] == np.frombuffer(records.CHUNK_MAGIC, np.uint8)).all(axis=1)
    good &= (free >= records.CHUNK_HEADER) & (free <= records.CHUNK)
    good &= np.asarray(used) == records.CHUNK
    told = np.flatnonzero(good & (flags & _NO_CHECKSUMS == 0))
    view = data.data
    for index, end, header, body in zip(told.tolist(), *words[told][:, [12, 31, 13]].T.tolist(), strict=True):
        begin = index * records.CHUNK
        first = begin + records.CHUNK_HEADER
        right = crc32(view[begin + 128 : first], crc32(view[begin : begin + 120])) == header
        good[index] = right and crc32(view[first : begin + end]) == body
    return good


def frames(data: U8, good: Mask) -> tuple[Frames, Mask]:
    """The frames of the good chunks that hold together, and which chunks those are."""
    if not native.kernels:
        return _frames(data, good)
    whole = good.copy()
    count = native.kernels.chains(data, whole)
    found = Frames(np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count, np.uint64))
    native.kernels.frames(data, whole, found.offset, found.size, found.number)
    return found, whole


def _frames(data: U8, good: Mask) -> tuple[Frames, Mask]:
    # Windows aligns records to 8 bytes; a chunk whose records are not falls through the checks below.
    words = data.view("<u4")
    at = np.flatnonzero(words[::2] == 0x2A2A).astype(np.int64) * 8
    chunk, inside = at >> 16, at & (records.CHUNK - 1)
    free = words.reshape(-1, records.CHUNK // 4)[:, 12].astype(np.int64)
    keep = good[chunk] & (inside >= records.CHUNK_HEADER) & (inside + records.RECORD_MIN <= free[chunk])
    at, chunk = at[keep], chunk[keep]
    size = words[(at >> 2) + 1].astype(np.int64)

    at, chunk, size = _reached(data.size, at, chunk, size)
    after = (at & (records.CHUNK - 1)) + size
    last = np.ones(at.size, bool)
    last[:-1] = chunk[1:] != chunk[:-1]
    linked = (size >= records.RECORD_MIN) & (~last | (after == free[chunk]))
    whole = np.zeros(good.size, bool)
    whole[chunk] = True  # of those with a record at the header's end; the others are left to `records`
    whole[chunk[~linked]] = False
    # A header that counts more records than it leaves room for is no word to go by.
    counted = _u64(words.reshape(-1, records.CHUNK // 4)[:, 8:10])
    number = _u64(np.stack([words[(at >> 2) + 2], words[(at >> 2) + 3]], axis=1))
    whole[chunk[last & (number < counted[chunk])]] = False
    kept = whole[chunk]
    return Frames(at[kept], size[kept], number[kept]), whole


def _u64(halves: npt.NDArray[np.uint32]) -> U64:
    """Pairs of words as one number each."""
    number: U64 = halves[:, 0].astype(np.uint64) | halves[:, 1].astype(np.uint64) << np.uint64(32)
    return number


def _reached(end: int, at: I64, chunk: I64, size: I64) -> tuple[I64, I64, I64]:
    """Of the places where a record's magic stands, those that records lead to from the chunk's header on.

    The magic may stand in a value, too. A place that no other one ends at is none of a record; those that only such
    places lead to fall in the next turn; real chunks need two or three.
    """
    ends = np.zeros(end // 8 + 1, bool)
    for _ in range(_TURNS):
        inside = at & (records.CHUNK - 1)
        fits = (size >= records.RECORD_MIN) & (size <= records.CHUNK - inside) & (size & 7 == 0)
        ends[:] = False
        ends[(at + size)[fits] >> 3] = True
        keep = fits & ((inside == records.CHUNK_HEADER) | (ends[at >> 3] & (inside > records.CHUNK_HEADER)))
        if keep.all():
            return at, chunk, size
        at, chunk, size = at[keep], chunk[keep], size[keep]
    return at, chunk, np.zeros_like(size)  # made to mislead: no chunk of this batch is framed here
