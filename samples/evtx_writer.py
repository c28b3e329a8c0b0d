"""Write EVTX files: what Windows' event log service would have stored for the given events.

    from samples.evtx_writer import sysmon_process, write_log

    cmd = sysmon_process(Image=r"C:\\Windows\\System32\\cmd.exe", time="2026-03-02 08:15:00.000")
    outlook = sysmon_process(Image=OUTLOOK, time="2026-03-02 08:15:02.500", parent=cmd)
    write_log(tmp_path / "sysmon.evtx", [cmd, outlook])

Other events are `Event(...)` with values from `samples.values`; Sysmon's other ones `sysmon_event(3, ...)`.
The same events give the same bytes, on every run and every system.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from samples.binxml import Layout, Writer
from samples.chunk import Body, write_file
from samples.event import Event, UserData, check
from samples.sysmon import process_guid, sysmon_event, sysmon_process
from samples.templates import instance, rendered
from samples.values import to_filetime

__all__ = [
    "Event",
    "UserData",
    "log_bytes",
    "numbered",
    "process_guid",
    "sysmon_event",
    "sysmon_process",
    "write_log",
]


def write_log(path: Path, events: Iterable[Event], *, exported: bool = True) -> Path:
    """Write the events to a file, in the order given, and return its path. See `log_bytes`."""
    path.write_bytes(log_bytes(events, exported=exported))
    return path


def log_bytes(events: Iterable[Event], *, exported: bool = True) -> bytes:
    """The events as the bytes of an EVTX file; a new chunk of 64 KiB begins where one is full.

    `exported`: as wevtutil and Event Viewer save a log; False: as the service keeps its own (see `binxml.Layout`).
    Raises ValueError for what an event log can't hold: a record of more than 65,024 bytes, text with NUL, a number
    beyond its type, an event with two bodies, no event at all.
    """
    layout = Layout(exported)
    records = [
        (_header_id(event, number), to_filetime(event.time), _body(event, number, layout))
        for event, number in numbered(events)
    ]
    if not records:
        raise ValueError("a log without events has no chunk to write")
    return write_file(records, layout)


def numbered(events: Iterable[Event]) -> list[tuple[Event, int]]:
    """Each event with its EventRecordID: its own, or one more than that of the event before it, beginning with 1."""
    pairs: list[tuple[Event, int]] = []
    for event in events:
        following = pairs[-1][1] + 1 if pairs else 1
        pairs.append((event, following if event.record_id is None else event.record_id))
    return pairs


def _header_id(event: Event, number: int) -> int:
    return number if event.header_id is None else event.header_id


def _body(event: Event, number: int, layout: Layout) -> Body:
    check(event)

    def write(writer: Writer) -> None:
        if event.rendered:
            writer.rendered(rendered(event, number))
        else:
            writer.record(instance(event, number, layout))

    return write
