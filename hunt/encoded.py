"""Columns as Arrow tables to be written or handed to another process: texts that repeat, by a dictionary.

Events tell the same few users, images and hosts again and again. What is told once is neither copied for each row nor
hashed once more by what writes Parquet.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import pyarrow as pa

from hunt import native

_LEAST = 2048  # rows; of fewer a dictionary takes longer than it saves
_REPEATED = 4  # rows for each text of a dictionary, at least
_AS_IT_IS = pl.CompatLevel.newest()  # string views


def column(series: pl.Series) -> pa.Array:
    """A column as Arrow has it; a DictionaryArray of large strings where texts repeat."""
    if native.kernels and series.dtype == pl.String and len(series) >= _LEAST and series.n_chunks() == 1:
        found = _dictionary(series)
        if found is not None:
            return found
    return series.to_arrow()


def _dictionary(series: pl.Series) -> pa.DictionaryArray | None:
    """None where texts hardly repeat."""
    views = series.to_arrow(compat_level=_AS_IT_IS)
    nulls, told, *buffers = views.buffers()
    if views.offset or told is None or len(buffers) > _BUFFERS:
        return None
    words = np.frombuffer(told, np.uint32, 4 * len(series))
    indices, first = np.empty(len(series), np.int32), np.empty(len(series) // _REPEATED, np.int64)
    count = native.kernels.dictionary(words, nulls if views.null_count else b"", indices, first)
    if count < 0:
        return None
    first = first[:count]
    ends, texts = np.empty(count + 1, np.int64), np.empty(int(words[4 * first].sum()), np.uint8)
    native.kernels.gather(words, first, tuple(buffers), ends, texts)
    distinct = pa.Array.from_buffers(pa.large_string(), count, [None, pa.py_buffer(ends), pa.py_buffer(texts)])
    numbers = pa.Array.from_buffers(pa.int32(), len(series), [nulls, pa.py_buffer(indices)])
    return pa.DictionaryArray.from_arrays(numbers, distinct, safe=False)


_BUFFERS = 64  # that the kernel takes


def table(frame: pl.DataFrame) -> pa.Table:
    """All columns of a frame."""
    if frame.height < _LEAST:
        return frame.to_arrow()
    return pa.Table.from_arrays([column(series) for series in frame.iter_columns()], names=frame.columns)


def plain(array: pa.Array) -> pa.Array:
    """Without its dictionary."""
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def told(kind: pa.DataType) -> pa.DataType:
    """The type of what a column tells, with a dictionary or without."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def fitted(table: pa.Table, kinds: pa.Schema) -> pa.Table:
    """A table with columns of these types, in this order; those that it lacks are null. Dictionaries may come or go."""
    if table.schema == kinds:
        return table
    there = set(table.column_names)
    columns = [_as(table[f.name], f.type) if f.name in there else pa.nulls(table.num_rows, f.type) for f in kinds]
    return pa.Table.from_arrays(columns, schema=kinds)


def _as(chunks: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if chunks.type == kind or told(chunks.type) != told(kind):
        return chunks
    if pa.types.is_dictionary(kind):
        return chunks.dictionary_encode()
    return pa.chunked_array([plain(chunk) for chunk in chunks.chunks], kind)


def together(tables: Sequence[pa.Table]) -> pa.Table:
    """One table after the other; columns that some lack are null there, dictionaries stay where all have them."""
    kinds: dict[str, pa.DataType] = {}
    for field in (field for table in tables for field in table.schema):
        known = kinds.setdefault(field.name, field.type)
        if known != field.type and pa.types.is_dictionary(known):
            kinds[field.name] = told(known)
    alike = [fitted(table, pa.schema([(name, kinds[name]) for name in table.column_names])) for table in tables]
    return pa.concat_tables(alike, promote_options="default")
