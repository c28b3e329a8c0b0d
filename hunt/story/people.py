"""The processes of a story as its rows, what is known of the accused image, and who else may be meant."""

from __future__ import annotations

import json

import polars as pl

from hunt import schema, signatures
from hunt.events import Events
from hunt.processes import sha256
from hunt.story.columns import MOST, PART, SEEN, part
from hunt.story.within import within

_TOLD = (
    *("image", "command_line", "user", "integrity", "session", "logon_id", "start", "start_source", "end"),
    *("guid", "pid", "parent_guid", "parent_pid", "depth"),
)


def processes(cast: pl.DataFrame, case: Events) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(PART rows of those in CAST, each with the event of its start if that was logged; finding_id, step, count of
    those beyond MOST)."""
    place = pl.int_range(pl.len()).over("finding_id", "subject")
    rest = cast.filter(place >= MOST).group_by("finding_id", pl.col("subject").alias("step"))
    more = rest.agg(pl.len().cast(pl.Int64).alias("count"))
    cast = cast.filter(place < MOST)
    known = case.processes.join(cast.lazy().select("row").unique(), on="row", how="semi")
    places = known.select("row", "channel", "event_id", "record_id").collect()
    rows = cast.join(places, on="row", how="left", maintain_order="left")
    logged = rows.with_columns(
        *(pl.when(pl.col("record_id").is_not_null()).then(c).alias(c) for c in ("channel", "event_id")),
        pl.col("subject").alias("step"),
        pl.col("start").alias("time"),
        pl.col("guid").alias("process_guid"),
        _text().alias("text"),
        _json(
            cast.select(_TOLD).with_columns(
                schema.hex_text(pl.col("logon_id")).alias("logon_id"), schema.time_text(pl.col("start", "end"))
            )
        ),
        pl.lit(value=False).alias("_first"),
    )
    return part(_with_sources(logged, case), status=SEEN), more


def _text() -> pl.Expr:
    """Who, since when, with which command line."""
    started = (
        pl.when(pl.col("start").is_null())
        .then(pl.lit("start not known"))
        .when(pl.col("start_source") == "guid")
        .then(pl.lit("started in the second of ") + schema.time_text(pl.col("start")) + pl.lit(" (its GUID)"))
        .otherwise(pl.lit("started ") + schema.time_text(pl.col("start")))
    )
    ended = pl.coalesce(pl.lit("ended ") + schema.time_text(pl.col("end")), pl.lit("no end logged"))
    integrity = pl.lit("integrity ") + pl.col("integrity")
    session = pl.lit("session ") + pl.col("session").cast(pl.String)
    command = pl.lit("$ ") + pl.col("command_line")
    return pl.concat_str(
        pl.coalesce("image", pl.lit("unknown image")),
        "user",
        integrity,
        session,
        started,
        ended,
        command,
        separator=", ",
        ignore_nulls=True,
    )


def _json(frame: pl.DataFrame) -> pl.Series:
    """What is known of each row as a JSON object, without what is not."""
    texts = [
        json.dumps({name: value for name, value in row.items() if value is not None}, ensure_ascii=False)
        for row in frame.iter_rows(named=True)
    ]
    return pl.Series("fields", texts, dtype=pl.String)


def _with_sources(rows: pl.DataFrame, case: Events) -> pl.DataFrame:
    """`sources` of the events that rows name."""
    numbered = rows.with_row_index("_row")
    met = [pl.DataFrame(schema={"_row": pl.UInt32, "sources": PART["sources"]})]
    for channel, event_id in numbered.select("channel", "event_id").drop_nulls().unique().sort("channel").iter_rows():
        named = (
            numbered.lazy().filter(channel=channel, event_id=event_id).select("_row", "host_key", "record_id", "time")
        )
        places = case.frame(channel, event_id).select(
            pl.col("host").str.to_lowercase().alias("host_key"), "record_id", "time", "sources"
        )
        keys = ["host_key", "record_id", "time"]
        found = named.select("_row", *keys).join(places, on=keys, how="inner")
        met.append(found.select("_row", "sources").collect())
    once = pl.concat(met).unique("_row", keep="first", maintain_order=True)
    return numbered.join(once, on="_row", how="left", maintain_order="left").drop("_row")


def images(cast: pl.DataFrame, findings: pl.DataFrame, case: Events) -> pl.DataFrame:
    """PART rows: signature, age and hashes of the image of each accused process; what is not known is said."""
    accused = cast.filter(subject="process")
    known = case.processes.join(accused.lazy().select("row").unique(), on="row", how="semi")
    known = known.select("row", "hashes", sha256("hashes").alias("sha256"), "original_file_name", "description")
    told = accused.join(known.collect(), on="row", how="left", maintain_order="left").join(
        findings.select("finding_id", pl.col("sha256").alias("_sha256")),
        on="finding_id",
        how="left",
        maintain_order="left",
    )
    judged = signatures.known(
        case, told.with_columns(pl.coalesce("sha256", "_sha256").alias("sha256")).lazy()
    ).collect()
    return part(
        judged.with_columns(
            pl.lit("image").alias("step"),
            pl.col("guid").alias("process_guid"),
            _image_text().alias("text"),
            _json(judged.select(_IMAGE)),
            pl.lit(value=False).alias("_first"),
        ),
        status=SEEN,
    )


_IMAGE = (
    *("image", "signature", "signer", "file_age_s", "timestomped", "sha256", "hashes", "original_file_name"),
    "description",
)


def _image_text() -> pl.Expr:
    signature = (
        pl.when(pl.col("signature") == "unknown")
        .then(pl.lit("signature not known (no Sysmon 7 of this image)"))
        .otherwise(pl.concat_str(pl.lit("signature "), "signature"))
    )
    signer = pl.lit("signer ") + pl.col("signer")
    age = (
        pl.when(pl.col("file_age_s").is_null())
        .then(pl.lit("age not known (no Sysmon 11 of this file)"))
        .otherwise(pl.lit("written ") + pl.col("file_age_s").round(3).cast(pl.String) + pl.lit(" s before it started"))
    )
    stomped = pl.when(pl.col("timestomped")).then(pl.lit("its creation time was changed (Sysmon 2)"))
    original = pl.lit("original name ") + pl.col("original_file_name")
    hashes = pl.coalesce(pl.lit("SHA256=") + pl.col("sha256"), "hashes", pl.lit("no hash logged"))
    return pl.concat_str(signature, signer, age, stomped, original, hashes, separator=", ", ignore_nulls=True)


def competitors(cast: pl.DataFrame, findings: pl.DataFrame, case: Events) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(PART rows: who else may have requested the start, best first, then who was excluded and why; finding_id, count
    of those that are not told)."""
    # What was not started directly has candidates if a broker started it, though nobody may be known to have asked.
    asked = findings.filter(pl.col("grade").ne_missing("direct")).select("finding_id")
    children = cast.filter(subject="target").join(asked, on="finding_id", how="semi").drop_nulls("row")
    if not children.height:
        return pl.DataFrame(schema=PART), pl.DataFrame(schema={"finding_id": pl.String, "count": pl.Int64})
    own = cast.filter(subject="process").select("finding_id", pl.col("row").alias("_own"))
    pairs = (
        children.select("finding_id", "row")
        .join(own, on="finding_id", how="left")
        .join(case.candidates_of(children["row"]).collect(), left_on="row", right_on="child_row", how="inner")
        .filter(pl.col("candidate_row").ne_missing(pl.col("_own")))
        .sort("finding_id", "rank", "excluded_because", "delta_s", "candidate_row", nulls_last=True)
    )
    rivals = case.processes.join(pairs.lazy().select(row="candidate_row").unique(), on="row", how="semi").select(
        pl.col("row").alias("candidate_row"), pl.col("start").alias("time")
    )
    pairs = pairs.drop("time").join(rivals.collect(), on="candidate_row", how="left", maintain_order="left")
    place = pl.int_range(pl.len()).over("finding_id")
    more = pairs.filter(place >= MOST).group_by("finding_id").agg(pl.len().alias("count"))
    pairs = pairs.filter(place < MOST)
    graded_text = pl.concat_str(
        pl.lit("grade ") + pl.col("grade"),
        pl.col("delta_s").round(3).cast(pl.String) + pl.lit(" s before"),
        pl.lit("logon: ") + pl.col("logon_match"),
        pl.lit("evidence: ") + pl.col("evidence").list.join(", "),
        pl.lit("excluded: ") + pl.col("excluded_because"),
        separator=", ",
        ignore_nulls=True,
    )
    told = pairs.with_columns(
        pl.lit("competitor").alias("step"),
        pl.col("candidate_pid").alias("pid"),
        pl.col("candidate_guid").alias("process_guid"),
        pl.col("candidate_image").alias("image"),
        (pl.coalesce("candidate_image", pl.lit("unknown image")) + pl.lit(", ") + graded_text).alias("text"),
        pl.col("excluded_because").is_null().alias("_first"),
        _json(pairs.select(_CANDIDATE)),
    )
    return part(told, status=SEEN), more


_CANDIDATE = ("rank", "grade", "delta_s", "logon_match", "evidence", "start_source", "excluded_because")


def others(findings: pl.DataFrame, told: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(PART rows: what else was found on the host and of the user within an hour; finding_id, count of the rest).

    `told`: the findings that have a story, from an hour before their first event to an hour after their last. Of many
    others, those around its last event are told. A finding without a user may be anybody's.
    """
    begin, end = pl.coalesce("start", "end"), pl.coalesce("end", "start")
    keyed = findings.select(
        *("finding_id", "query", "title", "severity", "grade", "image", "pid", "process_guid", "host", "suppressed"),
        pl.col("host").str.to_lowercase().alias("host_key"),
        pl.col("user").str.to_lowercase().alias("_user"),
        begin.alias("since"),
        end.alias("time"),
    ).with_row_index("_place")
    asked = keyed.join(told.select("finding_id"), on="finding_id", how="semi").select(
        pl.col("_place").alias("_span"),
        pl.col("finding_id").alias("_of"),
        *("host_key", "_user"),
        pl.col("time").alias("at"),
        pl.col("since") - _NEAR,
        (pl.col("time") + _NEAR).alias("until"),
    )
    named, anybodys = pl.col("_user").is_not_null(), pl.col("_user").is_null()
    joins = (
        (asked.filter(named), keyed.filter(named).drop("since"), ["host_key", "_user"]),
        (asked.filter(named), keyed.filter(anybodys).drop("since"), ["host_key"]),
        (asked.filter(anybodys), keyed.drop("since"), ["host_key"]),
    )
    found = [within(spans.drop("_of"), rows, by, MOST_OTHERS + 1) for spans, rows, by in joins]
    owners = asked.select("_span", "_of", pl.col("at").alias("_at"))
    pairs = pl.concat([pairs.select(*_OTHER) for pairs, _ in found]).join(owners, on="_span")
    far = (pl.col("time") - pl.col("_at")).abs()
    near = (
        pairs.filter(pl.col("_span") != pl.col("_place"))
        .sort("_span", far, "finding_id")
        .filter(pl.int_range(pl.len()).over("_span") < MOST_OTHERS)
    )
    text = pl.concat_str(
        *("query", pl.lit(": "), "title", pl.lit(" ("), "severity", pl.lit("), finding "), "finding_id"),
        pl.coalesce(pl.lit("; suppressed: ") + pl.col("suppressed"), pl.lit("")),
    )
    rows = near.with_columns(
        text.alias("text"),
        pl.lit("other").alias("step"),
        pl.struct("finding_id", "query", "severity", "grade", "suppressed").struct.json_encode().alias("fields"),
        pl.lit(value=False).alias("_first"),
    ).with_columns(pl.col("_of").alias("finding_id"))
    counts = pl.concat([counts for _, counts in found]).group_by("_span").agg(pl.col("count").sum() - 1)
    met = near.group_by("_span").agg(pl.len().cast(pl.Int64).alias("_met"))
    rest = pl.col("count") - pl.col("_met").fill_null(0)
    left = counts.join(met, on="_span", how="left").join(owners, on="_span")
    return part(rows, status=SEEN), left.select(pl.col("_of").alias("finding_id"), rest.alias("count"))


_NEAR = pl.duration(hours=1, time_unit="ns")
MOST_OTHERS = 20  # other findings that are told
_OTHER = (
    *("_span", "_place", "time", "finding_id", "query", "title", "severity", "grade", "image", "pid", "process_guid"),
    *("host", "suppressed"),
)
