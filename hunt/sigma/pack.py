"""Rules that are evaluated together, at the first question of a case, and then only take what is theirs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import numpy as np
import polars as pl

from hunt import pulse
from hunt.model import Case, EventType, wider
from hunt.rules.matches import HITS, TOLD, told
from hunt.rules.model import PartlyError, RuleError, late
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
    limits: Mapping[int, str]  # of rules that could not be told of some events
    untold: Mapping[int, int]  # how many events could not be told in time, besides those limits


@dataclass(slots=True)
class _Found:
    """What a rule matches, kind by kind, and what could not be told of it."""

    rows: list[tuple[EventType, Rows]] = field(default_factory=list)
    untold: int = 0
    errors: dict[EventType, RuleError] = field(default_factory=dict)
    told: bool = False  # of a kind of events at least

    def limits(self) -> Iterator[str]:
        for kind, error in self.errors.items():
            yield f"not evaluable in event {kind.event_id} of {kind.channel}: {error.reason}"


@dataclass(eq=False)
class Pack:
    """Plans and correlations, numbered in this order.

    `silent`: numbers of those that give no findings of their own. `reasons`: of findings in some kinds of events.
    """

    plans: Sequence[Plan]
    correlated: Sequence[Correlated] = ()
    silent: frozenset[int] = frozenset()
    reasons: Mapping[int, Mapping[EventType, str]] = field(default_factory=dict)
    _known: WeakKeyDictionary[Case, _Outcome] = field(default_factory=WeakKeyDictionary)

    def __reduce__(self) -> tuple[type[Pack], tuple[object, ...]]:
        return Pack, (self.plans, self.correlated, self.silent, self.reasons)  # what was found is this process's

    def find(self, number: int, case: Case) -> pl.LazyFrame:
        """The findings of one of them. Raises RuleError if it could not be run on these events."""
        outcome = self._known.get(case)
        if outcome is None:
            outcome = self._known[case] = self._evaluated(case)
        if number in outcome.errors:
            raise outcome.errors[number]
        findings = _reasoned(outcome.findings.get(number, _NONE), self.reasons.get(number, {}))
        if number in outcome.limits or number in outcome.untold:
            raise PartlyError(outcome.limits.get(number, ""), findings, outcome.untold.get(number, 0))
        return findings.lazy()

    def _evaluated(self, case: Case) -> _Outcome:
        found: dict[int, _Found] = defaultdict(_Found)
        ready: dict[tuple[tuple[int, int], ...], Steps] = {}  # most kinds of a channel are asked the same
        for kind, trees in self._by_kind(case.types()):
            pulse.beat(pulse.Phase.ENDING)
            same = tuple((rule, id(node)) for rule, node in trees.items())
            steps = ready[same] = ready.get(same) or Steps(trees)
            _look(kind, case.frame(*kind).drop("sources", strict=False).collect(), steps, found)
        # A rule that failed on all that it was asked of found nothing: that is no "partly".
        errors = {rule: next(iter(own.errors.values())) for rule, own in found.items() if own.errors and not own.told}
        limits = {rule: said for rule, own in found.items() if rule not in errors and (said := "; ".join(own.limits()))}
        rows = {rule: own.rows for rule, own in found.items() if rule not in errors}
        parts = [part for rule, own in rows.items() if rule not in self.silent for part in _single(rule, own)]
        untold = {rule: own.untold for rule, own in found.items() if rule not in errors and own.untold}
        parts += self._correlations(case, rows, errors, limits, untold)
        findings = told(case, pl.concat([pl.DataFrame(schema=HITS), *parts]))
        by_rule = {
            int(str(rule)): own.drop("rule", "match") for (rule,), own in findings.group_by("rule", maintain_order=True)
        }
        return _Outcome(by_rule, errors, limits, untold)

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
        limits: dict[int, str],
        untold: Mapping[int, int],
    ) -> Iterator[pl.DataFrame]:
        matched: dict[int, Hits] = {}
        for number, own in enumerate(self.correlated, len(self.plans)):
            failed = next((errors[rule] for rule in own.of if rule in errors), None)
            if failed is not None:
                errors[number] = RuleError(failed.status, f"a rule of it could not be evaluated: {failed.reason}")
                continue
            said = ["; ".join(filter(None, (late(untold.get(rule, 0)), limits.get(rule)))) for rule in own.of]
            if any(said):
                limits[number] = "; ".join(dict.fromkeys(f"of a rule of it: {text}" for text in said if text))
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


def _reasoned(findings: pl.DataFrame, reasons: Mapping[EventType, str]) -> pl.DataFrame:
    """With a column `reason`, if any of them has one: null for the others."""
    first = pl.col("events").list.first().struct
    reason = pl.lit(None, pl.String)
    for (channel, event_id), text in ((kind.key, text) for kind, text in reasons.items()):
        own = (first.field("channel").str.to_lowercase() == channel) & (first.field("event_id") == event_id)
        reason = pl.when(own).then(pl.lit(text)).otherwise(reason)
    return findings.with_columns(reason.alias("reason")) if reasons else findings


_NONE = pl.DataFrame(schema={c: t for c, t in TOLD.items() if c not in ("rule", "match")})


def _look(kind: EventType, frame: pl.DataFrame, steps: Steps, found: dict[int, _Found]) -> None:
    """Put into `found` what rules match of all events of a kind, some rows after the other."""
    size = max(1, int(frame.estimated_size()) // max(1, frame.height))
    height = max(1, min(_MOST_ROWS, _MOST_BYTES // size))
    rows: dict[int, list[Rows]] = defaultdict(list)
    failed: Counter[int] = Counter()
    starts = range(0, frame.height, height)
    for start in starts:
        for rule, judged in engine.evaluate(steps, frame.slice(start, height)):
            if isinstance(judged, RuleError):
                found[rule].errors.setdefault(kind, judged)
                failed[rule] += 1
            else:
                rows[rule].append(judged.rows + start)
                found[rule].untold += judged.untold.size
    for rule in steps.of:
        if failed[rule] < len(starts):
            found[rule].told = True
    for rule, parts in sorted(rows.items()):
        if any(part.size for part in parts):
            found[rule].rows.append((kind, np.concatenate(parts)))


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
