"""Rule files, found and read by their formats; each rule gets the id that results name it by."""

from __future__ import annotations

import hashlib
import importlib
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from hunt.errors import QueryError
from hunt.model import Hunt, Status
from hunt.rules.model import Format, Loaded, Plan, RuleError, RuleInfo, Takes, Unusable, every

# Which module reads which files; it offers `load` as `model.Format` says.
FORMATS: Mapping[str, str] = {
    ".eql": "hunt.eql.load",
    ".toml": "hunt.eql.load",
    ".yml": "hunt.sigma.load",
    ".yaml": "hunt.sigma.load",
}
LARGEST = 16 << 20  # bytes of a rule file; SigmaHQ's largest has some 100 KB
_LONGEST_ID = 128  # characters; what is longer, or not printable, is no id to name findings by


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule out of a file, under the id that results have: its hunt, or why it can't be run."""

    id: str
    info: RuleInfo
    file: str  # as results name it: relative to the folder that was asked for
    sha256: str  # of the file, lower-case hex; "" if it could not be read
    hunt: Hunt | None
    error: RuleError | None
    plan: Plan


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of some files and folders, by file and number."""

    rules: tuple[Rule, ...]
    files: int  # that hold rules, taken or refused
    others: tuple[str, ...] = ()  # files of a rule's suffix without one


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    shown: str
    named: bool  # on the command line, not met in a folder
    sha256: str
    error: RuleError | None  # why it can't be read


def is_rule_file(name: str) -> bool:
    """Whether a file is of a format that we read, by its name."""
    return Path(name).suffix.lower() in FORMATS


def load(named: Sequence[Path], takes: Takes = every, ids: Collection[str] = ()) -> Rules:
    """The rules of files and folders, each file once. `ids`: those of ours, which no rule may have.

    Raises QueryError for a path that is missing, a file of no format that we know or without a rule, a folder without
    any.
    """
    files = _files(named)
    holding: set[Path] = set()

    def asked(info: RuleInfo) -> bool:
        holding.add(info.path)
        return takes(info)

    loaded: list[Loaded | Unusable] = [Unusable(RuleInfo(f.path), f.error) for f in files if f.error]
    for module, of_format in _by_format(file for file in files if not file.error):
        reader = cast(Format, importlib.import_module(module))
        loaded += reader.load([file.path for file in of_format], asked)
    holding.update(part.info.path for part in loaded)
    by_path = {file.path: file for file in files}
    others = [file for file in files if file.path not in holding]
    for file in others:
        if file.named:
            raise QueryError(f"{file.shown}: holds no rule")
    if not holding:
        raise QueryError(f"{', '.join(map(str, named))}: no rule in any file ({' '.join(FORMATS)})")
    return Rules(tuple(_identified(loaded, by_path, ids)), len(holding), tuple(file.shown for file in others))


def _identified(
    loaded: Sequence[Loaded | Unusable], files: Mapping[Path, _File], ours: Collection[str]
) -> Iterator[Rule]:
    """By file and number: a rule's own id; `file#n` for one that has none, or one that another has."""
    order = {path: number for number, path in enumerate(files)}
    taken = set(ours)
    for part in sorted(loaded, key=lambda part: (order[part.info.path], part.info.number)):
        info, file = part.info, files[part.info.path]
        own = info.id if _is_id(info.id) and info.id not in taken else ""
        id_ = own or _numbered(file, info.number, taken)
        taken.add(id_)
        if isinstance(part, Loaded):
            yield Rule(id_, info, file.shown, file.sha256, replace(part.hunt, id=id_), None, part.plan)
        else:
            yield Rule(id_, info, file.shown, file.sha256, None, part.error, tuple)


def _is_id(text: str) -> bool:
    return bool(text.strip()) and text.isprintable() and len(text) <= _LONGEST_ID


def _numbered(file: _File, number: int, taken: Collection[str]) -> str:
    """`file#n`; two folders may hold files of the same name, and a loader may give a number twice."""
    plain = f"{file.shown}#{number}"
    names = (plain, f"{file.path.as_posix()}#{number}", *(f"{plain}.{n}" for n in range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken)


def _by_format(files: Iterable[_File]) -> Iterator[tuple[str, list[_File]]]:
    found: dict[str, list[_File]] = {}
    for file in files:
        found.setdefault(FORMATS[file.path.suffix.lower()], []).append(file)
    yield from sorted(found.items())


def _files(named: Sequence[Path]) -> list[_File]:
    """The files of the formats we know, each once, by name within each folder."""
    found: dict[str, _File] = {}
    for path in named:
        for file, shown, error in _walk(path):
            content, trouble = (b"", error) if error else _content(file)
            digest = "" if trouble else hashlib.sha256(content).hexdigest()
            found.setdefault(os.path.realpath(file), _File(file, shown, file == path, digest, trouble))
    return list(found.values())


def _walk(path: Path) -> Iterator[tuple[Path, str, RuleError | None]]:
    """(file, how results name it, why it can't be looked into) of a file or of all in a folder, links not followed."""
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        raise QueryError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if not is_folder:
        if not is_rule_file(path.name):
            raise QueryError(f"{path}: no format of rules is called so (have: {' '.join(FORMATS)})")
        yield path, path.name, None
        return
    closed: list[OSError] = []
    for place, folders, names in os.walk(path, onerror=closed.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))  # .git, .github
        for name in sorted(names):
            file = Path(place, name)
            if is_rule_file(name) and not name.startswith("."):
                yield file, file.relative_to(path).as_posix(), None
    for trouble in closed:
        folder = Path(trouble.filename)
        yield folder, folder.relative_to(path).as_posix(), _unread(trouble)


def _content(path: Path) -> tuple[bytes, RuleError | None]:
    try:
        met = path.stat()
        if not stat.S_ISREG(met.st_mode):  # reading a pipe might never end
            return b"", RuleError(Status.INVALID, "is no regular file")
        if met.st_size > LARGEST:
            return b"", RuleError(Status.INVALID, f"is larger than {LARGEST >> 20} MiB, which no rule is")
        return path.read_bytes(), None
    except OSError as error:
        return b"", _unread(error)


def _unread(error: OSError) -> RuleError:
    return RuleError(Status.INVALID, f"can't be read: {error.strerror or error}")
