"""Conditions, reduced to what is left of them for one event type.

A field that is the same for all events of a type (event.category, event.code, host.os.type ...) is decided here, and so
is one that the type does not have: what is left reads only columns that are there.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from hunt.ecs import FieldInfo
from hunt.eql import leaves
from hunt.eql.functions import gives_boolean
from hunt.eql.leaves import Test
from hunt.eql.literals import unsupported
from hunt.eql.syntax import And, Call, Compare, Constant, Field, Literal, Match, Node, Not, Or, fields, place_of
from hunt.eql.values import FieldType

Describe = Callable[[str], FieldInfo | None]
_MOST_VARIANTS = 64  # of one test, by the values of constant fields; event.action has two at most


@dataclass(frozen=True, slots=True)
class Leaf:
    """A test of fields that differ from event to event. `node`: for showing."""

    test: Test
    node: Node


@dataclass(frozen=True, slots=True)
class Unknown:
    """A test of fields that the event type does not have, where it is asked what they would change."""

    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class All:
    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Any:
    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Inverse:
    part: Tree


Tree = bool | Leaf | Unknown | All | Any | Inverse


class Reduction:
    """One condition, reduced for many event types: what is the same for several is found out once."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._names: dict[int, tuple[str, ...]] = {}  # of the fields of each test, by the test's identity
        self._known: dict[tuple[object, ...], Tree] = {}

    def of(self, describe: Describe, free: bool = False) -> Tree:
        """What is left of it. `free`: fields that are not there stay as Unknown. Raises RuleError."""
        return self._reduced(self._node, describe, free)

    def _reduced(self, node: Node, describe: Describe, free: bool) -> Tree:
        match node:
            case And():
                return _all(self._reduced(part, describe, free) for part in node.parts)
            case Or():
                return _any(self._reduced(part, describe, free) for part in node.parts)
            case Not():
                return _not(self._reduced(node.part, describe, free))
            case Compare() if (plain := _of_boolean(node)) is not None:
                return self._reduced(plain, describe, free)
        if id(node) not in self._names:
            self._names[id(node)] = tuple(dict.fromkeys(named.name for named in fields(node)))
        infos = {name: describe(name) for name in self._names[id(node)]}
        said = tuple(info and (info.constant, info.type, info.many, info.fraction) for info in infos.values())
        key = (id(node), free, said)
        if key not in self._known:
            self._known[key] = _leaf(node, infos, free)
        return self._known[key]


def _of_boolean(node: Compare) -> Node | None:
    """`(condition) == true` as the condition."""
    for side, other in ((node.left, node.right), (node.right, node.left)):
        if isinstance(other, Literal) and other.kind is bool and node.op == "==":
            if isinstance(side, And | Or | Not | Compare | Match):
                return side if other.value else Not(side, node.place)
            if gives_boolean(side) and other.value:
                return side
    return None


def _leaf(node: Node, described: Mapping[str, FieldInfo | None], free: bool) -> Tree:
    infos = {name: info for name, info in described.items() if info is not None}
    lacking = described.keys() - infos.keys()
    if lacking and free:
        return Unknown(frozenset(lacking))
    fixed = {name: info.constant for name, info in infos.items() if info.constant is not None}
    types = {
        name: FieldType(info.type, info.many, not info.fraction) for name, info in infos.items() if name not in fixed
    }
    if sum(of.many for of in types.values()) > 1:
        raise unsupported("one test of two fields of several values", place_of(node))
    choices = [fixed[name] for name in fixed]
    if _product(choices) > _MOST_VARIANTS:
        raise unsupported("a test of too many values", place_of(node))
    absent = dict.fromkeys(lacking)
    parts: list[Tree] = []
    for values in itertools.product(*choices):
        own = filled(node, {**absent, **dict(zip(fixed, values, strict=True))})
        parts.append(Leaf(leaves.build(own, types), own) if types else leaves.constant(own))
    return _any(iter(parts))


def _product(choices: Iterable[tuple[object, ...]]) -> int:
    number = 1
    for choice in choices:
        number *= len(choice)
    return number


def filled(node: Node, values: Mapping[str, Constant]) -> Node:
    """A node with constants for some fields."""
    match node:
        case Field():
            return Literal(values[node.name], node.place) if node.name in values else node
        case Call():
            return replace(node, args=tuple(filled(arg, values) for arg in node.args))
        case Compare():
            return replace(node, left=filled(node.left, values), right=filled(node.right, values))
        case Match():
            return replace(
                node, subject=filled(node.subject, values), values=tuple(filled(v, values) for v in node.values)
            )
    return node


def _all(parts: Iterator[Tree]) -> Tree:
    kept: list[Tree] = []
    for part in parts:
        if part is False:
            return False
        if isinstance(part, All):
            kept += part.parts
        elif part is not True:
            kept.append(part)
    return All(tuple(kept)) if len(kept) > 1 else kept[0] if kept else True


def _any(parts: Iterator[Tree]) -> Tree:
    kept: list[Tree] = []
    for part in parts:
        if part is True:
            return True
        if isinstance(part, Any):
            kept += part.parts
        elif part is not False:
            kept.append(part)
    return Any(tuple(kept)) if len(kept) > 1 else kept[0] if kept else False


def _not(part: Tree) -> Tree:
    if isinstance(part, bool):
        return not part
    return part.part if isinstance(part, Inverse) else Inverse(part)


def tests(tree: Tree) -> Iterator[Leaf]:
    """Every leaf of what is left."""
    match tree:
        case Leaf():
            yield tree
        case All() | Any():
            for part in tree.parts:
                yield from tests(part)
        case Inverse():
            yield from tests(tree.part)


def read(tree: Tree) -> frozenset[str]:
    """The fields that are read for it."""
    return frozenset(name for leaf in tests(tree) for name in leaf.test.fields)


def unknown(tree: Tree, negative: bool = False) -> Iterator[tuple[frozenset[str], bool]]:
    """(fields that are not there, whether they could only exclude) of every Unknown."""
    match tree:
        case Unknown():
            yield tree.names, negative
        case All() | Any():
            for part in tree.parts:
                yield from unknown(part, negative)
        case Inverse():
            yield from unknown(tree.part, not negative)


def vital(tree: Tree) -> frozenset[str]:
    """Fields without a value of which nothing meets it."""
    match tree:
        case Leaf():
            return frozenset() if tree.test.on_null else frozenset(tree.test.fields)
        case All():
            return frozenset().union(*(vital(part) for part in tree.parts))
        case Any():
            return frozenset.intersection(*(vital(part) for part in tree.parts))
        case Inverse(Leaf(test)) if test.on_null:  # x != null
            return frozenset(test.fields)
    return frozenset()
