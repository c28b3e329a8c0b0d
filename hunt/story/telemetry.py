"""What a story can't tell, and whether that is because nothing happened or because nobody wrote it down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import polars as pl

from hunt import logons, schema
from hunt.coverage.configured import family
from hunt.events import Events
from hunt.lineage.needs import POWERSHELL
from hunt.model import SYSMON
from hunt.story import traces
from hunt.story.columns import ABSENT, NONE, part


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What one step reads: any of `channels`, in them any of `event_ids` (none: whatever the channel holds)."""

    step: str
    channels: tuple[str, ...]
    event_ids: tuple[int, ...]
    without: str  # what is not known then


_TELEMETRY = (
    Telemetry("logon", (logons.SECURITY,), (4624,), "from where the user came"),
    Telemetry("network", (SYSMON,), (3,), "to whom they connected"),
    Telemetry("dns", (SYSMON,), (22,), "which names they asked for"),
    Telemetry("file", (SYSMON,), (11,), "which files they wrote"),
    Telemetry("script", POWERSHELL, (4104,), "which scripts PowerShell ran"),
    Telemetry("script", (traces.ENGINE,), (400, 600), "how PowerShell was called"),
    Telemetry("log", (traces.APPLICATION,), (), "whether Outlook told of its start"),
    Telemetry("log", (traces.OALERTS,), (), "whether Outlook warned the user"),
    Telemetry("log", (traces.SYSTEM,), (), "whether COM refused anything"),
)


_OF_PROCESSES = ("network", "dns", "file", "script")


def telemetry(
    spans: pl.DataFrame, case: Events, seen: pl.DataFrame, shows: Callable[[str], bool], partly: pl.Series
) -> pl.DataFrame:
    """PART rows with status none or absent. `seen`: finding_id, step, channel (null: of none) of what is told.

    `shows`: whether a channel is read at all (--channel); `partly`: findings whose descendants are not all known.
    """
    logs = _logs(case)
    counted = _census(case)
    spans = spans.join(_organisations(logs), on="host_key", how="anti", maintain_order="left")
    parts = []
    for each in _TELEMETRY:
        shown = replace(each, channels=tuple(filter(shows, each.channels)))
        parts.append(_of(shown, spans, counted, seen, partly) if shown.channels else _hidden(each, spans))
    return pl.concat([*parts, *_uncovered(spans, logs)])


def _census(case: Events) -> pl.DataFrame:
    """host_key, key (of the channel), event_id, begin, end: what was logged, recovered events left out."""
    return (
        case.census()
        .drop_nulls(["host", "channel"])
        .group_by(
            pl.col("host").str.to_lowercase().alias("host_key"),
            pl.col("channel").str.to_lowercase().alias("key"),
            "event_id",
        )
        .agg(pl.col("start").min().alias("begin"), pl.col("end").max().alias("end"))
    )


def _logs(case: Events) -> pl.DataFrame:
    return _census(case).group_by("host_key", "key").agg(pl.col("begin").min(), pl.col("end").max())


def _organisations(logs: pl.DataFrame) -> pl.DataFrame:
    """host_key of those that have a cloud's audit records alone: no computers, which lack no log of one."""
    cloud = pl.Series([key for key in logs["key"].unique() if family(key)], dtype=pl.String)
    return logs.group_by("host_key").agg(pl.col("key").is_in(cloud.implode()).all().alias("_")).filter("_")


def _of(
    each: Telemetry, spans: pl.DataFrame, counted: pl.DataFrame, seen: pl.DataFrame, partly: pl.Series
) -> pl.DataFrame:
    keys = [channel.lower() for channel in each.channels]
    wanted = pl.col("key").is_in(keys)
    if each.event_ids:
        wanted &= pl.col("event_id").is_in(each.event_ids)
    there = counted.filter(wanted).group_by("host_key").agg(pl.col("begin").min(), pl.col("end").max())
    told = seen.filter(step=each.step).filter(pl.col("channel").fill_null(keys[0]).str.to_lowercase().is_in(keys))
    quiet = spans.join(told, on="finding_id", how="anti").join(there, on="host_key", how="left", maintain_order="left")
    logged = pl.col("begin").is_not_null()
    # What was logged only before or after tells nothing of the time between.
    began, lasted = pl.col("begin") <= pl.col("until"), pl.col("end") >= pl.col("since")
    if each.step == "logon":  # a user logs on before
        began, lasted = pl.col("begin") <= pl.col("since") + logons.SKEW, pl.lit(value=True)
    then = (began & lasted).fill_null(value=False)
    open_ = pl.col("finding_id").is_in(partly.implode()) & (each.step in _OF_PROCESSES)
    ids = " or ".join(str(event_id) for event_id in each.event_ids)
    what = f"event {ids} of {' or '.join(each.channels)}" if ids else f"log {each.channels[0]}"
    during = pl.format("; the host has some from {} to {}", *(schema.time_text(pl.col(c)) for c in ("begin", "end")))
    none = pl.lit(f"no {what} for this finding") + during if ids else pl.lit(f"nothing of it in the {what}") + during
    return part(
        quiet.with_columns(
            pl.lit(each.step).alias("step"),
            pl.when(then & ~open_).then(pl.lit(NONE)).otherwise(pl.lit(ABSENT)).alias("status"),
            pl.when(then & open_)
            .then(none + pl.lit("; not all of its descendants were looked at"))
            .when(then)
            .then(none)
            .when(logged)
            .then(pl.lit(f"no {what} at this time: {each.without} is not known") + during)
            .otherwise(pl.lit(f"no {what} on this host: {each.without} is not known"))
            .alias("text"),
            pl.lit(value=False).alias("_first"),
        )
    )


def _hidden(each: Telemetry, spans: pl.DataFrame) -> pl.DataFrame:
    text = f"{' and '.join(each.channels)} hidden by --channel: {each.without} is not known"
    return part(spans, step=each.step, status=ABSENT, text=text)


def _uncovered(spans: pl.DataFrame, logs: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Where Sysmon's log begins after the story does, or ends before."""
    there = spans.join(logs.filter(key=SYSMON.lower()), on="host_key", how="inner", maintain_order="left")
    late = pl.col("begin") > pl.col("since") + logons.SKEW
    early = pl.col("end") < pl.col("until")
    for side, column, said in (
        (late, "begin", "begins only at {}: what these processes did before is not known"),
        (early, "end", "ends at {}, before the ten minutes after the finding are over"),
    ):
        text = pl.format(f"the Sysmon log of this host {said}", schema.time_text(pl.col(column)))
        told = there.filter(side.fill_null(value=False)).with_columns(
            text.alias("text"), pl.lit(value=False).alias("_first")
        )
        yield part(told, step="telemetry", status=ABSENT)
