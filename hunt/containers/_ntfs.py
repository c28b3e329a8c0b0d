"""Files of an NTFS volume, found by their names in its file table.

The table ($MFT) is read once from end to end instead of walking folders: a folder whose index is damaged hides
nothing, no loop of folders can hold us up, and a disk of a million files takes seconds. dissect.ntfs reads the records
that are wanted.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from ._shadow import Copy, Piece
from ._streams import guarded, said
from ._wanted import File, Found, Wanted

_BLOCK = 4 << 20  # bytes of the table that are looked at in one go
_SECTOR = 512  # bytes between two places that fixups stand at, whatever the disk's sector is
_SYSTEM_FILES = 24  # records that belong to NTFS itself
_ROOT = 5
_DEPTH = 255  # folders in folders
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_IN_USE, _FOLDER = 1, 2
_ENCRYPTED, _COMPRESSED = 0x4000, 0xFF  # of an attribute's flags
_COMPARED = 1 << 16
_MOST_NAMED = 2_000_000  # records with a wanted name


class _Folder(NamedTuple):
    name: str
    parent: int
    parent_sequence: int
    sequence: int


# Files of a volume and its copies that were given: where their bytes lie, by path, size, bytes ever written, flags.
Known = dict[tuple[str, int, int, int], list[list[Piece]]]


@dataclass(slots=True)
class Volume:
    """An NTFS volume, or a shadow copy of one (`copy`); `disk`: the volume as it is now."""

    disk: BinaryIO
    wanted: Wanted
    beat: Callable[[], None]
    copy: Copy | None = None

    def files(self, known: Known) -> Iterator[Found]:
        """Wanted files, except those that are in `known` with the same bytes; the others are added to it.

        Strings are reasons for what can't be read.
        """
        from dissect.ntfs import NTFS

        stream = self.copy.open() if self.copy else self.disk
        # Without $Secure and $UsnJrnl: nothing of them is needed, and damage in them would cost the whole volume.
        ntfs = NTFS(stream, sds=io.BytesIO(), usnjrnl=io.BytesIO())
        table = _Table(ntfs, self.beat)
        for segment in table.segments(self.wanted):
            self.beat()
            try:
                yield from self._file(ntfs, table, segment, known)
            except Exception as error:  # dissect raises what its parsing happens to meet in a damaged record
                yield f"record {segment} of the file table can't be read: {said(error)}"
        yield from table.problems
        others = table.files - table.chosen
        if others or table.deleted:
            yield self.wanted.rest(others, table.deleted)

    def _file(self, ntfs: Any, table: _Table, segment: int, known: Known) -> Iterator[Found]:
        record = ntfs.mft.get(segment)
        path = table.path(record)
        if not self.wanted.path(path):
            return
        table.chosen += 1
        data = record.attributes.find("", _data_type())
        if not data:
            if path.lower().endswith(".evtx"):
                yield f"{path} has no content, or where it lies can't be read"
            return
        header = min((attribute.header for attribute in data), key=lambda header: header.lowest_vcn or 0)
        flags = int(header.flags)
        if flags & _ENCRYPTED:
            yield f"{path} is encrypted (EFS)"
            return
        size = valid = int(header.size)
        if not header.resident:
            if not flags & _COMPRESSED:
                valid = min(size, int(header.header.Form.Nonresident.ValidDataLength))
            pieces = self._pieces(ntfs.cluster_size, data.dataruns(), size)
            before = known.setdefault((path, size, valid, flags), [])
            if any(self._alike(pieces, other) for other in before):
                return
            before.append(pieces)
        yield File(path, size, _modified(record), lambda: guarded(lambda: _Valid(record.open(), valid), size))

    def _pieces(self, cluster: int, runs: list[tuple[int | None, int]], size: int) -> list[Piece]:
        """Where on the volume as it is now the bytes of a file lie."""
        found: list[Piece] = []
        left = -(-size // cluster) * cluster
        for start, count in runs:
            length = min(count * cluster, left)
            left -= length
            if start is not None and self.copy:
                found += self.copy.pieces(start * cluster, length)
            elif length:
                found.append(Piece(None if start is None else start * cluster, length))
        return found

    def _alike(self, one: list[Piece], other: list[Piece]) -> bool:
        """Whether two files hold the same bytes: only what lies at different places is read."""
        for mine, theirs in _side_by_side(one, other):
            if mine.offset == theirs.offset:
                continue
            for at in range(0, mine.length, _COMPARED):
                self.beat()
                length = min(_COMPARED, mine.length - at)
                if self._read(mine.offset, at, length) != self._read(theirs.offset, at, length):
                    return False
        return sum(piece.length for piece in one) == sum(piece.length for piece in other)

    def _read(self, offset: int | None, at: int, length: int) -> bytes:
        if offset is None:
            return bytes(length)
        self.disk.seek(offset + at)
        return self.disk.read(length)


def _side_by_side(one: list[Piece], other: list[Piece]) -> Iterator[tuple[Piece, Piece]]:
    """The same stretches of two files, each lying together in both."""
    mine, theirs = one[::-1], other[::-1]
    while mine and theirs:
        left, right = mine.pop(), theirs.pop()
        length = min(left.length, right.length)
        yield Piece(left.offset, length), Piece(right.offset, length)
        for rest, stack in ((left, mine), (right, theirs)):
            if rest.length > length:
                offset = None if rest.offset is None else rest.offset + length
                stack.append(Piece(offset, rest.length - length))


def _data_type() -> Any:
    from dissect.ntfs.c_ntfs import ATTRIBUTE_TYPE_CODE

    return ATTRIBUTE_TYPE_CODE.DATA


class _Valid(io.RawIOBase):
    """A file's bytes up to what was ever written; behind that, Windows reads zeros and the disk has old content."""

    def __init__(self, stream: Any, valid: int) -> None:
        self._stream, self._valid, self._at = stream, valid, 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset
        return offset

    def read(self, size: int = -1) -> bytes:
        written = min(size, max(0, self._valid - self._at))
        part = b""
        if written:
            self._stream.seek(self._at)
            part = self._stream.read(written)
        if len(part) == written:
            part += bytes(size - written)
        self._at += len(part)
        return part


def _modified(record: Any) -> datetime | None:
    from dissect.ntfs.c_ntfs import ATTRIBUTE_TYPE_CODE

    try:
        (information,) = record.attributes[ATTRIBUTE_TYPE_CODE.STANDARD_INFORMATION]
        return _EPOCH + timedelta(microseconds=information.attribute.attr.LastModificationTime // 10)
    except (ValueError, OverflowError, AttributeError):
        return None


class _Table:
    """The file table: which records have wanted names, and which folders they lie in."""

    def __init__(self, ntfs: Any, beat: Callable[[], None]) -> None:
        self._ntfs, self._beat = ntfs, beat
        self._size = ntfs._record_size
        self._folders: dict[int, _Folder] = {}
        self.problems: list[str] = []
        self.files = self.chosen = 0  # without those of NTFS itself
        self.deleted = 0  # with wanted names

    def segments(self, wanted: Wanted) -> Iterator[int]:
        """Numbers of records in use that hold files of wanted names, ascending; of all files, if there are few."""
        if self._size not in (1024, 2048, 4096, 512):
            raise ValueError(f"a file record of {self._size} bytes")
        stream = self._ntfs.mft.fh
        total = stream.size // self._size
        every = wanted.all = total <= wanted.everything
        names = None if every else wanted.pattern()
        base, seen = 0, set[int]()
        step = _BLOCK // self._size
        for first in range(0, total, step):
            self._beat()
            stream.seek(first * self._size)
            data = stream.read(min(step, total - first) * self._size)
            block = _Block(data, self._size)
            if block.count < min(step, total - first):
                self.problems.append(f"the file table ends after {first + block.count} of {total} records")
            named = block.named(names) if names else range(block.count)
            self.files += block.files(_SYSTEM_FILES if first == 0 else 0)
            for index in named:
                base = block.base(index)
                segment = base if base else first + index
                if base and not names:  # a continuation: its first record is met by itself
                    continue
                if segment in seen or segment < _SYSTEM_FILES:
                    continue
                if not block.whole(index):
                    self.problems.append(f"record {first + index} of the file table is damaged")
                    continue
                if not block.in_use(index):
                    self.deleted += 1 if names or block.named(wanted.pattern(), index) else 0
                    continue
                if not base and block.folder(index):
                    continue
                seen.add(segment)
                if len(seen) > _MOST_NAMED:
                    self.problems.append(f"more than {_MOST_NAMED} event logs and archives by name; no more are read")
                    return
                yield segment
            if block.count < min(step, total - first):
                return

    def path(self, record: Any) -> str:
        """A file's path from the volume's root; where a folder is lost, `$Orphan` stands for what is not known."""
        own = _folder(record)
        parts, at, sequence = [own.name], own.parent, own.parent_sequence
        for _ in range(_DEPTH):
            if at == _ROOT:
                return "/".join(reversed(parts))
            folder = self._folders.get(at)
            if folder is None:
                try:
                    folder = _folder(self._ntfs.mft.get(at))
                except Exception:  # a folder that can't be read hides no file
                    break
                self._folders[at] = folder
            if folder.sequence != sequence:
                break
            parts.append(folder.name)
            at, sequence = folder.parent, folder.parent_sequence
        return "/".join(reversed([*parts, "$Orphan"]))


def _folder(record: Any) -> _Folder:
    from dissect.ntfs.c_ntfs import ATTRIBUTE_TYPE_CODE

    names = sorted(
        (entry.attribute.attr for entry in record.attributes[ATTRIBUTE_TYPE_CODE.FILE_NAME]),
        key=lambda name: (int(name.Flags) == 2, str(name.FileName)),  # 2: the short name for DOS
    )
    parent = names[0].ParentDirectory
    number = parent.SegmentNumberLowPart | parent.SegmentNumberHighPart << 32
    return _Folder(str(names[0].FileName), number, parent.SequenceNumber, record.header.SequenceNumber)


class _Block:
    """File records that lie together, their fixups applied."""

    def __init__(self, data: bytes, size: int) -> None:
        self._size = size
        self.count = len(data) // size
        rows = np.frombuffer(data, np.uint8, self.count * size).reshape(self.count, size).copy()
        self._rows = rows
        self._used = (rows[:, :4] == np.frombuffer(b"FILE", np.uint8)).all(axis=1)
        self._broken = (rows[:, :4] == np.frombuffer(b"BAAD", np.uint8)).all(axis=1)
        self._fix(size // _SECTOR)
        self._bytes = rows.tobytes()

    def _fix(self, sectors: int) -> None:
        """The last two bytes of each sector stand in the header, [MS] multi-sector header; in their place, a number."""
        rows = self._rows
        at = rows[:, 4].astype(np.int64) | rows[:, 5].astype(np.int64) << 8
        self._used &= (at >= 0x28) & (at + 2 * (sectors + 1) <= _SECTOR)
        at = np.where(self._used, at, 0)
        lines = np.arange(self.count)
        number = np.stack([rows[lines, at], rows[lines, at + 1]], axis=1)
        self._torn = np.zeros(self.count, bool)
        for sector in range(sectors):
            end = (sector + 1) * _SECTOR
            self._torn |= (rows[:, end - 2 : end] != number).any(axis=1)
            right = np.stack([rows[lines, at + 2 * sector + 2], rows[lines, at + 2 * sector + 3]], axis=1)
            rows[:, end - 2 : end] = np.where(self._used[:, None], right, rows[:, end - 2 : end])

    def named(self, pattern: re.Pattern[bytes], index: int | None = None) -> list[int]:
        """Which records contain such a name, or whether one does."""
        begin, end = (0, len(self._bytes)) if index is None else (index * self._size, (index + 1) * self._size)
        return sorted({match.start() // self._size for match in pattern.finditer(self._bytes, begin, end)})

    def files(self, behind: int) -> int:
        """How many records from there on are files in use, continuations not counted."""
        flags = self._rows[:, 22]
        first = (self._rows[:, 32:38] == 0).all(axis=1)
        files = self._used & ~self._torn & first & (flags & _IN_USE != 0) & (flags & _FOLDER == 0)
        return int(files[behind:].sum())

    def whole(self, index: int) -> bool:
        """False for a record that is damaged; what is no record at all, since never used, is whole."""
        return not (self._broken[index] or (self._used[index] and self._torn[index]))

    def in_use(self, index: int) -> bool:
        return bool(self._used[index] and self._rows[index, 22] & _IN_USE)

    def folder(self, index: int) -> bool:
        return bool(self._rows[index, 22] & _FOLDER)

    def base(self, index: int) -> int:
        return int.from_bytes(self._rows[index, 32:38].tobytes(), "little") if self._used[index] else 0
