"""What a query is and how it is run, for people: `hunt show` and `hunt explain`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from hunt.coverage.named import one_of
from hunt.model import ANY_CHANNEL, ANY_ID, Hunt, Need
from hunt.output._safe import safe
from hunt.registry import Query
from hunt.rules.choose import Chosen
from hunt.rules.load import Rule
from hunt.rules.model import doc


def show(chosen: Chosen, out: TextIO) -> None:
    """What each looks for, in its own words."""
    _write((*map(_about, chosen.queries), *map(_about_unusable, chosen.unusable)), out)


def explain(chosen: Chosen, out: TextIO) -> None:
    """What each reads and asks, and what it can't tell; or why it can't be run."""
    _write((*map(_plan, chosen.queries), *map(_about_unusable, chosen.unusable)), out)


def _write(parts: tuple[Iterator[str], ...], out: TextIO) -> None:
    for number, lines in enumerate(parts):
        if number:
            out.write("\n")
        for line in lines:
            out.write(f"{safe(line)}\n")


def _about(query: Query) -> Iterator[str]:
    yield from _heading(query.hunt)
    yield ""
    yield from query.hunt.doc.split("\n")


def _heading(hunt: Hunt) -> Iterator[str]:
    yield f"{hunt.id}: {hunt.title}"
    techniques = f", {', '.join(hunt.attack)}" if hunt.attack else ""
    yield f"severity {hunt.severity}, risk {hunt.risk_score}{techniques}"


def _about_unusable(rule: Rule) -> Iterator[str]:
    yield f"{rule.id}: {rule.info.title or rule.file}"
    status = rule.error.status.value.replace("_", " ") if rule.error else ""
    yield f"{status}: {rule.error}"
    text = doc(rule.info)
    if text:
        yield ""
        yield from text.split("\n")


def _plan(query: Query) -> Iterator[str]:
    hunt = query.hunt
    yield from _heading(hunt)
    if hunt.needs:
        yield "needs"
        yield from (f"  {_need(need)}" for need in hunt.needs)
    for group in hunt.any_of:
        yield "needs one of" if len(group) > 1 else "needs"
        yield from (f"  {_need(need)}" for need in group)
    if hunt.instead:
        yield "or instead"
        yield from (f"  {_need(need)}" for need in hunt.instead)
    more = [need for need in hunt.reads if need.columns]
    if more:
        yield "also reads, for findings and where there is any"
        yield from (f"  {_need(need)}" for need in more)
    for help_ in hunt.helps:
        kinds = (Need(*kind, frozenset()) for kind in (help_.event_type, *help_.others))
        yield f"without {one_of(kinds)}: {help_.without}"
    for part in hunt.unknowns:
        yield f"counted: {part.said}"
    for limit in hunt.limits:
        yield f"limit: {limit}"
    lines = [*query.plan()]
    if lines:
        yield "plan"
        yield from (f"  {line}" for line in lines)


def _need(need: Need) -> str:
    channel = "any channel" if need.channel == ANY_CHANNEL else need.channel
    kind = f"any event of {channel}" if need.event_id == ANY_ID else f"event {need.event_id} of {channel}"
    others = ", ".join(sorted(need.columns - need.keys - {"*"})) or ("all fields" if "*" in need.columns else "")
    keys = f"{', '.join(sorted(need.keys))} (nothing matches without)" if need.keys else ""
    return f"{kind}: {'; '.join(part for part in (keys, others) if part)}".removesuffix(": ")
