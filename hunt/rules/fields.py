"""Which fields of which events say who did what to what: the columns of findings, by event type.

Field names are Sysmon's (schema 4.x, `sysmon -s`) and those of the templates of Windows' own providers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

import polars as pl

from hunt import processes, schema
from hunt.model import ANY_CHANNEL, ANY_ID, SYSMON, EventType

# Columns of findings that an event can fill. `sha256` and `signer` are the process's where it starts, else those of
# the file that the event is about (`object`).
TARGETS = (
    *("process_guid", "pid", "image", "command_line", "parent_image", "parent_command_line", "sha256", "signer"),
    *("integrity", "session", "user", "logon_id", "actor", "source_ip", "object", "action"),
    *("target_process_guid", "target_pid", "target_image", "target_command_line"),
)

# Column of findings -> fields, the first of which that has a value counts; "A|B" are joined: DOMAIN\user, address:port.
Fields = Mapping[str, tuple[str, ...]]

_ACTING: Fields = {
    "process_guid": ("ProcessGuid",),
    "pid": ("ProcessId",),
    "image": ("Image",),
    "user": ("User",),
}
_ON_ANOTHER: Fields = {
    "process_guid": ("SourceProcessGuid", "SourceProcessGUID"),
    "pid": ("SourceProcessId",),
    "image": ("SourceImage",),
    "user": ("SourceUser",),
    "target_process_guid": ("TargetProcessGuid", "TargetProcessGUID"),
    "target_pid": ("TargetProcessId",),
    "target_image": ("TargetImage",),
}
_FILE: Fields = {**_ACTING, "object": ("TargetFilename",), "sha256": ("Hashes", "Hash")}
_REGISTRY: Fields = {**_ACTING, "object": ("TargetObject",), "action": ("EventType",)}
_PIPE: Fields = {**_ACTING, "object": ("PipeName",), "action": ("EventType",)}
_WMI: Fields = {"user": ("User",), "action": ("Operation",)}

_SYSMON: Mapping[int, Fields] = {
    1: {
        **_ACTING,
        "command_line": ("CommandLine",),
        "parent_image": ("ParentImage",),
        "parent_command_line": ("ParentCommandLine",),
        "sha256": ("Hashes",),
        "integrity": ("IntegrityLevel",),
        "session": ("TerminalSessionId",),
        "logon_id": ("LogonId",),
    },
    3: {**_ACTING, "source_ip": ("SourceIp",), "object": ("DestinationIp|DestinationPort", "DestinationHostname")},
    4: {"action": ("State",)},
    6: {"object": ("ImageLoaded",), "sha256": ("Hashes",), "signer": ("Signature",)},
    7: {**_ACTING, "object": ("ImageLoaded",), "sha256": ("Hashes",), "signer": ("Signature",)},
    8: {**_ON_ANOTHER, "object": ("StartModule", "StartAddress")},
    9: {**_ACTING, "object": ("Device",)},
    10: _ON_ANOTHER,
    12: _REGISTRY,
    13: _REGISTRY,
    14: _REGISTRY,
    16: {"object": ("Configuration",)},
    17: _PIPE,
    18: _PIPE,
    19: {**_WMI, "object": ("Name",)},
    20: {**_WMI, "object": ("Name",), "command_line": ("Destination",)},
    21: {**_WMI, "object": ("Consumer",)},
    22: {**_ACTING, "object": ("QueryName",)},
    24: {**_ACTING, "session": ("Session",), "sha256": ("Hashes",), "actor": ("ClientInfo",)},
    25: {**_ACTING, "action": ("Type",)},
    255: {"object": ("ID",), "action": ("Description",)},
    **dict.fromkeys((2, 11, 15, 23, 26, 27, 28, 29), _FILE),
}

_SUBJECT, _TARGET_USER = "SubjectDomainName|SubjectUserName", "TargetDomainName|TargetUserName"
# Of every other channel: names that Microsoft's templates use again and again.
_GENERAL: Fields = {
    "pid": ("ProcessId", "ProcessID"),
    "image": ("ProcessName", "Process Name", "Image", "ImageName", "Application", "ProcessPath", "Path"),
    "command_line": ("CommandLine", "ImagePath", "ServiceFileName", "HostApplication"),
    "parent_image": ("ParentProcessName", "CallerProcessName"),
    "user": (_SUBJECT, _TARGET_USER, "User", "UserName", "User Name", "UserID", "AccountName", "System.UserID"),
    "actor": (_SUBJECT, "User", "UserName", "User Name"),
    "logon_id": ("SubjectLogonId", "TargetLogonId"),
    "source_ip": ("IpAddress", "ClientAddress", "SourceAddress", "Address", "ClientIP"),
    "object": (
        *("ObjectName", "RelativeTargetName", "ShareName", "ServiceName", "TaskName", "TargetObject", "ObjectDN"),
        *("FilePath", "FileName", "TargetServerName", "MemberName", _TARGET_USER, "param1", "Name"),
    ),
    "action": ("Operation", "OperationType", "AccessList", "ActionName", "Action Name", "EventType"),
}
# Who logs on is the user, not the service that let them.
_LOGON: Fields = {**_GENERAL, "user": (_TARGET_USER, _SUBJECT), "logon_id": ("TargetLogonId", "SubjectLogonId")}
_SECURITY: Mapping[int, Fields] = {
    4688: {
        "pid": ("NewProcessId",),
        "image": ("NewProcessName",),
        "command_line": ("CommandLine",),
        "parent_image": ("ParentProcessName",),
        "user": (_SUBJECT,),
        "logon_id": ("SubjectLogonId",),
        "actor": (_SUBJECT,),
    },
    **dict.fromkeys((4624, 4625, 4634, 4647, 4768, 4769, 4770, 4771, 4776, 4778, 4779), _LOGON),
}


def _merged(of_ids: Iterable[Fields]) -> Fields:
    """For needs of whole channels, of which only `sources` is asked."""
    told: dict[str, tuple[str, ...]] = {}
    for of_id in of_ids:
        for column, names in of_id.items():
            told[column] = tuple(dict.fromkeys((*told.get(column, ()), *names)))
    return told


_MERGED: Mapping[str, Fields] = {
    SYSMON.lower(): _merged(_SYSMON.values()),
    "security": _merged((_GENERAL, *_SECURITY.values())),
    ANY_CHANNEL: _merged((_GENERAL, *_SYSMON.values(), *_SECURITY.values())),
}


def _fields(channel: str, event_id: int) -> Fields:
    kind = EventType(channel, event_id).key
    if ANY_ID in kind or ANY_CHANNEL in kind:
        return _MERGED.get(kind[0], _GENERAL)
    if kind[0] == SYSMON.lower():
        return _SYSMON.get(event_id, _ACTING)
    return _SECURITY.get(event_id, _GENERAL) if kind[0] == "security" else _GENERAL


@cache
def sources(channel: str, event_id: int) -> frozenset[str]:
    """The fields of an event type that findings are told by; also those of the System element."""
    told = _fields(channel, event_id).values()
    return frozenset(part for names in told for name in names for part in name.split("|"))


@cache
def finding_columns(channel: str, event_id: int) -> frozenset[str]:
    """What of an event type is to be decoded for findings: `sources` without what every frame has."""
    return sources(channel, event_id) - {*schema.CORE, *schema.SYSTEM}


def expressions(channel: str, event_id: int, there: Mapping[str, pl.DataType]) -> dict[str, pl.Expr]:
    """TARGETS of a frame whose columns are `there`; null where the event type has nothing to say."""
    by_column = _fields(channel, event_id)
    return {column: _told(column, by_column.get(column, ()), there) for column in TARGETS}


def _told(column: str, names: tuple[str, ...], there: Mapping[str, pl.DataType]) -> pl.Expr:
    known = [name for name in names if all(part in there for part in name.split("|"))]
    if not known:
        return pl.lit(None)
    return pl.coalesce(_value(column, name, there) for name in known)


def _value(column: str, name: str, there: Mapping[str, pl.DataType]) -> pl.Expr:
    parts = name.split("|")
    if column in ("pid", "target_pid", "session"):
        return _number(name, there[name])
    if column == "logon_id" and there[name] == pl.UInt64:
        return schema.hex_text(pl.col(name))
    if column == "sha256":
        return processes.sha256(name)
    texts = [_text(part, there[part]) for part in parts]
    joint = ":" if parts[-1].endswith("Port") else "\\"
    return texts[0] if len(texts) == 1 else _joined(texts, joint)


def _number(name: str, dtype: pl.DataType) -> pl.Expr:
    """Decimal, or hexadecimal with 0x, as the channels without types print it; null if it is none."""
    if dtype != pl.String:
        return pl.col(name).cast(pl.UInt32, strict=False)
    text = pl.col(name)
    return (
        pl.when(text.str.starts_with("0x"))
        .then(text.str.slice(2).str.to_integer(base=16, dtype=pl.UInt64, strict=False))
        .otherwise(text.cast(pl.UInt64, strict=False))
        .cast(pl.UInt32, strict=False)
    )


def _text(name: str, dtype: pl.DataType) -> pl.Expr:
    """A field as text; what Windows prints for nothing is null."""
    text = pl.col(name) if dtype == pl.String else pl.col(name).cast(pl.String)
    return pl.when(~text.is_in(["", "-"])).then(text)


def _joined(texts: list[pl.Expr], joint: str) -> pl.Expr:
    """The second after the first; without the second nothing."""
    return pl.when(texts[1].is_not_null()).then(pl.concat_str(texts, separator=joint, ignore_nulls=True))
