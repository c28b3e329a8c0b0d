"""Template definitions by their ids: what a record needs whose chunk is gone.

Definitions are taken from whole chunks, and from records that could be read of what is left of others. A definition
carries more than names: in an ordinary log the computer's name is part of it. So where definitions of one id differ,
none is used: a guess would put words into the evidence.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from . import bxml, records
from .tree import Part

_BUCKETS, _BUCKETS_AT = 32, 384  # of templates, in the chunk's header
_MOST_IN_CHUNK = 1024  # definitions; their chains are the evidence's, and may be made to be long
_KEPT = 20_000  # definitions in all, and as many bodies
_SIZE_AT = 20
_INSTANCE = b"\x0c\x01"  # of a template: token, and a byte that always is 1

Parts = Sequence[Part]


@dataclass(frozen=True, slots=True)
class _Parsed:
    """A definition that was parsed, and the names elsewhere in its chunk that it refers to."""

    parts: Parts | None
    names: Sequence[tuple[int, bytes]]  # where its chunk stores it, and how


@dataclass(slots=True)
class _Scope:
    """The definitions of one piece of evidence: by id, then by GUID, those that differ."""

    known: dict[bytes, dict[bytes, list[Parts]]] = field(default_factory=dict)


class Definitions:
    """Everything that is known, by the evidence it was found in."""

    def __init__(self) -> None:
        self._scopes: dict[str, _Scope] = {}
        self._parsed: dict[tuple[int, bytes], _Parsed] = {}
        self._kept = 0
        self.full = False

    def add(self, chunk: bytes, scope: str) -> None:
        """Take what a whole chunk defines."""
        for offset in _offsets(chunk):
            self._take(chunk, offset, scope)

    def add_record(self, chunk: bytes, at: int, size: int, scope: str) -> None:
        """Take what a record defines that was read; of a chunk of which other parts may be lost."""
        end = at + size
        while (at := chunk.find(_INSTANCE, at, end - bxml.TEMPLATE_HEADER)) >= 0:
            offset = at + 10
            # An instance whose definition follows: at its own offset, with the GUID's first word for an id.
            if (
                chunk[at + 6 : offset] == struct.pack("<I", offset)
                and chunk[offset + 4 : offset + 8] == chunk[at + 2 : at + 6]
            ):
                self._take(chunk, offset, scope)
            at += 1

    def _take(self, chunk: bytes, offset: int, scope: str) -> None:
        parts = self._parse(chunk, offset)
        if parts is not None:
            self._keep(self._scopes.setdefault(scope, _Scope()), chunk[offset + 4 : offset + 20], parts)

    def find(self, identity: bytes, scope: str) -> Parts:
        """The definition with this id (4 bytes) or GUID (16), of the same evidence rather than of other.

        Raises ValueError if there is none, or if there are several that differ.
        """
        own = [s for name, s in self._scopes.items() if name == scope]
        for scopes in (own, list(self._scopes.values())):
            found = [parts for s in scopes for parts in _of(s, identity)]
            if any(parts != found[0] for parts in found):
                raise ValueError(f"template {_shown(identity)} is defined in several ways, for several hosts say")
            if found:
                return found[0]
        more = " (more are defined than are kept)" if self.full else ""
        raise ValueError(f"template not found: {_shown(identity)}{more}")

    def _keep(self, scope: _Scope, guid: bytes, parts: Parts) -> None:
        variants = scope.known.setdefault(guid[:4], {}).setdefault(guid, [])
        # Two that differ are as bad as many.
        if len(variants) > 1 or any(parts is other or parts == other for other in variants):
            return
        if self._kept >= _KEPT:
            self.full = True
            return
        self._kept += 1
        variants.append(parts)

    def _parse(self, chunk: bytes, offset: int) -> Parts | None:
        """The definition at `offset`; the same bytes at the same place of other chunks are parsed once."""
        size = struct.unpack_from("<I", chunk, offset + _SIZE_AT)[0]
        end = offset + bxml.TEMPLATE_HEADER + size
        if end > len(chunk):
            return None
        key = offset, chunk[offset + 4 : end]
        known = self._parsed.get(key)
        if known and all(chunk[at : at + len(name)] == name for at, name in known.names):
            return known.parts
        try:
            found = bxml.template(chunk, offset)
        except ValueError:
            return None
        names = []
        for name in found.names:
            if name.stored is not None:
                at = struct.unpack_from("<I", chunk, offset + bxml.TEMPLATE_HEADER + name.at)[0]
                names.append((at + 4, name.stored))
        if found.sized and len(self._parsed) < _KEPT:
            self._parsed[key] = _Parsed(found.parts, names)
        return found.parts if found.sized else None


def _of(scope: _Scope, identity: bytes) -> Iterator[Parts]:
    for guid, variants in scope.known.get(identity[:4], {}).items():
        if len(identity) == 4 or guid == identity:
            yield from variants


def _shown(identity: bytes) -> str:
    return f"id {int.from_bytes(identity[:4], 'little'):08x}"


def _offsets(chunk: bytes) -> Iterator[int]:
    """Where the chunk's table says that definitions stand: 32 chains of offsets."""
    seen: set[int] = set()
    for offset in struct.unpack_from(f"<{_BUCKETS}I", chunk, _BUCKETS_AT):
        while records.CHUNK_HEADER <= offset <= len(chunk) - bxml.TEMPLATE_HEADER and offset not in seen:
            if len(seen) >= _MOST_IN_CHUNK:
                return
            seen.add(offset)
            yield offset
            offset = struct.unpack_from("<I", chunk, offset)[0]
