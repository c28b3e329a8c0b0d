"""Writes volume shadow copies into a volume: what it held before, block by block, as Windows keeps it.

By "Volume Shadow Snapshot (VSS) format" 0.0.13 of libvshadow. The caller gives the place: clusters of the volume that
no file has, or that belong to the files under "System Volume Information" that Windows would keep them in.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

BLOCK = 0x4000
_HEADER_AT = 0x1E00
_IDENTIFIER = bytes.fromhex("6b87083876c1484eb7ae04046e6cc752")
_HEAD = 128
_CATALOG, _BLOCKS, _STORE, _RANGES, _BITMAP = 2, 3, 4, 5, 6

FORWARDER, OVERLAY, UNUSED = 1, 2, 4


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One line of a store's list of blocks; offsets in bytes."""

    original: int
    relative: int
    offset: int
    flags: int = 0
    bitmap: int = 0


@dataclass(slots=True)
class Store:
    """What is kept for one copy."""

    created: int  # FILETIME
    descriptors: Sequence[Descriptor]
    unused: bytes = b""  # a bit for each block of the volume
    unused_before: bytes | None = None
    blocks: dict[int, bytes] = field(default_factory=dict)  # content by offset


def keep(states: Sequence[tuple[int, bytes]], live: bytes, area: range) -> bytes:
    """The volume `live` with a shadow copy for each of `states` ((creation, volume), the oldest first).

    `area`: bytes of the volume for the stores, in whole blocks; what the states hold there is not kept.
    """
    at = area.start + BLOCK * (1 + 5 * len(states))  # behind what write_stores takes
    stores = []
    volumes = [volume for _, volume in states] + [live]
    for (created, before), after in zip(states, volumes[1:], strict=True):
        store, descriptors = Store(created, []), []
        for start in range(0, len(live), BLOCK):
            if start not in area and before[start : start + BLOCK] != after[start : start + BLOCK]:
                store.blocks[at] = before[start : start + BLOCK]
                descriptors.append(Descriptor(start, at - area.start, at))
                at += BLOCK
        store.descriptors = descriptors
        stores.append(store)
    if at > area.stop:
        raise ValueError(f"the stores need {at - area.start} bytes")
    return write_stores(live, stores, area.start)


def write_stores(live: bytes, stores: Sequence[Store], start: int) -> bytes:
    """The volume with header, catalog and stores: one block of catalog at `start`, then five for each store."""
    image = bytearray(live)
    image[_HEADER_AT : _HEADER_AT + 512] = _volume_header(start)
    catalog = []
    for index, store in enumerate(stores):
        base = start + BLOCK * (1 + 5 * index)
        header, blocks, ranges, bitmap, before = (base + BLOCK * part for part in range(5))
        identifier = bytes([index + 1]) * 16
        catalog.append(
            struct.pack("<QQ16sQQQ", 2, len(live), identifier, index + 1, 0x40, store.created).ljust(128, b"\0")
        )
        used_before = before if store.unused_before is not None else 0
        where = (blocks, identifier, header, ranges, bitmap, 0, BLOCK * 5, used_before)
        catalog.append(struct.pack("<QQ16sQQQQQQ", 3, *where).ljust(128, b"\0"))
        about = struct.pack("<16s16s16sIIIIHH", identifier, identifier, identifier, 13, 0, 0x21, 0, 0, 0)
        _put(image, header, _STORE, about, base, len(about))
        lines = (struct.pack("<QQQII", d.original, d.relative, d.offset, d.flags, d.bitmap) for d in store.descriptors)
        _put(image, blocks, _BLOCKS, b"".join(lines), base)
        _put(image, ranges, _RANGES, struct.pack("<QQQ", base, 0, BLOCK * 5), base)
        _put(image, bitmap, _BITMAP, store.unused, base)
        if store.unused_before is not None:
            _put(image, before, _BITMAP, store.unused_before, base)
        for offset, content in store.blocks.items():
            image[offset : offset + BLOCK] = content
    _put(image, start, _CATALOG, b"".join(catalog), start)
    return bytes(image)


def _volume_header(catalog: int) -> bytes:
    identifiers = bytes([0xAA]) * 16
    return struct.pack(
        "<16sIIQQQQQ16s16sI", _IDENTIFIER, 2, 1, _HEADER_AT, _HEADER_AT, 0, catalog, 0, identifiers, identifiers, 0
    ).ljust(512, b"\0")


def _put(image: bytearray, offset: int, kind: int, content: bytes, base: int, size: int = 0) -> None:
    if len(content) > BLOCK - _HEAD:
        raise ValueError(f"{len(content)} bytes do not fit into one block of type {kind}")
    head = struct.pack("<16sIIQQQQ", _IDENTIFIER, 1, kind, offset - base, offset, 0, size)
    image[offset : offset + BLOCK] = (head.ljust(_HEAD, b"\0") + content).ljust(BLOCK, b"\0")
