"""What is known of a rule, and what its format makes of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hunt.model import Case, Help, Hunt, Need, Severity, Status, Unknown

if TYPE_CHECKING:
    import polars as pl

# What a rule without a risk score of its own risks, by its level: Elastic's numbers for the same words.
RISKS = {
    Severity.INFORMATIONAL: 1,
    Severity.LOW: 21,
    Severity.MEDIUM: 47,
    Severity.HIGH: 73,
    Severity.CRITICAL: 99,
}


@dataclass(frozen=True, slots=True)
class RuleInfo:
    """What a rule says of itself. All texts are foreign: shown through `safe` alone."""

    path: Path  # as the loader was given it
    number: int = 1  # which rule of its file, from 1
    id: str = ""  # the rule's own; "": it has none
    title: str = ""
    severity: Severity = Severity.MEDIUM
    risk_score: int = RISKS[Severity.MEDIUM]
    attack: tuple[str, ...] = ()  # ATT&CK technique ids: T1059.001
    description: str = ""
    false_positives: tuple[str, ...] = ()
    blind: tuple[str, ...] = ()  # when it sees nothing, as the rule says
    references: tuple[str, ...] = ()
    level: str = ""  # the word that the rule has for its severity, in lower case; "": none
    status: str = ""  # Sigma's status, Elastic's maturity; lower case
    tags: tuple[str, ...] = ()
    author: str = ""
    licence: str = ""
    text: str = ""  # what it asks: the query or the detection, as it stands in the file
    filters: bool = False  # no rule: what others are to leave out


class RuleError(Exception):
    """A rule that can't be run, and why. Data: it becomes a row of queries.csv."""

    def __init__(self, status: Status, reason: str, line: int | None = None, column: int | None = None) -> None:
        """`status`: INVALID, UNSUPPORTED, or NOT_EVALUABLE where no event at all can meet it; places count from 1."""
        place = [f"{name} {n}" for name, n in (("line", line), ("column", column)) if n is not None]
        super().__init__(f"{', '.join(place)}: {reason}" if place else reason)
        self.status = status
        self.reason = str(self)
        self.line, self.column = line, column


class PartlyError(RuleError):
    """A rule that could not be told of some events. `found`: its findings among the others."""

    def __init__(self, reason: str, found: pl.DataFrame, untold: int = 0) -> None:
        """`untold`: how many more events could not be told in time, besides what `reason` says."""
        super().__init__(Status.PARTLY, "; ".join(filter(None, (late(untold), reason))))
        self.found, self.untold, self.rest = found, untold, reason


def late(events: int) -> str:
    """Says that so many events could not be told in time; "" for none."""
    match = "event matches" if events == 1 else "events match"
    why = "could not be told in time: a regular expression takes too long"
    return f"whether {events:,} more {match} {why}" if events else ""


Find = Callable[[Case], "pl.LazyFrame"]
Plan = Callable[[], Iterable[str]]


def no_plan() -> Iterable[str]:
    return ()


@dataclass(frozen=True, slots=True)
class Loaded:
    """A rule that can be run. The id of `hunt` is of no account: `load` gives it one."""

    info: RuleInfo
    hunt: Hunt
    plan: Plan = no_plan  # lines for `hunt explain`: what is read and what each step asks of it


@dataclass(frozen=True, slots=True)
class Unusable:
    """A rule, or a file of rules, that can't be run. `known`: whether `info` tells level, status and tags."""

    info: RuleInfo
    error: RuleError
    known: bool = False


Takes = Callable[[RuleInfo], bool]


def every(info: RuleInfo) -> bool:
    return True


class Format(Protocol):
    """A module that reads one format of rules."""

    def load(self, paths: Sequence[Path], takes: Takes = every) -> Iterator[Loaded | Unusable]:
        """The rules of these files, in any order; never raises for what a rule or a file holds.

        A rule that `takes` refuses is left out (it asks once for each that has an `info`). A file that is no rule at
        all, such as another project's .toml, gives nothing.
        """


def hunt_of(
    info: RuleInfo,
    find: Find,
    *,
    needs: Sequence[Need] = (),
    any_of: Sequence[Sequence[Need]] = (),
    reads: Sequence[Need] = (),
    helps: Sequence[Help] = (),
    unknowns: Sequence[Unknown] = (),
    limits: Sequence[str] = (),
    across_hosts: bool = False,
) -> Hunt:
    """A rule as a Hunt, which also reads what findings and events.csv show of the event types that it needs."""
    kinds = dict.fromkeys(need.event_type for group in (needs, *any_of) for need in group)
    return Hunt(
        id=info.id or info.path.name,
        title=info.title or info.id or info.path.name,
        severity=info.severity,
        risk_score=info.risk_score,
        attack=info.attack,
        needs=tuple(needs),
        find=find,
        doc=doc(info),
        helps=tuple(helps),
        reads=(*reads, *(_shown(*kind) for kind in kinds)),
        unknowns=tuple(unknowns),
        any_of=tuple(tuple(dict.fromkeys(group)) for group in any_of),
        limits=tuple(dict.fromkeys(limits)),
        said=tuple(_labelled(info)),
        across_hosts=across_hosts,
    )


TAG, FALSE_POSITIVE = "tag: ", "false positive: "
_LONGEST = 500  # characters of what a rule says of itself in each of its findings; all of it stands in `doc`


def _labelled(info: RuleInfo) -> Iterator[str]:
    """What belongs to each finding of a rule and has no column of findings.csv, as texts of `evidence`."""
    for label, texts in ((TAG, info.tags), (FALSE_POSITIVE, info.false_positives)):
        for text in dict.fromkeys(" ".join(text.split()) for text in texts):
            yield label + (text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")


def labels(evidence: Iterable[str]) -> str:
    """What of a finding's `evidence` is its rule's: `tags: a, b; false positives: c`; "" if nothing is."""
    texts = tuple(evidence)
    said = [
        f"{label.removesuffix(': ')}s: {', '.join(own)}"
        for label in (TAG, FALSE_POSITIVE)
        if (own := [text.removeprefix(label) for text in texts if text.startswith(label)])
    ]
    return "; ".join(said)


@cache
def _shown(channel: str, event_id: int) -> Need:
    from hunt.rules.matches import finding_columns

    return Need(channel, event_id, finding_columns(channel, event_id))


def severity(level: str) -> Severity | None:
    """A rule's word for how much it matters; None if it is none of ours."""
    return next((s for s in Severity if s.value == level.strip().lower()), None)


def techniques(tags: Iterable[str]) -> tuple[str, ...]:
    """The ATT&CK techniques among tags such as `attack.t1059.001`, as `T1059.001`, each once."""
    found = (re.fullmatch(r"(?i)(?:attack\.)?(t[0-9]{4}(?:\.[0-9]{3})?)", tag.strip()) for tag in tags)
    return tuple(dict.fromkeys(match[1].upper() for match in found if match))


def doc(info: RuleInfo) -> str:
    """What `hunt show` prints of a rule, below its title."""
    parts = [info.description.strip()]
    parts += [f"{name}: {'; '.join(texts)}" for name, texts in _lists(info) if texts]
    if info.text.strip():
        parts.append(f"Asks:\n{info.text.strip()}")
    return "\n\n".join(part for part in parts if part)


def _lists(info: RuleInfo) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "Looks alike, is harmless", info.false_positives
    yield "Blind when", info.blind
    yield "See", info.references
    yield "Level", (info.level,) if info.level else ()
    yield "Status", (info.status,) if info.status else ()
    yield "Tags", info.tags
    yield "Author", (info.author,) if info.author else ()
    yield "Licence", (info.licence,) if info.licence else ()
