"""Files of FAT12, FAT16, FAT32 and exFAT volumes: memory sticks with collected logs, EFI partitions.

Read by Microsoft's specifications (FAT 1.03; exFAT 7.2) and not by dissect.fat 3.13, which joins clusters that lie the
other way round, reads one cluster of folders without a chain, and follows chains that run in a circle.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import BinaryIO, cast

from ._shadow import Piece
from ._streams import Guarded, Pieces
from ._wanted import File

_MOST = 5_000_000  # files and folders of a volume that are looked at
_FOLDER_SIZE = 256 << 20  # bytes of one folder: exFAT's limit
_FOLDER, _LABEL, _LONG_NAME = 0x10, 0x08, 0x0F
_PAGE = 1 << 16


class _DamageError(Exception):
    pass


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    folder: bool
    cluster: int
    size: int
    chained: bool  # through the table; else its clusters follow each other
    valid: int
    modified: datetime | None


@dataclass(slots=True)
class _Clusters:
    """Where clusters lie and which follows which. Offsets in bytes of the volume."""

    volume: BinaryIO
    table: int
    bits: int  # of an entry
    data: int  # of cluster 2
    size: int
    count: int
    page: Callable[[int], bytes]

    def after(self, cluster: int) -> int:
        at = cluster * self.bits // 8
        length = 4 if self.bits == 32 else 2
        raw = b"".join(self.page(offset // _PAGE)[offset % _PAGE :][:1] for offset in range(at, at + length))
        value = int.from_bytes(raw, "little")
        if self.bits == 12:
            return value >> 4 if cluster & 1 else value & 0xFFF
        return value

    def pieces(self, first: int, size: int | None, chained: bool) -> list[Piece]:
        """A file's clusters, as many as `size` needs; None: up to the end of their chain."""
        needed = self.count if size is None else -(-size // self.size)
        found: list[Piece] = []
        if not needed or (size is None and not first):
            return found
        if not chained:
            if not 2 <= first <= first + needed - 1 < self.count + 2:
                raise _DamageError(f"its {needed} clusters from {first} on do not lie on the volume")
            return [Piece(self._at(first), needed * self.size)]
        cluster, ends = first, 0
        for number in range(needed):
            if not 2 <= cluster < self.count + 2:
                raise _DamageError(f"its chain of clusters leads to {cluster} after {number} of {needed}")
            at = self._at(cluster)
            if found and ends == at:
                found[-1] = Piece(found[-1].offset, found[-1].length + self.size)
            else:
                found.append(Piece(at, self.size))
            ends = at + self.size
            cluster = self._next(cluster)
            if size is None and not 2 <= cluster < self.count + 2:
                return found
        if size is None:
            raise _DamageError("its chain of clusters runs in a circle")
        return found

    def _next(self, cluster: int) -> int:
        value = self.after(cluster)
        return value & 0x0FFFFFFF if self.bits == 32 and self.count < 0x0FFFFFF5 else value

    def _at(self, cluster: int) -> int:
        return self.data + (cluster - 2) * self.size


def fat(volume: BinaryIO, beat: Callable[[], None]) -> Iterator[File | str]:
    """Every file of a FAT volume; times are local ones of an unknown zone, so none is given."""
    volume.seek(0)
    boot = volume.read(512)
    sector, per_cluster, reserved, tables, roots, total16, _, table16 = struct.unpack_from("<HBHBHHBH", boot, 11)
    total32, table32 = struct.unpack_from("<II", boot, 32)
    table = table16 or table32
    root_sectors = -(-roots * 32 // sector)
    data = reserved + tables * table + root_sectors
    count = max(0, (total16 or total32) - data) // per_cluster
    bits = 12 if count < 4085 else 16 if count < 65525 else 32
    table_size = table * sector
    count = min(count, max(0, table_size * 8 // bits - 2))
    clusters = _Clusters(
        volume, reserved * sector, bits, data * sector, per_cluster * sector, count,
        _pages(volume, reserved * sector, table_size),
    )  # fmt: skip
    if bits == 32:
        (first,) = struct.unpack_from("<I", boot, 44)
        root = clusters.pieces(first, None, chained=True)
    else:
        root = [Piece((reserved + tables * table) * sector, roots * 32)]
    yield from _walk(clusters, root, _fat_entries, beat)


def exfat(volume: BinaryIO, beat: Callable[[], None]) -> Iterator[File | str]:
    """Every file of an exFAT volume."""
    volume.seek(0)
    boot = volume.read(512)
    table, table_length, heap, count, root = struct.unpack_from("<IIIII", boot, 80)
    if not (9 <= boot[108] <= 12 and boot[109] <= 25 - boot[108]):
        raise _DamageError(f"sectors of 2^{boot[108]} bytes, clusters of 2^{boot[109]} sectors")
    sector = 1 << boot[108]
    count = min(count, table_length * sector // 4)
    clusters = _Clusters(
        volume, table * sector, 32, heap * sector, sector << boot[109], count,
        _pages(volume, table * sector, table_length * sector),
    )  # fmt: skip
    yield from _walk(clusters, clusters.pieces(root, None, chained=True), _exfat_entries, beat)


def _pages(volume: BinaryIO, start: int, size: int) -> Callable[[int], bytes]:
    @lru_cache(256)
    def page(number: int) -> bytes:
        volume.seek(start + number * _PAGE)
        return volume.read(min(_PAGE, max(0, size - number * _PAGE)))

    return page


def _walk(
    clusters: _Clusters, root: list[Piece], entries: Callable[[bytes], Iterator[_Entry | str]], beat: Callable[[], None]
) -> Iterator[File | str]:
    folders = [("", root)]
    seen, count = set[int](), 0
    while folders:
        path, pieces = folders.pop()
        below = []
        content = Pieces(clusters.volume, pieces).read(_FOLDER_SIZE)
        for entry in entries(content):
            beat()
            count += 1
            if count > _MOST:
                yield f"has more than {_MOST} files and folders; no more are looked at"
                return
            if isinstance(entry, str):
                yield f"folder {path or '/'}: {entry}"
                continue
            try:
                if not entry.folder:
                    yield _file(clusters, entry, path + entry.name)
                elif entry.cluster not in seen:
                    seen.add(entry.cluster)
                    size = entry.size if not entry.chained else None
                    below.append((f"{path}{entry.name}/", clusters.pieces(entry.cluster, size, entry.chained)))
            except _DamageError as damage:
                yield f"{path}{entry.name}: {damage}"
        folders.extend(reversed(below))


def _file(clusters: _Clusters, entry: _Entry, name: str) -> File:
    def opened() -> BinaryIO:
        try:
            pieces = clusters.pieces(entry.cluster, entry.size, entry.chained)
        except _DamageError as damage:
            raise OSError(str(damage)) from None
        stream = Pieces(clusters.volume, [*_first(pieces, entry.valid), Piece(None, entry.size - entry.valid)])
        return cast(BinaryIO, Guarded(stream, entry.size))

    return File(name, entry.size, entry.modified, opened)


def _first(pieces: list[Piece], size: int) -> list[Piece]:
    found = []
    for piece in pieces:
        found.append(Piece(piece.offset, min(piece.length, size)))
        size -= found[-1].length
    return found


def _fat_entries(content: bytes) -> Iterator[_Entry | str]:
    long: list[tuple[int, int, bytes]] = []  # (order, checksum of the short name, characters)
    for at in range(0, len(content) - 31, 32):
        row = content[at : at + 32]
        if row[0] == 0:
            return
        if row[0] == 0xE5:
            long = []
        elif row[11] & 0x3F == _LONG_NAME:
            long.append((row[0] & 0x3F, row[13], row[1:11] + row[14:26] + row[28:32]))
        else:
            if not row[11] & _LABEL and row[:11].rstrip() not in (b".", b".."):
                yield _fat_entry(row, long)
            long = []


def _fat_entry(row: bytes, long: list[tuple[int, int, bytes]]) -> _Entry:
    high, low, size = struct.unpack_from("<H4xHI", row, 20)
    total = 0
    for byte in row[:11]:
        total = ((total >> 1) + ((total & 1) << 7) + byte) & 0xFF
    if long and all(checksum == total for _, checksum, _ in long):
        raw = b"".join(characters for _, _, characters in sorted(long))
        name = raw.decode("utf-16-le", "backslashreplace").partition("\0")[0]
    else:
        base, ending = ((b"\xe5" + row[1:8] if row[0] == 5 else row[:8]), row[8:11])
        name = base.decode("cp437").rstrip() + ("." + ending.decode("cp437").rstrip() if ending.strip() else "")
    return _Entry(name, bool(row[11] & _FOLDER), high << 16 | low, size, True, size, None)


def _exfat_entries(content: bytes) -> Iterator[_Entry | str]:
    at = 0
    while at + 32 <= len(content) and content[at]:
        kind, more = content[at], content[at + 1]
        rows = [content[n : n + 32] for n in range(at, min(at + 32 * (more + 1), len(content)), 32)]
        at += 32
        if kind != 0x85:
            continue
        if len(rows) < 3 or rows[1][0] != 0xC0:
            yield "an entry without what says where its file lies"
            continue
        at += 32 * more
        attributes, modified = struct.unpack_from("<H6xI", rows[0], 4)
        valid, cluster, size = struct.unpack_from("<Q4xIQ", rows[1], 8)
        raw = b"".join(row[2:32] for row in rows[2:] if row[0] == 0xC1)[: 2 * rows[1][3]]
        name = raw.decode("utf-16-le", "backslashreplace")
        folder, chained = bool(attributes & _FOLDER), not rows[1][1] & 2
        yield _Entry(
            name, folder, cluster, size, chained, min(valid, size), _moment(modified, rows[0][21], rows[0][23])
        )


def _moment(stamp: int, hundredths: int, zone: int) -> datetime | None:
    if not zone & 0x80:  # local time of an unknown zone
        return None
    quarters = zone & 0x7F
    offset = timedelta(minutes=15 * (quarters - 128 if quarters & 0x40 else quarters))
    try:
        local = datetime(
            1980 + (stamp >> 25), stamp >> 21 & 15, stamp >> 16 & 31, stamp >> 11 & 31, stamp >> 5 & 63, stamp % 32 * 2,
            tzinfo=UTC,
        )  # fmt: skip
        return local + timedelta(milliseconds=10 * hundredths) - offset
    except (ValueError, OverflowError):
        return None
