"""Runs of records: which record ids of a log there are, and when they were written, in few numbers.

A run is an unbroken row of EventRecordIDs in one log: each one more than the one before, written less than an hour
after it and not earlier (or once more the same, of a copy, at the same time). Between runs lie the gaps, the silences
and the steps of the clock; a log that lacks nothing is one run, however large. Runs of several logs are united, so that
a gap in one copy that another copy fills is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from hunt import arrays

I64 = npt.NDArray[np.int64]

# A run, as the census holds it. `first` and `last`: EventRecordIDs, null where records have none; `start`, `end`: the
# earliest and the latest TimeCreated. `more`, `missing`: breaks inside it that are too many to be told one by one, and
# the record ids that are missing in them, at most (another copy may hold them).
RUN = pl.Struct(
    {
        "first": pl.UInt64,
        "last": pl.UInt64,
        "start": pl.Datetime("ns", "UTC"),
        "end": pl.Datetime("ns", "UTC"),
        "more": pl.UInt32,
        "missing": pl.UInt64,
    }
)
FIELDS = tuple(field.name for field in RUN.fields)

NO_ID = -2  # two less than the smallest id, so that nothing follows on it
NO_TIME = int(np.iinfo(np.int64).min)
HIGHEST = 1 << 48  # ids from here on are made up, since Windows counts from 1; sums of those below fit 64 bits

SILENCE_S = 3600  # shorter pauses are never called a silence
# The event log service writes what the ETW buffers hand it, up to a second late and out of order between processors;
# five leave room for that. Slewing clocks never go back; what w32time sets at a boot is mostly more.
BACK_S = 5
MOST = 1024  # runs of one log that are kept apart; the largest gaps and the longest silences are those that stay

_SECOND = 1_000_000_000  # in ns


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs as arrays, in order: `key` tells the logs apart; times in ns since 1970, or NO_TIME; ids, or NO_ID."""

    key: I64
    first: I64
    last: I64
    start: I64
    end: I64
    more: I64
    missing: I64


def found(key: I64, ids: I64, times: I64) -> Runs:
    """The runs of some records, by key and id. Their order does not matter, nor do copies of a record."""
    if not key.size:
        return Runs(*(np.empty(0, np.int64) for _ in range(7)))
    if not _in_order(key, ids):
        order = np.lexsort((times, ids, key))
        key, ids, times = key[order], ids[order], times[order]
    broken = (key[1:] != key[:-1]) | (ids[1:] > ids[:-1] + 1)
    timed = (times[1:] != NO_TIME) & (times[:-1] != NO_TIME)
    later = times[1:] // _SECOND - times[:-1] // _SECOND  # whole seconds: no difference of two of them overflows
    again = (ids[1:] == ids[:-1]) & (later > BACK_S)  # the same id, written anew
    broken |= timed & ((later >= SILENCE_S) | (later < -BACK_S) | again)
    at = np.concatenate([[0], np.flatnonzero(broken) + 1])
    last = np.concatenate([at[1:], [key.size]]) - 1
    known = np.where(times == NO_TIME, np.iinfo(np.int64).max, times)
    start, end = np.minimum.reduceat(known, at), np.maximum.reduceat(times, at)
    none = np.zeros(at.size, np.int64)
    return Runs(key[at], ids[at], ids[last], np.where(end == NO_TIME, NO_TIME, start), end, none, none)


def _in_order(key: I64, ids: I64) -> bool:
    step = key[1:] - key[:-1]
    return bool(((step > 0) | ((step == 0) & (ids[1:] > ids[:-1]))).all())


def capped(found: Runs, most: int = MOST) -> Runs:
    """At most `most` runs of each log: the largest gaps and the longest silences stay, the others are counted.

    Logs made for it hold a gap at every second record.
    """
    if found.key.size <= most:
        return found
    columns = {name: getattr(found, name) for name in Runs.__slots__}
    few = _capped(pl.DataFrame(columns), ["key"], most)
    return Runs(*(few[name].cast(pl.Int64).to_numpy() for name in Runs.__slots__))


def known(numbers: I64, none: int) -> pl.Series:
    """Numbers, null where they are `none`."""
    return arrays.masked(arrays.numbers("", numbers), numbers != none)


def lists(found: Runs) -> tuple[I64, pl.Series]:
    """(the keys, ascending; for each a list of its runs as RUN)."""
    times = pl.Datetime("ns", "UTC")
    columns = [
        *(known(getattr(found, c), NO_ID).cast(pl.UInt64).alias(c) for c in ("first", "last")),
        *(known(getattr(found, c), NO_TIME).cast(times).alias(c) for c in ("start", "end")),
        arrays.numbers("more", found.more).cast(pl.UInt32),
        arrays.numbers("missing", found.missing).cast(pl.UInt64),
    ]
    told = pl.DataFrame(columns).to_struct("runs")
    groups = arrays.grouped(found.key)
    offsets = arrays.arrow(np.append(groups.firsts, found.key.size).astype(np.int64))
    return groups.values, arrays.series(pa.LargeListArray.from_arrays(offsets, told.to_arrow())).alias("runs")


def of_records(records: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """The runs of single records: `by`, FIELDS. Columns: `by`, `record_id`, `logged`, both null where not known."""
    each = records.select(
        *by,
        *(pl.when(pl.col("record_id") < HIGHEST).then(pl.col("record_id")).alias(c) for c in ("first", "last")),
        *(pl.col("logged").alias(c) for c in ("start", "end")),
        pl.lit(0, pl.UInt32).alias("more"),
        pl.lit(0, pl.UInt64).alias("missing"),
    )
    return union(each, by)


def union(runs: pl.DataFrame, by: Sequence[str], most: int = MOST) -> pl.DataFrame:
    """Runs that overlap or follow on one another, as one; ordered by `by`, `first` and `start`, at most `most` per log.

    Runs whose ids overlap and whose times contradict each other stay apart: a log that began anew.
    """
    by = list(by)
    ordered = runs.select(*by, *FIELDS).with_columns(pl.col("first", "last").cast(pl.Int64).fill_null(NO_ID))
    ordered = ordered.sort(*by, "first", "start")
    told = ordered.with_columns(pl.col("last").cum_max().over(by).alias("_reach")).with_columns(
        pl.col("_reach").shift().over(by).alias("_before"),
        pl.when(pl.col("last") == pl.col("_reach")).then("end").forward_fill().shift().over(by).alias("_until"),
        pl.col("start").shift().over(by).alias("_since"),
    )
    apart = pl.col("first") > pl.col("_before") + 1
    silent = pl.col("start") - pl.col("_until") >= pl.duration(seconds=SILENCE_S)
    earliest = pl.when(pl.col("first") > pl.col("_before")).then("_until").otherwise("_since")
    # Copies share records, and so times: the same ids at a later time are those of a log that began anew.
    again = (pl.col("first") <= pl.col("_before")) & (pl.col("start") > pl.col("_until") + pl.duration(seconds=BACK_S))
    back = pl.col("start") < earliest - pl.duration(seconds=BACK_S)
    new = pl.col("_before").is_null() | apart | (silent | again | back).fill_null(value=False)
    united = _capped(_together(told.with_columns(new.alias("_new")), by), by, most)
    ids = (pl.when(pl.col(c) != NO_ID).then(pl.col(c)).cast(pl.UInt64).alias(c) for c in ("first", "last"))
    return united.with_columns(*ids, pl.col("more").cast(pl.UInt32), pl.col("missing").cast(pl.UInt64))


def _together(runs: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """Runs in order, those from one `_new` to the next as one."""
    grouped = runs.with_columns(pl.col("_new").cum_sum().alias("_run")).group_by("_run", maintain_order=True)
    united = grouped.agg(
        *(pl.col(c).first() for c in (*by, "first")),
        pl.col("last").max(),
        pl.col("start").min(),
        pl.col("end").max(),
        pl.col("more").cast(pl.Int64).sum(),
        pl.col("missing").cast(pl.Int64).sum(),
    )
    return united.select(*by, *FIELDS)


def _capped(runs: pl.DataFrame, by: list[str], most: int) -> pl.DataFrame:
    """See `capped`; times as such or in ns."""
    if runs.height <= most or int(runs.select(pl.len().over(by).max()).item()) <= most:
        return runs
    pause = (pl.col("start").cast(pl.Int64) // _SECOND - pl.col("end").shift().over(by).cast(pl.Int64) // _SECOND).abs()
    told = runs.with_columns(
        (pl.col("first") - pl.col("last").shift().over(by) - 1).clip(0).alias("_missing"),
        pause.fill_null(0).alias("_pause"),
    )
    ranks = [pl.col(c).rank("ordinal", descending=True).over(by) for c in ("_missing", "_pause")]
    kept = pl.col("_missing").is_null() | pl.any_horizontal(rank <= most // 2 - 1 for rank in ranks)
    marked = told.with_columns(kept.fill_null(value=True).alias("_new")).with_columns(
        pl.col("more").cast(pl.Int64) + pl.when("_new").then(0).otherwise(1),
        pl.col("missing").cast(pl.Int64) + pl.when("_new").then(0).otherwise("_missing"),
    )
    return _together(marked, by)
