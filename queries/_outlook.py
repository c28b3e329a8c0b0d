"""What the hunts on Outlook share: names, what they read, the columns of a request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import polars as pl

from hunt import lineage, signatures
from hunt.findings import TEXTS
from hunt.lineage import security
from hunt.model import SYSMON, EventType, Help, Need
from hunt.schema import TIME

OUTLOOK = "outlook.exe"
WINDOW_S = 60.0
SECOND = 1_000_000_000  # in ns

# From the surest to the least sure.
GRADES = ("direct", "A", "B", "C", "D", "E", "F")

START = (
    "ProcessGuid ProcessId Image CommandLine User LogonId TerminalSessionId IntegrityLevel Hashes OriginalFileName "
    "Description ParentProcessGuid ParentProcessId ParentImage ParentCommandLine"
)


def _together(needs: Iterable[Need]) -> tuple[Need, ...]:
    """One need for each event type, with the columns and keys of all."""
    merged: dict[tuple[str, int], Need] = {}
    for need in needs:
        other = merged.get((need.channel, need.event_id), need)
        merged[other.channel, other.event_id] = replace(
            other, columns=other.columns | need.columns, keys=other.keys | need.keys
        )
    return tuple(merged.values())


_KEYS = frozenset({"Image", "ParentProcessGuid"})
NEEDS = _together((*lineage.NEEDS, Need(SYSMON, 1, frozenset(START.split()), keys=_KEYS)))
READS = _together((*lineage.READS, *signatures.NEEDS, *security.READS))
# The creator is known by its process id or, without one, by its name: neither of them is a key.
INSTEAD = tuple(replace(need, keys=frozenset({"NewProcessName"})) for need in security.NEEDS)


def helps(*more: Help) -> tuple[Help, ...]:
    """What lineage can't tell without some event types, and `more`: once for each event type."""
    merged: dict[EventType, Help] = {}
    for help_ in (*lineage.HELPS, *more):
        other = merged.get(help_.event_type)
        both = replace(other, without=f"{other.without}, {help_.without}") if other else help_
        merged[help_.event_type] = both
    return tuple(merged.values())


# A process as requests have it, after `r_` (the requester) or `c_` (the Outlook that was started).
PROCESS: Mapping[str, pl.DataType] = {
    "host": pl.String(),
    "guid": pl.String(),
    "pid": pl.UInt32(),
    "image": pl.String(),
    "command_line": pl.String(),
    "start": TIME,
    "user": pl.String(),
    "logon_id": pl.UInt64(),
    "session": pl.UInt32(),
    "integrity": pl.String(),
    "sha256": pl.String(),
    "original_file_name": pl.String(),
    "description": pl.String(),
    "parent_guid": pl.String(),
    "parent_pid": pl.UInt32(),
    "parent_image": pl.String(),
    "parent_command_line": pl.String(),
    "channel": pl.String(),
    "event_id": pl.UInt32(),
    "record_id": pl.UInt64(),
}

# `gap`: from the requester's start to Outlook's; if `start_source` is guid, up to a second less. `best`: the best grade
# that this start of Outlook has; `rank`: the lower, the likelier among those of a grade; `competitors`: others of the
# same grade; `leads`: script hosts of grade D among all that may have asked; `left_over`: how many more began in time
# and were not looked at; `doubt`: why a parent is not certain, null if it is. `source`: sysmon or security.
REQUESTS: Mapping[str, pl.DataType] = {
    "host_key": pl.String(),
    "gap": pl.Duration("ns"),
    "grade": pl.String(),
    "best": pl.String(),
    "rank": pl.UInt32(),
    "leads": pl.UInt32(),
    "start_source": pl.String(),
    "source": pl.String(),
    "mechanism": pl.String(),
    "locality": pl.String(),
    "origin": pl.String(),
    "source_ip": pl.String(),
    "attached": pl.Boolean(),
    "competitors": pl.UInt32(),
    "left_over": pl.UInt32(),
    "doubt": pl.String(),
    "ambiguous": pl.Boolean(),
    "evidence": TEXTS,
    **{f"r_{name}": dtype for name, dtype in PROCESS.items()},
    **{f"c_{name}": dtype for name, dtype in PROCESS.items()},
}

# The start of Outlook that a request is for; as `case.processes` calls it.
CHILD_OF: Mapping[str, str] = {
    "host_key": "host_key",
    "channel": "c_channel",
    "start": "c_start",
    "pid": "c_pid",
    "record_id": "c_record_id",
}
CHILD = tuple(CHILD_OF.values())

# Why it is not certain that a named parent is one within the window.
UNDATED = "its start is not in the evidence, it may lie outside the window"
UNTIMED = "when Outlook started is not known"
LATE = "it is told to have started after Outlook, as if a clock had been set"
BY_PID = "known by process id and name alone, for the ParentProcessGuid is empty"


def grade_order() -> pl.Expr:
    """The surest first."""
    return pl.col("grade").replace_strict({g: n for n, g in enumerate(GRADES)}, return_dtype=pl.UInt8)
