"""JSON objects one after the other, whatever stands between them: lines, arrays, pretty-printed ones, all of them.

A line that is an object is the usual case; else the object's end is found by its braces. What can't be read ends where
the next object begins: at a line that starts with a brace, no deeper than the broken one did, or wherever a brace and a
name stand that good objects begin with, for writers keep to an order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Set
from typing import NamedTuple, cast

import orjson

from .text_files import LONGEST, TextFile

Json = dict[str, object]


class Value(NamedTuple):
    """One object. `replaced`: its bytes were not all UTF-8; U+FFFD stands for the others."""

    offset: int  # bytes into the file
    content: Json
    replaced: bool


class Broken(NamedTuple):
    """What is no object."""

    offset: int  # bytes into the file
    reason: str


# Commas and brackets of arrays, the record separator of RFC 7464, the lines that evtx_dump puts before each event.
_BETWEEN = re.compile(rb"(?:[\s,\[\]\x1e]++|Record [0-9]{1,20}(?=[\r\n]))*+")
_RECORD = 32  # bytes: the longest such line
# All that is no brace: strings as a whole, newlines unless a line with a brace follows.
_RUN = re.compile(rb'(?:[^"{}\[\]\n]++|"(?:[^"\\\x00-\x1f]++|\\.)*+"|\n(?![ \t,]*+\{))*+')
_STRING = re.compile(rb'"(?:[^"\\\x00-\x1f]++|\\.)*+\\?')
_FIRST = re.compile(rb'\{\s{0,100}("[^"\\\x00-\x1f]{1,100}")')  # the name that an object begins with
_HEAD = 256  # bytes: longer than that
_NAMES = frozenset({b'"Event"', b'"event_record_id"', b'"@timestamp"', b'"EventTime"'})  # of those that we know
_MOST_NAMES = 16  # of one file
_SHORTEST = 45  # bytes: no event is shorter
# A thousand on end of flat objects that are too short, or of openings that are deeper in each other than any event is.
# One by one they would cost more than a hundred times as many bytes of events. A text with braces in it ends them: what
# an event says is never taken for pieces.
_RUBBISH = re.compile(
    rb'(?:\{(?=[^{}\[\]]{0,36}+[}\]])(?:[^{}\[\]"\\]++|"[^{}\[\]"\\]*+")*+[}\]][\s,]*+){1000,}+'
    rb'|(?:\{(?=[^{}]{0,36}+\{)(?:[^{}"\n]++|"[^{}"\\\n]*+")*+(?=\{)|\{[^{}\n]{0,36}+\n\s*+(?=\{)){1000,}+'
)
# Numbers that orjson may round, or write otherwise: of 16 digits or more, with decimals or an exponent.
_ROUNDED = re.compile(rb'(?:"\s*:|(?<!")\[|,)\s*(?:-0|-?[0-9]{16}|-?[0-9]+[.eE])')
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")

_DEEPEST = 200  # levels of nesting: events have five
_MOST = 10_000  # braces and brackets of one object: more than an event has fields
# The end of an object that has none is looked for as far as that; after so many braces passed in vain, and one more for
# as many bytes of the file, nothing is looked at a second time: evidence made of beginnings would take for ever.
_IN_VAIN, _BYTES = 250_000, 32
_DECODED = 256  # bytes decoded in vain cost as much as a brace


def values(text: TextFile, lines: bool = True) -> Iterator[Value | Broken]:
    """All objects from the place at which a file was opened, and what stands between them and is none.

    `lines`: objects are expected to end where their lines do, until one does not. Without, no line is read to its end.
    """
    return iter(Objects(text, lines))


class Objects:
    """See `values`; `skip` passes what stands between objects."""

    def __init__(self, text: TextFile, lines: bool) -> None:
        self.text = text
        self.at = 0  # in the window
        self.column = 0  # of the object that begins at `at`
        self.lines = lines  # whether objects end where their lines do
        self.names: frozenset[bytes] = frozenset()  # that objects begin with
        self.next = self._known(_NAMES)
        self.met = 0  # objects
        self.sure = True  # whether the next object is where one is expected, and no part of a broken one
        self.reached = 0  # in the window: how far the end of an object was looked for
        self.passed = 0  # braces on the way there
        self.in_vain = 0  # braces passed, of all objects without an end

    def __iter__(self) -> Iterator[Value | Broken]:
        while self.skip():
            if self.text.data[self.at] != ord("{"):
                self.reached = self.passed = 0
                found: Value | Broken = self._broken("no JSON object", deeper=True)
            else:
                found = self._rubbish() or (self._line() if self.lines else None) or self._scanned()
            self.sure = isinstance(found, Value)
            yield found

    def skip(self) -> bool:
        """Go on to what is no separator; False at the end of the file."""
        while True:
            data, start = self.text.data, self.at
            self.at = cast(re.Match[bytes], _BETWEEN.match(data, start)).end()
            newline = data.rfind(b"\n", start, self.at)
            self.column = self.at - newline - 1 if newline >= 0 else self.column + self.at - start
            cut = len(data) - self.at < _RECORD and data[self.at : self.at + 1] in (b"", b"R")
            if not cut or self.text.ended:
                return self.at < len(data)
            self.more()

    def more(self) -> bool:
        """A block more in the window, which now begins at `at`; False at the end of the file."""
        more = self.text.more(self.at)
        self.at = 0
        return more

    def _line(self) -> Value | None:
        """The object that the rest of this line is."""
        searched = self.at
        while (end := self.text.data.find(b"\n", searched)) < 0 and not self.text.ended:
            if len(self.text.data) - self.at > LONGEST:
                self.lines = False
                return None
            searched = len(self.text.data) - self.at
            self.more()
        end = end if end >= 0 else len(self.text.data)
        raw = self.text.data[self.at : end].rstrip(b" \t\r,]")
        if not raw.endswith(b"}"):
            return None
        try:
            content, replaced = decode(raw)
        except ValueError:
            return None  # it may go on in the next lines, or another one may follow in this
        found = Value(self.text.offset(self.at), content, replaced)
        self.at = end
        self._learn(raw)
        return found

    def _rubbish(self) -> Broken | None:
        """Very many pieces that are too short to be events, up to the last ones in which one may still begin."""
        data = self.text.data
        self.met += 1
        match = _RUBBISH.match(data, self.at) if self.met % 256 == 0 else None  # it may look at many for nothing
        if not match:
            return None
        end = match.end()
        for _ in range(_DEEPEST):
            end = data.rfind(b"{", self.at, end)
        found = Broken(self.text.offset(self.at), f"{end - self.at} bytes of objects that are too short to be events")
        self.past(end)
        return found

    def _scanned(self) -> Value | Broken:
        """The object that begins here, to its last brace."""
        end = self._end()
        if isinstance(end, str):
            return self._broken(end)
        offset, raw = self.text.offset(self.at), self.text.data[self.at : end]
        try:
            found = Value(offset, *decode(raw))
        except ValueError as error:
            self.past(self._inside(raw) or end)
            return Broken(offset, str(error))
        self._learn(raw)
        self.past(end)
        return found

    def past(self, end: int) -> None:
        """Go on at a place further on."""
        data = self.text.data
        newline = data.rfind(b"\n", self.at, end)
        self.column = end - newline - 1 if newline >= 0 else self.column + end - self.at
        self.at = end
        self.lines = data[end : end + 1] in (b"\n", b"\r")

    def _inside(self, raw: bytes) -> int | None:
        """Where the next object begins inside one that has an end and is no JSON: damage may have hidden its own."""
        self.in_vain += len(raw) // _DECODED
        if self._is_enough():
            return None
        starts = (match.start() for match in _FIRST.finditer(raw, 1) if match[1] in self.names)
        return next((self.at + start for start in starts), None)

    def _learn(self, raw: bytes) -> None:
        """The name that a good object begins with."""
        match = _FIRST.match(raw) if self.sure and len(raw) >= _SHORTEST else None
        if match and match[1] not in self.names and len(self.names) < _MOST_NAMES:
            self.next = self._known({match[1]})

    def _known(self, names: Set[bytes]) -> re.Pattern[bytes]:
        """Where an object may begin, with what tells so before it unless it is one of these names or those before."""
        self.names |= names
        named = b"|".join(map(re.escape, sorted(self.names)))
        return re.compile(rb"(\n[ \t,]{0,1000}|\}[ \t]{0,9},[ \t]{0,9})\{|\{\s{0,100}(?:" + named + b")")

    def _is_enough(self) -> bool:
        """Whether so much was looked at in vain that nothing is to be looked at twice."""
        return self.in_vain > _IN_VAIN + self.text.taken // _BYTES

    def _end(self) -> int | str:
        """Where the object ends, or why it does not."""
        own = self._own()
        depth, place, self.passed = 0, self.at, 0
        while True:
            data = self.text.data
            self.reached, self.passed = place, self.passed + 1
            place = cast(re.Match[bytes], _RUN.match(data, place)).end()
            sign = data[place : place + 1]
            if place - self.at > LONGEST:
                return f"longer than {LONGEST >> 20} MiB"
            if self.passed > _MOST:
                return "cut off, or larger than any event"
            if sign == b"{" and own and len(data) - place < len(own) and not self.text.ended:
                place -= self.at
                self.more()
            elif not sign or (sign == b'"' and cast(re.Match[bytes], _STRING.match(data, place)).end() == len(data)):
                # What may begin in this block and end in the next is looked at again.
                place = place if sign else max(self.at, len(data.rstrip(b" \t\r\n,")))
                place -= self.at
                self.reached = place
                if not self.more():
                    return "cut off"
                if len(self.text.data) > LONGEST + (1 << 20):
                    return f"longer than {LONGEST >> 20} MiB"
            elif sign == b"{" and own and depth and data.startswith(own, place):
                return "cut off"
            elif sign in (b"{", b"["):
                depth, place = depth + 1, place + 1
                if depth > _DEEPEST:
                    return "nested too deep"
            elif sign in (b"}", b"]"):
                depth, place = depth - 1, place + 1
                if not depth:
                    return place
            elif sign == b"\n" and data.index(b"{", place) - place - 1 > self.column:
                place += 1
            else:
                return "cut off, or damaged"

    def _own(self) -> bytes:
        """How this object begins, if one that begins so can hold no other of its kind: where that stands, it is cut."""
        while len(self.text.data) - self.at < _HEAD and not self.text.ended:
            self.more()
        match = _FIRST.match(self.text.data, self.at)
        return match[0] if match and match[1] in _NAMES else b""

    def _broken(self, reason: str, deeper: bool = False) -> Broken:
        """Go on to the next object, told by what stands before it or by its name; `deeper`: at any line's beginning."""
        found = Broken(self.text.offset(self.at), reason)
        self.in_vain += self.passed
        self.at = max(self.at + 1, self.reached if self._is_enough() else 0)
        while match := self.text.search(self.next, self.at):
            before = match[1] or b""
            self.at = match.start() + len(before)
            while len(self.text.data) - self.at < _HEAD and not self.text.ended:
                self.more()
            new_line = before[:1] == b"\n"
            first = _FIRST.match(self.text.data, self.at)
            if (
                (first and first[1] in self.names)
                or (new_line and (deeper or len(before) - 1 <= self.column))
                or (before[:1] == b"}" and not self.lines and not deeper)
            ):
                self.lines = new_line
                self.column = len(before) - 1
                return found
            self.at += 1
        self.at = len(self.text.data)
        return found


def decode(raw: bytes) -> tuple[Json, bool]:
    """(an object, whether bytes were replaced). Raises ValueError for what is none.

    Numbers may be texts, as they stand. A name that stands twice gives both values, a newline between them.
    """
    try:
        content = orjson.loads(raw)
        # orjson keeps the last of equal names, and rounds long numbers: it is believed where nothing got lost.
        if isinstance(content, dict) and ((written := orjson.dumps(content)) == raw or _is_whole(raw, written)):
            return content, False
    except (ValueError, RecursionError, orjson.JSONEncodeError):  # the last: nested deeper than it writes
        pass
    return _decode_exactly(raw)


def _is_whole(raw: bytes, written: bytes) -> bool:
    """Whether nothing got lost in what orjson read and wrote, though it is not the same bytes: blanks, escapes.

    Of equal names one is gone, and so is its colon; what escapes may hide of a quote is not believed.
    """
    return raw.count(b'":') == written.count(b'":') and b"\\u0022" not in raw and not _ROUNDED.search(raw)


def _decode_exactly(raw: bytes) -> tuple[Json, bool]:
    text = raw.decode("utf-8", "replace")
    replaced = "\ufffd" in text and not _is_utf8(raw)
    try:
        content = _EXACTLY.decode(text)
    except RecursionError:
        raise ValueError("nested too deep") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error.msg} at character {error.pos}") from None
    if not isinstance(content, dict):
        raise ValueError("no JSON object")
    if _ESCAPED_SURROGATE.search(raw):
        content = _without_surrogates(content, 0)
    return cast(Json, content), replaced


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _object(pairs: list[tuple[str, object]]) -> Json:
    found = dict(pairs)
    if len(found) < len(pairs):
        found.clear()
        for name, value in pairs:
            if name in found:
                before = found[name]
                if not isinstance(before, str) or not isinstance(value, str):
                    raise ValueError(f"a name stands twice: {name[:80]!r}")
                value = f"{before}\n{value}"
            found[name] = value
    return found


def _without_surrogates(value: object, depth: int) -> object:
    """Unpaired surrogates become U+FFFD, as the strings of EVTX are read."""
    if depth > _DEEPEST:
        raise ValueError("nested too deep")
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_surrogates(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {_SURROGATE.sub("\ufffd", k): _without_surrogates(v, depth + 1) for k, v in value.items()}
    return value


# Control characters inside strings are no JSON; the strict decoder says so.
_EXACTLY = json.JSONDecoder(object_pairs_hook=_object, parse_int=str, parse_float=str, parse_constant=str)
