"""The findings of a report for its page: all of them, in few bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from hunt import schema
from hunt.findings import COLUMNS
from hunt.model import Severity
from hunt.report.texts import LONGEST, Texts, number

MOST = 20_000  # findings that a page lists; findings.csv has all
_ROOM = 6_000_000  # characters of their texts
_ITEMS = 20  # of a list: techniques, evidence, sources
_RANKS = {severity.value: -severity.rank for severity in Severity}


def foremost(findings: pl.DataFrame) -> pl.DataFrame:
    """What matters most first: not suppressed, severest, earliest."""
    rank = pl.col("severity").replace_strict(_RANKS, default=0, return_dtype=pl.Int8)
    return findings.sort(pl.col("suppressed").is_not_null(), rank, "start", "finding_id", nulls_last=True)


def longest(findings: pl.DataFrame) -> int:
    """How many characters of a text there is room for if all findings are to be listed."""
    texts = [findings[name].drop_nulls().unique() for name, dtype in COLUMNS.items() if isinstance(dtype, pl.String)]
    sizes = [text.str.len_chars().cast(pl.Int64) for text in texts]
    limits = (LONGEST, LONGEST // 2, LONGEST // 4, LONGEST // 8, LONGEST // 16)
    fit = (most for most in limits if sum(size.clip(upper_bound=most).sum() for size in sizes) <= _ROOM)
    return next(fit, limits[-1])


def packed(findings: pl.DataFrame, texts: Texts) -> Mapping[str, object]:
    """`columns`: (name, kind) each, `rows`: a list each, in the order given.

    kind `text`: a place in `texts`, also of times; `list`: such places; `value`: number or boolean as it is.
    """
    kinds = {name: _kind(dtype) for name, dtype in COLUMNS.items()}
    times = [name for name, dtype in COLUMNS.items() if isinstance(dtype, pl.Datetime)]
    rows = findings.select(*COLUMNS).with_columns(schema.time_text(pl.col(times)))
    return {
        "columns": [[name, kind] for name, kind in kinds.items()],
        "rows": [
            [_cell(value, kind, texts) for value, kind in zip(row, kinds.values(), strict=True)]
            for row in rows.iter_rows()
        ],
    }


def _kind(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.List):
        return "list"
    return "text" if isinstance(dtype, (pl.String, pl.Datetime)) else "value"


def _cell(value: Any, kind: str, texts: Texts) -> object:
    if kind == "text":
        return texts.place(value)
    if kind == "list":
        items = value or ()
        more = [f"… and {len(items) - _ITEMS} more"] if len(items) > _ITEMS else []
        return [texts.place(item) for item in (*items[:_ITEMS], *more)]
    return number(value)


MOST_MARKS = 20_000  # events in the picture


def marks(findings: pl.DataFrame, events: pl.DataFrame) -> tuple[list[list[int]], int]:
    """([finding's place, ms since 1970] of events to draw, how many others there are).

    Of events of the same millisecond and host one is drawn; of too many, those of the foremost findings.
    """
    placed = findings.select("finding_id").with_row_index("_place").unique("finding_id", keep="first")
    timed = events.drop_nulls("time").join(placed, on="finding_id").sort("_place", "time", "step")
    at = timed.select("_place", pl.col("time").dt.epoch("ms").alias("ms"), pl.col("host").str.to_lowercase())
    once = at.unique(["host", "ms"], keep="first", maintain_order=True)
    return [[*row] for row in once.head(MOST_MARKS).select("_place", "ms").iter_rows()], max(
        0, once.height - MOST_MARKS
    )


def in_order(rows: pl.DataFrame, findings: pl.DataFrame, *by: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """(finding_id, its rows sorted `by`), in the order of the findings; those without rows are left out."""
    placed = findings.select("finding_id").with_row_index("_place").unique("finding_id", keep="first")
    ordered = rows.join(placed, on="finding_id").sort("_place", *by)
    own: list[dict[str, Any]] = []
    for part in ordered.iter_slices(_AT_ONCE):
        for row in part.iter_rows(named=True):
            if own and own[0]["finding_id"] != row["finding_id"]:
                yield own[0]["finding_id"], own
                own = []
            own.append(row)
    if own:
        yield own[0]["finding_id"], own


_AT_ONCE = 2_000  # rows that become Python's: who asks for few findings pays for few
