"""The parameters of a cmdlet, out of the text that Exchange makes of them."""

from __future__ import annotations

import time
from collections.abc import Sequence

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hunt.cmdlet_parameters import PARAMETERS, has, parse, value, values

Pairs = list[tuple[str, str | None]]


def parsed(*texts: str | None) -> list[Pairs]:
    told = parse(pl.Series("arguments", texts, dtype=pl.String))
    assert told.dtype == PARAMETERS
    return [[(one["name"], one["value"]) for one in row] for row in told.to_list()]


SHELL = '<script language="JScript" runat="server">function Page_Load(){eval(Request["x"],"unsafe");}</script>'

CASES: list[tuple[str | None, Pairs]] = [
    (None, []),
    ("", []),
    ("{}", []),
    ('-Identity "bob"', [("Identity", "bob")]),
    ('-A "" -B ""', [("A", ""), ("B", "")]),
    ('-Identity "bob" -ForwardingAddress $null', [("Identity", "bob"), ("ForwardingAddress", None)]),
    ('-A $null -B "y"', [("A", None), ("B", "y")]),
    ('-AccessRights ("FullAccess") -User "x"', [("AccessRights", "FullAccess"), ("User", "x")]),
    ('-To ("a","b@c",$null) -X "1"', [("To", 'a, b@c",$null'), ("X", "1")]),
    ("-To () -X ()", [("To", ""), ("X", "")]),
    ('-Data AAECAw== -X "1"', [("Data", "AAECAw=="), ("X", "1")]),
    ('-A AAECAwQ[...] -B CC -X ("1")', [("A", "AAECAwQ[...]"), ("B", "CC"), ("X", "1")]),
    ('-Confirm -Force -X "1" -Last', [("Confirm", ""), ("Force", ""), ("X", "1"), ("Last", "")]),
    ('-T @{add="a";remove=("b","c")} -X "1"', [("T", '@{add="a";remove=("b","c")}'), ("X", "1")]),
    ("-T @{} -X $null", [("T", "@{}"), ("X", None)]),
    ('-Body "a\nb\r\n c" -X "1"', [("Body", "a\nb\r\n c"), ("X", "1")]),
    (f'-ExternalUrl "http://f/{SHELL}" -Identity "OAB"', [("ExternalUrl", f"http://f/{SHELL}"), ("Identity", "OAB")]),
    ('-Notes "budget (draft) -final, $null -no" -X "1"', [("Notes", "budget (draft) -final, $null -no"), ("X", "1")]),
    ('-A "said "no" - so" -X "1"', [("A", 'said "no" - so'), ("X", "1")]),
    ('-A "open', [("A", "open")]),
    ('-A "', [("A", "")]),
    ('-A "x\0y"', [("A", "x�y")]),
    ("no parameters", [("", "no parameters")]),
    ('-A "1"\t-B "2"\n-C "3"', [("A", "1"), ("B", "2"), ("C", "3")]),
    ("{MailboxServer=SCEX02, Identity=DAG1}", [("MailboxServer", "SCEX02"), ("Identity", "DAG1")]),
    ("{Identity=CN=bob,OU=x, AuditEnabled=False}", [("Identity", "CN=bob,OU=x"), ("AuditEnabled", "False")]),
    ("{odd}", [("", "odd")]),
]  # fmt: skip


def test_what_texts_tell() -> None:
    assert parsed(*(text for text, _ in CASES)) == [pairs for _, pairs in CASES]


def test_a_text_that_stands_there_twice_is_parsed_alike_and_in_its_place() -> None:
    assert parsed('-A "1"', None, '-B "2"', '-A "1"') == [[("A", "1")], [], [("B", "2")], [("A", "1")]]


def test_a_parameter_within_a_text_takes_no_real_one_away() -> None:
    (pairs,) = parsed('-Name "x" -FilePath "\\\\ok\\a.pst" -FilePath "\\\\127.0.0.1\\c$\\x.aspx"')
    assert [v for n, v in pairs if n == "FilePath"] == ["\\\\ok\\a.pst", "\\\\127.0.0.1\\c$\\x.aspx"]


def test_a_parameter_is_asked_for_without_case() -> None:
    texts = ['-Identity "a" -IDENTITY "b" -X $null', '-Y "1"', ""]
    frame = pl.DataFrame({"parameters": parse(pl.Series(texts))})
    asked = frame.select(both=values("identity"), one=value("Identity"), null=value("X"), there=has("x"))
    assert asked.rows() == [(["a", "b"], "a, b", None, True), ([], None, None, False), ([], None, None, False)]


# What Exchange writes, written once more: what goes in comes out.

_TEXTS = st.text(st.sampled_from('ab"()-{}@$,;= \n\\é'), max_size=12)
_VALUES = st.one_of(
    st.none(), _TEXTS, st.lists(_TEXTS, min_size=1, max_size=3).map(tuple), st.just(()), st.booleans().map(str)
)
_NAMES = st.sampled_from(["Identity", "FilePath", "Confirm", "To"])


def written(pairs: Sequence[tuple[str, str | tuple[str, ...] | None]]) -> str:
    def one(said: str | tuple[str, ...] | None) -> str:
        if said is None:
            return "$null"
        return f"({','.join(map(one, said))})" if isinstance(said, tuple) else f'"{said}"'

    return " ".join(f"-{name} {one(said)}" for name, said in pairs)


@settings(max_examples=40)
@given(st.lists(st.lists(st.tuples(_NAMES, _VALUES), min_size=1, max_size=4), min_size=1, max_size=25))
@example([[("To", ('a" -b', "c"))]])
def test_every_real_parameter_comes_out_whatever_the_texts_hold(
    written_: list[list[tuple[str, str | tuple[str, ...] | None]]],
) -> None:
    for pairs, got in zip(written_, parsed(*map(written, written_)), strict=True):
        rest = iter([name for name, _ in got])
        assert all(name in rest for name, _ in pairs)  # in order, none lost
        if all(_plain(said) for _, said in pairs):
            assert got == [(name, ", ".join(said) if isinstance(said, tuple) else said) for name, said in pairs]


def _plain(said: str | tuple[str, ...] | None) -> bool:
    """A text in which nothing looks like the end of one."""
    texts = [said] if isinstance(said, str) else said or ()
    return not any('"' in text or "\n" in text for text in texts)


_SIZE = 250_000
HOSTILE = {
    kind: (first + again * _SIZE)[:_SIZE]
    for kind, first, again in (
        ("quotes", "", '"'), ("blanks", '-A "', " "), ("names", "", '" -A'), ("quotes and blanks", "", '" '),
        ("open", "", '-A "x '), ("switches", "", "-A -B "), ("brackets", "", '")}'), ("nulls", "", "$null -A "),
        ("dashes", "", " -"), ("one name", "-", "a"), ("lists", "", '("'), ("old", "{a=b", ", a=b"),
    )
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_text_takes_no_longer_than_its_length(kind: str) -> None:
    text = HOSTILE[kind] + "}" * (kind == "old")

    def took(part: str) -> float:
        start = time.process_time()
        parse(pl.Series([part]))
        return time.process_time() - start

    # An eighth of it takes an eighth of the time; what grows with the square takes a 64th.
    small = min(took(text[: len(text) // 8]) for _ in range(2))
    assert took(text) < 30 * small + 1
