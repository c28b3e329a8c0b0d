"""Where members lie in a zip file: by its central directory, or if that is damaged, by the headers before each member.

Format: PKWARE APPNOTE.TXT 6.3.10; extra fields also after Info-ZIP's extrafld.txt.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Container, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

from hunt.errors import ContainerError

LOCAL, CENTRAL, END = b"PK\3\4", b"PK\1\2", b"PK\5\6"
_END64, _LOCATOR64 = b"PK\6\6", b"PK\6\7"
# Fields after the signature.
_LOCAL_HEADER = struct.Struct("<5H3L2H")
_CENTRAL_HEADER = struct.Struct("<6H3L5H2L")
_END_RECORD = struct.Struct("<4H2LH")
_END64_RECORD = struct.Struct("<Q2H2L4Q")
_LOCATOR64_RECORD = struct.Struct("<LQL")
_SIGNATURE = 4  # bytes
_TAIL = 1 << 16  # bytes: the longest comment, and so the farthest the end record is from the end
_FULL = 0xFFFFFFFF  # the real value stands in the zip64 extra field
_UNIX = 3
_METHODS = frozenset({0, 8, 9, 12, 14, 20, 93, 95, 98, 99, *range(1, 7)})
_EPOCH, _FILETIME_EPOCH = datetime(1970, 1, 1, tzinfo=UTC), datetime(1601, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Entry:
    """A member as a directory or a local header tells of it. Sizes in bytes; None: known only when it was read."""

    name: str
    offset: int  # of its local header, bytes into the file
    flags: int
    method: int
    time: int  # DOS time, to check passwords with
    crc: int | None
    packed: int | None
    size: int | None
    modified: datetime | None
    aes: tuple[int, int] | None  # version of the format, strength
    mode: int = 0  # as Unix has it; 0: not said

    @property
    def encrypted(self) -> bool:
        return bool(self.flags & 1)

    @property
    def folder(self) -> bool:
        return (self.name.endswith("/") or stat.S_ISDIR(self.mode)) and not self.size

    @property
    def link(self) -> bool:
        return stat.S_ISLNK(self.mode)


def central(file: BinaryIO, size: int) -> Iterator[Entry]:
    """The members by the central directory of a file of this size (bytes).

    Raises ContainerError where the directory is missing, ends early or is no directory any more, and where it is that
    of another zip file, before, behind or inside this one.
    """
    at, end, count, shift = _directory(file, size)
    begin = _begin(file)
    file.seek(at)
    found, first = 0, False
    while at < end:
        fixed = file.read(_SIGNATURE + _CENTRAL_HEADER.size)
        if fixed[:4] != CENTRAL or len(fixed) < _SIGNATURE + _CENTRAL_HEADER.size:
            break
        made, _, flags, method, time, _, crc, packed, unpacked, *rest = _CENTRAL_HEADER.unpack_from(fixed, _SIGNATURE)
        names, extras, comments, _, _, attributes, offset = rest
        name, extra, comment = file.read(names), file.read(extras), file.read(comments)
        if len(name) + len(extra) + len(comment) < names + extras + comments:
            break
        mode = attributes >> 16 if made >> 8 == _UNIX else 0
        entry = _entry(name, extra, offset, flags, method, time, crc, packed, unpacked, mode, shift)
        yield entry
        found += 1
        first = first or entry.offset == begin
        at += len(fixed) + names + extras + comments
    if found & 0xFFFF != count & 0xFFFF:
        raise ContainerError(f"its directory is damaged: {found} of {count} entries can be read")
    if begin is not None and not first:
        raise ContainerError("its directory does not tell of the member that it begins with")
    file.seek(end)
    if LOCAL in file.read(size - end):  # no more than `_directory` has read
        raise ContainerError("more members stand behind its directory")


def _begin(file: BinaryIO) -> int | None:
    """Where the first member's header lies: at once, or behind the mark of an archive that was split once."""
    file.seek(0)
    head = file.read(2 * _SIGNATURE)
    return next((at for at in (0, _SIGNATURE) if head[at : at + _SIGNATURE] == LOCAL), None)


def _directory(file: BinaryIO, size: int) -> tuple[int, int, int, int]:
    """(start, end, number of entries, what to add to all offsets because something was put before the zip)."""
    start = max(0, size - _TAIL - _SIGNATURE - _END_RECORD.size)
    file.seek(start)
    tail = file.read(size - start)
    place = tail.rfind(END)
    if place < 0 or len(tail) - place < _SIGNATURE + _END_RECORD.size:
        raise ContainerError("has no directory at its end: it is cut or damaged")
    end = start + place
    disk, _, _, count, length, offset, _ = _END_RECORD.unpack_from(tail, place + _SIGNATURE)
    if disk not in (0, 0xFFFF):
        raise ContainerError("is one part of a split archive, and the others are not read with it")
    if 0xFFFF in (disk, count) or _FULL in (length, offset):
        end, count, length, offset = _zip64(file, end) or (end, count, length, offset)
    if count == length == 0:
        return end, end, 0, 0
    for at in (end - length, offset):
        if 0 <= at < end:
            file.seek(at)
            if file.read(_SIGNATURE) == CENTRAL:
                return at, end, count, at - offset
    raise ContainerError("its directory is damaged")


def _zip64(file: BinaryIO, end: int) -> tuple[int, int, int, int] | None:
    locator = end - _SIGNATURE - _LOCATOR64_RECORD.size
    if locator < 0:
        return None
    file.seek(locator)
    data = file.read(_SIGNATURE + _LOCATOR64_RECORD.size)
    if data[:4] != _LOCATOR64:
        return None
    _, offset, _ = _LOCATOR64_RECORD.unpack_from(data, _SIGNATURE)
    for at in (offset, locator - _SIGNATURE - _END64_RECORD.size):
        if 0 <= at < locator:
            file.seek(at)
            data = file.read(_SIGNATURE + _END64_RECORD.size)
            if data[:4] == _END64 and len(data) == _SIGNATURE + _END64_RECORD.size:
                *_, count, length, begin = _END64_RECORD.unpack_from(data, _SIGNATURE)
                return at, count, length, begin
    return None


def scattered(file: BinaryIO, size: int, known: Container[int]) -> Iterator[Entry]:
    """The members of which local headers tell, from the first to the last, but for those at `known` offsets."""
    at = _find(file, 0)
    while at is not None:
        entry, data = local(file, at)
        if entry is None or data > size:
            at = _find(file, at + _SIGNATURE)
            continue
        if at not in known:
            yield entry
        # What is compressed may look like a header: it is leapt over if its length is known.
        leap = data + (entry.packed or 0)
        at = _find(file, leap if leap <= size else data)


def local(file: BinaryIO, at: int) -> tuple[Entry | None, int]:
    """(the member whose header lies here, if it is one; where its data begin)."""
    header = _local_header(file, at)
    if header is None:
        return None, 0
    version, flags, method, time, _, crc, packed, size, names, extras = header
    name, extra = file.read(names), file.read(extras)
    data = _data(at, header)
    if method not in _METHODS or not name or version & 0xFF > 63:
        return None, data
    if flags & 8 and not packed:  # these three stand behind the data
        return _entry(name, extra, at, flags, method, time, None, None, None), data
    return _entry(name, extra, at, flags, method, time, crc, packed, size), data


def data_place(file: BinaryIO, at: int) -> int | None:
    """Where the data begin of a member whose local header should lie here; None if there is no such header."""
    header = _local_header(file, at)
    return _data(at, header) if header else None


def _local_header(file: BinaryIO, at: int) -> tuple[int, ...] | None:
    if not 0 <= at < 1 << 63:  # offsets are claims, and moved by what stands before
        return None
    file.seek(at)
    fixed = file.read(_SIGNATURE + _LOCAL_HEADER.size)
    if fixed[:4] != LOCAL or len(fixed) < _SIGNATURE + _LOCAL_HEADER.size:
        return None
    return _LOCAL_HEADER.unpack_from(fixed, _SIGNATURE)


def _data(at: int, header: tuple[int, ...]) -> int:
    return at + _SIGNATURE + _LOCAL_HEADER.size + header[-2] + header[-1]


def _find(file: BinaryIO, at: int) -> int | None:
    """Where the next local header's signature lies."""
    overlap = len(LOCAL) - 1
    while True:
        file.seek(at)
        window = file.read(1 << 20)
        place = window.find(LOCAL)
        if place >= 0:
            return at + place
        if len(window) <= overlap:
            return None
        at += len(window) - overlap


def _entry(
    raw: bytes,
    extra: bytes,
    offset: int,
    flags: int,
    method: int,
    time: int,
    crc: int | None,
    packed: int | None,
    size: int | None,
    mode: int = 0,
    shift: int = 0,
) -> Entry:
    """An entry by the fields of its header, and by extra fields where they know better."""
    name, modified, aes = None, None, None
    for kind, data in _extra_fields(extra):
        if kind == 0x0001:  # zip64: 8 bytes for each field that was too small, in this order
            wide = iter(struct.unpack(f"<{len(data) // 8}Q", data[: len(data) // 8 * 8]))
            size = next(wide, size) if size == _FULL else size
            packed = next(wide, packed) if packed == _FULL else packed
            offset = next(wide, offset) if offset == _FULL else offset
        elif kind == 0x9901 and len(data) >= 7:
            version, strength, method = struct.unpack_from("<H2xBH", data)
            aes = version, strength
        elif kind == 0x7075 and data[:1] == b"\1" and data[1:5] == struct.pack("<L", zlib.crc32(raw)):
            name = data[5:].decode("utf-8", "backslashreplace")
        elif kind == 0x5455 and len(data) >= 5 and data[0] & 1:
            modified = _EPOCH + timedelta(seconds=struct.unpack_from("<l", data, 1)[0])
        elif kind == 0x000A and data[4:8] == b"\1\0\x18\0" and len(data) >= 16 and not modified:
            modified = _filetime(struct.unpack_from("<Q", data, 8)[0])
    return Entry(name or _name(raw, flags), offset + shift, flags, method, time, crc, packed, size, modified, aes, mode)


def _extra_fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        yield kind, extra[at + 4 : at + 4 + length]
        at += 4 + length


def _name(raw: bytes, flags: int) -> str:
    """UTF-8 if the flag says so or it is; else the code page of the IBM PC. Some programs write \\ between folders."""
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        if flags & 0x800:
            return raw.decode("utf-8", "backslashreplace")
        name = raw.decode("cp437")
    return name if "/" in name else name.replace("\\", "/")


def _filetime(ticks: int) -> datetime | None:
    try:
        return _FILETIME_EPOCH + timedelta(microseconds=ticks // 10)
    except OverflowError:
        return None
