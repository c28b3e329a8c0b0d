"""tar: each kind that the standard library writes, and everything that its reader would end at without a word."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from hunt import registry
from hunt.containers.tar import CONTAINER as TAR
from hunt.model import Member, Opening, Problem
from hunt.streams import stream
from tests.hunt.containers.archives import held, tar_bytes

MEMBERS = {"a": b"1" * 700, "none": b"", "b/c": bytes(range(256)) * 30, "d" * 150: b"4", "ä/" + "e" * 250: b"5" * 512}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.tar"


def test_a_tar_is_one_of_our_containers() -> None:
    assert TAR in registry.containers()


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_what_the_standard_library_writes_is_read(path: Path, kind: int) -> None:
    found = held(TAR, path, tar_bytes(MEMBERS, kind=kind))
    assert (found.content, found.problems, found.failed) == (MEMBERS, [], {})


def test_prefixes_of_names_are_put_before_them(path: Path) -> None:
    name = "/".join(["folder"] * 20) + "/log.evtx"
    assert held(TAR, path, tar_bytes({name: b"1"}, kind=tarfile.USTAR_FORMAT)).content == {name: b"1"}


def test_the_old_kind_without_a_magic_is_read(path: Path) -> None:
    content = bytearray(tar_bytes({"a": b"1"}, kind=tarfile.USTAR_FORMAT))
    content[257:265] = bytes(8)
    content[148:156] = b"        "
    content[148:156] = b"%06o\0 " % sum(content[:512])
    assert held(TAR, path, bytes(content)).content == {"a": b"1"}


@pytest.mark.parametrize("head", [b"", bytes(512), bytes(8192), b"a" * 8192, tar_bytes({"a": b""})[:511]])
def test_what_is_no_tar_is_not_accepted(head: bytes) -> None:
    assert not TAR.accepts(head)


def test_times_and_sizes_that_need_more_than_the_old_fields_are_read(path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("a")
        info.mtime = 1_772_439_300.5
        archive.addfile(info)
    path.write_bytes(out.getvalue())
    (entry,) = TAR.members(path, Opening())
    assert isinstance(entry, Member)
    assert entry.modified is not None
    assert entry.modified.isoformat() == "2026-03-02T08:15:00.500000+00:00"


def test_links_devices_and_folders_are_no_members(path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, kind in (
            ("a", tarfile.SYMTYPE), ("b", tarfile.LNKTYPE), ("c", tarfile.DIRTYPE), ("d", tarfile.CHRTYPE),
            ("e", tarfile.FIFOTYPE), ("f.evtx", tarfile.SYMTYPE), ("g.evtx", tarfile.DIRTYPE),
        ):  # fmt: skip
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    found = held(TAR, path, out.getvalue())
    assert found.content == {}
    assert [(p.source, p.reason) for p in found.problems] == [("f.evtx", "is no file that can be read")]


def test_a_damaged_header_costs_one_member_and_is_told(path: Path) -> None:
    content = bytearray(tar_bytes({"a": b"1" * 600, "b": b"2" * 600, "c": b"3" * 600}))
    at = content.index(b"b\0")
    content[at] ^= 0x40
    found = held(TAR, path, bytes(content))
    assert found.content == {"a": b"1" * 600, "c": b"3" * 600}
    assert [(p.reason.partition(":")[0], p.offset) for p in found.problems] == [("a damaged header", at)]


def test_a_damaged_first_header_is_told_too(path: Path) -> None:
    content = bytearray(tar_bytes({"a": b"1" * 600, "b": b"2" * 600}))
    content[0] ^= 0x40
    found = held(TAR, path, bytes(content))
    assert found.content == {"b": b"2" * 600}
    assert [p.reason.partition(":")[0] for p in found.problems] == ["a damaged header"]


def test_kinds_that_nobody_knows_are_files(path: Path) -> None:
    """As POSIX.1-2017 says: an unknown typeflag shall be treated as a regular file."""
    info = tarfile.TarInfo("log")
    info.type, info.size = b"Q", 512
    found = held(TAR, path, info.tobuf(tarfile.USTAR_FORMAT) + b"1" * 512 + bytes(1024))
    assert (found.content, found.problems) == ({"log": b"1" * 512}, [])


@pytest.mark.parametrize("seekable", [True, False])
@pytest.mark.parametrize(
    ("cut", "content", "told"),
    [
        (512 + 1024 + 512 + 100, {"a": b"1" * 600, "b": b"2" * 100}, ["is cut: its last member ends early"]),
        (512 + 1024 + 100, {"a": b"1" * 600}, ["a damaged header", "ends without the mark"]),
        (512 + 1024, {"a": b"1" * 600}, ["ends without the mark"]),
    ],
)
def test_a_cut_tar_gives_what_is_left_of_it(
    path: Path, cut: int, content: dict[str, bytes], told: list[str], seekable: bool
) -> None:
    whole = tar_bytes({"a": b"1" * 600, "b": b"2" * 600})[:cut]
    if seekable:
        found = held(TAR, path, whole)
        assert found.content == content
        problems = found.problems
    else:
        entries = TAR.unpack(stream([whole]), Opening())
        problems = [entry for entry in entries if isinstance(entry, Problem)]
    assert [p.reason[: len(t)] for p, t in zip(problems, told, strict=True)] == told


def test_a_second_tar_behind_the_first_is_read(path: Path) -> None:
    found = held(TAR, path, tar_bytes({"a": b"1"}) + tar_bytes({"b": b"2"}))
    assert (found.content, found.problems) == ({"a": b"1", "b": b"2"}, [])


def test_a_header_that_claims_more_than_names_need_is_passed_over(path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 3 << 20
    content = info.tobuf(tarfile.USTAR_FORMAT) + bytes(3 << 20) + tar_bytes({"a": b"1"})
    found = held(TAR, path, content)
    assert found.content == {"a": b"1"}
    assert found.reasons == [f"a header of {3 << 20} bytes is passed over"]


def test_a_sparse_file_is_told(path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("GNUSparseFile.0/x")
        info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "x.evtx"}
        archive.addfile(info)
    found = held(TAR, path, out.getvalue())
    assert [(p.source, p.reason) for p in found.problems] == [
        ("x.evtx", "is stored as a sparse file, which can't be read")
    ]
