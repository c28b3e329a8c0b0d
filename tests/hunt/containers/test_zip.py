"""zip files: every method and cipher against the programs that write them, damage, lies."""

from __future__ import annotations

import base64
import bz2
import io
import lzma
import stat
import struct
import sys
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pyzipper

from hunt import budget, registry
from hunt.errors import LimitError
from hunt.model import Limits, Member, Opening
from tests.hunt.containers.archives import Held, Zipped, deflated, held, zip_bytes

if TYPE_CHECKING or sys.version_info < (3, 14):
    from backports import zstd
else:
    from compression import zstd

(ZIP,) = (container for container in registry.containers() if container.name == "zip")

# log.evtx, written by Info-ZIP 3.0 and 7-Zip 26.01; the password is `secret`.
CONTENT = b"KNOWN content of a log, many times over. " * 60
DEFLATE64 = """
UEsDBBUAAAAJAJdZdl072DNBSAAAAJwJAAAIAAAAbG9nLmV2dHjlysEJgDAQRcFWfgFiI0I8eg6yimB2QRfB7tNFLm/Os5R1K9rD
0zwVh6ruOCe16r/yavYqPntm4SM+4iM+4iM+4iM+4uO42AFQSwECPwMVAAAACQCXWXZdO9gzQUgAAACcCQAACAAkAAAAAAAAACCA
pIEAAAAAbG9nLmV2dHgKACAAAAAAAAEAGAAo0YJmcnrdAQAAAAAAAAAAAAAAAAAAAABQSwUGAAAAAAEAAQBaAAAAbgAAAAAA"""
LZMA = """
UEsDBD8AAgAOAJdZdl072DNBTAAAAJwJAAAIAAAAbG9nLmV2dHgaAQUAXQAQAAAAJZOGIYclcN1hDyXhzIkw3BfeZ+XPnUcvTqpC
1s88Vp6UbJmW4OvC4TPY9EX4z+papw0kRL/OVFFqPXLsQ//6CbwAUEsBAj8DPwACAA4Al1l2XTvYM0FMAAAAnAkAAAgAJAAAAAAA
AAAggKSBAAAAAGxvZy5ldnR4CgAgAAAAAAABABgAKNGCZnJ63QEAAAAAAAAAAAAAAAAAAAAAUEsFBgAAAAABAAEAWgAAAHIAAAAA
AA=="""
# From a pipe: zip64, named -, said to be a pipe.
PIPED = """
UEsDBC0AAAAIAJdZdl072DNB//////////8BABQALQEAEACcCQAAAAAAAEEAAAAAAAAA8/bzD/dTSM7PK0nNK1HIT1NIVMjJT9dR
yE3Mq1QoycxNLVbIL0st0lPwHlU4qnBU4ajCUYWjCkcVjiocVUhrhQBQSwECHgMtAAAACACXWXZdO9gzQUEAAACcCQAAAQAAAAAA
AAABAAAAgBEAAAAALVBLBgYsAAAAAAAAAB4DLQAAAAAAAAAAAAEAAAAAAAAAAQAAAAAAAAAvAAAAAAAAAHQAAAAAAAAAUEsGBwAA
AACjAAAAAAAAAAEAAABQSwUGAAAAAAEAAQAvAAAAdAAAAAAA"""
OLD_CIPHER = """
UEsDBBQACQAIAJdZdl072DNBTQAAAJwJAAAIABwAbG9nLmV2dHhVVAkAAy3OAmstzgJrdXgLAAEEAAAAAAQAAAAAp7RYS/G28rHl
UF7H6RjfetxDiq7etuKdSk1veBlJVgcGUnxPzuMKDJvqnTDS7n0JlrIhJIsKkgGB2NHngLmUbMuoIFnyIjNRc62mKBlQSwcIO9gz
QU0AAACcCQAAUEsBAh4DFAAJAAgAl1l2XTvYM0FNAAAAnAkAAAgAGAAAAAAAAQAAAKSBAAAAAGxvZy5ldnR4VVQFAAMtzgJrdXgL
AAEEAAAAAAQAAAAAUEsFBgAAAAABAAEATgAAAJ8AAAAAAA=="""
AES128_DEFLATE64 = """
UEsDBDMAAQBjAJdZdl0AAAAAXAAAAJwJAAAIAAsAbG9nLmV2dHgBmQcAAgBBRQEJADTI80VPEI3ZaqSCxFuqvUgEtIARznl6m612
qXmww9aCb5+ueuhbB1uJALzvQPz+4rqJZtPF08q+56X1ETaai+g38DZejn3A1KPmPrcshIiWIVIjcDBufSCzT8mmUEsBAj8DMwAB
AGMAl1l2XQAAAABcAAAAnAkAAAgALwAAAAAAAAAggKSBAAAAAGxvZy5ldnR4CgAgAAAAAAABABgAKNGCZnJ63QEAAAAAAAAAAAAA
AAAAAAAAAZkHAAIAQUUBCQBQSwUGAAAAAAEAAQBlAAAAjQAAAAAA"""
AES256 = """
UEsDBDMAAQBjAJdZdl0AAAAAXgAAAJwJAAAIAAsAbG9nLmV2dHgBmQcAAgBBRQMIAFTyYcQIcHf6PxNnmHsQ1V1cH/pyh9Z/O6r2
zFLEmQ4ELbr1XyCuoHRxMwfuZhyh7fRhSv6QoE+84oP+BKZ9KQ545Ime5+MN4IwWNUxnX5VcS+h4CPpdUxITVfzWZlpQSwECPwMz
AAEAYwCXWXZdAAAAAF4AAACcCQAACAAvAAAAAAAAACCApIEAAAAAbG9nLmV2dHgKACAAAAAAAAEAGAAo0YJmcnrdAQAAAAAAAAAA
AAAAAAAAAAABmQcAAgBBRQMIAFBLBQYAAAAAAQABAGUAAACPAAAAAAA="""
ENCRYPTED = pytest.mark.parametrize("written", [OLD_CIPHER, AES128_DEFLATE64, AES256], ids=["old", "aes128", "aes256"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.zip"


def read(path: Path, content: bytes | str, password: str | None = None) -> Held:
    return held(ZIP, path, base64.b64decode(content) if isinstance(content, str) else content, password)


def members(path: Path, opening: Opening | None = None) -> Iterator[Member]:
    """Members one by one: each is good until the next."""
    for entry in ZIP.members(path, opening or Opening()):
        assert isinstance(entry, Member)
        yield entry


def library(**members: bytes) -> bytes:
    """A zip as the standard library writes it, deflated."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


@pytest.mark.parametrize(("written", "name"), [(DEFLATE64, "log.evtx"), (LZMA, "log.evtx"), (PIPED, "-")])
def test_what_other_programs_compress_is_read(path: Path, written: str, name: str) -> None:
    found = read(path, written)
    assert (found.content, found.problems, found.failed) == ({name: CONTENT}, [], {})


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_the_standard_library_compresses_is_read(path: Path, method: int) -> None:
    members = {"big": bytes(range(256)) * 5000, "small": b"x", "none": b"", "b/c": CONTENT}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    found = read(path, out.getvalue())
    assert (found.content, found.problems, found.failed) == (members, [], {})


@pytest.mark.parametrize(("method", "data"), [(95, lzma.compress(CONTENT)), (93, zstd.compress(CONTENT))])
def test_xz_and_zstandard_are_read(path: Path, method: int, data: bytes) -> None:
    assert read(path, zip_bytes(Zipped("a", CONTENT, data, method))).content == {"a": CONTENT}


def test_an_unknown_method_is_named_and_the_rest_is_read(path: Path) -> None:
    found = read(path, zip_bytes(Zipped("a", b"a", method=1), Zipped("b", b"b")))
    assert found.failed == {"a": "is compressed by method 1, which can't be read"}
    assert found.content["b"] == b"b"


@ENCRYPTED
def test_a_password_opens_what_other_programs_encrypt(path: Path, written: str) -> None:
    assert read(path, written, "secret").content == {"log.evtx": CONTENT}


@ENCRYPTED
def test_without_the_password_one_problem_names_the_option(path: Path, written: str) -> None:
    found = read(path, written)
    assert found.content == {}
    assert found.reasons == ["is encrypted: --password is needed for 1 of its members (log.evtx)"]


@ENCRYPTED
def test_a_wrong_password_is_one_problem(path: Path, written: str) -> None:
    found = read(path, written, "Secret")
    assert found.content == {}
    assert found.reasons == ["is encrypted: the password does not open 1 of its members (log.evtx)"]


def test_members_that_are_not_encrypted_are_read_without_a_password(path: Path) -> None:
    found = read(path, zip_bytes(Zipped("a", bytes(20), flags=1), Zipped("b", bytes(20), flags=1), Zipped("c", b"c")))
    assert found.content == {"c": b"c"}
    assert found.reasons == ["is encrypted: --password is needed for 2 of its members (a)"]


def test_a_password_beyond_ascii_opens_what_was_written_with_it(path: Path) -> None:
    out = io.BytesIO()
    with pyzipper.AESZipFile(out, "w", encryption=pyzipper.WZ_AES) as archive:
        archive.setpassword("pässword".encode("cp1252"))
        archive.writestr("a", CONTENT)
    assert read(path, out.getvalue(), "pässword").content == {"a": CONTENT}


def test_a_changed_byte_in_encrypted_data_is_told(path: Path) -> None:
    content = bytearray(base64.b64decode(AES256))
    content[100] ^= 1
    assert "is damaged" in read(path, bytes(content), "secret").failed["log.evtx"]


def test_members_of_one_name_are_all_there(path: Path) -> None:
    path.write_bytes(zip_bytes(Zipped("a", b"1"), Zipped("a", b"2")))
    assert [member.open().read(9) for member in members(path)] == [b"1", b"2"]


@pytest.mark.parametrize(
    ("raw", "flags", "shown"),
    [
        ("lög/ä".encode(), 0x800, "lög/ä"),
        ("lög/ä".encode(), 0, "lög/ä"),
        ("lög/ä".encode("cp437"), 0, "lög/ä"),
        (b"a\xff", 0x800, "a\\xff"),
        (rb"Windows\System32\x.evtx", 0, "Windows/System32/x.evtx"),
    ],
)
def test_names_are_read_in_their_code_page(path: Path, raw: bytes, flags: int, shown: str) -> None:
    assert list(read(path, zip_bytes(Zipped(raw, b"", flags=flags))).content) == [shown]


def test_folders_and_links_are_no_members(path: Path) -> None:
    found = read(
        path,
        zip_bytes(
            Zipped("a/", b""),
            Zipped("b", b"", mode=stat.S_IFDIR | 0o755),
            Zipped("c", b"/etc/passwd", mode=stat.S_IFLNK | 0o777),
            Zipped("d.evtx", b"/etc/passwd", mode=stat.S_IFLNK | 0o777),
        ),
    )
    assert found.content == {}
    assert [(p.source, p.reason) for p in found.problems] == [("d.evtx", "is no file that can be read")]


@pytest.mark.parametrize(
    ("extra", "when"),
    [
        (struct.pack("<2HBl", 0x5455, 5, 1, 1_772_439_300), datetime(2026, 3, 2, 8, 15, tzinfo=UTC)),
        (
            struct.pack("<2HL2H3Q", 0x000A, 32, 0, 1, 24, 134_169_129_000_000_000, 0, 0),
            datetime(2026, 3, 2, 8, 15, tzinfo=UTC),
        ),
        (b"", None),  # the old field tells no zone
    ],
)
def test_times_are_those_that_are_utc(path: Path, extra: bytes, when: datetime | None) -> None:
    path.write_bytes(zip_bytes(Zipped("a", b"", extra=extra)))
    assert [member.modified for member in members(path)] == [when]


@pytest.mark.parametrize("wide", [False, True])
def test_zip64_is_read(path: Path, wide: bool) -> None:
    found = read(path, zip_bytes(Zipped("a", CONTENT, deflated(CONTENT), 8, wide=True), wide=wide))
    assert (found.content, found.problems) == ({"a": CONTENT}, [])


def test_what_stands_before_a_zip_moves_its_offsets(path: Path) -> None:
    path.write_bytes(zip_bytes(Zipped("a", b"1"), Zipped("b", b"2"), before=b"#!/bin/sh\n"))
    assert [member.open().read(9) for member in members(path)] == [b"1", b"2"]


def test_a_zip_of_nothing_is_read(path: Path) -> None:
    found = read(path, zip_bytes())
    assert (found.content, found.problems) == ({}, [])


# Damage


def test_without_its_directory_members_are_found_by_their_headers(path: Path) -> None:
    content = library(a=CONTENT, b=b"2" * 5000)
    found = read(path, content[: content.index(b"PK\1\2")])
    assert found.content == {"a": CONTENT, "b": b"2" * 5000}
    assert found.reasons == [
        "has no directory at its end: it is cut or damaged; members are searched for by the headers before each"
    ]


def test_sizes_behind_the_data_are_not_missed_without_a_directory(path: Path) -> None:
    content = zip_bytes(Zipped("a", CONTENT, deflated(CONTENT), 8, later=True), Zipped("b", b"b"))
    found = read(path, content[: content.index(b"PK\1\2")])
    assert (found.content, found.failed) == ({"a": CONTENT, "b": b"b"}, {})


def test_a_damaged_entry_costs_no_other_member(path: Path) -> None:
    content = bytearray(library(a=b"1" * 99, b=b"2" * 99, c=b"3" * 99))
    second = content.index(b"PK\1\2", content.index(b"PK\1\2") + 1)
    content[second] = 0
    found = read(path, bytes(content))
    assert found.content == {"a": b"1" * 99, "b": b"2" * 99, "c": b"3" * 99}
    assert "1 of 3 entries can be read" in found.reasons[0]


def test_entries_that_are_not_counted_are_told(path: Path) -> None:
    found = read(path, zip_bytes(Zipped("a", b"1"), Zipped("b", b"2"), count=7))
    assert found.content == {"a": b"1", "b": b"2"}
    assert "2 of 7 entries can be read" in found.reasons[0]


@pytest.mark.parametrize("second", [library(c=b"3" * 99), library(c=b"3" * 99)[:-30]], ids=["whole", "cut"])
def test_a_second_zip_behind_the_first_is_read_and_told(path: Path, second: bytes) -> None:
    found = read(path, library(a=b"1" * 99, b=b"2" * 99) + second)
    assert found.content == {"a": b"1" * 99, "b": b"2" * 99, "c": b"3" * 99}
    (reason,) = found.reasons
    assert "members are searched for" in reason


def test_the_directory_of_a_zip_inside_a_cut_one_is_not_taken_for_its_own(path: Path) -> None:
    whole = zip_bytes(Zipped("a", b"1" * 99), Zipped("inner", library(b=b"2" * 99)), Zipped("c", b"3" * 99))
    found = read(path, whole[: whole.index(b"3" * 99) + 50])
    assert found.content["a"] == b"1" * 99
    assert found.content["inner"] == library(b=b"2" * 99)
    assert found.content["c"] == b"3" * 50
    assert len(found.reasons) == 1


def test_an_end_in_the_comment_hides_no_member(path: Path) -> None:
    fake = b"PK\5\6" + bytes(18)
    content = library(a=b"1" * 99)
    found = read(path, content[:-2] + struct.pack("<H", len(fake)) + fake)
    assert found.content == {"a": b"1" * 99}
    assert len(found.reasons) == 1


def test_what_a_folder_holds_by_its_name_is_a_file(path: Path) -> None:
    assert read(path, zip_bytes(Zipped("a/", b""), Zipped("log/", CONTENT))).content == {"log/": CONTENT}


def test_a_cut_member_gives_what_is_left_of_it(path: Path) -> None:
    content = zip_bytes(Zipped("a", bytes(range(256)) * 100))
    found = read(path, content[:20_000])
    assert found.content["a"] == (bytes(range(256)) * 100)[: 20_000 - 31]
    assert "bytes are missing" in found.failed["a"]


@pytest.mark.parametrize(
    ("member", "told"),
    [
        (Zipped("a", b"content", crc=1), "its checksum differs"),
        (Zipped("a", CONTENT, deflated(CONTENT), 8, size=5), f"{len(CONTENT)} bytes came out and not 5"),
        (Zipped("a", CONTENT, deflated(CONTENT), 8, size=1 << 31), f"{len(CONTENT)} bytes came out and not {1 << 31}"),
        (Zipped("a", CONTENT, deflated(CONTENT)[:-9], 8), "its compressed data ends early"),
        (Zipped("a", CONTENT, b"\xff" * 50, 8), "is damaged"),
        (Zipped("a", b"content", offset=3), "its header is not where the directory says"),
    ],
)
def test_a_member_that_is_not_what_is_said_of_it_is_told(path: Path, member: Zipped, told: str) -> None:
    found = read(path, zip_bytes(member, Zipped("b", b"2")))
    assert told in found.failed["a"]
    assert found.content["b"] == b"2"


def test_one_part_of_a_split_archive_says_so(path: Path) -> None:
    content = bytearray(zip_bytes(Zipped("a", b"1")))
    struct.pack_into("<H", content, content.index(b"PK\5\6") + 4, 3)
    found = read(path, bytes(content))
    assert found.reasons[0].startswith("is one part of a split archive")
    assert found.content == {"a": b"1"}


# Bombs


@pytest.mark.parametrize(("method", "encode"), [(8, deflated), (12, bz2.compress)], ids=["deflate", "bzip2"])
def test_more_than_the_ratio_is_not_unpacked(
    path: Path, monkeypatch: pytest.MonkeyPatch, method: int, encode: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setattr(budget, "GRACE", 1 << 20)
    path.write_bytes(zip_bytes(Zipped("a", bytes(5), encode(bytes(20 << 20)), method, size=5)))
    opening = Opening(limits=Limits(ratio=10))
    opening.budget.enter(path.stat().st_size)
    for member in members(path, opening):
        stream, came = member.open(), 0
        with pytest.raises(LimitError, match="--max-ratio"):
            while block := stream.read(1 << 20):
                came += len(block)
        assert came < 4 << 20


def test_the_first_bytes_cost_little_whatever_follows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "GRACE", 1 << 20)
    content = bytes(20 << 20)
    path.write_bytes(zip_bytes(Zipped("a", content, deflated(content), 8)))
    opening = Opening(limits=Limits(ratio=1))
    assert [member.open().read(8192) for member in members(path, opening)] == [bytes(8192)]


@pytest.mark.parametrize("offset", [1 << 63, (1 << 64) - 1, 1 << 40])
def test_an_offset_beyond_all_files_is_told(path: Path, offset: int) -> None:
    found = read(path, zip_bytes(Zipped("a", b"1", offset=offset, wide=True), Zipped("b", b"2")))
    assert found.failed == {"a": "is damaged: its header is not where the directory says"}
    assert found.content["b"] == b"2"
