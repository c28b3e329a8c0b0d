"""Events as winlogbeat writes them: `winlog.*` since 7, the same names without `winlog.` in 6; from Elasticsearch too.

What this layout can't tell: empty fields (winlogbeat leaves them out), times below a millisecond without
`winlog.time_created`, Level. Where winlogbeat's Sysmon module renamed fields to ECS, they get their names back: the
mapping of elastic/beats x-pack/winlogbeat/module/sysmon.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from hunt import schema

from . import event_xml
from .event_xml import Row
from .json_layouts import Json, Layout, objects
from .written import text, unsigned, utc

_HEAD = {
    "channel": "channel",
    "event_id": "event_id",
    "provider_name": "provider",
    "computer_name": "host",
    "record_id": "record_id",
    # 6.x
    "log_name": "channel",
    "source_name": "provider",
    "record_number": "record_id",
}
_REST = {
    "provider_guid": "System.ProviderGuid",
    "version": "System.Version",
    "activity_id": "System.ActivityID",
    "related_activity_id": "System.RelatedActivityID",
    "process_id": "System.ProcessID",
    "thread_id": "System.ThreadID",  # both in 6.x
}
_RENDERED = {"opcode": "RenderingInfo.Opcode", "task": "RenderingInfo.Task", "level": "RenderingInfo.Level"}
_PARAMETER = re.compile("param([1-9][0-9]{0,3})")  # the n-th Data, if it has no name
_GAPS = 10  # empty texts for each that is there: more were made up, to fill the memory
_SYSMON = "Microsoft-Windows-Sysmon"


def _event(found: Json) -> Json | None:
    found = objects(found["_source"]) if isinstance(found.get("_source"), dict) else found
    if "winlog" not in found and any(name.startswith("winlog.") for name in found):
        found = _nested(found)
    winlog = _winlog(found)
    known = "event_id" in winlog and ("channel" in winlog or "log_name" in winlog)
    return found if known and ("provider_name" in winlog or "source_name" in winlog) else None


def _nested(flat: Json) -> Json:
    """{"winlog.channel": ...} as {"winlog": {"channel": ...}}, as Elasticsearch may hand events out."""
    found: dict[str, object] = {}
    for name, value in flat.items():
        *above, leaf = name.split(".") if name.count(".") < 8 else [name]
        place = found
        for step in above:
            below = place.setdefault(step, {})
            if not isinstance(below, dict):
                raise ValueError(f"two values for {name[:80]!r}")
            place = below
        place[leaf] = value
    return found


def _winlog(event: Json) -> Json:
    winlog = event.get("winlog")
    return winlog if isinstance(winlog, dict) else event


def _head(event: Json) -> Row:
    winlog = _winlog(event)
    row: Row = {}
    for name, column in _HEAD.items():
        value = winlog.get(name)
        if isinstance(value, str | int):
            row.setdefault(column, text(value))
    moment = winlog.get("time_created", event.get("@timestamp"))
    if isinstance(moment, str):
        row["logged"] = utc(moment) or moment
    return row


def _rest(event: Json, wanted: frozenset[str]) -> Row:
    for xml in (objects(event.get("event")).get("original"), event.get("xml")):
        if isinstance(xml, str) and "<Event" in xml[:100]:
            try:
                return event_xml.parse(event_xml.mended(xml))
            except ValueError:
                pass  # Windows may print what is no XML; the fields say the same, less exactly
    winlog = _winlog(event)
    row = _system(winlog)
    unnamed: dict[int, str] = {}
    for section in ("event_data", "user_data"):
        for name, value in objects(winlog.get(section)).items():
            number = _PARAMETER.fullmatch(name) if section == "event_data" else None
            if number:
                unnamed[int(number[1])] = text(value)
            elif value is not None and not (section == "user_data" and name == "xml_name"):
                _add(row, name, value)
    if unnamed and max(unnamed) <= _GAPS * (len(unnamed) + 10):  # empty ones were left out
        row[schema.DATA] = [unnamed.get(n, "") for n in range(1, max(unnamed) + 1)]
    else:
        row |= {f"param{n}": value for n, value in unnamed.items()}
    for name, column in _RENDERED.items():
        if isinstance(winlog.get(name), str):
            row[column] = text(winlog[name])
    if isinstance(event.get("message"), str):
        row["RenderingInfo.Message"] = text(event["message"])
    if winlog.get("provider_name", winlog.get("source_name")) == _SYSMON:
        row = _renamed(event, winlog) | row
    return row


def _system(winlog: Json) -> Row:
    row: Row = {}
    for name, column in _REST.items():
        value = winlog.get(name)
        if isinstance(value, str | int):
            row[column] = text(value)
    if isinstance(winlog.get("keywords"), int):
        row["System.Keywords"] = unsigned(winlog["keywords"])
    process = objects(winlog.get("process"))
    for column, value in (
        ("System.ProcessID", process.get("pid")),
        ("System.ThreadID", objects(process.get("thread")).get("id")),
        ("System.UserID", objects(winlog.get("user")).get("identifier")),
    ):
        if isinstance(value, str | int):
            row[column] = text(value)
    return row


def _add(row: Row, name: str, value: object) -> None:
    if isinstance(value, dict) and value:
        for inner, below in value.items():
            row[schema.column_name(f"{name}.{inner}")] = text(below)
    else:
        row[schema.column_name(name)] = text(value)


# What the Sysmon module calls fields of Sysmon: ECS name -> Sysmon's, by event id (None: all the others).
_PROCESS: Mapping[int | None, Mapping[str, str]] = {
    None: {"entity_id": "ProcessGuid", "pid": "ProcessId", "executable": "Image"},
    8: {"entity_id": "SourceProcessGuid", "pid": "SourceProcessId", "executable": "SourceImage"},
    10: {"entity_id": "SourceProcessGUID", "pid": "SourceProcessId", "executable": "SourceImage",
         "thread.id": "SourceThreadId"},
}  # fmt: skip
_START = {
    "process.command_line": "CommandLine",
    "process.working_directory": "CurrentDirectory",
    "process.parent.entity_id": "ParentProcessGuid",
    "process.parent.pid": "ParentProcessId",
    "process.parent.executable": "ParentImage",
    "process.parent.command_line": "ParentCommandLine",
    "process.pe.company": "Company",
    "process.pe.description": "Description",
    "process.pe.file_version": "FileVersion",
    "process.pe.original_file_name": "OriginalFileName",
    "process.pe.product": "Product",
}
_IMAGE = {
    "file.path": "ImageLoaded",
    "file.code_signature.subject_name": "Signature",
    "file.code_signature.status": "SignatureStatus",
    "file.pe.company": "Company",
    "file.pe.description": "Description",
    "file.pe.file_version": "FileVersion",
    "file.pe.original_file_name": "OriginalFileName",
    "file.pe.product": "Product",
}
_NETWORK = {
    "source.ip": "SourceIp",
    "source.port": "SourcePort",
    "source.domain": "SourceHostname",
    "destination.ip": "DestinationIp",
    "destination.port": "DestinationPort",
    "destination.domain": "DestinationHostname",
    "network.transport": "Protocol",
    "network.protocol": "DestinationPortName",
}
_FILE = {"file.path": "TargetFilename"}
_REGISTRY = {"registry.path": "TargetObject"}
_BY_EVENT: Mapping[int, Mapping[str, str]] = {
    1: _START,
    3: _NETWORK,
    6: _IMAGE,
    7: _IMAGE,
    9: {"file.path": "Device"},
    22: {"dns.question.name": "QueryName", "sysmon.dns.status": "QueryStatus"},
    17: {"file.name": "PipeName"},
    18: {"file.name": "PipeName"},
    **dict.fromkeys((2, 11, 15, 23, 26, 27, 28, 29), _FILE),
    **dict.fromkeys((12, 13, 14), _REGISTRY),
}
_HASHED = {1: "process", 6: "file", 7: "file", 15: "file", 23: "process", 26: "process", 27: "file", 29: "file"}


def _renamed(event: Json, winlog: Json) -> Row:
    """Fields of Sysmon's that stand under ECS names only. The module made @timestamp of UtcTime."""
    if "process" not in event or "event_data" in event:
        return {}
    number = text(winlog.get("event_id"))
    event_id = int(number) if number.isdecimal() and len(number) < 6 else 0
    names = {f"process.{name}": field for name, field in _PROCESS.get(event_id, _PROCESS[None]).items()}
    names |= {"rule.name": "RuleName", **_BY_EVENT.get(event_id, {})}
    row: Row = {}
    for path, field in names.items():
        value = _at(event, path)
        if isinstance(value, str | int):
            row[field] = text(value)
    user = objects(event.get("user"))
    if isinstance(user.get("name"), str) and isinstance(user.get("domain"), str):
        row["User"] = f"{user['domain']}\\{user['name']}"
    hashes = _hashes(event, _HASHED.get(event_id, ""))
    if hashes:
        row["Hashes"] = hashes
    if isinstance(event.get("@timestamp"), str):
        row["UtcTime"] = text(event["@timestamp"])
    return row


def _hashes(event: Json, owner: str) -> str:
    """In the order in which Sysmon prints them."""
    found = {name: _at(event, f"{owner}.hash.{name}") for name in ("sha1", "md5", "sha256")}
    found["imphash"] = _at(event, f"{owner}.pe.imphash")
    return ",".join(f"{name.upper()}={value.upper()}" for name, value in found.items() if isinstance(value, str))


def _at(event: Json, path: str) -> object:
    value: object = event
    for name in path.split("."):
        value = objects(value).get(name)
    return value


_SIGNS = ((b'"winlog":',), (b'"winlogbeat"',), (b'"wineventlog"',), (b'"event_id"', b'"computer_name"'))
LAYOUT = Layout("winlogbeat", _SIGNS, _event, _head, _rest)
