"""Cases among the evidence: their logs stand beside those that are read themselves."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeGuard

from hunt.errors import HuntError
from hunt.evidence import Collection
from hunt.model import Evidence, Parser, Problem, Reading
from hunt.sources import Unique

if TYPE_CHECKING:
    from hunt.store.parser import Stored
    from hunt.store.read import Store


def load(where: Sequence[str]) -> list[Store]:
    """Cases, each once. Raises HuntError for what is none."""
    if not where:
        return []
    from hunt.store import read  # which few runs need

    stores: dict[object, Store] = {}
    for named in where:
        store = read.load(named)
        local = store.folder.local
        stores.setdefault(store.folder.name if local is None else local.resolve(), store)
    unique = Unique()
    return [replace(store, label=unique(store.label)) for store in stores.values()]


def joined(collected: Collection, stores: Sequence[Store]) -> Collection:
    """With the logs of cases. One that has a log of a name that is taken says of all of its own whose they are."""
    for store in stores:
        collected = _with(collected, store)
    return collected


def _with(collected: Collection, store: Store) -> Collection:
    from hunt.store import layout
    from hunt.store.parser import Stored

    logs, problems = [*store.logs()], _unread(store)
    taken = {item.source for item, _ in collected.files} | {problem.source for problem in collected.problems}
    own = {item.source for _, _, item in logs} | {problem.source for problem in problems}
    prefix = "" if taken.isdisjoint(own) else f"{store.label}/"

    def named(item: Evidence) -> Evidence:
        return replace(item, source=f"{prefix}{item.source}")

    names = {f"{prefix}{of.source}": of.of if isinstance(of, layout.Alias) else of.source for of, _, _ in logs}
    parsers = {name: Stored(name, store, names) for name in dict.fromkeys(parser for _, parser, _ in logs)}
    files: list[tuple[Evidence, Parser]] = [(named(item), parsers[parser]) for _, parser, item in logs]
    return Collection(
        (*collected.files, *files),
        (*collected.problems, *(replace(problem, source=f"{prefix}{problem.source}") for problem in problems)),
        (*collected.skipped, *(f"{prefix}{name}" for name in store.case.skipped())),
        (*collected.containers, *(named(item) for item in store.containers())),
    )


def _unread(store: Store) -> Sequence[Problem]:
    """What is no problem of reading a log that is in."""
    of_logs = set(store.stored())
    return [problem for problem in store.case.problems() if problem not in of_logs]


def _is_stored(parser: Parser) -> TypeGuard[Stored]:
    module = sys.modules.get("hunt.store.parser")  # few runs need it: where it was not imported, there is none
    return module is not None and isinstance(parser, module.Stored)


def together(parser: Parser) -> object:
    """The same for files that are read at once."""
    return parser.together if _is_stored(parser) else parser.name


def live(collected: Collection) -> Iterator[Evidence]:
    """Logs that lie there themselves, in no case."""
    return (item for item, parser in collected.files if not _is_stored(parser))


def check(collected: Collection, reading: Reading) -> None:
    """Raises HuntError if a case can't tell what is asked for."""
    for _, parser in collected.files:
        if reading.slack and _is_stored(parser) and not parser.store.case.slack:
            name = parser.store.folder.name
            raise HuntError(f"{name}: was ingested without --slack: make another case with it, or leave it out here")
