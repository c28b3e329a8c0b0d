"""Rules that are evaluated together, at the first question of a case, and then only take what is theirs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import numpy as np
import polars as pl

from hunt import pulse
from hunt.model import Case, EventType, wider
from hunt.rules.matches import HITS, TOLD, told
from hunt.rules.model import RuleError
from hunt.sigma import correlate, engine, tree
from hunt.sigma.columns import Rows
from hunt.sigma.correlate import Hits
from hunt.sigma.document import Correlation
from hunt.sigma.plan import Plan
from hunt.sigma.steps import Steps
from hunt.sigma.tree import Node

_MOST_ROWS = 500_000  # that are evaluated at a time,
_MOST_BYTES = 256 << 20  # or so many bytes of them


@dataclass(frozen=True, slots=True)
class Correlated:
    """A correlation, and by number the rules of the pack that it is about: plans first, then correlations."""

    asked: Correlation
    of: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Outcome:
    findings: Mapping[int, pl.DataFrame]
    errors: Mapping[int, RuleError]


@dataclass(eq=False)
class Pack:
    """Plans and correlations, numbered in this order. `silent`: numbers of those that give no findings of their own."""

    plans: Sequence[Plan]
    correlated: Sequence[Correlated] = ()
    silent: frozenset[int] = frozenset()
    _known: WeakKeyDictionary[Case, _Outcome] = field(default_factory=WeakKeyDictionary)

    def find(self, number: int, case: Case) -> pl.LazyFrame:
        """The findings of one of them. Raises RuleError if it could not be run on these events."""
        outcome = self._known.get(case)
        if outcome is None:
            outcome = self._known[case] = self._evaluated(case)
        if number in outcome.errors:
            raise outcome.errors[number]
        return outcome.findings.get(number, _NONE).lazy()

    def _evaluated(self, case: Case) -> _Outcome:
        errors: dict[int, RuleError] = {}
        found: dict[int, list[tuple[EventType, Rows]]] = defaultdict(list)
        for kind, trees in self._by_kind(case.types()):
            pulse.beat(pulse.Phase.ENDING)
            for rule, rows in _rows(case.frame(*kind).collect(), trees):
                if isinstance(rows, RuleError):
                    errors.setdefault(rule, rows)
                else:
                    found[rule].append((kind, rows))
        parts = [part for rule, own in found.items() if rule not in self.silent for part in _single(rule, own)]
        parts += self._correlations(case, found, errors)
        findings = told(case, pl.concat([pl.DataFrame(schema=HITS), *parts]))
        by_rule = {
            int(str(rule)): own.drop("rule", "match")
            for (rule,), own in findings.group_by("rule", maintain_order=True)
            if rule not in errors
        }
        return _Outcome(by_rule, errors)

    def _by_kind(self, types: Sequence[EventType]) -> Iterator[tuple[EventType, dict[int, Node]]]:
        """For each kind of events met, what rules ask of it."""
        asked: dict[tuple[str, int], dict[int, Node]] = defaultdict(dict)
        for rule, plan in enumerate(self.plans):
            for kind, node in plan.trees.items():
                asked[kind.key][rule] = node
        for kind in types:
            # What a rule asks of this very kind goes before what it asks of all others.
            trees: dict[int, Node] = {}
            for key in reversed(wider(kind)):
                trees |= asked.get(key, {})
            trees = {rule: node for rule, node in sorted(trees.items()) if node != tree.FALSE}
            if trees:
                yield kind, trees

    def _correlations(
        self,
        case: Case,
        found: Mapping[int, Sequence[tuple[EventType, Rows]]],
        errors: dict[int, RuleError],
    ) -> Iterator[pl.DataFrame]:
        matched: dict[int, Hits] = {}
        for number, own in enumerate(self.correlated, len(self.plans)):
            failed = next((errors[rule] for rule in own.of if rule in errors), None)
            if failed is not None:
                errors[number] = RuleError(failed.status, f"a rule of it could not be evaluated: {failed.reason}")
                continue
            hits = []
            for reference, rule in zip(own.asked.rules, own.of, strict=True):
                asked = correlate.fields(own.asked, reference)
                if rule < len(self.plans):
                    hits.append(correlate.of_rule(case, self.plans[rule], found.get(rule, ()), asked))
                else:
                    hits.append(correlate.renamed(matched[rule], asked))
            matched[number] = correlate.matches(own.asked, hits)
            if number not in self.silent:
                yield _several(number, matched[number].members)


_NONE = pl.DataFrame(schema={c: t for c, t in TOLD.items() if c not in ("rule", "match")})


def _rows(frame: pl.DataFrame, trees: Mapping[int, Node]) -> Iterator[tuple[int, Rows | RuleError]]:
    """What rules match of all events of a kind, some rows after the other; a rule that fails once has no rows."""
    steps = Steps(trees)
    size = max(1, int(frame.estimated_size()) // max(1, frame.height))
    height = max(1, min(_MOST_ROWS, _MOST_BYTES // size))
    found: dict[int, list[Rows]] = defaultdict(list)
    for start in range(0, frame.height, height):
        for rule, rows in engine.evaluate(steps, frame.slice(start, height)):
            if isinstance(rows, RuleError):
                yield rule, rows
            else:
                found[rule].append(rows + start)
    yield from ((rule, np.concatenate(parts)) for rule, parts in sorted(found.items()))


def _single(rule: int, found: Sequence[tuple[EventType, Rows]]) -> Iterator[pl.DataFrame]:
    """HITS of a rule: each event is a match."""
    first = 0
    for kind, rows in found:
        frame = pl.DataFrame({"match": np.arange(first, first + rows.size), "row": rows})
        place = [pl.lit(kind.channel).alias("channel"), pl.lit(kind.event_id).alias("event_id")]
        own = frame.select(pl.lit(rule).alias("rule"), "match", pl.lit(1).alias("step"), *place, "row")
        yield own.cast(pl.Schema(HITS))
        first += rows.size


def _several(rule: int, members: pl.DataFrame) -> pl.DataFrame:
    step = pl.int_range(1, pl.len() + 1).over("item")
    own = members.select(pl.lit(rule).alias("rule"), pl.col("item").alias("match"), step.alias("step"), *list(HITS)[3:])
    return own.cast(pl.Schema(HITS))
