"""What a case costs and what it gains: ingest, its size, and one more rule over it, against the logs themselves.

    python -m tests.bench.case FOLDER [--size 2048] [--distinct 512] [--runs 3]

Makes two logs in FOLDER (kept, as the cases are, for the next time): `dense.evtx`, real chunks repeated, whose records
are copies of each other; and `distinct.evtx`, the same with record ids of their own, so that no two events are alike.
Whole processes are timed from outside; in-process, what `pipeline.run` takes once everything is imported. Log and case
take turns; medians.
"""

from __future__ import annotations

import argparse
import runpy
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any

import polars as pl

from hunt.model import Batch, Evidence, Reading
from parsers.evtx import PARSER

SCRIPT = Path(__file__).resolve().parents[2].parent / "shared" / "bench" / "dense_archive.py"
RULE = 'process where event.type == "start" and process.name : "powershell.exe" and process.command_line : "*-enc *"\n'
CHUNK, HEADER = 65536, 4096

_ONCE = """
import sys, time
from pathlib import Path
from hunt import pipeline
of, rule, warm = sys.argv[1:]
ask = lambda of: pipeline.run(pipeline.Request([Path(of)], [rule], jobs=2))
ask(warm)
began = time.perf_counter()
found = ask(of).findings.height
print(time.perf_counter() - began, found)
"""


def dense(path: Path, mebibytes: int) -> None:
    """A log of real chunks, repeated."""
    subprocess.run([sys.executable, SCRIPT, path, str(mebibytes)], check=True)


def distinct(path: Path, mebibytes: int) -> None:
    """The same, each record with an EventRecordID of its own."""
    made: dict[str, Any] = runpy.run_path(str(SCRIPT))
    chunks = list(made["dense_chunks"](SCRIPT.parent.parent / "evidence"))
    count, number = mebibytes * (1 << 20) // CHUNK, 1
    places = _ids(chunks)
    with path.open("wb") as log:
        log.write(_header(count))
        for at in range(count):
            chunk, records = bytearray(chunks[at % len(chunks)]), places[at % len(chunks)]
            for offset, record in enumerate(records):
                for place in record:
                    struct.pack_into("<Q", chunk, place, number + offset)
            struct.pack_into("<4Q", chunk, 8, *(number, number + len(records) - 1) * 2)
            number += len(records)
            (free,) = struct.unpack_from("<I", chunk, 48)
            struct.pack_into("<I", chunk, 52, zlib.crc32(chunk[512:free]))
            struct.pack_into("<I", chunk, 124, zlib.crc32(chunk[128:512], zlib.crc32(chunk[:120])))
            log.write(chunk)


def _ids(chunks: list[bytes]) -> list[list[list[int]]]:
    """Where each record of each chunk has its number and its EventRecordID, which is another one in many logs."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "once.evtx"
        path.write_bytes(_header(len(chunks)) + b"".join(chunks))
        item = Evidence(path, path.name, path.stat().st_size, "")
        batches = [part for part in PARSER.read([item], Reading()) if isinstance(part, Batch)]
    rows = [f.select("offset", "record_id") for batch in batches for f in batch.frames.values()]
    found: list[list[list[int]]] = [[] for _ in chunks]
    for offset, record_id in pl.concat(rows).sort("offset").iter_rows():
        number, at = divmod(offset - HEADER, CHUNK)
        (size,) = struct.unpack_from("<I", chunks[number], at + 4)
        value = chunks[number].find(struct.pack("<Q", record_id), at + 24, at + size)
        found[number].append([at + 8, *([value] if value > 0 else [])])
    return found


def _header(count: int) -> bytes:
    head = bytearray(HEADER)
    head[:8] = b"ElfFile\0"
    struct.pack_into("<QQQIHHHH", head, 8, 0, count - 1, count * 50, 128, 1, 3, HEADER, min(count, 65535))
    struct.pack_into("<I", head, 124, zlib.crc32(bytes(head[:120])))
    return bytes(head)


def seconds(*command: object) -> float:
    began = time.perf_counter()
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3):  # 3: the header of a log this large can't count its chunks
        sys.exit(f"{command}: {done.stderr}")
    return time.perf_counter() - began


def in_process(of: Path, rule: Path, warm: Path) -> float:
    told = subprocess.run([sys.executable, "-c", _ONCE, of, rule, warm], capture_output=True, text=True, check=True)
    return float(told.stdout.split()[0])


def measure(log: Path, rule: Path, warm: Path, runs: int) -> None:
    hunt = Path(sys.executable).with_name("hunt")
    case = log.with_suffix(".case")
    size = log.stat().st_size / (1 << 20)
    if not case.exists():
        took = seconds(hunt, "ingest", log, "--case", case, "--quiet")
        print(f"{log.name}: ingest {took:.1f} s, {size / took:.0f} MiB/s")
    held = sum(path.stat().st_size for path in case.rglob("*") if path.is_file()) / (1 << 20)
    print(f"{log.name}: {size:.0f} MiB, the case {held:.1f} MiB: {100 * held / size:.1f} %")
    whole: dict[Path, list[float]] = {log: [], case: []}
    inside: dict[Path, list[float]] = {log: [], case: []}
    for _ in range(runs):
        for of in (log, case):
            whole[of].append(seconds(hunt, "run", of, "-q", rule, "--quiet"))
            inside[of].append(in_process(of, rule, warm))
    for name, told in (("whole process", whole), ("in-process", inside)):
        one, other = (statistics.median(told[of]) for of in (log, case))
        print(f"{log.name}: one rule, {name}: {one:.2f} s, from the case {other:.2f} s: {one / other:.1f} times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=2048, help="MiB of dense.evtx")
    parser.add_argument("--distinct", type=int, default=512, help="MiB of distinct.evtx")
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    rule, warm = asked.folder / "rule.eql", asked.folder / "warm.evtx"
    rule.write_text(RULE)
    for path, make, size in (
        (warm, dense, 1),
        (asked.folder / "dense.evtx", dense, asked.size),
        (asked.folder / "distinct.evtx", distinct, asked.distinct),
    ):
        if not path.exists():
            make(path, size)
        if path != warm:
            measure(path, rule, warm, asked.runs)


if __name__ == "__main__":
    main()
