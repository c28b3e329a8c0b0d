"""What text exports write, as EVTX would have it: values of JSON as text, times with or without a zone as UTC."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from functools import lru_cache

import orjson

from .event_xml import Row

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)([.,]\d{1,9})?\d* ?(Z|[+-]\d\d:?\d\d)?")
_BARE = re.compile(r"[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}")
_QUARTER = 900  # seconds: zones differ from UTC by multiples of it
_LATE = 120  # seconds between two clock readings of what happened at one time


def text(value: object) -> str:
    """A value of JSON as the XML of Windows shows it; null is an empty element there."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return orjson.dumps(value).decode()  # a float, as it stood; lists and objects where only text is foreseen


def is_bare(guid: object) -> bool:
    """Whether a GUID stands without braces: Windows writes them, PyPI evtx does not, whatever the value's type."""
    return isinstance(guid, str) and len(guid) == 36 and _BARE.fullmatch(guid) is not None


def braced(row: Row) -> Row:
    """An event with braces around GUIDs, as Windows and EVTX print them, if its provider's has none."""
    if not is_bare(row.get("System.ProviderGuid")):
        return row
    return {c: f"{{{v}}}" if isinstance(v, str) and len(v) == 36 and is_bare(v) else v for c, v in row.items()}


def unsigned(value: object) -> str:
    """A mask of 64 bits, which some tools write as a signed number."""
    number = text(value)
    return str(int(number) + (1 << 64)) if re.fullmatch(r"-[0-9]{1,19}", number) else number


def utc(written: str) -> str | None:
    """A moment with its zone in UTC, all its decimals kept; None without a zone."""
    found = _MOMENT.fullmatch(written)
    if not found or not found[4]:
        return None
    if found[4] == "Z":
        return written
    zone = found[4].replace(":", "")
    away = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:5]))
    return shifted(written, -away if zone[0] == "+" else away)


def shifted(written: str, by: timedelta) -> str | None:
    """A moment without its zone, moved; None for what is no moment."""
    found = _MOMENT.fullmatch(written)
    try:
        moment = datetime.fromisoformat(f"{found[1]} {found[2]}") + by if found else None
    except (ValueError, OverflowError):
        return None
    return f"{moment}{(found[3] or '').replace(',', '.')}Z" if found and moment else None


@lru_cache(4096)
def zone(local: str, in_utc: str) -> timedelta | None:
    """What a local clock was ahead of UTC, by two readings of about the same time; None if they tell of no zone."""
    if min(len(local), len(in_utc)) < 19:  # no time of day
        return None
    try:
        readings = [datetime.fromisoformat(reading[:19]) for reading in (local, in_utc)]
        ahead = (readings[0] - readings[1]).total_seconds()
    except ValueError:
        return None
    whole = round(ahead / _QUARTER) * _QUARTER
    return timedelta(seconds=whole) if abs(ahead - whole) <= _LATE and abs(whole) <= 14 * 3600 else None
