"""Discovers plug-ins by what their modules offer.

Parsers (`PARSER`, parsers/), containers (`CONTAINER`, hunt/containers/), queries (`HUNT`, queries/), output formats.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Protocol, TextIO, cast

import hunt.containers
import hunt.output
import hunt.parsers
import hunt.queries
from hunt.errors import QueryError
from hunt.model import Container, Evidence, Hunt, Parser, Report


@dataclass(frozen=True, slots=True)
class Query:
    """A hunt and the file it comes from."""

    hunt: Hunt
    file: str
    path: Path | None = None  # of that file


_REFERENCE = "_reference"  # of modules that only a comparison needs, and what they import


@cache
def parsers() -> tuple[Parser, ...]:
    """Every parser, by name. No two accept the same file."""
    found = [module.PARSER for module in _modules(hunt.parsers, but=_REFERENCE) if hasattr(module, "PARSER")]
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
def queries() -> tuple[Query, ...]:
    """Every query of ours, by id; a hunt's documentation is its module's docstring."""
    found = [
        Query(
            replace(module.HUNT, doc=(module.__doc__ or "").strip()),
            f"queries/{module.__name__.split('.')[-1]}.py",
            Path(module.__file__ or ""),
        )
        for module in _modules(hunt.queries)
        if hasattr(module, "HUNT")
    ]
    return tuple(sorted(found, key=lambda query: query.hunt.id))


def select(names: Sequence[str]) -> tuple[Query, ...]:
    """The queries named, each once, in the order of `queries`; all without names. Raises QueryError for an unknown."""
    known = {query.hunt.id: query for query in queries()}
    for name in names:
        if name not in known:
            raise QueryError(f"no query is called {name!r} (have: {', '.join(known)})")
    return tuple(query for query in queries() if not names or query.hunt.id in names)


def carver(known: Sequence[Evidence]) -> Parser:
    """What carves event logs out of raw data: parsers/carve.py; `known`: logs that tell what single records need."""
    return cast(Parser, importlib.import_module("hunt.parsers.carve").carver(known))


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


def _modules(package: ModuleType, but: str = " ") -> Iterator[ModuleType]:
    """The modules of a package, without those whose names end with `but`."""
    for found in pkgutil.iter_modules(package.__path__):
        # What begins with _ helps the others, and is imported with those that need it.
        if not found.name.startswith("_") and not found.name.endswith(but):
            yield importlib.import_module(f"{package.__name__}.{found.name}")
