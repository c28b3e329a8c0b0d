"""Four EVTX readers that others wrote, brought to one form: what the samples are checked against."""

# mypy: disable-error-code="import-untyped, import-not-found"

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import evtx
import pyevtx
from dissect.eventlog.evtx import Evtx as DissectEvtx
from Evtx.Evtx import Evtx as PythonEvtx
from lxml import etree

_NAMESPACE = re.compile(r"\{[^}]*\}")
# XML 1.0 forbids most control characters and turns \r into \n; readers print them all the same. So they are moved to
# the private use area for the time of parsing.
_CONTROLS = {code: 0xE000 + code for code in range(32) if chr(code) not in "\t\n"}
_BACK = {private: control for control, private in _CONTROLS.items()}


@dataclass(frozen=True)
class Row:
    """One record. `system` and `body` hold (name, text) in order; empty attributes are left out of `system`."""

    record_id: int
    system: dict[str, str]
    body: list[tuple[str, str]]


def read_python_evtx(path: Path) -> list[Row]:
    """python-evtx; a record it can't render is left out."""
    rows = []
    with PythonEvtx(str(path)) as log:
        for record in log.records():
            try:
                text = record.xml()
            except Exception:  # whatever it raises, the record is not read
                continue
            rows.append(_from_xml(text))
    return rows


def read_libevtx(path: Path) -> list[Row]:
    """libevtx; a record it can't render is left out."""
    log = pyevtx.file()
    log.open(str(path))
    rows = []
    for index in range(log.get_number_of_records()):
        try:
            rows.append(_from_xml(log.get_record(index).get_xml_string()))
        except OSError:
            continue
    log.close()
    return rows


def read_rust_evtx(path: Path) -> list[Row]:
    """PyPI evtx, whose iterator raises at a bad record and goes on when asked again."""
    records: Iterator[Any] = iter(evtx.PyEvtxParser(str(path)).records_json())
    rows: list[Row] = []
    while True:
        try:
            record = next(records)
        except StopIteration:
            return rows
        except RuntimeError:
            continue
        rows.append(_from_json(json.loads(record["data"])["Event"]))


def read_dissect(path: Path) -> list[Row]:
    """dissect.eventlog; it ends at the first record it can't read."""
    with path.open("rb") as file:
        return [_from_mapping(record) for record in DissectEvtx(file)]


READERS: dict[str, Callable[[Path], list[Row]]] = {
    "python-evtx": read_python_evtx,
    "libevtx": read_libevtx,
    "evtx": read_rust_evtx,
    "dissect.eventlog": read_dissect,
}


def _from_xml(text: str) -> Row:
    parser = etree.XMLParser(strip_cdata=False, huge_tree=True)
    root = etree.fromstring(text.translate(_CONTROLS), parser)
    system: dict[str, str] = {}
    body: list[tuple[str, str]] = []
    for part in root:
        if _name(part) == "System":
            system |= dict(_system_of(part))
        else:
            fields = part if _name(part) == "EventData" else part[0]
            for leaf in fields:
                body += _leaf(leaf)
    return Row(int(system["EventRecordID"]), system, body)


def _system_of(part: Any) -> Iterator[tuple[str, str]]:
    for element in part:
        name = _name(element)
        yield from ((f"{name}.{key}", str(text)) for key, text in element.attrib.items() if text)
        if element.text and element.text.strip():
            yield name, element.text.translate(_BACK)


def _leaf(leaf: Any) -> list[tuple[str, str]]:
    text = (leaf.text or "").translate(_BACK)
    name = leaf.get("Name") or _name(leaf)
    if text.startswith("<string>"):  # python-evtx writes an array of strings as escaped markup
        return [(name, item) for item in re.findall(r"<string>(.*?)</string>", text, re.DOTALL)]
    return [(name, text)]


def _name(element: Any) -> str:
    return _NAMESPACE.sub("", str(element.tag))


def _from_json(event: dict[str, Any]) -> Row:
    system: dict[str, str] = {}
    for name, value in event["System"].items():
        parts = value if isinstance(value, dict) else {"#text": value}
        system |= {f"{name}.{key}": _text(text) for key, text in parts.get("#attributes", {}).items()}
        if parts.get("#text") is not None:
            system[name] = _text(parts["#text"])
    fields = event.get("EventData") or next(iter((event.get("UserData") or {"": {}}).values())) or {}
    body = [(name, text) for name, value in fields.items() if name != "#attributes" for text in _texts(value)]
    return Row(int(system["EventRecordID"]), system, body)


def _texts(value: Any) -> list[str]:
    inner = value.get("#text") if isinstance(value, dict) else value
    return [_text(item) for item in inner] if isinstance(inner, list) else [_text(inner)]


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _from_mapping(record: Any) -> Row:
    """dissect's flat mapping, where System's names come first and attributes are joined by an underscore."""
    values = {str(name): value for name, value in record.items()}
    end = list(values).index("Computer") + 1
    end += "Security_UserID" in values
    # Attributes come wrapped; the text of a missing one is "None".
    heads = {name.replace("_", ".", 1): str(value) for name, value in list(values.items())[:end]}
    system = {name: text for name, text in heads.items() if text != "None"}
    body = [
        (re.sub(r"_\d+$", "", name).rpartition("_")[2], text)
        for name, value in list(values.items())[end:]
        if not name.endswith("_xmlns")
        for text in (map(_dissect_text, value) if isinstance(value, list) else [_dissect_text(value)])
    ]
    return Row(int(system["EventRecordID"]), system, body)


def _dissect_text(value: Any) -> str:
    if value is None:
        return ""
    return value.decode() if isinstance(value, bytes) else str(value)
