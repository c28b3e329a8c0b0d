"""7z: what py7zr and 7-Zip write, in blocks and alone, encrypted, damaged."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import py7zr
import pytest

from hunt import budget, registry
from hunt.errors import ContainerError, LimitError
from hunt.model import Limits, Member, Opening
from tests.hunt.containers.archives import held

(SEVENZIP,) = (container for container in registry.containers() if container.name == "7z")
MEMBERS = {"a": b"1" * 300_000, "b/c": bytes(range(256)) * 300, "ä.evtx": b"3"}

# log.evtx, written by 7-Zip 26.01; the password is `secret`. The second one's header is encrypted, too.
CONTENT = b"KNOWN content of a log, many times over. " * 60
ENCRYPTED = """
N3q8ryccAAS3xkN9UAAAAAAAAABqAAAAAAAAAJ0yWEzY9nRery55/O90gUbMIAJwR1844lLv8vGIdYTp+cv9TnMsXhfflqxIy6NN
YSyfquTQBKdfE9Rz567UabKobNf2xYSPeeJVF8w7o6S+Y34kigEEBgABCVAABwsBAAIkBvEHARJTD/+o6ngzdX5T6UFihhp045Qh
IQEAAQAMRYmcAAgKATvYM0EAAAUBGQAREwBsAG8AZwAuAGUAdgB0AHgAAAAZABQKAQAo0YJmcnrdARUGAQAggKSBAAA="""
HEADER_ENCRYPTED = """
N3q8ryccAAQW3gFTwAAAAAAAAAAuAAAAAAAAABQD9lStyc+wZyNS2Xzd9oGrZUP2OflxhzW50MlqmJpE2mcEkLP8AqIEXgnDBkD1
BSfXNATSPSH2OZY+3ZKVqExaWeEtkgsoPlI0vzCEPxSZJ6Y4f13DAKVMPRf3NCE59KFFTffyU+M9coUtVhX2yTC1+pqgyGaYFsM2
pQxFodrZduubeKuPnToD39n9C6VqtXO7lRqimcScKLnWCjyUOSfFz9gcGX33zy3F0evM2ZUAayxgQ7jRGf8Ie521IfcpSDpaVi0X
BlABCXAABwsBAAEkBvEHARJTDwZz9a7rqTIut07xQYwxczEMagoBul8JlgAA"""
both = pytest.mark.parametrize("written", [ENCRYPTED, HEADER_ENCRYPTED], ids=["content", "header"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.7z"


def written(members: Mapping[str, bytes], **options: Any) -> bytes:
    """A 7z of one block, by py7zr."""
    out = io.BytesIO()
    with py7zr.SevenZipFile(out, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(content, name)
    return out.getvalue()


@pytest.mark.parametrize(
    "kind",
    [py7zr.FILTER_LZMA2, py7zr.FILTER_LZMA, py7zr.FILTER_BZIP2, py7zr.FILTER_DEFLATE, py7zr.FILTER_ZSTD,
     py7zr.FILTER_COPY, py7zr.FILTER_PPMD],
)  # fmt: skip
def test_each_method_is_read(path: Path, kind: int) -> None:
    filters = [{"id": kind, "order": 6, "mem": 24}] if kind == py7zr.FILTER_PPMD else [{"id": kind}]
    found = held(SEVENZIP, path, written(MEMBERS, filters=filters))
    assert (found.content, found.problems, found.failed) == (MEMBERS, [], {})


def test_empty_files_are_members_and_folders_are_not(path: Path) -> None:
    empty = path.with_name("empty")
    empty.touch()
    folder = path.with_name("folder")
    folder.mkdir()
    out = io.BytesIO()
    with py7zr.SevenZipFile(out, "w") as archive:
        archive.write(empty, "empty.evtx")
        archive.write(folder, "folder")
        archive.writestr(b"1", "a")
    assert held(SEVENZIP, path, out.getvalue()).content == {"a": b"1", "empty.evtx": b""}


def test_a_link_that_is_called_a_log_is_told(path: Path) -> None:
    path.with_name("elsewhere").touch()
    path.with_name("a.evtx").symlink_to("elsewhere")
    out = io.BytesIO()
    with py7zr.SevenZipFile(out, "w") as archive:
        archive.write(path.with_name("a.evtx"), "a.evtx")
    found = held(SEVENZIP, path, out.getvalue())
    assert (found.content, found.reasons) == ({}, ["is no file that can be read"])


@pytest.mark.parametrize(
    ("behind", "told"), [(b"more", ["4 bytes stand behind its end, which are not read"]), (bytes(99), [])]
)
def test_what_stands_behind_an_archive_is_told(path: Path, behind: bytes, told: list[str]) -> None:
    found = held(SEVENZIP, path, written(MEMBERS) + behind)
    assert (found.content, found.reasons) == (MEMBERS, told)


def test_a_header_that_does_not_tell_where_its_data_lie_is_damage(path: Path) -> None:
    header = b"\1\4\0\0"  # kHeader, kMainStreamsInfo and its end, the end: 7zFormat.txt
    start = struct.pack("<QQI", 0, len(header), zlib.crc32(header))
    content = b"7z\xbc\xaf\x27\x1c\0\4" + struct.pack("<I", zlib.crc32(start)) + start + header
    with pytest.raises(ContainerError, match="its header is damaged"):
        held(SEVENZIP, path, content)


def test_an_archive_of_nothing_is_read(path: Path) -> None:
    assert held(SEVENZIP, path, written({})).content == {}


@both
def test_the_password_opens_what_7_zip_encrypts(path: Path, written: str) -> None:
    found = held(SEVENZIP, path, base64.b64decode(written), "secret")
    assert (found.content, found.failed) == ({"log.evtx": CONTENT}, {})


def test_without_the_password_the_option_is_named(path: Path) -> None:
    found = held(SEVENZIP, path, base64.b64decode(ENCRYPTED))
    assert (found.content, found.reasons) == ({}, ["is encrypted: --password is needed for 1 of its members"])
    with pytest.raises(ContainerError, match="--password is needed"):
        held(SEVENZIP, path, base64.b64decode(HEADER_ENCRYPTED))


def test_a_wrong_password_is_told(path: Path) -> None:
    found = held(SEVENZIP, path, base64.b64decode(ENCRYPTED), "Secret")
    assert "or the password is wrong" in found.failed["log.evtx"]
    with pytest.raises(ContainerError, match="or the password is wrong"):
        held(SEVENZIP, path, base64.b64decode(HEADER_ENCRYPTED), "Secret")


def test_members_can_be_passed_over(path: Path) -> None:
    path.write_bytes(written(MEMBERS))
    last = b""
    for entry in SEVENZIP.members(path, Opening()):
        assert isinstance(entry, Member)
        if entry.name == "b/c":
            last = entry.open().read(100)  # and no more of it
    assert last == MEMBERS["b/c"][:100]


def test_damage_in_a_block_is_told_once_with_what_it_costs(path: Path) -> None:
    members = {name: bytes(range(256)) * 400 for name in "abcd"}
    content = bytearray(written(members, filters=[{"id": py7zr.FILTER_DEFLATE}]))
    content[40:60] = b"\xff" * 20
    found = held(SEVENZIP, path, bytes(content))
    assert list(found.failed) == ["a"]
    assert [reason.rpartition(";")[2] for reason in found.reasons] == [" 3 members after a can't be read"]


def test_a_damaged_member_that_nobody_reads_is_told(path: Path) -> None:
    content = bytearray(written({"a": b"1" * 5000, "b": b"2" * 5000}, filters=[{"id": py7zr.FILTER_COPY}]))
    content[32 + 4000] ^= 1
    path.write_bytes(content)
    problems = [entry for entry in SEVENZIP.members(path, Opening()) if not isinstance(entry, Member)]
    assert [problem.reason for problem in problems] == [
        "is damaged: its checksum differs; 1 members after a can't be read"
    ]


@pytest.mark.parametrize("at", [8, 12, 20, -1])
def test_a_damaged_header_is_told(path: Path, at: int) -> None:
    content = bytearray(written(MEMBERS))
    content[at] ^= 0xFF
    with pytest.raises(ContainerError, match="header is damaged"):
        held(SEVENZIP, path, bytes(content))


@pytest.mark.parametrize("kind", [py7zr.FILTER_LZMA2, py7zr.FILTER_DEFLATE, py7zr.FILTER_ZSTD, py7zr.FILTER_BZIP2])
def test_a_bomb_is_stopped_also_while_it_is_passed_over(path: Path, monkeypatch: pytest.MonkeyPatch, kind: int) -> None:
    monkeypatch.setattr(budget, "GRACE", 1 << 20)
    path.write_bytes(written({"a": bytes(30 << 20)}, filters=[{"id": kind}]))
    opening = Opening(limits=Limits(ratio=10))
    opening.budget.enter(path.stat().st_size)
    with pytest.raises(LimitError, match="--max-ratio"):
        list(SEVENZIP.members(path, opening))
