"""What the parsers of cloud audit logs share: reading objects, telling where they stand, counting what is doubtful."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from hunt.model import Batch, Evidence, Problem, Progress, Reading

from . import json_pages, text_files
from .event_xml import Row
from .gathered import Gathered
from .json_values import Broken, Json, Value, decode
from .text_files import TextFile

# Takes a record that stands at an offset in, and says whether it has a time; raises ValueError for no one.
Add = Callable[[Gathered, int, Json], bool]
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d")


def is_timed(row: Row) -> bool:
    """Whether the head of a record has a time that can be read."""
    written = row.get("logged")
    return isinstance(written, str) and _MOMENT.match(written) is not None


@dataclass(slots=True)
class Doubts:
    """What had to be assumed of one file."""

    replaced: int = 0  # records with bytes that are no UTF-8
    timeless: int = 0  # records without a time that can be read

    def problems(self, evidence: Evidence) -> Iterator[Problem]:
        if self.replaced:
            reason = f"{self.replaced} records hold bytes that are no UTF-8: U+FFFD stands for them"
            yield Problem(evidence.source, "file", reason)
        if self.timeless:
            reason = f"{self.timeless} records have no time that can be read: what counts within a window lacks them"
            yield Problem(evidence.source, "file", reason)


Steps = Callable[[TextFile], Iterator[Value | Broken]]  # the records of a file


def read(files: Sequence[Evidence], reading: Reading, steps: Steps, add: Add) -> Iterator[Batch | Problem | Progress]:
    """Every record of some files. See `hunt.model.Parser`."""
    for evidence in files:
        gathered = Gathered(evidence, reading.wants)
        try:
            with TextFile(evidence.path) as file:
                yield from _read(file, gathered, steps, add)
        except OSError as error:  # the disk, a lock, a share that went away: what was read until then stays
            yield from gathered.batches(gathered.taken, at_end=True)
            yield Problem(evidence.source, "file", f"reading stopped: {error.strerror or error}")


def _read(file: TextFile, gathered: Gathered, steps: Steps, add: Add) -> Iterator[Batch | Problem | Progress]:
    doubts = Doubts()
    for found in steps(file):
        if isinstance(found, Broken):
            yield from gathered.problem(*found)
        else:
            try:
                doubts.timeless += not add(gathered, found.offset, found.content)
                doubts.replaced += found.replaced
            except ValueError as error:
                yield from gathered.problem(found.offset, str(error))
        yield from gathered.batches(file.taken)
    yield from doubts.problems(gathered.evidence)
    yield from gathered.batches(file.taken, at_end=True)


def first_object(head: bytes) -> tuple[Json | None, bytes]:
    """(the first object of a file that begins so, if it stands in it whole; its beginning), pages opened.

    (None, b"") for what begins with no object.
    """
    body = text_files.text_head(head).lstrip(b" \t\r\n[\x1e")
    body = body[json_pages.page_head(body) :].lstrip(b" \t\r\n[")
    if not body.startswith(b"{"):
        return None, b""
    for end in _ends(body):
        try:
            return decode(body[:end])[0], body
        except ValueError:
            continue
    return None, body


_TRIED = 64  # braces at which the first object may end


def _ends(body: bytes) -> Iterator[int]:
    line = body.partition(b"\n")[0].rstrip(b" \t\r,]")
    yield len(line)
    end = 0
    for _ in range(_TRIED):
        end = body.find(b"}", end) + 1
        if not end:
            return
        yield end
