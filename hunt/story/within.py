"""Events that lie in spans of time: a join whose cost grows with what it gives, not with how busy a host was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import polars as pl


def within(
    spans: pl.DataFrame, events: pl.DataFrame, by: Sequence[str], most: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(pairs, counts): the `most` events of each span around its `at`, and how many there are.

    `spans`: `_span` (unique), `by`, `since`, `until` (inclusive) and `at`: of more events than `most`, a quarter are
    the last ones before it, the others the first from it on (null: the earliest of the span). `events`: `by`, `time`,
    others. Pairs have `_span` and the events' columns but `by`; counts `_span` and `count`, only where there are any.
    Nulls match nothing.
    """
    keys = list(by)
    ordered = events.drop_nulls([*keys, "time"]).sort(*keys, "time", maintain_order=True).with_row_index("_at")
    places = ordered.select(*keys, "time", "_at")
    asked = spans.select("_span", *keys, "since", "until", pl.coalesce("at", "since").alias("at")).drop_nulls()
    both = _placed(asked, places, keys, "until", "_last", "backward")
    both = _placed(both, places, keys, "since", "_begin", "forward")
    around = _placed(both, places, keys, "at", "_next", "forward")
    first, last = pl.col("_begin").cast(pl.Int64), pl.col("_last").cast(pl.Int64)
    centre = pl.coalesce(pl.col("_next").cast(pl.Int64), last + 1)  # none from `at` on: the last ones
    low = pl.max_horizontal(first, pl.min_horizontal(centre - most // 4, last + 1 - most))
    met = around.filter(first <= last).select(
        "_span",
        (last - first + 1).alias("count"),
        pl.int_ranges(low, pl.min_horizontal(last + 1, low + most)).alias("_at"),
    )
    few = met.select("_span", "_at")
    pairs = few.explode("_at", empty_as_null=False).cast({"_at": pl.UInt32})
    told = pairs.join(ordered.drop(keys), on="_at", how="inner", maintain_order="left").drop("_at")
    return told, met.select("_span", "count")


def _placed(
    asked: pl.DataFrame,
    places: pl.DataFrame,
    keys: list[str],
    time: str,
    name: str,
    side: Literal["backward", "forward"],
) -> pl.DataFrame:
    """With `name`: the place of the last event up to a time, or of the first one from it on."""
    return asked.sort(time, "_span").join_asof(
        places.select(*keys, pl.col("_at").alias(name), pl.col("time").alias(f"{name}_time")),
        left_on=time,
        right_on=f"{name}_time",
        by=keys,
        strategy=side,
        check_sortedness=False,  # both sides are in order within each key, which Polars can't check
    )
