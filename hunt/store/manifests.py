"""The manifests of a case: case.json and each lot's lot.json, read with distrust and written the same each time."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from hunt import __version__
from hunt.errors import HuntError
from hunt.model import Problem
from hunt.store.folders import Folder
from hunt.store.known import FORMAT
from hunt.store.layout import (
    CASE,
    SCHEMA,
    Alias,
    Case,
    Dated,
    File,
    Item,
    Lot,
    Opened,
    Pending,
    is_data_path,
    lot_path,
    moment,
)


class CaseError(HuntError):
    """A case that can't be read, or is none."""


# Reading.


def load(folder: Folder) -> Case:
    """The manifests of a case. Raises CaseError for what is none, is damaged, or was written by a later version."""
    try:
        raw = folder.read(CASE)
    except (FileNotFoundError, NotADirectoryError):
        raise CaseError(f"{folder.name}: is no case: it has no {CASE}") from None
    except OSError as error:
        raise CaseError(f"{folder.name}: can't be read: {error.strerror or error}") from None
    told = _object(raw, folder, CASE)
    if told.get("format") != FORMAT:
        raise CaseError(f"{folder.name}: {CASE} is of another program, not a case of evtx-hunt")
    schema = told.get("schema")
    if not isinstance(schema, int) or schema < 1:
        raise _damaged(folder, CASE, "no schema")
    if schema > SCHEMA:
        by = f" ({told['tool']})" if isinstance(told.get("tool"), str) else ""
        raise CaseError(
            f"{folder.name}: was written by a later version{by}: schema {schema}, this one reads {SCHEMA}; "
            "update evtx-hunt"
        )
    try:
        hashes = {_text(entry, "lot"): _text(entry, "sha256") for entry in _list(told, "lots")}
        pending = tuple(_made(Pending, entry) for entry in _list(told, "pending"))
        buckets = _number(told, "buckets")
        if not 1 <= buckets <= 100:
            raise ValueError("buckets")
    except (LookupError, TypeError, ValueError) as error:
        raise _damaged(folder, CASE, error) from None
    return Case(tuple(_lot(folder, *entry) for entry in hashes.items()), pending, buckets, hashes)


def exists(folder: Folder) -> bool:
    """Whether there is a case.json, whatever it says. Raises OSError."""
    try:
        folder.read(CASE)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _lot(folder: Folder, id_: str, sha256: str) -> Lot:
    if not re.fullmatch("[0-9a-f]{16}", id_):
        raise _damaged(folder, CASE, f"{id_!r} is no lot")
    path = lot_path(id_)
    try:
        raw = folder.read(path)
    except FileNotFoundError:
        raise CaseError(f"{folder.name}: is damaged: {path} is missing") from None
    except OSError as error:
        raise CaseError(f"{folder.name}: {path} can't be read: {error.strerror or error}") from None
    if hashlib.sha256(raw).hexdigest() != sha256:
        raise _damaged(folder, path, f"is not the one that {CASE} names")
    told = _object(raw, folder, path)
    try:
        lot = Lot(
            id_,
            _flag(told, "slack"),
            tuple(_made(Item, entry) for entry in _list(told, "items")),
            tuple(_made(File, entry) for entry in _list(told, "files")),
            tuple(_made(Problem, entry) for entry in _list(told, "problems")),
            tuple(_made(Alias, entry) for entry in _list(told, "aliases")),
            tuple(_made(Opened, entry) for entry in _list(told, "containers")),
            tuple(_checked(name, str) for name in _list(told, "skipped")),
            tuple(_made(Problem, entry) for entry in _list(told, "collecting")),
            _text(told, "census"),
        )
        for file in lot.files:
            if not is_data_path(file.path):  # it may lead anywhere
                raise ValueError(f"{file.path!r} is no path of events")
        dated: tuple[Dated, ...] = (*lot.items, *lot.aliases, *lot.containers)
        for entry in dated:
            moment(entry.modified)
    except (LookupError, TypeError, ValueError) as error:
        raise _damaged(folder, path, error) from None
    return lot


def _damaged(folder: Folder, path: str, why: object) -> CaseError:
    said = f"{type(why).__name__}: {why}" if isinstance(why, KeyError) else why
    return CaseError(f"{folder.name}: is damaged: {path}: {said}")


def _object(raw: bytes, folder: Folder, path: str) -> Mapping[str, Any]:
    try:
        told = json.loads(raw)
    except (ValueError, RecursionError):
        raise _damaged(folder, path, "is no JSON") from None
    if not isinstance(told, dict):
        raise _damaged(folder, path, "is no JSON object")
    return told


_SIMPLE: Mapping[str, type | tuple[type, ...]] = {
    "str": str,
    "int": int,
    "str | None": (str, type(None)),
    "int | None": (int, type(None)),
}


def _made(kind: Any, entry: object) -> Any:
    """A dataclass out of its JSON object. Raises KeyError, TypeError, ValueError for what is none."""
    told = _checked(entry, dict)
    values = {}
    for of in fields(kind):
        if of.name == "part" and of.type != "int":
            part = told[of.name]
            values[of.name] = None if part is None else (_checked(part[0], int), _checked(part[1], int))
        else:
            values[of.name] = _checked(told[of.name], _SIMPLE[str(of.type)])
    return kind(**values)


def _checked(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{str(value)[:40]!r} stands where another type should")
    return value


def _list(told: Mapping[str, Any], name: str) -> list[Any]:
    return list(_checked(told[name], list))


def _text(told: Mapping[str, Any], name: str) -> str:
    return str(_checked(told[name], str))


def _number(told: Mapping[str, Any], name: str) -> int:
    return int(_checked(told[name], int))


def _flag(told: Mapping[str, Any], name: str) -> bool:
    if not isinstance(told[name], bool):
        raise TypeError(f"{name} is neither true nor false")
    return bool(told[name])


# Writing.


def lot_id(slack: bool, items: Sequence[Item], rest: Sequence[object] = ()) -> str:
    """The name of a lot: by what is read and how; by all it tells (`rest`) if it reads nothing."""
    read = [(item.sha256, item.source, item.parser, item.part) for item in items]
    return hashlib.sha256(json.dumps([SCHEMA, slack, read, rest]).encode()).hexdigest()[:16]


def lot_json(lot: Lot) -> bytes:
    """The content of a lot.json."""
    told = {
        "slack": lot.slack,
        "census": lot.census,
        "items": plain(lot.items),
        "aliases": plain(lot.aliases),
        "containers": plain(lot.containers),
        "skipped": list(lot.skipped),
        "collecting": plain(lot.collecting),
        "problems": plain(lot.problems),
        "files": plain(lot.files),
    }
    return _json(told)


def case_json(case: Case) -> bytes:
    """The content of a case.json: the same for the same evidence, whenever and wherever it was ingested."""
    told = {
        "format": FORMAT,
        "schema": SCHEMA,
        "tool": __version__,
        "buckets": case.buckets,
        "pending": plain(case.pending),
        "lots": [{"lot": lot, "sha256": sha256} for lot, sha256 in case.hashes.items()],
    }
    return _json(told)


def plain(values: Sequence[Any]) -> list[dict[str, object]]:
    """Dataclasses as JSON objects."""
    return [{of.name: getattr(value, of.name) for of in fields(value)} for value in values]


def _json(told: Mapping[str, object]) -> bytes:
    """ASCII alone, for names of files may hold what no UTF-8 can; a line for each entry of a list."""
    parts = []
    for name, value in told.items():
        if isinstance(value, list) and value:
            text = "[\n  " + ",\n  ".join(map(json.dumps, value)) + "\n ]"
        else:
            text = json.dumps(value)
        parts.append(f" {json.dumps(name)}: {text}")
    return ("{\n" + ",\n".join(parts) + "\n}\n").encode("ascii")
