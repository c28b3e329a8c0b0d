"""A rule in words: what `hunt explain` prints of it."""

from __future__ import annotations

from collections.abc import Iterator

from hunt.model import ANY_CHANNEL, ANY_ID, EventType
from hunt.sigma import tree
from hunt.sigma.document import Correlation, Document
from hunt.sigma.plan import Plan
from hunt.sigma.tree import Node

_MANY = 8  # values of a test that are written out


def lines(document: Document, plan: Plan | None) -> Iterator[str]:
    """What is read, and what is asked of it."""
    if plan:
        by_tree: dict[Node, list[EventType]] = {}
        for kind, asked in plan.trees.items():
            by_tree.setdefault(asked, []).append(kind)
        for asked, kinds in by_tree.items():
            named = " or ".join(map(_kind, kinds))
            yield f"no match in {named}" if asked == tree.FALSE else f"in {named}:"
            if asked != tree.FALSE:
                yield from _asked(asked, 1)
        for kind, own in plan.lost.items():
            yield f"{_kind(kind)} never tells {', '.join(sorted(own.asked | own.excludes))}"
    if document.correlation:
        yield from _correlated(document.correlation)


def _kind(kind: EventType) -> str:
    if kind.channel == ANY_CHANNEL:
        return "any other event" if kind.event_id == ANY_ID else f"event {kind.event_id} of any channel"
    return f"{'any other event' if kind.event_id == ANY_ID else f'event {kind.event_id}'} of {kind.channel}"


def _correlated(asked: Correlation) -> Iterator[str]:
    groups = f" with the same {', '.join(asked.group_by)}" if asked.group_by else ""
    yield f"{asked.kind} of {', '.join(asked.rules)}{groups} within {asked.seconds} s"
    if asked.asks is not None:
        yield from _asked(asked.asks, 1)
    elif asked.kind != "temporal_ordered":
        of = f" of {', '.join(asked.fields)}" if asked.fields else ""
        part = f" (percentile {asked.percentile})" if asked.percentile is not None else ""
        yield f"  {asked.op} {asked.count:g}{of}{part}"


def _asked(asked: Node, level: int) -> Iterator[str]:
    space = "  " * level
    match asked:
        case tree.And(of) | tree.Or(of):
            yield f"{space}{'all of' if isinstance(asked, tree.And) else 'one of'}"
            for part in of:
                yield from _asked(part, level + 1)
        case tree.Not(of):
            yield f"{space}not"
            yield from _asked(of, level + 1)
        case tree.Leaf(field, test):
            yield f"{space}{field or 'any field'} {_test(test)}"
        case tree.Const(value):
            yield f"{space}{'always' if value else 'never'}"


def _test(test: tree.Test) -> str:
    match test:
        case tree.Text(op, values, cased):
            return f"{op}{' (with case)' if cased else ''} {_listed(values)}"
        case tree.Like(pattern, cased):
            shown = "".join(p if isinstance(p, str) else "*" if p == tree.MANY else "?" for p in pattern)
            return f"is like{' (with case)' if cased else ''} {shown}"
        case tree.Regex(pattern, flags):
            return f"matches /{pattern}/{flags}"
        case tree.Number(values):
            return f"is {_listed(values)}"
        case tree.Compare(op, value):
            return f"{op} {value:g}"
        case tree.Cidr(networks):
            return f"lies in {_listed(networks)}"
        case tree.Null():
            return "is absent"
        case tree.Exists(there):
            return "is there" if there else "is absent"
        case tree.SameAs(field, op):
            return f"{op} the field {field}"
        case tree.Part(part, value):
            return f"has the {part} {value}"


def _listed(values: tuple[object, ...]) -> str:
    more = f" and {len(values) - _MANY} more" if len(values) > _MANY else ""
    return ", ".join(map(str, values[:_MANY])) + more
