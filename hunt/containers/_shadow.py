"""Volume shadow copies: what a volume held when Windows kept a copy of it, 16 KiB blocks of before each change.

Read by the format description of libvshadow ("Volume Shadow Snapshot (VSS) format" 0.0.13) and tested against that
library: dissect.volume.vss is unfinished (it prints to stdout, follows chains without end, and chooses other blocks
where a store has forwarders or overlays).

A store holds the blocks that changed until the next younger store was made. A copy is therefore read through its own
store, then the younger ones in turn, then the volume as it is now.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import BinaryIO, NamedTuple

BLOCK = 0x4000
_HEADER_AT = 0x1E00  # of the volume
_IDENTIFIER = bytes.fromhex("6b87083876c1484eb7ae04046e6cc752")
_CATALOG, _BLOCKS, _BITMAP = 2, 3, 6  # record types
_HEAD = 128  # bytes of every block's header
_DESCRIPTOR = struct.Struct("<QQQII")
_FORWARDER, _OVERLAY, _UNUSED = 1, 2, 4
_SECTOR = 512  # bytes that one bit of an overlay stands for
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)

MOST_COPIES = 512  # of a volume: Windows' own limit
_MOST_DESCRIPTORS = 16 << 20  # of a volume, all copies together: some GiB of memory, a change of 256 GiB


class ShadowError(Exception):
    """Shadow copies that can't be read (on); the message says what is wrong."""


class Piece(NamedTuple):
    """Bytes of a copy that lie together on the volume at `offset`; None: zeros."""

    offset: int | None
    length: int


@dataclass(slots=True)
class _Descriptor:
    relative: int
    offset: int
    flags: int
    bitmap: int
    original: int
    overlay: _Descriptor | None = None


@dataclass(slots=True)
class _Store:
    """One copy's changed blocks, by number of the block."""

    created: int  # FILETIME
    size: int
    forward: dict[int, _Descriptor] = field(default_factory=dict)
    reverse: dict[int, _Descriptor] = field(default_factory=dict)
    unused: bytes = b""  # a bit for each block: not in use by the store
    unused_before: bytes | None = None


@dataclass(frozen=True, slots=True)
class Copy:
    """One shadow copy; copies are numbered from 1, the oldest."""

    number: int
    created: datetime | None
    _stores: tuple[_Store, ...]  # its own and all younger ones
    _volume: BinaryIO
    size: int

    def pieces(self, offset: int, length: int) -> list[Piece]:
        """Where on the volume these bytes of the copy lie, in order, joined where they follow each other."""
        found: list[Piece] = []
        end = min(offset + length, self.size)
        while offset < end:
            block, inside = divmod(offset, BLOCK)
            for piece in _block(self._stores, block):
                here = piece.length - inside
                if here <= 0:
                    inside -= piece.length
                    continue
                here = min(here, end - offset)
                _join(found, Piece(None if piece.offset is None else piece.offset + inside, here))
                offset, inside = offset + here, 0
                if offset == end:
                    break
        return found

    def open(self) -> BinaryIO:
        """The volume as it was."""
        return io.BufferedReader(_CopyStream(self), BLOCK)

    def read_at(self, offset: int, length: int) -> bytes:
        parts = []
        for piece in self.pieces(offset, length):
            if piece.offset is None:
                parts.append(bytes(piece.length))
                continue
            self._volume.seek(piece.offset)
            part = self._volume.read(piece.length)
            if len(part) < piece.length:
                raise OSError(f"a block of the shadow copy lies beyond the end of the volume (at {piece.offset})")
            parts.append(part)
        return b"".join(parts)


class _CopyStream(io.RawIOBase):
    def __init__(self, copy: Copy) -> None:
        self._copy, self._at = copy, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + (0, self._at, self._copy.size)[whence])
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        part = self._copy.read_at(self._at, len(buffer))
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)


def copies(volume: BinaryIO, size: int) -> list[Copy | str]:
    """The shadow copies of a volume of `size` bytes, the youngest first, and reasons for those that can't be read.

    A store that is damaged takes the older copies with it, for they are read through it.
    """
    volume.seek(_HEADER_AT)
    header = volume.read(64)
    if header[:16] != _IDENTIFIER:
        return []
    (catalog,) = struct.unpack_from("<Q", header, 48)
    found: list[Copy | str] = []
    try:
        entries, reasons = _catalog(volume, size, catalog) if catalog else ([], [])
    except ShadowError as error:
        return [f"the catalog of shadow copies is damaged: {error}"]
    found.extend(reasons)
    number, younger, room = len(entries), tuple[_Store, ...](), _MOST_DESCRIPTORS
    for created, volume_size, entry in reversed(entries):
        try:
            store = _store(volume, size, created, volume_size, entry, room)
        except ShadowError as error:
            older = f", nor can the {number - 1} older ones" if number > 1 else ""
            return [*found, f"shadow copy {number} can't be read{older}: {error}"]
        room -= len(store.forward)
        younger = (store, *younger)
        copied = min(store.size, size) or size
        found.append(Copy(number, _moment(created), younger, volume, copied))
        number -= 1
    return found


def _moment(filetime: int) -> datetime | None:
    try:
        return _EPOCH + timedelta(microseconds=filetime // 10)
    except OverflowError:
        return None


_Entry = tuple[int, int, int]  # block list, bitmap, previous bitmap: offsets


def _catalog(volume: BinaryIO, size: int, offset: int) -> tuple[list[tuple[int, int, _Entry]], list[str]]:
    """((creation, volume size, where the store lies) of each copy, the oldest first; reasons for those without)."""
    about: dict[bytes, tuple[int, int]] = {}
    stores: dict[bytes, _Entry] = {}
    for data in _chain(volume, size, offset, _CATALOG):
        for at in range(0, len(data) - 127, 128):
            kind, one, identifier = struct.unpack_from("<QQ16s", data, at)
            if kind == 2:
                about[identifier] = (struct.unpack_from("<Q", data, at + 48)[0], one)
            elif kind == 3:
                bitmap, _, _, before = struct.unpack_from("<QQQQ", data, at + 48)
                stores[identifier] = (one, bitmap, before)
    if len(about) > MOST_COPIES:
        raise ShadowError(f"it lists {len(about)} copies")
    whole = sorted((created, volume_size, name) for name, (created, volume_size) in about.items() if name in stores)
    missing = len(about) - len(whole)
    reasons = [f"{missing} shadow copies are not kept on this volume"] if missing else []
    return [(created, volume_size, stores[name]) for created, volume_size, name in whole], reasons


def _store(volume: BinaryIO, size: int, created: int, volume_size: int, entry: _Entry, room: int) -> _Store:
    blocks, bitmap, before = entry
    store = _Store(created, volume_size)
    if bitmap:
        store.unused = b"".join(_chain(volume, size, bitmap, _BITMAP))
    if before:
        store.unused_before = b"".join(_chain(volume, size, before, _BITMAP))
    for data in _chain(volume, size, blocks, _BLOCKS):
        for at in range(0, len(data) - 31, 32):
            original, relative, offset, flags, bits = _DESCRIPTOR.unpack_from(data, at)
            if not flags & _UNUSED and (original or relative or offset or flags or bits):
                _insert(store, _Descriptor(relative, offset, flags, bits, original))
        if len(store.forward) > room:
            raise ShadowError("its list of blocks is too long to be true")
    return store


def _chain(volume: BinaryIO, size: int, offset: int, kind: int) -> Iterator[bytes]:
    """What a chain of blocks holds behind their headers."""
    seen = set[int]()
    while offset:
        if offset in seen:
            raise ShadowError(f"a chain of its blocks runs in a circle at {offset}")
        seen.add(offset)
        if offset % _SECTOR or offset + BLOCK > size:
            raise ShadowError(f"a block lies beyond the end of the volume, at {offset}")
        volume.seek(offset)
        data = volume.read(BLOCK)
        if data[:16] != _IDENTIFIER or len(data) < BLOCK:
            raise ShadowError(f"no block of shadow copies lies at {offset}")
        (found,) = struct.unpack_from("<I", data, 20)
        if found != kind:
            raise ShadowError(f"the block at {offset} is of type {found} instead of {kind}")
        (offset,) = struct.unpack_from("<Q", data, 40)
        yield data[_HEAD:]


def _insert(store: _Store, new: _Descriptor) -> None:
    """Take up a descriptor; what later ones of the same block mean depends on those before."""
    if not new.flags & _OVERLAY:
        pointing = store.reverse.pop(new.original // BLOCK, None)
        if pointing:  # this block had been forwarded to: its content belongs to where the forwarder stands
            new.original = pointing.original
    if new.flags & _FORWARDER and new.original == new.relative:
        return
    block = new.original // BLOCK
    existing = store.forward.get(block)
    if existing and new.flags & _OVERLAY:
        overlay = existing if existing.flags & _OVERLAY else existing.overlay
        if overlay:
            overlay.bitmap |= new.bitmap
        else:
            existing.overlay = new
        return
    if existing:
        new.overlay = existing if existing.flags & _OVERLAY else existing.overlay
    store.forward[block] = new
    if new.flags & _FORWARDER:
        store.reverse[new.relative // BLOCK] = new


def _block(stores: tuple[_Store, ...], block: int) -> list[Piece]:
    """Where the bytes of one block lie: `stores[0]` is the copy's own, the younger ones follow."""
    found: list[Piece] = []
    done = 0
    own = stores[0].forward.get(block)
    overlay = own and (own if own.flags & _OVERLAY else own.overlay)
    while done < BLOCK:
        if not overlay:
            length, over = BLOCK - done, False
        else:
            length, over = _run(overlay.bitmap, done // _SECTOR)
        descriptor = overlay if over else own
        if descriptor and descriptor.flags & _OVERLAY and not over:
            descriptor = None  # an overlay alone, and it says nothing of these bytes
        start = block * BLOCK + done
        found.append(Piece(_follow(stores, descriptor, start, done), length))
        done += length
    return found


def _run(bitmap: int, bit: int) -> tuple[int, bool]:
    """(bytes from this bit on that are alike, whether the overlay holds them)."""
    over = bool(bitmap >> bit & 1)
    end = bit
    while end < 32 and bool(bitmap >> end & 1) == over:
        end += 1
    return (end - bit) * _SECTOR, over


def _follow(stores: tuple[_Store, ...], descriptor: _Descriptor | None, offset: int, inside: int) -> int | None:
    """Where bytes of one block lie that begin at `offset`, from the copy's own store on through the younger ones."""
    last = len(stores) - 1
    for index, store in enumerate(stores):
        if index:
            inside = offset % BLOCK
            descriptor = store.forward.get(offset // BLOCK)
            if descriptor and descriptor.flags & _OVERLAY:  # overlays count for the copy's own store alone
                descriptor = None
        if descriptor:
            if not descriptor.flags & _FORWARDER:
                return descriptor.offset + inside
            offset = descriptor.relative + inside
            if index == last:
                return offset
        elif index == last == 0 and _never_used(store, offset // BLOCK):
            return None
    return offset


def _never_used(store: _Store, block: int) -> bool:
    """Whether Windows leaves such a block of the youngest copy undefined: zeros stand for it, as in libvshadow."""
    if block in store.reverse or not _bit(store.unused, block):
        return False
    return store.unused_before is None or _bit(store.unused_before, block)


def _bit(bitmap: bytes, number: int) -> bool:
    return number // 8 < len(bitmap) and bool(bitmap[number // 8] >> number % 8 & 1)


def _join(pieces: list[Piece], new: Piece) -> None:
    if pieces:
        before = pieces[-1]
        follows = (
            new.offset is None
            if before.offset is None
            else (new.offset is not None and before.offset + before.length == new.offset)
        )
        if follows:
            pieces[-1] = Piece(before.offset, before.length + new.length)
            return
    pieces.append(new)
