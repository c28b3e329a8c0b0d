"""The processes that Outlook's own start names as its parent, out of Sysmon or Security: requests of grade direct.

That a parent is named is certain; when it started may be not. Such a request has a `doubt` and is kept.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from hunt import processes
from hunt.lineage import security
from hunt.model import SYSMON, Case
from hunt.processes import base_name
from hunt.schema import TIME

from ._outlook import BY_PID, CHILD, LATE, OUTLOOK, PROCESS, START, UNDATED, UNTIMED

_SYSMON: Mapping[str, str] = {
    "guid": "ProcessGuid",
    "pid": "ProcessId",
    "image": "Image",
    "command_line": "CommandLine",
    "start": "time",
    "user": "User",
    "logon_id": "LogonId",
    "session": "TerminalSessionId",
    "integrity": "IntegrityLevel",
    "original_file_name": "OriginalFileName",
    "description": "Description",
    "parent_guid": "ParentProcessGuid",
    "parent_pid": "ParentProcessId",
    "parent_image": "ParentImage",
    "parent_command_line": "ParentCommandLine",
}
_AS_CHILD_TELLS = {
    "r_guid": "c_parent_guid",
    "r_pid": "c_parent_pid",
    "r_image": "c_parent_image",
    "r_command_line": "c_parent_command_line",
    "r_session": "c_session",
    "r_logon_id": "c_logon_id",
}
_COLUMNS = ("time", "host", "channel", "event_id", "record_id", *START.split())
_SKEW = pl.duration(milliseconds=250, time_unit="ns")  # by which an end may be logged early, as lineage has it
# A cheap look that misses none, for logs of millions of starts.
MAY_BE = r"(?i)outlook\.exe$"


def outlooks(case: Case, channel: str, event_id: int, image: str, *columns: str) -> pl.LazyFrame:
    """The starts of Outlook, with these columns."""
    met = case.frame(channel, event_id).select(*dict.fromkeys((image, *columns)))
    # Collected, for the two filters would become one, and the dear one be asked of all rows.
    return met.filter(pl.col(image).str.contains(MAY_BE)).collect().lazy().filter(base_name(image) == OUTLOOK)


def in_security(case: Case) -> bool:
    """Whether Security tells of a start of Outlook."""
    met = outlooks(case, security.SECURITY, 4688, "NewProcessName")
    return bool(met.select(pl.len()).collect().item())


def by_sysmon(case: Case) -> list[pl.LazyFrame]:
    """Outlook and the process that its ParentProcessGuid names; where that is empty, its other fields."""
    met = outlooks(case, SYSMON, 1, "Image", *_COLUMNS)
    named = met.select("ParentProcessGuid").drop_nulls().unique()
    # Those with such a GUID on any host: the join below asks for the host.
    started = case.frame(SYSMON, 1).join(named, left_on="ProcessGuid", right_on="ParentProcessGuid", how="semi")
    children = processes.distinct_starts(met).select(_sysmon("c_")).collect().lazy()
    parents = processes.distinct_starts(started.select(_COLUMNS)).select(_sysmon("r_"))
    own, theirs = ["host_key", "c_parent_guid"], ["host_key", "r_guid"]
    logged = children.join(parents, left_on=own, right_on=theirs).with_columns(
        pl.col("c_parent_guid").alias("r_guid"),
        pl.coalesce("r_user", "c_user").alias("r_user"),
        pl.lit("event").alias("start_source"),
    )
    orphans = children.filter(pl.col("c_parent_guid").is_not_null())
    unlogged = orphans.join(parents, left_on=own, right_on=theirs, how="anti").with_columns(
        *_as_child_tells(_AS_CHILD_TELLS),
        processes.start_second(pl.col("c_parent_guid")).alias("r_start"),
        pl.lit("guid").alias("start_source"),
    )
    parts = [_in_time(part).with_columns(_is_direct("ParentProcessGuid")) for part in (logged, unlogged)]
    nameless = children.filter(pl.col("c_parent_guid").is_null()).collect()
    if nameless.height:
        parts += _by_pid(case, nameless)
    return [part.with_columns(pl.lit("sysmon").alias("source")) for part in parts]


def _sysmon(prefix: str) -> list[pl.Expr]:
    return [
        pl.col("host_key"),
        *(pl.col(theirs).alias(f"{prefix}{ours}") for ours, theirs in _SYSMON.items()),
        processes.sha256("Hashes").alias(f"{prefix}sha256"),
        *(pl.col(name).alias(f"{prefix}{name}") for name in ("host", "channel", "event_id", "record_id")),
    ]


def _in_time(part: pl.LazyFrame) -> pl.LazyFrame:
    """With `gap` and `doubt`. A GUID names one process, whatever the clock said: one that is told to have started after
    Outlook is kept, unless it was logged with another time as well."""
    late = pl.col("gap").dt.total_nanoseconds() < 0
    timed = part.with_columns(gap())
    kept = timed.filter(~late.fill_null(value=False) | late.all().over(CHILD))
    doubt = (
        pl.when(pl.col("c_start").is_null())
        .then(pl.lit(UNTIMED))
        .when(pl.col("gap").is_null())
        .then(pl.lit(UNDATED))
        .when(late)
        .then(pl.lit(LATE))
    )
    return kept.with_columns(doubt.alias("doubt"))


def _by_pid(case: Case, children: pl.DataFrame) -> list[pl.LazyFrame]:
    """Starts without a ParentProcessGuid: the last process of that id and name, unless it had ended; else what the
    start itself tells of its parent."""
    by = ["host_key", "c_parent_pid", "_name"]
    asked = children.lazy().with_columns(base_name("c_parent_image").alias("_name")).sort("c_start")
    pids = pl.col("ProcessId").is_in(children["c_parent_pid"].drop_nulls().unique().implode())
    started = processes.distinct_starts(case.frame(SYSMON, 1).filter(pids).select(_COLUMNS)).select(_sysmon("r_"))
    began = started.with_columns(base_name("r_image").alias("_name"), pl.col("r_pid").alias("c_parent_pid"))
    ends = (
        case.frame(SYSMON, 5)
        .filter(pids)
        .select(
            pl.col("host").str.to_lowercase().alias("host_key"),
            pl.col("ProcessId").alias("c_parent_pid"),
            base_name("Image").alias("_name"),
            (pl.col("time") + _SKEW).alias("_end"),
        )
    )
    met = (
        asked.join_asof(
            began.drop_nulls([*by, "r_start"]).sort("r_start", "r_record_id"),
            left_on="c_start", right_on="r_start", by=by, coalesce=False, check_sortedness=False,
        )
        .join_asof(
            ends.drop_nulls().sort("_end"),
            left_on="c_start", right_on="_end", by=by, coalesce=False, check_sortedness=False,
        )
    ).collect().lazy()  # fmt: skip
    alive = pl.col("r_start").is_not_null() & ~(pl.col("_end") >= pl.col("r_start")).fill_null(value=False)
    logged = met.filter(alive).with_columns(
        pl.coalesce("r_user", "c_user").alias("r_user"), pl.lit("event").alias("start_source"),
        pl.lit(BY_PID).alias("doubt"),
    )  # fmt: skip
    unlogged = met.filter(~alive).select(children.columns).with_columns(
        *_as_child_tells(_AS_CHILD_TELLS), pl.lit(None, TIME).alias("r_start"), pl.lit(UNDATED).alias("doubt")
    )  # fmt: skip
    return [part.with_columns(gap(), *_is_direct("ParentProcessId and ParentImage")) for part in (logged, unlogged)]


def _as_child_tells(columns: Mapping[str, str]) -> list[pl.Expr]:
    """A parent whose start was not logged."""
    own = {**columns, "r_host": "c_host", "r_user": "c_user"}
    return [pl.col(theirs).alias(ours) for ours, theirs in own.items()]


def gap() -> pl.Expr:
    """From the requester's start to Outlook's."""
    return (pl.col("c_start") - pl.col("r_start")).alias("gap")


def _is_direct(evidence: str) -> list[pl.Expr]:
    # svchost starts for others: for whom, and from where, is not told by that.
    for_others = base_name("r_image") == "svchost.exe"
    return [
        pl.lit("direct").alias("grade"),
        pl.lit("direct").alias("best"),
        pl.when(for_others).then(pl.lit("unknown")).otherwise(pl.lit("local")).alias("locality"),
        pl.lit(0).alias("competitors"),
        pl.lit(0).alias("left_over"),
        pl.lit(value=False).alias("ambiguous"),
        pl.lit([evidence]).alias("evidence"),
    ]


def by_security(case: Case) -> list[pl.LazyFrame]:
    """Outlook and its creator, as the Security log has them; the creator's start is null where it was not logged."""
    everything = security.started(case).collect().lazy()
    there = [c for c in PROCESS if c in everything.collect_schema()]
    started = everything.filter(base_name("image") == OUTLOOK)
    children = security.unseen(case, started).select(
        "host_key", "creator_start", *(pl.col(c).alias(f"c_{c}") for c in there)
    )
    creators = everything.select("host_key", *(pl.col(c).alias(f"r_{c}") for c in there)).unique(
        ["host_key", "r_pid", "r_start"], keep="first", maintain_order=True
    )
    logged = (
        children.filter(pl.col("creator_start").is_not_null())
        .join(
            creators,
            left_on=["host_key", "c_parent_pid", "creator_start"],
            right_on=["host_key", "r_pid", "r_start"],
        )
        .with_columns(
            pl.col("c_parent_pid").alias("r_pid"),
            pl.col("creator_start").alias("r_start"),
            pl.lit("event").alias("start_source"),
        )
    )
    told = {r: c for r, c in _AS_CHILD_TELLS.items() if c.removeprefix("c_") in there}
    unlogged = children.filter(pl.col("creator_start").is_null()).with_columns(
        *_as_child_tells(told), pl.lit(None, TIME).alias("r_start"), pl.lit(UNDATED).alias("doubt")
    )
    return [
        part.with_columns(gap(), *_is_direct("creator process id"), pl.lit("security").alias("source"))
        for part in (logged, unlogged)
    ]
