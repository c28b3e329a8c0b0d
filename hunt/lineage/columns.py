"""The frames of lineage: what hunts see as `case.lineage` and `case.candidates`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import polars as pl

from hunt import schema

# One row for each process that a broker started, with its best candidate; by child. `child_row` and `requester_row`
# are the rows of `case.processes`. `time`: of the child's start. `grade`: A to F, null where the requester is unknown,
# as all that tells of a requester then. `competitors`: other candidates of that grade; `delta_s`: seconds from the
# requester's start to the child's. `start_source`: of the requester's; event, or guid (known to the second).
# `left_over`: how many more may have asked for it and were not looked at.
LINEAGE: Mapping[str, pl.DataType] = {
    "child_row": pl.UInt32(),
    "requester_row": pl.UInt32(),
    "host": pl.String(),
    "host_key": pl.String(),
    "time": schema.TIME,
    "child_guid": pl.String(),
    "child_pid": pl.UInt32(),
    "child_image": pl.String(),
    "broker": pl.String(),
    "mechanism": pl.String(),
    "locality": pl.String(),
    "origin": pl.String(),
    "source_address": pl.String(),
    "grade": pl.String(),
    "requester_guid": pl.String(),
    "requester_pid": pl.UInt32(),
    "requester_image": pl.String(),
    "delta_s": pl.Float64(),
    "start_source": pl.String(),
    "attached": pl.Boolean(),
    "competitors": pl.UInt32(),
    "ambiguous": pl.Boolean(),
    "left_over": pl.UInt32(),
    "evidence": schema.TEXTS,
}

# One row for each brokered process and candidate; by child and rank. `rank`: 1 is the best, null for excluded ones,
# whose `excluded_because` says why. `logon_match`: logon, user_session or none.
CANDIDATES: Mapping[str, pl.DataType] = {
    "child_row": pl.UInt32(),
    "candidate_row": pl.UInt32(),
    "host": pl.String(),
    "time": schema.TIME,
    "child_guid": pl.String(),
    "child_pid": pl.UInt32(),
    "child_image": pl.String(),
    "rank": pl.UInt32(),
    "grade": pl.String(),
    "candidate_guid": pl.String(),
    "candidate_pid": pl.UInt32(),
    "candidate_image": pl.String(),
    "delta_s": pl.Float64(),
    "start_source": pl.String(),
    "logon_match": pl.String(),
    "evidence": schema.TEXTS,
    "excluded_because": pl.String(),
}

# One row for each brokered process and candidate that nothing excludes, of some children: of a few columns, for there
# may be many. `gap`: from the candidate's start to the child's; `competitors`: others of the same grade; `best`: the
# best grade that the child has; `flags`: what speaks for it, as `explained` says.
POSSIBLE: Mapping[str, pl.DataType] = {
    "child_row": pl.UInt32(),
    "candidate_row": pl.UInt32(),
    "rank": pl.UInt32(),
    "grade": pl.String(),
    "gap": pl.Duration("ns"),
    "start_source": pl.String(),
    "competitors": pl.UInt32(),
    "best": pl.String(),
    "flags": pl.Int16(),
}

# lineage.csv and candidates.csv: those without what joins the frames.
LINEAGE_CSV = tuple(c for c in LINEAGE if c not in ("child_row", "requester_row", "host_key", "delta_s", "left_over"))
CANDIDATES_CSV = tuple(c for c in CANDIDATES if c not in ("child_row", "candidate_row"))


def counts(lineage: pl.DataFrame) -> Iterator[tuple[str, ...]]:
    """Lines of text cells: how many processes each mechanism started, by the grade of their requesters."""
    grades = ("A", "B", "C", "D", "E", "F")
    yield ("mechanism", *grades, "unknown", "all")
    counted = lineage.group_by("mechanism", pl.col("grade").fill_null("unknown")).len()
    found = {(mechanism, grade): int(count) for mechanism, grade, count in counted.iter_rows()}
    for mechanism in sorted({mechanism for mechanism, _ in found}):
        row = [found.get((mechanism, grade), 0) for grade in (*grades, "unknown")]
        yield (mechanism, *(str(count) for count in (*row, sum(row))))
