"""How fast EQL is: a sequence over millions of events beside the open reference engine, and a folder of rules.

`python -m tests.bench.eql sequence [--events 5000000] [--reference 200000]` and
`python -m tests.bench.eql rules FOLDER [--events 1000000]`. Frames are generated, and built before the clock starts.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import eql
import numpy as np
import polars as pl

from hunt import ecs, schema
from hunt.ecs.sysmon_events import EVENTS
from hunt.eql.engine import evaluate
from hunt.eql.load import load
from hunt.eql.parser import parse
from hunt.eql.plan import compile
from hunt.events import Events
from hunt.model import SYSMON, EventType, Need
from hunt.places import SOURCES
from hunt.rules.model import Loaded

_BEGIN = 1_772_439_300 * 10**9  # 2026-03-02 08:15:00 UTC
_DAY = 86_400 * 10**9
_IMAGES = [f"C:\\Windows\\System32\\tool{n}.exe" for n in range(19)] + ["C:\\Windows\\System32\\rundll32.exe"]

QUERIES = {
    "few": ('process.name : "rundll32.exe" and event.type == "start"', "destination.port == 443"),
    "every event": ('event.type == "start"', "true"),
}
REFERENCE = {"few": ('name == "rundll32.exe"', "port == 443"), "every event": ("true", "true")}


class Generated(Events):
    """A case of frames that no parser gave."""

    def __init__(self, frames: Mapping[EventType, pl.DataFrame], needs: Iterable[Need] = ()) -> None:
        super().__init__(needs)
        self.frames = frames

    def frame(self, channel: str, event_id: int) -> pl.LazyFrame:
        met = self.frames.get(EventType(channel, event_id))
        return super().frame(channel, event_id) if met is None else met.lazy()


def core(event_id: int, at: np.ndarray[tuple[int], np.dtype[np.int64]], records: pl.Series) -> dict[str, pl.Series]:
    count = len(at)

    def same(value: object, dtype: pl.DataType) -> pl.Series:
        return pl.Series([value], dtype=dtype).new_from_index(0, count)

    values = {
        "time": pl.Series(at).cast(schema.TIME),
        "logged": pl.Series(at).cast(schema.TIME),
        "host": same("WS01", pl.String()),
        "channel": same(SYSMON, pl.String()),
        "provider": same("Microsoft-Windows-Sysmon", pl.String()),
        "event_id": same(event_id, pl.UInt32()),
        "record_id": records.cast(pl.UInt64),
        "recovered": same(False, pl.Boolean()),
        "sources": same(None, SOURCES),
    }
    others = {name: same(None, dtype) for name, dtype in {**schema.CORE, **schema.SYSTEM}.items() if name not in values}
    return {**values, **others}


def guids(numbers: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pl.Series:
    padded = pl.Series(numbers).cast(pl.String).str.zfill(12)
    return pl.select(pl.concat_str(pl.lit("{B2796A13-1234-69A5-0000-"), padded, pl.lit("}"))).to_series()


def sequence_case(events: int) -> Generated:
    """A fifth are starts, the others connections of processes that have started; in order of time."""
    rng = np.random.default_rng(7)
    starts = events // 5
    is_start = np.zeros(events, bool)
    is_start[rng.choice(events, starts, replace=False)] = True
    at = np.sort(rng.integers(0, _DAY, events)) + _BEGIN
    born = np.cumsum(is_start)
    process = np.where(is_start, born - 1, np.maximum(born - 1 - rng.integers(0, 200, events), 0))
    records = np.arange(events)
    one, three = np.flatnonzero(is_start), np.flatnonzero(~is_start)
    images = pl.Series(_IMAGES)

    def frame(event_id: int, rows: np.ndarray[tuple[int], np.dtype[np.intp]], **more: pl.Series) -> pl.DataFrame:
        image = images.gather(pl.Series((process[rows] % len(_IMAGES)).astype(np.uint32)))
        own = {"ProcessGuid": guids(process[rows]), "Image": image, **more}
        return pl.DataFrame({**core(event_id, at[rows], pl.Series(records[rows])), **own})

    ports = pl.Series(rng.choice([443, 80, 8080, 53], len(three)).astype(np.uint32))
    frames = {1: frame(1, one), 3: frame(3, three, DestinationPort=ports)}
    return Generated({EventType(SYSMON, event_id): made for event_id, made in frames.items()})


def reference_events(case: Generated, count: int) -> list[eql.Event]:
    """The first so many, as the reference engine takes them: times in units of 100 ns."""
    columns = ("time", "record_id", "ProcessGuid", "Image")
    parts = [
        frame.select(*columns, (pl.col("DestinationPort") if kind.event_id == 3 else pl.lit(0)).alias("port"),
                     pl.lit("process" if kind.event_id == 1 else "network").alias("type"))
        for kind, frame in case.frames.items()
    ]  # fmt: skip
    first = pl.concat(parts, how="vertical_relaxed").sort("time", "record_id").head(count)
    return [
        eql.Event(kind, at // 100, {"key": guid, "name": image.rpartition("\\")[2], "port": port})
        for kind, at, guid, image, port in first.select(
            "type", pl.col("time").to_physical(), "ProcessGuid", "Image", "port"
        ).iter_rows()
    ]


def sequence(events: int, reference: int) -> None:
    case = sequence_case(events)
    others = reference_events(case, reference)
    for name, (first, second) in QUERIES.items():
        query = f"sequence by process.entity_id with maxspan=1m [process where {first}] [network where {second}]"
        plan = compile(parse(query), ecs)  # type: ignore[arg-type]
        took, used, found = [], [], 0
        for _ in range(3):
            begin, busy = time.perf_counter(), time.process_time()
            outcome = evaluate(case, [plan])
            took.append(time.perf_counter() - begin)
            used.append(time.process_time() - busy)
            assert not outcome.errors
            found = outcome.hits.height // 2
        ours = events / min(took)
        asked, also = REFERENCE[name]
        engine = eql.get_engine(f"sequence by key with maxspan=1m [process where {asked}] [network where {also}]")
        begin = time.perf_counter()
        theirs_found = len(list(engine(others)))
        theirs = reference / (time.perf_counter() - begin)
        runs = ", ".join(f"{t:.2f} s" for t in took)
        print(f"{name}: ours {ours / 1e6:.2f} million events/s over {events} ({found} matches), runs: {runs}, "
              f"{min(used):.2f} s of processors; reference {theirs / 1e6:.3f} over {reference} "
              f"({theirs_found} matches); {ours / theirs:.0f} times")  # fmt: skip


# Of a hundred mixed events, roughly as a workstation logs them.
_SHARES = {1: 8, 3: 10, 5: 6, 7: 22, 8: 1, 10: 12, 11: 12, 12: 8, 13: 12, 15: 1, 17: 2, 18: 2, 22: 4}


def mixed_case(events: int, needs: Iterable[Need]) -> Generated:
    """Sysmon events of every type with the columns that are asked for."""
    rng = np.random.default_rng(11)
    columns: dict[int, set[str]] = {}
    for need in needs:
        if need.channel == SYSMON:
            columns.setdefault(need.event_id, set()).update(need.columns)
    frames = {}
    for event_id in EVENTS:
        count = events * _SHARES.get(event_id, 0) // 100 or 50
        at = np.sort(rng.integers(0, _DAY, count)) + _BEGIN
        own = core(event_id, at, pl.Series(np.arange(count)))
        empty = schema.empty(SYSMON, event_id, sorted(columns.get(event_id, set()) - own.keys()))
        made = {name: column(name, dtype, count, rng) for name, dtype in empty.schema.items() if name not in own}
        frames[EventType(SYSMON, event_id)] = pl.DataFrame({**own, **made})
    return Generated(frames)


def column(name: str, dtype: pl.DataType, count: int, rng: np.random.Generator) -> pl.Series:
    """Values as such columns have them: images repeat, command lines and paths do so less."""
    if dtype.is_integer():
        return pl.Series(rng.integers(0, 60_000, count).astype(np.uint32)).cast(dtype)
    if dtype == schema.TIME:
        return pl.Series(rng.integers(0, _DAY, count) + _BEGIN).cast(schema.TIME)
    if dtype != pl.String:
        return pl.Series([None], dtype=dtype).new_from_index(0, count)
    some = rng.zipf(1.3, count) % 400
    number = pl.Series(some).cast(pl.String)
    other = pl.Series(rng.integers(0, max(count // 3, 1), count)).cast(pl.String)

    def text(*parts: str | pl.Series) -> pl.Series:
        return pl.select(pl.concat_str([pl.lit(p) if isinstance(p, str) else p for p in parts])).to_series()

    if name.lower().endswith("guid"):
        return guids(rng.integers(0, max(count // 20, 1), count))
    if "CommandLine" in name:
        return text("C:\\Windows\\System32\\app", number, ".exe -file C:\\Users\\u\\", other, ".txt /quiet -x ", other)
    if name.endswith("Ip"):
        return text("10.", number, ".1.", pl.Series(some % 250).cast(pl.String))
    if name == "QueryName":
        return text("host", other, ".example.com")
    if name == "TargetObject":
        return text("HKLM\\SOFTWARE\\Vendor\\Product", number, "\\Setting", other)
    if name in ("TargetFilename", "PipeName"):
        return text("C:\\Users\\user\\AppData\\Local\\Temp\\file", other, ".tmp")
    if name in ("Image", "ParentImage", "SourceImage", "TargetImage", "ImageLoaded"):
        return text("C:\\Program Files\\Vendor\\app", number, ".exe" if name != "ImageLoaded" else ".dll")
    if name == "Hashes":
        return text("SHA256=", pl.Series(some).cast(pl.String).str.zfill(64))
    return text("value", number)


def rules(folder: Path, events: int) -> None:
    begin = time.perf_counter()
    loaded = [
        part
        for part in load(sorted(folder.rglob("*.toml")) + sorted(folder.rglob("*.eql")))
        if isinstance(part, Loaded)
    ]
    read = time.perf_counter() - begin
    case = mixed_case(events, [need for part in loaded for need in part.hunt.wanted])
    total = sum(frame.height for frame in case.frames.values())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.perf_counter()
    findings = sum(part.hunt.find(case).collect().height for part in loaded)
    took = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{len(loaded)} rules (read in {read:.1f} s) over {total} events: {took:.1f} s, {findings} findings; "
          f"peak {peak / 1024:.0f} MiB, {before / 1024:.0f} MiB of it before")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    kinds = parser.add_subparsers(dest="what", required=True)
    one = kinds.add_parser("sequence")
    one.add_argument("--events", type=int, default=5_000_000)
    one.add_argument("--reference", type=int, default=200_000)
    two = kinds.add_parser("rules")
    two.add_argument("folder", type=Path)
    two.add_argument("--events", type=int, default=1_000_000)
    given = parser.parse_args()
    if given.what == "sequence":
        sequence(given.events, given.reference)
    else:
        rules(given.folder, given.events)


if __name__ == "__main__":
    main()
