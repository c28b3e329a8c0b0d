"""Events and fields made up for tests: a case and a catalogue in one, small enough to see through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from hunt import schema
from hunt.ecs import FieldInfo
from hunt.eql.engine import Outcome, evaluate
from hunt.eql.parser import parse
from hunt.eql.plan import compile
from hunt.model import EventType, Settings, Status
from hunt.rules.model import RuleError

Row = dict[str, Any]


class World:
    """Event types of a channel `c`, one a category. A row has `time` (seconds), `id` and fields; absent ones are null.

    `fields`: the type of each field, `text` unless said otherwise; `many:text` has several values.
    """

    settings = Settings()

    def __init__(self, events: Sequence[Row], fields: Mapping[str, str] | None = None) -> None:
        self.fields = dict(fields or {})
        self.asked: list[EventType] = []
        names = {name: None for row in events for name in row if name not in ("time", "id", "category")}
        self.categories = list(dict.fromkeys(row.get("category", "any") for row in events))
        self.has: dict[EventType, dict[str, FieldInfo]] = {}
        self._frames: dict[EventType, pl.DataFrame] = {}
        for number, category in enumerate(self.categories, 1):
            kind = EventType("c", number)
            own = [row for row in events if row.get("category", "any") == category]
            info = {name: self._info(name) for name in names if any(row.get(name) is not None for row in own)}
            constants = {
                "event.category": FieldInfo("text", True, constant=(str(category),)),
                "event.code": FieldInfo("text", constant=(str(number),)),
            }
            self.has[kind] = {**info, **constants}
            times = [None if row.get("time", 0) is None else round(row.get("time", 0) * 1e9) for row in own]
            self._frames[kind] = pl.DataFrame(
                {
                    "time": pl.Series(times, dtype=pl.Int64).cast(pl.Datetime("ns", "UTC")),
                    "record_id": pl.Series([row.get("id", n) for n, row in enumerate(own)], dtype=pl.UInt64),
                    "host": ["h"] * len(own),
                    **{name: pl.Series([row.get(name) for row in own], dtype=info[name].dtype) for name in info},
                }
            )

    def _info(self, name: str) -> FieldInfo:
        many, _, kind = self.fields.get(name, "text").rpartition(":")
        return FieldInfo(kind, bool(many), frozenset({name}), fraction=kind == "number" and name.startswith("f"))  # type: ignore[arg-type]

    def frame(self, channel: str, event_id: int) -> pl.LazyFrame:
        self.asked.append(EventType(channel, event_id))
        return self._frames[EventType(channel, event_id)].lazy()

    def event_types(self, codes: Sequence[int] = ()) -> Sequence[EventType]:
        return tuple(self.has)

    def describe(self, kind: EventType, name: str) -> FieldInfo | None:
        return self.has[kind].get(name)

    def over(self, case: object, kind: EventType, events: pl.LazyFrame, names: Sequence[str]) -> pl.LazyFrame:
        return events.select(*schema_of(events), *(n for n in names if n not in schema_of(events)))

    def ask(self, *queries: str) -> Outcome:
        """All that some queries match, evaluated together."""
        return evaluate(self, [compile(parse(query), self) for query in queries], self)  # type: ignore[arg-type]

    def ids(self, query: str) -> list[tuple[int, ...]]:
        """The ids of the events of each match."""
        outcome = self.ask(query)
        assert not outcome.errors, outcome.errors
        found: dict[int, list[int]] = {}
        for match, event_id, row in outcome.hits.select("match", "event_id", "row").iter_rows():
            found.setdefault(match, []).append(self._frames[EventType("c", event_id)]["record_id"][row])
        return [tuple(ids) for ids in found.values()]

    def met(self, condition: str) -> list[int]:
        """The ids of the events that meet a condition; of one that none can meet none."""
        try:
            return sorted(id_ for (id_,) in self.ids(f"any where {condition}"))
        except RuleError as error:
            if error.status is Status.NOT_EVALUABLE:
                return []
            raise


def schema_of(events: pl.LazyFrame) -> list[str]:
    return [name for name in events.collect_schema() if name in schema.CORE]


def said(value: object) -> str:
    """A text as a query writes it."""
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'
