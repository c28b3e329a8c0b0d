"""Record frames: found in good logs, found again behind damage, never read from outside their chunk."""

from __future__ import annotations

import io
import struct
import zlib
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parsers import records
from parsers.records import CHUNK, CHUNK_HEADER, FILE_HEADER, Chunk
from samples.evtx_writer import log_bytes, sysmon_process
from samples.values import to_filetime

PER_LOG = 120  # records of `good`, over three chunks


@cache
def good() -> bytes:
    """A log of three chunks."""
    start = to_filetime("2026-03-02 08:15:00")
    tools = ((rf"C:\tools\tool{n}.exe", start + n * 10_000_000) for n in range(PER_LOG))
    return log_bytes([sysmon_process(Image=image, time=time) for image, time in tools])


def chunks(content: bytes) -> list[Chunk]:
    return list(records.chunks(io.BytesIO(content), records.file_header(content[:FILE_HEADER])))


def numbers(content: bytes) -> list[int]:
    return [frame.number for chunk in chunks(content) for frame in chunk.frames]


def lost(content: bytes) -> list[int]:
    return [number for chunk in chunks(content) for gap in chunk.gaps for number in gap.numbers]


def chunk_at(number: int) -> int:
    return FILE_HEADER + number * CHUNK


def place(number: int) -> tuple[int, int]:
    """(offset in the file, size) of a record of `good`, by its number."""
    return next(
        (chunk.offset + frame.offset, frame.size)
        for chunk in chunks(good())
        for frame in chunk.frames
        if frame.number == number
    )


def patched(content: bytes, *changes: tuple[int, bytes]) -> bytes:
    out = bytearray(content)
    for offset, new in changes:
        out[offset : offset + len(new)] = new
    return bytes(out)


def resealed(content: bytes, chunk: int = 0) -> bytes:
    """With the chunk's checksums made right again."""
    out = bytearray(content)
    at = chunk_at(chunk)
    free = struct.unpack_from("<I", out, at + 48)[0]
    struct.pack_into("<I", out, at + 52, zlib.crc32(out[at + CHUNK_HEADER : at + free]))
    header = out[at : at + 120] + out[at + 128 : at + CHUNK_HEADER]
    struct.pack_into("<I", out, at + 124, zlib.crc32(header))
    return bytes(out)


def test_a_good_log_is_three_undamaged_chunks_with_every_record_in_order() -> None:
    found = chunks(good())
    assert [chunk.damage for chunk in found] == [None] * 3
    assert [chunk.gaps for chunk in found] == [()] * 3
    assert numbers(good()) == list(range(1, PER_LOG + 1))


def test_a_frame_says_where_its_record_stands() -> None:
    for chunk in chunks(good()):
        for frame in chunk.frames:
            record = good()[chunk.offset + frame.offset :][: frame.size]
            assert struct.unpack_from("<4sIQ", record) == (b"\x2a\x2a\0\0", frame.size, frame.number)
            assert struct.unpack_from("<I", record, frame.size - 4)[0] == frame.size


@pytest.mark.parametrize("size", [0, 1, 27, 28, 29, 1000, 65_024, 65_536, 0x7FFFFFFF, 0xFFFFFFFF])
@pytest.mark.parametrize("number", [1, 7, PER_LOG])
def test_a_record_with_a_damaged_size_is_lost_alone_and_by_its_number(number: int, size: int) -> None:
    offset, _ = place(number)
    content = patched(good(), (offset + 4, struct.pack("<I", size)))
    assert numbers(content) == [n for n in range(1, PER_LOG + 1) if n != number]
    assert lost(content) == [number]


def test_a_record_whose_second_size_is_damaged_still_counts() -> None:
    offset, size = place(7)
    content = patched(good(), (offset + size - 4, b"\xff\xff\xff\xff"))
    assert numbers(content) == list(range(1, PER_LOG + 1))


def test_damaged_record_magic_costs_that_record() -> None:
    content = patched(good(), (place(7)[0], b"\0\0\0\0"))
    assert lost(content) == [7]


def test_neighbours_overwritten_together_are_one_gap_with_all_their_numbers() -> None:
    start, end = place(7)[0], sum(place(9))
    content = patched(good(), (start, b"\xee" * (end - start)))
    (gap,) = chunks(content)[0].gaps
    assert (chunk_at(0) + gap.offset, gap.size, gap.numbers) == (start, end - start, (7, 8, 9))
    assert len(numbers(content)) == PER_LOG - 3


def test_the_last_records_of_a_chunk_are_missed_by_number_too() -> None:
    first = chunks(good())[0].frames
    start, end = place(first[-2].number)[0], sum(place(first[-1].number))
    content = patched(good(), (start, b"\xee" * (end - start)))
    assert lost(content) == [first[-2].number, first[-1].number]


def test_more_missing_numbers_than_fit_into_the_gap_are_not_believed() -> None:
    content = patched(good(), (place(7)[0] + 4, b"\0\0\0\0"), (place(8)[0] + 8, struct.pack("<Q", 1 << 60)))
    gaps = chunks(content)[0].gaps
    assert [gap.numbers for gap in gaps if gap.offset == place(7)[0] - chunk_at(0)] == [()]


def test_numbers_that_run_backwards_are_not_believed() -> None:
    content = patched(good(), (place(7)[0] + 4, b"\0\0\0\0"), (place(8)[0] + 8, struct.pack("<Q", 1)))
    assert chunks(content)[0].gaps[0].numbers == ()


def test_a_chunk_without_its_magic_is_named_and_its_records_found() -> None:
    content = patched(good(), (chunk_at(1), b"\xde\xad\xbe\xef" * 2))
    assert chunks(content)[1].damage == "bad chunk magic; the records that still stand in it are read"
    assert numbers(content) == list(range(1, PER_LOG + 1))


def test_a_zeroed_chunk_that_the_header_counts_is_named() -> None:
    content = patched(good(), (chunk_at(1), bytes(CHUNK)))
    assert chunks(content)[1].damage == "no data where the file header counts a chunk"
    assert numbers(content) == [n for n in range(1, PER_LOG + 1) if n not in _of_chunk(1)]


def test_room_kept_free_behind_the_last_chunk_is_no_damage() -> None:
    assert [chunk.damage for chunk in chunks(good() + bytes(2 * CHUNK))] == [None] * 3


def test_chunks_past_the_headers_count_are_read() -> None:
    content = patched(good(), (42, struct.pack("<H", 1)))
    assert numbers(content) == list(range(1, PER_LOG + 1))


def test_chunks_that_the_header_counts_and_the_file_lacks_are_named() -> None:
    content = good()[: chunk_at(2)]
    assert chunks(content)[-1].damage == "the file ends before chunk 2: its header counts 3"


@pytest.mark.parametrize(
    ("offset", "named"),
    [(48, "chunk header says that its records end at"), (24, "chunk header checksum is wrong"), (130, "header")],
)
def test_a_damaged_chunk_header_is_named(offset: int, named: str) -> None:
    damage = chunks(patched(good(), (chunk_at(0) + offset, b"\xff\xff\xff\xff")))[0].damage
    assert damage and named in damage


def test_changed_bytes_inside_a_record_break_the_records_checksum() -> None:
    content = patched(good(), (place(7)[0] + 40, b"\xff"))
    assert chunks(content)[0].damage == "checksum of the chunk's records is wrong"
    assert chunks(resealed(content))[0].damage is None


def test_a_chunk_flagged_as_written_without_checksums_is_not_held_to_them() -> None:
    content = patched(good(), (chunk_at(0) + 120, struct.pack("<I", 5)), (place(7)[0] + 40, b"\xff"))
    assert chunks(content)[0].damage is None


@pytest.mark.parametrize("kept", [0, 1, 5])
def test_a_chunk_header_that_ends_its_records_early_hides_none(kept: int) -> None:
    end = place(kept + 1)[0] - chunk_at(0)
    content = resealed(patched(good(), (chunk_at(0) + 48, struct.pack("<I", end))))
    assert numbers(content) == list(range(1, PER_LOG + 1))
    assert chunks(content)[0].gaps  # and what does not add up is told


@pytest.mark.parametrize("length", [0, 7, 8, 127, 128, 4095])
def test_a_file_that_ends_in_its_header_has_no_chunks(length: int) -> None:
    header = records.file_header(good()[:length])
    assert header.damage == f"the file ends in its header: {length} of 4096 bytes"
    assert chunks(good()[:length]) == []


@pytest.mark.parametrize("length", [1, 127, 511, 512, 513, 600])
def test_a_file_that_ends_where_a_chunk_begins_says_so(length: int) -> None:
    found = chunks(good()[: chunk_at(1) + length])
    assert found[1].damage == f"the file ends in a chunk: {length} of 65536 bytes"
    assert found[1].frames == ()


def test_a_file_cut_inside_a_record_loses_it_and_those_behind_by_number() -> None:
    offset, size = place(50)
    content = good()[: offset + size // 2]
    assert numbers(content) == list(range(1, 50))
    second = next(number for number in range(3) if 50 in _of_chunk(number))
    assert lost(content) == [n for n in _of_chunk(second) if n >= 50]


def test_file_header_checksum_magic_and_flags_are_read() -> None:
    assert records.file_header(good()[:FILE_HEADER]) == records.FileHeader(3, False, None)
    assert records.file_header(patched(good(), (24, b"\xff"))[:FILE_HEADER]).damage == "file header checksum is wrong"
    assert records.file_header(patched(good(), (0, b"X"))[:FILE_HEADER]).damage == "bad magic in the file header"
    assert records.file_header(patched(good(), (120, b"\1"))[:FILE_HEADER]).dirty
    without = patched(good(), (120, b"\4"), (124, b"\0\0\0\0"))
    assert records.file_header(without[:FILE_HEADER]).damage is None


def test_a_log_is_known_by_its_magic_or_by_its_first_chunks() -> None:
    assert records.accepts(good()[:8192])
    assert records.accepts(patched(good(), (0, bytes(8)))[:8192])
    assert not records.accepts(b"")
    assert not records.accepts(b"ElfFile")
    assert not records.accepts(b"a text that mentions ElfFile\0" * 400)


def _of_chunk(number: int) -> list[int]:
    return [frame.number for frame in chunks(good())[number].frames]


_SIZE = len(good())
_CHANGES = st.lists(st.tuples(st.integers(0, _SIZE - 1), st.binary(min_size=1, max_size=64)), min_size=1, max_size=12)


class _Guarded(io.BytesIO):
    """A file that must be read from front to back, in pieces of known size."""

    def read(self, size: int | None = -1, /) -> bytes:
        assert size == CHUNK
        return super().read(size)


@settings(max_examples=150)
@given(_CHANGES, st.none() | st.integers(0, _SIZE))
def test_whatever_is_damaged_frames_stay_in_their_chunks_and_apart_and_sound_chunks_are_whole(
    changes: list[tuple[int, bytes]], cut: int | None
) -> None:
    content = patched(good(), *changes)[: min(cut, _SIZE) if cut is not None else _SIZE]
    header = records.file_header(content[:FILE_HEADER])
    found = list(records.chunks(_Guarded(content), header))
    for chunk in found:
        at = CHUNK_HEADER
        for frame in chunk.frames:
            assert at <= frame.offset and frame.offset + frame.size <= len(chunk.data) <= CHUNK
            at = frame.offset + frame.size
        for gap in chunk.gaps:
            assert gap.offset >= CHUNK_HEADER and gap.offset + gap.size <= CHUNK
            assert len(gap.numbers) <= max(1, gap.size // 28)
    by_number = {chunk.number: chunk for chunk in found}
    for number in range(3):
        start = chunk_at(number)
        if content[start : start + CHUNK] == good()[start : start + CHUNK]:
            assert [frame.number for frame in by_number[number].frames] == _of_chunk(number)
            assert by_number[number].damage is None


@settings(max_examples=50)
@given(st.binary(max_size=3000), st.integers(0, 3))
def test_arbitrary_bytes_behind_a_magic_never_raise(noise: bytes, repeat: int) -> None:
    content = b"ElfFile\0" + bytes(4088) + (b"ElfChnk\0" + noise + b"\x2a\x2a\0\0") * (repeat + 1)
    for chunk in chunks(content):
        for frame in chunk.frames:
            assert frame.offset + frame.size <= len(chunk.data)
