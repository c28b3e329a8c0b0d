"""What -q names, and which rules --level, --status and --tag let pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from hunt import registry
from hunt.errors import QueryError
from hunt.rules.choose import Chosen, RuleFilter, choose
from hunt.rules.model import RuleInfo
from tests.hunt.rules.fake import write


def ids(chosen: Chosen) -> list[str]:
    return [query.hunt.id for query in chosen.queries]


def test_without_a_name_all_of_ours_run() -> None:
    assert ids(choose(())) == [query.hunt.id for query in registry.select(())]
    assert "outlook-com-new-process" not in ids(choose(()))  # it is there on request


def test_rules_alone_do_not_bring_ours_along(tmp_path: Path) -> None:
    assert ids(choose([str(write(tmp_path / "a.rule", id="r1"))])) == ["r1"]


def test_ours_come_before_rules_whatever_is_named_first(tmp_path: Path) -> None:
    path = str(write(tmp_path / "a.rule", id="a1"))
    assert ids(choose([path, "outlook-script-host"])) == ["outlook-script-host", "a1"]


def test_an_id_of_ours_is_meant_even_if_a_folder_is_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "outlook-script-host" / "a.rule", id="r1")
    monkeypatch.chdir(tmp_path)
    assert ids(choose(["outlook-script-host"])) == ["outlook-script-host"]
    assert ids(choose(["./outlook-script-host"])) == ["r1"]


def test_a_folder_needs_no_slash_to_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "rules" / "a.rule", id="r1")
    monkeypatch.chdir(tmp_path)
    assert ids(choose(["rules"])) == ["r1"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nope", "no query is called 'nope', nor is a rule file or a folder of them .have: collection-chain"),
        ("nope.yml", "nope.yml: No such file"),
        ("no/pe", "no/pe: No such file"),
    ],
)
def test_what_is_neither_is_refused(name: str, said: str) -> None:
    with pytest.raises(QueryError, match=said):
        choose([name])


INFO = RuleInfo(
    Path("a.rule"), level="high", status="test", tags=("attack.execution", "cve.2021-1"), attack=("T1059.001",)
)


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        (RuleFilter(), True),
        (RuleFilter(levels=("high",)), True),
        (RuleFilter(levels=("low", "HIGH")), True),
        (RuleFilter(levels=("low",)), False),
        (RuleFilter(statuses=("stable", "test")), True),
        (RuleFilter(statuses=("stable",)), False),
        (RuleFilter(tags=("Attack.Execution",)), True),
        (RuleFilter(tags=("attack.t1059.001",)), True),
        (RuleFilter(tags=("attack.t1059",)), False),
        (RuleFilter(tags=("attack.t1059*",)), True),
        (RuleFilter(tags=("execution",)), False),
        (RuleFilter(levels=("high",), statuses=("stable",)), False),
        (RuleFilter(levels=("high",), statuses=("test",), tags=("cve.*",)), True),
    ],
)
def test_a_rule_passes_if_one_of_each_kind_fits(wanted: RuleFilter, taken: bool) -> None:
    assert wanted.takes(INFO) is taken


def test_a_rule_without_a_level_is_of_none() -> None:
    assert not RuleFilter(levels=("medium",)).takes(RuleInfo(Path("a.rule")))


def test_rules_that_are_left_out_are_counted(tmp_path: Path) -> None:
    for name, level in (("a", "high"), ("b", "low"), ("c", "medium")):
        write(tmp_path / f"{name}.rule", id=name, level=level)
    chosen = choose([str(tmp_path)], RuleFilter(levels=("high", "low")))
    assert (ids(chosen), chosen.left_out) == (["a", "b"], 1)
    assert chosen.notes() == ["1 rule left out by --level high, --level low"]


def test_a_filter_that_leaves_nothing_is_a_bad_request(tmp_path: Path) -> None:
    write(tmp_path / "a.rule", level="low")
    with pytest.raises(QueryError, match="--level critical: leaves out all 1 rule"):
        choose([str(tmp_path)], RuleFilter(levels=("critical",)))


def test_a_filter_does_not_choose_among_ours() -> None:
    with pytest.raises(QueryError, match="--status stable: chooses among rules in files"):
        choose(["outlook-script-host"], RuleFilter(statuses=("stable",)))


def test_a_rule_that_cannot_be_read_is_left_out_by_no_filter(tmp_path: Path) -> None:
    write(tmp_path / "a.rule", invalid="no condition")
    write(tmp_path / "b.rule", level="high")
    chosen = choose([str(tmp_path)], RuleFilter(levels=("high",)))
    assert [rule.file for rule in chosen.unusable] == ["a.rule"]
    (result,) = chosen.results(["WS01", "WS02"])
    assert (result.status.value, result.reason) == ("invalid", "line 1, column 2: no condition")
    assert (result.hosts_ran, result.hosts_not_evaluable) == ((), ("WS01", "WS02"))
