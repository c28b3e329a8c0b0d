"""A plan in words: what is read, and what is asked of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hunt.eql.conditions import All, Any, Inverse, Leaf, Tree
from hunt.eql.plan import Plan, Reading, StepPlan
from hunt.eql.shown import shown
from hunt.eql.syntax import Sample, Sequence

_NANOSECONDS = 1_000_000_000


def lines(plan: Plan) -> Iterable[str]:
    """One line for each thing to say, steps with what they ask of each event type below them."""
    body = plan.query.body
    if isinstance(body, Sequence):
        span = f" within {body.maxspan / _NANOSECONDS:g} s" if body.maxspan is not None else ""
        yield f"a sequence of {len(plan.steps)} steps{span}"
    elif isinstance(body, Sample):
        yield f"{len(plan.steps)} different events in any order"
    single = len(plan.every) == 1
    for number, planned in enumerate(plan.every, 1):
        yield from _step(planned, "" if single else "until: " if number > len(plan.steps) else f"step {number}: ")
    for pipe in plan.query.pipes:
        yield f"only the {'first' if pipe.name == 'head' else 'last'} {pipe.count}"
    yield from plan.limits


def _step(planned: StepPlan, which: str) -> Iterator[str]:
    step = planned.step
    runs = f", {step.runs} times" if step.runs > 1 else ""
    missing = "no " if step.missing else ""
    keys = f", by {', '.join(map(shown, step.keys))}" if step.keys else ""
    yield f"{which}{missing}{step.event.category or 'any'} event{keys}{runs}"
    for reading in planned.readings:
        yield f"  event {reading.kind.event_id} of {reading.kind.channel}: {_asked(reading)}"


def _asked(reading: Reading) -> str:
    return _tree(reading.condition, top=True) if reading.condition is not True else "every one"


def _tree(tree: Tree, top: bool = False) -> str:
    match tree:
        case Leaf():
            return shown(tree.node)
        case All():
            text = " and ".join(_tree(part) for part in tree.parts)
            return text if top else f"({text})"
        case Any():
            return f"({' or '.join(_tree(part) for part in tree.parts)})"
        case Inverse():
            return f"not {_tree(tree.part)}"
    return str(tree).lower()
