"""Small event logs for the tests of parsers: events with likely values, a good log to damage, records of any bytes."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

from hunt.model import Parser
from parsers import records
from samples import values
from samples.binxml import Element, Layout, Slot, Writer
from samples.chunk import write_file
from samples.evtx_writer import Event, log_bytes, sysmon_process, write_log
from samples.templates import instance
from tests.helpers import Result, gather, gather_bytes, read
from tests.helpers import evidence as evidence_of

START = values.to_filetime("2026-03-02 08:15:00")
TOTAL = 90  # records of the good log


def event(**given: object) -> Event:
    """An event of a provider with a manifest."""
    defaults: dict[str, object] = {
        "provider": "Contoso",
        "provider_guid": "{0E2BC1B7-5D4B-4E2F-9C5F-1F1B1B0A0F01}",
        "event_id": 7,
        "channel": "Contoso/Debug",
        "computer": "WS01",
        "time": START,
    }
    return Event(**{**defaults, **given})  # type: ignore[arg-type]


def one(parser: Parser, folder: Path, *events: Event, exported: bool = True) -> dict[str, object]:
    """The only row of a log with these events."""
    frames, problems = read(parser, write_log(folder / "log.evtx", events, exported=exported))
    assert problems == []
    (frame,) = frames.values()
    (row,) = frame.iter_rows(named=True)
    return row


def written(parser: Parser, folder: Path, *events: Event, exported: bool = True) -> Result:
    """What a parser makes of a log with these events."""
    return gather(parser, [evidence_of(write_log(folder / "log.evtx", events, exported=exported))])


@cache
def good() -> bytes:
    """A log of two chunks."""
    return log_bytes(
        sysmon_process(Image=rf"C:\tools\tool{n}.exe", time=START + n * 10_000_000) for n in range(1, TOTAL + 1)
    )


@cache
def places(content: bytes) -> dict[int, tuple[int, int]]:
    """Of each record of a log: offset in the file, size."""
    header = records.file_header(content[: records.FILE_HEADER])
    return {
        frame.number: (chunk.offset + frame.offset, frame.size)
        for chunk in records.chunks(io.BytesIO(content), header)
        for frame in chunk.frames
    }


def chunk_of(offset: int) -> slice:
    """The bytes of the chunk in which a byte of a log stands."""
    start = records.FILE_HEADER + (offset - records.FILE_HEADER) // records.CHUNK * records.CHUNK
    return slice(start, start + records.CHUNK)


def crafted(parser: Parser, folder: Path, body: Callable[[Writer], None]) -> Result:
    """What a parser makes of a log with a crafted record 1 and a sound record 2."""
    sound = event(record_id=2)
    log = [(1, START, body), (2, START, lambda writer: writer.record(instance(sound, 2, Layout())))]
    return gather_bytes(parser, folder, write_file(log, Layout()))


def raw(content: Callable[[int], bytes]) -> Callable[[Writer], None]:
    """A record of these bytes; the function is told the offset in the chunk at which they will stand."""

    def write(writer: Writer) -> None:
        writer.out += content(len(writer.out))

    return write


def root(*content: Element | Slot | str) -> Element:
    """The template of an event 7 in channel c with this in its EventData."""
    system = Element("System", (), (Element("EventID", (), ("7",)), Element("Channel", (), ("c",))))
    return Element("Event", (), (system, Element("EventData", (), content)))


def summed(content: bytes) -> bytes:
    """A log with its checksums made right again: what was changed is to be found out in another way."""
    out = bytearray(content)
    struct.pack_into("<I", out, 124, zlib.crc32(out[:120]))
    for start in range(records.FILE_HEADER, len(out) - records.CHUNK + 1, records.CHUNK):
        free = struct.unpack_from("<I", out, start + 48)[0]
        body = zlib.crc32(out[start + 512 : start + min(free, records.CHUNK)])
        struct.pack_into("<I", out, start + 52, body)
        header = zlib.crc32(out[start : start + 120] + out[start + 128 : start + 512])
        struct.pack_into("<I", out, start + 124, header)
    return bytes(out)
