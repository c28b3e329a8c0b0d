"""Volume shadow copies read as libvshadow reads them, whatever a store's list of blocks says; damage is told."""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache

import pytest

from hunt.containers import _shadow
from samples.ntfs_writer import CLUSTER, volume
from samples.shadow_writer import BLOCK, FORWARDER, OVERLAY, UNUSED, Descriptor, Store, keep, write_stores

pyvshadow = pytest.importorskip("pyvshadow")

BLOCKS = 64  # of the test volumes
CREATED = 133_500_000_000_000_000  # FILETIME, in 2024
START = 32 * BLOCK  # where the stores lie


@cache
def blank(blocks: int = BLOCKS, seed: int = 0) -> bytes:
    """A volume whose every sector says where and what it is, with an NTFS boot sector to please libvshadow."""
    image = bytearray()
    for sector in range(blocks * BLOCK // 512):
        image += struct.pack("<II", seed, sector) * 64
    image[:512] = image[-512:] = volume({}, blocks * BLOCK // CLUSTER, CREATED)[:512]
    return bytes(image)


def by_libvshadow(image: bytes) -> list[bytes]:
    """What the oracle reads of each copy, the oldest first."""
    opened = pyvshadow.volume()
    opened.open_file_object(io.BytesIO(image))
    return [store.read_buffer(store.size) for store in opened.stores]


def by_us(image: bytes) -> list[bytes]:
    """The same by us."""
    found = _shadow.copies(io.BytesIO(image), len(image))
    copies = [copy for copy in found if isinstance(copy, _shadow.Copy)]
    assert len(copies) == len(found), found
    return [copy.open().read() for copy in sorted(copies, key=lambda copy: copy.number)]


def reasons(image: bytes) -> list[str]:
    """Why copies can't be read."""
    return [entry for entry in _shadow.copies(io.BytesIO(image), len(image)) if isinstance(entry, str)]


def changed(image: bytes, *blocks: int) -> bytes:
    """The volume with other content in these blocks."""
    new = bytearray(image)
    for block in blocks:
        new[block * BLOCK : (block + 1) * BLOCK] = bytes([block]) * BLOCK
    return bytes(new)


def test_a_volume_without_copies_has_none() -> None:
    image = blank()
    assert _shadow.copies(io.BytesIO(image), len(image)) == []


def test_each_copy_is_the_volume_as_it_was() -> None:
    oldest, older = blank(), changed(blank(), 3, 4, 20)
    live = changed(older, 4, 21, 22)
    image = keep([(CREATED, oldest), (CREATED + 10**7, older)], live, range(START, len(live)))
    assert [copy[:START] for copy in by_us(image)] != [live[:START]] * 2
    # Neither copy has the header that VSS keeps in the first block
    assert [copy[BLOCK:START] for copy in by_us(image)] == [state[BLOCK:START] for state in (oldest, older)]
    assert by_us(image) == by_libvshadow(image)


def test_copies_are_numbered_from_the_oldest_and_tell_when_they_were_made() -> None:
    states = [(CREATED + 10**7, changed(blank(), 2)), (CREATED, blank())]  # a catalog need not be sorted
    image = keep(states, changed(blank(), 2, 3), range(START, BLOCKS * BLOCK))
    copies = [copy for copy in _shadow.copies(io.BytesIO(image), len(image)) if isinstance(copy, _shadow.Copy)]
    assert [copy.number for copy in copies] == [2, 1]
    assert copies[1].created == datetime(2024, 1, 17, 21, 20, tzinfo=UTC)
    assert by_us(image) == by_libvshadow(image)


def test_bytes_that_did_not_change_lie_where_they_lie_on_the_volume() -> None:
    live = changed(blank(), 5)
    image = keep([(CREATED, blank())], live, range(START, len(live)))
    (copy,) = _shadow.copies(io.BytesIO(image), len(image))
    assert isinstance(copy, _shadow.Copy)
    assert copy.pieces(2 * BLOCK, BLOCK) == [_shadow.Piece(2 * BLOCK, BLOCK)]
    kept = START + 6 * BLOCK
    expected = [_shadow.Piece(5 * BLOCK - 10, 10), _shadow.Piece(kept, BLOCK), _shadow.Piece(6 * BLOCK, 10)]
    assert copy.pieces(5 * BLOCK - 10, BLOCK + 20) == expected


def random_stores(seed: int) -> list[Store]:
    """Up to three stores whose lists hold all kinds of lines, also such as Windows hardly writes."""
    choose = random.Random(seed)
    stores = []
    for index in range(choose.randint(1, 3)):
        lines = []
        for number in range(choose.randint(0, 24)):
            original = choose.randrange(1, 24) * BLOCK
            kept = (40 + 6 * index + number % 6) * BLOCK
            kind = choose.choice([0, 0, 0, FORWARDER, FORWARDER, OVERLAY, OVERLAY, UNUSED])
            if kind == FORWARDER:
                lines.append(Descriptor(original, choose.randrange(1, 24) * BLOCK, 0, kind))
            else:
                bitmap = choose.getrandbits(32) if kind == OVERLAY else 0
                lines.append(Descriptor(original, kept, kept, kind, bitmap))
        unused = choose.randbytes(BLOCKS // 8)
        before = choose.randbytes(BLOCKS // 8) if choose.random() < 0.5 else None
        stores.append(Store(CREATED + index * 10**7, lines, unused, before))
    return stores


@pytest.mark.parametrize("seed", range(40))
def test_any_list_of_blocks_is_read_as_libvshadow_does(seed: int) -> None:
    image = write_stores(blank(), random_stores(seed), START - 8 * BLOCK)
    assert by_us(image) == by_libvshadow(image)


def one_store(image: bytes | None = None) -> bytearray:
    live = changed(image or blank(), 5)
    return bytearray(keep([(CREATED, blank()), (CREATED + 10**7, changed(blank(), 7))], live, range(START, len(live))))


def loop(image: bytearray) -> None:
    struct.pack_into("<Q", image, START + 2 * BLOCK + 40, START + 2 * BLOCK)  # the older one's list of blocks


def beyond(image: bytearray) -> None:
    struct.pack_into("<Q", image, START + 2 * BLOCK + 40, 1 << 60)


def overwritten(image: bytearray) -> None:
    image[START + 2 * BLOCK : START + 3 * BLOCK] = bytes(BLOCK)


@pytest.mark.parametrize(
    ("damage", "said"), [(loop, "runs in a circle"), (beyond, "beyond the end"), (overwritten, "no block of shadow")]
)
def test_a_damaged_store_is_told_and_the_younger_ones_are_read(damage: Callable[[bytearray], None], said: str) -> None:
    image = one_store()
    damage(image)
    found = _shadow.copies(io.BytesIO(image), len(image))
    assert [copy.number for copy in found if isinstance(copy, _shadow.Copy)] == [2]
    (reason,) = reasons(bytes(image))
    assert "shadow copy 1 can't be read" in reason
    assert said in reason


def test_a_damaged_store_takes_the_older_ones_with_it() -> None:
    image = one_store()
    image[START + 7 * BLOCK : START + 8 * BLOCK] = bytes(BLOCK)  # the younger one's list of blocks
    (reason,) = _shadow.copies(io.BytesIO(image), len(image))
    assert "shadow copy 2 can't be read, nor can the 1 older ones" in str(reason)


def test_a_damaged_catalog_is_told() -> None:
    image = one_store()
    struct.pack_into("<Q", image, 0x1E00 + 48, 12345)
    assert "catalog of shadow copies is damaged" in reasons(bytes(image))[0]


def test_a_block_of_a_copy_beyond_the_volume_is_an_error_and_no_end() -> None:
    store = Store(CREATED, [Descriptor(3 * BLOCK, BLOCK, 1 << 50)])
    image = write_stores(blank(), [store], START)
    (copy,) = _shadow.copies(io.BytesIO(image), len(image))
    assert isinstance(copy, _shadow.Copy)
    stream = copy.open()
    stream.seek(3 * BLOCK)
    with pytest.raises(OSError, match="beyond the end of the volume"):
        stream.read(10)
