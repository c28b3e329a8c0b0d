"""Events that rules matched -> the columns of findings.csv.

Of a match of several events the first one's process is the suspicious one, the last one's the target; a single event
has a target only if it names one (Sysmon 8 and 10).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import polars as pl

from hunt import schema
from hunt.findings import COLUMNS, PLACED
from hunt.model import Case
from hunt.rules import fields
from hunt.rules.fields import finding_columns

__all__ = ["HITS", "TOLD", "finding_columns", "told"]

# What rules matched, one row an event of a match, in any order. `rule` and `match` are numbers of whoever asks: the
# match is one of the rule's. `row`: which row of `case.frame(channel, event_id)`, from 0.
HITS: Mapping[str, pl.DataType] = {
    "rule": pl.UInt32(),
    "match": pl.UInt32(),
    "step": pl.UInt32(),
    "channel": pl.String(),
    "event_id": pl.UInt32(),
    "row": pl.UInt32(),
}

# What an event says of itself, besides its place: columns of findings, filled as `fields` says.
_OWN = fields.TARGETS
_FIRST = (  # of a match of several events: the first one's, whatever that is
    *("process_guid", "pid", "image", "command_line", "parent_image", "parent_command_line", "sha256", "signer"),
    *("integrity", "session"),
)
_ANY = ("user", "logon_id", "actor")  # the first that any of its events has
_LAST = ("source_ip", "object", "action")  # the last that any has
_TARGET = ("target_process_guid", "target_pid", "target_image", "target_command_line")

# What `told` gives: one row a match.
TOLD: Mapping[str, pl.DataType] = {
    "rule": pl.UInt32(),
    "match": pl.UInt32(),
    **{c: COLUMNS[c] for c in ("host", "start", "end", "span_seconds", *_FIRST, *_ANY, *_LAST, *_TARGET)},
    "events": pl.List(PLACED),
}


def told(case: Case, hits: pl.DataFrame) -> pl.DataFrame:
    """HITS as findings: TOLD, by rule and by the match's first event (time, host, record id)."""
    parts = [pl.DataFrame(schema=_TYPES), *_looked_up(case, hits)]
    events = pl.concat(parts).sort("rule", "match", "step", "time", "record_id", "event_id", nulls_last=True)
    alone = (pl.len().over("rule", "match") == 1) if events.height else pl.lit(value=True)
    single = events.filter(alone)
    both = pl.concat([_single(single), _several(events.filter(~alone))])
    first = pl.col("events").list.first().struct
    ordered = both.sort("rule", "start", "host", first.field("record_id"), first.field("event_id"), nulls_last=True)
    return ordered.select(*TOLD)


_PLACE = {c: schema.CORE[c] for c in ("time", "host", "record_id", "source", "offset")}
_TYPES = {**HITS, **_PLACE, **{c: COLUMNS[c] for c in _OWN}}
del _TYPES["row"]


def _looked_up(case: Case, hits: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """_TYPES of every hit, an event type at a time."""
    for (channel, event_id), own in hits.group_by("channel", "event_id", maintain_order=True):
        kind = str(channel), int(str(event_id))
        frame = case.frame(*kind)
        there = frame.collect_schema()
        wanted = fields.sources(*kind)
        names = [*_PLACE, *sorted({c for c in wanted if c in there} - set(_PLACE))]
        rows = frame.select(names).collect()[own["row"]]
        values = rows.select(*_PLACE, *(e.alias(c) for c, e in fields.expressions(*kind, there).items()))
        values = values.with_columns(action=pl.coalesce("action", _unless_told(*kind)))
        yield pl.concat([own.drop("row"), values], how="horizontal").select(
            pl.col(c).cast(dtype) for c, dtype in _TYPES.items()
        )


def _unless_told(channel: str, event_id: int) -> pl.Expr:
    """What an event is that names neither a process nor a thing."""
    silent = pl.all_horizontal(pl.col("image", "object", "target_image").is_null())
    return pl.when(silent).then(pl.lit(f"event {event_id} of {channel}"))


def _reference() -> pl.Expr:
    return pl.struct(*(pl.col(field.name).cast(field.dtype) for field in PLACED.fields))


def _single(events: pl.DataFrame) -> pl.DataFrame:
    return events.select(
        "rule", "match", "host",
        pl.col("time").alias("start"), pl.col("time").alias("end"), pl.lit(None, pl.Float64).alias("span_seconds"),
        *_FIRST, *_ANY, *_LAST, *_TARGET,
        _reference().reshape((-1, 1)).cast(TOLD["events"]).alias("events"),
    ).cast(pl.Schema(TOLD))  # fmt: skip


def _several(events: pl.DataFrame) -> pl.DataFrame:
    """A row for each match of several events, which are in order."""
    own = {c.removeprefix("target_"): c for c in _TARGET}
    named = pl.any_horizontal(pl.col(_TARGET[:3]).is_not_null())
    # The last event's process, but where that one names another process that it acts on.
    target = [pl.when(named).then(pl.col(t)).otherwise(pl.col(p)).last().alias(t) for p, t in own.items()]
    grouped = events.group_by("rule", "match", maintain_order=True).agg(
        pl.col("host").first(),
        pl.col("time").min().alias("start"),
        pl.col("time").max().alias("end"),
        *(pl.col(c).first() for c in _FIRST),
        *(pl.col(c).drop_nulls().first() for c in _ANY),
        *(pl.col(c).drop_nulls().last() for c in _LAST),
        *target,
        _reference().alias("events"),
    )
    span = schema.seconds(pl.col("end") - pl.col("start"))
    return grouped.with_columns(span.alias("span_seconds")).select(*TOLD).cast(pl.Schema(TOLD))
