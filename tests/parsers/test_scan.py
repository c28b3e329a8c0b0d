"""What looks like a chunk or a record in raw data, and what only begins like one."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parsers import records, scan
from parsers.scan import Window, chunks, singles
from tests.parsers.logs import good, places
from tests.parsers.raw_data import chunks as chunks_of
from tests.parsers.raw_data import junk, record

CHUNK = chunks_of(good())[0]


def window(data: bytes) -> Window:
    return Window(0, bytearray(data), len(data), ())


def changed(at: int, code: str, value: int) -> bytes:
    out = bytearray(CHUNK)
    struct.pack_into(code, out, at, value)
    return bytes(out)


def test_a_chunk_is_whole_if_its_checksums_are_right() -> None:
    (head,) = chunks(window(junk(13) + CHUNK))
    assert (head.at, head.whole) == (13, True)
    assert head.free == struct.unpack_from("<I", CHUNK, 48)[0]
    (head,) = chunks(window(changed(5000, "<B", 0xEE)))
    assert not head.whole
    (head,) = chunks(window(CHUNK[:9000]))
    assert not head.whole


@pytest.mark.parametrize(
    ("at", "code", "value"),
    [(0, "<B", 0), (8, "<Q", 7), (40, "<I", 512), (48, "<I", 1 << 31), (48, "<I", 512), (130, "<B", 1)],
)
def test_a_header_that_does_not_hold_together_is_none(at: int, code: str, value: int) -> None:
    assert chunks(window(changed(at, code, value))) == []


def test_chunks_written_without_checksums_are_believed() -> None:
    (head,) = chunks(window(changed(120, "<I", 4)))
    assert head.whole


def test_records_are_found_where_their_log_has_them() -> None:
    data = good()
    at, size = singles(window(data))
    assert sorted(zip(at.tolist(), size.tolist(), strict=True)) == sorted(places(data).values())


@pytest.mark.parametrize(("at", "value"), [(4, 20), (4, 70_000), (4, 0xFFFFFFFF), (24, 0), (-4, 0)])
def test_what_only_begins_like_a_record_is_none(at: int, value: int) -> None:
    out = bytearray(record(good(), 5))
    struct.pack_into("<I", out, at % len(out), value)
    assert singles(window(bytes(out) + bytes(9)))[0].size == 0
    assert singles(window(record(good(), 5)[:-1]))[0].size == 0


@given(st.integers(0, 400_000), st.integers(1, 3))
def test_windows_are_all_of_a_file_and_meet_without_a_gap(size: int, blocks: int) -> None:
    content = junk(size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "WINDOW", blocks * 65_536)
        patch.setattr(scan, "_BLOCK", 50_000)
        met = list(scan.windows(io.BytesIO(content), size))
    assert b"".join(bytes(part.data[: part.own]) for part in met) == content
    assert all(part.data == content[part.start : part.start + len(part.data)] for part in met)
    assert all(len(part.data) - part.own >= records.CHUNK for part in met[:-1])


def test_a_file_that_is_shorter_than_it_claims_ends_where_it_ends() -> None:
    assert [bytes(part.data) for part in scan.windows(io.BytesIO(b"abc"), 1 << 40)] == [b"abc"]


def test_a_disk_that_fails_throughout_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "_MOST_BAD", 3)
    monkeypatch.setattr(scan, "_block", lambda *_: OSError(5, "Input/output error"))
    with pytest.raises(OSError, match="Input/output"):
        list(scan.windows(io.BytesIO(), 1 << 40))
