"""Find evidence files, name them, tell their format by content. Everything is opened read-only."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hunt.errors import EvidenceError
from hunt.model import Evidence, Parser, Problem

HEAD = 8192  # bytes a parser sees of a file to know its own
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Collection:
    """What lies under the arguments, in a stable order: files with parsers, what can't be read, what is foreign."""

    files: tuple[tuple[Evidence, Parser], ...]
    problems: tuple[Problem, ...]
    skipped: tuple[str, ...]


def collect(
    arguments: Sequence[Path], parsers: Sequence[Parser], leave_out: Path | None = None, hashed: bool = True
) -> Collection:
    """All evidence under files and folders, each file once; `leave_out` is a folder of results, not evidence.

    `hashed`: with SHA-256, for which every file is read once more; without, it is "".

    Raises EvidenceError if an argument does not exist or nothing can be read at all.
    """
    files: list[tuple[Evidence, Parser]] = []
    problems: list[Problem] = []
    skipped: list[str] = []
    for found in _sources(arguments, leave_out):
        if isinstance(found, Problem):
            problems.append(found)
            continue
        try:
            parser = _parser_for(found.path, parsers)
            if parser:
                files.append((_identified(found, hashed), parser))
                continue
            size = found.path.stat().st_size
        except OSError as error:
            problems.append(Problem(found.source, "file", f"can't be opened: {error.strerror or error}"))
            continue
        if found.expected:
            reason = "is empty" if not size else f"no parser knows this format (have: {_names(parsers)})"
            problems.append(Problem(found.source, "file", reason))
        else:
            skipped.append(found.source)
    if not files:
        raise EvidenceError(_nothing(arguments, problems, skipped))
    return Collection(tuple(files), tuple(problems), tuple(skipped))


def identify(path: Path, source: str | None = None) -> Evidence:
    """Hash and size a file (bytes) without changing it. Raises OSError if it can't be read."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return Evidence(path, source or path.name, size, digest.hexdigest())


def _identified(found: _Found, hashed: bool) -> Evidence:
    if hashed:
        return identify(found.path, found.source)
    return Evidence(found.path, found.source, found.path.stat().st_size, "")


def _names(parsers: Iterable[Parser]) -> str:
    return ", ".join(parser.name for parser in parsers)


def _nothing(arguments: Sequence[Path], problems: Sequence[Problem], skipped: Sequence[str]) -> str:
    if problems:
        more = f" (and {len(problems) - 1} more that can't be read)" if len(problems) > 1 else ""
        return f"{problems[0].source}: {problems[0].reason}{more}"
    where = ", ".join(map(str, arguments))
    other = f"; {len(skipped)} files of other formats lie there" if skipped else ""
    return f"no event log found in {where}{other}"


def _parser_for(path: Path, parsers: Sequence[Parser]) -> Parser | None:
    with path.open("rb") as file:
        head = file.read(HEAD)
    return next((parser for parser in parsers if parser.accepts(head)), None)


@dataclass(frozen=True, slots=True)
class _Found:
    path: Path
    source: str
    named: bool  # on the command line itself

    @property
    def expected(self) -> bool:
        """Whether it is a problem if it can't be read, and not just some file."""
        return self.named or self.path.suffix.lower() == ".evtx"


def _sources(arguments: Sequence[Path], leave_out: Path | None) -> Iterator[_Found | Problem]:
    """Files under the arguments, sorted within each; a file that is reached twice counts once."""
    for argument in arguments:
        if not argument.exists():
            raise EvidenceError(f"{argument}: no such file or folder")
    named = {argument.resolve() for argument in arguments}
    found = [(label, entry) for label, argument in _labelled(arguments) for entry in _walk(argument, leave_out)]
    once: dict[object, tuple[str, _Found | Problem]] = {}
    for label, entry in found:
        once.setdefault(entry.path.resolve() if isinstance(entry, _Found) else (label, entry), (label, entry))
    # One argument's name may be another's folder: where any two sources are alike, all say which argument they mean.
    alike = len({entry.source for _, entry in once.values()}) < len(once)
    for label, entry in once.values():
        told = replace(entry, source=f"{label}/{entry.source}") if alike else entry
        yield replace(told, named=told.path.resolve() in named) if isinstance(told, _Found) else told


def _labelled(arguments: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """Arguments with what tells them apart in sources: their last name, numbered where that is not enough."""
    count: Counter[str] = Counter()
    for argument in arguments:
        label = _printable(argument.resolve().name or "root")
        count[label] += 1
        yield (label if count[label] == 1 else f"{label}#{count[label]}"), argument


def _walk(argument: Path, leave_out: Path | None) -> Iterator[_Found | Problem]:
    if not argument.is_dir():
        yield from _checked(_Found(argument, _printable(argument.name), named=True))
        return
    failed: list[OSError] = []
    # Links to folders are not followed: they may loop, and lead out of the evidence.
    for folder, below, names in os.walk(argument, onerror=failed.append, followlinks=False):
        here = Path(folder)
        below[:] = sorted(name for name in below if not _same(here / name, leave_out))
        for name in sorted(names):
            yield from _checked(_Found(here / name, _relative(here / name, argument), named=False))
    for error in failed:
        yield Problem(_relative(Path(error.filename), argument), "folder", f"can't be opened: {error.strerror}")


def _checked(found: _Found) -> Iterator[_Found | Problem]:
    """Nothing but files is ever opened: no pipe, socket or device, which may block, nor a link that leads nowhere."""
    if found.path.is_file():
        yield found
    elif found.expected:
        yield Problem(found.source, "file", "is no file that can be read")


def _same(path: Path, other: Path | None) -> bool:
    return other is not None and other.exists() and path.samefile(other)


def _relative(path: Path, argument: Path) -> str:
    return _printable(path.relative_to(argument).as_posix())


def _printable(name: str) -> str:
    """File names as text: bytes that are no UTF-8 become \\xNN."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
