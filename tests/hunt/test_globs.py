from __future__ import annotations

import re
import time

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hunt import globs


def match(text: str | None, glob: str) -> bool:
    return bool(pl.DataFrame({"t": [text]}, schema={"t": pl.String}).select(globs.matches("t", glob)).item())


@pytest.mark.parametrize(
    ("glob", "text", "expected"),
    [
        ("agent.exe", "agent.exe", True),
        ("agent.exe", "agentXexe", False),  # a dot is a dot
        ("agent.exe", "agent.exe.exe", False),  # the whole text
        ("*.vbs", "c:\\a\\b.vbs", True),
        ("?:\\a", "c:\\a", True),
        ("?:\\a", ":\\a", False),
        ("*(x|y)*", "a(x|y)b", True),
        ("*(x|y)*", "axb", False),
        ("[a-c]", "b", False),
        ("a*b", "a\nb", True),  # a line break in a command line does not end it
        ("$^", "$^", True),
        ("*", "", True),
    ],
)
def test_a_glob_means_itself_but_for_two_characters(glob: str, text: str, expected: bool) -> None:
    assert match(text, glob) is expected


def test_what_is_not_known_matches_nothing() -> None:
    assert not match(None, "*")


def plain(glob: str) -> str:
    """The same glob for Python's re: another engine."""
    return "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in glob)


@given(st.text(st.sampled_from("ab*?.\\[("), max_size=7), st.text(st.sampled_from("ab.\\[(\n"), max_size=9))
def test_globs_are_what_another_engine_says(glob: str, text: str) -> None:
    assert match(text, glob) == bool(re.fullmatch(plain(glob), text, re.DOTALL))


def test_no_pattern_makes_matching_slow() -> None:
    began = time.monotonic()
    assert not match("a" * 32_000 + "b", "*a" * 1500 + "*c")
    assert time.monotonic() - began < 5  # a backtracking engine would not come to an end


@pytest.mark.parametrize(
    "spelling",
    [
        "C:\\Program Files\\Contoso\\Agent.EXE",
        "\\\\?\\C:\\Program Files\\Contoso\\agent.exe",
        "\\??\\C:\\PROGRAM FILES\\Contoso\\agent.exe",
        "\\\\.\\c:\\program files\\contoso\\agent.exe",
        "c:/program files/contoso/agent.exe",
    ],
)
def test_a_path_has_one_spelling(spelling: str) -> None:
    assert globs.fold_path(spelling) == "c:\\program files\\contoso\\agent.exe"


def test_unc_paths_have_one_spelling() -> None:
    assert globs.fold_path("\\\\?\\UNC\\Srv\\Share\\a.exe") == globs.fold_path("\\\\srv\\share\\A.exe")


@pytest.mark.parametrize("letter", ["\u212a", "\u017f", "\u0130", "\u0131", "\u212b", "\u1e9e"])
def test_letters_that_windows_tells_apart_stay_apart(letter: str) -> None:
    assert globs.fold(letter) == letter


@pytest.mark.parametrize(("upper", "lower"), [("Ä", "ä"), ("É", "é"), ("Ж", "ж"), ("Ω", "ω")])
def test_letters_beyond_ascii_compare_without_case(upper: str, lower: str) -> None:
    assert globs.fold(upper) == globs.fold(lower)


def test_a_glob_of_wildcards_alone_tells_nothing() -> None:
    assert [globs.telling(g) for g in ("*", "?:\\*", "*\\*", "", "*a")] == [False, False, False, False, True]
