"""The <Event> elements of a text, one after the other, in a root element or not; each is parsed for itself.

So a broken one costs itself and no other, nothing but one event is in memory, and no declaration outside of it (a DTD
with entities, say) has any effect on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from .text_files import LONGEST, TextFile

# An event: its first child is System. Attributes hold no < or > here.
_BEGIN = re.compile(rb"<Event(?:\s[^<>]{0,2000})?>\s{0,200}<System\b")
# Inside of one: the beginning of the next (this one is cut off then), tags that are called Event too, what hides tags.
_INSIDE = re.compile(rb"<(?:(?P<end>/Event\s{0,200}>)|(?P<tag>Event(?=[\s>/]))|(?P<comment>!--)|(?P<cdata>!\[CDATA\[))")
_TAG_END = re.compile(rb"[^<>]*+>")
# Between events: what is no event's.
_OUTSIDE = re.compile(
    rb"(?:\s++|<\?[^<>]{0,2000}\?>|<!--.{0,2000}?-->|<!DOCTYPE[^<>\[]{0,2000}>|</?Events(?:\s[^<>]{0,2000})?/?>"
    rb"|Record [0-9]{1,20}(?=\s))*+",
    re.DOTALL,
)
_SLACK = 8192  # bytes: longer than anything of these
_LONGEST_HIDDEN = 1 << 20  # bytes of a comment or of CDATA: what is longer, or has no end, hides nothing


class Element(NamedTuple):
    """One <Event>, from its first < to its last >."""

    offset: int  # bytes into the file
    text: bytes  # UTF-8


class Broken(NamedTuple):
    """What is no event."""

    offset: int  # bytes into the file
    reason: str


def elements(text: TextFile) -> Iterator[Element | Broken]:
    """All events from the place at which a file was opened, and what stands between them and is none."""
    at = 0
    found: Element | Broken | None = None
    ends = _Ends(text)
    while True:
        at, stray = _skip(text, at)
        if stray and not isinstance(found, Broken):  # else it is the rest of that one
            yield stray
        if at >= len(text.data):
            return
        if _BEGIN.match(text.data, at):
            at, found = _event(text, at, ends)
            yield found
        else:
            found = None  # one more that is none


def _skip(text: TextFile, at: int) -> tuple[int, Broken | None]:
    """(where the next event begins, or the end; what stands before it and should not)."""
    stray = None
    while True:
        match = _OUTSIDE.match(text.data, at)
        at = match.end() if match else at
        if len(text.data) - at < _SLACK and not text.ended:
            text.more(at)
            at = 0
            continue
        if at >= len(text.data) or _BEGIN.match(text.data, at):
            return at, stray
        stray = stray or Broken(text.offset(at), "no event")
        # On to the next event; its end, if it was one, tells the next stray one from it.
        found = text.search(_NEXT, at)
        if not found:
            return len(text.data), stray
        at = found.start() if found["begin"] else found.end()
        if found["end"]:
            return at, stray


_NEXT = re.compile(rb"(?P<begin>" + _BEGIN.pattern + rb")|(?P<end></Event\s{0,200}>)")


class _Ends:
    """Where comments and CDATA end. What was looked through is not looked through again, whatever begins there."""

    def __init__(self, text: TextFile) -> None:
        self.text = text
        self._looked = {b"--": 0, b"]]>": 0}  # bytes of the whole text

    def find(self, place: int, comment: bool) -> int | None:
        """The end of what begins before `place`; None: behind the window, if that is not the end. Else `place`."""
        data, gone = self.text.data, self.text.forgotten
        end = b"--" if comment else b"]]>"  # two hyphens are nothing but a comment's end
        found = data.find(end, max(place, self._looked[end] - gone))
        self._looked[end] = gone + (found if found >= 0 else max(place, len(data) - 2))
        if (found < 0 or found + 3 > len(data)) and not self.text.ended and len(data) - place < _LONGEST_HIDDEN:
            return None
        return found if found >= 0 and (not comment or data.startswith(b"-->", found)) else place


def _event(text: TextFile, at: int, ends: _Ends) -> tuple[int, Element | Broken]:
    """(where it ends, the event that begins here)."""
    offset = text.offset(at)
    depth, place = 0, at
    while True:
        found = _INSIDE.search(text.data, place)
        if not found or found.end() + _SLACK > len(text.data):
            if place - at > LONGEST or len(text.data) - at > LONGEST + (2 << 20):
                return max(place, at + 1), Broken(offset, f"longer than {LONGEST >> 20} MiB")
            if not text.ended:
                # What may begin in this block and end in the next is looked at again.
                place = (found.start() if found else max(place, len(text.data) - _SLACK)) - at
                text.more(at)
                at = 0
                continue
        if not found:
            return len(text.data), Broken(offset, "cut off")
        place = found.end()
        if found["end"]:
            depth -= 1
            if not depth:
                return place, Element(offset, text.data[at:place])
        elif found["tag"]:
            if depth and _BEGIN.match(text.data, found.start()):
                return found.start(), Broken(offset, "cut off")
            tag = _TAG_END.match(text.data, place)
            place = tag.end() if tag else place
            depth += not (tag and tag.group().endswith(b"/>"))
        else:
            end = ends.find(place, bool(found["comment"]))
            if end is None:
                place = found.start() - at
                text.more(at)
                at = 0
            else:
                place = end
