"""What could not be read, by file: damaged chunks, records and bytes, checksums that fail, empty logs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hunt.coverage.facts import Fact, counted
from hunt.coverage.logs import Census
from hunt.model import Problem, Tally


def facts(problems: Sequence[Problem], census: Census) -> Iterator[Fact]:
    """Facts of the kinds damage and checksum: one for each file and kind of problem."""
    groups: dict[tuple[str, str, str], list[Problem]] = {}
    for problem in problems:
        kind = "checksum" if is_checksum(problem) else "damage"
        groups.setdefault((problem.source, kind, problem.kind), []).append(problem)
    for (source, kind, what), met in groups.items():
        host, channel = census.of_source(source)
        sizes = [problem.size for problem in met if problem.size is not None]
        first = min(met, key=lambda problem: (problem.offset or 0, problem.reason))
        more = f", and {counted(len(met) - 1, 'problem')} more" if len(met) > 1 else ""
        detail = f"{what}: {first.reason}{more}"
        yield Fact(
            kind, host, channel, count=len(met), bytes=sum(sizes) if sizes else None, detail=detail, source=source
        )


def empty(tallies: Sequence[Tally]) -> Iterator[Fact]:
    """Facts of the kind empty: logs that tell nothing, not even of which host and channel they are."""
    for tally in tallies:
        if not tally.read:
            detail = "no record in it could be read" if tally.problems else "it holds no records"
            yield Fact("empty", count=0, detail=detail, source=tally.evidence.source)


def is_checksum(problem: Problem) -> bool:
    """Whether a checksum is wrong: what it covers was read none the less."""
    return problem.kind in ("chunk", "file") and "checksum" in problem.reason
