"""Typed values of BinXML as the text that Windows' own XML shows.

Value types: [MS-EVEN6] 2.2.12 (TypeOfValue); array types carry the bit 0x80.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import datetime, timedelta

ARRAY = 0x80
NULL = 0x00
STRING = 0x01
ANSI_STRING = 0x02
NESTED = 0x21
_SIZE_T = 0x10
_SID = 0x13
_BINARY = 0x0E

_EPOCH = datetime(1601, 1, 1)
_TICKS_PER_SECOND = 10_000_000  # a FILETIME counts 100 ns since 1601


def is_null(kind: int, size: int) -> bool:
    """Whether a value is null: of that type, or of no bytes where its type is no text."""
    return kind == NULL or (not size and kind not in (STRING, ANSI_STRING))


def text(kind: int, raw: bytes) -> str | list[str]:
    """One value as text, an array as one text per item. Raises ValueError for what is not a value of that type."""
    if kind & ARRAY:
        return _array(kind & ~ARRAY, raw)
    if kind in _TEXTS:
        return _TEXTS[kind](raw)
    raise ValueError(f"unknown value type 0x{kind:02x}")


def _array(kind: int, raw: bytes) -> list[str]:
    if kind in (STRING, ANSI_STRING):
        items = string(raw).split("\0") if kind == STRING else _ansi(raw).split("\0")
        return items[:-1] if items[-1] == "" and raw.endswith(b"\0") else items
    width = WIDTHS.get(kind)
    if not width or len(raw) % width:
        raise ValueError(f"{len(raw)} bytes are no array of value type 0x{kind:02x}")
    return [_TEXTS[kind](raw[at : at + width]) for at in range(0, len(raw), width)]


def string(raw: bytes) -> str:
    """UTF-16 as it stands; unpaired surrogates become U+FFFD. Raises ValueError for half a character."""
    if len(raw) % 2:
        raise ValueError(f"{len(raw)} bytes are no UTF-16 string")
    return raw.decode("utf-16-le", "replace")


def _terminated(raw: bytes) -> str:
    return string(raw).rstrip("\0")


def _ansi(raw: bytes) -> str:
    # The code page is the writing machine's and stands nowhere; Windows-1252 is the common one, and maps every byte
    # but five, which are kept as they are.
    return "".join(bytes((b,)).decode("cp1252", "ignore") or chr(b) for b in raw)


def _number(code: str) -> Callable[[bytes], str]:
    size = struct.calcsize(code)

    def read(raw: bytes) -> str:
        return str(struct.unpack(code, _exactly(raw, size))[0])

    return read


def _exactly(raw: bytes, size: int) -> bytes:
    if len(raw) != size:
        raise ValueError(f"{len(raw)} bytes where a value of {size} should be")
    return raw


def _real(code: str) -> Callable[[bytes], str]:
    size = struct.calcsize(code)

    def read(raw: bytes) -> str:
        value = struct.unpack(code, _exactly(raw, size))[0]
        return format(value, ".9g" if size == 4 else ".17g")

    return read


def _size(raw: bytes) -> str:
    """A pointer-sized number: 4 or 8 bytes, by the machine that wrote it; Windows prints it as HexInt."""
    if len(raw) not in (4, 8):
        raise ValueError(f"{len(raw)} bytes are no size_t")
    return f"0x{int.from_bytes(raw, 'little'):x}"


def _hex(size: int) -> Callable[[bytes], str]:
    return lambda raw: f"0x{int.from_bytes(_exactly(raw, size), 'little'):x}"


def _boolean(raw: bytes) -> str:
    # 32 bits by the specification; some providers write one byte.
    if len(raw) not in (1, 4):
        raise ValueError(f"{len(raw)} bytes are no boolean")
    return "true" if any(raw) else "false"


def guid(raw: bytes) -> str:
    """16 bytes as Sysmon prints a GUID: upper case, in braces."""
    a, b, c = struct.unpack_from("<IHH", _exactly(raw, 16))
    tail = raw[8:].hex().upper()
    return f"{{{a:08X}-{b:04X}-{c:04X}-{tail[:4]}-{tail[4:]}}}"


def filetime(raw: bytes) -> str:
    """All of a FILETIME's 100 ns: 2026-03-02T08:15:00.1234567Z. Past the year 9999: the number itself."""
    ticks = int.from_bytes(_exactly(raw, 8), "little")
    seconds, rest = divmod(ticks, _TICKS_PER_SECOND)
    try:
        whole = _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return str(ticks)
    return f"{whole.isoformat()}.{rest:07d}Z"


def _systemtime(raw: bytes) -> str:
    year, month, _, day, hour, minute, second, milli = struct.unpack("<8H", _exactly(raw, 16))
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}.{milli:03d}Z"


def _sid(raw: bytes) -> str:
    if len(raw) < 8 or len(raw) != 8 + 4 * raw[1]:
        raise ValueError(f"{len(raw)} bytes are no SID")
    authority = int.from_bytes(raw[2:8], "big")
    return "-".join(map(str, ("S", raw[0], authority, *struct.unpack_from(f"<{raw[1]}I", raw, 8))))


_TEXTS: dict[int, Callable[[bytes], str]] = {
    NULL: lambda raw: "",
    STRING: _terminated,
    ANSI_STRING: lambda raw: _ansi(raw).rstrip("\0"),
    0x03: _number("<b"),
    0x04: _number("<B"),
    0x05: _number("<h"),
    0x06: _number("<H"),
    0x07: _number("<i"),
    0x08: _number("<I"),
    0x09: _number("<q"),
    0x0A: _number("<Q"),
    0x0B: _real("<f"),
    0x0C: _real("<d"),
    0x0D: _boolean,
    _BINARY: lambda raw: raw.hex().upper(),
    0x0F: guid,
    _SIZE_T: _size,
    0x11: filetime,
    0x12: _systemtime,
    _SID: _sid,
    0x14: _hex(4),
    0x15: _hex(8),
}

# Array items of fixed width; strings are separated by NUL.
WIDTHS = {0x03: 1, 0x04: 1, 0x05: 2, 0x06: 2, 0x07: 4, 0x08: 4, 0x09: 8, 0x0A: 8, 0x0B: 4, 0x0C: 8, 0x0D: 4}
WIDTHS |= {0x0F: 16, 0x11: 8, 0x12: 16, 0x14: 4, 0x15: 8}
