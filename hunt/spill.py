"""Events that have no room in memory: kept in files by host while evidence is read, then given host by host.

First what is copied - the same record in several places - is made one row that tells all of its places; only if that
frees too little, all that waits is written, each event type to a file of its own, sorted by host. Parts of hosts that
fit are then read one after the other. A host that is too large by itself is given in few columns at a time.
"""

from __future__ import annotations

import gc
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import polars as pl

from hunt import memory, pulse, schema
from hunt.copies import collapsed
from hunt.errors import HuntError, LimitError
from hunt.events import Events
from hunt.model import Batch, EventType, Need, Settings
from hunt.narrow import Narrow
from hunt.parts import Together
from hunt.room import Room, shown
from hunt.shares import Agreed, Share, host_key
from hunt.spool import RESERVE, Spool

T = TypeVar("T")
Key = tuple[str, int]

# Bytes on disk for each byte of evidence: 0.01 to 0.02 were measured for our queries, 0.06 for thousands of rules.
RATIO = 0.1
_GROUP = 16_384  # rows of a row group: what is read too much at either end of a part
KEY = "_host"  # a column of the files: what they are sorted by


@dataclass(slots=True)
class Files:
    """The files that hold a type of events, in reading order, and how much of it each host has: rows and bytes."""

    kind: EventType
    paths: list[Path] = field(default_factory=list)
    sizes: list[pl.DataFrame] = field(default_factory=list)  # _host, rows, bytes

    def of_hosts(self) -> pl.DataFrame:
        if len(self.sizes) > 1:
            whole = pl.concat(self.sizes).group_by(KEY).agg(pl.col("rows", "bytes").sum())
            self.sizes = [whole.sort(KEY)]
        return self.sizes[0]

    def read(self, hosts: pl.Expr, columns: Iterable[str] | None = None) -> list[pl.DataFrame]:
        """The events of some hosts, as they were read."""
        found = []
        for path in self.paths:
            scan = pl.scan_parquet(path, glob=False).filter(hosts).drop(KEY)
            if columns is not None:
                wanted = set(columns)
                scan = scan.select(c for c in scan.collect_schema().names() if c in wanted)
            frame = scan.collect()
            if frame.height:
                found.append(frame)
        return found


class Gathering:
    """Takes batches as they come, and gives all events in the end."""

    def __init__(
        self,
        needs: Sequence[Need],
        settings: Settings,
        room: Room,
        spool: Spool,
        evidence: int,
        ended: Callable[[], bool] = lambda: False,
    ) -> None:
        """`evidence`: bytes that will be read; `spool`: where files may be written; `ended`: an end was asked for."""
        self._ended = ended
        self.events = Events(needs, settings)  # counts all, and holds none
        self.agreed = Agreed()
        self.files: dict[Key, Files] = {}
        self._needs, self._settings, self._room, self._spool = needs, settings, room, spool
        self._evidence = evidence
        self._kinds: dict[Key, EventType] = {}
        self._waiting: dict[Key, list[pl.DataFrame]] = {}
        self._size = 0  # bytes that wait
        self._plain = 0  # of them those in which copies were not looked for

    def add(self, batch: Batch) -> None:
        """Raises HuntError if neither memory nor disk has room."""
        self.events.count(batch)
        for kind, frame in batch.frames.items():
            if frame.height:
                own = frame if batch.own else schema.compact(frame)
                self._kinds.setdefault(kind.key, kind)
                self._waiting.setdefault(kind.key, []).append(own)
                self._plain += schema.size(own)
        if self._size + self._plain > self._room.waiting:
            self._relieve()
        elif self._size + self._plain > self._room.waiting // 4:
            memory.give_back()  # what decoding took

    def parts(self) -> Together | Spilled:
        """All events; nothing is added any more."""
        if not self.files:
            frames = {self._kinds[key]: frames for key, frames in self._waiting.items()}
            self._waiting = {}
            together = Events(self._needs, self._settings).put(frames, counted=self.events)
            return Together(together)
        self._write()
        before = self._ended()  # then what was read is still hunted in
        return Spilled(
            self._needs, self._settings, self._room, self._spool, self.agreed, self.files, self.events,
            lambda: self._ended() and not before,
        )  # fmt: skip

    def _relieve(self) -> None:
        pulse.beat(pulse.Phase.READING)
        for key, frames in self._waiting.items():
            self._waiting[key] = _united(frames)
        self._size, self._plain = sum(schema.size(frame) for of in self._waiting.values() for frame in of), 0
        if self._size > self._room.waiting // 2:
            self._write()
        memory.give_back()

    def _write(self) -> None:
        if not self.files:
            self._check_disk()
        for key in list(self._waiting):
            kind, frames = self._kinds[key], self._waiting.pop(key)
            for frame in frames:
                self.agreed.add_frame(kind, frame)
            files = self.files.setdefault(key, Files(kind))
            for alike in _alike(frames):
                self._write_one(files, alike)
            pulse.beat(pulse.Phase.READING)
        self._size = self._plain = 0

    def _write_one(self, files: Files, frames: list[pl.DataFrame]) -> None:
        whole = pl.concat(frames, how="diagonal").with_columns(host_key().alias(KEY))
        frames.clear()
        whole = whole.sort(KEY, maintain_order=True)
        files.sizes.append(_sizes(whole))
        files.paths.append(written(whole, self._spool))

    def _check_disk(self) -> None:
        need = int(self._evidence * RATIO)
        folder = self._spool.path().parent
        free = shutil.disk_usage(folder).free
        if free < need + RESERVE:
            raise HuntError(
                f"the events of {shown(self._evidence)} have no room in --memory {shown(self._room.memory)}, and may "
                f"take {shown(need)} of {folder.parent}, which has {shown(free)} free; TMPDIR names another folder"
            )


def written(frame: pl.DataFrame, spool: Spool) -> Path:
    """The file that a frame now stands in. Raises HuntError if the disk is full."""
    path = spool.path()
    try:
        frame.write_parquet(path, compression="zstd", compression_level=1, row_group_size=_GROUP, statistics=True)
        spool.written(path.stat().st_size)
    except (OSError, LimitError) as error:
        said = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        raise HuntError(f"{path.parent}: events that have no room in memory can't be written: {said}") from None
    return path


def _sizes(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows and bytes of each host: of texts their own, of all else its share."""
    texts = [c for c, dtype in schema.dtypes(frame).items() if dtype == pl.String and c != KEY]
    lengths = [pl.col(c).str.len_bytes().cast(pl.UInt64).fill_null(0).sum().alias(c) for c in texts]
    told = frame.group_by(KEY, maintain_order=True).agg(pl.len().cast(pl.UInt64).alias("rows"), *lengths)
    own = told.select(KEY, "rows", bytes=pl.sum_horizontal(texts) if texts else pl.lit(0, pl.UInt64))
    rest = max(0, schema.size(frame) - int(own["bytes"].sum())) // max(1, frame.height) + 1
    return own.with_columns(pl.col("bytes") + pl.col("rows") * rest)


def _alike(frames: Sequence[pl.DataFrame]) -> Iterator[list[pl.DataFrame]]:
    """Frames whose columns of the same name are of the same type, in their order: those of two providers may not be."""
    group: list[pl.DataFrame] = []
    types: dict[str, pl.DataType] = {}
    for frame in frames:
        own = schema.dtypes(frame)
        if group and any(types.get(name, dtype) != dtype for name, dtype in own.items()):
            yield group
            group, types = [], {}
        group.append(frame)
        types |= own
    if group:
        yield group


def _united(frames: list[pl.DataFrame]) -> list[pl.DataFrame]:
    """The same events, copies as one row."""
    united = []
    for alike in _alike(frames):
        whole = pl.concat(alike, how="diagonal")
        alike.clear()
        once = collapsed(whole)
        # The letters of copies that fell are kept by those of other rows.
        united.append(schema.compact(once) if once.height < whole.height else once)
    frames.clear()
    return united


@dataclass(frozen=True, slots=True)
class _Cut:
    """Hosts that are looked at together: from one to another, by their keys in order."""

    first: str
    last: str
    share: Share
    size: int  # bytes of their events

    @property
    def hosts(self) -> pl.Expr:
        return pl.col(KEY).is_between(pl.lit(self.first), pl.lit(self.last))


class Spilled:
    """Events in files, as parts that fit into memory. Implements `hunt.parts.Parts`."""

    undivided = False

    def __init__(
        self,
        needs: Sequence[Need],
        settings: Settings,
        room: Room,
        spool: Spool,
        agreed: Agreed,
        files: Mapping[Key, Files],
        counted: Events,
        ended: Callable[[], bool],
    ) -> None:
        self._ended = ended
        self._needs, self._settings, self._room, self._spool = needs, settings, room, spool
        self._agreed, self._files, self._counted = agreed, files, counted
        self._cuts = self._cut()
        self._large: dict[str, Narrow] = {}  # by the first host of a part that is too large

    def each(self, work: Callable[[Events], T]) -> Iterator[T]:
        for cut in self._cuts:
            pulse.beat(pulse.Phase.ENDING)
            # After an interrupt nothing is hunted any more; who works on the part says so.
            yield work(self._load(cut, () if self._ended() else None))
            _tidy()

    def of_hosts(self, keys: Iterable[str], needs: Iterable[Need]) -> Iterator[Events]:
        asked = set(keys)
        for cut in self._cuts:
            if cut.share.meets(asked):
                pulse.beat(pulse.Phase.ENDING)
                yield self._load(cut)
                _tidy()

    def whole(self, needs: Iterable[Need]) -> Events:
        asked = tuple(needs)
        return self._together(asked, asked, frozenset())

    def of_few(self, needs: Iterable[Need], everywhere: Iterable[Need], keys: Iterable[str]) -> Events:
        """As `whole`, but only what is needed `everywhere` of other hosts than these."""
        return self._together(tuple(needs), tuple(everywhere), frozenset(keys))

    def _together(self, asked: Sequence[Need], everywhere: Sequence[Need], keys: frozenset[str]) -> Events:
        common = Events(everywhere).wants()
        named = Share(keys, rest=False)
        found: dict[EventType, list[pl.DataFrame]] = defaultdict(list)
        size = 0
        for done, cut in enumerate(self._cuts, 1):
            pulse.beat(pulse.Phase.ENDING)
            for kind, whole in self._narrowed(cut, asked if cut.share.meets(keys) else everywhere):
                frame = whole if common.of(kind) is not None else named.of(whole)
                found[kind].append(frame)
                size += schema.size(frame)
            if size > self._room.whole:
                raise self._room.refuse(size * len(self._cuts) // done)
            _tidy()
        frames = {kind: [pl.concat(parts, how="diagonal")] for kind, parts in found.items()}
        case = Events(asked, self._settings, agreed=self._agreed)
        return case.put(frames, distinct=True, counted=self._counted)

    def _narrowed(self, cut: _Cut, needs: Sequence[Need]) -> Iterator[tuple[EventType, pl.DataFrame]]:
        wants = Events(needs).wants()
        part = self._load(cut, [kind.key for kind in self._agreed.kinds.values() if wants.of(kind) is not None])
        few = part.within(needs, self._room.whole) if isinstance(part, Narrow) else part
        yield from few.distinct(needs)

    def _load(self, cut: _Cut, keys: Iterable[Key] | None = None) -> Events:
        if cut.size > self._room.part and keys != ():
            if cut.first not in self._large:
                self._large[cut.first] = self._settled(cut)
            return self._large[cut.first]
        frames = {}
        for key in self._files if keys is None else keys:
            if found := self._files[key].read(cut.hosts):
                frames[self._agreed.kinds[key]] = found
        part = Events(self._needs, self._settings, cut.share, self._agreed)
        return part.put(frames, counted=self._counted)

    def _settled(self, cut: _Cut) -> Narrow:
        """A host that is too large: each type of its events once, some records after the other, in files."""
        part = Narrow(self._needs, self._settings, cut.share, self._agreed, self._room)
        part.put({}, counted=self._counted)
        for key, files in self._files.items():
            of_host = files.of_hosts().filter(cut.hosts)
            pieces = min(1 + int(of_host["bytes"].sum()) * 4 // self._room.part, int(of_host["rows"].sum()))
            record = pl.coalesce("record_id", pl.col("logged").to_physical().abs().cast(pl.UInt64)).fill_null(0)
            for number in range(pieces):
                pulse.beat(pulse.Phase.ENDING)
                # Copies have the same id, or without one were logged at the same time.
                if found := files.read(cut.hosts & (record % pieces == number)):
                    kind = self._agreed.kinds[key]
                    once = Events(self._needs, self._settings, cut.share, self._agreed).put({kind: found})
                    frame = once.frame(*kind).collect()
                    part.hold(kind, written(frame, self._spool), frame)
                _tidy()
        return part

    def _cut(self) -> list[_Cut]:
        """Hosts in order, as many together as fit."""
        every = [files.of_hosts().select(KEY, "bytes") for files in self._files.values()]
        counted = self._counted.census().select(host_key().alias(KEY)).unique()
        every.append(counted.with_columns(bytes=pl.lit(0, pl.UInt64)))
        sizes = pl.concat(every).group_by(KEY).agg(pl.col("bytes").sum()).sort(KEY)
        groups: list[list[tuple[str, int]]] = []
        filled = 0
        for host, size in sizes.iter_rows():
            if not groups or filled + size > self._room.part:
                groups.append([])
                filled = 0
            groups[-1].append((host, size))
            filled += size
        hosts = frozenset(sizes[KEY])
        cuts = []
        for number, group in enumerate(groups):
            own = frozenset(host for host, _ in group)
            share = Share(own, rest=False) if number else Share(hosts - own, rest=True)
            cuts.append(_Cut(group[0][0], group[-1][0], share, sum(size for _, size in group)))
        return cuts


def _tidy() -> None:
    """What a part took is free before the next one comes."""
    gc.collect()
    memory.give_back()
