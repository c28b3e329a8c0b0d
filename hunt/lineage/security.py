"""Processes as the Security log tells them (4688, 4689), for hosts and times without Sysmon.

There are no GUIDs: a process is its host, process id and start, and a process id means it until its end, or until it
is given to the next one. Microsoft: "4688(S): A new process has been created", versions 0 to 2.
"""

from __future__ import annotations

import polars as pl

from hunt import processes as names
from hunt.model import SYSMON, Case, Need

SECURITY = "Security"

_START = (
    "SubjectUserName SubjectDomainName SubjectLogonId TargetUserName TargetDomainName TargetLogonId "
    "NewProcessId NewProcessName ProcessId CommandLine ParentProcessName MandatoryLabel"
)
NEEDS = (Need(SECURITY, 4688, frozenset(_START.split())),)
READS = (Need(SECURITY, 4689, frozenset({"ProcessId", "ProcessName"})),)

SKEW = pl.duration(milliseconds=250)  # by which an end may be logged early, as Sysmon's were (reference)
_SYSTEM = 0x3E7  # its logon session, on every host ([MS-DTYP], ntifs.h: SYSTEM_LUID)
SAME_S = 5  # two logs tell of the same start, some seconds apart at most

# The mandatory label is the SID of an integrity level: [MS-DTYP] 2.4.2.4.
INTEGRITY = {
    "S-1-16-0": "Untrusted",
    "S-1-16-4096": "Low",
    "S-1-16-8192": "Medium",
    "S-1-16-8448": "Medium",
    "S-1-16-12288": "High",
    "S-1-16-16384": "System",
}
_PROCESS = ("host_key", "pid")


def processes(case: Case) -> pl.LazyFrame:
    """One row for each process that Sysmon does not tell of: columns of `hunt.lineage.processes.COLUMNS`, `row` aside.

    `guid`, `logon_guid`, `parent_guid` and `session` are null: the log has none.
    """
    extra = [f"creator_{c}" for c in ("record_id", "start", "host")]
    return unseen(case, started(case)).drop(extra)


def started(case: Case) -> pl.LazyFrame:
    """Every process start of the log, with its end and its creator where they were logged.

    `creator_record_id`, `creator_start`, `creator_host`: of the creator's own 4688; null where that is not in the
    evidence. `parent_image` and `parent_command_line` come from there where the event itself does not say.
    """
    starts = _starts(case)
    ended = pl.concat([_with_ends(case, starts.filter(_placed())), starts.filter(~_placed())], how="diagonal")
    return _with_creators(ended)


def unseen(case: Case, starts: pl.LazyFrame) -> pl.LazyFrame:
    """Without those whose start Sysmon logged as well: same host, process id and image, SAME_S at most apart."""
    logged = (
        case.frame(SYSMON, 1)
        .select(
            pl.col("host").str.to_lowercase().alias("host_key"),
            pl.col("ProcessId").alias("pid"),
            names.base_name("Image").alias("_name"),
            pl.col("time").alias("_logged"),
        )
        .drop_nulls()
    )
    keyed = starts.with_columns(names.base_name("image").alias("_name"))
    seen = (
        keyed.filter(_placed())
        .select(*_PROCESS, "_name", "start", "record_id")
        .sort("start")
        .join_asof(
            logged.sort("_logged"),
            left_on="start",
            right_on="_logged",
            by=[*_PROCESS, "_name"],
            strategy="nearest",
            tolerance=f"{SAME_S}s",
            check_sortedness=False,
        )
        .filter(pl.col("_logged").is_not_null())
        .select(*_PROCESS, "_name", "start")
        .unique()
    )
    return keyed.join(seen, on=[*_PROCESS, "_name", "start"], how="anti").drop("_name")


def _placed() -> pl.Expr:
    """Starts that joins can place: of a known host, process id and time."""
    return pl.col("host_key").is_not_null() & pl.col("pid").is_not_null() & pl.col("start").is_not_null()


def _starts(case: Case) -> pl.LazyFrame:
    # Since version 2 the user the process runs as stands in Target*, if it is not the one who started it.
    other = pl.col("TargetLogonId").fill_null(0) != 0
    target, subject = _user("Target"), _user("Subject")
    # Before it, who asked for the start is told alone. What SYSTEM starts is mostly SYSTEM's; its Outlook never is.
    outlook = names.base_name("NewProcessName") == "outlook.exe"
    untold = pl.col("TargetLogonId").is_null() & (pl.col("SubjectLogonId") == _SYSTEM) & outlook
    return case.frame(SECURITY, 4688).select(
        "host",
        pl.col("host").str.to_lowercase().alias("host_key"),
        pl.lit(None, pl.String).alias("guid"),
        pl.col("NewProcessId").cast(pl.UInt32, strict=False).alias("pid"),
        pl.col("NewProcessName").alias("image"),
        _text("CommandLine").alias("command_line"),
        pl.col("time").alias("start"),
        pl.lit("event").alias("start_source"),
        pl.lit(None, pl.String).alias("logon_guid"),
        pl.when(other)
        .then("TargetLogonId")
        .when(~untold.fill_null(value=False))
        .then("SubjectLogonId")
        .alias("logon_id"),
        pl.lit(None, pl.UInt32).alias("session"),
        pl.when(other).then(target).when(~untold.fill_null(value=False)).then(subject).alias("user"),
        pl.col("MandatoryLabel").replace_strict(INTEGRITY, default=None, return_dtype=pl.String).alias("integrity"),
        pl.lit(None, pl.String).alias("parent_guid"),
        pl.col("ProcessId").cast(pl.UInt32, strict=False).alias("parent_pid"),
        _text("ParentProcessName").alias("parent_image"),
        pl.lit("security").alias("source"),
        "channel",
        "event_id",
        "record_id",
    )


def _text(column: str) -> pl.Expr:
    """What was logged; "" and "-" say that nothing was: command lines are off unless a policy turns them on."""
    return pl.when(~pl.col(column).is_in(["", "-"])).then(pl.col(column))


def _user(side: str) -> pl.Expr:
    domain, name = _text(f"{side}DomainName"), _text(f"{side}UserName")
    return pl.when(domain.is_not_null() & name.is_not_null()).then(domain + "\\" + name).otherwise(name)


def _with_ends(case: Case, starts: pl.LazyFrame) -> pl.LazyFrame:
    """`end`: the next 4689 of the process id, unless the id was given to another process before."""
    ends = (
        case.frame(SECURITY, 4689)
        .select(
            pl.col("host").str.to_lowercase().alias("host_key"),
            pl.col("ProcessId").cast(pl.UInt32, strict=False).alias("pid"),
            pl.col("time").alias("end"),
        )
        .drop_nulls()
        .sort("end")
    )
    ordered = starts.sort("start", "record_id").with_columns(pl.col("start").shift(-1).over(_PROCESS).alias("_next"))
    joined = ordered.join_asof(
        ends,
        left_on="start",
        right_on="end",
        by=[*_PROCESS],
        strategy="forward",
        check_sortedness=False,
        coalesce=False,
    )
    mine = pl.col("_next").is_null() | (pl.col("end") <= pl.col("_next"))
    return joined.with_columns(pl.when(mine).then("end").alias("end")).drop("_next")


def _with_creators(starts: pl.LazyFrame) -> pl.LazyFrame:
    """What the creator's own start says of it: the last process of its id that began before and had not ended."""
    creators = (
        starts.filter(_placed())
        .select(
            "host_key",
            pl.col("pid").alias("parent_pid"),
            pl.col("start").alias("creator_start"),
            pl.col("end").alias("_end"),
            pl.col("host").alias("creator_host"),
            pl.col("record_id").alias("creator_record_id"),
            pl.col("image").alias("_image"),
            pl.col("command_line").alias("parent_command_line"),
        )
        .sort("creator_start", "creator_record_id")
    )
    able = pl.col("host_key").is_not_null() & pl.col("parent_pid").is_not_null() & pl.col("start").is_not_null()
    joined = (
        starts.filter(able)
        .sort("start", "record_id")
        .join_asof(
            creators,
            left_on="start",
            right_on="creator_start",
            by=["host_key", "parent_pid"],
            check_sortedness=False,
            coalesce=False,
        )
    )
    alive = pl.col("_end").is_null() | (pl.col("_end") + SKEW >= pl.col("start"))
    # A name that the event tells and the creator has not: that process's start was not logged.
    same = pl.col("parent_image").is_null() | (names.base_name("parent_image") == names.base_name("_image"))
    other = pl.col("pid") != pl.col("parent_pid")  # nothing creates itself
    creator = ("creator_start", "creator_host", "creator_record_id", "parent_command_line", "_image")
    known = joined.with_columns(pl.when(alive & same & other).then(pl.col(c)).alias(c) for c in creator).with_columns(
        pl.coalesce("parent_image", "_image").alias("parent_image")
    )
    return pl.concat([known.drop("_end", "_image"), starts.filter(~able)], how="diagonal")
