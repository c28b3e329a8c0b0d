"""Events as one text each: what rules ask without naming a field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import polars as pl

from hunt import schema
from hunt.sigma import tree, truth
from hunt.sigma.columns import NONE, WHOLE, Rows, column, repeated
from hunt.sigma.literals import indexed

# What an event says: not where it was found, nor when.
_PLACES = frozenset({"source", "offset", "sources", "recovered", "record_number", "time", "logged"})
_PRINTED = frozenset("0123456789abcdefx -:.tz{}")  # all that numbers and times are printed with
_SEPARATOR = "\n"  # between the fields
# The only others that hold an ASCII letter without case: k, i and a dot above.
_STRANGE = ("\u212a", "\u0130")
_AT_A_TIME = 50_000  # rows whose texts are held
_AT_ONCE = 4_000  # texts below which it takes longer to share a search than to search


def searchable(texts: Iterable[str]) -> tuple[str, ...]:
    """Folded texts of which an event must hold one: these, if each can be looked for column by column; else none."""
    own = tuple(texts)
    whole = all(indexed(text) and _SEPARATOR not in text and not _PRINTED.issuperset(text) for text in own)
    return own if whole else ()


def holding(frame: pl.DataFrame, words: list[str]) -> Rows:
    """The rows that have one of these words in a column of text."""
    columns = [values for values in _texts(frame) if values.null_count() < frame.height]
    if not columns:
        return NONE
    # Most values of logs are repeated: each is searched once, and hardly one of them holds a word.
    few = frame.height < WHOLE
    searched = pl.concat([values.unique() if not few and repeated(values) else values for values in columns])
    searched = searched.unique() if few else searched
    met = searched.filter(_have(searched, words)).unique()
    if not met.len():
        return NONE
    wanted = met.implode()
    return np.unique(np.concatenate([values.is_in(wanted).arg_true().to_numpy() for values in columns])).astype(
        np.int64
    )


def _texts(frame: pl.DataFrame) -> Iterator[pl.Series]:
    for name, dtype in frame.schema.items():
        if name not in _PLACES and dtype == pl.String:
            yield frame[name].alias("x")
        elif name not in _PLACES and dtype == schema.TEXTS:
            yield frame[name].list.join(_SEPARATOR, ignore_nulls=True).alias("x")


def _have(texts: pl.Series, words: list[str]) -> pl.Series:
    """Which texts hold one of some words; parts of them are asked at the same time."""
    ascii_ = all(word.isascii() for word in words)
    text = pl.col("x") if ascii_ else truth.fold(pl.col("x"))
    wanted = [*words, *_STRANGE] if ascii_ else words
    met = text.str.contains_any(wanted, ascii_case_insensitive=ascii_).fill_null(value=False)
    step = max(_AT_ONCE, -(-texts.len() // pl.thread_pool_size()))
    parts = [texts.slice(start, step).to_frame().lazy().select(met) for start in range(0, texts.len(), step)]
    return pl.concat([part["x"] for part in pl.collect_all(parts)])


def meeting(frame: pl.DataFrame, test: tree.Test, rows: Rows, kinds: dict[str, schema.Kind]) -> tuple[Rows, Rows]:
    """(those of some rows whose fields, put together, meet a test; those of which that could not be told in time)."""
    found, open_ = [NONE], [NONE]
    for start in range(0, rows.size, _AT_A_TIME):
        some = rows[start : start + _AT_A_TIME]
        whole = _whole(frame[some], kinds)
        met = truth.meets(test, whole, truth.folded(whole))
        found.append(some[met.fill_null(value=False).to_numpy()])
        open_.append(some[met.is_null().to_numpy()])
    return np.concatenate(found), np.concatenate(open_)


def _whole(frame: pl.DataFrame, kinds: dict[str, schema.Kind]) -> pl.Series:
    parts = [part.alias(str(n)) for n, part in enumerate(_parts(frame, kinds))]
    return pl.DataFrame(parts).select(pl.concat_str(pl.all(), separator=_SEPARATOR, ignore_nulls=True))[:, 0]


def _parts(frame: pl.DataFrame, kinds: dict[str, schema.Kind]) -> Iterator[pl.Series]:
    for name, dtype in frame.schema.items():
        if name in _PLACES:
            continue
        if dtype == schema.TEXTS:
            yield frame[name].list.join(_SEPARATOR, ignore_nulls=True)
        elif dtype == pl.String:
            yield frame[name]
        else:
            printed = column(frame, name, kinds)
            texts = pl.concat([printed.values, pl.Series([None], dtype=pl.String)])
            yield texts.gather(np.where(printed.codes < 0, printed.size, printed.codes))
