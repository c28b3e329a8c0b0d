"""Benchmarks of the EVTX decoder against the fastest route there was; prints the tables of tests/bench/README.md.

run.py [--quick] [--work FOLDER]: needs the test extra, and the real evidence beside the checkout to make logs from.
Whole processes are timed from outside, in turn (ours, theirs, ours, ...); the median of five counts.
"""

import argparse
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SHARED = ROOT.parent / "shared"
DENSE, PEER = SHARED / "bench" / "dense_archive.py", SHARED / "bench" / "peer_frame.py"
HUNT = [sys.executable, "-m", "hunt.cli"]
OURS = [sys.executable, str(HERE / "ours.py")]
ALL = [sys.executable, str(HERE / "peer_all.py")]


def whole(command: Sequence[str], one_core: bool = False) -> tuple[float, float, str]:
    """(wall seconds, peak MiB of the process, what it printed) of one run."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as printed:
        running = subprocess.Popen(
            command,
            stdout=printed,
            stderr=printed,
            cwd=ROOT,
            env={**os.environ, **({"POLARS_MAX_THREADS": "1", "RAYON_NUM_THREADS": "1"} if one_core else {})},
            preexec_fn=(lambda: os.sched_setaffinity(0, {0})) if one_core else None,
        )
        _, status, used = os.wait4(running.pid, 0)
        took = time.perf_counter() - began
        running.returncode = os.waitstatus_to_exitcode(status)
        printed.seek(0)
        text = printed.read().decode()
        if running.returncode:
            sys.exit(f"{command}: {text}")
    return took, used.ru_maxrss / 1024, text


def seconds(printed: str) -> float:
    """The in-process time that a run printed."""
    return float(re.findall(r"([0-9.]+) s\b", printed)[0])


def pair(
    name: str, ours: Sequence[str], theirs: Sequence[str], runs: int, inside: bool, one_core: bool = False
) -> None:
    """One row: both in turn, medians and their ratio. `inside`: the times that the programs print."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(runs):
        for command, into in zip((ours, theirs), times, strict=True):
            took, _, printed = whole(command, one_core)
            into.append(seconds(printed) if inside else took)
    a, b = (statistics.median(found) for found in times)
    print(f"| {name} | {a:.2f} s | {b:.2f} s | {b / a:.1f} |", flush=True)


def main() -> None:
    """Make the logs, run everything."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="small logs, one run: does it work at all")
    options.add_argument("--work", type=Path, help="where the logs are made; kept")
    given = options.parse_args()
    if not DENSE.exists():
        sys.exit("no real evidence beside the checkout to make logs from")
    work = given.work or Path(tempfile.mkdtemp(prefix="evtx-hunt-bench-"))
    work.mkdir(parents=True, exist_ok=True)
    try:
        bench(work, (8, 16) if given.quick else (64, 256, 1024), 1 if given.quick else 5)
    finally:
        if not given.work:
            shutil.rmtree(work)


def bench(work: Path, sizes: Sequence[int], runs: int) -> None:
    """All tables, on logs of so many MiB."""
    logs = {size: work / f"dense-{size}.evtx" for size in sizes}
    for size, log in logs.items():
        if not log.exists():
            whole([sys.executable, str(DENSE), str(log), str(size)])
    small = work / "small"
    if not small.exists():
        copies = 1 if runs == 1 else 10
        for number in range(copies):
            shutil.copytree(SHARED / "evidence" / "evtx", small / str(number))
    out, folder = str(work / "starts.parquet"), str(work / "all")
    versions = ", ".join(
        f"{name} {metadata.version(name)}" for name in ("polars", "pyarrow", "numpy", "evtx", "orjson")
    )
    print(f"{platform.python_implementation()} {platform.python_version()}, {versions}; {os.cpu_count()} processors\n")
    print("| what | ours | theirs | times faster |\n|---|---|---|---|")
    middle = logs[sizes[-2]]
    for size in sizes[-2:]:
        command = [*HUNT, "frame", str(logs[size]), "-e", "sysmon:1", "-o", out, "--quiet"]
        peer = [sys.executable, str(PEER), str(logs[size]), str(work / "theirs.parquet")]
        pair(f"EID 1 to Parquet, {size} MiB, whole process", command, peer, runs, inside=False)
    peer = [sys.executable, str(PEER), str(middle), str(work / "theirs.parquet")]
    one = [*OURS, str(middle), "--write", out]
    pair(f"the same, {sizes[-2]} MiB, one core, in-process", one, peer, runs, inside=True, one_core=True)
    iterate = [sys.executable, str(PEER), "--iterate", str(middle)]
    jobs = ["--jobs", str(os.cpu_count() or 1)]
    pair(f"EID 1 decoded against records only iterated, {sizes[-2]} MiB, in-process", [*OURS, str(middle), *jobs],
         iterate, runs, inside=True)  # fmt: skip
    every = [*HUNT, "frame", str(middle), "--all", "-o", folder, "--quiet"]
    pair(
        f"every event type to Parquet, {sizes[-2]} MiB, whole process", every, [*ALL, folder, str(middle)], runs, False
    )
    count = len(list(small.rglob("*.evtx")))
    many = [*HUNT, "frame", str(small), "-e", "sysmon:1", "-o", out, "--quiet"]
    pair(f"EID 1 of {count} small logs, whole process", many, [*ALL, folder, str(small), "--one"], runs, inside=False)
    print("\n| EID 1 to Parquet | whole process | per MiB | peak | one core, in-process | per MiB |")
    print("|---|---|---|---|---|---|")
    for size, log in logs.items():
        command = [*HUNT, "frame", str(log), "-e", "sysmon:1", "-o", out, "--quiet"]
        inside = [*OURS, str(log), "--write", out]
        pairs = [(whole(command), seconds(whole(inside, one_core=True)[2])) for _ in range(runs)]
        wall, one = (statistics.median(took) for took in ([w for (w, _, _), _ in pairs], [took for _, took in pairs]))
        peak = pairs[-1][0][1]
        told = f"{wall:.2f} s | {1000 * wall / size:.2f} ms | {peak:.0f} MiB | {one:.2f} s | {1000 * one / size:.2f} ms"
        print(f"| {size} MiB | {told} |", flush=True)
    print("\nWhere the time goes, one process, in-process:\n")
    for more in ([], ["--all"]):
        target = folder if more else out
        print(whole([*OURS, str(middle), *more, "--write", target, "--steps"])[2])


if __name__ == "__main__":
    main()
