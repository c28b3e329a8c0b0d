"""Records of cloud audit logs, which are JSON of any depth, as columns.

A column's name is the path to what it holds, dots between the names. An object's members are columns of their own; a
list is its JSON in the column of its name, and what stands in it has columns besides: of pairs (`[{"Name":
"IsThrottled", "Value": "False"}]`) one for each name (`OperationProperties.IsThrottled`), of other objects one for each
member, a line for each object, empty where it lacks the member (`Folders.FolderItems.InternetMessageId`). So what hunts
read is the same whether a column alone was asked for or all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

import orjson

from hunt import schema
from hunt.model import ALL_COLUMNS

from .event_xml import Row
from .written import text

Json = Mapping[str, object]

# What one list may cost, names by members: of many thousand mails each has the same few names.
_CELLS = 1 << 20
_DEEPEST = 5  # names in a path: what lies deeper stays JSON
_PAIRS = (("Name", "Value"), ("name", "value"))
_MODIFIED = ("NewValue", "OldValue")  # of the pairs of ModifiedProperties; the first is their value


def columns(record: Json, wanted: frozenset[str]) -> Row:
    """The columns of a record, or of them those wanted."""
    if wanted == ALL_COLUMNS:
        return _all(record)
    row: Row = {}
    names, paths = _asked(wanted)
    for name, column in names:
        value = record.get(name)
        if type(value) is str:
            row[column] = value
        elif value is not None and not isinstance(value, dict):
            row[column] = as_text(value)
    for name, below in paths:
        value = record.get(name)
        if type(value) is list:
            row |= _of_items(value, below)
        elif value is not None or name not in record:
            for column, path in below:
                found = _at(record, path)
                if found is not None:
                    row[column] = found
    return row


_Paths = tuple[tuple[str, tuple[str, ...]], ...]  # columns and what lies where


@lru_cache(1024)
def _asked(wanted: frozenset[str]) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, _Paths], ...]]:
    """Members and their columns; members, and what of the columns lies in each of them."""
    names, paths = [], dict[str, list[tuple[str, tuple[str, ...]]]]()
    for column in sorted(wanted - schema.CORE.keys() - schema.SYSTEM.keys()):
        path = tuple(_field(column).split("."))
        if len(path) == 1:
            names.append((path[0], column))
        else:
            paths.setdefault(path[0], []).append((column, path))
    return tuple(names), tuple((name, tuple(below)) for name, below in paths.items())


def _of_items(items: list[object], below: _Paths) -> Row:
    """Columns of what stands in a list."""
    pairs = _pairs(items)
    if pairs is not None:
        return {column: found for column, path in below if (found := pairs.get(".".join(path[1:]))) is not None}
    row: Row = {}
    for column, path in below:
        lines = [*_lines(items, path[1:])]
        if any(lines):
            row[column] = "\n".join(lines)
    return row


def _field(column: str) -> str:
    """A field's own name: `schema.column_name` the other way round."""
    field = column.removeprefix("data.")
    return field if schema.column_name(field) == column else column


def _at(value: object, path: tuple[str, ...]) -> str | None:
    """What stands at a path, as text; null and what is not there are None."""
    for depth, name in enumerate(path):
        if isinstance(value, list):
            return _in_list(value, path[depth:])
        if not isinstance(value, dict):
            return None
        if name not in value and (joined := ".".join(path[depth:])) in value:  # a name with dots in it
            value = value[joined]
            break
        value = value.get(name)
    return None if value is None or isinstance(value, dict) else as_text(value)


def _in_list(items: list[object], path: tuple[str, ...]) -> str | None:
    pairs = _pairs(items)
    if pairs is not None:
        return pairs.get(".".join(path))
    lines = [*_lines(items, path)]
    return "\n".join(lines) if any(lines) else None


def _lines(items: list[object], path: tuple[str, ...]) -> Iterator[str]:
    """What the members of objects say, of lists in lists as well; a line each."""
    name, rest = path[0], path[1:]
    for item in items:
        value = item.get(name) if isinstance(item, dict) else None
        if not rest and type(value) is str and "\n" not in value and "\r" not in value:
            yield value
        elif rest and isinstance(value, list):
            yield from _lines(value, rest)
        elif rest:
            yield _line(_at(value, rest))
        else:
            yield _line(None if isinstance(value, dict) else value)


def _line(value: object) -> str:
    told = "" if value is None else as_text(value)
    return " ".join(told.splitlines()) if "\n" in told or "\r" in told else told


def _pairs(items: list[object]) -> dict[str, str] | None:
    """A list of names and values; None if it is another list. Of a name that stands twice, all values."""
    first = items[0] if items else None
    if not isinstance(first, dict):
        return None
    for name, value in (*_PAIRS, ("Name", _MODIFIED[0])):
        if name in first and value in first:
            break
    else:
        return None
    found: dict[str, list[str]] = {}
    for item in items:
        if isinstance(item, dict) and isinstance(called := item.get(name), str):
            found.setdefault(called, []).append("" if item.get(value) is None else as_text(item[value]))
    return {called: told[0] if len(told) == 1 else "\n".join(told) for called, told in found.items()}


def as_text(value: object) -> str:
    """A value as text. Raises ValueError for one that is nested too deep."""
    if isinstance(value, str):
        return value
    try:
        return text(_plain(value) if isinstance(value, list) else value)
    except orjson.JSONEncodeError:
        raise ValueError("nested too deep") from None


def _plain(items: list[object]) -> list[object]:
    """Names and values as texts, whatever they were: hunts decode lists of pairs as such."""
    if _pairs(items) is None:
        return items
    keys = ("Name", "Value", *_MODIFIED)
    return [
        {k: text(v) if k in keys and not isinstance(v, str | None) else v for k, v in item.items()}
        if isinstance(item, dict)
        else {}
        for item in items
    ]


def _all(record: Json) -> Row:
    row: Row = {}
    for path, value in _leaves(record, ()):
        column = schema.column_name(".".join(path))
        row[column] = f"{row[column]}\n{value}" if column in row else value
    return row


def _leaves(value: Json, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    for name, child in value.items():
        path = (*above, name)
        if isinstance(child, dict):
            if len(path) < _DEEPEST:
                yield from _leaves(child, path)
            else:
                yield path, as_text(child)
        elif isinstance(child, list):
            yield path, as_text(child)
            yield from _of_list(child, path)
        elif child is not None:
            yield path, as_text(child)


def _of_list(items: list[object], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    pairs = _pairs(items)
    if pairs is not None:
        yield from (((*above, name), value) for name, value in pairs.items())
        return
    members = [*_members(items, len(above))]
    paths = dict.fromkeys(members)
    if len(paths) * len(members) > _CELLS:
        raise ValueError(f"a list of objects with {len(paths)} names in them")
    for path in paths:
        lines = [*_lines(items, path)]
        if any(lines):
            yield (*above, *path), "\n".join(lines)


def _members(items: list[object], depth: int) -> Iterator[tuple[str, ...]]:
    """The paths of all that stands in objects of a list."""
    for item in items:
        if isinstance(item, dict):
            for name, child in item.items():
                yield from _below(name, child, depth + 1)


def _below(name: str, child: object, depth: int) -> Iterator[tuple[str, ...]]:
    if isinstance(child, list) and depth < _DEEPEST and any(isinstance(item, dict) for item in child):
        yield from ((name, *path) for path in _members(child, depth))
    elif isinstance(child, dict):
        if depth < _DEEPEST:
            for below, value in child.items():
                yield from ((name, *path) for path in _below(below, value, depth + 1))
    else:
        yield (name,)


def is_wanted_of(column: str, wanted: frozenset[str]) -> bool:
    """Whether a column is asked for."""
    return wanted == ALL_COLUMNS or column in wanted
