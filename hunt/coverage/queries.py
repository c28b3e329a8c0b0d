"""Which queries could have fired, on which hosts and when, and what was missing where they could not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import polars as pl

from hunt import hunting
from hunt.coverage import rules
from hunt.coverage.able import Able, Way, helping, required
from hunt.coverage.facts import Fact, counted, key
from hunt.coverage.holes import Holes, span
from hunt.coverage.logs import Census
from hunt.coverage.named import event, in_its_place, one_of
from hunt.hunting import Counted
from hunt.model import ANY_ID, EventType, Need, QueryResult, Status, Unknown
from hunt.parts import Parts
from hunt.registry import Query


def unknown(parts: Parts, queries: Sequence[Query]) -> Iterator[Fact]:
    """Facts of the kind not_evaluable: of how many processes of a host a query could not tell all it asks."""
    return unknown_of(hunting.counted(parts, [query.hunt for query in queries]), queries)


def unknown_of(counts: Counted, queries: Iterable[Query]) -> Iterator[Fact]:
    """As `unknown`, of what was counted. A fact without a count: it could not be told how many."""
    for query in queries:
        for part in query.hunt.unknowns:
            of = part.reads[0]
            for host, count, total in counts.rows.get(part, ()):
                if count != 0:
                    number = f"not counted, {counts.why}" if count is None else f"{count} of {counted(total, part.of)}"
                    detail = f"{part.said}{_OF}{number}"
                    yield Fact(
                        "not_evaluable", host, of.channel, query.hunt.id, of.event_id, count=count, detail=detail
                    )


_OF = ": "


def with_unknown(
    results: Iterable[QueryResult], queries: Iterable[Query], facts: Iterable[Fact]
) -> Iterator[QueryResult]:
    """The results, each saying of how many processes it could not tell all it asks; partly where that is vital."""
    numbers: Counter[tuple[str, str]] = Counter()
    uncounted: dict[tuple[str, str], str] = {}
    for fact in facts:
        if fact.count is None:
            said, _, why = fact.detail.partition(f"{_OF}not counted")
            uncounted[fact.query, said] = f"not counted{why}"
        else:
            numbers[fact.query, fact.detail.rpartition(_OF)[0]] += fact.count
    for result, query in zip(results, queries, strict=True):
        told: list[tuple[Unknown, str]] = []
        for part in query.hunt.unknowns:
            asked = query.hunt.id, part.said
            if numbers[asked] or asked in uncounted:
                told.append((part, uncounted.get(asked) or counted(numbers[asked], part.of)))
        partly = result.status == Status.RAN and any(part.vital for part, _ in told)
        reason = "; ".join((*filter(None, [result.reason]), *(f"{part.said}{_OF}{number}" for part, number in told)))
        yield replace(result, reason=reason, status=Status.PARTLY if partly else result.status)


def count(results: Iterable[QueryResult], findings: pl.DataFrame) -> Iterator[QueryResult]:
    """The results with the number of findings of each."""
    counts = dict(findings.group_by("query").len().iter_rows())
    return (replace(result, findings=counts.get(result.query, 0)) for result in results)


def by_host(
    queries: Sequence[Query], results: Sequence[QueryResult], able: Able, census: Census, told: Sequence[Fact]
) -> Iterator[Fact]:
    """Facts of the kinds query and query_missing: for each host, when a query could have fired and what it lacked.

    Of rules, which may be thousands, `rules.by_host` tells.
    """
    holes = Holes(told, census)
    for query, result in zip(queries, results, strict=True):
        if not query.ours:
            continue
        hunt = query.hunt
        hidden = any(able.hides(need.channel) for need in required(hunt))
        ran = {key(host) for host in result.hosts_ran}
        for host in (*result.hosts_ran, *result.hosts_not_evaluable):
            fired = key(host) in ran
            way = able.way(hunt, host)
            used = way or Way(hunt.needs, hunt.any_of)
            lacking = [*_lacking(query, host, census, able, way)]
            vital = "" if hidden else ", ".join(dict.fromkeys(_what(fact) for fact, is_vital in lacking if is_vital))
            start, end = span(used, host, census) if fired else (None, None)
            said = "could have fired" if fired else f"could not fire: {vital or result.reason}"
            notes = holes.notes(used, host, start is not None) if fired else []
            yield Fact("query", host, "", hunt.id, None, start, end, detail="; ".join((said, *notes)))
            yield from (fact for fact, _ in lacking)
    yield from rules.by_host(queries, results, able, census, holes)


def _what(lacking: Fact) -> str:
    return lacking.detail.partition(": ")[0]


def _lacking(query: Query, host: str, census: Census, able: Able, way: Way | None) -> Iterator[tuple[Fact, bool]]:
    """(what a query lacks on a host, whether it could not run for that); `way`: by what it can run there."""
    hunt = query.hunt
    lost = "the query could not be evaluated" if way is None else in_its_place(hunt)

    def fact(of: Need | EventType, detail: str) -> Fact:
        event_id = None if of.event_id == ANY_ID else of.event_id
        return Fact("query_missing", host, of.channel, hunt.id, event_id, detail=detail)

    for each in (hunt.needs, hunt.instead):
        used = way is not None and each == way.all_of
        if not used and way is not None and way.all_of == hunt.needs:
            continue  # what could stand in for them is of no use
        for need in each:
            if census.span(host, need.channel, need.event_id) is None:
                if used:
                    yield fact(need, f"{event(need)} was only recovered: most are missing"), False
                else:
                    yield fact(need, f"no {event(need)}: {lost}"), True
            yield from ((fact(need, detail), is_vital) for detail, is_vital in _fields(able, need, host, lost))
    for group in hunt.any_of:
        met = [need for need in group if way is not None and need in way.used]
        if not met:
            yield fact(group[0], f"no {one_of(group)}: {lost}"), True
        for need in met:
            yield from ((fact(need, detail), is_vital) for detail, is_vital in _fields(able, need, host, lost))
    for help_ in hunt.helps:
        kind = helping(hunt, help_, way is not None and bool(hunt.instead) and way.all_of == hunt.instead)
        alike = (kind, *help_.others)
        if all(census.span(host, each.channel, each.event_id) is None for each in alike):
            said = one_of(Need(*each, frozenset()) for each in alike)
            yield fact(kind, f"no {said}: {help_.without}"), False


def _fields(able: Able, need: Need, host: str, lost: str) -> Iterator[tuple[str, bool]]:
    vital = able.keys_lacking(need, host)
    others = [field for field in able.lacking(need, host) if field not in vital]
    if vital:
        yield f"no {', '.join(vital)} in {event(need)}: {lost}", True
    if others:
        yield f"no {', '.join(others)} in {event(need)}: what they tell is not known", False
