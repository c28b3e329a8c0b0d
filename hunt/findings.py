"""Findings: what hunts return, made into the rows of findings.csv and events.csv."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

import polars as pl

from hunt import schema
from hunt.events import printed
from hunt.model import Case, Hunt
from hunt.places import SOURCES

TEXTS = pl.List(pl.String)

# findings.csv, one row a match. The suspicious process first, then `target_*`, the last event's process; `actor`,
# `object` and `action` for events without processes.
COLUMNS: Mapping[str, pl.DataType] = {
    "finding_id": pl.String(),
    "query": pl.String(),
    "title": pl.String(),
    "severity": pl.String(),
    "risk_score": pl.Int64(),
    "confidence": pl.String(),
    "grade": pl.String(),
    "host": pl.String(),
    "user": pl.String(),
    "start": schema.TIME,
    "end": schema.TIME,
    "span_seconds": pl.Float64(),
    "process_guid": pl.String(),
    "pid": pl.UInt32(),
    "image": pl.String(),
    "command_line": pl.String(),
    "parent_image": pl.String(),
    "parent_command_line": pl.String(),
    "target_process_guid": pl.String(),
    "target_pid": pl.UInt32(),
    "target_image": pl.String(),
    "target_command_line": pl.String(),
    "sha256": pl.String(),
    "signer": pl.String(),
    "integrity": pl.String(),
    "session": pl.UInt32(),
    "logon_id": pl.String(),
    "source_ip": pl.String(),
    "actor": pl.String(),
    "object": pl.String(),
    "action": pl.String(),
    "techniques": TEXTS,
    "reason": pl.String(),
    "competitors": pl.UInt32(),
    "ambiguous": pl.Boolean(),
    "locality": pl.String(),
    "origin": pl.String(),
    "attached": pl.Boolean(),
    "start_source": pl.String(),
    "evidence": TEXTS,
    "suppressed": pl.String(),  # why the allowlist says that it is harmless
    "sources": TEXTS,
}

# The events of a match, as a hunt names them in its column `events`.
REFERENCE = pl.Struct(
    {
        "step": pl.UInt32,
        "host": pl.String,
        "channel": pl.String,
        "event_id": pl.UInt32,
        "record_id": pl.UInt64,
        "time": schema.TIME,
    }
)

# With the first place where the event stands: rules know which one they matched, and where there are no record ids all
# events of the same moment would be taken for it.
PLACED = pl.Struct({**dict(REFERENCE), "source": pl.String, "offset": pl.UInt64})

# And, where a log numbers no records, with what tells this one from others of the same moment: an id of its own.
NAMED = pl.Struct({**dict(PLACED), "id": pl.String})

# What hunts of a later stage see of those before them: COLUMNS and the `events` of each finding.
FOUND: Mapping[str, pl.DataType] = {**COLUMNS, "events": pl.List(NAMED)}

# events.csv, one row per event of a finding.
EVENT_COLUMNS: Mapping[str, pl.DataType] = {
    "finding_id": pl.String(),
    "step": pl.UInt32(),
    "time": schema.TIME,
    "host": pl.String(),
    "channel": pl.String(),
    "event_id": pl.UInt32(),
    "record_id": pl.UInt64(),
    "sources": SOURCES,
    "fields": pl.String(),
}


def reference(step: int, suffix: str = "") -> pl.Expr:
    """The event that a row of a hunt's join stands for; `suffix` as the join gave it to that side's core columns."""
    named = {
        name: pl.col(f"{name}{suffix}").alias(name) for name in ("host", "channel", "event_id", "record_id", "time")
    }
    return pl.struct(pl.lit(step, pl.UInt32).alias("step"), *named.values())


def named(step: int, id_: str) -> pl.Expr:
    """NAMED of a row that has all of its columns, and its own id in the column `id_`."""
    own = ("host", "channel", "event_id", "record_id", "time", "source", "offset")
    return pl.struct(pl.lit(step, pl.UInt32).alias("step"), *own, pl.col(id_).alias("id"))


def of_hunt(case: Case, hunt: Hunt) -> pl.DataFrame:
    """FOUND: what a hunt finds. Raises RuleError for a rule that can't be evaluated on all of the case's events."""
    return matches(hunt, hunt.find(case).collect())


def told(case: Case, found: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(COLUMNS, EVENT_COLUMNS) of FOUND, in no order; `fields` is null."""
    return with_events(found, located(case, references(found)))


def with_events(found: pl.DataFrame, events: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """As `told`, with the events of all findings as `located` has them."""
    marked = _marked(_with_sources(found, events), events)
    return marked.select(*COLUMNS), events.select(*EVENT_COLUMNS)


def references(found: pl.DataFrame) -> pl.DataFrame:
    """The events that FOUND names: finding_id and NAMED."""
    return found.select("finding_id", "events").explode("events").unnest("events").cast(pl.Schema(_NAMED))


def in_order(found: pl.DataFrame, events: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Findings and their events, sorted and so the same on every run."""
    place = pl.col("sources").list.first().struct
    # Exports number no records: their events of one moment stand by host and place.
    by = ("finding_id", "step", "time", "channel", "record_id", "host", "event_id", place["path"], place["offset"])
    return (
        found.sort("start", "end", "host", "query", "finding_id", maintain_order=True),
        events.sort(*by, maintain_order=True),
    )


def known(case: Case) -> pl.DataFrame:
    """FOUND: what hunts of earlier stages found, in no order; empty if none has run."""
    return pl.DataFrame(schema=FOUND) if case.findings is None else case.findings


def matches(hunt: Hunt, found: pl.DataFrame) -> pl.DataFrame:
    """FOUND: a hunt's rows with all of COLUMNS, what the hunt says of every match, their ids and `events`."""
    if not found.height:
        return pl.DataFrame(schema=FOUND)
    said = {
        "title": pl.lit(hunt.title),
        "severity": pl.lit(hunt.severity.value),
        "risk_score": pl.lit(hunt.risk_score),
        "techniques": pl.lit(list(hunt.attack), TEXTS),
        "reason": pl.lit(hunt.title),
    }
    ids = [finding_id(hunt.id, events) for events in found["events"].to_list()]
    said |= {"query": pl.lit(hunt.id), "finding_id": pl.lit(pl.Series(ids, dtype=pl.String))}
    complete = found.select(
        *(
            (pl.col(c) if c in found.columns else said.get(c, pl.lit(None))).cast(t).alias(c)
            for c, t in COLUMNS.items()
        ),
        _named(found).alias("events"),
    )
    complete = _told_apart(complete.with_columns(pl.col("reason").fill_null(hunt.title)))
    if hunt.said:
        said_too = pl.lit(list(hunt.said), TEXTS)
        complete = complete.with_columns(pl.concat_list(pl.col("evidence").fill_null([]), said_too))
    if not hunt.limits:
        return complete
    return complete.with_columns(pl.concat_str("reason", pl.lit("; ".join(hunt.limits)), separator="; "))


def _named(found: pl.DataFrame) -> pl.Expr:
    """`events` as NAMED; hunts need not say where the events stand, nor by what else they are known."""
    there = set(found["events"].list.explode().struct.fields)
    field = pl.element().struct.field
    values = (field(f.name) if f.name in there else pl.lit(None) for f in NAMED.fields)
    struct = pl.struct(v.cast(f.dtype).alias(f.name) for v, f in zip(values, NAMED.fields, strict=True))
    return pl.col("events").list.eval(struct)


def finding_id(query: str, events: Iterable[Mapping[str, object]]) -> str:
    """16 hex digits that depend on the query and its events alone, not on where the evidence lay."""
    lines = sorted(
        f"{str(e['host']).lower()}\t{e['channel']}\t{e['record_id']}\t{e['time']}"
        + (f"\t{e['id']}" if e.get("id") is not None else "")
        for e in events
    )
    return _digits("\n".join((query, *lines)))


def _digits(said: str) -> str:
    return hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()[:16]


# What a finding says of its own events, whatever else the evidence holds: no judgement of them, no place, nothing that
# may be told or spelled otherwise elsewhere.
_OWN = (
    "process_guid", "pid", "image", "command_line", "target_process_guid", "target_pid", "target_image",
    "target_command_line", "actor", "object", "action",
)  # fmt: skip


def _told_apart(found: pl.DataFrame) -> pl.DataFrame:
    """Findings whose events have the same names, as in exports without record ids, get ids by what they say as well.

    None of them keeps the id that they share: with more evidence it could become another's. Those that say the same
    are numbered, in the order of everything else they say: with more evidence those alone may change their numbers.
    """
    shared = found["finding_id"].is_duplicated()
    if not shared.any():
        return found
    few = found.filter(shared).select(pl.exclude("sources", "events"))
    ids = pl.Series([_digits(json.dumps(row, ensure_ascii=False)) for row in few.select("finding_id", *_OWN).rows()])
    lists = [c for c, dtype in few.schema.items() if isinstance(dtype, pl.List)]
    said = few.select(pl.exclude("finding_id", *lists), pl.col(lists).list.join("\n"))
    order = said.with_columns(_id=ids).with_row_index("_row").sort(*said.columns, nulls_last=True, maintain_order=True)
    nth = order.select("_row", n=pl.int_range(pl.len()).over("_id")).sort("_row")["n"]
    own = [_digits(f"{id_}\t{n}") if n else id_ for id_, n in zip(ids, nth, strict=True)]
    return found.with_columns(finding_id=found["finding_id"].scatter(shared.arg_true(), pl.Series(own)))


LOCATED: Mapping[str, pl.DataType] = {**EVENT_COLUMNS, "recovered": pl.Boolean()}


def located(case: Case, named: pl.DataFrame) -> pl.DataFrame:
    """LOCATED: every event that `references` names, looked up in its frame; `fields` null."""
    parts = [pl.DataFrame(schema=LOCATED)]
    for (channel, event_id), refs in named.group_by("channel", "event_id", maintain_order=True):
        whole = case.frame(str(channel), int(str(event_id))).select(*_KEYS, *_PLACE, "sources", "recovered")
        # `sources` is made of what is left by a filter, but for all that goes into a join.
        few = [pl.col(c).is_in(refs[c].unique().implode(), nulls_equal=True) for c in ("record_id", "time")]
        frame = whole.filter(*few).collect().lazy()
        for placed, keys in ((True, [*_KEYS, *_PLACE]), (False, _KEYS)):
            own = refs.lazy().filter(pl.col("source").is_not_null() == placed)
            met = own.join(frame, on=keys, how="left", nulls_equal=True, maintain_order="left").collect()
            parts.append(met.with_columns(_NO_FIELDS).select(*LOCATED))
    return pl.concat(parts)


_KEYS = ["host", "record_id", "time"]
_PLACE = ["source", "offset"]
_NAMED = {"finding_id": pl.String(), **NAMED.to_schema()}
_NO_FIELDS = pl.lit(None, pl.String).alias("fields")


def seen(case: Case, events: pl.DataFrame) -> pl.Series:
    """`fields` of events as far as hunts have read them: JSON, null where the case has no such event."""
    told = pl.Series("fields", [None], dtype=pl.String).new_from_index(0, events.height)
    first = pl.col("sources").list.first().struct
    places = (first.field("path").alias("source"), first.field("offset"))
    rows = events.select("channel", "event_id", *_KEYS, *places).with_row_index("_asked")
    keys = [*_KEYS, *_PLACE]
    for (channel, event_id), own in rows.group_by("channel", "event_id", maintain_order=True):
        frame = case.frame(str(channel), int(str(event_id))).drop("channel", "event_id", "sources", strict=False)
        asked = own.drop("channel", "event_id").lazy()
        met = asked.join(frame, on=keys, how="inner", nulls_equal=True).unique("_asked", keep="first").collect()
        texts = [json.dumps(row, ensure_ascii=False) for row in printed(met.drop("_asked"), int(str(event_id)))]
        told = told.scatter(met["_asked"], pl.Series(texts, dtype=pl.String))
    return told


# What is left of a finding's confidence if events of it are recovered: deleted or overwritten data may be torn.
_LOWER = {"high": "medium", "medium": "uncertain"}


def _marked(found: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Findings with recovered events say so: in `reason` and `evidence`, and by a lower confidence."""
    if not events["recovered"].any():
        return found
    recovered = pl.col("recovered").fill_null(value=False)
    steps = pl.col("step").filter(recovered).unique().sort().cast(pl.String).str.join(", ")
    counted = events.group_by("finding_id").agg(_events=pl.len(), _stale=recovered.sum(), _steps=steps)
    told = found.join(counted, on="finding_id", how="left")
    stale = pl.col("_stale") > 0
    which = pl.format("{} of its {} events recovered, not live (step {})", "_stale", "_events", "_steps")
    return told.with_columns(
        confidence=pl.when(stale).then(pl.col("confidence").replace(_LOWER)).otherwise("confidence"),
        reason=pl.when(stale)
        .then(pl.concat_str("reason", which, separator="; ", ignore_nulls=True))
        .otherwise("reason"),
        evidence=pl.when(stale)
        .then(pl.concat_list(pl.col("evidence").fill_null([]), pl.lit(["recovered"], TEXTS)))
        .otherwise("evidence"),
    ).drop("_events", "_stale", "_steps")


def _with_sources(found: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """`sources`: the evidence files of a finding's events, sorted."""
    paths = (
        events.lazy()
        .select("finding_id", pl.col("sources").list.eval(pl.element().struct.field("path")))
        .explode("sources")
        .group_by("finding_id")
        .agg(pl.col("sources").unique().sort())
        .collect()
    )
    return found.drop("sources").join(paths, on="finding_id", how="left")
