"""Thousands of rules and findings on a terminal: readable, harmless, and nothing is lost without a word."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

import polars as pl
import pytest
from rich.cells import cell_len

from hunt import findings
from hunt.model import QueryResult, Report, Status
from hunt.output import _summary, _terminal


class Terminal(io.StringIO):
    """Where rich takes the width from."""

    def isatty(self) -> bool:
        return True


def shown(report: Report, monkeypatch: pytest.MonkeyPatch, width: int = 80) -> list[str]:
    for name, value in (("COLUMNS", str(width)), ("TERM", "xterm"), ("NO_COLOR", "1")):
        monkeypatch.setenv(name, value)
    out = Terminal()
    _terminal.write(report, out)
    return [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue()).splitlines()]


def report(queries: Sequence[QueryResult], found: Sequence[dict[str, object]] = ()) -> Report:
    return Report(
        findings=pl.DataFrame(found, schema=dict(findings.COLUMNS)),
        events=pl.DataFrame(schema=dict(findings.EVENT_COLUMNS)),
        queries=tuple(queries), problems=(), tallies=(), skipped=(), hosts=("WS01",), unparsed=0,
    )  # fmt: skip


def result(number: int, status: Status = Status.RAN, reason: str = "") -> QueryResult:
    able = status.able
    return QueryResult(
        f"r{number}", f"R{number}", f"{number}.yml", status, reason, ("A",) * able, ("A",) * (not able), 0
    )


def finding(number: int, query: str = "r1", severity: str = "low", **more: object) -> dict[str, object]:
    said = {"finding_id": str(number), "query": query, "title": f"Rule {query}", "severity": severity, "host": "A"}
    return {**said, "image": "a.exe", "reason": f"Rule {query}", **more}


MANY = [
    *(result(number) for number in range(1000)),
    *(result(number, Status.PARTLY, "no event 1 on 1 of the hosts") for number in range(1000, 1900)),
    *(result(number, Status.NOT_EVALUABLE, f"no event {number % 40} of X") for number in range(1900, 2390)),
    *(
        result(number, Status.INVALID, f"line {number}: \x1b[31mno condition " + "x" * 400)
        for number in range(2390, 2400)
    ),
]


def test_thousands_of_rules_are_told_in_few_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(report(MANY), monkeypatch)
    assert len(lines) < 50
    assert max(map(cell_len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    assert "2400 queries: 1000 ran on every host; 900 on some hosts only, or on part of the events" in text
    assert "490 not evaluable here; 10 invalid" in text
    assert "13 no event 20 of X" in text
    assert "for 32 other reasons (queries.csv with -o)" in text
    assert "Invalid: 2390.yml: line 2390: \\x1b[31mno condition" in text
    assert "and 5 more invalid (queries.csv with -o)" in text


def test_a_few_queries_are_told_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(
        report([result(1), result(2, Status.UNSUPPORTED, "samples"), result(3, Status.RAN, "no names")]), monkeypatch
    )
    assert lines == ["No findings.", "r2 is unsupported: samples", "r3 ran with limits: no names"]


def test_of_many_findings_the_gravest_are_shown_some_of_each_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [finding(number) for number in range(5000)]
    found += [finding(9000 + number, "r2", "critical") for number in range(4)]
    lines = shown(report(MANY, found), monkeypatch)
    text = " ".join(" ".join(lines).split())
    assert lines[0].startswith("critical")
    assert sum(line.endswith("Rule r2  r2") for line in lines) == 3 + 1  # and once among the rules
    assert "and 4998 more findings (findings.csv with -o; --format csv)" in text
    assert "critical 4 1 Rule r2 r2" in text
    assert "low 5000 1 Rule r1 r1" in text
    assert len(lines) < 80


def test_what_an_event_did_is_shown_whatever_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        finding(1, image="C:\\x\\child.exe", pid=7, parent_image="C:\\parent.exe"),
        finding(2, image="writer.exe", action="SetValue", object="HKLM\\Run"),
        finding(3, image="opener.exe", target_image="lsass.exe", target_pid=9),
        finding(4, image=None, actor="D\\bob", action="event 1102 of Security"),
        finding(5, image=None),
    ]
    lines = shown(report([result(1)], found), monkeypatch, 200)
    for deed in (
        "parent.exe → child.exe (7)", "writer.exe: SetValue: HKLM\\Run", "opener.exe → lsass.exe (9)",
        "D\\bob: event 1102 of Security",
    ):  # fmt: skip
        assert any(line.endswith(deed) for line in lines), deed


def test_the_last_line_counts_what_could_not_run() -> None:
    assert list(_summary.limits(report(MANY))) == [
        "500 queries could not run (10 invalid), so nothing is known of what they look for",
        "900 queries could not run on all hosts",
    ]
