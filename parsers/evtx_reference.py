"""The reference parser for EVTX: python-evtx reads the BinXML, lxml the XML it stands for. Slow and plain.

Record frames are walked by `records`, so that damage ends neither the chunk nor the file; values are printed by
`values`, since python-evtx rounds times to floats and knows no arrays but those of strings. Each record is bounded:
offsets stay in its chunk, and what it may grow to is limited.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from Evtx import Nodes as nodes  # noqa: N813 - the library's own spelling
from Evtx.Evtx import ChunkHeader

from hunt.model import Batch, EventType, Evidence, Problem, Progress

from . import event_xml, records, values

_BATCH = 8192  # records: frames of a useful size, rows of text of a bounded one
_MAX_XML = 8 << 20  # characters; a record is at most 64 KiB, but its template may name a value many times


class EvtxReference:
    """EVTX logs, record by record. See `hunt.model.Parser`."""

    name = "evtx-reference"

    def accepts(self, head: bytes) -> bool:
        return records.accepts(head)

    def read(self, evidence: Evidence) -> Iterator[Batch | Problem | Progress]:
        rows: dict[EventType, list[event_xml.Row]] = {}
        with evidence.path.open("rb") as log:
            header = records.file_header(log.read(records.FILE_HEADER))
            if header.damage:
                yield Problem(evidence.source, "file", header.damage, offset=0)
            for chunk in records.chunks(log, header):
                yield from records.problems(evidence.source, chunk)
                yield from _read_chunk(evidence.source, chunk, rows)
                yield Progress(chunk.offset + len(chunk.data))
                if sum(map(len, rows.values())) >= _BATCH:
                    yield _batch(rows)
                    rows.clear()
        if rows:
            yield _batch(rows)


def _batch(rows: dict[EventType, list[event_xml.Row]]) -> Batch:
    return Batch({kind: event_xml.frame(events, kind.event_id) for kind, events in rows.items()})


def _read_chunk(source: str, chunk: records.Chunk, rows: dict[EventType, list[event_xml.Row]]) -> Iterator[Problem]:
    """Append the chunk's events to `rows`; yield a Problem for each record that can't be read."""
    binxml = _Chunk(chunk.data)
    for frame in chunk.frames:
        try:
            row = event_xml.parse(_xml(binxml, frame))
        except Exception as error:  # one foreign record, parsed by a library: whatever it raises, the next is read
            reason = f"chunk {chunk.number}: {_reason(error)}"
            at = chunk.offset + frame.offset
            yield Problem(source, "record", reason, offset=at, record_id=frame.number)
            continue
        row |= {"record_number": frame.number, "source": source, "offset": chunk.offset + frame.offset}
        event_id, channel = int(str(row["event_id"])), str(row.get("channel") or "")
        rows.setdefault(EventType(channel, event_id), []).append(row)


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "BinXML nested too deep"
    return f"{type(error).__name__}: {error}" if not isinstance(error, ValueError) else str(error)


class _Chunk(ChunkHeader):  # type: ignore[misc]  # python-evtx is untyped
    """python-evtx's chunk without its tables: names and templates are read where records point.

    The tables are chains of offsets out of the evidence, which may loop or lead astray.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data, 0)
        self._strings = _Strings(self)
        self._templates: dict[int, Any] = {}
        self.compiled: dict[int, list[_Part]] = {}

    def _load_strings(self) -> None:
        pass

    def _load_templates(self) -> None:
        pass


class _Strings(dict[int, Any]):
    """Names by offset in the chunk, read on demand."""

    def __init__(self, chunk: _Chunk) -> None:
        super().__init__()
        self.chunk = chunk

    def __missing__(self, offset: int) -> Any:
        data: bytes = self.chunk._buf
        # u32 next, u16 hash, u16 length in characters, then the name.
        if offset + 8 > len(data) or offset + 8 + 2 * struct.unpack_from("<H", data, offset + 6)[0] > len(data):
            raise ValueError(f"a name at {offset} is outside the chunk")
        self[offset] = nodes.NameStringNode(data, offset, self.chunk, self.chunk)
        return self[offset]


@dataclass(frozen=True, slots=True)
class _Substitution:
    index: int
    optional: bool  # absent, with the element or attribute around it, where its value is null


@dataclass(frozen=True, slots=True)
class _Element:
    name: str
    attributes: Sequence[tuple[str, Sequence[_Part]]]
    content: Sequence[_Part]


_Part = str | _Substitution | _Element  # str: XML, escaped


@dataclass(frozen=True, slots=True)
class _Value:
    """One substitution value: XML text, the items of an array, or null."""

    texts: Sequence[str]
    null: bool = False


def _xml(chunk: _Chunk, frame: records.Frame) -> str:
    end = frame.offset + frame.size - 4
    return "".join(_Printer(chunk).root(frame.offset + records.RECORD_HEADER, end))


class _Printer:
    """Prints one record."""

    def __init__(self, chunk: _Chunk) -> None:
        self.chunk = chunk
        self.size = 0  # characters printed so far

    def root(self, offset: int, end: int) -> list[str]:
        """The XML of the BinXML from `offset` to `end`: a template instance with values, or elements written out."""
        root = nodes.RootNode(self.chunk._buf[:end], offset, self.chunk, self.chunk)
        if any(isinstance(child, nodes.TemplateInstanceNode) for child in root.children()):
            template, found = self._template(root), self._values(offset + root.tag_and_children_length(), end)
        else:
            template, found = _compile(root.children()), []
        out: list[str] = []
        for part in template:
            self._print(part, found, out)
        return out

    def _template(self, root: Any) -> list[_Part]:
        at: int = root.template_instance().template_offset()
        if at not in self.chunk.compiled:
            if at + records.RECORD_HEADER > len(self.chunk._buf):
                raise ValueError(f"a template at {at} is outside the chunk")
            self.chunk.compiled[at] = _compile(root.template().children())
        return self.chunk.compiled[at]

    def _values(self, at: int, end: int) -> list[_Value]:
        """The values at `at`: u32 count, count x (u16 size, u8 type, u8 0), then their bytes up to `end` at most.

        Nested BinXML ends with its value: nothing is read twice, however deep it goes.
        """
        data: bytes = self.chunk._buf
        count = struct.unpack_from("<I", data, at)[0]
        start = at + 4 + 4 * count
        if start > end:
            raise ValueError(f"{count} values do not fit into the record")
        found = []
        for size, kind in struct.iter_unpack("<HBx", data[at + 4 : start]):
            if start + size > end:
                raise ValueError("a value ends outside the record")
            found.append(self._value(kind, start, size))
            start += size
        return found

    def _value(self, kind: int, at: int, size: int) -> _Value:
        if values.is_null(kind, size):
            return _Value([""], null=True)
        if kind == values.NESTED:
            return _Value(["".join(self.root(at, at + size))])
        shown = values.text(kind, self.chunk._buf[at : at + size])
        return _Value([event_xml.escape(text) for text in ([shown] if isinstance(shown, str) else shown)])

    def _print(self, part: _Part, found: Sequence[_Value], out: list[str]) -> None:
        if isinstance(part, _Element):
            self._print_element(part, found, out)
            return
        texts = [part] if isinstance(part, str) else found[part.index].texts
        self._grow(sum(map(len, texts)) + 1)
        out.extend(texts)

    def _grow(self, characters: int) -> None:
        self.size += characters
        if self.size > _MAX_XML:
            raise ValueError(f"the record stands for more than {_MAX_XML} characters of XML")

    def _print_element(self, element: _Element, found: Sequence[_Value], out: list[str]) -> None:
        only = element.content[0] if len(element.content) == 1 else None
        if isinstance(only, _Substitution):
            value = found[only.index]
            if only.optional and value.null:
                return
            if len(value.texts) != 1:  # [MS-EVEN6] 3.1.4.7.5: an array repeats the element around it
                for text in value.texts:
                    self._print_tags(element, [text], found, out)
                return
        self._print_tags(element, element.content, found, out)

    def _print_tags(self, element: _Element, content: Sequence[_Part], found: Sequence[_Value], out: list[str]) -> None:
        self._grow(2 * len(element.name) + sum(len(name) for name, _ in element.attributes))
        out.append(f"<{element.name}")
        for name, parts in element.attributes:
            if not all(isinstance(p, _Substitution) and p.optional and found[p.index].null for p in parts):
                out.append(f' {name}="')
                for part in parts:
                    self._print(part, found, out)
                out.append('"')
        out.append(">")
        for part in content:
            self._print(part, found, out)
        out.append(f"</{element.name}>")


def _compile(children: Sequence[Any]) -> list[_Part]:
    """python-evtx's nodes as parts that print fast; what is no content (start and end tokens) falls away."""
    return [part for child in children for part in _part(child)]


def _part(node: Any) -> Iterator[_Part]:
    match node:
        case nodes.OpenStartElementNode():
            yield _compile_element(node)
        case nodes.NormalSubstitutionNode():
            yield _Substitution(node.index(), optional=False)
        case nodes.ConditionalSubstitutionNode():
            yield _Substitution(node.index(), optional=True)
        case nodes.ValueNode():
            yield event_xml.escape(_literal(node))
        case nodes.CDataSectionNode():
            yield event_xml.escape(node.cdata())
        case nodes.CharacterReferenceNode():
            yield event_xml.escape(chr(node.entity()))
        case nodes.EntityReferenceNode():
            yield event_xml.escape(_entity(node))


def _compile_element(node: Any) -> _Element:
    children = node.children()
    attributes = [
        (child.attribute_name().string(), _compile([child.attribute_value()]))
        for child in children
        if isinstance(child, nodes.AttributeNode)
    ]
    return _Element(node.tag_name(), attributes, _compile(children))


def _literal(node: Any) -> str:
    if node.type() != values.STRING:
        raise ValueError(f"a literal of value type 0x{node.type():02x}")
    at = node.offset() + node.tag_length()
    length = struct.unpack_from("<H", node._buf, at)[0]
    return values.string(node._buf[at + 2 : at + 2 + 2 * length])


_ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'"}  # XML 1.0, 4.6


def _entity(node: Any) -> str:
    reference: str = node.entity_reference()
    if reference not in _ENTITIES:
        raise ValueError(f"unknown entity {reference!r}")
    return _ENTITIES[reference]


PARSER = EvtxReference()
