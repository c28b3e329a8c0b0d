"""What two parsers of EVTX have to agree on, and where a known fault of the other excuses a difference."""

from __future__ import annotations

import polars as pl

from hunt import schema
from hunt.model import Problem
from parsers.evtx_reference import KNOWN_FAULT
from tests.helpers import Frames, Result, differences

Place = tuple[str, int | None]


def disagreements(ours: Result, theirs: Result) -> list[str]:
    """All that is not the same: frames, their rows and order, what could not be read; without known faults."""
    known = {(p.source, p.offset) for p in theirs.problems if KNOWN_FAULT in p.reason}
    found = differences(_without(ours.frames, known), theirs.frames)
    mine, others = (sorted(_told(result.problems, known), key=str) for result in (ours, theirs))
    if mine != others:
        alone = [problem for problem in mine if problem not in others], [p for p in others if p not in mine]
        found.append(f"problems {alone[0]}, by the reference {alone[1]}")
    if ours.records + len(ours.lost) != theirs.records + len(theirs.lost):
        found.append(f"found {ours.records + len(ours.lost)} records, {theirs.records + len(theirs.lost)}")
    return found


def _told(problems: list[Problem], known: set[Place]) -> list[tuple[str, str, int | None, int | None]]:
    return [(p.source, p.kind, p.offset, p.record_id) for p in problems if (p.source, p.offset) not in known]


def _without(frames: Frames, known: set[Place]) -> Frames:
    """Frames without the records at some places, and what only these had."""
    if not known:
        return frames
    left = {}
    places = pl.DataFrame(list(known), schema={"source": pl.String, "offset": pl.UInt64}, orient="row")
    for kind, frame in frames.items():
        kept = frame.join(places, on=["source", "offset"], how="anti", maintain_order="left")
        if kept.height < frame.height:
            own = [name for name in kept.columns if name not in {*schema.CORE, *schema.SYSTEM}]
            kept = kept.drop(name for name in own if kept[name].null_count() == kept.height)
        if kept.height:
            left[kind] = kept
    return left
