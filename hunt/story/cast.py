"""Who is in a story: the accused process, what it started, the Outlook it used, their ancestors and descendants."""

from __future__ import annotations

import polars as pl

from hunt import logons, processes
from hunt.lineage.hand_offs import HAND_OFF_NS
from hunt.model import Case
from hunt.story.within import within

AFTER = pl.duration(minutes=10, time_unit="ns")  # the story goes on so long after the finding's last event
# Generations that are followed, and descendants of one finding: what they did is told of all of them, they themselves
# are listed as far as a step goes.
_DEEPEST = 256
_MOST = 10_000

# A row a finding and process. `subject`: process, target, attached, ancestor or descendant; `depth`: generations from
# it; `row`: of `case.processes`, null if that does not know it; `gone`: just before its process id was another's;
# `since`, `until`: the time the story is about.
CAST = (
    *("finding_id", "subject", "depth", "row", "host", "host_key", "guid", "pid", "parent_guid", "parent_pid"),
    *("image", "command_line", "user", "integrity", "session", "logon_id", "start", "start_source", "end"),
    *("gone", "since", "until"),
)
_FACTS = CAST[CAST.index("guid") : CAST.index("since")]
_STORY = ("finding_id", "since", "until")
_OUTLOOK = "outlook.exe"


def spans(findings: pl.DataFrame) -> pl.DataFrame:
    """finding_id, host, host_key, user, since, until: the time that each story is about; null if no event has one."""
    begin, end = pl.coalesce("start", "end"), pl.coalesce("end", "start")
    return findings.select(
        "finding_id",
        "host",
        pl.col("host").str.to_lowercase().alias("host_key"),
        "user",
        begin.alias("since"),
        (pl.max_horizontal(begin, end) + AFTER).alias("until"),
    )


class People:
    """The processes of some hosts, by whom they were started."""

    def __init__(self, case: Case, hosts: pl.DataFrame) -> None:
        """`hosts`: host_key."""
        self._all = case.processes
        own = self._all.join(hosts.lazy().unique(), on="host_key", how="semi")
        self._known = own.select(
            "row", "host_key", "guid", "pid", "start", "end", "parent_guid", "parent_pid"
        ).collect()
        self._outlooks = own.filter(processes.base_name("image") == _OUTLOOK).collect()
        guids = self._known.drop_nulls("guid").unique(["host_key", "guid"], keep="first", maintain_order=True)
        self._guids = guids.select("host_key", "guid", "row")
        self._tree = self._parents()
        held = self._known.drop_nulls(["host_key", "pid", "start"]).sort("host_key", "pid", "start", "row")
        another = pl.col("start").shift(-1).over("host_key", "pid") - pl.duration(nanoseconds=1, time_unit="ns")
        self._gone = held.select("row", another.alias("gone"))

    def cast(self, findings: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """(CAST, for each finding how many more ancestors or descendants, at least, were not followed: finding_id,
        step, count)."""
        seeds = self._seeds(findings, spans(findings))
        seeds = pl.concat([seeds, self._attached(findings, seeds)])
        seeds = seeds.unique(["finding_id", "row", "guid", "pid"], keep="first", maintain_order=True)
        above, higher = self._ancestors(seeds.filter(subject="process"))
        below, lower = self._descendants(seeds, above)
        more = [part.select("finding_id", pl.lit(step).alias("step"), "count") for step, part in
                (("ancestor", higher), ("descendant", lower))]  # fmt: skip
        return pl.concat([seeds, above, below]), pl.concat(more)

    def _parents(self) -> pl.DataFrame:
        """row, parent_row, time (of the start) of every process whose parent is known."""
        named = self._known.join(
            self._guids.rename({"guid": "parent_guid", "row": "parent_row"}), on=["host_key", "parent_guid"]
        ).select("row", "parent_row", pl.col("start").alias("time"))
        rest = self._known.filter(pl.col("parent_guid").is_null())
        numbered = self._holders(
            rest.select("row", "host_key", pl.col("parent_pid").alias("pid"), pl.col("start").alias("time"))
        ).select("row", pl.col("_holder").alias("parent_row"), "time")
        return pl.concat([named, numbered]).filter(pl.col("row") != pl.col("parent_row"))

    def _holders(self, asked: pl.DataFrame) -> pl.DataFrame:
        """`_holder`: the process that had the id `pid` on the host at the time `time`; others are left out."""
        held = self._known.select(
            *("host_key", "pid"),
            *(pl.col(c).alias(name) for c, name in (("start", "_since"), ("end", "_end"), ("row", "_holder"))),
        )
        met = (
            asked.drop_nulls(["host_key", "pid", "time"])
            .sort("time")
            .join_asof(
                held.drop_nulls(["host_key", "pid", "_since"]).sort("_since"),
                left_on="time",
                right_on="_since",
                by=["host_key", "pid"],
                strategy="backward",
                check_sortedness=False,  # both sides are in order within each key
            )
        )
        alive = pl.col("_end").is_null() | (pl.col("_end") + _LATE >= pl.col("time"))
        return met.filter(pl.col("_holder").is_not_null() & alive)

    def _seeds(self, findings: pl.DataFrame, times: pl.DataFrame) -> pl.DataFrame:
        """The processes that findings name, with all that is known of them."""
        named = pl.concat([_named(findings, "process", "", "start"), _named(findings, "target", "target_", "end")])
        told = named.filter(pl.any_horizontal(pl.col("guid", "pid", "image").is_not_null()))
        placed = told.join(times.drop("user"), on="finding_id", how="left", maintain_order="left")
        placed = placed.with_row_index("_seed")
        by_guid = placed.join(self._guids, on=["host_key", "guid"]).select("_seed", "row")
        by_pid = self._holders(placed.filter(pl.col("guid").is_null())).select("_seed", pl.col("_holder").alias("row"))
        rows = pl.concat([by_guid, by_pid])
        found = placed.join(rows, on="_seed", how="left", maintain_order="left")
        facts = self._facts(found).rename({c: f"_{c}" for c in _FACTS})
        whole = found.join(facts.drop("host", "host_key"), on="row", how="left", maintain_order="left")
        known = [pl.coalesce([f"_{c}", *([c] if c in found.columns else [])]).alias(c) for c in _FACTS]
        return _shaped(whole.with_columns(*known, pl.lit(0).alias("depth")))

    def _facts(self, rows: pl.DataFrame) -> pl.DataFrame:
        """row, host, host_key and _FACTS of the rows."""
        few = self._all.join(rows.lazy().select("row").unique(), on="row", how="semi")
        told = few.select("row", "host", "host_key", *(c for c in _FACTS if c != "gone")).collect()
        return told.join(self._gone, on="row", how="left", maintain_order="left")

    def _with_facts(self, rows: pl.DataFrame, subject: str) -> pl.DataFrame:
        """CAST out of _STORY, row and depth."""
        told = rows.join(self._facts(rows), on="row", how="inner", maintain_order="left")
        return _shaped(told.with_columns(pl.lit(subject).alias("subject")))

    def _attached(self, findings: pl.DataFrame, seeds: pl.DataFrame) -> pl.DataFrame:
        """The Outlook that ran already and to which the started one handed over: the same user's, as far as known."""
        attached = findings.filter(pl.col("attached").fill_null(value=False))
        handed = (
            seeds.filter(subject="target")
            .join(attached.select("finding_id", pl.col("end").alias("at")), on="finding_id")
            .drop_nulls("at")
            .select(*_STORY, "host_key", _folded("user"), "at", pl.col("row").alias("_own"))
            .sort("at", "finding_id")
        )
        lasting = pl.col("end").is_null() | (pl.col("end") - pl.col("start") > _HAND_OFF)
        others = self._outlooks.filter(lasting).join(handed, left_on="row", right_on="_own", how="anti")
        live = others.select("host_key", _folded("user"), "row", "start", "end")
        nobodys = live.filter(pl.col("user").is_null()).drop("user")
        found = []
        for by, some in ((["host_key", "user"], live), (["host_key"], nobodys)):
            met = handed.join_asof(
                some.drop_nulls([*by, "start"]).sort("start"),
                left_on="at",
                right_on="start",
                by=by,
                strategy="backward",
                check_sortedness=False,  # both sides are in order within each key
            )
            alive = pl.col("end").is_null() | (pl.col("end") >= pl.col("at"))
            found.append(met.filter(pl.col("row").is_not_null(), alive))
        best = pl.concat([part.select(*_STORY, "row") for part in found])
        once = best.unique("finding_id", keep="first", maintain_order=True)
        return self._with_facts(once.with_columns(pl.lit(0).alias("depth")), "attached")

    def _ancestors(self, seeds: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The parent first, then its parent ...; finding_id, count of those that have more."""
        front = seeds.drop_nulls("row").select(*_STORY, "row")
        seen, levels = front.select("finding_id", "row"), [front.clear()]
        for _ in range(_DEEPEST):
            above = front.join(self._tree.select("row", "parent_row"), on="row", maintain_order="left")
            parents = above.select(*_STORY, pl.col("parent_row").alias("row"))
            # Logs that were made up may hold circles.
            front = parents.join(seen, on=["finding_id", "row"], how="anti", maintain_order="left")
            if not front.height:
                break
            seen = pl.concat([seen, front.select("finding_id", "row")])
            levels.append(front)
        cut = front.group_by("finding_id").agg(pl.len().cast(pl.Int64).alias("count"))
        return self._with_facts(_numbered(levels), "ancestor"), cut.filter(len(levels) > _DEEPEST)

    def _descendants(self, seeds: pl.DataFrame, above: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Those that started in the time of the story, by generation; finding_id, count of those left out."""
        front = seeds.drop_nulls("row").select(*_STORY, "row")
        seen = pl.concat([part.drop_nulls("row").select("finding_id", "row") for part in (seeds, above)])
        levels, left = [front.clear()], []
        born = self._tree.rename({"parent_row": "_parent"})
        for _ in range(_DEEPEST):
            asked = front.rename({"row": "_parent"}).with_columns(at=None).with_row_index("_span")
            pairs, counts = within(asked, born, ["_parent"], _MOST)
            owners = asked.select("_span", *_STORY)
            total = counts.join(owners, on="_span").group_by("finding_id").agg(pl.col("count").sum())
            met = pairs.join(owners, on="_span", maintain_order="left").unique(
                ["finding_id", "row"], keep="first", maintain_order=True
            )
            fresh = met.join(seen, on=["finding_id", "row"], how="anti").sort("finding_id", "time", "row")
            if not fresh.height:
                break
            had = pl.concat(levels).group_by("finding_id").agg(pl.len().cast(pl.Int64).alias("_had"))
            place = pl.int_range(pl.len()).over("finding_id") + pl.col("_had").fill_null(0)
            told = fresh.join(had, on="finding_id", how="left", maintain_order="left").filter(place < _MOST)
            known = self._tree.join(seen, on="row").join(
                asked, left_on=["finding_id", "parent_row"], right_on=["finding_id", "_parent"]
            )
            left.append(_rest(total, known.filter(pl.col("time").is_between("since", "until")), told))
            front = told.select(*_STORY, "row")
            seen = pl.concat([seen, front.select("finding_id", "row")])
            levels.append(front)
        none = pl.DataFrame(schema={"finding_id": pl.String, "count": pl.Int64})
        if len(levels) > _DEEPEST:
            left.append(front.group_by("finding_id").agg(pl.len().cast(pl.Int64).alias("count")))
        more = pl.concat([none, *left]).group_by("finding_id").agg(pl.col("count").sum())
        return self._with_facts(_numbered(levels), "descendant"), more


_LATE = pl.duration(seconds=1, time_unit="ns")  # a process's last child may be logged after its end

# An Outlook that hands over to a running one ends within this time (reference: effective-parent.md).
_HAND_OFF = pl.duration(nanoseconds=HAND_OFF_NS, time_unit="ns")


def _named(findings: pl.DataFrame, subject: str, prefix: str, at: str) -> pl.DataFrame:
    """What findings say themselves of a process; `time`: when it was there."""
    own = subject == "process"
    nothing = {"user": pl.String(), "integrity": pl.String(), "session": pl.UInt32()}
    return findings.select(
        "finding_id",
        pl.lit(subject).alias("subject"),
        *(
            pl.col(f"{prefix}{theirs}").alias(ours)
            for ours, theirs in (
                *(("guid", "process_guid"), ("pid", "pid")),
                *(("image", "image"), ("command_line", "command_line")),
            )
        ),
        pl.coalesce(at, "start", "end").alias("time"),
        *((pl.col(c) if own else pl.lit(None, dtype)).alias(c) for c, dtype in nothing.items()),
        (logons.luid("logon_id") if own else pl.lit(None, pl.UInt64)).alias("logon_id"),
    )


def _shaped(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(CAST).with_columns(pl.col("depth", "row").cast(pl.UInt32))


def _folded(column: str) -> pl.Expr:
    return pl.col(column).str.to_lowercase()


def _numbered(levels: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(level.with_columns(pl.lit(n).alias("depth")) for n, level in enumerate(levels))


def _rest(total: pl.DataFrame, known: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    """finding_id, count: of all children those that are not told, here or as somebody else in the story."""
    whole = total
    for part, name in ((known, "_known"), (told, "_told")):
        counted = part.group_by("finding_id").agg(pl.len().cast(pl.Int64).alias(name))
        whole = whole.join(counted, on="finding_id", how="left")
    rest = pl.col("count") - pl.col("_known").fill_null(0) - pl.col("_told").fill_null(0)
    return whole.select("finding_id", rest.alias("count"))
