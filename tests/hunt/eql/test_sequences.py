"""Sequences, against a naive machine, the open reference engine, and what Elasticsearch documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import eql
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hunt.eql.sequences import Events, chains
from tests.hunt.eql.naive import Step, can_sample, machine, with_missing
from tests.hunt.eql.worlds import World

Row = dict[str, Any]
FLAGS = ("a", "b", "c", "d", "u")
KEYED = dict.fromkeys(FLAGS, "number")


def world(rows: Sequence[Row]) -> World:
    """Events with flags 0 or 1 and keys; the number of each is its id, and breaks ties in time."""
    return World([{**row, "id": n} for n, row in enumerate(rows)], KEYED)


def numbered(rows: Sequence[Row]) -> list[Row]:
    """The same in their order."""
    return sorted(({**row, "n": n} for n, row in enumerate(rows)), key=lambda row: (row["time"], row["n"]))


def ns(found: list[list[Row]]) -> list[tuple[int, ...]]:
    return sorted(tuple(event["n"] for event in sequence) for sequence in found)


def asked(rows: Sequence[Row], query: str) -> list[tuple[int, ...]]:
    return sorted(world(rows).ids(query))


def all_there(row: Row, *names: str) -> tuple[Any, ...] | None:
    key = tuple(row[name] for name in names)
    return None if None in key else key


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "time": st.integers(0, 12),
            "k": st.sampled_from(["x", "y", None]),
            "j": st.sampled_from(["x", "y", None]),
            **{flag: st.sampled_from([0, 0, 1]) for flag in FLAGS},
        }
    ),
    min_size=1,
    max_size=25,
)
PAD: Row = {"time": 99, "k": "pad", "j": "pad", **dict.fromkeys(FLAGS, 0)}  # so that the world has every field


@settings(max_examples=60)
@given(ROWS, st.integers(2, 4), st.none() | st.integers(1, 6), st.booleans(), st.booleans())
def test_random_sequences_against_a_naive_machine(
    rows: list[Row], count: int, maxspan: int | None, by_step: bool, until: bool
) -> None:
    rows = [*rows, PAD]
    names = ["j" if by_step and n % 2 else "k" for n in range(count)]
    steps = [
        Step(lambda row, flag=flag: row[flag] == 1, lambda row, name=name: row[name])  # type: ignore[misc]
        for flag, name in zip(FLAGS, names, strict=False)
    ]
    ends = Step(lambda row: row["u"] == 1, lambda row: row["k"])
    query = "sequence " + (f"with maxspan={maxspan}s " if maxspan else "")
    query += " ".join(f"[any where {flag} == 1] by {name}" for flag, name in zip(FLAGS, names, strict=False))
    query += " until [any where u == 1] by k" * until
    assert asked(rows, query) == ns(machine(numbered(rows), steps, maxspan, ends if until else None))


@settings(max_examples=40)
@given(ROWS, st.integers(2, 4), st.none() | st.integers(1, 6), st.booleans())
def test_random_sequences_against_the_reference_engine(
    rows: list[Row], count: int, maxspan: int | None, until: bool
) -> None:
    """Where the two agree by design: keys that are there, and no event that both ends and begins or goes on."""
    rows = [{**row, "k": row["k"] or "z", "u": row["u"] * (not any(row[f] for f in FLAGS[:count]))} for row in rows]
    query = "sequence by k " + (f"with maxspan={maxspan}s " if maxspan else "")
    query += " ".join(f"[any where {flag} == 1]" for flag in FLAGS[:count]) + " until [any where u == 1]" * until
    ordered = [eql.Event("e", row["time"] * 10_000_000, row) for row in numbered(rows)]
    expected = [[event.data for event in found.events] for found in eql.get_engine(query)(ordered)]
    assert asked([*rows, PAD], query) == ns(expected)


@settings(max_examples=40)
@given(ROWS, st.integers(1, 6), st.lists(st.sampled_from(["a", "b", "c", "!d", "!u"]), min_size=2, max_size=5))
def test_random_missing_events_against_a_naive_check(rows: list[Row], maxspan: int, words: list[str]) -> None:
    if not any(not word.startswith("!") for word in words):
        words = [*words, "a"]
    rows = [*rows, PAD]
    steps = [
        Step(lambda row, flag=word[-1]: row[flag] == 1, lambda row: row["k"], word.startswith("!"))  # type: ignore[misc]
        for word in words
    ]
    query = f"sequence by k with maxspan={maxspan}s " + " ".join(
        f"{word[:-1]}[any where {word[-1]} == 1]" for word in words
    )
    assert asked(rows, query) == ns(with_missing(numbered(rows), steps, maxspan))


@settings(max_examples=40)
@given(ROWS, st.integers(2, 4))
def test_random_samples_against_every_combination(rows: list[Row], count: int) -> None:
    rows = [*rows, PAD]
    steps = [Step(lambda row, flag=flag: row[flag] == 1) for flag in FLAGS[:count]]  # type: ignore[misc]
    found = world(rows).ids("sample by k " + " ".join(f"[any where {flag} == 1]" for flag in FLAGS[:count]))
    expected = {key for key in ("x", "y") if can_sample([row for row in numbered(rows) if row["k"] == key], steps)}
    assert {rows[ids[0]]["k"] for ids in found} == expected
    assert len(found) == len(expected)
    for ids in found:
        assert len(set(ids)) == count
        assert len({rows[id_]["k"] for id_ in ids}) == 1
        assert all(rows[id_][flag] == 1 for id_, flag in zip(ids, FLAGS, strict=False))


def events(*words: str) -> list[Row]:
    """`a@3/x`: an event with the flag a (or several, as ab) at 3 s with the key x."""
    rows = []
    for n, word in enumerate(words):
        place, _, key = word.partition("/")
        flags, _, time = place.partition("@")
        rows.append({"time": float(time or n), "k": key or None, **{f: int(f in flags) for f in FLAGS}})
    return [*rows, PAD]


AB = "[any where a == 1] [any where b == 1]"


@pytest.mark.parametrize(
    ("words", "query", "found"),
    [
        # The last A wins, and is consumed.
        (("a", "a", "b", "b"), f"sequence {AB}", [(1, 2)]),
        # One event ends one sequence and starts another, and is never its own successor.
        (("a", "ab", "ab"), f"sequence {AB}", [(0, 1), (1, 2)]),
        # maxspan is inclusive, to the nanosecond.
        (("a@0", "b@2"), f"sequence with maxspan=2s {AB}", [(0, 1)]),
        (("a@0", "b@2.000000001"), f"sequence with maxspan=2s {AB}", []),
        (("a@0", "b@0.0015"), f"sequence with maxspan=1ms {AB}", []),
        # What comes too late has consumed it all the same.
        (("a@0", "b@5", "b@5"), f"sequence with maxspan=4s {AB}", []),
        # maxspan counts from the first event.
        (("a@0", "b@2", "c@4"), f"sequence with maxspan=3s {AB} [any where c == 1]", []),
        # Ties are broken by the record id.
        (("a@1", "b@1"), f"sequence {AB}", [(0, 1)]),
        (("b@1", "a@1"), f"sequence {AB}", []),
        # Keys: a null joins nothing, unless it may.
        (("a/x", "b/y", "b/x"), f"sequence by k {AB}", [(0, 2)]),
        (("a", "b"), f"sequence by k {AB}", []),
        (("a", "b/x", "b"), f"sequence by ?k {AB}", [(0, 2)]),
        # until: between, and not after; on the first event it blocks, on the last it does not.
        (("a", "u", "b"), f"sequence {AB} until [any where u == 1]", []),
        (("a", "b", "u"), f"sequence {AB} until [any where u == 1]", [(0, 1)]),
        (("au", "b"), f"sequence {AB} until [any where u == 1]", []),
        (("a", "bu"), f"sequence {AB} until [any where u == 1]", [(0, 1)]),
        (("a/x", "u/y", "b/x"), f"sequence by k {AB} until [any where u == 1]", [(0, 2)]),
        # runs repeat a step.
        (("a", "a", "a"), "sequence [any where a == 1] with runs=2", [(0, 1), (1, 2)]),
        (("a", "b", "b", "c"), "sequence [any where a == 1] [any where b == 1] with runs=2 [any where c == 1]",
         [(0, 1, 2, 3)]),
        # Pipes, by the order of the first event.
        (("a", "b", "a", "b", "a", "b"), f"sequence {AB} | head 1", [(0, 1)]),
        (("a", "b", "a", "b", "a", "b"), f"sequence {AB} | tail 2 | head 1", [(2, 3)]),
        (("a", "b", "a"), "any where a == 1 | tail 1", [(2,)]),
        # Missing events.
        (("a@0", "b@1"), "sequence with maxspan=5s [any where a == 1] ![any where b == 1]", []),
        (("a@0", "b@6"), "sequence with maxspan=5s [any where a == 1] ![any where b == 1]", [(0,)]),
        (("b@0", "a@1", "a@9"), "sequence with maxspan=5s ![any where b == 1] [any where a == 1]", [(2,)]),
        (("a@0", "c@1", "b@2"),
         "sequence with maxspan=5s [any where a == 1] ![any where c == 1] [any where b == 1]", []),
        (("a@0/x", "c@1/y", "b@2/x"),
         "sequence by k with maxspan=5s [any where a == 1] ![any where c == 1] [any where b == 1]", [(0, 2)]),
        # Samples: in any order, different events, the earliest.
        (("b/x", "a/x", "a/y", "a/x"), "sample by k [any where a == 1] [any where b == 1]", [(1, 0)]),
        (("ab/x",), "sample by k [any where a == 1] [any where b == 1]", []),
        (("ab/x", "a/x"), "sample by k [any where a == 1] [any where b == 1]", [(1, 0)]),
    ],
)  # fmt: skip
def test_a_sequence_of(words: tuple[str, ...], query: str, found: list[tuple[int, ...]]) -> None:
    assert world(events(*words)).ids(query) == found


def test_the_state_machine_that_elasticsearch_draws() -> None:
    """Eleven events of two users; two sequences are complete, and what is left over stays open."""
    told = [("r", "a"), ("r", "a"), ("e", "b"), ("r", "b"), ("r", "b"), ("e", "a"), ("r", "a"), ("e", "b"), ("r", "c"),
            ("e", "c"), ("r", "c")]  # fmt: skip
    rows = events(*(f"{flag}@{n}/{user}" for n, (user, flag) in enumerate(told)))
    assert asked(rows, f"sequence by k {AB} [any where c == 1]") == [(1, 3, 8), (5, 7, 9)]


@pytest.mark.parametrize(
    ("span", "shape", "found"),
    [(3, "!u a", [1, 4, 5]), (19, "!u a !u", [1, 3, 4, 5]), (21, "!u a !u", [3, 4, 5])],
)
def test_missing_events_at_both_ends_as_elasticsearch_publishes_it(span: int, shape: str, found: list[int]) -> None:
    """In minutes: missing at 0 and 20, others at 10, 21, 29 and 31."""
    rows = events("u@0", "a@600", "u@1200", "a@1260", "a@1740", "a@1860")
    steps = " ".join(f"{word[:-1]}[any where {word[-1]} == 1]" for word in shape.split())
    assert world(rows).ids(f"sequence with maxspan={span}m {steps}") == [(n,) for n in found]


def test_an_event_without_a_time_stands_in_no_sequence() -> None:
    rows = [{"time": None, "a": 1, "b": 0}, {"time": 1, "a": 0, "b": 1}]
    assert world(rows).ids(f"sequence {AB}") == []
    assert world(rows).met("a == 1") == [0]


def test_an_event_of_several_keys_stands_under_each() -> None:
    rows = [{"id": 0, "time": 0, "k": ["x", "y"], "a": 1, "b": 0}, {"id": 1, "time": 1, "k": ["y"], "a": 0, "b": 1}]
    many = World(rows, {"k": "many:text", "a": "number", "b": "number"})
    assert many.ids(f"sequence by k {AB}") == [(0, 1)]


def test_keys_of_different_types_join_as_text() -> None:
    rows = [{"id": 0, "time": 0, "p": 4711, "a": 1, "q": "-"}, {"id": 1, "time": 1, "p": 1, "q": "4711", "a": 0}]
    mixed = World(rows, {"p": "number", "a": "number"})
    assert mixed.ids("sequence [any where a == 1] by p [any where a == 0] by q") == [(0, 1)]


def test_sequences_join_events_of_several_types() -> None:
    rows = [
        {"id": 7, "category": "process", "time": 2, "k": "x"},
        {"id": 3, "category": "file", "time": 1, "k": "x"},
        {"id": 9, "category": "file", "time": 3, "k": "x"},
    ]
    assert World(rows).ids("sequence by k [process where true] [file where true]") == [(7, 9)]
    assert World(rows).ids("sequence by k [file where true] [process where true] [any where true]") == [(3, 7, 9)]


def test_numbers_near_the_limit_of_what_is_packed_stay_apart() -> None:
    """Orders and keys share 64 bits."""
    orders = np.array([2**31 - 3, 2**31 - 1])
    keys = np.array([2**29 - 1, 2**29 - 1])
    one = Events(orders[:1], keys[:1])
    two = Events(orders[1:], keys[1:])
    time = np.zeros(1, np.int64)
    assert chains([one, two], time).events.tolist() == [orders.tolist()]
    with pytest.raises(MemoryError):
        chains([Events(orders, keys * 8), two], time)
