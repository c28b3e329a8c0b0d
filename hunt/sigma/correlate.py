"""Correlations: what rules matched, put together by the values of some fields within a span of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from hunt import schema
from hunt.eql import sequences
from hunt.model import Case, EventType
from hunt.sigma import tree, truth, windows
from hunt.sigma.columns import Rows, column
from hunt.sigma.document import Correlation
from hunt.sigma.plan import Plan
from hunt.sigma.tree import Node
from hunt.sigma.windows import Flags, Ints, Items, Windows

_PLACE = {"channel": pl.String(), "event_id": pl.UInt32(), "row": pl.UInt32()}
MEMBERS = {"item": pl.Int64(), **_PLACE}


@dataclass(frozen=True, slots=True)
class Hits:
    """What a rule or a correlation matched.

    `items`, a row each: `item` (a number), `time` (ns), `host`, `record_id`, and a text for each field asked for;
    `members`: MEMBERS, the events of each.
    """

    items: pl.DataFrame
    members: pl.DataFrame


@dataclass(frozen=True, slots=True)
class _Found:
    """Rows of items, match by match."""

    match: Ints
    rows: Ints


def fields(correlation: Correlation, reference: str) -> dict[str, str]:
    """What a correlation reads of the events of one of its rules: its own name for it -> the field."""
    named = (*correlation.group_by, *correlation.fields)
    return {name: correlation.aliases.get(name, {}).get(reference, name) for name in named}


def of_rule(case: Case, plan: Plan, found: Sequence[tuple[EventType, Rows]], asked: Mapping[str, str]) -> Hits:
    """The events that a rule matched. `asked`: as `fields` gives it."""
    items, members = [pl.DataFrame(schema=_items(asked))], [pl.DataFrame(schema=MEMBERS)]
    first = 0
    for kind, rows in found:
        frame = case.frame(*kind).collect()[rows]
        kinds = schema.kinds(frame["provider"].unique(), kind.event_id)
        number = pl.Series("item", np.arange(first, first + rows.size))
        texts = [_texts(frame, plan.column(kind, field), kinds).alias(f"={name}") for name, field in asked.items()]
        own = frame.select(number, pl.col("time").to_physical(), pl.col("host").str.to_lowercase(), "record_id")
        items.append(own.with_columns(texts))
        place = [pl.lit(kind.channel).alias("channel"), pl.lit(kind.event_id, pl.UInt32).alias("event_id")]
        members.append(pl.DataFrame([number, pl.Series("row", rows, pl.UInt32)]).select("item", *place, "row"))
        first += rows.size
    return Hits(pl.concat(items), pl.concat(members))


def renamed(hits: Hits, asked: Mapping[str, str]) -> Hits:
    """What a correlation matched, for another one: of fields it has those that it is grouped by."""
    absent = pl.lit(None, pl.String)
    texts = [(pl.col(f"={f}") if f"={f}" in hits.items.columns else absent).alias(f"={n}") for n, f in asked.items()]
    return Hits(hits.items.select("item", "time", "host", "record_id", *texts), hits.members)


def _items(asked: Mapping[str, str]) -> dict[str, pl.DataType]:
    own = {"item": pl.Int64(), "time": pl.Int64(), "host": pl.String(), "record_id": pl.UInt64()}
    return {**own, **{f"={name}": pl.String() for name in asked}}


def _texts(frame: pl.DataFrame, name: str, kinds: dict[str, schema.Kind]) -> pl.Series:
    """A column's texts, row by row; of several in one event the first."""
    own = column(frame, name, kinds)
    codes = own.codes.astype(np.int64)
    places = codes if own.owners is None else np.searchsorted(own.owners, np.maximum(codes, 0))
    texts = pl.concat([own.values, pl.Series([None], dtype=pl.String)])
    return texts.gather(np.where(codes < 0, own.values.len(), places))


def matches(correlation: Correlation, hits: Sequence[Hits]) -> Hits:
    """The matches of a correlation over what each of its rules matched: items with its groups, and their events."""
    joined, members = _joined(hits)
    keyed = joined.filter(pl.col("time").is_not_null(), *(pl.col(f"={n}").is_not_null() for n in correlation.group_by))
    groups = [pl.col(f"={name}").str.to_lowercase() for name in correlation.group_by]
    dense = pl.struct(groups).rank("dense").cast(pl.Int64) - 1 if groups else pl.lit(0, pl.Int64)
    order = ("group", "time", "host", "record_id", "event", "rule")
    items = keyed.with_columns(dense.alias("group")).sort(order, nulls_last=True)
    if correlation.kind not in ("temporal", "temporal_ordered"):
        items = items.unique("event", keep="first", maintain_order=True)
    if not items.height:
        return Hits(pl.DataFrame(schema=_items(dict.fromkeys(correlation.group_by, ""))), pl.DataFrame(schema=MEMBERS))
    find = _ordered if correlation.kind == "temporal_ordered" else _in_windows
    found = find(correlation, items)
    return _as_hits(correlation, items, members, found)


def _joined(hits: Sequence[Hits]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(all items with the number of their rule, `item` made unique; their members). `event`: equal for the same one."""
    items, members, first = [], [], 0
    for rule, own in enumerate(hits):
        items.append(own.items.with_columns(pl.col("item") + first, pl.lit(rule, pl.Int64).alias("rule")))
        members.append(own.members.with_columns(pl.col("item") + first))
        first += own.items.height
    every = pl.concat(members)
    # A match of another correlation is several events, and only ever itself.
    itself = pl.when(pl.len() > 1).then(pl.col("item").first())
    places = every.group_by("item", maintain_order=True).agg(
        pl.col("channel", "event_id", "row").first(), itself=itself
    )
    event = pl.struct("channel", "event_id", "row", "itself").rank("dense").cast(pl.Int64)
    of_items = places.select("item", event.alias("event"))
    return pl.concat(items, how="diagonal").join(of_items, on="item", how="left", maintain_order="left"), every


def _in_windows(correlation: Correlation, items: pl.DataFrame) -> _Found:
    over = Items(items["group"].to_numpy(), items["time"].to_numpy())
    span = correlation.seconds * 1_000_000_000
    laid = windows.laid(over, span)
    bursts = windows.bursts(laid, _met(correlation, items, over, laid, span))
    first, last = bursts.first, bursts.last
    sizes = last - first + 1
    offsets = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return _Found(np.repeat(np.arange(first.size), sizes), np.repeat(first, sizes) + offsets)


def _met(correlation: Correlation, items: pl.DataFrame, over: Items, laid: Windows, span: int) -> Flags:
    rules = items["rule"].to_numpy()
    if correlation.asks is not None:
        held = {name: laid.of(rules == number) > 0 for number, name in enumerate(correlation.rules)}
        return _meets(correlation.asks, held, len(laid.first))
    match correlation.kind:
        case "event_count":
            values: np.ndarray[tuple[int], np.dtype[np.generic]] = laid.counts()
        case "value_count":
            values = laid.distinct(over, _codes(items, correlation.fields))
        case "temporal":
            values = laid.distinct(over, rules)
        case kind:
            x = pl.col("x")
            which = {
                "value_sum": pl.when(x.count() > 0).then(x.sum()).alias("x"),
                "value_avg": x.mean(),
                "value_median": x.median(),
                "value_percentile": x.quantile((correlation.percentile or 0) / 100, "linear"),
            }[kind]
            numbers = truth.numbers(items[f"={correlation.fields[0]}"].str.to_lowercase())
            values = laid.statistic(over, span, numbers.fill_null(float("nan")).to_numpy(), which)
    return windows.compared(values, correlation.op, correlation.count)


def _meets(asked: Node, held: Mapping[str, Flags], size: int) -> Flags:
    match asked:
        case tree.Leaf(str(name), _):
            return held[name]
        case tree.And(of):
            return np.asarray(np.logical_and.reduce([_meets(part, held, size) for part in of]))
        case tree.Or(of):
            return np.asarray(np.logical_or.reduce([_meets(part, held, size) for part in of]))
        case tree.Not(of):
            return ~_meets(of, held, size)
        case tree.Const(value):
            return np.full(size, value)
    raise AssertionError(asked)


def _codes(items: pl.DataFrame, names: Sequence[str]) -> Ints:
    """A number for each combination of values, without case; -1 where one is missing."""
    texts = pl.struct([pl.col(f"={name}").str.to_lowercase() for name in names])
    whole = pl.all_horizontal([pl.col(f"={name}").is_not_null() for name in names])
    codes = pl.when(whole).then(texts.rank("dense").cast(pl.Int64)).otherwise(-1)
    return items.select(codes.alias("code"))["code"].to_numpy()


def _ordered(correlation: Correlation, items: pl.DataFrame) -> _Found:
    """One of each rule after the other, the last one within the span: as a sequence in EQL."""
    # An event stands once for each rule that it met: to the sequence it is one, and can't be two steps of it.
    ordered = items.with_row_index("_row").sort("time", "host", "record_id", "event", nulls_last=True)
    order = pl.col("event").rle_id().cast(pl.Int64)
    ordered = ordered.with_columns(order.alias("order"))
    times = ordered.unique("order", keep="first", maintain_order=True)["time"].to_numpy()
    own = [ordered.filter(pl.col("rule") == rule) for rule in range(len(correlation.rules))]
    if not all(step.height for step in own):
        return _Found(np.empty(0, np.int64), np.empty(0, np.int64))
    steps = [sequences.Events(step["order"].to_numpy(), step["group"].to_numpy()) for step in own]
    chains = sequences.chains(steps, times, correlation.seconds * 1_000_000_000).events
    rows = [
        step["_row"].to_numpy()[np.searchsorted(step["order"].to_numpy(), chains[:, number])]
        for number, step in enumerate(own)
    ]
    return _Found(np.repeat(np.arange(len(chains)), len(own)), np.column_stack(rows).ravel().astype(np.int64))


def _as_hits(correlation: Correlation, items: pl.DataFrame, members: pl.DataFrame, found: _Found) -> Hits:
    listed = items[found.rows].with_columns(pl.Series("match", found.match), pl.int_range(pl.len()).alias("at"))
    groups = [f"={name}" for name in correlation.group_by]
    own = listed.group_by("match", maintain_order=True).agg(
        pl.col("time").max(), pl.col("host").last(), pl.col("record_id").last(), *(pl.col(c).first() for c in groups)
    )
    joined = listed.select("item", "match", "at").join(members, on="item", how="left", maintain_order="left")
    once = joined.unique(["match", *_PLACE], keep="first", maintain_order=True).sort("match", "at")
    return Hits(
        own.rename({"match": "item"}).select("item", "time", "host", "record_id", *groups),
        once.select(pl.col("match").alias("item"), *_PLACE),
    )
