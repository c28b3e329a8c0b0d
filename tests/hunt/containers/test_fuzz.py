"""Archives with damage anywhere: nothing but the errors of the contract comes out, and every reading ends."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from pathlib import Path
from typing import BinaryIO

import py7zr
import pytest
import pyzipper
from hypothesis import given, settings
from hypothesis import strategies as st

from hunt import registry
from hunt.errors import ContainerError
from hunt.model import Limits, Opening, Problem
from tests.hunt.containers.archives import tar_bytes

MEMBERS = {"a.evtx": b"ElfFile\0" + bytes(900) + bytes(range(256)), "b/" * 60 + "c": b"text" * 300, "d": b"4"}


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for method, (name, content) in zip((8, 12, 14), MEMBERS.items(), strict=True):
            archive.writestr(name, content, method)
    return out.getvalue()


def _aes() -> bytes:
    out = io.BytesIO()
    with pyzipper.AESZipFile(out, "w", compression=8, encryption=pyzipper.WZ_AES) as archive:
        archive.setpassword(b"secret")
        archive.writestr("a", MEMBERS["a.evtx"])
    return out.getvalue()


def _7z() -> bytes:
    out = io.BytesIO()
    with py7zr.SevenZipFile(out, "w") as archive:
        for name, content in MEMBERS.items():
            archive.writestr(content, name)
    return out.getvalue()


TAR = tar_bytes(MEMBERS)
ARCHIVES = {
    "zip": ("zip", _zip()),
    "aes": ("zip", _aes()),
    "7z": ("7z", _7z()),
    "tar": ("tar", TAR),
    "gz": ("compressed", gzip.compress(TAR)),
    "bz2": ("compressed", bz2.compress(TAR)),
    "xz": ("compressed", lzma.compress(TAR)),
}
CONTAINERS = {container.name: container for container in registry.containers()}
changes = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.sampled_from(["set", "cut", "put"]), st.integers(0, 255)),
    min_size=1,
    max_size=4,
)


def _damaged(content: bytes, edits: list[tuple[float, str, int]]) -> bytes:
    data = bytearray(content)
    for where, what, value in edits:
        at = int(where * len(data))
        if what == "set" and data:
            data[at] = value
        elif what == "put":
            data[at:at] = bytes([value]) * (value % 20 + 1)
        elif what == "cut" and value > 200:
            del data[at:]
    return bytes(data)


@pytest.mark.parametrize("kind", ARCHIVES)
def test_damage_is_data_and_every_reading_ends(tmp_path_factory: pytest.TempPathFactory, kind: str) -> None:
    name, whole = ARCHIVES[kind]
    path: Path = tmp_path_factory.mktemp("fuzz") / "archive"

    @settings(max_examples=60)
    @given(changes)
    def reads(edits: list[tuple[float, str, int]]) -> None:
        content = _damaged(whole, edits)
        if not CONTAINERS[name].accepts(content[:8192]):
            return
        path.write_bytes(content)
        opening = Opening("secret", Limits(ratio=50))
        opening.budget.enter(path.stat().st_size)
        try:
            for count, entry in enumerate(CONTAINERS[name].members(path, opening)):
                assert count < 5000
                if not isinstance(entry, Problem):
                    _drain(entry.open())
        except ContainerError:
            pass

    reads()


def _drain(stream: BinaryIO) -> None:
    try:
        while stream.read(1 << 16):
            pass
    except ContainerError:
        pass
