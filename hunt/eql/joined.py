"""What the steps of one query met -> its matches, a row for each event of each match."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from hunt.eql import syntax
from hunt.eql.plan import Plan
from hunt.eql.samples import samples
from hunt.eql.sequences import Chains, Events, Ints, chains, without
from hunt.eql.syntax import Pipe
from hunt.model import EventType

_SEEDS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)


@dataclass(frozen=True, slots=True)
class Met:
    """Events of one type that meet a step. `rows`: of `case.frame`; `places`: time, record_id; `keys`: one column each.

    An event stands in several rows if it has several keys.
    """

    kind: EventType
    rows: Ints
    places: pl.DataFrame
    keys: pl.DataFrame


def matches(plan: Plan, met: Sequence[Sequence[Met]]) -> pl.DataFrame:
    """match (from 0), step (from 1), channel, event_id, row. `met`: for each of `plan.every`."""
    body = plan.query.body
    single = isinstance(body, syntax.Event)
    if single and not plan.query.pipes:
        return _singles(met[0])
    known = _Known.of(met, single)
    steps = known.steps
    if isinstance(body, syntax.Event):
        order = np.sort(steps[0].order)
        found = Chains(np.zeros(len(order), np.int64), order[:, None])
        positions = [1]
    elif isinstance(body, syntax.Sample):
        found, positions = samples(steps), [*range(1, len(body.steps) + 1)]
    else:
        found, positions = _sequence(plan, body, steps, known.time)
    for pipe in plan.query.pipes:
        found = found.only(_piped(pipe, len(found.key)))
    return known.told(found, positions)


def _singles(met: Sequence[Met]) -> pl.DataFrame:
    """Every event for itself."""
    parts = [
        pl.DataFrame(
            {
                "step": pl.Series([1], dtype=pl.UInt32).new_from_index(0, len(part.rows)),
                "channel": pl.Series([part.kind.channel]).new_from_index(0, len(part.rows)),
                "event_id": pl.Series([part.kind.event_id], dtype=pl.UInt32).new_from_index(0, len(part.rows)),
                "row": pl.Series(part.rows.astype(np.uint32)),
            }
        )
        for part in met
    ]
    empty = pl.DataFrame(schema={"step": pl.UInt32, "channel": pl.String, "event_id": pl.UInt32, "row": pl.UInt32})
    return pl.concat([empty, *parts]).with_row_index("match")


def _sequence(plan: Plan, body: syntax.Sequence, steps: Sequence[Events], time: Ints) -> tuple[Chains, list[int]]:
    """(matches, the step that each of their events is for)."""
    positive: list[Events] = []
    positions: list[int] = []
    missing = []
    for number, (step, events) in enumerate(zip(body.steps, steps, strict=False)):
        if step.missing:
            missing.append((len(positive), events))
        else:
            positive += [events] * step.runs
            positions += [number + 1] * step.runs
    until = steps[-1] if plan.until else None
    found = chains(positive, time, body.maxspan, until)
    if missing:
        assert body.maxspan is not None  # the parser asks for it
        found = without(found, missing, len(positive), time, body.maxspan)
    return found, positions


def _piped(pipe: Pipe, count: int) -> Ints:
    every = np.arange(count, dtype=np.int64)
    return every[: pipe.count] if pipe.name == "head" else every[-pipe.count :]


@dataclass(frozen=True, slots=True)
class _Known:
    """All events that meet any step, numbered in their order: by time, record id, event type and row."""

    steps: tuple[Events, ...]
    time: Ints  # ns, by number
    kinds: tuple[EventType, ...]
    kind: npt.NDArray[np.int64]  # by number: of `kinds`
    row: Ints  # by number: of `case.frame`

    @staticmethod
    def of(met: Sequence[Sequence[Met]], timeless: bool) -> _Known:
        """`timeless`: also events of no time, which stand in no sequence."""
        parts = [part for step in met for part in step]
        kinds = tuple(sorted({part.kind for part in parts}))
        heights = [max(int(part.rows.max(initial=-1)) + 1 for part in parts if part.kind == kind) for kind in kinds]
        offset = dict(zip(kinds, np.cumsum([0, *heights]).tolist(), strict=False))
        total = sum(heights)
        place = [part.rows + offset[part.kind] for part in parts]
        timed = np.zeros(total, bool)
        time, record = np.zeros(total, np.int64), np.zeros(total, np.uint64)
        for part, at in zip(parts, place, strict=True):
            timed[at] = part.places["time"].is_not_null().to_numpy()
            time[at] = part.places["time"].to_physical().fill_null(0).to_numpy()
            record[at] = part.places["record_id"].fill_null(0).to_numpy()
            timed[at] |= timeless
        there = np.flatnonzero(timed)
        # Twice a stable sort: logs are mostly in order, and then it costs next to nothing.
        by = np.argsort(record[there], kind="stable")
        by = by[np.argsort(time[there[by]], kind="stable")]
        ordered = there[by]
        number = np.full(total, -1, np.int64)
        number[ordered] = np.arange(len(ordered))
        keys = _numbered([part.keys for part in parts], [len(part.rows) for part in parts])
        own = iter(zip(place, keys, strict=True))
        steps = []
        for step in met:
            some = [next(own) for _ in step]
            order = number[np.concatenate([np.empty(0, np.int64), *(at for at, _ in some)])]
            key = np.concatenate([np.empty(0, np.int64), *(own_keys for _, own_keys in some)])
            steps.append(Events(order[order >= 0], key[order >= 0]))
        edges = np.cumsum([0, *heights])
        kind = np.searchsorted(edges, ordered, "right") - 1
        return _Known(tuple(steps), time[ordered], kinds, kind, ordered - edges[kind])

    def told(self, found: Chains, positions: Sequence[int]) -> pl.DataFrame:
        """A row an event."""
        count, width = found.events.shape
        order = found.events.reshape(-1)
        kind = pl.Series(self.kind[order].astype(np.uint32))
        channels = pl.Series([kind.channel for kind in self.kinds], dtype=pl.String)
        ids = pl.Series([kind.event_id for kind in self.kinds], dtype=pl.UInt32)
        columns: Mapping[str, pl.Series] = {
            "match": pl.Series(np.repeat(np.arange(count, dtype=np.uint32), width)),
            "step": pl.Series(np.tile(np.array(positions, np.uint32), count)),
            "channel": channels.gather(kind),
            "event_id": ids.gather(kind),
            "row": pl.Series(self.row[order].astype(np.uint32)),
        }
        return pl.DataFrame(columns)


def _numbered(keys: Sequence[pl.DataFrame], heights: Sequence[int]) -> list[Ints]:
    """For each frame of keys their numbers: equal keys have equal numbers, and there are no more than needed."""
    if not keys or not keys[0].width:
        return [np.zeros(height, np.int64) for height in heights]
    every = pl.concat(keys)
    codes = _by_hash(every)
    if codes is None:
        texts = every.select(pl.struct(pl.all()).rank("dense").alias("code"))
        codes = texts["code"].to_numpy().astype(np.int64) - 1
    ends = np.cumsum(heights)
    return [codes[end - height : end] for height, end in zip(heights, ends, strict=True)]


def _by_hash(keys: pl.DataFrame) -> Ints | None:
    """Numbers by 64 bits of hash, proved by 64 others; None if two keys share the first and not the second."""
    one, two = (keys.hash_rows(seed=seed) for seed in _SEEDS)
    coded = one.to_arrow().dictionary_encode()
    codes = coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    first = np.empty(len(coded.dictionary), np.int64)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    proof = two.to_numpy()
    return codes if bool((proof[first][codes] == proof).all()) else None
