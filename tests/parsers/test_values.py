"""BinXML values as text, against Python's own struct, uuid and datetime, and against PyPI evtx."""

from __future__ import annotations

import json
import struct
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import evtx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parsers import values
from parsers.evtx import PARSER
from samples import values as stored
from samples.evtx_writer import Event, write_log
from tests.helpers import read

INTEGERS = {0x03: "b", 0x04: "B", 0x05: "h", 0x06: "H", 0x07: "i", 0x08: "I", 0x09: "q", 0x0A: "Q"}
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(("kind", "code"), INTEGERS.items())
@given(data=st.data())
def test_integers_read_as_struct_packs_them(kind: int, code: str, data: st.DataObject) -> None:
    bits = 8 * struct.calcsize(code)
    low, high = (0, 2**bits - 1) if code.isupper() else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    numbers = data.draw(st.lists(st.integers(low, high), max_size=4))
    packed = [struct.pack(f"<{code}", number) for number in numbers]
    assert [values.text(kind, raw) for raw in packed] == list(map(str, numbers))
    assert values.text(kind | 0x80, b"".join(packed)) == list(map(str, numbers))


@pytest.mark.parametrize(("kind", "code"), [(0x0B, "<f"), (0x0C, "<d")])
@given(data=st.data())
def test_reals_read_back_exactly(kind: int, code: str, data: st.DataObject) -> None:
    raw = struct.pack(code, data.draw(st.floats(width=32, allow_nan=False)))
    text = values.text(kind, raw)
    assert isinstance(text, str)
    assert struct.pack(code, float(text)) == raw


@pytest.mark.parametrize(("kind", "size"), [(0x14, 4), (0x15, 8), (0x10, 4), (0x10, 8)])
@given(data=st.data())
def test_hexadecimal_values_read_without_leading_zeros(kind: int, size: int, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, 256**size - 1))
    assert values.text(kind, number.to_bytes(size, "little")) == hex(number)


@given(st.uuids())
def test_guids_read_as_sysmon_prints_them(guid: uuid.UUID) -> None:
    assert values.text(0x0F, guid.bytes_le) == f"{{{guid}}}".upper()
    assert values.text(0x8F, guid.bytes_le * 2) == [f"{{{guid}}}".upper()] * 2


@given(st.integers(0, 2_650_467_743_999_999_999))  # to the end of the year 9999
def test_filetimes_read_to_100_ns(ticks: int) -> None:
    text = values.text(0x11, struct.pack("<Q", ticks))
    assert isinstance(text, str)
    at = _EPOCH + timedelta(microseconds=ticks // 10)
    assert text == f"{at.replace(tzinfo=None).isoformat(timespec='microseconds')}{ticks % 10}Z"


def test_a_filetime_past_the_year_9999_reads_as_its_number() -> None:
    assert values.text(0x11, b"\xff" * 8) == str(2**64 - 1)


@given(st.datetimes(min_value=datetime(1601, 1, 1)))
def test_systemtimes_read_to_the_millisecond(at: datetime) -> None:
    milli = at.microsecond // 1000
    raw = struct.pack("<8H", at.year, at.month, 0, at.day, at.hour, at.minute, at.second, milli)
    assert values.text(0x12, raw) == f"{at:%Y-%m-%dT%H:%M:%S}.{milli:03d}Z".rjust(24, "0")


@given(st.integers(0, 2**48 - 1), st.lists(st.integers(0, 2**32 - 1), max_size=15))
def test_sids_read_with_all_their_parts(authority: int, parts: list[int]) -> None:
    raw = struct.pack("<BB", 1, len(parts)) + authority.to_bytes(6, "big") + struct.pack(f"<{len(parts)}I", *parts)
    assert values.text(0x13, raw) == "-".join(map(str, ["S", 1, authority, *parts]))


@pytest.mark.parametrize(
    ("raw", "text"), [(b"\0\0\0\0", "false"), (b"\1\0\0\0", "true"), (b"\0", "false"), (b"\1", "true")]
)
def test_booleans_read_as_words(raw: bytes, text: str) -> None:
    assert values.text(0x0D, raw) == text


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_strings_read_as_they_stand_without_their_closing_nul(text: str) -> None:
    raw = text.encode("utf-16-le")
    assert values.text(0x01, raw) == text
    assert values.text(0x01, raw + b"\0\0") == text


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), max_size=5))
def test_arrays_of_strings_keep_blank_ones(texts: list[str]) -> None:
    raw = b"".join(text.encode("utf-16-le") + b"\0\0" for text in texts)
    assert values.text(0x81, raw) == (texts or [""])


def test_an_unpaired_surrogate_becomes_the_replacement_character() -> None:
    assert values.text(0x01, b"a\0\x00\xd8b\0") == "a\ufffdb"


@given(st.binary(max_size=40))
def test_binary_reads_as_hex(raw: bytes) -> None:
    assert values.text(0x0E, raw) == raw.hex().upper()


def test_ansi_strings_read_as_windows_1252_and_lose_no_byte() -> None:
    assert values.text(0x02, b"caf\xe9 \x80\0") == "café €"
    assert len(values.text(0x02, bytes(range(1, 256)))) == 255


WIDTHS = {
    0x03: {1}, 0x04: {1}, 0x05: {2}, 0x06: {2}, 0x07: {4}, 0x08: {4}, 0x09: {8}, 0x0A: {8}, 0x0B: {4}, 0x0C: {8},
    0x0D: {1, 4}, 0x0F: {16}, 0x10: {4, 8}, 0x11: {8}, 0x12: {16}, 0x14: {4}, 0x15: {8},
}  # fmt: skip


@pytest.mark.parametrize(("kind", "size"), [(k, n) for k, right in WIDTHS.items() for n in range(20) if n not in right])
def test_a_value_of_the_wrong_size_is_refused(kind: int, size: int) -> None:
    with pytest.raises(ValueError, match=f"^{size} bytes"):
        values.text(kind, bytes(size))


@pytest.mark.parametrize(("kind", "raw"), [(0x84, b""), (0x88, b"\1\2\3"), (0x8F, bytes(17)), (0x01, b"abc")])
def test_half_an_item_is_refused(kind: int, raw: bytes) -> None:
    if raw:
        with pytest.raises(ValueError, match="bytes are no"):
            values.text(kind, raw)
    else:
        assert values.text(kind, raw) == []


@pytest.mark.parametrize("raw", [b"", bytes(7), b"\1\2" + bytes(6), b"\1\0" + bytes(10), b"\1\xff" + bytes(6)])
def test_a_sid_whose_length_belies_its_count_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="are no SID"):
        values.text(0x13, raw)


@given(st.integers(0, 255), st.binary(max_size=40))
def test_any_type_and_any_bytes_give_text_or_a_value_error(kind: int, raw: bytes) -> None:
    try:
        text = values.text(kind, raw)
    except ValueError:
        return
    for item in [text] if isinstance(text, str) else text:
        item.encode("utf-8")  # no lone surrogate comes out


_PLAIN = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Co", "Cn"]).filter(lambda c: not c.isspace()), max_size=20
)
_VALUES = st.one_of(
    _PLAIN.map(stored.string),
    st.integers(-128, 127).map(stored.i8),
    st.integers(0, 255).map(stored.u8),
    st.integers(-(2**15), 2**15 - 1).map(stored.i16),
    st.integers(0, 2**16 - 1).map(stored.u16),
    st.integers(-(2**31), 2**31 - 1).map(stored.i32),
    st.integers(0, 2**32 - 1).map(stored.u32),
    st.integers(-(2**63), 2**63 - 1).map(stored.i64),
    st.integers(0, 2**64 - 1).map(stored.u64),
    st.integers(0, 2**32 - 1).map(stored.hex32),
    st.integers(0, 2**64 - 1).map(stored.hex64),
    st.integers(0, 2**64 - 1).map(stored.size_t),
    st.booleans().map(stored.boolean),
    st.binary(max_size=30).map(stored.binary),
)


@settings(max_examples=60)
@given(
    fields=st.lists(_VALUES, min_size=1, max_size=8),
    ticks=st.integers(117_000_000_000_000_000, 150_000_000_000_000_000),
    exported=st.booleans(),
)
def test_a_written_log_reads_as_it_was_meant_and_as_pypi_evtx_reads_it(
    tmp_path_factory: pytest.TempPathFactory, fields: list[stored.Value], ticks: int, exported: bool
) -> None:
    event = Event(
        provider="Contoso",
        provider_guid="{0E2BC1B7-5D4B-4E2F-9C5F-1F1B1B0A0F01}",
        event_id=7,
        channel="Contoso/Debug",
        computer="WS01",
        time=ticks,
        data=[(f"F{index}", value) for index, value in enumerate(fields)],
    )
    path = write_log(tmp_path_factory.mktemp("values") / "log.evtx", [event], exported=exported)
    frames, problems = read(PARSER, path)
    (frame,) = frames.values()
    (row,) = frame.iter_rows(named=True)
    assert problems == []
    assert [row[f"F{index}"] for index in range(len(fields))] == [value.text for value in fields]
    assert frame["logged"].dt.timestamp("ns")[0] == (ticks - 116_444_736_000_000_000) * 100
    assert _theirs(path) == {f"F{index}": value.text for index, value in enumerate(fields)}


def _theirs(path: Path) -> dict[str, str]:
    record: Any = next(iter(evtx.PyEvtxParser(str(path)).records_json()))
    data = json.loads(record["data"])["Event"]["EventData"]
    return {name: _text(value) for name, value in data.items()}


def _text(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
