"""What a condition means: two values and no third, upper and lower case, several values; against plain Python."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hunt.eql.leaves import constant
from hunt.eql.parser import parse
from hunt.eql.plan import compile
from hunt.eql.syntax import Literal
from hunt.model import Status
from hunt.rules.model import RuleError
from tests.hunt.eql.worlds import Row, World, said

FIELDS = {"n": "number", "b": "boolean", "ip": "ip", "l": "many:text"}
EVENTS: list[Row] = [
    {"id": 1, "s": "cmd.exe", "n": 4, "b": True, "ip": "10.1.2.3", "l": ["/c", "Whoami"], "t": "2026-03-02"},
    {"id": 2, "s": "CMD.exe", "n": 443, "b": False, "ip": "0:0:0:0:0:0:0:1", "l": ["x"]},
    {"id": 3, "s": "a*b", "l": []},
    {"id": 4},
    {"id": 5, "s": "", "n": -1, "ip": "192.168.0.1"},
]


@pytest.fixture(scope="module")
def world() -> World:
    return World(EVENTS, FIELDS)


@pytest.mark.parametrize(
    ("condition", "ids"),
    [
        ('s == "cmd.exe"', [1]),
        ('s != "cmd.exe"', [2, 3, 4, 5]),  # absent is not equal
        ('not s == "cmd.exe"', [2, 3, 4, 5]),
        ('s : "cmd.exe"', [1, 2]),
        ('not s : "cmd*"', [3, 4, 5]),
        ('s == "a*b"', [3]),  # == knows no wildcards
        ('s == "cmd*"', []),
        ('s like "cmd*"', [1]),
        ('s like~ "CMD*"', [1, 2]),
        ('s : ("A?B", "")', [3, 5]),
        ('s : "*"', [1, 2, 3, 5]),
        ('s : "?*"', [1, 2, 3]),
        ('s in ("cmd.exe", "x")', [1]),
        ('s in~ ("cmd.exe", "x")', [1, 2]),
        ('s not in~ ("cmd.exe", "x")', [3, 4, 5]),
        ('s in ("cmd.exe", null)', [1]),
        ('s regex "c.d.*"', [1]),
        ('s regex~ ("c.d.*", "z")', [1, 2]),
        ('s regex "md"', []),
        ("s == null", [4]),
        ("s != null", [1, 2, 3, 5]),
        ("not (s == null or n == null)", [1, 2, 5]),
        ("absent == null", [1, 2, 3, 4, 5]),
        ("?absent != null", []),
        ('absent : "x"', []),
        ('not absent : "x"', [1, 2, 3, 4, 5]),
        ("n > 4", [2]),
        ("not n > 4", [1, 3, 4, 5]),
        ("4 < n", [2]),
        ("n >= 4 and n <= 4", [1]),
        ("n == 4.0", [1]),
        ('n == "443"', [2]),
        ('n == "x"', []),
        ("n in (4, 443)", [1, 2]),
        ('n : "44*"', [2]),
        ("n % 2 == 0", [1]),
        ("n + 1 > 400 or n * -1 == 1", [2, 5]),
        ("b", [1]),
        ("not b", [2, 3, 4, 5]),
        ("b == false", [2]),
        ("b != false", [1, 3, 4, 5]),
        ('s > "a"', [1, 3]),
        ('s < "a"', [2, 5]),
        ('l : "WHOAMI"', [1]),
        ('l == "x"', [2]),
        ('l != "x"', [1, 3, 4, 5]),  # none of its values is it
        ('l : "/c" and l : "whoami"', [1]),
        ("l == null", [3, 4, 5]),
        ("l != null", [1, 2]),
        ("length(l) == 1", [2]),
        ("length(l) > 1", [1]),
        ('concat(s, l) == "CMD.exex"', [2]),
        ("s == string(l)", []),
        ('ip == "10.1.2.3"', [1]),
        ('ip == "::1"', [2]),  # however it is spelt
        ('ip != "::1"', [1, 3, 4, 5]),
        ('ip == "10.0.0.0/8"', [1]),
        ('ip in ("::1", "192.168.0.0/16")', [2, 5]),
        ('ip : "192.168.*"', [5]),
        ('cidrMatch(ip, "10.0.0.0/8", "::/64")', [1, 2]),
        ('not cidrMatch(ip, "10.0.0.0/8")', [2, 3, 4, 5]),
        ('startsWith(s, "cmd") == true', [1]),
        ('(s == "cmd.exe") == false', [2, 3, 4, 5]),
        ('startsWith~(s, "CMD") and not endsWith(s, "EXE")', [1, 2]),
        ('s == concat("cmd", ".exe")', [1]),
        ('"cmd.exe" == s', [1]),
        ("s == s", [1, 2, 3, 5]),
        ("s == absent", []),
        ("true", [1, 2, 3, 4, 5]),
        ("false or not true", []),
        ('"a" : "A"', [1, 2, 3, 4, 5]),
    ],
)
def test_a_condition_is_met_by(world: World, condition: str, ids: list[int]) -> None:
    assert world.met(condition) == ids


@pytest.mark.parametrize(
    ("condition", "status", "said_"),
    [
        ("s", Status.INVALID, "condition is expected"),
        ("length(s)", Status.INVALID, "condition is expected"),
        ('"x"', Status.INVALID, "condition is expected"),
        ("s > 4", Status.INVALID, "between a text and a number"),
        ("b > true", Status.INVALID, "booleans"),
        ("b == s", Status.INVALID, "compared with"),
        ('ip > "10.0.0.0"', Status.INVALID, "addresses"),
        ('ip == "10.0.0.0/64"', Status.INVALID, "no network"),
        ("s : 4", Status.INVALID, "texts"),
        ("s in (s, l)", Status.UNSUPPORTED, "no constant"),
        ("(s == \"a\") == s", Status.INVALID, "value is expected"),
        ("length(s == \"a\") == 1", Status.INVALID, "value is expected"),
        ("unknown(s)", Status.UNSUPPORTED, "function unknown"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_its_place(
    world: World, condition: str, status: Status, said_: str
) -> None:
    with pytest.raises(RuleError, match=said_) as caught:
        compile(parse(f"any where\n {condition}"), world)
    assert caught.value.status is status
    assert caught.value.line == 2


def test_times_are_compared_with_iso_8601() -> None:
    events: list[Row] = [{"id": 1, "time": 0}, {"id": 2, "time": 1_772_439_300}]
    world = World([row | {"s": "x"} for row in events])
    for kind in world.has:
        world.has[kind]["@timestamp"] = world._info("time").__class__("time")
        world.over = lambda case, kind, frame, names: frame.select(  # type: ignore[method-assign]
            *("time" if name == "@timestamp" else name for name in names)
        ).rename({"time": "@timestamp"})
    assert world.met('@timestamp >= "2026-03-02T08:15:00Z"') == [2]
    assert world.met('@timestamp < "2026-03-02T08:15:00+01:00"') == [1]
    with pytest.raises(RuleError, match="is not written as"):
        world.met('@timestamp > "now-1d"')


# Random conditions, against an evaluator that is a few lines of Python.

Meets = Callable[[Row], bool]
VALUES = ["a", "A", "ab", "Ab", "b", ""]
TEXTS = st.sampled_from(VALUES)
WILD = st.sampled_from(["a", "A*", "*b", "?", "*", "a?", ""])


def like(value: str, pattern: str, insensitive: bool) -> bool:
    if insensitive:
        value, pattern = value.lower(), pattern.lower()
    return fnmatch.fnmatchcase(value, pattern)


def values_of(row: Row, name: str) -> list[Any]:
    value = row.get(name)
    return [] if value is None else value if isinstance(value, list) else [value]


def any_of(name: str, test: Callable[[Any], bool]) -> Meets:
    return lambda row: any(map(test, values_of(row, name)))


def leaf(name: str) -> st.SearchStrategy[tuple[str, Meets]]:
    def equal(text: str) -> tuple[str, Meets]:
        return f"{name} == {said(text)}", any_of(name, lambda v: v == text)

    def unequal(text: str) -> tuple[str, Meets]:
        return f"{name} != {said(text)}", lambda row: text not in values_of(row, name)

    def matched(wild: list[str]) -> tuple[str, Meets]:
        listed = ", ".join(map(said, wild))
        return f"{name} : ({listed})", any_of(name, lambda v: any(like(v, w, True) for w in wild))

    def exact(wild: str) -> tuple[str, Meets]:
        return f"{name} like {said(wild)}", any_of(name, lambda v: like(v, wild, False))

    def listed(texts: list[str]) -> tuple[str, Meets]:
        return f"{name} in ({', '.join(map(said, texts))})", any_of(name, lambda v: v in texts)

    def begins(text: str) -> tuple[str, Meets]:
        return f"startsWith~({name}, {said(text)})", any_of(name, lambda v: v.lower().startswith(text.lower()))

    return st.one_of(
        TEXTS.map(equal),
        TEXTS.map(unequal),
        st.lists(WILD, min_size=1, max_size=3).map(matched),
        WILD.map(exact),
        st.lists(TEXTS, min_size=1, max_size=3).map(listed),
        TEXTS.map(begins),
        st.just((f"{name} == null", lambda row: not values_of(row, name))),
        st.just((f"{name} != null", lambda row: bool(values_of(row, name)))),
    )


def combined(parts: list[tuple[str, Meets]], word: str) -> tuple[str, Meets]:
    all_or_any = all if word == "and" else any
    return f"({f' {word} '.join(text for text, _ in parts)})", lambda row: all_or_any(meets(row) for _, meets in parts)


CONDITIONS: st.SearchStrategy[tuple[str, Meets]] = st.recursive(
    st.one_of(*map(leaf, ("s", "t", "l", "gone"))),
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: combined(parts, "and")),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: combined(parts, "or")),
        inner.map(lambda part: (f"not {part[0]}", lambda row: not part[1](row))),
    ),
    max_leaves=6,
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {"s": st.none() | TEXTS, "t": st.none() | TEXTS, "l": st.none() | st.lists(TEXTS, max_size=3)}
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=50)
@given(ROWS, st.lists(CONDITIONS, min_size=1, max_size=4))
def test_random_conditions_against_plain_python(rows: list[Row], conditions: list[tuple[str, Meets]]) -> None:
    events = [row | {"id": number} for number, row in enumerate(rows)]
    world = World(events, {"l": "many:text"})
    for text, meets in conditions:
        assert world.met(text) == [row["id"] for row in events if meets(row)], text


def test_many_tests_of_a_column_that_repeats_give_the_same_as_few() -> None:
    """Then each is put to the different values alone."""
    many = 21_000
    events = [
        {"id": n, "s": VALUES[n % 6] if n % 7 else None, "l": [VALUES[n % 5], VALUES[n % 3]][: n % 3]}
        for n in range(many)
    ]
    world = World(events, {"l": "many:text"})
    asked = " or ".join(f's : "x{n}*" or l : "y{n}*"' for n in range(10))
    for condition in ('s : "a*"', 'not s : "a*"', 'l : "A?"', "l == null", "s == null", 'l : "b" and not s == "b"'):
        few, often = (world.ask(f"any where {text}").hits["row"] for text in (condition, f"({condition}) or {asked}"))
        assert few.len() > 1_000
        assert few.equals(often)


def test_a_list_of_thousands_is_no_tree() -> None:
    world = World([{"id": 1, "s": "v1999"}, {"id": 2, "s": "x"}])
    listed = ", ".join(f'"v{n}"' for n in range(2_000))
    assert world.met(f"s in ({listed})") == [1]
    assert world.met(" or ".join(f's == "v{n}"' for n in range(1_000, 2_000))) == [1]
    assert world.met(f"not s : ({listed})") == [2]


def test_a_text_is_no_condition_even_where_nothing_is_read() -> None:
    with pytest.raises(RuleError):
        constant(Literal("x"))
