"""Rules that are evaluated together, at the first question of a case, and then only take what is theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import polars as pl

from hunt import ecs, pulse
from hunt.eql import engine
from hunt.eql.columns import Catalogue
from hunt.eql.plan import REQUESTER, Plan
from hunt.model import Case, EventType, Status
from hunt.rules.matches import TOLD, told
from hunt.rules.model import RuleError


@dataclass(eq=False)
class Pack:
    """Some plans; `find` asks for one of them by its number."""

    plans: Sequence[Plan]
    catalogue: Catalogue = ecs
    _found: WeakKeyDictionary[Case, _Found] = field(default_factory=WeakKeyDictionary)

    def __reduce__(self) -> tuple[type[Pack], tuple[object, ...]]:
        return Pack, (self.plans, self.catalogue)  # what was found is this process's

    def find(self, number: int, case: Case) -> pl.LazyFrame:
        """The findings of one plan. Raises RuleError if it could not be run on these events."""
        found = self._found.get(case)
        if found is None:
            found = self._found[case] = self._evaluated(case)
        error = found.errors.get(number)
        if error is not None:
            if isinstance(error, RuleError):
                raise error
            said = (str(error) or type(error).__name__).splitlines()[0][:200]
            raise RuleError(Status.UNSUPPORTED, f"it could not be evaluated: {said}") from error
        return found.of_rule.get(number, found.none).lazy()

    def _evaluated(self, case: Case) -> _Found:
        outcome = engine.evaluate(case, self.plans, self.catalogue, _beat)
        findings = told(case, outcome.hits)
        requesters = self._requesters(case, outcome.hits)
        if requesters is not None:
            findings = findings.drop(c for c in requesters.columns if c == "source_ip").join(
                requesters, on=["rule", "match"], how="left", maintain_order="left"
            )
        own = {int(str(rule)): rows for (rule,), rows in findings.group_by("rule", maintain_order=True)}
        cut = {rule: rows.drop("rule", "match") for rule, rows in own.items()}
        none = pl.DataFrame(schema={c: t for c, t in TOLD.items() if c not in ("rule", "match")})
        return _Found(cut, none, outcome.errors)

    def _requesters(self, case: Case, hits: pl.DataFrame) -> pl.DataFrame | None:
        """What lineage says of who asked for a start, for rules on that: by rule and match."""
        asking = {
            (rule, step + 1, *reading.kind)
            for rule, plan in enumerate(self.plans)
            for step, planned in enumerate(plan.steps)
            for reading in planned.readings
            if any(name.startswith(REQUESTER) for name in reading.fields)
        }
        if not asking or not hits.height:
            return None
        keys = ("rule", "step", "channel", "event_id")
        asked = pl.DataFrame(list(asking), schema={key: hits.schema[key] for key in keys}, orient="row")
        parts = []
        of_kind = hits.join(asked, on=keys, how="semi").group_by("channel", "event_id", maintain_order=True)
        for (channel, event_id), own in of_kind:
            kind = EventType(str(channel), int(str(event_id)))
            events = case.frame(*kind).drop("sources", strict=False).collect()[own["row"]]
            columns = ecs.REQUESTER_COLUMNS
            values = self.catalogue.over(case, kind, events.lazy(), [*columns.values()]).collect()
            renamed = values.select(pl.col(name).alias(column) for column, name in columns.items())
            parts.append(pl.concat([own.select("rule", "match"), renamed], how="horizontal"))
        if not parts:
            return None
        return pl.concat(parts).group_by("rule", "match", maintain_order=True).agg(pl.all().last())


@dataclass(frozen=True, slots=True)
class _Found:
    of_rule: Mapping[int, pl.DataFrame]
    none: pl.DataFrame
    errors: Mapping[int, Exception]


def _beat() -> None:
    pulse.beat(pulse.Phase.ENDING)
