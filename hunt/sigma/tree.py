"""What a rule asks, as a tree of tests on fields; as plain lists, so that it can be kept in a file.

A missing field meets no test but `Null` and `Exists(False)`, and so meets each negated one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

DEEPEST = 64  # levels of a tree; SigmaHQ's deepest rule has 8
TEXT_OPS: Final = ("equals", "contains", "startswith", "endswith")
COMPARISONS: Final = ("lt", "lte", "gt", "gte", "neq")
PARTS: Final = ("minute", "hour", "day", "week", "month", "year")
MANY, ONE = 0, 1  # in a pattern: any characters, one character


@dataclass(frozen=True, slots=True)
class Text:
    """One of these texts is the field, or stands in it, at its start or its end; without case unless `cased`."""

    op: str  # of TEXT_OPS
    values: tuple[str, ...]
    cased: bool = False


@dataclass(frozen=True, slots=True)
class Like:
    """The whole field is as the pattern: texts, MANY and ONE."""

    pattern: tuple[str | int, ...]
    cased: bool = False


@dataclass(frozen=True, slots=True)
class Regex:
    """The expression matches somewhere in the field. `flags`: of i, m and s."""

    pattern: str
    flags: str = ""


@dataclass(frozen=True, slots=True)
class Number:
    """The field is one of these numbers, written in decimal or in hexadecimal with 0x."""

    values: tuple[int | float, ...]


@dataclass(frozen=True, slots=True)
class Compare:
    op: str  # of COMPARISONS
    value: int | float


@dataclass(frozen=True, slots=True)
class Cidr:
    """The field is an address of one of these networks; an IPv4 address that is written as IPv6 counts as IPv4."""

    networks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Null:
    """The event has no such field, or none with a value; "" is a value."""


@dataclass(frozen=True, slots=True)
class Exists:
    """The event has the field, or (not `there`) has not."""

    there: bool


@dataclass(frozen=True, slots=True)
class SameAs:
    """The field is as another one, or starts or ends so; without case."""

    field: str
    op: str = "equals"  # of TEXT_OPS, but contains


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the time that the field holds, in UTC."""

    part: str  # of PARTS
    value: int


Test = Text | Like | Regex | Number | Compare | Cidr | Null | Exists | SameAs | Part


@dataclass(frozen=True, slots=True)
class Leaf:
    """A test of a field; without a field, of everything that the event says."""

    field: str | None
    test: Test


@dataclass(frozen=True, slots=True)
class And:
    of: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    of: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    of: Node


@dataclass(frozen=True, slots=True)
class Const:
    value: bool


Node = Leaf | And | Or | Not | Const
TRUE, FALSE = Const(value=True), Const(value=False)


def both(nodes: Iterable[Node]) -> Node:
    """All of them, as simple as can be."""
    kept: dict[Node, None] = {}
    for node in nodes:
        if isinstance(node, Const):
            if not node.value:
                return FALSE
        else:
            kept.update(dict.fromkeys(node.of if isinstance(node, And) else (node,)))
    if not kept:
        return TRUE
    return next(iter(kept)) if len(kept) == 1 else And(tuple(kept))


def either(nodes: Iterable[Node]) -> Node:
    """One of them at least; tests of the same kind on the same field become one of many values."""
    kept: dict[Node, None] = {}
    for node in nodes:
        if isinstance(node, Const):
            if node.value:
                return TRUE
        else:
            kept.update(dict.fromkeys(node.of if isinstance(node, Or) else (node,)))
    merged = _merged(kept)
    if not merged:
        return FALSE
    return merged[0] if len(merged) == 1 else Or(tuple(merged))


def negated(node: Node) -> Node:
    if isinstance(node, Const):
        return FALSE if node.value else TRUE
    return node.of if isinstance(node, Not) else Not(node)


def _merged(nodes: Iterable[Node]) -> list[Node]:
    places: dict[object, int] = {}
    out: list[Node] = []
    for node in nodes:
        key = _alike(node)
        if key is None or key not in places:
            if key is not None:
                places[key] = len(out)
            out.append(node)
            continue
        first = out[places[key]]
        assert isinstance(first, Leaf)
        assert isinstance(node, Leaf)
        out[places[key]] = Leaf(first.field, _joined(first.test, node.test))
    return out


def _alike(node: Node) -> object:
    """The same for leaves that can be one; None for what can't."""
    match node:
        case Leaf(field, Text(op, _, cased)):
            return "text", field, op, cased
        case Leaf(field, Number()):
            return "number", field
        case Leaf(field, Cidr()):
            return "cidr", field
    return None


def _joined(first: Test, second: Test) -> Test:
    match first, second:
        case Text(), Text():
            return Text(first.op, tuple(dict.fromkeys((*first.values, *second.values))), first.cased)
        case Number(), Number():
            return Number(tuple(dict.fromkeys((*first.values, *second.values))))
        case Cidr(), Cidr():
            return Cidr(tuple(dict.fromkeys((*first.networks, *second.networks))))
    raise AssertionError("tests that are not alike")


def fold(node: Node, decide: Callable[[Leaf], Node]) -> Node:
    """The tree with each leaf replaced by what is known of it."""
    match node:
        case Leaf():
            return decide(node)
        case And(of):
            return both(fold(child, decide) for child in of)
        case Or(of):
            return either(fold(child, decide) for child in of)
        case Not(of):
            return negated(fold(of, decide))
    return node


def leaves(node: Node) -> Iterator[Leaf]:
    match node:
        case Leaf():
            yield node
        case And(of) | Or(of):
            for child in of:
                yield from leaves(child)
        case Not(of):
            yield from leaves(of)


def depth(node: Node) -> int:
    match node:
        case And(of) | Or(of):
            return 1 + max(map(depth, of))
        case Not(of):
            return 1 + depth(of)
    return 1


def absent(test: Test) -> bool:
    """Whether an event without the field meets the test."""
    return isinstance(test, Null) or (isinstance(test, Exists) and not test.there)


Plain = list[Any]


_TESTS = {cls.__name__: cls for cls in (Text, Like, Regex, Number, Compare, Cidr, Null, Exists, SameAs, Part)}


def plain(node: Node) -> Plain:
    """The tree as lists: the name of what a node is, then what it is made of."""
    match node:
        case Leaf(field, test):
            values = [getattr(test, name) for name in test.__dataclass_fields__]
            return ["Leaf", field, type(test).__name__, *(list(v) if isinstance(v, tuple) else v for v in values)]
        case And(of) | Or(of):
            return [type(node).__name__, *map(plain, of)]
        case Not(of):
            return ["Not", plain(of)]
        case Const(value):
            return ["Const", value]
    raise AssertionError(node)


def from_plain(given: object, level: int = 0) -> Node:
    """The tree of such lists. Raises ValueError or TypeError for what `plain` did not make."""
    if not isinstance(given, list) or not given or level > DEEPEST + 2:
        raise ValueError("no tree")
    name, *rest = given
    if name in ("And", "Or") and len(rest) > 1:
        of = tuple(from_plain(child, level + 1) for child in rest)
        return And(of) if name == "And" else Or(of)
    if name == "Not" and len(rest) == 1:
        return Not(from_plain(rest[0], level + 1))
    if name == "Const" and rest in ([True], [False]):
        return Const(rest[0])
    if name == "Leaf" and len(rest) >= 2 and isinstance(rest[0], str | None):
        return Leaf(rest[0], _test(rest[1], rest[2:]))
    raise ValueError("no node")


def _test(name: object, values: list[Any]) -> Test:
    cls: Any = _TESTS.get(str(name))
    if cls is None:
        raise ValueError("no test")
    test: Test = cls(*(tuple(v) if isinstance(v, list) else v for v in values))
    if not _sound(test):
        raise ValueError("no such test")
    return test


def _sound(test: Test) -> bool:
    match test:
        case Text(op, values, cased):
            return op in TEXT_OPS and _all(values, str) and isinstance(cased, bool)
        case Like(pattern, cased):
            kinds = all(isinstance(p, str) or p in (MANY, ONE) for p in pattern)
            return isinstance(pattern, tuple) and bool(pattern) and kinds and isinstance(cased, bool)
        case Regex(pattern, flags):
            return isinstance(pattern, str) and isinstance(flags, str) and set(flags) <= set("ims")
        case Number(values):
            return _all(values, int | float)
        case Compare(op, value):
            return op in COMPARISONS and isinstance(value, int | float)
        case Cidr(networks):
            return _all(networks, str)
        case Exists(there):
            return isinstance(there, bool)
        case SameAs(field, op):
            return isinstance(field, str) and op in TEXT_OPS
        case Part(part, value):
            return part in PARTS and isinstance(value, int)
    return True


def _all(values: object, kind: Any) -> bool:
    return isinstance(values, tuple) and bool(values) and all(isinstance(value, kind) for value in values)
