"""Expressions: what must stand in a text that one matches, and which engine may run it."""

from __future__ import annotations

import re

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hunt.sigma import regexes, slow


@pytest.mark.parametrize(
    ("pattern", "flags", "clauses"),
    [
        ("PowerShell", "", (("powershell",),)),
        ("(?i)powershell", "", (("power",), ("hell",))),  # a long s is an s as well
        ("power.*shell", "", (("power",), ("shell",))),
        ("[Pp]ower[sS]hell", "", (("powershell",),)),
        ("(?:abc|def)x", "", (("abc", "def"),)),
        ("(?:abc|d)xyz", "", (("xyz",),)),
        ("(abc)+d?ef(?=zzz)g", "", (("abc",), ("efg",))),
        ("(abc)?", "", ()),
        ("a|b", "", ()),
        (r"\d+", "", ()),
        ("[[:alpha:]]abc", "", ()),
        (r"\babc\b", "", (("abc",),)),
        ("ab(?i:c)d", "", (("abcd",),)),
        ("(", "", ()),
    ],
)
def test_texts_that_must_be_there(pattern: str, flags: str, clauses: tuple[tuple[str, ...], ...]) -> None:
    assert regexes.required(pattern, flags) == clauses


_PATTERN = st.lists(
    st.sampled_from(("abc", "Ab", "[aA]bc", "(abc|bca)", "(ab)?c", "(?i:abc)", "a+bc", r"\w{2}", "$", "\u017fk", "K")),
    min_size=1, max_size=4,
).map("".join)  # fmt: skip


@given(_PATTERN, st.sampled_from(("", "i")), st.text("abcABC sS\u017fkK\u212a", max_size=12))
@settings(max_examples=150)
def test_no_text_that_matches_lacks_them(pattern: str, flags: str, text: str) -> None:
    if re.search(pattern, text, re.I if flags else 0):
        assert all(any(one in regexes.fold(text) for one in clause) for clause in regexes.required(pattern, flags))


@pytest.mark.parametrize(
    ("pattern", "portable"),
    [
        ("a--b", True),
        (r"\[a[b]", True),
        (r"[\[a]", True),
        ("[a&&b]", False),
        ("[a[b]", False),
        ("[a--b]", False),
        (r"\<a", False),
    ],
)
def test_what_rusts_engine_would_take_for_something_else(pattern: str, portable: bool) -> None:
    assert regexes.portable(pattern) is portable


@pytest.mark.parametrize(
    "pattern", ["(a{1000}){1000}", "((a{100}){100}){100}", "(?i)x(?:a{9999}){9999}", r"a{99999}\pL(?i){9999}"]
)
def test_a_large_expression_is_known_as_such(pattern: str) -> None:
    assert regexes.size(pattern) > regexes.LARGEST


def test_only_what_re2_refuses_is_left_to_python() -> None:
    assert regexes.linear("a{2}[", "") is None
    assert regexes.linear("(?=a)", "") is None
    assert regexes.linear("[a&&b]", "i").search("&")


def test_pythons_engine_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = pl.Series(["no foo", "a foo", None])
    assert slow.matches(texts, "(?<!no )FOO", "i").to_list() == [False, True, False]
    monkeypatch.setattr(slow, "_STUCK_S", 1.0)
    told = slow.matches(pl.Series(["aab", "a" * 60, "b", None]), "(a+a+)+b", "")
    assert told.to_list() == [True, None, False, False]
    monkeypatch.setattr(slow, "_LONGEST_S", 0.0)
    assert slow.matches(pl.Series(["aab", "b"]), "(a+a+)+b", "").to_list() == [None, None]  # there is no time left
