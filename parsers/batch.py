"""Chunks that are decoded together, and what their columns share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hunt import native

from . import texts
from .framing import I32, U8, U64, Mask, loads
from .pool import Pool
from .texts import Halves, Notes, Views


@dataclass(slots=True)
class Names:
    """Small numbers for texts that few records differ in: hosts, channels, providers. 0 is null."""

    texts: list[str | None] = field(default_factory=lambda: [None])
    _numbers: dict[str | None, int] = field(default_factory=lambda: {None: 0})

    def number(self, text: str | None) -> int:
        if text not in self._numbers:
            self._numbers[text] = len(self.texts)
            self.texts.append(text)
        return self._numbers[text]


class Batch:
    """Chunks side by side in `data`; its texts point into buffer `number` (the halves) and the next (made ones).

    Kernels make all texts: then they point into buffers from `number` on.
    """

    def __init__(self, data: U8, notes: Notes, names: Names, number: int, pool: Pool) -> None:
        self.data = data
        self.pool = pool
        self.notes = notes
        self.names = names
        self.number = number
        self._halves: Halves | None = None
        self.u16, self.u32, self.u64 = (loads(data, code) for code in ("<u2", "<u4", "<u8"))
        self._made: list[U8] = []
        self._made_size = 0
        self._filled: list[U8] = []  # by kernels

    @property
    def halves(self) -> Halves:
        """Made when the first text is asked for: batches that hold nothing wanted need none."""
        if self._halves is None:
            self._halves = Halves(self.data, self.pool)
        return self._halves

    def texts(self, at: I32, size: npt.NDArray[np.uint16], chosen: Sequence[int]) -> Views:
        """Views of the UTF-16 that stands at some rows of matrices, without the NULs at its end: (row, place, 2).

        By kernels alone.
        """
        views = np.empty((len(chosen), at.shape[1], 2), np.uint64)
        rows = np.array(chosen, np.int64)
        buffer = self._room(3 * (int(size[rows].sum()) // 2))
        place = (self._made_size, self.number + len(self._filled) - 1)
        self._made_size = native.kernels.texts(self.data, at, size, rows, views, buffer, *place)
        return views

    def guids(self, at: I32, chosen: Sequence[int]) -> tuple[Views, Mask]:
        """The same for GUIDs; and which are not null: (row, place). By kernels alone."""
        shape = (len(chosen), at.shape[1])
        views, some = np.empty((*shape, 2), np.uint64), np.empty(shape, bool)
        buffer = self._room(texts.GUID_SIZE * some.size)
        place = (self._made_size, self.number + len(self._filled) - 1)
        rows = np.array(chosen, np.int64)
        self._made_size = native.kernels.guids(self.data, at, rows, views, some, buffer, *place)
        return views, some

    def _room(self, size: int) -> U8:
        """The buffer that has room for so many bytes behind those that are made."""
        if not self._filled or self._filled[-1].size - self._made_size < size:
            self._filled.append(self.pool.take(max(size, self.data.size)))
            self._made_size = 0
        return self._filled[-1]

    def unsigned(self, at: npt.NDArray[np.integer[Any]], width: int) -> U64:
        """Unsigned numbers of 1, 2, 4 or 8 bytes."""
        source: npt.NDArray[np.generic] = {1: self.data, 2: self.u16, 4: self.u32, 8: self.u64}[width]
        read: U64 = source[at].astype(np.uint64)
        return read

    def add(self, rows: U8) -> Views:
        """Views of made texts of one width."""
        views = texts.fixed_views(rows, self.number + 1, self._made_size)
        self._made.append(rows.ravel())
        self._made_size += rows.size
        return views

    def shared(self, column: list[str | None] | None, numbers: npt.NDArray[np.int64]) -> Views:
        """Views of texts by their numbers in `column` (by default, in `names`); a null has that of ""."""
        table = self.notes.views([text or "" for text in (self.names.texts if column is None else column)])
        return table[numbers]

    def buffers(self) -> list[U8]:
        """What its texts point into, from buffer `number` on."""
        if native.kernels:
            return [*self._filled[:-1], *(last[: self._made_size] for last in self._filled[-1:])]
        halves = self._halves.buffer if self._halves else np.empty(0, np.uint8)
        return [halves, np.concatenate([*self._made, np.empty(0, np.uint8)])]
