"""Files of Sigma rules -> hunts. All rules of a run make one pack."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from hunt.model import ALL_COLUMNS, ANY_CHANNEL, ANY_ID, EventType, Hunt, Need, Severity, Status
from hunt.rules.model import (
    RISKS,
    Loaded,
    RuleError,
    RuleInfo,
    Takes,
    Unusable,
    every,
    hunt_of,
    severity,
    techniques,
)
from hunt.sigma import cache, correlate, explained, plan, tree
from hunt.sigma.document import Correlation, Document
from hunt.sigma.pack import Correlated, Pack
from hunt.sigma.plan import Plan

_DEEPEST = 4  # correlations of correlations
_ASKS = re.compile(r"(?m)^(?:detection|correlation|filter)[ \t]*:.*(?:\n(?:[ \t#\-].*)?$)*")


@dataclass(eq=False)
class _Rule:
    """One document on its way to a hunt."""

    info: RuleInfo
    document: Document
    taken: bool
    plan: Plan | None = None
    of: tuple[_Rule, ...] = ()  # of a correlation
    error: RuleError | None = None
    filters: list[str] = field(default_factory=list)  # titles of those that leave something out
    user: _Rule | None = None  # a correlation that it is only a part of


def load(paths: Sequence[Path], takes: Takes = every) -> Iterator[Loaded | Unusable]:
    """The rules of these files; see `rules.model.Format`. Filters give nothing, but change the rules that they name."""
    rules = [_Rule(info, document, takes(info)) for info, document in _read(paths)]
    asked = [rule for rule in rules if not rule.document.filter]
    filters = [rule for rule in rules if rule.document.filter and not rule.document.fault]
    for rule in rules:
        if rule.document.fault:
            fault = rule.document.fault
            rule.error = RuleError(fault.status, fault.reason, fault.line, fault.column)
        elif rule.document.tree and not rule.document.filter:
            _bind(rule, filters)
    for rule in asked:
        if rule.document.correlation and not rule.error:
            _resolve(rule, asked)
    yield from _packed(asked)
    yield from (Unusable(rule.info, rule.error, known=True) for rule in rules if rule.document.filter and rule.error)


def _read(paths: Sequence[Path]) -> Iterator[tuple[RuleInfo, Document]]:
    contents = {path: path.read_bytes() for path in paths}
    keys = {path: hashlib.sha256(content).hexdigest() for path, content in contents.items()}
    kept = cache.Cache(cache.place(), keys.values())
    for path, content in contents.items():
        documents = kept.known.get(keys[path])
        if documents is None:
            from hunt.sigma import parse  # pySigma takes its time to import

            documents = tuple(parse.documents(content))
            kept.keep(keys[path], documents)
        parts = _ASKS.findall(content.decode("utf-8", "replace")) if documents else []
        for number, document in enumerate(documents):
            text = parts[number] if len(parts) == len(documents) else ""
            yield _info(path, document, text), document
    kept.write()


def _info(path: Path, document: Document, text: str) -> RuleInfo:
    level = document.text("level")
    weight = severity(level) or Severity.MEDIUM
    return RuleInfo(
        path,
        document.number,
        id=document.text("id"),
        title=document.text("title"),
        severity=weight,
        risk_score=RISKS[weight],
        attack=techniques(document.texts("tags")),
        description=document.text("description"),
        false_positives=document.texts("false_positives"),
        references=document.texts("references"),
        level=level,
        status=document.text("status"),
        tags=document.texts("tags"),
        author=document.text("author"),
        licence=document.text("licence"),
        text=text.strip(),
        filters=document.filter is not None,
    )


def _bind(rule: _Rule, filters: Sequence[_Rule]) -> None:
    document = rule.document
    assert document.tree is not None
    parts = [document.tree]
    for one in filters:
        of = one.document.filter
        assert of is not None
        assert one.document.tree is not None
        named = {name for name in (document.text("id"), document.text("name")) if name}
        if one.document.logsource.covers(document.logsource) and (not of.rules or named.intersection(of.rules)):
            parts.append(one.document.tree)
            rule.filters.append(one.info.title or one.info.path.name)
    try:
        rule.plan = plan.bind(tree.both(parts), document.logsource)
    except RuleError as error:
        rule.error = error


def _resolve(rule: _Rule, rules: Sequence[_Rule]) -> None:
    """Find the rules that a correlation names."""
    correlation = rule.document.correlation
    assert correlation is not None
    found = []
    for name in correlation.rules:
        named = [own for own in rules if name in (own.document.text("id"), own.document.text("name"))]
        if not named:
            rule.error = RuleError(Status.INVALID, f"no rule that was read has the name or id {name}")
            return
        found.append(named[0])
    rule.of = tuple(found)


def _check(rules: Sequence[_Rule]) -> None:
    """Correlations of which a rule can't be run, that are rules of their own, or lie too deep, can't be run either."""
    depth: dict[_Rule, int] = {}  # of those that were looked at; 0: on the way to one

    def look(rule: _Rule, level: int) -> None:
        if rule in depth:
            if not depth[rule]:
                rule.error = RuleError(Status.INVALID, "it is, by way of others, a rule of its own")
            return
        if level > _DEEPEST:
            rule.error = RuleError(Status.UNSUPPORTED, f"correlations more than {_DEEPEST} deep")
            return
        depth[rule] = 0
        for part in rule.of:
            look(part, level + 1)
            if part.error and not rule.error:
                title = part.info.title or part.info.id
                rule.error = RuleError(part.error.status, f"its rule {title!r} can't be run: {part.error.reason}")
        depth[rule] = level

    for rule in rules:
        look(rule, 1)


def _packed(rules: Sequence[_Rule]) -> Iterator[Loaded | Unusable]:
    _check(rules)
    able = [rule for rule in rules if not rule.error]
    wanted = _wanted(able)
    for rule in wanted:
        correlation = rule.document.correlation
        for part in rule.of:
            if correlation and not correlation.generate:
                part.user = rule
    plain = [rule for rule in wanted if rule.plan]
    joined = _inner_first([rule for rule in wanted if rule.of])
    numbers = {rule: number for number, rule in enumerate((*plain, *joined))}
    correlated = [
        Correlated(rule.document.correlation, tuple(numbers[part] for part in rule.of))
        for rule in joined
        if rule.document.correlation
    ]
    silent = frozenset(number for rule, number in numbers.items() if rule.user or not rule.taken)
    reasons = {numbers[rule]: reasons for rule in plain if (reasons := _reasons(rule))}
    pack = Pack([rule.plan for rule in plain if rule.plan], correlated, silent, reasons)
    for rule in rules:
        if not rule.taken or (rule.user and rule.user.info.path == rule.info.path):
            continue  # a part of a correlation in the same file is no query of its own
        if rule.error:
            yield Unusable(rule.info, rule.error, known=True)
        else:
            yield Loaded(
                rule.info, _hunt(rule, pack, numbers[rule]), partial(explained.lines, rule.document, rule.plan)
            )


def _wanted(rules: Sequence[_Rule]) -> list[_Rule]:
    """Those that are taken, and the rules of those."""
    found: dict[_Rule, None] = {}
    left = [rule for rule in rules if rule.taken]
    while left:
        rule = left.pop(0)
        if rule not in found:
            found[rule] = None
            left += rule.of
    return list(found)


def _inner_first(rules: Sequence[_Rule]) -> list[_Rule]:
    found: dict[_Rule, None] = {}

    def add(rule: _Rule) -> None:
        if rule not in found:
            for part in rule.of:
                if part.of:
                    add(part)
            found[rule] = None

    for rule in rules:
        add(rule)
    return list(found)


def _hunt(rule: _Rule, pack: Pack, number: int) -> Hunt:
    limits = [f"leaves out what the filter {title!r} says" for title in rule.filters]
    if rule.user:
        title = rule.user.info.title or rule.user.info.id
        limits.append(f"gives no findings of its own: it is a part of the correlation {title!r}")
    across = _across_hosts(rule)
    return hunt_of(rule.info, partial(pack.find, number), any_of=_needs(rule), limits=limits, across_hosts=across)


def _across_hosts(rule: _Rule) -> bool:
    """Whether what a rule matches on one host depends on events of others: it is grouped by something else."""
    correlation = rule.document.correlation
    if correlation is None:
        return False
    return any(map(_across_hosts, rule.of)) or not any(_of_host(rule, name) for name in correlation.group_by)


def _of_host(rule: _Rule, field: str) -> bool:
    """Whether a field of a rule's events, or of a correlation's groups, is their host."""
    if rule.plan:
        return all(rule.plan.column(kind, field) == "host" for kind in rule.plan.trees)
    correlation = rule.document.correlation
    if correlation is None or field not in correlation.group_by:
        return False
    named = (correlation.aliases.get(field, {}).get(reference, field) for reference in correlation.rules)
    return all(_of_host(part, name) for part, name in zip(rule.of, named, strict=True))


def _reasons(rule: _Rule) -> dict[EventType, str]:
    """Of findings in events that lack what the rule leaves matches out by."""
    lost = rule.plan.lost if rule.plan else {}
    title = rule.info.title or rule.info.id
    return {
        kind: f"{title}; event {kind.event_id} of {kind.channel} never tells {', '.join(sorted(own.excludes))}, "
        "by which the rule leaves some out"
        for kind, own in lost.items()
        if own.excludes
    }


def _needs(rule: _Rule, fields: Mapping[str, str] | None = None) -> list[tuple[Need, ...]]:
    """Groups of events of each of which one is needed."""
    if rule.plan:
        return [tuple(_with(need, rule.plan, fields or {}) for need in rule.plan.needs())]
    correlation = rule.document.correlation
    assert correlation is not None
    groups: dict[tuple[Need, ...], None] = {}
    for reference, part in zip(correlation.rules, rule.of, strict=True):
        groups.update(dict.fromkeys(_needs(part, correlate.fields(correlation, reference))))
    if _all_needed(correlation):
        return list(groups)
    return [tuple(dict.fromkeys(need for group in groups for need in group))]


def _all_needed(correlation: Correlation) -> bool:
    """Whether nothing can match if one of its rules does not."""
    if correlation.asks is not None:
        asked = correlation.asks.of if isinstance(correlation.asks, tree.And) else (correlation.asks,)
        return all(isinstance(part, tree.Leaf) for part in asked)
    if correlation.kind == "temporal":
        return correlation.op == "gte" and correlation.count >= len(correlation.rules)
    return correlation.kind == "temporal_ordered"


def _with(need: Need, of: Plan, fields: Mapping[str, str]) -> Need:
    """Also the columns that a correlation reads: of an event without them nothing can match."""
    if not fields or need.event_type not in of.sources:
        return need
    named = [plan.columns(of.column(need.event_type, field)) for field in fields.values()]
    read = frozenset(column for columns in named for column in columns) - plan.OWN
    vital = frozenset(columns[0] for columns in named if len(columns) == 1) & read
    keys = vital if need.event_id != ANY_ID and need.channel != ANY_CHANNEL else frozenset()
    columns = need.columns if need.columns >= ALL_COLUMNS else need.columns | read
    return replace(need, columns=columns, keys=need.keys | keys)
