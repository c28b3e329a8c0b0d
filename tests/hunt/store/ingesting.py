"""What tests of ingests share: small evidence, whole trees, and processes that die at a given step."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import polars as pl

from hunt import registry
from hunt.model import Batch, Reading
from hunt.store import folders, layout, lots, manifests
from hunt.store.ingest import Asked, Ingested, ingest
from parsers.evtx import PARSER
from samples.evtx_writer import sysmon_event, sysmon_process, write_log
from tests.helpers import OUTLOOK, evidence

# Once, for all processes that are forked from one that has this module.
registry.parsers()
registry.containers()

TIME = "2026-03-02 08:15:00"
SMALL = 150_000  # bytes of a lot: two of the logs written here


def logs(folder: Path, hosts: str = "ABCD") -> Path:
    """A log each of some hosts, a copy of the first, an archive of another, a file of no format that is known."""
    folder.mkdir(parents=True)
    for number, host in enumerate(hosts):
        write_log(
            folder / f"{host}.evtx",
            [
                sysmon_process(Image=OUTLOOK, time=TIME, host=f"WS-{host}", CommandLine=f"{host}{n}") for n in range(3)
            ] + [sysmon_event(5, time=TIME, host=f"ws-{host.lower()}", record_id=10 + number)],
        )  # fmt: skip
    shutil.copy(folder / f"{hosts[0]}.evtx", folder / "copy.evtx")
    (folder / "notes.txt").write_text("nothing")
    inner = write_log(folder / "inner.evtx", [sysmon_process(Image=OUTLOOK, time=TIME, host="WS-Z")])
    with zipfile.ZipFile(folder / "triage.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo("logs/inner.evtx"), inner.read_bytes())
    inner.unlink()
    return folder


def take(case: Path | str, *evidence: Path, **asked: Any) -> Ingested:
    return ingest(Asked(evidence, str(case), **asked))


def tree(case: Path) -> dict[str, bytes]:
    """Every file of a folder and what it holds; folders that hold none as well."""
    return {path.relative_to(case).as_posix(): path.read_bytes() if path.is_file() else b"" for path in case.rglob("*")}


def load(case: Path | str) -> layout.Case:
    return manifests.load(folders.folder(str(case)))


def rows(case: Path) -> pl.DataFrame:
    """All rows of a case's files, as few columns as all have."""
    files = [file for lot in load(case).lots for file in lot.files]
    few = [pl.read_parquet(case / file.path, hive_partitioning=False) for file in files]
    columns = ("host", "channel", "event_id", "record_id", "time", "source", "offset", "recovered", "sources")
    return pl.concat(frame.select(columns) for frame in few)


def records(case: Path) -> list[tuple[Any, ...]]:
    """Every record that a case tells of: what it is, and where it stands."""
    told = rows(case)
    own = pl.concat_list(pl.struct(path="source", offset="offset"))
    each = told.with_columns(pl.coalesce("sources", own)).drop("source", "offset").explode("sources").unnest("sources")
    return sorted(each.select("path", "offset", "host", "channel", "event_id", "record_id", "time").rows(), key=repr)


def read(*paths: Path) -> list[tuple[Any, ...]]:
    """The same of logs, as their parser reads them."""
    batches = [p for p in PARSER.read([evidence(path) for path in paths], Reading()) if isinstance(p, Batch)]
    frames = [frame for batch in batches for frame in batch.frames.values()]
    columns = ("source", "offset", "host", "channel", "event_id", "record_id", "time")
    return sorted((row for frame in frames for row in frame.select(columns).rows()), key=repr)


# In a process of its own.


def until(step: int | None, case: Path, evidence: Path, counted: Path) -> None:
    """Ingest; be killed at the step-th thing that is done to files of the case. Steps done are counted in a file."""
    lots.LOT = SMALL
    tempfile.tempdir = str(counted.parent)  # what a killed process leaves there goes with the test's folder
    done = 0

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal done
        changes = event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate") or (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        )
        if changes and str(case) in str(arguments[0]):
            done += 1
            if done == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hear)
    take(case, evidence, jobs=2)
    counted.write_text(str(done))
