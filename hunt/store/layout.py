"""What lies where in a case, and what its manifests say: case.json names the lots, a lot's lot.json logs and files.

A lot is what is decoded and committed at a time. Only what manifests name is there: other files are what an ingest left
that was ended, and no reader sees them. docs/case.md is the description for people; this module is that for code.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from hunt import shares
from hunt.model import ANY_CHANNEL, ANY_ID, EventType, Evidence, Problem
from hunt.store.known import CASE as CASE  # with all else that lies there

SCHEMA = 1  # of the manifests and of the files they name; a reader refuses a later one
BUCKETS = 16

LOCK, LOTS, EVENTS = "lock", "lots", "events"
# Of event types that have no files of their own, since a lot has too many of them: see `store.rest`.
REST = EventType(ANY_CHANNEL, ANY_ID)

_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789._-")
_LONGEST = 100  # characters of a channel in a folder's name; Windows stops at 260 for a whole path
_DATA = re.compile(
    r"events/channel=[a-z0-9._%-]{1,160}/event_id=-?[0-9]{1,10}/bucket=[0-9]{2}/[0-9a-f]{16}-[0-9]{1,7}\.parquet"
)


def bucket(host: str | None, buckets: int = BUCKETS) -> int:
    """Which bucket a host's events go to: the same for all spellings, on every machine; 0 without a host."""
    if host is None:
        return 0
    key = pl.Series([host], dtype=pl.String).str.to_lowercase()[0]  # as frames compare hosts; Python may lower others
    return shares.bucket(key, buckets)


def encoded(channel: str) -> str:
    """A channel as part of a folder's name: lower case, all but [a-z0-9._-] as %xx; long ones end in a hash."""
    raw = channel.lower().encode("utf-8", "surrogatepass")
    name = "".join(chr(byte) if byte in _PLAIN else f"%{byte:02x}" for byte in raw)
    if name.endswith("."):  # which Windows drops
        name = f"{name[:-1]}%2e"
    if len(name) > _LONGEST:
        name = f"{name[:_LONGEST]}%{hashlib.sha256(raw).hexdigest()[:32]}"
    return name or "%"


def data_path(kind: EventType, number: int, lot: str, file: int) -> str:
    """Where a lot's file of this event type and bucket (`number`) lies; `file` counts all files of the lot."""
    return f"{EVENTS}/channel={encoded(kind.channel)}/event_id={kind.event_id}/bucket={number:02}/{lot}-{file}.parquet"


def is_data_path(path: str) -> bool:
    """Whether it is one of `data_path`, as far as its form tells."""
    return _DATA.fullmatch(path) is not None


def lot_path(lot: str) -> str:
    return f"{LOTS}/{lot}/lot.json"


def census_path(lot: str) -> str:
    """Of a lot's census: columns `schema.CENSUS`, sorted."""
    return f"{LOTS}/{lot}/census.parquet"


@dataclass(frozen=True, slots=True)
class Met:
    """A file of the evidence."""

    source: str  # as the case names it: no two logs of a case have the same
    named: str  # as it was called where it lay; the case's own name is another one if a log of that name was in already
    size: int  # bytes
    sha256: str

    @property
    def key(self) -> tuple[str, str]:
        return self.sha256, self.named


@dataclass(frozen=True, slots=True)
class Dated(Met):
    """One whose time is known, if the file system or the archive had it."""

    modified: str | None  # ISO 8601, UTC


@dataclass(frozen=True, slots=True)
class Item(Dated):
    """A log that was read, or a part of a large one (bytes [begin, end) of it; None: all)."""

    parser: str
    found: int  # as in `model.Tally`
    read: int
    problems: int
    part: tuple[int, int] | None = None

    def evidence(self, path: Path) -> Evidence:
        return Evidence(path, self.source, self.size, self.sha256, moment(self.modified))


@dataclass(frozen=True, slots=True)
class Alias(Dated):
    """A log that equals one that was read, byte for byte: every event of that one stands here as well."""

    of: str  # the source of the item


@dataclass(frozen=True, slots=True)
class Opened(Dated):
    """An archive or image that logs came out of."""


@dataclass(frozen=True, slots=True)
class File:
    """A Parquet file of events: sorted by host (lower case), time, source, offset."""

    path: str
    channel: str  # as first met in reading order; REST: of several event types, see `store.rest`
    event_id: int
    bucket: int
    rows: int
    records: int  # that the rows stand for: a row may tell of several places
    bytes: int
    sha256: str
    # Files of the same event type and part have the same columns and types. More than one part: of a large log whose
    # parser reads no pieces.
    part: int = 0

    @property
    def event_type(self) -> EventType:
        return EventType(self.channel, self.event_id)


@dataclass(frozen=True, slots=True)
class Lot:
    """What was decoded and committed at once. The last one of an ingest reads nothing: it tells of what was met."""

    id: str
    slack: bool  # also stale records were looked for
    items: tuple[Item, ...] = ()
    files: tuple[File, ...] = ()
    problems: tuple[Problem, ...] = ()  # met in reading the items
    aliases: tuple[Alias, ...] = ()
    containers: tuple[Opened, ...] = ()
    skipped: tuple[str, ...] = ()
    collecting: tuple[Problem, ...] = ()  # met in looking for logs
    census: str = ""  # SHA-256 of the census' file; "": nothing was read


@dataclass(frozen=True, slots=True)
class Pending(Met):
    """A log that an ingest was to read and did not, or not whole: it was ended."""


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that the manifests say."""

    lots: tuple[Lot, ...] = ()
    pending: tuple[Pending, ...] = ()
    buckets: int = BUCKETS
    hashes: Mapping[str, str] = field(default_factory=dict)  # SHA-256 of each lot.json, by lot

    def items(self) -> tuple[Item, ...]:
        """Every log once, in the order of ingestion; of one read in parts, the counts of those that are in."""
        merged: dict[str, Item] = {}
        for item in (item for lot in self.lots for item in lot.items):
            before = merged.get(item.source)
            if before:
                counts = {name: getattr(before, name) + getattr(item, name) for name in ("found", "read", "problems")}
                item = replace(before, part=None, **counts)
            merged[item.source] = replace(item, part=None)
        return tuple(merged.values())

    def aliases(self) -> tuple[Alias, ...]:
        return tuple(alias for lot in self.lots for alias in lot.aliases)

    def containers(self) -> tuple[Opened, ...]:
        """Each once."""
        return tuple({opened.source: opened for lot in self.lots for opened in lot.containers}.values())

    def skipped(self) -> tuple[str, ...]:
        """Names of files whose content no parser knows, each once."""
        return tuple(dict.fromkeys(name for lot in self.lots for name in lot.skipped))

    def collecting(self) -> tuple[Problem, ...]:
        """What could not be read in looking for logs, each once.

        Of a container that was gone through more than once (another password) counts what was met the last time.
        """
        told: dict[Problem, None] = {}
        for lot in self.lots:
            again = {opened.source for opened in lot.containers}
            if again:
                told = {problem: None for problem in told if not inside(problem.source, again)}
            told |= dict.fromkeys(lot.collecting)
        return tuple(told)

    def problems(self) -> tuple[Problem, ...]:
        """Everything that could not be read: in looking for logs, in reading them, and since an ingest was ended."""
        of_logs = dict.fromkeys(problem for lot in self.lots for problem in lot.problems)
        why = "not in the case, or not all of it: the ingest was ended; ingest it again"
        late = (Problem(pending.source, "file", why, size=pending.size) for pending in self.pending)
        return (*self.collecting(), *of_logs, *late)

    @property
    def slack(self) -> bool:
        """Whether all logs were read with their slack."""
        return all(lot.slack for lot in self.lots if lot.items)


def around(source: str) -> Iterator[str]:
    """A source, and every container that it may lie in, as its name has it: innermost first."""
    while source:
        yield source
        source = source.rpartition("!")[0]


def inside(source: str, containers: AbstractSet[str]) -> bool:
    """Whether a source is one of these containers, or lies in one."""
    return any(name in containers for name in around(source))


def moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def moment_text(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat()
