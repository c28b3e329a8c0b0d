"""Files in pieces, as a cluster and an ingest read them: together they give what reading them whole gives."""

from __future__ import annotations

import pickle
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hunt import registry, runs, schema
from hunt.model import Batch, Evidence, Piece, Problem, Progress, Ranged, Reading
from parsers.evtx import PARSER
from tests.helpers import Result, differences, evidence, gather
from tests.parsers.logs import good, places

CHUNK = 65536


@dataclass(frozen=True, slots=True)
class InPieces:
    """The parser, reading each file piece by piece."""

    size: int
    name: str = "in pieces"

    def read(self, files: Sequence[Evidence], reading: Reading) -> Iterator[Batch | Problem | Progress]:
        for item in files:
            for piece in PARSER.pieces(item, self.size):
                yield from PARSER.read_piece(pickle.loads(pickle.dumps(piece)), reading)

    def accepts(self, head: bytes) -> bool:
        return PARSER.accepts(head)

    def records(self, evidence: Evidence, offsets: Sequence[int]) -> Batch:
        return PARSER.records(evidence, offsets)


def assert_the_same(files: Sequence[Evidence], size: int, reading: Reading | None = None) -> None:
    whole, cut = gather(PARSER, files, reading), gather(InPieces(size), files, reading)
    assert differences(cut.frames, whole.frames) == []
    assert counted(cut)[0].equals(counted(whole)[0])
    assert counted(cut)[1].equals(counted(whole)[1])
    assert Counter(cut.problems) == Counter(whole.problems)
    assert sum(p.size for p in cut.progress) == sum(p.size for p in whole.progress) == sum(f.size for f in files)


def counted(result: Result) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Counts and runs, however many pieces they came from."""
    keys = list(schema.CENSUS_KEYS)
    counts = result.census.group_by(keys).agg(
        pl.col("records").sum(), pl.col("start").min(), pl.col("end").max(), pl.col("renumbered").sum()
    )
    told = result.census.select(*schema.LOG, "runs").explode("runs").unnest("runs").drop_nulls("more")
    return counts.sort(keys, nulls_last=True), runs.union(told, schema.LOG)


@pytest.mark.parametrize("size", [0, 4095, 4096, 5000, 69_632, 69_633, 1_000_000])
@pytest.mark.parametrize("step", [1, CHUNK, 2 * CHUNK, 1 << 30])
def test_pieces_hold_every_byte_of_a_file_once(size: int, step: int) -> None:
    item = Evidence(Path("log.evtx"), "log.evtx", size, "")
    pieces = PARSER.pieces(item, step)
    assert (pieces[0].begin, pieces[-1].end) == (0, size)
    assert all(one.end == other.begin for one, other in pairwise(pieces))
    assert all((piece.begin - 4096) % CHUNK == 0 for piece in pieces[1:])
    assert len(pieces) == max(1, -(-max(0, size - 4096) // (max(1, step // CHUNK) * CHUNK)))


def test_real_logs_in_pieces_are_what_they_are_whole(real_evidence: Path) -> None:
    logs = sorted((real_evidence / "evtx").rglob("*.evtx"), key=lambda path: (path.stat().st_size, path))
    several = [path for path in logs if 2 * CHUNK < path.stat().st_size <= 24 * CHUNK]
    assert_the_same([evidence(path, str(path)) for path in several[:: max(1, len(several) // 6)]], CHUNK)
    assert_the_same([evidence(path, str(path)) for path in several[-1:]], 3 * CHUNK, Reading(slack=True, jobs=2))


@given(
    st.lists(st.tuples(st.integers(0, len(good()) - 1), st.integers(0, 255)), max_size=12),
    st.integers(0, len(good()) + CHUNK),
    st.sampled_from([0, 1, 2, 3, 9]),
)
@settings(max_examples=40)
def test_damaged_logs_in_pieces_are_what_they_are_whole(
    tmp_path_factory: pytest.TempPathFactory, flips: list[tuple[int, int]], length: int, chunks: int
) -> None:
    content = bytearray(good() + bytes(CHUNK))
    for at, byte in flips:
        content[at] = byte
    struct.pack_into("<H", content, 42, chunks)
    path = tmp_path_factory.getbasetemp() / "damaged.evtx"
    path.write_bytes(content[:length])
    assert_the_same([evidence(path)], CHUNK)


def test_what_is_wrong_with_a_whole_file_is_said_by_one_piece(tmp_path: Path) -> None:
    content = bytearray(good())
    struct.pack_into("<H", content, 42, 7)  # more chunks than there are; and so the header's checksum is wrong
    path = tmp_path / "log.evtx"
    path.write_bytes(content)
    found = [list(PARSER.read_piece(piece, Reading())) for piece in PARSER.pieces(evidence(path), CHUNK)]
    reasons = [[part.reason for part in parts if isinstance(part, Problem)] for parts in found]
    assert reasons == [
        ["file header checksum is wrong"],
        ["chunk 2: the file ends before chunk 2: its header counts 7"],
    ]


def test_a_file_that_went_away_is_told_by_each_piece_in_the_same_words(tmp_path: Path) -> None:
    path = tmp_path / "log.evtx"
    path.write_bytes(good())
    pieces = PARSER.pieces(evidence(path), CHUNK)
    path.unlink()
    told = [list(PARSER.read_piece(piece, Reading())) for piece in pieces]
    assert told[0] == told[1] and [part.source for part in told[0] if isinstance(part, Problem)] == ["log.evtx"]


def test_a_record_belongs_to_the_piece_that_it_stands_in(tmp_path: Path) -> None:
    path = tmp_path / "log.evtx"
    path.write_bytes(good())
    for piece in PARSER.pieces(evidence(path), CHUNK):
        inside = [n for n, (offset, _) in places(good()).items() if piece.begin <= offset < piece.end]
        assert gather_piece(piece) == inside


def gather_piece(piece: Piece) -> list[int]:
    batches = [part for part in PARSER.read_piece(piece, Reading()) if isinstance(part, Batch)]
    return sorted(n for batch in batches for frame in batch.frames.values() for n in frame["record_number"])


def test_only_the_parser_of_evtx_reads_pieces() -> None:
    assert [parser.name for parser in registry.parsers() if isinstance(parser, Ranged)] == ["evtx"]
