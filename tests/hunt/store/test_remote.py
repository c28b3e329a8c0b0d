"""Cases at URLs: files appear whole, and one ingest is at work at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem

from hunt.errors import HuntError
from hunt.store import folders, layout, lock, lots, remote
from tests.hunt.store.ingesting import SMALL, load, logs, take, tree

URL = "memory://bucket/case"


@pytest.fixture
def bucket() -> Iterator[fsspec.AbstractFileSystem]:
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]
    yield memory
    memory.store.clear()


def contents(memory: fsspec.AbstractFileSystem) -> dict[str, bytes]:
    return {name.removeprefix("/bucket/case/"): memory.cat_file(name) for name in memory.find("/bucket/case")}


def files(case: Path) -> dict[str, bytes]:
    return {name: content for name, content in tree(case).items() if name != layout.LOCK and (case / name).is_file()}


def test_a_case_at_a_url_is_the_same_as_one_here(
    bucket: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lots, "LOT", SMALL)
    evidence = logs(tmp_path / "evidence")
    assert take(URL, evidence / "A.evtx", evidence / "B.evtx").changed
    for case in (URL, tmp_path / "case", f"file://{tmp_path}/by%20url"):
        take(case, evidence)
    expected = files(tmp_path / "by url")
    assert files(tmp_path / "case") == expected
    assert not take(URL, evidence).changed
    bucket.rm("/bucket/case", recursive=True)
    take(URL, evidence)
    assert contents(bucket) == expected
    assert load(URL) == load(tmp_path / "case")


def test_what_a_killed_ingest_left_is_removed(bucket: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    evidence = logs(tmp_path / "evidence")
    take(URL, evidence)
    before = contents(bucket)
    bucket.pipe_file(f"/bucket/case/{layout.data_path(layout.REST, 0, 'f' * 16, 0)}", b"torn")
    take(URL, evidence)
    assert contents(bucket) == before


def test_a_lock_that_is_there_is_waited_for_and_told(
    bucket: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = folders.folder(URL)
    notes: list[str] = []
    with lock.held(place, True, notes.append):
        assert bucket.exists("/bucket/case/lock")
        with (
            pytest.raises(HuntError, match="if none is at work any more, remove memory://bucket/case/lock"),
            lock.held(place, False, notes.append),
        ):
            pass
        assert bucket.exists("/bucket/case/lock")
    assert not bucket.exists("/bucket/case/lock")
    bucket.pipe_file("/bucket/case/lock", b"somebody's")
    monkeypatch.setattr("hunt.store.lock.time.sleep", lambda seconds: bucket.rm_file("/bucket/case/lock"))
    with lock.held(place, True, notes.append):
        assert len(notes) == 1


def test_systems_that_can_not_make_objects_at_once_write_beside_and_rename(tmp_path: Path) -> None:
    moved = []

    class Slow(LocalFileSystem):
        protocol = ("sftp",)

        def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **more: object) -> None:
            if mode == "create":
                raise NotImplementedError
            moved.append(path)
            super().pipe_file(path, value)

    place = remote.Remote("sftp://host/case", Slow(), str(tmp_path))
    place.write("a/b.json", b"1")
    assert moved == [f"{tmp_path}/a/b.json.part"]
    assert (place.read("a/b.json"), list(place.files()), list(place.names())) == (b"1", ["a/b.json"], ["a"])
    assert (place.size("a/b.json"), place.open("a/b.json").read()) == (1, b"1")
    place.remove("a/b.json")
    assert list(tmp_path.iterdir()) == []


def test_who_claims_last_has_it_where_nothing_is_exclusive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Loose(LocalFileSystem):
        def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **more: object) -> None:
            if mode == "create":
                raise NotImplementedError
            super().pipe_file(path, value)

    place = remote.Remote("x://y", Loose(), str(tmp_path))
    monkeypatch.setattr("hunt.store.remote.time.sleep", lambda seconds: None)
    assert place.claim("lock", b"mine")
    assert not place.claim("lock", b"theirs")
    (tmp_path / "lock").unlink()
    monkeypatch.setattr("hunt.store.remote.time.sleep", lambda seconds: (tmp_path / "lock").write_bytes(b"theirs"))
    assert not place.claim("lock", b"mine")


def test_urls_that_nothing_here_opens_are_refused_without_their_passwords() -> None:
    for url in ("nonsense://user:secret@host/case", "s3://user:secret@bucket/case?sig=secret"):
        try:
            folder = folders.folder(url)
        except HuntError as error:
            assert "secret" not in str(error)
        else:
            assert "secret" not in folder.name


def test_what_a_network_does_is_an_error_of_the_system(
    bucket: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    class TokenError(Exception):
        pass

    def fail(*arguments: object, **named: object) -> None:
        raise TokenError("expired")

    monkeypatch.setattr(type(bucket), "cat_file", fail)
    monkeypatch.setattr(type(bucket), "pipe_file", fail)
    with pytest.raises(OSError, match="memory://bucket/case: expired"):
        folders.folder(URL).read("case.json")
    with pytest.raises(OSError, match="memory://bucket/case: expired"):
        folders.folder(URL).claim("lock", b"mine")
