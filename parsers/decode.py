"""One batch of chunks: from record frames to pieces of columns, and to rows that are left to the walker.

Records of templates with the same shape go together, whatever their hosts; then those of the same event type; then, if
the event's data are BinXML of their own, those whose data have the same shape. Each such group makes one piece.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from hunt import native, schema
from hunt.arrays import grouped
from hunt.model import ALL_COLUMNS, EventType, Wants
from hunt.schema import Kind

from . import census, columns, framing, records
from . import values as values_of
from .batch import Batch
from .columns import Column, Reader, Texts
from .framing import I32, I64, Frames, Mask
from .instances import Ask, Asked, Instances, Values, distinct_numbers, instances, values
from .layout import Shape, Slot
from .pool import Pool
from .templates import UNREADABLE, Templates
from .value_types import are_null

# What places and times an event, whatever else is asked for.
_ALWAYS = frozenset({*schema.CORE, "UtcTime"})
# By these, records of one shape are told apart before anything else is read.
_TOLD_APART = ("channel", "provider", "host")
_TOLD_FIRST = frozenset({*_TOLD_APART, "event_id", "record_id", "logged"})
_TURNS = 64  # distinct texts of such a column, in one batch, that are told apart one after the other


@dataclass(frozen=True, slots=True)
class Piece:
    """Columns of some records of one event type; `records` are positions in the batch's frames, ascending."""

    records: I64
    provider: str | None
    columns: Mapping[str, Column]


@dataclass(frozen=True, slots=True)
class Counted:
    """For the census: records, with the numbers (of `Batch.names`) of their channels, providers and hosts."""

    records: I64
    event_id: I64
    names: Mapping[str, I64]
    ids: I64  # EventRecordIDs and TimeCreated, as `census.written` tells them
    times: I64

    def take(self, chosen: I64) -> Counted:
        """Some of the records."""
        names = {column: numbers[chosen] for column, numbers in self.names.items()}
        return Counted(self.records[chosen], self.event_id[chosen], names, self.ids[chosen], self.times[chosen])


@dataclass(slots=True)
class Decoded:
    """What came of a batch: pieces by event type, what the walker has to read, and a count of all the others."""

    pieces: dict[EventType, list[Piece]] = field(default_factory=dict)
    walk: list[I64] = field(default_factory=list)
    counted: list[Counted] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Group:
    """Records of one outer shape: their values and templates, and by column what tells them apart."""

    found: Values
    template: I32
    shape: Shape
    event_id: I64
    names: Mapping[str, I64]
    written: tuple[I64, I64]  # as `census.written` tells it

    def take(self, chosen: I64) -> _Group:
        """Those of some of the records, in their order."""
        if chosen.size == self.template.size:
            return self
        names = {column: numbers[chosen] for column, numbers in self.names.items()}
        ids, times = self.written
        told = (self.shape, self.event_id[chosen], names, (ids[chosen], times[chosen]))
        return _Group(self.found.take(chosen), self.template[chosen], *told)

    def whole(self, batch: Batch) -> _Group:
        """With all values."""
        return replace(self, found=self.found.whole(batch))

    def counted(self) -> Counted:
        """All of it, for the census."""
        return Counted(self.found.rows, self.event_id, self.names, *self.written)


@dataclass(frozen=True, slots=True)
class _Section:
    """The same records' section, where it is BinXML of its own."""

    found: Values
    template: I32
    shape: Shape

    def take(self, chosen: I64) -> _Section:
        """Those of some of the records, in their order."""
        return _Section(self.found.take(chosen), self.template[chosen], self.shape)


class Decoder:
    """Decodes batches of chunks; the templates it meets it knows again."""

    def __init__(self, wants: Wants) -> None:
        self.wants = wants
        self.templates = Templates()
        self.pool = Pool()

    def decode(self, batch: Batch, frames: Frames) -> Decoded:
        """All frames of a batch: each is in `walk`, or else in `counted`, and in a piece if it is wanted."""
        out = Decoded()
        at, end = frames.offset + records.RECORD_HEADER, frames.offset + frames.size - 4
        found = instances(batch, at, end)
        out.walk.append(np.flatnonzero(~found.found))
        rows = np.flatnonzero(found.found)
        for shape, chosen, template in self._by_shape(batch, found, rows, within=None):
            if shape is None or not _readable(shape):
                out.walk.append(chosen)
                continue
            groups, misfit = values(batch, found.values[chosen], end[chosen], _asked(shape, _first(shape)))
            out.walk.append(chosen[misfit])
            for group in groups:
                renamed = replace(group, rows=chosen[group.rows])
                self._outer(batch, renamed, template[group.rows], shape, out)
        return out

    def _by_shape(
        self, batch: Batch, found: Instances, rows: I64, within: str | None
    ) -> Iterator[tuple[Shape | None, I64, I32]]:
        """The rows by the shape of their template; and their templates."""
        if not rows.size:
            return
        definitions, which = _definitions(found.definition[rows])
        known = self.templates.numbers(batch.data, definitions, within)
        numbers, shapes = known[which], self.templates.shape_numbers(known)[which]
        for number in distinct_numbers(shapes):
            chosen = np.flatnonzero(shapes == number)
            shape = None if number == UNREADABLE else self.templates.shapes[number]
            yield shape, rows[chosen], numbers[chosen]

    def _outer(self, batch: Batch, found: Values, template: I32, shape: Shape, out: Decoded) -> None:
        """Records of one outer shape: told apart by what they are; then their columns."""
        if not _enough(shape, len(found.kind)):
            out.walk.append(found.rows)
            return
        bad = found.misfit | columns.fragile(found, shape)
        sources = dict(shape.columns)
        event_id = self._event_ids(batch, found, template, sources["event_id"], bad)
        names = {column: self._named(batch, found, template, sources, column, bad) for column in _TOLD_APART}
        group = _Group(found, template, shape, event_id, names, census.written(batch, found, sources))
        if bad.any():
            out.walk.append(found.rows[bad])
            group = group.take(np.flatnonzero(~bad))
        for kind, chosen in _by_type(batch, group):
            wanted = self.wants.of(kind)
            if wanted is None:
                out.counted.append(group.counted().take(chosen))
            else:
                self._sections(batch, group.take(chosen).whole(batch), kind, wanted, out)

    def _event_ids(self, batch: Batch, found: Values, template: I32, slot: Slot | None, bad: Mask) -> I64:
        """Event ids; what is no plain number is left to the walker."""
        if slot is None:
            texts = {number: self.templates.text(number, "event_id") for number in distinct_numbers(template)}
            ids = {
                number: int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else -1
                for number, text in texts.items()
            }
            event_id = np.array([ids[number] for number in template.tolist()], np.int64)
            bad |= event_id < 0
            return event_id
        number = (found.kind[slot.index] == 0x06) & (found.size[slot.index] == 2)
        bad |= ~number
        return batch.unsigned(np.where(number, found.at[slot.index], 0), 2).astype(np.int64)

    def _named(
        self,
        batch: Batch,
        found: Values,
        template: I32,
        sources: Mapping[str, Slot | None],
        column: str,
        bad: Mask,
    ) -> I64:
        """The numbers of the texts of a column that few texts share."""
        slot = sources.get(column)
        if slot is not None:
            return _numbered(batch, found, slot, bad)
        if column not in sources:
            return np.zeros(found.rows.size, np.int64)
        groups = grouped(template)
        numbers = [batch.names.number(self.templates.text(number, column)) for number in groups.values.tolist()]
        return np.array(numbers, np.int64)[groups.which]

    def _sections(self, batch: Batch, group: _Group, kind: EventType, wanted: frozenset[str], out: Decoded) -> None:
        """Wanted records: the section that is a value of the outer template, if any, by its own template."""
        found, nested = group.found, group.shape.nested
        if not nested:
            self._piece(batch, group, None, kind, wanted, out)
            return
        index, within = nested[0]
        of_type, size = found.kind[index], found.size[index]
        inside = (of_type == values_of.NESTED) & (size > 0)
        null = are_null(of_type, size)
        if null.any():
            self._piece(batch, group.take(np.flatnonzero(null)), None, kind, wanted, out)
        out.walk.append(found.rows[~inside & ~null])
        rows = np.flatnonzero(inside)
        at = found.at[index].astype(np.int64)
        end = at + size
        heads = instances(batch, at, end)
        out.walk.append(found.rows[rows[~heads.found[rows]]])
        for shape, chosen, template in self._by_shape(batch, heads, rows[heads.found[rows]], within):
            if shape is None or shape.nested or shape.sections & group.shape.sections:
                out.walk.append(found.rows[chosen])
                continue
            parts, misfit = values(batch, heads.values[chosen], end[chosen], _asked(shape, None))
            out.walk.append(found.rows[chosen[misfit]])
            for part in parts:
                section = _Section(part, template[part.rows], shape)
                self._fitting(batch, group.take(chosen[part.rows]), section, kind, wanted, out)

    def _fitting(
        self, batch: Batch, group: _Group, section: _Section, kind: EventType, wanted: frozenset[str], out: Decoded
    ) -> None:
        """Without the records whose section's values no column can hold, which are left to the walker."""
        if not _enough(section.shape, len(section.found.kind)) or _names(group.shape) & _names(section.shape):
            out.walk.append(group.found.rows)
            return
        bad = section.found.misfit | columns.fragile(section.found, section.shape)
        if bad.any():
            out.walk.append(group.found.rows[bad])
            fit = np.flatnonzero(~bad)
            group, section = group.take(fit), section.take(fit)
        if group.found.rows.size:
            self._piece(batch, group, section, kind, wanted, out)

    def _piece(
        self,
        batch: Batch,
        group: _Group,
        section: _Section | None,
        kind: EventType,
        wanted: frozenset[str],
        out: Decoded,
    ) -> None:
        """The columns of records of the same shapes."""
        provider = batch.names.texts[int(group.names["provider"][0])]
        kinds = _kinds(provider, kind.event_id)
        made: dict[str, Column] = {}
        bad = np.zeros(group.found.rows.size, bool)
        for part in (group, section) if section else (group,):
            reader = Reader(batch, part.found, kinds)
            made |= self._columns(batch, reader, part, wanted)
            bad |= reader.bad
        for column, numbers in group.names.items():
            valid = numbers != 0
            made[column] = Texts(batch.shared(None, numbers), None if valid.all() else valid, bool(valid.any()))
        if bad.any():
            out.walk.append(group.found.rows[bad])
            made = {name: column.keep(~bad) for name, column in made.items()}
            group = group.take(np.flatnonzero(~bad))
        out.counted.append(group.counted())
        if group.found.rows.size:
            out.pieces.setdefault(kind, []).append(Piece(group.found.rows, provider, made))

    def _columns(
        self, batch: Batch, reader: Reader, part: _Group | _Section, wanted: frozenset[str]
    ) -> dict[str, Column]:
        """The columns that are wanted of one template's: from values, and texts that its instances share."""
        chosen = {
            name: slot
            for name, slot in part.shape.columns
            if name not in _TOLD_APART
            and name != "event_id"
            and (wanted == ALL_COLUMNS or name in wanted or name in _ALWAYS)
        }
        groups = grouped(part.template)

        def shared(name: str | int) -> Texts:
            table = [self.templates.text(number, name) for number in groups.values.tolist()]
            return Texts(batch.shared(list(table), groups.which), None, exists=True)

        read = reader.columns({name: slot for name, slot in chosen.items() if slot is not None})
        made: dict[str, Column] = {
            name: read[name] if slot is not None else shared(name) for name, slot in chosen.items()
        }
        for name, slots in part.shape.joined:
            if is_wanted(name, wanted):
                made[name] = reader.items(slots, {})
        if part.shape.items and is_wanted(schema.DATA, wanted):
            items = part.shape.items
            made[schema.DATA] = reader.items(items, {i: shared(i) for i, slot in enumerate(items) if slot is None})
        return {name: made[name] for name in part.shape.order if name in made}


def _definitions(at: I64) -> tuple[I64, I64]:
    """The distinct ones, and for each which of them it is."""
    if native.kernels:
        which, values = np.empty(at.size, np.int64), np.empty(at.size, np.int64)
        count = native.kernels.group(at, which, values)
        if count >= 0:
            return values[:count], which
    groups = grouped(at)
    return groups.values, groups.which


def is_wanted(column: str, wanted: frozenset[str]) -> bool:
    """Whether a column is asked for, or places or times an event."""
    return wanted == ALL_COLUMNS or column in wanted or column in _ALWAYS


def _first(shape: Shape) -> list[int]:
    """The values that tell what a record is: those of all records are looked up, others of wanted ones alone."""
    slots = [slot for name, slot in shape.columns if slot is not None and name in _TOLD_FIRST]
    return [*(slot.index for slot in slots), *shape.fragile, *(index for index, _ in shape.nested)]


def _asked(shape: Shape, first: Sequence[int] | None) -> Ask:
    """What is asked for of a shape's values. `first`: None: all of them.

    The sizes of all values are looked at, needed or not: what the walker would not read is for the walker to say.
    """

    def ask(count: int) -> Asked:
        looked_at = np.ones(count, bool)
        looked_at[[index for index, _ in shape.nested if index < count]] = False
        some = range(count) if first is None else sorted({index for index in first if index < count})
        return Asked(np.array(some, np.int64), looked_at)

    return ask


def _readable(shape: Shape) -> bool:
    return any(name == "event_id" for name, _ in shape.columns) and len(shape.nested) <= 1


def _names(shape: Shape) -> set[str]:
    return {name for name, _ in (*shape.columns, *shape.joined)} | ({schema.DATA} if shape.items else set())


def _enough(shape: Shape, count: int) -> bool:
    """Whether there are as many values as the shape speaks of."""
    sources = (*(slot for _, slot in shape.columns), *shape.items, *(slot for _, some in shape.joined for slot in some))
    used = [slot.index for slot in sources if slot is not None]
    return max((*used, *shape.others, *(index for index, _ in shape.nested)), default=-1) < count


def _by_type(batch: Batch, group: _Group) -> Iterator[tuple[EventType, I64]]:
    """Which records are of the same channel, event id and provider."""
    if not group.found.rows.size:
        return
    names = len(batch.names.texts)
    key = (group.event_id * names + group.names["channel"]) * names + group.names["provider"]
    for value in distinct_numbers(key):
        chosen = np.flatnonzero(key == value)
        channel = batch.names.texts[int(group.names["channel"][chosen[0]])]
        yield EventType(channel or "", int(group.event_id[chosen[0]])), chosen


_KINDS: dict[tuple[str | None, int], dict[str, Kind]] = {}


def _kinds(provider: str | None, event_id: int) -> dict[str, Kind]:
    if (provider, event_id) not in _KINDS:
        if len(_KINDS) > 10_000:  # made-up ones, then
            _KINDS.clear()
        _KINDS[provider, event_id] = schema.kinds((provider,), event_id)
    return _KINDS[provider, event_id]


def _numbered(batch: Batch, found: Values, slot: Slot, bad: Mask) -> I64:
    """The numbers of the texts of one value, which few texts share; `bad` where it is no text, or one too many."""
    kind, size, at = found.kind[slot.index], found.size[slot.index], found.at[slot.index]
    which, firsts = _alike(batch, found, slot.index, bad)
    numbers = np.zeros(len(firsts) + 1, np.int64)  # the last is for those that are bad
    fits = np.zeros(len(firsts) + 1, bool)
    for place, first in enumerate(firsts):
        raw = batch.data[at[first] : at[first] + size[first]].tobytes()
        try:
            null = values_of.is_null(int(kind[first]), len(raw))
            text = "" if null else values_of.text(int(kind[first]), raw)
        except ValueError:
            continue
        if isinstance(text, str):
            numbers[place], fits[place] = batch.names.number(None if null and slot.optional else text), True
    bad |= ~fits[which]
    return numbers[which]


def _alike(batch: Batch, found: Values, index: int, bad: Mask) -> tuple[I64, list[int]]:
    """For each value which of the distinct ones it is, -1 where it is `bad` or one too many; the first of each."""
    at, size, kind = found.at[index], found.size[index], found.kind[index]
    which = np.full(at.size, -1, np.int64)
    if native.kernels and not bad.any():
        first = np.empty(_TURNS, np.int64)
        count = native.kernels.alike(batch.data, at, size, kind, which, first)
        return which, first[:count].tolist()
    firsts: list[int] = []
    left = np.flatnonzero(~bad)
    while left.size and len(firsts) < _TURNS:
        one = int(left[0])
        equal = (kind[left] == kind[one]) & (size[left] == size[one])
        raw = batch.data[at[one] : at[one] + size[one]].tobytes()
        equal[equal] = framing.equal(batch.data, at[left[equal]], raw)
        which[left[equal]] = len(firsts)
        firsts.append(one)
        left = left[~equal]
    return which, firsts
