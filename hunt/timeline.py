"""Events of all channels in one order of time, however many: what `hunt timeline` prints.

Rows go to a temporary Parquet file as they are read, and come back sorted, a stretch of time at a time.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from hunt import earlier, findings, interrupts, isolation, pulse, schema
from hunt.filters import Filters
from hunt.isolation import Guard
from hunt.model import ALL_COLUMNS, ANY_CHANNEL, ANY_ID, Batch, EventType, Problem, Reading, Tally, Wants
from hunt.pipeline import Request
from hunt.reading import collect, read
from hunt.watcher import Watcher

# One row an event. `summary`: its fields, what says most first, cut.
COLUMNS = {
    "time": schema.TIME,
    "host": pl.String(),
    "channel": pl.String(),
    "event_id": pl.UInt32(),
    "record_id": pl.UInt64(),
    "user": pl.String(),
    "summary": pl.String(),
    "recovered": pl.Boolean(),
    "source": pl.String(),
    "offset": pl.UInt64(),
}
_SORTED = ("time", "host", "channel", "event_id", "record_id", "summary", "source", "offset")
# Copies of an event in several logs, to the last digit of their time: text exports that print fewer are told as well,
# rather than lose one. Without a record id an event may well have happened twice.
_SAME = ("time", "_host", "_channel", "event_id", "record_id", "summary", "_hash", "_place")

LONGEST = 1_000  # characters of a summary
_AT_ONCE = 100_000  # rows that are sorted at a time

# What an analyst wants to read first, in this order; then all others as the event has them.
_FIRST = (
    *("RuleName", "Image", "NewProcessName", "CommandLine", "ProcessCommandLine", "ParentImage", "ParentProcessName"),
    *("SourceImage", "TargetImage", "ImageLoaded", "TargetFilename", "TargetObject", "Details", "QueryName"),
    *("DestinationIp", "DestinationPort", "DestinationHostname", "TargetUserName", "SubjectUserName", "LogonType"),
    *("IpAddress", "ScriptBlockText", "Payload", "ServiceName", "ImagePath", "TaskName", "Data"),
)
_USERS = ("User", "TargetUserName", "SubjectUserName", "SourceUser", "AccountName", "System.UserID")


@dataclass(frozen=True, slots=True)
class Asked:
    """Which events: all that is given must fit."""

    filters: Filters = field(default_factory=Filters)  # times, hosts and channels
    event_ids: tuple[int, ...] = ()
    users: tuple[str, ...] = ()  # part of a user's name, in any field that names one
    contains: tuple[str, ...] = ()  # each in some field, without case

    def wants(self) -> Wants:
        ids = self.event_ids or (ANY_ID,)
        return Wants({(ANY_CHANNEL, event_id): ALL_COLUMNS for event_id in ids}, self.filters.channels)


@dataclass(frozen=True, slots=True)
class Read:
    """What was read for a timeline."""

    rows: int
    tallies: tuple[Tally, ...]
    problems: tuple[Problem, ...]
    interrupted: bool
    unread: tuple[str, ...]


def tell(
    request: Request, asked: Asked, take: Callable[[Iterator[pl.DataFrame]], int], watcher: Watcher | None = None
) -> Read:
    """Read all evidence; `take` gets the events asked for as frames of COLUMNS, by time, and says how many there were.

    Raises HuntError. An event that stands in several logs comes once, an event without a time last.
    """
    watcher = watcher or Watcher()
    isolation.bound(request.bounds)
    with (
        interrupts.listening() as stop,
        collect(request.evidence, request.opening, request.out, hashed=False, cases=request.cases) as collected,
    ):

        def attempt(guard: Guard) -> Read:
            met: dict[str, dict[str, None]] = {"host": {}, "channel": {}}
            with guard.stop.whole(), _Spool() as spool:

                def add(batch: Batch) -> None:
                    for name, known in met.items():
                        known.update(dict.fromkeys(batch.census[name].drop_nulls().unique()))
                    for kind, frame in batch.frames.items():
                        rows = _chosen(kind, frame.drop("sources", strict=False), asked)
                        if rows.height:
                            spool.add(rows)

                reading = Reading(asked.wants(), request.jobs, request.slack, once=True)
                tallies, problems = read(collected, reading, add, watcher, guard)
                if not guard.stop.requested:
                    for absent in asked.filters.check(sorted(met["host"]), sorted(met["channel"])):
                        watcher.note(absent)
                rows = take(_once(spool.sorted()))
            unread = tuple(guard.unread)
            return Read(rows, tallies, (*collected.problems, *problems), guard.stop.requested, unread)

        return isolation.attempts(attempt, request.bounds, stop, watcher.note)


def of_run(folder: Path, asked: Asked, take: Callable[[Iterator[pl.DataFrame]], int]) -> tuple[int, tuple[str, ...]]:
    """(how many events, what keeps them from being the whole truth): the events of an earlier run's findings."""
    known = earlier.read(folder)
    needed = ("finding_id", "time", "host", "channel", "event_id", "record_id", "sources", "fields")
    events = earlier.table(folder / "events.csv", findings.EVENT_COLUMNS, needed, known.raw)
    first = pl.col("sources").list.first().struct
    places = events.select(
        "time", "host", "channel", "event_id", "record_id", "fields",
        first.field("path").alias("source"), first.field("offset").alias("offset"),
    ).unique(maintain_order=True)  # fmt: skip
    rows = [_told(row, asked) for row in places.iter_rows(named=True)]
    frame = pl.DataFrame([row for row in rows if row], schema={**COLUMNS, "_hash": pl.UInt64})
    inside = asked.filters.inside(frame)
    return take(_once(iter([inside] if inside.height else []))), known.notes


def _told(row: Mapping[str, Any], asked: Asked) -> dict[str, object] | None:
    """The row of an event whose fields are JSON; None if it was not asked for."""
    try:
        said = json.loads(row["fields"] or "{}")
    except (ValueError, RecursionError):
        said = {"fields": row["fields"]}
    fields = said if isinstance(said, dict) else {"fields": said}
    own = {name: _plain(value) for name, value in fields.items() if _said(name, value)}
    ordered = (*(name for name in _FIRST if name in own), *sorted(name for name in own if name not in _FIRST))
    text = " ".join(f"{name}={own[name]}" for name in ordered)
    users = [_plain(fields[name]) for name in _USERS if fields.get(name) not in (None, "", "-")]
    channel, folded = row["channel"] or "", "\n".join((text, row["channel"] or "", row["host"] or "")).lower()
    wanted = (
        asked.filters.shows_channel(channel)
        and (not asked.event_ids or row["event_id"] in asked.event_ids)
        and all(sought.lower() in folded for sought in asked.contains)
        and (not asked.users or any(name.lower() in user.lower() for name in asked.users for user in users))
    )
    if not wanted:
        return None
    cut = text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"
    place = {name: row[name] for name in ("time", "host", "channel", "event_id", "record_id", "source", "offset")}
    return {**place, "user": users[0] if users else None, "summary": cut, "recovered": None, "_hash": None}


def _said(name: str, value: object) -> bool:
    return value not in (None, "", "-") and name not in ("logged", "provider") and not name.startswith("System.")


def _plain(value: object) -> str:
    return " | ".join(map(str, value)) if isinstance(value, list) else str(value)


def _chosen(kind: EventType, frame: pl.DataFrame, asked: Asked) -> pl.DataFrame:
    """COLUMNS and `_hash` of the events of one batch that were asked for."""
    if not asked.filters.shows_channel(kind.channel):
        return frame.clear()
    kept = asked.filters.inside(frame)
    if not kept.height:
        return kept
    rows = kept.with_columns(_text(kept).alias("_text"), _user(kept).alias("user"))
    for sought in asked.contains:
        rows = rows.filter(_has(["_text", "channel", "host", "provider"], sought))
    if asked.users:
        names = [name for name in _USERS if name in rows.columns]
        rows = rows.filter(pl.any_horizontal(_has(names, user) for user in asked.users))
    size = pl.col("_text").str.len_chars()
    cut = pl.format("{}… ({} characters)", pl.col("_text").str.head(LONGEST), size)
    return rows.with_columns(
        pl.when(size <= LONGEST).then("_text").otherwise(cut).alias("summary"), pl.col("_text").hash().alias("_hash")
    ).select(*(pl.col(c).cast(d) for c, d in COLUMNS.items()), "_hash")


def _has(names: Sequence[str], sought: str) -> pl.Expr:
    if not names:
        return pl.lit(value=False)
    folded = (pl.col(name).cast(pl.String).str.to_lowercase() for name in names)
    return pl.any_horizontal(text.str.contains(sought.lower(), literal=True).fill_null(value=False) for text in folded)


def _user(frame: pl.DataFrame) -> pl.Expr:
    names = (pl.col(name).cast(pl.String) for name in _USERS if name in frame.columns)
    return pl.coalesce([*(pl.when(~name.is_in(["", "-"])).then(name) for name in names), pl.lit(None, pl.String)])


def _text(frame: pl.DataFrame) -> pl.Expr:
    """`Image=... CommandLine=...`: all fields that say something, those of _FIRST first, the others by name."""
    core = {*schema.CORE, "sources"} - {"unparsed"}
    own = [c for c in frame.columns if c not in core and not c.startswith("System.")]
    ordered = [*(c for c in _FIRST if c in own), *sorted(c for c in own if c not in _FIRST)]
    kinds = schema.kinds(frame["provider"].unique(), int(frame["event_id"][0]))
    types = schema.dtypes(frame)
    parts = []
    for name in ordered:
        value = _value(pl.col(name), types[name], kinds.get(name))
        said = value.is_not_null() & ~value.is_in(["", "-"])
        parts.append(pl.when(said).then(pl.concat_str(pl.lit(f"{name}="), value)))
    return pl.concat_str([pl.lit(""), *parts], separator=" ", ignore_nulls=True).str.strip_chars_start(" ")


def _value(column: pl.Expr, dtype: pl.DataType, kind: schema.Kind | None) -> pl.Expr:
    if isinstance(dtype, pl.List):
        return column.list.join(" | ", ignore_nulls=True)
    if isinstance(dtype, pl.Datetime):
        return schema.time_text(column)
    return schema.hex_text(column) if kind is schema.Kind.HEX else column.cast(pl.String)


class _Spool:
    """Rows on disk; a context manager."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._parts = 0
        self._waiting: list[pl.DataFrame] = []

    def __enter__(self) -> _Spool:
        made = tempfile.TemporaryDirectory(prefix=pulse.TEMPORARY, ignore_cleanup_errors=True)
        self._folder = Path(self._stack.enter_context(made))
        pulse.temporary(self._folder)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, rows: pl.DataFrame) -> None:
        self._waiting.append(schema.compact(rows))
        if sum(waiting.height for waiting in self._waiting) >= _AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            # By time, so that what lies outside of a stretch is not read again.
            path = self._folder / f"{self._parts:06}.parquet"
            pl.concat(self._waiting).sort("time").write_parquet(path, row_group_size=20_000, compression="zstd")
            self._parts += 1
            self._waiting = []

    def sorted(self) -> Iterator[pl.DataFrame]:
        """All rows by _SORTED, in stretches of about _AT_ONCE."""
        if not self._parts:
            if self._waiting:
                yield pl.concat(self._waiting).sort(*_SORTED, nulls_last=True)
            return
        self._flush()
        rows = pl.scan_parquet(self._folder / "*.parquet")
        minutes = rows.select(pl.col("time").dt.truncate("1m")).group_by("time").len().collect(engine="streaming")
        for begin, end in _stretches(minutes.drop_nulls().sort("time")):
            inside = pl.col("time").is_between(begin, end, closed="left")
            yield rows.filter(inside).collect().sort(*_SORTED, nulls_last=True)
        if minutes["time"].null_count():
            yield rows.filter(pl.col("time").is_null()).collect().sort(*_SORTED, nulls_last=True)


def _stretches(minutes: pl.DataFrame) -> Iterator[tuple[pl.Expr, pl.Expr]]:
    """From the beginning of a minute to that of a later one, with about _AT_ONCE rows between."""
    place = (pl.col("len").cum_sum() - 1) // _AT_ONCE
    for _, group in minutes.with_columns(place.alias("part")).group_by("part", maintain_order=True):
        begin, end = group["time"][[0]], group["time"][[-1]].dt.offset_by("1m")
        yield pl.lit(begin).first(), pl.lit(end).first()


def _once(stretches: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Each event once; the live one before one that was recovered, then by source."""
    for rows in stretches:
        place = pl.when(pl.col("record_id").is_null()).then(pl.struct("source", "offset"))
        keyed = rows.with_columns(
            pl.col("host").str.to_lowercase().alias("_host"),
            pl.col("channel").str.to_lowercase().alias("_channel"),
            place.alias("_place"),
        ).sort("recovered", maintain_order=True)
        first = keyed.unique(_SAME, keep="first", maintain_order=True).sort(*_SORTED, nulls_last=True)
        yield first.select(pl.col(c).cast(d) for c, d in COLUMNS.items())
