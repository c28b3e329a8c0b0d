"""What Sysmon's events are to ECS, and the fields they have in any version of Sysmon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """event.category, event.type and event.action."""

    category: tuple[str, ...]
    type: tuple[str, ...]
    action: tuple[str, ...]


def _event(category: str, type_: str, *action: str) -> Event:
    return Event(tuple(category.split()), tuple(type_.split()), action)


# As in Elastic's pipelines for Sysmon. Besides, for rules that were written for Elastic Defend: the action is also
# start (1), end (5) and load (7), and an image load is also of the category library and the type start.
EVENTS: Mapping[int, Event] = {
    1: _event("process", "start", "Process creation", "start"),
    2: _event("file", "change", "A process changed a file creation time"),
    3: _event("network", "start connection protocol", "Network connection"),
    4: _event("process", "change", "Sysmon service state changed"),
    5: _event("process", "end", "Process terminated", "end"),
    6: _event("driver", "start", "Driver loaded"),
    7: _event("process library", "change start", "Image loaded", "load"),
    8: _event("process", "change", "CreateRemoteThread"),
    9: _event("process", "access", "RawAccessRead"),
    10: _event("process", "access", "ProcessAccess"),
    11: _event("file", "creation", "FileCreate"),
    12: _event("configuration registry", "change", "RegistryEvent (Object create and delete)"),
    13: _event("configuration registry", "change", "RegistryEvent (Value Set)"),
    14: _event("configuration registry", "change", "RegistryEvent (Key and Value Rename)"),
    15: _event("file", "access", "FileCreateStreamHash"),
    16: _event("configuration", "change", "ServiceConfigurationChange"),
    17: _event("file", "creation", "PipeEvent (Pipe Created)"),
    18: _event("file", "access", "PipeEvent (Pipe Connected)"),
    19: _event("process", "info", "WmiEvent (WmiEventFilter activity detected)"),
    20: _event("process", "change", "WmiEvent (WmiEventConsumer activity detected)"),
    21: _event("process", "access", "WmiEvent (WmiEventConsumerToFilter activity detected)"),
    22: _event("network", "connection protocol info", "DNSEvent (DNS query)"),
    23: _event("file", "deletion", "FileDelete (File Delete archived)"),
    24: _event("", "change", "ClipboardChange (New content in the clipboard)"),
    25: _event("process", "change", "ProcessTampering (Process image change)"),
    26: _event("file", "deletion", "FileDeleteDetected (File Delete logged)"),
    27: _event("file", "creation", "FileBlockExecutable"),
    28: _event("file", "deletion", "FileBlockShredding"),
    29: _event("file", "creation", "FileExecutableDetected"),
    255: _event("process", "", "Error"),
}

_OWN = "RuleName UtcTime ProcessGuid ProcessId Image User"
_SOURCE = (
    "RuleName UtcTime SourceProcessGuid SourceProcessGUID SourceProcessId SourceImage SourceUser "
    "TargetProcessGuid TargetProcessGUID TargetProcessId TargetImage TargetUser"
)
_WMI = "RuleName UtcTime EventType Operation User"
_DELETED = f"{_OWN} TargetFilename Hashes IsExecutable"

# Fields of the events by id: Sysmon's manifest, schema 4.90, and what older ones had.
COLUMNS: Mapping[int, frozenset[str]] = {
    event_id: frozenset(names.split())
    for event_id, names in {
        1: f"{_OWN} FileVersion Description Product Company OriginalFileName CommandLine CurrentDirectory LogonGuid "
        "LogonId TerminalSessionId IntegrityLevel Hashes ParentProcessGuid ParentProcessId ParentImage "
        "ParentCommandLine ParentUser",
        2: f"{_OWN} TargetFilename CreationUtcTime PreviousCreationUtcTime",
        3: f"{_OWN} Protocol Initiated SourceIsIpv6 SourceIp SourceHostname SourcePort SourcePortName "
        "DestinationIsIpv6 DestinationIp DestinationHostname DestinationPort DestinationPortName",
        4: "UtcTime State Version SchemaVersion",
        5: _OWN,
        6: "RuleName UtcTime ImageLoaded Hashes Signed Signature SignatureStatus",
        7: f"{_OWN} ImageLoaded FileVersion Description Product Company OriginalFileName Hashes Signed Signature "
        "SignatureStatus",
        8: f"{_SOURCE} NewThreadId StartAddress StartModule StartFunction",
        9: f"{_OWN} Device",
        10: f"{_SOURCE} SourceThreadId GrantedAccess CallTrace",
        11: f"{_OWN} TargetFilename CreationUtcTime",
        12: f"{_OWN} EventType TargetObject",
        13: f"{_OWN} EventType TargetObject Details",
        14: f"{_OWN} EventType TargetObject NewName",
        15: f"{_OWN} TargetFilename CreationUtcTime Hash Hashes Contents",
        16: "UtcTime Configuration ConfigurationFileHash",
        17: f"{_OWN} EventType PipeName",
        18: f"{_OWN} EventType PipeName",
        19: f"{_WMI} EventNamespace Name Query",
        20: f"{_WMI} Name Type Destination",
        21: f"{_WMI} Consumer Filter",
        22: f"{_OWN} QueryName QueryStatus QueryResults",
        23: f"{_DELETED} Archived",
        24: f"{_OWN} Session ClientInfo Hashes Archived",
        25: f"{_OWN} Type",
        26: _DELETED,
        27: f"{_OWN} TargetFilename Hashes",
        28: _DELETED,
        29: f"{_OWN} TargetFilename Hashes",
        255: "UtcTime ID Description",
    }.items()
}
