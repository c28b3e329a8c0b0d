"""One row a fact: what coverage.csv holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter

import polars as pl

from hunt import schema

# `start`, `end` are UTC; `count` and `bytes` are of what `kind` names; README says of each kind what they mean.
FACTS: Mapping[str, pl.DataType] = {
    "host": pl.String(),
    "channel": pl.String(),
    "kind": pl.String(),
    "query": pl.String(),
    "event_id": pl.UInt32(),
    "start": schema.TIME,
    "end": schema.TIME,
    "count": pl.UInt64(),
    "bytes": pl.UInt64(),
    "detail": pl.String(),
    "source": pl.String(),
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One row of FACTS; times in ns since 1970, so that none of them is rounded."""

    kind: str
    host: str = ""
    channel: str = ""
    query: str = ""
    event_id: int | None = None
    start: int | None = None
    end: int | None = None
    count: int | None = None
    bytes: int | None = None
    detail: str = ""
    source: str = ""


_FIELDS = tuple(Fact.__dataclass_fields__)
_cells = attrgetter(*_FIELDS)


def frame(told: Iterable[Fact]) -> pl.DataFrame:
    """FACTS, sorted by all of them, each once; what does not apply is null."""
    types = {c: pl.Int64() if c in ("start", "end") else d for c, d in FACTS.items()}
    rows = pl.DataFrame([_cells(fact) for fact in told], schema=[(c, types[c]) for c in _FIELDS], orient="row")
    typed = rows.select(pl.col(c).cast(dtype) for c, dtype in FACTS.items())
    return typed.with_columns(pl.col(pl.String).replace("", None)).unique().sort(*FACTS, nulls_last=True)


def span(seconds: float) -> str:
    """A length of time for people: `45 s`, `12 min`, `9.5 h`, `12 days`."""
    size = abs(seconds)
    if size < 120:
        return f"{seconds:.3g} s"
    if size < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if size < 172_800 else f"{seconds / 86400:.0f} days"


def counted(number: int, thing: str) -> str:
    """`1 gap`, `2 gaps`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def key(text: str | None) -> str:
    """What two spellings of a host or a channel have in common."""
    return (text or "").lower()
