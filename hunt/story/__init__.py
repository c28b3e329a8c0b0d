"""The story around each finding: what an analyst would look up next, answered from the logs for all findings at once.

`cast` says who is in it, `traces` what they did, `people` what is known of them and who else may be meant, `telemetry`
what nobody wrote down. Events are found by few columns (NEEDS); all their fields are read again for those told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import polars as pl

from hunt import lineage, signatures
from hunt.errors import TooLargeError
from hunt.events import Events
from hunt.model import Severity
from hunt.shares import host_key
from hunt.story import blocks, people, traces, words
from hunt.story.cast import People, spans
from hunt.story.columns import ABSENT, COLUMNS, MORE, MOST, MOST_EACH, MOST_FINDINGS, NONE, SEEN, STEPS, part
from hunt.story.telemetry import telemetry

__all__ = ["COLUMNS", "NEEDS", "STEPS", "tell"]

NEEDS = (*lineage.NEEDS, *lineage.READS, *signatures.NEEDS, *(trace.need for trace in traces.TRACES))

Complete = Callable[[pl.DataFrame], pl.DataFrame]
Shows = Callable[[str], bool]


def tell(
    shown: pl.DataFrame,
    found: pl.DataFrame,
    cases: Callable[[Iterable[str]], Iterable[Events]],
    complete: Complete,
    shows: Shows = lambda channel: True,
) -> pl.DataFrame:
    """COLUMNS, by finding and number: the stories of the findings `shown`, of all that were `found`.

    `cases` gives the events of hosts (`shares.host_key`), in one or more parts; `complete` reads all fields of events
    again (columns `sources` and `fields`); `shows`: whether a channel is read. Of very many findings the MOST_FINDINGS
    most severe that are not suppressed come first, and MOST_EACH of each query; others have no story.
    """
    told = _foremost(shown)
    stories = [pl.DataFrame(schema=COLUMNS)]
    if told.height:
        for case in cases(told.select(host_key().unique())["host"].to_list()):
            stories += _of_case(case.share.of(told), case.share.of(found), case, complete, shows)
    return pl.concat(stories).sort("finding_id", "number")


def _of_case(
    told: pl.DataFrame, found: pl.DataFrame, case: Events, complete: Complete, shows: Shows
) -> Iterable[pl.DataFrame]:
    if not told.height:
        return
    try:
        case = case.only(NEEDS)
    except TooLargeError as error:
        untold = told.select("finding_id", "host")
        yield _ordered(part(untold, step="telemetry", status=ABSENT, text=_UNTOLD + str(error)))
    else:
        known = People(case, told.select(pl.col("host").str.to_lowercase().alias("host_key")))
        for begin in range(0, told.height, _CHUNK):
            yield _stories(told.slice(begin, _CHUNK), found, case, known, complete, shows)


_UNTOLD = "the story is not told: it "


_CHUNK = 500  # findings whose stories are told at once: what is joined for them is in memory


def _stories(
    told: pl.DataFrame, found: pl.DataFrame, case: Events, known: People, complete: Complete, shows: Shows
) -> pl.DataFrame:
    times = spans(told)
    who, more = known.cast(told)
    processes, unlisted = people.processes(who, case)
    rivals, more_rivals = people.competitors(who, told, case)
    near, more_near = people.others(found, told)
    parts = [processes, people.images(who, told, case), rivals, near]
    left = [more, unlisted, _left(more_rivals, "competitor"), _left(more_near, "other")]
    for of_trace in traces.find(who, times, case):
        rows, rest = _acts(of_trace, times, complete)
        parts.append(rows)
        left.append(_left(rest, of_trace.trace.step))
    seen = pl.concat(parts).select("finding_id", "step", "channel").unique()
    hosts = told.select("finding_id", "host")
    unseen = part(_more(pl.concat(left)).join(hosts, on="finding_id"))
    return _ordered(pl.concat([*parts, telemetry(times, case, seen, shows, _partly(more)), unseen]))


def _foremost(shown: pl.DataFrame) -> pl.DataFrame:
    ranks = {severity.value: -severity.rank for severity in Severity}
    rank = pl.col("severity").replace_strict(ranks, default=0, return_dtype=pl.Int8)
    ordered = shown.sort(pl.col("suppressed").is_not_null(), rank, "start", "finding_id", nulls_last=True)
    each = ordered.unique("finding_id", keep="first", maintain_order=True)
    return each.filter(pl.int_range(pl.len()).over("query") < MOST_EACH).head(MOST_FINDINGS)


def _acts(of_trace: traces.Found, times: pl.DataFrame, complete: Complete) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(PART rows of one trace; finding_id, count of those that are not told)."""
    trace, more = of_trace.trace, of_trace.more
    rows = of_trace.links.join(complete(of_trace.events), on="_event", how="inner", maintain_order="left")
    if trace.event_id == _SCRIPT:
        rows = blocks.joined(rows)
        far = (pl.col("time") - pl.col("at")).abs()
        rows = rows.join(times.select("finding_id", traces.act()), on="finding_id", how="left", maintain_order="left")
        rows = rows.sort("finding_id", ~pl.col("_first"), far, maintain_order=True)
        rest = rows.filter(_PLACE >= MOST).group_by("finding_id").agg(pl.len().cast(pl.Int64).alias("count"))
        more = pl.concat([more, rest])
        rows = rows.filter(_PLACE < MOST)
    texts = [words.line(trace.step, trace.event_id, fields) for fields in rows["fields"]]
    told = rows.with_columns(pl.Series("text", texts, dtype=pl.String), pl.col("guid").alias("process_guid"))
    return part(told, step=trace.step, status=SEEN), more


_PLACE = pl.int_range(pl.len()).over("finding_id")
_SCRIPT = 4104


def _partly(more: pl.DataFrame) -> pl.Series:
    """Findings of which not all descendants were followed: what was not met may be theirs."""
    return more.filter(pl.col("step") == "descendant", pl.col("count") > 0)["finding_id"].unique()


def _left(counts: pl.DataFrame, step: str) -> pl.DataFrame:
    return counts.select("finding_id", pl.lit(step).alias("step"), pl.col("count").cast(pl.Int64))


def _more(left: pl.DataFrame) -> pl.DataFrame:
    """Rows that say how many are not told."""
    counts = left.group_by("finding_id", "step").agg(pl.col("count").sum()).filter(pl.col("count") > 0)
    text = pl.format("and {} more that are not told here", "count")
    return counts.select("finding_id", "step", text.alias("text"), pl.lit(MORE).alias("status"))


# Steps whose rows stand in the order in which they were found: by generation, by rank.
_AS_FOUND = ("process", "image", "target", "attached", "ancestor", "descendant", "competitor")


def _ordered(rows: pl.DataFrame) -> pl.DataFrame:
    """By finding and step, what matters most first, then by time; what is not known comes last."""
    step = pl.col("step").replace_strict({name: n for n, name in enumerate(STEPS)}, return_dtype=pl.UInt8)
    as_found = pl.col("step").is_in(_AS_FOUND)
    place = (pl.when(as_found).then("_as_found"), pl.when(~as_found).then("time"))
    known = pl.col("status").replace_strict({SEEN: 0, MORE: 1, NONE: 2, ABSENT: 3}, return_dtype=pl.UInt8)
    ordered = rows.with_row_index("_as_found").sort(
        "finding_id", step, known, ~pl.col("_first").fill_null(value=False), *place,
        "channel", "event_id", "record_id", "_as_found", nulls_last=True,
    )  # fmt: skip
    numbered = ordered.with_columns((pl.int_range(pl.len()).over("finding_id") + 1).alias("number"))
    return numbered.select(pl.col(c).cast(dtype) for c, dtype in COLUMNS.items())
