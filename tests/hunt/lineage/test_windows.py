"""Pairs of rows close in time, against plain loops."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hunt.lineage.keys import among, missing
from hunt.lineage.windows import pairs

_SIDE = st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 20)), max_size=12)
_EDGES = st.integers(0, 6)


def arrays(rows: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([part for part, _ in rows], np.int64), np.array([time for _, time in rows], np.int64)


@given(left=_SIDE, right=_SIDE, before=_EDGES, after=_EDGES, most=st.integers(1, 4))
def test_pairs_are_those_of_a_loop(
    left: list[tuple[int, int]], right: list[tuple[int, int]], before: int, after: int, most: int
) -> None:
    found = pairs(arrays(left), arrays(right), before, after, most)
    taken: dict[int, list[int]] = {n: [] for n in range(len(left))}
    for one, other in zip(found.left.tolist(), found.right.tolist(), strict=True):
        taken[one].append(right[other][1])
    for n, (part, time) in enumerate(left):
        near = [t for p, t in right if p == part != -1 and time - before <= t <= time + after]
        assert taken[n] == sorted(near, reverse=True)[:most]
        assert found.left_over[n] == len(near) - len(taken[n])


@given(asked=st.lists(st.integers(0, 9)), known=st.lists(st.integers(0, 9)))
def test_among_and_missing_are_opposites(asked: list[int], known: list[int]) -> None:
    numbers, there = np.array(asked, np.uint64), np.sort(np.array(known, np.uint64))
    assert among(numbers, there).tolist() == [n in known for n in asked]
    assert missing(numbers, there).tolist() == [n not in known for n in asked]
