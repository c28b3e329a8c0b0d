"""What a page tells of a finding beyond its row: its events and its story, as many as a page can hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from hunt import schema
from hunt.report.findings import in_order
from hunt.report.texts import Texts, number, shown
from hunt.story import STEPS
from hunt.story.columns import SEEN, STATUSES, TITLES

# Characters of JSON: with the findings themselves and a million of libraries a page of 10,000 stays below 20 MB.
EVENTS, STORIES = 5_000_000, 7_000_000
# Steps whose `fields` say more of a process than its line does.
_PROCESSES = frozenset({"process", "target", "attached", "ancestor", "descendant"})
_KNOWN = (
    *("image", "command_line", "user", "integrity", "session", "logon_id", "start", "start_source", "end"),
    *("guid", "pid", "parent_guid", "parent_pid", "depth"),
)
_NUMBERS = frozenset({"session", "pid", "parent_pid", "depth"})
_FIELDS = 100  # of an event; rarely an event has more than 40

Row = Mapping[str, Any]


@dataclass(slots=True)
class Details:
    """By finding_id; what is not there did not fit."""

    texts: Texts = field(default_factory=Texts)
    events: dict[str, list[object]] = field(default_factory=dict)
    stories: dict[str, list[object]] = field(default_factory=dict)

    def packed(self) -> Mapping[str, object]:
        """For the page: `texts`, to whose places all others lead."""
        return {
            "texts": self.texts.all,
            "steps": STEPS,
            "titles": TITLES,
            "status": STATUSES,
            "known": [[name, "value" if name in _NUMBERS else "text"] for name in _KNOWN],
            "events": self.events,
            "stories": self.stories,
        }


def details(findings: pl.DataFrame, events: pl.DataFrame, story: pl.DataFrame | None) -> Details:
    """Of the findings, in their order, as long as there is room."""
    told = Details()
    timed = events.with_columns(schema.time_text(pl.col("time")).alias("time"))
    _fill(told.events, in_order(timed, findings, "step", "record_id"), EVENTS, told.texts, _event)
    if story is not None:
        rows = story.with_columns(schema.time_text(pl.col("time")).alias("time"))
        _fill(told.stories, in_order(rows, findings, "number"), STORIES, told.texts, _act)
    return told


def _fill(
    into: dict[str, list[object]],
    told: Iterator[tuple[str, list[dict[str, Any]]]],
    room: int,
    texts: Texts,
    pack: Callable[[Row, Texts], list[object]],
) -> None:
    """`into`: [how many rows are left out, the rows], finding by finding until there is no room for another."""
    before, used = texts.size, 0
    for finding_id, rows in told:
        own: list[list[object]] = []
        size, begin = 0, texts.size
        for row in rows:
            if size + texts.size - begin > _EACH:
                break
            own.append(pack(row, texts))
            size += _CELL * sum(len(cell) if isinstance(cell, list) else 1 for cell in own[-1])
        used += size + len(finding_id) + 12
        if used + texts.size - before > room:
            return
        into[finding_id] = [len(rows) - len(own), own]


_EACH = 300_000  # characters that one finding may take
_CELL = 7  # characters of a place in the texts, or of another number: six digits and a comma


def _event(row: Row, texts: Texts) -> list[object]:
    """[step, time, host, channel, event id, record id, [path, offset, ...], [name, value, ...], fields left out]."""
    fields = json.loads(row["fields"]) if row["fields"] else {}
    known = [(name, value) for name, value in fields.items() if value is not None]
    pairs = [texts.place(text) for name, value in known[:_FIELDS] for text in (name, _printed(value))]
    return [
        row["step"],
        *(texts.place(row[name]) for name in ("time", "host", "channel")),
        *(row["event_id"], number(row["record_id"])),
        _sources(row, texts),
        pairs,
        max(0, len(known) - _FIELDS),
    ]


def _printed(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_SOURCES = 20  # places where the same event stands


def _sources(row: Row, texts: Texts) -> list[object]:
    met = row["sources"] or ()
    return [part for place in met[:_SOURCES] for part in (texts.place(place["path"]), number(place["offset"]))]


def _act(row: Row, texts: Texts) -> list[object]:
    """[step, status, time, subject, pid, image, text, channel, event id, record id, [path, offset], known, evidence].

    `known`: of a process, in the order of `known` of the page, else 0; `evidence`: of a competitor its grade and what
    speaks for it, of another finding its id.
    """
    step = row["step"]
    process = step in _PROCESSES and row["status"] == SEEN
    fields = json.loads(row["fields"]) if row["fields"] and (process or step in ("competitor", "other")) else {}
    return [
        STEPS.index(step),
        STATUSES.index(row["status"]),
        *(texts.place(row[name]) for name in ("time", "subject")),
        row["pid"],
        *(texts.place(row["image"]), 0 if process else texts.place(row["text"]), texts.place(row["channel"])),
        *(row["event_id"], number(row["record_id"])),
        _sources(row, texts)[:2],
        [_known(name, fields.get(name), texts) for name in _KNOWN] if process else 0,
        _evidence(step, fields, texts),
    ]


def _known(name: str, value: object, texts: Texts) -> object:
    return number(value) if name in _NUMBERS else texts.place(value)


def _evidence(step: str, fields: Row, texts: Texts) -> list[object]:
    if step == "other":
        return [texts.place(fields.get("finding_id"))]
    if step == "competitor":
        items = fields.get("evidence")
        said = [shown(str(item)) for item in (items if isinstance(items, list) else ())]
        return [texts.place(fields.get("grade")), *map(texts.place, said)]
    return []
