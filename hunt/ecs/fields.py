"""What an ECS field is: its type, where it comes from, and the expression that makes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Literal

import polars as pl

from hunt import schema
from hunt.model import Need

Type = Literal["text", "number", "boolean", "ip", "time"]
Constant = str | int | bool

_DTYPES: Mapping[Type, pl.DataType] = {
    "text": pl.String(),
    "number": pl.Int64(),
    "boolean": pl.Boolean(),
    "ip": pl.String(),
    "time": schema.TIME,
}


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """What may be known of a field before any event is read.

    `columns`: of the event type's frame, that it is made of, besides the core ones. `constant`: all of its values, the
    same for every event of the type; None if they differ. `also`: what else has to be decoded for it. `conditional`:
    where it is absent the truth may just be unknown, as lineage and signatures are inferred from neighbours.
    """

    type: Type
    many: bool = False  # a list of values; none: null
    columns: frozenset[str] = frozenset()
    constant: tuple[Constant, ...] | None = None
    also: tuple[Need, ...] = ()
    conditional: bool = False
    fraction: bool = False  # a number that is not whole

    @property
    def dtype(self) -> pl.DataType:
        """Of the column in a view: the same in all event types, so that they can be joined and concatenated."""
        one = pl.Float64() if self.fraction else _DTYPES[self.type]
        return pl.List(one) if self.many else one


class Part(Enum):
    """Columns that come from neighbours of the event, and what they cost beyond it."""

    PARENT = "effective parent"
    FILE = "signature and age of the process's file"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of one event type. `make` gives its expression over the frame, with the columns of `part` beside it."""

    info: FieldInfo
    make: Callable[[], pl.Expr]
    part: Part | None = None

    def expression(self) -> pl.Expr:
        """Null where absent."""
        return self.make().cast(self.info.dtype)


Fields = Mapping[str, Field]


def constant(*values: Constant, many: bool = False) -> Field:
    """The same for all events of the type."""
    kind: Type = "boolean" if isinstance(values[0], bool) else "number" if isinstance(values[0], int) else "text"
    info = FieldInfo(kind, many=many or len(values) > 1, constant=values)

    def make() -> pl.Expr:
        return pl.lit(pl.Series([list(values)])).first() if info.many else pl.lit(values[0])

    return Field(info, make)


def made(make: Callable[..., pl.Expr], *columns: str, type: Type = "text", many: bool = False) -> Field:
    """What a function makes of columns, called with their names."""
    own = frozenset(columns) - schema.CORE.keys()
    return Field(FieldInfo(type, many=many, columns=own), lambda: make(*columns))
