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


def contradictions(ours: Result, theirs: Result) -> list[str]:
    """What is not the same in records that both read; and records that only the other reads."""
    mine, others = (_offsets(result.frames) for result in (ours, theirs))
    found = differences(_only(ours.frames, mine & others), _only(theirs.frames, mine & others))
    reasons = {problem.offset: problem.reason for problem in ours.problems if problem.kind == "record"}
    return found + [f"{offset}: {reasons.get(offset)}" for offset in sorted(others - mine)]


def _offsets(frames: Frames) -> set[int]:
    return {offset for frame in frames.values() for offset in frame["offset"]}


def _only(frames: Frames, offsets: set[int]) -> Frames:
    """The rows at these offsets, without columns that none of them has; columns by name."""
    left = {}
    for kind, frame in frames.items():
        kept = frame.filter(pl.col("offset").is_in(sorted(offsets)))
        if kept.height:
            left[kind] = kept.select(name for name in sorted(kept.columns) if kept[name].null_count() < kept.height)
    return left
