"""Texts, numbers and times as a query writes them."""

from __future__ import annotations

import re

from hunt.eql.syntax import Place
from hunt.model import Status
from hunt.rules.model import RuleError

_ESCAPED = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "'": "'", "\\": "\\"}
_ESCAPE = re.compile(r"\\(?:u\{([0-9A-Fa-f]{2,8})\}|(.))", re.DOTALL)
_LARGEST = 2**63 - 1
# Elasticsearch's time units for maxspan, in nanoseconds.
_UNITS = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}
_LONGEST = 36500 * 86400 * 10**9  # nanoseconds: a hundred years, and well inside 64 bits


def invalid(reason: str, place: Place) -> RuleError:
    return RuleError(Status.INVALID, reason, *place)


def unsupported(reason: str, place: Place) -> RuleError:
    return RuleError(Status.UNSUPPORTED, reason, *place)


def text(token: str, place: Place) -> str:
    r"""A text in quotes, without its escapes; in three, or as ?"...", it has none."""
    if token.startswith('"""'):
        return token[3:-3]
    if token.startswith("?"):
        return token[2:-1].replace(f"\\{token[1]}", token[1])
    return _ESCAPE.sub(lambda found: _unescaped(found, place), token[1:-1])


def _unescaped(found: re.Match[str], place: Place) -> str:
    if found[1] is not None:
        number = int(found[1], 16)
        if number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
            raise invalid(f"{found[0]} is no character", place)
        return chr(number)
    if found[2] not in _ESCAPED:
        raise invalid(f"unknown escape {found[0]} (a backslash itself is \\\\, or stands in a raw text)", place)
    return _ESCAPED[found[2]]


def name(token: str) -> str:
    """A field's name without the backticks of its parts."""
    parts = re.findall(r"`((?:[^`]|``)+)`|([^`]+)", token)
    return "".join(quoted.replace("``", "`") or plain for quoted, plain in parts)


def number(token: str, place: Place) -> int | float:
    if token.isdigit():
        if len(token) > len(str(_LARGEST)) or int(token) > _LARGEST:
            raise invalid("a number of more than 64 bits", place)
        return int(token)
    value = float(token)
    if value in (float("inf"), float("-inf")):
        raise invalid(f"{token} is too large", place)
    return value


def nanoseconds(count: str, unit: str | None, place: Place) -> int:
    """A length of time."""
    if unit not in _UNITS:
        said = "has no unit" if unit is None else f"has the unknown unit {unit}"
        raise invalid(f"maxspan {said} (have: {', '.join(_UNITS)})", place)
    if not count.isdigit():
        raise invalid("maxspan takes whole numbers", place)
    span = int(number(count, place)) * _UNITS[unit]
    if not 0 < span <= _LONGEST:
        raise invalid("maxspan must be more than 0 and at most a hundred years", place)
    return span
