"""Goes through archives, and archives in archives; what a parser knows becomes a temporary file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Container as Names
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from hunt.errors import ContainerError, LimitError, PartOfAnotherError
from hunt.model import Container, Evidence, Member, Opening, Parser, Problem, StreamContainer
from hunt.sources import looks_like_log, member_name
from hunt.spool import Spool
from hunt.streams import BLOCK, HEAD, stream

_SUFFIXES = (".gz", ".bz2", ".xz", ".zst")  # that compressing one file adds to its name


@dataclass(frozen=True, slots=True)
class Formats:
    """What can be read and what can be opened."""

    parsers: Sequence[Parser]
    containers: Sequence[Container]

    def parser(self, head: bytes) -> Parser | None:
        return next((parser for parser in self.parsers if parser.accepts(head)), None) if head else None

    def container(self, head: bytes) -> Container | None:
        return next((c for c in self.containers if c.accepts(head)), None) if head else None

    def unknown(self, empty: bool) -> str:
        """Why something that was expected to be a log is none."""
        names = ", ".join(parser.name for parser in self.parsers)
        return "is empty" if empty else f"no parser knows this format (have: {names})"


@dataclass(frozen=True, slots=True)
class Log:
    """Something to read."""

    evidence: Evidence
    parser: Parser


@dataclass(frozen=True, slots=True)
class Opened:
    """A container that was gone through."""

    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something of a format that nobody knows."""

    source: str
    whole: Path | None = None  # what it is a part of, and read with


Outcome = Log | Opened | Skipped | Problem


class Unpacker:
    """Opens the containers of one run."""

    def __init__(
        self,
        formats: Formats,
        opening: Opening,
        spool: Spool,
        unique: Callable[[str], str],
        hashed: bool,
        begin: Callable[[str], None],
        avoid: Names[str],
    ) -> None:
        self._formats = formats
        self._opening = opening
        self._budget = opening.budget
        self._spool = spool
        self._unique = unique
        self._hashed = hashed
        self._begin = begin
        self._avoid = avoid

    def open(self, path: Path, source: str, container: Container) -> Iterator[Outcome]:
        """What a file holds, in its order."""
        if source in self._avoid:
            yield Problem(source, "file", "is not opened again: this tool ended badly on it")
            return
        self._begin(source)
        try:
            self._budget.enter(path.stat().st_size)
            yield from self._contents(source, container.members(path, self._opening), 1)
        except LimitError as error:
            yield Problem(source, "file", f"{error}; the rest of it is not read")
        self._begin("")

    def _contents(self, base: str, entries: Iterator[Member | Problem], depth: int) -> Iterator[Outcome]:
        try:
            for entry in entries:
                self._budget.member()  # problems count as well: there may be as many
                if isinstance(entry, Problem):
                    yield replace(entry, source=f"{base}!{member_name(entry.source)}" if entry.source else base)
                else:
                    yield from self._member(base, entry, depth)
        except LimitError:
            raise
        except PartOfAnotherError as part:
            yield Skipped(base, part.whole)
        except (OSError, ContainerError) as error:
            yield Problem(base, "file", _reason(error))

    def _member(self, base: str, member: Member, depth: int) -> Iterator[Outcome]:
        name = member_name(member.name) if member.name else _unpacked_name(base)
        try:
            opened = member.open()
        except LimitError:
            raise
        except (OSError, ContainerError) as error:
            yield Problem(self._unique(f"{base}!{name}"), "file", _reason(error))
            return
        with closing(opened):
            content = _Content(opened)
            parser = self._formats.parser(content.head)
            container = None if parser else self._formats.container(content.head)
            if container and isinstance(container, StreamContainer) and not member.name:
                source = base  # of a .tar.gz: what is in the tar, is in it
            else:
                source = self._unique(f"{base}!{name}")
            if parser:
                evidence = self._spooled(content, source, member)
                yield Log(evidence, parser)
            elif container:
                yield from self._nested(container, content, source, member, depth)
            else:
                self._budget.read(len(content.head))
                yield from self._unknown(content, source, name)
            if content.failure:
                before = "; what came before is read" if parser or container else ""
                yield Problem(source, "file", f"{content.failure}{before}")

    def _unknown(self, content: _Content, source: str, name: str) -> Iterator[Outcome]:
        if content.failure:
            return  # which is told by itself
        if looks_like_log(name):
            yield Problem(source, "file", self._formats.unknown(empty=not content.head))
        else:
            yield Skipped(source)

    def _nested(
        self, container: Container, content: _Content, source: str, member: Member, depth: int
    ) -> Iterator[Outcome]:
        most = self._budget.limits.depth
        if depth >= most:
            yield Problem(source, "file", f"lies in more than {most} archives; --max-depth raises the limit")
        elif isinstance(container, StreamContainer):
            inner = stream(content.blocks())
            yield from self._contents(source, container.unpack(inner, self._opening), depth + 1)
        else:
            evidence = self._spooled(content, source, member)
            try:
                yield Opened(evidence)
                yield from self._contents(source, container.members(evidence.path, self._opening), depth + 1)
            finally:
                evidence.path.unlink(missing_ok=True)

    def _spooled(self, content: _Content, source: str, member: Member) -> Evidence:
        """A member as a file of ours, as far as it can be read."""
        path = self._spool.path()
        digest, size = hashlib.sha256(), 0
        try:
            with path.open("wb") as file:
                for block in content.blocks():
                    self._budget.read(len(block))
                    if self._hashed:
                        digest.update(block)
                    size += len(block)
                    file.write(block)
                    self._spool.written(len(block))
        except OSError as error:
            path.unlink(missing_ok=True)
            raise LimitError(f"the temporary folder can't be written: {error.strerror or error}") from None
        except LimitError:
            path.unlink(missing_ok=True)
            raise
        return Evidence(path, source, size, digest.hexdigest() if self._hashed else "", member.modified)


class _Content:
    """A member's bytes: the first of them, the rest, and what went wrong on the way."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.failure = ""
        self.head = b""
        while len(self.head) < HEAD and (block := self.more(HEAD - len(self.head))):
            self.head += block

    def more(self, size: int) -> bytes:
        """The next bytes, none at the end or after a failure."""
        if self.failure:
            return b""
        try:
            return self._stream.read(size)
        except LimitError:
            raise
        except (OSError, ContainerError) as error:
            self.failure = _reason(error)
            return b""

    def blocks(self) -> Iterator[bytes]:
        """All bytes."""
        yield self.head
        while block := self.more(BLOCK):
            yield block


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


def _unpacked_name(source: str) -> str:
    """What a file is called that a compressed one holds."""
    name = source.rpartition("!")[2].rpartition("/")[2]
    stem = next((name[: -len(suffix)] for suffix in _SUFFIXES if name.lower().endswith(suffix)), name)
    return stem or name
