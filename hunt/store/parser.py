"""A case as evidence: what `hunt ingest` has decoded is handed out as a parser hands out what it decodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from hunt import schema
from hunt.model import ALL_COLUMNS, Batch, EventType, Evidence, Problem, Progress, Reading
from hunt.store import frames, layout
from hunt.store.frames import Lost
from hunt.store.layout import File, Item, Lot
from hunt.store.read import Store
from hunt.store.shown import Shown

_NO_CENSUS = pl.DataFrame(schema=schema.CENSUS)
_ROWS = 1 << 20  # records of wanted event types that are read at a time; a lot is never cut


@dataclass(slots=True, eq=False)
class Stored:
    """Reads logs out of a case. See `hunt.model.Parser`; there is one for each parser that has read some of them."""

    name: str  # of the parser that has read the log itself
    store: Store
    names: Mapping[str, str] = field(default_factory=dict)  # of all logs in results -> the item that stands for each

    @property
    def together(self) -> object:
        """The same for all logs that are read at once, whatever parser once read them."""
        return id(self.store)

    def accepts(self, head: bytes) -> bool:
        return False  # a case is a folder

    def read(self, files: Sequence[Evidence], reading: Reading) -> Iterator[Batch | Problem | Progress]:
        """Every event of some logs, event type by event type, lot by lot; with `reading.once` in no order."""
        names = self._of(item.source for item in files)
        for problem in self.store.stored():
            if problem.kind == "slack" and not reading.slack:  # nothing that was asked for is lost
                continue
            for name in names.get(problem.source, ()):
                yield replace(problem, source=name)
        left = {item.source: item.size for item in files}
        lots = [lot for lot in self.store.case.lots if any(item.source in names for item in lot.items)]
        spans = [*_spans(lots, reading)]
        last = {item.source: number for number, span in enumerate(spans) for lot in span for item in lot.items}
        for number, span in enumerate(spans):
            items = [item for lot in span for item in lot.items if item.source in names]
            sizes: Counter[str] = Counter()
            for item in items:
                sizes.update(dict.fromkeys(names[item.source], _size(item)))
            shown = Shown(names, [item.source for lot in span for item in lot.items])
            for part in self._span(span, shown, reading):
                if isinstance(part, float):
                    yield from _progress(left, {name: int(size * part) for name, size in sizes.items()}, keep=1)
                else:
                    yield part
            ended = [name for item in items if last[item.source] == number for name in names[item.source]]
            yield from _progress(left, {name: left[name] for name in ended}, keep=0)

    def _of(self, asked: Iterable[str]) -> Mapping[str, list[str]]:
        """The items of the case that stand for these logs, and the logs' names."""
        names: dict[str, list[str]] = {}
        for shown in asked:
            names.setdefault(self.names[shown], []).append(shown)
        return names

    def _span(self, lots: Sequence[Lot], shown: Shown, reading: Reading) -> Iterator[Batch | Problem | float]:
        """A number: so much of the lots is done since the last one."""
        lost: list[File] = []
        slack = any(lot.slack for lot in lots)
        groups = self._groups(lots, reading)
        whole = sum(file.bytes for files, _ in groups for file in files)
        for files, columns in groups:
            for found in frames.frames(self.store, files, columns):
                if isinstance(found, Lost):
                    lost.append(found.file)
                    yield self.store.problem(found.file, found.reason)
                else:
                    live = found if reading.slack or not slack else found.filter(~pl.col("recovered"))
                    met = _kinds(files[0], shown.frame(live, reading), reading)
                    if met:
                        yield Batch(met, _NO_CENSUS, own=True)
            yield sum(file.bytes for file in files) / max(whole, 1)
        for lot in lots:
            try:
                yield Batch({}, shown.census(_without(self.store.census(lot), lot, lost, self.store.case.buckets)))
            except frames.UNREADABLE as error:
                yield self.store.uncounted(lot, frames.said(error))

    def _groups(
        self, lots: Sequence[Lot], reading: Reading, kind: EventType | None = None
    ) -> list[tuple[list[File], Collection[str]]]:
        """The files of wanted event types (of `kind` alone), those with the same columns together; their columns."""
        groups: dict[object, tuple[list[File], Collection[str]]] = {}
        for lot in lots:
            alike: dict[object, object] = {}  # files of one event type and part are so within a lot
            for file in lot.files:
                columns = _columns(file, reading, kind)
                if columns is not None:
                    own = file.event_type.key, file.part
                    if own not in alike:
                        alike[own] = (*own, self._types(file) if len(lots) > 1 else ())
                    groups.setdefault(alike[own], ([], columns))[0].append(file)
        return [*groups.values()]

    def _types(self, file: File) -> object:
        try:
            return tuple(self.store.types(file).items())
        except frames.UNREADABLE:  # it is told when it is read: by itself
            return file.path

    def records(self, evidence: Evidence, offsets: Sequence[int]) -> Batch:
        """As any parser has it. `events` is many times faster: it knows what it looks for, and when that was."""
        asked = pl.DataFrame({"offset": offsets}, schema={"offset": pl.UInt64})
        asked = asked.with_columns(path=pl.lit(evidence.source))
        met: dict[EventType, list[pl.DataFrame]] = {}
        for lot in self.store.case.lots:
            for files, _ in self._groups([lot], Reading()):
                for kind, frame in self._found(lot, files, asked, None):
                    met.setdefault(kind, []).append(frame)
        joined = {kind: pl.concat(parts, how="diagonal_relaxed") for kind, parts in met.items()}
        return Batch(joined, _NO_CENSUS)

    def events(self, wanted: pl.DataFrame) -> Iterator[Batch]:
        """Single events with all of their fields. `wanted`: their channel, event_id, host, time, path and offset."""
        for (channel, event_id), rows in wanted.group_by("channel", "event_id", maintain_order=True):
            kind = EventType(str(channel or ""), int(str(event_id)))
            hosts = {layout.bucket(host, self.store.case.buckets) for host in rows["host"].unique()}
            # Copies that hunts could not tell apart may have other times, and stand in other buckets.
            for buckets, where in ((hosts, _at(rows["time"])), (None, None)):
                for lot in self.store.case.lots:
                    if not rows.height:
                        break
                    for files, _ in self._groups([lot], Reading(), kind):
                        own = [file for file in files if buckets is None or file.bucket in buckets]
                        for met, frame in self._found(lot, own, rows, where):
                            if met.key == kind.key:
                                yield Batch({met: frame}, _NO_CENSUS)
                                met_at = frame.select(path="source", offset="offset")
                                rows = rows.join(met_at, on=["path", "offset"], how="anti")

    def _found(
        self, lot: Lot, files: Sequence[File], wanted: pl.DataFrame, where: pl.Expr | None
    ) -> Iterator[tuple[EventType, pl.DataFrame]]:
        """The events of files at the places `wanted` (path, offset). What is lost was told when it was read."""
        names = self._of(path for path in wanted["path"].unique() if path in self.names)
        shown = Shown(names, [item.source for item in lot.items])
        if not shown.names:
            return
        for found in frames.frames(self.store, files, ALL_COLUMNS, where) if files else ():
            if isinstance(found, pl.DataFrame):
                apart = shown.frame(found, Reading())
                met = apart.join(wanted, left_on=("source", "offset"), right_on=("path", "offset"), how="semi")
                yield from _kinds(files[0], met, Reading()).items()


def _spans(lots: Sequence[Lot], reading: Reading) -> Iterator[list[Lot]]:
    """Lots one after the other that are read together: fewer and larger reads, of a bounded number of rows."""
    span: list[Lot] = []
    rows = 0
    for lot in lots:
        own = sum(file.records for file in lot.files if _columns(file, reading) is not None)
        if span and rows + own > _ROWS:
            yield span
            span, rows = [], 0
        span.append(lot)
        rows += own
    if span:
        yield span


def _columns(file: File, reading: Reading, kind: EventType | None = None) -> Collection[str] | None:
    """The wanted columns of a file, if it is of `kind`; None: none."""
    if file.event_type == layout.REST:
        return ALL_COLUMNS
    if kind is not None and file.event_type.key != kind.key:
        return None
    return reading.wants.of(file.event_type)


def _kinds(file: File, met: pl.DataFrame, reading: Reading) -> Mapping[EventType, pl.DataFrame]:
    """The rows of files like this one by their event type."""
    if not met.height:
        return {}
    if file.event_type != layout.REST:
        return {file.event_type: met}
    from hunt.store.rest import unfolded  # which hardly any case needs

    wanted = ((kind, frame, reading.wants.of(kind)) for kind, frame in unfolded(met))
    return {kind: frames.narrowed(frame, columns) for kind, frame, columns in wanted if columns is not None}


def _size(item: Item) -> int:
    """Bytes of a log, or of the part of it that is in a lot."""
    return item.size if item.part is None else item.part[1] - item.part[0]


def _progress(left: dict[str, int], done: Mapping[str, int], keep: int) -> Iterator[Progress]:
    """Of each log so many bytes more, but for the last ones (`keep`): it is not whole before its last lot is."""
    for source, size in done.items():
        some = min(size, left[source] - keep)
        if some > 0:
            left[source] -= some
            yield Progress(source, some)


def _without(census: pl.DataFrame, lot: Lot, lost: Sequence[File], buckets: int) -> pl.DataFrame:
    """A census that does not claim what can't be read: queries that need it must say that it is not there."""
    own = {file.path for file in lot.files}
    gone = {(*file.event_type.key, file.bucket) for file in lost if file.path in own}
    if not gone:
        return census
    named = {file.event_type.key for file in lot.files} - {layout.REST.key}
    keep = []
    for channel, number, host in census.select("channel", "event_id", "host").iter_rows():
        key = EventType(channel or "", number).key
        keep.append((*(key if key in named else layout.REST.key), layout.bucket(host, buckets)) not in gone)
    of_log = pl.col("runs").drop_nulls().first().over(schema.LOG)
    kept = census.with_columns(runs=of_log).filter(keep)
    return kept.with_columns(runs=pl.when(pl.struct(schema.LOG).is_first_distinct()).then("runs"))


def _at(times: pl.Series) -> pl.Expr:
    """Rows whose time is one of these, to the millisecond."""
    exact = pl.col("time").dt.truncate("1ms").is_in(times.dt.truncate("1ms").unique().implode(), nulls_equal=True)
    if times.null_count():
        return exact
    # By the range alone row groups are skipped.
    inside = pl.col("time").is_between(
        pl.lit(times).min().dt.offset_by("-1ms"), pl.lit(times).max().dt.offset_by("1ms")
    )
    return inside & exact
