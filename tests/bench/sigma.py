"""How fast a set of Sigma rules runs over frames that are built, and how much memory that takes.

    python -m tests.bench.sigma make FOLDER [--events 1000000] [EVIDENCE]   events out of real ones, as frames
    python -m tests.bench.sigma run FOLDER RULES

`make` repeats the events of the evidence, each time on other hosts, at other times and with other process ids; columns
that hardly repeat themselves in the evidence do not in the copies either: command lines, paths and scripts get a token.
`run` loads the frames, then evaluates all rules at once and says how long that took; decoding is no part of it.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import polars as pl

from hunt import memory, schema
from hunt.events import Events
from hunt.model import EventType, Opening, Reading
from hunt.reading import collect, read
from hunt.rules.load import load

_EVIDENCE = Path("../shared/evidence")
_KINDS = "kinds.json"


class Frames(Events):
    """A case of frames that were built."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        named = json.loads((folder / _KINDS).read_text(encoding="utf-8"))
        self._kinds = tuple(EventType(*kind) for kind in named)
        self._frames = {kind.key: pl.read_ipc(folder / f"{n}.ipc") for n, kind in enumerate(self._kinds)}

    def types(self) -> tuple[EventType, ...]:
        return self._kinds

    def frame(self, channel: str, event_id: int) -> pl.LazyFrame:
        return self._frames[EventType(channel, event_id).key].lazy()

    @property
    def height(self) -> int:
        return sum(frame.height for frame in self._frames.values())


def make(folder: Path, events: int, evidence: Path) -> None:
    """Write frames of so many events, in the proportions of the evidence."""
    case = Events()
    with collect([evidence], Opening(), None, hashed=False) as collected:
        read(collected, Reading(), case.add)
    there = sum(case.frame(*kind).collect().height for kind in case.types())
    folder.mkdir(parents=True, exist_ok=True)
    for number, kind in enumerate(case.types()):
        frame = case.frame(*kind).collect()
        height = max(1, frame.height * events // there)
        repeated = frame[np.arange(height) % frame.height]
        _varied(frame, repeated).write_ipc(folder / f"{number}.ipc")
    (folder / _KINDS).write_text(json.dumps([list(kind) for kind in case.types()]), encoding="utf-8")


def _varied(once: pl.DataFrame, repeated: pl.DataFrame) -> pl.DataFrame:
    """Copies that differ as events of one kind do."""
    copy = pl.Series(np.arange(repeated.height) // max(once.height, 1))
    frame = repeated.with_columns(copy.alias("_copy"))
    token = pl.col("_copy").cast(pl.String)
    changed = [
        (pl.col("host") + "-" + (pl.col("_copy") % 50).cast(pl.String)).alias("host"),
        (pl.col("time") + pl.duration(seconds=pl.col("_copy") * 61)).alias("time"),
        pl.int_range(pl.len(), dtype=pl.UInt64).alias("record_id"),
    ]
    for name, dtype in once.schema.items():
        if name in schema.CORE or dtype != pl.String or once[name].n_unique() < max(3, 0.3 * once.height):
            continue
        varied = pl.col(name) + " " + token
        if name.endswith("Guid"):
            varied = pl.col(name).str.head(-5) + token.str.zfill(4).str.tail(4) + "}"
        elif once[name].str.contains(r"^[A-Z]{1,4}:?\\").mean() > 0.5:
            varied = pl.col(name).str.replace(r"\\([^\\]*)$", pl.concat_str(pl.lit("\\k"), token, pl.lit("\\${1}")))
        changed.append(pl.when(pl.col("_copy") > 0).then(varied).otherwise(name).alias(name))
    return frame.with_columns(changed).drop("_copy")


def run(folder: Path, rules: Path) -> None:
    """Print what loading and evaluating took, and the peak of memory."""
    clock = time.perf_counter()
    found = load([rules])
    hunts = [rule.hunt for rule in found.rules if rule.hunt]
    print(f"{len(found.rules)} rules, {len(hunts)} of them run, loaded in {time.perf_counter() - clock:.2f} s")
    case = Frames(folder)
    _forget_peak()
    frames = memory.own() / (1 << 30)
    wall, cpu = time.perf_counter(), time.process_time()
    findings = sum(hunt.find(case).collect().height for hunt in hunts)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{case.height:,} events, {findings:,} findings: {wall:.2f} s, {cpu:.2f} s of processors")
    print(f"{case.height / wall:,.0f} events/s; frames {frames:.2f} GiB, peak with them {_peak():.2f} GiB")


def _forget_peak() -> None:
    """Reading the frames took more than they take: proc(5), clear_refs."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / (1 << 20)  # kB -> GiB


def main() -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make")
    making.add_argument("folder", type=Path)
    making.add_argument("evidence", type=Path, nargs="?", default=_EVIDENCE)
    making.add_argument("--events", type=int, default=1_000_000)
    running = commands.add_parser("run")
    running.add_argument("folder", type=Path)
    running.add_argument("rules", type=Path)
    given = parser.parse_args()
    if given.command == "make":
        make(given.folder, given.events, given.evidence)
    else:
        run(given.folder, given.rules)


if __name__ == "__main__":
    main()
