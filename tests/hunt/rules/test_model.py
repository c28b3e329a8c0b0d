"""What is known of a rule, made into a hunt."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from hunt.model import SYSMON, Need, Severity, Status
from hunt.rules.fields import finding_columns
from hunt.rules.model import RISKS, RuleError, RuleInfo, doc, hunt_of, severity, techniques


def test_a_hunt_reads_what_its_findings_show_and_does_not_need_it() -> None:
    starts, loads = Need(SYSMON, 1, frozenset({"Image"})), Need(SYSMON, 7, frozenset({"ImageLoaded"}))
    made = hunt_of(RuleInfo(Path("a.yml")), lambda case: pl.LazyFrame(), needs=[starts], any_of=[[loads]])
    assert (made.needs, made.any_of) == ((starts,), ((loads,),))
    assert {need.event_id: need.columns for need in made.reads} == {
        1: finding_columns(SYSMON, 1),
        7: finding_columns(SYSMON, 7),
    }
    assert {*made.wanted} == {starts, loads, *made.reads}


@pytest.mark.parametrize(
    ("info", "title"),
    [
        (RuleInfo(Path("rules/a.yml"), id="1", title="A"), "A"),
        (RuleInfo(Path("rules/a.yml"), id="1"), "1"),
        (RuleInfo(Path("rules/a.yml")), "a.yml"),
    ],
)
def test_a_rule_always_has_a_title(info: RuleInfo, title: str) -> None:
    assert hunt_of(info, lambda case: pl.LazyFrame()).title == title


@pytest.mark.parametrize(
    ("level", "meant"), [("high", Severity.HIGH), (" Critical ", Severity.CRITICAL), ("severe", None), ("", None)]
)
def test_levels_are_severities(level: str, meant: Severity | None) -> None:
    assert severity(level) is meant


def test_a_graver_rule_risks_more() -> None:
    assert sorted(RISKS, key=lambda level: RISKS[level]) == list(Severity)


def test_techniques_are_read_out_of_tags() -> None:
    tags = ["attack.execution", "attack.t1059.001", "ATTACK.T1059", "attack.t1059.001", "cve.2021-1", "t1003", "t12"]
    assert techniques(tags) == ("T1059.001", "T1059", "T1003")


def test_an_error_names_its_place() -> None:
    assert str(RuleError(Status.INVALID, "no condition", line=3, column=7)) == "line 3, column 7: no condition"
    assert str(RuleError(Status.UNSUPPORTED, "no samples")) == "no samples"


def test_the_documentation_of_a_rule_is_what_it_says_of_itself() -> None:
    info = RuleInfo(
        Path("a.yml"),
        description="Why.",
        false_positives=("backup", "updates"),
        level="low",
        text="a: b\n",
        blind=("x",),
    )
    assert doc(info) == (
        "Why.\n\nLooks alike, is harmless: backup; updates\n\nBlind when: x\n\nLevel: low\n\nAsks:\na: b"
    )
