"""Partition tables: where on a disk its volumes lie. MBR with logical drives, GPT with its copy at the disk's end.

Written for tables that lie: everything is bounded, an entry that can't be is a reason and the others count.
Formats: MBR as Windows writes it; GPT by UEFI 2.10, chapter 5.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO
from uuid import UUID

SECTORS = (512, 4096)  # bytes a sector, as disks in use have them
MOST = 128  # partitions of a disk that are looked at: GPT's usual table size

_BOOT_SIGNATURE = b"\x55\xaa"
_PROTECTIVE = 0xEE  # MBR type of the entry that stands for a GPT
_EXTENDED = (0x05, 0x0F, 0x85)
_GPT_HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")
_GPT_ENTRY = struct.Struct("<16s16sQQQ72s")
_TABLE = 1 << 20  # bytes of a GPT's entries that are read; usual are 16 KiB

# Partitions that never hold files, by what their table says of them.
_NO_FILES = frozenset(
    {
        UUID("E3C9E316-0B5C-4DB8-817D-F92DF00215AE"),  # Microsoft reserved
        UUID("21686148-6449-6E6F-744E-656564454649"),  # BIOS boot
        UUID("0657FD6D-A4AB-43C4-84E5-0933C84B4F4F"),  # Linux swap
        0x82,  # Linux swap
    }
)


@dataclass(frozen=True, slots=True)
class Partition:
    """A stretch of a disk, in bytes. `number` counts from 1 as Windows and Linux do; logical drives from 5."""

    number: int
    start: int
    size: int
    holds_files: bool = True


def partitions(disk: BinaryIO, size: int) -> list[Partition | str]:
    """The partitions of a disk of `size` bytes, reasons for what of its tables can't be read; [] without a table."""
    boot = _at(disk, 0, 512)
    entries = _entries(boot) if boot[510:512] == _BOOT_SIGNATURE else []
    if _has_gpt(disk) or any(kind == _PROTECTIVE for _, kind, _, _ in entries):
        return _gpt(disk, size)
    if all(status in (0, 0x80) for status, _, _, _ in entries):
        return list(_within(_mbr(disk, entries), size))
    return []


def is_table(boot: bytes) -> bool:
    """Whether a disk's first sector holds a partition table that makes sense, not just the two bytes at its end."""
    entries = _entries(boot)
    return boot[510:512] == _BOOT_SIGNATURE and _could_be_table(boot) and any(kind for _, kind, _, _ in entries)


def _could_be_table(boot: bytes) -> bool:
    used = [(status, start, length) for status, kind, start, length in _entries(boot) if kind]
    ends = sorted((start, start + length) for _, start, length in used)
    return (
        all(status in (0, 0x80) and start and length for status, start, length in used)
        and all(kind or not (start or length) for _, kind, start, length in _entries(boot))
        and all(before[1] <= after[0] for before, after in pairwise(ends))
    )


def _entries(boot: bytes) -> list[tuple[int, int, int, int]]:
    """(status, type, first sector, sectors) of the four entries."""
    found = struct.iter_unpack("<B3xB3xII", boot[446:510])
    return [(status, kind, start, length) for status, kind, start, length in found]


def _mbr(disk: BinaryIO, entries: list[tuple[int, int, int, int]]) -> Iterator[Partition | str]:
    for number, (_, kind, start, length) in enumerate(entries, 1):
        if kind in _EXTENDED:
            yield from _logical(disk, start)
        elif kind and start and length:
            yield Partition(number, start * 512, length * 512, kind not in _NO_FILES)


def _logical(disk: BinaryIO, extended: int) -> Iterator[Partition | str]:
    """Logical drives: a chain of tables, each with a drive and the next table, relative to the first."""
    table, seen = extended, set[int]()
    for number in range(5, 5 + MOST):
        if table in seen:
            yield "its chain of logical drives runs in a circle"
            return
        seen.add(table)
        boot = _at(disk, table * 512, 512)
        if boot[510:512] != _BOOT_SIGNATURE:
            yield "its chain of logical drives is broken"
            return
        (_, kind, start, length), (_, following, relative, _) = _entries(boot)[:2]
        if kind and length:
            yield Partition(number, (table + start) * 512, length * 512, kind not in _NO_FILES)
        if following not in _EXTENDED or not relative:
            return
        table = extended + relative
    yield f"it has more than {MOST} logical drives"


def _has_gpt(disk: BinaryIO) -> bool:
    return any(_at(disk, sector, 8) == b"EFI PART" for sector in SECTORS)


def _gpt(disk: BinaryIO, size: int) -> list[Partition | str]:
    for sector in SECTORS:
        found = _gpt_at(disk, sector, sector)
        if found is not None:
            return list(_within(found, size))
    return _backup(disk, size, ["its GPT is damaged"])


def _backup(disk: BinaryIO, size: int, reasons: list[str]) -> list[Partition | str]:
    """The partitions by the GPT's copy in the disk's last sector."""
    for sector in SECTORS:
        found = _gpt_at(disk, size // sector * sector - sector, sector)
        if found is not None:
            return [*(f"{reason}, the copy at its end is used" for reason in reasons), *_within(found, size)]
    return ["its GPT is damaged, and so is the copy at its end"]


def _gpt_at(disk: BinaryIO, offset: int, sector: int) -> list[Partition | str] | None:
    """The partitions by the header at this offset; None if it or its table is not whole by their checksums."""
    header = _at(disk, offset, sector)
    if len(header) < _GPT_HEADER.size:
        return None
    signature, _, length, checksum, _, _, _, _, _, _, table, count, entry, sums = _GPT_HEADER.unpack_from(header)
    if signature != b"EFI PART" or not _GPT_HEADER.size <= length <= sector:
        return None
    if zlib.crc32(header[:16] + bytes(4) + header[20:length]) != checksum:
        return None
    if entry < _GPT_ENTRY.size or count * entry > _TABLE:
        return None
    rows = _at(disk, table * sector, count * entry)
    if zlib.crc32(rows) != sums:
        return None
    found: list[Partition | str] = []
    for number in range(1, count + 1):
        kind, _, first, last, _, _ = _GPT_ENTRY.unpack_from(rows, (number - 1) * entry)
        if kind != bytes(16):
            files = UUID(bytes_le=kind) not in _NO_FILES
            found.append(Partition(number, first * sector, (last - first + 1) * sector, files))
    return found


def _within(found: list[Partition | str] | Iterator[Partition | str], size: int) -> Iterator[Partition | str]:
    """Partitions that lie on the disk; those that reach over its end are cut and said to be."""
    for count, entry in enumerate(found):
        if isinstance(entry, str):
            yield entry
        elif count >= MOST:
            yield f"it has more than {MOST} partitions"
            return
        elif entry.size <= 0 or entry.start >= size:
            yield f"partition {entry.number} lies beyond the end of the image"
        elif entry.start + entry.size > size:
            yield f"partition {entry.number} reaches beyond the end of the image, what is there is read"
            yield Partition(entry.number, entry.start, size - entry.start, entry.holds_files)
        else:
            yield entry


def _at(disk: BinaryIO, offset: int, length: int) -> bytes:
    if offset < 0:
        return b""
    disk.seek(offset)
    return disk.read(length)
