"""What a second worker gains, and what this machine has to give at most.

    python -m tests.bench.cluster FOLDER [--size 512] [--hosts 200] [--runs 3] [--query outlook-script-host]

Makes a log in FOLDER (kept for the next time): an archive of many hosts, no two of its records alike. The same run is
timed with no cluster, with `local:1` and with `local:2`, in turn; workers are started, and have read another log (128
MiB), before. The machine's ceiling is told by processes that know nothing of each other: one that decodes the log
alone, against two that do so at the same time. Medians. Where other things run at the same time, seconds of processors
(of all processes of a run) say more than those of a clock: if two workers take no more of them than one, nothing is
lost by dividing the work.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from pathlib import Path

import psutil

from hunt.cluster import connect
from hunt.cluster.connect import connected
from hunt.pipeline import Request, run
from hunt.watcher import Watcher
from tests.bench.memory import archive

_ALONE = """
import sys, time
from pathlib import Path
from hunt.model import Evidence, Reading, Wants
from parsers.evtx import PARSER
path = Path(sys.argv[1])
item = Evidence(path, path.name, path.stat().st_size, "")
wants = Wants({("microsoft-windows-sysmon/operational", 1): frozenset({"Image", "CommandLine", "ParentImage"})})
input()
began = time.perf_counter()
for _ in PARSER.read([item], Reading(wants)):
    pass
print(time.perf_counter() - began)
"""


class Steps(Watcher):
    """Seconds of each step."""

    def __init__(self) -> None:
        self.took: dict[str, float] = {}

    def timing(self, step: str, seconds: float) -> None:
        self.took[step] = self.took.get(step, 0.0) + seconds


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("folder", type=Path)
    asked.add_argument("--size", type=int, default=512, help="MiB")
    asked.add_argument("--hosts", type=int, default=200)
    asked.add_argument("--runs", type=int, default=3)
    asked.add_argument("--query", default="outlook-script-host")
    given = asked.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    log, warm = given.folder / f"archive-{given.size}-{given.hosts}.evtx", given.folder / "archive-warm.evtx"
    if not log.exists():
        archive(log, given.size, given.hosts)
    if not warm.exists():
        archive(warm, 128, given.hosts)
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    ceiling([log] * 2, given.runs)
    workers(log, warm, given.query, given.runs)


def ceiling(logs: list[Path], runs: int) -> None:
    one, two = ([statistics.median(together(logs[:number])) for _ in range(runs)] for number in (1, 2))
    a, b = statistics.median(one), statistics.median(two)
    print(f"decoding alone: {a:.2f} s; two processes at the same time: {b:.2f} s each: {2 * a / b:.2f} times as much")


def together(logs: list[Path]) -> list[float]:
    """Seconds that each of some processes takes to decode its log, all begun at once."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _ALONE, str(log)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "POLARS_MAX_THREADS": "1"},
        )
        for log in logs
    ]  # fmt: skip
    time.sleep(5)  # by now they have imported all they need
    for process in started:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    return [float(process.communicate()[0]) for process in started]


def workers(log: Path, warm: Path, query: str, runs: int) -> None:
    times: dict[str, list[dict[str, float]]] = {"no cluster": [], "local:1": [], "local:2": []}
    usual = connect.connected
    for _ in range(runs):
        for where, taken in times.items():
            with ExitStack() as stack:
                if where != "no cluster":
                    there = stack.enter_context(connected(where, 8 << 30))
                    connect.connected = lambda *rest, there=there: nullcontext(there)  # type: ignore[assignment,misc]
                one(warm, query, where)
                taken.append(one(log, query, where))
            connect.connected = usual
    size = log.stat().st_size / (1 << 20)
    print("| | reading | queries | both | MiB/s read | processors |")
    print("|---|---|---|---|---|---|")
    for where, taken in times.items():
        read, found = (statistics.median(told[step] for told in taken) for step in ("read", "findings"))
        used = statistics.median(told["used"] for told in taken)
        print(f"| {where} | {read:.2f} s | {found:.2f} s | {read + found:.2f} s | {size / read:.0f} | {used:.2f} s |")

    def median(where: str, step: Callable[[dict[str, float]], float]) -> float:
        return statistics.median(step(told) for told in times[where])

    for name, step in (("reading", lambda told: told["read"]), ("both", lambda told: told["read"] + told["findings"])):
        print(f"2 workers against 1, {name}: {median('local:1', step) / median('local:2', step):.2f} times")


def one(log: Path, query: str, where: str) -> dict[str, float]:
    steps, before = Steps(), processors()
    run(Request([log], [query], cluster=None if where == "no cluster" else where), steps)
    hunted = sum(seconds for step, seconds in steps.took.items() if step == "findings" or step.startswith("query "))
    return {**steps.took, "findings": hunted, "used": processors() - before}


def processors() -> float:
    """Seconds that this process and all that it has started have used."""
    here = psutil.Process()
    return sum(sum(process.cpu_times()[:2]) for process in (here, *here.children(recursive=True)))


if __name__ == "__main__":
    main()
