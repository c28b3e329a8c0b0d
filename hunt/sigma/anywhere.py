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


def searchable(texts: Iterable[str]) -> tuple[str, ...]:
    """Folded texts of which an event must hold one: these, if each can be looked for column by column; else none."""
    own = tuple(texts)
    whole = all(indexed(text) and _SEPARATOR not in text and not _PRINTED.issuperset(text) for text in own)
    return own if whole else ()


def holding(frame: pl.DataFrame, words: list[str]) -> Rows:
    """The rows that have one of these words in a column of text."""
    ascii_ = all(word.isascii() for word in words)
    wanted = [*words, *_STRANGE] if ascii_ else words

    def has(text: pl.Expr) -> pl.Expr:
        own = text if ascii_ else truth.fold(text)
        return own.str.contains_any(wanted, ascii_case_insensitive=ascii_).fill_null(value=False)

    texts = [pl.col(name) for name, dtype in frame.schema.items() if name not in _PLACES and dtype == pl.String]
    lists = [pl.col(name) for name, dtype in frame.schema.items() if name not in _PLACES and dtype == schema.TEXTS]
    texts += [column_.list.join(_SEPARATOR, ignore_nulls=True) for column_ in lists]
    if frame.height < WHOLE:  # it takes longer to get ready for a search than to search
        return _where(frame, has(pl.concat_str(texts, separator=_SEPARATOR, ignore_nulls=True)))
    met: list[pl.Expr] = []
    distinct: list[tuple[pl.Expr, pl.LazyFrame]] = []
    for text in texts:
        values = frame.select(text.alias("x"))
        # Most values of logs are repeated: each is searched once, and hardly one of them holds a word.
        if repeated(values["x"]):
            distinct.append((text, values.lazy().unique().filter(has(pl.col("x")))))
        else:
            met.append(has(text))
    for (text, _), holding_ in zip(distinct, pl.collect_all([lazy for _, lazy in distinct]), strict=True):
        if holding_.height:
            met.append(text.is_in(holding_["x"].implode()).fill_null(value=False))
    return _where(frame, pl.any_horizontal(met)) if met else NONE


def _where(frame: pl.DataFrame, met: pl.Expr) -> Rows:
    """The rows that meet it; parts of the frame are asked at the same time."""
    if frame.height < WHOLE:
        return frame.select(met.arg_true())[:, 0].to_numpy().astype(np.int64)
    step = -(-frame.height // pl.thread_pool_size())
    starts = range(0, frame.height, step)
    found = pl.collect_all([frame.lazy().slice(start, step).select(met.arg_true().alias("row")) for start in starts])
    return np.concatenate([NONE, *(part["row"].to_numpy() + start for part, start in zip(found, starts, strict=True))])


def meeting(frame: pl.DataFrame, test: tree.Test, rows: Rows, kinds: dict[str, schema.Kind]) -> Rows:
    """Those of some rows whose fields, put together, meet a test."""
    found = []
    for start in range(0, rows.size, _AT_A_TIME):
        some = rows[start : start + _AT_A_TIME]
        whole = _whole(frame[some], kinds)
        found.append(some[truth.meets(test, whole, truth.folded(whole)).to_numpy()])
    return np.concatenate(found) if found else NONE


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
