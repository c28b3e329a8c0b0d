"""Real starts of which it is known who asked for them. Prints the answers as a table: pytest -s shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hunt.lineage.labelled import UNFILTERED, Answer, answers, table


@pytest.fixture(scope="module")
def answered(real_evidence: Path) -> list[Answer]:
    found = answers(real_evidence)
    print("\n" + table(found))
    return found


def share(some: list[Answer], of: list[Answer]) -> float:
    assert of
    return len(some) / len(of)


def test_nine_of_ten_local_requesters_are_named(answered: list[Answer]) -> None:
    local = [a for a in answered if a.local]
    assert share([a for a in local if a.right], local) >= 0.9


def test_no_proof_is_wrong(answered: list[Answer]) -> None:
    assert [a.line() for a in answered if a.grade == "A" and not a.right] == []


def test_nobody_is_accused_where_nobody_here_asked(answered: list[Answer]) -> None:
    others = [a for a in answered if a.case["locality"] in ("remote", "none", "direct")]
    assert [a.line() for a in others if a.grade is not None and a.grade < "D"] == []


def test_where_handles_are_logged_nine_of_ten_com_requests_are_proven(answered: list[Answer]) -> None:
    com = [a for a in answered if a.local and a.unfiltered and a.grade and a.case["cls"] in UNFILTERED]
    assert share([a for a in com if a.grade == "A"], com) >= 0.9


def test_six_of_ten_answers_are_more_than_leads(answered: list[Answer]) -> None:
    local = [a for a in answered if a.local and a.grade]
    assert share([a for a in local if a.grade and a.grade <= "C"], local) >= 0.6


def test_without_the_requesters_start_nothing_is_proven(real_evidence: Path) -> None:
    found = answers(real_evidence, without_requester=True)
    print("\n" + table(found))
    assert [a.line() for a in found if a.grade == "A"] == []
