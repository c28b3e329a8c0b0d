"""What could have fired of rules in files: thousands of them, told by the event types that they need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from hunt.coverage.able import Able, Way
from hunt.coverage.facts import Fact, counted, key
from hunt.coverage.holes import Holes, span
from hunt.coverage.logs import Census
from hunt.coverage.named import one_of
from hunt.model import EventType, Hunt, Need, QueryResult
from hunt.registry import Query

Kinds = tuple[tuple[EventType, ...], ...]  # of each at least one


def by_host(
    queries: Sequence[Query], results: Sequence[QueryResult], able: Able, census: Census, holes: Holes
) -> Iterator[Fact]:
    """Facts of the kind rules, one a host and set of event types: `count` rules could have fired, or could not.

    Which rules these are stands in queries.csv, which names of each the hosts on which it ran.
    """
    fired: dict[Kinds, Counter[str]] = {}
    failed: dict[Kinds, Counter[str]] = {}
    for query, result in zip(queries, results, strict=True):
        if not query.ours:
            kinds = _kinds(query.hunt)
            fired.setdefault(kinds, Counter()).update(result.hosts_ran)
            failed.setdefault(kinds, Counter()).update(result.hosts_not_evaluable)
    for kinds, counts in fired.items():
        for host, count in counts.items():
            way = Way((), tuple(_there(able, group, host) for group in kinds))
            start, end = span(way, host, census)
            notes = holes.notes(way, host, start is not None)
            said = f"{counted(count, 'rule')} on {_said(kinds)} could have fired"
            yield Fact("rules", host, "", "", None, start, end, count, detail="; ".join((said, *notes)))
    for (host, why), count in _failed(failed, able).items():
        yield Fact("rules", host, count=count, detail=f"{counted(count, 'rule')} could not fire: {why}")


def _failed(failed: dict[Kinds, Counter[str]], able: Able) -> Counter[tuple[str, str]]:
    """How many rules could not fire, by host and by what they lack there."""
    told: Counter[tuple[str, str]] = Counter()
    for kinds, counts in failed.items():
        for host, count in counts.items():
            lack = [able.absent(_needs(group), host) for group in kinds if not _there(able, group, host)]
            why = ", ".join(f"no {needs}" for needs in lack)
            told[host, why or f"in {_said(kinds)} fields that they need have no value"] += count
    return told


def unusable(results: Iterable[QueryResult]) -> Iterator[Fact]:
    """Facts of the kind rules that hold for every host: rules that can't be run, by status and reason."""
    told: dict[tuple[str, str], list[str]] = {}
    for result in results:
        told.setdefault((result.status.value, result.reason), []).append(result.query)
    for (status, reason), ids in told.items():
        query = ids[0] if len(ids) == 1 else ""
        said = f"{counted(len(ids), 'rule')} {status.replace('_', ' ')}: {reason}"
        yield Fact("rules", query=query, count=len(ids), detail=said)


def _kinds(hunt: Hunt) -> Kinds:
    groups = (*((need,) for need in hunt.needs), *hunt.any_of)
    return tuple(sorted({tuple(sorted({need.event_type for need in group})) for group in groups}))


def _there(able: Able, kinds: Sequence[EventType], host: str) -> tuple[Need, ...]:
    return _needs(kind for kind in kinds if key(host) in able.having(kind))


def _needs(kinds: Iterable[EventType]) -> tuple[Need, ...]:
    return tuple(Need(*kind, frozenset()) for kind in kinds)


def _said(kinds: Kinds) -> str:
    return ", and ".join(one_of(_needs(group)) for group in kinds)
