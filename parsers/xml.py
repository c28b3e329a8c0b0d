"""The parser for XML: what wevtutil, Event Viewer and dumpers export, <Event> by <Event>.

`xml_elements` finds them, `event_xml` makes rows of them as for the reference parser, `gathered` frames of rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from hunt.model import Batch, Evidence, Problem, Progress, Reading

from . import event_xml, text_files
from .gathered import Gathered
from .text_files import TextFile
from .written import braced
from .xml_elements import Broken, Element, elements

_DECLARATION = rb"(?:<\?xml[^<>]{0,1000}\?>\s{0,1000})?"
# evtx_dump puts a line before each event.
_BEFORE = rb"\s{0,1000}" + _DECLARATION + rb"(?:Record [0-9]{1,20}\s{1,1000})?" + _DECLARATION
_ROOT = rb"<Events(?:\s[^<>]{0,1000})?"
_EVENT = rb"<Event(?:\s[^<>]{0,1000})?>\s{0,1000}<System\b"
_SOME = re.compile(_BEFORE + rb"(?:" + _ROOT + rb">\s{0,1000})?" + _EVENT)
_NONE = re.compile(_BEFORE + _ROOT + rb"(?:/>|>\s{0,1000}</Events>)\s{0,1000}")  # of an empty log
# An element that holds nothing may be written with its end on a line of its own.
_EMPTY = re.compile(rb">\r?\n[ \t]*+</")


class Xml:
    """Events as XML. See `hunt.model.Parser`."""

    name = "xml"

    def accepts(self, head: bytes) -> bool:
        body = text_files.text_head(head)
        return bool(_SOME.match(body) or _NONE.fullmatch(body))

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
        for offset in sorted(set(offsets)):
            with TextFile(evidence.path, offset) as file:
                found = next(elements(file), None)
            if isinstance(found, Element) and found.offset == offset:
                try:
                    _add(found, gathered)
                except ValueError:
                    continue
        return gathered.whole()


def _read(file: TextFile, gathered: Gathered) -> Iterator[Batch | Problem | Progress]:
    replaced = 0
    for found in elements(file):
        if isinstance(found, Broken):
            yield from gathered.problem(*found)
        else:
            try:
                replaced += _add(found, gathered)
            except ValueError as error:
                yield from gathered.problem(found.offset, str(error))
        yield from gathered.batches(file.taken)
    if replaced:
        reason = f"{replaced} events hold bytes that are no UTF-8: U+FFFD stands for them"
        yield Problem(gathered.evidence.source, "file", reason)
    yield from gathered.batches(file.taken, at_end=True)


def _add(element: Element, gathered: Gathered) -> bool:
    """One more event; whether some of its bytes were replaced. Raises ValueError for what is none."""
    raw = _EMPTY.sub(b"></", element.text)
    try:
        text, replaced = raw.decode("utf-8"), False
    except UnicodeDecodeError:  # redirected output of a console has the console's code page
        text, replaced = raw.decode("utf-8", "replace"), True
    row = braced(_parsed(text))
    gathered.add(element.offset, row, lambda wanted: {})
    return replaced


def _parsed(text: str) -> event_xml.Row:
    """Carriage returns are kept, as references, unless they stand where none may."""
    text = event_xml.mended(text)
    if "\r" in text:
        try:
            return event_xml.parse(text.replace("\r", "&#13;"))
        except ValueError:
            pass
    return event_xml.parse(text)


PARSER = Xml()
