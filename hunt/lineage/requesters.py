"""Who requested each process that a broker started: `case.lineage` and `case.candidates` out of a case."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from hunt.lineage.parts import parted, whole
from hunt.lineage.possible import Possible
from hunt.lineage.traced import Traced, traced
from hunt.model import Case

WINDOW_S = 60.0  # from the requester's start to the child's: the longest of 86 was 15.7 s
_UNUSED = ("integrity", "hashes", "record_id")


@dataclass(frozen=True, slots=True)
class Requesters:
    """What `requesters` found. `known`: `case.processes`."""

    case: Case
    known: pl.DataFrame
    lineage: pl.DataFrame  # LINEAGE, by host, time and GUID of the child
    _possible: list[Possible]

    def possible(self, children: pl.Series) -> pl.DataFrame:
        """POSSIBLE of these rows of `case.processes`."""
        asked = np.zeros(self.known.height, bool)
        asked[children.to_numpy()] = True
        return pl.concat([some.of(asked, self.known) for some in self._possible])

    def candidates(self, children: pl.Series | None = None) -> pl.DataFrame:
        """CANDIDATES, by host, time and GUID of the child, then by rank, the excluded ones last; of all children, or of
        these rows of `case.processes`. Looks for them again: there are too many to keep."""
        known = self.known
        if children is not None:
            hosts = known["host_key"].gather(children).unique()
            known = known.filter(pl.col("host_key").is_in(hosts.implode(), nulls_equal=True))
        found = [part.candidates(children) for part in _traced(self.case, known)]
        return whole(found).drop("host_key")


def requesters(case: Case, known: pl.DataFrame) -> Requesters:
    """Who requested what: for all processes that a broker started. `known`: `case.processes`."""
    lineage, possible = [], []
    for part in _traced(case, known):
        lineage.append(part.lineage())
        possible.append(part.possible())
    return Requesters(case, known, whole(lineage), possible)


def _traced(case: Case, known: pl.DataFrame) -> Iterator[Traced]:
    """In parts: what is known of one is gone before the next."""
    window_s = WINDOW_S if case.settings.window_s is None else case.settings.window_s
    parts = parted(case, known.height)
    for part, some in zip(parts, parts.split(known.drop(_UNUSED)), strict=True):
        yield traced(part, some, round(window_s * 1e9))
