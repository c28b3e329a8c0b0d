"""A disk image from its first byte to its files: disk, partitions, volumes, shadow copies, files in this order."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from ._disk import open_disk
from ._partitions import Partition, partitions
from ._shadow import Copy, copies
from ._signatures import READ, SNIFF, file_system, volume_size
from ._streams import Window, said
from ._wanted import File, Found, Rest, Wanted, choose

if TYPE_CHECKING:
    from . import _ntfs

_BLANK = 64 << 10  # bytes at a volume's begin that are zeros if it was never formatted
_SAMPLES = 64  # places besides that are looked at: the begin of a volume may have been wiped, or not be read


@dataclass(frozen=True, slots=True)
class Unit:
    """A volume or a shadow copy of one begins; `name` as its files' paths begin."""

    number: int
    name: str


@dataclass(frozen=True, slots=True)
class Unread:
    """Something that can't be read: `name` as its files' paths begin, "" for the whole image."""

    name: str
    reason: str


Step = Unit | Unread | File | Rest


def walk(path: Path, first: int, beat: Callable[[], None]) -> Iterator[Step]:
    """All that is found, from unit `first` on; before it, nothing is said again. May raise ContainerError, OSError.

    `beat` is called from time to time while nothing is found.
    """
    with ExitStack() as opened:
        notes: list[str] = []
        disk, size = open_disk(path, notes, opened)
        found = [*notes, *_volumes(disk, size)]
        if not first:
            yield from (Unread("", entry) for entry in found if isinstance(entry, str))
        number = 0
        for part in found:
            if isinstance(part, Partition):
                for name, files in _units(disk, part):
                    if number >= first:
                        yield Unit(number, name)
                        yield from _files(name, part.size, files, beat)
                    number += 1


def _volumes(disk: BinaryIO, size: int) -> list[Partition | str]:
    """The partitions; number 0 if the image is one volume and has no table."""
    head = _head(disk, SNIFF)
    kind = file_system(head)
    if kind:
        cut = kind in READ and volume_size(head) > size
        notes = ["its volume reaches beyond the end of the image, what is there is read"] if cut else []
        return [*notes, Partition(0, 0, size)]
    return partitions(disk, size) or ["no partition table and no known file system"]


_Files = Callable[[Callable[[], None]], Iterator[Found]]


def _files(label: str, size: int, files: _Files, beat: Callable[[], None]) -> Iterator[Step]:
    try:
        for found in files(beat):
            if isinstance(found, str):
                yield Unread(label, found)
            elif isinstance(found, Rest):
                yield Rest(f"{label}/{found.said}")
            elif found.size > size:
                yield Unread(f"{label}/{found.name}", f"claims {found.size} bytes, more than its volume has")
            else:
                yield File(f"{label}/{found.name}", found.size, found.modified, found.open)
    except Exception as error:  # of a library, in damaged data: this volume ends here, the others are read
        yield Unread(label, f"can't be read (on): {said(error)}")


def _units(disk: BinaryIO, part: Partition) -> Iterator[tuple[str, _Files]]:
    """(name, what gives its files) of a partition's volume and of its shadow copies."""
    label = f"p{part.number}"
    volume = cast(BinaryIO, io.BufferedReader(Window(disk, part.start, part.size), 1 << 16))
    try:
        kind = file_system(_head(volume, SNIFF))
        blank = kind is None and _is_blank(volume, part.size)
    except OSError as error:
        yield label, _reason(f"can't be read: {error}")
        return
    if kind == "ntfs":
        yield from _ntfs_units(label, volume, part.size)
    elif kind in READ:
        yield label, _walker(kind, volume)
    elif kind:
        what = f"is {kind}" if kind.startswith("encrypted") else f"its file system is {kind}"
        yield label, _reason(f"{what}, nothing of it is read")
    elif part.holds_files and not blank:
        yield label, _reason("its file system is not known, nothing of it is read")


def _is_blank(volume: BinaryIO, size: int) -> bool:
    if any(_head(volume, _BLANK)):
        return False
    for place in range(1, _SAMPLES + 1):
        volume.seek(max(0, size // 512 * place // _SAMPLES - 1) * 512)
        if any(volume.read(512)):
            return False
    return True


def _ntfs_units(label: str, volume: BinaryIO, size: int) -> Iterator[tuple[str, _Files]]:
    from . import _ntfs

    known: _ntfs.Known = {}
    yield label, lambda beat: _ntfs.Volume(volume, Wanted(), beat).files(known)
    for copy in copies(volume, size):
        if isinstance(copy, str):
            yield label, _reason(copy)
        else:
            yield f"{label}@vss{copy.number}", partial(_of_copy, volume, copy, known)


def _of_copy(volume: BinaryIO, copy: Copy, known: _ntfs.Known, beat: Callable[[], None]) -> Iterator[Found]:
    from . import _ntfs

    return _ntfs.Volume(volume, Wanted(), beat, copy).files(known)


def _walker(kind: str, volume: BinaryIO) -> _Files:
    from . import _ext, _fat

    walkers = {"ext": _ext.files, "fat": _fat.fat, "exfat": _fat.exfat}
    return lambda beat: choose(walkers[kind](volume, beat), Wanted())


def _reason(text: str) -> _Files:
    return lambda _: iter([text])


def _head(stream: BinaryIO, size: int) -> bytes:
    stream.seek(0)
    return stream.read(size)
