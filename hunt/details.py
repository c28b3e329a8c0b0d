"""All fields of the events that findings name: hunts read only some columns, so these few records are read again."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import polars as pl

from hunt.events import printed
from hunt.evidence import Collection
from hunt.model import Batch, Evidence, Parser

Reader = Callable[[Parser, Evidence, Sequence[int]], Batch]  # as Parser.records; raises OSError


def complete(events: pl.DataFrame, collected: Collection, read: Reader) -> pl.DataFrame:
    """EVENT_COLUMNS with `fields` as the first of each event's sources has them, all of them.

    What can't be read a second time keeps the fields that the hunt has seen.
    """
    files = {item.source: (item, parser) for item, parser in collected.files}
    first = pl.col("sources").list.first()
    places = events.select(path=first.struct.field("path"), offset=first.struct.field("offset"))
    fields: dict[tuple[str, int], str] = {}
    for (path,), rows in places.drop_nulls().unique(maintain_order=True).group_by("path", maintain_order=True):
        if path not in files:
            continue
        item, parser = files[str(path)]
        try:
            batch = read(parser, item, rows["offset"].to_list())
        except OSError:
            continue
        for kind, frame in batch.frames.items():
            for offset, shown in zip(frame["offset"], printed(frame, kind.event_id), strict=True):
                fields[item.source, offset] = json.dumps(shown, ensure_ascii=False)
    known = [fields.get((path, offset)) for path, offset in places.iter_rows()]
    return events.with_columns(pl.coalesce(pl.Series("known", known, dtype=pl.String), "fields").alias("fields"))
