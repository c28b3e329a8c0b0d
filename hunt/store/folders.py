"""Where a case lies: a folder here, or any place that fsspec reaches. Files appear whole or not at all."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from hunt.errors import HuntError

_MANY = 100  # files; for fewer the rest of the machine need not wait
PARTIAL = ".part"  # what the names of files end in that are being written


class Folder(Protocol):
    """Files by their paths inside a case, / between folders. Everything raises OSError for what can't be done."""

    name: str  # for people: without passwords
    local: Path | None  # where it lies on this machine

    def read(self, path: str) -> bytes:
        """All of a file."""

    def open(self, path: str) -> BinaryIO:
        """A file to read here and there."""

    def size(self, path: str) -> int:
        """Bytes of a file."""

    def write(self, path: str, content: bytes) -> None:
        """Make or replace a file, which appears whole. Folders on the way are made."""

    def claim(self, path: str, content: bytes) -> bool:
        """Make a file that is not there yet; whether it was made by us, of all who try it at the same time."""

    def settle(self) -> None:
        """What was written is kept, even if the machine fails."""

    def names(self) -> Iterator[str]:
        """What lies in it, and not further below; nothing if it is not there."""

    def files(self) -> Iterator[str]:
        """Every file, also those that are being written."""

    def remove(self, path: str) -> None:
        """A file that may be there; here also the folders that are empty then."""


def folder(where: str) -> Folder:
    """A path or a URL. Raises HuntError for a URL that nothing here can open, and for no name at all."""
    if not where:  # a variable of a shell that was not set: the folder one is in is not meant
        raise HuntError("--case: the name is empty")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", where):
        split = urlsplit(where)
        if split.scheme.lower() in ("file", "local") and split.netloc in ("", "localhost"):
            return Local(Path(unquote(split.path)))
        from hunt.store.remote import remote  # fsspec takes its time

        return remote(where)
    return Local(Path(where))


class Local:
    """A folder of this machine's file systems, mounts of other machines' among them."""

    def __init__(self, place: Path) -> None:
        self.name = str(place)
        self.local: Path | None = place
        self._place = place
        self._unsettled: list[Path] = []

    def read(self, path: str) -> bytes:
        return (self._place / path).read_bytes()

    def open(self, path: str) -> BinaryIO:
        return (self._place / path).open("rb")

    def size(self, path: str) -> int:
        return (self._place / path).stat().st_size

    def write(self, path: str, content: bytes) -> None:
        target = self._place / path
        partial = target.with_name(target.name + PARTIAL)
        later = path.endswith(".parquet")  # of the others, by which these are found, there are few
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                file.write(content)
                if not later:
                    file.flush()
                    os.fsync(file.fileno())
            partial.replace(target)
        except BaseException:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise
        if later:
            self._unsettled.append(target)

    def claim(self, path: str, content: bytes) -> bool:
        target = self._place / path
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with target.open("xb") as file:
                file.write(content)
        except FileExistsError:
            return False
        return True

    def settle(self) -> None:
        """Thousands of files at once where the system can: one by one that takes as long as reading them did."""
        unsettled, self._unsettled = self._unsettled, []
        if len(unsettled) > _MANY and hasattr(os, "sync"):
            os.sync()  # Linux waits until all is written
            return
        for target in unsettled:
            with suppress(FileNotFoundError), target.open("r+b") as file:
                os.fsync(file.fileno())

    def names(self) -> Iterator[str]:
        with suppress(FileNotFoundError):
            yield from sorted(path.name for path in self._place.iterdir())

    def files(self) -> Iterator[str]:
        waiting = [self._place]
        while waiting:
            current = waiting.pop()
            try:
                entries = sorted(os.scandir(current), key=lambda entry: entry.name)
            except (FileNotFoundError, NotADirectoryError):
                continue
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                else:
                    yield Path(entry.path).relative_to(self._place).as_posix()

    def remove(self, path: str) -> None:
        target = self._place / path
        target.unlink(missing_ok=True)
        self.tidy(path)

    def tidy(self, path: str) -> None:
        """Remove the folders of a path that are empty, but for the case's own."""
        for parent in (self._place / path).parents:
            if parent == self._place or self._place not in parent.parents:
                return
            try:
                parent.rmdir()
            except FileNotFoundError:
                continue
            except OSError:  # there is more in it
                return
