"""Rule files: ours with what they say of themselves, Elastic's, and files that are neither."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hunt.eql.load import load, of_text
from hunt.model import SYSMON, Severity, Status
from hunt.rules.model import Loaded, RuleInfo, Unusable
from tests.helpers import ROOT, case, start

OURS = """---
id: shell-of-office
title: A shell out of Word
severity: high
risk: 70
techniques: [T1059.003]
description: Word starts a shell.
false_positives: [Add-ins.]
blind: No Sysmon 1.
references: [https://example.org]
---
process where event.type == "start" and
  process.name : "cmd.exe" and process.parent.name : "winword.exe"
"""
ELASTIC = '''
[metadata]
maturity = "production"
[rule]
author = ["Someone"]
description = """
A shell
of Word."""
license = "Some License"
name = "Shell of Word"
risk_score = 47
rule_id = "11111111-2222-3333-4444-555555555555"
severity = "medium"
tags = ["OS: Windows"]
type = "eql"
query = \'\'\'
process where host.os.type == "windows" and
  process.name : "cmd.exe"
\'\'\'
[[rule.threat]]
framework = "MITRE ATT&CK"
[[rule.threat.technique]]
id = "T1059"
[[rule.threat.technique.subtechnique]]
id = "T1059.003"
'''
Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, "utf-8")
        return path

    return written


def one(path: Path) -> Loaded | Unusable:
    (part,) = load([path])
    return part


def refused(path: Path) -> tuple[Status, str]:
    part = one(path)
    assert isinstance(part, Unusable)
    assert part.info.path == path
    return part.error.status, part.error.reason


def test_a_rule_of_ours_says_what_it_is(write: Write) -> None:
    part = one(write("a.eql", OURS))
    assert isinstance(part, Loaded)
    info = part.info
    assert (info.id, info.title, info.severity, info.risk_score) == (
        "shell-of-office", "A shell out of Word", Severity.HIGH, 70
    )  # fmt: skip
    assert (info.attack, info.blind, info.false_positives) == (("T1059.003",), ("No Sysmon 1.",), ("Add-ins.",))
    assert info.text.startswith("process where")
    assert {need.event_type[1] for group in part.hunt.any_of for need in group} >= {1, 4688}
    assert any("winword.exe" in line for line in part.plan())


def test_a_rule_of_ours_finds(write: Write) -> None:
    part = one(write("a.eql", OURS))
    assert isinstance(part, Loaded)
    word = start(r"C:\Office\WINWORD.EXE", 0)
    met = case(word, start(r"C:\x\cmd.exe", 5, parent=word), start(r"C:\x\cmd.exe", 6))
    found = part.hunt.find(met).collect()
    assert found["parent_image"].to_list() == [r"C:\Office\WINWORD.EXE"]


def test_a_query_alone_is_a_rule(write: Write) -> None:
    part = one(write("a.eql", "process where true"))
    assert isinstance(part, Loaded)
    assert (part.info.id, part.info.severity) == ("", Severity.MEDIUM)


def test_a_rule_of_elastics_says_what_it_is(write: Write) -> None:
    part = one(write("a.toml", ELASTIC))
    assert isinstance(part, Loaded)
    info = part.info
    assert (info.id, info.title) == ("11111111-2222-3333-4444-555555555555", "Shell of Word")
    assert (info.severity, info.risk_score, info.level, info.status) == (Severity.MEDIUM, 47, "medium", "production")
    assert (info.attack, info.tags, info.author) == (("T1059", "T1059.003"), ("OS: Windows",), "Someone")
    assert (info.description, info.licence) == ("A shell of Word.", "Some License")
    assert (SYSMON, 1) in {(need.channel, need.event_id) for need in part.hunt.wanted}


@pytest.mark.parametrize(
    ("name", "text", "status", "said"),
    [
        ("a.eql", OURS.replace("and\n", "und\n"), Status.INVALID, "line 12, column 37: unexpected 'und'"),
        ("a.eql", "process where", Status.INVALID, "line 1, column 14: the query ends too early"),
        ("a.eql", "", Status.INVALID, "line 1, column 1: the query ends too early"),
        ("a.eql", OURS.replace("high", "huge"), Status.INVALID, "line 2: severity must be one of"),
        ("a.eql", OURS.replace("risk: 70", "risk: 170"), Status.INVALID, "line 2: risk must be"),
        ("a.eql", OURS.replace("risk", "riks"), Status.INVALID, "line 2: unknown riks"),
        ("a.eql", OURS.replace("[T1059.003]", "[[T1059.003]]"), Status.INVALID, "techniques must be a list of texts"),
        ("a.eql", OURS.replace("[T1059.003]", "[T1059"), Status.INVALID, "no YAML"),
        ("a.eql", "---\n" + "[" * 5_000 + "\n---\nany where true", Status.INVALID, "no YAML"),
        ("a.eql", "---\n- a\n---\nany where true", Status.INVALID, "names and values"),
        ("a.eql", "---\nid: a\nany where true", Status.INVALID, "no second line"),
        ("a.eql", "registry where true and absent.field : 1", Status.NOT_EVALUABLE, "absent.field"),
        ("a.eql", "process where child of [process where true]", Status.UNSUPPORTED, "child of"),
        ("a.toml", ELASTIC.replace('type = "eql"', 'type = "query"\nlanguage = "kuery"'), Status.UNSUPPORTED,
         "a rule of the type query in kuery"),
        ("a.toml", ELASTIC.replace("process where", "process whre"), Status.INVALID, "line 17, column 9"),
        ("a.toml", ELASTIC.replace('type = "eql"', 'type = "eql"\ntimestamp_field = "x"'), Status.UNSUPPORTED,
         "timestamp_field"),
        ("a.toml", "[rule]\nx =", Status.INVALID, "no TOML"),
        ("a.toml", "a = " + "[" * 50_000, Status.INVALID, "no TOML"),
        ("a.toml", '[rule]\ntype = "eql"', Status.INVALID, "no query"),
        ("a.toml", "[rule]\nquery = 1\ntype = 2", Status.UNSUPPORTED, "type 2"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_run_says_why_and_where(
    write: Write, name: str, text: str, status: Status, said: str
) -> None:
    got = refused(write(name, text))
    assert got[0] is status
    assert said in got[1]


def test_a_file_that_is_no_text_is_invalid(tmp_path: Path) -> None:
    for name in ("a.eql", "a.toml"):
        path = tmp_path / name
        path.write_bytes(b"\xff\xfe\x00")
        assert refused(path)[0] is Status.INVALID


def test_another_projects_toml_is_no_rule(write: Write) -> None:
    assert list(load([write("pyproject.toml", '[project]\nname = "x"')])) == []


def test_a_rule_that_is_not_taken_is_left_out(write: Write) -> None:
    paths = [write("a.eql", OURS), write("b.toml", ELASTIC), write("c.eql", "process whre")]
    taken = list(load(paths, lambda info: info.severity is Severity.HIGH))
    assert [part.info.path.name for part in taken] == ["a.eql"]


def test_filters_that_are_no_eql_are_told_as_a_limit(write: Write) -> None:
    part = one(write("a.toml", ELASTIC.replace('type = "eql"', 'type = "eql"\nfilters = [{query = {x = "y"}}]')))
    assert isinstance(part, Loaded)
    assert part.hunt.limits == ("never excludes by its filters, which are no EQL",)


def test_a_typed_query_is_a_rule_or_an_error() -> None:
    info = RuleInfo(Path("query"))
    assert isinstance(of_text("process where true", info), Loaded)
    wrong = of_text("process whre true", info)
    assert isinstance(wrong, Unusable)
    assert (wrong.error.line, wrong.error.column) == (1, 9)


@pytest.fixture(scope="module")
def elastic() -> list[Path]:
    folder = ROOT.parent / "shared" / "rules" / "elastic"
    if not folder.is_dir():
        pytest.skip(f"no rules of Elastic's here: {folder} is absent")
    return sorted(folder.glob("*.toml"))


def test_elastics_rules_are_read_and_run_or_say_why(elastic: list[Path]) -> None:
    """Over a case that has each of Sysmon's event types."""
    from hunt import schema
    from hunt.ecs.sysmon_events import EVENTS
    from hunt.events import Events
    from hunt.model import Batch, EventType
    from tests.helpers import event, moment, texts

    loaded = list(load(elastic))
    bad = [part for part in loaded if isinstance(part, Unusable)]
    assert not [part.error for part in bad if part.error.status is Status.INVALID]
    good = [part for part in loaded if isinstance(part, Loaded)]
    assert len(good) >= len(elastic) * 0.95
    met = Events([need for part in good for need in part.hunt.wanted])
    frames = {
        EventType(SYSMON, n): schema.conform(texts([event(n, n, UtcTime=moment(n), User="C\\u")]), n) for n in EVENTS
    }
    met.add(Batch(frames, schema.census(frames.values())))
    for part in good:
        part.hunt.find(met).collect()
