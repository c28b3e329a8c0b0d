"""Which value of a template's instances becomes which column.

The template is printed with a mark for each hole and read as the XML of an event, by the very code that reads all
others; where a column then holds nothing but one mark, its values are one value of each record. Templates that don't
come out so plain have no layout: their records are read one by one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hunt import schema

from . import event_xml
from .tree import Element, Part, Printer, Substitution

_BEGIN, _END = "\ue000", "\ue001"
_MOST_USES = 4  # of one value in a template; more would make columns of it that no evidence has room for
_MARK = re.compile(f"{_BEGIN}([0-9]+){_END}")


@dataclass(frozen=True, slots=True)
class Slot:
    """The value that fills a column. `repeats`: as an array it stands for several elements, so for several texts."""

    index: int
    optional: bool  # null: the column is null; otherwise it is ""
    repeats: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """Where the columns of a template's instances come from: what templates of many hosts have in common.

    `columns`: by name the value, or None for a text that all instances of one template share; `items`: the same for
    unnamed Data; `joined`: columns of several values, as a field that stands twice has them.
    `nested`: values that hold a section as BinXML of their own, and the name of the element they stand in, "" if they
    bring it along; `others`: values that are no column's, which holds as long as they are no BinXML.
    `fragile`: values on which the names of columns depend, if one is null or an array.
    `sections`: names of the elements below <Event>; `order`: all columns as they stand in the event.
    """

    columns: tuple[tuple[str, Slot | None], ...]
    items: tuple[Slot | None, ...]
    joined: tuple[tuple[str, tuple[Slot, ...]], ...]
    nested: tuple[tuple[int, str], ...]
    others: tuple[int, ...]
    fragile: tuple[int, ...]
    sections: frozenset[str]
    order: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """A template's shape and its own texts, by column; those of unnamed Data by their place."""

    shape: Shape
    texts: Mapping[str | int, str]


def layout(parts: Sequence[Part], within: str | None = None) -> Layout | None:
    """The layout of a template of whole events, or of what stands `within` an element of theirs ("": right below
    <Event>); None if it has none."""
    marked = _Marker()
    try:
        if within is None:
            xml = Printer().xml([marked.event(parts)], ())
        else:
            inside = [marked.part(part, _Place(within, complex=within not in ("", "EventData"))) for part in parts]
            content = [Element(within, (), inside)] if within else inside
            xml = Printer().xml([Element("Event", (), content)], ())
        event = event_xml.root(xml)
        row = event_xml.columns(event)
        return marked.layout(row, frozenset(event_xml.names(event)))
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in an event a part stands. `name`: of the element around it.

    `alone`: a null takes what is around it along; beside other content it is just "". `repeats`: an array repeats the
    element around it. `text`: all that is below stands in one column, whatever elements it comes in. `complex`: names
    of columns depend on which elements are there.
    """

    name: str
    alone: bool = False
    repeats: bool = False
    text: bool = False
    complex: bool = False

    def inside(self, element: Element) -> _Place:
        """The place inside one of its elements."""
        field = self.name == "EventData" and (element.name == "Data" or any(n == "Name" for n, _ in element.attributes))
        # Right below EventData, an element without elements and attributes of its own is a column of its own: Binary.
        simple = self.name == "EventData" and not element.attributes
        simple = simple and not any(isinstance(part, Element) for part in element.content)
        plain = self.name in ("", "Event", "System") or element.name == "System" or simple
        text = self.text or field
        return _Place(element.name, text=text, complex=not text and not plain)


class _Marker:
    """Replaces holes by marks and remembers what they were. Raises ValueError where marks would not tell the truth."""

    def __init__(self) -> None:
        self.slots: list[Slot] = []
        self.nested: list[tuple[int, str]] = []
        self.fragile: set[int] = set()

    def event(self, parts: Sequence[Part]) -> Element:
        """The one <Event>; holes right below it are sections."""
        (event,) = parts
        if not isinstance(event, Element) or event.name != "Event":
            raise ValueError("no event")
        content = []
        for part in event.content:
            nested = _section_of(part)
            if nested:
                self.nested.append(nested)
            else:
                content.append(self.part(part, _Place("Event")))
        return Element("Event", (), content)

    def part(self, part: Part, place: _Place) -> Part:
        if isinstance(part, Element):
            return self._element(part, place)
        if isinstance(part, str):
            if _BEGIN in part:
                raise ValueError("a literal that looks like a mark")
            return part
        self.slots.append(Slot(part.index, part.optional and place.alone, place.repeats))
        if place.complex and part.optional and place.alone:
            self.fragile.add(part.index)
        return f"{_BEGIN}{len(self.slots) - 1}{_END}"

    def _element(self, element: Element, place: _Place) -> Element:
        only = element.content[0] if len(element.content) == 1 else None
        alone = isinstance(only, Substitution)
        inside = place.inside(element)
        attributes = [name for name, _ in element.attributes if not name.startswith("xmlns")]
        leaf = not any(isinstance(part, Element) for part in element.content)
        if inside.complex and leaf and attributes:
            raise ValueError("a leaf with attributes, which is a column of its own if it has text")
        goes = isinstance(only, Substitution) and only.optional and place.name != "System"
        if goes and attributes not in ([], ["Name"]):
            raise ValueError("attributes that come and go with a value")
        around = [
            (name, [self.part(part, replace(inside, alone=len(parts) == 1)) for part in parts])
            for name, parts in element.attributes
        ]
        # A field of EventData goes with its null; an element inside it leaves "" in the field's text.
        alone = alone and not place.text
        within = replace(inside, alone=alone, repeats=alone and place.name != "System")
        return Element(element.name, around, [self.part(part, within) for part in element.content])

    def layout(self, row: event_xml.Row, sections: frozenset[str]) -> Layout:
        texts: dict[str | int, str] = {}
        used: set[int] = set()
        order = tuple(row)
        items = enumerate(_texts(row.pop(schema.DATA, None)))
        data = tuple(self._source(place, text, used, texts) for place, text in items)
        joined = {name: slots for name, text in row.items() if (slots := self._several(str(text), used))}
        single = ((name, str(text)) for name, text in row.items() if name not in joined)
        columns = tuple((name, self._source(name, text, used, texts)) for name, text in single)
        if any(_BEGIN in name for name in row):
            raise ValueError("names that depend on values")
        uses = Counter(slot.index for slot in self.slots)
        if uses and max(uses.values()) > _MOST_USES:
            raise ValueError("a value that stands in very many places")
        others = {slot.index for number, slot in enumerate(self.slots) if number not in used}
        shape = Shape(
            columns,
            data,
            tuple(joined.items()),
            tuple(self.nested),
            tuple(sorted(others)),
            tuple(sorted(self.fragile)),
            sections,
            order,
        )
        return Layout(shape, texts)

    def _several(self, text: str, used: set[int]) -> tuple[Slot, ...]:
        """The values of a column that holds nothing but several, one a line, as `event_xml` joins them."""
        marks = [_MARK.fullmatch(line) for line in text.split("\n")]
        numbers = [int(mark.group(1)) for mark in marks if mark]
        if len(marks) < 2 or len(numbers) < len(marks):
            return ()
        used.update(numbers)
        return tuple(self.slots[number] for number in numbers)

    def _source(self, name: str | int, text: str, used: set[int], texts: dict[str | int, str]) -> Slot | None:
        mark = _MARK.fullmatch(text)
        if mark:
            used.add(int(mark.group(1)))
            return self.slots[int(mark.group(1))]
        if _BEGIN in text:
            raise ValueError("a column of several values")
        texts[name] = text
        return None


def _section_of(part: Part) -> tuple[int, str] | None:
    """The value that is a section of an event, or all of one's content."""
    if isinstance(part, Substitution):
        return part.index, ""
    if isinstance(part, Element) and part.name in ("EventData", "UserData") and not part.attributes:
        only = part.content[0] if len(part.content) == 1 else None
        if isinstance(only, Substitution):
            return only.index, part.name
    return None


def _texts(value: str | list[str] | int | None) -> list[str]:
    return value if isinstance(value, list) else []
