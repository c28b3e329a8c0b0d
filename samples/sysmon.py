"""Sysmon's events with its own field names, orders and types, in the four schemas that real logs hold.

`old`: no RuleName; `rule`: RuleName and the file's version information; `mid`: also OriginalFileName; `new`: also
ParentUser, User and the like. All four call EID 1 version 5, so a reader has to go by the fields.
"""

from __future__ import annotations

import hashlib
import struct
import uuid
import zlib
from collections.abc import Callable, Mapping
from typing import Literal

from samples.event import Event
from samples.values import (
    Moment,
    Value,
    boolean,
    guid,
    hex32,
    hex64,
    string,
    to_filetime,
    u16,
    u32,
    unix_second,
    utc_text,
)

PROVIDER = "Microsoft-Windows-Sysmon"
PROVIDER_GUID = "{5770385F-C22A-43E0-BF4C-06F5698FFBD9}"
CHANNEL = "Microsoft-Windows-Sysmon/Operational"
HOST = "WS01.contoso.example"
EXPLORER = r"C:\Windows\explorer.exe"
NULL_GUID = "{00000000-0000-0000-0000-000000000000}"

Schema = Literal["old", "rule", "mid", "new"]
Given = str | int | bool
SCHEMAS: tuple[Schema, ...] = ("old", "rule", "mid", "new")
_ORDER: dict[str, int] = {schema: index for index, schema in enumerate(SCHEMAS)}

_VERSIONS = {1: 5, 2: 5, 3: 5, 5: 3, 7: 3, 9: 2, 10: 3, 11: 2, 13: 2, 15: 2, 22: 5, 23: 5, 29: 5}
_FIELDS: dict[int, str] = {
    # name[:type][@first schema]; a type is none of the names below: string
    1: "RuleName@rule UtcTime ProcessGuid:guid ProcessId:u32 Image FileVersion@rule Description@rule Product@rule "
    "Company@rule OriginalFileName@mid CommandLine CurrentDirectory User LogonGuid:guid LogonId:hex64 "
    "TerminalSessionId:u32 IntegrityLevel Hashes ParentProcessGuid:guid ParentProcessId:u32 ParentImage "
    "ParentCommandLine ParentUser@new",
    2: "RuleName@rule UtcTime ProcessGuid:guid ProcessId:u32 Image TargetFilename CreationUtcTime "
    "PreviousCreationUtcTime User@new",
    3: "RuleName@rule UtcTime ProcessGuid:guid ProcessId:u32 Image User Protocol Initiated:bool SourceIsIpv6:bool "
    "SourceIp SourceHostname SourcePort:u16 SourcePortName DestinationIsIpv6:bool DestinationIp DestinationHostname "
    "DestinationPort:u16 DestinationPortName",
    5: "RuleName@rule UtcTime ProcessGuid:guid ProcessId:u32 Image User@new",
    7: "RuleName@rule UtcTime ProcessGuid:guid ProcessId:u32 Image ImageLoaded FileVersion@rule Description@rule "
    "Product@rule Company@rule OriginalFileName@mid Hashes Signed Signature SignatureStatus User@new",
    9: "RuleName@rule UtcTime ProcessGuid:guid ProcessId:u32 Image Device User@new",
    10: "RuleName@rule UtcTime SourceProcessGUID:guid SourceProcessId:u32 SourceThreadId:u32 SourceImage "
    "TargetProcessGUID:guid TargetProcessId:u32 TargetImage GrantedAccess:hex32 CallTrace SourceUser@new "
    "TargetUser@new",
    11: "RuleName@rule UtcTime ProcessGuid:guid ProcessId:u32 Image TargetFilename CreationUtcTime User@new",
    13: "RuleName@rule EventType UtcTime ProcessGuid:guid ProcessId:u32 Image TargetObject Details User@new",
    15: "RuleName@rule UtcTime ProcessGuid:guid ProcessId:u32 Image TargetFilename CreationUtcTime Hash Contents "
    "User@new",
    22: "RuleName@rule UtcTime ProcessGuid:guid ProcessId:u32 QueryName QueryStatus QueryResults Image User@new",
    23: "RuleName@rule UtcTime ProcessGuid:guid ProcessId:u32 User Image TargetFilename Hashes IsExecutable:bool "
    "Archived",
    29: "RuleName@rule UtcTime ProcessGuid:guid ProcessId:u32 User@new Image TargetFilename Hashes",
}
_TYPES: dict[str, Callable[[Given], Value]] = {
    "string": lambda given: string(str(given)),
    "guid": lambda given: guid(str(given)),
    "u16": lambda given: u16(_int(given)),
    "u32": lambda given: u32(_int(given)),
    "hex32": lambda given: hex32(_int(given)),
    "hex64": lambda given: hex64(_int(given)),
    "bool": lambda given: boolean(bool(given)),
}
_ABOUT = {  # file name: (description, original file name), as Windows' own files say of themselves
    "cmd.exe": ("Windows Command Processor", "Cmd.Exe"),
    "cscript.exe": ("Microsoft ® Console Based Script Host", "cscript.exe"),
    "explorer.exe": ("Windows Explorer", "EXPLORER.EXE"),
    "mshta.exe": ("Microsoft (R) HTML Application host", "MSHTA.EXE"),
    "outlook.exe": ("Microsoft Outlook", "Outlook.exe"),
    "powershell.exe": ("Windows PowerShell", "PowerShell.EXE"),
    "pwsh.exe": ("pwsh", "pwsh.dll"),
    "regsvr32.exe": ("Microsoft(C) Register Server", "REGSVR32.EXE"),
    "svchost.exe": ("Host Process for Windows Services", "svchost.exe"),
    "w3wp.exe": ("IIS Worker Process", "w3wp.exe"),
    "winword.exe": ("Microsoft Word", "WinWord.exe"),
    "wsmprovhost.exe": ("Host process for WinRM plug-ins", "wsmprovhost.exe"),
    "rundll32.exe": ("Windows host process (Rundll32)", "RUNDLL32.EXE"),
    "wscript.exe": ("Microsoft ® Windows Based Script Host", "wscript.exe"),
}


def sysmon_process(
    *,
    Image: str,  # noqa: N803 - Sysmon's own spelling, as that of all fields
    time: Moment = "2026-03-02 08:15:00.000",
    host: str = HOST,
    record_id: int | None = None,
    fields: Schema = "new",
    parent: Event | None = None,
    logged: Moment | None = None,
    **given: Given,
) -> Event:
    """A process start (EID 1). `time` is its UtcTime; `logged` its TimeCreated, by default 14 ms later.

    `given`: Sysmon's fields by name. Left out, they have likely values: ProcessGuid holds the start's second as
    Sysmon's do; the Parent* fields are those of `parent` (a process of this function), else of an explorer.exe of the
    same session that started an hour before. Raises ValueError for a field that the schema `fields` lacks.
    """
    ticks = to_filetime(time)
    pid = _int(given.get("ProcessId", 4000 + 4 * (zlib.crc32(f"{Image}{ticks}".encode()) % 3000)))
    defaults: dict[str, Given] = {
        "ProcessGuid": process_guid(host, ticks, pid, fields),
        "ProcessId": pid,
        "Image": Image,
        "CommandLine": f'"{Image}"',
        "CurrentDirectory": "C:\\Windows\\system32\\",
        "User": r"CONTOSO\alice",
        "LogonId": 0x4B1F7,
        "TerminalSessionId": 1,
        "IntegrityLevel": "Medium",
        "Hashes": hashes(Image),
        **_file_information(Image),
        **(_parent(parent) if parent else _explorer(host, ticks, fields)),
    }
    logon = _int(given.get("LogonId", 0x4B1F7))
    defaults["LogonGuid"] = _logon_guid(host, ticks, logon, fields)
    known = field_names(1, fields)
    everything = {name: value for name, value in defaults.items() if name in known} | given
    return sysmon_event(1, time=ticks, host=host, record_id=record_id, fields=fields, logged=logged, **everything)


def sysmon_event(
    event_id: int,
    *,
    time: Moment,
    host: str = HOST,
    record_id: int | None = None,
    fields: Schema = "new",
    logged: Moment | None = None,
    **given: Given,
) -> Event:
    """A Sysmon event (one of those above) with its fields by name; those left out are "-", 0 or the null GUID.

    Raises ValueError for an event id not listed here and for a field that it has not in the schema `fields`.
    """
    schema = _schema(event_id, fields)
    unknown = given.keys() - {name for name, _ in schema}
    if unknown:
        raise ValueError(f"Sysmon {event_id} has no {', '.join(sorted(unknown))} in the schema {fields!r}")
    ticks = to_filetime(time)
    values = {"UtcTime": utc_text(ticks), "RuleName": "-" if fields == "new" else "", **given}
    return Event(
        provider=PROVIDER,
        provider_guid=PROVIDER_GUID,
        event_id=event_id,
        channel=CHANNEL,
        computer=host,
        time=ticks + 141_592 if logged is None else logged,  # real ones: a median of 15 ms after UtcTime
        record_id=record_id,
        version=_VERSIONS[event_id],
        task=event_id,
        process_id=2840,
        thread_id=3912,
        user_sid="S-1-5-18",
        data=[(name, _typed(name, kind, values)) for name, kind in schema],
    )


def process_guid(host: str, time: Moment, pid: int, fields: Schema = "new") -> str:
    """The ProcessGuid Sysmon would give: machine, second of the start, and what tells starts of one second apart.

    The second group and the third are the lower and the upper half of the UNIX time (32 bits, little-endian).
    Up to schema `mid` a token id follows, since then a running number and the number of the boot.
    """
    if fields == "new":
        return _guid(host, time, struct.pack("<IHH", pid // 4, 0, 0x0201))
    return _guid(host, time, struct.pack("<HHI", 0, 0x1000, pid * 499 & 0xFFFFFFFF))


def _logon_guid(host: str, time: Moment, logon_id: int, fields: Schema) -> str:
    """As a ProcessGuid, but with the second of the logon (here: half past the hour before) and the LogonId."""
    start = to_filetime(time)
    hour = 36_000_000_000
    tail = struct.pack("<Q", logon_id) if fields == "new" else struct.pack("<HHI", 0, 0x2000, logon_id & 0xFFFFFFFF)
    return _guid(host, start // hour * hour - hour // 2, tail)


def _guid(host: str, time: Moment, tail: bytes) -> str:
    machine = zlib.crc32(host.lower().encode("utf-16-le"))
    second = unix_second(to_filetime(time)) & 0xFFFFFFFF
    return f"{{{uuid.UUID(bytes_le=struct.pack('<II', machine, second) + tail)}}}".upper()


def hashes(image: str) -> str:
    """Sysmon's Hashes field. Invented, of course: digests of the path, equal for equal paths whatever their case."""
    path = image.lower().encode("utf-16-le", "surrogatepass")
    digests = {name: hashlib.new(name, path, usedforsecurity=False).hexdigest() for name in ("sha1", "md5", "sha256")}
    digests["imphash"] = hashlib.md5(path[::-1], usedforsecurity=False).hexdigest()
    return ",".join(f"{name}={digest}" for name, digest in digests.items()).upper()


def _file_information(image: str) -> dict[str, Given]:
    description, original = _ABOUT.get(image.rpartition("\\")[2].lower(), ("-", "-"))
    known = description != "-"
    return {
        "FileVersion": "10.0.19041.1" if known else "-",
        "Description": description,
        "Product": "Microsoft® Windows® Operating System" if known else "-",
        "Company": "Microsoft Corporation" if known else "-",
        "OriginalFileName": original,
    }


def _parent(parent: Event) -> dict[str, Given]:
    return {
        "ParentProcessGuid": parent.field("ProcessGuid"),
        "ParentProcessId": int(parent.field("ProcessId")),
        "ParentImage": parent.field("Image"),
        "ParentCommandLine": parent.field("CommandLine"),
        "ParentUser": parent.field("User"),
    }


def _explorer(host: str, ticks: int, fields: Schema) -> dict[str, Given]:
    return {
        "ParentProcessGuid": process_guid(host, ticks - 36_000_000_000, 3120, fields),
        "ParentProcessId": 3120,
        "ParentImage": EXPLORER,
        "ParentCommandLine": r"C:\Windows\Explorer.EXE",
        "ParentUser": r"CONTOSO\alice",
    }


def field_names(event_id: int, fields: Schema = "new") -> list[str]:
    """The names an event has in a schema, in order. Raises ValueError for event ids not listed here."""
    return [name for name, _ in _schema(event_id, fields)]


def _schema(event_id: int, fields: Schema) -> list[tuple[str, str]]:
    """Name and type of each field."""
    if event_id not in _FIELDS:
        raise ValueError(f"Sysmon {event_id} is not one of those known here: {', '.join(map(str, _FIELDS))}")
    parsed = []
    for item in _FIELDS[event_id].split():
        declared, _, since = item.partition("@")
        name, _, kind = declared.partition(":")
        if not since or _ORDER[fields] >= _ORDER[since]:
            parsed.append((name, kind or "string"))
    return parsed


def _typed(name: str, kind: str, values: Mapping[str, Given]) -> Value:
    missing = {"string": "-", "guid": NULL_GUID}.get(kind, 0)
    return _TYPES[kind](values.get(name, missing))


def _int(given: Given) -> int:
    return int(given, 0) if isinstance(given, str) else int(given)
