"""Values: fields, constants and what functions make of them, as Polars expressions over columns named like the fields.

Null is absent, in and out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal as OneOf

import polars as pl

from hunt.eql.literals import invalid
from hunt.eql.syntax import Call, Field, Literal, Node, place_of

Type = OneOf["text", "number", "boolean", "ip", "time", "null"]


@dataclass(frozen=True, slots=True)
class FieldType:
    """What the compiler must know of a field."""

    type: Type
    many: bool = False
    whole: bool = True  # of numbers: none has a fraction


Types = Mapping[str, FieldType]


@dataclass(frozen=True, slots=True)
class Value:
    """An expression and its type. `constant`: the literal that it is, else None."""

    expr: pl.Expr
    type: Type
    whole: bool = True
    constant: Literal | None = None


def value(node: Node, types: Types) -> Value:
    """Raises RuleError where a value can't be made of the node."""
    from hunt.eql.functions import called  # functions are made of values, and values of functions

    match node:
        case Literal():
            return _literal(node)
        case Field():
            known = types[node.name]
            return Value(pl.col(node.name), known.type, known.whole)
        case Call():
            return called(node, types)
    raise invalid("a condition stands where a value is expected", place_of(node))


def _literal(node: Literal) -> Value:
    if node.value is None:
        return Value(pl.lit(None), "null", constant=node)
    if node.kind is bool:
        return Value(pl.lit(node.value), "boolean", constant=node)
    if node.kind is str:
        return Value(pl.lit(node.value, pl.String), "text", constant=node)
    dtype = pl.Int64 if node.kind is int else pl.Float64
    return Value(pl.lit(node.value, dtype), "number", node.kind is int, node)


def as_text(given: Value) -> pl.Expr:
    """As a text: whole numbers without a point, others as Java prints them, booleans in lower case."""
    return given.expr if given.type in ("text", "ip") else given.expr.cast(pl.String)
