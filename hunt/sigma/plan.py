"""A rule bound to events: for each kind of event that its log source stands for, what it asks of the columns there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from hunt import schema
from hunt.model import ALL_COLUMNS, ANY_CHANNEL, ANY_ID, EventType, Need, Status, wider
from hunt.rules.model import RuleError
from hunt.sigma import logsource, tree
from hunt.sigma.derived import DERIVED
from hunt.sigma.document import Logsource
from hunt.sigma.logsource import CHANNEL, EVENT_ID, Source
from hunt.sigma.tree import FALSE, TRUE, Leaf, Node

OWN = frozenset({*schema.CORE})  # always there


@dataclass(frozen=True, slots=True)
class Lost:
    """Columns that a rule reads and that no event of a kind ever has."""

    asked: frozenset[str]  # without them some matches are not found
    excludes: frozenset[str]  # without them some are found that the rule would leave out


@dataclass(frozen=True, slots=True)
class Plan:
    """What a rule asks, by channel and event id; either may be ANY, and then stands for all that are not named.

    Trees name columns (see `logsource.column`) instead of fields; FALSE: no such event can match.
    """

    trees: Mapping[EventType, Node]
    sources: Mapping[EventType, Source]
    lost: Mapping[EventType, Lost] = field(default_factory=dict)  # of kinds that can match for all that

    def needs(self) -> tuple[Need, ...]:
        """The events of which one kind at least is needed."""
        return tuple(_need(kind, asked, self.lost.get(kind)) for kind, asked in self.trees.items() if asked != FALSE)

    def column(self, kind: EventType, field: str) -> str:
        """Where a field stands in events of this kind, for a correlation's groups and values."""
        known = {own.key: source for own, source in self.sources.items()}
        return logsource.column(field, next(known[key] for key in wider(kind) if key in known))


def bind(asked: Node, of: Logsource) -> Plan:
    """Raises RuleError: UNSUPPORTED for another's log source, NOT_EVALUABLE if no event of it can match."""
    trees: dict[EventType, Node] = {}
    where: dict[EventType, Source] = {}
    lost: dict[EventType, Lost] = {}
    for source in logsource.sources(of):
        whole = asked if source.where is None or _asks_for(asked, "EventType") else tree.both((asked, source.where))
        bound, blind = _bound(whole, source), _lost(whole, source)
        channels = (source.channel,) if source.channel != ANY_CHANNEL else (*_texts(bound, CHANNEL), ANY_CHANNEL)
        for channel in channels:
            for event_id in source.event_ids or (*_ids(bound), ANY_ID):
                kind = EventType(channel, event_id)
                trees[kind] = tree.fold(bound, partial(_known, kind=kind))
                where[kind] = source
                if blind and trees[kind] != FALSE:
                    lost[kind] = blind
    if all(own == FALSE for own in trees.values()):
        raise RuleError(Status.NOT_EVALUABLE, f"no event of {of} can match what it asks")
    return Plan(trees, where, lost)


def _asks_for(asked: Node, field: str) -> bool:
    return any(leaf.field == field for leaf in tree.leaves(asked))


def _bound(asked: Node, source: Source) -> Node:
    def of(leaf: Leaf) -> Node:
        test = leaf.test
        if leaf.field is not None and not _can_be(logsource.column(leaf.field, source), source):
            return TRUE if tree.absent(test) else FALSE
        if isinstance(test, tree.SameAs):
            test = tree.SameAs(logsource.column(test.field, source), test.op)
        return Leaf(None if leaf.field is None else logsource.column(leaf.field, source), test)

    return tree.fold(asked, of)


def _lost(asked: Node, source: Source) -> Lost | None:
    """What a rule asks of columns that such events never have. What the lack of a field meets is always met."""
    sides: dict[bool, set[str]] = {True: set(), False: set()}
    for leaf, excludes in _sided(asked, excludes=False):
        if leaf.field is not None and not _can_be(name := logsource.column(leaf.field, source), source):
            sides[excludes != tree.absent(leaf.test)].update(columns(name))
    return Lost(frozenset(sides[False]), frozenset(sides[True])) if any(sides.values()) else None


def _sided(asked: Node, *, excludes: bool) -> Iterator[tuple[Leaf, bool]]:
    """(each leaf, whether a rule leaves out what meets it)."""
    match asked:
        case Leaf():
            yield asked, excludes
        case tree.And(of) | tree.Or(of):
            for part in of:
                yield from _sided(part, excludes=excludes)
        case tree.Not(of):
            yield from _sided(of, excludes=not excludes)


def _can_be(column: str, source: Source) -> bool:
    return source.only is None or not source.only.isdisjoint(columns(column))


def _ids(bound: Node) -> tuple[int, ...]:
    """The event ids that a rule names."""
    named = [leaf.test for leaf in tree.leaves(bound) if leaf.field == EVENT_ID]
    numbers = [value for test in named if isinstance(test, tree.Number) for value in test.values]
    numbers += [int(text) for text in _texts(bound, EVENT_ID) if text.isascii() and text.isdecimal()]
    return tuple(dict.fromkeys(int(n) for n in numbers if n == int(n) and 0 <= n < 1 << 32))


def _texts(bound: Node, column: str) -> tuple[str, ...]:
    tests = [leaf.test for leaf in tree.leaves(bound) if leaf.field == column]
    found = (v for test in tests if isinstance(test, tree.Text) and test.op == "equals" for v in test.values)
    return tuple({value.lower(): value for value in found}.values())


def _known(leaf: Leaf, kind: EventType) -> Node:
    """What an event's kind alone tells of a test. A kind that stands for all others has none of the values named."""
    if leaf.field == EVENT_ID:
        own = None if kind.event_id == ANY_ID else str(kind.event_id)
    elif leaf.field == CHANNEL:
        own = None if kind.channel == ANY_CHANNEL else kind.channel.lower()
    else:
        return leaf
    match leaf.test:
        case tree.Number(values):
            return TRUE if own is not None and any(str(value) == own for value in values) else FALSE
        case tree.Text("equals", values, _):
            return TRUE if own is not None and own in map(str.lower, values) else FALSE
        case tree.Exists(there):
            return TRUE if there else FALSE
        case tree.Null():
            return FALSE
    return leaf


def columns(name: str) -> tuple[str, ...]:
    """What of a frame a column of a tree is read from."""
    known = DERIVED.get(name)
    return known.columns if known else tuple(name.split("|"))


def _need(kind: EventType, asked: Node, lost: Lost | None = None) -> Need:
    """Also what such events never have: that it lacks is said where there are any."""
    read: set[str] = set(lost.asked if lost else ())
    excludes: set[str] = set(lost.excludes if lost else ())
    for leaf, of_excluded in _sided(asked, excludes=False):
        own = excludes if of_excluded else read
        own.update(ALL_COLUMNS if leaf.field is None else columns(leaf.field))
        if isinstance(leaf.test, tree.SameAs):
            own.update(columns(leaf.test.field))
    keys = {columns(name)[0] for name in _vital(asked) if "|" not in name} if kind.event_id != ANY_ID else set()
    every = frozenset(read | excludes) - OWN
    return Need(kind.channel, kind.event_id, every, frozenset(keys & every), every & excludes - read)


def _vital(asked: Node) -> frozenset[str]:
    """Columns without a value of which nothing can match."""
    match asked:
        case Leaf(field, test):
            return frozenset() if field is None or tree.absent(test) else _read(field, test)
        case tree.And(of):
            return frozenset().union(*map(_vital, of))
        case tree.Or(of):
            first, *rest = map(_vital, of)
            return first.intersection(*rest)
        case tree.Not(Leaf(str(field), test)) if tree.absent(test):
            return frozenset({field})
    return frozenset()


def _read(field: str, test: tree.Test) -> frozenset[str]:
    return frozenset({field, test.field} if isinstance(test, tree.SameAs) else {field})
