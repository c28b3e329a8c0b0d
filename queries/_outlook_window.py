"""The time from a requester's start to Outlook's, against the window."""

from __future__ import annotations

import polars as pl

from hunt.model import Case

from ._outlook import SECOND, WINDOW_S


def window(case: Case) -> int:
    """The longest time from the requester's start to Outlook's, in ns, inclusive."""
    window_s = WINDOW_S if case.settings.window_s is None else case.settings.window_s
    return round(window_s * SECOND)


def long_ago(case: Case) -> int:
    """From which age in ns on, exclusive, a requester is long-lived: a shorter window makes nobody that."""
    return max(window(case), round(WINDOW_S * SECOND))


def inside(longest: int) -> pl.Expr:
    """Requests within the window: surely, or maybe, where a second or all of the requester's start is not known.

    A gap below 0 is that of a named parent whose clock is wrong: how long it was is not known either.
    """
    gap = pl.col("gap").dt.total_nanoseconds()
    maybe = (pl.col("start_source") == "guid") & (gap - SECOND < longest)
    return (gap <= longest) | maybe | gap.is_null()


def outside(longest: int) -> pl.Expr:
    """Requests by processes that surely started before the window."""
    gap = pl.col("gap").dt.total_nanoseconds()
    return pl.when(pl.col("start_source") == "guid").then(gap - SECOND >= longest).otherwise(gap > longest)


def sure(longest: int) -> pl.Expr:
    """Requests that surely are within the window, if they are at all."""
    return (pl.col("gap").dt.total_nanoseconds() <= longest).fill_null(value=False) & pl.col("doubt").is_null()
