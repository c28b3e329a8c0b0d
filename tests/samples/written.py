"""What a reader owes for an event that was written: names, types and texts; and how far readers may differ from it."""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Callable, Iterator

from samples.event import Event, as_values
from samples.values import (
    BINARY,
    BOOL,
    DOUBLE,
    FILETIME,
    FLOAT,
    GUID,
    HEX32,
    HEX64,
    NULL,
    SIZE_T,
    STRING,
    SYSTEMTIME,
    filetime,
    guid,
    to_filetime,
)

Owed = tuple[str, int, str]  # name, BinXML type, text as Windows shows it

# Where readers show a value in their own way, and none of them the wrong one.
_PRECISION = 40  # ticks of 100 ns: evtx cuts to microseconds, python-evtx and dissect calculate times in floats


def system_of(event: Event, record_id: int) -> list[Owed]:
    """The System part, attributes as Element.Attribute."""
    classic = event.provider_guid is None
    owed = [
        ("Provider.Name", STRING, event.provider),
        ("Provider.Guid", GUID, guid(event.provider_guid).text if event.provider_guid else None),
        ("EventID", STRING, str(event.event_id)),
        ("EventID.Qualifiers", STRING, _text(event.qualifiers)),
        ("Version", STRING, None if classic else str(event.version)),
        ("Level", STRING, str(event.level)),
        ("Task", STRING, str(event.task)),
        ("Opcode", STRING, None if classic else str(event.opcode)),
        ("Keywords", HEX64, f"{event.keywords:#x}"),
        ("TimeCreated.SystemTime", FILETIME, filetime(event.time).text),
        ("EventRecordID", STRING, str(record_id)),
        ("Correlation.ActivityID", GUID, event.activity_id),
        ("Correlation.RelatedActivityID", GUID, event.related_activity_id),
        ("Execution.ProcessID", STRING, None if classic else str(event.process_id)),
        ("Execution.ThreadID", STRING, None if classic else str(event.thread_id)),
        ("Channel", STRING, event.channel),
        ("Computer", STRING, event.computer),
        ("Security.UserID", STRING, event.user_sid),
    ]
    return [(name, kind, text) for name, kind, text in owed if text is not None]


def body_of(event: Event) -> list[Owed]:
    """The fields of EventData or UserData, in order."""
    return list(_body_of(event))


def _body_of(event: Event) -> Iterator[Owed]:
    fields = event.user_data.fields if event.user_data else event.data or ()
    yield from ((name, value.kind, value.text) for name, value in as_values(fields))
    yield from (("Data", STRING, text) for text in event.unnamed or ())
    if event.binary is not None:
        yield "Binary", BINARY, event.binary.hex().upper()
    elif event.unnamed is not None and not event.rendered:
        yield "Binary", NULL, ""  # the template of unnamed Data always has a place for it


def same(reader: str, kind: int, owed: str, found: str) -> bool:
    """Is `found` what this reader makes of a value of this type?"""
    if found == owed or KNOWN_FAULTS.get((reader, kind), _never)(owed, found):
        return True
    return _SAME_MEANING.get(kind, _never)(owed, found)


def _ticks(text: str) -> int:
    match = re.fullmatch(r"(.{19})(?:\.(\d{1,7})\d*)?(?:Z|\+00:00)?", text)
    assert match, text
    return to_filetime(f"{match[1]}.{match[2] or '0'}")


def _swapped(text: str) -> str:
    return f"{{{uuid.UUID(bytes_le=uuid.UUID(text).bytes)}}}".upper()


def _never(owed: str, found: str) -> bool:
    return False


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def _base64_as_hex(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).hex().upper()
    except ValueError:
        return ""


def _same_hex(owed: str, found: str) -> bool:
    return int(owed, 16) == int(found, 16)


def _same_time(owed: str, found: str) -> bool:
    return abs(_ticks(owed) - _ticks(found)) <= _PRECISION


_SAME_MEANING: dict[int, Callable[[str, str], bool]] = {
    GUID: lambda owed, found: uuid.UUID(owed) == uuid.UUID(found),  # with or without braces, upper or lower case
    HEX32: _same_hex,  # python-evtx and libevtx keep leading zeros
    HEX64: _same_hex,
    SIZE_T: _same_hex,
    FILETIME: _same_time,
    SYSTEMTIME: _same_time,
    FLOAT: lambda owed, found: float(owed) == float(found),  # libevtx: 2.500000e-001
    DOUBLE: lambda owed, found: float(owed) == float(found),
    BOOL: lambda owed, found: {"True": "true", "False": "false", "1": "true", "0": "false"}.get(found) == owed,
    BINARY: lambda owed, found: owed in (found.upper(), _base64_as_hex(found)),  # base64: python-evtx
}

# Values that a reader gets wrong, each with what it makes of the value that is owed.
KNOWN_FAULTS: dict[tuple[str, int], Callable[[str, str], bool]] = {
    # dissect.eventlog 3.11 takes the first three groups of a GUID for big-endian.
    ("dissect.eventlog", GUID): lambda owed, found: _swapped(owed) == found,
    # python-evtx 0.8.1 hands SYSTEMTIME's milliseconds to datetime as microseconds.
    ("python-evtx", SYSTEMTIME): lambda owed, found: owed[:19] == found[:19].replace(" ", "T"),
    # python-evtx 0.8.1 drops control characters, without a trace.
    ("python-evtx", STRING): lambda owed, found: re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", "", owed) == found,
}

# Records that a reader leaves out: python-evtx 0.8.1 reads none without a template.
UNREAD: dict[tuple[str, str], int] = {
    ("python-evtx", "forwarded.evtx"): 2,
    ("python-evtx", "exchange-admin.evtx"): 2,
}


def shown(reader: str, event: Event, owed: list[Owed]) -> list[Owed]:
    """What is left of the owed fields in this reader's output.

    An element that depends on a null value is to be left out. libevtx alone does it (and leaves out every element
    whose optional value is null); the other three show an empty one.
    """
    if reader == "libevtx":
        return [field for field in owed if field[1] != NULL]
    if reader == "dissect.eventlog" and event.rendered:
        return [field for field in owed if field[2]]  # it drops empty elements where there is no template
    return owed
