"""A case in parts of some hosts: the answers are those of the case as a whole."""

from __future__ import annotations

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from hunt.events import Events
from hunt.lineage import POSSIBLE, parts
from tests.helpers import Row, case, guid
from tests.hunt.lineage.world import brokered, loads, logon, over, pair, run, script

HOSTS = ("WS03", "ws01", "WS01", "WS02", None)


def world() -> list[Row]:
    """On each host a child, who asked for it, one who may have, one who ended, and what tells of them."""
    rows: list[Row] = [logon(3, address="10.0.0.9")]
    for number, host in enumerate(HOSTS):
        asker, idle, dead, child = (
            made(at=at, host=host, ProcessGuid=guid(number * 10 + at, at), ProcessId=str(4000 + number * 10 + at))
            for at, made in enumerate((run, run, run, brokered), start=1)
        )
        rows += [asker, idle, dead, child, over(dead, 2.1), loads(idle, 2), script(idle, 1, "Outlook.Application")]
        rows += pair(asker, child, 4)
    return rows


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> Events:
    monkeypatch.setattr(parts, "_ROWS", 3)
    made = case(*world())
    made.lineage.collect()  # in parts from here on
    return made


def test_the_answers_are_the_same_in_parts(in_parts: Events) -> None:
    at_once = case(*world())
    expected = at_once.lineage.collect()
    assert expected["grade"].to_list().count("A") == 4
    assert_frame_equal(in_parts.lineage.collect(), expected)
    assert_frame_equal(in_parts.candidates.collect(), at_once.candidates.collect())


def test_candidates_of_some_children_are_those_of_all(in_parts: Events) -> None:
    children = in_parts.lineage.collect()["child_row"][1:3]
    some = in_parts.candidates.filter(pl.col("child_row").is_in(children.implode())).collect()
    assert_frame_equal(in_parts.candidates_of(children).collect(), some)


def test_possible_requesters_are_the_candidates_that_nothing_excludes(in_parts: Events) -> None:
    children = in_parts.lineage.collect()["child_row"]
    found = in_parts.possible_requesters(children).collect()
    assert dict(found.schema) == dict(POSSIBLE)
    same = ["child_row", "candidate_row", "rank", "grade", "start_source"]
    left = in_parts.candidates.filter(pl.col("excluded_because").is_null()).select(same).collect()
    assert_frame_equal(found.select(same), left, check_row_order=False)
    assert found["gap"].dt.total_seconds().is_between(0, 3).all()
    assert (found["best"] <= found["grade"]).all()
