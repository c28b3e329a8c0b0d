"""The values that travel through the tool: evidence in, batches and problems out of parsers, findings out of hunts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol, runtime_checkable

from hunt.budget import Budget

if TYPE_CHECKING:  # `hunt --help` must not wait for Polars
    import polars as pl

SYSMON = "Microsoft-Windows-Sysmon/Operational"


class EventType(NamedTuple):
    """One kind of event, and so one frame: the channel as its events name it, and the event id."""

    channel: str
    event_id: int

    @property
    def key(self) -> tuple[str, int]:
        """What two spellings of the same channel have in common: Windows compares channel names without case."""
        return self.channel.lower(), self.event_id

    def holds(self, key: tuple[str, int]) -> bool:
        """Whether events of this `key` are of this type, which may stand for more than one (ANY_ID)."""
        channel, event_id = self.key
        return channel in (key[0], ANY_CHANNEL) and event_id in (key[1], ANY_ID)


class Severity(StrEnum):
    """How much a finding matters, weakest first."""

    INFORMATIONAL = "informational"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One file to read. `source` is how results name it: relative to the argument it was found under.

    A member of an archive is `archive.zip!member`; `path` is then a temporary copy.
    """

    path: Path
    source: str
    size: int  # bytes
    sha256: str  # lower-case hex
    modified: datetime | None = None  # UTC, as the file system or the archive has it


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the evidence that could not be read. Data, not an exception: it reaches the report.

    `kind` is `record` for exactly one record that was found and not read, else what was not read as a whole:
    `chunk`, `file` or `folder`.
    """

    source: str
    kind: str
    reason: str
    channel: str | None = None
    offset: int | None = None  # bytes into the source
    record_id: int | None = None
    size: int | None = None  # bytes that were not read on its account; None: unknown, or told by another problem

    @property
    def place(self) -> tuple[str, int, int, str]:
        """By what problems are sorted."""
        return self.source, self.offset or 0, self.record_id or 0, self.reason


@dataclass(frozen=True, slots=True)
class Batch:
    """Decoded events: one frame per event type with the columns of `schema`, rows in reading order.

    `census` counts all records read, whether their event type was wanted or not: columns `schema.CENSUS`.
    """

    frames: Mapping[EventType, pl.DataFrame]
    census: pl.DataFrame
    own: bool = False  # the frames keep nothing in memory but themselves: see `schema.compact`


@dataclass(frozen=True, slots=True)
class Progress:
    """So many bytes more are done."""

    source: str
    size: int  # bytes


ALL_COLUMNS: frozenset[str] = frozenset({"*"})
# In a Need, and so in Wants: every event of a channel, and events of every channel.
ANY_ID = -1
ANY_CHANNEL = "*"


def wider(kind: EventType) -> tuple[tuple[str, int], ...]:
    """The key of an event type, and those that stand for it among others: narrowest first, of ANY_CHANNEL last."""
    channel, event_id = kind.key
    return (channel, event_id), (channel, ANY_ID), (ANY_CHANNEL, event_id), (ANY_CHANNEL, ANY_ID)


@dataclass(frozen=True, slots=True)
class Wants:
    """What is to be decoded: columns by `EventType.key`; None: all columns of all event types.

    A key may stand for more than one event type: see `wider`.
    """

    types: Mapping[tuple[str, int], frozenset[str]] | None = None
    channels: tuple[str, ...] = ()  # of which channels ANY_CHANNEL takes events: patterns, without case; none: all

    def of(self, kind: EventType) -> frozenset[str] | None:
        """The columns wanted of an event type, or ALL_COLUMNS; None if it is not wanted at all."""
        if self.types is None:
            return ALL_COLUMNS
        keys = wider(kind)
        if self.channels and not any(fnmatchcase(kind.key[0], pattern.lower()) for pattern in self.channels):
            keys = keys[:2]
        asked = [columns for key in keys if (columns := self.types.get(key)) is not None]
        if not asked:
            return None
        return ALL_COLUMNS if any(columns >= ALL_COLUMNS for columns in asked) else frozenset().union(*asked)


@dataclass(frozen=True, slots=True)
class Reading:
    """How evidence is to be read."""

    wants: Wants = field(default_factory=Wants)
    jobs: int = 1  # files, or parts of large ones, that are read at the same time
    slack: bool = False  # also stale records in what chunks leave free, marked as recovered
    # Records that are alike but for their place may come as one row: `sources` (places.SOURCES) then tells every
    # place, by path and offset; null: the row's own alone. Parsers that have no such rows ignore it.
    once: bool = False
    room: int | None = None  # bytes of memory that reading may take at a time, about; None: what is fastest
    # More readings of the same wants follow in this process: what was learnt, and buffers, may be kept for them.
    more: bool = False
    processes: bool = field(default=False, kw_only=True)  # jobs may be done by `helpers`, if that is worth it
    # Who reads takes Arrow tables where there are some (`wire.Arrived`), and frames of few of them.
    tables: bool = field(default=False, kw_only=True)


class Parser(Protocol):
    """Reads one format. A module in parsers/ offers one as `PARSER`."""

    name: str

    def accepts(self, head: bytes) -> bool:
        """Whether a file that begins with `head` (up to 8192 bytes) is of this format. Names play no part."""

    def read(self, files: Sequence[Evidence], reading: Reading) -> Iterator[Batch | Problem | Progress]:
        """Every event of some files. Per file, records found = records of the census + problems of kind `record`.

        A file that can't be opened or read to its end is a Problem; the others are read.
        """

    def records(self, evidence: Evidence, offsets: Sequence[int]) -> Batch:
        """The events at these places of one file with all of their columns; raises OSError if it can't be read."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a file that can be read by itself, and elsewhere: its bytes [begin, end)."""

    evidence: Evidence
    begin: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.begin


@runtime_checkable
class Ranged(Parser, Protocol):
    """A parser that can read parts of a file. All pieces of a file together give what `read` gives of it."""

    def pieces(self, evidence: Evidence, size: int) -> Sequence[Piece]:
        """A file cut into pieces of about so many bytes, one or more, in order; the file itself is not asked."""

    def read_piece(self, piece: Piece, reading: Reading) -> Iterator[Batch | Problem | Progress]:
        """As `read`, of one piece. What is wrong with a file as a whole is told with one of its pieces.

        But that it can't be opened each piece says: in the same words, so that equal Problems are one.
        """


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may cost: beyond it, it is taken for a bomb, which is a Problem that names the option."""

    unpacked: int = 256 << 30  # bytes that come out of all archives together; --max-unpacked
    ratio: int = 250  # bytes that come out for each that went in; --max-ratio
    members: int = 1_000_000  # of all archives together; --max-members
    depth: int = 8  # archives in archives; --max-depth


@dataclass(frozen=True, slots=True)
class Opening:
    """How containers are opened.

    What a container decompresses itself it reckons with `budget.meter()`; what it hands out is counted by who reads it.
    """

    password: str | None = None
    limits: Limits = field(default_factory=Limits)
    budget: Budget = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "budget", Budget(self.limits))  # the way around `frozen`, for what is derived


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside a container, in the container's order; good until the next one is asked for.

    `open` gives a forward-only stream, whose `read(n)` may return fewer bytes and returns none at the end. Both may
    raise OSError or ContainerError, whose message then stands in a Problem; what was read until then counts.
    """

    # As stored, / between folders; hostile: shown, and never used as a path. "": it has no name of its own.
    name: str
    size: int | None  # bytes, as the container claims (never trusted); None: unknown
    modified: datetime | None  # UTC, as the container has it
    open: Callable[[], BinaryIO]


class Container(Protocol):
    """Opens one format of files that hold files. A module in hunt/containers/ offers one as `CONTAINER`."""

    name: str

    def accepts(self, head: bytes) -> bool:
        """Whether a file that begins with `head` (up to 8192 bytes) is of this format. Names play no part."""

    def members(self, path: Path, opening: Opening) -> Iterator[Member | Problem]:
        """The regular files inside, and what could not be read. May raise OSError or ContainerError.

        `source` of a Problem: the name of the member, or "" for the container itself.
        """


@runtime_checkable
class StreamContainer(Container, Protocol):
    """One that needs no file: found inside another, it is read as it comes out of that one."""

    def unpack(self, stream: BinaryIO, opening: Opening) -> Iterator[Member | Problem]:
        """As `members`."""


@dataclass(frozen=True, slots=True)
class Need:
    """An event type a hunt can't do without, and the columns of it that it reads."""

    channel: str
    event_id: int
    columns: frozenset[str]
    keys: frozenset[str] = frozenset()  # of them, those without which nothing can match
    excludes: frozenset[str] = frozenset()  # of them, those that are read only to leave matches out

    @property
    def event_type(self) -> EventType:
        return EventType(self.channel, self.event_id)


@dataclass(frozen=True, slots=True)
class Help:
    """An event type that a hunt can do without, and what it can't tell then: half a sentence for the analyst."""

    channel: str
    event_id: int
    without: str  # "brokered grade A cannot be reached"
    instead: EventType | None = None  # tells the same on hosts where the hunt runs by what stands `instead`
    others: tuple[EventType, ...] = ()  # each of them tells enough of the same, wherever the hunt runs

    @property
    def event_type(self) -> EventType:
        return EventType(self.channel, self.event_id)


@dataclass(frozen=True, slots=True)
class Unknown:
    """Part of a hunt that can't be answered for every event it asks of: unknown is never clean, so it is counted."""

    said: str  # "the unsigned and new branch was not evaluable"
    counts: Callable[[Case], pl.LazyFrame]  # host, unknown, total: of what `of` names
    reads: tuple[Need, ...]  # the first: of the starts
    vital: bool = False  # the hunt itself, not one branch of it, could not be answered for them: it ran partly
    of: str = "process start"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user may change about hunts. None: the hunt's own default."""

    window_s: float | None = None  # seconds between the first and the last event of a match, inclusive
    min_grade: str | None = None  # A to F: the worst grade at which rules are told who requested a process
    threshold: int | None = None  # how many mails within the window are many


class Case(Protocol):
    """The events of all evidence, as a hunt sees them."""

    settings: Settings
    # For hunts of a later stage, what those of earlier stages found (`findings.known`); None: none has run.
    findings: pl.DataFrame | None
    # Of hosts that are not in it, which files are signed (`shares.SIGNED`); None: it holds all hosts.
    signed_elsewhere: pl.DataFrame | None

    def types(self) -> tuple[EventType, ...]:
        """The event types met, sorted."""

    def frame(self, channel: str, event_id: int) -> pl.LazyFrame:
        """The distinct events of one type: the columns of `schema`, those met, and `sources`; empty if none were."""

    @property
    def processes(self) -> pl.LazyFrame:
        """One row a process: COLUMNS and DERIVED of `hunt.lineage.processes`."""

    @property
    def lineage(self) -> pl.LazyFrame:
        """One row for each process that a broker started, with its best candidate: `hunt.lineage.LINEAGE`."""

    @property
    def candidates(self) -> pl.LazyFrame:
        """One row for each brokered process and candidate, the excluded ones too: `hunt.lineage.CANDIDATES`."""

    def candidates_of(self, children: pl.Series) -> pl.LazyFrame:
        """As `candidates`, for these rows of `processes` alone: there may be many millions of the others."""

    def possible_requesters(self, children: pl.Series) -> pl.LazyFrame:
        """Who may have requested these rows of `processes`, in few columns: `hunt.lineage.POSSIBLE`."""


@dataclass(frozen=True, slots=True)
class Hunt:
    """One query. `find` returns a row a match: columns of `findings.COLUMNS` (absent = null) plus `events`, the
    list of struct (step, host, channel, event_id, record_id, time) that made it."""

    id: str
    title: str
    severity: Severity
    risk_score: int  # 0 to 100
    attack: tuple[str, ...]  # ATT&CK technique ids
    needs: tuple[Need, ...]
    find: Callable[[Case], pl.LazyFrame]
    doc: str = ""
    helps: tuple[Help, ...] = ()  # what it can't tell without; a hunt that lacks only these has run
    reads: tuple[Need, ...] = ()  # what else it reads, where there is any
    instead: tuple[Need, ...] = ()  # where a host lacks some of `needs`, all of these do
    unknowns: tuple[Unknown, ...] = ()
    of_starts: bool = False  # findings are starts, whoever asked for them: how sure that is hides none
    any_of: tuple[tuple[Need, ...], ...] = ()  # of each of these at least one is needed, besides all of `needs`
    limits: tuple[str, ...] = ()  # what it can't tell on any evidence: half sentences for the analyst
    said: tuple[str, ...] = ()  # what a rule says of all of its findings, for their `evidence`
    stage: int = 1  # from 2 on it is run after those of lower stages, and sees their findings (`findings.known`)
    across_hosts: bool = False  # what it finds on one host depends on events of others: it must see all at once
    # Of a later stage: what it reads of all hosts; of all else only events of hosts with findings. None: all of all.
    everywhere: tuple[Need, ...] | None = None

    @property
    def wanted(self) -> tuple[Need, ...]:
        """Everything it reads: what is to be decoded for it."""
        return (*self.needs, *self.reads, *self.instead, *(need for group in self.any_of for need in group))


class Status(StrEnum):
    """What became of one query."""

    RAN = "ran"
    PARTLY = "partly"
    NOT_EVALUABLE = "not_evaluable"  # the evidence, or all that events can hold, lacks what it needs
    UNSUPPORTED = "unsupported"  # we can't run what it says
    INVALID = "invalid"  # it is no rule that its language allows

    @property
    def able(self) -> bool:
        """Whether it ran at all."""
        return self in (Status.RAN, Status.PARTLY)


@dataclass(frozen=True, slots=True)
class QueryResult:
    """One row of queries.csv."""

    query: str
    title: str
    file: str
    status: Status
    reason: str
    hosts_ran: tuple[str, ...]
    hosts_not_evaluable: tuple[str, ...]
    findings: int

    def unable(self, reason: str, status: Status = Status.NOT_EVALUABLE) -> QueryResult:
        """The same query, not evaluable on any host."""
        everywhere = tuple(sorted({*self.hosts_ran, *self.hosts_not_evaluable}, key=str.lower))
        return replace(self, status=status, reason=reason, hosts_ran=(), hosts_not_evaluable=everywhere, findings=0)


@dataclass(frozen=True, slots=True)
class Tally:
    """What one file gave: `found` records were seen, `read` of them became rows, the others a Problem each."""

    evidence: Evidence
    parser: str
    found: int
    read: int
    problems: int  # of any kind: damaged chunks count here and not in found


@dataclass(frozen=True, slots=True)
class Report:
    """Everything one run has to say, sorted; outputs only write it down."""

    findings: pl.DataFrame  # findings.COLUMNS
    events: pl.DataFrame  # findings.EVENT_COLUMNS
    queries: tuple[QueryResult, ...]
    problems: tuple[Problem, ...]
    tallies: tuple[Tally, ...]
    skipped: tuple[str, ...]  # files met in folders whose content no parser knows
    hosts: tuple[str, ...]
    unparsed: int  # values that did not fit their column's type; their texts stand in `unparsed`
    options: Mapping[str, object] = field(default_factory=dict)
    containers: tuple[Evidence, ...] = ()  # archives and images that files of the evidence came out of
    rules: Mapping[str, str] = field(default_factory=dict)  # query -> SHA-256 of the file it stands in
    hidden: Mapping[str, int] = field(default_factory=dict)  # query -> its findings that filters hide
    interrupted: bool = False
    unread: tuple[str, ...] = ()  # files that an interrupt kept from being read whole; a Problem each
    timings: Mapping[str, float] = field(default_factory=dict)  # seconds by step and by query: a clock, no result
    coverage: pl.DataFrame | None = None  # coverage.FACTS; None: nobody looked
    allowed: Mapping[str, object] | None = None  # what the allowlist says and did, for the manifest
    story: pl.DataFrame | None = None  # story.COLUMNS; None: nobody asked
    left_out: int = 0  # rules that --level, --status and --tag leave out
    docs: Mapping[str, str] = field(default_factory=dict)  # query -> its documentation, of those that could run
    techniques: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # query -> ATT&CK, also if it could not run
