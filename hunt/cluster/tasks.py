"""What workers do: functions of their arguments alone, so that doing them again, elsewhere, gives the same."""

from __future__ import annotations

import io
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from hunt import memory, schema, shares
from hunt.cluster.lots import Lot
from hunt.cluster.sight import token
from hunt.cluster.versions import Versions, here
from hunt.coverage.seen import Seen
from hunt.events import Events
from hunt.model import Batch, EventType, Need, Problem, Progress, Reading, Settings, Wants
from hunt.shares import Agreed, Share, host_key

FEW = 16  # hosts of a frame that each get a packet of their own: most logs are of one or few
BUCKETS = 64  # that the hosts of others fall into: a part is made of whole ones, so that no packet is of two parts
_NUMBER = "/packet"  # no field is named so
_LEAST = 512  # events of a packet, about; of smaller frames some buckets share one


class Packet(NamedTuple):
    """Events of one type and of some hosts (their keys)."""

    kind: EventType
    content: bytes  # `packed`
    hosts: frozenset[str]


Packed = tuple[Packet, ...]  # in reading order; types and hosts may come again


@dataclass(frozen=True, slots=True)
class How:
    """How lots are to be read: the same for all, and sent once."""

    reading: Reading
    needed: Wants  # by hunts; `reading` wants more
    versions: Versions


@dataclass(frozen=True, slots=True)
class Order:
    """A lot that is to be read."""

    lot: Lot
    tokens: tuple[tuple[str, str], ...]  # paths of files that it is recognised by, and what `sight.token` tells of them
    seconds: float  # that it may take


@dataclass(slots=True)
class Facts:
    """What reading a lot gave, but for the events: few bytes, for who ordered it."""

    trouble: str = ""  # why nothing was read, for people
    problems: list[Problem] = field(default_factory=list)
    census: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=schema.CENSUS))
    stale: dict[EventType, pl.DataFrame] = field(default_factory=dict)  # who has recovered events: `Events.count`
    seen: Seen = field(default_factory=Seen)
    agreed: Agreed = field(default_factory=Agreed)
    hosts: Counter[str] = field(default_factory=Counter)  # bytes of events in memory, by host key
    kinds: Counter[tuple[str, int]] = field(default_factory=Counter)  # and by the key of their type
    read: Counter[str] = field(default_factory=Counter)  # bytes of each file, by source

    @property
    def records(self) -> int:
        return int(self.census["records"].sum())


@dataclass(frozen=True, slots=True)
class Read:
    """A lot that was read."""

    facts: Facts
    frames: Packed = ()

    def __sizeof__(self) -> int:
        return sum(len(packet.content) for packet in self.frames) + int(self.facts.census.estimated_size())


def same(given: Any) -> Any:
    """A task that gives what it was given: kept by the scheduler, so that no lost worker takes it along."""
    return given


def read(order: Order, how: How) -> Read:
    """Read a lot; what goes wrong is told as `trouble`: who ordered it then sees to it."""
    other = here().other(than=how.versions)
    if other:
        return Read(Facts(f"a worker has {other}"))
    if any(token(Path(path)) != known for path, known in order.tokens):
        return Read(Facts("it is another file on a worker"))
    done: list[Read] = []

    def work() -> None:
        try:
            done.append(gathered(order.lot.read(how.reading), how.needed))
        except (Exception, SystemExit) as error:  # some file's fault or ours: reading it alone will tell
            done.append(Read(Facts(f"{type(error).__name__}: {error}"[:300])))

    thread = threading.Thread(target=work, name="read", daemon=True)
    thread.start()
    thread.join(order.seconds)
    return done[0] if done else Read(Facts("takes too long (--file-timeout)"))


def gathered(parts: Iterable[Batch | Problem | Progress], needed: Wants) -> Read:
    """What a parser gives, as the result of a task."""
    facts = Facts(seen=Seen(needed))
    frames: list[Packet] = []
    censuses = [facts.census]

    def take(batch: Batch) -> None:
        facts.agreed.add(batch)
        for kind, frame in batch.frames.items():
            size = schema.size(frame)
            each = size / max(1, frame.height)
            facts.kinds[kind.key] += size
            for own, hosts in _apart(frame):
                frames.append(Packet(kind, packed(own), frozenset(hosts)))
                facts.hosts.update({host: int(each * rows) + 1 for host, rows in hosts.items()})
            if frame["recovered"].any():
                few = frame.filter("recovered").select("host", "channel", "event_id", "recovered").unique()
                facts.stale[kind] = pl.concat([few, *([facts.stale[kind]] if kind in facts.stale else [])])

    both = facts.seen.before(take)
    for part in parts:
        if isinstance(part, Batch):
            censuses.append(part.census)
            both(part)
        elif isinstance(part, Problem):
            facts.problems.append(part)
        else:
            facts.read[part.source] += part.size
    facts.census = schema.compact(pl.concat(censuses))
    return Read(facts, tuple(frames))


def bucket(host: str) -> int:
    """Which bucket a host (its key) falls into, wherever it is read."""
    return shares.bucket(host, BUCKETS)


def _apart(frame: pl.DataFrame) -> Iterator[tuple[pl.DataFrame, Mapping[str, int]]]:
    """A frame by host, or group of hosts, and how many events each host has: who asks for some need not unpack all."""
    hosts = frame.select(host_key())["host"]
    counts = dict(hosts.to_frame().group_by("host", maintain_order=True).len().iter_rows())
    if len(counts) <= FEW:
        numbers = {host: number for number, host in enumerate(counts)}
    else:
        fewer = max(1, 1 << min(BUCKETS, frame.height // _LEAST).bit_length() >> 1)  # a power of two, as BUCKETS is
        numbers = {host: bucket(host) % fewer for host in counts}
    groups: dict[int, dict[str, int]] = {}
    for host, number in numbers.items():
        groups.setdefault(number, {})[host] = counts[host]
    if len(groups) == 1:
        yield frame, counts
        return
    packet = hosts.replace_strict([*numbers], [*numbers.values()], return_dtype=pl.UInt8)
    apart = frame.with_columns(packet.alias(_NUMBER)).partition_by(_NUMBER, include_key=False, as_dict=True)
    for (key,), own in apart.items():
        yield own, groups[key]


def facts(done: Read) -> Facts:
    """What goes back to who ordered it."""
    return done.facts


def picked(frames: Packed, share: Share, kinds: Collection[tuple[str, int]] | None) -> Packed:
    """The events of some hosts, and of some types (by key), with all columns; None: of all types.

    What tells two events apart may stand in a column that nobody asks for: copies are sought where all are.
    """
    return tuple(_picked(frames, share, kinds))


class LostError(Exception):
    """A lot that was read once can't be read again where a lost worker's work is done anew, or by another version."""


def picked_of(done: Read, share: Share, wants: Wants | None, versions: Versions, records: int) -> Packed:
    """`picked`, as a task of its own: it runs where the lot was read, so that less has to travel.

    Raises LostError, also where reading the lot again did not give as many records as before.
    """
    _check(versions, [done])
    if done.facts.records != records:
        raise LostError(f"{done.facts.records} of {records} records")
    kinds = None
    if wants is not None:
        kinds = {packet.kind.key for packet in done.frames if wants.of(packet.kind) is not None}
    return picked(done.frames, share, kinds)


def _picked(frames: Packed, share: Share, kinds: Collection[tuple[str, int]] | None) -> Iterator[Packet]:
    for packet in frames:
        if (kinds is not None and packet.kind.key not in kinds) or not share.meets(packet.hosts):
            continue
        if all(share.meets((host,)) for host in packet.hosts):
            yield packet
            continue
        own = share.of(unpacked(packet.content))
        if own.height:
            yield packet._replace(content=packed(own))


@dataclass(frozen=True, slots=True)
class Part:
    """Some hosts: all that an `Events` of them is made with, but for the events."""

    name: str  # by its content
    size: int  # bytes of its events
    needs: tuple[Need, ...]
    settings: Settings
    share: Share
    census: pl.DataFrame
    versions: Versions

    def events(self, agreed: Agreed, contents: Iterable[Packed]) -> Events:
        """Its events, out of what was picked of each lot, in reading order."""
        made = Events(self.needs, self.settings, self.share, agreed)
        made.add(Batch({}, self.census))
        none = self.census.clear()
        for frames in contents:
            for kind, content, _ in frames:
                made.add(Batch({agreed.kinds.get(kind.key, kind): unpacked(content)}, none, own=True))
        return made


def work_on(
    work: bytes, part: Part, agreed: Agreed, room: int, lots: Sequence[Read | Packed], records: Sequence[int]
) -> Any:
    """What some work gives of a part. `room`: bytes that a worker's parts may take in memory.

    Raises LostError, also where reading one of the lots again did not give as many records as before.
    """
    import cloudpickle

    _check(part.versions, lots)
    for lot, known in zip(lots, records, strict=True):
        if isinstance(lot, Read) and lot.facts.records != known:
            raise LostError(f"{lot.facts.records} of {known} records")
    asked: Callable[[Events], Any] = cloudpickle.loads(work)
    return asked(_kept(part, agreed, room, lots))


def _check(versions: Versions, lots: Iterable[Read | Packed]) -> None:
    other = here().other(than=versions)
    troubles = [lot.facts.trouble for lot in lots if isinstance(lot, Read) and lot.facts.trouble]
    if other or troubles:
        raise LostError(other or troubles[0])


# Bytes of memory for each byte of events: of a part that is kept, of which each type was copied once, and of one that
# is hunted in (measured).
KEPT, HUNTED = 2.5, 4.0

_lock = threading.Lock()
_parts: OrderedDict[str, tuple[Events, int]] = OrderedDict()  # of this worker, by name; and the bytes they take


def _let_go() -> None:
    with _lock:
        _parts.clear()


memory.can_let_go(_let_go)


def _kept(part: Part, agreed: Agreed, room: int, lots: Sequence[Read | Packed]) -> Events:
    with _lock:
        kept = _parts.get(part.name)
        if kept:
            _parts.move_to_end(part.name)
            return kept[0]
        while _parts and sum(size for _, size in _parts.values()) + HUNTED * part.size > room:
            _parts.popitem(last=False)
    memory.give_back()  # what reading has left, and other parts
    contents = [lot.frames if isinstance(lot, Read) else lot for lot in lots]
    made = part.events(agreed, (picked(frames, part.share, None) for frames in contents))
    with _lock:
        _parts[part.name] = made, int(KEPT * part.size)
    return made


def packed(frame: pl.DataFrame) -> bytes:
    """A frame as bytes: compressed; Polars writes nothing of what texts were decoded from but these."""
    content = io.BytesIO()
    frame.write_ipc_stream(content, compression="lz4")  # of small frames in half the time of a file
    return content.getvalue()


def unpacked(content: bytes) -> pl.DataFrame:
    return pl.read_ipc_stream(content)
