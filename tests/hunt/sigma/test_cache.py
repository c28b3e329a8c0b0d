"""Rules are parsed once; what is kept of them is data, and harmless whatever has become of it."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hunt.rules.model import Loaded
from hunt.sigma import cache, parse
from tests.helpers import start
from tests.hunt.sigma.given import events, found, loaded, rule, selection

TEXTS = (rule(selection("Image|endswith: '\\cmd.exe'")), rule(selection("F|nope: x")), "jobs: {}\n")


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The files that were parsed, not read from what was kept."""
    met: list[bytes] = []
    own = parse.documents

    def documents(content: bytes) -> object:
        met.append(content)
        return own(content)

    monkeypatch.setattr(parse, "documents", documents)
    return met


def test_a_rule_is_parsed_once(tmp_path: Path, kept: Path, parsed: list[bytes]) -> None:
    first = loaded(tmp_path, *TEXTS)
    assert len(parsed) == 3
    second = loaded(tmp_path, *TEXTS)
    assert len(parsed) == 3
    assert [part.info for part in first] == [part.info for part in second]
    rows = [start("C:\\cmd.exe"), start("C:\\x.exe")]
    for part in (first[0], second[0]):
        assert found(part, events(rows, [part]), rows) == [0]
    assert [path.name for path in kept.rglob("*") if path.is_file()] == ["sigma-rules.jsonl"]


def test_a_changed_rule_is_parsed_again_and_the_others_are_not(tmp_path: Path, parsed: list[bytes]) -> None:
    loaded(tmp_path, *TEXTS)
    changed = TEXTS[0].replace("cmd", "powershell")
    (part, *_) = loaded(tmp_path, changed, *TEXTS[1:])
    assert parsed[3:] == [changed.encode()]
    rows = [start("C:\\cmd.exe"), start("C:\\powershell.exe")]
    assert found(part, events(rows, [part]), rows) == [1]


def _kept(folder: Path) -> Path:
    (path,) = (path for path in folder.rglob("*") if path.is_file())
    return path


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"\x00" * 1000,
        lambda content: content[: len(content) // 2],
        lambda content: content.replace(b"cmd", b"abc"),  # the checksum tells
        lambda content: b"evtx-hunt sigma 0" + content[17:],
        lambda content: pickle.dumps({"a": os.system}),
        lambda content: content.split(b" ")[0] + b" [[" * 9000,
    ],
    ids=["empty", "zeros", "cut", "changed", "old", "pickle", "deep"],
)  # fmt: skip
def test_a_damaged_file_is_as_if_it_were_not_there(
    damage: Callable[[bytes], bytes], tmp_path: Path, kept: Path
) -> None:
    loaded(tmp_path, *TEXTS)
    path = _kept(kept)
    path.write_bytes(damage(path.read_bytes()))
    (part, *_) = loaded(tmp_path, *TEXTS)
    rows = [start("C:\\cmd.exe"), start("C:\\x.exe")]
    assert found(part, events(rows, [part]), rows) == [0]


def test_forged_lines_make_no_document_that_parsing_could_not_have_made(tmp_path: Path, kept: Path) -> None:
    """Its checksum is right and its JSON is none of ours."""
    loaded(tmp_path, TEXTS[0])
    path = _kept(kept)
    head, line = path.read_bytes().split(b"\n")[:2]
    for body in (
        b"[[1]]",
        b"[5]",
        b'{"a":1}',
        b'[{"number":1,"about":{},"logsource":[1,2,3]}]',
        b'[{"number":1,"about":{},"logsource":[null,null,null],"tree":["Leaf","F","Text","rm",["x"],false]}]',
    ):
        key = line[:64]
        path.write_bytes(b"\n".join((head, b" ".join((key, cache._checksum(key, body), body)))))
        (part,) = loaded(tmp_path, TEXTS[0])
        assert isinstance(part, Loaded)


@pytest.mark.skipif(sys.platform == "win32", reason="folders can't be made unwritable so easily")
def test_a_folder_that_can_not_be_written_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("x")
    for place in (str(blocked), "", "relative", "/proc/1/nope"):
        monkeypatch.setenv("XDG_CACHE_HOME", place)
        rules = tmp_path / f"rules{len(place)}"
        rules.mkdir()
        assert isinstance(loaded(rules, TEXTS[0])[0], Loaded)


def test_each_system_has_its_own_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    for platform, place in (("win32", tmp_path / "local"), ("linux", tmp_path / "xdg")):
        monkeypatch.setattr(sys, "platform", platform)
        assert cache.folder() == place / "evtx-hunt"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert str(cache.folder()).endswith(os.path.join("Library", "Caches", "evtx-hunt"))  # noqa: PTH118


def test_what_is_kept_stays_bounded(tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LARGEST", 4000)
    for number in range(30):
        loaded(tmp_path, rule(selection(f"Image: x{number}")))
    assert _kept(kept).stat().st_size < 4500
