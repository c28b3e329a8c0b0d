"""Wildcards and regular expressions, against Python's own."""

from __future__ import annotations

import re

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hunt.eql import patterns
from hunt.eql.syntax import NOWHERE
from hunt.model import Status
from hunt.rules.model import RuleError

TEXTS = st.text(alphabet="abAB.\\*?^$[é\n", max_size=6)
WILDCARDS = st.text(alphabet="abA.\\**??^[é\n", max_size=5)


def matched(given_: patterns.Patterns, values: list[str | None]) -> list[bool | None]:
    return given_.match(pl.Series(values, dtype=pl.String)).to_list()


def as_regex(wildcard: str) -> str:
    return "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in wildcard)


@settings(max_examples=100)
@given(st.lists(WILDCARDS, min_size=1, max_size=4), st.lists(TEXTS, max_size=6), st.booleans())
def test_wildcards_match_as_they_are_defined(wildcards: list[str], texts: list[str], insensitive: bool) -> None:
    flags = re.DOTALL | (re.IGNORECASE if insensitive else 0)
    expected = [any(re.fullmatch(as_regex(w), text, flags) for w in wildcards) for text in texts]
    assert matched(patterns.of_wildcards(wildcards, insensitive, NOWHERE), [*texts, None]) == [*expected, None]


def test_a_pattern_is_told_apart_before_it_becomes_an_expression() -> None:
    made = patterns.of_wildcards(["a.exe", "b*", "*c", "*d*", "e?f"], True, NOWHERE)
    assert (made.whole, made.starts, made.ends, made.parts) == (frozenset({"a.exe"}), ("b",), ("c",), ("d",))
    assert len(made.shapes) == 1
    assert patterns.of_wildcards(["*", "**"], True, NOWHERE).everything


@pytest.mark.parametrize(
    ("regex", "meets", "misses"),
    [
        ("a.c", ["abc", "a\nc"], ["abcd", "xabc"]),
        ("^a$", ["^a$"], ["a"]),  # no anchors: characters
        ("a|bc", ["a", "bc"], ["abc"]),
        ("(ab){2,3}", ["abab", "ababab"], ["ab"]),
        ("a{2}b{1,}", ["aab", "aabbb"], ["ab"]),
        ("[^a-c]x", ["dx"], ["ax"]),
        ("[a\\-]x[]]", ["-x]", "ax]"], ["bx]"]),
        ("@.exe", ["foo.exe", ".exe"], ["foo"]),
        ("a#|b", ["b"], ["a", "a#"]),
        ('"a.b"c', ["a.bc"], ["axbc"]),
        ("\\@\\#\\~\\&\\<", ["@#~&<"], ["x"]),
        ("\\d+\\w\\s", ["12a "], ["a12 "]),
        ("C:\\\\Users\\\\.*", ["C:\\Users\\x"], ["c:\\Users\\x"]),
        (".*[ʰ-˿]+.*", ["aʰb"], ["ab"]),
        ("", [""], ["a"]),
    ],
)
def test_regular_expressions_are_lucenes(regex: str, meets: list[str], misses: list[str]) -> None:
    made = patterns.of_regexes([regex], False, NOWHERE)
    assert matched(made, meets) == [True] * len(meets)
    assert matched(made, misses) == [False] * len(misses)


def test_regular_expressions_without_case() -> None:
    assert matched(patterns.of_regexes(["AB.", "ä"], True, NOWHERE), ["abx", "Ä", "b"]) == [True, True, False]


@pytest.mark.parametrize(
    ("regex", "status"),
    [
        ("a~b", Status.UNSUPPORTED),
        ("a&b", Status.UNSUPPORTED),
        ("<1-9>", Status.UNSUPPORTED),
        ("(?i)a", Status.UNSUPPORTED),
        ("(?=a)b", Status.UNSUPPORTED),
        ("((a{1000}){1000}){1000}", Status.UNSUPPORTED),
        ("(" * 5000 + ")" * 5000, Status.UNSUPPORTED),
        ("*a", Status.UNSUPPORTED),
        ("a)", Status.INVALID),
        ("(a", Status.INVALID),
        ("[a", Status.INVALID),
        ("a{x}", Status.INVALID),
        ('"a', Status.INVALID),
        ("a\\", Status.INVALID),
    ],
)
def test_what_cannot_be_said_is_refused(regex: str, status: Status) -> None:
    with pytest.raises(RuleError) as caught:
        patterns.of_regexes([regex], False, NOWHERE)
    assert caught.value.status is status


def test_patterns_that_blow_up_elsewhere_run_in_linear_time() -> None:
    made = patterns.of_regexes(["(a+)+b", "(a|aa)+b", "(.*)*x"], False, NOWHERE)
    assert matched(made, ["a" * 50_000]) == [False]
    many = patterns.of_wildcards(["*a*a*a*a*a*a*b"], False, NOWHERE)
    assert matched(many, ["a" * 50_000]) == [False]


def test_a_wildcard_too_large_to_run_is_refused() -> None:
    with pytest.raises(RuleError, match="too large"):
        patterns.of_wildcards(["?" * 200_000 + "a"], False, NOWHERE)
