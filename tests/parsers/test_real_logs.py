"""The parser on real logs: record by record and field by field as PyPI evtx, no fewer records than it and libevtx."""

# mypy: disable-error-code="import-untyped, import-not-found"

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import evtx
import polars as pl
import pyevtx
import pytest
from lxml import etree

from hunt.model import EventType, Problem
from parsers.evtx import PARSER
from tests.helpers import count, read

pytestmark = pytest.mark.usefixtures("either_way")


@dataclass(frozen=True)
class Log:
    """What the parser made of one real log."""

    path: Path
    frames: dict[EventType, pl.DataFrame]
    problems: list[Problem]

    @property
    def records(self) -> int:
        return count(self.frames)


def _read_all(folder: Path) -> list[Log]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [Log(path, *read(PARSER, path)) for path in paths if PARSER.accepts(path.read_bytes()[:8192])]


@pytest.fixture(scope="session")
def attacks(real_evidence: Path) -> list[Log]:
    """Recordings of attacks: sound logs of many providers."""
    return _read_all(real_evidence / "evtx")


@pytest.fixture(scope="session")
def quirks(real_evidence: Path) -> list[Log]:
    """Logs that broke parsers."""
    return _read_all(real_evidence / "quirks")


def _theirs(path: Path) -> Iterator[dict[str, Any]]:
    """PyPI evtx's records; after one it can't read its iterator goes on if asked again."""
    try:
        records: Any = iter(evtx.PyEvtxParser(str(path)).records())
    except (RuntimeError, OSError):
        return
    while True:
        try:
            yield next(records)
        except StopIteration:
            return
        except RuntimeError:
            continue


def test_every_record_of_the_attack_logs_is_read_without_a_problem(attacks: list[Log], real_evidence: Path) -> None:
    assert len(attacks) == sum(path.is_file() for path in (real_evidence / "evtx").rglob("*"))
    assert sum(log.records for log in attacks) == 6934
    assert [problem for log in attacks for problem in log.problems] == []


def test_attack_logs_give_as_many_records_as_pypi_evtx(attacks: list[Log]) -> None:
    assert {log.path.name: log.records for log in attacks} == {
        log.path.name: sum(1 for _ in _theirs(log.path)) for log in attacks
    }


def test_attack_logs_give_as_many_records_as_libevtx(attacks: list[Log]) -> None:
    counts = {}
    for log in attacks:
        file = pyevtx.open(str(log.path))
        counts[log.path.name] = file.get_number_of_records()
        file.close()
    assert {log.path.name: log.records for log in attacks} == counts


def test_quirky_logs_give_no_fewer_records_than_pypi_evtx(quirks: list[Log]) -> None:
    fewer = {
        log.path.name: (log.records, theirs)
        for log in quirks
        if log.records < (theirs := sum(1 for _ in _theirs(log.path)))
    }
    assert fewer == {}


def test_quirky_logs_give_no_fewer_records_than_libevtx(quirks: list[Log]) -> None:
    fewer = {}
    for log in quirks:
        file = pyevtx.open(str(log.path))
        if log.records < file.get_number_of_records():
            fewer[log.path.name] = (log.records, file.get_number_of_records())
        file.close()
    assert fewer == {}


@pytest.mark.parametrize(
    ("name", "records"), [("MSExchange_Management_wec", 1), ("issue_201", 1), ("dns_log_malformed", 5)]
)
def test_logs_that_other_parsers_fail_on_are_read(quirks: list[Log], name: str, records: int) -> None:
    (log,) = (log for log in quirks if log.path.stem == name)
    assert log.records == records
    assert [problem for problem in log.problems if problem.kind == "record"] == []


def test_attack_logs_say_field_by_field_what_pypi_evtx_says(attacks: list[Log]) -> None:
    assert _differences(attacks) == []


def test_quirky_logs_say_field_by_field_what_pypi_evtx_says(quirks: list[Log]) -> None:
    assert _differences(quirks) == []


# From here on: both sides in one form.


def _differences(logs: Iterable[Log]) -> list[tuple[str, int, str, object, object]]:
    """(log, record, field, ours, theirs) of all that is not the same; records that only we read are left out."""
    found: list[tuple[str, int, str, object, object]] = []
    compared = 0
    for log in logs:
        ours = {int(row["record_number"]): row for frame in log.frames.values() for row in _rows(frame)}
        for record in _theirs(log.path):
            row = ours.get(record["event_record_id"])
            if row is None:
                continue
            compared += 1
            own, other = _own(row), _other(record["data"])
            for name in own.keys() | other.keys():
                if own.get(name, "") != other.get(name, ""):
                    found.append((log.path.name, record["event_record_id"], name, own.get(name), other.get(name)))
    assert compared
    return found


def _rows(frame: pl.DataFrame) -> Iterator[dict[str, Any]]:
    times = [c for c, dtype in frame.schema.items() if isinstance(dtype, pl.Datetime)]
    texts = frame.with_columns(pl.col(times).dt.strftime("%Y-%m-%d %H:%M:%S%.9f"))
    yield from texts.iter_rows(named=True)


_PLACE = {"time", "record_number", "source", "offset", "unparsed", "recovered"}


def _own(row: dict[str, Any]) -> dict[str, str]:
    fields = {name: value for name, value in row.items() if name not in _PLACE and value is not None}
    fields |= json.loads(row["unparsed"] or "{}")
    return {name: text for name, value in fields.items() if (text := _canonical(value))}


_GUID = re.compile(r"\{?([0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12})\}?")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d+))?Z?")
_NULL_GUID = "00000000-0000-0000-0000-000000000000"


def _canonical(value: object) -> str:
    """What both sides agree on: GUIDs without braces and none for the null one, numbers in decimal, times in
    microseconds (PyPI evtx cuts them), blank as absent, items of arrays line by line."""
    if isinstance(value, list):
        return "\n".join(map(_canonical, value)).strip()
    text = str(value)
    if "\n" in text and all(_GUID.fullmatch(line) for line in text.split("\n")):  # a field that stands twice
        return _canonical(text.split("\n"))
    if match := _GUID.fullmatch(text):
        return "" if match[1] == _NULL_GUID else match[1].upper()
    if match := _TIME.fullmatch(text):
        return f"{match[1]} {match[2]}.{(match[3] or '').ljust(6, '0')[:6]}"
    if re.fullmatch(r"0x[0-9a-fA-F]+", text):
        return str(int(text, 16))
    return text.strip()


_SYSTEM = {"EventID": "event_id", "EventRecordID": "record_id", "Channel": "channel", "Computer": "host"}
_ATTRIBUTES = {
    "Provider.Name": "provider",
    "Provider.Guid": "System.ProviderGuid",
    "Provider.EventSourceName": "System.EventSourceName",
    "EventID.Qualifiers": "System.Qualifiers",
    "TimeCreated.SystemTime": "logged",
    "Correlation.ActivityID": "System.ActivityID",
    "Correlation.RelatedActivityID": "System.RelatedActivityID",
    "Execution.ProcessID": "System.ProcessID",
    "Execution.ThreadID": "System.ThreadID",
    "Security.UserID": "System.UserID",
}
# Attributes that System may have and our frames have no column for: clocks and the like of traces, 0 in event logs.
_NOT_KEPT = {"Execution.ProcessorID", "Execution.SessionID", "Execution.KernelTime", "Execution.UserTime"}
# XML has no place for most control characters; they are moved to the private use area while it is parsed.
_CONTROLS = {code: 0xE000 + code for code in range(32) if chr(code) not in "\t\n"}
_BACK = {private: control for control, private in _CONTROLS.items()}
_PARSER = etree.XMLParser(huge_tree=True, resolve_entities=False)


def _other(xml: str) -> dict[str, str]:
    root = etree.fromstring(xml.translate(_CONTROLS).encode(), _PARSER)
    fields: dict[str, list[str]] = {}
    for section in root:
        name = etree.QName(section).localname
        pairs = _system(section) if name == "System" else _body(section, name)
        if name == "EventData" and section.get("Name"):
            fields["EventData.Name"] = [str(section.get("Name"))]
        for field, text in pairs:
            fields.setdefault(field, []).append(text.translate(_BACK))
    return {name: text for name, texts in fields.items() if (text := _canonical(texts))}


def _system(section: Any) -> Iterator[tuple[str, str]]:
    for element in section:
        name = etree.QName(element).localname
        for attribute, text in element.attrib.items():
            if f"{name}.{attribute}" not in _NOT_KEPT:
                yield _ATTRIBUTES[f"{name}.{attribute}"], text
        if element.text and element.text.strip():
            yield _SYSTEM.get(name, f"System.{name}"), element.text


def _body(section: Any, name: str) -> Iterator[tuple[str, str]]:
    """Leaves by name; those of sections other than EventData and UserData behind the section's."""
    prefix = "" if name in ("EventData", "UserData") else f"{name}."
    for element in section.iterdescendants():
        if not len(element):
            yield prefix + (element.get("Name") or etree.QName(element).localname), element.text or ""
        yield from ((prefix + etree.QName(a).localname, text) for a, text in element.attrib.items() if a != "Name")
