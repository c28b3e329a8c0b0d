"""Many queries at once: each gets what is its own, and one that fails ends no other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from hunt import ecs
from hunt.eql import engine
from hunt.eql.engine import evaluate
from hunt.eql.pack import Pack
from hunt.eql.parser import parse
from hunt.eql.plan import compile
from hunt.model import EventType, Need, Status
from hunt.rules.model import RuleError
from tests.helpers import case, event, moment, start
from tests.hunt.eql.worlds import World

ECS: Any = ecs
ROWS: list[dict[str, Any]] = [
    {"id": n, "category": "process" if n % 2 else "file", "name": f"n{n % 3}", "dear": str(n), "time": n}
    for n in range(20)
]


def test_queries_together_match_what_each_matches_alone() -> None:
    queries = [
        'any where name == "n1"',
        "process where true",
        "sequence by name with maxspan=3s [process where true] [file where true]",
        'file where name : "N0" | head 2',
        "sample by name [process where true] [file where true]",
    ]
    world = World(ROWS)
    together = world.ask(*queries)
    for number, query in enumerate(queries):
        alone = world.ask(query).hits.drop("rule")
        assert together.hits.filter(rule=number).drop("rule").rows() == alone.rows()
        assert alone.height


def test_rows_are_looked_at_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    queries = ['any where name : "n1"', "sequence by name [process where true] [file where true]"]
    whole = World(ROWS).ask(*queries).hits
    monkeypatch.setattr(engine, "ROWS", 3)
    assert World(ROWS).ask(*queries).hits.rows() == whole.rows()


class Broken(World):
    """Where one field can't be made."""

    def over(self, case: object, kind: EventType, events: pl.LazyFrame, names: Sequence[str]) -> pl.LazyFrame:
        if "dear" in names:
            raise pl.exceptions.ComputeError("broken\nand more")
        return super().over(case, kind, events, names)


def test_one_that_fails_ends_no_other() -> None:
    world = Broken(ROWS)
    outcome = world.ask(
        'any where dear == "1"', 'any where name == "n1"', "sequence by dear [any where true] with runs=2"
    )
    assert set(outcome.errors) == {0, 2}
    assert set(outcome.hits["rule"]) == {1}


def test_what_is_dear_is_made_only_for_what_is_left() -> None:
    rows: Counter[str] = Counter()

    class Counting(World):
        def over(self, case: object, kind: EventType, events: pl.LazyFrame, names: Sequence[str]) -> pl.LazyFrame:
            rows.update({name: events.collect().height for name in names})
            return super().over(case, kind, events, names)

    world = Counting([{"id": n, "name": f"n{n}", "dear": "x", "time": n} for n in range(100)])
    (kind,) = world.has
    world.has[kind]["dear"] = replace(world.has[kind]["dear"], also=(Need("c", 2, frozenset()),))
    assert world.met('dear == "x" and name in ("n1", "n2")') == [1, 2]
    assert rows == {"name": 100, "dear": 2}


def test_a_pack_is_evaluated_once_a_case() -> None:
    plans = [compile(parse(f'process where process.name : "{name}.exe"'), ECS) for name in "ab"]
    pack = Pack(plans)
    one = case(start(r"C:\a.exe", 1), start(r"C:\b.exe", 2), start(r"C:\b.exe", 3))
    two = case(start(r"C:\a.exe", 1))
    assert [pack.find(n, one).collect().height for n in (0, 1)] == [1, 2]
    assert [pack.find(n, two).collect().height for n in (0, 1)] == [1, 0]
    assert pack.find(0, one).collect()["image"].to_list() == [r"C:\a.exe"]


def test_a_pack_tells_of_a_failure_to_who_asks_for_it() -> None:
    world = Broken(ROWS)
    pack = Pack([compile(parse('any where dear == "1"'), world)], world)
    with pytest.raises(RuleError, match="could not be evaluated: broken") as caught:
        pack.find(0, world)  # type: ignore[arg-type]
    assert caught.value.status is Status.UNSUPPORTED


def test_a_sequence_over_real_event_types() -> None:
    shell = start(r"C:\Windows\System32\cmd.exe", 0)
    own = {"ProcessGuid": shell["ProcessGuid"], "Image": shell["Image"], "UtcTime": moment(5)}
    net = event(3, 5, DestinationIp="10.1.2.3", DestinationPort="443", **own)
    query = """sequence by process.entity_id with maxspan=10s
        [process where event.type == "start" and process.name : "cmd.exe"]
        [network where cidrMatch(destination.ip, "10.0.0.0/8") and destination.port == 443]"""
    found = Pack([compile(parse(query), ECS)]).find(0, case(shell, net, start(r"C:\x.exe", 1))).collect()
    assert found["span_seconds"].to_list() == [5.0]
    assert [ref["event_id"] for ref in found["events"][0]] == [1, 3]


def test_no_event_at_all_is_no_match() -> None:
    plans = [compile(parse(q), ECS) for q in ("process where true", "sequence [process where true] [file where true]")]
    outcome = evaluate(case(), plans)
    assert outcome.hits.is_empty()
    assert not outcome.errors
