"""What a log may do to whoever reads it: both parsers refuse it, and it costs no more than its record."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from hunt.model import EventType, Parser
from parsers.evtx import PARSER
from parsers.evtx_reference import REFERENCE
from samples import values
from samples.binxml import FRAGMENT, OPEN, TEMPLATE, VALUE, Element, Instance, Slot
from samples.evtx_writer import log_bytes
from samples.values import STRINGS, Value
from tests.helpers import gather_bytes
from tests.parsers.logs import crafted, event, raw, root

pytestmark = pytest.mark.usefixtures("either_way")


def test_a_template_that_repeats_a_value_without_end_is_bounded(parser: Parser, tmp_path: Path) -> None:
    data = Element("Data", (), tuple(Slot(0, 1) for _ in range(2000)))
    bomb = Instance(root(data), (values.string("x" * 20_000),))
    found = crafted(parser, tmp_path, lambda writer: writer.record(bomb))
    assert found.numbers == [2]
    assert "characters of XML" in found.problems[0].reason


def test_an_array_that_repeats_a_long_name_without_end_is_bounded(tmp_path: Path) -> None:
    data = Element("N" * 10_000, (), (Slot(0, STRINGS),))
    bomb = Instance(root(data), (Value(STRINGS, b"\0\0" * 15_000, ""),))
    found = crafted(REFERENCE, tmp_path, lambda writer: writer.record(bomb))
    assert found.numbers == [2]
    assert "characters of XML" in found.problems[0].reason
    # A column has its name once, whatever its values are.
    found = crafted(PARSER, tmp_path, lambda writer: writer.record(bomb))
    assert found.numbers == [1, 2]
    assert found.frames[EventType("c", 7)]["N" * 10_000].to_list() == ["\n" * 14_999]


def _instance(template: int, values_: list[bytes], kinds: list[int], definition: bytes = b"") -> bytes:
    head = FRAGMENT + struct.pack("<BBII", TEMPLATE, 1, 1, template) + definition
    table = b"".join(struct.pack("<HBB", len(v), kind, 0) for v, kind in zip(values_, kinds, strict=True))
    return head + struct.pack("<I", len(values_)) + table + b"".join(values_)


def _definition(body: bytes) -> bytes:
    return struct.pack("<I", 0) + b"\1" * 16 + struct.pack("<I", len(body)) + body


def test_values_that_nest_into_each_other_are_read_once_and_not_time_and_again(parser: Parser, tmp_path: Path) -> None:
    """Every level's two values begin where the next two levels stand: read as they claim, time doubles with each."""

    def build(start: int) -> bytes:
        template = start + len(FRAGMENT) + 10
        level = struct.pack("<BBII", TEMPLATE, 1, 1, template)
        size = len(FRAGMENT) + len(level) + 12
        table = struct.pack("<IHBBHBB", 2, size, 0x21, 0, size, 0x21, 0)
        last = (FRAGMENT + level + struct.pack("<I", 0)).ljust(size, b"\0")
        return FRAGMENT + level + _definition(FRAGMENT + b"\0") + table + (FRAGMENT + level + table) * 80 + last * 3

    found = crafted(parser, tmp_path, raw(build))
    assert found.numbers == [2]
    assert found.lost == [1]


def test_many_nested_values_do_not_each_read_on_to_the_end_of_the_record(parser: Parser, tmp_path: Path) -> None:
    def build(start: int) -> bytes:
        template = start + len(FRAGMENT) + 10
        return _instance(template, [b"\2"] * 9_000, [0x21] * 9_000, _definition(FRAGMENT + b"\0"))

    found = crafted(parser, tmp_path, raw(build))
    assert found.numbers == [2]
    assert found.lost == [1]


def test_nesting_deeper_than_any_real_event_is_refused(parser: Parser, tmp_path: Path) -> None:
    def build(start: int) -> bytes:
        template = start + len(FRAGMENT) + 10
        inner = _instance(template, [], [])
        for _ in range(1500):
            inner = _instance(template, [inner], [0x21])
        return FRAGMENT + struct.pack("<BBII", TEMPLATE, 1, 1, template) + _definition(FRAGMENT + b"\0") + inner[14:]

    found = crafted(parser, tmp_path, raw(build))
    assert found.numbers == [2]
    assert found.lost == [1]


def test_elements_nested_deeper_than_any_real_event_are_refused(parser: Parser, tmp_path: Path) -> None:
    def build(_: int) -> bytes:
        element = struct.pack("<BHII", OPEN, 0xFFFF, 0, 0) + b"\2"
        return FRAGMENT + element * 3000 + b"\4" * 3000 + b"\0"

    found = crafted(parser, tmp_path, raw(build))
    assert found.numbers == [2]
    assert found.lost == [1]


def test_a_template_that_holds_itself_ends(parser: Parser, tmp_path: Path) -> None:
    def build(start: int) -> bytes:
        template = start + len(FRAGMENT) + 10
        itself = struct.pack("<BBII", TEMPLATE, 1, 1, template)
        return _instance(template, [], [], _definition(FRAGMENT + itself + b"\0"))

    found = crafted(parser, tmp_path, raw(build))
    assert found.numbers == [2]
    assert found.lost == [1]


def test_a_name_whose_next_is_itself_is_read_like_any_other(parser: Parser, tmp_path: Path) -> None:
    content = bytearray(log_bytes([event(record_id=1, data=[("A", "x")])]))
    for at in range(4096 + 128, 4096 + 384, 4):  # the chunk's 64 buckets of names
        (name,) = struct.unpack_from("<I", content, at)
        if name:
            struct.pack_into("<I", content, 4096 + name, name)
    found = gather_bytes(parser, tmp_path, bytes(content))
    assert found.numbers == [1]
    assert found.lost == []


@pytest.mark.parametrize("offset", [0, 65_530, 65_535, 65_536, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_template_outside_the_chunk_costs_its_record(parser: Parser, tmp_path: Path, offset: int) -> None:
    found = crafted(parser, tmp_path, raw(lambda _: _instance(offset, [], [])))
    assert found.numbers == [2]
    assert found.lost == [1]


@pytest.mark.parametrize("offset", [65_530, 65_535, 65_536, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_name_outside_the_chunk_costs_its_record(parser: Parser, tmp_path: Path, offset: int) -> None:
    element = FRAGMENT + struct.pack("<BHII", OPEN, 0xFFFF, 0, offset) + b"\3\0"
    found = crafted(parser, tmp_path, raw(lambda _: element))
    assert found.numbers == [2]
    assert found.lost == [1]


@pytest.mark.parametrize("values_", [0xFFFFFFFF, 70_000, 5])
def test_more_values_than_the_record_holds_cost_it(parser: Parser, tmp_path: Path, values_: int) -> None:
    def build(start: int) -> bytes:
        template = start + len(FRAGMENT) + 10
        return _instance(template, [], [], _definition(FRAGMENT + b"\0"))[:-4] + struct.pack("<I", values_)

    found = crafted(parser, tmp_path, raw(build))
    assert found.numbers == [2]
    assert found.lost == [1]


def test_a_substitution_of_a_value_that_is_not_there_costs_the_record(parser: Parser, tmp_path: Path) -> None:
    template = root(Element("Data", (), (Slot(40, 1, optional=False),)))
    found = crafted(parser, tmp_path, lambda writer: writer.record(Instance(template, (values.string("x"),))))
    assert found.numbers == [2]
    assert found.lost == [1]


def test_an_event_id_of_thousands_of_digits_costs_its_record(parser: Parser, tmp_path: Path) -> None:
    template = Element("Event", (), (Element("System", (), (Element("EventID", (), ("9" * 6000,)),)),))
    found = crafted(parser, tmp_path, lambda writer: writer.record(Instance(template, ())))
    assert found.numbers == [2]
    assert "without a number as EventID" in found.problems[0].reason


def test_an_element_name_that_is_markup_costs_its_record(parser: Parser, tmp_path: Path) -> None:
    template = root(Element("a><System><EventID>1</EventID></System><b", (), ("x",)))
    found = crafted(parser, tmp_path, lambda writer: writer.record(Instance(template, ())))
    assert found.numbers == [2]
    assert "is no XML name" in found.problems[0].reason


def test_value_token_and_open_token_are_those_of_the_specification() -> None:
    assert (OPEN, VALUE, TEMPLATE) == (0x01, 0x05, 0x0C)  # [MS-EVEN6] 2.2.12: what crafted records above rely on
