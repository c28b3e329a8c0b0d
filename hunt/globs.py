r"""Globs over Windows names: `*` stands for any characters (also `\`), `?` for one; everything else for itself.

Names are compared as Windows does, without case, and matched by Polars' regular expressions, whose time grows with
the length of the text alone, whatever the pattern.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import polars as pl

# How the same file may be written: `\\?\C:\x`, `\??\C:\x`, `\\.\C:\x` and `\\?\UNC\server\share`.
_UNC = re.compile(r"^\\(?:\\|\?)\?\\UNC\\", re.IGNORECASE)
_PREFIX = re.compile(r"^\\(?:\\[?.]|\?\?)\\(?=[a-z?]:)", re.IGNORECASE)


def fold(text: str) -> str:
    """In lower case, letter by letter and only where that is reversible.

    Windows tells the Kelvin sign from k and the long s from s, though lower or upper case would make them one.
    """
    return text.lower() if text.isascii() else "".join(_lower(c) for c in text)


def _lower(character: str) -> str:
    low = character.lower()
    alike = low.isascii() == character.isascii() and low.upper() == character
    return low if alike else character


def fold_path(text: str) -> str:
    """The one spelling of a path: folded, with `\\` between folders, without the prefixes that change nothing."""
    return fold(_PREFIX.sub("", _UNC.sub(r"\\\\", text.replace("/", "\\"))))


def folded(column: pl.Series, how: Callable[[str], str] = fold) -> pl.Series:
    """A text column, each different text folded once; null stays."""
    once = {text: how(text) for text in column.drop_nulls().unique().to_list()}
    return column.replace_strict(once, default=None, return_dtype=pl.String)


def telling(glob: str) -> bool:
    """Whether a glob leaves anything out that has a name: `*`, `?:\\*` and `*\\*` do not."""
    return any(c.isalnum() for c in glob)


def matches(column: str, glob: str) -> pl.Expr:
    """Whether a folded column is, whole, what a folded glob says; false where it is null."""
    return pl.col(column).str.contains(f"^{pattern(glob)}$").fill_null(value=False)


def pattern(glob: str) -> str:
    """A regular expression, for Polars and for `re.fullmatch`, of what a folded glob says."""
    parts = (".*" if part == "*" else "." if part == "?" else pl.escape_regex(part) for part in _parts(glob))
    return f"(?s:{''.join(parts)})"


def _parts(glob: str) -> list[str]:
    """Literal texts, `*` and `?`; of several `*` in a row one."""
    return [part for part in re.split(r"(\*|\?)", re.sub(r"\*+", "*", glob)) if part]
