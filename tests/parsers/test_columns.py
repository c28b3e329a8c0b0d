"""Values that are hard to put into columns: written into logs, read as columns and by the reference, told the same."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from hunt.model import SYSMON
from parsers import bxml
from parsers.evtx import PARSER
from parsers.evtx_reference import REFERENCE
from samples import values
from samples.binxml import Element, Instance, Layout, Slot
from samples.chunk import write_file
from samples.evtx_writer import Event, log_bytes, sysmon_process
from samples.values import BINXML, NULL, STRING, Value
from tests.helpers import Result, gather_bytes
from tests.parsers.agreement import disagreements
from tests.parsers.logs import START, event, root, summed

pytestmark = pytest.mark.usefixtures("either_way")


def both(folder: Path, content: bytes) -> Result:
    """What the columnar parser reads of a log, after the reference agreed."""
    found = gather_bytes(PARSER, folder, content)
    assert disagreements(found, gather_bytes(REFERENCE, folder, content)) == []
    return found


def column(folder: Path, stored: Sequence[Value], optional: bool = False, exported: bool = True) -> pl.Series:
    """The column of values that stand in the same place of records of one template."""
    events = [event(data=[("A", value), ("B", "b")], optional=optional) for value in stored]
    (frame,) = both(folder, log_bytes(events, exported=exported)).frames.values()
    assert frame["B"].to_list() == ["b"] * len(stored)
    return frame["A"]


def utf16(text: str) -> Value:
    """A string with whatever is in it."""
    return Value(STRING, text.encode("utf-16-le", "surrogatepass"), "")


def started(folder: Path, stored: Sequence[tuple[str, Value | str]], **given: object) -> pl.DataFrame:
    """Events of Sysmon's with one field each of this name."""
    log = [
        event(provider="Microsoft-Windows-Sysmon", channel=SYSMON, event_id=1, data=[field], **given)
        for field in stored
    ]
    (frame,) = both(folder, log_bytes(log)).frames.values()
    return frame


# Reading record by record is what the columns save: these tests are about columns.


@pytest.fixture(autouse=True)
def walks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Where records were read one by one."""
    read = bxml.Walker.row
    places: list[int] = []

    def row(walker: bxml.Walker, frame: bxml.records.Frame) -> bxml.event_xml.Row:
        places.append(frame.offset)
        return read(walker, frame)

    monkeypatch.setattr(bxml.Walker, "row", row)
    return places


# Texts.

TEXTS = [
    "",
    "a",
    "x" * 12,
    "x" * 13,
    "é",
    "zoë",
    "外" * 7,
    "a\x1b[31mb",
    "𝄞" * 20,
    "\t\r\n ",
    "\ufeff",
    "x" * 30_000,
    "é" * 30_000,
]


@pytest.mark.parametrize("exported", [True, False], ids=["exported", "live"])
def test_texts_of_every_length_and_script(exported: bool, tmp_path: Path, walks: list[int]) -> None:
    assert column(tmp_path, [utf16(text) for text in TEXTS], exported=exported).to_list() == TEXTS
    assert walks == []


@pytest.mark.parametrize("length", range(20))
def test_one_strange_character_anywhere_in_a_text_is_found(length: int, tmp_path: Path) -> None:
    texts = [
        "x" * at + strange + "x" * (length - at) for at in range(length + 1) for strange in ("\x7f", "\x80", "Ā", "ÿ")
    ]
    assert column(tmp_path, [utf16(text) for text in texts]).to_list() == texts


def test_nuls_end_a_text_and_stay_inside(tmp_path: Path) -> None:
    given = ["a\0b", "a\0", "a\0\0", "\0", "\0\0a", "x" * 20 + "\0" * 9, "é\0\0"]
    assert column(tmp_path, [utf16(text) for text in given]).to_list() == [text.rstrip("\0") for text in given]


def test_unpaired_surrogates_are_replaced(tmp_path: Path) -> None:
    given = [utf16("a\ud800b"), utf16("\udc00"), utf16("ok")]
    assert column(tmp_path, given).to_list() == ["a\ufffdb", "\ufffd", "ok"]


# Types.

EVERY = [
    values.i8(-1), values.u8(255), values.i16(-2), values.u16(65535), values.i32(-3), values.u32(2**32 - 1),
    values.i64(-(2**63)), values.u64(2**64 - 1), values.float32(0.1), values.float64(1e300), values.boolean(True),
    values.binary(b"\0\xff"), values.guid("{00000001-0002-0003-0004-000000000005}"), values.size_t(77),
    values.filetime("2026-03-02 08:15:00.1234567"), values.systemtime("2026-03-02 08:15:00.123"),
    values.sid("S-1-5-21-1-2-3-500"), values.hex32(0xDEAD), values.hex64(2**64 - 1), values.string("text"),
    Value(0x02, b"ansi \xe9\x81", ""), Value(0x0D, b"\1", ""),
]  # fmt: skip


@pytest.mark.parametrize("value", EVERY, ids=lambda value: f"0x{value.kind:02x}-{len(value.data)}")
@pytest.mark.parametrize("optional", [True, False])
def test_values_of_a_type_with_nulls_among_them(value: Value, optional: bool, tmp_path: Path, walks: list[int]) -> None:
    found = column(tmp_path, [value, Value(NULL, b"", ""), value, Value(NULL, b"left", "")], optional).to_list()
    assert found[0] == found[2] != ""
    assert found[1] == found[3] == (None if optional else "")
    assert walks == []


def test_sizes_of_32_and_64_bits_stand_in_one_column(tmp_path: Path, walks: list[int]) -> None:
    sizes = [Value(0x10, number.to_bytes(width, "little"), "") for width in (4, 8) for number in (1, 0xFFFFFFFF)]
    assert column(tmp_path, sizes, exported=False).to_list() == ["0x1", "0xffffffff"] * 2
    assert walks == []


def test_values_that_change_their_type_from_record_to_record(tmp_path: Path, walks: list[int]) -> None:
    assert column(tmp_path, EVERY * 2).null_count() == 0
    assert walks == []


@pytest.mark.parametrize("kind", [0x03, 0x06, 0x08, 0x0A, 0x0B, 0x0D, 0x0F, 0x11, 0x12, 0x14, 0x15])
def test_arrays_are_one_text_line_by_line(kind: int, tmp_path: Path) -> None:
    width = {0x03: 1, 0x06: 2, 0x08: 4, 0x0A: 8, 0x0B: 4, 0x0D: 4, 0x0F: 16, 0x11: 8, 0x12: 16, 0x14: 4, 0x15: 8}[kind]
    arrays = [Value(0x80 | kind, b"\1" * width * count, "") for count in (1, 2, 5)]
    assert [text.count("\n") for text in column(tmp_path, arrays)] == [0, 1, 4]


def test_arrays_of_texts_with_empty_ones_among_them(tmp_path: Path) -> None:
    arrays = [values.strings(texts) for texts in (["a"], ["a", "", "c"], ["", ""], ["é", "x" * 300])]
    assert column(tmp_path, arrays).to_list() == ["a", "a\n\nc", "\n", "é\n" + "x" * 300]


@pytest.mark.parametrize("items", [["a", "", "c"], [""], ["x"] * 50, ["é", "外"]])
def test_unnamed_data_keep_their_items(items: list[str], tmp_path: Path) -> None:
    log = [event(provider_guid=None, channel="Application", unnamed=unnamed) for unnamed in (items, ["one"], items)]
    (frame,) = both(tmp_path, log_bytes(log)).frames.values()
    assert frame["Data"].to_list() == [items, ["one"], items]


# Fields with a type of their own.


def test_numbers_too_large_for_their_column_are_kept_as_text(tmp_path: Path) -> None:
    numbers = [values.u32(7), values.u64(2**32), values.u64(2**64 - 1), values.u32(8)]
    frame = started(tmp_path, [("ProcessId", number) for number in numbers])
    assert frame["ProcessId"].to_list() == [7, None, None, 8]
    assert frame["unparsed"].to_list() == [None, '{"ProcessId":"4294967296"}', f'{{"ProcessId":"{2**64 - 1}"}}', None]


def test_numbers_written_as_text_signed_or_hexadecimal(tmp_path: Path) -> None:
    stored = [values.string("0x10"), values.i32(-1), values.hex64(3), values.u8(4), values.string("five"), utf16("")]
    assert started(tmp_path, [("ProcessId", value) for value in stored])["ProcessId"].to_list() == [
        16,
        None,
        3,
        4,
        None,
        None,
    ]


TIMES = [
    "2026-03-02 08:15:00.123", "2026-03-02 08:15:00", "2026-03-02T08:15:00.1234567Z", "2024-02-29 23:59:59.999",
    "2025-02-29 00:00:00.000", "2026-13-01 00:00:00.000", "2026-03-02 24:00:00.000", "1677-01-01 00:00:00.000",
    "2262-01-01 00:00:00.000", "1678-01-01 00:00:00.000", "2261-12-31 23:59:59.999", " 026-03-02 08:15:00.123",
    "2026-03-02 08:15:00,123", "2026-3-2 8:15:00", "never", "", "-", "٢٠٢٦-03-02 08:15:00.123",
]  # fmt: skip


@pytest.mark.parametrize("exported", [True, False])
def test_times_written_in_any_way(exported: bool, tmp_path: Path) -> None:
    log = [
        event(provider="Microsoft-Windows-Sysmon", channel=SYSMON, event_id=1, data=[("UtcTime", text)])
        for text in TIMES
    ]
    (frame,) = both(tmp_path, log_bytes(log, exported=exported)).frames.values()
    assert frame["UtcTime"].null_count() == 12
    assert frame["time"].null_count() == 0  # TimeCreated, where the event's own can't be read
    for one in log:  # each alone, too: a column of nothing but such times
        both(tmp_path, log_bytes([one], exported=exported))


TICKS = [
    0,
    1,
    START,
    24_297_407_999_999_999,
    24_297_408_000_000_000,
    208_592_063_999_999_999,
    208_592_064_000_000_000,
    2**63,
    2**64 - 1,
]


@pytest.mark.parametrize("ticks", TICKS)
def test_filetimes_at_the_ends_of_what_a_column_holds(ticks: int, tmp_path: Path) -> None:
    frame = started(tmp_path, [("UtcTime", Value(0x11, struct.pack("<Q", each), "")) for each in (START, ticks)])
    assert frame["UtcTime"][0] is not None
    assert (frame["UtcTime"][1] is None) == (frame["unparsed"][1] is not None)


def test_the_null_guid_is_null_where_a_guid_is_listed_and_a_text_elsewhere(tmp_path: Path) -> None:
    null, some = "{00000000-0000-0000-0000-000000000000}", "{00000001-0002-0003-0004-000000000005}"
    frame = started(tmp_path, [("ProcessGuid", values.guid(text)) for text in (null, some)])
    assert frame["ProcessGuid"].to_list() == [None, some]
    assert column(tmp_path, [values.guid(null), values.guid(some)]).to_list() == [null, some]


def test_providers_that_mean_other_types_by_a_name_share_a_frame(tmp_path: Path) -> None:
    null = values.guid("{00000000-0000-0000-0000-000000000000}")
    providers = ["Microsoft-Windows-Sysmon", "Microsoft-Windows-Security-Auditing", "Contoso"]
    log = [
        event(provider=provider, channel="c", event_id=1, data=[("ProcessId", values.hex64(5)), ("LogonGuid", null)])
        for provider in (*providers, *providers)
    ]
    for order in (log, log[::-1], log[1:3] * 2):
        both(tmp_path, log_bytes(order))


def test_columns_and_single_records_of_other_providers_share_a_frame(tmp_path: Path) -> None:
    """The second provider's record has no layout: what one alone would have typed has to be typed for both."""
    odd = Element("Data", (("Name", "ProcessId"),), (Slot(0, STRING), " ", Slot(0, STRING)))
    system = Element("System", (), (Element("Provider", (("Name", "Microsoft-Windows-Security-Auditing"),)),
                                    Element("EventID", (), ("1",)), Element("Channel", (), ("c",))))  # fmt: skip
    template = Element("Event", (), (system, Element("EventData", (), (odd,))))
    whole = root(Element("Data", (("Name", "x"),), (Slot(0, STRING),)))
    log = [
        (1, START, lambda w: w.record(Instance(template, (utf16("1"),)))),
        (2, START, lambda w: w.record(Instance(whole, (utf16("2"),)))),
    ]
    both(tmp_path, write_file(log, Layout()))


# Templates.


def test_many_hosts_in_one_log_each_keep_their_name(tmp_path: Path, walks: list[int]) -> None:
    hosts = [f"WS{n % 150:03d}.contoso.example" for n in range(300)]
    log = [event(computer=host, data=[("A", str(n))]) for n, host in enumerate(hosts)]
    (frame,) = both(tmp_path, log_bytes(log)).frames.values()
    assert frame["host"].to_list() == hosts
    assert frame["A"].to_list() == [str(n) for n in range(300)]
    assert walks == []


def test_the_same_template_at_other_places_of_other_chunks_is_the_same(tmp_path: Path, walks: list[int]) -> None:
    """Names in place in one chunk and elsewhere in the next: which event is first differs from chunk to chunk."""
    kinds = [
        lambda n: event(event_id=1, data=[("A", str(n)), ("Long" * 20, "x" * 700)]),
        lambda n: event(event_id=2, data=[("Long" * 20, "y" * 900), ("A", str(n)), ("C", "c")]),
        lambda n: event(event_id=3, data=[("C", str(n)), ("A", "a"), ("B", "z" * 500)]),
    ]
    log: list[Event] = [kinds[(n * n + n // 7) % 3](n) for n in range(300)]
    content = log_bytes(log)
    assert len(content) > 4096 + 4 * 65536
    found = both(tmp_path, content)
    assert found.records == 300
    assert walks == []


def test_a_template_whose_names_lead_to_other_names_is_another(tmp_path: Path) -> None:
    """Two chunks alike to the byte but for the text of a name that stands elsewhere."""
    first = event(event_id=1, data=[("Alpha", "1"), ("Gamma", "2")])
    second = event(event_id=2, data=[("Alpha", "3" * 40), ("Gamma", "4")])
    content = log_bytes([first, second] * 200)
    name = "Alpha".encode("utf-16-le")
    at = content.index(name, content.index(b"ElfChnk", 5000))
    patched = bytearray(content)
    patched[at : at + len(name)] = "Omega".encode("utf-16-le")
    found = both(tmp_path, summed(bytes(patched)))
    for kind, frame in found.frames.items():
        chunk = (frame["offset"] - 4096) // 65536
        text = "1" if kind.event_id == 1 else "3" * 40
        assert set(frame.filter(chunk == 1)["Omega"]) == {text}
        assert set(frame.filter(chunk != 1)["Alpha"]) == {text}
        assert frame.filter(chunk == 1)["Alpha"].null_count() == (chunk == 1).sum()


def test_a_section_nested_in_its_element_or_right_below_the_event(tmp_path: Path) -> None:
    body = Element("EventData", (), (Element("Data", (("Name", "x"),), (Slot(0, STRING),)),))
    system = root().content[0]
    templates = [Element("Event", (), (system, Slot(1, BINXML))), Element("Event", (), (system, body))]
    log = [
        (1, START, lambda w: w.record(Instance(templates[0], (utf16("n"), Instance(body, (utf16("1"),)))))),
        (2, START, lambda w: w.record(Instance(templates[1], (utf16("2"),)))),
    ]
    (frame,) = both(tmp_path, write_file(log, Layout())).frames.values()
    assert frame["x"].to_list() == ["1", "2"]


def test_a_frame_does_not_change_when_the_next_batch_is_read(tmp_path: Path) -> None:
    images = [rf"C:\tools\tool{n}.exe" for n in range(200)]
    content = log_bytes(sysmon_process(Image=image, time=START) for image in images)
    (frame,) = gather_bytes(PARSER, tmp_path, content).frames.values()
    gather_bytes(PARSER, tmp_path, b"\xee" * len(content))
    assert frame["Image"].to_list() == images
