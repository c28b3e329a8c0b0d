"""Events as PyPI `evtx`, evtx_dump and chainsaw write them: the XML's elements by name, attributes in `#attributes`.

What this layout can't tell: a named Data that stands twice (the last one stays), FILETIMEs below a microsecond, whether
a GUID was a GUID or a text, and null from "". See tests/parsers/test_exports.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache

from hunt import schema
from hunt.model import ALL_COLUMNS

from . import event_xml
from .event_xml import Row
from .json_layouts import Json, Layout, is_wanted, objects
from .json_values import decode
from .written import braced, is_bare, text

_ATTRIBUTES = "#attributes"
_BESIDE = "_attributes"  # evtx_dump --separate-json-attributes, chainsaw: Provider_attributes beside Provider
_DEEPEST = 64  # levels of UserData

Path = tuple[str, ...]


def _event(found: Json) -> Json | None:
    """{"Event": ...}, or {"event_record_id", "timestamp", "data": the event as JSON, as text or as XML}."""
    if isinstance(found.get("data"), str | dict) and "event_record_id" in found:
        data = found["data"]
        if isinstance(data, str) and data.lstrip("\ufeff \t\r\n").startswith("<"):
            return {"xml": data}
        found = decode(data.encode("utf-8", "replace"))[0] if isinstance(data, str) else objects(data)
    event = found.get("Event")
    return event if isinstance(event, dict) and isinstance(event.get("System"), dict) else None


def _head(event: Json) -> Row:
    if "xml" in event:
        return braced(event_xml.parse(event_xml.mended(str(event["xml"]))))
    system = objects(event["System"])
    row: Row = {}
    for name, column in _COUNTED:
        value = system.get(name)
        if isinstance(value, dict):
            value = value.get("#text")
        if value is not None:
            row[column] = text(value)
    for name, attribute, column in (("Provider", "Name", "provider"), ("TimeCreated", "SystemTime", "logged")):
        value = _attributes(system, name).get(attribute)
        if value is not None:
            row[column] = text(value)
    return row


_COUNTED = (("EventID", "event_id"), ("EventRecordID", "record_id"), ("Channel", "channel"), ("Computer", "host"))
_IN_HEAD = frozenset({"event_id", "record_id", "channel", "host", "provider", "logged"})


def _rest(event: Json, wanted: frozenset[str]) -> Row:
    if "xml" in event:
        return {}
    system = objects(event["System"])
    bare = is_bare(_attributes(system, "Provider").get("Guid"))
    row: Row = {}
    for name, section in event.items():
        if name == "EventData":
            row |= _event_data(objects(section), _attributes(event, name), bare, wanted)
        elif name == "System":
            row |= _system(system, wanted)
        elif name != _ATTRIBUTES and not name.endswith(_BESIDE):
            prefix = "" if name == "UserData" else f"{name}."
            for field, texts in _leaves(objects(section)).items():
                row[schema.column_name(prefix + field)] = "\n".join(_braced(item) if bare else item for item in texts)
    return row


def _system(system: Json, wanted: frozenset[str]) -> Row:
    row: Row = {}
    texts, attributes = _system_columns(wanted)
    for name, column in texts:
        value = system.get(name)
        if value is not None:
            row[column] = text(value)
    for name, attribute, column in attributes:
        value = _attributes(system, name).get(attribute)
        if value is not None:
            row[column] = text(value)
    return row


@lru_cache(1024)
def _system_columns(wanted: frozenset[str]) -> tuple[list[tuple[str, str]], list[tuple[str, str, str]]]:
    """Elements of System and their wanted columns; attributes of elements and theirs. Without those of the head."""
    texts = list(event_xml.SYSTEM_TEXTS.items())
    attributes = [(*place, column) for place, column in event_xml.SYSTEM_ATTRIBUTES.items()]
    kept = {c for *_, c in (*texts, *attributes) if c not in _IN_HEAD and is_wanted(c, wanted)}
    return [item for item in texts if item[-1] in kept], [item for item in attributes if item[-1] in kept]


def _attributes(parent: Json, name: str) -> Json:
    child = parent.get(name)
    beside = parent.get(name + _BESIDE)
    return objects(child.get(_ATTRIBUTES) if isinstance(child, dict) else beside) or objects(beside)


def _event_data(section: Json, attributes: Json, bare: bool, wanted: frozenset[str]) -> Row:
    row: Row = {}
    every = wanted == ALL_COLUMNS
    for name, value in section.items():
        column = name if name not in schema.RESERVED else schema.column_name(name)
        if not every and column not in wanted and name != "UtcTime" and not isinstance(value, dict | list):
            continue
        if type(value) is str:
            row[column] = f"{{{value}}}" if bare and len(value) == 36 and is_bare(value) else value
        elif name == schema.DATA and isinstance(value, dict | list):
            items = value.get("#text") if isinstance(value, dict) else value
            row[schema.DATA] = [text(item) for item in (items if isinstance(items, list) else [items])]
        elif name == _ATTRIBUTES or (name.endswith(_BESIDE) and isinstance(value, dict)):
            continue
        elif isinstance(value, dict | list):
            for field, texts in _leaves({name: value}).items():
                row[schema.column_name(field)] = "\n".join(texts)
        elif value is not None or name != "Binary":  # classic events have the element, and mostly nothing in it
            row[column] = text(value)
    if "Name" in attributes:
        row["EventData.Name"] = text(attributes["Name"])
    return row


def _braced(value: str) -> str:
    return f"{{{value}}}" if is_bare(value) else value


def _leaves(section: Json) -> dict[str, list[str]]:
    """Leaf elements and attributes by name; by path where a name alone is ambiguous: as `event_xml` names them."""
    found: dict[Path, list[str]] = {}
    for path, value in _walk(section, ()):
        if path:  # the section's own text is left out there too
            found.setdefault(path, []).append(value)
    count = Counter(path[-1] for path in found)
    return {path[-1] if count[path[-1]] == 1 else ".".join(path): texts for path, texts in found.items()}


def _walk(element: Json, above: Path) -> Iterator[tuple[Path, str]]:
    if len(above) > _DEEPEST:
        raise ValueError("nested too deep")
    for name, child in element.items():
        own = name == _ATTRIBUTES or (name.endswith(_BESIDE) and isinstance(child, dict))
        if own:
            path = above if name == _ATTRIBUTES else (*above, name.removesuffix(_BESIDE))
            for attribute, value in objects(child).items():
                if attribute != "xmlns" and not attribute.startswith("xmlns:"):
                    yield (*path, attribute), text(value)
        elif name == "#text":
            for item in child if isinstance(child, list) else [child]:
                yield above, text(item)
        else:
            for item in child if isinstance(child, list) else [child]:
                if isinstance(item, dict):
                    yield from _walk(item, (*above, name))
                else:
                    yield (*above, name), text(item)


_SIGNS = ((b'"System"', b'"EventRecordID"'), (b'"event_record_id"', b'"data"'))
LAYOUT = Layout("evtx", _SIGNS, _event, _head, _rest)
