"""Runs of record ids: what is there, what is missing, however it is cut into batches and copies."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hunt import runs

SECOND = 1_000_000_000
T0 = 1_772_439_300 * SECOND
Record = tuple[int, int]  # record id, seconds after T0


def found(records: Sequence[Record], most: int = runs.MOST) -> list[dict[str, Any]]:
    """The runs of one log, by numpy."""
    ids = np.array([number for number, _ in records], np.int64)
    times = np.array([T0 + at * SECOND for _, at in records], np.int64)
    keys, lists = runs.lists(runs.capped(runs.found(np.zeros(ids.size, np.int64), ids, times), most))
    return [run for number in range(keys.size) for run in _plain(lists[number].to_list())]


def united(parts: Sequence[Sequence[Record]], most: int = runs.MOST) -> list[dict[str, Any]]:
    """The runs of several copies or parts of one log, united by Polars."""
    frames = [
        runs.of_records(
            pl.DataFrame(
                {
                    "log": ["a"] * len(part),
                    "record_id": pl.Series([number for number, _ in part], dtype=pl.UInt64),
                    "logged": pl.Series([T0 + at * SECOND for _, at in part]).cast(pl.Datetime("ns", "UTC")),
                },
                schema_overrides={"log": pl.String},
            ),
            ["log"],
        )
        for part in parts
    ]
    return _plain(runs.union(pl.concat(frames), ["log"], most).select(runs.FIELDS).to_dicts())


def _plain(told: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    seconds = {
        c: lambda time: None if time is None else round(time.timestamp()) - T0 // SECOND for c in ("start", "end")
    }
    return [{name: seconds[name](value) if name in seconds else value for name, value in run.items()} for run in told]


def shown(told: Sequence[dict[str, Any]]) -> list[tuple[int, int, int, int]]:
    return [(run["first"], run["last"], run["start"], run["end"]) for run in told]


def naive(records: Sequence[Record]) -> list[tuple[int, int, int, int]]:
    """Record by record, in order of id, then time."""
    out: list[list[int]] = []
    before: Record | None = None
    for number, at in sorted(set(records)):
        most = runs.BACK_S if before and number == before[0] else runs.SILENCE_S - 1
        follows = before and number <= before[0] + 1 and -runs.BACK_S <= at - before[1] <= most
        if follows:
            out[-1] = [out[-1][0], number, min(out[-1][2], at), max(out[-1][3], at)]
        else:
            out.append([number, number, at, at])
        before = number, at
    return [(a, b, c, d) for a, b, c, d in out]


def test_a_log_that_lacks_nothing_is_one_run() -> None:
    assert shown(found([(n, n) for n in range(1, 5000)])) == [(1, 4999, 1, 4999)]


def test_a_gap_a_silence_and_a_clock_set_back_break_it() -> None:
    log = [(1, 0), (2, 1), (5, 2), (6, 3), (7, 3 + 3600), (8, 3700), (9, 100), (10, 101)]
    assert shown(found(log)) == [(1, 2, 0, 1), (5, 6, 2, 3), (7, 8, 3603, 3700), (9, 10, 100, 101)]


def test_events_that_are_written_a_little_out_of_order_do_not_break_it() -> None:
    assert shown(found([(1, 10), (2, 5), (3, 8)])) == [(1, 3, 5, 10)]


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 20_000)), max_size=60))
@settings(max_examples=150)
def test_runs_are_those_of_a_loop_over_the_records(records: list[Record]) -> None:
    assert shown(found(records)) == naive(records)


@given(
    st.lists(st.tuples(st.integers(1, 400), st.sampled_from([1, 1, 1, 5000])), max_size=120),
    st.integers(0, 1 << 32),
)
@settings(max_examples=100)
def test_parts_and_overlapping_copies_unite_to_the_runs_of_the_whole(steps: list[Record], seed: int) -> None:
    at, log = 0, []
    chosen = random.Random(seed)
    for number, pause in sorted(dict(steps).items()):
        at += pause
        log.append((number, at))
    parts: list[list[Record]] = [[], [], []]
    for record in log:
        for part in {chosen.randrange(3), chosen.randrange(3)}:
            parts[part].append(record)
    assert shown(united([part for part in parts if part] or [[]])) == naive(log)


def test_what_one_copy_lacks_another_fills() -> None:
    first = [(n, n) for n in range(1, 101)]
    second = [(n, n) for n in range(50, 201) if n != 150]
    archived = [(n, n) for n in range(140, 160)]
    assert shown(united([first, second, archived])) == [(1, 200, 1, 200)]


@pytest.mark.parametrize("later", [200, 100_000])
def test_a_log_that_began_anew_stays_apart_from_its_old_copy(later: int) -> None:
    old = [(n, n) for n in range(1, 101)]
    new = [(n, later + n) for n in range(1, 51)]
    assert shown(united([old, new])) == [(1, 100, 1, 100), (1, 50, later + 1, later + 50)]


@pytest.mark.parametrize("give", [found, lambda log, most: united([log], most)])
def test_of_too_many_gaps_the_largest_stay_and_the_others_are_counted(give: Any) -> None:
    log = [(n, n) for n in range(2, 4000, 2)]  # every second id is missing
    log += [(n + 1000, n + 1) for n in range(4000, 4010)]
    told = give(log, 16)
    assert len(told) <= 16
    assert (told[0]["first"], told[-1]["last"]) == (2, 5009)
    gaps = sum(b["first"] - a["last"] - 1 for a, b in pairwise(told))
    assert gaps + sum(run["missing"] for run in told) == 5009 - 1 - len(log)
    assert sum(run["more"] for run in told) + len(told) == len(naive(log))
    assert max(b["first"] - a["last"] - 1 for a, b in pairwise(told)) == 1001


def test_records_without_id_or_time_are_no_gap() -> None:
    ids = np.array([runs.NO_ID, runs.NO_ID, 1, 2, 3], np.int64)
    times = np.array([T0, T0 + SECOND, T0, runs.NO_TIME, T0 + SECOND], np.int64)
    _, lists = runs.lists(runs.found(np.zeros(5, np.int64), ids, times))
    assert shown(_plain(lists[0].to_list())) == [(None, None, 0, 1), (1, 3, 0, 1)]
    records = pl.DataFrame(
        {"log": ["a"] * 3, "record_id": [None, 7, 8], "logged": [None] * 3},
        schema={"log": pl.String, "record_id": pl.UInt64, "logged": pl.Datetime("ns", "UTC")},
    )
    told = runs.of_records(records, ["log"])
    assert told.select("first", "last", "start").rows() == [(None, None, None), (7, 8, None)]
