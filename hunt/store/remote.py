"""A case at a URL: whatever fsspec reaches, with the packages that it needs for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast
from urllib.parse import urlsplit, urlunsplit

import fsspec

from hunt.errors import HuntError
from hunt.store.folders import PARTIAL, Folder

T = TypeVar("T")

# Where an object appears whole by itself, and a change of its name would be a copy.
_OBJECTS = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci", "r2", "memory"})
_SETTLING_S = 2.0  # what two who claim the same name at once get to see each other's claim


def remote(url: str) -> Folder:
    """The folder that a URL names. Raises HuntError for one that can't be reached from here."""
    name = shown(url)
    try:
        system, path = fsspec.core.url_to_fs(url)
    except ImportError as error:  # "Install s3fs to access S3"
        raise HuntError(f"{name}: {error}") from None
    except Exception as error:  # whatever the package of a protocol may raise for a URL it does not like
        raise HuntError(f"{name}: can't be opened: {_described(error)}") from None
    return Remote(name, system, str(path).rstrip("/"))


def shown(url: str) -> str:
    """A URL without the password that it may hold, nor what follows a question mark: signatures stand there."""
    split = urlsplit(url)
    return urlunsplit((split.scheme, split.netloc.rpartition("@")[2], split.path, "", ""))


def _described(error: BaseException) -> str:
    return str(error).strip() or type(error).__name__


class Remote:
    """See `Folder`."""

    local: Path | None = None

    def __init__(self, name: str, system: Any, place: str) -> None:
        self.name = name
        self._system = system
        self._place = place
        protocol = system.protocol if isinstance(system.protocol, str) else system.protocol[0]
        self._objects = protocol in _OBJECTS

    def read(self, path: str) -> bytes:
        return cast(bytes, self._asked(self._system.cat_file, self._at(path)))

    def open(self, path: str) -> BinaryIO:
        return cast(BinaryIO, self._asked(self._system.open, self._at(path), "rb"))

    def size(self, path: str) -> int:
        return int(self._asked(self._system.size, self._at(path)))

    def write(self, path: str, content: bytes) -> None:
        target = self._at(path)
        self._asked(self._system.makedirs, target.rpartition("/")[0], exist_ok=True)
        if self._objects:
            self._asked(self._system.pipe_file, target, content)
            return
        self._asked(self._system.pipe_file, target + PARTIAL, content)
        self._asked(self._system.mv, target + PARTIAL, target)

    def claim(self, path: str, content: bytes) -> bool:
        target = self._at(path)
        self._asked(self._system.makedirs, target.rpartition("/")[0], exist_ok=True)
        if self._asked(self._system.exists, target):
            return False
        try:
            self._system.pipe_file(target, content, mode="create")
        except FileExistsError:
            return False
        except Exception:  # whatever a system raises that can't: there the last who wrote has it
            self._asked(self._system.pipe_file, target, content)
            time.sleep(_SETTLING_S)
        return self.read(path) == content

    def settle(self) -> None:
        """What was written is kept already."""

    def names(self) -> Iterator[str]:
        self._system.invalidate_cache()
        try:
            found = self._asked(self._system.ls, self._place, detail=False)
        except FileNotFoundError:
            return
        yield from (str(name).rstrip("/").rpartition("/")[2] for name in sorted(found))

    def files(self) -> Iterator[str]:
        self._system.invalidate_cache()
        try:
            found = self._asked(self._system.find, self._place)
        except FileNotFoundError:
            return
        before = len(self._place) + 1
        yield from (str(name)[before:] for name in sorted(found))

    def remove(self, path: str) -> None:
        try:
            self._asked(self._system.rm_file, self._at(path))
        except FileNotFoundError:
            return
        # Systems with folders keep them when they are empty; those without may pretend to.
        parent = self._at(path)
        while (parent := parent.rpartition("/")[0]).startswith(f"{self._place}/"):
            try:
                if self._system.ls(parent, detail=False):
                    return
                self._system.rmdir(parent)
            except Exception:  # nothing is lost by a folder that stays
                return

    def _at(self, path: str) -> str:
        return f"{self._place}/{path}"

    def _asked(self, ask: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """What a call gives. Raises OSError where it fails."""
        try:
            return ask(*arguments, **named)
        except OSError:
            raise
        except Exception as error:  # packages have errors of their own for a network that fails, for what they can't do
            raise OSError(f"{self.name}: {_described(error)}") from error
