"""Starts of Outlook whose creator nobody tells: a script host may be it, and that is not clean.

Windows before 10 logs 4688 without the creator's name; its start is often older than the log.
"""

from __future__ import annotations

import polars as pl

from hunt.lineage import security
from hunt.lineage.brokered import COM_MARKER
from hunt.model import SYSMON, Case, Need, Unknown
from hunt.processes import base_name

from ._outlook import OUTLOOK
from ._outlook_parents import in_security, outlooks

_SYSMON = Need(
    SYSMON, 1, frozenset({"ProcessGuid", "ProcessId", "Image", "CommandLine", "ParentProcessGuid", "ParentImage"})
)
_SAID = "the creator of Outlook is not named and its start was not logged, so a direct start is not evaluable"


def _unmarked(line: str) -> pl.Expr:
    """COM's marker tells that COM made it."""
    return ~pl.col(line).str.contains(COM_MARKER).fill_null(value=False)


def _by_sysmon(case: Case) -> pl.LazyFrame:
    met = outlooks(case, SYSMON, 1, "Image", "host", "CommandLine", "ParentProcessGuid", "ParentImage")
    nobody = pl.col("ParentImage").fill_null("").is_in(["", "-", "?"]) & _unmarked("CommandLine")
    told = met.select(_host(), "host", "ParentProcessGuid", nobody.alias("_nobody")).collect()
    named = told.filter("_nobody").select("_host", "ParentProcessGuid").drop_nulls().unique().lazy()
    if not named.select(pl.len()).collect().item():  # the common case
        return _counted(told.lazy(), pl.col("_nobody"))
    # Whose start was logged after all; a cheap look first, by the GUID alone.
    started = case.frame(SYSMON, 1).join(named, left_on="ProcessGuid", right_on="ParentProcessGuid", how="semi")
    logged = started.select(_host(), pl.col("ProcessGuid").alias("ParentProcessGuid")).unique()
    found = told.lazy().join(logged.with_columns(_logged=True), on=["_host", "ParentProcessGuid"], how="left")
    return _counted(found, pl.col("_nobody") & pl.col("_logged").is_null())


def _host() -> pl.Expr:
    return pl.col("host").str.to_lowercase().alias("_host")


def _by_security(case: Case) -> pl.LazyFrame:
    if not in_security(case):
        return _counted(case.frame(security.SECURITY, 4688).limit(0), pl.lit(value=False))
    started = security.started(case).filter(base_name("image") == OUTLOOK)
    nobody = pl.col("creator_start").is_null() & pl.col("parent_image").is_null()
    return _counted(security.unseen(case, started), nobody & _unmarked("command_line"))


def _counted(starts: pl.LazyFrame, unknown: pl.Expr) -> pl.LazyFrame:
    """host, unknown, total."""
    return (
        starts.select("host", pl.col("host").str.to_lowercase().alias("_key"), unknown.alias("unknown"))
        .group_by("_key")
        .agg(pl.col("host").min(), pl.col("unknown").sum().cast(pl.UInt64), pl.len().cast(pl.UInt64).alias("total"))
        .sort("_key")
        .drop("_key")
    )


UNNAMED = (
    Unknown(_SAID, _by_sysmon, (_SYSMON,), vital=True),
    Unknown(f"Security 4688: {_SAID}", _by_security, (*security.NEEDS, *security.READS, _SYSMON), vital=True),
)
