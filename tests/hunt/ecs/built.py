"""One event of each of Sysmon's types, with a telling value in each of its fields, and views of built events."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from hunt import ecs
from hunt.events import Events
from hunt.model import SYSMON, EventType, Need, Settings
from tests.helpers import Row, batch, event, moment

A, B = (f"{{B2796A13-4704-69A5-0000-00000000000{n}}}" for n in (1, 2))  # ProcessGuids, of 08:15:00
HASHES = "SHA1=AB01,MD5=CD02,SHA256=EF03,SHA512=0A04,IMPHASH=0B05"
OWN = {"UtcTime": moment(1), "ProcessGuid": A, "ProcessId": "4711", "Image": r"C:\Dir\One.exe", "User": r"CORP\alice"}
PAIR = {
    "UtcTime": moment(1),
    "SourceProcessId": "4711",
    "SourceImage": r"C:\Dir\One.exe",
    "TargetProcessId": "815",
    "TargetImage": r"C:\Dir\Two.exe",
}
FILE = OWN | {"TargetFilename": r"C:\Users\bob\x.tar.gz"}
REGISTRY = OWN | {"TargetObject": r"HKLM\Software\Corp\Key\Value", "EventType": "SetValue"}
PE = {
    "Company": "Corp",
    "Description": "A tool",
    "FileVersion": "1.2",
    "OriginalFileName": "one.exe",
    "Product": "Tools",
}
SIGNED = {"Signed": "true", "Signature": "Corp Ltd", "SignatureStatus": "Valid"}
LOADED = {"UtcTime": moment(1), "ImageLoaded": r"C:\Dir\lib.dll", "Hashes": HASHES, **SIGNED}
WMI = {"UtcTime": moment(1), "Operation": "Created", "User": r"CORP\alice", "EventType": "WmiConsumerEvent"}

EVENTS: Mapping[int, Mapping[str, str]] = {
    1: OWN
    | PE
    | {
        "CommandLine": r'"C:\Dir\One.exe" /a "b c"',
        "CurrentDirectory": "C:\\Dir\\",
        "IntegrityLevel": "High",
        "LogonId": "0x53ca2",
        "Hashes": HASHES,
        "ParentProcessGuid": B,
        "ParentProcessId": "815",
        "ParentImage": r"C:\Dir\Two.exe",
        "ParentCommandLine": "two.exe -x",
    },
    2: FILE | {"CreationUtcTime": moment(-9), "PreviousCreationUtcTime": moment(-5)},
    3: OWN
    | {
        "Protocol": "tcp",
        "Initiated": "true",
        "SourceIsIpv6": "false",
        "SourceIp": "10.0.0.1",
        "SourceHostname": "ws01",
        "SourcePort": "49200",
        "SourcePortName": "-",
        "DestinationIp": "::ffff:192.0.2.7",
        "DestinationHostname": "srv",
        "DestinationPort": "443",
        "DestinationPortName": "https",
    },
    4: {"UtcTime": moment(1), "State": "Started", "Version": "15.0"},
    5: OWN,
    6: LOADED,
    7: OWN | PE | LOADED,
    8: PAIR | {"SourceProcessGuid": A, "TargetProcessGuid": B, "NewThreadId": "7"},
    9: OWN | {"Device": r"\Device\HarddiskVolume2.x"},
    10: PAIR | {"SourceProcessGUID": A, "TargetProcessGUID": B, "SourceThreadId": "7", "GrantedAccess": "0x1fffff"},
    11: FILE,
    12: REGISTRY,
    13: REGISTRY | {"Details": "DWORD (0x0000000A)"},
    14: REGISTRY | {"NewName": "x"},
    15: FILE | {"Hash": HASHES},
    16: {"UtcTime": moment(1), "Configuration": r"C:\sysmon.xml"},
    17: OWN | {"PipeName": r"\pipe"},
    18: OWN | {"PipeName": r"\pipe"},
    19: WMI | {"Name": "f", "Query": "SELECT *"},
    20: WMI | {"Name": "c", "Destination": r"C:\Dir\run.exe"},
    21: WMI | {"Consumer": "c", "Filter": "f"},
    22: OWN
    | {
        "QueryName": "www.example.org",
        "QueryStatus": "0",
        "QueryResults": "type:  5 a.example.net;::ffff:192.0.2.1;2001:db8::1;",
    },
    23: FILE | {"Hashes": HASHES, "IsExecutable": "true", "Archived": "false"},
    24: OWN | {"Hashes": HASHES, "Archived": "true", "Session": "1"},
    25: OWN | {"Type": "Image is replaced"},
    26: FILE | {"Hashes": HASHES, "IsExecutable": "true"},
    27: FILE | {"Hashes": HASHES},
    28: FILE | {"Hashes": HASHES, "IsExecutable": "true"},
    29: FILE | {"Hashes": HASHES},
    255: {"UtcTime": moment(1), "ID": "x", "Description": "y"},
}


def sysmon(event_id: int, **columns: str | None) -> Row:
    """That event; further columns stand in the place of its own."""
    return event(event_id, 1, **(dict(EVENTS[event_id]) | {"RuleName": "rule"} | columns))


def whole(*rows: Row, min_grade: str | None = None, kinds: tuple[EventType, ...] = ()) -> Events:
    """A case with all that any of ECS' fields is made of, for the events' types and these."""
    every = {EventType(row["channel"], int(row["event_id"])) for row in rows} | set(kinds)
    infos = {kind: [info for name in ecs.names(kind) if (info := ecs.describe(kind, name))] for kind in every}
    needs = [
        Need(*kind, frozenset(column for info in of_kind for column in info.columns)) for kind, of_kind in infos.items()
    ]
    also = {need for of_kind in infos.values() for info in of_kind for need in info.also}
    events = Events((*needs, *also), Settings(min_grade=min_grade))
    events.add(batch(*rows))
    return events


def seen(row: Row, *names: str) -> dict[str, object]:
    """What a view shows of one event: those of all fields, or of these, that are there."""
    kind = EventType(row["channel"], int(row["event_id"]))
    return shown(whole(row), kind, *names).row(0, named=True)


def shown(case: Events, kind: EventType, *names: str) -> pl.DataFrame:
    """The view of an event type, without the core columns."""
    asked = names or ecs.names(kind)
    return ecs.view(case, kind, asked).collect().select(asked)


def of_sysmon(event_id: int, name: str, **columns: str | None) -> object:
    """One field of that event."""
    assert ecs.describe(EventType(SYSMON, event_id), name), f"{name} of Sysmon {event_id}"
    return seen(sysmon(event_id, **columns), name)[name]
