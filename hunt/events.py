"""Decoded batches -> one lazy frame per (channel, event id), each event once with every place it was found in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import polars as pl

from hunt import schema
from hunt.model import Batch, EventType, Need, Settings, Wants

SOURCES = pl.List(pl.Struct({"path": pl.String, "offset": pl.UInt64}))

# Copies of an event in another log differ in where they stand; forwarded ones in their rendered texts as well.
_PLACE = frozenset({"source", "offset", "record_number", "recovered"})
_RENDERED = "RenderingInfo."


class Events:
    """The events of all evidence. Implements `hunt.model.Case`."""

    def __init__(self, needs: Iterable[Need] = (), settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self._batches: dict[tuple[str, int], list[pl.DataFrame]] = {}
        self._types: dict[tuple[str, int], EventType] = {}
        self._ready: dict[tuple[str, int], pl.DataFrame] = {}
        self._census: list[pl.DataFrame] = []
        self._expected: dict[tuple[str, int], set[str]] = {}
        for need in needs:
            self._expected.setdefault(need.event_type.key, set()).update(need.columns)

    def wants(self) -> Wants:
        """What the hunts need."""
        return Wants({key: frozenset(columns) for key, columns in self._expected.items()})

    def add(self, batch: Batch) -> None:
        """Take decoded events in. Frames handed out before do not change."""
        self._census.append(batch.census)
        for kind, frame in batch.frames.items():
            self._types.setdefault(kind.key, kind)
            self._batches.setdefault(kind.key, []).append(schema.compact(frame))
            self._ready.pop(kind.key, None)

    def types(self) -> tuple[EventType, ...]:
        """The event types met, sorted."""
        return tuple(sorted(self._types.values()))

    def frame(self, channel: str, event_id: int) -> pl.LazyFrame:
        """The distinct events of one type, in order of source and offset.

        Columns: `schema.CORE`, `schema.SYSTEM`, the fields met or needed by a hunt, and `sources` (List of path and
        offset, one or more). Empty if there are none.
        """
        return self._distinct(EventType(channel, event_id)).lazy()

    def census(self) -> pl.DataFrame:
        """All records read, of whatever event type: columns `schema.CENSUS`."""
        return pl.concat([pl.DataFrame(schema=schema.CENSUS), *self._census])

    def hosts(self, kind: EventType | None = None) -> tuple[str, ...]:
        """Hosts that have events (of one type), as first printed, sorted; names that differ in case are one."""
        met = self.census().drop_nulls("host")
        if kind:
            channel, event_id = kind.key
            met = met.filter(pl.col("channel").fill_null("").str.to_lowercase() == channel, event_id=event_id)
        firsts = met.group_by(pl.col("host").str.to_lowercase().alias("key")).agg(pl.col("host").min())
        return tuple(firsts.sort("key")["host"])

    def unparsed(self) -> int:
        """How many values did not fit their column's type, over the distinct events."""
        return sum(_unparsed(self._distinct(kind)["unparsed"]) for kind in self.types())

    def _distinct(self, kind: EventType) -> pl.DataFrame:
        if kind.key not in self._ready:
            batches = self._batches.get(kind.key)
            met = _once(_joined(batches, kind.event_id)) if batches else _none(kind)
            self._ready[kind.key] = _complete(met, kind, self._expected.get(kind.key, set()))
        return self._ready[kind.key]


def _unparsed(column: pl.Series) -> int:
    """Pairs in JSON objects of texts: what stands between a key and its text, escapes inside strings left out."""
    pairs = pl.col("text").str.replace_all(r"\\.", "").str.count_matches('":"', literal=True)
    return int(column.drop_nulls().alias("text").to_frame().select(pairs.sum()).item() or 0)


def _none(kind: EventType) -> pl.DataFrame:
    return schema.empty(*kind).with_columns(pl.lit(None, SOURCES).alias("sources"))


def _complete(frame: pl.DataFrame, kind: EventType, expected: Iterable[str]) -> pl.DataFrame:
    """With null columns for what a hunt reads and no event of this evidence has."""
    missing = schema.empty(*kind, sorted(set(expected) - set(frame.columns))).schema
    return frame.with_columns(pl.lit(None, missing[c]).alias(c) for c in missing if c not in frame.columns)


def _joined(batches: list[pl.DataFrame], event_id: int) -> pl.DataFrame:
    """Batches as one frame. A field may be listed for one provider and not for the other that was met alone."""
    providers = {p for batch in batches for p in batch["provider"].unique()}
    alike = [schema.conform(b, event_id, providers) if len(providers) > 1 else b for b in batches]
    return pl.concat(alike, how="diagonal").sort("source", "offset", maintain_order=True)


def _once(frame: pl.DataFrame) -> pl.DataFrame:
    """Each event once, `sources` telling everywhere it stands: same host, record id, time and payload."""
    place = pl.struct(pl.col("source").alias("path"), "offset").alias("sources")
    numbered = frame.with_row_index("_row")
    identity = (pl.col("host").str.to_lowercase().alias("_host"), "record_id", "logged")
    repeated = numbered.select(pl.struct(*identity).is_duplicated())[:, 0]
    alone = numbered.filter(~repeated).with_columns(pl.concat_list(place))
    if not repeated.any():
        return alone.drop("_row")
    payload = [c for c in frame.columns if c not in _PLACE and not c.startswith(_RENDERED) and c != "host"]
    copies = (
        numbered.filter(repeated)
        .with_columns(pl.struct(payload).hash().alias("_payload"), place)
        .group_by(*identity, "_payload", maintain_order=True)
        .agg(
            pl.col(c).first() if c != "sources" else pl.col(c)
            for c in ("_row", *frame.columns, "sources")
            if c not in ("record_id", "logged")
        )
    )
    together = pl.concat([alone, copies.select(alone.columns)]).sort("_row")
    return together.drop("_row")


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
