"""What the evidence could have shown and what it could not: unknown is never clean.

`Seen` takes what it needs while the evidence is read, `facts` says what was there (FACTS, one row a fact),
`evaluate` and `count` tell what became of each query.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from hunt.coverage.able import Able, Shows, evaluate, evaluate_all, everything, required
from hunt.coverage.facts import FACTS, Fact, frame
from hunt.coverage.queries import by_host, count, unknown, unknown_of, with_unknown
from hunt.coverage.seen import Seen
from hunt.events import Events
from hunt.model import Problem, QueryResult, Tally
from hunt.registry import Query

__all__ = [
    "FACTS",
    "Fact",
    "Seen",
    "count",
    "evaluate",
    "evaluate_all",
    "facts",
    "required",
    "unknown",
    "unknown_of",
    "with_unknown",
]


def facts(
    events: Events,
    seen: Seen,
    problems: Sequence[Problem],
    queries: Sequence[Query],
    results: Sequence[QueryResult],
    tallies: Sequence[Tally],
    more: Sequence[Fact] = (),
    shows: Shows = everything,
    unusable: Sequence[QueryResult] = (),
) -> pl.DataFrame:
    """Everything there is to say of the evidence, as FACTS; sorted, and so the same on every run.

    `more`: what `unknown` told; `shows`: of which channels events are decoded; `unusable`: rules that can't be run.
    """
    from hunt.coverage import content, damage, logs, outlook, rules

    census = logs.Census(events.census())
    told = [*census.facts(), *content.facts(seen), *damage.facts(problems, census), *damage.empty(tallies)]
    told += outlook.facts(seen, census)
    told += [*by_host(queries, results, Able(events, seen, shows), census, told), *rules.unusable(unusable), *more]
    return frame(told)
