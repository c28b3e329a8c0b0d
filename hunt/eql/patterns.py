"""Texts looked for by wildcards (* any characters, ? one) and by regular expressions, many at once.

What a pattern asks is told apart before a regular expression is made of it: most ask for a whole text, a beginning, an
end or a part. Regular expressions are Lucene's, which always mean the whole value; they run in Rust's engine, in time
linear in the text whatever they say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import polars as pl

from hunt.eql import lucene
from hunt.eql.literals import unsupported
from hunt.eql.syntax import Place
from hunt.rules.model import RuleError

_TOGETHER = 50  # patterns in one regular expression
_ESCAPED = re.compile(r"[\\.+*?()|\[\]{}^$#&\-~/]")


@dataclass(frozen=True, slots=True)
class Patterns:
    """Any of some patterns. Without case, all are in lower case, and so must the texts be, but for `regexes`."""

    insensitive: bool
    whole: frozenset[str] = frozenset()
    starts: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    shapes: tuple[str, ...] = ()  # regular expressions over the texts as compared
    regexes: tuple[str, ...] = ()  # over the texts as they are
    everything: bool = False
    weight: int = field(default=1, compare=False)  # what it costs, roughly: 1 for one comparison of a short text

    def match(self, values: pl.Series, lower: pl.Series | None = None) -> pl.Series:
        """Whether each text is one of them, null for null; `lower`: the same texts in lower case, if they are known."""
        if self.everything:
            return pl.select(pl.when(values.is_not_null()).then(pl.lit(value=True))).to_series()
        met: pl.Series | None = None
        compared = values
        if self.insensitive and (self.whole or self.starts or self.ends or self.parts or self.shapes):
            compared = values.str.to_lowercase() if lower is None else lower
        for one in self._each(compared, values):
            met = one if met is None else met | one
        return pl.Series([None], dtype=pl.Boolean).new_from_index(0, len(values)) if met is None else met

    def _each(self, compared: pl.Series, values: pl.Series) -> Iterator[pl.Series]:
        if self.whole:
            yield compared.is_in(sorted(self.whole))
        for text in self.starts:
            yield compared.str.starts_with(text)
        for text in self.ends:
            yield compared.str.ends_with(text)
        if len(self.parts) > 1:
            yield compared.str.contains_any(list(self.parts))
        elif self.parts:
            yield compared.str.contains(self.parts[0], literal=True)
        for regex in self.shapes:
            yield compared.str.contains(regex)
        for regex in self.regexes:
            yield values.str.contains(regex)


def of_wildcards(texts: Iterable[str], insensitive: bool, place: Place) -> Patterns:
    """Raises RuleError for patterns that are too large to run."""
    whole: set[str] = set()
    starts, ends, parts, shapes = [], [], [], []
    everything = False
    for text in dict.fromkeys(text.lower() if insensitive else text for text in texts):
        inner = text.strip("*")
        if not inner:
            everything |= bool(text)
            if not text:
                whole.add(text)
        elif "*" in inner or "?" in inner:
            shapes.append(_shape(text))
        elif text == inner:
            whole.add(text)
        elif text.startswith("*") and text.endswith("*"):
            parts.append(inner)
        elif text.endswith("*"):
            starts.append(inner)
        else:
            ends.append(inner)
    weight = 1 + len(starts) + len(ends) + 2 * bool(parts) + 10 * len(shapes)
    joined = tuple(_joined([rf"(?s)^{shape}$" for shape in shapes], place))
    return Patterns(
        insensitive, frozenset(whole), tuple(starts), tuple(ends), tuple(parts), joined, (), everything, weight
    )


def of_regexes(texts: Iterable[str], insensitive: bool, place: Place) -> Patterns:
    """Raises RuleError for what is no regular expression of Lucene's, or too large to run."""
    flags = "(?si)" if insensitive else "(?s)"
    made = [rf"{flags}\A(?:{lucene.translated(text, place)})\z" for text in dict.fromkeys(texts)]
    for one in made:
        checked(one, place)
    return Patterns(insensitive, regexes=tuple(made), weight=1 + 20 * len(made))


def of_texts(texts: Iterable[str], insensitive: bool) -> Patterns:
    """Texts as they are, without wildcards."""
    return Patterns(insensitive, frozenset(text.lower() if insensitive else text for text in texts))


def escaped(text: str) -> str:
    """A text as a regular expression for itself."""
    return _ESCAPED.sub(lambda found: "\\" + found[0], text)


def checked(regex: str, place: Place) -> str:
    """The same, if Rust's engine takes it."""
    try:
        pl.Series([""]).str.contains(regex)
    except pl.exceptions.ComputeError as error:
        said = "too large" if "size limit" in str(error) else "not understood"
        raise unsupported(f"a pattern that is {said}", place) from None
    return regex


def _shape(text: str) -> str:
    """Beginning and end are matched by the caller; runs of * are one."""
    return re.sub(r"\*+|\?+|[^*?]+", lambda found: _piece(found[0]), text)


def _piece(text: str) -> str:
    if text[0] == "*":
        return ".*"
    return f".{{{len(text)}}}" if text[0] == "?" else escaped(text)


def _joined(shapes: Sequence[str], place: Place) -> Iterator[str]:
    """Some together in one expression, each for itself where that is too large."""
    for first in range(0, len(shapes), _TOGETHER):
        some = shapes[first : first + _TOGETHER]
        together = "|".join(f"(?:{shape})" for shape in some)
        try:
            yield checked(together, place)
        except RuleError:
            if len(some) == 1:
                raise
            yield from (checked(shape, place) for shape in some)
