"""Who requested each process that a broker started, on some hosts: LINEAGE and CANDIDATES of these."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from hunt.lineage.brokered import assumed, brokered
from hunt.lineage.candidates import (
    FROM_NETWORK,
    LOGON,
    NAMELESS,
    NAMES,
    PAIR,
    REASONS,
    SESSION,
    USER,
    Candidates,
    Found,
    Search,
    candidates,
    children_of,
    explained,
    joined,
    search,
    strangers,
)
from hunt.lineage.columns import CANDIDATES, LINEAGE
from hunt.lineage.grades import GRADES, Best, C, best, graded, ranked
from hunt.lineage.hand_offs import handed_over
from hunt.lineage.kinds import UNKNOWN, Ints, Small
from hunt.lineage.logons import BATCH, NETWORK, SERVICE, logons
from hunt.lineage.numbers import numbers
from hunt.lineage.parts import Logged
from hunt.lineage.possible import Possible
from hunt.lineage.processes import DERIVED, typed
from hunt.schema import TEXTS, seconds


@dataclass(frozen=True, slots=True)
class Traced:
    """What `traced` found. `rows`: of `case.processes`, those looked at; elsewhere rows count from 0."""

    rows: pl.Series
    within: Search
    found: Found
    grade: Small
    best: Best
    logons: pl.DataFrame
    attached: pl.Series

    def lineage(self) -> pl.DataFrame:
        """LINEAGE of these hosts, by host, time and GUID of the child."""
        kids, some = self.within.children.frame, np.flatnonzero(self.best.pair >= 0)
        pairs = self.found.pairs.only(self.best.pair[some])
        who = self.within.known.select("row", *_WHO)[pairs.candidate]
        requester = who.select(
            pl.Series("child_row", pairs.child, dtype=pl.UInt32),
            pl.col("row").alias("requester_row"),
            _worded([*GRADES], self.best.grade[some], "grade"),
            pl.col("guid").alias("requester_guid"),
            pl.col("pid").alias("requester_pid"),
            pl.col("image").alias("requester_image"),
            pl.col("start").alias("requester_start"),
            DERIVED["start_source"].alias("start_source"),
            explained(pl.Series(pairs.flags)).alias("evidence"),
            pl.Series("competitors", self.best.competitors[some]),
            pl.Series("ambiguous", self.best.ambiguous[some]),
        )
        whole = (
            kids.select(
                pl.col("row").alias("child_row"),
                "host",
                "host_key",
                pl.col("start").alias("time"),
                pl.col("guid").alias("child_guid"),
                pl.col("pid").alias("child_pid"),
                pl.col("image").alias("child_image"),
                pl.col("parent_image").alias("broker"),
                "mechanism",
                self.attached.alias("attached"),
                pl.lit(pl.Series(self.found.left_over)).alias("left_over"),
                pl.concat_list(assumed()).list.drop_nulls().alias("_assumed"),
            )
            .join(requester, on="child_row", how="left", maintain_order="left")
            .join(self.logons.rename({"row": "child_row"}), on="child_row", how="left", maintain_order="left")
            .with_columns(
                self._locality(),
                seconds(pl.col("time") - pl.col("requester_start")).alias("delta_s"),
                pl.concat_list(
                    pl.col("evidence").fill_null(pl.lit(["requester unknown"], TEXTS)), "_assumed", _unseen()
                ),
                pl.col("competitors").fill_null(0),
                pl.col("ambiguous").fill_null(value=False),
            )
        )
        ordered = typed(whole, LINEAGE).sort("host_key", "time", "child_guid", "child_pid", "child_row")
        return ordered.with_columns(self.rows.gather(ordered[c]).alias(c) for c in ("child_row", "requester_row"))

    def _locality(self) -> pl.Expr:
        """local: by a requester of the same logon, or one that is known otherwise; else what the logon was."""
        numbers, children, pairs = self.within.numbers, self.within.children, self.found.pairs
        which = np.flatnonzero(self.best.pair >= 0)
        pair = self.best.pair[which]
        # Another process that the same broker started may come from the same stranger.
        sibling = (numbers.parent[pairs.candidate[pair]] == children.parent[which]) & (
            children.parent[which] != UNKNOWN
        )
        sure = np.zeros(self.best.pair.size, bool)
        sure[which] = (self.best.grade[which] <= C) | (((pairs.flags[pair] & LOGON) != 0) & ~sibling)
        kind = pl.col("logon_type")
        return (
            pl.when(pl.lit(pl.Series(sure)))
            .then(pl.lit("local"))
            .when((kind == NETWORK) & (pl.col("origin") == "remote"))
            .then(pl.lit("remote"))
            .when(kind == BATCH)
            .then(pl.lit("task"))
            .when(kind == SERVICE)
            .then(pl.lit("service"))
            .otherwise(pl.lit("unknown"))
            .alias("locality")
        )

    def possible(self) -> Possible:
        """Those of the candidates that nothing excludes."""
        some = np.flatnonzero(self.found.pairs.excluded == 0)
        pairs, rows = self.found.pairs.only(some), self.rows.to_numpy()
        return Possible(
            rows[pairs.child].astype(np.int32),
            rows[pairs.candidate].astype(np.int32),
            pairs.flags.astype(np.int16),
            self.grade[some].astype(np.int8),
            pairs.gap,
        )

    def candidates(self, of: pl.Series | None = None) -> pl.DataFrame:
        """CANDIDATES and `host_key`, by host, time and GUID of the child, then by rank, the excluded ones last; of all
        children, or of these rows of `case.processes`."""
        children, pairs = self.within.children, self.found.pairs
        chosen = np.ones(children.row.size, bool)
        if of is not None:
            chosen = self.rows.gather(children.row).is_in(of.implode()).to_numpy()
            pairs = pairs.only(chosen[children.at(pairs.child)])
        pairs = joined([pairs, strangers(self.within, pairs, chosen)])
        grade = graded(pairs, children)
        order, rank = ranked(pairs, grade, self.within.numbers)
        pairs, grade = pairs.only(order), grade[order]
        order = self._listed(pairs, rank)
        found, grade, rank = pairs.only(order), grade[order], rank[order]
        match = np.select([(found.flags & bit) != 0 for bit in _MATCHES], list(range(len(_MATCHES))), len(_MATCHES))
        who = self.within.known.select(*_WHO)[found.candidate]
        kid = children.frame.select("host", "host_key", "guid", "pid", "image", "start")[children.at(found.child)]
        ranks = pl.Series(rank, dtype=pl.UInt32)
        whole = pl.DataFrame(
            [
                self.rows.gather(found.child).alias("child_row"),
                self.rows.gather(found.candidate).alias("candidate_row"),
                kid["host"],
                kid["host_key"],
                kid["start"].alias("time"),
                kid["guid"].alias("child_guid"),
                kid["pid"].alias("child_pid"),
                kid["image"].alias("child_image"),
                ranks.set(ranks == 0, None).alias("rank"),
                _worded([*GRADES, None], grade, "grade"),
                who["guid"].alias("candidate_guid"),
                who["pid"].alias("candidate_pid"),
                who["image"].alias("candidate_image"),
                pl.DataFrame([kid["start"].alias("time"), who["start"]]).select(
                    seconds(pl.col("time") - pl.col("start")).alias("delta_s")
                )["delta_s"],
                who.select(DERIVED["start_source"].alias("start_source"))["start_source"],
                _worded([*_MATCHES.values(), "none"], match, "logon_match"),
                explained(pl.Series(found.flags)).alias("evidence"),
                _worded([None, *REASONS.values()], found.excluded, "excluded_because"),
            ]
        )
        return typed(whole, {**CANDIDATES, "host_key": pl.String()})

    def _listed(self, pairs: Candidates, rank: Ints) -> Ints:
        """The order of pairs by host, time and GUID of the child, then by rank, the excluded ones as they come."""
        kids = self.within.children.frame.select("host_key", "start", "guid", "pid", "row")
        place = np.empty(kids.height, np.int64)
        place[kids.select(pl.arg_sort_by("host_key", "start", "guid", "pid", "row"))[:, 0].to_numpy()] = np.arange(
            kids.height
        )
        last = np.where(rank == 0, np.iinfo(np.int64).max, rank)
        return np.lexsort((last, place[self.within.children.at(pairs.child)]))


_WHO = ("guid", "pid", "image", "start", "event_id")
_MATCHES = {LOGON: "logon", SESSION: "user_session", USER: "user", NAMELESS: "unknown"}


def _unseen() -> pl.Expr:
    """What is said where there were more candidates than are looked at; competitors count them."""
    more = pl.col("left_over")
    said = pl.concat_list(pl.format("{} more started in time and were not looked at", more))
    return pl.when(more > 0).then(said).otherwise(pl.lit([], TEXTS))


def _worded(words: list[str | None], at: Ints | Small, name: str) -> pl.Series:
    """A word for each number; -1 is the last."""
    return pl.Series(words, dtype=pl.String).gather(np.where(at < 0, len(words) - 1, at)).alias(name)


def traced(case: Logged, known: pl.DataFrame, window: int) -> Traced:
    """Who requested what: for all processes that a broker started, of those `known`, some of `case.processes`.

    `case`: of their hosts; `window`: ns from the requester's start to the child's.
    """
    numbered, local = numbers(known), known.with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).alias("row"))
    kids = brokered(local)
    children = children_of(kids, numbered)
    sessions = logons(case, kids)
    within = search(case, local, numbered, children, window)
    found = _without_remote(candidates(case, within), within, sessions)
    grade = graded(found.pairs, children)
    named = best(found, grade, numbered, children)
    attached = kids["row"].is_in(handed_over(local).implode()).alias("attached")
    return Traced(known["row"], within, found, grade, named, sessions, attached)


def _without_remote(found: Found, within: Search, sessions: pl.DataFrame) -> Found:
    """Where a child's logon came over the network, nobody here is its requester for his name or the time alone."""
    remote = sessions.filter(pl.col("logon_type") == NETWORK, pl.col("origin") == "remote")["row"].to_numpy()
    pairs = found.pairs
    weak = (pairs.excluded == 0) & np.isin(pairs.child, remote) & ((pairs.flags & (SESSION | USER | NAMELESS)) != 0)
    weak &= (pairs.flags & _SURE) == 0
    if not weak.any():
        return found
    children = within.children
    weak &= children.identity[children.at(pairs.child)]
    excluded = np.where(weak, FROM_NETWORK, pairs.excluded).astype(np.int32)
    return replace(found, pairs=replace(pairs, excluded=excluded))


_SURE = PAIR | NAMES
