"""The folder of results that `-o OUT` asks for: CSV files, then manifest.json, which names their hashes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

import polars as pl

from hunt.model import Problem, QueryResult, Report
from hunt.output._manifest import manifest
from hunt.output._rows import flat, frames, problem_table, query_table, rows
from hunt.output.csv import encode

_OTHERS = ("lineage.csv", "candidates.csv")  # of another command, about other evidence


def write_folder(report: Report, folder: Path, started: datetime) -> None:
    """All CSV files of a run and manifest.json; earlier ones are replaced. Raises OSError.

    A folder without manifest.json is one that was not finished.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for foreign in ("manifest.json", *_OTHERS):
        (folder / foreign).unlink(missing_ok=True)
    if report.story is None:  # the run was interrupted: stories of another one would not be its own
        (folder / "story.csv").unlink(missing_ok=True)
    written = {}
    for name, frame in frames(report).items():
        path = folder / f"{name}.csv"
        _replace(path, _encoded(frame, raw=report.options.get("csv") == "raw"))
        with path.open("rb") as file:
            written[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    told = manifest(report, started, written)
    _replace(folder / "manifest.json", [(json.dumps(told, indent=2) + "\n").encode()])


def write_problems(problems: Iterable[Problem], folder: Path) -> None:
    """problems.csv alone, for commands that have no other results in tables. Raises OSError."""
    _replace(folder / "problems.csv", [encode(problem_table(problems))])


def write_coverage(facts: pl.DataFrame, folder: Path, raw: bool = False) -> None:
    """coverage.csv alone, for the command that finds nothing else. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / "coverage.csv", [encode(flat(facts), raw=raw)])


def write_evaluated(queries: Iterable[QueryResult], folder: Path) -> None:
    """queries.csv of queries that nobody has run: without a number of findings. Raises OSError."""
    _replace(folder / "queries.csv", [encode(query_table(queries).with_columns(findings=None))])


def write_lineage(lineage: pl.DataFrame, candidates: pl.DataFrame, folder: Path, raw: bool = False) -> None:
    """lineage.csv and candidates.csv. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / "lineage.csv", [encode(flat(lineage), raw=raw)])
    _replace(folder / "candidates.csv", [encode(flat(candidates), raw=raw)])


_AT_ONCE = 20_000  # rows: as text they take many times the memory


def _encoded(frame: pl.DataFrame, raw: bool) -> Iterator[bytes]:
    yield encode(rows(frame.clear()), raw)
    for part in frame.iter_slices(_AT_ONCE):
        yield encode(rows(part), raw, header=False)


def _replace(path: Path, contents: Iterable[bytes]) -> None:
    """Write a file so that it is either the old or the new one, whole."""
    partial = path.with_name(path.name + ".part")
    try:
        with partial.open("wb") as file:
            for content in contents:
                file.write(content)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
