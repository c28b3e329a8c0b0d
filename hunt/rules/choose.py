"""What `-q` names: queries of ours by id, rule files, folders of rules; and which of the rules are wanted."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from hunt import registry
from hunt.errors import QueryError
from hunt.model import QueryResult, Status
from hunt.registry import Query
from hunt.rules.load import Rule, is_rule_file, load
from hunt.rules.model import Loaded, RuleInfo, Unusable

ADHOC = "eql"  # the id of a query that was typed


@dataclass(frozen=True, slots=True)
class RuleFilter:
    """`--level`, `--status` and `--tag`: of each kind one must fit; the default lets all pass. Compared without case.

    A tag may hold `*` and `?`; `attack.t1059` is also met by a rule that names the technique in other words.
    """

    levels: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    def takes(self, info: RuleInfo) -> bool:
        if info.filters:  # what rules are to leave out, whatever is said of it
            return True
        tags = [*info.tags, *(f"attack.{technique}" for technique in info.attack)]
        return _fits(self.levels, [info.level]) and _fits(self.statuses, [info.status]) and _fits(self.tags, tags)

    def named(self) -> str:
        """The options given, for people."""
        given = {"--level": self.levels, "--status": self.statuses, "--tag": self.tags}
        return ", ".join(f"{option} {value}" for option, values in given.items() for value in values)


def _fits(wanted: Sequence[str], has: Sequence[str]) -> bool:
    return not wanted or any(fnmatchcase(own.lower(), one.lower()) for one in wanted for own in has)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a run is asked to look for."""

    queries: tuple[Query, ...]  # ours by id, then rules by file
    unusable: tuple[Rule, ...] = ()  # rules that can't be run
    left_out: int = 0  # rules that the filter refuses
    filter: RuleFilter = field(default_factory=RuleFilter)
    others: tuple[str, ...] = ()  # files of a rule's suffix that hold none
    sha256: dict[str, str] = field(default_factory=dict)  # of the file of each rule, by its id
    brought: int = 0  # queries that were not named, and on whose findings one that was builds

    def results(self, hosts: Sequence[str]) -> list[QueryResult]:
        """The rows of those that can't be run; `hosts`: all of the evidence."""
        return [_result(rule, tuple(hosts)) for rule in self.unusable]

    def techniques(self) -> dict[str, tuple[str, ...]]:
        """The ATT&CK techniques that each names, also those that can't be run."""
        able = {query.hunt.id: query.hunt.attack for query in self.queries}
        return able | {rule.id: rule.info.attack for rule in self.unusable}

    def notes(self) -> list[str]:
        """What should be said of the choice."""
        told = []
        if self.brought:
            later = ", ".join(query.hunt.id for query in self.queries if query.hunt.stage > 1)
            told.append(f"{later}: builds on what others find, so {_counted(self.brought, 'query')} more run as well")
        if self.left_out:
            told.append(f"{_counted(self.left_out, 'rule')} left out by {self.filter.named()}")
        if self.others:
            hold = "holds" if len(self.others) == 1 else "hold"
            told.append(f"{_counted(len(self.others), 'file')} in the folders of rules {hold} none")
        return told


def choose(names: Sequence[str], wanted: RuleFilter | None = None, text: str | None = None) -> Chosen:
    """What `-q` names, all of ours if it names nothing; `text`: an EQL query that was typed, alone.

    Raises QueryError for what is missing, for a folder without rules, and if the filter leaves nothing to run.
    """
    wanted = wanted or RuleFilter()
    if text is not None:
        return Chosen((typed(text),))
    ours, paths = _sorted_out(names)
    if wanted.named() and not paths:
        raise QueryError(f"{wanted.named()}: chooses among rules in files; name some with -q")
    queries = registry.select(ours) if ours or not paths else ()
    if not paths:
        return Chosen(queries)
    refused: list[RuleInfo] = []

    def takes(info: RuleInfo) -> bool:
        taken = wanted.takes(info)
        if not taken:
            refused.append(info)
        return taken

    found = load(paths, takes, registry.ids())
    usable = tuple(
        Query(rule.hunt, rule.file, rule.info.path, rule.info, rule.plan, ours=False)
        for rule in found.rules
        if rule.hunt is not None
    )
    if not (queries or found.rules):
        raise QueryError(f"{wanted.named()}: leaves out all {_counted(len(refused), 'rule')}")
    unusable = tuple(rule for rule in found.rules if rule.hunt is None)
    hashes = {rule.id: rule.sha256 for rule in found.rules}
    return Chosen((*queries, *usable), unusable, len(refused), wanted, found.others, hashes)


def with_foundations(chosen: Chosen) -> Chosen:
    """With those of ours on whose findings a query of a later stage builds: without them it would find nothing."""
    last = max((query.hunt.stage for query in chosen.queries), default=1)
    if last == 1:
        return chosen
    there = {query.hunt.id for query in chosen.queries}
    more = [q for q in registry.select(()) if q.hunt.stage < last and q.hunt.id not in there]
    ours = sorted([*more, *(query for query in chosen.queries if query.ours)], key=lambda query: query.hunt.id)
    rules = (query for query in chosen.queries if not query.ours)
    return replace(chosen, queries=(*ours, *rules), brought=len(more))


def explained(named: str) -> Chosen:
    """What `hunt explain` is asked about: as `choose`, or EQL, which is no error if it can't be run."""
    if named in registry.ids() or not _is_eql(named):
        return choose([named])
    part = _of_text(named)
    if isinstance(part, Loaded):
        return Chosen((_query(part),))
    return Chosen((), (Rule(ADHOC, part.info, "", "", None, part.error, tuple),))


def _is_eql(text: str) -> bool:
    """Whether it is a query rather than a path: no path has a space before and after this word, or these steps."""
    return bool(re.search(r"(?is)\swhere\s|^\s*(?:sequence|sample)\b.*\[", text)) and not _exists(text)


def _exists(name: str) -> bool:
    return os.path.exists(name)  # noqa: PTH110  # Path.exists raises for what is too long to be a name


def typed(text: str) -> Query:
    """An EQL query without a file. Raises QueryError, which says where it is wrong, if it can't be run."""
    part = _of_text(text)
    if isinstance(part, Unusable):
        raise QueryError(f"{part.error.status.value.replace('_', ' ')}: {part.error}")
    return _query(part)


def _of_text(text: str) -> Loaded | Unusable:
    from hunt.eql.load import of_text

    return of_text(text, RuleInfo(Path(ADHOC), id=ADHOC, title="Typed query", text=text))


def _query(part: Loaded) -> Query:
    return Query(replace(part.hunt, id=ADHOC), "", None, part.info, part.plan, ours=False)


def _sorted_out(names: Sequence[str]) -> tuple[list[str], list[Path]]:
    """(ids of ours, paths). Raises QueryError for what is neither."""
    ours, paths = [], []
    for name in names:
        if name in registry.ids():
            ours.append(name)
        elif is_rule_file(name) or any(mark in name for mark in "/\\") or _exists(name):
            paths.append(Path(name))
        else:
            have = ", ".join(registry.ids())
            raise QueryError(f"no query is called {name!r}, nor is a rule file or a folder of them (have: {have})")
    return ours, paths


def _result(rule: Rule, hosts: tuple[str, ...]) -> QueryResult:
    status, reason = (rule.error.status, str(rule.error)) if rule.error else (Status.INVALID, "")
    return QueryResult(rule.id, rule.info.title, rule.file, status, reason, (), hosts, 0)


def _counted(number: int, thing: str) -> str:
    if number != 1:
        thing = f"{thing.removesuffix('y')}ies" if thing.endswith("y") else f"{thing}s"
    return f"{number} {thing}"
