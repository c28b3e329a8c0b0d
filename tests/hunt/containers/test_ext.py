"""ext2 to ext4 volumes, made by mke2fs: every file is read, and a damaged folder never hides one in silence."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.hunt.containers.walking import walked, walked_bytes

pytestmark = pytest.mark.skipif(not shutil.which("mke2fs"), reason="needs mke2fs (e2fsprogs)")

_random = random.Random(2)
FILES = {f"logs/{number:03}.evtx": _random.randbytes(700 * number) for number in range(1, 100)} | {"notes.txt": b"abc"}


@pytest.fixture(scope="module", params=["ext2", "ext3", "ext4"])
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A volume with FILES, and links that lead in a circle and out of it."""
    folder = tmp_path_factory.mktemp("ext")
    for name, content in FILES.items():
        (folder / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "in" / name).write_bytes(content)
    (folder / "in" / "logs" / "up").symlink_to("..")
    (folder / "in" / "out.evtx").symlink_to("/etc/passwd")
    command = [
        "mke2fs",
        "-q",
        "-b",
        "1024",
        "-t",
        request.param,
        "-d",
        str(folder / "in"),
        str(folder / "image"),
        "12M",
    ]
    subprocess.run(command, check=True, capture_output=True)
    return (folder / "image").read_bytes()


def test_every_file_is_read_and_no_link_followed(tmp_path: Path, image: bytes) -> None:
    found = walked_bytes(tmp_path, image)
    assert {name.removeprefix("p0/"): content for name, content in found.files.items()} == FILES
    assert (found.reasons, found.failed) == ([], {})


def test_a_damaged_block_of_a_folder_is_told_and_its_other_blocks_are_read(tmp_path: Path, image: bytes) -> None:
    at = image.index(b"001.evtx") - 8
    assert at // 1024 == (image.index(b"010.evtx") - 8) // 1024
    damaged = image[: at + 4] + b"\0\0" + image[at + 6 :]
    found = walked_bytes(tmp_path, damaged)
    assert found.reasons == [("p0", "folder logs/: one of its blocks is damaged, what stands there is not read")]
    assert 30 < len(found.files) < len(FILES)


@pytest.mark.parametrize("seed", range(4))
def test_random_damage_ends_and_is_no_crash(tmp_path: Path, image: bytes, seed: int) -> None:
    choose = random.Random(seed)
    used = [at for at in range(0, 1 << 20, 1024) if any(image[at : at + 1024])]
    content = bytearray(image)
    for _ in range(choose.choice([20, 200])):
        content[choose.choice(used[1:80]) + choose.randrange(1024)] = choose.randrange(256)
    (tmp_path / "disk.img").write_bytes(content)
    walked(tmp_path / "disk.img")
