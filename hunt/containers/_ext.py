"""Files of an ext2, ext3 or ext4 volume, by dissect.extfs."""

from __future__ import annotations

import stat
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, BinaryIO

from ._streams import guarded, said
from ._wanted import File

_MOST = 5_000_000  # files and folders of a volume that are looked at
_FOLDER_SIZE = 1 << 30  # bytes of one folder that are read
_ENCRYPTED = 0x800  # inode flag EXT4_ENCRYPT_FL


def files(volume: BinaryIO, beat: Callable[[], None]) -> Iterator[File | str]:
    """Every regular file, folder by folder, names sorted; reasons for what can't be read. Links are not followed."""
    from dissect.extfs import ExtFS

    system = ExtFS(volume)
    folders: list[tuple[Any, str]] = [(system.root, "")]
    seen = {system.root.inum}
    while folders:
        folder, path = folders.pop()
        below = []
        for node in _listed(system, folder):
            beat()
            if isinstance(node, str):
                yield f"folder {path or '/'}: {node}"
                continue
            name = _printable(f"{path}{node.filename}")
            try:
                kind = node.filetype
                if kind == stat.S_IFDIR and node.inum not in seen:
                    below.append((node, f"{name}/"))
                elif kind == stat.S_IFREG:
                    yield _file(node, name)
            except Exception as error:  # dissect raises what its parsing happens to meet in a damaged inode
                yield f"{name} can't be read: {said(error)}"
            seen.add(node.inum)
            if len(seen) > _MOST:
                yield f"has more than {_MOST} files and folders; no more are looked at"
                return
        folders.extend(reversed(below))


def _listed(system: Any, folder: Any) -> list[Any]:
    """What a folder holds, by name; reasons for what of it can't be read.

    Read here, since dissect.extfs 3.15 ends a folder at the first damaged entry and tells nobody. Entries lie in
    blocks that stand for themselves: one that is damaged costs no other.
    """
    nodes: dict[str, Any] = {}
    reasons: list[str] = []
    try:
        stream, size = folder.open(), int(folder.size)
        for at in range(0, min(size, _FOLDER_SIZE), system.block_size):
            stream.seek(at)
            for inode, name in _entries(stream.read(system.block_size), reasons):
                if inode > system.sb.s_inodes_count:
                    reasons.append(f"{_printable(name)} has inode {inode}, which is none")
                elif name not in (".", ".."):
                    nodes[name] = system.get_inode(inode, name)
    except Exception as error:  # as above: what was read of the folder counts
        reasons.append(f"can't be read (on): {said(error)}")
    return [*(nodes[name] for name in sorted(nodes)), *reasons]


def _entries(block: bytes, reasons: list[str]) -> Iterator[tuple[int, str]]:
    """(inode, name) of the entries of one block of a folder; those without an inode are free space."""
    at = 0
    while at + 8 <= len(block):
        inode, length, name_length = struct.unpack_from("<IHB", block, at)
        if length < 8 or length % 4 or at + length > len(block) or name_length + 8 > length:
            reasons.append("one of its blocks is damaged, what stands there is not read")
            return
        if inode:
            yield inode, block[at + 8 : at + 8 + name_length].decode("utf-8", "surrogateescape")
        at += length


def _file(node: Any, name: str) -> File | str:
    if node.inode.i_flags & _ENCRYPTED:
        return f"{name} is encrypted"
    size = int(node.size)
    try:
        modified = datetime.fromtimestamp(node.mtime_ns // 10**9, UTC)
    except (ValueError, OverflowError, OSError):
        modified = None
    return File(name, size, modified, lambda: guarded(node.open, size))


def _printable(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
