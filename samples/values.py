"""Typed BinXML values: the number Windows gives each type, the bytes it stores and the text its XML shows.

Type numbers are those of [MS-EVEN6] 2.2.12, in the order a reader of the format meets them.
"""

from __future__ import annotations

import re
import struct
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

NULL, STRING = 0x00, 0x01
INT8, UINT8, INT16, UINT16, INT32, UINT32, INT64, UINT64 = range(0x03, 0x0B)
FLOAT, DOUBLE, BOOL, BINARY, GUID, SIZE_T, FILETIME, SYSTEMTIME, SID, HEX32, HEX64 = range(0x0B, 0x16)
BINXML = 0x21
STRINGS = 0x80 | STRING  # an array: NUL-terminated strings, one after the other

_TICKS_PER_SECOND = 10_000_000  # FILETIME counts 100 ns
_FILETIME_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_TIME_TEXT = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,7}))?(?:Z|\+00:00)?")
_SID_TEXT = re.compile(r"S-1-(\d+)((?:-\d+)*)")

# A point in time: an aware datetime (a naive one is UTC), ISO text with up to seven decimals, or a FILETIME.
Moment = datetime | str | int


@dataclass(frozen=True, slots=True)
class Value:
    """One typed value: `kind` (BinXML type), `data` (as stored), `text` (as Windows' XML shows it)."""

    kind: int
    data: bytes
    text: str


def string(text: str) -> Value:
    """UTF-16 text. Raises ValueError for characters XML 1.0 knows no place for in a stored string: NUL."""
    if "\0" in text:
        raise ValueError("a string value can't hold NUL: Windows ends it there")
    return Value(STRING, text.encode("utf-16-le", "surrogatepass"), text)


def null() -> Value:
    """No value: an optional substitution leaves its attribute or element out, a normal one leaves it empty."""
    return Value(NULL, b"", "")


def _number(kind: int, layout: str, number: int, text: str | None = None) -> Value:
    try:
        return Value(kind, struct.pack(layout, number), str(number) if text is None else text)
    except struct.error as error:
        raise ValueError(f"{number} does not fit BinXML type {kind:#x}: {error}") from None


def i8(number: int) -> Value:
    """Signed, 1 byte."""
    return _number(INT8, "<b", number)


def u8(number: int) -> Value:
    """Unsigned, 1 byte."""
    return _number(UINT8, "<B", number)


def i16(number: int) -> Value:
    """Signed, 2 bytes."""
    return _number(INT16, "<h", number)


def u16(number: int) -> Value:
    """Unsigned, 2 bytes."""
    return _number(UINT16, "<H", number)


def i32(number: int) -> Value:
    """Signed, 4 bytes."""
    return _number(INT32, "<i", number)


def u32(number: int) -> Value:
    """Unsigned, 4 bytes."""
    return _number(UINT32, "<I", number)


def i64(number: int) -> Value:
    """Signed, 8 bytes."""
    return _number(INT64, "<q", number)


def u64(number: int) -> Value:
    """Unsigned, 8 bytes."""
    return _number(UINT64, "<Q", number)


def hex32(number: int) -> Value:
    """Unsigned, 4 bytes, shown as 0x and hex digits without leading zeros."""
    return _number(HEX32, "<I", number, f"{number:#x}")


def hex64(number: int) -> Value:
    """Unsigned, 8 bytes, shown as 0x and hex digits without leading zeros."""
    return _number(HEX64, "<Q", number, f"{number:#x}")


def size_t(number: int) -> Value:
    """A pointer-sized number of a 64-bit host (process ids of the Security log), shown like hex64."""
    return _number(SIZE_T, "<Q", number, f"{number:#x}")


def float32(number: float) -> Value:
    """IEEE 754 single. The text is Python's shortest for the stored number."""
    data = struct.pack("<f", number)
    return Value(FLOAT, data, repr(struct.unpack("<f", data)[0]))


def float64(number: float) -> Value:
    """IEEE 754 double. The text is Python's shortest."""
    return Value(DOUBLE, struct.pack("<d", number), repr(float(number)))


def boolean(flag: bool) -> Value:
    """True or false; Windows stores four bytes."""
    return Value(BOOL, struct.pack("<I", flag), "true" if flag else "false")


def binary(data: bytes) -> Value:
    """Bytes, shown as upper-case hex."""
    return Value(BINARY, data, data.hex().upper())


def guid(text: str) -> Value:
    """A GUID with or without braces. Raises ValueError if it is none."""
    parsed = uuid.UUID(text)
    return Value(GUID, parsed.bytes_le, f"{{{parsed}}}".upper())


def filetime(moment: Moment) -> Value:
    """A point in time to 100 ns."""
    ticks = to_filetime(moment)
    return _number(FILETIME, "<Q", ticks, filetime_text(ticks))


def systemtime(moment: Moment) -> Value:
    """A point in time to the millisecond, as eight 16-bit numbers; the third is the day of the week, Sunday 0."""
    ticks = to_filetime(moment)
    at = _FILETIME_EPOCH + timedelta(microseconds=ticks // 10)
    weekday = at.isoweekday() % 7
    parts = (at.year, at.month, weekday, at.day, at.hour, at.minute, at.second, at.microsecond // 1000)
    return Value(SYSTEMTIME, struct.pack("<8H", *parts), f"{at:%Y-%m-%dT%H:%M:%S}.{parts[-1]:03d}Z")


def sid(text: str) -> Value:
    """A security identifier such as S-1-5-18. Raises ValueError if it is none."""
    match = _SID_TEXT.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is no security identifier (S-1-...)")
    parts = [int(part) for part in match[2].split("-")[1:]]
    head = struct.pack("<BB", 1, len(parts)) + int(match[1]).to_bytes(6, "big")
    return Value(SID, head + b"".join(struct.pack("<I", part) for part in parts), text)


def strings(texts: Sequence[str]) -> Value:
    """Several strings in one value, as classic providers store their unnamed Data."""
    items = [string(text) for text in texts]
    return Value(STRINGS, b"".join(item.data + b"\0\0" for item in items), "\n".join(texts))


def to_filetime(moment: Moment) -> int:
    """100 ns since 1601-01-01 UTC. Raises ValueError for text that is no ISO time and times before 1601."""
    if isinstance(moment, datetime):
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        since = aware - _FILETIME_EPOCH
        ticks = (since.days * 86_400 + since.seconds) * _TICKS_PER_SECOND + since.microseconds * 10
    elif isinstance(moment, str):
        ticks = _text_to_filetime(moment)
    else:
        ticks = moment
    if not 0 <= ticks < 1 << 63:
        raise ValueError(f"{moment!r} is outside the range of FILETIME")
    return ticks


def _text_to_filetime(text: str) -> int:
    match = _TIME_TEXT.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text!r} is no time such as 2026-03-02 08:15:00.1234567 (UTC)")
    whole = datetime.fromisoformat(f"{match[1]}T{match[2]}+00:00")
    return to_filetime(whole) + int((match[3] or "").ljust(7, "0"))


def filetime_text(ticks: int) -> str:
    """A FILETIME as Windows' XML shows it: 2026-03-02T08:15:00.1234567Z."""
    seconds, fraction = divmod(ticks, _TICKS_PER_SECOND)
    return f"{_FILETIME_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{fraction:07d}Z"


def utc_text(ticks: int) -> str:
    """A FILETIME as Sysmon's UtcTime writes it, cut to the millisecond: 2026-03-02 08:15:00.123."""
    return filetime_text(ticks)[:23].replace("T", " ")


def unix_second(ticks: int) -> int:
    """The second since 1970 in which a FILETIME falls."""
    return ticks // _TICKS_PER_SECOND - 11_644_473_600  # seconds from 1601 to 1970
