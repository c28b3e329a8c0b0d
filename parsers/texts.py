"""Texts of many records as string views: 16 bytes a value that point into shared buffers.

An ASCII text in UTF-16 is every other byte of it, so the even and the odd bytes of a batch, side by side in one buffer,
hold all such texts of the batch without copying any of them one by one. What is not ASCII goes through `Notes`.

View layout: Arrow columnar format, "Variable-size Binary View Layout": u32 length, then up to 12 bytes in place, or
four bytes of prefix, u32 buffer, u32 offset.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from hunt import arrays
from hunt.arrays import grouped

from .framing import I64, U8, Mask, equal, loads, parts, rows
from .pool import Pool

Views = npt.NDArray[np.uint64]  # shape (n, 2)
Ints = npt.NDArray[np.integer[Any]]

_BLOCK = 1 << 17  # bytes of each half that are worked on together
_PAD = 32  # bytes behind a buffer, so that loads of 8 bytes at its end stay inside
_TEXTS, _GUIDS = 1 << 14, 1 << 12  # that are made at a time
_IN_PLACE = 12
_EIGHT = 8
_ASCII = np.uint64(0x8080808080808080)
_SHIFT = np.uint64(32)

_TO_TOP, _TO_LAST = np.uint64(7), np.uint64(56)

# By length: which bytes of the first 8 and of the next 8 are the text's.
_BEFORE = np.array([(1 << 8 * min(n, 8)) - 1 for n in range(_IN_PLACE + 1)], np.uint64)
_BEHIND = np.array([(1 << 8 * max(0, n - 8)) - 1 for n in range(_IN_PLACE + 1)], np.uint64)
_BYTES = np.array([(1 << 8 * n) - 1 for n in range(9)], np.uint64)


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

    def __init__(self, data: U8, pool: Pool) -> None:
        half = data.size // 2
        self.half = half
        self.buffer = pool.take(2 * half + _PAD)
        even, odd = self.buffer[:half], self.buffer[half : 2 * half]
        self.buffer[2 * half :] = 0
        at_even = data.view("<u2")
        at_odd = np.ndarray((half - 1,), "<u2", buffer=data.data, offset=1)
        strange = pool.take(2 * half // 8 + _EIGHT).view(bool)  # by words of eight characters
        strange[-_EIGHT:] = False
        marks = np.empty((2, _BLOCK), np.uint8)
        words = np.empty(_BLOCK // 8, np.uint64)
        # Block by block, so that what is made on the way stays in the processor's cache.
        for begin in range(0, half, _BLOCK):
            end = min(begin + _BLOCK, half)
            ahead = min(end + 1, half)
            # The low bytes of all 16-bit numbers, then of those that begin at odd places.
            np.copyto(even[begin:ahead], at_even[begin:ahead], casting="unsafe")
            np.copyto(odd[begin : ahead - 1], at_odd[begin : ahead - 1], casting="unsafe")
            if end == half:
                odd[-1] = data[-1]
            # Texts at even places have their high bytes in the odd half, those at odd ones in the even half, one
            # further. Marks go into the buffer when both were made: each half is the other's high bytes.
            of_even, of_odd = marks[0, : end - begin], marks[1, : end - begin]
            np.not_equal(odd[begin:end], 0, out=of_even.view(bool))
            np.not_equal(even[begin + 1 : ahead], 0, out=of_odd.view(bool)[: ahead - begin - 1])
            if end == half:
                of_odd[-1] = 0  # no text begins with the last byte
            for mark, low, place in ((of_even, even, 0), (of_odd, odd, half)):
                high, part = mark.view("<u8"), low[begin:end].view("<u8")
                np.left_shift(high, _TO_TOP, out=high)
                np.bitwise_or(part, high, out=part)
                some = np.bitwise_and(part, _ASCII, out=words[: part.size])
                np.not_equal(some, 0, out=strange[(place + begin) // 8 : (place + end) // 8])
        # Whether any of eight such words, 64 characters, is strange; how many eights of that kind stand before each.
        eights = strange[:-_EIGHT].view(np.uint64) != 0
        self._strange = loads(strange.view(np.uint8), "<u8")
        self._eights = np.zeros(eights.size + 1, np.int32)
        np.cumsum(eights, out=self._eights[1:])

    def views(self, at: I64, length: I64, buffer: int) -> tuple[Views, Mask, U8]:
        """Views of the UTF-16 texts of `length` characters at `at`; which of them are ASCII, so that they hold; and
        the low bytes of their last characters."""
        views = np.empty((at.size, 2), np.uint64)
        plain = np.empty(at.size, bool)
        last = np.empty(at.size, np.uint8)
        for part in parts(at.size, _TEXTS):
            low = at[part] >> 1
            low += (at[part] & 1) * self.half
            far = length[part] > _IN_PLACE
            for rows_, view in ((np.flatnonzero(far), self._outside), (np.flatnonzero(~far), self._inside)):
                if rows_.size:
                    made, plain[part][rows_], last[part][rows_] = view(low[rows_], length[part][rows_], buffer)
                    # As one item each: several times faster than as two numbers.
                    views[part].view("V16")[rows_, 0] = made.view("V16")[:, 0]
        return views, plain, last

    def _outside(self, begin: I64, length: I64, buffer: int) -> tuple[Views, Mask, U8]:
        """Texts that are too long to stand in their views."""
        end = begin + length
        words = loads(self.buffer, "<u8")
        front, tail = words[begin], words[end - 8]
        last = (tail >> _TO_LAST).astype(np.uint8)
        tail |= front
        tail &= _ASCII
        plain = (tail == 0) & self._sound(begin, end)
        made = np.empty((begin.size, 2), np.uint64)
        front <<= _SHIFT
        np.bitwise_or(front, length.view(np.uint64), out=made[:, 0])
        np.left_shift(begin.view(np.uint64), _SHIFT, out=front)
        np.bitwise_or(front, np.uint64(buffer), out=made[:, 1])
        return made, plain, last

    def _sound(self, begin: I64, end: I64) -> Mask:
        """Whether all words of eight characters that lie between two places, eight or more apart, are ASCII."""
        first, last = (begin + 7) >> 3, end >> 3
        count = last - first
        found: Mask = (self._strange[first] & _BYTES.take(np.minimum(count, _EIGHT))) == 0
        more = np.flatnonzero(count > _EIGHT)
        if more.size:
            first, last = first[more], last[more]
            between = self._eights[last >> 3] == self._eights[(first + 7) >> 3]
            found[more] &= between & (self._strange[last - _EIGHT] == 0)
        return found

    def _inside(self, low: I64, length: I64, buffer: int) -> tuple[Views, Mask, U8]:
        """Texts that are short enough to stand in their views; `buffer` plays no part."""
        views = rows(self.buffer, low, 16).view("<u8")
        front, back = views[:, 0] & _BEFORE.take(length), views[:, 1] & _BEHIND.take(length)
        plain: Mask = ((front | back) & _ASCII) == 0
        at = np.maximum(length - 1, 0)
        last = self.buffer[low + at]
        made = np.empty_like(views)
        np.left_shift(front, _SHIFT, out=made[:, 0])
        made[:, 0] |= length.view(np.uint64)
        front >>= _SHIFT
        back <<= _SHIFT
        np.bitwise_or(front, back, out=made[:, 1])
        return made, plain, last


# {00000000-0000-0000-0000-000000000000}: three numbers, then bytes in their order.
GUID_SIZE = 38
_GUID_FRAME = np.frombuffer(b"{00000000-0000-0000-0000-000000000000}", np.uint8)
# Where the digits go, four or eight together: place in the text, width, place among the 32 digits.
_GUID_DIGITS = ((1, 8, 0), (10, 4, 8), (15, 4, 12), (20, 4, 16), (25, 4, 20), (29, 8, 24))


def guid_texts(raw: U8) -> U8:
    """GUIDs, a row of 16 bytes each, as Sysmon prints them: one row of 38 bytes each."""
    texts = np.empty((len(raw), GUID_SIZE), np.uint8)
    for part in parts(len(raw), _GUIDS):
        _print_guids(raw[part], texts[part])
    return texts


def _print_guids(raw: U8, texts: U8) -> None:
    ordered = raw.copy()
    # The numbers are little-endian, digits begin with the highest.
    ordered.view("<u4")[:, 0] = raw.view(">u4")[:, 0]
    ordered.view("<u2")[:, 2:4] = raw.view(">u2")[:, 2:4]
    digits = _hex_digits(ordered.view("<u4")).view(np.uint8)
    texts[:] = _GUID_FRAME
    for place, width, begin in _GUID_DIGITS:
        # As one number a row: many times faster than byte by byte.
        _column(texts, place, width)[:] = _column(digits, begin, width)


def _column(table: U8, place: int, width: int) -> npt.NDArray[np.generic]:
    """Some bytes of each row, as a number each."""
    return np.ndarray((len(table),), f"<u{width}", table.data, place, (table.shape[1],))


def _hex_digits(words: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
    """For each word the eight hex digits of its bytes, in their order, as ASCII."""
    spread = words.astype(np.uint64)
    other = np.empty_like(spread)
    for distance, kept in ((16, 0x0000FFFF0000FFFF), (8, 0x00FF00FF00FF00FF)):
        np.left_shift(spread, np.uint64(distance), out=other)
        spread |= other
        spread &= np.uint64(kept)
    np.left_shift(spread, np.uint64(8), out=other)  # the lower digit stands behind the higher
    spread >>= np.uint64(4)
    spread |= other
    spread &= np.uint64(0x0F0F0F0F0F0F0F0F)
    np.add(spread, np.uint64(0x0606060606060606), out=other)  # bit 4 of those over 9
    other >>= np.uint64(4)
    other &= np.uint64(0x0101010101010101)
    other *= np.uint64(7)  # from "9" + 1 to "A"
    spread += other
    spread += np.uint64(0x3030303030303030)
    return spread


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
    shared = [pa.py_buffer(buffer) for buffer in buffers]
    array = pa.Array.from_buffers(
        pa.string_view(), len(views), [None, pa.py_buffer(np.ascontiguousarray(views)), *shared]
    )
    # Nulls are set by Polars: were they a buffer of this array, they alone would keep all others of it, the texts', in
    # memory when the column is copied.
    return arrays.masked(arrays.series(array).alias(name), valid)


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
    firsts, which = _few(mixed) or _many(mixed)
    # Equal so far: in size, in their first and last eight bytes and in eight between. Are they in all others?
    if (size[firsts[which]] != size).any() or not _equal(data, at, size, firsts, which):
        return _distinct_slowly(data, at, size)
    return firsts, which


def _few(numbers: npt.NDArray[np.uint64]) -> tuple[I64, I64] | None:
    """Of the numbers the distinct ones, as positions; and for each which of these it is. None if they are many."""
    which = np.zeros(numbers.size, np.int64)
    left = np.arange(numbers.size)
    firsts: list[int] = []
    while left.size:
        if len(firsts) == _FEW:
            return None
        same = numbers[left] == numbers[left[0]]
        which[left[same]] = len(firsts)
        firsts.append(int(left[0]))
        left = left[~same]
    return np.array(firsts, np.int64), which


def _many(numbers: npt.NDArray[np.uint64]) -> tuple[I64, I64]:
    groups = grouped(numbers)
    return groups.firsts, groups.which


def _equal(data: U8, at: I64, size: I64, firsts: I64, which: I64) -> bool:
    """Whether all values are, byte by byte, what they are held to be."""
    if firsts.size <= _FEW:
        return all(
            equal(data, at[which == number], data[at[first] : at[first] + size[first]].tobytes()).all()
            for number, first in enumerate(firsts.tolist())
        )
    words = loads(data, "<u8")
    count, like = size >> 3, at[firsts[which]]
    within = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    return bool((words[np.repeat(at, count) + 8 * within] == words[np.repeat(like, count) + 8 * within]).all())


_FEW = 24  # distinct values that are told apart one after the other
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


def converted(
    data: U8, places: Ints, sizes: Ints, read: Callable[[bytes], str | None], notes: Notes
) -> tuple[Views, Mask]:
    """Views of values that no fast way is for: each distinct one is read once. Null where `read` gives None."""
    at, size = places.astype(np.int64), sizes.astype(np.int64)
    if at.size and (size == size[0]).all() and equal(data, at, data[at[0] : at[0] + size[0]].tobytes()).all():
        firsts, which = np.zeros(1, np.int64), np.zeros(at.size, np.int64)  # a user's SID, say
    else:
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
