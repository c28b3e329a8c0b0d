"""`hunt carve`: event logs out of raw data, written down as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hunt import export
from hunt.evidence import Collection
from hunt.model import EventType, Problem, Reading, Tally
from hunt.output import _files
from hunt.raw import joined
from hunt.reading import read
from hunt.recovered import Recovered
from hunt.watcher import Watcher


@dataclass(frozen=True, slots=True)
class Carved:
    """What `carve` wrote, and what it could not."""

    types: Mapping[EventType, int]  # events of each type
    live: int  # events that the live logs have as well: not written
    tallies: tuple[Tally, ...]
    problems: tuple[Problem, ...]

    @property
    def events(self) -> int:
        return sum(self.types.values())


def carve(raw: Sequence[Path], logs: Collection, out: Path, jobs: int = 1, watcher: Watcher | None = None) -> Carved:
    """Write the events that `raw` holds and `logs`, which are live, do not: `out` gets a Parquet file for each type.

    And problems.csv. Each event once, with all its fields and `sources`, every place it was found in. All that was
    carved is in memory until then. Raises HuntError for what can't be served, OSError if `out` can't be written.
    """
    files = joined(logs, raw, hashed=False).files[len(logs.files) :]
    found = Recovered()
    tallies, problems = read(Collection(files, (), ()), Reading(jobs=jobs), found.add, watcher)
    carved = len(found)
    if carved and logs.files:
        problems += read(logs, Reading(found.wants(), jobs), found.compare, watcher)[1]
    with export.export_all(out) as target:
        types: dict[EventType, int] = {}
        for batch in found.batches():
            target.add(batch)
            types |= {kind: frame.height for kind, frame in batch.frames.items()}
    told = tuple(sorted((*logs.problems, *problems), key=lambda problem: problem.place))
    _files.write_problems(told, out)
    return Carved(types, carved - target.rows, tallies, told)
