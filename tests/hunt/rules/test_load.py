"""Rule files: which are read, and what results call the rules in them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from hunt.errors import QueryError
from hunt.model import Status
from hunt.rules import load as loading
from hunt.rules.load import load
from tests.hunt.rules.fake import write


def ids(*paths: Path, **options: object) -> list[str]:
    return [rule.id for rule in load(paths, **options).rules]  # type: ignore[arg-type]


def test_a_rule_goes_by_its_own_id(tmp_path: Path) -> None:
    assert ids(write(tmp_path / "a.rule", id="0815-abc")) == ["0815-abc"]


def test_a_rule_without_an_id_goes_by_its_file_and_its_number(tmp_path: Path) -> None:
    write(tmp_path / "rules" / "windows" / "a.rule", number=3)
    assert ids(tmp_path / "rules") == ["windows/a.rule#3"]


def test_an_id_that_is_met_twice_stays_with_the_first(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        write(tmp_path / f"{name}.rule", id="same")
    assert ids(tmp_path) == ["same", "b.rule#1", "c.rule#1"]


def test_no_rule_takes_the_id_of_a_query_of_ours(tmp_path: Path) -> None:
    assert ids(write(tmp_path / "a.rule", id="outlook-script-host"), ids={"outlook-script-host"}) == ["a.rule#1"]


def test_two_folders_with_files_of_the_same_name_have_ids_of_their_own(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        write(tmp_path / folder / "a.rule")
    assert ids(tmp_path / "one", tmp_path / "two") == ["a.rule#1", f"{(tmp_path / 'two').as_posix()}/a.rule#1"]


@pytest.mark.parametrize("own", ["x" * 129, "a\x1b[31m", "\u202ea", "  "])
def test_what_can_name_no_finding_is_no_id(tmp_path: Path, own: str) -> None:
    assert ids(write(tmp_path / "a.rule", id=own)) == ["a.rule#1"]


def test_an_id_does_not_depend_on_where_the_folder_lies(tmp_path: Path) -> None:
    for place in ("here", "there/deep"):
        write(tmp_path / place / "x" / "a.rule")
    assert ids(tmp_path / "here") == ids(tmp_path / "there" / "deep")


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    path = write(tmp_path / "a.rule")
    (tmp_path / "link.rule").symlink_to(path)
    assert ids(tmp_path, path, tmp_path / "link.rule") == ["a.rule#1"]


def test_a_folder_is_walked_but_for_hidden_ones_and_other_files(tmp_path: Path) -> None:
    for name in ("deep/er/a.rule", ".git/b.rule", "c.RULE", ".d.rule"):
        write(tmp_path / name)
    (tmp_path / "README.md").write_text("no rule")
    found = load([tmp_path])
    assert [rule.file for rule in found.rules] == ["c.RULE", "deep/er/a.rule"]
    assert found.files == 2


def test_the_hash_of_a_rules_file_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.rule")
    (rule,) = load([path]).rules
    assert rule.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_files_of_a_rules_suffix_without_a_rule_are_told(tmp_path: Path) -> None:
    write(tmp_path / "a.rule")
    (tmp_path / "b.rule").write_text("[project]\n")
    found = load([tmp_path])
    assert (len(found.rules), found.others) == (1, ("b.rule",))


def test_a_rule_that_is_refused_does_not_make_its_file_one_without_rules(tmp_path: Path) -> None:
    found = load([write(tmp_path / "a.rule")], lambda info: False)
    assert (found.rules, found.files, found.others) == ((), 1, ())


def test_a_bad_rule_is_told_among_the_others(tmp_path: Path) -> None:
    write(tmp_path / "a.rule", invalid="expected a condition")
    write(tmp_path / "b.rule")
    bad, good = load([tmp_path]).rules
    assert bad.hunt is None and bad.error
    assert (bad.error.status, str(bad.error)) == (Status.INVALID, "line 1, column 2: expected a condition")
    assert good.hunt and good.hunt.id == "b.rule#1"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda place: place / "none.rule", "none.rule: No such file or directory"),
        (lambda place: place, "no rule in any file"),
        (lambda place: _text(place / "a.txt"), "a.txt: no format of rules is called so"),
        (lambda place: _text(place / "a.rule"), "a.rule: holds no rule"),
        (lambda place: Path("a\0.rule"), "null"),
    ],
)
def test_what_holds_no_rules_is_refused(tmp_path: Path, make: object, said: str) -> None:
    with pytest.raises(QueryError, match=said):
        load([make(tmp_path)])  # type: ignore[operator]


def _text(path: Path) -> Path:
    path.write_text("words")
    return path


def test_a_pipe_that_is_called_a_rule_is_not_waited_for(tmp_path: Path) -> None:
    write(tmp_path / "a.rule")
    os.mkfifo(tmp_path / "b.rule")
    _, pipe = load([tmp_path]).rules
    assert str(pipe.error) == "is no regular file"


def test_a_file_larger_than_any_rule_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "LARGEST", 1 << 20)
    write(tmp_path / "a.rule", image="x" * (1 << 20))
    (rule,) = load([tmp_path]).rules
    assert rule.error and "larger than 1 MiB" in str(rule.error)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads all")
def test_what_may_not_be_read_is_told(tmp_path: Path) -> None:
    write(tmp_path / "a.rule").chmod(0)
    write(tmp_path / "closed" / "b.rule")
    (tmp_path / "closed").chmod(0)
    try:
        found = load([tmp_path])
    finally:
        (tmp_path / "closed").chmod(0o755)
    assert {rule.file: str(rule.error) for rule in found.rules} == {
        "a.rule": "can't be read: Permission denied",
        "closed": "can't be read: Permission denied",
    }


def test_a_pack_is_asked_once_for_all_of_its_rules(tmp_path: Path) -> None:
    for number in range(5):
        write(tmp_path / f"{number}.rule")
    packs = {rule.hunt.find.func.__self__ for rule in load([tmp_path]).rules if rule.hunt}  # type: ignore[attr-defined]
    assert len(packs) == 1
