"""Command lines as Windows splits them, against a character-by-character telling of the same rules."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hunt.ecs import arguments
from hunt.schema import TEXTS

LINES = st.lists(st.one_of(st.none(), st.text(alphabet='\\" \tab', min_size=1, max_size=20)), max_size=40)


def split(*lines: str | None) -> list[list[str] | None]:
    frame = pl.DataFrame({"line": lines}, schema={"line": pl.String})
    found = frame.select(arguments.split(pl.col("line")))["line"]
    assert found.dtype == TEXTS
    return found.to_list()


def windows(line: str) -> list[str]:
    """CommandLineToArgvW, one character after the other, by the count of backslashes and of quotes that are open."""
    at = 0
    if line[0] == '"':
        end = line.find('"', 1)
        found, at = ([line[1:]], len(line)) if end < 0 else ([line[1:end]], end + 1)
    else:
        while at < len(line) and line[at] not in " \t":
            at += 1
        found = [line[:at]]
    while at < len(line) and line[at] in " \t":
        at += 1
    argument: list[str] = []
    slashes = quotes = 0
    begun = at < len(line)
    while at < len(line):
        character = line[at]
        if character in " \t" and not quotes:
            found.append("".join(argument))
            argument, slashes = [], 0
            while at < len(line) and line[at] in " \t":
                at += 1
            begun = at < len(line)
            continue
        at += 1
        if character != '"':
            argument.append(character)
            slashes = slashes + 1 if character == "\\" else 0
            continue
        del argument[len(argument) - slashes // 2 - slashes % 2 :]
        if slashes % 2:
            argument.append('"')
        else:
            quotes += 1
        slashes = 0
        while at < len(line) and line[at] == '"':
            at, quotes = at + 1, quotes + 1
            if quotes == 3:
                argument.append('"')
                quotes = 0
        quotes = 0 if quotes == 2 else quotes
    return [*found, "".join(argument)] if begun else found


@pytest.mark.parametrize(
    ("line", "arguments_"),
    [
        # The first four: Microsoft's examples ("Parsing C command-line arguments"), behind a program's name.
        (r'x "a b c" d e', ["x", "a b c", "d", "e"]),
        (r'x "ab\"c" "\\" d', ["x", 'ab"c', "\\", "d"]),
        (r'x a\\\b d"e f"g h', ["x", r"a\\\b", "de fg", "h"]),
        (r'x a\\\\"b c" d e', ["x", r"a\\b c", "d", "e"]),
        (r'"C:\Program Files\a b.exe" /c', [r"C:\Program Files\a b.exe", "/c"]),
        (r'"C:\dir\" rest', ["C:\\dir\\", "rest"]),  # the program's name knows no escapes
        (r'C:\a"b c"', ['C:\\a"b', "c"]),  # nor quotes within
        ('cmd /c start "" "x y"', ["cmd", "/c", "start", "", "x y"]),
        ('"x"y z', ["x", "y", "z"]),
        ("x  \t ", ["x"]),
        (" x", ["", "x"]),
        ('"', [""]),
    ],
)
def test_a_line_is_split_as_windows_splits_it(line: str, arguments_: list[str]) -> None:
    assert windows(line) == arguments_
    assert split(line) == [arguments_]


@settings(max_examples=150)
@given(LINES)
def test_random_lines_are_split_as_character_by_character(lines: list[str | None]) -> None:
    assert split(*lines) == [None if line is None else windows(line) for line in lines]


@pytest.mark.parametrize("line", ["\\" * 300_000, '"' * 300_001, r"\" " * 100_000, ' "a' * 90_000])
def test_a_hostile_line_is_split_like_any_other(line: str) -> None:
    """In time that grows with its length: one that grows with its square would be felt."""
    assert split(f"x {line}") == [windows(f"x {line}")]
