"""Text exports of event logs, written by others than us: PyPI evtx, and the shapes that shippers give to its events."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import evtx as rust
import polars as pl

from hunt import schema
from tests.helpers import Frames

Json = dict[str, Any]

# What differs between two files of the same events, whatever their format.
PLACE = frozenset({"source", "offset", "record_number", "recovered"})


def wrapped(log: Path | bytes) -> Iterator[Json]:
    """{"event_record_id", "timestamp", "data"} of each record, the data as JSON."""
    parser = rust.PyEvtxParser(str(log) if isinstance(log, Path) else io.BytesIO(log))
    return iter(parser.records_json())


def events(log: Path | bytes) -> list[Json]:
    """Each record's {"Event": ...}."""
    return [json.loads(record["data"]) for record in wrapped(log)]


def xmls(log: Path | bytes) -> list[str]:
    """Each record as XML."""
    parser = rust.PyEvtxParser(str(log) if isinstance(log, Path) else io.BytesIO(log))
    return [record["data"] for record in parser.records()]


def lines(objects: Iterable[Any]) -> bytes:
    """JSON lines, as Rust's serde writes them."""
    return b"".join(compact(item) + b"\n" for item in objects)


def compact(item: Any) -> bytes:
    return json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode()


def winlogbeat(event: Json) -> Json:
    """One event as winlogbeat 8 writes it: empty fields left out, unnamed Data numbered."""
    system = event["Event"]["System"]
    provider, security = system["Provider"]["#attributes"], system.get("Security") or {}
    data = event["Event"].get("EventData") or {}
    fields = {name: _text(value) for name, value in data.items() if name != "Data" and value not in ("", None)}
    if "Data" in data:
        texts = data["Data"]["#text"] if isinstance(data["Data"]["#text"], list) else [data["Data"]["#text"]]
        fields |= {f"param{n}": text for n, text in enumerate(texts, 1) if text}
    execution = (system.get("Execution") or {"#attributes": {}})["#attributes"]
    moment = system["TimeCreated"]["#attributes"]["SystemTime"]
    return {
        "@timestamp": moment[:23] + "Z",
        "agent": {"type": "winlogbeat", "version": "8.11.1", "name": "collector"},
        "event": {"code": str(_event_id(system)), "kind": "event", "created": "2026-03-09T00:00:00.000Z"},
        "host": {"name": system["Computer"]},
        "message": "rendered",
        "winlog": {
            "activity_id": _braced((system.get("Correlation") or {"#attributes": {}})["#attributes"].get("ActivityID")),
            "api": "wineventlog",
            "channel": system["Channel"],
            "computer_name": system["Computer"],
            "event_data": fields,
            "event_id": str(_event_id(system)),
            "keywords": ["Audit Success"],
            "opcode": "Info",
            "process": {"pid": execution.get("ProcessID"), "thread": {"id": execution.get("ThreadID")}},
            "provider_guid": _braced(provider.get("Guid")),
            "provider_name": provider["Name"],
            "record_id": int(system["EventRecordID"]),
            "task": "Process Create",
            "time_created": moment,
            "user": {"identifier": security["#attributes"]["UserID"]} if security else {},
            "version": system.get("Version"),
        },
    }


def winlogbeat6(event: Json) -> Json:
    """One event as winlogbeat 6 writes it."""
    winlog = winlogbeat(event)["winlog"]
    return {
        "@timestamp": winlog["time_created"][:23] + "Z",
        "beat": {"name": "collector", "version": "6.8.0"},
        "computer_name": winlog["computer_name"],
        "event_data": winlog["event_data"],
        "event_id": int(winlog["event_id"]),
        "level": "Information",
        "log_name": winlog["channel"],
        "process_id": winlog["process"]["pid"],
        "provider_guid": winlog["provider_guid"],
        "record_number": str(winlog["record_id"]),
        "source_name": winlog["provider_name"],
        "thread_id": winlog["process"]["thread"]["id"],
        "type": "wineventlog",
        "user": winlog["user"],
    }


def nxlog(event: Json) -> Json:
    """One event with named Data as NXLog's to_json writes it, on a machine two hours ahead of UTC, by Logstash."""
    system, data = event["Event"]["System"], event["Event"]["EventData"]
    provider, execution = system["Provider"]["#attributes"], system["Execution"]["#attributes"]
    moment = system["TimeCreated"]["#attributes"]["SystemTime"]
    local = f"{moment[:11].replace('T', ' ')}{int(moment[11:13]) + 2:02d}{moment[13:19]}"
    return {
        "EventTime": local,
        "Hostname": system["Computer"],
        "Keywords": int(system["Keywords"], 16) - (1 << 64),
        "EventType": "INFO",
        "SeverityValue": 2,
        "Severity": "INFO",
        "EventID": _event_id(system),
        "SourceName": provider["Name"],
        "ProviderGuid": _braced(provider["Guid"]),
        "Version": int(system["Version"]),
        "Task": int(system["Task"]),
        "OpcodeValue": int(system["Opcode"]),
        "RecordNumber": int(system["EventRecordID"]),
        "ExecutionProcessID": int(execution["ProcessID"]),
        "ThreadID": int(execution["ThreadID"]),
        "Channel": system["Channel"],
        "Domain": "NT AUTHORITY",
        "AccountName": "SYSTEM",
        "UserID": "S-1-5-18",
        "AccountType": "User",
        "Message": "rendered",
        "Opcode": "Info",
        **{name: _braced(_text(value)) for name, value in data.items()},
        "EventReceivedTime": local,
        "SourceModuleName": "eventlog",
        "SourceModuleType": "im_msvistalog",
        "@version": "1",
        "@timestamp": moment[:23] + "Z",
        "host": "collector",
        "port": 53971,
        "tags": ["shipped"],
    }


def _event_id(system: Json) -> int:
    found = system["EventID"]
    return int(found["#text"] if isinstance(found, dict) else found)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _braced(text: str | None) -> str | None:
    """GUIDs in lower case and braces, as Windows renders them."""
    bare = text and len(text) == 36 and text.count("-") == 4
    return f"{{{text.lower()}}}" if text and bare else text


def without(frames: Frames, *names: str, adapt: Callable[[pl.DataFrame], pl.DataFrame] = lambda frame: frame) -> Frames:
    """Frames without the columns of PLACE and others, columns of nothing left out, times in microseconds."""
    found = {}
    for kind, frame in frames.items():
        kept = [
            name
            for name in frame.columns
            if name not in PLACE and name not in names and not name.startswith("RenderingInfo.")
        ]
        times = [name for name in kept if frame.schema[name] == schema.TIME]
        shown = adapt(frame.select(kept).with_columns(pl.col(times).dt.truncate("1us")))
        left = [name for name in shown.columns if shown[name].null_count() < shown.height]
        found[kind] = shown.select(sorted(left)).sort("host", "record_id")
    return found
