"""BinXML, read token by token and bounded: what stands outside the chunk, or nests too deep, is refused.

Tokens: [MS-EVEN6] 2.2.12 and libyal's description of the format. Names and template definitions are offsets into the
chunk. Elements written out in a record, as forwarding does, have no dependency id; those of a template have one.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from . import event_xml, records, values
from .tree import NULL, Element, Part, Printer, Substitution, Value, character, entity, typed, valid_name

_MAX_DEPTH = 64  # elements in elements, values of BinXML in values; Windows' own events stay below 20
_MORE = 0x40  # of a token: attributes follow, or more data

TEMPLATE_HEADER = 24  # u32 next, GUID, u32 size; then the body


@dataclass(frozen=True, slots=True)
class NameField:
    """Where a template's body refers to a name: the one thing in it that differs from chunk to chunk.

    `at`: position of the u32 offset in the body. `stored`: the name as the chunk stores it (u16 hash, u16 length,
    UTF-16), if it stands elsewhere in the chunk; None if it follows in place.
    """

    at: int
    stored: bytes | None


@dataclass(slots=True)
class _Reader:
    """A position in BinXML between `at` and `end`, offsets in the chunk."""

    data: bytes
    at: int
    end: int
    in_template: bool
    names: list[NameField] = field(default_factory=list)
    start: int = 0

    def take(self, code: struct.Struct) -> int:
        if self.at + code.size > self.end:
            raise ValueError("BinXML ends too early")
        number: int = code.unpack_from(self.data, self.at)[0]
        self.at += code.size
        return number

    def text(self) -> str:
        """u16 length in characters, then UTF-16."""
        size = 2 * self.take(_U16)
        if self.at + size > self.end:
            raise ValueError("a text ends outside its BinXML")
        self.at += size
        return values.string(self.data[self.at - size : self.at])

    def name(self) -> str:
        """u32 offset of a name in the chunk; the name may follow in place."""
        field_at = self.at
        offset = self.take(_U32)
        if offset + 8 > len(self.data):
            raise ValueError(f"a name at {offset} is outside the chunk")
        # u32 next, u16 hash, u16 length in characters, UTF-16, u16 NUL
        stored = self.data[offset + 4 : offset + 8 + 2 * _U16.unpack_from(self.data, offset + 6)[0]]
        if len(stored) != 4 + 2 * _U16.unpack_from(stored, 2)[0]:
            raise ValueError(f"a name at {offset} ends outside the chunk")
        in_place = offset == self.at
        if in_place:
            self.at += 4 + len(stored) + 2
            if self.at > self.end:
                raise ValueError("a name ends outside its BinXML")
        self.names.append(NameField(field_at - self.start, None if in_place else stored))
        return valid_name(values.string(stored[4:]))


_U8, _U16, _U32 = struct.Struct("<B"), struct.Struct("<H"), struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Template:
    """A template definition: its parts, and where its body refers to names. `sized`: it ends where it says."""

    parts: Sequence[Part]
    names: Sequence[NameField]
    sized: bool


def template(data: bytes, offset: int) -> Template:
    """The definition at `offset` of the chunk. Raises ValueError for what is none."""
    if offset + TEMPLATE_HEADER > len(data):
        raise ValueError(f"a template at {offset} is outside the chunk")
    body = offset + TEMPLATE_HEADER
    end = body + _U32.unpack_from(data, offset + 20)[0]
    if end <= len(data):
        with contextlib.suppress(ValueError):
            return _template(data, body, end, sized=True)
    # Where the size is damaged, the body still tells where it ends.
    return _template(data, body, len(data), sized=False)


def _template(data: bytes, body: int, end: int, sized: bool) -> Template:
    reader = _Reader(data, body, end, in_template=True, start=body)
    parts = _fragment(reader)
    if not parts:
        raise ValueError(f"the template at {body - TEMPLATE_HEADER} is empty")
    return Template(parts, reader.names, sized)


def _fragment(reader: _Reader) -> list[Part]:
    """Elements up to the end-of-stream token or the end."""
    parts: list[Part] = []
    while reader.at < reader.end:
        token = reader.take(_U8)
        if token == 0x00:
            break
        if token == 0x0F:  # fragment header: version 1.1, flags
            reader.at += 3
        elif token & ~_MORE == 0x01:
            parts.append(_element(reader, token, 0))
        else:
            parts += _content(reader, token)
    return parts


def _element(reader: _Reader, token: int, depth: int) -> Element:
    if depth > _MAX_DEPTH:
        raise ValueError("BinXML nested too deep")
    if reader.in_template:
        reader.take(_U16)  # dependency id
    reader.take(_U32)  # size
    name = reader.name()
    attributes: list[tuple[str, Sequence[Part]]] = []
    if token & _MORE:
        reader.take(_U32)  # size of the attribute list
    token = reader.take(_U8)
    while token & ~_MORE == 0x06:
        attribute = reader.name()
        parts, token = _attribute_value(reader)
        attributes.append((attribute, parts))
    if token == 0x03:  # <name/>
        return Element(name, attributes, ())
    if token != 0x02:
        raise ValueError(f"token 0x{token:02x} in a start tag")
    content: list[Part] = []
    while (token := reader.take(_U8)) != 0x04:
        if token & ~_MORE == 0x01:
            content.append(_element(reader, token, depth + 1))
        else:
            content += _content(reader, token)
    return Element(name, attributes, content)


def _attribute_value(reader: _Reader) -> tuple[list[Part], int]:
    """The parts up to the token that is none of an attribute's; and that token."""
    parts: list[Part] = []
    while True:
        token = reader.take(_U8)
        if token & ~_MORE not in (0x05, 0x08, 0x09, 0x0D, 0x0E):
            return parts, token
        parts += _content(reader, token)


def _content(reader: _Reader, token: int) -> list[Part]:
    match token & ~_MORE:
        case 0x05:
            return [_literal(reader)]
        case 0x07:  # CDATA
            return [reader.text()]
        case 0x08:
            return [character(reader.take(_U16))]
        case 0x09:
            return [entity(reader.name())]
        case 0x0A:  # target and data of a processing instruction: no content
            reader.name()
            return []
        case 0x0B:
            reader.text()
            return []
        case 0x0D | 0x0E if reader.in_template:
            index = reader.take(_U16)
            reader.take(_U8)  # the type it is declared with; each record tells its own
            return [Substitution(index, optional=token == 0x0E)]
    raise ValueError(f"unknown token 0x{token:02x}")


def _literal(reader: _Reader) -> str:
    kind = reader.take(_U8)
    if kind == values.NULL:
        # Written for an empty text by forwarding; nothing follows the type.
        return ""
    if kind != values.STRING:
        raise ValueError(f"a literal of value type 0x{kind:02x}")
    return reader.text()


_MAX_TEXT = 8 << 20  # characters that a chunk's records may stand for; of 64 KiB, hardly 300,000 do
_MAX_TEMPLATES = 4 * records.CHUNK  # bytes; definitions do not overlap, unless they were made to


class Walker:
    """Reads the records of one chunk one by one, whatever their shape. What it does for one chunk is bounded."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._printed = 0
        self._parsed = 0
        self._templates: dict[int, Template | ValueError] = {}

    def row(self, frame: records.Frame) -> event_xml.Row:
        """One record as a row of text. Raises ValueError for what can't be read."""
        if self._printed > _MAX_TEXT:
            raise ValueError(f"the chunk's records stand for more than {_MAX_TEXT} characters of XML")
        end = frame.offset + frame.size - 4
        xml = self._xml(frame.offset + records.RECORD_HEADER, end, Printer(), 0)
        self._printed += len(xml)
        return event_xml.parse(xml)

    def _xml(self, at: int, end: int, printer: Printer, depth: int) -> str:
        """The BinXML at `at`: an instance of a template with its values, or elements written out."""
        if depth > _MAX_DEPTH:
            raise ValueError("BinXML nested too deep")
        data = self.data
        if data[at : at + 1] == b"\x0f":
            at += 4
        if data[at : at + 1] != b"\x0c":
            return printer.xml(_fragment(_Reader(data, at, end, in_template=False)), ())
        if at + 10 > end:
            raise ValueError("BinXML ends too early")
        identity, offset = data[at + 2 : at + 6], _U32.unpack_from(data, at + 6)[0]
        parts, at = self._definition(identity, offset, at + 10)
        return printer.xml(parts, self._values(at, end, printer, depth))

    def _definition(self, identity: bytes, offset: int, at: int) -> tuple[Sequence[Part], int]:
        """The parts of the template with this id, defined at `offset`; and where the values stand, `at` or behind."""
        found = self._template(offset)
        if self.data[offset + 4 : offset + 8] != identity:
            raise ValueError(f"the template at {offset} is another than the record's")
        if offset == at:  # the definition stands in this very record
            at += TEMPLATE_HEADER + _U32.unpack_from(self.data, at + 20)[0]
        return found.parts, at

    def _template(self, offset: int) -> Template:
        if offset not in self._templates:
            size = _U32.unpack_from(self.data, offset + 20)[0] if offset + TEMPLATE_HEADER <= len(self.data) else 0
            self._parsed += min(size, records.CHUNK)
            if self._parsed > _MAX_TEMPLATES:
                raise ValueError("the chunk's templates overlap")
            try:
                self._templates[offset] = template(self.data, offset)
            except ValueError as error:  # kept as well: many records may refer to it
                self._templates[offset] = error
        found = self._templates[offset]
        if isinstance(found, ValueError):
            raise found
        return found

    def _values(self, at: int, end: int, printer: Printer, depth: int) -> list[Value]:
        """u32 count, count x (u16 size, u8 type, u8 0), then the bytes of the values."""
        if at + 4 > end:
            raise ValueError("BinXML ends before its values")
        count = _U32.unpack_from(self.data, at)[0]
        start = at + 4 + 4 * count
        if start > end:
            raise ValueError(f"{count} values do not fit into the record")
        found = []
        for size, kind in struct.iter_unpack("<HBx", self.data[at + 4 : start]):
            if start + size > end:
                raise ValueError("a value ends outside the record")
            found.append(self._value(kind, start, start + size, printer, depth))
            start += size
        return found

    def _value(self, kind: int, at: int, end: int, printer: Printer, depth: int) -> Value:
        if values.is_null(kind, end - at):
            return NULL
        if kind == values.NESTED:
            return Value((self._xml(at, end, printer, depth + 1),))
        return typed(kind, self.data[at:end])
