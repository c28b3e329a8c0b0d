"""Find evidence, name it, tell its format by content; archives are opened on the way. All is opened read-only."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Container as Names
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from hunt import sources
from hunt.errors import EvidenceError
from hunt.model import Container, Evidence, Opening, Parser, Problem
from hunt.sources import Found, Unique
from hunt.spool import Spool
from hunt.streams import HEAD, exactly
from hunt.unpack import Formats, Log, Opened, Outcome, Skipped, Unpacker

_BLOCK = 1 << 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Collection:
    """What lies under the arguments, in a stable order: files with parsers, what can't be read, what is foreign.

    `containers`: archives and images that were opened, also those inside others, whose `path` is gone.
    """

    files: tuple[tuple[Evidence, Parser], ...]
    problems: tuple[Problem, ...]
    skipped: tuple[str, ...]
    containers: tuple[Evidence, ...] = ()


@contextmanager
def collect(
    arguments: Sequence[Path],
    parsers: Sequence[Parser],
    containers: Sequence[Container] = (),
    opening: Opening | None = None,
    leave_out: Path | None = None,
    hashed: bool = True,
    begin: Callable[[str], None] = lambda source: None,
    avoid: Names[str] = (),
    known: Callable[[Evidence], bool] = lambda container: False,
) -> Iterator[Collection]:
    """All evidence under files and folders, each file once; `leave_out` is a folder of results, not evidence.

    What archives hold are temporary files, gone when the context is left. `hashed`: with SHA-256, for which every file
    is read once more; without, it is "". A parser is asked before a container. `begin` is told of each container before
    it is opened, and of "" after it; those in `avoid` are not opened, nor those that are `known`.

    Raises EvidenceError if an argument does not exist or nothing can be read at all, and nothing of it is known.
    """
    with Spool(arguments) as spool:
        found = _Sorted()
        unique = Unique()
        formats = Formats(parsers, containers)
        unpacker = Unpacker(formats, opening or Opening(), spool, unique, hashed, begin, avoid)
        met = set[object]()
        asked = _Asked(known)
        for entry in sources.find(arguments, leave_out):
            if isinstance(entry, Problem):
                found.problems.append(entry)
            else:
                met.add(entry.key)
                found.take(_outcomes(entry, unique(entry.source), formats, unpacker, hashed, asked))
        found.settle(met)
        if not found.files and not asked.some:
            raise EvidenceError(_nothing(arguments, found.problems, found.skipped))
        yield Collection(tuple(found.files), tuple(found.problems), tuple(found.skipped), tuple(found.containers))


def identify(path: Path, source: str | None = None) -> Evidence:
    """Hash and size a file (bytes) without changing it. Raises OSError if it can't be read."""
    with path.open("rb", buffering=0) as file:
        size, digest = _hashed(file, b"")
    return Evidence(path, source or path.name, size, digest)


@dataclass(slots=True)
class _Sorted:
    """Outcomes by what they are."""

    files: list[tuple[Evidence, Parser]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    containers: list[Evidence] = field(default_factory=list)
    parts: list[tuple[str, Path]] = field(default_factory=list)  # and what each is read with

    def take(self, outcomes: Iterator[Outcome]) -> None:
        for outcome in outcomes:
            match outcome:
                case Log():
                    self.files.append((outcome.evidence, outcome.parser))
                case Opened():
                    self.containers.append(outcome.evidence)
                case Skipped(whole=Path() as whole):
                    self.parts.append((outcome.source, whole))
                case Skipped():
                    self.skipped.append(outcome.source)
                case Problem():
                    self.problems.append(outcome)

    def settle(self, met: Names[object]) -> None:
        """Parts are skipped if what they are read with was met; by `sources.key`."""
        for source, whole in self.parts:
            if sources.key(whole.stat(), str(whole)) in met:
                self.skipped.append(source)
            else:
                self.problems.append(Problem(source, "file", f"is read with {whole.name}, which is to be named"))


@dataclass(slots=True)
class _Asked:
    """Which containers are known, and whether any was."""

    known: Callable[[Evidence], bool]
    some: bool = False

    def __call__(self, container: Evidence) -> bool:
        known = self.known(container)
        self.some = self.some or known
        return known


def _outcomes(
    found: Found, source: str, formats: Formats, unpacker: Unpacker, hashed: bool, known: _Asked
) -> Iterator[Outcome]:
    """What one file gives: opened once, for its first bytes, its size and its hash."""
    try:
        with open(found.path, "rb", buffering=0) as file:  # noqa: PTH123 - most files are of no interest, and many
            head = exactly(file, HEAD)
            parser = formats.parser(head)
            container = None if parser else formats.container(head)
            evidence = _identified(source, found, file, head, hashed) if parser or container else None
    except OSError as error:
        yield Problem(source, "file", f"can't be opened: {error.strerror or error}")
        return
    if evidence and parser:
        yield Log(evidence, parser)
    elif evidence and container:
        yield Opened(evidence)
        if not known(evidence):
            yield from _held(unpacker.open(evidence.path, source, container), found, source)
    elif found.expected:
        yield Problem(source, "file", formats.unknown(empty=not head))
    else:
        yield Skipped(source)


def _held(outcomes: Iterator[Outcome], found: Found, source: str) -> Iterator[Outcome]:
    """What a container holds; nothing to read in one that was named is a problem."""
    some = told = False
    for outcome in outcomes:
        some = some or isinstance(outcome, Log)
        told = told or isinstance(outcome, Problem) or (isinstance(outcome, Skipped) and outcome.whole is not None)
        yield outcome
    if found.expected and not some and not told:
        yield Problem(source, "file", "holds no event log")


def _identified(source: str, found: Found, file: BinaryIO, head: bytes, hashed: bool) -> Evidence:
    size, digest = _hashed(file, head) if hashed else (found.size, "")
    return Evidence(Path(found.path), source, size, digest, _modified(found))


def _hashed(file: BinaryIO, head: bytes) -> tuple[int, str]:
    """(bytes, SHA-256) of a file whose first bytes were read already."""
    digest, size = hashlib.sha256(head), len(head)
    while block := file.read(_BLOCK):
        digest.update(block)
        size += len(block)
    return size, digest.hexdigest()


def _modified(found: Found) -> datetime | None:
    try:
        return _EPOCH + timedelta(microseconds=found.modified_ns // 1000)
    except OverflowError:
        return None


def _nothing(arguments: Sequence[Path], problems: Sequence[Problem], skipped: Sequence[str]) -> str:
    if problems:
        more = f" (and {len(problems) - 1} more that can't be read)" if len(problems) > 1 else ""
        return f"{problems[0].source}: {problems[0].reason}{more}"
    where = ", ".join(map(str, arguments))
    other = f"; {len(skipped)} files of other formats lie there" if skipped else ""
    return f"no event log found in {where}{other}"
