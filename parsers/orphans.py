"""Single records without their chunk: read with definitions that stand in the record or are known from elsewhere."""

from __future__ import annotations

import struct

from . import bxml, event_xml, records, values
from .definitions import Definitions, Parts

_U32 = struct.Struct("<I")
_BODY = records.RECORD_HEADER + 4  # behind the head of the fragment
_INLINE = _BODY + 10  # behind the head of the template instance: there a definition may stand


def base(record: bytes) -> int | None:
    """Where the record stands in its chunk, if that can be told: it has something in place that names its own offset.

    That is the definition of its template, or, in a record that is written out without one, its first name.
    """
    if len(record) < _INLINE + bxml.TEMPLATE_HEADER:
        return None
    if record[_BODY] == 0x0C and record[_INLINE + 4 : _INLINE + 8] == record[_BODY + 2 : _BODY + 6]:
        return _sane(int(_U32.unpack_from(record, _BODY + 6)[0]) - _INLINE, len(record))
    if record[_BODY] in (0x01, 0x41):  # token, u32 size, u32 offset of the name, which follows
        return _sane(int(_U32.unpack_from(record, _BODY + 5)[0]) - _BODY - 9, len(record))
    return None


def _sane(at: int, size: int) -> int | None:
    return at if records.CHUNK_HEADER <= at <= records.CHUNK - size else None


def row(record: bytes, definitions: Definitions, scope: str) -> event_xml.Row:
    """The record as a row of text. Raises ValueError with the reason why it can't be read."""
    number = struct.unpack_from("<Q", record, 8)[0]
    found = _Orphan(record, definitions, scope).row(records.Frame(0, len(record), number))
    return found | {"record_number": number}


def written(record: bytes) -> str:
    """When the record was written, as its header says."""
    return values.filetime(record[16:24])


class _Orphan(bxml.Walker):
    """Reads one record; offsets in it are into a chunk that is not there."""

    def __init__(self, record: bytes, definitions: Definitions, scope: str) -> None:
        super().__init__(record)
        self.definitions = definitions
        self.scope = scope

    def row(self, frame: records.Frame) -> event_xml.Row:
        if self.data[_BODY] != 0x0C:
            raise ValueError("names not found: a record without a template, its chunk is gone")
        return super().row(frame)

    def _definition(self, identity: bytes, offset: int, at: int) -> tuple[Parts, int]:
        head = self.data[at : at + bxml.TEMPLATE_HEADER]
        size = _U32.unpack_from(head, 20)[0] if len(head) == bxml.TEMPLATE_HEADER else 0
        after = at + bxml.TEMPLATE_HEADER + size
        if head[4:8] != identity or after > len(self.data):
            return self.definitions.find(identity, self.scope), at
        try:
            return self._inline(offset, self.data[at:after]), after
        except ValueError:  # names of it stand elsewhere in the chunk
            return self.definitions.find(head[4:20], self.scope), after

    def _inline(self, offset: int, definition: bytes) -> Parts:
        """A definition that stands in the record, at the offset at which it stood in the chunk."""
        self._parsed += len(definition)
        if self._parsed > records.CHUNK or offset > records.CHUNK:
            raise ValueError("the record's templates are larger than a chunk")
        found = bxml.template(bytes(offset) + definition, offset)
        if not found.sized:
            raise ValueError("the definition in the record is damaged")
        return found.parts
