"""Texts of many records as string views: 16 bytes a value that point into shared buffers.

An ASCII text in UTF-16 is every other byte of it, so the even and the odd bytes of a batch, side by side in one buffer,
hold all such texts of the batch without copying any of them one by one. What is not ASCII goes through `Notes`.

View layout: Arrow columnar format, "Variable-size Binary View Layout": u32 length, then up to 12 bytes in place, or
four bytes of prefix, u32 buffer, u32 offset.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from .framing import I64, U8, Mask, loads, rows

Views = npt.NDArray[np.uint64]  # shape (n, 2)

_BLOCK = 1 << 18  # bytes of each half that are worked on together
_PAD = 32  # bytes behind a buffer, so that loads of 8 bytes at its end stay inside
_IN_PLACE = 12
_ASCII = np.uint64(0x8080808080808080)
_SHIFT = np.uint64(32)

# By length: which bytes of the first 4 and of the next 8 are the text's.
_FIRST = np.array([(1 << 8 * min(n, 4)) - 1 for n in range(_IN_PLACE + 2)], np.uint64)
_NEXT = np.array([(1 << 8 * max(0, min(n - 4, 8))) - 1 for n in range(_IN_PLACE + 1)] + [2**64 - 1], np.uint64)
_LAST = np.array([max(0, 8 * (n - 1)) for n in range(9)], np.uint64)  # bits before the last of n bytes
_BYTES = np.array([(1 << 8 * n) - 1 if n < 8 else 2**64 - 1 for n in range(9)], np.uint64)


@dataclass(slots=True)
class Notes:
    """Texts that had to be made: each once, in a buffer of their own. Buffer 0 of every column."""

    buffer: bytearray = field(default_factory=bytearray)
    _views: dict[str, tuple[int, int]] = field(default_factory=dict)

    def view(self, text: str) -> tuple[int, int]:
        """The two words of the view of a text."""
        if text not in self._views:
            self._views[text] = self._make(text.encode("utf-8", "replace"))
        return self._views[text]

    def _make(self, raw: bytes) -> tuple[int, int]:
        size = len(raw)
        first = int.from_bytes(raw[:4], "little") << 32 | size
        if size <= _IN_PLACE:
            return first, int.from_bytes(raw[4:].ljust(8, b"\0"), "little")
        at = len(self.buffer)
        self.buffer += raw
        return first, at << 32

    def views(self, texts: Sequence[str]) -> Views:
        """The views of several texts, in order."""
        return np.array([self.view(text) for text in texts], np.uint64).reshape(-1, 2)


class Halves:
    """The even and the odd bytes of a batch, in which bit 7 marks what is no ASCII in UTF-16."""

    def __init__(self, data: U8) -> None:
        half = data.size // 2
        self.half = half
        self.buffer = np.empty(2 * half + _PAD, np.uint8)
        even, odd = self.buffer[:half], self.buffer[half : 2 * half]
        # The low bytes of all 16-bit numbers, then of those that begin at odd places.
        np.copyto(even, data.view("<u2"), casting="unsafe")
        np.copyto(odd[:-1], np.ndarray((half - 1,), "<u2", buffer=data.data, offset=1), casting="unsafe")
        odd[-1] = data[-1]
        self.buffer[2 * half :] = 0
        # Texts at even places have their high bytes in the odd half, those at odd ones in the even half, one further.
        # Block by block, so that what is made on the way stays in the processor's cache.
        strange = np.empty(2 * half // 8, bool)
        marks = np.empty((2, _BLOCK), np.uint8)
        for begin in range(0, half, _BLOCK):
            end = min(begin + _BLOCK, half)
            of_even, of_odd = marks[0, : end - begin], marks[1, : end - begin]
            np.not_equal(odd[begin:end], 0, out=of_even.view(bool))
            # Behind the even half stands the odd one: its first byte is no one's high byte, and no text is there.
            np.not_equal(self.buffer[begin + 1 : end + 1], 0, out=of_odd.view(bool))
            for mark, low, place in ((of_even, even, 0), (of_odd, odd, half)):
                high = mark.view("<u8")
                np.left_shift(high, np.uint64(7), out=high)
                # Marks go into the buffer when both were made: each half is the other's high bytes.
                mark |= low[begin:end]
                np.not_equal(high & _ASCII, 0, out=strange[(place + begin) // 8 : (place + end) // 8])
            even[begin:end], odd[begin:end] = of_even, of_odd
        self._strange = np.zeros(strange.size + 1, np.int32)
        np.cumsum(strange, out=self._strange[1:])

    def views(self, at: I64, length: I64, buffer: int) -> tuple[Views, Mask, U8]:
        """Views of the UTF-16 texts of `length` characters at `at`; which of them are ASCII, so that they hold; and
        the low bytes of their last characters."""
        low = (at >> 1) + (at & 1) * self.half
        views = rows(self.buffer, low, 16).view("<u8")
        clipped = np.minimum(length, _IN_PLACE + 1)
        front, back = views[:, 0].copy(), views[:, 1].copy()
        plain = (front & _BYTES[np.minimum(clipped, 8)] & _ASCII) == 0
        last = (front >> _LAST[np.minimum(clipped, 8)]).astype(np.uint8)
        long = np.flatnonzero(length > 8)
        if long.size:
            begin = low[long]
            end = begin + length[long]
            tail = loads(self.buffer, "<u8")[end - 8]
            middle = self._strange[end >> 3] - self._strange[np.minimum((begin + 7) >> 3, end >> 3)]
            plain[long] &= (tail & _ASCII == 0) & (middle == 0)
            last[long] = tail >> np.uint64(56)
        views[:, 0] = front & _FIRST[clipped]
        views[:, 0] <<= _SHIFT
        views[:, 0] |= length.astype(np.uint64)
        front >>= _SHIFT
        back <<= _SHIFT
        front |= back
        front &= _NEXT[clipped]
        outside = low.astype(np.uint64)
        outside <<= _SHIFT
        outside |= np.uint64(buffer)
        views[:, 1] = np.where(length <= _IN_PLACE, front, outside)
        return views, plain, last


_HEX = np.frombuffer("".join(f"{byte:02X}" for byte in range(256)).encode(), "<u2")
# {00000000-0000-0000-0000-000000000000}: three numbers, then bytes in their order; where the groups of digits begin.
_GUID_BYTES = np.array([3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15])
_GUID_GROUPS = ((1, 8), (10, 4), (15, 4), (20, 4), (25, 12))
_GUID_SIZE = 38


def guid_texts(data: U8, at: I64) -> U8:
    """GUIDs as Sysmon prints them: one row of 38 bytes each."""
    digits = np.take(_HEX, rows(data, at, 16)[:, _GUID_BYTES]).view(np.uint8)
    texts = np.empty((at.size, _GUID_SIZE), np.uint8)
    texts[:, [0, 9, 14, 19, 24, 37]] = np.frombuffer(b"{----}", np.uint8)
    begin = 0
    for place, count in _GUID_GROUPS:
        texts[:, place : place + count] = digits[:, begin : begin + count]
        begin += count
    return texts


def fixed_views(texts: U8, buffer: int, start: int) -> Views:
    """Views of rows of one width over 12 bytes, which stand at `start` of the buffer, one after the other."""
    count, width = texts.shape
    views = np.empty((count, 2), np.uint64)
    prefix = np.ascontiguousarray(texts[:, :4]).view("<u4")[:, 0].astype(np.uint64)
    views[:, 0] = np.uint64(width) | prefix << _SHIFT
    views[:, 1] = (
        np.uint64(buffer) | (np.arange(count, dtype=np.uint64) * np.uint64(width) + np.uint64(start)) << _SHIFT
    )
    return views


def series(name: str, views: Views, valid: Mask | None, buffers: Sequence[U8 | bytes]) -> pl.Series:
    """A String series over the views; the buffers are shared, not copied, and must not change."""
    validity = None if valid is None or valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
    shared = [pa.py_buffer(buffer) for buffer in buffers]
    array = pa.Array.from_buffers(
        pa.string_view(), len(views), [validity, pa.py_buffer(np.ascontiguousarray(views)), *shared]
    )
    return pl.Series(_Exported(array)).alias(name)


@dataclass(frozen=True, slots=True)
class _Exported:
    """An Arrow array by its C interface alone: the way Polars takes it without importing all of Arrow's functions."""

    array: pa.Array

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        exported: tuple[object, object] = self.array.__arrow_c_array__(requested_schema)
        return exported


def distinct(data: U8, at: I64, size: I64) -> tuple[I64, I64]:
    """Of the byte strings at `at` the distinct ones, as positions in `at`; and for each which of these it is."""
    padded = np.minimum(size, 8)
    words = loads(data, "<u8")
    last = words.size - 1
    front = words[np.minimum(at, last)] & _BYTES[padded]
    back = words[np.clip(at + size - 8, 0, last)]
    middle = words[np.clip(at + (size >> 1) - 4, 0, last)]
    long = size > 8
    mixed = front * _ODD[0] + np.where(long, back * _ODD[1] + middle * _ODD[2], 0) + size.astype(np.uint64) * _ODD[3]
    _, firsts, which = np.unique(mixed, return_index=True, return_inverse=True)
    # Equal so far: in size, in their first and last eight bytes and in eight between. Are they in all others?
    like = firsts[which]
    if (size[like] != size).any() or not _equal(words, at, at[like], size >> 3):
        return _distinct_slowly(data, at, size)
    return firsts, which


def _equal(words: npt.NDArray[np.generic], at: I64, like: I64, count: I64) -> bool:
    """Whether so many words of eight bytes are the same at both places, for all of them."""
    within = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    return bool((words[np.repeat(at, count) + 8 * within] == words[np.repeat(like, count) + 8 * within]).all())


_ODD = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93], np.uint64)


def _distinct_slowly(data: U8, at: I64, size: I64) -> tuple[I64, I64]:
    numbers: dict[bytes, int] = {}
    whole = data.data
    firsts: list[int] = []
    which = []
    for position, (start, length) in enumerate(zip(at.tolist(), size.tolist(), strict=True)):
        raw = bytes(whole[start : start + length])
        if raw not in numbers:
            numbers[raw] = len(firsts)
            firsts.append(position)
        which.append(numbers[raw])
    return np.array(firsts, np.int64), np.array(which, np.int64)


def converted(data: U8, at: I64, size: I64, read: Callable[[bytes], str | None], notes: Notes) -> tuple[Views, Mask]:
    """Views of values that no fast way is for: each distinct one is read once. Null where `read` gives None."""
    firsts, which = distinct(data, at, size)
    views = np.zeros((firsts.size, 2), np.uint64)
    valid = np.ones(firsts.size, bool)
    for number, (start, length) in enumerate(zip(at[firsts].tolist(), size[firsts].tolist(), strict=True)):
        text = read(data[start : start + length].tobytes())
        if text is None:
            valid[number] = False
        else:
            views[number] = notes.view(text)
    return views[which], valid[which]
