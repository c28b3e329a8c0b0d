"""Regular expressions of rules: which engine runs one, what must stand in a text that it matches, how large it is.

Rust's engine (Polars) is linear and runs over whole columns; RE2 is linear as well and reads what Rust's refuses or
takes for something else; only what looks around or refers back is left to Python's, which may take for ever and so runs
in a process of its own (`slow`).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from hunt.sigma import slow

if TYPE_CHECKING:
    import polars as pl

LARGEST = 20_000  # states, roughly, with repetitions written out; SigmaHQ's largest has some 1,100
_ENOUGH = 3  # bytes of a literal that is worth looking for
_SIZES = re.compile(r"\{(\d*)(?:,(\d*))?\}")

# Of what Rust's engine reads in another way than PCRE and RE2 do: word boundaries, and sets inside of sets.
_TOKEN = re.compile(r"\\(?s:.)|\[(\^?\]?(?:\\(?s:.)|[^\]\\])*)\]|[^\\[]+|\[")
_ESCAPED = re.compile(r"\\(?s:.)")
_BOUNDARIES = (r"\<", r"\>")
_OF_SETS = ("[", "&&", "--", "~~")


# The one letter whose lower case depends on where it stands: the last sigma of a word, and any other.
LAST_SIGMA, SIGMA = "\u03c2", "\u03c3"


def fold(text: str) -> str:
    """A text without case, as `truth.folded` makes what events hold."""
    return text.lower().replace(LAST_SIGMA, SIGMA)


def portable(pattern: str) -> bool:
    """Whether Rust's engine would mean the same by it; it may still refuse it."""
    tokens = [(token[0], _ESCAPED.sub("", token[1] or "")) for token in _TOKEN.finditer(pattern)]
    return not any(text in _BOUNDARIES or any(mark in inside for mark in _OF_SETS) for text, inside in tokens)


@cache
def size(pattern: str) -> int:
    """How large an automaton it makes, roughly; never too small by much."""
    parsed = _parsed(pattern, "")
    if parsed is not None:
        return _size(parsed)
    product = len(pattern)
    for low, high in _SIZES.findall(pattern):
        product *= max(1, *(int(n) for n in (low[:6], high[:6]) if n))
    return product


def required(pattern: str, flags: str) -> tuple[tuple[str, ...], ...]:
    """What must stand in each text that matches, folded: of each tuple at least one. Empty: nothing is known."""
    parsed = None if "[:" in pattern else _parsed(pattern, flags)  # Python knows no classes such as [:alpha:]
    if parsed is None:
        return ()
    clauses = [clause for clause in _clauses(parsed, "i" in flags or bool(parsed.state.flags & re.I)) if _good(clause)]
    return tuple(sorted(dict.fromkeys(clauses), key=lambda c: (len(c), -min(map(len, c))))[:2])


def _good(clause: tuple[str, ...]) -> bool:
    return bool(clause) and all(len(text.encode()) >= _ENOUGH for text in clause)


@cache
def _parsed(pattern: str, flags: str) -> Any:
    """As Python's own parser has it; None for what it refuses."""
    try:
        from re import _parser  # the only parser there is, and Python's own affair
    except ImportError:
        return None
    bits = sum({"i": re.I, "m": re.M, "s": re.S}[flag] for flag in flags)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _parser.parse(pattern, bits)
    except (re.error, RecursionError, OverflowError, ValueError):
        return None


def _size(parsed: Any) -> int:
    total = 1
    for op, value in parsed:
        match str(op):
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                low, high, inner = value
                times = int(low) + 1 if "MAXREPEAT" in str(high) else int(high)
                total += max(times, 1) * _size(inner)
            case "SUBPATTERN":
                total += _size(value[3])
            case "ATOMIC_GROUP":
                total += _size(value)
            case "BRANCH":
                total += sum(map(_size, value[1]))
            case "ASSERT" | "ASSERT_NOT":
                total += _size(value[1])
            case _:
                total += 1
    return total


_Clause = tuple[str, ...]


def _clauses(parsed: Any, ignoring: bool) -> list[_Clause]:
    """Of each at least one must be there, for all that follow one another in a pattern."""
    out: list[_Clause] = []
    run: list[str] = []
    for part in _flat(parsed, ignoring):
        if isinstance(part, str):
            run.append(part)
            continue
        out += [("".join(run),)] if run else []
        out += part
        run = []
    return out + ([("".join(run),)] if run else [])


def _flat(parsed: Any, ignoring: bool) -> Iterator[str | list[_Clause]]:
    """A character, folded; or something else, with what it requires."""
    for op, value in parsed:
        match str(op):
            case "LITERAL":
                yield _character(chr(value), ignoring) or []
            case "IN":
                yield _one_of(value, ignoring) or []
            case "SUBPATTERN":
                _, added, taken, inner = value
                yield from _flat(inner, (ignoring or bool(added & re.I)) and not taken & re.I)
            case "ATOMIC_GROUP":
                yield from _flat(value, ignoring)
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                low, _, inner = value
                yield _clauses(inner, ignoring) if low else []
            case "BRANCH":
                yield _of_branches([_clauses(branch, ignoring) for branch in value[1]])
            case "AT" | "ASSERT" | "ASSERT_NOT":
                pass  # takes no room
            case _:
                yield []


def _character(char: str, ignoring: bool) -> str:
    """Folded; "" where more than its two cases would match: there is a long s, and a Kelvin."""
    if ignoring and (not char.isascii() or char in "sSkK"):
        return ""
    return fold(char)


def _one_of(members: Any, ignoring: bool) -> str:
    """A set that is one letter in both cases."""
    if any(str(op) != "LITERAL" for op, _ in members):
        return ""
    folded = {_character(chr(value), ignoring) for _, value in members}
    return folded.pop() if len(folded) == 1 else ""


def _of_branches(branches: list[list[_Clause]]) -> list[_Clause]:
    """One of what each branch requires."""
    best = [max(filter(_good, clauses), key=lambda c: (-len(c), min(map(len, c))), default=()) for clauses in branches]
    return [tuple(dict.fromkeys(text for clause in best for text in clause))] if all(best) else []


def linear(pattern: str, flags: str) -> Any:
    """The expression in RE2; None for what that refuses."""
    import re2

    options = re2.Options()
    options.log_errors = False  # it would write to stderr by itself
    try:
        return re2.compile(f"(?{flags}){pattern}" if flags else pattern, options)
    except re2.error:
        return None


def matcher(pattern: str, flags: str) -> Callable[[pl.Series], pl.Series]:
    """What tells which texts an expression matches that Rust's engine can't be asked."""
    import polars as pl

    known = linear(pattern, flags)
    if known is None:
        return lambda texts: slow.matches(texts, pattern, flags)
    found = known.search
    return lambda texts: pl.Series([text is not None and found(text) is not None for text in texts], dtype=pl.Boolean)
