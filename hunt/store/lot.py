"""One lot: the events of its logs are taken, its files written; nothing of it is seen before case.json names it."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import polars as pl

from hunt import pulse
from hunt.copies import collapsed
from hunt.model import Batch, EventType, Problem, Tally
from hunt.places import SOURCES
from hunt.store import layout, lots, manifests, rest, write
from hunt.store.folders import Folder
from hunt.store.layout import BUCKETS, REST, File, Item, Lot
from hunt.store.lots import Work

MOST_TYPES = 1000  # that have files of their own; real lots have some hundreds, made ones as many as records
_LEAD = 1  # parts of a large log that stay open behind the last one met: its parser may hand rows out of order
_PARTS = 2  # of the size of a lot, since two are open at a time

Types = dict[tuple[str, int], tuple[EventType, list[pl.DataFrame]]]


class LotWriter:
    """Writes one lot. What it holds in memory is as much evidence as a lot has: a larger log is written in parts."""

    def __init__(self, folder: Folder, work: Sequence[Work], slack: bool, jobs: int, buckets: int = BUCKETS) -> None:
        self._folder = folder
        self._work = work
        self._slack = slack
        self._jobs = jobs
        self._buckets = buckets
        self.id = manifests.lot_id(slack, [each.item() for each in work])
        # A large log whose parser knows no pieces, which is alone in its lot.
        self._cuts = len(work) == 1 and work[0].size > lots.LOT
        self._open: dict[int, Types] = {}
        self._next = 0  # parts before this one are written
        self._census: list[pl.DataFrame] = []
        self._files: list[File] = []
        self._paths: list[str] = []

    def add(self, batch: Batch) -> None:
        """Take events, in reading order. Raises OSError."""
        self._census.append(batch.census)
        for kind, frame in batch.frames.items():
            for part, rows in self._parts(frame):
                types = self._open.setdefault(part, {})
                # As they come: all columns are wanted, so that texts of their own would take more memory, not less.
                types.setdefault(kind.key, (kind, []))[1].append(rows)
        while self._open and self._next + _LEAD < max(self._open):
            self._write(self._next)

    def finish(self, tallies: Sequence[Tally], problems: Sequence[Problem]) -> Lot:
        """Write what is left, and tell what there is. Raises OSError."""
        for part in sorted(self._open):
            self._write(part)
        counted = write.parquet(write.census(self._census, [each.evidence.source for each in self._work]))
        self._store(layout.census_path(self.id), counted)
        by_source = {tally.evidence.source: tally for tally in tallies}
        items = tuple(_item(each, by_source[each.evidence.source]) for each in self._work)
        told = sorted(dict.fromkeys(problems), key=lambda problem: (*problem.place, problem.kind))
        sha256 = hashlib.sha256(counted).hexdigest()
        return Lot(self.id, self._slack, items, tuple(self._files), tuple(told), census=sha256)

    def discard(self) -> None:
        """Remove what was written. Raises OSError."""
        for path in self._paths:
            self._folder.remove(path)

    def _parts(self, frame: pl.DataFrame) -> Iterator[tuple[int, pl.DataFrame]]:
        if not self._cuts:
            yield 0, frame
            return
        numbers = (frame["offset"] // (lots.LOT // _PARTS)).cast(pl.UInt32).fill_null(0).clip(self._next)
        for part in numbers.unique().sort():
            yield part, frame.filter(numbers == part)

    def _write(self, part: int) -> None:
        """Write a part, and forget it: files are encoded side by side, and told in their order."""
        self._next = part + 1
        running: deque[Future[File]] = deque()
        with ThreadPoolExecutor(self._jobs, "write") as pool:
            try:
                for kind, number, frame in self._pieces(self._open.pop(part, {})):
                    path = layout.data_path(kind, number, self.id, len(self._paths))
                    self._paths.append(path)
                    running.append(pool.submit(self._file, path, kind, number, frame, part))
                    if len(running) > self._jobs:
                        self._files.append(running.popleft().result())
                    pulse.alive()
                self._files += (future.result() for future in running)
            finally:
                pool.shutdown(cancel_futures=True)

    def _pieces(self, types: Types) -> Iterator[tuple[EventType, int, pl.DataFrame]]:
        """All rows, by type and bucket; each type is let go of when it is done."""
        rare = _rare(types)
        for key in sorted(types.keys() - rare.keys()):
            kind, batches = types.pop(key)
            yield from write.cut({kind: collapsed(write.joined(batches, kind))}, self._buckets)
        if rare:
            folded = [rest.folded(frame) for key in sorted(rare) for frame in types.pop(key)[1]]
            whole = pl.concat(folded).with_columns(pl.lit(None, SOURCES).alias("sources"))
            yield from write.cut({REST: whole}, self._buckets)

    def _file(self, path: str, kind: EventType, number: int, frame: pl.DataFrame, part: int) -> File:
        content = write.parquet(frame)
        self._folder.write(path, content)
        records = frame["sources"].list.len().fill_null(1).sum()
        size, sha256 = len(content), hashlib.sha256(content).hexdigest()
        return File(path, kind.channel, kind.event_id, number, frame.height, int(records), size, sha256, part)

    def _store(self, path: str, content: bytes) -> None:
        self._paths.append(path)
        self._folder.write(path, content)


def _rare(types: Types) -> Mapping[tuple[str, int], int]:
    """The event types that get no files of their own, with their rows: of too many the rarest."""
    rows = {key: sum(frame.height for frame in frames) for key, (_, frames) in types.items()}
    return dict(sorted(rows.items(), key=lambda entry: (-entry[1], entry[0]))[MOST_TYPES:])


def _item(work: Work, tally: Tally) -> Item:
    return work.item(tally.found, tally.read, tally.problems)
