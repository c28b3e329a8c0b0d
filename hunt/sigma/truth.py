"""Tests on texts: which of a column's values meet one."""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Callable, Iterator
from functools import reduce
from operator import or_

import polars as pl
from polars.exceptions import ComputeError

from hunt.sigma import regexes, tree

_SLICE = 1 << 20  # bytes of texts that an expression is tried on before the clock is looked at
_LONGEST_S = 60.0  # that one expression may take for one column
_ESCAPED = re.compile(r"([\\.+*?()|\[\]{}^$#&~\s-])")


def fold(text: pl.Expr) -> pl.Expr:
    """Texts without case, as `regexes.fold`."""
    return text.str.to_lowercase().str.replace_all(regexes.LAST_SIGMA, regexes.SIGMA, literal=True)


def folded(values: pl.Series) -> pl.Series:
    return values.alias("x").to_frame().select(fold(pl.col("x")))[:, 0]


def meets(test: tree.Test, values: pl.Series, plain: pl.Series) -> pl.Series:
    """Which values meet a test; no value meets one. `plain`: the same values, folded.

    Null is what could not be told in time. Raises RuleError if nothing can be told.
    """
    match test:
        case tree.Text(op, texts, cased):
            own = values if cased else plain
            return _text(own, op, texts if cased else tuple(map(regexes.fold, texts)))
        case tree.Like(pattern, cased):
            return _matches(values if cased else plain, _pattern(pattern, cased=cased), "s")
        case tree.Regex(pattern, flags):
            return _matches(values, pattern, flags)
        case tree.Number(wanted):
            return _equals(plain, wanted)
        case tree.Compare(op, number):
            return _compared(numbers(plain), op, number)
        case tree.Cidr(networks):
            return _addresses(plain, networks)
        case tree.Part(part, number):
            return (_part(_times(values), part) == number).fill_null(value=False)
    raise AssertionError(test)


def _either(found: Iterator[pl.Series]) -> pl.Series:
    return reduce(or_, found)


def _text(values: pl.Series, op: str, texts: tuple[str, ...]) -> pl.Series:
    match op:
        case "equals":
            return values.is_in(list(texts)).fill_null(value=False)
        case "contains":
            found: Iterator[pl.Series] = (values.str.contains(text, literal=True) for text in texts)
        case "startswith":
            found = (values.str.starts_with(text) for text in texts)
        case _:
            found = (values.str.ends_with(text) for text in texts)
    return _either(found).fill_null(value=False)


def _pattern(pattern: tuple[str | int, ...], *, cased: bool) -> str:
    """A pattern as an expression for the whole text; without DOTALL a line break would be no character."""
    parts = [
        _escaped(part if cased else regexes.fold(part)) if isinstance(part, str) else ".*" if part == tree.MANY else "."
        for part in pattern
    ]
    return rf"^{''.join(parts)}$"


def _escaped(text: str) -> str:
    return _ESCAPED.sub(r"\\\1", text)


def _matches(values: pl.Series, pattern: str, flags: str) -> pl.Series:
    whole = f"(?{flags}){pattern}" if flags else pattern
    if regexes.portable(pattern):
        try:
            return _in_time(values, lambda some: some.str.contains(whole))
        except ComputeError:
            pass  # Rust's engine refuses it
    return _in_time(values, regexes.matcher(pattern, flags))


def _in_time(values: pl.Series, matches: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """Slice after slice, for as long as it may take: null from then on."""
    until = time.monotonic() + _LONGEST_S
    found = []
    for some in _slices(values):
        late = time.monotonic() > until
        found.append(pl.repeat(None, some.len(), dtype=pl.Boolean(), eager=True) if late else matches(some))
    told = pl.concat(found)
    return told if values.null_count() == 0 else told.set(values.is_null(), value=False)


def _slices(values: pl.Series) -> Iterator[pl.Series]:
    """Of some _SLICE bytes, one at least; of an empty column the column itself."""
    if values.len() < 2:
        yield values
        return
    ends = values.str.len_bytes().fill_null(0).cum_sum()
    start, total = 0, int(ends[-1])
    while start < values.len():
        before = int(ends[start - 1]) if start else 0
        end = values.len() if total - before <= _SLICE else max(start + 1, int(ends.search_sorted(before + _SLICE)))
        yield values.slice(start, end - start)
        start = end


def _equals(plain: pl.Series, wanted: tuple[float, ...]) -> pl.Series:
    """One of these numbers, in decimal or hexadecimal with 0x; whole ones to the last digit."""
    whole = [int(number) for number in wanted if number == int(number) and number >= 0]
    rest = [float(number) for number in wanted if number != int(number) or number < 0]
    stripped = plain.str.strip_chars()
    is_hex = stripped.str.starts_with("0x")
    digits = stripped.str.strip_prefix("0x").str.strip_chars_start("0")
    told = ~is_hex & digits.is_in([str(number).lstrip("0") for number in whole])
    told |= is_hex & digits.is_in([f"{number:x}".lstrip("0") for number in whole])
    told &= stripped.ne("") & stripped.ne("0x")  # which are no zero
    if rest:
        told |= numbers(plain).is_in(rest)
    return told.fill_null(value=False)


def numbers(plain: pl.Series) -> pl.Series:
    stripped = plain.str.strip_chars()
    digits = stripped.str.strip_prefix("0x").str.to_integer(base=16, dtype=pl.UInt64, strict=False).cast(pl.Float64)
    is_hex = stripped.str.starts_with("0x").fill_null(value=False)
    return digits.zip_with(is_hex, stripped.cast(pl.Float64, strict=False))


def _compared(own: pl.Series, op: str, number: float) -> pl.Series:
    compare = {"lt": own.lt, "lte": own.le, "gt": own.gt, "gte": own.ge, "neq": own.ne}[op]
    return (compare(number) & own.is_not_nan()).fill_null(value=False)


_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _addresses(plain: pl.Series, networks: tuple[str, ...]) -> pl.Series:
    """IPv4 by arithmetic on the column; what has a colon, one distinct address after the other."""
    known = [ipaddress.ip_network(network) for network in networks]
    address = plain.str.strip_chars()
    parts = address.str.extract_groups(r"^(?:0*:0*:0*:0*:0*:ffff:|::ffff:)?(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$")
    octets = [parts.struct.field(name).cast(pl.UInt32) for name in "1234"]
    number = octets[0] * (1 << 24) + octets[1] * (1 << 16) + octets[2] * (1 << 8) + octets[3]
    sound = reduce(lambda a, b: a & b, [octet <= 255 for octet in octets])
    inside = pl.repeat(value=False, n=plain.len(), eager=True)
    for network in known:
        if isinstance(network, ipaddress.IPv4Network):
            first, last = int(network.network_address), int(network.broadcast_address)
            inside |= (sound & number.is_between(first, last)).fill_null(value=False)
    six = [network for network in known if isinstance(network, ipaddress.IPv6Network)]
    with_colon = address.str.contains(":", literal=True).fill_null(value=False).arg_true()
    told = [_in_any(str(text), six, known) for text in address.gather(with_colon).to_list()]
    return inside.scatter(with_colon, pl.Series(told, dtype=pl.Boolean) | inside.gather(with_colon))


def _in_any(text: str, six: list[ipaddress.IPv6Network], known: list[_Network]) -> bool:
    try:
        address = ipaddress.IPv6Address(text.partition("%")[0])
    except ValueError:
        return False
    four = address.ipv4_mapped
    return any(address in network for network in six) or any(four in network for network in known if four is not None)


def _times(values: pl.Series) -> pl.Series:
    """Times as Windows prints them, in UTC, with a T or without."""
    plain = values.str.replace("T", " ", literal=True).str.strip_chars_end("Z").str.slice(0, 19)
    return plain.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False)


def _part(times: pl.Series, part: str) -> pl.Series:
    told: pl.Series = getattr(times.dt, part)()
    return told.cast(pl.Int64)
