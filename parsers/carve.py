"""Carves event logs out of raw data: images, page files, memory, free space. Everything it gives is marked recovered.

In three steps. Chunks whose header holds together are read as those of a log are, and the slack behind their records.
Of records that then are still unread, some tell where their chunk began: what is left of it is read in the same way.
The others are read one by one at the end, by definitions that stand in them or in the whole chunks that were met
(`definitions`). A record whose template is not known is a Problem, never a guess.

Sizes, counts and overlaps are the evidence's: chunks are limited to one for each 4 KiB, the least that is kept together
on disks and in memory, and records that overlap to as many bytes as the file has.
"""

from __future__ import annotations

import json
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import polars as pl

from hunt import schema
from hunt.model import ALL_COLUMNS, Batch, EventType, Evidence, Problem, Progress, Reading, Wants

from . import bxml, event_xml, orphans, records, scan
from .decode import is_wanted
from .definitions import Definitions
from .evtx import PARSER as EVTX
from .framing import I64
from .scan import REACH, Window

_LOG = 512  # chunks that are read at a time, as a log of 32 MiB
_LEAST = 4096  # bytes: clusters and pages; chunks do not begin closer to each other, unless they were made to
_BATCH = 8192  # rows of text
_MOST_LEFT = 4 << 20  # records outside of chunks that are kept in mind of one file: 16 bytes each
_LISTED = 100_000  # problems of one file that are told one by one

_Frames = dict[EventType, pl.DataFrame]


@dataclass(slots=True)
class _File:
    """What is known of one file while it is searched, and for reading a few of its records again."""

    evidence: Evidence
    bases: list[int] = field(default_factory=list)  # where its chunks begin; one that is cut off may begin before it
    left: list[tuple[I64, I64]] = field(default_factory=list)  # (offsets, sizes) of records for the last step
    # Records read of late: offset -> size. Older ones than a chunk's reach can't be met again.
    read: dict[int, int] = field(default_factory=dict)
    dropped: int = 0  # records that there were too many of to be kept in mind
    told: int = 0  # problems
    untold: dict[str, int] = field(default_factory=dict)

    def problems(self, found: Problem) -> Iterator[Problem]:
        """A problem, unless there are too many: then it is counted."""
        self.told += 1
        if self.told <= _LISTED:
            yield found
        else:
            self.untold[found.kind] = self.untold.get(found.kind, 0) + 1

    def rest(self) -> Iterator[Problem]:
        """What was counted instead of told."""
        source = self.evidence.source
        if self.dropped:
            reason = f"{self.dropped} more records outside of chunks were not tried: too many, or on top of each other"
            yield Problem(source, "file", reason)
        for kind, count in sorted(self.untold.items()):
            yield Problem(source, "file", f"{count} more problems of kind {kind}: {_LISTED} are listed")


@dataclass(frozen=True, slots=True)
class _Region:
    """The bytes of a chunk, or of what is left of it, as they stand from `base` on (bytes into the file)."""

    base: int
    data: bytes
    whole: bool = False  # its checksums are right, its definitions known


class Carver:
    """Implements `hunt.model.Parser` for raw data. It accepts nothing: what is to be carved is named.

    `known`: logs whose chunks may define what single records need.
    """

    name = "carve"

    def __init__(self, known: Sequence[Evidence] = ()) -> None:
        self._known = known
        self._definitions = Definitions()
        self._files: dict[Path, _File] = {}

    def accepts(self, head: bytes) -> bool:
        return False

    def read(self, files: Sequence[Evidence], reading: Reading) -> Iterator[Batch | Problem | Progress]:
        met = []
        for evidence in files:
            file = self._files[evidence.path] = _File(evidence)
            met.append(file)
            with TemporaryDirectory(prefix="evtx-hunt-") as folder:
                try:
                    yield from self._search(file, Path(folder) / "carved.evtx", reading.wants)
                except OSError as error:
                    yield Problem(evidence.source, "file", f"reading stopped: {error.strerror or error}")
        if any(file.left for file in met):
            yield from self._learn()
        for file in met:
            try:
                yield from self._singles(file, reading.wants)
            except OSError as error:
                yield Problem(file.evidence.source, "file", f"reading stopped: {error.strerror or error}")
            yield from file.rest()
            file.left.clear()

    def records(self, evidence: Evidence, offsets: Sequence[int]) -> Batch:
        if evidence.path not in self._files:  # searched in another process, say
            for _ in self.read([evidence], Reading(Wants({}))):
                pass
        bases = np.unique(np.array(self._files[evidence.path].bases, np.int64))
        rows: dict[EventType, list[event_xml.Row]] = {}
        with evidence.path.open("rb") as raw:
            for offset in sorted(set(offsets)):
                near = bases[np.searchsorted(bases, offset - REACH, "right") : np.searchsorted(bases, offset)]
                row = self._again(raw, evidence, offset, near[::-1].tolist())
                if row:
                    row |= {"source": evidence.source, "offset": offset, "recovered": True}
                    rows.setdefault(_kind(row), []).append(row)
        frames = _frames(rows)
        return Batch(frames, schema.census(frames.values()))

    def _again(self, raw: BinaryIO, evidence: Evidence, offset: int, bases: Sequence[int]) -> event_xml.Row | None:
        """One record that was read before."""
        for base in bases:
            walker = bxml.Walker(_bytes(raw, base, records.CHUNK))
            frame = records.frame_at(walker.data, offset - base)
            try:
                if frame:
                    return walker.row(frame) | {"record_number": frame.number}
            except ValueError:
                continue  # of another chunk, then
        head = _bytes(raw, offset, 8)
        try:
            record = _bytes(raw, offset, min(struct.unpack_from("<I", head, 4)[0], records.CHUNK))
            return (
                orphans.row(record, self._definitions, evidence.source) if len(record) >= records.RECORD_MIN else None
            )
        except ValueError:
            return None

    def _search(self, file: _File, log: Path, wants: Wants) -> Iterator[Batch | Problem | Progress]:
        """The first two steps, window by window."""
        evidence = file.evidence
        with evidence.path.open("rb") as raw:
            packed = scan.compressed(raw.read(16))
            if packed:
                reason = f"holds its data compressed ({packed}), and so hardly anything to carve: unpack it first"
                yield Problem(evidence.source, "file", reason, offset=0)
            for window in scan.windows(raw, evidence.size):
                for at, size, reason in window.bad:
                    yield Problem(evidence.source, "file", f"{size} bytes can't be read: {reason}", offset=at)
                yield from self._window(file, raw, window, log, wants)
                yield Progress(evidence.source, window.own)

    def _window(self, file: _File, raw: BinaryIO, window: Window, log: Path, wants: Wants) -> Iterator[Batch | Problem]:
        room = max(_LOG, window.own // _LEAST)
        regions, over = self._chunks(file, window, room)
        if over:
            reason = f"{over} more chunks begin in these {window.own} bytes than disks and memory can hold apart"
            yield from file.problems(Problem(file.evidence.source, "chunk", reason, offset=window.start))
        at, size = scan.singles(window)
        places = set((at + window.start).tolist()) if regions else set()
        for part in _logs(regions):
            yield from self._read(file, part, log, wants, window, places, torn=True)

        at, size = _unread(file, window, at, size)
        bases = self._bases(file, window, at, size)
        headless, over = bases[: room - len(regions)], len(bases[room - len(regions) :])
        if over:
            reason = f"{over} more chunks without a header than disks and memory can hold apart"
            yield from file.problems(Problem(file.evidence.source, "chunk", reason, offset=window.start))
        places = set((at + window.start).tolist()) if headless else set()
        read = sorted(file.read)
        for part in _logs(_Region(base, _without(read, base, _bytes(raw, base, records.CHUNK))) for base in headless):
            yield from self._read(file, part, log, wants, window, places, torn=False)

        at, size = _unread(file, window, at, size)
        kept = max(0, _MOST_LEFT - sum(offsets.size for offsets, _ in file.left))
        file.dropped += max(0, at.size - kept)
        if at[:kept].size:
            file.left.append((at[:kept] + window.start, size[:kept]))
        reach = window.start + window.own - REACH
        file.read = {offset: size for offset, size in file.read.items() if offset >= reach}

    def _chunks(self, file: _File, window: Window, room: int) -> tuple[list[_Region], int]:
        """The chunks that begin in a window's own part, and how many more than there is room for."""
        heads = scan.chunks(window)
        found: list[_Region] = []
        over = 0
        for number, head in enumerate(heads):
            if head.at >= window.own:
                break
            if len(found) >= room:
                over += 1
                continue
            # Where the next chunk begins, this one has ended: only its slack, or what it has lost, lies there.
            sure = head.free if head.whole else records.CHUNK_HEADER
            following = (other.at - head.at for other in heads[number + 1 : number + 2])
            end = min([records.CHUNK, *(size for size in following if size >= sure)])
            data = bytes(window.data[head.at : head.at + end])
            if head.whole:
                self._definitions.add(data, file.evidence.source)
            file.bases.append(window.start + head.at)
            found.append(_Region(window.start + head.at, data.ljust(records.CHUNK, b"\0"), head.whole))
        return found, over

    def _bases(self, file: _File, window: Window, at: I64, size: I64) -> list[int]:
        """Where the chunks of unread records began, as far as these tell."""
        known = set(file.bases[-2 * window.own // _LEAST - 1 :])  # of this window and the one before
        found: dict[int, None] = {}
        for place, length in zip(at.tolist(), size.tolist(), strict=True):
            inside = orphans.base(bytes(window.data[place : place + min(length, 256)]).ljust(length, b"\0"))
            if inside is not None and (base := window.start + place - inside) not in known:
                found[base] = None
        return list(found)

    def _read(
        self,
        file: _File,
        regions: Sequence[_Region],
        log: Path,
        wants: Wants,
        window: Window,
        places: set[int],
        torn: bool,
    ) -> Iterator[Batch | Problem]:
        """Regions as the chunks of a log. `places`: records that the last step reads if this one can't.

        `torn`: what is wrong with the chunks as such is told; of those without a header nobody would expect better.
        """
        log.write_bytes(_header() + b"".join(region.data for region in regions))
        bases = np.array([region.base for region in regions], np.int64)
        if not torn:
            file.bases.extend(bases.tolist())
        evidence = Evidence(log, file.evidence.source, log.stat().st_size, "")
        problems: list[Problem] = []
        frames: dict[EventType, list[pl.DataFrame]] = {}
        torn_at: list[int] = []
        for part in EVTX.read([evidence], Reading(slack=True)):
            if isinstance(part, Problem):
                problems.append(part)
            elif isinstance(part, Batch):
                for kind, frame in part.frames.items():
                    number, inside = _inside(frame)
                    offset = bases[number] + inside
                    closed = _closed(regions, number, inside)
                    torn_at += offset[~closed].tolist()
                    self._learn_from(regions, number[closed], inside[closed], evidence.source)
                    new = _new(file, offset) & pl.Series(closed)
                    frames.setdefault(kind, []).append(_recovered(frame, offset).filter(new))
        # What lies in two regions may have been read from both.
        joined = {
            kind: pl.concat(parts, how="diagonal").unique("offset", keep="first", maintain_order=True)
            for kind, parts in frames.items()
        }
        for frame in joined.values():
            for offset in frame["offset"].to_list():
                # What begins inside a record of a chunk is part of it; without the chunk, its size may be a trap.
                file.read[offset] = _size(window, offset) if torn else len(records.RECORD_MAGIC)
        yield _batch({kind: frame for kind, frame in joined.items() if frame.height}, wants)
        for at in sorted({max(0, at) for at in torn_at} - file.read.keys()):
            reason = "torn: another size stands at its end than at its beginning"
            yield from file.problems(Problem(file.evidence.source, "record", reason, offset=at))
        for problem in _placed(problems, bases, regions):
            if problem.offset in places or problem.offset in file.read:
                continue
            if problem.kind == "record" or torn:
                yield from file.problems(problem)

    def _learn_from(self, regions: Sequence[_Region], number: I64, inside: I64, source: str) -> None:
        """The definitions of records that were read of what is left of chunks."""
        for n, at in zip(number.tolist(), inside.tolist(), strict=True):
            region = regions[n]
            if not region.whole:
                size = struct.unpack_from("<I", region.data, at + 4)[0]
                self._definitions.add_record(region.data, at, min(size, records.CHUNK - at), source)

    def _learn(self) -> Iterator[Problem | Progress]:
        """The definitions of the known logs. Now and then it says that it is still at work."""
        for evidence in self._known:
            try:
                with evidence.path.open("rb") as log:
                    if not records.accepts(log.read(records.FILE_HEADER + 8)):
                        continue
                    log.seek(records.FILE_HEADER)
                    while data := log.read(records.CHUNK):
                        if not (log.tell() - records.FILE_HEADER) % scan.WINDOW:
                            yield Progress(evidence.source, 0)
                        heads = scan.chunks(Window(0, bytearray(data), 1, ())) if data[:7] == b"ElfChnk" else []
                        if heads and heads[0].at == 0 and heads[0].whole:
                            self._definitions.add(data, evidence.source)
            except OSError as error:
                reason = f"its templates can't be read: {error.strerror or error}"
                yield Problem(evidence.source, "file", reason)

    def _singles(self, file: _File, wants: Wants) -> Iterator[Batch | Problem | Progress]:
        """The last step: records one by one."""
        rows: dict[EventType, list[event_xml.Row]] = {}
        source, end, overlapping = file.evidence.source, -1, 0
        count = 0
        with file.evidence.path.open("rb") as raw:
            for offset, size in _pairs(file.left):
                if offset < end:  # inside one that was read, or tried
                    overlapping += size
                    if overlapping > max(file.evidence.size, 1 << 20):
                        file.dropped += 1
                        continue
                record = _bytes(raw, offset, size)
                try:
                    row = orphans.row(record, self._definitions, source)
                except ValueError as error:
                    number = struct.unpack_from("<Q", record, 8)[0]
                    reason = f"{error}; written {orphans.written(record)}"
                    yield from file.problems(Problem(source, "record", reason, offset=offset, record_id=number))
                else:
                    row |= {"source": source, "offset": offset, "recovered": True}
                    rows.setdefault(_kind(row), []).append(row)
                    count += 1
                end = max(end, offset + size)
                if not count & 1023:
                    yield Progress(source, 0)
                if count >= _BATCH:
                    yield _batch(_frames(rows), wants)
                    rows, count = {}, 0
        if rows:
            yield _batch(_frames(rows), wants)


def _pairs(parts: Sequence[tuple[I64, I64]]) -> Iterator[tuple[int, int]]:
    for offsets, sizes in parts:
        yield from zip(offsets.tolist(), sizes.tolist(), strict=True)


def _header() -> bytes:
    """A log's file header that claims nothing."""
    head = records.FILE_MAGIC + bytes(records.FILE_HEADER - 8)
    out = bytearray(head)
    out[120] = 4  # without checksums
    return bytes(out)


def _bytes(raw: BinaryIO, at: int, size: int) -> bytes:
    """So many bytes from `at` on; zeros where the file has none."""
    before = min(max(0, -at), size)
    raw.seek(max(0, at))
    return (bytes(before) + raw.read(size - before)).ljust(size, b"\0")


def _logs(regions: Sequence[_Region] | Iterator[_Region]) -> Iterator[list[_Region]]:
    part: list[_Region] = []
    for region in regions:
        part.append(region)
        if len(part) == _LOG:
            yield part
            part = []
    if part:
        yield part


def _without(read: Sequence[int], base: int, data: bytes) -> bytes:
    """A region without the records that were read already; `read`: their offsets, ascending."""
    met = read[bisect_left(read, base) : bisect_right(read, base + records.CHUNK - 4)]
    if not met:
        return data
    out = bytearray(data)
    for offset in met:
        out[offset - base : offset - base + 4] = bytes(4)
    return bytes(out)


def _unread(file: _File, window: Window, at: I64, size: I64) -> tuple[I64, I64]:
    """Of places of records those that are neither read nor inside one that is."""
    if not file.read or not at.size:
        return at, size
    starts = np.array(sorted(file.read), np.int64)
    ends = starts + np.array([file.read[offset] for offset in starts.tolist()], np.int64)
    place = at + window.start
    before = np.searchsorted(starts, place, "right") - 1
    free = (before < 0) | (place >= ends[before])
    return at[free], size[free]


def _size(window: Window, offset: int) -> int:
    """The size of a record as its header has it; of one before the window no more than its magic."""
    at = offset - window.start
    if at < 0 or at + 8 > len(window.data):
        return 4
    size: int = struct.unpack_from("<I", window.data, at + 4)[0]
    return min(size, records.CHUNK)


def _inside(frame: pl.DataFrame) -> tuple[I64, I64]:
    """Of rows of a log: which chunk they stand in, and where in it."""
    at = frame["offset"].to_numpy().astype(np.int64) - records.FILE_HEADER
    return at // records.CHUNK, at % records.CHUNK


def _closed(regions: Sequence[_Region], number: I64, inside: I64) -> npt.NDArray[np.bool_]:
    """Which rows are of records that have their size at both ends: where no checksum tells, others are two halves."""
    return np.array([_is_closed(regions[n], at) for n, at in zip(number.tolist(), inside.tolist(), strict=True)], bool)


def _is_closed(region: _Region, at: int) -> bool:
    size = struct.unpack_from("<I", region.data, at + 4)[0]
    return region.whole or region.data[at + size - 4 : at + size] == struct.pack("<I", size)


def _new(file: _File, offsets: I64) -> pl.Series:
    """Which rows are read for the first time."""
    return pl.Series([offset >= 0 and offset not in file.read for offset in offsets.tolist()], dtype=pl.Boolean)


def _recovered(frame: pl.DataFrame, offsets: I64) -> pl.DataFrame:
    places = pl.Series("offset", offsets.clip(0)).cast(pl.UInt64)
    return frame.with_columns(places, pl.lit(value=True).alias("recovered"))


def _placed(problems: Sequence[Problem], bases: I64, regions: Sequence[_Region]) -> Iterator[Problem]:
    """Problems where they stand in the raw data.

    Of kind `record` only if there is a record: that some are missing from a chunk says nothing of where they are.
    """
    gaps: set[int] = set()
    for problem in problems:
        if problem.offset is None or problem.offset < records.FILE_HEADER:
            yield problem
            continue
        number, inside = divmod(problem.offset - records.FILE_HEADER, records.CHUNK)
        offset = int(bases[number]) + inside
        reason = problem.reason.removeprefix(f"chunk {number}: ")
        if problem.kind == "chunk" or not records.frame_at(regions[number].data, inside):
            if problem.kind == "chunk" or offset not in gaps:
                yield Problem(problem.source, "chunk", f"carved chunk: {reason}", offset=max(0, offset))
            gaps.add(offset)
        else:
            yield replace(problem, kind="record", reason=reason, offset=max(0, offset))


def _kind(row: event_xml.Row) -> EventType:
    return EventType(str(row.get("channel") or ""), int(str(row["event_id"])))


def _frames(rows: Mapping[EventType, list[event_xml.Row]]) -> _Frames:
    return {kind: event_xml.frame(met, kind.event_id) for kind, met in rows.items()}


def _batch(frames: _Frames, wants: Wants) -> Batch:
    """What is wanted of frames, and a census of all."""
    chosen = {kind: _projected(frame, wanted) for kind, frame in frames.items() if (wanted := wants.of(kind))}
    return Batch(chosen, schema.census(frames.values()))


def _projected(frame: pl.DataFrame, wanted: frozenset[str]) -> pl.DataFrame:
    """The columns that are wanted, as logs are decoded: events that were read from both must be equal."""
    if wanted == ALL_COLUMNS:
        return frame
    own = [c for c in frame.columns if c not in schema.SYSTEM and (c in schema.CORE or is_wanted(c, wanted))]
    system = [pl.col(c) if is_wanted(c, wanted) else pl.lit(None, dtype).alias(c) for c, dtype in schema.SYSTEM.items()]
    core = [c for c in own if c in schema.CORE]
    kept = frame.select(*core, *system, *(c for c in own if c not in schema.CORE))
    if kept["unparsed"].null_count() == kept.height:
        return kept
    return kept.with_columns(pl.col("unparsed").map_elements(_only(wanted), return_dtype=pl.String))


def _only(wanted: frozenset[str]) -> Callable[[str], str | None]:
    def keep(texts: str) -> str | None:
        left = {column: text for column, text in json.loads(texts).items() if is_wanted(column, wanted)}
        return json.dumps(left, ensure_ascii=False, separators=(",", ":")) if left else None

    return keep


def carver(known: Sequence[Evidence] = ()) -> Carver:
    """A carver of its own for each run: it keeps what it has seen."""
    return Carver(known)
