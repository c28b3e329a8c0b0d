"""What a query reads: for each of its steps the event types that can meet it, and what is left of its condition there.

Most of what rules ask of events (category, type, code, operating system) is known of a type before any event is read,
so only types that can match are decoded. A step that no type can meet makes the query not evaluable.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from hunt import schema
from hunt.ecs import FieldInfo
from hunt.eql import conditions, syntax
from hunt.eql.columns import Catalogue
from hunt.eql.conditions import Reduction, Tree
from hunt.eql.literals import invalid
from hunt.eql.syntax import And, Compare, Constant, Event, Field, Literal, Node, Query, Step
from hunt.eql.values import FieldType, Value, value
from hunt.model import EventType, Need, Status
from hunt.rules.model import RuleError

CATEGORY = "event.category"
REQUESTER = "process.Ext.effective_parent."  # who asked for a process, out of lineage
_CODES = ("event.code", "winlog.event_id")
_MOST_CODES = 1000


@dataclass(frozen=True, slots=True)
class Key:
    """What a step is joined by, for one event type. `optional`: null joins with null."""

    value: Value
    fields: tuple[str, ...]
    optional: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """One step on one event type."""

    kind: EventType
    condition: Tree
    keys: tuple[Key, ...]

    @property
    def fields(self) -> frozenset[str]:
        return conditions.read(self.condition).union(*(key.fields for key in self.keys))

    @property
    def vital(self) -> frozenset[str]:
        """Fields without a value of which nothing meets the step."""
        joined = (key.fields for key in self.keys if not key.optional and len(key.fields) == 1)
        return conditions.vital(self.condition).union(*joined)


@dataclass(frozen=True, slots=True)
class StepPlan:
    step: Step
    readings: tuple[Reading, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """A query that can be run. `limits`: what it can't tell on any evidence, half sentences."""

    query: Query
    steps: tuple[StepPlan, ...]
    until: StepPlan | None
    limits: tuple[str, ...]

    @property
    def every(self) -> tuple[StepPlan, ...]:
        """All that is evaluated; until comes last."""
        return (*self.steps, *([self.until] if self.until else []))

    @property
    def across_hosts(self) -> bool:
        """Whether a match may hold events of several hosts, or depend on those of others."""
        if self.query.pipes:  # the first or the last of all
            return True
        if isinstance(self.query.body, syntax.Event):
            return False
        places = zip(*(planned.step.keys for planned in self.every), strict=True)
        return not any(all(_holds_host(key) for key in keys) for keys in places)


# What names its event's host alone: all of these compare as host names do, or stricter.
_HOSTS = frozenset({"host.name", "host.hostname", "host.id", "agent.name", "agent.id", "winlog.computer_name"})


def _holds_host(key: Node) -> bool:
    """Whether events of equal keys are of one host. Without a value, `?x` joins those of all hosts."""
    if not isinstance(key, Field):
        return False
    return key.name in _HOSTS or (key.name.endswith(".entity_id") and not key.optional)


def compile(query: Query, catalogue: Catalogue) -> Plan:
    """Raises RuleError for what can't be run, and with NOT_EVALUABLE for what no event can meet."""
    body = query.body
    single = len(query.steps) == 1
    steps, limits = [], []
    for number, step in enumerate(query.steps, 1):
        planned, said = _planned(step, catalogue, "" if single else f"step {number}: ")
        steps.append(planned)
        limits += said
    until = None
    if isinstance(body, syntax.Sequence) and body.until:
        try:
            until, said = _planned(body.until, catalogue, "until: ")
            limits += said
        except RuleError as error:
            if error.status is not Status.NOT_EVALUABLE:
                raise
            limits.append(f"never ends at its until: {error.reason.removeprefix('until: ')}")
    limits += _inferred((*steps, *([until] if until else [])), catalogue)
    return Plan(query, tuple(steps), until, tuple(dict.fromkeys(limits)))


def _planned(step: Step, catalogue: Catalogue, which: str) -> tuple[StepPlan, list[str]]:
    kinds = catalogue.event_types(_codes(step.event))
    condition = _whole(step.event)
    reduction = Reduction(condition)
    readings = tuple(reading for kind in kinds if (reading := _reading(step, reduction, kind, catalogue)))
    if not readings:
        why = _why_not(step, condition, reduction, kinds, catalogue)
        raise RuleError(Status.NOT_EVALUABLE, which + why)
    return StepPlan(step, readings), [which + said for said in _limits(condition, reduction, readings, catalogue)]


def _whole(event: Event) -> Node:
    if event.category is None:
        return event.condition
    category = Compare("==", Field(CATEGORY, place=event.place), Literal(event.category), event.place)
    parts = event.condition.parts if isinstance(event.condition, And) else (event.condition,)
    return And((category, *parts))


def _codes(event: Event) -> tuple[int, ...]:
    """Event ids that it names: of channels other than Sysmon's any may be asked for."""
    found: set[int] = set()
    for node in _tests(event.condition):
        parts = syntax.children(node)
        if any(isinstance(part, Field) and part.name in _CODES for part in parts):
            found.update(
                int(str(part.value))
                for part in parts
                if isinstance(part, Literal) and re.fullmatch(r"[0-9]{1,5}", str(part.value))
            )
    return tuple(sorted(found)[:_MOST_CODES])


def _tests(node: Node) -> Iterator[Node]:
    if any(isinstance(child, Field) for child in syntax.children(node)):
        yield node
    for child in syntax.children(node):
        yield from _tests(child)


def _reading(step: Step, reduction: Reduction, kind: EventType, catalogue: Catalogue) -> Reading | None:
    """None where no event of the type can meet the step."""

    def describe(name: str) -> FieldInfo | None:
        return catalogue.describe(kind, name)

    left = reduction.of(describe)
    if left is False:
        return None
    keys = tuple(_key(node, describe) for node in step.keys)
    if any(key.value.type == "null" and not key.optional for key in keys):
        return None
    return Reading(kind, left, keys)


def _key(node: Node, describe: conditions.Describe) -> Key:
    types: dict[str, FieldType] = {}
    filled: dict[str, Constant] = {}
    for named in syntax.fields(node):
        info = describe(named.name)
        if info is None:
            filled[named.name] = None
        elif info.constant is not None and len(info.constant) == 1:
            filled[named.name] = info.constant[0]
        else:
            types[named.name] = FieldType(info.type, info.many, not info.fraction)
    made = value(conditions.filled(node, filled), types)
    if sum(of.many for of in types.values()) > 1:
        raise invalid("a key of two fields of several values", syntax.place_of(node))
    return Key(made, tuple(types), isinstance(node, Field) and node.optional)


def _why_not(
    step: Step, condition: Node, reduction: Reduction, kinds: Sequence[EventType], catalogue: Catalogue
) -> str:
    lacking: set[str] = set()
    categories: set[str] = set()
    for kind in kinds:

        def describe(name: str, kind: EventType = kind) -> FieldInfo | None:
            return catalogue.describe(kind, name)

        own = describe(CATEGORY)
        categories.update(map(str, (own.constant if own else None) or ()))
        left = reduction.of(describe, free=True)
        if left is not False:
            lacking.update(name for names, _ in conditions.unknown(left) for name in names)
            for node in step.keys:
                lacking.update(f.name for f in syntax.fields(node) if describe(f.name) is None)
    if lacking:
        return f"no mapped event that could meet it has {_listed(lacking)}"
    if step.event.category is not None and step.event.category not in categories:
        return f"no mapped event is of the category {step.event.category[:60]}"
    asked = {f.name for f in syntax.fields(condition)}
    return f"no mapped event has the {_listed(asked)} that it asks for" if asked else "nothing meets its condition"


def _listed(names: Iterable[str]) -> str:
    every = sorted(names)
    return ", ".join(every[:8]) + (f" and {len(every) - 8} more" if len(every) > 8 else "")


def _limits(condition: Node, reduction: Reduction, readings: Sequence[Reading], catalogue: Catalogue) -> Iterator[str]:
    """What no event that can meet the step has: what it would exclude by, and branches that are never met."""
    optional = {f.name for f in syntax.fields(condition) if f.optional}
    negative: dict[str, bool] = {}
    for reading in readings:
        left = reduction.of(partial(catalogue.describe, reading.kind), free=True)
        for names, excludes in conditions.unknown(left):
            for name in names:
                if all(catalogue.describe(other.kind, name) is None for other in readings):
                    negative[name] = negative.get(name, True) and excludes
    excluded = [name for name, only in negative.items() if only]
    lost = [name for name, only in negative.items() if not only and name not in optional]
    if excluded:
        yield f"never excludes by {_listed(excluded)}: no event that it reads has it"
    if lost:
        yield f"never matches by {_listed(lost)}: no event that it reads has it"


def _inferred(steps: Sequence[StepPlan], catalogue: Catalogue) -> Iterator[str]:
    """Fields that may be absent because they are not known; of requesters a finding's grade tells that."""
    names = {
        name
        for planned in steps
        for reading in planned.readings
        for name in reading.fields
        if not name.startswith(REQUESTER) and (info := catalogue.describe(reading.kind, name)) and info.conditional
    }
    if names:
        yield f"where {_listed(names)} is not known, nothing matches or is excluded by it"


def needs(planned: StepPlan, catalogue: Catalogue) -> tuple[Need, ...]:
    """What one step reads: one need for each event type, any of which will do."""
    return tuple(_need(reading, catalogue) for reading in planned.readings)


def _need(reading: Reading, catalogue: Catalogue) -> Need:
    columns: set[str] = set()
    keys: set[str] = set()
    for name in reading.fields:
        info = catalogue.describe(reading.kind, name)
        own = set(info.columns) if info else set()
        columns |= own
        vital = own - set(schema.CORE)
        if name in reading.vital and len(vital) == 1:
            keys |= vital
    return Need(*reading.kind, frozenset(columns), frozenset(keys))


def also(plan: Plan, catalogue: Catalogue) -> tuple[Need, ...]:
    """What its fields take of other events: of a process's neighbours, for what is inferred."""
    found = dict.fromkeys(
        need
        for planned in plan.every
        for reading in planned.readings
        for name in sorted(reading.fields)
        if (info := catalogue.describe(reading.kind, name))
        for need in info.also
    )
    return tuple(found)
