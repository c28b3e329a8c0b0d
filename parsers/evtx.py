"""The parser for EVTX: chunks straight into columns.

Files are read in units of chunks, of many small files or a part of a large one (`unit`), by several threads and
processes (`workers`, `hunt.helpers`); a unit is decoded batch by batch. A batch is framed (`framing`), its template
instances are found (`instances`), their templates known again (`templates`, `layout`), values become columns (`decode`,
`columns`, `texts`, `times`), columns frames (`assemble`); what the columns cannot prove is read record by record
(`bxml.Walker`). Nothing else is lost: frames = rows + problems.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from hunt import helpers, native, schema
from hunt.model import Batch, EventType, Evidence, Piece, Problem, Progress, Reading

from . import bxml, event_xml, records, workers
from .unit import Segment

# 32 MiB, 16 where all is numpy: frames of a useful size, a bounded number of bytes kept alive by them.
UNIT_CHUNKS = 512 if native.kernels else 256
_TYPES = 2  # event types; where more are wanted, each has its own frames in each unit, and calls outweigh the work:
_MANY = 1024  # 64 MiB
_MANY_ELSEWHERE = 512  # by processes, whose results are in memory besides
_LEAST = 32  # chunks; smaller units would cost more than they are worth
_COST = 4  # bytes for each byte of a unit, at most: columns, buffers that are kept, frames (measured)
_AT_A_TIME = 2048  # chunks of all units that are decoded at the same time: what bounds memory on many processors


class Evtx:
    """EVTX logs. See `hunt.model.Ranged`."""

    name = "evtx"

    def accepts(self, head: bytes) -> bool:
        return records.accepts(head)

    def read(self, files: Sequence[Evidence], reading: Reading) -> Iterator[Batch | Problem | Progress]:
        return _read([_whole(item) for item in files], reading)

    def pieces(self, evidence: Evidence, size: int) -> Sequence[Piece]:
        step = max(1, size // records.CHUNK)
        later = [_at(first) for first in range(step, _held(evidence), step)]
        return [Piece(evidence, *ends) for ends in pairwise((0, *later, evidence.size))]

    def read_piece(self, piece: Piece, reading: Reading) -> Iterator[Batch | Problem | Progress]:
        return _read([piece], reading)

    def records(self, evidence: Evidence, offsets: Sequence[int]) -> Batch:
        rows: dict[EventType, list[event_xml.Row]] = {}
        chunks = sorted({(o - records.FILE_HEADER) // records.CHUNK for o in offsets if o >= records.FILE_HEADER})
        with evidence.path.open("rb") as log:
            for number in chunks:
                at = records.FILE_HEADER + number * records.CHUNK
                log.seek(at)
                walker = bxml.Walker(log.read(records.CHUNK))
                for offset in sorted({o for o in offsets if at <= o < at + records.CHUNK}):
                    row = _row_at(walker, offset - at)
                    if row:
                        kind = EventType(str(row.get("channel") or ""), int(str(row["event_id"])))
                        rows.setdefault(kind, []).append(row | {"source": evidence.source, "offset": offset})
        frames = {kind: event_xml.frame(events, kind.event_id) for kind, events in rows.items()}
        return Batch(frames, schema.census(frames.values()))


def _row_at(walker: bxml.Walker, offset: int) -> event_xml.Row | None:
    frame = records.frame_at(walker.data, offset)
    try:
        return walker.row(frame) | {"record_number": frame.number} if frame else None
    except ValueError:
        return None


def _unit_size(size: int, jobs: int, largest: int) -> int:
    """Chunks of a unit: so that there are enough for all threads, and not more in memory than is useful."""
    share = size // records.CHUNK // (2 * jobs)
    return max(min(_LEAST, largest), min(largest, share, _AT_A_TIME // jobs))


def _read(pieces: Sequence[Piece], reading: Reading) -> Iterator[Batch | Problem | Progress]:
    problems: list[Problem] = []
    few = reading.wants.types is not None and len(reading.wants.types) <= _TYPES
    largest = UNIT_CHUNKS if few else _MANY_ELSEWHERE if reading.processes else _MANY
    if reading.room is not None:
        largest, reading = _within(reading.room, largest, reading)
    size = sum(piece.size for piece in pieces)
    most = _unit_size(size, reading.jobs, largest)
    if reading.processes and size >= helpers.WORTH:
        helpers.HELPERS.begin(reading.jobs - 1)
    for result in workers.decode(_units(_segments(pieces, problems, most), most), reading):
        yield from result
    yield from problems


def _within(room: int, largest: int, reading: Reading) -> tuple[int, Reading]:
    """Chunks of a unit at most, and as many threads as have room for the least."""
    chunks = room // (_COST * records.CHUNK)
    jobs = max(1, min(reading.jobs, chunks // _LEAST))
    return max(_LEAST, min(largest, chunks // jobs)), replace(reading, jobs=jobs)


def _whole(item: Evidence) -> Piece:
    return Piece(item, 0, item.size)


def _held(item: Evidence) -> int:
    """Chunks that a file has room for, the last one perhaps in part."""
    return -(-max(0, item.size - records.FILE_HEADER) // records.CHUNK)


def _at(chunk: int) -> int:
    return records.FILE_HEADER + chunk * records.CHUNK


def _segments(pieces: Sequence[Piece], problems: list[Problem], most: int) -> Iterator[Segment]:
    """Parts of files of at most so many chunks."""
    for index, piece in enumerate(pieces):
        item = piece.evidence
        try:
            with item.path.open("rb") as log:
                header = records.file_header(log.read(records.FILE_HEADER))
        except OSError as error:
            problems.append(Problem(item.source, "file", f"can't be opened: {error.strerror or error}"))
            continue
        if header.damage and not piece.begin:
            problems.append(Problem(item.source, "file", header.damage, offset=0))
        held = _held(item)
        begin = max(0, piece.begin - records.FILE_HEADER) // records.CHUNK
        end = held if piece.end >= item.size else (piece.end - records.FILE_HEADER) // records.CHUNK
        # One past the end, if the header counts more than there are: `records` says so.
        for first in range(begin, max(end, begin + 1), most):
            yield Segment(item, index, first, min(first + most, end), header)


def _units(segments: Iterator[Segment], most: int) -> Iterator[list[Segment]]:
    unit: list[Segment] = []
    chunks = 0
    for segment in segments:
        if unit and chunks + segment.last - segment.first > most:
            yield unit
            unit, chunks = [], 0
        unit.append(segment)
        chunks += segment.last - segment.first
    if unit:
        yield unit


PARSER = Evtx()
