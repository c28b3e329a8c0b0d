"""The smallest conditions: a comparison, a match, a function that says yes or no; each a `Test` of values in columns.

Every test is two-valued: what is absent meets none, but for the test whether it is absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

import polars as pl

from hunt.eql import addresses, patterns
from hunt.eql.literals import invalid, unsupported
from hunt.eql.patterns import Patterns
from hunt.eql.syntax import IS_NULL, Call, Compare, Constant, Field, Literal, Match, Node, Place, fields, place_of
from hunt.eql.values import FieldType, Types, Value, as_text, value

_FLIPPED = {"==": "==", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


@dataclass(frozen=True, slots=True, eq=False)
class Test:
    """A condition over columns named like `fields`. `weight`: what it costs for each value, roughly."""

    fields: tuple[str, ...]
    expr: pl.Expr  # of a value, if there are `wanted`, else of yes or no
    wanted: Patterns | None = None
    plain: bool = False  # `expr` is one text column as it is, whose lower case may be known
    weight: int = 1
    on_null: bool = field(default=False)  # what it says of an absent value

    def bits(self, frame: pl.DataFrame, lower: pl.Series | None = None) -> pl.Series:
        """Yes or no for each row, without nulls. `lower`: the column in lower case, of a test that is `plain`."""
        if self.plain:
            given = frame.get_column(self.fields[0])
        else:
            given = frame.select(self.expr.alias("value")).to_series()
            if len(given) != frame.height:  # of constants alone
                given = given.new_from_index(0, frame.height)
        if self.wanted is not None:
            given = self.wanted.match(given, lower)
        return given.cast(pl.Boolean).fill_null(value=self.on_null)


def build(node: Node, types: Mapping[str, FieldType]) -> Test:
    """The test that a node without and, or and not is. Raises RuleError."""
    named = tuple(dict.fromkeys(field.name for field in fields(node)))
    return _built(node, tuple((name, types[name]) for name in named))


@lru_cache(maxsize=65_536)
def _built(node: Node, typed: tuple[tuple[str, FieldType], ...]) -> Test:
    types = dict(typed)
    names = tuple(types)
    match node:
        case Literal() if node.kind is bool:
            return Test(names, pl.lit(node.value), weight=0)
        case Literal(value=None):  # a field that the event type does not have
            return Test(names, pl.lit(value=False), weight=0)
        case Field() if types[node.name].type == "boolean":
            return Test(names, pl.col(node.name))
        case Call():
            made = value(node, types)
            if made.type in ("boolean", "null"):
                return Test(names, made.expr, weight=2 if node.name == IS_NULL else 8, on_null=node.name == IS_NULL)
        case Compare():
            return _comparison(node, types)
        case Match():
            return _match(node, types)
    raise invalid("a value stands where a condition is expected", place_of(node))


def constant(node: Node) -> bool:
    """What a test without fields says."""
    match node:
        case Compare(op="==", left=Literal() as left, right=Literal() as right) if left.kind is right.kind is str:
            return left.value == right.value  # as most are
        case Literal() if node.kind is bool or node.value is None:
            return node.value is True
    return _constant(node)


@lru_cache(maxsize=65_536)
def _constant(node: Node) -> bool:
    return bool(build(node, {}).bits(pl.DataFrame({"": [0]}))[0])


def _comparison(node: Compare, types: Types) -> Test:
    left, right = value(node.left, types), value(node.right, types)
    if left.constant is not None and right.constant is None:
        left, right, op = right, left, _FLIPPED[node.op]
    else:
        op = node.op
    names, where = tuple(types), place_of(node)
    if "null" in (left.type, right.type):
        return Test(names, pl.lit(value=False))
    if left.type == "ip" and right.constant is not None and op == "==":
        return _address_test(names, left, [right.constant], where)
    if "time" in (left.type, right.type) and left.type != right.type:
        right = _as_time(right, where)
    elif "text" in (left.type, right.type) and "number" in (left.type, right.type):
        left, right = _alike(left, right, op, where)
    pair = {"text" if side.type == "ip" else side.type for side in (left, right)}
    if len(pair) > 1:
        raise invalid(f"a {left.type} is compared with a {right.type}", where)
    if op != "==" and ("ip" in (left.type, right.type) or pair == {"boolean"}):
        raise invalid(f"{op} between {'addresses' if pair != {'boolean'} else 'booleans'}", where)
    a, b = left.expr, right.expr
    compared = {"==": a == b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[op]
    return Test(names, compared, weight=_weight(node))


def _weight(node: Compare) -> int:
    return 1 if all(isinstance(side, Field | Literal) for side in (node.left, node.right)) else 10


def _alike(left: Value, right: Value, op: str, where: Place) -> tuple[Value, Value]:
    """A text and a number as the same: a constant as what it is compared with, else both as text."""
    if right.constant is not None and left.type == "number":
        return left, _as_number(right)
    if op != "==":
        raise invalid(f"{op} between a text and a number", where)
    return Value(as_text(left), "text"), Value(as_text(right), "text")


def _as_number(text: Value) -> Value:
    """A constant text as a number; what is none equals none."""
    assert text.constant is not None
    try:
        number = float(str(text.constant.value))
    except ValueError:
        return Value(pl.lit(None, pl.Float64), "number")
    whole = number.is_integer() and abs(number) < 2**53
    return Value(pl.lit(int(number) if whole else number), "number", whole)


def _as_time(given: Value, where: Place) -> Value:
    """ISO 8601, UTC where no zone is given."""
    text = given.constant.value if given.constant else None
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        raise unsupported("a time that is not written as 2026-03-02T08:15:00Z", where) from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if not 1678 <= aware.year <= 2261:
        raise invalid("a time that 64 bits of nanoseconds don't hold", where)
    return Value(pl.lit(aware).dt.convert_time_zone("UTC").cast(pl.Datetime("ns", "UTC")), "time")


def _match(node: Match, types: Types) -> Test:
    subject = value(node.subject, types)
    names, where = tuple(types), place_of(node)
    if subject.type == "null":
        return Test(names, pl.lit(value=False))
    if subject.type == "time":
        raise unsupported("a time is matched", where)
    wanted = _constants(node)
    if subject.type == "ip" and node.kind != "regex" and any("/" in _text_of(one.value) for one in wanted):
        return _address_test(names, subject, wanted, where)
    if subject.type == "number" and node.kind == "in":
        numbers = [number for one in wanted if (number := _number_of(one)) is not None]
        return Test(names, subject.expr.cast(pl.Float64).is_in(numbers), weight=2)
    if node.kind != "in" and not all(one.kind is str for one in wanted) and subject.type == "text":
        raise invalid(f"{node.kind} takes texts", where)
    plain = isinstance(node.subject, Field) and subject.type == "text"
    texts = [_text_of(one.value) for one in wanted]
    if subject.type == "ip":
        texts = [addresses.canonical(text) for text in texts]
    made = _patterns(node, texts)
    expr = _spelt(subject) if subject.type == "ip" else as_text(subject)
    return Test(names, expr, made, plain, made.weight + (0 if plain else 5))


def _constants(node: Match) -> list[Literal]:
    """What is looked for; null is in no list."""
    found = []
    for wanted in node.values:
        if not isinstance(wanted, Literal):
            raise unsupported("a list of what is no constant", place_of(wanted))
        if wanted.value is not None:
            found.append(wanted)
    return found


def _patterns(node: Match, texts: list[str]) -> Patterns:
    if node.kind == "in":
        return patterns.of_texts(texts, node.insensitive)
    made = patterns.of_wildcards if node.kind == "like" else patterns.of_regexes
    return made(texts, node.insensitive, node.place)


def _text_of(given: Constant) -> str:
    return str(given).lower() if isinstance(given, bool) else str(given)


def _number_of(given: Literal) -> float | None:
    try:
        return float(given.value)  # type: ignore[arg-type]  # null is none of a list's values
    except ValueError:
        return None


def _spelt(subject: Value) -> pl.Expr:
    return subject.expr.map_batches(addresses.spelt, return_dtype=pl.String, is_elementwise=True)


def _address_test(names: tuple[str, ...], subject: Value, wanted: list[Literal], where: Place) -> Test:
    """Equal to an address, however it is spelt, or in a network: Elasticsearch's type ip compares so."""
    texts = [_text_of(one.value) for one in wanted]
    networks = addresses.Networks.of([text for text in texts if "/" in text], where)
    single = [addresses.canonical(text) for text in texts if "/" not in text]

    def met(values: pl.Series) -> pl.Series:
        return addresses.spelt(values).is_in(single) | networks.has(values)

    return Test(names, subject.expr.map_batches(met, return_dtype=pl.Boolean, is_elementwise=True), weight=10)
