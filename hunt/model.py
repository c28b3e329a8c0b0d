"""The values that travel through the tool: evidence in, batches and problems out of parsers, findings out of hunts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

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
    """One file to read. `source` is how results name it: relative to the argument it was found under."""

    path: Path
    source: str
    size: int  # bytes
    sha256: str  # lower-case hex


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


@dataclass(frozen=True, slots=True)
class Batch:
    """Decoded events: one frame per event type with the columns of `schema`, rows in reading order.

    `census` counts all records read, whether their event type was wanted or not: columns `schema.CENSUS`.
    """

    frames: Mapping[EventType, pl.DataFrame]
    census: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Progress:
    """So many bytes more are done."""

    source: str
    size: int  # bytes


ALL_COLUMNS: frozenset[str] = frozenset({"*"})


@dataclass(frozen=True, slots=True)
class Wants:
    """What is to be decoded: columns by `EventType.key`; None: all columns of all event types."""

    types: Mapping[tuple[str, int], frozenset[str]] | None = None

    def of(self, kind: EventType) -> frozenset[str] | None:
        """The columns wanted of an event type, or ALL_COLUMNS; None if it is not wanted at all."""
        return ALL_COLUMNS if self.types is None else self.types.get(kind.key)


@dataclass(frozen=True, slots=True)
class Reading:
    """How evidence is to be read."""

    wants: Wants = field(default_factory=Wants)
    jobs: int = 1  # files, or parts of large ones, that are read at the same time
    slack: bool = False  # also stale records in what chunks leave free, marked as recovered


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
class Need:
    """An event type a hunt can't do without, and the columns of it that it reads."""

    channel: str
    event_id: int
    columns: frozenset[str]

    @property
    def event_type(self) -> EventType:
        return EventType(self.channel, self.event_id)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user may change about hunts. None: the hunt's own default."""

    window_s: float | None = None  # seconds between the first and the last event of a match, inclusive


class Case(Protocol):
    """The events of all evidence, as a hunt sees them."""

    settings: Settings

    def frame(self, channel: str, event_id: int) -> pl.LazyFrame:
        """The distinct events of one type: the columns of `schema`, those met, and `sources`; empty if none were."""


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


class Status(StrEnum):
    """What became of one query."""

    RAN = "ran"
    PARTLY = "partly"
    NOT_EVALUABLE = "not_evaluable"


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
