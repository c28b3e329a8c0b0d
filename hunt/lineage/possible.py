"""Who may have requested what: candidates that nothing excludes, in few bytes each, for there are many millions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from hunt.lineage.candidates import Candidates
from hunt.lineage.columns import POSSIBLE
from hunt.lineage.grades import GRADES, heads, ranked, spread
from hunt.lineage.kinds import NEVER, Flags, Ints, Small
from hunt.lineage.numbers import filled, hashes
from hunt.lineage.processes import DERIVED


@dataclass(frozen=True, slots=True)
class Possible:
    """Pairs of rows of `case.processes`; `flags`, `gap`: as of Candidates; `grade`: an index of GRADES."""

    child: Small
    candidate: Small
    flags: npt.NDArray[np.int16]
    grade: npt.NDArray[np.int8]
    gap: Small

    def of(self, children: Flags, known: pl.DataFrame) -> pl.DataFrame:
        """POSSIBLE of these children, by child and rank. `known`: `case.processes`; `children`: which of these."""
        some = np.flatnonzero(children[self.child])
        row, candidate = np.unique(self.candidate[some], return_inverse=True)
        who = known.select(_WHO)[row].with_columns(DERIVED["start_source"].alias("source"))
        small = candidate.astype(np.int32), self.flags[some].astype(np.int32), self.gap[some]
        pairs = Candidates(self.child[some], *small, np.zeros(some.size, np.int32))
        order, rank = ranked(pairs, self.grade[some].astype(np.int32), _began(who))
        child, candidate, grade = pairs.child[order], candidate[order], self.grade[some][order]
        first, alike = heads(child), heads(child, grade)
        letters = pl.Series(GRADES)
        return pl.DataFrame(
            {
                "child_row": child,
                "candidate_row": row[candidate],
                "rank": rank,
                "grade": letters.gather(grade),
                "gap": known["start"].gather(child) - who["start"].gather(candidate),
                "start_source": who["source"].gather(candidate),
                "competitors": spread(np.diff(alike, append=child.size) - 1, alike, child.size),
                "best": letters.gather(spread(grade[first], first, child.size)),
                "flags": pairs.flags[order],
            },
            schema_overrides=POSSIBLE,
        )


_WHO = ("host_key", "start", "guid", "parent_guid", "event_id")


@dataclass(frozen=True, slots=True)
class _Began:
    """Of few processes what ranks them."""

    start: Ints
    guid: Ints
    parent: Ints


def _began(frame: pl.DataFrame) -> _Began:
    return _Began(
        filled(frame["start"].to_physical(), NEVER),
        hashes(frame, "host_key", "guid"),
        hashes(frame, "host_key", "parent_guid"),
    )
