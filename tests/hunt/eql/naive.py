"""Sequences, missing events and samples as a few lines of plain Python each: slow, and plain to see through."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

Event = dict[str, Any]
Meets = Callable[[Event], bool]


@dataclass
class Step:
    """What an event must meet, and its key; a key that is None joins nothing."""

    meets: Meets
    key: Callable[[Event], Hashable] = lambda event: ()
    missing: bool = False


def machine(
    events: Sequence[Event], steps: Sequence[Step], maxspan: float | None, until: Step | None
) -> list[list[Event]]:
    """Elasticsearch's: one open sequence for each step and key, the last one; events in their order."""
    slots: dict[tuple[int, Hashable], list[Event]] = {}
    found = []
    for event in events:
        for number in reversed(range(len(steps))):
            key = steps[number].key(event)
            if key is None or not steps[number].meets(event):
                continue
            if number == 0:
                sequence = [event]
            else:
                before = slots.pop((number - 1, key), None)
                if before is None or (maxspan is not None and event["time"] - before[0]["time"] > maxspan):
                    continue
                sequence = [*before, event]
            if number == len(steps) - 1:
                found.append(sequence)
            else:
                slots[number, key] = sequence
        if until and until.meets(event) and (ended := until.key(event)) is not None:
            slots = {place: open_ for place, open_ in slots.items() if place[1] != ended}
    return sorted(found, key=lambda sequence: [event["n"] for event in sequence])


def with_missing(events: Sequence[Event], steps: Sequence[Step], maxspan: float) -> list[list[Event]]:
    """As Elasticsearch checks what must be missing: after the others have been found."""
    positive = [step for step in steps if not step.missing]
    return [s for s in machine(events, positive, maxspan, None) if not _refuted(s, events, steps, positive, maxspan)]


def _refuted(
    sequence: list[Event], events: Sequence[Event], steps: Sequence[Step], positive: list[Step], maxspan: float
) -> bool:
    key = positive[0].key(sequence[0])
    before: list[float] = []
    after: list[float] = []
    seen = 0
    for step in steps:
        if not step.missing:
            seen += 1
            continue
        times = [e["time"] for e in events if step.meets(e) and step.key(e) == key]
        if seen == 0:
            before += [t for t in times if t < sequence[0]["time"]]
        elif seen == len(positive):
            after += [t for t in times if t > sequence[-1]["time"]]
        elif any(sequence[seen - 1]["time"] < t < sequence[seen]["time"] for t in times):
            return True
    leads, trails = steps[0].missing, steps[-1].missing
    if (leads and not before) or (trails and not after) or not (leads or trails):
        return False
    begin = max(before) if leads else sequence[0]["time"]
    end = min(after) if trails else sequence[-1]["time"]
    return end - begin <= maxspan


def can_sample(events: Sequence[Event], steps: Sequence[Step]) -> bool:
    """Whether each step can have an event of its own."""
    meeting = [[n for n, event in enumerate(events) if step.meets(event)] for step in steps]
    return any(len(set(chosen)) == len(steps) for chosen in itertools.product(*meeting))
