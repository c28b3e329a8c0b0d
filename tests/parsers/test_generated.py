"""Made-up templates with values of any type: read the same by columns, record by record, and by the reference."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parsers.evtx import PARSER
from parsers.evtx_reference import REFERENCE
from samples.binxml import Element, Instance, Layout, Slot, Writer
from samples.chunk import write_file
from samples.values import BINXML, NULL, Value
from tests.helpers import gather_bytes
from tests.parsers.agreement import disagreements
from tests.parsers.logs import START

STRING, ANSI = 0x01, 0x02
_SIZES = {0x03: 1, 0x04: 1, 0x05: 2, 0x06: 2, 0x07: 4, 0x08: 4, 0x09: 8, 0x0A: 8, 0x0B: 4, 0x0C: 8, 0x0D: 4}
_SIZES |= {0x0F: 16, 0x11: 8, 0x12: 16, 0x14: 4, 0x15: 8}

_TEXTS = st.one_of(
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30),
    st.text(max_size=20),
    st.sampled_from(["", "0", "4711", "0x3e7", "x" * 3000, "é" * 500, "a\0b", "a\0\0", "\0", "\ud800", "\udc00x", "-"]),
    st.sampled_from(["2026-03-02 08:15:00.123", "2026-3-2", "2026-02-30 00:00:00.000", "1600-01-01 00:00:00.000"]),
    st.sampled_from(
        ["{00000000-0000-0000-0000-000000000000}", "b2796a13-1234-4321-abcd-00112233aabb", "\ue0000\ue001"]
    ),
).map(lambda text: Value(STRING, text.encode("utf-16-le", "surrogatepass"), ""))
_TIMES = st.sampled_from([0, 1, START, 1 << 63, 2**64 - 1, 94_354_848_000_000_000, 125_911_584_000_000_000])


@st.composite
def _fixed(draw: st.DrawFn) -> Value:
    """A value of a type of fixed size, or an array of such."""
    kind = draw(st.sampled_from(sorted(_SIZES)))
    count = draw(st.sampled_from([1, 1, 1, 0, 3]))
    edge = [b"\0" * _SIZES[kind], b"\xff" * _SIZES[kind], b"\1".ljust(_SIZES[kind], b"\0")]
    items = draw(st.lists(st.sampled_from(edge) | st.binary(min_size=_SIZES[kind], max_size=_SIZES[kind]),
                          min_size=count, max_size=count))  # fmt: skip
    return Value(kind if count == 1 else kind | 0x80, b"".join(items), "")


_VALUES = st.one_of(
    _TEXTS,
    _fixed(),
    _TIMES.map(lambda ticks: Value(0x11, struct.pack("<Q", ticks), "")),
    st.integers(0, 2**64 - 1).map(lambda n: Value(0x15, struct.pack("<Q", n), "")),
    st.sampled_from([Value(NULL, b"", ""), Value(NULL, b"left", ""), Value(0x08, b"", ""), Value(0x0F, b"", "")]),
    st.binary(max_size=20).map(lambda raw: Value(0x0E, raw, "")),
    st.binary(max_size=20).map(lambda raw: Value(ANSI, raw, "")),
    st.sampled_from([Value(0x0D, b"\1", ""), Value(0x10, b"\1\0\0\0", ""), Value(0x10, b"\xff" * 8, "")]),
    st.integers(0, 3).map(lambda n: Value(0x13, struct.pack("<BB6x", 1, n) + b"\1\2\3\4" * n, "")),
    st.lists(_TEXTS, max_size=3).map(lambda items: Value(0x81, b"".join(v.data + b"\0\0" for v in items), "")),
)
# What no parser can read, or only one by one: sizes that don't fit, unknown types.
_WRONG = st.sampled_from(
    [Value(0x08, b"\1\2\3", ""), Value(0x30, b"x", ""), Value(STRING, b"odd", ""), Value(0x13, b"xx", "")]
)

_NAMES = st.sampled_from(["ProcessId", "UtcTime", "ProcessGuid", "LogonId", "Image", "a", "b", "time", "Binary", "x y"])
_TAGS = st.sampled_from(["Data", "Data", "Data", "Binary", "Complex", "Item"])
_LITERALS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=5)


@st.composite
def _slots(draw: st.DrawFn) -> Slot:
    return Slot(draw(st.integers(0, 5)), STRING, draw(st.booleans()))


@st.composite
def _elements(draw: st.DrawFn, depth: int = 0) -> Element:
    name = draw(_TAGS)
    attributes: dict[str, str | Slot] = {}
    if draw(st.booleans()):
        attributes["Name"] = draw(st.one_of(_NAMES, _NAMES, _NAMES, _slots()))
    if draw(st.integers(0, 5)) == 0:
        attributes["Type"] = draw(st.one_of(_LITERALS, _slots()))
    parts: Any = st.one_of(_slots(), _slots(), _slots(), _LITERALS)
    if depth < 2:
        parts = st.one_of(parts, parts, parts, _elements(depth + 1))
    content = draw(st.lists(parts, max_size=draw(st.sampled_from([1, 1, 1, 3]))))
    return Element(name, tuple(attributes.items()), tuple(content))


def _system(event_id: int | Slot, provider: str, channel: str | Slot) -> Element:
    return Element("System", (), (
        Element("Provider", (("Name", provider),)),
        Element("EventID", (), (event_id if isinstance(event_id, Slot) else str(event_id),)),
        Element("TimeCreated", (("SystemTime", Slot(6, 0x11)),)),
        Element("EventRecordID", (), (Slot(7, 0x0A),)),
        Element("Channel", (), (channel,)),
        Element("Computer", (), ("WS01",)),
    ))  # fmt: skip


@st.composite
def _templates(draw: st.DrawFn) -> tuple[Element, Element | None]:
    """An event's template and, if its body is BinXML of its own, that one's."""
    name = draw(st.sampled_from(["EventData", "EventData", "UserData", "RenderingInfo"]))
    body = Element(name, (), tuple(draw(st.lists(_elements(), max_size=4))))
    provider = draw(st.sampled_from(["Microsoft-Windows-Sysmon", "Microsoft-Windows-Security-Auditing", "Contoso"]))
    event_id: int | Slot = draw(st.sampled_from([1, 7, Slot(8, 0x06)]))
    system = _system(event_id, provider, draw(st.sampled_from(["c", Slot(9, STRING)])))
    if draw(st.booleans()):
        return Element("Event", (), (system, Slot(10, BINXML))), body
    return Element("Event", (), (system, body)), None


_Record = tuple[tuple[Element, Element | None], Sequence[Value], Value, Value]


@st.composite
def _records(draw: st.DrawFn, wrong: bool) -> list[_Record]:
    templates = draw(st.lists(_templates(), min_size=1, max_size=2))
    values: Any = st.one_of(_VALUES, _VALUES, _VALUES, _VALUES, _WRONG) if wrong else _VALUES
    time = _TIMES.map(lambda ticks: Value(0x11, struct.pack("<Q", ticks), ""))
    event_id = st.integers(1, 2).map(lambda n: Value(0x06, struct.pack("<H", n), ""))
    one = st.tuples(st.sampled_from(templates), st.lists(values, min_size=6, max_size=6), time, event_id)
    made: list[_Record] = draw(st.lists(one, min_size=1, max_size=5))
    if len(made) > 1 and draw(st.booleans()):  # the same types in all records, as real ones have them
        made = [(made[0][0], [v if v.kind == w.kind else w for v, w in zip(r[1], made[0][1], strict=True)], *r[2:])
                for r in made]  # fmt: skip
    return made


def _log(made: Sequence[_Record], exported: bool) -> bytes:
    layout = Layout(exported)

    def body(number: int, record: _Record) -> Any:
        (outer, inner), values, time, event_id = record
        number_of = Value(0x0A, struct.pack("<Q", number), "")
        channel = Value(STRING, "c".encode("utf-16-le"), "")
        nested = Value(NULL, b"", "") if inner is None else Instance(inner, tuple(values))
        whole = Instance(outer, (*values, time, number_of, event_id, channel, nested))
        return lambda writer: Writer.record(writer, whole)

    return write_file([(n, START, body(n, record)) for n, record in enumerate(made, 1)], layout)


@pytest.mark.parametrize("wrong", [False, True])
@settings(max_examples=40, report_multiple_bugs=False)
@given(data=st.data())
def test_any_template_with_any_values_is_read_the_same(
    wrong: bool, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = _log(data.draw(_records(wrong)), data.draw(st.booleans()))
    folder = tmp_path_factory.mktemp("generated")
    ours = gather_bytes(PARSER, folder, content)
    assert disagreements(ours, gather_bytes(REFERENCE, folder, content)) == []


def _field(name: str, *content: Element | Slot | str) -> Element:
    return Element("Data", (("Name", name),), content)


_ITEM, _OTHER = Element("Item", (), (Slot(0, STRING),)), Element("Other", (), (Slot(1, STRING),))
_BODIES = {
    "a field with an element in it": Element("EventData", (), (_field("x", _ITEM),)),
    "a field with text beside its value": Element("EventData", (), (_field("x", Slot(0, STRING), Element("Item")),)),
    "a field that stands twice": Element("EventData", (), (_field("x", Slot(0, STRING)), _field("x", Slot(1, STRING)))),
    "unnamed data with an element in it": Element("EventData", (), (Element("Data", (), (_ITEM,)),)),
    "an element of its own in event data": Element("EventData", (), (Element("Complex", (), (_ITEM,)),)),
    "user data whose only element may go": Element("UserData", (), (Element("Q", (), (_ITEM,)),)),
    "user data all of which may go": Element("UserData", (), (Element("Q", (), (_ITEM, _OTHER)),)),
    "user data with an attribute": Element("UserData", (), (Element("Q", (("z", "1"),), (_ITEM,)),)),
    "a field named by a value": Element("EventData", (), (Element("Data", (("Name", Slot(0, STRING)),), ("x",)),)),
    "event data that is a value": Element("EventData", (), (Slot(0, STRING),)),
}


@pytest.mark.parametrize("nested", [False, True], ids=["in one template", "nested"])
@pytest.mark.parametrize("body", _BODIES.values(), ids=_BODIES)
def test_nulls_and_arrays_wherever_they_stand_are_read_the_same(body: Element, nested: bool, tmp_path: Path) -> None:
    null, text = Value(NULL, b"", ""), Value(STRING, "b".encode("utf-16-le"), "")
    array = Value(STRING | 0x80, "a\0b\0".encode("utf-16-le"), "")
    system = _system(7, "Contoso", "c")
    template = (
        (Element("Event", (), (system, Slot(10, BINXML))), body)
        if nested
        else (Element("Event", (), (system, body)), None)
    )
    time, event_id = Value(0x11, struct.pack("<Q", START), ""), Value(0x06, b"\7\0", "")
    pairs = [(first, second) for first in (null, text, array) for second in (null, text, array)]
    content = _log([(template, [*pair, text, text, text, text], time, event_id) for pair in pairs], exported=True)
    ours = gather_bytes(PARSER, tmp_path, content)
    assert ours.numbers == list(range(1, 10))
    assert disagreements(ours, gather_bytes(REFERENCE, tmp_path, content)) == []
