"""Files of rules: what is known of each, and that none of them stops another."""

from __future__ import annotations

from pathlib import Path

import pytest

from hunt.model import Severity, Status
from hunt.rules.model import Loaded, Unusable
from tests.helpers import start
from tests.hunt.sigma.given import events, loaded, rule, selection

MORE = """\
id: 8d5b2c1e-6f3a-4e0b-a7d4-1c9e0f2b6d35
status: Test
level: High
description: What it means.
author: somebody
license: DRL 1.1
tags: [attack.execution, attack.t1059.001, cve.2021-1]
references: [https://example.org]
falsepositives: [Admins]
"""


def test_a_rule_says_what_it_is(tmp_path: Path) -> None:
    (part,) = loaded(tmp_path, rule(selection("Image: x"), more=MORE))
    assert isinstance(part, Loaded)
    info = part.info
    assert (info.id, info.title, info.severity, info.risk_score) == (
        "8d5b2c1e-6f3a-4e0b-a7d4-1c9e0f2b6d35",
        "A rule",
        Severity.HIGH,
        73,
    )
    assert (info.level, info.status, info.attack, info.author, info.licence) == (
        "high",
        "test",
        ("T1059.001",),
        "somebody",
        "DRL 1.1",
    )
    assert (info.description, info.false_positives, info.references) == (
        "What it means.",
        ("Admins",),
        ("https://example.org",),
    )
    assert info.text == "detection:\n  selection:\n    Image: x\n  condition: selection"
    assert "Asks:\ndetection:" in part.hunt.doc
    assert (part.hunt.severity, part.hunt.attack) == (Severity.HIGH, ("T1059.001",))


def test_a_rule_without_a_level_is_of_medium_severity(tmp_path: Path) -> None:
    (part,) = loaded(tmp_path, rule(selection("Image: x")))
    assert (part.info.severity, part.info.level) == (Severity.MEDIUM, "")


def test_bad_rules_are_told_and_the_others_run(tmp_path: Path) -> None:
    parts = loaded(
        tmp_path, rule(selection("Image: x")), rule(selection("F|nope: x"), title="bad"), "a: 1\n",
        rule(selection("Image: x"), "service: nope"), "title: [\nlogsource:\ndetection:\n",
    )  # fmt: skip
    assert [type(part).__name__ for part in parts] == ["Loaded", "Unusable", "Unusable", "Unusable"]
    assert [part.error.status for part in parts if isinstance(part, Unusable)] == [
        Status.INVALID,
        Status.UNSUPPORTED,
        Status.INVALID,
    ]
    assert parts[1].info.title == "bad"
    rows = [start("x")]
    assert isinstance(parts[0], Loaded)
    assert parts[0].hunt.find(events(rows, parts)).collect().height == 1


def test_several_rules_of_a_file_are_numbered(tmp_path: Path) -> None:
    both = rule(selection("Image: x"), title="one") + "---\n" + rule(selection("Image: y"), title="two")
    parts = loaded(tmp_path, both)
    assert [(part.info.number, part.info.title) for part in parts] == [(1, "one"), (2, "two")]
    assert [part.info.text.splitlines()[2].strip() for part in parts] == ["Image: x", "Image: y"]


def test_a_rule_is_explained(tmp_path: Path) -> None:
    text = rule(
        "a: {Image|endswith: ['\\x', '\\y'], User|re: z}\nb: {ProcessId: 4}\nc: {CommandLine: null, Image: 'p*q'}\n"
        "d: {Company: q}\n",
        condition="a and not (b or c or d)",
    )
    (part,) = loaded(tmp_path, text)
    assert isinstance(part, Loaded)
    lines = "\n".join(part.plan())
    for said in (
        "event 1 of Microsoft-Windows-Sysmon/Operational",
        "event 4688 of Security",
        "endswith \\x, \\y",
        "matches /z/",
        "not",
        "is absent",
        "is like p*q",
        "event 4688 of Security never tells Company",
    ):
        assert said in lines


@pytest.mark.parametrize("text", [rule(selection("Image: x")), rule("k: [abc]\n", "service: system", condition="k")])
def test_the_same_case_is_asked_once(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hunt.sigma import pack

    asked = []
    own = pack.Pack._evaluated
    monkeypatch.setattr(pack.Pack, "_evaluated", lambda self, case: asked.append(case) or own(self, case))
    (first, second) = loaded(tmp_path, text, text.replace("A rule", "Another"))
    assert isinstance(first, Loaded)
    assert isinstance(second, Loaded)
    case, other = events([start("x")], [first]), events([start("x")], [first])
    for given in (case, case, other):
        first.hunt.find(given).collect()
        second.hunt.find(given).collect()
    assert asked == [case, other]
