"""Coverage for a terminal, by rich: a page a host; in few lines what a run could not see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TextIO

import polars as pl
from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from hunt.coverage.facts import counted
from hunt.output._console import Page
from hunt.output._safe import safe

# What deserves a line of its own, in this order; `holes` is what makes an empty result worth less.
NAMES = {
    "cleared": "log cleared",
    "damage": "not read",
    "checksum": "checksum wrong",
    "empty": "empty log",
    "restart": "log began anew",
    "gap": "records missing",
    "silence": "silence",
    "time_backwards": "time went back",
    "clock_step": "clock",
    "sysmon_state": "Sysmon",
    "sysmon_config": "Sysmon",
    "sysmon_error": "Sysmon",
    "outlook_alive": "Outlook ran",
    "new_outlook_only": "new Outlook",
    "collected": "chosen events",
}
_BRIEF = 5  # facts of a kind that are told for each host; all of them stand in coverage.csv


def show(facts: pl.DataFrame, out: TextIO) -> None:
    """A page a host."""
    console = Page(out)
    for line in _pages(facts):
        console.print(line)


def _pages(facts: pl.DataFrame) -> Iterator[RenderableType]:
    facts = facts.with_columns(pl.col(pl.String).fill_null(""))
    hosts = facts["host"].unique().to_list()
    for host in sorted(hosts, key=lambda name: (name == "", name)):  # what belongs to no host comes last
        yield Text(safe(host) or "Other evidence", "bold")
        yield from _page(facts.filter(host=host))
        yield Text("")


def _indented(depth: int, *parts: str | tuple[str, str]) -> Padding:
    """A line; what of it does not fit stands below its beginning."""
    return Padding(Text.assemble(*parts), (0, 0, 0, 2 * depth), expand=False)


def _page(own: pl.DataFrame) -> Iterator[RenderableType]:
    for row in own.filter(kind="channel").iter_rows(named=True):
        yield _indented(1, safe(row["channel"] or "no channel"), (f"  {_when(row)}", "dim"))
        ids = own.filter(kind="event", channel=row["channel"]).sort("event_id").select("event_id", "count")
        shown = ", ".join(f"{event_id} ({count})" for event_id, count in ids.head(_MANY).iter_rows())
        more = f" and {ids.height - _MANY} more" if ids.height > _MANY else ""
        yield _indented(2, f"{counted(row['count'], 'record')}; event ids {shown}{more}")
    for kind in NAMES:
        told = own.filter(kind=kind)
        for row in told.head(_BRIEF).iter_rows(named=True):
            yield _line(kind, row)
        if told.height > _BRIEF:
            yield _indented(1, (f"{NAMES[kind]}: {told.height - _BRIEF} more (coverage.csv)", "dim"))
    rules = own.filter(kind="rules").sort("count", "detail", descending=[True, False])
    for row in rules.head(_RULES).iter_rows(named=True):
        yield _indented(1, (f"{_when(row)}; " if row["start"] is not None else "") + safe(row["detail"]))
    if rules.height > _RULES:
        left = counted(int(rules["count"].slice(_RULES).sum()), "rule")
        yield _indented(1, (f"and {left} on {rules.height - _RULES} other sets of events (coverage.csv)", "dim"))
    for row in own.filter(kind="query").iter_rows(named=True):
        yield from _query(row, own.filter(pl.col("kind").is_in(["query_missing", "not_evaluable"]), query=row["query"]))


def _query(row: Mapping[str, Any], lacking: pl.DataFrame) -> Iterator[Padding]:
    """Whether a query could have fired, when, and what that leaves open; if it could not, what it needs is enough."""
    able = row["detail"].startswith("could have fired")
    when = f"{_when(row)}; " if row["start"] is not None else ""
    yield _indented(1, (f"{row['query']}: ", "bold" if able else "bold yellow"), when + safe(row["detail"]))
    if able:
        for detail in lacking["detail"]:
            yield _indented(2, (safe(detail), "yellow"))


_RULES = 12  # sets of event types that rules of files need of a host, the commonest
_MANY = 12  # event ids of a channel that are shown


def _line(kind: str, row: Mapping[str, Any]) -> Padding:
    where = row["channel"] or row["source"] or ""
    when = _when(row)
    size = "" if row["bytes"] is None else f" ({row['bytes']} bytes)"
    parts = (when, where, row["detail"] + size)
    return _indented(1, (f"{NAMES[kind]}: ", "yellow"), safe("; ".join(part for part in parts if part)))


def _when(row: Mapping[str, Any]) -> str:
    start, end = (f"{time:%Y-%m-%d %H:%M:%S}" if time is not None else "" for time in (row["start"], row["end"]))
    if not (start or end):
        return ""
    return f"{start} UTC" if start == end else f"{start or '?'} to {end or '?'} UTC"


def summary(facts: pl.DataFrame) -> Iterator[Text]:
    """What a run could not see, in few lines: holes in the evidence, and when Outlook was running already."""
    holes = [
        _count(facts.filter(kind="gap"), "gap", "records missing"),
        _count(facts.filter(kind="silence"), "silence"),
        _count(facts.filter(kind="cleared"), "cleared log"),
        _count(facts.filter(kind="restart"), "log begun anew", plural="logs begun anew"),
        _count(
            facts.filter(pl.col("kind").is_in(["clock_step", "time_backwards"])),
            "step of the clock",
            plural="steps of the clock",
        ),
        _count(facts.filter(pl.col("kind").is_in(["damage", "checksum"])), "damaged part"),
    ]
    told = [hole for hole in holes if hole]
    if told:
        yield Text.assemble(("Holes in the evidence: ", "bold yellow"), ", ".join(told), " (hunt coverage)")
    alive = facts.filter(kind="outlook_alive")
    if alive.height:
        hosts = alive["host"].n_unique()
        what = f"{alive.height} interval{'s' * (alive.height != 1)} on {hosts} host{'s' * (hosts != 1)}"
        yield Text.assemble(("Outlook was running already: ", "bold yellow"), what, "; hunts on starts are blind there")
    new = facts.filter(kind="new_outlook_only")
    if new.height:
        names = ", ".join(safe(host) for host in new["host"].unique().sort().head(3))
        more = f" and {new.height - 3} more" if new.height > 3 else ""
        yield Text.assemble(("Only the new Outlook: ", "bold"), names, more)


def _count(facts: pl.DataFrame, name: str, what: str = "", plural: str = "") -> str:
    if not facts.height:
        return ""
    number = facts.height
    said = f"{number} {name if number == 1 else plural or name + 's'}"
    return f"{said} ({int(facts['count'].sum())} {what})" if what else said
