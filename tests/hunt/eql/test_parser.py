"""Reading queries: what they say, and what is wrong with them, with line and column."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hunt.eql.parser import DEEPEST, LONGEST, parse
from hunt.eql.syntax import (
    IS_NULL,
    And,
    Call,
    Compare,
    Event,
    Field,
    Literal,
    Match,
    Node,
    Not,
    Or,
    Pipe,
    Sample,
    Sequence,
)
from hunt.model import Status
from hunt.rules.model import RuleError

A, B, C = Field("a"), Field("b"), Field("c")
ONE, TWO = Literal(1), Literal(2)


def condition(text: str) -> Node:
    body = parse(f"any where {text}").body
    assert isinstance(body, Event)
    return body.condition


def sequence(text: str) -> Sequence:
    body = parse(text).body
    assert isinstance(body, Sequence)
    return body


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("a == 1", Compare("==", A, ONE)),
        ("a != 1", Not(Compare("==", A, ONE))),
        ("a == null", Call(IS_NULL, (A,))),
        ("null != a", Not(Call(IS_NULL, (A,)))),
        ("a <= -1.5", Compare("<=", A, Literal(-1.5))),
        ("a : \"x*\"", Match("like", A, (Literal("x*"),), True)),
        ("a : (\"x\", \"y\")", Match("like", A, (Literal("x"), Literal("y")), True)),
        ("a like \"x\"", Match("like", A, (Literal("x"),))),
        ("a like~ (\"x\")", Match("like", A, (Literal("x"),), True)),
        ("a regex~ \"x\"", Match("regex", A, (Literal("x"),), True)),
        ("a in (1, 2)", Match("in", A, (ONE, TWO))),
        ("a not in~ (1, 2)", Not(Match("in", A, (ONE, TWO), True))),
        ("not a == 1 and b == 2", And((Not(Compare("==", A, ONE)), Compare("==", B, TWO)))),
        ("a or b and not c", Or((A, And((B, Not(C)))))),
        ("(a or b) and c", And((Or((A, B)), C))),
        ("not not a", A),
        ("a + 1 * 2 == b", Compare("==", Call("add", (A, Call("multiply", (ONE, TWO)))), B)),
        ("a - 1 - 2 == b", Compare("==", Call("subtract", (Call("subtract", (A, ONE)), TWO)), B)),
        ("-a % 2 == 1", Compare("==", Call("modulo", (Call("subtract", (Literal(0), A)), TWO)), ONE)),
        ("startsWith~(a, \"x\")", Call("startswith", (A, Literal("x")), True)),
        ("?a == 1", Compare("==", Field("a", optional=True), ONE)),
        ("`my-field`.`in``x` == 1", Compare("==", Field("my-field.in`x"), ONE)),
        ("@timestamp.x_1 == true", Compare("==", Field("@timestamp.x_1"), Literal(True))),
        ("notepad == 1 and inside == 2 and anyone == 1", And((
            Compare("==", Field("notepad"), ONE), Compare("==", Field("inside"), TWO),
            Compare("==", Field("anyone"), ONE),
        ))),
        ("a == 1 // and b\n and /* c\n and */ b == 2", And((Compare("==", A, ONE), Compare("==", B, TWO)))),
    ],
)  # fmt: skip
def test_a_condition_says_what_it_says(text: str, means: Node) -> None:
    assert condition(text) == means


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"a\\b\"c\n\t\r"', 'a\\b"c\n\t\r'),
        (r'"\u{41}\u{0001F600}"', "A\U0001f600"),
        (r'"""C:\new" """', 'C:\\new" '),
        (r'?"C:\new\""', 'C:\\new"'),
        ("?'it\\'s'", "it's"),
        ("'it\\'s'", "it's"),
        ('""', ""),
        ('"é*?"', "é*?"),
    ],
)
def test_texts_are_quoted_in_many_ways(text: str, value: str) -> None:
    assert condition(f"a == {text}") == Compare("==", A, Literal(value))


def test_numbers_and_booleans_are_told_apart() -> None:
    assert Literal(1) != Literal(True)
    assert Literal(1) != Literal(1.0)
    assert condition("a == 1") != condition("a == true")


def test_an_event_has_a_category_or_any() -> None:
    assert parse("process where true").body == Event("process", Literal(True))
    assert parse('"my-events" where true').body == Event("my-events", Literal(True))
    assert parse("any where true").body == Event(None, Literal(True))


def test_a_sequence_has_keys_span_runs_missing_events_and_until() -> None:
    body = sequence(
        """sequence by a, ?b with maxspan=2m
             [any where a] by c with runs=3
             ![process where b] by c
             [any where c] by c
           until [any where true] by c"""
    )
    assert body.maxspan == 120_000_000_000
    assert [(step.runs, step.missing) for step in body.steps] == [(3, False), (1, True), (1, False)]
    assert body.steps[0].keys == (A, Field("b", optional=True), C)
    assert body.until is not None
    assert body.until.keys == body.steps[0].keys


@pytest.mark.parametrize(
    ("span", "ms"), [("5ms", 5), ("2s", 2_000), ("1m", 60_000), ("3 h", 10_800_000), ("1d", 86_400_000)]
)
def test_spans_have_units(span: str, ms: int) -> None:
    assert sequence(f"sequence with maxspan={span} [any where a] [any where b]").maxspan == ms * 1_000_000


def test_samples_and_pipes() -> None:
    query = parse("sample by a [any where b] [any where c] | head 10 | tail 3")
    assert isinstance(query.body, Sample)
    assert query.pipes == (Pipe("head", 10), Pipe("tail", 3))


@pytest.mark.parametrize(
    ("text", "status", "place", "reason"),
    [
        ("process where a = 1", "invalid", (1, 17), "=="),
        ("process where a == 'x", "invalid", (1, 20), "does not end"),
        ("process where\n  a ==", "invalid", (2, 7), "too early"),
        ("process where /* a", "invalid", (1, 15), "comment"),
        ("process where a == 1 ;", "invalid", (1, 22), "';'"),
        ("", "invalid", (1, 1), "too early"),
        ('any where a == "\\q"', "invalid", (1, 16), "escape"),
        ('any where a == "\\u{110000}"', "invalid", (1, 16), "no character"),
        ("any where a == 99999999999999999999", "invalid", (1, 16), "64 bits"),
        ("any where a == 1e999", "invalid", (1, 16), "large"),
        ("any where a < b < c", "invalid", (1, 17), "'<'"),
        ("any where a[0] == 1", "unsupported", (1, 11), "number"),
        ("my-events where true", "invalid", (1, 3), "'-'"),
        ("process.x where true", "invalid", (1, 1), "category"),
        ("join [any where a] [any where b]", "unsupported", (1, 1), "join"),
        ("process where child of [any where a]", "unsupported", (1, 15), "child of"),
        ("any where a | unique b", "unsupported", (1, 15), "unique"),
        ("any where a | head b", "invalid", (1, 15), "number"),
        ("any where a | head 0", "invalid", (1, 15), "at least 1"),
        ("sequence [any where a]", "invalid", (1, 1), "two steps"),
        ("sequence ![any where a] ![any where b]", "invalid", (1, 1), "not missing"),
        ("sequence [any where a] ![any where b]", "invalid", (1, 24), "maxspan"),
        ("sequence by x [any where a] [any where b] by y", "invalid", (1, 29), "2 keys"),
        ("sequence [any where a] by x [any where b]", "invalid", (1, 29), "0 keys"),
        ("sequence with maxspan=5 [any where a] [any where b]", "invalid", (1, 23), "unit"),
        ("sequence with maxspan=5y [any where a] [any where b]", "invalid", (1, 23), "unit y"),
        ("sequence with maxspan=0s [any where a] [any where b]", "invalid", (1, 23), "more than 0"),
        ("sequence with minspan=5s [any where a] [any where b]", "invalid", (1, 15), "minspan"),
        ("sequence [any where a] with runs=101", "invalid", (1, 34), "100"),
        ("sequence [any where a] with times=2", "invalid", (1, 29), "times"),
        ("sequence [any where a] [any where b] until ![any where c]", "invalid", (1, 44), "until"),
        ("sample [any where a] [any where b]", "invalid", (1, 8), "keys"),
        ("sample by a [any where a]", "invalid", (1, 1), "two to five"),
        ("sample by a [any where a] ![any where b]", "invalid", (1, 27), "missing"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text: str, status: str, place: tuple[int, int], reason: str) -> None:
    with pytest.raises(RuleError) as caught:
        parse(text)
    error = caught.value
    assert (error.status, (error.line, error.column)) == (status, place)
    assert reason in error.reason


@pytest.mark.parametrize(
    "text",
    [
        "any where " + "(" * 100_000 + "a",
        "any where " + "(" * 100_000 + "a" + ")" * 100_000,
        "any where a" + " + 1" * 5_000 + " == 1",
        "any where " + "length(" * 5_000 + "a" + ")" * 5_000,
        "any where a == \"" + "x" * LONGEST + "\"",
    ],
    ids=["open", "closed", "sum", "calls", "long"],
)  # fmt: skip
def test_what_is_too_deep_or_too_long_is_refused(text: str) -> None:
    with pytest.raises(RuleError) as caught:
        parse(text)
    assert caught.value.status is Status.UNSUPPORTED
    assert caught.value.line == 1


def test_depth_is_bounded_and_width_is_not() -> None:
    deep = "(" * (DEEPEST - 2) + "a" + ")" * (DEEPEST - 2)
    assert condition(deep) == A
    wide = condition(" or ".join(f"a == {n}" for n in range(2_000)))
    assert isinstance(wide, Or)
    assert len(wide.parts) == 2_000


def test_many_texts_of_one_field_are_one_list() -> None:
    wide = condition(" or ".join([*(f'a == "{n}"' for n in range(9)), "b == 1", 'c == "x"']))
    listed = Match("in", A, tuple(Literal(str(n)) for n in range(9)))
    assert wide == Or((listed, Compare("==", B, ONE), Compare("==", C, Literal("x"))))
    assert condition(" or ".join(f'a : "{n}*"' for n in range(9))) == Match(
        "like", A, tuple(Literal(f"{n}*") for n in range(9)), True
    )


PIECES = [
    *"aw()[]!=<>:\"'`?*/|,.05\\\n\t~é",
    *["process", "sequence", "by", "not", "null", "in", "like", "where", "any", "until", "with", "head"],
    " ",
]


@settings(max_examples=80)
@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
@example("any where a : ?")
@example("`")
def test_whatever_text_gives_a_query_or_a_rule_error(text: str) -> None:
    for whole in (text, f"any where {text}"):
        try:
            parse(whole)
        except RuleError as error:
            assert error.status in (Status.INVALID, Status.UNSUPPORTED)
