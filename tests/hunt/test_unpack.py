"""What archives hold is found like files in folders: by content, named after its place, within limits, read-only."""

from __future__ import annotations

import bz2
import errno
import gzip
import hashlib
import io
import os
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import py7zr
import pytest

from hunt import budget, registry, spool
from hunt.errors import ContainerError, EvidenceError
from hunt.evidence import Collection, collect
from hunt.model import Limits, Member, Opening, Problem
from hunt.streams import stream
from tests.hunt.containers.archives import Zipped, deflated, tar_bytes, zip_bytes

LOG = b"KNOWN" + bytes(range(256)) * 300


class Known:
    """A parser of files that begin with KNOWN."""

    name = "known"

    def accepts(self, head: bytes) -> bool:
        return head.startswith(b"KNOWN")


@pytest.fixture(autouse=True)
def temporary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files: after every test, nothing may be left in it."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@contextmanager
def opened(*paths: Path, password: str | None = None, hashed: bool = True, **limits: int) -> Iterator[Collection]:
    opening = Opening(password, Limits(**limits))
    with collect(paths, [Known()], registry.containers(), opening, hashed=hashed) as collected:  # type: ignore[list-item]
        yield collected


def gather(*paths: Path, password: str | None = None, **limits: int) -> Collection:
    with opened(*paths, password=password, **limits) as collected:
        return collected


def sources(collected: Collection) -> list[str]:
    return [item.source for item, _ in collected.files]


def problems(collected: Collection) -> dict[str, str]:
    return {problem.source: problem.reason for problem in collected.problems}


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def zipped(**members: bytes) -> bytes:
    return zip_bytes(*(Zipped(name.replace("__", "/").replace("_", "."), content) for name, content in members.items()))


def sevenzipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with py7zr.SevenZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(content, name.replace("_", "."))
    return out.getvalue()


def test_members_are_files_while_the_context_lasts(tmp_path: Path, temporary: Path) -> None:
    path = write(tmp_path / "case.zip", zipped(logs__a_evtx=LOG, readme_txt=b"hello"))
    with opened(path) as collected:
        ((item, parser),) = collected.files
        assert (item.source, parser.name) == ("case.zip!logs/a.evtx", "known")
        assert (item.size, item.sha256) == (len(LOG), hashlib.sha256(LOG).hexdigest())
        assert item.path.read_bytes() == LOG
        assert item.path.is_relative_to(temporary)
        assert collected.skipped == ("case.zip!readme.txt",)
        assert [c.sha256 for c in collected.containers] == [hashlib.sha256(path.read_bytes()).hexdigest()]
    assert list(temporary.iterdir()) == []


def test_without_hashes_none_are_reckoned(tmp_path: Path) -> None:
    with opened(write(tmp_path / "case.zip", zipped(a=LOG)), hashed=False) as collected:
        assert [item.sha256 for item, _ in collected.files] == [""]
        assert [item.sha256 for item in collected.containers] == [""]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_the_temporary_folder_goes_however_the_context_is_left(
    tmp_path: Path, temporary: Path, error: type[BaseException]
) -> None:
    path = write(tmp_path / "case.zip", zipped(a=LOG))
    with pytest.raises(error), opened(path):
        assert list(temporary.iterdir()) != []
        raise error
    assert list(temporary.iterdir()) == []


def test_nothing_is_made_where_nothing_is_unpacked(tmp_path: Path, temporary: Path) -> None:
    with opened(write(tmp_path / "a.evtx", LOG)):
        assert list(temporary.iterdir()) == []


def test_archives_are_known_by_content_and_lie_among_logs(tmp_path: Path) -> None:
    write(tmp_path / "case" / "a.evtx", LOG)
    write(tmp_path / "case" / "b.evtx", zipped(x=LOG))
    write(tmp_path / "case" / "c.dat", gzip.compress(LOG))
    write(tmp_path / "case" / "d" / "e", tar_bytes({"y": LOG}))
    write(tmp_path / "case" / "f.zip", b"no zip")
    collected = gather(tmp_path / "case")
    assert sources(collected) == ["a.evtx", "b.evtx!x", "c.dat!c.dat", "d/e!y"]
    assert collected.skipped == ("f.zip",)


@pytest.mark.parametrize(
    ("name", "content", "source"),
    [
        ("a.tar", tar_bytes({"x": LOG}), "a.tar!x"),
        ("a.tar.gz", tar_bytes({"x": LOG}, "w:gz"), "a.tar.gz!x"),
        ("a.tar.bz2", tar_bytes({"x": LOG}, "w:bz2"), "a.tar.bz2!x"),
        ("a.tar.xz", tar_bytes({"x": LOG}, "w:xz"), "a.tar.xz!x"),
        ("a.7z", sevenzipped(x=LOG), "a.7z!x"),
        ("a.evtx.gz", gzip.compress(LOG), "a.evtx.gz!a.evtx"),
        ("a.evtx.BZ2", bz2.compress(LOG), "a.evtx.BZ2!a.evtx"),
        ("a.gz", gzip.compress(gzip.compress(LOG)), "a.gz!a"),
        ("a.zip", zipped(b=zipped(c_gz=gzip.compress(LOG))), "a.zip!b!c.gz!c"),
        ("a.zip", zipped(b_tgz=tar_bytes({"c.7z": sevenzipped(d=LOG)}, "w:gz")), "a.zip!b.tgz!c.7z!d"),
        ("a.7z", sevenzipped(b=sevenzipped(c=zipped(d=LOG))), "a.7z!b!c!d"),
    ],
)
def test_archives_in_archives_are_named_by_all_of_them(tmp_path: Path, name: str, content: bytes, source: str) -> None:
    collected = gather(write(tmp_path / name, content))
    assert (sources(collected), collected.problems) == ([source], ())


def test_velociraptor_s_names_are_shown_as_windows_has_them(tmp_path: Path) -> None:
    below = "C%3A/Windows/System32/winevt/Logs/Microsoft-Windows-Sysmon%254Operational.evtx"
    content = zip_bytes(
        Zipped(f"uploads/auto/{below}", LOG),
        Zipped(f"uploads/ntfs/%5C%5C.%5C{below}", LOG + b"2"),
        Zipped(f"other/{below}", LOG + b"3"),
        Zipped("uploads/auto/%2Fetc%00%0a%ff%7f", LOG + b"4"),
        Zipped("uploads/auto/%2Fetc%00%41%20", LOG + b"5"),
    )
    windows = "Windows/System32/winevt/Logs/Microsoft-Windows-Sysmon%4Operational.evtx"
    assert sources(gather(write(tmp_path / "c.zip", content))) == [
        f"c.zip!uploads/auto/C:/{windows}",
        f"c.zip!uploads/ntfs/\\\\.\\C:/{windows}",
        f"c.zip!other/{below}",
        "c.zip!uploads/auto/%2Fetc%00%0a%ff%7f",  # no text when decoded
        "c.zip!uploads/auto/%2Fetc%00A ",  # nothing that another name or a terminal could take for its own
    ]


def test_no_two_members_have_one_source(tmp_path: Path) -> None:
    content = zip_bytes(Zipped("a", LOG), Zipped("a", LOG), Zipped("a#2", LOG), Zipped("a", LOG))
    write(tmp_path / "case" / "x.zip", content)
    write(tmp_path / "case" / "x.zip!a", LOG)
    found = sources(gather(tmp_path / "case"))
    assert len(found) == len(set(found)) == 5


HOSTILE = [
    "../../../escaped",
    "/etc/escaped",
    "C:\\escaped",
    "\\\\host\\share\\x",
    "a\0b",
    "a\nb\x1b[2J",
    "..",
    ".",
]


@pytest.mark.parametrize("kind", ["zip", "tar", "7z"])
def test_no_file_is_ever_written_by_its_name(tmp_path: Path, temporary: Path, kind: str) -> None:
    names = [name for name in HOSTILE if kind != "7z" or "\0" not in name]
    if kind == "zip":
        content = zip_bytes(*(Zipped(name, LOG) for name in names))
    elif kind == "tar":
        content = tar_bytes(dict.fromkeys(names, LOG), kind=tarfile.PAX_FORMAT)
    else:
        out = io.BytesIO()
        with py7zr.SevenZipFile(out, "w") as archive:
            for name in names:
                archive.writestr(LOG, "x")
                archive.files.files_list[-1]["filename"] = name
                archive.header.files_info.files[-1]["filename"] = name
        content = out.getvalue()
    before = {path for path in tmp_path.parent.rglob("*") if not path.is_relative_to(temporary)}
    path = write(tmp_path / "case", content)
    with opened(path) as collected:
        assert len(collected.files) == len(names)
        (folder,) = temporary.iterdir()
        assert sorted(child.name for child in folder.iterdir()) == [f"{n:06d}" for n in range(1, len(names) + 1)]
    assert {p for p in tmp_path.parent.rglob("*") if not p.is_relative_to(temporary)} - before == {path}


def test_a_name_of_any_length_is_shown_shortened(tmp_path: Path) -> None:
    (source,) = sources(gather(write(tmp_path / "a.zip", zip_bytes(Zipped("x" * 60_000, LOG)))))
    assert len(source) < 600


def test_members_tell_of_problems_as_files_do(tmp_path: Path) -> None:
    content = zip_bytes(
        Zipped("ok", LOG), Zipped("text.EVTX", b"text"), Zipped("empty.evtx", b""), Zipped("empty.txt", b"")
    )
    collected = gather(write(tmp_path / "a.zip", content))
    assert problems(collected) == {
        "a.zip!text.EVTX": "no parser knows this format (have: known)",
        "a.zip!empty.evtx": "is empty",
    }
    assert collected.skipped == ("a.zip!empty.txt",)


def test_a_damaged_member_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    big = LOG * 10
    content = zip_bytes(Zipped("a", big, crc=1), Zipped("b", big, deflated(big)[:-50], 8), Zipped("c", LOG))
    with opened(write(tmp_path / "x.zip", content)) as collected:
        assert sources(collected) == ["x.zip!a", "x.zip!b", "x.zip!c"]
        assert big.startswith(collected.files[1][0].path.read_bytes())
        assert 0 < collected.files[1][0].size < len(big)
    assert problems(collected) == {
        "x.zip!a": "is damaged: its checksum differs; what came before is read",
        "x.zip!b": "is cut: its compressed data ends early; what came before is read",
    }


def test_a_tar_in_a_damaged_gzip_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    content = gzip.compress(tar_bytes({"a": LOG, "b": os.urandom(100_000), "c": LOG}))
    collected = gather(write(tmp_path / "x.tgz", content[:50_000]))
    assert sources(collected) == ["x.tgz!a"]
    assert any("is cut" in problem.reason for problem in collected.problems)


def test_a_damaged_archive_among_others_costs_no_other(tmp_path: Path) -> None:
    write(tmp_path / "case" / "a.7z", sevenzipped(x=LOG)[:60])
    write(tmp_path / "case" / "b.zip", zipped(x=LOG))
    collected = gather(tmp_path / "case")
    assert sources(collected) == ["b.zip!x"]
    assert list(problems(collected)) == ["a.7z"]


def test_an_archive_that_is_named_and_holds_no_log_is_a_problem(tmp_path: Path) -> None:
    log, none = write(tmp_path / "a.evtx", LOG), write(tmp_path / "b.zip", zipped(x=b"text"))
    assert problems(gather(log, none)) == {"b.zip": "holds no event log"}
    with pytest.raises(EvidenceError, match=r"b\.zip: holds no event log"):
        gather(none)


def test_an_encrypted_archive_alone_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = write(tmp_path / "b.zip", zip_bytes(Zipped("a.evtx", LOG, flags=1)))
    with pytest.raises(EvidenceError, match="--password is needed"):
        gather(path)


def test_archives_are_opened_for_reading_only_and_do_not_change(tmp_path: Path) -> None:
    for name, content in {
        "a.zip": zipped(x=LOG),
        "b.7z": sevenzipped(x=LOG),
        "c.tgz": tar_bytes({"x": LOG}, "w:gz"),
    }.items():
        write(tmp_path / "case" / name, content).chmod(0o444)
    (tmp_path / "case").chmod(0o555)

    def state() -> list[tuple[object, ...]]:
        return [
            (p.name, p.stat().st_mtime_ns, p.stat().st_mode, hashlib.sha256(p.read_bytes()).digest())
            for p in sorted((tmp_path / "case").iterdir())
        ]

    before = state(), (tmp_path / "case").stat().st_mtime_ns
    assert len(gather(tmp_path / "case").files) == 3
    assert (state(), (tmp_path / "case").stat().st_mtime_ns) == before
    (tmp_path / "case").chmod(stat.S_IRWXU)


def test_a_member_knows_when_it_was_changed(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("x")
        info.size, info.mtime = len(LOG), 1_772_439_300
        archive.addfile(info, io.BytesIO(LOG))
    ((item, _),) = gather(write(tmp_path / "a.tar", out.getvalue())).files
    assert item.modified == datetime(2026, 3, 2, 8, 15, tzinfo=UTC)


# Limits


def test_the_temporary_folder_is_never_beside_evidence(tmp_path: Path, temporary: Path) -> None:
    write(temporary / "case" / "a.zip", zipped(x=LOG))
    with pytest.raises(EvidenceError, match="holds the temporary folder; set TMPDIR"):
        gather(temporary)
    (temporary / "case" / "a.zip").unlink()
    (temporary / "case").rmdir()


def test_depth_is_limited(tmp_path: Path) -> None:
    content = LOG
    for _ in range(4):
        content = zipped(x=content)
    path = write(tmp_path / "a.zip", content)
    assert sources(gather(path, depth=4)) == ["a.zip!x!x!x!x"]
    with pytest.raises(EvidenceError, match=r"a\.zip!x!x!x: lies in more than 3 archives; --max-depth"):
        gather(path, depth=3)


def test_an_archive_that_holds_itself_ends(tmp_path: Path) -> None:
    """As the known zip and gzip files do that unpack to themselves; here a container plays one."""

    class Endless:
        name = "endless"

        def accepts(self, head: bytes) -> bool:
            return head.startswith(b"ENDLESS")

        def members(self, path: Path, opening: Opening) -> Iterator[Member | Problem]:
            yield Member("x", None, None, lambda: stream([b"ENDLESS"]))

    path = write(tmp_path / "a", b"ENDLESS")
    with pytest.raises(EvidenceError, match="--max-depth"), collect([path], [Known()], [Endless()]):  # type: ignore[list-item]
        pass


def test_members_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", zip_bytes(*(Zipped(f"{n}", LOG) for n in range(5))))
    assert len(gather(path, members=5).files) == 5
    collected = gather(path, members=4)
    assert len(collected.files) == 4
    assert problems(collected) == {
        "a.zip": "more than 4 members; --max-members raises the limit; the rest of it is not read"
    }


def test_what_is_told_of_an_archive_is_counted_as_well(tmp_path: Path) -> None:
    folder = tarfile.TarInfo("d")
    folder.type = tarfile.DIRTYPE
    hostile = (folder.tobuf(tarfile.USTAR_FORMAT) + b"damaged header".ljust(512)) * 100
    write(tmp_path / "a.tar", tar_bytes({"a.evtx": LOG})[:-10240] + hostile)
    write(tmp_path / "b.evtx", LOG)
    collected = gather(tmp_path, members=20)
    assert collected.problems[-1].reason.startswith("more than 20 members; --max-members raises the limit")
    assert len(collected.problems) < 25


def test_what_comes_out_is_counted_over_all_archives(tmp_path: Path, temporary: Path) -> None:
    for name in "abc":
        write(tmp_path / "case" / f"{name}.zip", zip_bytes(Zipped("x", LOG, deflated(LOG), 8, size=1)))
    with opened(tmp_path / "case", unpacked=len(LOG) * 2 + 100) as collected:
        assert sources(collected) == ["a.zip!x", "b.zip!x"]
        assert "--max-unpacked" in problems(collected)["c.zip"]
        assert sum(path.stat().st_size for path in temporary.rglob("*") if path.is_file()) == len(LOG) * 2


def test_a_bomb_that_begins_as_a_log_is_refused_and_what_lies_beside_it_is_read(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "GRACE", 1 << 20)
    bomb = b"KNOWN" + bytes(30 << 20)
    write(tmp_path / "case" / "a.zip", zip_bytes(Zipped("x", bomb, deflated(bomb), 8)))
    write(tmp_path / "case" / "b.tgz", tar_bytes({"x": bomb}, "w:gz"))
    write(tmp_path / "case" / "c.7z", sevenzipped(x=bomb))
    write(tmp_path / "case" / "d.zip", zipped(x=LOG))
    with opened(tmp_path / "case") as collected:
        assert sources(collected) == ["d.zip!x"]
        assert all("--max-ratio" in reason for reason in problems(collected).values())
        assert set(problems(collected)) == {"a.zip", "b.tgz", "c.7z"}
        assert sum(path.stat().st_size for path in temporary.rglob("*") if path.is_file()) == len(LOG)


def test_many_small_bombs_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "GRACE", 2 << 20)
    bomb = b"KNOWN" + bytes(1 << 20)
    path = write(tmp_path / "a.zip", zip_bytes(*(Zipped(f"{n}", bomb, deflated(bomb), 8) for n in range(20))))
    collected = gather(path)
    assert len(collected.files) < 5
    assert "--max-ratio" in problems(collected)["a.zip"]


def test_a_bomb_of_zeros_costs_almost_nothing(tmp_path: Path) -> None:
    zeros = bytes(30 << 20)
    content = zip_bytes(*(Zipped(f"{n}", zeros, deflated(zeros), 8) for n in range(3)), Zipped("log", LOG))
    with opened(write(tmp_path / "a.zip", content), unpacked=4 * 8192 + len(LOG)) as collected:
        assert sources(collected) == ["a.zip!log"]
        assert collected.problems == ()


def test_small_logs_of_mostly_zeros_are_no_bombs(tmp_path: Path) -> None:
    log = b"KNOWN" + bytes(1 << 20)
    path = write(tmp_path / "a.zip", zip_bytes(*(Zipped(f"{n}", log, deflated(log), 8) for n in range(20))))
    assert len(gather(path).files) == 20


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = write(tmp_path / "log", LOG)
    path = write(tmp_path / "a.zip", zipped(x=LOG))
    monkeypatch.setattr(spool, "_EVERY", 1)
    monkeypatch.setattr(spool, "RESERVE", 1 << 62)
    collected = gather(log, path)
    assert sources(collected) == ["log"]
    assert "TMPDIR names another folder" in problems(collected)["a.zip"]


def test_a_temporary_file_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = write(tmp_path / "log", LOG)
    path = write(tmp_path / "a.zip", zipped(x=LOG))
    real = Path.open

    def full(self: Path, mode: str = "r", *rest: Any, **named: Any) -> Any:
        if mode == "wb":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(self, mode, *rest, **named)

    monkeypatch.setattr(Path, "open", full)
    assert "No space left on device" in problems(gather(log, path))["a.zip"]


# Containers that fail


class Failing:
    """A container whose members fail in all the ways they may."""

    name = "failing"

    def accepts(self, head: bytes) -> bool:
        return head.startswith(b"FAILING")

    def members(self, path: Path, opening: Opening) -> Iterator[Member | Problem]:
        yield Member("ok", None, None, lambda: stream([b"KNOWN"]))
        yield Member("unopened", None, None, self._unopened)
        yield Member("broken", None, None, lambda: stream(self._broken()))
        yield Problem("inner", "file", "said by the container")
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def _unopened(self) -> BinaryIO:
        raise ContainerError("is locked")

    def _broken(self) -> Iterator[bytes]:
        yield b"KNOWN"
        yield b" and more"
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_every_failure_of_a_container_is_told_with_its_place(tmp_path: Path) -> None:
    path = write(tmp_path / "a", b"FAILING")
    with collect([path], [Known()], [Failing()]) as collected:  # type: ignore[list-item]
        assert [item.path.read_bytes() for item, _ in collected.files] == [b"KNOWN", b"KNOWN and more"]
    assert problems(collected) == {
        "a!unopened": "is locked",
        "a!broken": "Input/output error; what came before is read",
        "a!inner": "said by the container",
        "a": "Input/output error",
    }


def test_who_watches_is_told_what_is_opened_and_may_leave_it_out(tmp_path: Path) -> None:
    for name in "ab":
        write(tmp_path / "case" / f"{name}.zip", zipped(x=LOG))
    told: list[str] = []
    containers = registry.containers()
    with collect([tmp_path / "case"], [Known()], containers, begin=told.append, avoid={"b.zip"}) as collected:  # type: ignore[list-item]
        assert sources(collected) == ["a.zip!x"]
    assert told == ["a.zip", ""]
    assert list(problems(collected)) == ["b.zip"]


def test_a_big_zip_of_other_files_costs_little(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3000):
            archive.writestr(f"{number}.txt", b"text" * 100)
        archive.writestr("log", LOG)
    collected = gather(write(tmp_path / "a.zip", out.getvalue()))
    assert (len(collected.files), len(collected.skipped)) == (1, 3000)
