"""What a file of Sigma rules holds, as far as it does not depend on the evidence: what is kept from run to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hunt.model import Status
from hunt.sigma.tree import Node, from_plain, plain

# Of RuleInfo, what a rule says of itself.
TEXTS = ("id", "name", "title", "level", "status", "description", "author", "licence")
LISTS = ("tags", "references", "false_positives")
CORRELATIONS = (
    *("event_count", "value_count", "temporal", "temporal_ordered"),
    *("value_sum", "value_avg", "value_percentile", "value_median"),
)
OPERATORS = ("lt", "lte", "gt", "gte", "eq", "neq")


@dataclass(frozen=True, slots=True)
class Logsource:
    category: str | None = None
    product: str | None = None
    service: str | None = None

    def covers(self, other: Logsource) -> bool:
        """Whether all that this one names is so in the other as well."""
        pairs = zip(self.values, other.values, strict=True)
        return all(own is None or own == its for own, its in pairs)

    @property
    def values(self) -> tuple[str | None, str | None, str | None]:
        return self.category, self.product, self.service

    def __str__(self) -> str:
        named = zip(("category", "product", "service"), self.values, strict=True)
        return ", ".join(f"{name} {value}" for name, value in named if value) or "nothing"


@dataclass(frozen=True, slots=True)
class Correlation:
    """Events that rules matched, put together by groups within a span of time."""

    kind: str  # of CORRELATIONS
    rules: tuple[str, ...]  # names or ids
    group_by: tuple[str, ...]
    seconds: int
    aliases: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # of group_by: rule -> its field
    op: str = "gte"  # of OPERATORS
    count: float = 1
    fields: tuple[str, ...] = ()  # whose values are counted, summed up ...
    percentile: int | None = None
    asks: Node | None = None  # which of the rules must and must not be met: leaves that name them
    generate: bool = False  # its rules give findings of their own as well


@dataclass(frozen=True, slots=True)
class Filter:
    """What rules of a log source are to leave out; `tree` is what is left."""

    rules: tuple[str, ...]  # names or ids; none: all


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a document can't be run."""

    status: Status
    reason: str
    line: int | None = None
    column: int | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file: a rule, a correlation, a filter, or a fault."""

    number: int  # from 1, among those of its file that are rules
    about: Mapping[str, Any] = field(default_factory=dict)  # TEXTS, LISTS
    logsource: Logsource = Logsource()
    tree: Node | None = None  # of rules and filters
    correlation: Correlation | None = None
    filter: Filter | None = None
    fault: Fault | None = None

    def text(self, name: str) -> str:
        return str(self.about.get(name, ""))

    def texts(self, name: str) -> tuple[str, ...]:
        return tuple(self.about.get(name, ()))


def to_plain(document: Document) -> dict[str, Any]:
    """The document as what JSON can say; empty parts left out."""
    given: dict[str, Any] = {"number": document.number, "about": dict(document.about)}
    given["logsource"] = list(document.logsource.values)
    if document.tree:
        given["tree"] = plain(document.tree)
    if document.filter:
        given["filter"] = list(document.filter.rules)
    if document.fault:
        fault = document.fault
        given["fault"] = [fault.status.value, fault.reason, fault.line, fault.column]
    if document.correlation:
        own = {name: getattr(document.correlation, name) for name in Correlation.__dataclass_fields__}
        given["correlation"] = own | {"asks": plain(own["asks"]) if own["asks"] else None}
    return given


def of_plain(given: Any) -> Document:
    """The document again. Raises KeyError, TypeError or ValueError for what `to_plain` did not make."""
    correlation, fault = given.get("correlation"), given.get("fault")
    about = {name: _checked(str, text) for name, text in given["about"].items() if name in TEXTS}
    about |= {name: _strings(given["about"][name]) for name in LISTS if name in given["about"]}
    category, product, service = (_checked(str | None, value) for value in given["logsource"])
    return Document(
        number=_checked(int, given["number"]),
        about=about,
        logsource=Logsource(category, product, service),
        tree=from_plain(given["tree"]) if "tree" in given else None,
        correlation=_correlation(correlation) if correlation else None,
        filter=Filter(_strings(given["filter"])) if "filter" in given else None,
        fault=Fault(Status(fault[0]), _checked(str, fault[1]), *(_checked(int | None, at) for at in fault[2:4]))
        if fault
        else None,
    )


def _correlation(given: Mapping[str, Any]) -> Correlation:
    aliases = {
        _checked(str, alias): {_checked(str, rule): _checked(str, name) for rule, name in names.items()}
        for alias, names in given["aliases"].items()
    }
    if given["kind"] not in CORRELATIONS or given["op"] not in OPERATORS:
        raise ValueError("no correlation")
    return Correlation(
        kind=given["kind"],
        rules=_strings(given["rules"]),
        group_by=_strings(given["group_by"]),
        seconds=_checked(int, given["seconds"]),
        aliases=aliases,
        op=given["op"],
        count=_checked(int | float, given["count"]),
        fields=_strings(given["fields"]),
        percentile=_checked(int | None, given["percentile"]),
        asks=from_plain(given["asks"]) if given["asks"] else None,
        generate=_checked(bool, given["generate"]),
    )


def _strings(values: Any) -> tuple[str, ...]:
    return tuple(_checked(str, value) for value in _checked(list | tuple, values))


def _checked(kind: Any, value: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError("no document")
    return value
