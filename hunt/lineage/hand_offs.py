"""Outlooks that handed over to one that ran already: COM, or a second start, launches a short-lived process for that.

The story of such a start goes on in the process that was there before: findings are marked `attached`.
"""

from __future__ import annotations

import polars as pl

from hunt.lineage.kinds import FOREVER

HAND_OFF_NS = 60_000_000_000  # a second Outlook hands over to the one that runs, and ends
_OUTLOOK = r"(?i-u:(?:^|[\\/])outlook\.exe$)"


def handed_over(known: pl.DataFrame) -> pl.Series:
    """The `row` of each Outlook that ended soon, while one of the same user and session that had begun before ran on.

    `known`: columns of `case.processes`, the Outlooks at least.
    """
    outlooks = known.filter(pl.col("image").str.contains(_OUTLOOK)).select(
        "row", "host_key", "user", "session", "start", "end"
    )
    lives = outlooks.with_columns(
        pl.col("user").str.to_lowercase(), pl.col("end").to_physical().fill_null(FOREVER).alias("_end")
    ).sort("host_key", "user", "session", "start", "row")
    before = pl.col("_end").shift().cum_max().over("host_key", "user", "session")
    short = (pl.col("end") - pl.col("start")).dt.total_nanoseconds() <= HAND_OFF_NS
    return lives.filter(short & (before > pl.col("_end")))["row"]
