"""Rules on the command line, from `-q` to the files of `-o`: what ran, what could not, and that nothing is lost."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner, Result

from hunt.cli import main
from samples.evtx_writer import Event, sysmon_event, sysmon_process, write_log
from tests.helpers import OUTLOOK, POWERSHELL
from tests.hunt.rules.fake import write


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """One log with two starts on one host, and one of another host that has none."""
    folder = tmp_path / "logs"
    folder.mkdir()
    write_log(folder / "a.evtx", [process(OUTLOOK, 1), process(POWERSHELL, 2)])
    other = sysmon_event(5, time="2026-03-02 08:15:00", Image=OUTLOOK, host="WS09.contoso.example")
    write_log(folder / "b.evtx", [other])
    return folder


def process(image: str, record_id: int) -> Event:
    return sysmon_process(
        Image=image, time=f"2026-03-02 08:15:0{record_id}", host="WS01.contoso.example", record_id=record_id,
        CommandLine=f"{image} /x", User=r"CONTOSO\alice", ProcessId=40 + record_id, LogonId=0x53CA2,
    )  # fmt: skip


def hunt(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def rows(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_each_rule_of_a_folder_has_its_row_whatever_became_of_it(logs: Path, tmp_path: Path) -> None:
    rules, out = tmp_path / "rules", tmp_path / "out"
    write(rules / "a.rule", id="found", title="Outlook", level="high", attack="T1114", limit="sees no names")
    write(rules / "b.rule", "none.exe", id="quiet")
    write(rules / "c.rule", id="lacks", needs="22")
    write(rules / "d.rule", invalid="no condition")
    write(rules / "e.rule", "breaks", id="breaks")
    result = hunt("run", logs, "-q", rules, "-o", out)
    assert result.exit_code == 0
    told = {row["query"]: row for row in rows(out / "queries.csv")}
    assert {name: (row["status"], row["findings"]) for name, row in told.items()} == {
        "found": ("partly", "1"),
        "quiet": ("partly", "0"),
        "lacks": ("not_evaluable", "0"),
        "d.rule#1": ("invalid", "0"),
        "breaks": ("unsupported", "0"),
    }
    assert told["found"]["reason"].endswith("on 1 of the hosts; sees no names")
    assert "no event 22" in told["lacks"]["reason"]
    assert told["d.rule#1"]["reason"] == "line 1, column 2: no condition"
    assert told["breaks"]["reason"] == "breaks on this evidence"
    assert json.loads(told["breaks"]["hosts_not_evaluable"]) == ["WS01.contoso.example", "WS09.contoso.example"]
    assert "3 queries could not run (1 unsupported, 1 invalid), so nothing is known" in result.stderr
    assert "2 queries could not run on all hosts" in result.stderr


def test_a_finding_of_a_rule_carries_what_the_rule_says(logs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    rule = write(tmp_path / "a.rule", id="found", title="Outlook", level="high", attack="T1114 T1559", limit="no names")
    hunt("run", logs, "-q", rule, "-o", out)
    (row,) = rows(out / "findings.csv")
    shown = ("query", "title", "severity", "risk_score", "techniques", "reason", "image", "pid", "user")
    assert {name: row[name] for name in shown} == {
        "query": "found",
        "title": "Outlook",
        "severity": "high",
        "risk_score": "73",
        "techniques": '["T1114", "T1559"]',
        "reason": "Outlook; no names",
        "image": OUTLOOK,
        "pid": "41",
        "user": r"CONTOSO\alice",
    }
    (event,) = rows(out / "events.csv")
    line = f"{event['host'].lower()}\t{event['channel']}\t{event['record_id']}\t2026-03-02 08:15:01+00:00"
    assert row["finding_id"] == hashlib.sha256(f"found\n{line}".encode()).hexdigest()[:16]
    assert json.loads(event["fields"])["CommandLine"] == f"{OUTLOOK} /x"  # which the rule has not read


SIGMA = """\
title: Outlook
id: 0d6bd0f3-6a2a-4d52-9f0a-3a1d4ffb1f6a
level: high
tags: [attack.collection, attack.t1114.001, cve.2026-1]
falsepositives: ["Admins\\u202e who\\n mail", "=1+1"]
logsource: {product: windows, category: process_creation}
detection:
  selection: {Image|endswith: '\\outlook.exe'}
  condition: selection
"""
ELASTIC = """\
[metadata]
maturity = "production"
[rule]
rule_id = "found"
name = "Outlook"
type = "eql"
severity = "high"
tags = ["Domain: Endpoint", "Tactic: Collection"]
false_positives = ["Admins."]
query = 'process where process.name : "outlook.exe"'
"""
EVIDENCE = [
    *("tag: attack.collection", "tag: attack.t1114.001", "tag: cve.2026-1"),
    *("false positive: Admins\u202e who mail", "false positive: =1+1"),
]


def test_a_finding_carries_all_tags_and_false_positives_of_its_rule(
    logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    out, sigma, elastic = tmp_path / "out", tmp_path / "a.yml", tmp_path / "b.toml"
    sigma.write_text(SIGMA)
    elastic.write_text(ELASTIC)
    hunt("run", logs, "-q", sigma, "-q", elastic, "-o", out)
    told = {row["query"]: row for row in rows(out / "findings.csv")}
    mine = told["0d6bd0f3-6a2a-4d52-9f0a-3a1d4ffb1f6a"]
    assert (mine["title"], mine["severity"], mine["techniques"]) == ("Outlook", "high", '["T1114.001"]')
    assert json.loads(mine["evidence"]) == EVIDENCE
    assert json.loads(told["found"]["evidence"]) == [
        *("tag: Domain: Endpoint", "tag: Tactic: Collection", "false positive: Admins."),
    ]
    (line,) = hunt("run", logs, "-q", sigma, "--format", "jsonl").stdout.splitlines()
    assert json.loads(line)["evidence"] == EVIDENCE
    said = "tags: attack.collection, attack.t1114.001, cve.2026-1; false positives: Admins\\u202e who mail, =1+1"
    assert said in hunt("show-finding", mine["finding_id"], "-o", out).stdout.replace("\n", " ")


def test_a_file_that_filters_rules_is_none_that_is_left_out(
    logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rules, out = tmp_path / "rules", tmp_path / "out"
    rules.mkdir()
    (rules / "a.yml").write_text(SIGMA)
    (rules / "b.yml").write_text(SIGMA.replace("high", "low").replace("0d6bd0f3", "1d6bd0f3"))
    ours = "{rules: any, selection: {User|endswith: alice}, condition: not selection}"
    source = "logsource: {product: windows, category: process_creation}"
    (rules / "filter.yml").write_text(f"title: ours\n{source}\nfilter: {ours}\n")
    (rules / "wrong.yml").write_text(f"title: wrong\n{source}\nfilter: {ours.replace('not selection', 'not x')}\n")
    result = hunt("run", logs, "-q", rules, "-o", out, "--level", "high")
    assert "1 rule left out by --level high" in result.stderr
    assert [(row["query"], row["status"], row["findings"]) for row in rows(out / "queries.csv")] == [
        ("0d6bd0f3-6a2a-4d52-9f0a-3a1d4ffb1f6a", "partly", "0"),
        ("wrong.yml#1", "invalid", "0"),
    ]


def test_a_rule_that_could_not_be_told_of_some_events_keeps_its_findings(
    logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(texts: pl.Series, pattern: str, flags: str) -> pl.Series:
        return pl.Series([None if "powershell" in text else True for text in texts], dtype=pl.Boolean)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("hunt.sigma.slow.matches", late)
    (tmp_path / "a.yml").write_text(SIGMA.replace("Image|endswith: '\\outlook.exe'", "CommandLine|re: '(?=C)C'"))
    hunt("run", logs, "-q", tmp_path / "a.yml", "-o", tmp_path / "out")
    (row,) = rows(tmp_path / "out" / "queries.csv")
    assert (row["status"], row["findings"], row["hosts_ran"]) == ("partly", "1", '["WS01.contoso.example"]')
    assert row["reason"].endswith(
        "; whether 1 more event matches could not be told in time: a regular expression takes too long"
    )


def test_the_manifest_names_the_files_of_all_rules(logs: Path, tmp_path: Path) -> None:
    good, bad = write(tmp_path / "r" / "a.rule", id="good"), write(tmp_path / "r" / "b.rule", invalid="no")
    hunt("run", logs, "-q", tmp_path / "r", "-o", tmp_path / "out", "--level", "low", "--level", "high")
    told = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert [(query["file"], query["sha256"]) for query in told["queries"]] == [
        ("b.rule", hashlib.sha256(bad.read_bytes()).hexdigest())
    ]
    assert told["options"]["levels"] == ["low", "high"]
    assert told["rules_left_out"] == 1
    hunt("run", logs, "-q", tmp_path / "r", "-o", tmp_path / "out")
    told = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert {query["query"]: query["sha256"] for query in told["queries"]}["good"] == (
        hashlib.sha256(good.read_bytes()).hexdigest()
    )
    assert {"rules", "rules run", "findings"} <= told["clock"]["steps"].keys()
    assert not any(step.startswith("query ") for step in told["clock"]["steps"])


def test_if_no_rule_could_run_that_is_a_bad_request(logs: Path, tmp_path: Path) -> None:
    for number in range(6):
        write(tmp_path / "r" / f"{number}.rule", id=f"r{number}", needs="22")
    result = hunt("run", logs, "-q", tmp_path / "r")
    assert result.exit_code == 2
    assert "no named query could run (r0: no event 22" in result.stderr
    assert "3 more (queries.csv with -o)" in result.stderr


def test_what_was_left_out_is_said(logs: Path, tmp_path: Path) -> None:
    write(tmp_path / "r" / "a.rule", level="high", tags="attack.t1114")
    write(tmp_path / "r" / "b.rule", level="low")
    (tmp_path / "r" / "c.rule").write_text("")
    result = hunt("run", logs, "-q", tmp_path / "r", "--tag", "attack.*")
    assert result.exit_code == 0
    assert "hunt: 1 rule left out by --tag attack.*\n" in result.stderr
    assert "hunt: 1 file in the folders of rules holds none\n" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-q", "no/rules"], "hunt: no/rules: No such file or directory"),
        (["--level", "high"], "hunt: --level high: chooses among rules in files; name some with -q"),
        (["-q", "{r}", "--status", "stable"], "hunt: --status stable: leaves out all 1 rule"),
    ],
)
def test_what_cannot_be_served_is_one_line(logs: Path, tmp_path: Path, arguments: list[str], said: str) -> None:
    write(tmp_path / "r" / "a.rule")
    result = hunt("run", logs, *(argument.format(r=tmp_path / "r") for argument in arguments))
    assert (result.exit_code, result.stderr.splitlines()) == (2, [said])


def test_rules_and_ours_run_together_and_leave_each_other_alone(logs: Path, tmp_path: Path) -> None:
    write(tmp_path / "r" / "a.rule", id="found")
    hunt("run", logs, "-q", tmp_path / "r", "-q", "outlook-script-host", "-o", tmp_path / "out")
    told = rows(tmp_path / "out" / "queries.csv")
    assert [row["query"] for row in told] == ["outlook-script-host", "found"]


def test_the_same_rules_over_the_same_evidence_give_the_same_bytes(logs: Path, tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / "r" / f"{number}.rule", id=f"r{number}")
    for name in ("one", "two"):
        hunt("run", logs, "-q", tmp_path / "r", "-o", tmp_path / name)
    for file in ("findings.csv", "events.csv", "queries.csv", "coverage.csv"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_coverage_tells_which_rules_could_have_fired_without_running_them(logs: Path, tmp_path: Path) -> None:
    for number in range(30):
        write(tmp_path / "r" / f"{number}.rule", id=f"r{number}")
    write(tmp_path / "r" / "bad.rule", invalid="no condition")
    result = hunt("coverage", logs, "-q", tmp_path / "r", "--format", "jsonl", "-o", tmp_path / "out")
    assert result.exit_code == 0
    told = [json.loads(line) for line in result.stdout.splitlines()]
    rules = {(row["host"], row["count"]): row["detail"] for row in told if row["kind"] == "rules"}
    assert rules.keys() == {("WS01.contoso.example", 30), ("WS09.contoso.example", 30), (None, 1)}
    assert "could not fire: no event 1 of" in rules["WS09.contoso.example", 30]
    queries = rows(tmp_path / "out" / "queries.csv")
    assert {(row["status"], row["findings"]) for row in queries} == {("partly", ""), ("invalid", "")}


# hunt show, hunt explain, hunt eql.


def test_show_tells_what_a_rule_says_of_itself(tmp_path: Path) -> None:
    path = write(tmp_path / "a.rule", id="found", title="Outlook", level="high", about="It \x1b[31m steals.")
    assert hunt("show", path).stdout == (
        "found: Outlook\nseverity high, risk 73\n\nIt \\x1b[31m steals.\n\nLevel: high\n\nAsks:\nOUTLOOK.EXE\n"
    )


def test_explain_tells_what_a_rule_reads_and_asks(tmp_path: Path) -> None:
    path = write(tmp_path / "a.rule", id="found", title="Outlook", columns="Hashes", limit="sees no names")
    told = hunt("explain", path).stdout.splitlines()
    assert told[:5] == [
        "found: Outlook",
        "severity medium, risk 47",
        "needs one of",
        "  event 1 of Microsoft-Windows-Sysmon/Operational: Image (nothing matches without); Hashes",
        "  event 4688 of Security: NewProcessName (nothing matches without)",
    ]
    assert told[-3:] == ["limit: sees no names", "plan", "  looks at each start"]


def test_explain_says_why_a_rule_cannot_run(tmp_path: Path) -> None:
    result = hunt("explain", write(tmp_path / "a.rule", title="Bad", invalid="no condition"))
    assert (result.exit_code, result.stdout) == (
        2,
        "a.rule#1: Bad\ninvalid: line 1, column 2: no condition\n\nAsks:\nOUTLOOK.EXE\n",
    )


def test_a_typed_question_is_answered_in_every_format(logs: Path) -> None:
    asked = 'process where process.name : "outlook.exe" and event.type == "start"'
    result = hunt("eql", asked, logs, "--format", "jsonl")
    (found,) = [json.loads(line) for line in result.stdout.splitlines()]
    assert (found["query"], found["image"], found["host"]) == ("eql", OUTLOOK, "WS01.contoso.example")
    assert result.exit_code == 0
    assert OUTLOOK in hunt("eql", asked, logs).stdout


def test_a_typed_question_is_narrowed_and_written_like_a_run(logs: Path, tmp_path: Path) -> None:
    asked = 'process where process.name : "outlook.exe"'
    result = hunt("eql", asked, logs, "--host", "WS09", "-o", tmp_path / "out", "--fail-on", "low")
    assert result.exit_code == 1
    (row,) = rows(tmp_path / "out" / "findings.csv")
    assert row["host"] == "WS09.contoso.example"
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["options"]["query"] == asked


def test_a_typed_question_that_is_none_is_a_bad_request(logs: Path) -> None:
    result = hunt("eql", "process where where", logs)
    assert result.exit_code == 2
    (said,) = result.stderr.splitlines()
    assert said.startswith("hunt: invalid: line 1, column 15: ")
    explained = hunt("explain", "process where where")
    assert explained.exit_code == 2
    assert "invalid: line 1, column 15: " in explained.stdout


def test_a_typed_question_that_the_evidence_cannot_answer_is_no_empty_answer(logs: Path) -> None:
    result = hunt("eql", 'network where dns.question.name : "*"', logs)
    assert result.exit_code == 2
    assert "no named query could run (eql: no event 22" in result.stderr
