"""zip: stored, deflate, deflate64, bzip2, LZMA, xz and Zstandard; old and AES encryption; damaged directories.

The standard library's reader knows no deflate64 and no AES, and gives up where the directory is damaged.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from hunt.errors import ContainerError
from hunt.model import Member, Opening, Problem
from hunt.streams import blocks, checked, stream

if TYPE_CHECKING:  # what reads zips is imported when one is met, as most runs meet none
    from ._zip_directory import Entry

_LOCAL, _END = b"PK\3\4", b"PK\5\6"
_SPLIT = b"PK\x07\x08", b"PK00"  # stand before the first header of a split or once split archive
_STORED, _LZMA = 0, 14


class Zip:
    """See `hunt.model.Container`."""

    name = "zip"

    def accepts(self, head: bytes) -> bool:
        return head[:4] in (_LOCAL, _END) or (head[:4] in _SPLIT and head[4:8] == _LOCAL)

    def members(self, path: Path, opening: Opening) -> Iterator[Member | Problem]:
        with path.open("rb") as listing, path.open("rb", buffering=0) as data:
            yield from _Reading(data, opening).members(listing, path.stat().st_size)


class _Reading:
    def __init__(self, data: BinaryIO, opening: Opening) -> None:
        self._data = data
        self._opening = opening
        self._locked: list[str] = []  # the first member that can't be opened, and None of the others
        self._count = 0

    def members(self, listing: BinaryIO, size: int) -> Iterator[Member | Problem]:
        from ._zip_directory import central, scattered

        known: set[int] = set()
        try:
            for entry in central(listing, size):
                known.add(entry.offset)
                yield from self._member(entry)
        except ContainerError as error:
            yield Problem("", "file", f"{error}; members are searched for by the headers before each")
            for entry in scattered(listing, size, known):
                yield from self._member(entry)
        if self._locked:
            said = "the password does not open" if self._opening.password else "--password is needed for"
            yield Problem("", "file", f"is encrypted: {said} {self._count} of its members ({self._locked[0]})")

    def _member(self, entry: Entry) -> Iterator[Member | Problem]:
        if entry.folder:
            return
        if entry.link:  # what it holds is another file's name
            if entry.name.lower().endswith(".evtx"):
                yield Problem(entry.name, "file", "is no file that can be read")
        elif entry.encrypted and not self._opens(entry):
            self._count += 1
            self._locked = self._locked or [entry.name]
        else:
            yield Member(entry.name, entry.size, entry.modified, lambda: stream(self._content(entry)))

    def _opens(self, entry: Entry) -> bool:
        """Whether there is a password and it fits; damage is told of when the member is read."""
        try:
            return self._opening.password is not None and self._plain(entry) is not None
        except (ContainerError, OSError):
            return True

    def _plain(self, entry: Entry) -> Iterator[bytes] | None:
        """The compressed data of a member, decrypted; None if the password is wrong."""
        from ._zip_directory import data_place

        at = data_place(self._data, entry.offset)
        if at is None:
            raise ContainerError("is damaged: its header is not where the directory says")
        self._data.seek(at)
        if entry.flags & 0x2040:
            raise ContainerError("is encrypted in a way that can't be read (PKWARE's strong encryption)")
        if entry.encrypted:
            from ._zip_crypto import decrypted

            return decrypted(self._data, entry, self._opening.password or "")
        return blocks(self._data, entry.packed)

    def _content(self, entry: Entry) -> Iterator[bytes]:
        from ._codecs import ZIP_METHODS, decoded

        if entry.method != _STORED and entry.method not in ZIP_METHODS:
            raise ContainerError(f"is compressed by method {entry.method}, which can't be read")
        packed = self._plain(entry)
        if packed is None:
            raise ContainerError("is encrypted, and the password does not open it")
        if entry.method == _STORED:
            if entry.packed is None:
                raise ContainerError("is damaged: nothing says where it ends")
            parts = packed
        else:
            whole = entry.method != _LZMA  # whose end need not be marked: size and checksum tell
            parts = decoded(packed, ZIP_METHODS[entry.method], self._opening.budget.meter(), whole)
        # AE-2 leaves the checksum out: it would tell of the content.
        crc = 0 if entry.aes and entry.aes[0] == 2 else entry.crc
        yield from checked(parts, entry.size, None if entry.aes and not crc else crc)


CONTAINER = Zip()
