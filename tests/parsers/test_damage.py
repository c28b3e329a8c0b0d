"""Damaged logs, read by both parsers: damage costs no more than its record, and says so."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hunt.model import Parser
from tests.helpers import gather_bytes
from tests.parsers.logs import TOTAL, chunk_of, good, places

pytestmark = pytest.mark.usefixtures("either_way")


def test_a_record_that_cannot_be_read_is_a_problem_and_the_next_is_read(parser: Parser, tmp_path: Path) -> None:
    offset, size = places(good())[30]
    content = bytearray(good())
    content[offset + 24 : offset + size - 4] = b"\xee" * (size - 28)
    found = gather_bytes(parser, tmp_path, bytes(content))
    assert found.numbers == [n for n in range(1, TOTAL + 1) if n != 30]
    (problem,) = (problem for problem in found.problems if problem.kind == "record")
    assert (problem.source, problem.offset, problem.record_id) == ("log.evtx", offset, 30)
    assert problem.reason.startswith("chunk 0: ")


@pytest.mark.parametrize("chunk", [0, 1])
def test_losing_a_template_costs_only_the_records_of_its_chunk(parser: Parser, tmp_path: Path, chunk: int) -> None:
    per_chunk = [[n for n in places(good()) if (places(good())[n][0] - 4096) // 65536 == number] for number in (0, 1)]
    offset, size = places(good())[per_chunk[chunk][0]]
    content = bytearray(good())
    content[offset + 24 : offset + size - 4] = bytes(size - 28)
    found = gather_bytes(parser, tmp_path, bytes(content))
    assert set(per_chunk[1 - chunk]) <= set(found.numbers)
    assert sorted([*found.numbers, *map(int, filter(None, found.lost))]) == list(range(1, TOTAL + 1))


@pytest.mark.parametrize("cut", [0, 8, 100, 4095, 4096, 4097, 4600, 5000, 30_000, 69_632, 69_700, 90_000])
def test_a_truncated_log_gives_all_before_the_cut_and_says_what_is_missing(
    parser: Parser, tmp_path: Path, cut: int
) -> None:
    found = gather_bytes(parser, tmp_path, good()[:cut])
    assert found.numbers == [n for n, (offset, size) in places(good()).items() if offset + size <= cut]
    assert found.problems


@pytest.mark.parametrize("content", [b"", b"no event log", b"MZ" + bytes(9000), b"PK\3\4" + bytes(9000)])
def test_what_is_no_event_log_is_not_accepted(parser: Parser, content: bytes) -> None:
    assert not parser.accepts(content[:8192])


def test_only_a_file_header_is_a_log_of_no_records(parser: Parser, tmp_path: Path) -> None:
    header = bytearray(good()[:4096])
    struct.pack_into("<H", header, 42, 0)
    found = gather_bytes(parser, tmp_path, bytes(header))
    assert found.frames == {}
    assert [problem.reason for problem in found.problems] == ["file header checksum is wrong"]


_OFFSETS = st.integers(0, len(good()) - 1)


@settings(max_examples=20)
@given(
    changes=st.lists(st.tuples(_OFFSETS, st.binary(min_size=1, max_size=8)), max_size=10),
    cut=st.none() | _OFFSETS,
)
def test_whatever_is_flipped_or_cut_reading_ends_and_every_record_is_accounted_for(
    parser: Parser, tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, bytes]], cut: int | None
) -> None:
    flipped = bytearray(good())
    for offset, new in changes:
        flipped[offset : offset + len(new)] = new
    content = bytes(flipped)[: len(good())][:cut]
    found = gather_bytes(parser, tmp_path_factory.mktemp("flips"), content)
    untouched = {n for n, (at, _) in places(good()).items() if content[chunk_of(at)] == good()[chunk_of(at)]}
    assert untouched <= set(found.numbers)
    assert found.problems or _same_where_it_matters(content)


def _same_where_it_matters(content: bytes) -> bool:
    """Whether all that checksums cover is as it was: not reserved bytes, not those behind a chunk's last record."""
    covered = [slice(0, 120), slice(124, 128)]
    for start in (4096, 4096 + 65536):
        free = struct.unpack_from("<I", good(), start + 48)[0]
        covered += [slice(start, start + 120), slice(start + 124, start + free)]
    return all(content[part] == good()[part] for part in covered)
