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


def numbers(name: str, values: npt.NDArray[Any]) -> pl.Series:
    """A column of numbers or truth values. `polars.Series` imports numpy.ma for it, and takes several times as long."""
    return series(arrow(values)).alias(name)


def arrow(values: npt.NDArray[Any]) -> pa.Array:
    """Numbers or truth values as Arrow has them, copied into memory of its own.

    Were it Python's, who lets go of it would need the interpreter's lock: a thread of Polars' would wait for ever for
    somebody who holds it and waits for that thread, as `DataFrame.serialize` does.
    """
    bits = values.dtype == np.bool_
    stored = np.packbits(values, bitorder="little") if bits else values
    buffer = pa.allocate_buffer(stored.nbytes)
    np.ndarray(stored.shape, stored.dtype, buffer)[...] = stored
    kind = pa.bool_() if bits else pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, values.size, [None, buffer])


def masked(column: pl.Series, valid: npt.NDArray[np.bool_] | None) -> pl.Series:
    """A column, null where it is not valid; None: all of it is."""
    if valid is None or valid.all():
        return column
    return column.zip_with(numbers("", valid), pl.Series([None], dtype=column.dtype))


@dataclass(frozen=True, slots=True)
class _Exported:
    """An Arrow array by its C interface alone."""

    array: pa.Array

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        exported: tuple[object, object] = self.array.__arrow_c_array__(requested_schema)
        return exported
