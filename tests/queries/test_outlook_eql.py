"""The flagship as EQL finds the pairs that it finds in Python; the public rule as it is finds ours of grades A to C."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from hunt import pipeline
from hunt.pipeline import Request
from tests.helpers import OUTLOOK, POWERSHELL, ROOT, Row, start
from tests.queries.activations import activated, client, found, program, proven

CMD, EXPLORER = r"C:\Windows\System32\cmd.exe", r"C:\Windows\explorer.exe"
HOSTS = r"(?i)\\(rundll32|mshta|powershell|pwsh|cmd|regsvr32|cscript|wscript)\.exe$"
Pairs = set[tuple[str, str, str]]


def pairs(rows: list[dict[str, Any]]) -> Pairs:
    return {(row["host"], row["process_guid"], row["target_process_guid"]) for row in rows}


def logged(rows: list[dict[str, Any]], grades: str) -> list[dict[str, Any]]:
    """Those of a script host, by name, of which both starts were logged by Sysmon, and which is the best candidate.

    The effective parent is one process: not another that fits less, nor who had it act.
    """
    of_hosts = pl.DataFrame({"image": [row["image"] or "" for row in rows]})["image"].str.contains(HOSTS)
    sure = (row["start_source"] == "event" and row["confidence"] != "uncertain" for row in rows)
    return [
        row
        for row, named, known in zip(rows, of_hosts, sure, strict=True)
        if named and known and row["grade"] in grades.split() and row["process_guid"] and row["target_process_guid"]
        if "another process fits better" not in row["reason"] and "it had explorer.exe" not in row["reason"]
    ]


def hunted(paths: list[Path], *queries: str) -> list[dict[str, Any]]:
    return pipeline.run(Request(paths, queries)).findings.to_dicts()


@pytest.fixture(scope="module")
def of_samples(samples: Path) -> list[dict[str, Any]]:
    ids = ("outlook-script-host", "outlook-script-host-direct", "outlook-script-host-brokered")
    return hunted([samples / "logs"], *ids)


@pytest.mark.parametrize(("part", "grades"), [("direct", "direct"), ("brokered", "A B C")])
def test_on_the_samples_both_find_the_same_pairs(of_samples: list[dict[str, Any]], part: str, grades: str) -> None:
    by_python = [row for row in of_samples if row["query"] == "outlook-script-host"]
    by_eql = pairs([row for row in of_samples if row["query"] == f"outlook-script-host-{part}"])
    assert by_eql
    assert by_eql == pairs(logged(by_python, grades))


@pytest.mark.parametrize("seed", range(4))
def test_on_made_up_hosts_both_find_the_same_pairs(seed: int) -> None:
    chance, rows = random.Random(seed), []
    for number in range(60):
        host = f"WS{number % 7}-{number}"
        script: Row = program(chance.choice([POWERSHELL, CMD, EXPLORER]), host=host)
        gap = chance.choice([0, 1, 59.999, 60, 60.001, 300])
        if chance.random() < 0.5:
            rows += [script, start(OUTLOOK, gap, parent=script, host=host)]
            continue
        outlook = activated(gap, host=host)
        seen = chance.choice([[], [client(script, 0.5)], [*proven(script, outlook, gap)]])
        rows += [script, outlook, *seen]
    by_python = found("outlook-script-host", *rows)
    assert pairs(found("outlook-script-host-direct", *rows)) == pairs(logged(by_python, "direct"))
    assert pairs(found("outlook-script-host-brokered", *rows)) == pairs(logged(by_python, "A B C"))


def test_the_public_rule_as_it_is_finds_the_samples_of_grades_a_to_c(samples: Path, tmp_path: Path) -> None:
    texts = sorted((ROOT.parent / "shared" / "seeds").glob("001*"))
    if not texts:
        pytest.skip("the rule's text is not beside the checkout")
    text = texts[0].read_text(encoding="utf-8", errors="replace")
    (tmp_path / "rule.eql").write_text(text[text.index("sequence with") : text.index("\nFramework:")])
    rows = hunted([samples / "logs" / "com-grades.evtx"], str(tmp_path / "rule.eql"))
    assert sorted(row["grade"] for row in rows) == ["A", "B", "C"]
