"""All fields of the events that findings name: hunts read only some columns, so these few records are read again.

Fields are told by name, in their order: which of a log stands first depends on what else is read with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence

import polars as pl

from hunt import schema
from hunt.events import printed
from hunt.evidence import Collection
from hunt.model import ALL_COLUMNS, Batch, EventType, Evidence, Parser, Wants
from hunt.store.parser import Stored

Reader = Callable[[Parser, Evidence, Sequence[int]], Batch]  # as Parser.records; raises OSError
Sweep = Callable[[Parser, Evidence, Wants], Iterator[Batch]]  # a whole file
Seen = Callable[[pl.DataFrame], pl.Series]  # `fields` of events as hunts have read them

# Events of one file: one by one they take a millisecond or two each, so for more of them the file is decoded again.
MANY = 2000


def complete(
    events: pl.DataFrame, collected: Collection, read: Reader, seen: Seen | None = None, sweep: Sweep | None = None
) -> pl.DataFrame:
    """EVENT_COLUMNS with `fields` as the first of each event's sources has them, all of them.

    What can't be read a second time keeps what it has, or else what `seen` tells of it. Without `sweep` every event is
    read by itself, however many there are.
    """
    files = {item.source: (item, parser) for item, parser in collected.files}
    first = pl.col("sources").list.first()
    placed = (first.struct.field("path"), first.struct.field("offset"))
    places = events.select("channel", "event_id", "host", "time", path=placed[0], offset=placed[1])
    fields: dict[tuple[str, int], str] = {}
    in_cases: dict[object, list[pl.DataFrame]] = {}
    for (path,), rows in places.drop_nulls("path").group_by("path", maintain_order=True):
        if path in files:
            item, parser = files[str(path)]
            if isinstance(parser, Stored):
                in_cases.setdefault(parser.together, []).append(rows)
                continue
            for batch in _batches(item, parser, rows, read, sweep):
                fields.update(_texts(batch))
    for parts in in_cases.values():
        _, parser = files[parts[0]["path"][0]]
        assert isinstance(parser, Stored)
        for batch in parser.events(pl.concat(parts)):
            fields.update(_texts(batch))
    known = [fields.get(place) for place in places.select("path", "offset").iter_rows()]
    told = events.select(pl.coalesce(pl.Series("known", known, dtype=pl.String), "fields").alias("fields"))["fields"]
    lost = told.is_null().arg_true()
    if seen and lost.len():
        told = told.scatter(lost, seen(events[lost]))
    return events.with_columns(told.alias("fields"))


def _texts(batch: Batch) -> Iterator[tuple[tuple[str, int], str]]:
    for kind, frame in batch.frames.items():
        told = printed(_ordered(frame), kind.event_id)
        for source, offset, shown in zip(frame["source"], frame["offset"], told, strict=True):
            yield (source, offset), json.dumps(shown, ensure_ascii=False)


def _batches(item: Evidence, parser: Parser, rows: pl.DataFrame, read: Reader, sweep: Sweep | None) -> Iterator[Batch]:
    """The events of a file at these places (channel, event_id, offset), with all of their fields."""
    offsets = rows["offset"].drop_nulls().unique().sort()
    if sweep and offsets.len() > MANY:
        kinds = rows.select("channel", "event_id").unique().iter_rows()
        wants = Wants({EventType(channel, event_id).key: ALL_COLUMNS for channel, event_id in kinds})
        met = [offsets.clear()]
        for batch in sweep(parser, item, wants):
            few = {
                kind: frame.filter(pl.col("offset").is_in(offsets.implode())) for kind, frame in batch.frames.items()
            }
            met += [frame["offset"] for frame in few.values()]
            yield Batch(few, batch.census)
        # What has no place in a whole file, such as stale records; not all if the sweep was ended.
        offsets = offsets.filter(~offsets.is_in(pl.concat(met).implode())).head(MANY)
    try:
        yield from (read(parser, item, part) for part in _in_turns(offsets.to_list()))
    except OSError:
        return


def _ordered(frame: pl.DataFrame) -> pl.DataFrame:
    """With its own fields by name."""
    named = (*schema.CORE, *schema.SYSTEM)
    return frame.select(*(c for c in named if c in frame.columns), *sorted(set(frame.columns) - set(named)))


_AT_ONCE = 500  # records: parsers look for each of them in every part of the file that any of them lies in


def _in_turns(offsets: Sequence[int]) -> Iterable[Sequence[int]]:
    return (offsets[begin : begin + _AT_ONCE] for begin in range(0, len(offsets), _AT_ONCE))
