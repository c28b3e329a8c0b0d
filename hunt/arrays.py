"""What numpy and Polars do as well, at a price that was measured: sorting, or imports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Grouped:
    """Distinct numbers, ascending; where each stands first; and for every number which of them it is."""

    values: npt.NDArray[Any]
    firsts: I64
    which: I64


def grouped(numbers: npt.NDArray[Any]) -> Grouped:
    """As `numpy.unique`, but at no cost where all are the same."""
    if not numbers.size or (numbers == numbers[0]).all():  # as most are
        some = numbers[:1]
        return Grouped(some, np.zeros(some.size, np.int64), np.zeros(numbers.size, np.int64))
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    begins = np.ones(numbers.size, bool)
    begins[1:] = ordered[1:] != ordered[:-1]
    which = np.empty(numbers.size, np.int64)
    which[order] = np.cumsum(begins) - 1
    return Grouped(ordered[begins], order[begins], which)


def series(array: pa.Array) -> pl.Series:
    """An Arrow array as it is, its buffers shared: `polars.from_arrow` imports pyarrow.compute."""
    return pl.Series(_Exported(array))


def numbers(name: str, values: npt.NDArray[Any], valid: npt.NDArray[np.bool_] | None = None) -> pl.Series:
    """Numbers, or bools, null where they are not valid."""
    return series(arrow(values, valid)).alias(name)


def arrow(values: npt.NDArray[Any], valid: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    """The same as Arrow has it; `pyarrow.array`, as `polars.Series`, imports numpy.ma, for arrays with a mask."""
    if values.dtype == np.bool_:
        kind, stored = pa.bool_(), _bits(values)
    else:
        # What is part of something larger would keep all of it in memory.
        kind, stored = pa.from_numpy_dtype(values.dtype), pa.py_buffer(values if values.base is None else values.copy())
    there = None if valid is None or valid.all() else _bits(valid)
    return pa.Array.from_buffers(kind, values.size, [there, stored])


def _bits(values: npt.NDArray[np.bool_]) -> pa.Buffer:
    return pa.py_buffer(np.packbits(values, bitorder="little"))


@dataclass(frozen=True, slots=True)
class _Exported:
    """An Arrow array by its C interface alone."""

    array: pa.Array

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        exported: tuple[object, object] = self.array.__arrow_c_array__(requested_schema)
        return exported
