"""The processes around one: who started it, or had it started, and what it started or had started itself.

An edge is a logged parent, or an effective one: the requester that lineage infers, with its grade. Grades A to C are
followed; a weaker one is told beside the process, which stands below its logged parent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from hunt import coverage, earlier, interrupts, isolation, pipeline
from hunt.errors import HuntError
from hunt.events import Events
from hunt.filters import Filters
from hunt.isolation import Guard
from hunt.lineage.needs import NEEDS, READS
from hunt.lineage.run import HUNT
from hunt.model import Problem, Reading, Tally
from hunt.output import safe
from hunt.pipeline import Request
from hunt.reading import collect, read
from hunt.registry import Query
from hunt.watcher import Watcher

SURE = ("A", "B", "C")  # grades whose requester stands in the place of the parent
_HIGHEST = 64  # generations above
_DEEPEST = 32  # and below
MOST = 400  # processes of one tree below its root
_MOST_CHILDREN = 60  # of one process
MOST_TREES = 20  # a process id may have been many processes'
_LATE = pl.duration(milliseconds=250, time_unit="ns")  # an end may be logged before a start that came before it

_SHOWN = ("row", "host", "host_key", "guid", "pid", "image", "command_line", "user", "start", "end", "start_source")
_LINKS = ("row", "host_key", "guid", "pid", "start", "end", "parent_guid", "parent_pid", "parent_image")


@dataclass(frozen=True, slots=True)
class Asked:
    """Which process: of a GUID or of a process id; at what time, if the latter is known."""

    guid: str | None = None
    pid: int | None = None
    filters: Filters = field(default_factory=Filters)  # hosts
    at: datetime | None = None  # a process id's holder at this time alone


@dataclass(slots=True)
class Node:
    """A process in a tree."""

    process: dict[str, Any]  # _SHOWN, and `parent`: what the log names, where nothing else is known of it
    edge: dict[str, Any] | None = None  # of LINEAGE: how it hangs below its requester; None: a logged parent
    perhaps: dict[str, Any] | None = None  # of LINEAGE: a requester that is not sure enough
    asked: bool = False  # what the tree is about
    children: list[Node] = field(default_factory=list)
    left: int = 0  # children that are not shown


@dataclass(frozen=True, slots=True)
class Grown:
    """What was read, and the trees."""

    trees: tuple[Node, ...]
    found: int  # processes that were asked for: trees of the first are shown
    reason: str  # what was not logged, so that requesters and ends may be unknown; "": nothing
    tallies: tuple[Tally, ...]
    problems: tuple[Problem, ...]
    interrupted: bool
    unread: tuple[str, ...]


def grow(request: Request, asked: Asked, watcher: Watcher | None = None) -> Grown:
    """Read all evidence, find the process, and tell who is around it. Raises HuntError if there is none."""
    watcher = watcher or Watcher()
    isolation.bound(request.bounds)
    with (
        interrupts.listening() as stop,
        collect(request.evidence, request.opening, request.out, hashed=False, cases=request.cases) as collected,
    ):

        def attempt(guard: Guard) -> Grown:
            events = Events((*NEEDS, *READS), request.settings)
            seen = coverage.Seen(events.wants())
            with guard.stop.whole():
                reading = Reading(seen.wants(), request.jobs, request.slack, once=True)
                tallies, problems = read(collected, reading, seen.before(events.add), watcher, guard)
                if not guard.stop.requested:
                    for absent in asked.filters.check(events.hosts(), ()):
                        watcher.note(absent)
                told = coverage.evaluate(events, seen, Query(HUNT, ""))
                lost = bool(collected.problems or problems or guard.stop.requested)
                rows = _asked(events, asked, lost, bool(told.hosts_ran))
                trees = tuple(_Grower(events, rows[:MOST_TREES]).trees())
            late = guard.stop.requested, tuple(guard.unread)
            return Grown(trees, len(rows), told.reason, tallies, (*collected.problems, *problems), *late)

        return isolation.attempts(attempt, request.bounds, stop, watcher.note)


def of_finding(named: str, out: Path | None, request: Request, watcher: Watcher | None = None) -> Asked:
    """The process that a finding tells of: the accused, else what it started. Raises HuntError if it tells of none."""
    if out:
        found = earlier.one(earlier.read(out), named)
    else:
        report = pipeline.run(request, watcher)
        found = earlier.one(earlier.Earlier(Path("this evidence"), report.findings, (), raw=True), named)
    row = found.row(0, named=True)
    filters = Filters(hosts=(globs_off(row["host"]),)) if row["host"] else Filters()
    for side, time in (("", "start"), ("target_", "end")):
        if row[f"{side}process_guid"] is not None:
            return Asked(guid=row[f"{side}process_guid"], filters=filters)
        if row[f"{side}pid"] is not None:
            return Asked(pid=row[f"{side}pid"], filters=filters, at=row[time] or row["start"] or row["end"])
    raise HuntError(f"finding {row['finding_id']} tells of no process (`hunt show-finding` tells its story)")


def globs_off(name: str) -> str:
    """A host's name as a pattern that no other host's fits: hostile ones may hold * and ?."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def bare(guid: str) -> str:
    """A GUID as frames have it: upper case, in braces."""
    return "{" + guid.strip().strip("{}").upper() + "}"


def _asked(events: Events, asked: Asked, lost: bool, told: bool) -> list[int]:
    """Rows of `case.processes`, by start. Raises HuntError if there are none, and says what that is worth.

    `lost`: not all was read; `told`: some host logged process starts.
    """
    same = pl.col("guid") == bare(asked.guid) if asked.guid else pl.col("pid") == asked.pid
    found = events.processes.filter(same).select("row", "host", "start").sort("start", "row").collect()
    rows = [int(row) for row, host, _ in found.iter_rows() if host is None or asked.filters.shows_host(host)]
    if asked.at is not None:  # the last that had begun by then
        begun = found.filter(pl.col("row").is_in(rows) & (pl.col("start") <= pl.lit(asked.at) + _LATE))
        rows = [int(row) for row in begun["row"].tail(1)] or rows
    if not rows:
        what = f"GUID {safe(bare(asked.guid))}" if asked.guid else f"id {asked.pid}"
        hosts = f" on {' or '.join(map(safe, asked.filters.hosts))}" if asked.filters.hosts else ""
        rest = "" if told else "; no host logged process starts"
        rest += "; part of the evidence could not be read" if lost else ""
        raise HuntError(f"no process of the evidence has the {what}{hosts}{rest}")
    return rows


class _Grower:
    """Knows the processes of the hosts concerned by whom they were started."""

    def __init__(self, events: Events, rows: list[int]) -> None:
        self._rows = rows
        every = events.processes
        hosts = every.filter(pl.col("row").is_in(rows)).select("host_key").unique()
        own = every.join(hosts, on="host_key", how="semi", maintain_order="left")
        links = own.select(_LINKS).collect()
        held = links.sort("host_key", "pid", "start", "row")
        gone = pl.when(pl.col("pid").is_not_null()).then(pl.col("start").shift(-1).over("host_key", "pid"))
        self._links = held.with_columns(gone.alias("gone"))
        self._all = own
        lineage = events.lineage.join(hosts, on="host_key", how="semi").collect()
        self._lineage = {int(row["child_row"]): row for row in lineage.iter_rows(named=True)}
        self._requested = lineage.filter(pl.col("grade").is_in(SURE))

    def trees(self) -> Iterator[Node]:
        for row in self._rows:
            yield self._tree(row)

    def _tree(self, row: int) -> Node:
        path = self._path(row)
        below = self._below(row, set(path))
        shown = {*path, *(child for children, _ in below.values() for child in children)}
        facts = self._facts(shown)
        asked = self._node(row, below, facts)
        asked.asked = True
        top = asked
        for above in path[1:]:
            node = Node(facts[above])
            node.perhaps = self._perhaps(above)
            node.children.append(top)
            top.edge = self._edge(int(top.process["row"]), above)
            top = node
        known = self._above(int(top.process["row"]))
        if known is None and (named := self._named_parent(int(top.process["row"]))):
            return Node(named, children=[top])
        return top

    def _facts(self, rows: set[int]) -> dict[int, dict[str, Any]]:
        found = self._all.filter(pl.col("row").is_in(list(rows))).select(_SHOWN).collect()
        return {int(told["row"]): told for told in found.iter_rows(named=True)}

    def _path(self, row: int) -> list[int]:
        """The process and those above it, the nearest first."""
        path = [row]
        while len(path) <= _HIGHEST:
            above = self._above(path[-1])
            if above is None or above in path:
                break
            path.append(above)
        return path

    def _above(self, row: int) -> int | None:
        """The requester, if it is sure enough, else the logged parent."""
        asked = self._lineage.get(row)
        if asked and asked["grade"] in SURE and asked["requester_row"] is not None:
            return int(asked["requester_row"])
        return self._parent(row)

    def _parent(self, row: int) -> int | None:
        own = self._links.filter(row=row).row(0, named=True)
        host = self._links.filter(pl.col("host_key").eq_missing(pl.lit(own["host_key"])), pl.col("row") != row)
        if own["parent_guid"] is not None:
            met = host.filter(guid=own["parent_guid"])
        elif own["parent_pid"] is not None and own["start"] is not None:
            before = host.filter(pid=own["parent_pid"]).filter(pl.col("start") <= own["start"]).tail(1)
            met = before.filter(pl.col("end").is_null() | (pl.col("end") + _LATE >= own["start"]))
        else:
            return None
        return int(met["row"][0]) if met.height else None

    def _named_parent(self, row: int) -> dict[str, Any] | None:
        """What the start of a process says of a parent that nothing else is known of."""
        own = self._links.filter(row=row).row(0, named=True)
        named = {"guid": own["parent_guid"], "pid": own["parent_pid"], "image": own["parent_image"]}
        return {**dict.fromkeys(_SHOWN), **named, "row": -1} if any(v is not None for v in named.values()) else None

    def _below(self, row: int, above: set[int]) -> dict[int, tuple[list[int], int]]:
        """For each process below, this one too: its children that are shown, and how many are not."""
        told: dict[int, tuple[list[int], int]] = {}
        met, front, room = set(above), [row], MOST
        for _ in range(_DEEPEST):
            pairs = self._children(front).filter(~pl.col("row").is_in(list(met)))
            pairs = pairs.unique("row", keep="first", maintain_order=True)  # a requester comes before a parent
            front = []
            for parent, group in pairs.sort("start", "row", nulls_last=True).group_by("of", maintain_order=True):
                rows = [int(child) for child in group["row"]]
                kept = rows[: min(_MOST_CHILDREN, room)]
                room -= len(kept)
                told[int(str(parent[0]))] = kept, len(rows) - len(kept)
                met.update(kept)
                front += kept
            if not front:
                return told
        deeper = self._children(front).filter(~pl.col("row").is_in(list(met)))
        last = deeper.group_by("of").agg(pl.col("row").n_unique())
        return told | {int(of): ([], int(count)) for of, count in last.iter_rows()}

    def _children(self, rows: list[int]) -> pl.DataFrame:
        """of, row, start: those that these requested, then those whose logged parent they are; the latter without
        those that somebody else requested."""
        front = self._links.filter(pl.col("row").is_in(rows)).select(
            pl.col("row").alias("of"), "host_key", "guid", "pid", pl.col("start").alias("since"), "end", "gone"
        )
        sure = self._requested.select(pl.col("requester_row").alias("of"), pl.col("child_row").alias("row"))
        requested = sure.filter(pl.col("of").is_in(rows)).join(self._links.select("row", "start"), on="row")
        children = self._links.select("row", "host_key", "start", "parent_guid", "parent_pid")
        named = children.join(front, left_on=["host_key", "parent_guid"], right_on=["host_key", "guid"])
        unnamed = children.filter(pl.col("parent_guid").is_null())
        numbered = unnamed.join(front, left_on=["host_key", "parent_pid"], right_on=["host_key", "pid"]).filter(
            pl.col("start") >= pl.col("since"),
            pl.col("gone").is_null() | (pl.col("start") < pl.col("gone")),
            pl.col("end").is_null() | (pl.col("end") + _LATE >= pl.col("start")),
        )
        logged = pl.concat([part.select("of", "row", "start") for part in (named, numbered)])
        alone = logged.join(sure, on="row", how="anti").filter(pl.col("of") != pl.col("row"))
        return pl.concat([requested.select("of", "row", "start"), alone])

    def _node(self, row: int, below: dict[int, tuple[list[int], int]], facts: dict[int, dict[str, Any]]) -> Node:
        children, left = below.get(row, ([], 0))
        node = Node(facts[row], perhaps=self._perhaps(row), left=left)
        for child in children:
            below_it = self._node(child, below, facts)
            below_it.edge = self._edge(child, row)
            node.children.append(below_it)
        return node

    def _edge(self, row: int, above: int) -> dict[str, Any] | None:
        told = self._lineage.get(row)
        return self._with_parent(told) if told and told["requester_row"] == above and told["grade"] in SURE else None

    def _perhaps(self, row: int) -> dict[str, Any] | None:
        told = self._lineage.get(row)
        return self._with_parent(told) if told and told["grade"] not in SURE else None

    def _with_parent(self, told: dict[str, Any]) -> dict[str, Any]:
        own = self._links.filter(row=told["child_row"]).row(0, named=True)
        return {**told, "parent_image": own["parent_image"], "parent_pid": own["parent_pid"]}
