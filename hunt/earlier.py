"""The folder of an earlier run, read again: its findings with their own types, and how far they can be trusted.

What `--csv safe` did to cells is undone as far as it can be: the quote before a formula is taken away; hidden
characters stay written out (\\x1b), for a text that held just that looks the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from hunt import findings
from hunt.errors import HuntError
from hunt.model import Severity
from hunt.output import safe
from hunt.output._rows import JSON_COLUMNS, rearmed

_NEEDED = ("finding_id", "query", "title", "severity", "host", "start", "end")  # without them a file is none of ours
_TIME = "%Y-%m-%dT%H:%M:%S%.fZ"
_UNABLE = ("not_evaluable", "unsupported", "invalid")


@dataclass(frozen=True, slots=True)
class Earlier:
    """What a run's folder says of it."""

    folder: Path
    findings: pl.DataFrame  # findings.COLUMNS
    notes: tuple[str, ...]  # what keeps its findings from being the whole truth
    raw: bool  # `--csv raw`
    manifest: Mapping[str, Any] = field(default_factory=dict)  # manifest.json; {} without one


def read(folder: Path) -> Earlier:
    """Raises HuntError if there is no findings.csv of ours."""
    if folder.exists() and not folder.is_dir():
        raise HuntError(f"{folder}: is no folder; the one that `hunt run EVIDENCE -o OUT` has written is needed")
    manifest = _manifest(folder)
    raw = _option(manifest, "csv") == "raw"
    return Earlier(folder, _findings(folder / "findings.csv", raw), tuple(_notes(folder, manifest)), raw, manifest)


def table(path: Path, columns: Mapping[str, pl.DataType], needed: tuple[str, ...], raw: bool) -> pl.DataFrame:
    """One of a run's CSV files with its own types; columns that it lacks are null. Raises HuntError."""
    try:
        read = pl.read_csv(path, infer_schema=False, glob=False)
        absent = [name for name in needed if name not in read.columns]
        if absent:
            raise HuntError(f"{path}: is no {path.name} of ours: it has no column {absent[0]}")
        there = read.select(name for name in columns if name in read.columns)
        typed = there.select(_typed(name, columns[name], raw) for name in there.columns)
        return typed.select((pl.col(c) if c in typed.columns else pl.lit(None, d)).alias(c) for c, d in columns.items())
    except FileNotFoundError:
        raise HuntError(f"{path}: no such file; `hunt run EVIDENCE -o {path.parent}` writes it") from None
    except (OSError, pl.exceptions.PolarsError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise HuntError(f"{path}: is no {path.name} of ours: {safe(first)[:200]}") from None


def _typed(name: str, dtype: pl.DataType, raw: bool) -> pl.Expr:
    text = pl.col(name)
    if isinstance(dtype, pl.Datetime):
        return text.str.to_datetime(_TIME, time_unit="ns", time_zone="UTC", strict=True)
    if isinstance(dtype, pl.List):
        return text.str.json_decode(dtype)
    if dtype == pl.Boolean:
        return text.replace_strict({"true": True, "false": False}, return_dtype=pl.Boolean)
    if dtype == pl.String:
        return text if raw or name in JSON_COLUMNS else rearmed(text).alias(name)
    return text.cast(dtype, strict=True)


def _findings(path: Path, raw: bool) -> pl.DataFrame:
    found = table(path, findings.COLUMNS, _NEEDED, raw)
    strange = found.filter(~pl.col("severity").is_in([s.value for s in Severity]).fill_null(value=False))
    if strange.height:
        raise HuntError(f"{path}: is no findings.csv of ours: {safe(str(strange['severity'][0]))[:80]} is no severity")
    if not found["span_seconds"].drop_nulls().is_finite().all():
        raise HuntError(f"{path}: is no findings.csv of ours: it has endless spans")
    return found


def _manifest(folder: Path) -> Mapping[str, Any]:
    try:
        told = json.loads((folder / "manifest.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _option(manifest: Mapping[str, Any], name: str) -> object:
    options = manifest.get("options")
    return options.get(name) if isinstance(options, dict) else None


_COUNTS = {
    "problems": "problems (problems.csv): part of the evidence was not read",
    "findings_hidden": "more findings were hidden by the run's filters",
}


def _notes(folder: Path, manifest: Mapping[str, Any]) -> list[str]:
    notes = []
    if not manifest:
        notes.append("no manifest.json: the run was not finished, or this is not its folder")
    elif manifest.get("complete") is not True:
        notes.append("the run was interrupted: part of the evidence was not read")
    for name, said in _COUNTS.items():
        if manifest.get(name):
            notes.append(f"{safe(str(manifest[name]))[:20]} {said}")
    statuses = {"status": pl.String()}
    try:
        told = table(folder / "queries.csv", statuses, ("status",), raw=True)["status"].to_list()
    except HuntError:
        return [*notes, "no queries.csv: what could be looked for is not known"]
    unable, partly = sum(told.count(status) for status in _UNABLE), told.count("partly")
    if unable:
        notes.append(f"{unable} of {len(told)} queries could not run (queries.csv): unknown is not clean")
    if partly:
        notes.append(f"{partly} of {len(told)} queries could not run on all hosts")
    return notes


def one(earlier: Earlier, named: str) -> pl.DataFrame:
    """The finding with this id, or the only one whose id begins so. Raises HuntError if there is none or several."""
    if not named:
        raise HuntError("an id, or its beginning, is needed")
    begins = pl.col("finding_id").str.starts_with(named.lower())
    own = earlier.findings.filter(begins.fill_null(value=False))
    several = own["finding_id"].n_unique()
    if several != 1:
        many = f"{several} findings begin with {safe(named)[:80]}; give more of the id"
        what = many if several else f"no finding is called {safe(named)[:80]!r}"
        raise HuntError(f"{earlier.folder / 'findings.csv'}: {what}")
    return own.head(1)
