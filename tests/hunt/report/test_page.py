"""The HTML report as a file: whole, harmless, the same every time, and honest about what it leaves out."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from lxml import html

from hunt import registry
from hunt.filters import GRADES
from hunt.model import Problem, Report
from hunt.report import advice, details, findings, page, texts
from hunt.report.render import embedded
from tests.hunt.report.reports import SUPPRESSED, hostile, many, of_samples

VENDOR = Path(texts.__file__).parent / "vendor"


@pytest.fixture(scope="module")
def report(samples: Path) -> Report:
    return of_samples(samples)


def parsed(text: str) -> html.HtmlElement:
    return html.document_fromstring(text.encode(), parser=html.HTMLParser(encoding="utf-8", huge_tree=True))


def data(text: str, id_: str = "page-data") -> dict[str, Any]:
    (script,) = parsed(text).xpath(f"//script[@id='{id_}']")
    read: dict[str, Any] = json.loads(script.text)
    return read


def words(text: str) -> str:
    """What a reader sees where no script runs."""
    body = parsed(text).body
    for script in body.xpath("//script"):
        script.getparent().remove(script)
    return " ".join(body.text_content().split())


def test_the_same_report_gives_the_same_bytes(report: Report) -> None:
    assert page(report) == page(report)


def test_everything_that_runs_or_styles_stands_in_the_file_and_in_its_policy(report: Report) -> None:
    tree = parsed(page(report))
    (policy,) = tree.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    rules = dict(part.split(" ", 1) for part in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in policy and "http" not in policy
    for kind, name in (("script-src", "script[not(@type)]"), ("style-src", "style")):
        met = {_hash(element.text) for element in tree.xpath(f"//{name}")}
        assert met == set(rules[kind].split())
    assert not [
        name for name in tree.xpath("//@*/..") if "style" in name.attrib or any(a[:2] == "on" for a in name.attrib)
    ]
    assert all(link.startswith(("#", "data:")) for link in tree.xpath("//@href | //@src"))


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_data_ends_no_element_and_reads_back_exactly() -> None:
    value = {"</script>": ["<!-- <script>", "&lt;", "\u2028\u2029", "中 \ud7ff"]}
    text = embedded(value)
    assert not re.search("[<>&\u2028\u2029]", text)
    assert json.loads(text) == value


def test_no_text_of_the_evidence_is_markup(report: Report) -> None:
    bad = "<b id=bad>'\"&</script><b id=bad> \u202e\0"
    text = page(hostile(report, bad))
    tree = parsed(text)
    assert not tree.xpath("//*[@id='bad']")
    assert not re.search("[\0\u202e]", text)
    assert r"\u202e\x00" in words(text)
    plain = page(report)
    assert text.count("<script") == plain.count("<script") and text.count("</script") == plain.count("</script")


def test_libraries_are_those_that_the_readme_names() -> None:
    rows = [
        line.strip("| ").split(" | ") for line in (VENDOR / "README.md").read_text().splitlines() if line[:2] == "| "
    ]
    named = {row[0]: row for row in rows[1:]}
    assert {file: hashlib.sha256((VENDOR / file).read_bytes()).hexdigest() for file in named} == {
        file: row[-1] for file, row in named.items()
    }
    licences = {name for row in named.values() for name in row[4].split(": ")[1].split(", ")}
    assert {path.name for path in VENDOR.iterdir()} == {*named, *licences, "README.md"}


def test_the_licences_travel_with_the_libraries(report: Report) -> None:
    said = words(page(report))
    assert said.count("Permission is hereby granted, free of charge") == 2
    assert "Apache License Version 2.0" in said and "Redistribution and use in source and binary forms" in said


def test_every_finding_stands_in_the_page_suppressed_ones_marked(report: Report) -> None:
    told = data(page(report))
    names = [name for name, _ in told["findings"]["columns"]]
    rows = [dict(zip(names, row, strict=True)) for row in told["findings"]["rows"]]
    assert {told["texts"][row["finding_id"]] for row in rows} == set(report.findings["finding_id"])
    assert [told["texts"][row["suppressed"]] for row in rows if row["suppressed"]] == [SUPPRESSED]
    more = data(page(report), "page-details")
    assert set(more["events"]) == set(more["stories"]) == set(report.findings["finding_id"])


def test_the_summary_counts_without_suppressed_ones(report: Report) -> None:
    said = words(page(report))
    assert f"{report.findings.height - 1} findings on" in said
    assert "1 suppressed" in said
    live = report.findings.filter(pl.col("suppressed").is_null())
    for severity, count in live.group_by("severity").len().iter_rows():
        assert f"{count} {severity}" in said


def test_a_run_without_findings_says_what_it_could_not_see(report: Report) -> None:
    nothing = replace(
        report,
        findings=report.findings.clear(),
        events=report.events.clear(),
        story=None,
        problems=(Problem("a.evtx", "chunk", "torn"),),
        interrupted=True,
        unread=("b.evtx",),
        hidden={"x": 2},
        skipped=("a.txt",),
    )
    said = words(page(nothing))
    assert "No findings on" in said
    for blind in (
        "The run was interrupted: 1 file not read whole.",
        "Part of the evidence could not be read: 1 problem, listed below.",
        "queries could not run on all hosts.",
        "Filters of this run hide 2 more findings.",
        "1 file of other formats skipped.",
        "unknown, not clean",
    ):
        assert blind in said


def test_a_run_that_read_nothing_is_not_called_whole(report: Report) -> None:
    nothing = replace(report, findings=report.findings.clear(), events=report.events.clear(), story=None,
                      coverage=None, tallies=(), queries=(), hosts=())  # fmt: skip
    said = words(page(nothing))
    assert "Every query ran" not in said and "No record of any evidence was read." in said


def test_what_does_not_fit_is_left_out_the_least_severe_first_and_said(
    report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(details, "EVENTS", 9_000)
    monkeypatch.setattr(details, "STORIES", 9_000)
    text = page(report)
    told = data(text, "page-details")
    order = findings.foremost(report.findings)["finding_id"].to_list()
    for name in ("events", "stories"):
        assert 0 < len(told[name]) < len(order)
        assert list(told[name]) == order[: len(told[name])]
    left = [len(order) - len(told[name]) for name in ("events", "stories")]
    assert f"leaves out the events of {left[0]} findings and the stories of {left[1]}" in words(text)


def test_of_too_many_findings_the_foremost_are_listed(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hunt.report.render.MOST", 5)
    text = page(report)
    assert len(data(text)["findings"]["rows"]) == 5
    assert f"{report.findings.height - 5} more, the least severe" in words(text)


def test_one_finding_of_endless_events_leaves_room_for_others(report: Report) -> None:
    first = findings.foremost(report.findings)["finding_id"][0]
    own = report.events.filter(finding_id=first)
    flood = report.events.vstack(own.head(1).sample(5_000, with_replacement=True))
    told = details.details(findings.foremost(report.findings), flood, report.story)
    assert set(told.events) == set(report.findings["finding_id"])
    left, shown = told.events[first]
    assert left and shown and left + len(shown) == own.height + 5_000  # type: ignore[arg-type, operator]


def test_long_texts_are_shortened_and_say_how_long_they_are(report: Report) -> None:
    long = replace(report, findings=report.findings.with_columns(command_line=pl.lit("A" * 1_000_000)))
    text = page(long)
    assert len(text) < len(page(report)) + 10_000
    assert any(said and said.endswith("A… (1,000,000 characters)") for said in data(text)["texts"])


def test_many_long_texts_are_shortened_more(report: Report) -> None:
    crowd = many(report, 2_000).findings
    numbered = (
        crowd.with_row_index("n").with_columns(command_line=pl.lit("A" * 5_000) + pl.col("n").cast(pl.String)).drop("n")
    )
    assert findings.longest(crowd) == texts.LONGEST
    assert findings.longest(numbered) <= texts.LONGEST
    assert findings.longest(numbered) * 2_000 <= 6_000_000


def test_paragraphs_begin_with_what_to_do_next() -> None:
    doc = (
        "It happened (Sysmon 1).\n\nWhy it matters: mail\nis stolen (T1114).\nLooks alike, is harmless: backup.\n"
        "Blind when: nobody logs.\nHow: A: sure; B: less.\nNext: isolate the host:\nthen ask.\nSee: https://x.example/"
    )
    assert advice.paragraphs(doc) == [
        ("What to do next", "isolate the host: then ask."),
        ("What it finds", "It happened (Sysmon 1)."),
        ("Why it matters", "mail is stolen (T1114)."),
        ("Looks alike, is harmless", "backup."),
        ("Blind when", "nobody logs."),
        ("How it is found, and how surely", "A: sure; B: less."),
        ("See", "https://x.example/"),
    ]


def test_what_our_queries_say_is_told_whole() -> None:
    label = re.compile(r"(?m)^(Why it matters|Looks alike, is harmless|Blind when|How|Next|See):[ \n]")
    for query in registry.queries():
        if query.rule is None:  # rules end with their own text, which may be long
            said = " ".join(text for _, text in advice.paragraphs(query.hunt.doc))
            assert sorted(said.split()) == sorted(label.sub("", query.hunt.doc).split())


def test_the_script_knows_every_grade() -> None:
    script = (Path(texts.__file__).parent / "script" / "base.js").read_text()
    (known,) = re.findall(r"const GRADES = \{(.*?)\};", script, re.DOTALL)
    assert re.findall(r"^  (\w+):", known, re.MULTILINE) == list(GRADES)


def test_numbers_that_a_script_would_round_are_texts(report: Report) -> None:
    huge = 2**64 - 1
    odd = replace(
        report,
        events=report.events.with_columns(record_id=pl.lit(huge, pl.UInt64)),
        findings=report.findings.with_columns(span_seconds=pl.lit(float("nan"))),
    )
    text = page(odd)
    assert {row[5] for _, rows in data(text, "page-details")["events"].values() for row in rows} == {str(huge)}
    names = [name for name, _ in data(text)["findings"]["columns"]]
    assert {row[names.index("span_seconds")] for row in data(text)["findings"]["rows"]} == {None}
