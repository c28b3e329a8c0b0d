"""Which processes there were on which host, when they started and ended: from every event that names one.

A start that was not logged is read from the ProcessGuid, which holds its second. An end that was not logged is unknown:
such a process is neither proven alive nor dead.

Millions of starts are common, so columns of Sysmon 1 are taken as they are, not copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import polars as pl

from hunt import schema
from hunt.lineage import security
from hunt.lineage.keys import Hashes, Index, Rows, among, extended, hashed, index, keyed, missing
from hunt.lineage.kinds import NEVER
from hunt.lineage.needs import CARRIERS
from hunt.lineage.numbers import filled
from hunt.model import SYSMON, Case
from hunt.processes import base_name, sha256, start_second

# One row a process, numbered by `row`. `end` null: unknown. `record_id`, `channel`, `event_id`: of the event that tells
# of the start, null if none does. `host_key`: the host in lower case, by which rows are joined.
COLUMNS: Mapping[str, pl.DataType] = {
    "row": pl.UInt32(),
    "host": pl.String(),
    "host_key": pl.String(),
    "guid": pl.String(),
    "pid": pl.UInt32(),
    "image": pl.String(),
    "command_line": pl.String(),
    "start": schema.TIME,
    "end": schema.TIME,
    "logon_guid": pl.String(),
    "logon_id": pl.UInt64(),
    "session": pl.UInt32(),
    "user": pl.String(),
    "integrity": pl.String(),
    "parent_guid": pl.String(),
    "parent_pid": pl.UInt32(),
    "parent_image": pl.String(),
    "parent_command_line": pl.String(),
    "original_file_name": pl.String(),
    "description": pl.String(),
    "hashes": pl.String(),
    "channel": pl.String(),
    "event_id": pl.UInt32(),
    "record_id": pl.UInt64(),
}

# What is made of these where it is asked for: it would take much memory for all.
DERIVED: Mapping[str, pl.Expr] = {
    # event, or guid: known to the second.
    "start_source": pl.when(pl.col("event_id").is_null()).then(pl.lit("guid")).otherwise(pl.lit("event")),
    "source": pl.when(pl.col("event_id") == 4688).then(pl.lit("security")).otherwise(pl.lit("sysmon")),
    "sha256": sha256("hashes"),
}

_START = {
    "guid": "ProcessGuid",
    "pid": "ProcessId",
    "image": "Image",
    "command_line": "CommandLine",
    "start": "time",
    "logon_guid": "LogonGuid",
    "logon_id": "LogonId",
    "session": "TerminalSessionId",
    "user": "User",
    "integrity": "IntegrityLevel",
    "parent_guid": "ParentProcessGuid",
    "parent_pid": "ParentProcessId",
    "parent_image": "ParentImage",
    "parent_command_line": "ParentCommandLine",
    "original_file_name": "OriginalFileName",
    "description": "Description",
    "hashes": "Hashes",
}
_MET = {c: COLUMNS[c] for c in ("host", "host_key", "guid", "pid", "image", "command_line", "user")}

# By which an end may be logged before its start: 59 of 1,727 were, up to 244 ms.
SKEW_NS = 250_000_000
SKEW = pl.duration(nanoseconds=SKEW_NS, time_unit="ns")


def processes(case: Case) -> pl.DataFrame:
    """All processes that the evidence names: COLUMNS."""
    starts = case.frame(SYSMON, 1).collect()
    logged = _logged(starts)
    ends = _met(
        case.frame(SYSMON, 5).collect(),
        {"guid": ["ProcessGuid"], "pid": ["ProcessId"], "image": ["Image"], "user": ["User"]},
    )
    of_logged = logged.matches(ends)
    strange = np.ones(ends.height, bool)
    strange[of_logged[0]] = False
    rest = ends.filter(strange)
    more = _once(*(typed(part, COLUMNS) for part in (_unlogged(case, starts, rest, logged), _security(case))))
    known = extended(logged, more)
    numbered = known.frame.with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).alias("row"))
    unlogged = index(more).matches(rest)
    told = [_times(ends, *of_logged), _times(rest, unlogged[0], unlogged[1] + logged.frame.height)]
    told.append(_ends_by_pid(ends, numbered))
    return numbered.with_columns(_ended(numbered, told))


def _security(case: Case) -> pl.DataFrame:
    """The processes that only Security tells of."""
    frame = case.frame(security.SECURITY, 4688)
    there = "NewProcessId" in frame.collect_schema() and frame.select(pl.len()).collect().item()
    return security.processes(case).collect() if there else pl.DataFrame(schema=COLUMNS)


def _once(named: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    """Both, each process once: with the GUID that Sysmon has for it, and what Security tells of its start.

    The same host, process id and image, some seconds apart at most. `named`: their starts known to the second.
    """
    if not named.height or not told.height:
        return pl.concat([named, told])
    by, name = ["host_key", "pid", "_name"], base_name("image").alias("_name")
    middle = (pl.col("start") + pl.duration(milliseconds=500, time_unit="ns")).alias("_middle")
    guids = named.with_row_index("_named").select("_named", "host_key", "pid", name, middle, "guid", "user")
    starts = told.with_row_index("_told").select("_told", "host_key", "pid", name, "start")
    met = (
        starts.drop_nulls()
        .sort("start", "_told")
        .join_asof(
            guids.drop_nulls([*by, "_middle"]).sort("_middle", "_named"), left_on="start", right_on="_middle", by=by,
            strategy="nearest", tolerance=f"{security.SAME_S}s", check_sortedness=False,
        )
        .drop_nulls("_named")
        .with_columns((pl.col("start") - pl.col("_middle")).abs().alias("_apart"))
        .sort("_apart", "_told")
        .unique("_named", keep="first", maintain_order=True)
    )  # fmt: skip
    own = met.select("_told", pl.col("guid").alias("_guid"), pl.col("user").alias("_user"))
    whole = (
        told.with_row_index("_told")
        .join(own, on="_told", how="left", maintain_order="left")
        .with_columns(pl.col("_guid").alias("guid"), pl.coalesce("user", "_user").alias("user"))
    )
    rest = named.with_row_index("_named").join(met, on="_named", how="anti", maintain_order="left")
    return pl.concat([rest.select(named.columns), whole.select(named.columns)])


def typed(frame: pl.DataFrame, columns: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Exactly these columns; null where the frame lacks one."""
    return frame.select(
        (pl.col(c) if c in frame.columns else pl.lit(None)).cast(dtype).alias(c) for c, dtype in columns.items()
    )


def _logged(starts: pl.DataFrame) -> Index:
    """Starts of Sysmon 1, each once however often it was logged."""
    columns = keyed(
        starts.select(
            "host", *(pl.col(theirs).alias(ours) for ours, theirs in _START.items()), "channel", "event_id", "record_id"
        )
    )
    found = index(typed(columns, COLUMNS))
    again = None if found.single else _repeated(columns)
    return found if again is None else index(found.frame.filter(~again))


def _repeated(starts: pl.DataFrame) -> pl.Series | None:
    """Which starts were logged before under another record id: same host, GUID and time. None if none were."""
    hashes = hashed(starts, "host_key", "guid", "start")
    ordered = np.sort(hashes)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    suspects = (pl.Series(among(hashes, twice)) & starts["guid"].is_not_null()).arg_true()
    if not suspects.len():
        return None
    few = starts.select("host_key", "guid", "start", "record_id")[suspects].with_columns(suspects.alias("_at"))
    # The lowest record id, not the log read first: results must not depend on the names of logs.
    kept = few.sort("record_id", "_at").unique(["host_key", "guid", "start"], keep="first", maintain_order=True)
    lost = few.join(kept, on="_at", how="anti")["_at"]
    return pl.Series([False]).new_from_index(0, starts.height).scatter(lost, True) if lost.len() else None


def _unlogged(case: Case, starts: pl.DataFrame, ends: pl.DataFrame, logged: Index) -> pl.DataFrame:
    """Processes that other events name, their start from the GUID. `ends`: those of no logged process."""
    met = [_missing(part, logged.hashes) for part in (ends, *_named(case), _named_parents(starts))]
    return (
        pl.concat(met)
        .sort("host_key", "guid", "time", "image", "command_line", nulls_last=True)
        .group_by("host_key", "guid", maintain_order=True)
        .agg(pl.col("host").min(), *(pl.col(c).drop_nulls().first() for c in ("pid", "image", "command_line", "user")))
        .with_columns(start_second(pl.col("guid")).alias("start"), pl.lit(SYSMON).alias("channel"))
    )


def _missing(named: pl.DataFrame, there: Hashes) -> pl.DataFrame:
    """Those of `named`, each once, that are not `there`."""
    unknown = pl.Series(missing(hashed(named, "host_key", "guid"), there), dtype=pl.Boolean)
    met = named.filter(unknown).filter(pl.col("guid").is_not_null(), pl.col("host_key").is_not_null())
    return met.group_by(list(_MET), maintain_order=True).agg(pl.col("time").min())


def _named(case: Case) -> Iterator[pl.DataFrame]:
    """The processes that events other than starts and ends tell of."""
    own = {"guid": ["ProcessGuid"], "pid": ["ProcessId"], "image": ["Image"], "user": ["User"]}
    sides = [
        {"guid": [f"{side}ProcessGuid", f"{side}ProcessGUID"]}
        | {ours: [f"{side}{theirs}"] for ours, theirs in (("pid", "ProcessId"), ("image", "Image"), ("user", "User"))}
        for side in ("Source", "Target")
    ]
    for event_id in (7, 8, 10, *CARRIERS):
        frame = case.frame(SYSMON, event_id).collect()
        if frame.height:
            yield from (_met(frame, columns) for columns in (sides if event_id in (8, 10) else [own]))


def _named_parents(starts: pl.DataFrame) -> pl.DataFrame:
    """The parents that starts name: their command lines are known from nowhere else."""
    return _met(
        starts,
        {
            "guid": ["ParentProcessGuid"],
            "pid": ["ParentProcessId"],
            "image": ["ParentImage"],
            "command_line": ["ParentCommandLine"],
            "user": ["ParentUser"],
        },
    )


def _met(frame: pl.DataFrame, columns: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """Columns _MET and `time` out of an event frame's; the first of several that is not null."""
    there = {name: [c for c in named if c in frame.columns] for name, named in columns.items()}
    found = {name: pl.coalesce(named) for name, named in there.items() if named}
    return typed(keyed(frame.select("host", "time", **found)), {**_MET, "time": schema.TIME})


def _times(ends: pl.DataFrame, at: Rows, row: Rows) -> pl.DataFrame:
    """`row` and `time` of some ends."""
    return pl.DataFrame([pl.Series("row", row, dtype=pl.UInt32), ends["time"].gather(at)])


def _ended(known: pl.DataFrame, told: Iterable[pl.DataFrame]) -> pl.Series:
    """`end`: the last that is told of each; never before the start. One long before it is of a clock that was set."""
    last = filled(known["end"].to_physical(), NEVER).copy()
    for ends in told:
        np.maximum.at(last, ends["row"].to_numpy(), filled(ends["time"].to_physical(), NEVER))
    start = filled(known["start"].to_physical(), NEVER)
    never = (last == NEVER) | ((start != NEVER) & (last < start - SKEW_NS))
    ended = np.maximum(last, start)
    return pl.Series("end", ended).set(pl.Series(never), None).cast(schema.TIME)


def _ends_by_pid(ends: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Where an end, or a start, names no GUID: the last start of that process id and image before the end."""
    unnamed = known.filter(pl.col("event_id") == 1, pl.col("guid").is_null()).height
    if not unnamed and ends["guid"].null_count() == 0:
        return pl.DataFrame(schema={"row": pl.UInt32, "time": schema.TIME})
    by = ["host_key", "pid", "_name"]
    name = pl.col("image").str.to_lowercase().alias("_name")
    late = ends.with_columns(name, (pl.col("time") + SKEW).alias("_until")).sort("_until")
    began = known.filter(pl.col("event_id") == 1, pl.col("start").is_not_null()).with_columns(name)
    matches = late.drop_nulls(by).join_asof(
        began.drop_nulls(by).select(*by, "row", "start", pl.col("guid").alias("_guid")).sort("start"),
        left_on="_until", right_on="start", by=by, strategy="backward", check_sortedness=False,
    )  # fmt: skip
    nameless = pl.col("guid").is_null() | pl.col("_guid").is_null()
    return matches.filter(nameless).drop_nulls("row").group_by("row", maintain_order=True).agg(pl.col("time").min())
