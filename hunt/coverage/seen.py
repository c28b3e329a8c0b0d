"""What coverage needs of the events themselves, taken from batches as they come: few rows of few columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import polars as pl

from hunt import processes, schema
from hunt.coverage.facts import key
from hunt.model import ALL_COLUMNS, SYSMON, Batch, EventType, Need, Wants

OUTLOOK, NEW_OUTLOOK = "outlook.exe", "olk.exe"
SECURITY = "Security"

# What happened to logs and to Sysmon itself: few events, all of which are kept.
_STATES: Mapping[EventType, tuple[str, ...]] = {
    EventType(SYSMON, 4): ("State", "Version", "SchemaVersion"),
    EventType(SYSMON, 16): ("Configuration", "ConfigurationFileHash"),
    EventType(SYSMON, 255): ("ID", "Description"),
    EventType(SECURITY, 1102): ("SubjectUserName", "SubjectDomainName"),
    EventType("System", 104): ("SubjectUserName", "SubjectDomainName", "Channel", "BackupPath"),
}
# Starts and ends of processes, by the column of their image: only Outlook's are kept.
_LIVES: Mapping[EventType, tuple[str, ...]] = {
    EventType(SYSMON, 1): ("Image", "ProcessGuid", "ProcessId", "TerminalSessionId"),
    EventType(SYSMON, 5): ("Image", "ProcessGuid", "ProcessId"),
    EventType(SECURITY, 4688): ("NewProcessName", "NewProcessId"),
    EventType(SECURITY, 4689): ("ProcessName", "ProcessId"),
}
# Records that say that a mailbox had too many of them, by the column that says so: few.
THROTTLED = EventType("Office365.UnifiedAudit", 50)
_IS_THROTTLED = "OperationProperties.IsThrottled"
_FLAGGED: Mapping[EventType, tuple[str, ...]] = {
    THROTTLED: (_IS_THROTTLED, "MailboxOwnerUPN", "MailboxGuid", "UserId", "Id"),
}
_KEPT = {kind.key: columns for kind, columns in (*_STATES.items(), *_LIVES.items(), *_FLAGGED.items())}
_IMAGES = {kind.key: columns[0] for kind, columns in _LIVES.items()}
_CORE = ("time", "logged", "host", "channel", "record_id", "source")
_TYPES = {c: schema.CORE[c] for c in _CORE}

# Sysmon's own time and TimeCreated lie some 15 ms apart, under load up to some seconds.
APART_S = 5
_BUCKETS = ("host", "event_id", "late", "power")
_MANY = 10_000  # rows of differences that are summed up before more are taken


class Seen:
    """Events of few kinds, kept while the evidence is read."""

    def __init__(self, needed: Wants | None = None) -> None:
        """`needed`: what hunts read; of those columns it is told who has values in them."""
        self._needed = dict((needed and needed.types) or {})
        self._channels = needed.channels if needed else ()
        self._filled: dict[tuple[str, int], dict[str, set[str]]] = {}  # event type -> host -> columns
        self._kept: dict[tuple[str, int], list[pl.DataFrame]] = {}
        self._told: dict[tuple[str, int], tuple[int, pl.DataFrame]] = {}  # `events`, and of how many frames they are
        self._clocks: list[pl.DataFrame] = []

    def wants(self) -> Wants:
        """What is to be decoded: for coverage, and for hunts."""
        types = dict(self._needed)
        for kind, columns in _KEPT.items():
            types[kind] = types.get(kind, frozenset()) | frozenset(columns)
        return Wants(types, self._channels)

    def before(self, take: Callable[[Batch], None]) -> Callable[[Batch], None]:
        """What takes batches: what coverage needs of them first, then `take` those event types that hunts need."""
        needed = Wants(self._needed, self._channels)

        def both(batch: Batch) -> None:
            self.add(batch)
            few = {kind: met for kind, met in batch.frames.items() if needed.of(kind) is not None}
            take(replace(batch, frames=few))

        return both

    def add(self, batch: Batch) -> None:
        """Take what is needed out of a batch."""
        for kind, met in batch.frames.items():
            if kind.channel.lower() == SYSMON.lower():
                self._add_clock(met)
            self._add_filled(kind, met)
            columns = _KEPT.get(kind.key)
            if columns:
                image = _IMAGES.get(kind.key)
                few = met.filter(_named(image, met) if image else _of_logs(kind, met))
                if few.height:
                    self._kept.setdefault(kind.key, []).append(_own(few, columns))

    def merge(self, other: Seen) -> None:
        """Take what another one has seen of evidence that is read after this one's."""
        for kind, of_hosts in other._filled.items():
            own = self._filled.setdefault(kind, {})
            for host, columns in of_hosts.items():
                own.setdefault(host, set()).update(columns)
        for kind, frames in other._kept.items():
            self._kept.setdefault(kind, []).extend(frames)
        self._clocks += other._clocks
        if sum(part.height for part in self._clocks) > _MANY:
            self._sum_up()

    def events(self, channel: str, event_id: int) -> pl.DataFrame:
        """The distinct events kept of a kind: time, logged, host, channel, record_id, source and its columns, as text.

        For starts and ends `image`, the file's name in lower case.
        """
        of = EventType(channel, event_id).key
        parts = self._kept.get(of, [])
        if of not in self._told or self._told[of][0] != len(parts):
            self._told[of] = len(parts), _once(of, parts)
        return self._told[of][1]

    def lacking(self, need: Need, host: str) -> list[str]:
        """The columns of a need in which no event of a host has a value; none if it has no such event."""
        of_hosts = self._filled.get(need.event_type.key, {})
        return sorted(need.columns - ALL_COLUMNS - of_hosts[key(host)]) if key(host) in of_hosts else []

    def filled(self, kind: EventType) -> Mapping[str, set[str]]:
        """Which of the needed columns of an event type have values, by the key of each host that has such events."""
        return self._filled.get(kind.key, {})

    def clocks(self) -> pl.DataFrame:
        """Sysmon events whose UtcTime lies APART_S seconds or more from TimeCreated, in bands of doubling width.

        Columns: host, event_id, late (TimeCreated is the later one), power (the band begins at 2**power seconds),
        count, most (seconds), start and end (of TimeCreated), source (the first).
        """
        self._sum_up()
        return self._clocks[0] if self._clocks else _banded(_NONE)

    def _add_filled(self, kind: EventType, met: pl.DataFrame) -> None:
        needed = self._needed.get(kind.key)
        if needed is None:
            return
        of_hosts = self._filled.setdefault(kind.key, {})
        known = [of_hosts.setdefault(key(host), set()) for host in met["host"].unique()]
        columns = [c for c in met.columns if c in needed and not all(c in columns for columns in known)]
        if not columns:
            return
        filled = {c: pl.col(c) != "" if met.schema[c] == pl.String else pl.col(c).is_not_null() for c in columns}
        told = met.lazy().group_by("host").agg(has.any().alias(f"data.{c}") for c, has in filled.items()).collect()
        for host, *values in told.iter_rows():
            of_hosts[key(host)].update(c for c, any_ in zip(columns, values, strict=True) if any_)

    def _add_clock(self, met: pl.DataFrame) -> None:
        seconds = (pl.col("logged") - pl.col("time")).dt.total_milliseconds() / 1000
        apart = (
            met.lazy()
            .filter(~pl.col("recovered"))
            .select(pl.col("host", "event_id", "logged", "source"), seconds.alias("seconds"))
        )
        far = apart.filter(pl.col("seconds").abs() >= APART_S).collect()
        if far.height:
            self._clocks.append(_banded(far))
            if sum(part.height for part in self._clocks) > _MANY:
                self._sum_up()

    def _sum_up(self) -> None:
        if len(self._clocks) > 1:
            whole = pl.concat(self._clocks).group_by(_BUCKETS, maintain_order=True)
            summed = whole.agg(
                pl.col("count").sum(),
                pl.col("most").max(),
                pl.col("start").min(),
                pl.col("end").max(),
                pl.col("source").min(),
            )
            self._clocks = [summed]


def _once(kind: tuple[str, int], parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    columns, image = _KEPT[kind], _IMAGES.get(kind)
    if not parts:
        named = ("image",) if image else ()
        return pl.DataFrame(schema={**_TYPES, **dict.fromkeys((*columns, *named), pl.String)})
    once = pl.concat(parts, how="vertical_relaxed").unique(
        ["host", "record_id", "time", *columns], keep="first", maintain_order=True
    )
    return once.with_columns(processes.base_name(image).alias("image")) if image else once


_NONE = pl.DataFrame(
    schema={
        "host": pl.String,
        "event_id": pl.UInt32,
        "logged": pl.Datetime("ns", "UTC"),
        "source": pl.String,
        "seconds": pl.Float64,
    }
)


def _banded(far: pl.DataFrame) -> pl.DataFrame:
    told = far.with_columns(
        (pl.col("seconds") > 0).alias("late"), pl.col("seconds").abs().log(2).floor().cast(pl.Int32).alias("power")
    )
    return told.group_by(_BUCKETS, maintain_order=True).agg(
        pl.len().cast(pl.UInt64).alias("count"),
        pl.col("seconds").abs().max().alias("most"),
        pl.col("logged").min().alias("start"),
        pl.col("logged").max().alias("end"),
        pl.col("source").min(),
    )


def _named(image: str, met: pl.DataFrame) -> pl.Expr:
    """Rows whose image may be Outlook's; `events` looks closer."""
    if image not in met.columns:
        return pl.lit(value=False)
    return pl.col(image).str.contains(r"(?i)(?:^|[\\/])(?:outlook|olk)\.exe$")


def _of_logs(kind: EventType, met: pl.DataFrame) -> pl.Expr:
    """Not what other providers mean by 104 in System, to which many write: a cleared log has a name, or Eventlog's."""
    if kind.key == THROTTLED.key:
        told = pl.col(_IS_THROTTLED) if _IS_THROTTLED in met.columns else pl.lit(None, pl.String)
        return told.str.strip_chars().str.to_lowercase().eq("true").fill_null(value=False)
    if kind.key != ("system", 104):
        return pl.lit(value=True)
    named = pl.col("Channel").is_not_null() if "Channel" in met.columns else pl.lit(value=False)
    return named | pl.col("provider").str.to_lowercase().str.ends_with("eventlog").fill_null(value=True)


def _own(met: pl.DataFrame, columns: tuple[str, ...]) -> pl.DataFrame:
    """The columns that are kept, with texts of their own: decoded ones point into what was decoded."""
    few = met.select(
        *_CORE, *(pl.col(c).cast(pl.String) if c in met.columns else pl.lit(None, pl.String).alias(c) for c in columns)
    )
    return schema.compact(few)
