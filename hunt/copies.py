"""Copies of a record as one row that tells all of its places: less to keep, and nothing is lost."""

from __future__ import annotations

import numpy as np
import polars as pl

from hunt.duplicates import equal
from hunt.places import SOURCES, Several, places

_PLACE = ("source", "offset")


def collapsed(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows that are alike in everything but their place as one, with `sources`: nothing is lost.

    `sources` (`places.SOURCES`) tells every place, by path and offset, and `source` and `offset` are its first;
    null where a row stands for itself alone. Records without an id, which may well have happened twice, and recovered
    ones are never taken together. Rows may be collapsed ones already.
    """
    alone = frame if "sources" in frame.columns else frame.with_columns(pl.lit(None, SOURCES).alias("sources"))
    few = ("record_id", "time", "event_id")
    suspect = (
        frame.select(
            pl.struct(*few, pl.col("host").str.to_lowercase()).is_duplicated()
            & pl.col("record_id").is_not_null()
            & ~pl.col("recovered")
        )
        .to_series()
        .to_numpy()
    )
    rows = np.flatnonzero(suspect)
    if not rows.size:
        return alone
    part = alone[rows].sort(_PLACE)
    first = equal(part, [column for column in part.get_columns() if column.name not in (*_PLACE, "sources")])
    kept = np.flatnonzero(first == np.arange(part.height))
    own = part[kept].with_columns(places(part, Several(part["sources"], None), first, kept).of())
    several = pl.when(pl.col("sources").list.len() > 1).then("sources")
    return pl.concat([alone.filter(~suspect), own.with_columns(several.alias("sources"))])
