"""The XML that templates and their values print as."""

from __future__ import annotations

import pytest

from parsers import tree, values
from parsers.tree import NULL, Element, Printer, Substitution, Value, plain


def xml(element: Element, *given: Value) -> str:
    return Printer().xml([element], given)


def data(optional: bool) -> Element:
    return Element("Data", [("Name", ["x"])], [Substitution(0, optional)])


def test_a_value_stands_in_its_hole_as_text() -> None:
    assert xml(data(False), plain("a<b")) == '<Data Name="x">a&lt;b</Data>'


def test_a_null_takes_its_element_along_if_it_is_optional() -> None:
    assert xml(data(True), NULL) == ""
    assert xml(data(False), NULL) == '<Data Name="x"></Data>'


def test_a_null_beside_other_content_leaves_the_element() -> None:
    assert xml(Element("Data", [], [Substitution(0, True), "x"]), NULL) == "<Data>x</Data>"


def test_a_null_takes_its_attribute_along() -> None:
    assert xml(Element("A", [("x", [Substitution(0, True)]), ("y", ["1"])], []), NULL) == '<A y="1"></A>'


def test_an_array_repeats_the_element_around_it_only_if_it_is_alone() -> None:
    items = plain(["a", "b"])
    assert xml(data(True), items) == '<Data Name="x">a</Data><Data Name="x">b</Data>'
    assert xml(Element("Data", [], [Substitution(0, True), "-"]), items) == "<Data>ab-</Data>"


def test_a_value_that_can_not_be_read_costs_something_only_where_it_is_asked_for() -> None:
    wrong = tree.typed(0x08, b"\1\2\3")
    assert xml(data(False), plain("x"), wrong) == '<Data Name="x">x</Data>'
    with pytest.raises(ValueError, match="3 bytes where a value of 4 should be"):
        xml(data(False), wrong)


def test_typed_values_are_those_of_their_type() -> None:
    assert tree.typed(values.STRING, b"<\0").xml == ["&lt;"]
    assert tree.typed(0x84, b"\1\2").xml == ["1", "2"]


def test_a_value_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="value 0 of 0 does not exist"):
        xml(data(False))


def test_what_grows_beyond_all_measure_is_refused() -> None:
    with pytest.raises(ValueError, match="characters of XML"):
        xml(Element("A", [], [Substitution(0, False)] * 2000), plain("x" * 10_000))


@pytest.mark.parametrize("name", ["Data", "_x", "a-b.c", "Ä", "外"])
def test_names_that_xml_allows(name: str) -> None:
    assert tree.valid_name(name) == name


@pytest.mark.parametrize("name", ["", "a b", "a>", "1a", "-a", "a/b", "a\0", 'a"', "a\n"])
def test_names_that_xml_does_not_allow(name: str) -> None:
    with pytest.raises(ValueError, match="is no XML name"):
        tree.valid_name(name)


def test_only_the_entities_of_xml_itself_are_known() -> None:
    assert "".join(map(tree.entity, ("amp", "lt", "gt", "quot", "apos"))) == "&<>\"'"
    with pytest.raises(ValueError, match="unknown entity"):
        tree.entity("xxe")
