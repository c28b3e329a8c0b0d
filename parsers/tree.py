"""What BinXML stands for: elements with holes for values, and the XML that they and the values print as."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from . import event_xml
from . import values as values_of

MAX_XML = 2 << 20  # characters; a record is at most 64 KiB, but its template may name a value many times

# A name out of the evidence becomes part of an XML text; what no XML name looks like must not.
_NAME = re.compile(r"[^\W\d][\w.:-]*")


@dataclass(frozen=True, slots=True)
class Substitution:
    """A hole: the index of the value that fills it."""

    index: int
    optional: bool  # absent, with the element or attribute around it, where its value is null


@dataclass(frozen=True, slots=True)
class Element:
    """An element as its template has it; content and attribute values in parts."""

    name: str
    attributes: Sequence[tuple[str, Sequence[Part]]]
    content: Sequence[Part]


Part = str | Substitution | Element  # str: plain text, not yet escaped


@dataclass(frozen=True, slots=True)
class Value:
    """What fills a hole: XML in one piece, in several (the items of an array), or null.

    `wrong`: why it can't be read; that costs the record only if a hole asks for it.
    """

    xml: Sequence[str]
    null: bool = False
    wrong: str | None = None


NULL = Value(("",), null=True)


def plain(texts: str | Sequence[str]) -> Value:
    """A value of text, an array as its items."""
    return Value([event_xml.escape(text) for text in ([texts] if isinstance(texts, str) else texts)])


def typed(kind: int, raw: bytes) -> Value:
    """A value of a type that holds no BinXML."""
    try:
        return plain(values_of.text(kind, raw))
    except ValueError as error:
        return Value((), wrong=str(error))


def valid_name(name: str) -> str:
    """The name, if it is one in XML. Raises ValueError otherwise."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name[:40]!r} is no XML name")
    return name


_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}  # XML 1.0, 4.6


def entity(name: str) -> str:
    """What an entity stands for. Raises ValueError for one that XML itself does not know."""
    if name not in _ENTITIES:
        raise ValueError(f"unknown entity {name!r}")
    return _ENTITIES[name]


def character(code: int) -> str:
    """What a character reference stands for: one unit of UTF-16, of which half a pair is no character."""
    return chr(code) if not 0xD800 <= code <= 0xDFFF else "\ufffd"


class Printer:
    """Prints parts with their values; one for all of a record, since what a record may grow to is limited."""

    def __init__(self) -> None:
        self._size = 0

    def xml(self, parts: Sequence[Part], values: Sequence[Value]) -> str:
        """The XML of the parts. Raises ValueError if it grows beyond MAX_XML or a value is missing."""
        out: list[str] = []
        for part in parts:
            self._print(part, values, out)
        return "".join(out)

    def _print(self, part: Part, values: Sequence[Value], out: list[str]) -> None:
        if isinstance(part, Element):
            self._element(part, values, out)
        elif isinstance(part, str):
            self._text([event_xml.escape(part)], out)
        else:
            self._text(_value(part, values).xml, out)

    def _text(self, texts: Sequence[str], out: list[str]) -> None:
        self._size += sum(map(len, texts)) + 1
        if self._size > MAX_XML:
            raise ValueError(f"the record stands for more than {MAX_XML} characters of XML")
        out.extend(texts)

    def _element(self, element: Element, values: Sequence[Value], out: list[str]) -> None:
        only = element.content[0] if len(element.content) == 1 else None
        if isinstance(only, Substitution):
            value = _value(only, values)
            if only.optional and value.null:
                return
            if len(value.xml) != 1:  # [MS-EVEN6] 3.1.4.7.5: an array repeats the element around it
                for text in value.xml:
                    self._tags(element, (), text, values, out)
                return
        self._tags(element, element.content, "", values, out)

    def _tags(
        self, element: Element, content: Sequence[Part], xml: str, values: Sequence[Value], out: list[str]
    ) -> None:
        self._text([f"<{element.name}"], out)
        for name, parts in element.attributes:
            if not parts or not all(_absent(part, values) for part in parts):
                self._text([f' {name}="'], out)
                for part in parts:
                    self._print(part, values, out)
                out.append('"')
        self._text([">", xml], out)
        for part in content:
            self._print(part, values, out)
        out.append(f"</{element.name}>")


def _value(part: Substitution, values: Sequence[Value]) -> Value:
    if part.index >= len(values):
        raise ValueError(f"value {part.index} of {len(values)} does not exist")
    value = values[part.index]
    if value.wrong:
        raise ValueError(value.wrong)
    return value


def _absent(part: Part, values: Sequence[Value]) -> bool:
    return isinstance(part, Substitution) and part.optional and _value(part, values).null
