"""`hunt sql`: the Parquet of a case as tables, asked in Polars' SQL.

A table for each event type, named by `table_name`; a row is an event as one lot of the case has it: of copies within a
lot there is one row, whose column `sources` tells every place. Besides them:

    events     every event of whatever type, the columns of `schema.CORE` and `sources` alone
    evidence   the logs: EVIDENCE
    census     how many records of which kind each log holds: `schema.CENSUS` without `runs`
    problems   what could not be read: PROBLEMS
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from hunt import schema
from hunt.errors import HuntError
from hunt.model import ALL_COLUMNS, EventType, Problem
from hunt.places import SOURCES
from hunt.store import frames, layout, read
from hunt.store.frames import UNREADABLE, Lost
from hunt.store.layout import Alias, File
from hunt.store.read import Store
from hunt.store.rest import unfolded

EVIDENCE: Mapping[str, pl.DataType] = {
    "source": pl.String(),
    "named": pl.String(),  # as it was called where it lay: `a` if it is `a#2` here
    "size": pl.UInt64(),  # bytes
    "sha256": pl.String(),
    "modified": schema.TIME,
    "parser": pl.String(),
    **dict.fromkeys(("found", "read", "problems"), pl.UInt64()),
    "copy_of": pl.String(),  # the log that equals it; its events tell of that one alone
}
PROBLEMS: Mapping[str, pl.DataType] = {
    **dict.fromkeys(("source", "channel"), pl.String()),
    **dict.fromkeys(("offset", "record_id"), pl.UInt64()),
    **dict.fromkeys(("kind", "reason"), pl.String()),
    "size": pl.UInt64(),
}
TABLES: Mapping[str, pl.DataType] = {
    **dict.fromkeys(("name", "channel"), pl.String()),
    "event_id": pl.Int64(),
    **dict.fromkeys(("rows", "records"), pl.UInt64()),
}
_EVENTS = {**schema.CORE, "sources": SOURCES}
_CENSUS = [name for name in schema.CENSUS if name != "runs"]

# Calls of functions by which Polars' SQL reads files, and of any such that may come to it. A text may name one, but a
# query with comments may not: what they hide is not looked into.
_READS = re.compile(r"\b((?:read|scan)_[a-z0-9_]+)[^\w,;'=<>)%]*\(", re.IGNORECASE)
_NAMED = re.compile(r"\b((?:read|scan)_[a-z0-9_]+)", re.IGNORECASE)
_COMMENT = re.compile(r"/\*|--|#")
_BEGINS = re.compile(r"(?:\s|\()*(?:select|with|explain)\b", re.IGNORECASE)
_SHOW = re.compile(r"\s*show\s+tables\s*;?\s*", re.IGNORECASE)
_LONGEST = 60  # characters of a channel in a table's name


def table_name(channel: str, event_id: int) -> str:
    """`sysmon_1`, `security_4688`: the channel without what most have in common, in lower case, and the event id.

    All but letters and digits of ASCII become _; what is too long then ends in a checksum.
    """
    short = channel.lower().removeprefix("microsoft-windows-").removesuffix("/operational")
    name = re.sub(r"[^a-z0-9]+", "_", short).strip("_")
    if len(name) > _LONGEST:
        name = f"{name[:_LONGEST]}_{zlib.crc32(channel.lower().encode('utf-8', 'surrogatepass')):08x}"
    return f"{'_' if not name or name[0].isdecimal() else ''}{name}_{event_id}"


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows, and what could not be read: how many problems of the evidence the case knows, and those of its files."""

    rows: pl.DataFrame
    stored: int
    lost: tuple[Problem, ...]


def ask(query: str, where: str) -> Answer:
    """What one SELECT gives, or SHOW TABLES. Raises HuntError for what can't be served; nothing is ever written."""
    tables = _Tables(read.load(where))
    stored = len(tables.store.case.problems())
    if _SHOW.fullmatch(query):
        return Answer(tables.listed(), stored, tables.uncounted)
    if not _BEGINS.match(query):
        raise HuntError("SQL: one SELECT is served, or SHOW TABLES; nothing in a case can be changed")
    reads = (_NAMED if _COMMENT.search(query) else _READS).search(query)
    if reads:
        raise HuntError(f"SQL: {reads[1]}: files are not read, only the tables of the case")
    asked = [name for name in tables.names() if re.search(rf"\b{re.escape(name)}\b", query, re.IGNORECASE)]
    lost = {loss.file.path: loss for name in asked for loss in frames.faults(tables.store, tables.files(name))}
    try:
        rows = _run(query, {name: tables.table(name, lost) for name in asked})
    except UNREADABLE as error:
        # The query's fault, or that of a file that is damaged inside, which is told and left out.
        more = {loss.file.path: loss for name in asked for loss in tables.damaged(name, lost)}
        if not more:
            raise HuntError(f"SQL: {_said(error)}") from None
        lost |= more
        try:
            rows = _run(query, {name: tables.table(name, lost) for name in asked})
        except UNREADABLE as again:
            raise HuntError(f"SQL: {_said(again)}") from None
    damaged = tuple(tables.store.problem(loss.file, loss.reason) for loss in lost.values())
    return Answer(rows, stored, (*tables.uncounted, *damaged))


def _run(query: str, tables: Mapping[str, pl.LazyFrame]) -> pl.DataFrame:
    return pl.SQLContext(tables).execute(query, eager=False).collect(engine="streaming")


def _said(error: BaseException) -> str:
    text = str(error).split("\n\nResolved plan")[0]
    return " ".join(text.split())[:500] or type(error).__name__


def _counted(store: Store) -> tuple[pl.DataFrame, tuple[Problem, ...]]:
    """`schema.CENSUS` of all lots, and what could not be read of it."""
    counted, lost = [pl.DataFrame(schema=schema.CENSUS)], []
    for lot in store.case.lots:
        if lot.census:
            try:
                counted.append(store.census(lot))
            except UNREADABLE as error:
                lost.append(store.uncounted(lot, frames.said(error)))
    return pl.concat(counted), tuple(lost)


class _Tables:
    """The tables of a case by their names."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._census, self.uncounted = _counted(store)
        self._kinds = dict(self._named())

    def names(self) -> list[str]:
        return [*self._kinds, "events", "evidence", "census", "problems"]

    def _named(self) -> Iterator[tuple[str, EventType]]:
        """Event types by the names of their tables; if two have the same, the later one is numbered."""
        met = {file.event_type.key: file.event_type for lot in self.store.case.lots for file in lot.files}
        met.pop(layout.REST.key, None)
        for channel, event_id in self._census.select("channel", "event_id").unique(maintain_order=True).iter_rows():
            kind = EventType(channel or "", event_id)
            if kind.key not in met and self._rest():
                met[kind.key] = kind
        taken: dict[str, int] = {}
        for _, kind in sorted(met.items()):
            name = table_name(*kind)
            taken[name] = taken.get(name, 0) + 1
            yield name if taken[name] == 1 else f"{name}__{taken[name]}", kind

    def _rest(self) -> list[File]:
        return [file for lot in self.store.case.lots for file in lot.files if file.event_type == layout.REST]

    def listed(self) -> pl.DataFrame:
        """TABLES: what can be asked."""
        of_kinds: dict[tuple[str, int], list[int]] = {}
        for file in (file for lot in self.store.case.lots for file in lot.files):
            sums = of_kinds.setdefault(file.event_type.key, [0, 0])
            sums[0] += file.rows
            sums[1] += file.records
        kinds = ((name, *kind, *of_kinds.get(kind.key, (None, None))) for name, kind in self._kinds.items())
        others = ((name, None, None, None, None) for name in ("events", "evidence", "census", "problems"))
        return pl.DataFrame([*kinds, *others], schema=TABLES, orient="row")

    def files(self, name: str) -> list[File]:
        """What a table is read from."""
        kind = self._kinds.get(name)
        if kind is None:
            return [file for lot in self.store.case.lots for file in lot.files] if name == "events" else []
        own = [file for lot in self.store.case.lots for file in lot.files if file.event_type.key == kind.key]
        return [*own, *self._rest()]

    def damaged(self, name: str, but: Mapping[str, Lost]) -> Iterator[Lost]:
        """Files that can't be read to their end."""
        for file in self.files(name):
            if file.path not in but:
                yield from (
                    found for found in frames.frames(self.store, [file], ALL_COLUMNS) if isinstance(found, Lost)
                )

    def table(self, name: str, but: Mapping[str, Lost]) -> pl.LazyFrame:
        files = [file for file in self.files(name) if file.path not in but]
        match name:
            case "events":
                return self.store.scan(files, _EVENTS).select(*_EVENTS) if files else pl.LazyFrame(schema=_EVENTS)
            case "evidence":
                return self._evidence().lazy()
            case "census":
                return self._census.select(_CENSUS).lazy()
            case "problems":
                rows = [tuple(getattr(p, column) for column in PROBLEMS) for p in self.store.case.problems()]
                return pl.DataFrame(rows, schema=PROBLEMS, orient="row").lazy()
        kind = self._kinds[name]
        groups: dict[object, list[File]] = {}
        for file in files:
            groups.setdefault((file.path.rpartition("/")[2].partition("-")[0], file.event_type, file.part), []).append(
                file
            )
        parts = [part for own in groups.values() for part in self._scanned(kind, own)]
        parts = parts or [schema.empty(*kind).with_columns(sources=pl.lit(None, SOURCES)).lazy()]
        return pl.concat(parts, how="diagonal_relaxed") if len(parts) > 1 else parts[0]

    def _scanned(self, kind: EventType, files: Sequence[File]) -> Iterator[pl.LazyFrame]:
        """Of files with the same columns."""
        rows = self.store.scan(files)
        if files[0].event_type != layout.REST:
            yield rows
            return
        for met, frame in unfolded(rows.filter(pl.col("event_id") == kind.event_id).collect()):
            if met.key == kind.key:
                yield frame.lazy()

    def _evidence(self) -> pl.DataFrame:
        rows: list[tuple[object, ...]] = []
        for of, parser, item in self.store.logs():
            told = (item.source, of.named, item.size, item.sha256, item.modified, parser)
            if isinstance(of, Alias):
                rows.append((*told, None, None, None, of.of))
            else:
                rows.append((*told, of.found, of.read, of.problems, None))
        return pl.DataFrame(rows, schema=EVIDENCE, orient="row")
