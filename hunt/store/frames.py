"""The Parquet of one event type in one lot, as frames of `hunt.schema`; what is damaged is data, as in any evidence."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from hunt import schema
from hunt.model import ALL_COLUMNS
from hunt.places import SOURCES
from hunt.store.layout import File
from hunt.store.read import Store

# A damaged file may make Polars panic, which is no Exception.
UNREADABLE = (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError)
OWN = {**schema.CORE, **schema.SYSTEM, "sources": SOURCES}
_ALWAYS = frozenset({*schema.CORE, "UtcTime", "sources"})  # of parsers' frames, and the places


@dataclass(frozen=True, slots=True)
class Lost:
    """A file that can't be read, and why."""

    file: File
    reason: str


def frames(
    store: Store, files: Sequence[File], columns: Collection[str], where: pl.Expr | None = None
) -> Iterator[pl.DataFrame | Lost]:
    """The rows of files of one event type and part of one lot; in one frame if all can be read.

    Columns: OWN, and those of `columns` that there are (ALL_COLUMNS: all); System ones not asked for are null.
    `where`: only such rows; how many rows a file has is not checked then.
    """
    sound = []
    for file in files:
        reason = store.fault(file)
        if reason:
            yield Lost(file, reason)
        else:
            sound.append(file)
    if not sound:
        return
    try:
        yield _read(store, sound, columns, where)
    except UNREADABLE as error:
        if len(sound) == 1:
            yield Lost(sound[0], said(error))
            return
        for file in sound:
            try:
                yield _read(store, [file], columns, where)
            except UNREADABLE as own:
                yield Lost(file, said(own))


def _read(store: Store, files: Sequence[File], columns: Collection[str], where: pl.Expr | None) -> pl.DataFrame:
    types = store.types(files[0])
    strange = [name for name, dtype in OWN.items() if types.get(name) != dtype]
    if strange:
        raise ValueError(f"its column {strange[0]} is missing, or of another type than a case has")
    rows = store.scan(files, {name: types[name] for name in _wanted(types, columns)})
    met = (rows if where is None else rows.filter(where)).collect()
    expected = sum(file.rows for file in files)
    if where is None and met.height != expected:
        raise ValueError(f"{met.height} rows, not {expected}")
    return met if set(columns) >= ALL_COLUMNS else _completed(met)


def _wanted(there: Iterable[str], columns: Collection[str]) -> list[str]:
    every = set(columns) >= ALL_COLUMNS
    return [name for name in there if every or name in _ALWAYS or name in columns]


def faults(store: Store, files: Sequence[File]) -> Iterator[Lost]:
    """Files that can't be what was written, by their sizes and how many rows they say they have."""
    for file in files:
        reason = store.fault(file)
        if not reason:
            try:
                rows = store.scan([file]).select(pl.len()).collect().item()
                reason = None if rows == file.rows else f"{rows} rows, not {file.rows}"
            except UNREADABLE as error:
                reason = said(error)
        if reason:
            yield Lost(file, reason)


def narrowed(met: pl.DataFrame, columns: Collection[str]) -> pl.DataFrame:
    """Without the fields that are none of `columns`, as if they had not been decoded."""
    return met if set(columns) >= ALL_COLUMNS else _completed(met.select(_wanted(met.columns, columns)))


def _completed(met: pl.DataFrame) -> pl.DataFrame:
    """As parsers hand out what they have decoded of events: other System columns are null, nor are they `unparsed`."""
    if met["unparsed"].null_count() < met.height:  # hardly any event has one
        texts = met["unparsed"].drop_nulls().unique()
        there, told = set(met.columns), []
        for text in texts:
            pairs = {name: value for name, value in json.loads(text).items() if name in there}
            told.append(json.dumps(pairs, separators=(",", ":")) if pairs else None)
        met = met.with_columns(pl.col("unparsed").replace_strict(texts, told, default=None, return_dtype=pl.String))
    return met.with_columns(pl.lit(None, dtype).alias(c) for c, dtype in schema.SYSTEM.items() if c not in met.columns)


def said(error: BaseException) -> str:
    """What is wrong, in one line."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return text.splitlines()[0][:200]


def places(met: pl.DataFrame) -> pl.DataFrame:
    """A row for each place: `source` and `offset` are those of every one of `sources`, which is gone."""
    if met["sources"].null_count() == met.height:
        return met.drop("sources")
    own = pl.concat_list(pl.struct(path="source", offset="offset")).cast(SOURCES)
    apart = met.with_columns(sources=pl.coalesce("sources", own)).explode("sources")
    place = pl.col("sources").struct
    return apart.with_columns(source=place.field("path"), offset=place.field("offset")).drop("sources")
