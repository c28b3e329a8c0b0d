"""Sigma's YAML becomes trees: every modifier, and every way in which a file can be no rule."""

from __future__ import annotations

import base64

import pytest

from hunt.model import Status
from hunt.sigma import tree
from hunt.sigma.document import Document, of_plain, to_plain
from hunt.sigma.parse import documents
from hunt.sigma.tree import And, Leaf, Node, Not, Or, Text
from tests.hunt.sigma.given import rule, selection, tree_of


@pytest.mark.parametrize(
    ("line", "test"),
    [
        ("F: abc", Text("equals", ("abc",))),
        ("F: ''", Text("equals", ("",))),
        ("F: '*'", tree.Exists(there=True)),
        ("F: 'abc*'", Text("startswith", ("abc",))),
        ("F: '*abc'", Text("endswith", ("abc",))),
        ("F: 'a*b?c'", tree.Like(("a", tree.MANY, "b", tree.ONE, "c"))),
        (r"F: 'a\*b'", Text("equals", ("a*b",))),
        (r"F: 'C:\x\\*'", Text("startswith", ("C:\\x\\",))),
        ("F|contains: abc", Text("contains", ("abc",))),
        ("F|startswith: abc", Text("startswith", ("abc",))),
        ("F|endswith: [a, b]", Text("endswith", ("a", "b"))),
        ("F|contains|cased: aBc", Text("contains", ("aBc",), cased=True)),
        ("F|cased: aBc", Text("equals", ("aBc",), cased=True)),
        ("F: 7", tree.Number((7,))),
        ("F: [7, 1.5]", tree.Number((7, 1.5))),
        ("F: true", Text("equals", ("true",))),
        ("F: null", tree.Null()),
        ("F|exists: true", tree.Exists(there=True)),
        ("F|exists: false", tree.Exists(there=False)),
        ("F|gt: 5", tree.Compare("gt", 5)),
        ("F|gte: 5", tree.Compare("gte", 5)),
        ("F|lt: 5", tree.Compare("lt", 5)),
        ("F|lte: 5", tree.Compare("lte", 5)),
        ("F|cidr: 10.0.0.0/8", tree.Cidr(("10.0.0.0/8",))),
        ("F|cidr: ['10.0.0.0/8', 'fe80::/10']", tree.Cidr(("10.0.0.0/8", "fe80::/10"))),
        (r"F|re: 'a\d+\\b*'", tree.Regex(r"a\d+\\b*")),
        ("F|re|i: abc", tree.Regex("abc", "i")),
        ("F|re|m|s: abc", tree.Regex("abc", "ms")),
        ("F|fieldref: G", tree.SameAs("G")),
        ("F|fieldref|startswith: G", tree.SameAs("G", "startswith")),
        ("F|hour: 7", tree.Part("hour", 7)),
        ("F|week: 9", tree.Part("week", 9)),
        ("F|base64: abc", Text("equals", (base64.b64encode(b"abc").decode(),))),
        ("F|wide|base64: ab", Text("equals", (base64.b64encode("ab".encode("utf-16le")).decode(),))),
        ("F|utf16be|base64: ab", Text("equals", (base64.b64encode("ab".encode("utf-16be")).decode(),))),
    ],
)
def test_a_line_is_a_test(line: str, test: tree.Test) -> None:
    assert tree_of(line) == Leaf("F", test)


def test_all_asks_for_each_value_and_neq_for_none() -> None:
    a, b = (Leaf("F", Text("contains", (text,))) for text in "ab")
    assert tree_of("F|contains|all: [a, b]") == And((a, b))
    assert tree_of("F|neq: a") == Not(Leaf("F", Text("equals", ("a",))))


def test_a_dash_may_be_any_of_five_and_a_base64_text_stand_at_any_of_three_places() -> None:
    match tree_of("F|contains|windash: ' -f'"):
        case Leaf("F", Text("contains", values, False)):
            assert set(values) == {f" {dash}f" for dash in "-/\u2013\u2014\u2015"}
        case other:
            pytest.fail(str(other))
    match tree_of("F|base64offset|contains: https://"):
        case Leaf("F", Text("contains", values, False)):
            for before in (b"", b"x", b"yy"):
                encoded = base64.b64encode(before + b"https://" + b"z" * 3).decode()
                assert any(value in encoded for value in values)
        case other:
            pytest.fail(str(other))


def test_an_expansion_under_all_is_one_of_its_values() -> None:
    found = tree_of("F|contains|all|windash: [' -a', b]")
    assert isinstance(found, And)
    assert [len(leaf.test.values) for leaf in found.of if isinstance(leaf, Leaf) and isinstance(leaf.test, Text)] == [
        5,
        1,
    ]


def test_a_keyword_stands_anywhere() -> None:
    assert _tree(rule("keywords:\n  - abc\n  - 'x*y'\n  - 4711\n", condition="keywords")) == Or(
        (
            Leaf(None, Text("contains", ("abc", "4711"))),
            Leaf(None, tree.Like((tree.MANY, "x", tree.MANY, "y", tree.MANY))),
        )
    )


def test_conditions_take_any_of_and_all_of() -> None:
    a, b, c = (Leaf("F", Text("equals", (text,))) for text in "abc")
    three = "one_a: {F: a}\none_b: {F: b}\nother: {F: c}\n"
    assert _tree(rule(three, condition="1 of one_* and not other")) == And(
        (Leaf("F", Text("equals", ("a", "b"))), Not(c))
    )
    assert _tree(rule(three, condition="all of them")) == And((a, b, c))
    assert _tree(rule(three, condition="[one_a, other]")) == Leaf("F", Text("equals", ("a", "c")))


def test_a_list_of_maps_is_one_of_them() -> None:
    either = _tree(rule("selection:\n  - F: a\n    G: b\n  - H: c\n"))
    assert either == Or(
        (And((Leaf("F", Text("equals", ("a",))), Leaf("G", Text("equals", ("b",))))), Leaf("H", Text("equals", ("c",))))
    )


def _only(text: str) -> Document:
    (document,) = documents(text.encode())
    return document


def _tree(text: str) -> Node:
    document = _only(text)
    assert document.fault is None, document.fault
    assert document.tree is not None
    return document.tree


@pytest.mark.parametrize(
    ("text", "status", "says"),
    [
        (rule(selection("F|nope: a")), Status.INVALID, "Unknown modifier"),
        (rule(selection("F: a"), condition="other"), Status.INVALID, "not defined"),
        (rule(selection("F: a"), condition="selection and"), Status.INVALID, "Expected"),
        (rule(selection("F|re: '('")), Status.INVALID, "Regular expression"),
        (rule(selection("F|cidr: 10.0.0.1/8")), Status.INVALID, "CIDR"),
        ("title: x\nlogsource: {}\ndetection: {a: {F: x}, condition: a}\n", Status.INVALID, "log source"),
        (rule(selection("F|expand: '%admins%'")), Status.UNSUPPORTED, "%admins%"),
        (rule(selection("F: a"), condition="selection | count() > 5"), Status.UNSUPPORTED, "correlation"),
        (rule(selection("F|re: '(?:a{1000}){1000}'")), Status.UNSUPPORTED, "states"),
        (rule("a: {F: a}\n", condition="not (a or " * 80 + "a" + ")" * 80), Status.UNSUPPORTED, "deep"),
        ("title: x\nlogsource: {category: a}\n", Status.INVALID, "detection"),
        ("title: x\ndetection: [1, 2]\nlogsource: {category: a}\n", Status.INVALID, ""),
        ("title: x\ndetection:\n  a: {F: 1}\n  a: {F: 2}\n  condition: a\n", Status.INVALID, "Duplicate"),
        ("title: [\ndetection: {}\n", Status.INVALID, "no YAML"),
        ("correlation: {type: nope, rules: [a], timespan: 5m, condition: {gte: 1}}\ntitle: x\n", Status.INVALID, ""),
    ],
)  # fmt: skip
def test_what_is_no_rule_says_why(text: str, status: Status, says: str) -> None:
    document = _only(text)
    assert document.fault is not None
    assert document.fault.status is status
    assert says in document.fault.reason
    assert "\n" not in document.fault.reason


def test_a_place_in_broken_yaml_is_told() -> None:
    fault = _only("title: x\ndetection:\n  a: 'b\n").fault
    assert fault is not None
    assert (fault.line, fault.column) == (4, 1)


@pytest.mark.parametrize(
    "text", ["", "a: b\n", "- 1\n- 2\n", "services:\n  web: {image: x}\n", "\x00\x01", "{", "a: [1"]
)
def test_a_file_of_something_else_holds_no_rule(text: str) -> None:
    assert list(documents(text.encode())) == []


def test_what_is_wrong_beside_the_detection_does_not_keep_a_rule_from_running() -> None:
    more = "id: not-a-uuid\nlevel: severe\nstatus: fresh\ndate: yesterday\ntags: [nonsense]\nreferences: 5\n"
    document = _only(rule(selection("F: a"), more=more))
    assert document.fault is None
    assert document.text("id") == "not-a-uuid"


def test_a_global_document_is_part_of_those_that_follow() -> None:
    text = (
        "action: global\ntitle: Both\nlogsource: {category: process_creation, product: windows}\n"
        "detection: {condition: a}\n---\ndetection: {a: {F: x}}\n---\ndetection: {a: {F: y}}\n"
    )
    first, second = documents(text.encode())
    assert [first.text("title"), second.number] == ["Both", 2]
    assert second.tree == Leaf("F", Text("equals", ("y",)))


def test_hostile_files_end_soon() -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"b{n}: &b{n} [*{'a' if n == 0 else f'b{n - 1}'}, *{'a' if n == 0 else f'b{n - 1}'}]\n" for n in range(40)
    )
    for text in (
        bomb + "detection: {selection: {F: *b39}, condition: selection}\nlogsource: {category: x}\n",
        "detection: " + "[" * 5000,
        rule(selection("F: a"), condition="not " * 5000 + "selection"),
        rule(selection("F|windash|contains: '" + " -a" * 40 + "'")),
        rule(selection("? [a, b]\n  : c")),
        rule(selection("5: c")),
    ):
        for document in documents(text.encode()):
            assert document.fault is not None


def test_documents_survive_being_written_down() -> None:
    text = (
        rule(selection("F|contains|all: [a, b]", "G|re|i: x", "H|cidr: 10.0.0.0/8", "I|gt: 1.5", "J: 'a*b'", "K: null"))
        + "---\n"
        + "title: c\ncorrelation: {type: value_count, rules: [a, b], group-by: [X], timespan: 5m, "
        "aliases: {X: {a: Y}}, condition: {gte: 3, field: Z}}\n"
        "---\ntitle: e\ncorrelation: {type: temporal, timespan: 1h, condition: a and not b}\n"
        "---\ntitle: f\nlogsource: {category: process_creation}\nfilter: {rules: any, s: {F: x}, condition: not s}\n"
        "---\ntitle: bad\nlogsource: {category: x}\n"
    )
    found = list(documents(text.encode()))
    assert [bool(d.tree) + 2 * bool(d.correlation) + 4 * bool(d.filter) + 8 * bool(d.fault) for d in found] == [
        1,
        2,
        2,
        5,
        8,
    ]
    assert [of_plain(to_plain(document)) for document in found] == found
