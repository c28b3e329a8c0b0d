"""How many threads Polars has changes nothing: the suite's processes have one each, analysts' machines many."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_a_run_writes_the_same_bytes_with_one_thread_and_with_many(tmp_path: Path, samples: Path) -> None:
    results = {}
    for threads in (1, 5):
        out = tmp_path / str(threads)
        arguments = ["run", str(samples / "logs"), "-o", str(out), "--quiet", "--jobs", "3"]
        environment = os.environ | {"POLARS_MAX_THREADS": str(threads)}
        subprocess.run([sys.executable, "-m", "hunt.cli", *arguments], env=environment, capture_output=True)
        results[threads] = {f.name: f.read_bytes() for f in out.iterdir() if f.name != "manifest.json"}
    assert results[1]["findings.csv"].count(b"\n") > 100
    assert results[1] == results[5]
