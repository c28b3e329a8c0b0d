"""Two parsers on the same evidence: every difference between what they read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from hunt.model import Batch, Evidence, Parser, Problem, Reading

# A parser says so, in the reason of a Problem, where it is known not to read a record that others can.
KNOWN = "known fault of "


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that the parsers disagree on. `known`: why the one that is compared with is known to be wrong."""

    source: str
    offset: int  # bytes into the source
    what: str
    known: str | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What both read of one file."""

    records: int
    differences: tuple[Difference, ...]
    problems: tuple[Problem, ...]  # what the first one could not read


def compare(evidence: Evidence, parser: Parser, reference: Parser, reading: Reading) -> Comparison:
    """Read a file with both; differences in order of their places."""
    ours, theirs = _read(evidence, parser, reading), _read(evidence, reference, reading)
    found = [
        *_records(evidence.source, ours, theirs),
        *(difference for kind in sorted(ours.frames.keys() & theirs.frames.keys())
          for difference in _values(evidence.source, kind, ours.frames[kind], theirs.frames[kind])),
    ]  # fmt: skip
    return Comparison(len(ours.kinds()), tuple(sorted(found, key=lambda d: (d.offset, d.what))), ours.problems)


@dataclass(frozen=True, slots=True)
class _Read:
    frames: dict[tuple[str, int], pl.DataFrame]  # by the key of their event type
    problems: tuple[Problem, ...]

    @property
    def failed(self) -> dict[int, str]:
        """Reasons of problems of kind `record`, by offset."""
        return {p.offset: p.reason for p in self.problems if p.kind == "record" and p.offset is not None}

    def kinds(self) -> dict[int, tuple[str, int]]:
        return {offset: kind for kind, frame in self.frames.items() for offset in frame["offset"]}


def _read(evidence: Evidence, parser: Parser, reading: Reading) -> _Read:
    frames: dict[tuple[str, int], list[pl.DataFrame]] = {}
    problems: list[Problem] = []
    for part in parser.read([evidence], reading):
        if isinstance(part, Batch):
            for kind, frame in part.frames.items():
                frames.setdefault(kind.key, []).append(frame)
        elif isinstance(part, Problem):
            problems.append(part)
    joined = {kind: pl.concat(parts, how="diagonal").sort("offset") for kind, parts in frames.items()}
    return _Read(joined, tuple(problems))


def _records(source: str, ours: _Read, theirs: _Read) -> Iterator[Difference]:
    """Records that only one of them reads, or that they take for different events."""
    mine, others = ours.kinds(), theirs.kinds()
    for offset in mine.keys() | others.keys():
        if offset not in others:
            reason = theirs.failed.get(offset, "")
            known = reason.partition(KNOWN)[1] + reason.partition(KNOWN)[2]
            yield Difference(source, offset, f"a record that the reference does not read: {reason}", known or None)
        elif offset not in mine:
            yield Difference(source, offset, f"a record that only the reference reads: {ours.failed.get(offset, '')}")
        elif mine[offset] != others[offset]:
            yield Difference(source, offset, f"event type {mine[offset]}, by the reference {others[offset]}")
    for offset in (ours.failed.keys() ^ theirs.failed.keys()) - mine.keys() - others.keys():
        yield Difference(source, offset, "only one of them says that a record can't be read here")


def _values(source: str, kind: tuple[str, int], ours: pl.DataFrame, theirs: pl.DataFrame) -> Iterator[Difference]:
    """Values that differ in records that both read as events of this type."""
    both = ours.select("offset").join(theirs.select("offset"), on="offset")["offset"].to_list()
    mine, others = (frame.filter(pl.col("offset").is_in(both)) for frame in (ours, theirs))
    for column in dict.fromkeys((*mine.columns, *others.columns)):
        yield from _column(source, kind, column, mine, others)


def _column(
    source: str, kind: tuple[str, int], column: str, ours: pl.DataFrame, theirs: pl.DataFrame
) -> Iterator[Difference]:
    if ours.is_empty():
        return
    mine, others = (_values_of(frame, column) for frame in (ours, theirs))
    if mine.dtype != others.dtype and pl.Null not in (mine.dtype, others.dtype):
        types = f"{column} of {kind[0]}:{kind[1]} is {mine.dtype}, by the reference {others.dtype}"
        yield Difference(source, ours["offset"][0], types)
        return
    for offset, one, other in zip(ours["offset"], mine.to_list(), others.to_list(), strict=True):
        if one != other:
            yield Difference(source, offset, f"{column} is {_shown(one)}, by the reference {_shown(other)}")


def _values_of(frame: pl.DataFrame, column: str) -> pl.Series:
    if column not in frame.columns:
        return pl.Series(column, [None], dtype=pl.Null).new_from_index(0, frame.height)
    values = frame[column]
    # Python's times stop at microseconds; the numbers behind do not.
    return values.dt.epoch("ns") if isinstance(values.dtype, pl.Datetime) else values


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}… ({len(text)} characters)"


def unexplained(comparisons: Sequence[Comparison]) -> int:
    """How many differences no known fault explains."""
    return sum(difference.known is None for comparison in comparisons for difference in comparison.differences)
