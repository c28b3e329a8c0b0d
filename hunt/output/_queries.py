"""What became of the queries, for a terminal: few of them one by one, thousands of rules in few lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import polars as pl
from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from hunt.model import QueryResult, Report, Severity, Status
from hunt.output._safe import safe

STYLES = {"critical": "bold white on red", "high": "bold red", "medium": "yellow", "low": "cyan"}
FEW = 12  # queries of which each has its own line
_WITH_FINDINGS = 40  # rules with findings that are listed
_REASONS = 8  # reasons for which rules could not run
_BAD = 5  # rules that are invalid or unsupported


def told(report: Report) -> Iterator[RenderableType]:
    """Every query that could not run everywhere; of many, what they come to, and those with findings."""
    if len(report.queries) <= FEW:
        limited = [query for query in report.queries if query.status is not Status.RAN or query.reason]
        alike: dict[object, list[QueryResult]] = {}
        for query in limited:
            key = query.status, query.reason, query.hosts_ran, query.hosts_not_evaluable
            alike.setdefault(key, []).append(query)
        yield from (
            _limits(queries[0], ", ".join(safe(query.query) for query in queries)) for queries in alike.values()
        )
        return
    yield from _with_findings(report)
    yield _counts(report)
    yield from _reasons(q for q in report.queries if q.status is Status.NOT_EVALUABLE)
    for status in (Status.UNSUPPORTED, Status.INVALID):
        yield from _bad(status, [q for q in report.queries if q.status is status])


def _limits(query: QueryResult, named: str) -> Text:
    """What is the same of all queries that are `named`."""
    if query.status is Status.RAN:
        return Text.assemble((f"{named} ran with limits: ", "yellow"), brief(query.reason))
    if query.status in (Status.UNSUPPORTED, Status.INVALID):
        return Text.assemble((f"{named} is {query.status.value}: ", "bold yellow"), safe(query.reason))
    ran, without = len(query.hosts_ran), len(query.hosts_not_evaluable)
    where = f"{ran} of {ran + without} hosts" if query.status is Status.PARTLY else "none of the hosts"
    return Text.assemble(
        (f"{named} could run on {where}: ", "bold yellow"), brief(query.reason), " (unknown is not clean)"
    )


_PARTS = 4  # of a reason


def brief(reason: str, where: str = "queries.csv with -o") -> str:
    """What weighs most comes first in a reason; `where` all of it stands."""
    parts = reason.split("; ")
    more = f"; and {len(parts) - _PARTS} more ({where})" if len(parts) > _PARTS + 1 else ""
    return safe("; ".join(parts[:_PARTS] if more else parts)) + more


def _with_findings(report: Report) -> Iterator[Table | Text]:
    found = report.findings.group_by("query", "title", "severity").agg(
        pl.len().alias("findings"), pl.col("host").n_unique().alias("hosts"), pl.col("suppressed").count()
    )
    rank = pl.col("severity").replace_strict({s.value: -s.rank for s in Severity}, default=0, return_dtype=pl.Int8)
    ordered = found.sort(rank, -pl.col("findings").cast(pl.Int64), "query")
    if not ordered.height:
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("Severity", no_wrap=True)
    table.add_column("Findings", justify="right", no_wrap=True)
    table.add_column("Hosts", justify="right", no_wrap=True)
    table.add_column("Rule", overflow="fold", ratio=1)
    for row in ordered.head(_WITH_FINDINGS).iter_rows(named=True):
        severity = Text(row["severity"], STYLES.get(row["severity"], ""))
        quiet = f" ({row['suppressed']} suppressed)" if row["suppressed"] else ""
        rule = Text.assemble(safe(row["title"]) + quiet, (f"  {safe(row['query'])}", "dim"))
        table.add_row(severity, str(row["findings"]), str(row["hosts"]), rule)
    yield table
    if ordered.height > _WITH_FINDINGS:
        yield Text(f"and {ordered.height - _WITH_FINDINGS} more rules with findings (queries.csv with -o)", "dim")


_SAID = {
    Status.RAN: "ran on every host",
    Status.PARTLY: "on some hosts only, or on part of the events",
    Status.NOT_EVALUABLE: "not evaluable here",
    Status.UNSUPPORTED: "unsupported",
    Status.INVALID: "invalid",
}


def _counts(report: Report) -> Text:
    counts = Counter(query.status for query in report.queries)
    limited = sum(query.status is Status.RAN and bool(query.reason) for query in report.queries)
    parts = [f"{counts[status]} {said}" for status, said in _SAID.items() if counts[status]]
    if limited:
        parts[0] += f" ({limited} with limits)"
    out = f", {report.left_out} left out" if report.left_out else ""
    return Text.assemble((f"{len(report.queries)} queries: ", "bold"), "; ".join(parts) + out)


def _reasons(queries: Iterable[QueryResult]) -> Iterator[Table | Text]:
    """Why rules could not run, the commonest reasons first."""
    counts = Counter(query.reason for query in queries)
    if not counts:
        return
    yield Text("Not evaluable (unknown is not clean):", "bold yellow")
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", min_width=6, no_wrap=True)
    table.add_column(overflow="fold")
    for reason, count in ordered[:_REASONS]:
        table.add_row(str(count), Text(_short(safe(reason))))
    if rest := sum(count for _, count in ordered[_REASONS:]):
        others = len(ordered) - _REASONS
        said = f"for {others} other reason{'s' * (others != 1)} (queries.csv with -o)"
        table.add_row(str(rest), Text(said, "dim"))
    yield table


def _bad(status: Status, queries: Sequence[QueryResult]) -> Iterator[Text]:
    for query in queries[:_BAD]:
        yield Text.assemble(
            (f"{status.value.capitalize()}: ", "yellow"), f"{safe(query.file)}: ", _short(safe(query.reason))
        )
    if len(queries) > _BAD:
        yield Text(f"and {len(queries) - _BAD} more {status.value} (queries.csv with -o)", "dim")


_SHOWN = 160  # characters of a reason; all of it stands in queries.csv


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
