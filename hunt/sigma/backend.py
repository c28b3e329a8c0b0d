"""pySigma's side of the compiler: a `Backend` that makes trees of conditions, and one that makes Polars expressions.

`hunt run` has its own log sources (`plan`), and so needs no processing pipeline. `PolarsBackend` is for those who have
one, and frames of their own: what it gives is evaluated by the same engine.
"""

from __future__ import annotations

from typing import Any, ClassVar

import polars as pl
import polars.selectors as cs
from sigma import conditions, types
from sigma.conversion.base import Backend
from sigma.conversion.state import ConversionState
from sigma.correlations import SigmaCorrelationRule
from sigma.exceptions import SigmaFeatureNotSupportedByBackendError

from hunt.rules.model import RuleError
from hunt.sigma import engine, regexes, tree
from hunt.sigma.steps import Steps
from hunt.sigma.tree import Leaf, Node

_Field = conditions.ConditionFieldEqualsValueExpression
_Keyword = conditions.ConditionValueExpression


class UnsupportedError(SigmaFeatureNotSupportedByBackendError):
    """A part of Sigma that we can't run."""


class TreeBackend(Backend):
    """Conditions of rules -> `tree.Node`. Raises UnsupportedError."""

    name: ClassVar[str] = "trees of evtx-hunt"
    formats: ClassVar[dict[str, str]] = {"default": "what a rule asks, as a tree"}

    def node(self, parsed: Any) -> Node:
        """A parsed condition as a tree; no pipeline is applied."""
        made: Node = self.convert_condition(parsed, ConversionState())
        return made

    def convert_condition_or(self, cond: conditions.ConditionOR, state: ConversionState) -> Node:
        return tree.either(self.convert_condition(arg, state) for arg in cond.args)

    def convert_condition_and(self, cond: conditions.ConditionAND, state: ConversionState) -> Node:
        return tree.both(self.convert_condition(arg, state) for arg in cond.args)

    def convert_condition_not(self, cond: conditions.ConditionNOT, state: ConversionState) -> Node:
        return tree.negated(self.convert_condition(cond.args[0], state))

    def convert_condition_field_eq_val(self, cond: _Field, state: ConversionState) -> Node:
        return _leaf(cond.field, cond.value)

    # What the base class would choose one of by the kind of value: `_leaf` does.
    convert_condition_field_eq_val_str = convert_condition_field_eq_val
    convert_condition_field_eq_val_str_case_sensitive = convert_condition_field_eq_val
    convert_condition_field_eq_val_num = convert_condition_field_eq_val
    convert_condition_field_eq_val_timestamp_part = convert_condition_field_eq_val
    convert_condition_field_eq_val_bool = convert_condition_field_eq_val
    convert_condition_field_eq_val_re = convert_condition_field_eq_val
    convert_condition_field_eq_val_cidr = convert_condition_field_eq_val
    convert_condition_field_compare_op_val = convert_condition_field_eq_val
    convert_condition_field_eq_field = convert_condition_field_eq_val
    convert_condition_field_eq_val_null = convert_condition_field_eq_val
    convert_condition_field_exists = convert_condition_field_eq_val
    convert_condition_field_not_exists = convert_condition_field_eq_val
    convert_condition_field_eq_query_expr = convert_condition_field_eq_val

    def convert_condition_val(self, cond: _Keyword, state: ConversionState) -> Node:
        return _keyword(cond.value)

    convert_condition_val_str = convert_condition_val
    convert_condition_val_num = convert_condition_val
    convert_condition_val_re = convert_condition_val
    convert_condition_query_expr = convert_condition_val

    def convert_condition_as_in_expression(
        self, cond: conditions.ConditionOR | conditions.ConditionAND, state: ConversionState
    ) -> Node:
        return self.node(cond)  # never asked for: `tree.either` puts values together

    def _no_correlation(
        self, rule: SigmaCorrelationRule, output_format: str | None = None, method: str = "default"
    ) -> list[Any]:
        raise UnsupportedError("a correlation, which is no question to single events")

    convert_correlation_event_count_rule = _no_correlation
    convert_correlation_value_count_rule = _no_correlation
    convert_correlation_temporal_rule = _no_correlation
    convert_correlation_temporal_ordered_rule = _no_correlation
    convert_correlation_extended_temporal_rule = _no_correlation
    convert_correlation_extended_temporal_ordered_rule = _no_correlation
    convert_correlation_value_sum_rule = _no_correlation
    convert_correlation_value_avg_rule = _no_correlation
    convert_correlation_value_percentile_rule = _no_correlation
    convert_correlation_value_median_rule = _no_correlation


class PolarsBackend(TreeBackend):
    """Rules -> Polars expressions, one a condition: `PolarsBackend(pipeline).convert(collection)`.

    Fields are columns, by the names that the pipeline gives them; one that a frame has not is a missing field. Log
    sources are the caller's affair: he chooses the frame. A keyword is looked for in all columns.
    """

    name: ClassVar[str] = "Polars expressions"
    formats: ClassVar[dict[str, str]] = {"default": "polars.Expr: which rows meet a rule"}
    correlation_methods: ClassVar[dict[str, str] | None] = {"default": "none"}

    def finalize_query_default(self, rule: Any, query: Node, index: int, state: Any) -> pl.Expr:
        return expression(query)


def expression(asked: Node) -> pl.Expr:
    """Which rows of a frame meet a tree; null where that could not be told in time. Evaluated by our engine."""
    steps = Steps({0: asked})
    leaves = [*tree.leaves(asked)]
    names = {leaf.field for leaf in leaves} | {leaf.test.field for leaf in leaves if isinstance(leaf.test, tree.SameAs)}
    some = cs.by_name(*(name for name in names if name), *_KIND, require_all=False)

    def meets(rows: pl.Series) -> pl.Series:
        told = pl.repeat(value=False, n=rows.len(), eager=True)
        for _, judged in engine.evaluate(steps, rows.struct.unnest()):
            if isinstance(judged, RuleError):
                raise judged
            told = told.scatter(judged.untold, None).scatter(judged.rows, values=True)
        return told

    columns = cs.all() if None in names else some
    return pl.struct(pl.int_range(pl.len()).alias(" row"), columns).map_batches(meets, return_dtype=pl.Boolean())


_KIND = ("provider", "event_id")  # tell how numbers are printed, where a frame has them


def _leaf(field: str, value: types.SigmaType) -> Node:
    match value:
        case types.SigmaExpansion():
            return tree.either(_leaf(field, one) for one in value.values)
        case types.SigmaString():
            return Leaf(field, _text(value, keyword=False))
        case types.SigmaRegularExpression():
            return Leaf(field, _regex(value))
        case types.SigmaTimestampPart():
            return Leaf(field, tree.Part(value.timestamp_part.name.lower(), int(value.number)))
        case types.SigmaNumber():
            return Leaf(field, tree.Number((value.number,)))
        case types.SigmaBool():
            return Leaf(field, tree.Text("equals", (str(value.boolean).lower(),)))
        case types.SigmaNull():
            return Leaf(field, tree.Null())
        case types.SigmaExists():
            return Leaf(field, tree.Exists(value.exists))
        case types.SigmaCIDRExpression():
            return Leaf(field, tree.Cidr((str(value.network),)))
        case types.SigmaCompareExpression():
            return Leaf(field, tree.Compare(value.op.name.lower(), value.number.number))
        case types.SigmaFieldReference():
            return Leaf(field, tree.SameAs(value.field, _reference(value)))
    raise UnsupportedError(f"a value of the kind {type(value).__name__.removeprefix('Sigma')}")


def _keyword(value: types.SigmaType) -> Node:
    match value:
        case types.SigmaExpansion():
            return tree.either(map(_keyword, value.values))
        case types.SigmaString():
            test = _text(value, keyword=True)
            return tree.TRUE if isinstance(test, tree.Exists) else Leaf(None, test)  # `*` stands in everything
        case types.SigmaRegularExpression():
            return Leaf(None, _regex(value))
        case types.SigmaNumber():
            return Leaf(None, tree.Text("contains", (str(value.number),)))
    raise UnsupportedError(f"a keyword that is a {type(value).__name__.removeprefix('Sigma')}")


def _reference(value: types.SigmaFieldReference) -> str:
    if value.starts_with and value.ends_with:
        return "contains"
    return "startswith" if value.starts_with else "endswith" if value.ends_with else "equals"


def _text(value: types.SigmaString, *, keyword: bool) -> tree.Test:
    cased = isinstance(value, types.SigmaCasedString)
    pattern: list[str | int] = [tree.MANY] if keyword else []
    for part in value.s:
        if isinstance(part, types.Placeholder):
            raise UnsupportedError(f"the placeholder %{part.name}% stands for nothing here")
        many = part is types.SpecialChars.WILDCARD_MULTI
        next_ = part if isinstance(part, str) else tree.MANY if many else tree.ONE
        if isinstance(next_, str) and pattern and isinstance(pattern[-1], str):
            pattern[-1] += next_
        elif next_ != tree.MANY or not pattern or pattern[-1] != tree.MANY:
            pattern.append(next_)
    if keyword and pattern[-1] != tree.MANY:
        pattern.append(tree.MANY)
    return _simplest(pattern, cased)


def _simplest(pattern: list[str | int], cased: bool) -> tree.Test:
    match pattern:
        case []:
            return tree.Text("equals", ("",), cased)
        case [tree.MANY]:
            return tree.Exists(there=True)
        case [str(text)]:
            return tree.Text("equals", (text,), cased)
        case [tree.MANY, str(text), tree.MANY]:
            return tree.Text("contains", (text,), cased)
        case [str(text), tree.MANY]:
            return tree.Text("startswith", (text,), cased)
        case [tree.MANY, str(text)]:
            return tree.Text("endswith", (text,), cased)
    return tree.Like(tuple(pattern), cased)


def _regex(value: types.SigmaRegularExpression) -> tree.Regex:
    if value.contains_placeholder():
        raise UnsupportedError("a regular expression with a placeholder")
    pattern = value.regexp.to_plain(regex=True)
    if regexes.size(pattern) > regexes.LARGEST:
        raise UnsupportedError(f"a regular expression of more than {regexes.LARGEST:,} states")
    flags = "".join(sorted(types.SigmaRegularExpression.sigma_to_re_flag[flag] for flag in value.flags))
    return tree.Regex(pattern, flags)
