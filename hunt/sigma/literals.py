"""All texts that rules look for in a column, looked up together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cached_property

import numpy as np
import polars as pl

from hunt.sigma.columns import Codes, Column, Flags

SHORTEST, LONGEST = 3, 200  # bytes of a text worth looking for: shorter ones stand everywhere
_ROOM = 8 << 20  # occurrences, roughly, that are held at a time
_LEAST, _MOST = 1 << 16, 8 << 20  # bytes of texts that are searched at a time


def indexed(text: str) -> bool:
    return SHORTEST <= len(text.encode()) <= LONGEST


class Literals:
    """The texts of some tests, folded. `add` all, then `found` for each column that is met."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._asked: list[list[tuple[str, int]]] = []  # by text: how it must stand, and whose it is

    def add(self, text: str, op: str, test: int) -> None:
        number = self._numbers.setdefault(text, len(self._numbers))
        if number == len(self._asked):
            self._asked.append([])
        self._asked[number].append((op, test))

    def found(self, column: Column) -> Mapping[int, Codes]:
        """By test, the column's numbers that meet it; a number may be there twice. Tests that none meets are left out.

        One pass: a text may hold many others, and all of them are met.
        """
        if not self._numbers or not column.values.len():
            return {}
        met: dict[int, list[Codes]] = defaultdict(list)
        for texts, places in self._portions(column.plain):
            frame = texts.alias("x").to_frame()
            some = frame.select(pl.col("x").str.contains_any(self._patterns).arg_true())[:, 0]
            if some.len():
                self._looked_up(texts.gather(some), places[some.to_numpy()], column, met)
        return {test: codes[0] if len(codes) == 1 else np.concatenate(codes) for test, codes in met.items()}

    def _looked_up(self, texts: pl.Series, places: Codes, column: Column, met: dict[int, list[Codes]]) -> None:
        lists = texts.to_frame("x").select(pl.col("x").str.extract_many(self._patterns, overlapping=True))[:, 0]
        index = np.repeat(places, lists.list.len().to_numpy())
        hits = lists.explode(empty_as_null=False).cast(self._enum).to_physical().to_numpy().astype(np.int64)
        order = np.argsort(hits, kind="stable")
        hits, index = hits[order], index[order]
        placed = np.flatnonzero(self._placed[hits])
        so = _so(column.plain.gather(index[placed]), self._texts.gather(hits[placed]), placed, hits.size)
        begins = np.flatnonzero(np.r_[True, hits[1:] != hits[:-1]])
        for begin, end in zip(begins.tolist(), [*begins[1:].tolist(), hits.size], strict=True):
            own = index[begin:end]
            for op, test in self._asked[int(hits[begin])]:
                kept = own if op == "contains" else own[so[op][begin:end]]
                if kept.size:
                    met[test].append(column.owned(kept))

    @cached_property
    def _patterns(self) -> list[str]:
        return list(self._numbers)

    @cached_property
    def _texts(self) -> pl.Series:
        return pl.Series(self._patterns)

    @cached_property
    def _placed(self) -> Flags:
        """Of which texts it matters where they stand."""
        return np.array([any(op != "contains" for op, _ in asked) for asked in self._asked])

    @cached_property
    def _enum(self) -> pl.Enum:
        return pl.Enum(self._patterns)

    def _portions(self, texts: pl.Series) -> Iterator[tuple[pl.Series, Codes]]:
        """A column in parts, so that what is found takes a bounded room whatever stands in it: (texts, their places).

        A text that is too long is cut into overlapping pieces.
        """
        if texts.estimated_size() <= self._most:
            yield texts, np.arange(texts.len())
            return
        sizes = texts.str.len_bytes().fill_null(0)
        ends = sizes.cum_sum()
        start = 0
        while start < texts.len():
            before = int(ends[start - 1]) if start else 0
            end = max(start + 1, int(ends.search_sorted(before + self._most, side="right")))
            if end == start + 1 and int(sizes[start]) > self._most:
                pieces = pl.Series(_pieces(str(texts[start]), self._most))
                for piece in range(pieces.len()):
                    yield pieces.slice(piece, 1), np.array([start])
            else:
                yield texts.slice(start, end - start), np.arange(start, end)
            start = end

    @cached_property
    def _most(self) -> int:
        """Bytes to be searched at a time. At one place a text can end, and those that it ends with."""
        nested = max(sum(text[i:] in self._numbers for i in range(len(text))) for text in self._patterns)
        return min(_MOST, max(_LEAST, _ROOM // nested))


def _pieces(text: str, size: int) -> list[str]:
    return [text[start : start + size + LONGEST] for start in range(0, len(text), size)]


def _so(texts: pl.Series, held: pl.Series, places: Codes, size: int) -> Mapping[str, Flags]:
    """How texts hold others: which are the other one, or begin or end with it; by place, of so many."""
    text, other = pl.col("text"), pl.col("other")
    told = pl.DataFrame({"text": texts, "other": held}).select(
        equals=text == other, startswith=text.str.starts_with(other), endswith=text.str.ends_with(other)
    )
    found = {column.name: np.zeros(size, np.bool_) for column in told}
    for column in told:
        found[column.name][places] = column.to_numpy()
    return found
