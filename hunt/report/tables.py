"""The tables of a page below the findings: hosts, queries, coverage, files, containers, problems."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from hunt import schema
from hunt.model import Evidence, Report, Severity
from hunt.output._coverage import NAMES
from hunt.report.texts import number, shown

MOST = 5_000  # rows of a table; the CSV files of the run hold all

Cells = Sequence[object]

# What coverage.csv says of holes and of channels; queries have a table of their own, event types are too many.
_KINDS: Mapping[str, str] = {**NAMES, "channel": "log"}


def tables(report: Report) -> Mapping[str, object]:
    """By name: `columns` (name, kind), `rows`, and how many are `left` out.

    kind: `value`, a number; else a text that takes as much room as a text, name, long, time or hash needs.
    """
    return {
        "hosts": _table(_HOSTS, _hosts(report)),
        "queries": _table(_QUERIES, _queries(report)),
        "coverage": _table(_COVERAGE, _coverage(report)),
        "files": _table(_FILES, _files(report)),
        "containers": _table(_CONTAINERS, (_identity(item) for item in report.containers)),
        "problems": _table(_PROBLEMS, _problems(report)),
    }


def _table(columns: Mapping[str, str], rows: Iterable[Cells]) -> Mapping[str, object]:
    every = list(rows)
    kept = [[shown(cell) if isinstance(cell, str) else number(cell) for cell in row] for row in every[:MOST]]
    return {"columns": [*columns.items()], "rows": kept, "left": len(every) - len(kept)}


_SEVERITIES = tuple(severity.value for severity in reversed(Severity))
_HOSTS = {
    "Host": "name",
    **{severity.capitalize(): "value" for severity in _SEVERITIES},
    "Suppressed": "value",
    "First event (UTC)": "time",
    "Last event (UTC)": "time",
    "Records": "value",
}


def _hosts(report: Report) -> Iterable[Cells]:
    """Every host of the evidence, those with findings first."""
    key = pl.col("host").str.to_lowercase()
    known = pl.col("suppressed").is_not_null()
    live = report.findings.group_by(key.alias("key")).agg(
        *((~known & (pl.col("severity") == severity)).sum().alias(severity) for severity in _SEVERITIES),
        known.sum().alias("suppressed"),
    )
    facts = pl.DataFrame(schema={"host": pl.String, "start": schema.TIME, "end": schema.TIME, "count": pl.UInt64})
    if report.coverage is not None:
        facts = report.coverage.filter(kind="channel")
    spans = facts.group_by(key.alias("key")).agg(
        _minute(pl.col("start").min()).alias("first"), _minute(pl.col("end").max()).alias("last"), pl.col("count").sum()
    )
    hosts = pl.DataFrame({"host": list(report.hosts)}, schema={"host": pl.String}).with_columns(key.alias("key"))
    rows = hosts.join(live, on="key", how="left").join(spans, on="key", how="left")
    counts = [pl.col(name).fill_null(0) for name in (*_SEVERITIES, "suppressed")]
    ordered = rows.with_columns(counts).sort(*_SEVERITIES, "key", descending=[True] * len(_SEVERITIES) + [False])
    return ordered.select("host", *_SEVERITIES, "suppressed", "first", "last", "count").iter_rows()


def _minute(time: pl.Expr) -> pl.Expr:
    return time.dt.strftime("%Y-%m-%d %H:%M")


_QUERIES = {
    "Query": "name",
    "Title": "name",
    "Status": "text",
    "Findings": "value",
    "Hosts": "value",
    "Not on hosts": "value",
    "Why not, or with which limits": "long",
    "File": "name",
    "SHA-256 of the file": "hash",
}


def _queries(report: Report) -> Iterable[Cells]:
    for query in report.queries:
        yield (
            *(query.query, query.title, query.status.value.replace("_", " "), query.findings),
            *(len(query.hosts_ran), len(query.hosts_not_evaluable), query.reason, query.file),
            report.rules.get(query.query),
        )


_COVERAGE = {
    "Host": "name",
    "What": "text",
    "Log": "name",
    "From (UTC)": "time",
    "To (UTC)": "time",
    "Count": "value",
    "Detail": "long",
    "Source": "name",
}


def _coverage(report: Report) -> Iterable[Cells]:
    """Holes first, by kind, then the logs."""
    if report.coverage is None:
        return ()
    order = {kind: number for number, kind in enumerate(_KINDS)}
    facts = report.coverage.filter(pl.col("kind").is_in(list(_KINDS)))
    place = pl.col("kind").replace_strict(order, return_dtype=pl.UInt8)
    what = pl.col("kind").replace_strict(_KINDS, return_dtype=pl.String)
    said = facts.sort(place, maintain_order=True).select(
        "host", what, "channel", *(pl.col(c).dt.strftime("%Y-%m-%d %H:%M:%S") for c in ("start", "end")),
        "count", "detail", "source",
    )  # fmt: skip
    return said.iter_rows()


_CONTAINERS = {"File": "name", "Bytes": "value", "SHA-256": "hash"}
_FILES = {
    **_CONTAINERS,
    "Parser": "text",
    **dict.fromkeys(("Records found", "Records read", "Problems"), "value"),
}


def _files(report: Report) -> Iterable[Cells]:
    for tally in report.tallies:
        yield *_identity(tally.evidence), tally.parser, tally.found, tally.read, tally.problems


def _identity(item: Evidence) -> Cells:
    return item.source, item.size, item.sha256  # not when it was changed: a copy is the same evidence


_PROBLEMS = {
    "File": "name",
    "Kind": "text",
    "Offset": "value",
    "Record": "value",
    "Log": "name",
    "What could not be read": "long",
}


def _problems(report: Report) -> Iterable[Cells]:
    for problem in report.problems:
        yield problem.source, problem.kind, problem.offset, problem.record_id, problem.channel, problem.reason
