"""The parser for JSON: lines, arrays or objects one after the other, as log shippers and dumpers write them.

`json_values` finds the objects, a layout (`json_elements`, `json_beats`, `json_flat`) makes rows of them, `gathered`
frames of rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from hunt.model import Batch, Evidence, Problem, Progress, Reading

from . import json_beats, json_elements, json_flat, text_files
from .gathered import Gathered
from .json_layouts import Json, Layout
from .json_values import Broken, Value, decode, values
from .text_files import TextFile
from .written import shifted

LAYOUTS: tuple[Layout, ...] = (json_elements.LAYOUT, json_beats.LAYOUT, json_flat.LAYOUT)
_SAMPLE = 4 << 20  # bytes at the beginning of a file in which its time zone is looked for


class JsonLines:
    """Events as JSON. See `hunt.model.Parser`."""

    name = "jsonl"

    def accepts(self, head: bytes) -> bool:
        body = text_files.text_head(head).lstrip(b" \t\r\n[\x1e")
        if body.startswith(b"Record "):
            body = body.partition(b"\n")[2].lstrip()
        return body.startswith(b"{") and _has_event(body)

    def read(self, files: Sequence[Evidence], reading: Reading) -> Iterator[Batch | Problem | Progress]:
        for evidence in files:
            gathered = Gathered(evidence, reading.wants)
            try:
                with TextFile(evidence.path) as file:
                    yield from _read(file, gathered)
            except OSError as error:  # the disk, a lock, a share that went away: what was read until then stays
                yield from gathered.batches(gathered.taken, at_end=True)
                yield Problem(evidence.source, "file", f"reading stopped: {error.strerror or error}")

    def records(self, evidence: Evidence, offsets: Sequence[int]) -> Batch:
        gathered = Gathered(evidence, Reading().wants)
        events = _Events(evidence)
        for offset in sorted(set(offsets)):
            with TextFile(evidence.path, offset) as file:
                found = next(values(file, lines=False), None)  # its line may hold all others too
            if isinstance(found, Value) and found.offset == offset:
                try:
                    events.add(found, gathered)
                except ValueError:
                    continue
        return gathered.whole()


def _has_event(body: bytes) -> bool:
    """Whether a line is an event, or what is longer than the head, or on many lines, has the names events have."""
    first, *others = body.splitlines()[:50]
    try:
        decode(first.strip().rstrip(b",]"))
    except ValueError:
        if any(all(sign in body for sign in signs) for layout in LAYOUTS for signs in layout.signs):
            return True
    return any(_is_event(line) for line in (first, *others))


def _is_event(line: bytes) -> bool:
    try:
        content, _ = decode(line.strip().rstrip(b",]"))
        return any(layout.event(content) is not None for layout in LAYOUTS)
    except ValueError:
        return False


def _read(file: TextFile, gathered: Gathered) -> Iterator[Batch | Problem | Progress]:
    events = _Events(gathered.evidence)
    for found in values(file):
        if isinstance(found, Broken):
            yield from gathered.problem(*found)
        else:
            try:
                events.add(found, gathered)
            except ValueError as error:
                yield from gathered.problem(found.offset, str(error))
        yield from gathered.batches(file.taken)
    yield from events.doubts()
    yield from gathered.batches(file.taken, at_end=True)


@dataclass(slots=True)
class _Events:
    """Makes events of one file's objects, and notes what had to be assumed."""

    evidence: Evidence
    layout: Layout = LAYOUTS[0]
    replaced: int = 0  # events with bytes that are no UTF-8
    zoneless: int = 0  # events with a local time of which nothing tells the zone
    _ahead: list[timedelta | None] = field(default_factory=list)

    def add(self, found: Value, gathered: Gathered) -> None:
        """One more event. Raises ValueError for what is none."""
        event = self._event(found.content)
        layout = self.layout
        head = layout.head(event)
        if "logged" not in head:
            local = layout.local(event)
            if local is not None:
                head["logged"] = shifted(local, -(self._zone() or timedelta())) or local
                self.zoneless += 1
        gathered.add(found.offset, head, lambda wanted: layout.rest(event, wanted))
        self.replaced += found.replaced

    def _event(self, content: Json) -> Json:
        event = self.layout.event(content)
        if event is None:
            for layout in LAYOUTS:
                event = layout.event(content)
                if event is not None:
                    self.layout = layout
                    break
            else:
                raise ValueError("no event of a known layout")
        return event

    def _zone(self) -> timedelta | None:
        """What the first event that tells says of the local times of this file."""
        if not self._ahead:
            self._ahead.append(_zone(self.evidence))
        return self._ahead[0]

    def doubts(self) -> Iterator[Problem]:
        """What was assumed."""
        if self.zoneless:
            ahead = self._zone()
            zone = "UTC" if ahead is None else f"{ahead.total_seconds() / 3600:+g} hours from UTC, as other events show"
            reason = f"{self.zoneless} events have local times without a zone: taken as {zone}"
            yield Problem(self.evidence.source, "file", reason)
        if self.replaced:
            reason = f"{self.replaced} events hold bytes that are no UTF-8: U+FFFD stands for them"
            yield Problem(self.evidence.source, "file", reason)


def _zone(evidence: Evidence) -> timedelta | None:
    with TextFile(evidence.path) as file:
        for found in values(file):
            if isinstance(found, Value):
                for layout in LAYOUTS:
                    try:
                        event = layout.event(found.content)
                    except ValueError:
                        continue
                    ahead = layout.ahead(event) if event is not None else None
                    if ahead is not None:
                        return ahead
            if file.taken > _SAMPLE:
                break
    return None


PARSER = JsonLines()
