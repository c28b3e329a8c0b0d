"""Which mails were read when, out of records that each sum up some minutes of MailItemsAccessed; how many in a window.

Bind tells of mails that were opened one by one: each record of it names them (InternetMessageId, else their Id) or at
least counts them (OperationCount). Sync tells of a folder that was taken whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from hunt import audit
from hunt.model import Case

ACCESS, THROTTLED = "OperationProperties.MailAccessType", "OperationProperties.IsThrottled"
MESSAGE, ITEM = "Folders.FolderItems.InternetMessageId", "Folders.FolderItems.Id"
PATHS, COUNT = "Folders.Path", "OperationCount"
SYNCED = "Item.ParentFolder.Path"  # where a Sync names its one folder
COLUMNS = (ACCESS, THROTTLED, MESSAGE, ITEM, PATHS, COUNT, SYNCED)
NEED = audit.need(audit.AGGREGATED, *COLUMNS)
# Older exports have the same operation as one of single items.
ALSO = audit.need(audit.ITEM, *COLUMNS)
_LAST = 2**63 - 2  # ns since 1970
GROUP = ("host_key", "user_key", "box", "client_ip", "app", "session")


def accesses(case: Case, kind: str) -> pl.DataFrame:
    """One row a record of one MailAccessType (bind, sync), in order of time: columns of `audit.records`, COLUMNS, and

    row, user_key, box (lower case), throttled.
    """
    met = audit.records(case, [audit.AGGREGATED, audit.ITEM], ["mailitemsaccessed"], COLUMNS)
    told = pl.col(ACCESS).str.strip_chars().str.to_lowercase()
    own = told.is_null() if kind == "bind" else pl.lit(value=False)  # what does not say so can only be counted
    return (
        met.filter((told == kind).fill_null(value=False) | own)
        .with_columns(
            user_key=pl.col("user").str.to_lowercase(),
            box=audit.box(),
            throttled=(pl.col(THROTTLED).str.to_lowercase() == "true").fill_null(value=False),
        )
        .collect()
        .with_row_index("row")
    )


def mails(rows: pl.DataFrame) -> pl.DataFrame:
    """row, mail, weight: each mail that a record names (weight 1), and those that it only counts, as one of null."""
    count = _count().fill_null(0)
    lines = rows.lazy().select(
        "row", count=count, mail=pl.col(MESSAGE).str.split("\n"), item=pl.col(ITEM).str.split("\n")
    )
    # Both have a line for each mail; a record that has one of the columns alone has no lines of the other.
    size = pl.max_horizontal(pl.col("mail").list.len(), pl.col("item").list.len()).fill_null(0)
    placed = lines.with_columns(place=pl.int_ranges(0, size)).select("row", "count", "mail", "item", "place")
    each = (
        placed.explode("place")
        .filter(pl.col("place").is_not_null())
        .select(
            "row",
            mail=pl.coalesce(*(_nth(name) for name in ("mail", "item"))),
            weight=pl.lit(1, pl.Int64),
        )
        .filter(pl.col("mail").is_not_null())
    )
    named = each.group_by("row").agg(named=pl.len().cast(pl.Int64))
    rest = (
        lines.select("row", "count")
        .join(named, on="row", how="left")
        .select("row", mail=pl.lit(None, pl.String), weight=pl.col("count") - pl.col("named").fill_null(0))
        .filter(pl.col("weight") > 0)
    )
    return pl.concat([each, rest]).collect()


def sizes(rows: pl.DataFrame) -> pl.DataFrame:
    """The same without names: how many mails a record tells of, at most."""
    told = [pl.col(name).str.count_matches("\n", literal=True).cast(pl.Int64) + 1 for name in (MESSAGE, ITEM)]
    most = pl.max_horizontal(_count(), *told).fill_null(0)
    return rows.select("row", mail=pl.lit(None, pl.String), weight=most).filter(pl.col("weight") > 0)


def _count() -> pl.Expr:
    """What a record says that it sums up; a record of minutes has no million, and sums must not overflow."""
    return pl.col(COUNT).cast(pl.Int64, strict=False).clip(0, 1_000_000)


def _nth(name: str) -> pl.Expr:
    value = pl.col(name).list.get(pl.col("place"), null_on_oob=True).str.strip_chars().str.to_lowercase()
    return pl.when(value != "").then(value)


def bursts(rows: pl.DataFrame, met: pl.DataFrame, by: Sequence[str], within: int, many: int) -> pl.DataFrame:
    """burst, row: the records of each stretch of time in which some window holds `many` different mails or more.

    Windows are `within` ns long, inclusive at both ends; records of a group (`by`) count together; a mail counts once
    in each window, what is only counted as often as it was counted. Windows that share a record are one burst.
    `peak`: the most mails in one window; `mails`: in all of the burst.
    """
    group = rows.select("row", "time", _group=pl.struct(by).rank("dense")).filter(pl.col("time").is_not_null())
    timed = met.join(group, on="row").with_columns(at=pl.col("time").cast(pl.Int64)).drop("time")
    steps = _steps(timed, within)
    counts = (
        steps.sort("_group", "at", "delta")  # what leaves a window does so before others enter at the same moment
        .with_columns(count=pl.col("delta").cum_sum().over("_group"))
        .group_by("_group", "at", maintain_order=True)
        .agg(pl.col("count").last())
    )
    hot = counts.filter(pl.col("count") >= many).join(
        timed.select("_group", "at").unique(), on=["_group", "at"], how="semi"
    )
    if not hot.height:
        return pl.DataFrame(schema={"burst": pl.UInt32, "row": rows.schema["row"], "peak": pl.Int64, "mails": pl.Int64})
    # Each end of a hot window covers the time before it; those that touch are one.
    spans = hot.sort("_group", "at").with_columns(begin=pl.col("at") - within)
    new = (pl.col("begin") > pl.col("at").shift().over("_group")).fill_null(value=True)
    numbered = spans.with_columns(burst=new.cum_sum().cast(pl.UInt32))
    burst = numbered.group_by("burst", maintain_order=True).agg(
        pl.col("_group").first(), pl.col("begin").min(), end=pl.col("at").max(), peak=pl.col("count").max()
    )
    inside = timed.join(burst, on="_group").filter(pl.col("at").is_between("begin", "end"))
    named = (
        inside.filter(pl.col("mail").is_not_null()).group_by("burst").agg(n=pl.col("mail").n_unique().cast(pl.Int64))
    )
    others = inside.filter(pl.col("mail").is_null()).group_by("burst").agg(m=pl.col("weight").sum())
    total = burst.select("burst").join(named, on="burst", how="left").join(others, on="burst", how="left")
    mails_ = total.select("burst", mails=pl.col("n").fill_null(0) + pl.col("m").fill_null(0))
    return (
        inside.select("burst", "row", "peak").unique(maintain_order=True).join(mails_, on="burst").sort("burst", "row")
    )


def _steps(timed: pl.DataFrame, within: int) -> pl.DataFrame:
    """_group, at, delta: by how much the number of mails in the window that ends at a moment changes there.

    A mail is in the windows that end from one of its records on until the next of them, or until that record is older
    than the window.
    """
    named = timed.filter(pl.col("mail").is_not_null()).unique(["_group", "mail", "at"]).sort("_group", "mail", "at")
    after = pl.col("at").shift(-1).over("_group", "mail")
    past = pl.col("at").clip(upper_bound=_LAST - within) + within + 1
    named = named.with_columns(out=pl.min_horizontal(after, past), weight=pl.lit(1, pl.Int64))
    only = timed.filter(pl.col("mail").is_null()).with_columns(out=past)
    both = pl.concat([part.select("_group", "at", "out", "weight") for part in (named, only)])
    return pl.concat(
        [
            both.select("_group", "at", delta=pl.col("weight")),
            both.select("_group", at=pl.col("out"), delta=-pl.col("weight")),
        ]
    )
