"""A run that has less memory than its evidence takes: does it come to its end, and how much does it take?

`python -m tests.bench.memory [--size MiB] [--hosts N] [--memory SIZE] [--work FOLDER] [--log FILE]`: writes an archive
without copies (each chunk another host, other records, other processes, another minute), or takes a log that is there,
and hunts in it once with `--memory` and, with `--compare`, once without. Memory is that of all processes together:
what each holds for itself and its share of what they share (PSS), looked at every tenth of a second. Linux alone.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import re
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil

from samples.chunk import CHUNK_HEADER_SIZE, CHUNK_SIZE, FILE_HEADER_SIZE
from samples.evtx_writer import Event, log_bytes, sysmon_event, sysmon_process
from samples.values import to_filetime

_HOST = "WS-0000000.contoso.example"
_MINUTE = "2026-03-02 08:15"
_IDS = 0x51D0_0000_0000_0000
_MACHINE = "5AFEC0DE"  # the first group of all GUIDs
_APPS = "C:\\Program Files\\Vendor\\app{}.exe"


def archive(path: Path, mebibytes: int, hosts: int) -> Path:
    """Write a log of so many MiB in which no two records are alike."""
    chunk = np.frombuffer(log_bytes(list(_events())), np.uint8)[FILE_HEADER_SIZE:][:CHUNK_SIZE]
    patch = _Patch(chunk)
    count = mebibytes * (1 << 20) // CHUNK_SIZE
    with path.open("wb") as log:
        log.write(_header(count))
        for number in range(count):
            log.write(patch.of(number, number % hosts, number // hosts))
    return path


def _events() -> Iterator[Event]:
    """More than a chunk holds, of a machine that works."""
    for n in range(100):
        own = f"{{{_MACHINE}-5208-69A5-{n:04X}-000000000102}}"
        parent = f"{{{_MACHINE}-5208-69A5-{n // 3:04X}-000000000102}}"
        at = f"{_MINUTE}:{n % 60:02d}.{n:03d}"
        given = {"time": at, "host": _HOST, "record_id": _IDS + n, "ProcessGuid": own, "ProcessId": 4000 + 4 * n}
        image = _APPS.format(n % 17)
        if n % 4 == 0:
            line = f'"{image}" --session={n * 7919:x} --profile "C:\\Users\\alice\\AppData\\Local\\Vendor\\{n % 5}"'
            yield sysmon_process(Image=image, CommandLine=line, ParentProcessGuid=parent, ParentImage=_APPS.format(3),
                                 LogonGuid=own, **given)  # fmt: skip
        elif n % 4 == 1:
            yield sysmon_event(5, Image=image, **given)
        elif n % 4 == 2:
            file = f"C:\\Users\\alice\\AppData\\Local\\Temp\\{n * 104729:x}.tmp"
            yield sysmon_event(11, Image=image, TargetFilename=file, CreationUtcTime=at, **given)
        else:
            yield sysmon_event(3, Image=image, DestinationIp=f"10.0.{n}.7", DestinationPort=443, **given)


class _Patch:
    """Where in a chunk stands what each copy of it has for itself."""

    def __init__(self, chunk: npt.NDArray[np.uint8]) -> None:
        self.chunk, content = chunk.copy(), chunk.tobytes()
        self.free = struct.unpack_from("<I", content, 48)[0]
        self.hosts = self._find(content, _HOST.encode("utf-16-le"))
        self.minutes = self._find(content, _MINUTE.encode("utf-16-le"))
        self.machines = self._find(content, struct.pack("<I", int(_MACHINE, 16)))
        ids = {n: self._find(content, struct.pack("<Q", _IDS + n)) for n in range(100)}
        self.ids = np.array([at for places in ids.values() for at in places])
        self.numbers = np.array([n for n, places in ids.items() for _ in places], np.uint64)
        # Times of the records and of TimeCreated: FILETIMEs of that minute, and a little later.
        begin = to_filetime(f"{_MINUTE}:00")
        words = np.lib.stride_tricks.sliding_window_view(chunk, 8)
        values = np.ascontiguousarray(words).view("<u8")[:, 0]
        self.times = np.flatnonzero((values >= begin) & (values < begin + 620_000_000))
        assert self.times.size >= len(self.minutes) > 0

    @staticmethod
    def _find(content: bytes, text: bytes) -> list[int]:
        return [found.start() for found in re.finditer(re.escape(text), content)]

    def of(self, number: int, host: int, turn: int) -> bytes:
        """The chunk as the `turn`-th one of a host."""
        made = self.chunk.copy()
        _write(made, self.hosts, f"WS-{host:07d}".encode("utf-16-le"))
        day, minute = divmod(turn, 1440)
        text = f"2026-03-{day % 28 + 1:02d} {minute // 60:02d}:{minute % 60:02d}"
        _write(made, self.minutes, text.encode("utf-16-le"))
        _write(made, self.machines, struct.pack("<I", number))
        ids = (np.uint64(number * 1000) + self.numbers).astype("<u8")
        made[self.ids[:, None] + np.arange(8)] = ids[:, None].view(np.uint8)
        old = made[self.times[:, None] + np.arange(8)].copy().view("<u8")[:, 0]
        later = np.int64(((day % 28 + 1 - 2) * 1440 + minute - 495) * 600_000_000)
        made[self.times[:, None] + np.arange(8)] = (old.astype("<i8") + later)[:, None].view(np.uint8)
        struct.pack_into("<I", made.data, 52, zlib.crc32(made[CHUNK_HEADER_SIZE : self.free].tobytes()))
        head = made[:120].tobytes() + made[128:CHUNK_HEADER_SIZE].tobytes()
        struct.pack_into("<I", made.data, 124, zlib.crc32(head))
        return made.tobytes()


def _write(made: npt.NDArray[np.uint8], places: Sequence[int], text: bytes) -> None:
    own = np.frombuffer(text, np.uint8)
    made[np.array(places)[:, None] + np.arange(own.size)] = own


def _header(count: int) -> bytes:
    header = bytearray(FILE_HEADER_SIZE)
    struct.pack_into("<8s3Q", header, 0, b"ElfFile", 0, count - 1, count * 100)
    struct.pack_into("<I4H", header, 32, 128, 1, 3, FILE_HEADER_SIZE, min(count, 65535))
    struct.pack_into("<I", header, 124, zlib.crc32(header[:120]))
    return bytes(header)


def measured(command: Sequence[str], folder: Path) -> tuple[float, int, int, str]:
    """(seconds, most bytes of memory, most bytes in the temporary folder, last line) of a run and its processes."""
    began, most, spilled = time.perf_counter(), 0, 0
    environment = {**os.environ, "TMPDIR": str(folder)}
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)
    first = psutil.Process(running.pid)
    while running.poll() is None:
        try:
            most = max(most, sum(_share(process.pid) for process in (first, *first.children(recursive=True))))
        except psutil.NoSuchProcess:
            continue
        spilled = max(spilled, sum(_size(file) for file in folder.rglob("*")))
        time.sleep(0.1)
    assert running.stderr is not None
    said = running.stderr.read().strip().splitlines()
    return time.perf_counter() - began, most, spilled, said[-1] if said else ""


def _share(pid: int) -> int:
    try:
        told = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0
    return int(re.findall(r"^Pss: +(\d+)", told, re.MULTILINE)[0]) << 10


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


_RESULTS = ("findings.csv", "events.csv", "queries.csv", "coverage.csv", "story.csv")


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--size", type=int, default=4096, help="MiB of the archive")
    asked.add_argument("--hosts", type=int, default=500)
    asked.add_argument("--memory", default="1G")
    asked.add_argument("--work", type=Path, help="folder that logs are kept in")
    asked.add_argument("--log", type=Path, help="hunt in this log")
    asked.add_argument("--compare", action="store_true", help="also without --memory: are the results the same?")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as made:
        work = given.work or Path(made)
        work.mkdir(parents=True, exist_ok=True)
        log = given.log or work / f"busy-{given.size}-{given.hosts}.evtx"
        if not log.exists():
            archive(log, given.size, given.hosts)
        outs = []
        for options in (["--memory", given.memory], *([["--memory", "64G"]] if given.compare else [])):
            out, spill = Path(made) / f"out{len(outs)}", Path(made) / f"tmp{len(outs)}"
            spill.mkdir()
            hunt = [sys.executable, "-m", "hunt.cli", "run", str(log), "--quiet", "-o", str(out), *options]
            took, most, spilled, said = measured(hunt, spill)
            outs.append(out)
            left = len([*spill.iterdir()])
            print(f"{log.name} {' '.join(options)}: {took:.1f} s, {most / (1 << 20):.0f} MiB, "
                  f"{spilled / (1 << 20):.0f} MiB spilled, {left} left; {said[:120]}")  # fmt: skip
        if given.compare:
            same = all(filecmp.cmp(outs[0] / name, outs[1] / name, shallow=False) for name in _RESULTS)
            print("the same results" if same else "OTHER RESULTS")


if __name__ == "__main__":
    main()
