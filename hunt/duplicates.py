"""Events that stand in several places - overlapping logs, archives, shadow copies, slack, raw data - counted once.

Copies are found by hash and proven value by value: evidence may be made so that hashes collide, and an event that is
taken for another one would be lost.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from hunt.places import Places, Rows, apart, live_first, places

# Copies of an event differ in where they stand; forwarded ones in their rendered texts as well. Windows compares the
# names of channels and hosts without case: a frame holds one channel, and hosts are compared in lower case. Times are
# compared for themselves (`_ticks`): `time` is `logged`, or one of the payload.
_APART = frozenset({"source", "offset", "record_number", "recovered", "channel", "host", "time", "logged"})
_TICK = 1_000_000  # ns: of seven decimals, evtx_dump prints six and winlogbeat's @timestamp three
_RENDERED = "RenderingInfo."

Hashes = npt.NDArray[np.uint64]


def once(frame: pl.DataFrame) -> tuple[pl.DataFrame, Places]:
    """Each event once: same host, record id, time and payload; and its `sources`, which tell everywhere it stands.

    `frame`: events of one type. Rows come by source and offset. Of copies the first live one stays, else the first
    recovered one, and of those with fewer decimals none: with record ids times are equal that are so to the
    millisecond. `sources` has the live ones first. Without record ids, as in some text exports, events of one source
    are never copies of each other: they may well have happened twice.

    A frame may have `sources` already: then a row stands for as many live copies, with a record id, as it tells places,
    by path and offset, of which its own is the first; null: for itself alone.
    """
    bare, several = apart(frame)
    first = _first_copies(bare)
    kept = np.flatnonzero(first == np.arange(frame.height))
    left = bare if kept.size == frame.height else bare.filter(first == np.arange(frame.height))
    return left, places(bare, several, first, kept)


def _first_copies(frame: pl.DataFrame) -> Rows:
    """For each row the one that stands for it: itself, if it is the only one of its kind or the first."""
    first = np.arange(frame.height)
    host, tick = frame["host"].str.to_lowercase(), _ticks(frame)
    repeated = pl.Series(_hashes([host, frame["record_id"], tick])).is_duplicated().to_numpy()
    suspects = np.flatnonzero(repeated)
    if suspects.size:
        payload = [c for c in frame.columns if c not in _APART and not c.startswith(_RENDERED)]
        # Rows are gathered only where few are copies: it costs more than all else.
        if 2 * suspects.size > frame.height:
            suspects, part = first.copy(), frame
        else:
            host, tick, part = host.gather(suspects), tick.gather(suspects), frame[suspects]
        columns = [host, tick, *(column for c in payload if (column := part[c]).null_count() < part.height)]
        order = live_first(part)
        found = _classes(part, columns, order)
        logged = part["logged"].to_physical().fill_null(0).to_numpy()
        if (logged != logged[found]).any():
            finest = np.lexsort((-logged[order], part["recovered"].to_numpy()[order]))
            found = _classes(part, columns, order[finest])
        first[suspects] = suspects[found]
    return first


def _ticks(frame: pl.DataFrame) -> pl.Series:
    """When events were logged, as far as copies agree in it."""
    logged = frame["logged"].to_physical()
    tick = logged // _TICK
    if not frame["record_id"].null_count():
        return tick
    return tick.zip_with(frame["record_id"].is_not_null(), logged)


def _classes(part: pl.DataFrame, columns: Sequence[pl.Series], order: Rows) -> Rows:
    """For each row the one, first in `order`, that is equal to it."""
    _, firsts, which = np.unique(_hashes(columns)[order], return_index=True, return_inverse=True)
    found = np.empty(part.height, np.int64)
    found[order] = order[firsts[which]]
    rest = np.flatnonzero(found != np.arange(part.height))
    most = 2 * rest.size > part.height  # then whole columns are compared: less is gathered
    same = np.ones(part.height if most else rest.size, bool)
    for column in columns:
        mine, other = (column, found) if most else (column.gather(rest), found[rest])
        same &= mine.eq_missing(column.gather(other)).to_numpy()
    if most:
        same = same[rest]
    if not same.all():
        _by_value(columns, found, order[np.isin(found[order], found[rest[~same]])])
    _apart(part, found, order)
    return found


def equal(frame: pl.DataFrame, columns: Sequence[pl.Series]) -> Rows:
    """For each row of a frame the first that is equal to it in all of these columns; rows have record ids."""
    return _classes(frame, columns, np.arange(frame.height))


def _by_value(columns: Sequence[pl.Series], found: Rows, rows: Rows) -> None:
    """Equal rows among those whose hashes are alike though their values are not: slow, and hardly ever needed."""
    values = pl.DataFrame([column.gather(rows).alias(str(n)) for n, column in enumerate(columns)])
    groups = values.with_row_index("_row").group_by(values.columns, maintain_order=True).agg("_row")["_row"]
    for group in groups.to_list():
        found[rows[group]] = rows[group[0]]


def _apart(part: pl.DataFrame, found: Rows, order: Rows) -> None:
    """Without record ids: the n-th of equal rows in one source is a copy of the n-th in another, and of no other."""
    rows = order[part["record_id"].is_null().to_numpy()[order]]
    if not rows.size:
        return
    equal = pl.DataFrame({"row": rows, "first": found[rows], "source": part["source"].gather(rows)})
    nth = pl.int_range(pl.len()).over("first", "source")
    found[rows] = equal.with_columns(nth=nth).select(pl.col("row").first().over("first", "nth"))[:, 0].to_numpy()


# Odd numbers, so that multiplying loses nothing; splitmix64's and the golden ratio's. A collision costs time alone.
_MIX, _STEP = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x9E3779B97F4A7C15)


def _hashes(columns: Sequence[pl.Series]) -> Hashes:
    mixed = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        mixed ^= mixed >> np.uint64(31)
        mixed *= _MIX
        mixed += column.hash().to_numpy() + _STEP
    return mixed
