"""Fields of some events of one type, made when they are asked for, and tested value by value.

Names and paths repeat: where many tests ask the same column, each is put to the column's different values alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from hunt import arrays
from hunt.ecs import FieldInfo
from hunt.eql.leaves import Test
from hunt.model import Case, EventType

Rows = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_EVERYWHERE = frozenset({"time", "logged", "host", "channel", "provider", "event_id", "record_id"})
_OFTEN = 8  # tests of one column from which on its different values are told apart
_LOOKED_AT = 20_000  # rows by which is judged how much a column repeats
_FEW = 0.2  # of them may be different
_SOME = 8  # a part of 1/8 of the rows is worth a column of its own


class Catalogue(Protocol):
    """What fields there are; `hunt.ecs` is one."""

    def event_types(self, codes: Sequence[int] = ()) -> Sequence[EventType]: ...

    def describe(self, kind: EventType, name: str) -> FieldInfo | None: ...

    def over(self, case: Case, kind: EventType, events: pl.LazyFrame, names: Sequence[str]) -> pl.LazyFrame: ...


class Table:
    """Events of one type. `events`: rows of `case.frame`; `uses`: how many tests ask for each field."""

    def __init__(
        self, case: Case, kind: EventType, events: pl.DataFrame, catalogue: Catalogue, uses: Mapping[str, int]
    ) -> None:
        self.height = events.height
        self._case, self._kind, self._events = case, kind, events
        self._catalogue, self._uses = catalogue, uses
        self._columns: dict[str, Column] = {}

    def frame(self, names: Sequence[str], rows: Rows | None) -> pl.DataFrame:
        """These fields as columns; `rows`: of which events, None for all."""
        events = self._events
        if rows is not None and len(rows) < self.height:
            events = events.select(self._columns_of(names))[rows]
        return self._catalogue.over(self._case, self._kind, events.lazy(), names).select(names).collect()

    def _columns_of(self, names: Sequence[str]) -> list[str]:
        """What of the events these fields are made of: taking rows of all columns costs more than all else."""
        infos = [info for name in names if (info := self._catalogue.describe(self._kind, name))]
        wanted = _EVERYWHERE.union(*(info.columns for info in infos))
        return [name for name in self._events.columns if name in wanted]

    def judge(self, test: Test, rows: Rows | None) -> Flags:
        """What a test says of each of these rows."""
        number = self.height if rows is None else len(rows)
        if len(test.fields) == 1:
            (name,) = test.fields
            if name not in self._columns and rows is not None and (number * _SOME < self.height or self._is_dear(name)):
                return Column(self.frame([name], rows)[name], 0).judge(test, None)
            return self._column(name).judge(test, rows)
        frame = self.frame(test.fields, rows)
        lists = [name for name in test.fields if isinstance(frame.schema[name], pl.List)]
        if not lists:
            return test.bits(frame).to_numpy()
        long = frame.with_row_index("").explode(lists[0])  # more than one list no test has
        met = np.zeros(number, bool)
        met[long[""].to_numpy()[test.bits(long).to_numpy()]] = True
        return met

    def cost(self, test: Test) -> float:
        """Roughly what a test costs for each row: what is cheap is asked first."""
        dear = 1000 * sum(self._is_dear(name) for name in test.fields)
        ready = len(test.fields) == 1 and test.fields[0] in self._columns
        return dear + test.weight * (1 if ready else 3) * len(test.fields)

    def _is_dear(self, name: str) -> bool:
        info = self._catalogue.describe(self._kind, name)
        return info is not None and bool(info.also)

    def _column(self, name: str) -> Column:
        if name not in self._columns:
            self._columns[name] = Column(self.frame([name], None)[name], self._uses.get(name, 0))
        return self._columns[name]


class Column:
    """The values of one field; of a field of several values for each event, all of them in a row."""

    def __init__(self, values: pl.Series, uses: int) -> None:
        self._ends: Rows | None = None
        if isinstance(values.dtype, pl.List):
            self._ends = np.cumsum(values.list.len().fill_null(0).to_numpy().astype(np.int64))
            values = values.list.explode(empty_as_null=False, keep_nulls=False)
        self._codes: npt.NDArray[np.int64] | None = None
        self._name = values.name
        if uses >= _OFTEN and values.dtype == pl.String and _repeats(values):
            coded = values.to_arrow().dictionary_encode()
            values = arrays.series(coded.dictionary).alias(self._name)
            values = pl.concat([values, pl.Series(self._name, [None], dtype=pl.String)])  # for what is absent
            self._codes = coded.indices.fill_null(len(values) - 1).to_numpy(zero_copy_only=False)
        self._values = values
        self._lower: pl.Series | None = None
        self._said: dict[Test, Flags] = {}

    def judge(self, test: Test, rows: Rows | None) -> Flags:
        """What a test says of each row; of several values any will do."""
        if self._ends is None:
            return self._flat(test, rows)
        if rows is None:
            at, ends = None, self._ends
        else:
            starts = np.concatenate([[0], self._ends])[rows]
            lengths = self._ends[rows] - starts
            ends = np.cumsum(lengths)
            at = np.repeat(starts - (ends - lengths), lengths) + np.arange(ends[-1] if len(ends) else 0)
        counts = np.concatenate([[0], np.cumsum(self._flat(test, at))])
        starts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
        met = np.asarray(counts[ends] > counts[starts])
        return met | (ends == starts) if test.on_null else met

    def _flat(self, test: Test, rows: Rows | None) -> Flags:
        if self._codes is not None:
            codes = self._codes if rows is None else self._codes[rows]
            if test not in self._said:
                self._said[test] = self._asked(test, self._values, self._in_lower(test))
            return self._said[test][codes]
        if rows is None:
            return self._asked(test, self._values, self._in_lower(test))
        some = pl.Series(rows.astype(np.uint32))
        lower = self._lower.gather(some) if self._lower is not None else None
        if lower is None and len(rows) * _SOME >= len(self._values):
            whole = self._in_lower(test)
            lower = whole.gather(some) if whole is not None else None
        return self._asked(test, self._values.gather(some), lower)

    def _asked(self, test: Test, values: pl.Series, lower: pl.Series | None) -> Flags:
        return test.bits(values.to_frame(self._name), lower).to_numpy()

    def _in_lower(self, test: Test) -> pl.Series | None:
        if not test.plain or test.wanted is None or not test.wanted.insensitive:
            return None
        if self._lower is None:
            self._lower = self._values.str.to_lowercase()
        return self._lower


def _repeats(values: pl.Series) -> bool:
    some = values.head(_LOOKED_AT)
    return len(values) > len(some) and some.n_unique() <= _FEW * len(some)
