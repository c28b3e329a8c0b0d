"""ECS fields as columns beside the core columns of an event type's frame."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import polars as pl

from hunt import schema
from hunt.ecs import parents, process_files
from hunt.ecs.event_data import expected, hex_text
from hunt.ecs.fields import Field, Part
from hunt.ecs.mapping import field
from hunt.model import Case, EventType


def view(case: Case, kind: EventType, names: Collection[str]) -> pl.LazyFrame:
    """The events of one type, in the order of `case.frame`: `schema.CORE`, `sources`, then one column per name.

    Types as `FieldInfo.dtype` has them; null is absent, as are "", "-" and the null GUID. Raises KeyError for a name
    that `describe` does not know.
    """
    return over(case, kind, case.frame(*kind), names)


def over(case: Case, kind: EventType, events: pl.LazyFrame, names: Collection[str]) -> pl.LazyFrame:
    """As `view`, of some of the rows of `case.frame`: filtered before, what is dear is made for few."""
    fields = {name: _known(kind, name) for name in dict.fromkeys(names)}
    whole = _typed(events, kind, fields)
    parts = {one.part for one in fields.values()}
    if Part.PARENT in parts:
        whole = parents.known(case, kind, whole)
    if Part.FILE in parts:
        whole = process_files.known(case, kind, whole)
    core = [c for c in (*schema.CORE, "sources") if c in events.collect_schema()]
    return whole.select(*core, *(one.expression().alias(name) for name, one in fields.items()))


def _known(kind: EventType, name: str) -> Field:
    found = field(kind, name)
    if found is None:
        raise KeyError(f"{name} is no field of event {kind.event_id} of {kind.channel}")
    return found


def _typed(events: pl.LazyFrame, kind: EventType, fields: Mapping[str, Field]) -> pl.LazyFrame:
    """With all columns that the fields are made of, as the channel's own provider types them.

    Text inputs may lack a provider, and then types.
    """
    there = events.collect_schema()
    by_kind = expected(kind)
    changed = []
    for column in sorted({c for one in fields.values() for c in one.info.columns}):
        wanted = _dtype(column, by_kind)
        if column not in there:
            changed.append(pl.lit(None, wanted).alias(column))
        elif there[column] != wanted:
            changed.append(_read(pl.col(column), there[column], wanted).alias(column))
    return events.with_columns(changed)


def _dtype(column: str, by_kind: Mapping[str, schema.Kind]) -> pl.DataType:
    if column in schema.CORE:
        return schema.CORE[column]
    if column in schema.SYSTEM:
        return schema.SYSTEM[column]
    if column == schema.DATA:
        return schema.TEXTS
    return by_kind[column].dtype if column in by_kind else pl.String()


def _read(value: pl.Expr, found: pl.DataType, wanted: pl.DataType) -> pl.Expr:
    if wanted == pl.String():
        if found == pl.UInt64():  # a hexadecimal id of another provider's
            return hex_text(value)
        return value.list.join(", ") if found == schema.TEXTS else value.cast(pl.String)
    if found == pl.String() and wanted.is_integer():
        digits = value.str.extract(r"^0[xX]([0-9A-Fa-f]{1,16})$").str.to_integer(base=16, dtype=pl.UInt64, strict=False)
        return pl.coalesce(digits, value.cast(pl.UInt64, strict=False)).cast(wanted, strict=False)
    return value.cast(wanted, strict=False)
