"""Archives for tests, field by field where libraries would not write what a test needs; and what is read of them."""

from __future__ import annotations

import io
import struct
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hunt.errors import ContainerError
from hunt.model import Container, Limits, Opening, Problem

FULL = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Zipped:
    """A member of a zip file, compressed already; what headers say of it may be a lie."""

    name: str | bytes
    content: bytes
    data: bytes | None = None  # as it stands in the file; None: the content, stored
    method: int = 0
    flags: int = 0
    crc: int | None = None
    size: int | None = None
    extra: bytes = b""
    mode: int = 0
    later: bool = False  # sizes and checksum behind the data (flag 3)
    wide: bool = False  # zip64
    offset: int | None = None


def deflated(content: bytes) -> bytes:
    encoder = zlib.compressobj(wbits=-15)
    return encoder.compress(content) + encoder.flush()


def zip_bytes(*members: Zipped, before: bytes = b"", count: int | None = None, wide: bool = False) -> bytes:
    """A zip file, by APPNOTE.TXT 4.3; `before`: what stands before it, of which its offsets do not know."""
    out, directory = bytearray(), bytearray()
    for member in members:
        name = member.name if isinstance(member.name, bytes) else member.name.encode()
        data = member.content if member.data is None else member.data
        crc = zlib.crc32(member.content) if member.crc is None else member.crc
        size = len(member.content) if member.size is None else member.size
        flags = member.flags | (8 if member.later else 0)
        offset = len(out) if member.offset is None else member.offset
        local = (0, 0, 0) if member.later else (crc, len(data), size)
        extra = member.extra
        out += b"PK\3\4" + struct.pack("<5H3L2H", 20, flags, member.method, 0, 0, *local, len(name), len(extra))
        out += name + extra + data
        if member.later:
            out += b"PK\7\10" + struct.pack("<3L", crc, len(data), size)
        sizes = (len(data), size)
        if member.wide:
            extra = struct.pack("<2H3Q", 1, 24, size, len(data), offset) + extra
            sizes, offset = (FULL, FULL), FULL
        directory += b"PK\1\2" + struct.pack(
            "<6H3L5H2L", 0x31E, 20, flags, member.method, 0, 0, crc, *sizes, len(name), len(extra), 0, 0, 0,
            member.mode << 16, offset,
        )  # fmt: skip
        directory += name + extra
    start, number = len(out), len(members) if count is None else count
    end = struct.pack("<4H2LH", 0, 0, number, number, len(directory), start, 0)
    if wide:
        there = start + len(directory)
        directory += b"PK\6\6" + struct.pack("<Q2H2L4Q", 44, 45, 45, 0, 0, number, number, len(directory), start)
        directory += b"PK\6\7" + struct.pack("<LQL", 0, there, 1)
        end = struct.pack("<4H2LH", 0, 0, 0xFFFF, 0xFFFF, FULL, FULL, 0)
    return before + bytes(out) + bytes(directory) + b"PK\5\6" + end


def tar_bytes(members: Mapping[str, bytes], mode: str = "w", kind: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar, by the standard library."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=kind) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


@dataclass(slots=True)
class Held:
    """What a container gave."""

    content: dict[str, bytes] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)  # members that could not be read to the end

    @property
    def reasons(self) -> list[str]:
        return [problem.reason for problem in self.problems]


def held(
    container: Container, path: Path, content: bytes, password: str | None = None, limits: Limits | None = None
) -> Held:
    """All that a container of this content holds; what came out before a failure counts as well."""
    path.write_bytes(content)
    assert container.accepts(content[:8192])
    opening = Opening(password, limits or Limits())
    opening.budget.enter(len(content))
    found = Held()
    for entry in container.members(path, opening):
        if isinstance(entry, Problem):
            found.problems.append(entry)
            continue
        found.content[entry.name] = b""
        try:
            stream = entry.open()
            while block := stream.read(1000):
                found.content[entry.name] += block
        except ContainerError as error:
            found.failed[entry.name] = str(error)
    return found
