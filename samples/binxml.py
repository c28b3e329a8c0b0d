"""BinXML as event logs hold it: elements, templates with substitutions, and the name tables of a chunk.

A name or template stands where a chunk first uses it and is referred to by its offset in the chunk from then on.
So everything here is written at a known offset, into the chunk's own buffer.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from samples.values import BINXML, STRING, Value

FRAGMENT = b"\x0f\x01\x01\x00"  # token, major 1, minor 1, no flags
END_OF_STREAM, CLOSE_START, CLOSE_EMPTY, END_ELEMENT = b"\x00", b"\x02", b"\x03", b"\x04"
OPEN, ATTRIBUTE, VALUE, TEMPLATE, NORMAL, OPTIONAL = 0x01, 0x06, 0x05, 0x0C, 0x0D, 0x0E
MORE = 0x40  # flag on OPEN: has attributes; on ATTRIBUTE: another one follows
NO_DEPENDENCY = 0xFFFF
MAX_SIZE = 0xFFFF  # value sizes and character counts are 16 bits wide
NAME_BUCKETS, TEMPLATE_BUCKETS = 64, 32


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of substitution value `index`; an optional one vanishes with its attribute when the value is null."""

    index: int
    kind: int
    optional: bool = True


@dataclass(frozen=True, slots=True)
class Element:
    """An XML element of a template. `depends_on`: index of the value without which the element is left out."""

    name: str
    attributes: tuple[tuple[str, str | Slot], ...] = ()
    content: tuple[Element | Slot | str, ...] = ()
    depends_on: int = NO_DEPENDENCY


@dataclass(frozen=True, slots=True)
class Instance:
    """A template with its values. A value may itself be an instance: BinXML nested in BinXML."""

    template: Element
    values: tuple[Value | Instance, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """How Windows wrote the file.

    A log that the service itself keeps stores strings of event data with a NUL, nested BinXML without a fragment
    header, and null values with leftovers of up to 16 bytes. An exported one (wevtutil epl, Event Viewer) has none of
    these, and pointer-sized numbers have become 64-bit hex ones.
    """

    exported: bool = True


def name_hash(units: bytes) -> int:
    """Windows' hash of UTF-16 text (or of a GUID's eight 16-bit words): h * 65599 + unit, in 32 bits."""
    result = 0
    for (unit,) in struct.iter_unpack("<H", units):
        result = (result * 65599 + unit) & 0xFFFFFFFF
    return result


@dataclass
class Table:
    """Offsets of what a chunk has defined so far, and the newest definition of every hash bucket."""

    heads: list[int]
    offsets: dict[bytes, int] = field(default_factory=dict)

    def copy(self) -> Table:
        """An independent copy, to go back to."""
        return Table(list(self.heads), dict(self.offsets))

    def add(self, key: bytes, offset: int) -> int:
        """Note a definition at `offset` and return the one before it in its bucket, 0 if there was none."""
        bucket = name_hash(key) % len(self.heads)
        before, self.heads[bucket] = self.heads[bucket], offset
        self.offsets[key] = offset
        return before


class Writer:
    """Appends BinXML to a chunk's buffer; offsets in it are offsets in the chunk."""

    def __init__(self, out: bytearray, names: Table, templates: Table, layout: Layout) -> None:
        self.out = out
        self.names = names
        self.templates = templates
        self.layout = layout

    def record(self, instance: Instance) -> None:
        """The BinXML of one record, a template instance."""
        self.out += FRAGMENT
        self._instance(instance)
        self.out += END_OF_STREAM

    def rendered(self, root: Element) -> None:
        """The BinXML of one record without a template, all values text, as event forwarding writes it."""
        self.out += FRAGMENT
        self._element(root, in_template=False)
        self.out += END_OF_STREAM

    def _instance(self, instance: Instance) -> None:
        guid = template_guid(instance.template)
        known = self.templates.offsets.get(guid)
        offset = len(self.out) + 10 if known is None else known
        self.out += struct.pack("<BB4sI", TEMPLATE, 1, guid[:4], offset)
        if known is None:
            self._definition(instance.template, guid, offset)
        self._values(instance.values)

    def _definition(self, template: Element, guid: bytes, offset: int) -> None:
        self.out += struct.pack("<I", self.templates.add(guid, offset)) + guid
        with_size = self._reserve("<I")
        self.out += FRAGMENT
        self._element(template)
        self.out += END_OF_STREAM
        with_size()

    def _values(self, values: Sequence[Value | Instance]) -> None:
        self.out += struct.pack("<I", len(values))
        descriptors = len(self.out)
        self.out += bytes(4 * len(values))
        for index, value in enumerate(values):
            start = len(self.out)
            kind = self._nested(value) if isinstance(value, Instance) else self._plain(value)
            size = len(self.out) - start
            if size > MAX_SIZE:
                raise ValueError(f"a value of {size} bytes: EVTX holds at most {MAX_SIZE}")
            struct.pack_into("<HBB", self.out, descriptors + 4 * index, size, kind, 0)

    def _nested(self, instance: Instance) -> int:
        if self.layout.exported:
            self.out += FRAGMENT
        self._instance(instance)
        self.out += END_OF_STREAM
        return BINXML

    def _plain(self, value: Value) -> int:
        self.out += value.data
        return value.kind

    def _element(self, element: Element, in_template: bool = True) -> None:
        self.out.append(OPEN | (MORE if element.attributes else 0))
        if in_template:  # only template elements say what they depend on
            self.out += struct.pack("<H", element.depends_on)
        with_size = self._reserve("<I")
        self._name(element.name)
        if element.attributes:
            self._attributes(element.attributes)
        if element.content:
            self.out += CLOSE_START
            for part in element.content:
                self._content(part, in_template)
            self.out += END_ELEMENT
        else:
            self.out += CLOSE_EMPTY
        with_size()

    def _attributes(self, attributes: Sequence[tuple[str, str | Slot]]) -> None:
        with_size = self._reserve("<I")
        for left, (name, value) in zip(range(len(attributes) - 1, -1, -1), attributes, strict=True):
            self.out.append(ATTRIBUTE | (MORE if left else 0))
            self._name(name)
            self._content(value, in_template=True)
        with_size()

    def _content(self, part: Element | Slot | str, in_template: bool) -> None:
        if isinstance(part, Element):
            self._element(part, in_template)
        elif isinstance(part, Slot):
            self.out += struct.pack("<BHB", OPTIONAL if part.optional else NORMAL, part.index, part.kind)
        else:
            units = part.encode("utf-16-le")
            if len(units) // 2 > MAX_SIZE:
                raise ValueError(f"a literal of {len(units) // 2} characters: EVTX holds at most {MAX_SIZE}")
            self.out += struct.pack("<BBH", VALUE, STRING, len(units) // 2) + units

    def _name(self, name: str) -> None:
        units = name.encode("utf-16-le")
        known = self.names.offsets.get(units)
        if known is not None:
            self.out += struct.pack("<I", known)
            return
        offset = len(self.out) + 4
        before = self.names.add(units, offset)
        self.out += struct.pack("<IIHH", offset, before, name_hash(units) & 0xFFFF, len(units) // 2) + units + b"\0\0"

    def _reserve(self, layout: str) -> Callable[[], None]:
        """Leave room for a size; the function returned fills in how much has been written behind it."""
        place = len(self.out)
        width = struct.calcsize(layout)
        self.out += bytes(width)
        return lambda: struct.pack_into(layout, self.out, place, len(self.out) - place - width)


@lru_cache(maxsize=256)
def template_guid(template: Element) -> bytes:
    """A template's 16-byte identifier: the same content has the same one, in every chunk and file.

    Windows too derives it from the content; how, is not published. Ours is SHA-256 over the BinXML it has at offset 0.
    """
    writer = Writer(bytearray(), Table([0] * NAME_BUCKETS), Table([0] * TEMPLATE_BUCKETS), Layout())
    writer.rendered(template)
    for text in _dependencies(template):
        writer.out += text
    return hashlib.sha256(writer.out).digest()[:16]


def _dependencies(element: Element) -> Iterator[bytes]:
    yield struct.pack("<H", element.depends_on)
    for part in element.content:
        if isinstance(part, Element):
            yield from _dependencies(part)
