"""Partition tables, also those that lie: nothing is read for ever, and what is left out is told."""

from __future__ import annotations

import io
import struct

import pytest

from hunt.containers._partitions import MOST, Partition, is_table, partitions
from tests.hunt.containers.disks import gpt

_MB = 1 << 20


def mbr(*entries: tuple[int, int, int], size: int = 8 * _MB) -> bytearray:
    """A disk whose table has these (type, first sector, sectors)."""
    disk = bytearray(size)
    write_table(disk, 0, *entries)
    return disk


def write_table(disk: bytearray, sector: int, *entries: tuple[int, int, int]) -> None:
    for number, (kind, start, length) in enumerate(entries):
        struct.pack_into("<B3xB3xII", disk, sector * 512 + 446 + 16 * number, 0, kind, start, length)
    disk[sector * 512 + 510 : sector * 512 + 512] = b"\x55\xaa"


def found(disk: bytes) -> list[Partition | str]:
    return partitions(io.BytesIO(disk), len(disk))


def test_partitions_of_an_mbr_keep_their_numbers() -> None:
    disk = mbr((7, 2048, 2048), (0, 0, 0), (0x82, 4096, 2048))
    assert found(disk) == [Partition(1, _MB, _MB), Partition(3, 2 * _MB, _MB, holds_files=False)]


def test_partitions_in_the_same_place_are_both_read() -> None:
    disk = mbr((7, 2048, 2048), (7, 2048, 1024))
    assert not is_table(disk[:512])  # a file that has no more to show is taken for no disk
    assert found(disk) == [Partition(1, _MB, _MB), Partition(2, _MB, _MB // 2)]


def test_a_gpt_counts_without_what_protects_it() -> None:
    disk = gpt(b"a" * 4096)
    disk[:512] = bytes(512)
    assert found(disk) == [Partition(1, _MB, 4096)]


def test_logical_drives_are_numbered_from_five() -> None:
    disk = mbr((7, 2048, 1024), (5, 4096, 8192))
    write_table(disk, 4096, (7, 63, 1000), (5, 2048, 2048))
    write_table(disk, 4096 + 2048, (0x83, 63, 500))
    drives = [Partition(5, (4096 + 63) * 512, 512_000), Partition(6, (4096 + 2048 + 63) * 512, 256_000)]
    assert found(disk) == [Partition(1, _MB, _MB // 2), *drives]


def test_logical_drives_in_a_circle_end() -> None:
    disk = mbr((5, 4096, 8192))
    write_table(disk, 4096, (7, 63, 1000), (5, 2048, 2048))
    write_table(disk, 4096 + 2048, (7, 63, 1000), (5, 2048, 2048))
    assert [entry for entry in found(disk) if isinstance(entry, str)] == [
        "its chain of logical drives runs in a circle"
    ]


def test_a_broken_chain_of_logical_drives_is_told() -> None:
    disk = mbr((5, 4096, 8192))
    assert found(disk) == ["its chain of logical drives is broken"]


def test_partitions_of_a_gpt_reach_to_their_last_sector() -> None:
    disk = gpt(b"a" * 4096, b"b" * 8192)
    assert found(disk) == [Partition(1, _MB, 4096), Partition(2, _MB + 4096, 8192)]


def test_a_gpt_of_a_disk_with_large_sectors_is_read() -> None:
    disk = gpt(b"a" * 8192, sector=4096)
    assert found(disk) == [Partition(1, _MB, 8192)]


@pytest.mark.parametrize("at", [512 + 60, 1024 + 40])
def test_a_damaged_gpt_is_replaced_by_the_copy_at_the_end(at: int) -> None:
    disk = gpt(b"a" * 4096)
    disk[at] ^= 0xFF
    assert found(disk) == ["its GPT is damaged, the copy at its end is used", Partition(1, _MB, 4096)]


def test_a_gpt_damaged_in_both_places_is_told() -> None:
    disk = gpt(b"a" * 4096)
    disk[512 + 60] ^= 0xFF
    disk[-512 + 60] ^= 0xFF
    assert found(disk) == ["its GPT is damaged, and so is the copy at its end"]


def test_a_gpt_that_claims_too_many_partitions_is_not_believed() -> None:
    disk = gpt(b"a" * 4096)
    for at in (512, len(disk) - 512):
        struct.pack_into("<I", disk, at + 80, 0xFFFFFFFF)
    assert found(disk) == ["its GPT is damaged, and so is the copy at its end"]


def test_what_lies_beyond_the_image_is_told_and_what_is_there_is_read() -> None:
    disk = mbr((7, 2048, 1 << 20), (7, 1 << 22, 100))
    assert found(disk) == [
        "partition 1 reaches beyond the end of the image, what is there is read",
        Partition(1, _MB, 7 * _MB),
        "partition 2 lies beyond the end of the image",
    ]


def test_more_partitions_than_any_disk_has_are_not_followed() -> None:
    disk = mbr((5, 1, 1 << 14))
    for number in range(MOST + 10):
        write_table(disk, 1 + 2 * number, (7, 1, 1), (5, 2 * (number + 1), 2))
    assert found(disk)[-1] == f"it has more than {MOST} logical drives"


@pytest.mark.parametrize(
    "boot",
    [
        pytest.param(bytes(510) + b"\x55\xaa", id="nothing but the signature"),
        pytest.param(b"\xcc" * 510 + b"\x55\xaa", id="entries that are no entries"),
        pytest.param(bytes(mbr((7, 0, 100)))[:512], id="one that begins with the table itself"),
        pytest.param(bytes(mbr((7, 100, 0)))[:512], id="one of no length"),
        pytest.param(bytes(mbr((7, 100, 100), (7, 150, 100)))[:512], id="two in the same place"),
        pytest.param(bytes(mbr((7, 100, 100)))[:510] + b"\0\0", id="no signature"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_other_files_are_no_tables(boot: bytes) -> None:
    assert not is_table(boot)
