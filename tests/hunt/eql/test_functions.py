"""Every function, against what its documentation says in plain Python."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hunt.eql.parser import parse
from hunt.eql.syntax import Compare, Event
from hunt.eql.values import FieldType, value
from hunt.rules.model import RuleError

TYPES = {"s": FieldType("text"), "t": FieldType("text"), "n": FieldType("number"), "m": FieldType("number"),
         "f": FieldType("number", whole=False), "ip": FieldType("ip")}  # fmt: skip
DTYPES = {"s": pl.String, "t": pl.String, "n": pl.Int64, "m": pl.Int64, "f": pl.Float64, "ip": pl.String}


def ask(expression: str, **columns: Any) -> Any:
    """What an expression gives for one event; fields: s, t (texts), n, m (whole numbers), f, ip."""
    return asked(expression, {name: [columns.get(name)] for name in DTYPES})[0]


def made(expression: str) -> pl.Expr:
    body = parse(f"any where {expression} == 0").body
    assert isinstance(body, Event)
    assert isinstance(body.condition, Compare)
    return value(body.condition.left, TYPES).expr


def asked(expression: str, columns: dict[str, list[Any]]) -> list[Any]:
    return framed(columns).select(made(expression).alias("value"))["value"].to_list()


def framed(columns: dict[str, list[Any]]) -> pl.DataFrame:
    return pl.DataFrame({name: pl.Series(values, dtype=DTYPES[name]) for name, values in columns.items()})


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("add(4, 5)", 9), ("add(4, 0.5)", 4.5), ("4 + -2", 2), ("add(null, 4)", None),
        ("subtract(10, 2)", 8), ("subtract(10.5, 0.5)", 10.0), ("2 - null", None),
        ("multiply(0.5, 2)", 1.0), ("multiply(-2, -2)", 4),
        ("divide(4, 2)", 2), ("divide(4, 3)", 1), ("divide(4, 3.0)", 4 / 3), ("divide(4, -3)", -1),
        ("divide(-7, 2)", -3), ("divide(4, 0)", None), ("divide(4.0, 0)", None), ("divide(0.5, 4)", 0.125),
        ("modulo(10, 6)", 4), ("modulo(10, -6)", 4), ("modulo(-10, -6)", -4), ("modulo(-10, 6)", -4),
        ("modulo(10, 0)", None), ("modulo(10, 0.5)", 0.0), ("7 % 4 * 2", 6),
        ("9223372036854775807 + 1", 2**63), ("9223372036854775807 * 4", (2**63 - 1) * 4),
        ('concat("a", " ", 42)', "a 42"), ('concat("a", 42.5, true)', "a42.5true"), ('concat("a", null)', None),
        ('string(42)', "42"), ('string(42.5)', "42.5"), ("string(true)", "true"), ("string(null)", None),
        ('length("")', 0), ('length("explorer.exe")', 12), ("length(null)", None),
        ('number("1337")', 1337), ('number("42.5")', 42.5), ('number("deadbeef", 16)', 3735928559),
        ('number("0xdeadbeef")', 3735928559), ('number("0xdeadbeef", 16)', 3735928559), ('number("+1337")', 1337),
        ('number("-1337")', -1337), ('number("  1337  ")', 1337), ("number(null)", None), ("number(null, 16)", None),
        ('number("0xdeadbeef", null)', 3735928559), ('number("1337", null)', 1337), ('number("x")', None),
        ('number("")', None), ('number("nan")', None), ('number("101", 2)', 5), ('number("-0x10")', -16),
        ('startsWith("", "")', True), ('startsWith("ab", null)', None), ('startsWith~("aB", "AB")', True),
        ('endsWith("regsvr32.exe", ".exe")', True), ('endsWith("", "")', True), ('endsWith~("a.EXE", ".exe")', True),
        ('stringContains("", "")', False), ('stringContains("ab", "")', False), ('stringContains~("aBc", "bC")', True),
        ('stringContains("a.c", ".")', True), ("stringContains(null, \"a\")", None),
        ('substring("start regsvr32.exe", 6)', "regsvr32.exe"), ('substring("start regsvr32.exe", 0, 5)', "start"),
        ('substring("start regsvr32.exe", 6, 14)', "regsvr32"), ('substring("start regsvr32.exe", -4)', ".exe"),
        ('substring("start regsvr32.exe", -4, -1)', ".ex"), ('substring("ab", 5)', ""), ('substring("ab", 1, 0)', ""),
        ('indexOf("a.b.c", ".")', 1), ('indexOf("a.b.c", ".", 1)', 1), ('indexOf("a.b.c", ".", 2)', 3),
        ('indexOf("a.b.c", ".", -6)', 1), ('indexOf("", "")', 0), ('indexOf("abc", "", 2)', 2),
        ('indexOf("abc", "", -6)', 0), ('indexOf("abc", "z")', None), ('indexOf("abc", "c", 30)', None),
        ('indexOf("abc", "c", null)', None), ('indexOf("éa", "a")', 1), ('indexOf~("ABC", "b")', 1),
        ('between("C:\\\\System32\\\\cmd.exe", "System32\\\\", ".exe")', "cmd"),
        ('between("C:\\\\System32\\\\cmd.exe", "system32\\\\", ".exe")', ""),
        ('between~("C:\\\\System32\\\\cmd.exe", "system32\\\\", ".EXE")', "cmd"),
        ('between("a\\\\b\\\\c\\\\d", "\\\\", "\\\\")', "b"),
        ('between("a\\\\b\\\\c\\\\d", "\\\\", "\\\\", true)', "b\\c"),
        ('between("", "a", "b")', ""), ('between("", "", "")', ""), ('between(null, "a", "b")', None),
        ('between("(a)b", "(", ")")', "a"),
        ('cidrMatch("192.168.152.12", "10.0.0.0/8", "192.168.0.0/16")', True),
        ('cidrMatch("192.168.152.12", "10.128.0.0/9")', False), ('cidrMatch(null, "10.0.0.0/8")', None),
        ('cidrMatch("192.168.1.1", null)', None), ('cidrMatch("192.168.1.256", "192.168.0.0/16")', False),
        ('cidrMatch("fe80:0:0:0:0:0:0:1", "FE80::/10")', True), ('cidrMatch("::1", "::1/128", "127.0.0.0/8")', True),
        ('cidrMatch("::ffff:127.0.0.1", "127.0.0.0/8")', True), ('cidrMatch("10.1.1.1", "10.1.2.3/8")', True),
        ('wildcard("cmd.exe", "*.exe", "x")', True), ('wildcard("CMD.EXE", "*.exe")', False),
        ('wildcard~("CMD.EXE", "c?d.*")', True), ('wildcard("a", null)', None),
        ('match("cmd.exe", "c.d\\\\.(exe|com)")', True), ('match("cmd.exe", "cmd")', False),
        ('match~("CMD", "x", "c.d")', True),
    ],
)  # fmt: skip
def test_each_function_does_what_its_documentation_says(expression: str, result: object) -> None:
    assert ask(expression) == result


TEXT = st.none() | st.text(alphabet="abAB.é\\", max_size=6)
NUMBER = st.none() | st.integers(-20, 20)
FLOAT = st.none() | st.sampled_from([-2.5, -1.0, 0.0, 0.5, 3.25])


def null_safe(function: Callable[..., object]) -> Callable[..., object]:
    return lambda *args: None if any(arg is None for arg in args) else function(*args)


def towards_zero(a: float, b: float) -> float | None:
    return None if b == 0 else math.trunc(a / b) if isinstance(a, int) and isinstance(b, int) else a / b


def remainder(a: float, b: float) -> float | None:
    return None if b == 0 else math.fmod(a, b)


def index(source: str, part: str, start: int) -> int | None:
    begin = max(start, 0)
    if begin > len(source):
        return None
    found = source.find(part, begin)
    return None if found < 0 else found


OVER_FIELDS: list[tuple[str, Callable[..., object], str]] = [
    ("add(n, m)", lambda n, m: n + m, "nm"),
    ("n - f", lambda n, f: n - f, "nf"),
    ("n * m", lambda n, m: n * m, "nm"),
    ("n / m", towards_zero, "nm"),
    ("n / f", towards_zero, "nf"),
    ("n % m", remainder, "nm"),
    ("concat(s, n)", lambda s, n: f"{s}{n}", "sn"),
    ("length(s)", len, "s"),
    ("substring(s, n)", lambda s, n: s[n:], "sn"),
    ("substring(s, n, m)", lambda s, n, m: s[n:m], "snm"),
    ("startsWith(s, t)", str.startswith, "st"),
    ("startsWith~(s, t)", lambda s, t: s.lower().startswith(t.lower()), "st"),
    ("endsWith(s, t)", str.endswith, "st"),
    ("stringContains(s, t)", lambda s, t: bool(t) and t in s, "st"),
    ("stringContains~(s, t)", lambda s, t: bool(t) and t.lower() in s.lower(), "st"),
    ("indexOf(s, t)", lambda s, t: index(s, t, 0), "st"),
    ("indexOf(s, t, n)", index, "stn"),
    ('between(s, "a", "B")', lambda s: (re.findall(r"(?s)a(.*?)B", s) or [""])[0], "s"),
    ('between(s, "a", "b", true)', lambda s: (re.findall(r"(?s)a(.*)b", s) or [""])[0], "s"),
    ("number(string(n))", lambda n: n, "n"),
]


MADE = [made(expression).alias(expression) for expression, _, _ in OVER_FIELDS]


@settings(max_examples=40)
@given(
    st.lists(
        st.fixed_dictionaries({"s": TEXT, "t": TEXT, "n": NUMBER, "m": NUMBER, "f": FLOAT}), min_size=1, max_size=5
    )
)
def test_functions_of_fields_against_plain_python(rows: list[dict[str, Any]]) -> None:
    told = framed({name: [row[name] for row in rows] for name in "stnmf"}).select(MADE)
    for expression, function, names in OVER_FIELDS:
        expected = [null_safe(function)(*(row[name] for name in names)) for row in rows]
        assert told[expression].to_list() == expected, expression


ADDRESSES = [
    "10.0.0.1", "10.255.255.255", "11.0.0.0", "172.16.3.4", "172.32.0.1", "0.0.0.0", "255.255.255.255", "::1", "::",
    "fe80::1%eth0", "fe80:0:0:0:1:2:3:4", "FE80::A", "2001:db8::1", "::ffff:10.0.0.1", "1.2.3", "01.2.3.4", "x", "",
]  # fmt: skip
NETWORKS = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "0.0.0.0/0",
    "255.255.255.255/32",
    "::1/128",
    "fe80::/10",
    "2001:db8::/32",
    "::/0",
]


def within(text: str, networks: list[str]) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in ipaddress.ip_network(network) for network in networks)


@pytest.mark.parametrize("networks", [[n] for n in NETWORKS] + [NETWORKS[:2], NETWORKS[4:7]], ids="+".join)
def test_networks_against_the_standard_library(networks: list[str]) -> None:
    listed = ", ".join(f'"{network}"' for network in networks)
    expected = [within(text, networks) for text in ADDRESSES]
    assert asked(f"cidrMatch(ip, {listed})", {"ip": ADDRESSES}) == expected


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("unknown(s)", "the function unknown"),
        ("arrayContains(s, 1)", "the function arraycontains"),
        ("length(s, t)", "takes 1 argument, not 2"),
        ("startsWith(s)", "takes 2 arguments, not 1"),
        ("length~(s)", "no ~"),
        ("length(n)", "argument 1 of length must be a text"),
        ("add(s, 1)", "argument 1 of add must be a number"),
        ("wildcard(s, t)", "no constant"),
        ("between(s, t, t)", "no constant"),
        ('cidrMatch(ip, "10.0.0.0/33")', "no network"),
        ("number(s, 99)", "from 2 to 36"),
        ('match(s, "(")', "does not end"),
    ],
)
def test_what_a_function_does_not_take_is_named(expression: str, said: str) -> None:
    with pytest.raises(RuleError, match=re.escape(said)) as caught:
        ask(expression)
    assert (caught.value.line, caught.value.column) == (1, 11)
