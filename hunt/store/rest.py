"""Event types that have no files of their own: a lot may be made to hold a hundred thousand of them.

They go into one file for each bucket, all of them with the same columns: `schema.CORE`, `schema.SYSTEM`, `sources`, and
`fields`, the event's own as a list of names and values in the order of their columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import polars as pl

from hunt import schema
from hunt.model import EventType

# A field: its name, and its value in the one of the others that `type` names.
FIELD = pl.Struct(
    {
        "name": pl.String,
        "type": pl.String,  # of the column: text, u32, u64, time, texts
        "text": pl.String,
        "number": pl.UInt64,
        "time": schema.TIME,
        "texts": schema.TEXTS,
    }
)
FIELDS = pl.List(FIELD)
_KNOWN = (*schema.CORE, *schema.SYSTEM)

_TYPES: Mapping[str, tuple[pl.DataType, str]] = {
    "text": (pl.String(), "text"),
    "u32": (pl.UInt32(), "number"),
    "u64": (pl.UInt64(), "number"),
    "time": (schema.TIME, "time"),
    "texts": (schema.TEXTS, "texts"),
}


def folded(frame: pl.DataFrame) -> pl.DataFrame:
    """Events of one type with their own fields as `fields`; columns: CORE, SYSTEM, `fields`."""
    own = [c for c in frame.columns if c not in _KNOWN and c != "sources"]
    if not own:
        return frame.select(*_KNOWN, pl.lit([], FIELDS).alias("fields"))
    told = pl.concat_list(_field(name, frame.schema[name]) for name in own).list.drop_nulls().alias("fields")
    return frame.select(*_KNOWN, told)


def _field(name: str, dtype: pl.DataType) -> pl.Expr:
    kind = next(kind for kind, (of, _) in _TYPES.items() if of == dtype)
    value = _TYPES[kind][1]
    slots = (
        (pl.col(name) if slot.name == value else pl.lit(None)).cast(slot.dtype).alias(slot.name)
        for slot in FIELD.fields[2:]
    )
    struct = pl.struct(pl.lit(name).alias("name"), pl.lit(kind).alias("type"), *slots)
    return pl.when(pl.col(name).is_not_null()).then(struct)


def unfolded(rows: pl.DataFrame) -> Iterator[tuple[EventType, pl.DataFrame]]:
    """Events of many types as a frame for each, as they were before `folded`; `sources` stays, if there is one."""
    key = pl.col("channel").fill_null("").str.to_lowercase()
    for _, own in rows.group_by(key, pl.col("event_id"), maintain_order=True):
        kind = EventType(own["channel"][0] or "", own["event_id"][0])
        names = (
            own.select(pl.col("fields").explode().struct.field("name", "type")).drop_nulls().unique(maintain_order=True)
        )
        columns = [_column(name, of) for name, of in names.iter_rows()]
        more = [c for c in ("sources",) if c in own.columns]
        yield kind, own.select(*_KNOWN, *columns, *more)


def _column(name: str, kind: str) -> pl.Expr:
    dtype, slot = _TYPES[kind]
    field = pl.element().struct.field
    mine = pl.element().filter((field("name") == name) & (field("type") == kind))
    return pl.col("fields").list.eval(mine).list.first().struct.field(slot).cast(dtype).alias(name)
