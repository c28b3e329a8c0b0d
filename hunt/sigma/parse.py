"""Sigma's YAML -> documents, with pySigma, offline."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import Any

import yaml
from sigma import exceptions, modifiers
from sigma.collection import SigmaCollection
from sigma.correlations import (
    CorrelationConditionAND,
    CorrelationConditionNOT,
    CorrelationConditionOR,
    SigmaCorrelationCondition,
    SigmaCorrelationRule,
    SigmaExtendedCorrelationCondition,
    SigmaRuleReference,
)
from sigma.filters import SigmaFilter
from sigma.policy import SigmaPolicy
from sigma.policy.regex_engine import RegexEngine, RegexPattern
from sigma.rule import SigmaRule
from sigma.rule.base import SigmaYAMLLoader

from hunt.model import Status
from hunt.sigma import regexes, tree
from hunt.sigma.backend import TreeBackend, UnsupportedError
from hunt.sigma.document import Correlation, Document, Fault, Filter, Logsource
from hunt.sigma.tree import Leaf, Node

MOST_VALUES = 200_000  # of one rule; SigmaHQ's largest has some 4,000
_IS_RULE = frozenset({"detection", "correlation", "filter", "logsource"})
_LOOKS_LIKE_ONE = re.compile(rb"(?m)^(?:detection|correlation|filter)[ \t]*:")

# All that pySigma sees of a document: what is wrong with the rest changes nothing of what a rule asks.
_ASKED = ("logsource", "detection", "correlation", "filter")
_TEXTS = ("id", "name", "title", "level", "status", "description", "author")
_LISTS = {"tags": "tags", "references": "references", "falsepositives": "false_positives"}


class _Engine(RegexEngine):
    """RE2, and Python's for what that refuses: both only say whether an expression is one."""

    def compile(self, pattern: str, flags: int = 0) -> RegexPattern:
        letters = "".join(letter for letter, bit in (("i", re.I), ("m", re.M), ("s", re.S)) if flags & bit)
        known: RegexPattern | None = regexes.linear(pattern, letters)
        if known is not None:
            return known
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return re.compile(pattern, flags)  # type: ignore[return-value]  # pySigma never sets its groupindex

    @property
    def error(self) -> type[Exception]:
        return re.error


_POLICY = SigmaPolicy(regex_engine=_Engine())
_TREES = TreeBackend()
# Sigma's specification (appendix modifiers) has it, and `wide` as another name of it; pySigma has only that one.
modifiers.modifier_mapping.setdefault("utf16le", modifiers.SigmaWideModifier)


def documents(content: bytes) -> Iterator[Document]:
    """The documents of a file that are rules; none if it holds none. Never raises for what it holds."""
    try:
        # pySigma's own loader, which takes no mapping with the same key twice: YAML's takes the last without a word.
        found = list(yaml.load_all(content, Loader=SigmaYAMLLoader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        if _LOOKS_LIKE_ONE.search(content):
            place = (mark.line + 1, mark.column + 1) if mark else (None, None)
            yield Document(1, fault=Fault(Status.INVALID, f"no YAML: {_short(error)}", *place))
        return
    except (RecursionError, ValueError, TypeError) as error:  # nested a thousandfold; a date such as 2020-99-99
        if _LOOKS_LIKE_ONE.search(content):
            yield Document(1, fault=Fault(Status.INVALID, f"no YAML: {_short(error)}"))
        return
    given = [part for part in found if isinstance(part, dict) and ("action" in part or not _IS_RULE.isdisjoint(part))]
    if any("action" in part for part in given):
        given = list(_merged(given))
    yield from (_document(number, part) for number, part in enumerate(given, 1))


def _merged(given: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Without `action`: what it says of the documents that follow, told in each of them."""
    always: dict[str, Any] = {}
    last: dict[str, Any] = {}
    for part in given:
        action = part.get("action")
        own = {name: value for name, value in part.items() if name != "action"}
        if action == "global":
            always = own
            continue
        if action == "reset":
            always = {}
            continue
        own = _over(last if action == "repeat" else always, own)
        if not _IS_RULE.isdisjoint(own):
            last = own
            yield own


def _over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    out = dict(below)
    for name, value in above.items():
        before = out.get(name)
        out[name] = _over(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return out


def _document(number: int, given: dict[str, Any]) -> Document:
    about = _about(given)
    asked = {"title": "?"} | {name: given[name] for name in _ASKED if name in given}

    def faulty(status: Status, reason: str) -> Document:
        return Document(number, about, filter=Filter(()) if "filter" in given else None, fault=Fault(status, reason))

    try:
        found = SigmaCollection.from_dicts(
            [asked], collect_errors=True, collect_filters=True, resolve_references=False, policy=_POLICY
        )
        if found.errors:
            raise found.errors[0]
        return _told(number, about, next(iter((*found.rules, *found.filters))))
    except UnsupportedError as error:
        return faulty(Status.UNSUPPORTED, _short(error))
    except RecursionError:
        return faulty(Status.UNSUPPORTED, "it is nested too deep")
    # A foreign record: pySigma meets what no rule should hold with whatever Python says to it.
    except Exception as error:
        return faulty(Status.INVALID, _short(error))


def _told(number: int, about: dict[str, Any], rule: SigmaRule | SigmaCorrelationRule | SigmaFilter) -> Document:
    if isinstance(rule, SigmaCorrelationRule):
        return Document(number, about, correlation=_correlation(rule))
    source = Logsource(*(_word(v) for v in (rule.logsource.category, rule.logsource.product, rule.logsource.service)))
    detection = rule.filter if isinstance(rule, SigmaFilter) else rule.detection
    if any("|" in condition for condition in detection.condition):
        raise UnsupportedError("a condition with | counts in a way that Sigma has given up: a correlation can do it")
    asked = [condition.parsed for condition in detection.parsed_condition]
    if None in asked:
        raise exceptions.SigmaConditionError("an empty condition")
    whole = tree.either(map(_TREES.node, asked))
    if tree.depth(whole) > tree.DEEPEST:
        raise UnsupportedError("it is nested too deep")
    if sum(_values(leaf) for leaf in tree.leaves(whole)) > MOST_VALUES:
        raise UnsupportedError(f"more than {MOST_VALUES:,} values")
    if isinstance(rule, SigmaFilter):
        named = rule.filter.rules
        refs = () if isinstance(named, str) else tuple(ref.reference for ref in named)
        return Document(number, about, source, whole, filter=Filter(refs))
    return Document(number, about, source, whole)


def _values(leaf: Leaf) -> int:
    return len(leaf.test.values) if isinstance(leaf.test, tree.Text | tree.Number) else 1


def _word(value: object) -> str | None:
    return None if value is None else str(value).strip().lower()


def _correlation(rule: SigmaCorrelationRule) -> Correlation:
    condition, kind = rule.condition, rule.type.name.lower()
    refs = tuple(ref.reference for ref in rule.rules or ())
    aliases = {
        alias.alias: {ref.reference: str(name) for ref, name in alias.mapping.items()} for alias in rule.aliases or ()
    }
    common: dict[str, Any] = {
        "kind": kind,
        "group_by": tuple(rule.group_by or ()),
        "seconds": rule.timespan.seconds,
        "aliases": aliases,
        "generate": bool(rule.generate),
    }
    if isinstance(condition, SigmaExtendedCorrelationCondition):
        refs = refs or tuple(condition.get_referenced_rules())
        asks = _asked(condition.parsed)
        if kind != "temporal_ordered":
            return Correlation(rules=refs, asks=asks, **common)
        in_order = asks.of if isinstance(asks, tree.And) else (asks,)
        if not all(isinstance(part, Leaf) for part in in_order):
            raise UnsupportedError("an order of rules of which some may or must be missing")
        named = [str(part.field) for part in in_order if isinstance(part, Leaf)]
        return Correlation(rules=tuple(named), count=len(named), **common)
    assert isinstance(condition, SigmaCorrelationCondition)
    fields = condition.fieldref
    if not refs:
        raise exceptions.SigmaCorrelationRuleError("it names no rules")
    if kind == "temporal_ordered" and (condition.op.name, condition.count) != ("GTE", len(refs)):
        raise UnsupportedError("an order of rules of which some may be missing")
    return Correlation(
        rules=refs,
        op=condition.op.name.lower(),
        count=condition.count,
        fields=() if fields is None else (fields,) if isinstance(fields, str) else tuple(map(str, fields)),
        percentile=condition.percentile,
        **common,
    )


def _asked(given: object) -> Node:
    match given:
        case SigmaRuleReference():
            return Leaf(given.reference, tree.Exists(there=True))
        case CorrelationConditionAND():
            return tree.both(map(_asked, given.args))
        case CorrelationConditionOR():
            return tree.either(map(_asked, given.args))
        case CorrelationConditionNOT():
            return tree.negated(_asked(given.args[0]))
    raise exceptions.SigmaCorrelationConditionError("an empty condition")


def _about(given: dict[str, Any]) -> dict[str, Any]:
    """What a rule says of itself, as far as it is words."""
    said = {name: _said(given.get(name)) for name in _TEXTS} | {"licence": _said(given.get("license"))}
    said |= {name: said[name].lower() for name in ("level", "status")}
    lists = {ours: given.get(name) for name, ours in _LISTS.items()}
    return {name: text for name, text in said.items() if text} | {
        name: tuple(filter(None, map(_said, values)))
        for name, values in lists.items()
        if isinstance(values, list) and values
    }


def _said(value: object) -> str:
    return str(value).strip() if isinstance(value, str | int | float) else ""


def _short(error: BaseException) -> str:
    """One line of what went wrong."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:300] + "…"
