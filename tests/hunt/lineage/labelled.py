"""What lineage answers for real starts of which it is known who asked for them, as a table."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from hunt.events import Events
from hunt.lineage import NEEDS, READS
from hunt.model import SYSMON, Batch, EventType, Opening, Reading
from hunt.reading import collect, read

UNFILTERED = ("com_service", "com_dllhost", "uac_com", "uac_com_2hop")  # those of COM that its service starts


@dataclass(frozen=True, slots=True)
class Answer:
    """A labelled case, and what was answered: no `grade` if the requester stayed unknown."""

    case: dict[str, Any]
    grade: str | None
    requester: str | None
    image: str | None
    locality: str | None
    unfiltered: bool  # Sysmon 10 tells that the broker opened the child

    @property
    def right(self) -> bool:
        return self.requester is not None and self.requester == _printed(self.case["requester_guid"])

    @property
    def local(self) -> bool:
        return bool(self.case["locality"] == "local" and self.case["requester_start_in_log"])

    def line(self) -> str:
        case = self.case
        child, wanted, named = (_name(path) for path in (case["child_image"], case["requester_image"], self.image))
        said = f"{self.grade or '-':2} {'right' if self.right else 'wrong' if self.grade else 'unknown':8} {named:24}"
        return f"{case['id']} {case['cls']:20} {case['locality']:7} {child:20} {wanted:22} {said} {self.locality or ''}"


def answers(folder: Path, without_requester: bool = False) -> list[Answer]:
    """For all cases of labels/effective_parent.json, by file.

    `without_requester`: for every other case, as if its requester's start were not logged; each is a run of its own.
    """
    cases = json.loads((folder / "labels" / "effective_parent.json").read_text())
    found = []
    for file in dict.fromkeys(case["file"] for case in cases):
        own = [case for case in cases if case["file"] == file]
        removed = [[case] for case in own[::2] if case["requester_start_in_log"]] if without_requester else [own]
        batches = _read(folder / file)
        for part in removed:
            lost = {_printed(case["requester_guid"]) for case in part} if without_requester else set()
            found += _answered(part, batches, lost)
    return sorted(found, key=lambda answer: str(answer.case["id"]))


@cache
def _read(path: Path) -> tuple[Batch, ...]:
    events = Events((*NEEDS, *READS))
    with collect([path], Opening(), hashed=False) as collected:
        batches: list[Batch] = []
        read(collected, Reading(events.wants()), batches.append)
    return tuple(batches)


def _answered(cases: list[dict[str, Any]], batches: Iterable[Batch], lost: set[str | None]) -> Iterable[Answer]:
    events = Events((*NEEDS, *READS))
    batches = list(batches)
    starts = [f for batch in batches for kind, f in batch.frames.items() if kind.key == _STARTS]
    pids = [f.filter(pl.col("ProcessGuid").is_in(list(lost)))["ProcessId"] for f in starts]
    gone = pl.concat(pids).unique().implode() if pids else pl.Series([[]], dtype=pl.List(pl.UInt32))
    for batch in batches:
        frames = {kind: _without(frame, kind, lost, gone) for kind, frame in batch.frames.items()}
        events.add(Batch(frames, batch.census))
    lineage = {row["child_guid"]: row for row in events.lineage.collect().iter_rows(named=True)}
    opened = events.frame(SYSMON, 10).filter(pl.col("GrantedAccess") == 0x1FFFFF).collect()
    targets = set(opened["TargetProcessGUID"]) if "TargetProcessGUID" in opened.columns else set()
    for case in cases:
        guid = _printed(case["child_guid"])
        row = lineage.get(guid, {})
        yield Answer(
            case, row.get("grade"), row.get("requester_guid"), row.get("requester_image"), row.get("locality"),
            guid in targets,
        )  # fmt: skip


_STARTS, _CREATED = EventType(SYSMON, 1).key, EventType("Security", 4688).key


def _without(frame: pl.DataFrame, kind: EventType, lost: set[str | None], pids: pl.Series) -> pl.DataFrame:
    """Without the starts of these processes, in either log."""
    if kind.key == _STARTS:
        return frame.filter(~pl.col("ProcessGuid").is_in(list(lost)).fill_null(value=False))
    if kind.key == _CREATED and lost:
        pid = pl.col("NewProcessId").cast(pl.UInt32, strict=False)
        return frame.filter(~pid.is_in(pids).fill_null(value=False))
    return frame


def table(found: list[Answer]) -> str:
    """A line for each case, and how many there are of which kind."""
    counts = Counter((a.grade or "-", "right" if a.right else "wrong" if a.grade else "unknown") for a in found)
    summary = ", ".join(f"{grade} {said} {n}" for (grade, said), n in sorted(counts.items()))
    return "\n".join([*(answer.line() for answer in found), summary])


def _printed(guid: str | None) -> str | None:
    return f"{{{guid.strip('{}').upper()}}}" if guid else None


def _name(path: str | None) -> str:
    return (path or "-").rsplit("\\", 1)[-1]
