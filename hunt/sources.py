"""Which files lie under the arguments, each once, and what they and the members of archives are called in results."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote_to_bytes

from hunt.errors import EvidenceError
from hunt.model import Problem
from hunt.spool import PREFIX
from hunt.store.known import CASE, is_case

_LONGEST = 500  # characters of a member's name: an archive may claim any length
_ALLOWED = re.compile(r"%(?!2[Ff]|[01][0-9A-Fa-f]|7[Ff])(?=[0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Found:
    """A file of the evidence."""

    path: str
    source: str
    named: bool  # on the command line itself
    key: object  # the same for the same file under another name
    size: int  # bytes
    modified_ns: int  # nanoseconds since 1970

    @property
    def expected(self) -> bool:
        """Whether it is a problem if it can't be read, and not just some file."""
        return self.named or looks_like_log(self.path)


def looks_like_log(name: str) -> bool:
    """Whether a name promises what we read."""
    return name[-5:].lower() == ".evtx"


class Unique:
    """Gives each source a name of its own: the second `a` becomes `a#2`."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._count: Counter[str] = Counter()

    def __call__(self, source: str) -> str:
        own = source
        while own in self._taken:
            self._count[source] += 1
            own = f"{source}#{self._count[source] + 1}"
        self._taken.add(own)
        return own


def find(arguments: Sequence[Path], leave_out: Path | None) -> Iterator[Found | Problem]:
    """Files under the arguments, sorted within each; a file that is reached twice, by a link too, counts once.

    Links to folders are not followed: they may loop, and lead out of the evidence. Raises EvidenceError if an argument
    can't be looked at.
    """
    for argument in arguments:
        _check(argument)
    named = {key(argument.stat(), str(argument)) for argument in arguments}
    ours = [folder for folder in (leave_out, _temporary()) if folder is not None and folder.exists()]
    out = {key(folder.stat(), str(folder)) for folder in ours}
    once: dict[object, tuple[str, Found | Problem]] = {}
    for label, argument in _labelled(arguments):
        for entry in _walk(argument, out):
            once.setdefault(entry.key if isinstance(entry, Found) else (label, entry), (label, entry))
    # One argument's name may be another's folder: where any two sources are alike, all say which argument they mean.
    alike = len(arguments) > 1 and len({entry.source for _, entry in once.values()}) < len(once)
    for label, entry in once.values():
        source = f"{label}/{entry.source}" if alike else entry.source
        if isinstance(entry, Problem):
            yield replace(entry, source=source)
        else:
            own = entry.key in named
            yield replace(entry, source=source, named=own) if alike or own != entry.named else entry


def _check(argument: Path) -> None:
    try:
        argument.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):  # the latter: a name that no file can have
        raise EvidenceError(f"{argument}: no such file or folder") from None
    except OSError as error:
        raise EvidenceError(f"{argument}: can't be opened: {error.strerror or error}") from None


def _temporary() -> Path | None:
    """The folder that this run keeps temporary files in, if it has one of its own: no evidence either."""
    folder = Path(tempfile.tempdir) if tempfile.tempdir else None
    return folder if folder and folder.name.startswith(PREFIX) else None


def _labelled(arguments: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """Arguments with what tells them apart in sources: their last name, numbered where that is not enough."""
    unique = Unique()
    for argument in arguments:
        yield unique(printable(argument.resolve().name or "root")), argument


def _walk(argument: Path, out: set[object]) -> Iterator[Found | Problem]:
    if not argument.is_dir():
        yield from _checked(str(argument), printable(argument.name), named=True)
        return
    failed: list[Problem] = []
    seen: set[object] = set()  # Windows' junctions are folders to Python, and may loop
    waiting = [(str(argument), "")]
    while waiting:
        folder, prefix = waiting.pop()
        try:
            own = key(os.stat(folder), folder)  # noqa: PTH116 - Path doubles what a file costs
            if own in out or own in seen:
                continue
            seen.add(own)
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
            if any(entry.name == CASE for entry in entries) and is_case(Path(folder)):
                named = prefix.rstrip("/") or printable(argument.name)
                failed.append(Problem(named, "folder", "is a case, which is read if it is named by itself"))
                continue
        except OSError as error:
            source = prefix.rstrip("/") or printable(argument.name)
            failed.append(Problem(source, "folder", f"can't be opened: {error.strerror or error}"))
            continue
        below = []
        for entry in entries:
            source = prefix + printable(entry.name)
            if entry.is_dir(follow_symlinks=False):
                below.append((entry.path, f"{source}/"))
            elif not (entry.is_symlink() and os.path.isdir(entry.path)):  # noqa: PTH112 - Path's raises
                yield from _checked(entry.path, source, named=False)
        waiting += reversed(below)
    yield from failed


def _checked(path: str, source: str, named: bool) -> Iterator[Found | Problem]:
    """Nothing but files is ever opened: no pipe, socket or device, which may block, nor a link that leads nowhere."""
    try:
        info = os.stat(path)  # noqa: PTH116 - as above
        if stat.S_ISREG(info.st_mode):
            yield Found(path, source, named, key(info, path), info.st_size, info.st_mtime_ns)
            return
    except OSError:
        pass
    if named or looks_like_log(path):
        yield Problem(source, "file", "is no file that can be read")


def key(info: os.stat_result, path: str) -> object:
    """What tells a file from all others; some file systems number none."""
    return (info.st_dev, info.st_ino) if info.st_ino else os.path.realpath(path)


def printable(name: str) -> str:
    """Names of files as text: bytes that are no UTF-8 become \\xNN."""
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "backslashreplace")


def member_name(name: str) -> str:
    """A member's name as it is shown: text, and not longer than names are."""
    shown = name if name.isascii() else name.encode("utf-8", "backslashreplace").decode()
    shown = _velociraptor(shown)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"


def _velociraptor(name: str) -> str:
    """Its collections keep what they took below uploads/ACCESSOR/, with the path's own characters as %xx."""
    if not name.startswith("uploads/") or "%" not in name:
        return name
    decoded = unquote_to_bytes(_ALLOWED.sub("\0", name).replace("%", "%25").replace("\0", "%"))
    try:
        return decoded.decode("utf-8")
    except UnicodeDecodeError:
        return name
