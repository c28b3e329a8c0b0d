"""What of an earlier run is looked at: some of its findings, or one of them with its events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TextIO

import polars as pl

from hunt import findings
from hunt.earlier import Earlier, table
from hunt.errors import HuntError
from hunt.filters import GRADES, Filters
from hunt.model import Report, Severity
from hunt.output import safe
from hunt.output._rows import flat


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which findings: all that is given must fit; of several queries or users one. Names without case, * and ?."""

    severity: Severity | None = None  # or worse
    queries: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    contains: str | None = None
    unsuppressed: bool = False
    filters: Filters = field(default_factory=Filters)


def choose(found: pl.DataFrame, wanted: Wanted) -> pl.DataFrame:
    """The findings wanted, in their order. A name that no finding has is a HuntError: it may be mistyped."""
    kept = found
    if wanted.severity:
        able = [s.value for s in Severity if s.rank >= wanted.severity.rank]
        kept = kept.filter(pl.col("severity").is_in(able))
    for column, patterns in (("query", wanted.queries), ("user", wanted.users), ("host", wanted.filters.hosts)):
        if patterns:
            kept = kept.filter(pl.col(column).is_in(_named(found, column, patterns, wanted.filters)))
    if wanted.unsuppressed:
        kept = kept.filter(pl.col("suppressed").is_null())
    if wanted.filters.min_grade:
        worse = GRADES[GRADES.index(wanted.filters.min_grade) + 1 :]
        kept = kept.filter(~pl.col("grade").fill_null("").is_in(worse))
    times = Filters(wanted.filters.since, wanted.filters.until)
    begin = times.inside(kept.select("host", pl.coalesce("start", "end").alias("time"), "finding_id"))
    last = times.inside(kept.select("host", pl.coalesce("end", "start").alias("time"), "finding_id"))
    inside = pl.concat([begin, last])["finding_id"].unique()
    kept = kept.filter(pl.col("finding_id").is_in(inside.implode()))
    if wanted.contains:
        asked = wanted.contains.lower()
        texts = [pl.col(c) for c, d in flat(kept).schema.items() if d == pl.String]
        met = (text.str.to_lowercase().str.contains(asked, literal=True) for text in texts)
        has = flat(kept).select(pl.any_horizontal(met))
        kept = kept.filter(has[:, 0].fill_null(value=False))
    return kept


def _named(found: pl.DataFrame, column: str, patterns: Sequence[str], filters: Filters) -> list[str]:
    there = found[column].drop_nulls().unique().sort().to_list()
    shows = filters.shows_host if column == "host" else lambda name: any(_alike(name, p) for p in patterns)
    met = [name for name in there if shows(name)]
    if there and not met:
        have = ", ".join(safe(name) for name in there[:_NAMED])
        more = f" and {len(there) - _NAMED} more" if len(there) > _NAMED else ""
        raise HuntError(f"no finding has the {column} {safe(' or '.join(patterns))} (have: {have}{more})")
    return met


_NAMED = 10  # names that an error lists


def _alike(name: str, pattern: str) -> bool:
    r"""Of a user also the name without its domain: alice for CONTOSO\alice."""
    low, asked = name.lower(), pattern.lower()
    return fnmatchcase(low, asked) or fnmatchcase(low.rpartition("\\")[2], asked)


def report(known: Earlier, kept: pl.DataFrame) -> Report:
    """Some findings of a run as outputs take them: with nothing but their events."""
    events = _events(known).filter(pl.col("finding_id").is_in(kept["finding_id"].implode()))
    hosts = tuple(kept["host"].drop_nulls().unique().sort())
    options = {"csv": "raw" if known.raw else "safe"}
    return Report(kept, events, (), (), (), (), hosts, 0, options)


def _events(known: Earlier) -> pl.DataFrame:
    needed = ("finding_id", "step", "time", "channel", "event_id")
    return table(known.folder / "events.csv", findings.EVENT_COLUMNS, needed, known.raw)


def detail(known: Earlier, finding: pl.DataFrame, out: TextIO) -> None:
    """All columns that say something, then its events with all of their fields: a line each."""
    for name, value in flat(finding).row(0, named=True).items():
        if value is not None and value != "":
            out.write(f"{name + ':':<22} {safe(str(value))}\n")
    own = _events(known).filter(pl.col("finding_id") == finding["finding_id"][0])
    for row in flat(own).iter_rows(named=True):
        number = "" if row["record_id"] is None else f", record {row['record_id']}"
        out.write(f"\nevent {row['step']}: {row['time'] or 'no time'}, {safe(row['channel'] or '')} {row['event_id']}")
        out.write(f"{number}\n")
        out.write(f"  sources {safe(row['sources'] or '')}\n  fields  {safe(row['fields'] or '')}\n")
