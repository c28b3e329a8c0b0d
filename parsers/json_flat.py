"""Flat events, the event's own fields beside the tool's: NXLog's im_msvistalog, and scripts that write the same way.

NXLog's names: its Reference Manual, "Event Log for Windows 2008/Vista and Later (im_msvistalog)", Fields.
"""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache

from hunt import schema

from . import event_xml
from .event_xml import Row
from .json_layouts import Json, Layout, is_wanted, objects
from .written import shifted, text, unsigned, utc, zone

_HEAD = {
    "host": ("Hostname", "Computer"),
    "channel": ("Channel",),
    "provider": ("SourceName", "ProviderName"),
    "event_id": ("EventID",),
    "record_id": ("RecordNumber", "EventRecordID"),
}
_REST = {
    "ProviderGuid": "System.ProviderGuid",
    "Version": "System.Version",
    "Level": "System.Level",
    "LevelValue": "System.Level",
    "Task": "System.Task",
    "TaskValue": "System.Task",
    "OpcodeValue": "System.Opcode",
    "ActivityID": "System.ActivityID",
    "RelatedActivityID": "System.RelatedActivityID",
    "ExecutionProcessID": "System.ProcessID",
    "ThreadID": "System.ThreadID",
    "ExecutionThreadID": "System.ThreadID",
    "UserID": "System.UserID",
    "Message": "RenderingInfo.Message",
    "Opcode": "RenderingInfo.Opcode",
    "Category": "RenderingInfo.Task",
}
# By NXLog these hold numbers; an event's own fields of these names are texts. Elsewhere ProcessID is the event's.
_SHARED = {"ProcessID": "System.ProcessID", "ThreadID": "System.ThreadID", "Version": "System.Version"}
# Of NXLog, of Logstash on the way, of the collections that were made with them: no part of the event.
_TOOLS = frozenset(
    {
        "EventTime",
        "EventTimeWritten",
        "EventReceivedTime",
        "TimeCreated",
        "Severity",
        "SeverityValue",
        "SourceModuleName",
        "SourceModuleType",
        "EventXML",
        "raw_event",
        "ERROR_EVT_UNRESOLVED",
        "EventTypeOrignal",
        "EventTypeOriginal",
        "@timestamp",
        "@version",
        "host",
        "port",
        "tags",
        "type",
        "_id",
        "_index",
        "_score",
        "_source",
    }
)
_OURS = _TOOLS | {name for names in _HEAD.values() for name in names}
_ACCOUNT = frozenset({"AccountName", "AccountType", "Domain"})  # by NXLog: the account of Security/UserID
# NXLog's EventType, which is what other events call one of their own fields.
_EVENT_TYPES = frozenset({"CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG", "VERBOSE", "AUDIT_SUCCESS", "AUDIT_FAILURE"})
_RENAMED = frozenset({"EventTypeOrignal", "EventTypeOriginal"})  # where it made room for the event's own


def _event(found: Json) -> Json | None:
    event = objects(found["_source"]) if isinstance(found.get("_source"), dict) else found
    known = "EventID" in event and ("SourceName" in event or "ProviderName" in event) and "Channel" in event
    return event if known and ("EventTime" in event or "TimeCreated" in event) else None


def _head(event: Json) -> Row:
    row: Row = {}
    for column, names in _HEAD.items():
        for name in names:
            value = event.get(name)
            if value is not None:
                row[column] = value if type(value) is str else text(value)
                break
    moment = _logged(event)
    if moment is not None:
        row["logged"] = moment
    return row


def _logged(event: Json) -> str | None:
    """When the event was written, in UTC; None if that can't be told: a local time of an unknown zone."""
    for name in ("TimeCreated", "EventTime"):
        written = event.get(name)
        if isinstance(written, str):
            moment = utc(written)
            if moment is None:
                ahead = _ahead(event)
                moment = shifted(written, -ahead) if ahead is not None else None
            if moment is not None:
                return moment
    return None


def _ahead(event: Json) -> timedelta | None:
    """The zone of an event's local times: by when it was received, or by Sysmon's own clock reading."""
    readings = [("EventReceivedTime", "@timestamp")]
    if event.get("SourceName") == "Microsoft-Windows-Sysmon":
        readings.append(("EventTime", "UtcTime"))
    for local, in_utc in readings:
        one, other = event.get(local), event.get(in_utc)
        found = zone(one, other) if isinstance(one, str) and isinstance(other, str) else None
        if found is not None:
            return found
    return None


def _local(event: Json) -> str | None:
    written = event.get("EventTime", event.get("TimeCreated"))
    return written if isinstance(written, str) else None


def _rest(event: Json, wanted: frozenset[str]) -> Row:
    xml = event.get("EventXML")
    if isinstance(xml, str):
        try:
            return event_xml.parse(event_xml.mended(xml))
        except ValueError:
            pass  # Windows may print what is no XML; the fields say the same, less exactly
    row: Row = {}
    for name, column in _columns(tuple(event), wanted):
        value = event[name]
        if type(value) is str:
            row[column] = value
        elif value is not None:
            row[column] = text(value)
    if "System.Keywords" in row:
        row["System.Keywords"] = unsigned(event["Keywords"])
    if row.get("EventType") in _EVENT_TYPES and not event.keys() & _RENAMED:
        row["RenderingInfo.Level"] = row.pop("EventType")
    if "SourceModuleType" in event:
        for name, column in _SHARED.items():
            if isinstance(event.get(name), int) and name in row:
                row[column] = row.pop(name)
    return row


@lru_cache(1024)
def _columns(names: tuple[str, ...], wanted: frozenset[str]) -> list[tuple[str, str]]:
    """The wanted columns of events with these names; names that NXLog and events share stand as the event's."""
    of_nxlog = "SourceModuleType" in names
    found = []
    for name in names:
        if name in _OURS or (of_nxlog and name in _ACCOUNT):
            continue
        if name == "Keywords":
            column = "System.Keywords"
        elif of_nxlog and name in _SHARED:
            found.append((name, name))  # whose it is, the value tells
            continue
        else:
            column = _REST.get(name) or schema.column_name(name)
        if is_wanted(column, wanted):
            found.append((name, column))
    return found


_SIGNS = ((b'"EventID"', b'"Channel"', b'"SourceName"'), (b'"im_msvistalog"',))
LAYOUT = Layout("nxlog", _SIGNS, _event, _head, _rest, _local, _ahead)
