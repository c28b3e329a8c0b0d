"""Decoded batches -> one lazy frame per (channel, event id), each event once with every place it was found in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import polars as pl

from hunt import schema
from hunt.duplicates import once
from hunt.errors import TooLargeError
from hunt.lineage.processes import DERIVED, processes
from hunt.lineage.requesters import Requesters, requesters
from hunt.model import ALL_COLUMNS, ANY_CHANNEL, ANY_ID, Batch, EventType, Hunt, Need, Settings, Wants, wider
from hunt.places import SOURCES, Places, in_place
from hunt.shares import Agreed, Share


class Events:
    """The events of all evidence, or of some hosts. Implements `hunt.model.Case`."""

    def __init__(
        self,
        needs: Iterable[Need] = (),
        settings: Settings | None = None,
        share: Share = Share(),  # noqa: B008 - frozen
        agreed: Agreed | None = None,
    ) -> None:
        """`share`: whose events will be added; if not everybody's, `agreed` is what they have in common with others."""
        self.settings = settings or Settings()
        self.share = share
        self.findings: pl.DataFrame | None = None
        self.signed_elsewhere = agreed.signed() if agreed else None
        self._agreed = agreed
        self._final = False  # nothing will be added
        self._batches: dict[tuple[str, int], list[pl.DataFrame]] = {}
        self._types: dict[tuple[str, int], EventType] = {}
        self._ready: dict[tuple[str, int], pl.DataFrame] = {}
        self._places: dict[tuple[str, int], Places] = {}  # of those that are ready without their `sources`
        self._census: list[pl.DataFrame] = []
        self._recovered: list[pl.DataFrame] = []
        self._met: dict[bool, Mapping[tuple[str, int], Sequence[str]]] = {}
        self._hosts: dict[tuple[str, int, bool], tuple[str, ...]] = {}
        self._expected: dict[tuple[str, int], set[str]] = {}
        self._processes: pl.DataFrame | None = None
        self._requesters: Requesters | None = None
        self._candidates: pl.DataFrame | None = None
        for need in needs:
            self._expected.setdefault(need.event_type.key, set()).update(need.columns)

    def wants(self) -> Wants:
        """What the hunts need."""
        return Wants({key: frozenset(columns) for key, columns in self._expected.items()})

    def add(self, batch: Batch) -> None:
        """Take decoded events in. Frames handed out before do not change."""
        self._processes = self._requesters = self._candidates = None
        self.count(batch)
        for kind, frame in batch.frames.items():
            self._types.setdefault(kind.key, kind)
            self._batches.setdefault(kind.key, []).append(frame if batch.own else schema.compact(frame))
            self._ready.pop(kind.key, None)
            self._places.pop(kind.key, None)

    def count(self, batch: Batch) -> None:
        """Take in which events there are, without the events."""
        self._met.clear()
        self._hosts.clear()
        self._census.append(batch.census)
        for frame in batch.frames.values():
            if frame["recovered"].any():  # stale records are in no census
                self._recovered.append(frame.filter("recovered").select("host", "channel", "event_id").unique())

    def put(
        self,
        frames: Mapping[EventType, Sequence[pl.DataFrame]],
        distinct: bool = False,
        counted: Events | None = None,
    ) -> Events:
        """Take in all there is: frames with texts of their own, in the order in which they were read; nothing follows.

        `distinct`: one frame of each type, which has each event once already; `counted`: who has counted them all.
        """
        for kind, parts in frames.items():
            self._types.setdefault(kind.key, kind)
            if distinct:
                self._ready[kind.key] = self._completed(in_place(parts[0]), kind)
            else:
                self._batches[kind.key] = list(parts)
        if counted:
            self._census = [self.share.of(counted.census())]
            self._recovered = [self.share.of(part) for part in counted._recovered]
        self._final = True
        return self

    def types(self) -> tuple[EventType, ...]:
        """The event types met, sorted."""
        return tuple(sorted(self._types.values()))

    def only(self, needs: Iterable[Need]) -> Events:
        """The same events with these columns at least. Raises TooLargeError if memory has no room for them."""
        return self

    def located(self, references: pl.DataFrame) -> Events:
        """The same events, at least those that are named (host, channel, event_id, record_id, time)."""
        return self

    def distinct(self, needs: Iterable[Need]) -> Iterator[tuple[EventType, pl.DataFrame]]:
        """Each event once, by type, in the columns that these needs ask for, our own and `sources`."""
        wants = Events(needs).wants()
        own = {*schema.CORE, *schema.SYSTEM, "sources"}
        for kind in self.types():
            columns = wants.of(kind)
            if columns is not None:
                whole = self._distinct(kind)
                few = whole.columns if columns >= ALL_COLUMNS else [c for c in whole.columns if c in own | columns]
                yield kind, whole.select(few)

    def for_hunts(self, hunts: Iterable[Hunt]) -> Iterator[tuple[Events | TooLargeError, Iterable[Hunt]]]:
        """Hunts, and the events that they can be run on; or why memory has no room for them."""
        yield self, hunts

    def frame(self, channel: str, event_id: int) -> pl.LazyFrame:
        """The distinct events of one type, in order of source and offset.

        Columns: `schema.CORE`, `schema.SYSTEM`, the fields met or needed by a hunt, and `sources` (List of path and
        offset, one or more). Empty if there are none.
        """
        kind = EventType(channel, event_id)
        found, stand = self._bare(kind), self._places.get(kind.key)
        if stand is None:
            return found.lazy()
        # Hardly any are asked where they stand: findings' events, of all that were looked at.
        made = pl.col("_row").map_batches(stand.of, return_dtype=SOURCES, is_elementwise=True)
        return found.with_row_index("_row").lazy().with_columns(made.alias("sources")).drop("_row")

    @property
    def processes(self) -> pl.LazyFrame:
        """One row a process: COLUMNS and DERIVED of `hunt.lineage.processes`."""
        return self._known().lazy().with_columns(**DERIVED)

    @property
    def lineage(self) -> pl.LazyFrame:
        """One row for each process that a broker started, with its best candidate: `hunt.lineage.LINEAGE`."""
        return self._traced().lineage.lazy()

    @property
    def candidates(self) -> pl.LazyFrame:
        """One row for each brokered process and candidate, the excluded ones too: `hunt.lineage.CANDIDATES`."""
        if self._candidates is None:
            self._candidates = self._traced().candidates()
        return self._candidates.lazy()

    def candidates_of(self, children: pl.Series) -> pl.LazyFrame:
        """As `candidates`, for these rows of `processes` alone: there may be many millions of the others."""
        return self._traced().candidates(children).lazy()

    def possible_requesters(self, children: pl.Series) -> pl.LazyFrame:
        """Who may have requested these rows of `processes`: `hunt.lineage.POSSIBLE`."""
        return self._traced().possible(children).lazy()

    def _known(self) -> pl.DataFrame:
        if self._processes is None:
            self._processes = processes(self)
        return self._processes

    def _traced(self) -> Requesters:
        if self._requesters is None:
            self._requesters = requesters(self, self._known())
        return self._requesters

    def census(self) -> pl.DataFrame:
        """All records read, of whatever event type: columns `schema.CENSUS`."""
        if len(self._census) != 1:
            self._census = [pl.concat([pl.DataFrame(schema=schema.CENSUS), *self._census])]
        return self._census[0]

    def hosts(self, kind: EventType | None = None, live: bool = False) -> tuple[str, ...]:
        """Hosts that have events (of one type), as first printed, sorted; names that differ in case are one.

        `live`: not those that have recovered ones alone. A kind of ANY_ID stands for all of its channel.
        """
        channel, event_id = kind.key if kind else (ANY_CHANNEL, ANY_ID)
        asked = channel, event_id, live
        if asked not in self._hosts:
            kinds = self._of_hosts(live).items()
            met = (h for (c, i), h in kinds if channel in (c, ANY_CHANNEL) and event_id in (i, ANY_ID))
            firsts: dict[str, str] = {}
            for host in sorted(set().union(*met)):
                firsts.setdefault(host.lower(), host)
            self._hosts[asked] = tuple(firsts[key] for key in sorted(firsts))
        return self._hosts[asked]

    def _of_hosts(self, live: bool) -> Mapping[tuple[str, int], Sequence[str]]:
        """Which hosts have events of which channel, in lower case, and id: asked for often."""
        if live not in self._met:
            counted = self.census().select("host", "channel", "event_id")
            met = pl.concat([counted, *([] if live else self._recovered)]).drop_nulls("host")
            kind = pl.col("channel").fill_null("").str.to_lowercase(), pl.col("event_id")
            kinds = met.group_by(*kind).agg(pl.col("host").unique())
            self._met[live] = {(channel, event_id): hosts for channel, event_id, hosts in kinds.iter_rows()}
        return self._met[live]

    def unparsed(self) -> int:
        """How many values did not fit their column's type, over the distinct events."""
        return sum(unparsed(self._bare(kind)["unparsed"]) for kind in self.types())

    def _distinct(self, kind: EventType) -> pl.DataFrame:
        found, stand = self._bare(kind), self._places.get(kind.key)
        return found if stand is None else found.with_columns(stand.of())

    def _bare(self, kind: EventType) -> pl.DataFrame:
        """The distinct events; if `_places` has them, without `sources`."""
        if kind.key not in self._ready:
            batches = self._batches.get(kind.key)
            if batches:
                met, stand = once(_joined(batches, kind, self._agreed))
                if stand.several is None:
                    met = met.with_columns(stand.of())
                else:  # of a case: there may be hundreds of places for each event
                    self._places[kind.key] = stand
            else:
                met = _none(kind)
            if self._final:
                self._batches.pop(kind.key, None)  # what copies held is free again
            self._ready[kind.key] = self._completed(met, kind)
        return self._ready[kind.key]

    def _completed(self, met: pl.DataFrame, kind: EventType) -> pl.DataFrame:
        expected = [columns for key in wider(kind) for columns in self._expected.get(key, ())]
        return _complete(met, kind, set(expected) - ALL_COLUMNS)


def unparsed(column: pl.Series) -> int:
    """Pairs in JSON objects of texts: what stands between a key and its text, escapes inside strings left out."""
    pairs = pl.col("text").str.replace_all(r"\\.", "").str.count_matches('":"', literal=True)
    return int(column.drop_nulls().alias("text").to_frame().select(pairs.sum()).item() or 0)


def _none(kind: EventType) -> pl.DataFrame:
    return schema.empty(*kind).with_columns(pl.lit(None, SOURCES).alias("sources"))


def _complete(frame: pl.DataFrame, kind: EventType, expected: Iterable[str]) -> pl.DataFrame:
    """With null columns for what a hunt reads and no event of this evidence has."""
    missing = schema.empty(*kind, sorted(set(expected) - set(frame.columns))).schema
    return frame.with_columns(pl.lit(None, missing[c]).alias(c) for c in missing if c not in frame.columns)


def _joined(batches: list[pl.DataFrame], kind: EventType, agreed: Agreed | None = None) -> pl.DataFrame:
    """Batches as one frame, with the types that hunts rely on.

    A field may be listed for one provider and not for the other that was met alone. An event that names another
    provider than its channel's, or none, as exports and forgers write them, is read as the channel's.
    """
    owner = schema.PROVIDERS.get(kind.key[0])
    met = {p for batch in batches for p in batch["provider"].unique()}
    if agreed:
        met |= agreed.providers.get(kind.key, set())
    providers = met if owner is None else met | {owner}
    alike = [schema.conform(b, kind.event_id, providers) if len(providers) > 1 else b for b in batches]
    whole = pl.concat(alike, how="diagonal")
    return agreed.completed(whole, kind.key) if agreed else whole


def printed(rows: pl.DataFrame, event_id: int) -> Iterator[Mapping[str, object]]:
    """The fields of events as Windows prints them, null ones left out: what events.csv shows of each."""
    by_kind = schema.kinds(rows["provider"].unique(), event_id)
    hidden = {*schema.CORE, "sources"} - {"provider", "logged", "unparsed"}
    shown = rows.select(_as_text(c, rows.schema[c], by_kind.get(c)) for c in rows.columns if c not in hidden)
    for row in shown.iter_rows(named=True):
        yield {name: value for name, value in row.items() if value is not None}


def _as_text(column: str, dtype: pl.DataType, kind: schema.Kind | None) -> pl.Expr:
    if kind is schema.Kind.HEX:
        return schema.hex_text(pl.col(column)).alias(column)
    if isinstance(dtype, pl.Datetime):
        return schema.time_text(pl.col(column)).alias(column)
    return pl.col(column)
