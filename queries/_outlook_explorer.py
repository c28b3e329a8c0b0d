r"""A program that has explorer.exe start Outlook: the explorer.exe in between is its tool, not the requester.

`explorer.exe PATH\OUTLOOK.EXE` hands the path over to the desktop's explorer.exe and ends. Lineage names that first
explorer.exe; it does as its own parent told it to, so what speaks for it speaks for the parent as well.
"""

from __future__ import annotations

import polars as pl

from hunt.model import Case
from hunt.processes import base_name

SAID = "it had explorer.exe, which hands over to what COM starts, open Outlook"


def behind_explorer(case: Case, pairs: pl.LazyFrame) -> pl.LazyFrame:
    """Pairs (`lineage.POSSIBLE`) without `best`, in their order, and `behind`: who started an explorer.exe of grade B
    that opens Outlook is of that grade, too."""
    given = pairs.drop("best").with_columns(behind=False).collect()
    named = given.filter(pl.col("grade") == "B").select("child_row", "candidate_row")
    if not named.height:
        return given.lazy()
    rows = pl.col("row").is_in(named["candidate_row"].unique().implode())
    opening = (base_name("image") == "explorer.exe") & pl.col("command_line").str.contains(r"(?i)outlook")
    tools = case.processes.filter(rows, opening).select("row", "host_key", "parent_guid").drop_nulls().collect()
    if not tools.height:
        return given.lazy()
    named_parents = pl.col("guid").is_in(tools["parent_guid"].implode())
    parents = case.processes.filter(named_parents).select("host_key", "guid", pl.col("row").alias("_parent")).collect()
    behind = (
        named.join(tools, left_on="candidate_row", right_on="row")
        .join(parents, left_on=["host_key", "parent_guid"], right_on=["host_key", "guid"])
        .select("child_row", pl.col("_parent").alias("candidate_row"), _behind=True)
        .unique()
    )
    less = pl.col("_behind").fill_null(value=False) & (pl.col("grade") > "B")
    return (
        given.join(behind, on=["child_row", "candidate_row"], how="left", maintain_order="left")
        .with_columns(pl.when(less).then(pl.lit("B")).otherwise("grade").alias("grade"), less.alias("behind"))
        .drop("_behind")
        .sort("child_row", "grade", "rank", maintain_order=True)
        .with_columns((pl.len().over("child_row", "grade") - 1).alias("competitors"))
        .lazy()
    )
