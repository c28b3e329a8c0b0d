"""A script host started Outlook (Sysmon 1, direct parent).

Why it matters: mail of the logged-on user can be searched, copied and sent through Outlook without any password
(T1114.001, T1559.001). Mail thieves drive it from rundll32, mshta, PowerShell, cmd, regsvr32, cscript or wscript.
Looks alike, is harmless: logon scripts and shortcuts that start Outlook with cmd, inventory agents that run PowerShell,
backup and CRM add-ins; compare the command line, the user and how often it happens on other hosts.
Blind when: Outlook is activated through COM (its parent is then svchost, not the script host) or runs already; the
script host was renamed, or is none of the eight; Sysmon's configuration leaves out process starts.
How: the start of OUTLOOK.EXE and that of the process in its ParentProcessGuid lie at most `--window` seconds apart
(60 unless told, inclusive). If the parent's start was not logged, its second is read from its ProcessGuid:
`start_source` is then `guid`, and `confidence` is `uncertain` where the rest of that second decides.
See: https://attack.mitre.org/techniques/T1114/001/, https://attack.mitre.org/techniques/T1559/001/
"""

from __future__ import annotations

import polars as pl

from hunt import processes
from hunt.findings import reference
from hunt.model import SYSMON, Case, Help, Hunt, Need, Severity
from hunt.schema import hex_text, seconds

SCRIPT_HOSTS = tuple(
    f"{name}.exe" for name in ("rundll32", "mshta", "powershell", "pwsh", "cmd", "regsvr32", "cscript", "wscript")
)
OUTLOOK = "outlook.exe"
WINDOW_S = 60.0
_SECOND = 1_000_000_000  # in ns

_KEYS = ("time", "host", "channel", "event_id", "record_id")
_COLUMNS = (
    "ProcessGuid ProcessId Image CommandLine User LogonId TerminalSessionId IntegrityLevel Hashes "
    "ParentProcessGuid ParentProcessId ParentImage ParentCommandLine"
)


def find(case: Case) -> pl.LazyFrame:
    """One row per start of Outlook whose parent is a script host, started at most the window before."""
    window_s = WINDOW_S if case.settings.window_s is None else case.settings.window_s
    starts = processes.distinct_starts(case.frame(SYSMON, 1).select(*_KEYS, *_COLUMNS.split()))
    children = starts.filter(processes.base_name("Image") == OUTLOOK)
    return pl.concat([_logged(children, starts, window_s), _unlogged(children, starts, window_s)], how="diagonal")


def _logged(children: pl.LazyFrame, starts: pl.LazyFrame, window_s: float) -> pl.LazyFrame:
    """Children whose parent's start is in the evidence."""
    parents = starts.filter(processes.base_name("Image").is_in(SCRIPT_HOSTS))
    pairs = parents.join(
        children, left_on=["host_key", "ProcessGuid"], right_on=["host_key", "ParentProcessGuid"], suffix="_child"
    )
    gap = (pl.col("time_child") - pl.col("time")).dt.total_nanoseconds()
    best = (
        pairs.filter(gap.is_between(0, round(window_s * _SECOND)))
        # One finding a child: should two starts carry the parent's GUID, the later one is its parent.
        .sort("time", "record_id")
        .unique(["host_key", "ProcessGuid_child", "time_child", "record_id_child"], keep="last", maintain_order=True)
    )
    return best.select(
        *_process(),
        *_child("_child"),
        *_span(pl.col("time"), pl.col("time_child")),
        *_judged("event", pl.lit("high"), pl.lit("its ParentProcessGuid names the script host's start")),
        pl.concat_list(reference(1), reference(2, "_child")).alias("events"),
    )


def _unlogged(children: pl.LazyFrame, starts: pl.LazyFrame, window_s: float) -> pl.LazyFrame:
    """Children of a script host by name whose parent's start is not in the evidence: its GUID tells the second."""
    orphans = children.filter(
        processes.base_name("ParentImage").is_in(SCRIPT_HOSTS), pl.col("ParentProcessGuid").is_not_null()
    ).join(starts, left_on=["host_key", "ParentProcessGuid"], right_on=["host_key", "ProcessGuid"], how="anti")
    second = processes.start_second(pl.col("ParentProcessGuid"))
    # The parent started somewhere in that second: at least `gap` - 1 s before its child, at most `gap`.
    gap = (pl.col("time") - second).dt.total_nanoseconds()
    window = round(window_s * _SECOND)
    sure = gap.is_between(0, window)
    found = orphans.filter((gap >= 0) & (gap - _SECOND < window))
    return found.select(
        *_parent_of_child(),
        *_child(""),
        *_span(second, pl.col("time")),
        *_judged(
            "guid",
            pl.when(sure).then(pl.lit("medium")).otherwise(pl.lit("uncertain")),
            pl.when(sure)
            .then(pl.lit("the script host's start is not in the evidence, its second is in its ProcessGuid"))
            .otherwise(pl.lit("uncertain: known to the second, the script host's start may lie outside the window")),
        ),
        pl.concat_list(reference(1)).alias("events"),
    )


def _process() -> list[pl.Expr]:
    """The script host, from its own start."""
    return [
        pl.col("host_child").alias("host"),
        pl.coalesce("User", "User_child").alias("user"),
        pl.col("ProcessGuid").alias("process_guid"),
        pl.col("ProcessId").alias("pid"),
        pl.col("Image").alias("image"),
        pl.col("CommandLine").alias("command_line"),
        pl.col("ParentImage").alias("parent_image"),
        pl.col("ParentCommandLine").alias("parent_command_line"),
        processes.sha256("Hashes").alias("sha256"),
        pl.col("IntegrityLevel").alias("integrity"),
        pl.col("TerminalSessionId").alias("session"),
        hex_text(pl.col("LogonId")).alias("logon_id"),
    ]


def _parent_of_child() -> list[pl.Expr]:
    """The script host, as its child names it."""
    return [
        pl.col("host"),
        pl.col("User").alias("user"),
        pl.col("ParentProcessGuid").alias("process_guid"),
        pl.col("ParentProcessId").alias("pid"),
        pl.col("ParentImage").alias("image"),
        pl.col("ParentCommandLine").alias("command_line"),
        pl.col("TerminalSessionId").alias("session"),
        hex_text(pl.col("LogonId")).alias("logon_id"),
    ]


def _child(suffix: str) -> list[pl.Expr]:
    return [
        pl.col(f"ProcessGuid{suffix}").alias("target_process_guid"),
        pl.col(f"ProcessId{suffix}").alias("target_pid"),
        pl.col(f"Image{suffix}").alias("target_image"),
        pl.col(f"CommandLine{suffix}").alias("target_command_line"),
    ]


def _span(start: pl.Expr, end: pl.Expr) -> list[pl.Expr]:
    return [start.alias("start"), end.alias("end"), seconds(end - start).alias("span_seconds")]


def _judged(start_source: str, confidence: pl.Expr, reason: pl.Expr) -> list[pl.Expr]:
    return [
        pl.lit("direct").alias("grade"),
        pl.lit("local").alias("locality"),
        pl.lit(start_source).alias("start_source"),
        confidence.alias("confidence"),
        pl.concat_str(pl.lit("a script host started Outlook; "), reason).alias("reason"),
        pl.lit(0).alias("competitors"),
        pl.lit(value=False).alias("ambiguous"),
        pl.lit(["ParentProcessGuid"]).alias("evidence"),
    ]


HUNT = Hunt(
    id="outlook-script-host",
    title="Outlook started by a script host",
    severity=Severity.MEDIUM,
    risk_score=47,
    attack=("T1114.001", "T1559.001"),
    needs=(Need(SYSMON, 1, frozenset(_COLUMNS.split()), keys=frozenset({"Image", "ParentProcessGuid"})),),
    find=find,
    helps=(
        Help(SYSMON, 5, "how long Outlook ran is not known, and while it runs a script host need not start it"),
        Help(SYSMON, 7, "the unsigned branch was not evaluable"),
        Help(SYSMON, 10, "brokered grade A cannot be reached"),
    ),
)
