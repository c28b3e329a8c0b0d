"""Hunts of a later stage: when they run, what they see, what comes along when one is named."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from hunt.findings import FOUND, REFERENCE, known, reference
from hunt.hunting import gather
from hunt.model import SYSMON, Case, Hunt, Need, Severity
from hunt.rules.choose import choose, with_foundations
from tests.helpers import OUTLOOK, case, start

_NEED = Need(SYSMON, 1, frozenset({"Image"}))


def _starts(case_: Case) -> pl.LazyFrame:
    return case_.frame(SYSMON, 1).select("host", start="time", end="time", events=pl.concat_list(reference(1)))


FIRST = Hunt("first", "A start", Severity.LOW, 21, ("T1114",), (_NEED,), _starts)


def _after(case_: Case) -> pl.LazyFrame:
    assert dict(known(case_).schema) == dict(FOUND)
    kept = known(case_).filter(pl.col("suppressed").is_null()).select("host", "start", "end", "query", "events")
    return kept.lazy().select("host", "start", "end", reason="query", events=pl.col("events").list.eval(
        pl.struct(pl.element().struct.field(f.name) for f in REFERENCE.fields)
    ))  # fmt: skip


SECOND = replace(FIRST, id="second", find=_after, stage=2)
THIRD = replace(FIRST, id="third", find=_after, stage=3)


def test_a_later_stage_sees_all_that_earlier_ones_found_and_nothing_of_its_own() -> None:
    found, _ = gather(case(start(OUTLOOK)), [FIRST, SECOND, replace(SECOND, id="beside"), THIRD])
    told = sorted((row["query"], row["reason"]) for row in found.iter_rows(named=True))
    assert told == [
        ("beside", "first"), ("first", "A start"), ("second", "first"),
        ("third", "beside"), ("third", "first"), ("third", "second"),
    ]  # fmt: skip


def test_what_is_marked_is_seen_as_marked() -> None:
    found, _ = gather(case(start(OUTLOOK)), [FIRST, SECOND], mark=lambda f: f.with_columns(suppressed=pl.lit("known")))
    assert found["query"].to_list() == ["first"]


def test_a_second_run_forgets_the_first() -> None:
    events = case(start(OUTLOOK))
    gather(events, [FIRST, SECOND])
    assert gather(events, [SECOND])[0].height == 0


def test_naming_a_later_stage_brings_what_it_builds_on_and_says_so() -> None:
    chosen = with_foundations(choose(["collection-chain"]))
    ids = [query.hunt.id for query in chosen.queries]
    assert ids == sorted(ids)
    assert {"outlook-script-host", "exchange-mailbox-export", "collection-new-destination", "collection-chain"} <= {
        *ids
    }
    assert "outlook-script-host-direct" not in ids  # on request only
    assert chosen.notes() == [
        "collection-chain, collection-new-destination, collection-outlook-writes: builds on what others find, so "
        f"{len(ids) - 1} queries more run as well"
    ]
    assert [query.hunt.id for query in with_foundations(choose(["outlook-child"])).queries] == ["outlook-child"]
    assert with_foundations(choose(["outlook-child"])).notes() == []
