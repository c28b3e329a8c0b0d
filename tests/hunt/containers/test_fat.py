"""FAT and exFAT volumes read as the Sleuth Kit reads them, and damaged ones without an end."""

from __future__ import annotations

import random
import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hunt.containers import _wanted
from hunt.containers._walk import walk
from tests.hunt.containers.disks import exfat, fat
from tests.hunt.containers.walking import walked, walked_bytes

pytsk3 = pytest.importorskip("pytsk3")

_random = random.Random(1)
LOG = "Microsoft-Windows-Sysmon%4Operational.evtx"
FILES = {
    f"Logs/{LOG}": _random.randbytes(5000),
    "Logs/one-cluster.evtx": _random.randbytes(512),
    "Logs/below/Security.evtx": _random.randbytes(1500),
    "notes.txt": b"abc",
    "Logs/empty.evtx": b"",
}
IN_ONE_FOLDER = {name.rpartition("/")[2]: content for name, content in FILES.items() if content}


def by_the_sleuth_kit(image: bytes) -> dict[str, bytes]:
    """Every file as the oracle reads it."""

    class Memory(pytsk3.Img_Info):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__(url="", type=pytsk3.TSK_IMG_TYPE_EXTERNAL)

        def read(self, offset: int, size: int) -> bytes:
            return image[offset : offset + size]

        def get_size(self) -> int:
            return len(image)

    memory = Memory()
    found: dict[str, bytes] = {}

    def below(folder: Any, path: str) -> None:
        for entry in folder:
            name, meta = entry.info.name.name.decode(), entry.info.meta
            if name in (".", "..") or name.startswith("$") or "Volume Label" in name or not meta:
                continue
            if meta.type == pytsk3.TSK_FS_META_TYPE_DIR:
                below(entry.as_directory(), f"{path}{name}/")
            else:
                found[path + name] = entry.read_random(0, meta.size) if meta.size else b""

    below(pytsk3.FS_Info(memory).open_dir("/"), "")
    return found


def ours(folder: Path, image: bytes) -> dict[str, bytes]:
    found = walked_bytes(folder, image)
    assert (found.reasons, found.failed) == ([], {})
    return {name.removeprefix("p0/"): content for name, content in found.files.items()}


@pytest.mark.parametrize("bits", [12, 16, 32])
@pytest.mark.parametrize("backwards", [False, True])
def test_fat_is_read_whichever_way_its_clusters_lie(tmp_path: Path, bits: int, backwards: bool) -> None:
    image = fat(FILES, bits, backwards)
    assert ours(tmp_path, image) == FILES == by_the_sleuth_kit(image)


@pytest.mark.parametrize("chained", [False, True])
def test_exfat_is_read_with_and_without_chains(tmp_path: Path, chained: bool) -> None:
    image = exfat(IN_ONE_FOLDER, chained)
    expected = {f"Logs/{name}": content for name, content in IN_ONE_FOLDER.items()}
    assert ours(tmp_path, image) == expected == by_the_sleuth_kit(image)


def test_times_of_exfat_are_utc_and_those_of_fat_unknown(tmp_path: Path) -> None:
    for image, expected in ((exfat({"a.evtx": b"a"}, False), datetime(2026, 3, 2, 9, tzinfo=UTC)), (fat(FILES), None)):
        path = tmp_path / "disk.img"
        path.write_bytes(image)
        files = [step for step in walk(path, 0, lambda: None) if isinstance(step, _wanted.File)]
        assert {file.modified for file in files} == {expected}


def test_a_chain_that_runs_in_a_circle_ends_where_the_file_does(tmp_path: Path) -> None:
    image = bytearray(fat({"a.evtx": bytes(2000), "b.evtx": b"b" * 600}))
    struct.pack_into("<H", image, 512 + 2 * 3, 2)  # cluster 3 leads back to 2
    found = walked_bytes(tmp_path, bytes(image))
    assert len(found.files["p0/a.evtx"]) == 2000
    assert found.files["p0/b.evtx"] == b"b" * 600


def test_a_folder_that_runs_in_a_circle_is_told(tmp_path: Path) -> None:
    image = bytearray(fat({"a.evtx": b"a" * 600, "Logs/b.evtx": b"b"}))
    folder = next(at for at in range(4096, len(image), 32) if image[at + 11] == 0x10 and image[at : at + 1] == b"F")
    (cluster,) = struct.unpack_from("<H", image, folder + 26)
    struct.pack_into("<H", image, 512 + 2 * cluster, cluster)
    found = walked_bytes(tmp_path, bytes(image))
    assert found.files == {"p0/a.evtx": b"a" * 600}
    assert [reason for _, reason in found.reasons] == ["Logs: its chain of clusters runs in a circle"]


def test_a_file_whose_clusters_lie_nowhere_fails_and_the_others_are_read(tmp_path: Path) -> None:
    image = bytearray(fat({"a.evtx": b"a" * 600, "b.evtx": b"b" * 600}))
    struct.pack_into("<H", image, 512 + 2 * 2, 0x7000)
    found = walked_bytes(tmp_path, bytes(image))
    assert found.files == {"p0/b.evtx": b"b" * 600}
    assert found.failed == {"p0/a.evtx": "its chain of clusters leads to 28672 after 1 of 2"}


@pytest.mark.parametrize("seed", range(30))
def test_random_damage_ends_and_is_no_crash(tmp_path: Path, seed: int) -> None:
    choose = random.Random(seed)
    made = exfat(IN_ONE_FOLDER, chained=True) if seed % 2 else fat(FILES, 12)
    image = bytearray(made)
    for _ in range(20):
        image[choose.randrange(11, 200_000)] = choose.randrange(256)
    path = tmp_path / "disk.img"
    path.write_bytes(image)
    walked(path)
