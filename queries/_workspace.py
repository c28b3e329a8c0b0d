"""What the hunts on Google Workspace's audit log share."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from hunt import workspace
from hunt.model import Case

from ._audit import told
from ._exchange import Sign, weighed


def activities(case: Case, event_ids: Sequence[int], names: str, parameters: Sequence[str] = ()) -> pl.LazyFrame:
    """As `workspace.activities`, with what `_exchange.weighed` and `reason` ask for."""
    return workspace.activities(case, event_ids, names, parameters).with_columns(
        attempt=pl.lit(value=False), outcome=pl.lit(""), error=pl.lit(None, pl.String)
    )


def findings(
    rows: pl.LazyFrame, base: pl.Expr | int, signs: Sequence[Sign], what: pl.Expr, object_: pl.Expr, **others: pl.Expr
) -> pl.LazyFrame:
    """One finding for each of some activities."""
    of = pl.concat_list(workspace.event())
    return told(weighed(rows, base, signs), what, object_, pl.col("name").str.to_uppercase(), events=of, **others)
