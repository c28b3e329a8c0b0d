"""What counts as evidence: found by content, each file once, in one order, and nothing passed over in silence."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hunt import evidence
from hunt.errors import EvidenceError
from hunt.evidence import Collection, collect

HEAD = b"KNOWN"


class Known:
    """A parser of files that begin with KNOWN."""

    name = "known"

    def accepts(self, head: bytes) -> bool:
        return head.startswith(HEAD)

    def read(self, evidence: object) -> Any:
        raise NotImplementedError


def gather(*arguments: Path, leave_out: Path | None = None) -> Collection:
    with collect(arguments, [Known()], leave_out=leave_out) as collected:
        return collected


def sources(collected: Collection) -> list[str]:
    return [item.source for item, _ in collected.files]


def reasons(collected: Collection) -> dict[str, str]:
    return {problem.source: problem.reason for problem in collected.problems}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one file that a parser knows, `ok.evtx`."""
    inside = tmp_path / "case"
    inside.mkdir()
    (inside / "ok.evtx").write_bytes(HEAD)
    return inside


needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX file names and pipes")


def test_files_are_known_by_content_and_not_by_name(folder: Path) -> None:
    (folder / "renamed.txt").write_bytes(HEAD)
    (folder / "no-suffix").write_bytes(HEAD)
    assert sources(gather(folder)) == ["no-suffix", "ok.evtx", "renamed.txt"]


def test_a_file_is_hashed_and_sized(folder: Path) -> None:
    content = HEAD + bytes(range(256)) * 5000
    (folder / "ok.evtx").write_bytes(content)
    ((item, parser),) = gather(folder / "ok.evtx").files
    assert (item.size, item.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert (item.source, parser.name) == ("ok.evtx", "known")


def test_reading_changes_no_file(folder: Path) -> None:
    path = folder / "ok.evtx"
    path.chmod(0o444)
    before = path.stat()
    gather(folder)
    after = path.stat()
    assert (after.st_mtime_ns, after.st_size, after.st_mode) == (before.st_mtime_ns, before.st_size, before.st_mode)


def test_files_stand_sorted_whatever_order_the_disk_has(folder: Path) -> None:
    for name in ("z", "b/y", "a/x", "B", "a/b/c"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if not (folder / name).exists():
            (folder / name).write_bytes(HEAD)
    once = sources(gather(folder))
    assert once == sources(gather(folder))
    assert len(once) == len(set(once)) >= 5
    assert [name for name in once if "/" not in name] == sorted(name for name in once if "/" not in name)


def test_a_file_of_another_format_in_a_folder_is_skipped_and_named(folder: Path) -> None:
    (folder / "notes.txt").write_text("hello")
    collected = gather(folder)
    assert collected.skipped == ("notes.txt",)
    assert collected.problems == ()


@pytest.mark.parametrize("name", ["text.evtx", "TEXT.EVTX"])
def test_a_text_named_evtx_is_a_problem(folder: Path, name: str) -> None:
    (folder / name).write_text("no event log")
    assert reasons(gather(folder)) == {name: "no parser knows this format (have: known)"}


def test_an_empty_file_named_evtx_is_a_problem(folder: Path) -> None:
    (folder / "empty.evtx").touch()
    (folder / "empty.txt").touch()
    collected = gather(folder)
    assert reasons(collected) == {"empty.evtx": "is empty"}
    assert collected.skipped == ("empty.txt",)


def test_a_file_named_on_the_command_line_is_a_problem_whatever_it_is_called(folder: Path) -> None:
    (folder / "notes.txt").write_text("hello")
    assert "notes.txt" in reasons(gather(folder, folder / "notes.txt"))


def test_a_folder_named_like_a_log_is_a_folder(folder: Path) -> None:
    (folder / "x.evtx").mkdir()
    (folder / "x.evtx" / "inner").write_bytes(HEAD)
    collected = gather(folder)
    assert sources(collected) == ["ok.evtx", "x.evtx/inner"]
    assert collected.problems == ()


def test_a_missing_path_is_refused_by_name(folder: Path) -> None:
    with pytest.raises(EvidenceError, match="nowhere: no such file or folder"):
        gather(folder, folder / "nowhere")


def test_an_empty_folder_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match=f"no event log found in {tmp_path}"):
        gather(tmp_path)


def test_a_folder_of_other_files_alone_is_refused_with_their_number(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "b.txt").write_text("b")
    with pytest.raises(EvidenceError, match="2 files of other formats"):
        gather(tmp_path)


def test_a_text_named_evtx_alone_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "a.evtx").write_text("a")
    with pytest.raises(EvidenceError, match=r"a\.evtx: no parser knows this format"):
        gather(tmp_path)


def test_a_file_reached_twice_counts_once(folder: Path) -> None:
    assert len(gather(folder, folder / "ok.evtx", folder).files) == 1


def test_the_same_name_under_two_arguments_is_told_apart(tmp_path: Path) -> None:
    for name in ("hostA", "hostB"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Security.evtx").write_bytes(HEAD + name.encode())
    assert sources(gather(tmp_path / "hostA", tmp_path / "hostB")) == ["hostA/Security.evtx", "hostB/Security.evtx"]


def test_the_same_name_under_two_arguments_of_one_name_is_told_apart(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "logs").mkdir(parents=True)
        (tmp_path / name / "logs" / "x.evtx").write_bytes(HEAD)
    assert sources(gather(tmp_path / "a" / "logs", tmp_path / "b" / "logs")) == ["logs/x.evtx", "logs#2/x.evtx"]


def test_sources_are_never_the_same_for_two_files(tmp_path: Path) -> None:
    for name in ("logs/x.evtx", "other/x.evtx", "other/logs/x.evtx"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(HEAD)
    found = sources(gather(tmp_path / "logs", tmp_path / "other"))
    assert len(found) == len(set(found)) == 3


def test_problems_of_the_same_name_under_two_arguments_are_told_apart(tmp_path: Path) -> None:
    for name in ("hostA", "hostB"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "ok").write_bytes(HEAD)
        (tmp_path / name / "bad.evtx").write_text("text")
    assert set(reasons(gather(tmp_path / "hostA", tmp_path / "hostB"))) == {"hostA/bad.evtx", "hostB/bad.evtx"}


def test_results_inside_the_evidence_are_left_out(folder: Path) -> None:
    out = folder / "out"
    out.mkdir()
    (out / "old.evtx").write_bytes(HEAD)
    assert sources(gather(folder, leave_out=out)) == ["ok.evtx"]
    assert sources(gather(folder, leave_out=folder / "nothing")) == ["ok.evtx", "out/old.evtx"]


def test_links_to_folders_are_not_followed(folder: Path) -> None:
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "up").symlink_to(folder.parent, target_is_directory=True)
    assert sources(gather(folder)) == ["ok.evtx"]


def test_a_link_to_a_file_is_that_file_once(folder: Path) -> None:
    (folder / "a-link.evtx").symlink_to(folder / "ok.evtx")
    assert sources(gather(folder)) == ["a-link.evtx"]


@needs_posix
def test_links_that_lead_nowhere_or_in_a_circle_are_problems_if_they_are_called_a_log(folder: Path) -> None:
    (folder / "broken.evtx").symlink_to(folder / "gone")
    (folder / "circle.evtx").symlink_to(folder / "circle.evtx")
    (folder / "broken.txt").symlink_to(folder / "gone")
    collected = gather(folder)
    assert sources(collected) == ["ok.evtx"]
    assert reasons(collected) == dict.fromkeys(["broken.evtx", "circle.evtx"], "is no file that can be read")


@needs_posix
def test_a_pipe_is_never_opened(folder: Path) -> None:
    os.mkfifo(folder / "pipe.evtx")
    os.mkfifo(folder / "pipe")
    collected = gather(folder)
    assert reasons(collected) == {"pipe.evtx": "is no file that can be read"}
    assert "pipe" in reasons(gather(folder, folder / "pipe"))


@needs_posix
def test_a_pipe_alone_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(EvidenceError, match="pipe: is no file that can be read"):
        gather(tmp_path / "pipe")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_name_that_is_no_utf_8_is_printable(folder: Path) -> None:
    (folder / os.fsdecode(b"log-\xff.evtx")).write_bytes(HEAD)
    assert sources(gather(folder)) == [r"log-\xff.evtx", "ok.evtx"]
    for source in sources(gather(folder)):
        source.encode("utf-8")


def test_a_file_that_cannot_be_opened_is_a_problem_and_the_rest_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "locked.evtx").write_bytes(HEAD)
    _refuse(monkeypatch, "locked.evtx")
    collected = gather(folder)
    assert sources(collected) == ["ok.evtx"]
    assert reasons(collected) == {"locked.evtx": "can't be opened: Permission denied"}


def test_a_link_to_where_nobody_may_look_costs_no_other_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a-link.evtx").symlink_to(folder.parent / "locked" / "Security.evtx")
    _lock(monkeypatch, folder.parent / "locked")
    collected = gather(folder)
    assert sources(collected) == ["ok.evtx"]
    assert reasons(collected) == {"a-link.evtx": "is no file that can be read"}


@pytest.mark.parametrize(
    ("argument", "said"),
    [("locked/Security.evtx", "Permission denied"), ("a" * 300, "too long"), ("\0", "no such file")],
)
def test_a_path_that_cannot_be_looked_at_is_refused_by_name(
    folder: Path, argument: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _lock(monkeypatch, folder / "locked")
    with pytest.raises(EvidenceError, match=f"(?s)^{re.escape(str(folder / argument))}: .*{said}"):
        gather(folder, folder / argument)


def _lock(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    """Nobody may look at what lies there, as it is for another user than root; neither at what links lead there."""
    real = os.stat

    def refusing(path: Any, *args: Any, **kwargs: Any) -> Any:
        if place in Path(os.path.realpath(path)).parents:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "stat", refusing)


def _refuse(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Opening files of this name fails, as it would for another user than root."""

    def refusing(path: str, *args: Any, **kwargs: Any) -> Any:
        if Path(path).name == name:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return open(path, *args, **kwargs)  # noqa: PTH123 - as the module does

    monkeypatch.setattr(evidence, "open", refusing, raising=False)


def test_a_folder_that_cannot_be_listed_is_a_problem(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "locked").mkdir()
    real = os.scandir

    def refusing(path: Any) -> Any:
        if Path(path).name == "locked":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", refusing)
    (problem,) = gather(folder).problems
    assert (problem.source, problem.kind, problem.reason) == ("locked", "folder", "can't be opened: Permission denied")


def test_a_parser_sees_as_much_of_a_file_as_is_promised(folder: Path) -> None:
    seen: list[int] = []

    class Curious(Known):
        def accepts(self, head: bytes) -> bool:
            seen.append(len(head))
            return True

    (folder / "ok.evtx").write_bytes(bytes(20_000))
    with collect([folder], [Curious()]):
        assert seen == [8192]


def test_a_file_knows_when_it_was_changed(folder: Path) -> None:
    os.utime(folder / "ok.evtx", ns=(0, 1_772_439_300_123_456_789))
    ((item, _),) = gather(folder).files
    assert item.modified == datetime(2026, 3, 2, 8, 15, 0, 123456, tzinfo=UTC)


@needs_posix
def test_two_names_of_one_file_count_once(folder: Path) -> None:
    os.link(folder / "ok.evtx", folder / "another-name.evtx")
    assert sources(gather(folder)) == ["another-name.evtx"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_printed_alike_are_told_apart(folder: Path) -> None:
    (folder / os.fsdecode(b"a\xff")).write_bytes(HEAD)
    (folder / "a\\xff").write_bytes(HEAD + b"2")
    assert sources(gather(folder)) == ["a\\xff", "a\\xff#2", "ok.evtx"]


def test_many_files_of_nothing_cost_little(folder: Path) -> None:
    """The issue's 100,000 files in 30 seconds, a fiftieth of it."""
    for number in range(2000):
        (folder / f"{number}.txt").touch()
    before = time.process_time()
    collected = gather(folder)
    assert time.process_time() - before < 1
    assert (len(collected.skipped), len(collected.files)) == (2000, 1)
