"""The Python interface: `case = hunt.open("logs")`, then frames, processes, lineage and hunts as Polars frames.

For notebooks and scripts. Errors that the command line prints in one line are HuntErrors here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import polars as pl

from hunt import interrupts, isolation
from hunt.errors import EvidenceError
from hunt.events import Events
from hunt.isolation import Bounds, Guard
from hunt.lineage.needs import NEEDS, READS
from hunt.model import ALL_COLUMNS, Need, Opening, Problem, Reading, Report, Settings
from hunt.options import CHANNELS
from hunt.pipeline import Covered, Request, cover, run
from hunt.reading import collect, read


def open(
    *evidence: str | os.PathLike[str],
    password: str | None = None,
    jobs: int | None = None,
    case: str | os.PathLike[str] | None = None,
) -> OpenCase:
    """Evidence to be looked at: event logs, folders, archives, as `hunt run` takes them. It is only ever read.

    `case`: what `hunt ingest` made, a folder or a URL. `password`: of archives; `jobs`: files, or parts of
    large ones, that are read at a time; default: all processors.
    Raises EvidenceError for what is not there. Nothing is decoded until it is asked for.
    """
    if not evidence and case is None:
        raise EvidenceError("open: no evidence named")
    cases = [] if case is None else [os.fspath(case)]
    return OpenCase([Path(path) for path in evidence], Opening(password), jobs or os.cpu_count() or 1, cases)


class OpenCase:
    """What `open` gives. Each question reads the evidence for what it needs alone; what was read is kept."""

    def __init__(self, evidence: Sequence[Path], opening: Opening, jobs: int, cases: Sequence[str] = ()) -> None:
        for path in evidence:
            if not os.path.lexists(path):
                raise EvidenceError(f"{path}: no such file or folder")
        self._request = Request(evidence, jobs=jobs, opening=opening, cases=cases)
        self._frames: dict[tuple[str, int], pl.LazyFrame] = {}

    def types(self) -> pl.DataFrame:
        """The event types there are: `channel, event_id, records, hosts, start, end`, by channel and event id.

        Times are TimeCreated in UTC.
        """
        counted = self._census[0].census().group_by("channel", "event_id").agg(
            pl.col("records").sum(),
            pl.col("host").drop_nulls().str.to_lowercase().n_unique().alias("hosts"),
            pl.col("start").min(),
            pl.col("end").max(),
        )  # fmt: skip
        return counted.sort("channel", "event_id")

    def problems(self) -> tuple[Problem, ...]:
        """What could not be read, damaged records one by one; a result is only as whole as this is empty."""
        return self._census[1]

    def hosts(self) -> tuple[str, ...]:
        """The hosts that have events, sorted."""
        return self._census[0].hosts()

    def frame(self, channel: str, event_id: int) -> pl.LazyFrame:
        """The distinct events of one type with all their fields, in order of source and offset.

        `channel`: as events name it, without case, or a short name (sysmon, powershell). Columns: those of every
        event (`time` in UTC, `host`, `record_id`, ...), the event's own fields in Microsoft's spelling, and `sources`,
        every place it was found in.
        """
        need = Need(CHANNELS.get(channel.lower(), channel), event_id, ALL_COLUMNS)
        key = need.event_type.key
        if key not in self._frames:
            self._frames[key] = self._read([need])[0].frame(need.channel, event_id)
        return self._frames[key]

    @property
    def processes(self) -> pl.LazyFrame:
        """One row a process, with when it started and ended as far as that is known: see `hunt.lineage.processes`."""
        return self._starts.processes

    @property
    def lineage(self) -> pl.LazyFrame:
        """One row for each process that a broker started, with its most likely requester and the grade of that."""
        return self._starts.lineage

    @property
    def candidates(self) -> pl.LazyFrame:
        """One row for each such process and possible requester, the excluded ones with the reason."""
        return self._starts.candidates

    def run(self, *queries: str | os.PathLike[str], window_s: float | None = None) -> Report:
        """What `hunt run` does: `.findings`, `.events`, `.queries` (what could not run, and why), `.coverage`, ...

        `queries`: ids of ours, rule files, folders of rules; none: all of ours. `window_s`: seconds between the first
        and the last event of a match. Raises QueryError for what is no query.
        """
        return run(replace(self._request, queries=[os.fspath(query) for query in queries], settings=Settings(window_s)))

    def eql(self, query: str) -> Report:
        """What `hunt eql` does: one question in EQL."""
        return run(replace(self._request, eql=query))

    def coverage(self, *queries: str | os.PathLike[str]) -> Covered:
        """What the queries could have seen in this evidence, and what not; no query is run."""
        return cover(replace(self._request, queries=[os.fspath(query) for query in queries]))

    @cached_property
    def _census(self) -> tuple[Events, tuple[Problem, ...]]:
        return self._read(())

    @cached_property
    def _starts(self) -> Events:
        return self._read((*NEEDS, *READS))[0]

    def _read(self, needs: Iterable[Need]) -> tuple[Events, tuple[Problem, ...]]:
        asked, request = tuple(needs), self._request
        isolation.bound(Bounds())
        with (
            interrupts.listening() as stop,
            collect(request.evidence, request.opening, hashed=False, cases=request.cases) as collected,
        ):

            def attempt(guard: Guard) -> tuple[Events, tuple[Problem, ...]]:
                events = Events(asked)
                _, problems = read(collected, Reading(events.wants(), request.jobs, once=True), events.add, guard=guard)
                return events, (*collected.problems, *problems, *guard.problems)

            return isolation.attempts(attempt, Bounds(), stop, lambda note: None)
