"""Windows event XML to rows of text: one mapping of column -> text per event, the columns of `hunt.schema`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING

import polars as pl

from hunt import schema

if TYPE_CHECKING:  # most records need no XML, and it takes its time to import
    from lxml import etree

Row = dict[str, str | list[str] | int | None]

# XML 1.0 has no way to write most control characters, and evidence holds them. They travel as this mark from the last
# private plane plus four hex digits; the mark itself too, so that every text comes back as it was.
_MARK = "\U00100000"
_UNWRITABLE = re.compile(f"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff{_MARK}]")
EVENT_ID = re.compile("[0-9]{1,10}")
_MARKED = re.compile(f"{_MARK}([0-9a-f]{{6}})")
_REFERENCE = re.compile("&#(?:([0-9]{1,9})|[xX]([0-9a-fA-F]{1,8}));")


def escape(text: str) -> str:
    """Text for element content or an attribute in double quotes; `parse` gives every character back."""
    if _UNWRITABLE.search(text):
        text = _UNWRITABLE.sub(lambda m: f"{_MARK}{ord(m.group()):06x}", text)
    for plain, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(plain, written)
    # Written plainly, a parser would turn these into spaces or newlines.
    return text.replace("\r", "&#13;").replace("\n", "&#10;").replace("\t", "&#9;")


def _unescape(text: str) -> str:
    return _MARKED.sub(lambda m: chr(int(m.group(1), 16)), text) if _MARK in text else text


def mended(xml: str) -> str:
    """XML as others write it, so that `parse` reads it: what XML can't hold, plain or as a reference, is marked."""
    if _UNWRITABLE.search(xml):
        xml = _UNWRITABLE.sub(lambda m: _mended(ord(m.group())), xml)
    return _REFERENCE.sub(_mended_reference, xml) if "&#" in xml else xml


def _mended_reference(match: re.Match[str]) -> str:
    code = int(match[1]) if match[1] else int(match[2], 16)
    return _mended(code) if code > 0x10FFFF or _UNWRITABLE.match(chr(code)) else match[0]


def _mended(code: int) -> str:
    """One character; U+FFFD for what is none, as for unpaired surrogates in EVTX."""
    return "\ufffd" if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF else f"{_MARK}{code:06x}"


def parse(xml: str) -> Row:
    """One <Event> as a row. Raises ValueError for what is no event: no System, no EventID."""
    event = root(xml)
    if not any(_name(child) == "System" for child in _elements(event)):
        raise ValueError("an event without System")
    row = columns(event)
    event_id = str(row.get("event_id", ""))
    if not EVENT_ID.fullmatch(event_id) or int(event_id) > 0xFFFFFFFF:
        raise ValueError("an event without a number as EventID")
    return row


@cache
def _parser() -> etree.XMLParser:
    """Evidence is hostile: no entity is expanded, no DTD loaded, nothing fetched."""
    from lxml import etree

    return etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False, recover=False
    )


def root(xml: str) -> etree._Element:
    """The root element. Raises ValueError for what is not well-formed."""
    from lxml import etree

    try:
        return etree.fromstring(xml.encode("utf-8"), _parser())
    except etree.XMLSyntaxError as error:
        raise ValueError(f"not well-formed: {error}") from None


def columns(event: etree._Element) -> Row:
    """What an <Event> holds by column; of sections with the same name the last."""
    sections = {_name(child): child for child in _elements(event)}
    row: Row = _system(sections.pop("System")) if "System" in sections else {}
    for name, section in sections.items():
        for column, texts in _section(name, section).items():
            row[column] = texts if column == schema.DATA else "\n".join(texts)
    return row


def names(event: etree._Element) -> list[str]:
    """The names of an event's sections."""
    return [_name(child) for child in _elements(event)]


def _name(element: etree._Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _elements(parent: etree._Element) -> Iterator[etree._Element]:
    return (child for child in parent if isinstance(child.tag, str))


def _text(element: etree._Element) -> str:
    return _unescape("".join(map(str, element.itertext())) if len(element) else element.text or "")


# System's leaf elements and attributes, and their columns.
SYSTEM_TEXTS = {
    "EventID": "event_id",
    "EventRecordID": "record_id",
    "Channel": "channel",
    "Computer": "host",
    "Version": "System.Version",
    "Level": "System.Level",
    "Task": "System.Task",
    "Opcode": "System.Opcode",
    "Keywords": "System.Keywords",
}
SYSTEM_ATTRIBUTES = {
    ("Provider", "Name"): "provider",
    ("Provider", "Guid"): "System.ProviderGuid",
    ("Provider", "EventSourceName"): "System.EventSourceName",
    ("EventID", "Qualifiers"): "System.Qualifiers",
    ("TimeCreated", "SystemTime"): "logged",
    ("Correlation", "ActivityID"): "System.ActivityID",
    ("Correlation", "RelatedActivityID"): "System.RelatedActivityID",
    ("Execution", "ProcessID"): "System.ProcessID",
    ("Execution", "ThreadID"): "System.ThreadID",
    ("Security", "UserID"): "System.UserID",
}


def _system(system: etree._Element) -> Row:
    row: Row = {}
    for element in _elements(system):
        name = _name(element)
        if name in SYSTEM_TEXTS:
            row[SYSTEM_TEXTS[name]] = _text(element)
        for attribute, value in element.attrib.items():
            column = SYSTEM_ATTRIBUTES.get((name, str(attribute)))
            if column:
                row[column] = _unescape(str(value))
    return row


def _section(name: str, section: etree._Element) -> Mapping[str, list[str]]:
    if name == "EventData":
        return _event_data(section)
    prefix = "" if name == "UserData" else f"{name}."  # RenderingInfo, ProcessingErrorData, ...
    return {schema.column_name(prefix + field): texts for field, texts in _leaves(section).items()}


def _event_data(section: etree._Element) -> Mapping[str, list[str]]:
    """Named Data by their names, unnamed ones in their order, other elements as leaves.

    A name that stands twice (so Windows writes arrays) gives several texts for one column.
    """
    columns: dict[str, list[str]] = {}
    for element in _elements(section):
        name = element.get("Name")
        if name is not None:
            columns.setdefault(schema.column_name(_unescape(name)), []).append(_text(element))
        elif _name(element) == "Data":
            columns.setdefault(schema.DATA, []).append(_text(element))
        else:
            for field, texts in _leaves([element]).items():
                columns.setdefault(schema.column_name(field), []).extend(texts)
    if section.get("Name") is not None:
        columns["EventData.Name"] = [_unescape(section.get("Name", ""))]
    return columns


def _leaves(roots: Iterable[etree._Element]) -> Mapping[str, list[str]]:
    """Leaf elements and attributes below `roots` by name; by path from the root where a name alone is ambiguous."""
    found: dict[tuple[str, ...], list[str]] = {}
    for root in roots:
        if isinstance(root.tag, str):
            _collect(root, (), found)
    count = Counter(path[-1] for path in found)
    return {path[-1] if count[path[-1]] == 1 else ".".join(path): texts for path, texts in found.items()}


def _collect(element: etree._Element, above: tuple[str, ...], found: dict[tuple[str, ...], list[str]]) -> None:
    path = (*above, _unescape(element.get("Name") or _name(element)))
    for attribute, value in element.attrib.items():
        if attribute != "Name":
            found.setdefault((*path, str(attribute).rpartition("}")[2]), []).append(_unescape(str(value)))
    children = list(_elements(element))
    for child in children:
        _collect(child, path, found)
    if not children and (element.text is not None or not element.attrib):
        found.setdefault(path, []).append(_text(element))


def frame(rows: list[Row], event_id: int) -> pl.DataFrame:
    """Rows of one event type as a frame: columns and types of `hunt.schema`, rows in the order given."""
    columns = dict.fromkeys(column for row in rows for column in row)
    typed: dict[str, pl.DataType] = {c: schema.TEXTS if c == schema.DATA else pl.String() for c in columns}
    typed |= {"record_number": pl.UInt64(), "offset": pl.UInt64(), "recovered": pl.Boolean()}
    data = {c: [row.get(c) for row in rows] for c in columns}
    return schema.conform(pl.DataFrame(data, schema={c: typed[c] for c in columns}), event_id)
