"""Copies of a record as one row that tells all of its places: less to keep, and nothing is lost."""

from __future__ import annotations

import polars as pl

from hunt.duplicates import SOURCES, equal

_PLACE = ("source", "offset")


def collapsed(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows that are alike in everything but their place as one, with `sources` (every place, by path and offset).

    `source` and `offset` are the first place; `sources` is null where a row stands for itself alone, and may be there
    already. Records without an id, which may well have happened twice, and recovered ones are never taken together.
    """
    if "sources" not in frame.columns:
        frame = frame.with_columns(pl.lit(None, SOURCES).alias("sources"))
    host = pl.col("host").str.to_lowercase()
    repeated = pl.struct("record_id", "time", host).is_duplicated()
    suspect = frame.select(repeated & pl.col("record_id").is_not_null() & ~pl.col("recovered"))[:, 0]
    if not suspect.any():
        return frame
    part = frame.filter(suspect).sort(_PLACE)
    columns = [column for column in part.get_columns() if column.name not in (*_PLACE, "sources")]
    first = equal(part, columns)
    own = pl.concat_list(pl.struct(path="source", offset="offset")).cast(SOURCES)
    places = part.select(first=pl.Series(first), sources=pl.coalesce("sources", own)).explode("sources")
    ordered = places.unnest("sources").sort("first", "path", "offset")
    told = ordered.group_by("first", maintain_order=True).agg(pl.struct("path", "offset").alias("sources"))
    listed = pl.when(pl.col("sources").list.len() > 1).then("sources").alias("sources")
    kept = part[told["first"]].with_columns(told.select(listed)["sources"].cast(SOURCES))
    return pl.concat([frame.filter(~suspect), kept.select(frame.columns)])
