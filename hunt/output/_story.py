"""The story of one finding for people: out of a report, or read from the folder of a run, without any evidence."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TextIO

import polars as pl
from rich.text import Text

from hunt.errors import HuntError
from hunt.model import Report
from hunt.output._console import Page
from hunt.output._deed import brief, unfolded
from hunt.output._rows import tables
from hunt.output._safe import safe
from hunt.rules.model import labels
from hunt.story.columns import ABSENT, COLUMNS, MORE, NONE, TITLES

Row = Mapping[str, str]

FINDINGS, STORY, MANIFEST = "findings.csv", "story.csv", "manifest.json"
_LARGEST_CELL = (1 << 31) - 1  # characters; the csv module's default refuses long scripts


@dataclass(frozen=True, slots=True)
class Told:
    """A finding and the rows of its story, as the files have them."""

    finding: Row
    rows: tuple[Row, ...]


def read(folder: Path, named: str) -> Told:
    """The finding with this id, or the only one that begins so. Raises HuntError if there is none or several."""
    found = _called(named, _rows(folder / FINDINGS), str(folder / FINDINGS))
    own = found["finding_id"]
    rows = tuple(row for row in _rows(folder / STORY) if row.get("finding_id") == own)
    if any(missing := [name for name in COLUMNS if name not in row] for row in rows[:1]):
        raise HuntError(f"{folder / STORY}: is no story of ours: it has no column {missing[0]}")
    return Told(found, rows)


def of_report(report: Report, named: str) -> Told:
    """The same, of a run that has just ended."""
    of_run = tables(report)
    found = _called(named, _texts(of_run["findings"]), "this evidence")
    story = of_run.get("story", pl.DataFrame(schema={"finding_id": pl.String}))
    return Told(found, tuple(_texts(story.filter(finding_id=found["finding_id"]))))


def _called(named: str, findings: Iterable[Row], where: str) -> Row:
    found = [row for row in findings if row.get("finding_id", "").startswith(named.lower())]
    if not named or not found:
        raise HuntError(f"{where}: no finding is called {safe(named)[:80]!r}")
    if len({row["finding_id"] for row in found}) > 1:
        raise HuntError(f"{where}: {len(found)} findings begin with {safe(named)}; give more of the id")
    return found[0]


def _texts(table: pl.DataFrame) -> Iterator[Row]:
    for row in table.iter_rows(named=True):
        yield {name: "" if value is None else str(value) for name, value in row.items()}


def _rows(path: Path) -> Iterator[Row]:
    csv.field_size_limit(_LARGEST_CELL)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                yield {name: value or "" for name, value in row.items() if name is not None}
    except FileNotFoundError:
        raise HuntError(f"{path}: no such file; `hunt run EVIDENCE -o {path.parent}` writes it") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise HuntError(f"{path}: can't be read: {error}") from None


def altered(folder: Path) -> list[str]:
    """Which of the files read are not those that the run wrote, by the manifest; all if there is none."""
    try:
        outputs = json.loads((folder / MANIFEST).read_bytes())["outputs"]
        hashes = {name: str(outputs[name]) for name in (FINDINGS, STORY)}
    except (OSError, ValueError, KeyError, TypeError):
        return [FINDINGS, STORY]
    return [name for name, known in hashes.items() if _sha256(folder / name) != known]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write(told: Told, out: TextIO) -> None:
    """The finding, then its story step by step; what is not known stands where it would be."""
    console = Page(out)
    for line in (*_heading(told.finding), *_steps(told.rows)):
        console.print(line, soft_wrap=True)


def _heading(finding: Row) -> Iterator[Text]:
    def said(name: str) -> str:
        return safe(finding.get(name, ""))

    yield Text(f"{said('finding_id')}: {said('title')}", "bold")
    grade = f", grade {said('grade')}" if said("grade") else ""
    yield Text(f"  {said('severity')}{grade}, confidence {said('confidence') or 'not stated'}, {said('query')}")
    yield Text(f"  host {said('host') or 'unknown'}, user {said('user') or 'unknown'}")
    yield Text(f"  {said('start') or '?'} to {said('end') or '?'}")
    if said("target_image") and not said("image"):
        remote = f", from another machine{' (' + said('source_ip') + ')' if said('source_ip') else ''}"
        asked = remote if said("locality") == "remote" else ""
        yield Text(f"  who asked for {said('target_image')}{asked} is not known", "yellow")
    evidence = [safe(item) for item in _json_texts(finding.get("evidence", ""))]
    reason, steps, left = unfolded(said("reason"), evidence)
    if reason:
        yield Text(f"  {reason}")
    yield from (Text(f"  - {brief(step)}") for step in steps)
    if left:
        yield Text(f"  - and {left} more", "yellow")
    if rules_own := labels(evidence):
        yield Text(f"  {safe(rules_own)}", "dim")
    if said("suppressed"):
        yield Text(f"  suppressed: {said('suppressed')}", "bold green")


def _json_texts(cell: str) -> list[str]:
    """A cell of JSON; what is no list of texts was not written by us."""
    try:
        found = json.loads(cell)
    except ValueError:
        return []
    return [text for text in found if isinstance(text, str)] if isinstance(found, list) else []


def _steps(rows: tuple[Row, ...]) -> Iterator[Text]:
    if not rows:
        yield Text("  no story is told of it: of very many findings, only of the most severe", "yellow")
    for step, group in groupby(rows, key=lambda row: row["step"]):
        yield Text("")
        yield Text(TITLES.get(step, safe(step)), "bold")
        for row in group:
            yield _line(row)


_UNKNOWN = {ABSENT: "yellow", NONE: "dim", MORE: "yellow"}


def _line(row: Row) -> Text:
    text = safe(row["text"])
    if row["status"] in _UNKNOWN:
        return Text(f"  {text}", _UNKNOWN[row["status"]])
    when = safe(row["time"])[:23].replace("T", " ")
    return Text.assemble("  ", (f"{when:<23}  ", "dim"), _who(row), text)


# Steps whose text says itself who it is about.
_NAMED = frozenset({"process", "target", "attached", "ancestor", "descendant", "competitor", "image", "logon", "other"})


def _who(row: Row) -> str:
    pid = f"({safe(row['pid'])}) " if row["pid"] else ""
    if row["step"] in _NAMED or not row["image"]:
        return pid
    return f"{safe(row['image']).replace('/', chr(92)).rsplit(chr(92), 1)[-1]} {pid}"
