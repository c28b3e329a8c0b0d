"""Windows of time, compared with the naive way."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hunt.sigma import windows
from hunt.sigma.windows import Items

SPAN = 5
ITEMS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 20), st.integers(-1, 3)), max_size=25)


def naive(items: list[tuple[int, int, int]]) -> list[list[int]]:
    """All items of a group from one of them to SPAN later, inclusive; not those that lie inside another such window."""
    found = []
    for n, (group, time, _) in enumerate(items):
        found.append([m for m, (g, t, _) in enumerate(items) if g == group and m >= n and t <= time + SPAN])
    return [one for one in found if not any(set(one) < set(other) for other in found)]


def laid(items: list[tuple[int, int, int]]) -> tuple[Items, windows.Windows]:
    group, time, _ = np.array(items, np.int64).reshape(-1, 3).T
    own = Items(group, time)
    return own, windows.laid(own, SPAN)


@given(ITEMS)
@settings(max_examples=60)
def test_windows_hold_what_lies_within_the_span(given_items: list[tuple[int, int, int]]) -> None:
    items = sorted(given_items)
    own, found = laid(items)
    expected = naive(items)
    assert [list(range(a, b + 1)) for a, b in zip(found.first, found.last, strict=True)] == expected
    assert found.counts().tolist() == [len(one) for one in expected]
    values = np.array([value for *_, value in items], np.int64)
    assert found.distinct(own, values).tolist() == [len({values[n] for n in one} - {-1}) for one in expected]
    assert found.of(values == 2).tolist() == [sum(bool(values[n] == 2) for n in one) for one in expected]


@given(ITEMS)
@settings(max_examples=30)
def test_statistics_are_those_of_each_window(given_items: list[tuple[int, int, int]]) -> None:
    items = sorted(given_items)
    if not items:
        return
    own, found = laid(items)
    numbers = np.array([np.nan if value < 0 else value for *_, value in items], np.float64)
    medians = found.statistic(own, SPAN, numbers, pl.col("x").median())
    for told, one in zip(medians, naive(items), strict=True):
        known = [numbers[n] for n in one if not np.isnan(numbers[n])]
        assert np.isnan(told) if not known else told == np.median(known)


@given(ITEMS, st.integers(1, 4))
@settings(max_examples=60)
def test_windows_that_overlap_are_one_burst(given_items: list[tuple[int, int, int]], least: int) -> None:
    items = sorted(given_items)
    _, found = laid(items)
    bursts = windows.bursts(found, windows.compared(found.counts(), "gte", least))
    held = [set(range(a, b + 1)) for a, b in zip(bursts.first, bursts.last, strict=True)]
    enough = [set(one) for one in naive(items) if len(one) >= least]
    assert set().union(*held) == set().union(*enough)
    assert all(not (a & b) for a, b in itertools.combinations(held, 2))
    assert all(any(one <= burst for burst in held) for one in enough)


@pytest.mark.parametrize(
    ("op", "met"),
    [("lt", "1000"), ("lte", "1100"), ("gt", "0010"), ("gte", "0110"), ("eq", "0100"), ("neq", "1010")],
)
def test_no_number_meets_no_condition(op: str, met: str) -> None:
    assert windows.compared(np.array([1.0, 2.0, 3.0, np.nan]), op, 2).tolist() == [flag == "1" for flag in met]
