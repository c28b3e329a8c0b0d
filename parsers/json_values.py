"""JSON objects one after the other, whatever stands between them: lines, arrays, pretty-printed ones, all of them.

A line that is an object is the usual case; else the object's end is found by its braces. What can't be read ends where
the next object begins: at a line that starts with a brace, no deeper than the broken one did.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
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
_LINE = re.compile(rb"\n[ \t,]{0,1000}\{")
_NEXT = re.compile(rb"\n[ \t,]{0,1000}\{|\}[ \t]{0,9},[ \t]{0,9}\{")
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")

_DEEPEST = 200  # levels of nesting: events have five
# The end of an object that has none is looked for up to LONGEST; after so many braces passed in vain, nothing is looked
# at a second time: evidence that is made of beginnings would take for ever.
_IN_VAIN = 2_000_000


def values(text: TextFile) -> Iterator[Value | Broken]:
    """All objects from the place at which a file was opened, and what stands between them and is none."""
    return iter(_Objects(text))


class _Objects:
    def __init__(self, text: TextFile) -> None:
        self.text = text
        self.at = 0  # in the window
        self.column = 0  # of the object that begins at `at`
        self.lines = True  # whether objects end where their lines do
        self.reached = 0  # in the window: how far the end of an object was looked for
        self.passed = 0  # braces on the way there
        self.in_vain = 0  # braces passed, of all objects without an end

    def __iter__(self) -> Iterator[Value | Broken]:
        while self._skip():
            if self.text.data[self.at] == ord("{"):
                yield (self._line() if self.lines else None) or self._scanned()
            else:
                self.reached = self.passed = 0
                yield self._broken("no JSON object", _LINE, deeper=True)

    def _skip(self) -> bool:
        """Go on to what is no separator; False at the end of the file."""
        while True:
            data, start = self.text.data, self.at
            self.at = cast(re.Match[bytes], _BETWEEN.match(data, start)).end()
            newline = data.rfind(b"\n", start, self.at)
            self.column = self.at - newline - 1 if newline >= 0 else self.column + self.at - start
            cut = len(data) - self.at < _RECORD and data[self.at : self.at + 1] in (b"", b"R")
            if not cut or self.text.ended:
                return self.at < len(data)
            self._more()

    def _more(self) -> bool:
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
            self._more()
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
        return found

    def _scanned(self) -> Value | Broken:
        """The object that begins here, to its last brace."""
        end = self._end()
        if isinstance(end, str):
            return self._broken(end, _LINE if self.lines else _NEXT)
        offset, raw = self.text.offset(self.at), self.text.data[self.at : end]
        self.at, self.column = end, self.column + len(raw)
        self.lines = self.text.data[end : end + 1] in (b"\n", b"\r")
        try:
            return Value(offset, *decode(raw))
        except ValueError as error:
            return Broken(offset, str(error))

    def _end(self) -> int | str:
        """Where the object ends, or why it does not."""
        depth, place, self.passed = 0, self.at, 0
        while True:
            data = self.text.data
            self.reached, self.passed = place, self.passed + 1
            place = cast(re.Match[bytes], _RUN.match(data, place)).end()
            sign = data[place : place + 1]
            if place - self.at > LONGEST:
                return f"longer than {LONGEST >> 20} MiB"
            if not sign or (sign == b'"' and cast(re.Match[bytes], _STRING.match(data, place)).end() == len(data)):
                # What may begin in this block and end in the next is looked at again.
                place = place if sign else max(self.at, len(data.rstrip(b" \t\r\n,")))
                place -= self.at
                self.reached = place
                if not self._more():
                    return "cut off"
                if len(self.text.data) > LONGEST + (1 << 20):
                    return f"longer than {LONGEST >> 20} MiB"
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

    def _broken(self, reason: str, following: re.Pattern[bytes], deeper: bool = False) -> Broken:
        """Go on to the next object, told by what stands before it; `deeper`: however far from the margin."""
        found = Broken(self.text.offset(self.at), reason)
        self.in_vain += self.passed
        self.at = max(self.at + 1, self.reached if self.in_vain > _IN_VAIN else 0)
        while match := self.text.search(following, self.at):
            self.at = match.end() - 1
            if deeper or match.group()[:1] == b"}" or self.at - match.start() - 1 <= self.column:
                self.lines = self.lines or match.group()[:1] == b"\n"
                self.column = self.at - match.start() - 1
                return found
        self.at = len(self.text.data)
        return found


def decode(raw: bytes) -> tuple[Json, bool]:
    """(an object, whether bytes were replaced). Raises ValueError for what is none.

    Numbers may be texts, as they stand. A name that stands twice gives both values, a newline between them.
    """
    try:
        content = orjson.loads(raw)
        # orjson keeps the last of equal names, and rounds long numbers: it is believed where nothing got lost.
        if isinstance(content, dict) and orjson.dumps(content) == raw:
            return content, False
    except (ValueError, RecursionError):
        pass
    return _decode_exactly(raw)


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
