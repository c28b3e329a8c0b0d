"""One unit of work: chunks of some files, decoded batch by batch into frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import RawIOBase

import numpy as np
import numpy.typing as npt
import polars as pl

from hunt import native, schema
from hunt.model import Batch, EventType, Evidence, Problem, Progress

from . import assemble, bxml, event_xml, framing, records
from . import batch as chunks_of
from .batch import Names
from .census import Census
from .decode import Counted, Decoder, is_wanted
from .framing import I64, U8, Frames, Mask
from .texts import Notes

# 16 MiB: memory that was never used costs more than calls do; numpy's are dearer, and 64 MiB, at most, is what a unit
# of many event types holds.
BATCH_CHUNKS = 256 if native.kernels else 1024

Result = list[Batch | Problem | Progress]


@dataclass(frozen=True, slots=True)
class Segment:
    """Chunks of one file: [first, last), and what the file's header says."""

    evidence: Evidence
    index: int  # of the file
    first: int
    last: int
    header: records.FileHeader

    @property
    def size(self) -> int:
        """Bytes of the file; its header goes with its first chunks."""
        begin, end = (records.FILE_HEADER + chunk * records.CHUNK for chunk in (self.first, self.last))
        return min(end, self.evidence.size) - (begin if self.first else 0)


@dataclass(slots=True)
class Unit:
    """What is gathered of some segments."""

    decoder: Decoder
    segments: Sequence[Segment]
    slack: bool
    notes: Notes = field(default_factory=Notes)
    names: Names = field(default_factory=Names)
    buffers: list[U8] = field(default_factory=list)
    placed: dict[EventType, list[assemble.Placed]] = field(default_factory=dict)
    walked: dict[EventType, list[event_xml.Row]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    census: Census = field(init=False)

    def __post_init__(self) -> None:
        self.census = Census(self.names)


@dataclass(frozen=True, slots=True)
class _Slot:
    """One chunk of a batch: whose it is, and how much of it the file holds."""

    segment: Segment
    chunk: int
    used: int


def decode(unit: Unit) -> Result:
    """Everything of one unit: its frames, its problems, how far it came."""
    for data, slots in _batches(unit):
        _decode_batch(unit, data, slots)
    sources = [segment.evidence.source for segment in unit.segments]
    buffers: list[U8 | bytes] = [bytes(unit.notes.buffer), *unit.buffers]
    frames = {kind: assemble.frame(pieces, kind.event_id, sources, buffers) for kind, pieces in unit.placed.items()}
    for kind, rows in unit.walked.items():
        walked = event_xml.frame(rows, kind.event_id)
        frames[kind] = _together(frames[kind], walked, kind.event_id, sources) if kind in frames else walked
    census = unit.census.frame(sources)
    done = [Progress(segment.evidence.source, segment.size) for segment in unit.segments]
    return [Batch(frames, census), *unit.problems, *done]


def _together(columnar: pl.DataFrame, walked: pl.DataFrame, event_id: int, sources: Sequence[str]) -> pl.DataFrame:
    # A field may be listed for a provider that only one of them has.
    providers = {*columnar["provider"].unique(), *walked["provider"].unique()}
    both = pl.concat([schema.conform(part, event_id, providers) for part in (columnar, walked)], how="diagonal")
    place = pl.col("source").replace_strict(sources, range(len(sources)), return_dtype=pl.UInt32)
    both = both.sort(place, "offset", maintain_order=True)
    # Columns in the order in which the rows have them, as everywhere.
    known = len(schema.CORE) + len(schema.SYSTEM)
    first = {name: both[name].is_not_null().arg_max() or 0 for name in both.columns[known:]}
    return both.select(*both.columns[:known], *sorted(first, key=first.__getitem__))


def _batches(unit: Unit) -> Iterator[tuple[U8, list[_Slot]]]:
    """The chunks of a unit, some at a time, in a buffer that is used again."""
    chunks = sum(segment.last - segment.first for segment in unit.segments)
    data = unit.decoder.pool.take(min(max(chunks, 1), BATCH_CHUNKS) * records.CHUNK)
    slots: list[_Slot] = []
    for segment in unit.segments:
        try:
            with segment.evidence.path.open("rb", buffering=0) as log:
                log.seek(records.FILE_HEADER + segment.first * records.CHUNK)
                first = segment.first
                while first < segment.last:
                    last = min(segment.last, first + data.size // records.CHUNK - len(slots))
                    found, failed = _read(unit, log, segment, range(first, last), data, len(slots))
                    slots += found
                    if failed:  # what was read until then stays
                        raise failed
                    first = last
                    if len(slots) == data.size // records.CHUNK:
                        yield data, slots
                        slots = []
        except OSError as error:
            reason = f"reading stopped: {error.strerror or error}"
            unit.problems.append(Problem(segment.evidence.source, "file", reason))
        _missing(unit, segment)
    if slots:
        yield data[: len(slots) * records.CHUNK], slots


def _read(
    unit: Unit, log: RawIOBase, segment: Segment, chunks: range, data: U8, slot: int
) -> tuple[list[_Slot], OSError | None]:
    """Chunks of a file, from slot `slot` on, and what ended the reading early, if anything did.

    Chunks that hold nothing are not kept: logs are made larger than they are filled.
    """
    place = data[slot * records.CHUNK : (slot + len(chunks)) * records.CHUNK]
    used, failed = 0, None
    try:
        while used < place.size and (got := log.readinto(place.data[used:])):
            used += got
    except OSError as error:
        failed = error
        chunks = chunks[: used // records.CHUNK]
        place = place[: len(chunks) * records.CHUNK]
    place[used:] = 0
    found = [
        _Slot(segment, chunk, min(max(used - n * records.CHUNK, 0), records.CHUNK)) for n, chunk in enumerate(chunks)
    ]
    rows = place.reshape(-1, records.CHUNK)
    empty = [n for n in np.flatnonzero(rows[:, 0] == 0).tolist() if not rows[n].any()]
    for n in empty:
        _careful(unit, data, slot + n, found[n])
    if not empty:
        return found, failed
    kept = [n for n in range(len(found)) if n not in set(empty)]
    for to, n in enumerate(kept):
        rows[to] = rows[n]
    return [found[n] for n in kept], failed


def _missing(unit: Unit, segment: Segment) -> None:
    """Chunks that the header counts and the file does not hold."""
    held = -(-max(0, segment.evidence.size - records.FILE_HEADER) // records.CHUNK)
    if segment.last == held < segment.header.chunks:
        unit.problems += records.problems(segment.evidence.source, records.missing(held, segment.header))


def _decode_batch(unit: Unit, data: U8, slots: Sequence[_Slot]) -> None:
    good = framing.sound(data, [slot.used for slot in slots])
    frames, whole = framing.frames(data, good)
    careful = [_careful(unit, data, index, slots[index]) for index in np.flatnonzero(~whole).tolist()]
    frames = _with(frames, [frame for found in careful for frame in found])
    stale = np.zeros(frames.offset.size, bool)
    if unit.slack:
        frames, stale = _with_stale(data, slots, frames)
    if not frames.offset.size:
        return
    number = len(unit.buffers) + 1  # buffer 0 is that of the notes
    batch = chunks_of.Batch(data, unit.notes, unit.names, number, unit.decoder.pool)
    decoded = unit.decoder.decode(batch, frames)
    unit.buffers += batch.buffers()
    index = np.array([slot.segment.index for slot in slots], np.int64)
    shift = np.array([records.FILE_HEADER + (slot.chunk - n) * records.CHUNK for n, slot in enumerate(slots)], np.int64)
    chunk = frames.offset >> 16
    offset = frames.offset + shift[chunk]
    first = unit.segments[0].index
    place = (index[chunk] - first) << 48 | offset
    segment = _position(unit, index)
    for kind, pieces in decoded.pieces.items():
        for piece in pieces:
            rows = piece.records
            placed = assemble.Placed(
                piece.provider,
                piece.columns,
                place[rows],
                frames.number[rows],
                segment[chunk[rows]],
                offset[rows].astype(np.uint64),
                stale[rows],
            )
            unit.placed.setdefault(kind, []).append(placed)
    _count(unit, data, slots, frames, segment[chunk], [_live(counted, stale) for counted in decoded.counted])
    _walk(unit, data, slots, frames, segment[chunk], np.sort(np.concatenate(decoded.walk)), offset, stale)


def _with_stale(data: U8, slots: Sequence[_Slot], frames: Frames) -> tuple[Frames, Mask]:
    """With what stands in the slack of chunks; and which records that is."""
    ends = {int(offset) >> 16: int(offset + size) for offset, size in zip(frames.offset, frames.size, strict=True)}
    found = []
    for index, slot in enumerate(slots):
        base = index * records.CHUNK
        raw = data[base : base + slot.used].tobytes()
        for frame in records.slack(raw, ends.get(index, base + records.CHUNK_HEADER) - base):
            found.append((base, frame))
    both = _with(frames, found)
    return both, np.isin(both.offset, [base + frame.offset for base, frame in found])


def _live(counted: Counted, stale: Mask) -> Counted:
    live = ~stale[counted.records]
    return counted if live.all() else counted.take(np.flatnonzero(live))


def _position(unit: Unit, index: I64) -> npt.NDArray[np.uint32]:
    """For each chunk of a batch, which of the unit's segments it belongs to."""
    known = {segment.index: position for position, segment in enumerate(unit.segments)}
    return np.array([known[i] for i in index.tolist()], np.uint32)


def _count(
    unit: Unit,
    data: U8,
    slots: Sequence[_Slot],
    frames: Frames,
    segment: npt.NDArray[np.uint32],
    counted: Sequence[Counted],
) -> None:
    """Add records to the census: by file and what they are, which they are and when they were written."""
    if not any(part.records.size for part in counted):
        return
    columns = ("host", "channel", "provider")
    rows, event_id, ids, times = (
        np.concatenate([getattr(part, name) for part in counted]) for name in ("records", "event_id", "ids", "times")
    )
    names = [np.concatenate([part.names[column] for part in counted]) for column in columns]

    def read(place: int) -> event_xml.Row | None:
        index, inside = divmod(int(frames.offset[rows[place]]), records.CHUNK)
        walker = bxml.Walker(data[index * records.CHUNK :][: slots[index].used].tobytes())
        try:
            return walker.row(records.Frame(inside, int(frames.size[rows[place]]), int(frames.number[rows[place]])))
        except ValueError:
            return None

    unit.census.complete(ids, times, read)
    unit.census.add(np.stack([segment[rows].astype(np.int64), *names, event_id]), frames.number[rows], ids, times)


def _careful(unit: Unit, data: U8, index: int, slot: _Slot) -> Sequence[tuple[int, records.Frame]]:
    """A chunk that does not hold together, as `records` sees it: its problems are noted, its frames returned."""
    raw = data[index * records.CHUNK : index * records.CHUNK + slot.used].tobytes()
    chunk = records.chunk(slot.chunk, raw, slot.segment.header)
    if chunk is None:
        return []
    unit.problems += records.problems(slot.segment.evidence.source, chunk)
    return [(index * records.CHUNK, frame) for frame in chunk.frames]


def _with(frames: Frames, more: Sequence[tuple[int, records.Frame]]) -> Frames:
    if not more:
        return frames
    offset = np.concatenate([frames.offset, np.array([base + frame.offset for base, frame in more], np.int64)])
    size = np.concatenate([frames.size, np.array([frame.size for _, frame in more], np.int64)])
    number = np.concatenate([frames.number, np.array([frame.number for _, frame in more], np.uint64)])
    order = np.argsort(offset, kind="stable")
    return Frames(offset[order], size[order], number[order])


def _walk(
    unit: Unit,
    data: U8,
    slots: Sequence[_Slot],
    frames: Frames,
    segment: npt.NDArray[np.uint32],
    rows: I64,
    offset: I64,
    stale: Mask,
) -> None:
    """Read the records at `rows` one by one. Stale ones are no records of the log: they don't count as found."""
    walker, at = None, -1
    for row in rows.tolist():
        index, inside = divmod(int(frames.offset[row]), records.CHUNK)
        slot = slots[index]
        if walker is None or index != at:
            walker, at = bxml.Walker(data[index * records.CHUNK :][: slot.used].tobytes()), index
        number, source = int(frames.number[row]), slot.segment.evidence.source
        try:
            event = walker.row(records.Frame(inside, int(frames.size[row]), number))
        except ValueError as error:
            reason = f"chunk {slot.chunk}: {error}"
            what = "slack" if stale[row] else "record"
            place, size = int(offset[row]), int(frames.size[row])
            unit.problems.append(Problem(source, what, reason, offset=place, record_id=number, size=size))
            continue
        kind = EventType(str(event.get("channel") or ""), int(str(event["event_id"])))
        if not stale[row]:
            unit.census.add_one(int(segment[row]), event, number)
        wanted = unit.decoder.wants.of(kind)
        if wanted is not None:
            event |= {"record_number": number, "source": source, "offset": int(offset[row])}
            event["recovered"] = bool(stale[row])
            kept = {column: text for column, text in event.items() if is_wanted(column, wanted)}
            unit.walked.setdefault(kind, []).append(kept)
