"""What a query says, as nodes. Two that say the same are equal, wherever in a text they stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple


class Place(NamedTuple):
    """Where in a text something begins, from 1."""

    line: int
    column: int


NOWHERE = Place(0, 0)
IS_NULL = "is null"  # the function that `x == null` stands for; no name that a query could write
Constant = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Literal:
    """A text, number, boolean or null. `kind` keeps 1, 1.0 and true apart, which Python calls equal."""

    value: Constant
    place: Place = field(default=NOWHERE, compare=False, repr=False)
    kind: type = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", type(self.value))  # the way around `frozen`, for what is derived


@dataclass(frozen=True, slots=True)
class Field:
    """A field by its ECS name; `optional`: written with a ?, and so meant to be absent now and then."""

    name: str
    optional: bool = False
    place: Place = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Call:
    """A function by its name in lower case, or an operator of arithmetic by the function that it stands for."""

    name: str
    args: tuple[Node, ...]
    insensitive: bool = False  # written with a ~
    place: Place = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Compare:
    """One of == < <= > >= ; what is != is `Not` of ==."""

    op: str
    left: Node
    right: Node
    place: Place = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Match:
    """Whether a value is one of some: `in` as it is, `like` by wildcards (so the : operator), `regex`."""

    kind: str
    subject: Node
    values: tuple[Node, ...]
    insensitive: bool = False
    place: Place = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Not:
    part: Node
    place: Place = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple[Node, ...]


Node = Literal | Field | Call | Compare | Match | Not | And | Or


@dataclass(frozen=True, slots=True)
class Event:
    """Events of a category, or of any (None), that meet a condition."""

    category: str | None
    condition: Node
    place: Place = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Step:
    """One event of a sequence or sample. `keys`: those of the whole first, then its own."""

    event: Event
    keys: tuple[Node, ...] = ()
    runs: int = 1
    missing: bool = False
    place: Place = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Sequence:
    """Events one after the other, of the same keys. `maxspan`: nanoseconds from the first to the last, inclusive."""

    steps: tuple[Step, ...]
    maxspan: int | None = None
    until: Step | None = None
    place: Place = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Sample:
    """Different events of the same keys, in any order."""

    steps: tuple[Step, ...]
    place: Place = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Pipe:
    """The first or the last so many: `head` or `tail`."""

    name: str
    count: int
    place: Place = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Query:
    body: Event | Sequence | Sample
    pipes: tuple[Pipe, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """Its steps; a single event is one."""
        return (Step(self.body),) if isinstance(self.body, Event) else self.body.steps


def children(node: Node) -> tuple[Node, ...]:
    match node:
        case Call():
            return node.args
        case Compare():
            return node.left, node.right
        case Match():
            return node.subject, *node.values
        case Not():
            return (node.part,)
        case And() | Or():
            return node.parts
    return ()


def place_of(node: Node) -> Place:
    """Where it begins, as far as that is known: what is made of parts begins with the first."""
    return place_of(node.parts[0]) if isinstance(node, And | Or) else node.place


def fields(node: Node) -> Iterator[Field]:
    """Every field that a node names, as often as it does, in reading order."""
    if isinstance(node, Field):
        yield node
    for child in children(node):
        yield from fields(child)


def depth(node: Node) -> int:
    """How many nodes stand within each other; no recursion, since what it measures may be deep."""
    deepest, open_ = 0, [(node, 1)]
    while open_:
        current, level = open_.pop()
        deepest = max(deepest, level)
        open_ += [(child, level + 1) for child in children(current)]
    return deepest


_MANY = 8  # tests of one value from which on they are one test


def either(parts: list[Node]) -> Node:
    """One of many texts that a value equals, or matches, is one test of a list, however it is written."""
    alike: dict[tuple[Node, str, bool], list[int]] = {}
    values: list[tuple[Node, ...]] = []
    for number, part in enumerate(parts):
        match part:
            case Compare(op="==", left=left, right=Literal() as right) if right.kind is str:
                alike.setdefault((left, "in", False), []).append(number)
                values.append((right,))
            case Match():
                alike.setdefault((part.subject, part.kind, part.insensitive), []).append(number)
                values.append(part.values)
            case _:
                values.append(())
    gone: set[int] = set()
    for (subject, kind, insensitive), numbers in alike.items():
        if len(numbers) >= _MANY:
            every = tuple(value for number in numbers for value in values[number])
            parts[numbers[0]] = Match(kind, subject, every, insensitive, place_of(parts[numbers[0]]))
            gone.update(numbers[1:])
    kept = tuple(part for number, part in enumerate(parts) if number not in gone)
    return kept[0] if len(kept) == 1 else Or(kept)
