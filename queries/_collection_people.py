"""The processes that findings accuse, what they started and drove: whose acts belong to the findings."""

from __future__ import annotations

import polars as pl

from hunt.model import Case, Severity
from hunt.shares import host_key
from hunt.story.cast import People
from hunt.story.traces import ACTORS

MOST_FINDINGS = 10_000  # of a host, of which processes are followed, the most severe first
_CHUNK = 500  # at once: what is joined for them is in memory

# `subject`: of ACTORS; since, until: the time of the finding and ten minutes more; `serious`: it is
# at least medium, `severe`: at least high.
PEOPLE = {
    "host_key": pl.String(),
    "guid": pl.String(),
    "subject": pl.String(),
    "user": pl.String(),
    "since": pl.Datetime("ns", "UTC"),
    "until": pl.Datetime("ns", "UTC"),
    "query": pl.String(),
    "finding_id": pl.String(),
    "serious": pl.Boolean(),
    "severe": pl.Boolean(),
}


def people(case: Case, findings: pl.DataFrame) -> pl.DataFrame:
    """One row for each process of some findings that Sysmon names: PEOPLE, the most severe finding of it.

    `findings`: `findings.FOUND`. Spans of several findings of a process are taken together.
    """
    ranks = {severity.value: -severity.rank for severity in Severity}
    rank = pl.col("severity").replace_strict(ranks, default=0, return_dtype=pl.Int8)
    named = findings.filter(pl.any_horizontal(pl.col("process_guid", "target_process_guid", "pid").is_not_null()))
    ordered = named.with_columns(_rank=rank).sort("_rank", "start", "finding_id", nulls_last=True)
    # What several queries say of the same processes is followed once.
    same = ["host", "process_guid", "pid", "target_process_guid", "start"]
    each = ordered.unique(same, keep="first", maintain_order=True)
    few = each.filter(pl.int_range(pl.len()).over(host_key()) < MOST_FINDINGS)
    if not few.height:
        return pl.DataFrame(schema=PEOPLE)
    known = People(case, few.select(pl.col("host").str.to_lowercase().alias("host_key")))
    parts = [known.cast(few.slice(begin, _CHUNK))[0] for begin in range(0, few.height, _CHUNK)]
    bad = {"serious": Severity.MEDIUM, "severe": Severity.HIGH}
    flags = {name: pl.col("_rank") <= -severity.rank for name, severity in bad.items()}
    of = few.select("finding_id", "query", "_rank", **flags)
    acting = pl.concat(parts).filter(pl.col("subject").is_in(ACTORS)).drop_nulls(["host_key", "guid"])
    joined = acting.join(of, on="finding_id", how="inner", maintain_order="left")
    told = joined.sort("_rank", "since", "finding_id", "depth", nulls_last=True)
    once = told.group_by("host_key", "guid", maintain_order=True).agg(
        *(pl.col(c).first() for c in ("subject", "user")),
        pl.col("since").min(),
        pl.col("until").max(),
        *(pl.col(c).first() for c in ("query", "finding_id")),
        *(pl.col(c).any() for c in bad),
    )
    return once.select(*PEOPLE)
