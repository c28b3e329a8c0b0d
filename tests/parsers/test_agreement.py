"""The columnar parser gives what the reference parser gives: columns, types, values, order, problems."""

from __future__ import annotations

import multiprocessing
import os
import zlib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from parsers import records
from parsers.evtx import PARSER
from parsers.evtx_reference import KNOWN_FAULT, REFERENCE
from tests.helpers import ROOT, Result, evidence, gather
from tests.parsers.agreement import disagreements

_KNOWN_FAULTS = {"MSExchange_Management_wec.evtx": 1, "issue_201.evtx": 1}
SAMPLES = sorted((ROOT / "samples").rglob("*.evtx"))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_a_sample_gives_the_same_frames_as_the_reference(path: Path) -> None:
    files = [evidence(path)]
    assert disagreements(gather(PARSER, files), gather(REFERENCE, files)) == []


def test_samples_at_once_give_the_same_frames_as_the_reference() -> None:
    files = [evidence(path) for path in SAMPLES[::3]]
    assert disagreements(gather(PARSER, files), gather(REFERENCE, files)) == []


def _reference(path: Path) -> Result:
    return gather(REFERENCE, [evidence(path)])


@pytest.fixture(scope="session")
def by_the_reference(real_evidence: Path) -> dict[Path, Result]:
    """What the reference parser makes of a sixth of the real logs, it is slow: once, and on all processors.

    `hunt verify` compares all of them.
    """
    logs = [path for path in sorted(real_evidence.rglob("*.evtx")) if records.accepts(path.read_bytes()[:8192])]
    logs = [path for path in logs if zlib.crc32(path.name.encode()) % 6 == 0 or path.name in _KNOWN_FAULTS]
    logs.sort(key=lambda path: -path.stat().st_size)
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        return dict(zip(logs, pool.map(_reference, logs), strict=True))


def test_real_logs_give_the_same_frames_as_the_reference(by_the_reference: dict[Path, Result]) -> None:
    different = {
        path.name: found
        for path, theirs in by_the_reference.items()
        if (found := disagreements(gather(PARSER, [evidence(path)]), theirs))
    }
    assert different == {}


def test_what_the_reference_does_not_read_is_all_known(by_the_reference: dict[Path, Result]) -> None:
    faults = {
        path.name: len(known)
        for path, theirs in by_the_reference.items()
        if (known := [problem for problem in theirs.problems if KNOWN_FAULT in problem.reason])
    }
    assert faults == _KNOWN_FAULTS
