"""Columns of events as distinct texts and, for each event, which of them it has: most values of logs are repeated."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from hunt import schema
from hunt.sigma import truth
from hunt.sigma.derived import DERIVED

Rows = npt.NDArray[np.int64]  # row numbers, ascending
Codes = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

NONE = np.empty(0, np.int64)
_SAMPLE = 2_000  # rows that tell whether values are repeated
WHOLE = 4_000  # rows below which that is of no account


class Column:
    """Texts of a column, and for each row the number of its text, or -1.

    Where an event has several texts in a column (unnamed data), `values` are all of them, and `owners` tells for each
    to which number it belongs; else they are the numbers.
    """

    def __init__(self, values: pl.Series, codes: npt.NDArray[np.int32], owners: Codes | None, size: int) -> None:
        self.values = values
        self.codes = codes
        self.owners = owners
        self.size = size

    @cached_property
    def plain(self) -> pl.Series:
        """The texts without case."""
        return truth.folded(self.values)

    @cached_property
    def counts(self) -> Codes:
        """How many rows have each number."""
        return np.bincount(self.codes + 1, minlength=self.size + 1)[1:]

    def owned(self, values: Codes) -> Codes:
        """The numbers of some texts."""
        return values if self.owners is None else self.owners[values]

    def flags(self, codes: Codes) -> Flags:
        """By number; the last one stands for rows without a text."""
        flags = np.zeros(self.size + 1, np.bool_)
        flags[codes] = True
        return flags

    def rows(self, flags: Flags, within: Rows | None) -> Rows:
        """The rows, of some or of all, whose number is flagged."""
        if within is None:
            return np.flatnonzero(flags[self.codes])
        return within[flags[self.codes[within]]]

    def texts_of(self, codes: Codes) -> tuple[Codes, Codes]:
        """(texts of these numbers, as places in `values`; the number of each)."""
        if self.owners is None:
            return codes, codes
        wanted = np.zeros(self.size, np.bool_)
        wanted[codes] = True
        places = np.flatnonzero(wanted[self.owners])
        return places, self.owners[places]


def column(frame: pl.DataFrame, name: str, kinds: dict[str, schema.Kind]) -> Column:
    """A column of a frame by the name that plans have for it (see `logsource.column`); of an absent one no text."""
    known = DERIVED.get(name)
    if known is not None:
        made = frame.select(_there(frame, c) for c in known.columns)
        return _encoded(made.select(known.make())[:, 0], schema.Kind.HEX if known.hexadecimal else None)
    parts = [c for c in name.split("|") if c in frame.columns]
    filled = [c for c in parts if frame[c].null_count() < frame.height]
    if len(filled) < 2:
        own = filled or parts
        return _encoded(frame[own[0]], kinds.get(own[0])) if own else _empty(frame.height)
    lists = any(isinstance(frame.schema[c], pl.List) for c in filled)
    each = [_printed(frame[c], kinds.get(c)) for c in filled]
    if lists:
        each = [s if isinstance(s.dtype, pl.List) else s.to_frame().select(pl.concat_list(s.name))[:, 0] for s in each]
    return _encoded(pl.DataFrame([s.alias(str(n)) for n, s in enumerate(each)]).select(pl.coalesce(pl.all()))[:, 0])


def _there(frame: pl.DataFrame, name: str) -> pl.Expr:
    """A column for a derived one; an absent one has the type that it would have."""
    dtype = schema.TEXTS if name == schema.DATA else pl.String()
    absent = name not in frame.columns or (name == schema.DATA and frame.schema[name] != dtype)
    return pl.lit(None, dtype).alias(name) if absent else pl.col(name)


def _empty(height: int) -> Column:
    return Column(pl.Series([], dtype=pl.String), np.full(height, -1, np.int32), None, 0)


def _encoded(values: pl.Series, kind: schema.Kind | None = None) -> Column:
    if isinstance(values.dtype, pl.List):
        return _of_lists(values)
    if values.dtype != pl.String:
        return _of_numbers(values, kind)
    if not repeated(values):
        codes = np.arange(values.len(), dtype=np.int32)
        codes[values.is_null().to_numpy()] = -1
        return Column(values, codes, None, values.len())
    distinct, codes = _dictionary(values)
    return Column(distinct, codes, None, distinct.len())


def repeated(values: pl.Series) -> bool:
    """Whether it is worth while to tell values apart."""
    if values.len() < WHOLE:
        return True
    sample = values.gather_every(max(1, values.len() // _SAMPLE))
    return sample.n_unique() < 0.8 * sample.len()


def _dictionary(values: pl.Series) -> tuple[pl.Series, npt.NDArray[np.int32]]:
    """(the distinct texts, for each row the number of its own or -1). In no order: numbers never leave a column."""
    distinct = values.unique().drop_nulls()
    codes = values.cast(pl.Enum(distinct)).to_physical().cast(pl.Int32).fill_null(-1)
    return distinct, codes.to_numpy()


def _of_numbers(values: pl.Series, kind: schema.Kind | None) -> Column:
    """Numbers and times, printed as Windows does: each distinct one once."""
    distinct = values.unique().drop_nulls().sort()
    physical, own = distinct.to_physical().cast(pl.Int128), values.to_physical().cast(pl.Int128)
    codes = physical.search_sorted(own.fill_null(0)).to_numpy().astype(np.int32)
    codes[values.is_null().to_numpy()] = -1
    return Column(_printed(distinct, kind), codes, None, distinct.len())


def _printed(values: pl.Series, kind: schema.Kind | None) -> pl.Series:
    if isinstance(values.dtype, pl.Datetime):
        return values.dt.strftime("%Y-%m-%d %H:%M:%S%.3f")
    if kind is schema.Kind.HEX:
        return values.to_frame("x").select(schema.hex_text(pl.col("x")))[:, 0]
    return values if values.dtype in (pl.String, schema.TEXTS) else values.cast(pl.String)


def _of_lists(values: pl.Series) -> Column:
    """Equal lists are one number, and all their texts belong to it; an empty one is none."""
    own = pl.col("list")
    # The lengths as well: without them two lists that are cut at other places would be the same.
    lengths = own.list.eval(pl.element().str.len_bytes().cast(pl.String)).list.join(",", ignore_nulls=True)
    text = pl.concat_str(lengths, pl.lit(" "), own.list.join("", ignore_nulls=True))
    joined = values.alias("list").to_frame().select(pl.when(own.list.drop_nulls().list.len() > 0).then(text))[:, 0]
    distinct, codes = _dictionary(joined)
    firsts = np.zeros(distinct.len(), np.int64)
    valid = np.flatnonzero(codes >= 0)
    firsts[codes[valid][::-1]] = valid[::-1]
    lists = values.gather(firsts).list.drop_nulls()
    owners = np.repeat(np.arange(distinct.len()), lists.list.len().to_numpy())
    texts = lists.explode(empty_as_null=False) if distinct.len() else pl.Series([], dtype=pl.String)
    return Column(texts, codes, owners, distinct.len())
