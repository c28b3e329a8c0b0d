"""Events that workers hold, cut by host: `hunt.parts.Parts` of a cluster."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import polars as pl

from hunt import hunting
from hunt.cluster import tasks
from hunt.cluster.connect import Workers
from hunt.cluster.grouping import for_parts, grouped
from hunt.cluster.lots import hashed, told
from hunt.cluster.reads import Lots
from hunt.cluster.tasks import Packed, Part, Read
from hunt.cluster.waiting import Watch, ending, given
from hunt.errors import TooLargeError
from hunt.events import Events
from hunt.interrupts import Stop
from hunt.model import Batch, EventType, Hunt, Need, Settings, Wants
from hunt.room import Room
from hunt.shares import Agreed, Share
from hunt.watcher import Watcher

T = TypeVar("T")


class Asked(Protocol):
    """What a run asks of events; see `gather.Job`."""

    @property
    def needs(self) -> Sequence[Need]:
        """What hunts read."""

    @property
    def settings(self) -> Settings: ...

    @property
    def room(self) -> Room:
        """Of this process."""

    @property
    def stop(self) -> Stop: ...

    @property
    def watcher(self) -> Watcher: ...


@dataclass(slots=True)
class Held:
    """The parts of a run. Implements `hunt.parts.Parts`."""

    watch: Watch
    lots: Lots
    parts: Sequence[Part]
    asked: Asked
    events: Events
    agreed: Agreed
    undivided: bool
    _agreed: Any = None  # a future, made once for all parts
    _again: set[int] = field(default_factory=set)  # lots that were lost, and read again here
    _noted: set[str] = field(default_factory=set)

    @property
    def workers(self) -> Workers:
        return self.watch.workers

    def each(self, work: Callable[[Events], T]) -> Iterator[T]:
        import cloudpickle

        content = cloudpickle.dumps(work)
        named = hashlib.sha256(content).hexdigest()[:32]
        here = self._only_here()
        places = [place for place in range(len(self.parts)) if place not in here]
        futures = [self._work(self.parts[place], content, named) for place in places]
        done: dict[int, T] = {}
        first = 0  # of those that are still to be given

        def enough() -> bool:  # the hunts themselves say that nothing is looked at any more: they are asked below
            return isinstance(work, hunting.Stage) and work.turns.over()

        def stuck(machines: Iterable[str]) -> Iterator[int]:
            lost = [self.lots.hosts[lot] for lot in self.lots.lost(machines)]
            failed = self._agreed is not None and self._agreed.status == "error"
            for n, place in enumerate(places if lost or failed else ()):
                if failed or any(self.parts[place].share.meets(hosts) for hosts in lost):
                    yield n

        for place in here:  # while workers hunt in others
            if not enough():
                done[place] = work(self._taken_over(place, "has no room on workers"))
        for n, gave in self.watch.results(futures, ending, enough, stuck):
            if gave is None:  # workers died of it, or it is our own bug, which then shows here
                waited = futures[n].cancelled()
                why = "waits for workers that are gone, or have no memory" if waited else "has failed on workers"
                done[places[n]] = work(self._taken_over(places[n], why))
            else:
                done[places[n]] = gave
            while first in done:
                yield done.pop(first)
                first += 1
        for place in range(first, len(self.parts)):  # what was done here; or, interrupted, what hunts did not look at
            yield done[place] if place in done else work(self._none(self.parts[place]))

    def _only_here(self) -> dict[int, Part]:
        """Parts that would end any worker, and that this process has room for; by place."""
        theirs, ours = self.workers.memory(), self.asked.room.whole
        return {p: part for p, part in enumerate(self.parts) if tasks.HUNTED * part.size > theirs and part.size <= ours}

    def _taken_over(self, place: int, why: str) -> Events:
        """A part that workers don't do, which is told. If there is no room for it here, hunts are not evaluable."""
        part, failed = self.parts[place], f"hunting on {self._shown(place)} {why}"
        try:
            made = self._here(part)
        except TooLargeError as error:
            self._note(f"{failed}, and here it {error}")
            made = _Refused(part.needs, part.settings, part.share, self.agreed)
            made.error = error
            made.add(Batch({}, part.census))
            return made
        self._note(f"{failed}; it is done here")
        return made

    def _note(self, text: str) -> None:
        """Once, however many hunts it is true of."""
        if text not in self._noted:
            self._noted.add(text)
            self.asked.watcher.note(text)

    def _shown(self, place: int) -> str:
        hosts = self.parts[place].census["host"].unique().drop_nulls()
        return str(hosts[0]) if hosts.len() == 1 else f"{hosts.len()} hosts"

    def whole(self, needs: Iterable[Need]) -> Events:
        wanted = tuple(needs)
        wants = Events(wanted).wants()
        self._fits([{str(key): size for key, size in self.lots.kinds.items() if wants.of(EventType(*key)) is not None}])
        made = Events((*self.asked.needs, *wanted), self.asked.settings)
        made.add(Batch({}, self.events.census()))
        return self._filled(made, Share(), range(len(self.lots.reads)), wanted)

    def of_hosts(self, keys: Iterable[str], needs: Iterable[Need]) -> Iterator[Events]:
        named, wanted = frozenset(keys), tuple(needs)
        for part in self.parts:
            if self.undivided:
                yield self._here(part, wanted)
            elif part.share.meets(named):
                own = Share(frozenset(key for key in named if part.share.meets((key,))), rest=False)
                yield self._here(part, wanted, own)

    def _here(self, part: Part, needs: Sequence[Need] | None = None, only: Share | None = None) -> Events:
        """The events of a part, or of some hosts of it, in this process."""
        share = only or part.share
        places = self.lots.of(share)
        own = [{host: size for host, size in self.lots.hosts[p].items() if share.meets((host,))} for p in places]
        self._fits(own)
        made = Events((*self.asked.needs, *(needs or ())), self.asked.settings, part.share, self.agreed)
        made.add(Batch({}, part.census))
        return self._filled(made, share, places, needs)

    def _none(self, part: Part) -> Events:
        return part.events(self.agreed, ())

    def _filled(self, made: Events, share: Share, places: Sequence[int], needs: Sequence[Need] | None) -> Events:
        wants = None if needs is None else Events(needs).wants()
        empty = made.census().clear()
        elsewhere = [place for place in places if not isinstance(self.lots.reads[place], Read)]
        futures = {place: self._picked(place, share, wants) for place in elsewhere}

        def stuck(machines: Iterable[str]) -> Iterator[int]:
            lost = self.lots.lost(machines)
            return (n for n, place in enumerate(elsewhere) if place in lost)

        for _ in self.watch.ended([*futures.values()], ending, stuck=stuck):
            pass
        for place in places:
            frames = self._frames(place, futures.pop(place, None), share, wants)
            for kind, content, _ in frames:
                made.add(Batch({self.agreed.kinds.get(kind.key, kind): tasks.unpacked(content)}, empty, own=True))
        return made

    def _frames(self, place: int, future: Any, share: Share, wants: Wants | None) -> Packed:
        picked: Packed | None = None if future is None else given(future, ending)
        if picked is not None:
            return picked
        read = self.lots.reads[place]
        if future is not None:  # a worker that is halted picks nothing, but hands over what it has read
            read, known = given(read, ending), self.lots.records[place]
            if read is None or read.facts.trouble or read.facts.records != known:  # whoever would read it again can't
                read = self.lots.reads[place] = self.lots.again(place)
                self._again.add(place)
        return tasks.picked_of(read, share, wants, self.workers.versions, read.facts.records)

    def _picked(self, place: int, share: Share, wants: Wants | None) -> Any:
        read, records, versions = self.lots.reads[place], self.lots.records[place], self.workers.versions
        said = [share.rest, sorted(share.keys), None if wants is None else told(wants), records]
        key = f"pick-{hashed(said)}-{read.key}"
        # Before all work on parts: who waits for what another worker has picked must not wait for its work as well.
        return self.workers.client.submit(tasks.picked_of, read, share, wants, versions, records, key=key, priority=1)

    def _work(self, part: Part, content: bytes, named: str) -> Any:
        if self._agreed is None:
            self._agreed = self.workers.client.submit(tasks.same, self.agreed, key=f"agreed-{_common(self.agreed)}")
        lots = []
        places = self.lots.of(part.share)
        again = [_name(self.lots.reads[place]) for place in places if place in self._again]
        if again:  # something may be missing there: workers keep parts by name, for whoever asks for all of it
            part = replace(part, name=hashed([part.name, *again]))
        for place in places:
            read = self.lots.reads[place]
            if isinstance(read, Read):
                lots.append(tasks.picked_of(read, part.share, None, self.workers.versions, read.facts.records))
            elif all(part.share.meets((host,)) for host in self.lots.hosts[place]):
                lots.append(read)
            else:  # less has to travel
                lots.append(self._picked(place, part.share, None))
        room, records = for_parts(self.workers), [self.lots.records[place] for place in places]
        return self.workers.client.submit(
            tasks.work_on, content, part, self._agreed, room, lots, records, key=f"work-{named}-{part.name}"
        )

    def _fits(self, hosts: Iterable[Mapping[str, int]]) -> None:
        """Raises TooLargeError where so many events would not fit into this process."""
        needed = sum(sum(sizes.values()) for sizes in hosts)
        if needed > self.asked.room.whole:
            raise self.asked.room.refuse(needed)


class _Refused(Events):
    """Hosts whose events have no room here."""

    error: TooLargeError

    def only(self, needs: Iterable[Need]) -> Events:
        raise self.error

    def for_hunts(self, hunts: Iterable[Hunt]) -> Iterator[tuple[Events | TooLargeError, Iterable[Hunt]]]:
        yield self.error, hunts


def parts_of(watch: Watch, lots: Lots, asked: Asked, events: Events, agreed: Agreed) -> Held:
    """Hosts in parts of about the same size."""
    workers = watch.workers
    sizes: Counter[str] = Counter()
    for hosts in lots.hosts:
        sizes.update(hosts)
    groups = grouped(sizes, workers)
    census, common = events.census(), _common(agreed)
    parts = []
    for number, keys in enumerate(groups):
        if len(groups) == 1:
            share = Share()
        elif number == 0:
            share = Share(frozenset(sizes) - keys, rest=True)
        else:
            share = Share(keys, rest=False)
        own = share.of(census)
        said = [
            [_name(lots.reads[place]) for place in lots.of(share)],
            [share.rest, sorted(share.keys)],
            sorted(str((*need.event_type, sorted(need.columns))) for need in asked.needs),
            str(asked.settings),
            # Lots without events of these hosts have their part in these.
            common,
            _content(own),
        ]
        size = sum(sizes[host] for host in keys)
        parts.append(Part(hashed(said), size, tuple(asked.needs), asked.settings, share, own, workers.versions))
    return Held(watch, lots, parts, asked, events, agreed, len(parts) == 1)


def _common(agreed: Agreed) -> str:
    """A name by content of what all parts have in common."""
    return hashed(
        [
            sorted([*key, str(kind)] for key, kind in agreed.kinds.items()),
            sorted([*key, [[name, str(dtype)] for name, dtype in own.items()]] for key, own in agreed.columns.items()),
            sorted([*key, sorted(map(str, own))] for key, own in agreed.providers.items()),
            _content(agreed.signed().sort(pl.all())),
        ]
    )


def _content(frame: pl.DataFrame) -> str:
    return hashlib.sha256(tasks.packed(frame)).hexdigest()


def _name(read: Any) -> str:
    """Of what was read, by its content."""
    if not isinstance(read, Read):
        return str(read.key)
    digest = hashlib.sha256()
    for kind, content, _ in read.frames:
        digest.update(f"{kind}".encode())
        digest.update(content)
    return digest.hexdigest()
