"""Frames of events -> files of a case: cut by host, sorted.

Everything here is a function of the events alone: not of how many threads read them, nor of where.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence

import polars as pl

from hunt import runs, schema
from hunt.model import EventType
from hunt.store.layout import BUCKETS, bucket

GROUP = 1 << 16  # rows of a row group: what a query skips at a time
_TOLD = 256  # rows; of fewer, statistics are a third of the file, and read in as much time as the rows
_PLACE = ("source", "offset")
_KEY = pl.col("host").str.to_lowercase()


def cut(
    frames: Mapping[EventType, pl.DataFrame], buckets: int = BUCKETS
) -> Iterator[tuple[EventType, int, pl.DataFrame]]:
    """The rows of each frame by the bucket of their host, none of them empty, in the order of type and bucket.

    Rows come by host (lower case), time, source and offset, null first; those alike in all of these as they were.
    """
    for kind in sorted(frames):
        frame = frames[kind]
        if not frame.height:
            continue
        of_hosts = frame.select(_key=_KEY).unique()["_key"]
        numbers = pl.Series([bucket(host, buckets) for host in of_hosts.to_list()], dtype=pl.UInt32)
        if of_hosts.len() == 1:
            yield kind, numbers[0], frame.sort("time", *_PLACE, maintain_order=True)
            continue
        placed = frame.with_columns(_key=_KEY).with_columns(
            _bucket=pl.col("_key").replace_strict(of_hosts, numbers, return_dtype=pl.UInt32)
        )
        ordered = placed.sort("_bucket", "_key", "time", *_PLACE, maintain_order=True)
        lengths = ordered["_bucket"].rle()
        told, start = ordered.drop("_bucket", "_key"), 0
        for length, number in zip(lengths.struct.field("len"), lengths.struct.field("value"), strict=True):
            yield kind, number, told.slice(start, length)
            start += length


def joined(batches: Sequence[pl.DataFrame], kind: EventType) -> pl.DataFrame:
    """Batches of one event type, in reading order, as one frame: typed alike, columns in the order of the rows.

    Columns: `schema.CORE`, `schema.SYSTEM`, then the fields as the first row that has them brings them; those that no
    row has by name.
    """
    # The channel's own provider is none of them unless it was met: an event of another is told as that one printed it.
    providers = {provider for batch in batches for provider in batch["provider"].unique()}
    alike = [schema.conform(b, kind.event_id, providers) if len(providers) > 1 else b for b in batches]
    whole = pl.concat(alike, how="diagonal") if len(alike) > 1 else alike[0]
    known = len(schema.CORE) + len(schema.SYSTEM)
    own = whole.columns[known:]
    first = whole.select(pl.col(c).is_not_null().arg_max() for c in own).row(0) if own else ()
    there = [whole[c].null_count() < whole.height for c in own]
    order = sorted(range(len(own)), key=lambda n: (not there[n], first[n] if there[n] else own[n]))
    return whole.select(*whole.columns[:known], *(own[n] for n in order))


def parquet(frame: pl.DataFrame) -> bytes:
    """A frame as the content of a Parquet file, the same for the same rows."""
    out = io.BytesIO()
    # One piece of memory each: where pieces of it end would show in the pages.
    whole = frame.rechunk()
    whole.write_parquet(
        out, compression="zstd", compression_level=3, row_group_size=GROUP, statistics=whole.height >= _TOLD
    )
    return out.getvalue()


def census(parts: Iterable[pl.DataFrame], sources: Sequence[str]) -> pl.DataFrame:
    """Counts of the same records, however they were read, as one: `schema.CENSUS`, by source in the order given."""
    whole = pl.concat([pl.DataFrame(schema=schema.CENSUS), *parts])
    counts = whole.group_by(schema.CENSUS_KEYS).agg(
        pl.col("records").sum(),
        pl.col("start").min(),
        pl.col("end").max(),
        pl.when(pl.col("renumbered").is_not_null().any()).then(pl.col("renumbered").sum()).alias("renumbered"),
    )
    order = pl.col("source").replace_strict(sources, range(len(sources)), return_dtype=pl.UInt32)
    counts = counts.sort(order, *schema.CENSUS_KEYS[1:])
    each = whole.select(*schema.LOG, "runs").explode("runs").drop_nulls("runs").unnest("runs")
    return schema.with_runs(counts, runs.union(each, schema.LOG))
