"""Disk images as one stream of the disk's bytes: E01, VMDK, VHDX, VHD, QCOW2, raw; also in several files.

The formats are read by dissect (AGPL, extra `images`), which is imported only once an image is met.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

from hunt.errors import ContainerError

from ._signatures import EWF, QCOW2, VHD, VHDX, VMDK_DESCRIPTOR, VMDK_SPARSE, known_unread
from ._streams import Guarded, said

_HEAD = 8192
_DESCRIPTOR = 1 << 20  # bytes of a VMDK's description that are read; usual is 1 KiB
_PARENTS = 16  # snapshots on each other
_SEGMENTS = 10_000  # files of one image


def belongs_to(path: Path) -> str | None:
    """The name of the image beside this file that it is a part of, so that it is read with that one."""
    head = _head(path)
    if head.startswith(EWF) and int.from_bytes(head[9:11], "little") > 1:
        firsts = (path.with_suffix(suffix) for suffix in (".E01", ".e01"))
        return next((first.name for first in firsts if _ewf_number(first) == 1), None)
    if re.search(r"-(flat|delta|s\d+|f\d+)\.vmdk$", path.name, re.IGNORECASE):
        for other in sorted(path.parent.glob("*.vmdk")):
            if other != path and path.name in _extents(_head(other)):
                return other.name
    return None


def open_disk(path: Path, notes: list[str], opened: ExitStack) -> tuple[BinaryIO, int]:
    """(the disk's bytes, how many); what is missing of it goes to `notes`, files that were opened to `opened`.

    Raises ContainerError or OSError.
    """
    head = _head(path)
    unread = known_unread(head)
    if unread:
        raise ContainerError(unread)
    try:
        return _opened(path, head, notes, opened)
    except (ContainerError, OSError):
        raise
    except Exception as error:  # of the libraries, which raise what their parsing happens to meet in a damaged file
        raise ContainerError(f"can't be opened as a disk image: {said(error)}") from error


def _opened(path: Path, head: bytes, notes: list[str], opened: ExitStack) -> tuple[BinaryIO, int]:
    if head.startswith(EWF):
        return _ewf(path, notes)
    if head.startswith((*VMDK_SPARSE, VMDK_DESCRIPTOR)):
        from dissect.hypervisor.disk.vmdk import VMDK

        _check_vmdk(path, 0)
        disk = VMDK(opened.enter_context(path.open("rb")))
        for extent in disk.disks:
            opened.callback(extent.fh.close)
        return _guarded(disk)
    for magic, opener in _OPENERS.items():
        if head.startswith(magic):
            # Not the path: the libraries would open a parent or backing file by what the image says.
            return _guarded(opener(_guarded(opened.enter_context(path.open("rb")))[0]))
    files = [opened.enter_context(part.open("rb")) for part in _raw_parts(path)]
    return _guarded(_Joined(files) if len(files) > 1 else files[0])


def _vhdx(file: BinaryIO) -> Any:
    from dissect.hypervisor.disk.vhdx import VHDX

    return VHDX(file)


def _vhd(file: BinaryIO) -> Any:
    from dissect.hypervisor.disk.vhd import VHD

    return VHD(file)


def _qcow2(file: BinaryIO) -> Any:
    from dissect.hypervisor.disk.qcow2 import QCow2

    return QCow2(file).open()


_OPENERS: dict[bytes, Callable[[BinaryIO], Any]] = {VHDX: _vhdx, VHD: _vhd, QCOW2: _qcow2}


def _ewf(path: Path, notes: list[str]) -> tuple[BinaryIO, int]:
    from dissect.evidence import ewf

    segments = _ewf_segments(path, int.from_bytes(_head(path)[9:11], "little"))
    with segments[-1].open("rb") as last:
        last.seek(max(0, last.seek(0, io.SEEK_END) - 76))  # the last section's header: 76 bytes, its type first
        if last.read(16).rstrip(b"\0") != b"done":
            notes.append(
                f"segment {len(segments) + 1} is missing or {segments[-1].name} is cut: what lies there is not read"
            )
    return _guarded(ewf.EWF(segments).open())


def _ewf_segments(path: Path, number: int) -> list[Path]:
    if number != 1:
        raise ContainerError(f"is segment {number} of an image whose first does not lie beside it")
    others = _ewf_siblings(path) | {1: path}
    return [others[n] for n in range(1, _unbroken(others) + 1)]


def _ewf_siblings(path: Path) -> dict[int, Path]:
    """Segments beside this one by their numbers. Their names count as well: stem.E01 to .EZZ, .F01 and so on."""
    suffix = re.compile(r"\.[e-z][0-9a-z]{2}", re.IGNORECASE)
    found: dict[int, Path] = {}
    if suffix.fullmatch(path.suffix):
        others = (
            other for other in path.parent.iterdir() if other.stem == path.stem and suffix.fullmatch(other.suffix)
        )
        for other in sorted(islice(others, _SEGMENTS)):
            number = _ewf_number(other)
            if number:
                found.setdefault(number, other)
    return found


def _ewf_number(path: Path) -> int | None:
    """The number of a segment, None for what is none."""
    head = _head(path) if path.is_file() else b""
    return int.from_bytes(head[9:11], "little") if head.startswith(EWF) else None


def _unbroken(numbers: dict[int, Path]) -> int:
    count = 1
    while count + 1 in numbers:
        count += 1
    return count


def _raw_parts(path: Path) -> list[Path]:
    """`disk.001`, `disk.002` and so on; also from 000 on, and with more digits. A gap ends it."""
    digits = path.suffix[1:]
    if not re.fullmatch(r"0{2,5}[01]", digits):
        return [path]
    parts = [path]
    for number in range(int(digits) + 1, _SEGMENTS):
        following = path.with_suffix(f".{number:0{len(digits)}}")
        if not following.is_file():
            break
        parts.append(following)
    return parts


def _check_vmdk(path: Path, depth: int) -> None:
    """Refuse a VMDK that would lead out of its folder, or that dissect would read at the wrong places."""
    if depth > _PARENTS:
        raise ContainerError(f"more than {_PARENTS} snapshots stand on each other")
    text = _description(path)
    for line in text.splitlines():
        extent = re.match(r'\s*(?:RW|RDONLY|NOACCESS)\s+\d+\s+(\w+)(?:\s+"(.*?)")?(?:\s+(\d+))?', line)
        if not extent:
            continue
        kind, name, start = extent.groups()
        if kind == "ZERO" or int(start or 0):
            raise ContainerError(f"a VMDK with such an extent is not read: {line.strip()[:80]}")
        if not _description_only(path) or name is None:
            continue
        if "/" in name or "\\" in name or not (path.parent / name).is_file():
            raise ContainerError(f"its extent {name!r} does not lie beside it")
    if re.search(r"^parentCID\s*=\s*(?!ffffffff)", text, re.IGNORECASE | re.MULTILINE):
        hint = re.search(r'^parentFileNameHint\s*=\s*"(.*?)"', text, re.MULTILINE)
        name = hint[1].replace("\\", "/").rpartition("/")[2] if hint else ""
        if not name or not (path.parent / name).is_file():
            raise ContainerError(f"is a snapshot; the disk it stands on, {name!r}, does not lie beside it")
        _check_vmdk(path.parent / name, depth + 1)


def _description_only(path: Path) -> bool:
    return _head(path).startswith(VMDK_DESCRIPTOR)


def _description(path: Path) -> str:
    head = _head(path)
    offset, size = 0, _DESCRIPTOR
    if not head.startswith(VMDK_DESCRIPTOR):
        # Sparse extent header: sectors of the embedded description at 28 and 36, by VMware's specification 5.0
        offset, size = (512 * int.from_bytes(head[at : at + 8], "little") for at in (28, 36))
        if not head.startswith(VMDK_SPARSE[0]) or not offset:
            return ""
    with path.open("rb") as file:
        file.seek(min(offset, 1 << 40))
        return file.read(min(size, _DESCRIPTOR)).split(b"\0", 1)[0].decode("utf-8", "replace")


def _extents(head: bytes) -> set[str]:
    if not head.startswith(VMDK_DESCRIPTOR):
        return set()
    return set(re.findall(r'^(?:RW|RDONLY|NOACCESS) .*?"(.*?)"', head.decode("utf-8", "replace"), re.MULTILINE))


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)


class _Joined(io.RawIOBase):
    """Files one after the other."""

    def __init__(self, files: Sequence[BinaryIO]) -> None:
        self._files = files
        self._ends: list[int] = []
        for file in self._files:
            self._ends.append((self._ends[-1] if self._ends else 0) + file.seek(0, io.SEEK_END))
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + (0, self._at, self._ends[-1])[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        for file, begin, end in zip(self._files, [0, *self._ends], self._ends, strict=False):
            if self._at < end:
                file.seek(self._at - begin)
                part = file.read(min(len(buffer), end - self._at))
                buffer[: len(part)] = part
                self._at += len(part)
                return len(part)
        return 0


def _guarded(stream: Any) -> tuple[BinaryIO, int]:
    size = stream.seek(0, io.SEEK_END)
    return cast(BinaryIO, io.BufferedReader(Guarded(stream, size), 1 << 16)), size
