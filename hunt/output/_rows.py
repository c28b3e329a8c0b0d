"""A report's parts as flat tables of text and numbers, the way files and pipes take them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

import polars as pl

from hunt import schema
from hunt.model import Problem, QueryResult, Report
from hunt.output._safe import HIDDEN_PATTERN, escape_json, exact_json, visible


def tables(report: Report) -> Mapping[str, pl.DataFrame]:
    """findings, events, story, queries, problems and coverage, in that order; lists as JSON, times as ISO 8601."""
    return {name: rows(frame) for name, frame in frames(report).items()}


def frames(report: Report) -> Mapping[str, pl.DataFrame]:
    """The same with their own types."""
    return {
        "findings": report.findings,
        "events": report.events,
        **({} if report.story is None else {"story": report.story}),
        "queries": query_table(report.queries),
        "problems": problem_table(report.problems),
        **({} if report.coverage is None else {"coverage": report.coverage}),
    }


def rows(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows of one of `frames` as text and numbers: `flat`, and `fields` that print harmlessly."""
    if "fields" not in frame.columns:
        return flat(frame)
    odd = frame["fields"].str.contains("[^\x00-~]").fill_null(value=False)  # few: what else there is, JSON has escaped
    texts = [escape_json(text) for text in frame["fields"].filter(odd)]
    return flat(frame.with_columns(frame["fields"].scatter(odd.arg_true(), texts)))


def query_table(queries: Iterable[QueryResult]) -> pl.DataFrame:
    """The columns of queries.csv."""
    return pl.DataFrame([_query(q) for q in queries], schema=QUERIES, orient="row")


def problem_table(problems: Iterable[Problem]) -> pl.DataFrame:
    """The columns of problems.csv."""
    return pl.DataFrame([_problem(p) for p in problems], schema=PROBLEMS, orient="row")


def flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Lists as JSON arrays, times as text; numbers and booleans stay."""
    return frame.with_columns(_flat(column) for column in frame.get_columns())


def _flat(column: pl.Series) -> pl.Series:
    if isinstance(column.dtype, pl.List):
        texts = [None if value is None else exact_json(value) for value in column.to_list()]
        return pl.Series(column.name, texts, dtype=pl.String)
    if isinstance(column.dtype, pl.Datetime):
        return column.to_frame().select(schema.time_text(pl.col(column.name)))[:, 0]
    return column


# A cell that begins so is run as a formula by spreadsheets; the wide forms are taken for the plain ones by some.
_FORMULA = "=+-@\uff1d\uff0b\uff0d\uff20"

# Columns of JSON: exact in every output, and harmless as they are.
JSON_COLUMNS = frozenset({"techniques", "evidence", "sources", "fields", "hosts_ran", "hosts_not_evaluable"})


def harmless(frame: pl.DataFrame, exempt: Collection[str] = JSON_COLUMNS) -> pl.DataFrame:
    """With every text cell made safe for spreadsheets and terminals, but for columns of JSON."""
    texts = [c for c, dtype in frame.schema.items() if dtype == pl.String and c not in exempt]
    return frame.with_columns(safe_cells(frame[c]) for c in texts)


def rearmed(text: pl.Expr) -> pl.Expr:
    """A cell of a safe CSV without the quote that `safe_cells` has put before it."""
    return pl.when(text.str.contains(f"^'+[{re.escape(_FORMULA)}]")).then(text.str.slice(1)).otherwise(text)


def safe_cells(column: pl.Series) -> pl.Series:
    """A text column for spreadsheets: `safe`, and a quote before what would be run as a formula."""
    named = column.alias("text").to_frame()
    hidden = named.select(pl.col("text").str.extract_all(HIDDEN_PATTERN).explode().drop_nulls().unique())["text"]
    text = pl.col("text")
    if hidden.len():
        # In code point order: each character once, so no replacement touches another.
        found = sorted(hidden)
        text = text.str.replace_many(found, [visible(c) for c in found])
    formula = text.str.contains(f"^'*[{re.escape(_FORMULA)}]")  # with quotes before it: so that one more can be undone
    return named.select(pl.when(formula).then("'" + text).otherwise(text).alias(column.name))[:, 0]


QUERIES: Mapping[str, pl.DataType] = {
    **dict.fromkeys(("query", "title", "file", "status", "reason", "hosts_ran", "hosts_not_evaluable"), pl.String()),
    "findings": pl.Int64(),
}


def _query(result: QueryResult) -> tuple[object, ...]:
    hosts = (exact_json(list(names)) for names in (result.hosts_ran, result.hosts_not_evaluable))
    said = (result.query, result.title, result.file, result.status.value, result.reason)
    return (*said, *hosts, result.findings)


PROBLEMS: Mapping[str, pl.DataType] = {
    "source": pl.String(),
    "channel": pl.String(),
    "offset": pl.UInt64(),
    "record_id": pl.UInt64(),
    "kind": pl.String(),
    "reason": pl.String(),
}


def _problem(p: Problem) -> tuple[object, ...]:
    return p.source, p.channel, p.offset, p.record_id, p.kind, p.reason
