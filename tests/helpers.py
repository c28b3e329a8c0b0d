"""Events for tests, written where they are needed: a few keywords each, the rest likely values."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from hunt import schema
from hunt.events import Events
from hunt.model import SYSMON, Batch, EventType, Evidence, Parser, Problem, Progress, Reading, Settings
from hunt.registry import queries

ROOT = Path(__file__).resolve().parent.parent
NULL_GUID = "{00000000-0000-0000-0000-000000000000}"
T0 = 1_772_439_300  # seconds since 1970: 2026-03-02 08:15:00 UTC
OUTLOOK = r"C:\Program Files\Microsoft Office\root\Office16\OUTLOOK.EXE"
POWERSHELL = r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe"

Seconds = int | float | str | Decimal
Row = dict[str, Any]
_numbers = itertools.count(1)


def moment(at: Seconds) -> str:
    """So many seconds after T0, as Sysmon writes a UtcTime but with nine decimals."""
    whole, fraction = divmod(Decimal(str(at)), 1)
    second = datetime.fromtimestamp(T0 + int(whole), UTC)
    return f"{second:%Y-%m-%d %H:%M:%S}.{int(fraction * 1_000_000_000):09d}"


def guid(number: int, at: Seconds = 0) -> str:
    """A ProcessGuid with the start's second in its second and third group, as Sysmon's have it."""
    second = T0 + int(Decimal(str(at)) // 1)
    return f"{{B2796A13-{second & 0xFFFF:04X}-{second >> 16:04X}-0000-{number:012X}}}"


def event(event_id: int, at: Seconds = 0, *, channel: str = SYSMON, host: str = "WS01", **columns: Any) -> Row:
    """One event as text, the way a parser gets it; columns of `hunt.schema` and fields of the event by name."""
    number = next(_numbers)
    row = {
        "host": host,
        "channel": channel,
        "provider": "Microsoft-Windows-Sysmon" if channel == SYSMON else channel,
        "event_id": str(event_id),
        "record_id": str(number),
        "record_number": str(number),
        "logged": moment(at),
        "source": "sysmon.evtx",
        "offset": str(4608 + 1024 * number),
    }
    return row | columns


def start(image: str, at: Seconds = 0, *, parent: Row | None = None, **columns: Any) -> Row:
    """A process start (Sysmon 1), `at` seconds after T0; its Parent* fields tell of `parent`."""
    own = {
        "UtcTime": moment(at),
        "ProcessGuid": guid(next(_numbers), at),
        "ProcessId": "4711",
        "Image": image,
        "CommandLine": f'"{image}"',
        "User": r"CONTOSO\alice",
        "LogonId": "0x53ca2",
        "ParentProcessGuid": guid(1, -3600),
        "ParentProcessId": "3120",
        "ParentImage": r"C:\Windows\explorer.exe",
        "ParentCommandLine": r"C:\Windows\Explorer.EXE",
    }
    if parent:
        own |= {
            "ParentProcessGuid": parent["ProcessGuid"],
            "ParentProcessId": parent["ProcessId"],
            "ParentImage": parent["Image"],
            "ParentCommandLine": parent["CommandLine"],
        }
    return event(1, at, **(own | columns))


def batch(*rows: Row) -> Batch:
    """Events as a parser would deliver them at once."""
    by_kind: dict[EventType, list[Row]] = {}
    for row in rows:
        by_kind.setdefault(EventType(row["channel"], int(row["event_id"])), []).append(row)
    frames = {kind: schema.conform(texts(met), kind.event_id) for kind, met in by_kind.items()}
    return Batch(frames, schema.census(frames.values()))


def texts(rows: Iterable[Row]) -> pl.DataFrame:
    """Rows as columns of text, lists as lists of text."""
    met = list(rows)
    names = dict.fromkeys(name for row in met for name in row)
    types = {
        name: schema.TEXTS if any(isinstance(row.get(name), list) for row in met) else pl.String() for name in names
    }
    return pl.DataFrame({name: [row.get(name) for row in met] for name in names}, schema=types)


def case(*rows: Row, window_s: float | None = None) -> Events:
    """A case of these events, all read at once, with what our queries need."""
    needs = [need for query in queries() for need in query.hunt.wanted]
    events = Events(needs, Settings(window_s=window_s))
    if rows:
        events.add(batch(*rows))
    return events


def evidence(path: Path, source: str | None = None) -> Evidence:
    """A file as evidence."""
    content = path.read_bytes()
    return Evidence(path, source or path.name, len(content), hashlib.sha256(content).hexdigest())


Frames = dict[EventType, pl.DataFrame]


@dataclass(frozen=True, slots=True)
class Result:
    """Everything that a parser gave for some files."""

    frames: Frames
    problems: list[Problem]
    census: pl.DataFrame
    progress: list[Progress]

    @property
    def records(self) -> int:
        """How many were read, wanted or not."""
        return int(self.census["records"].sum())

    @property
    def numbers(self) -> list[int]:
        """The record numbers of all rows, sorted."""
        return sorted(number for frame in self.frames.values() for number in frame["record_number"])

    @property
    def lost(self) -> list[int | None]:
        """The records that were found and not read."""
        return [problem.record_id for problem in self.problems if problem.kind == "record"]


def gather(parser: Parser, files: Sequence[Evidence], reading: Reading | None = None) -> Result:
    """All that a parser gives for these files, frames of one event type together."""
    frames: dict[EventType, list[pl.DataFrame]] = {}
    censuses, problems, progress = [pl.DataFrame(schema=schema.CENSUS)], [], []
    for part in parser.read(files, reading or Reading()):
        if isinstance(part, Batch):
            censuses.append(part.census)
            for kind, frame in part.frames.items():
                frames.setdefault(kind, []).append(frame)
        elif isinstance(part, Problem):
            problems.append(part)
        else:
            progress.append(part)
    joined = {kind: pl.concat(parts, how="diagonal") for kind, parts in frames.items()}
    return Result(joined, problems, pl.concat(censuses), progress)


def gather_bytes(parser: Parser, folder: Path, content: bytes, reading: Reading | None = None) -> Result:
    """What a parser gives for a log of this content."""
    path = folder / "log.evtx"
    path.write_bytes(content)
    return gather(parser, [evidence(path)], reading)


def read(parser: Parser, path: Path, source: str | None = None) -> tuple[Frames, list[Problem]]:
    """(frames, problems) of one file."""
    found = gather(parser, [evidence(path, source)])
    return found.frames, found.problems


def count(frames: Mapping[EventType, pl.DataFrame]) -> int:
    """Records in all frames."""
    return sum(frame.height for frame in frames.values())


def differences(ours: Frames, theirs: Frames) -> list[str]:
    """What is not the same in two parsers' frames; empty if all is: types, columns, rows and their order, values.

    The order of columns may differ: it is that of their first appearance, and what is null in one record appears later.
    """
    found = [f"{kind}: only one has it" for kind in sorted(ours.keys() ^ theirs.keys())]
    for kind in sorted(ours.keys() & theirs.keys()):
        found += [f"{kind}: {text}" for text in frame_differences(ours[kind], theirs[kind])]
    return found


def frame_differences(one: pl.DataFrame, other: pl.DataFrame) -> list[str]:
    """What is not the same in two frames."""
    if dict(one.schema) != dict(other.schema):
        return [f"columns {sorted(set(one.schema.items()) ^ set(other.schema.items()), key=str)}"]
    if one.height != other.height:
        return [f"{one.height} rows and {other.height}"]
    return [
        f"{name}: {[(a, b) for a, b in zip(one[name].to_list(), other[name].to_list(), strict=True) if a != b][:2]}"
        for name in one.columns
        if not one[name].equals(other[name], check_dtypes=True, null_equal=True)
    ]


def quickly(arguments: Sequence[object], every: bool = False) -> list[str]:
    """A command line as text; a `run` that names no query takes the flagship alone, a third of the work, or `every`."""
    given = [str(argument) for argument in arguments]
    return given if every or given[:1] != ["run"] or "-q" in given else [*given, "-q", "outlook-script-host"]
