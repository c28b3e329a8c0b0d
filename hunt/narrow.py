"""The events of a host that is too large for memory: each query gets the columns that it asks for, if they fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from hunt import schema
from hunt.errors import TooLargeError
from hunt.events import Events
from hunt.model import ALL_COLUMNS, EventType, Hunt, Need, Settings
from hunt.room import Room
from hunt.shares import Agreed, Share

_OWN = (*schema.CORE, *schema.SYSTEM, "sources")


@dataclass(slots=True)
class _Held:
    """Files that hold each event of a type once, and how large each of its columns is in memory."""

    kind: EventType
    paths: list[Path] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)  # bytes


class Narrow(Events):
    """Events in files. Asked for a frame it gives all of it: ask what `only` and `for_hunts` give."""

    def __init__(self, needs: Sequence[Need], settings: Settings, share: Share, agreed: Agreed, room: Room) -> None:
        super().__init__(needs, settings, share, agreed)
        self._all_needs, self._common, self._room = needs, agreed, room
        self._held: dict[tuple[str, int], _Held] = {}

    def hold(self, kind: EventType, path: Path, frame: pl.DataFrame) -> None:
        """Events that stand in a file, each once."""
        held = self._held.setdefault(kind.key, _Held(kind))
        held.paths.append(path)
        for column in frame.get_columns():
            held.sizes[column.name] = held.sizes.get(column.name, 0) + schema.size_of(column)

    def types(self) -> tuple[EventType, ...]:
        return tuple(sorted(held.kind for held in self._held.values()))

    def only(self, needs: Iterable[Need]) -> Events:
        return self.within(needs, self._room.part)

    def within(self, needs: Iterable[Need], most: int) -> Events:
        """As `only`, if that is no more than so many bytes."""
        asked = tuple(needs)
        size = self._size(asked)
        if size > most:
            raise self._room.refuse(size)
        frames = {}
        for held, columns in self._wanted(asked):
            parts = [pl.read_parquet(path, columns=columns, glob=False) for path in held.paths]
            frames[held.kind] = [pl.concat(parts)]
        return Events(asked, self.settings, self.share, self._common).put(frames, distinct=True, counted=self)

    def located(self, references: pl.DataFrame) -> Events:
        frames = {}
        for (channel, event_id), named in references.group_by("channel", "event_id", maintain_order=True):
            held = self._held.get(EventType(str(channel), int(str(event_id))).key)
            if held:
                there = pl.col("record_id").is_in(named["record_id"].unique().implode(), nulls_equal=True)
                there &= pl.col("time").is_in(named["time"].unique().implode(), nulls_equal=True)
                parts = [pl.scan_parquet(path, glob=False).filter(there).collect() for path in held.paths]
                frames[held.kind] = [pl.concat(parts)]
        return Events((), self.settings, self.share, self._common).put(frames, distinct=True, counted=self)

    def for_hunts(self, hunts: Iterable[Hunt]) -> Iterator[tuple[Events | TooLargeError, Iterable[Hunt]]]:
        group: list[Hunt] = []
        needs: tuple[Need, ...] = ()
        for hunt in hunts:
            if self._size(hunt.wanted) > self._room.part:
                yield self._room.refuse(self._size(hunt.wanted)), [hunt]
                continue
            if group and self._size((*needs, *hunt.wanted)) > self._room.part:
                yield self.only(needs), group
                group, needs = [], ()
            group.append(hunt)
            needs = tuple(dict.fromkeys((*needs, *hunt.wanted)))
        if group:
            yield self.only(needs), group

    def unparsed(self) -> int:
        from hunt.events import unparsed

        paths = [path for held in self._held.values() for path in held.paths]
        return sum(unparsed(pl.read_parquet(path, columns=["unparsed"], glob=False)["unparsed"]) for path in paths)

    def _distinct(self, kind: EventType) -> pl.DataFrame:
        return self.only([Need(*kind, ALL_COLUMNS)])._distinct(kind)

    def _wanted(self, needs: Iterable[Need]) -> Iterator[tuple[_Held, list[str]]]:
        wants = Events(needs).wants()
        for held in self._held.values():
            columns = wants.of(held.kind)
            if columns is not None:
                yield held, [c for c in held.sizes if c in _OWN or columns >= ALL_COLUMNS or c in columns]

    def _size(self, needs: Iterable[Need]) -> int:
        return sum(held.sizes[column] for held, columns in self._wanted(needs) for column in columns)
