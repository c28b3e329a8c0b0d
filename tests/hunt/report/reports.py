"""Reports to make pages of: a real one of our samples, the same many times, and one whose every text is hostile."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import polars as pl

from hunt import pipeline
from hunt.model import Problem, Report

SUPPRESSED = "backup agent of IT, ticket 4711"


@cache
def of_samples(samples: Path) -> Report:
    """Mail theft, and requesters of all grades, by some of our queries; the first low one is suppressed."""
    logs = [samples / "logs" / name for name in ("mail-theft.evtx", "com-grades.evtx", "exchange-export.evtx")]
    queries = ("outlook-script-host", "outlook-com-activation", "exchange-mailbox-export")
    report = pipeline.run(pipeline.Request(logs, queries, options={"evidence": ["samples/logs"]}, stories=True))
    last = report.findings["severity"].eq("low").arg_max()
    marked = pl.when(pl.int_range(pl.len()) == last).then(pl.lit(SUPPRESSED)).otherwise("suppressed")
    return replace(report, findings=report.findings.with_columns(marked.alias("suppressed")))


def many(report: Report, number: int) -> Report:
    """So many findings: those of the report again and again, each time on another host and a minute later."""
    times = -(-number // report.findings.height)
    again = pl.DataFrame({"_turn": range(times)}, schema={"_turn": pl.Int64})
    late = pl.duration(minutes=pl.col("_turn"), time_unit="ns")
    turn = pl.col("_turn").cast(pl.String).str.zfill(6)

    def repeated(frame: pl.DataFrame) -> pl.DataFrame:
        moved = [(pl.col(c) + late).alias(c) for c in ("start", "end", "time") if c in frame.columns]
        named = {
            "finding_id": turn + pl.col("finding_id").str.slice(6),
            "host": pl.concat_str(pl.lit("H"), turn, pl.lit("-"), "host"),
        }
        told = frame.join(again, how="cross").with_columns(*moved, **named)
        if "command_line" in frame.columns:
            told = told.with_columns(pl.col("command_line") + " /turn:" + turn)
        if "text" in frame.columns:
            told = told.with_columns(pl.col("text") + " in turn " + turn)
        return told.drop("_turn")

    found = repeated(report.findings).head(number)
    ids = found.select("finding_id")
    story = report.story
    return replace(
        report,
        findings=found,
        events=repeated(report.events).join(ids, on="finding_id", how="semi"),
        story=None if story is None else repeated(story).join(ids, on="finding_id", how="semi"),
        hosts=tuple(found["host"].drop_nulls().unique().sort()),
    )


def hostile(report: Report, text: str) -> Report:
    """With this text wherever evidence has one: in names, command lines, fields, stories, sources."""
    kept = {"finding_id", "severity", "query", "grade", "step", "status", "kind"}

    def spoilt(frame: pl.DataFrame) -> pl.DataFrame:
        texts = [c for c, dtype in frame.schema.items() if dtype == pl.String and c not in kept and c != "fields"]
        made = frame.with_columns(pl.when(pl.col(c).is_not_null()).then(pl.lit(text)).alias(c) for c in texts)
        if "fields" in frame.columns:
            fields = pl.Series([_json(text)], dtype=pl.String).new_from_index(0, frame.height)
            made = made.with_columns(fields.alias("fields"))
        if "sources" in frame.columns and frame.schema["sources"] == pl.List(pl.String):
            made = made.with_columns(sources=pl.lit([text]), techniques=pl.lit([text]), evidence=pl.lit([text]))
        return made

    return replace(
        report,
        findings=spoilt(report.findings).with_columns(suppressed=pl.lit(None, pl.String)),
        events=spoilt(report.events),
        story=None if report.story is None else spoilt(report.story),
        coverage=None if report.coverage is None else spoilt(report.coverage),
        problems=(Problem(text, "record", text, channel=text, offset=1),),
        tallies=tuple(replace(t, evidence=replace(t.evidence, source=text)) for t in report.tallies),
        hosts=(text,),
        options={"evidence": [text], text: text},
        docs=dict.fromkeys(report.docs, f"{text}\nNext: {text}"),
        queries=tuple(replace(query, title=text, reason=text) for query in report.queries),
    )


def _json(text: str) -> str:
    known = {"image": text, "command_line": text, "user": text, "guid": text, "parent_guid": text, "start": text}
    return json.dumps(known | {text: text, "depth": 1, "pid": 7, "parent_pid": 7, "evidence": [text], "grade": "B"})
