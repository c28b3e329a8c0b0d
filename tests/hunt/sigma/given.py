"""Rules written in tests, and what they match of events written beside them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from hunt.events import Events
from hunt.model import EventType, Need
from hunt.rules.model import Loaded, Unusable
from hunt.sigma.load import load
from hunt.sigma.parse import documents
from hunt.sigma.tree import Node
from tests.helpers import Row, batch

STARTS = "category: process_creation"


def rule(
    detection: str, source: str = STARTS, *, condition: str = "selection", title: str = "A rule", more: str = ""
) -> str:
    """A rule that asks `detection` (the lines below `detection:`) of a log source."""
    asked = textwrap.indent(textwrap.dedent(detection).strip("\n"), "  ")
    return (
        f"title: {title}\n{textwrap.dedent(more)}\nlogsource:\n  product: windows\n  {source}\n"
        f"detection:\n{asked}\n  condition: {condition}\n"
    )


def selection(*lines: str) -> str:
    return "selection:\n" + "".join(f"  {line}\n" for line in lines)


def tree_of(*lines: str) -> Node:
    """The tree of a selection."""
    (document,) = documents(rule(selection(*lines)).encode())
    assert document.fault is None, document.fault
    assert document.tree is not None
    return document.tree


def loaded(folder: Path, *texts: str) -> list[Loaded | Unusable]:
    """Rules as files, a text each, in their order."""
    paths = []
    for number, text in enumerate(texts):
        path = folder / f"rule-{number:03}.yml"
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return sorted(load(paths), key=lambda part: (part.info.path, part.info.number))


def events(rows: Sequence[Row], rules: Sequence[Loaded | Unusable] = ()) -> Events:
    """A case with what the rules need."""
    needs: list[Need] = [need for part in rules if isinstance(part, Loaded) for need in part.hunt.wanted]
    case = Events(needs)
    if rows:
        case.add(batch(*rows))
    return case


def matched(folder: Path, text: str, *rows: Row) -> list[int]:
    """Which of some events a rule matches, by their place among them."""
    (part,) = loaded(folder, text)
    assert isinstance(part, Loaded), part
    return found(part, events(rows, [part]), rows)


def found(part: Loaded | Unusable, case: Events, rows: Sequence[Row]) -> list[int]:
    """The events of all findings of a rule, by their place."""
    return sorted({place for one in groups(part, case, rows) for place in one})


def groups(part: Loaded | Unusable, case: Events, rows: Sequence[Row]) -> list[list[int]]:
    """The events of each finding, by their place, in their order."""
    assert isinstance(part, Loaded), part
    places = {
        (EventType(row["channel"], int(row["event_id"])).key, int(row["record_id"])): n for n, row in enumerate(rows)
    }
    findings = part.hunt.find(case).collect()
    return [
        [places[EventType(event["channel"], event["event_id"]).key, event["record_id"]] for event in one]
        for one in findings["events"].to_list()
    ]
