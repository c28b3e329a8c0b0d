"""Chunks that are decoded together, and what their columns share."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from . import texts
from .framing import I64, U8, U64, loads
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
    """Chunks side by side in `data`; its texts point into buffer `number` (the halves) and the next (made ones)."""

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

    @property
    def halves(self) -> Halves:
        """Made when the first text is asked for: batches that hold nothing wanted need none."""
        if self._halves is None:
            self._halves = Halves(self.data, self.pool)
        return self._halves

    def unsigned(self, at: I64, width: int) -> U64:
        """Unsigned numbers of 1, 2, 4 or 8 bytes."""
        source: npt.NDArray[np.generic] = {1: self.data, 2: self.u16, 4: self.u32, 8: self.u64}[width]
        return source[at].astype(np.uint64)

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
        halves = self._halves.buffer if self._halves else np.empty(0, np.uint8)
        return [halves, np.concatenate([*self._made, np.empty(0, np.uint8)])]
