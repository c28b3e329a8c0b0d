"""The reference parser for EVTX: python-evtx reads the BinXML, lxml the XML it stands for. Slow and plain.

Record frames are walked by `records`, so that damage ends neither the chunk nor the file; values are printed by
`values`, since python-evtx rounds times to floats and knows no arrays but those of strings. Each record is bounded:
offsets stay in its chunk, and what it may grow to is limited.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl
from Evtx import Nodes as nodes  # noqa: N813 - the library's own spelling
from Evtx.Evtx import ChunkHeader

from hunt import schema
from hunt.model import Batch, EventType, Evidence, Problem, Progress, Reading

from . import event_xml, records, values
from .tree import NULL, Element, Part, Printer, Substitution, Value, character, entity, typed, valid_name

_BATCH = 8192  # records: frames of a useful size, rows of text of a bounded one


class EvtxReference:
    """EVTX logs, record by record. See `hunt.model.Parser`; it reads everything, one file after the other."""

    name = "evtx-reference"

    def accepts(self, head: bytes) -> bool:
        return records.accepts(head)

    def read(self, files: Sequence[Evidence], reading: Reading) -> Iterator[Batch | Problem | Progress]:
        for evidence in files:
            try:
                for part in self._read(evidence):
                    yield _wanted(part, reading) if isinstance(part, Batch) else part
            except OSError as error:  # the disk, a lock, a share that went away: what was read until then stays
                yield Problem(evidence.source, "file", f"reading stopped: {error.strerror or error}")

    def records(self, evidence: Evidence, offsets: Sequence[int]) -> Batch:
        parts = [part.frames for part in self._read(evidence) if isinstance(part, Batch)]
        frames: dict[EventType, pl.DataFrame] = {}
        for kind, frame in ((kind, frame) for part in parts for kind, frame in part.items()):
            chosen = frame.filter(pl.col("offset").is_in(list(offsets)))
            frames[kind] = pl.concat([frames[kind], chosen], how="diagonal") if kind in frames else chosen
        return Batch(frames, schema.census(frames.values()))

    def _read(self, evidence: Evidence) -> Iterator[Batch | Problem | Progress]:
        rows: dict[EventType, list[event_xml.Row]] = {}
        with evidence.path.open("rb") as log:
            head = log.read(records.FILE_HEADER)
            header = records.file_header(head)
            yield Progress(evidence.source, len(head))
            if header.damage:
                yield Problem(evidence.source, "file", header.damage, offset=0)
            for chunk in records.chunks(log, header):
                yield from records.problems(evidence.source, chunk)
                yield from _read_chunk(evidence.source, chunk, rows)
                yield Progress(evidence.source, len(chunk.data))
                if sum(map(len, rows.values())) >= _BATCH:
                    yield _batch(rows)
                    rows.clear()
        if rows:
            yield _batch(rows)


def _wanted(batch: Batch, reading: Reading) -> Batch:
    return Batch({kind: frame for kind, frame in batch.frames.items() if reading.wants.of(kind)}, batch.census)


def _batch(rows: dict[EventType, list[event_xml.Row]]) -> Batch:
    frames = {kind: event_xml.frame(events, kind.event_id) for kind, events in rows.items()}
    return Batch(frames, schema.census(frames.values()))


def _read_chunk(source: str, chunk: records.Chunk, rows: dict[EventType, list[event_xml.Row]]) -> Iterator[Problem]:
    """Append the chunk's events to `rows`; yield a Problem for each record that can't be read."""
    binxml = _Chunk(chunk.data)
    for frame in chunk.frames:
        try:
            row = event_xml.parse(_xml(binxml, frame))
        except Exception as error:  # one foreign record, parsed by a library: whatever it raises, the next is read
            fault = _known_fault(chunk.data, frame)
            reason = f"chunk {chunk.number}: {KNOWN_FAULT if fault else ''}{fault or _reason(error)}"
            at = chunk.offset + frame.offset
            yield Problem(source, "record", reason, offset=at, record_id=frame.number)
            continue
        row |= {"record_number": frame.number, "source": source, "offset": chunk.offset + frame.offset}
        event_id, channel = int(str(row["event_id"])), str(row.get("channel") or "")
        rows.setdefault(EventType(channel, event_id), []).append(row)


# What python-evtx is known not to read: `hunt verify` says so instead of counting a difference.
KNOWN_FAULT = "known fault of python-evtx: "


def _known_fault(data: bytes, frame: records.Frame) -> str | None:
    """The name of the fault that makes python-evtx fail on a record, if it is one of those known.

    Elements that are written out, without a template, as forwarding does: it takes them to have dependency ids, and
    literals to be no null. All other faults known are in what it prints, and this parser prints for itself: times
    rounded to floats, arrays other than those of strings, control characters left out.
    """
    start = frame.offset + records.RECORD_HEADER
    if data[start : start + 1] == b"\x0f" and data[start + 4 : start + 5] != b"\x0c":
        return "a record without a template"
    return None


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
        self.compiled: dict[int, Sequence[Part]] = {}

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


def _xml(chunk: _Chunk, frame: records.Frame) -> str:
    end = frame.offset + frame.size - 4
    return _Record(chunk).xml(frame.offset + records.RECORD_HEADER, end)


class _Record:
    """Prints one record."""

    def __init__(self, chunk: _Chunk) -> None:
        self.chunk = chunk
        self.printer = Printer()

    def xml(self, offset: int, end: int) -> str:
        """The XML of the BinXML from `offset` to `end`: a template instance with values, or elements written out."""
        root = nodes.RootNode(self.chunk._buf[:end], offset, self.chunk, self.chunk)
        if not any(isinstance(child, nodes.TemplateInstanceNode) for child in root.children()):
            return self.printer.xml(_compile(root.children()), ())
        found = self._values(offset + root.tag_and_children_length(), end)
        return self.printer.xml(self._template(root), found)

    def _template(self, root: Any) -> Sequence[Part]:
        at: int = root.template_instance().template_offset()
        if at not in self.chunk.compiled:
            if at + records.RECORD_HEADER > len(self.chunk._buf):
                raise ValueError(f"a template at {at} is outside the chunk")
            self.chunk.compiled[at] = _compile(root.template().children())
        return self.chunk.compiled[at]

    def _values(self, at: int, end: int) -> list[Value]:
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

    def _value(self, kind: int, at: int, size: int) -> Value:
        if values.is_null(kind, size):
            return NULL
        if kind == values.NESTED:
            return Value((self.xml(at, at + size),))
        return typed(kind, self.chunk._buf[at : at + size])


def _compile(children: Sequence[Any]) -> list[Part]:
    """python-evtx's nodes as parts that print fast; what is no content (start and end tokens) falls away."""
    return [part for child in children for part in _part(child)]


def _part(node: Any) -> Iterator[Part]:
    match node:
        case nodes.OpenStartElementNode():
            yield _compile_element(node)
        case nodes.NormalSubstitutionNode():
            yield Substitution(node.index(), optional=False)
        case nodes.ConditionalSubstitutionNode():
            yield Substitution(node.index(), optional=True)
        case nodes.ValueNode():
            yield _literal(node)
        case nodes.CDataSectionNode():
            yield node.cdata()
        case nodes.CharacterReferenceNode():
            yield character(node.entity())
        case nodes.EntityReferenceNode():
            yield entity(node.entity_reference().strip("&;"))


def _compile_element(node: Any) -> Element:
    children = node.children()
    attributes = [
        (valid_name(child.attribute_name().string()), _compile([child.attribute_value()]))
        for child in children
        if isinstance(child, nodes.AttributeNode)
    ]
    return Element(valid_name(node.tag_name()), attributes, _compile(children))


def _literal(node: Any) -> str:
    if node.type() != values.STRING:
        raise ValueError(f"a literal of value type 0x{node.type():02x}")
    at = node.offset() + node.tag_length()
    length = struct.unpack_from("<H", node._buf, at)[0]
    return values.string(node._buf[at + 2 : at + 2 + 2 * length])


REFERENCE = EvtxReference()
