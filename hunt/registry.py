"""Discovers plug-ins by what their modules offer.

Parsers (`PARSER`, parsers/), containers (`CONTAINER`, hunt/containers/), queries (`HUNT`, queries/), output formats.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Protocol, TextIO, cast

import hunt.containers
import hunt.output
import hunt.parsers
import hunt.queries
from hunt.errors import QueryError
from hunt.model import Container, Evidence, Hunt, Parser, Report

if TYPE_CHECKING:
    from hunt.rules.model import RuleInfo


@dataclass(frozen=True, slots=True)
class Query:
    """A hunt and the file it comes from."""

    hunt: Hunt
    file: str  # as results name it
    path: Path | None = None  # of that file
    rule: RuleInfo | None = None  # what a rule says of itself; None: the hunt is written in Python
    plan: Callable[[], Iterable[str]] = tuple  # lines on how a rule is run
    ours: bool = True  # one of queries/, no rule of the user's


# A rule of ours that says in another language what a query of ours finds already: told twice by default, it would hide.
ON_REQUEST = "hunt.on-request"
_REFERENCE = "_reference"  # of modules that only a comparison needs, and what they import
_CARVER = "carve"  # the parser of raw data, which is asked for by name: see `carver`


@cache
def parsers() -> tuple[Parser, ...]:
    """Every parser, by name. No two accept the same file."""
    modules = _modules(hunt.parsers, but=(_REFERENCE, _CARVER))
    found = [module.PARSER for module in modules if hasattr(module, "PARSER")]
    return tuple(sorted(found, key=lambda parser: parser.name))


@cache
def containers() -> tuple[Container, ...]:
    """Every container format, by name; where two accept the same file, the first is asked."""
    found = [module.CONTAINER for module in _modules(hunt.containers) if hasattr(module, "CONTAINER")]
    return tuple(sorted(found, key=lambda container: container.name))


def reference(name: str) -> Parser:
    """The parser that another one is compared with: parsers/NAME_reference.py offers it as `REFERENCE`."""
    try:
        return cast(Parser, importlib.import_module(f"hunt.parsers.{name}{_REFERENCE}").REFERENCE)
    except ImportError:
        raise QueryError(f"nothing to compare the parser {name!r} with") from None


@cache
def ids() -> tuple[str, ...]:
    """The ids of our queries, sorted: their files' names, found without reading them."""
    return tuple(sorted(_places()))


def queries() -> tuple[Query, ...]:
    """Every query of ours, by id."""
    return _read(ids())


def select(names: Sequence[str]) -> tuple[Query, ...]:
    """The queries named, each once, in the order of `queries`; without names all but those with the tag ON_REQUEST.

    Raises QueryError for an unknown one.
    """
    for name in names:
        if name not in ids():
            raise QueryError(f"no query is called {name!r} (have: {', '.join(ids())})")
    return _read(tuple(name for name in ids() if name in names or not (names or on_request(name))))


@cache
def on_request(name: str) -> bool:
    """Whether a query of ours is run only if it is named; told without what reads rules, which takes its time."""
    place = _places()[name]
    return isinstance(place, Path) and ON_REQUEST in place.read_text(encoding="utf-8")


@cache
def _read(names: tuple[str, ...]) -> tuple[Query, ...]:
    places = _places()
    files = {name: place for name in names if isinstance(place := places[name], Path)}
    found = [*_in_python(name for name in names if name not in files), *(_in_rules(files) if files else ())]
    return tuple(sorted(found, key=lambda query: query.hunt.id))


def _places() -> dict[str, str | Path]:
    """Where each query of ours stands: a module's name, or a file of a rule. What begins with _ helps the others."""
    from hunt.rules.load import is_rule_file  # which reading alone need not import

    modules = (found.name for found in pkgutil.iter_modules(hunt.queries.__path__))
    places: dict[str, str | Path] = {_id(name): name for name in modules if not name.startswith("_")}
    for file in (file for folder in hunt.queries.__path__ for file in Path(folder).iterdir()):
        if is_rule_file(file.name) and not file.name.startswith("_"):
            places[_id(file.stem)] = file
    return places


def _id(stem: str) -> str:
    return stem.replace("_", "-")


def _in_python(names: Iterable[str]) -> Iterator[Query]:
    """A hunt's documentation is its module's docstring."""
    places = _places()
    for name in names:
        module = importlib.import_module(f"hunt.queries.{places[name]}")
        own = replace(module.HUNT, doc=(module.__doc__ or "").strip())
        yield Query(own, f"queries/{places[name]}.py", Path(module.__file__ or ""))


def _in_rules(files: Mapping[str, Path]) -> Iterator[Query]:
    from hunt.rules.load import load

    names = {file: name for name, file in files.items()}
    for rule in load(tuple(names)).rules:
        if rule.hunt is None:  # ours all can: a bug, and no rule of the user's
            raise RuntimeError(f"queries/{rule.file}: {rule.error}")
        own = replace(rule.hunt, id=names[rule.info.path])
        yield Query(own, f"queries/{rule.file}", rule.info.path, rule.info, rule.plan)


def folders() -> dict[str, Path]:
    """Where parsers and queries lie."""
    return {"parsers": Path(hunt.parsers.__path__[0]), "queries": Path(hunt.queries.__path__[0])}


def carver(known: Sequence[Evidence]) -> Parser:
    """What carves event logs out of raw data: parsers/carve.py; `known`: logs that tell what single records need."""
    return cast(Parser, importlib.import_module(f"hunt.parsers.{_CARVER}").carver(known))


class Output(Protocol):
    """A module of hunt/output."""

    def write(self, report: Report, out: TextIO) -> None:
        """Write all of a report that this format has a place for."""


def formats() -> list[str]:
    """The names `--format` takes, found without importing them."""
    return sorted(m.name for m in pkgutil.iter_modules(hunt.output.__path__) if not m.name.startswith("_"))


def output(name: str) -> Output:
    """One of `formats`."""
    return cast(Output, importlib.import_module(f"hunt.output.{name}"))


def _modules(package: ModuleType, but: tuple[str, ...] = ()) -> Iterator[ModuleType]:
    """The modules of a package, without those whose names end with one of `but`."""
    for found in pkgutil.iter_modules(package.__path__):
        # What begins with _ helps the others, and is imported with those that need it.
        if not found.name.startswith("_") and not found.name.endswith(but):
            yield importlib.import_module(f"{package.__name__}.{found.name}")
