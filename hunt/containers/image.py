"""Disk images: E01, VMDK, VHDX, VHD, QCOW2 and raw ones, also in several files, with volume shadow copies.

Members are named by partition and path: `p1/Windows/System32/winevt/Logs/Security.evtx`; `p0` if the image is one
volume without a partition table; `p1@vss2` for the second shadow copy, counted from the oldest. NTFS, ext2 to ext4,
FAT and exFAT are read; of other file systems, and of encrypted ones, a Problem says so.

Volumes of up to 10,000 files give all of them, larger ones those that are event logs or archives by name
(archives not in folders that Windows and programs fill); how many others there were is told by one more name.
Of a shadow copy, files are left out whose very bytes on the disk were given before. Deleted files are not looked for.

Needs the extra `images`, whose libraries (dissect, AGPL) are imported in a process of their own once an image is met.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from hunt.errors import ContainerError, PartOfAnotherError
from hunt.model import Member, Opening, Problem

from ._signatures import is_image

_LIBRARIES = ("evidence", "hypervisor", "ntfs", "extfs")


class Image:
    """Disk images. See `hunt.model.Container`."""

    name = "image"

    def accepts(self, head: bytes) -> bool:
        return is_image(head)

    def members(self, path: Path, opening: Opening) -> Iterator[Member | Problem]:
        # Here, since most runs meet no image.
        from ._disk import belongs_to
        from ._sandbox import Found, found
        from ._walk import walk

        whole = belongs_to(path)
        if whole:
            raise PartOfAnotherError(path.with_name(whole))
        if not _installed():
            raise ContainerError("is a disk image; to read it: pip install 'evtx-hunt[images]'")
        for entry in found(path, walk):
            if isinstance(entry, Found):
                yield Member(entry.name, entry.size, entry.modified, entry.open)
            else:
                yield Problem(entry.name, "file", entry.reason)


def _installed() -> bool:
    try:
        return all(importlib.util.find_spec(f"dissect.{name}") for name in _LIBRARIES)
    except ModuleNotFoundError:
        return False


CONTAINER = Image()
