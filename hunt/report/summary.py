"""The report in brief: what stands on its page even where no script runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from hunt import attack
from hunt.model import Report, Severity, Status
from hunt.output import _coverage
from hunt.output._summary import limits
from hunt.report.texts import shown


@dataclass(frozen=True, slots=True)
class Group:
    """Findings that have something in common."""

    name: str
    about: str
    severity: str  # the worst of them
    findings: int  # not suppressed
    suppressed: int
    hosts: int


@dataclass(frozen=True, slots=True)
class Groups:
    """Groups of one kind, the worst first, then the largest."""

    title: str
    heading: str
    foremost: tuple[Group, ...]
    others: tuple[Group, ...]
    left: int  # that are not listed


@dataclass(frozen=True, slots=True)
class Summary:
    """For people, so harmless to show."""

    evidence: tuple[str, ...]
    findings: int  # not suppressed
    suppressed: int
    severities: tuple[tuple[str, int], ...]  # the worst first; not suppressed
    hosts: int
    hosts_with_findings: int
    files: int
    found: int  # records
    read: int
    first: str  # event of the evidence, "" if none has a time
    last: str
    blind: tuple[str, ...]  # what was not visible; every sentence on its own
    queries: tuple[tuple[str, int], ...]  # by status
    groups: tuple[Groups, ...]  # by query, by technique


def summary(report: Report) -> Summary:
    """Of everything that was found; hidden findings are only counted."""
    known = pl.col("suppressed").is_not_null()
    live = report.findings.filter(~known)
    counts = dict(live.group_by("severity").len().iter_rows())
    first, last = _span(report)
    statuses = {status: sum(query.status is status for query in report.queries) for status in Status}
    evidence = report.options.get("evidence")
    return Summary(
        evidence=tuple(_named(evidence)) if isinstance(evidence, list) else (),
        findings=live.height,
        suppressed=report.findings.height - live.height,
        severities=tuple((s.value, counts.get(s.value, 0)) for s in reversed(Severity)),
        hosts=len(report.hosts),
        hosts_with_findings=live["host"].drop_nulls().str.to_lowercase().n_unique(),
        files=len(report.tallies),
        found=sum(tally.found for tally in report.tallies),
        read=sum(tally.read for tally in report.tallies),
        first=first,
        last=last,
        blind=tuple(_blind(report)),
        queries=tuple((_SAID[status], count) for status, count in statuses.items() if count),
        groups=(_by_query(report.findings), _by_technique(report.findings)),
    )


_PATHS = 10  # of the evidence that are named above all else; options and files tell them all


def _named(evidence: list[object]) -> Iterator[str]:
    yield from (shown(str(path), 200) for path in evidence[:_PATHS])
    if len(evidence) > _PATHS:
        yield f"and {len(evidence) - _PATHS} more"


_SAID: Mapping[Status, str] = {
    Status.RAN: "ran everywhere",
    Status.PARTLY: "ran in part",
    Status.NOT_EVALUABLE: "not evaluable",
    Status.UNSUPPORTED: "unsupported",
    Status.INVALID: "invalid",
}


def _by_query(findings: pl.DataFrame) -> Groups:
    titles = findings.select("query", "title").unique("query", keep="first", maintain_order=True)
    return _listed("By query", "Query", _groups(findings, pl.col("query")), dict(titles.iter_rows()))


def _by_technique(findings: pl.DataFrame) -> Groups:
    each = findings.explode("techniques").with_columns(pl.col("techniques").fill_null("no technique"))
    names = {technique: attack.name(technique) for technique in each["techniques"].unique()}
    return _listed("By technique", "Technique", _groups(each, pl.col("techniques")), names)


_RANKS = {severity.value: severity.rank for severity in Severity}
_FEW, _MOST = 10, 200  # groups that are listed at once, and at all


def _groups(findings: pl.DataFrame, by: pl.Expr) -> pl.DataFrame:
    """name, worst (rank; of those not suppressed, if there are any), findings, suppressed, hosts; the worst first."""
    known = pl.col("suppressed").is_not_null()
    rank = pl.col("severity").replace_strict(_RANKS, default=0, return_dtype=pl.Int8)
    groups = findings.group_by(by.alias("name")).agg(
        pl.when(~known).then(rank).max().alias("live"),
        rank.max().alias("worst"),
        (~known).sum().alias("findings"),
        known.sum().alias("suppressed"),
        pl.col("host").str.to_lowercase().drop_nulls().n_unique().alias("hosts"),
    )
    ordered = groups.sort(pl.col("live").fill_null(-1), "findings", "name", descending=[True, True, False])
    return ordered.with_columns(worst=pl.coalesce("live", "worst"))


def _listed(title: str, heading: str, groups: pl.DataFrame, about: Mapping[str, str]) -> Groups:
    names = {severity.rank: severity.value for severity in Severity}
    told = tuple(
        Group(
            name=shown(row["name"], 200),
            about=shown(about.get(row["name"]) or "", 200),
            severity=names[row["worst"]],
            findings=row["findings"],
            suppressed=row["suppressed"],
            hosts=row["hosts"],
        )
        for row in groups.head(_MOST).iter_rows(named=True)
    )
    return Groups(title, heading, told[:_FEW], told[_FEW:], groups.height - len(told))


def _span(report: Report) -> tuple[str, str]:
    if report.coverage is None:
        return "", ""
    logs = report.coverage.filter(kind="channel")
    return _minute(logs["start"].min()), _minute(logs["end"].max())


def _minute(time: object) -> str:
    return f"{time:%Y-%m-%d %H:%M}" if isinstance(time, datetime) else ""


def _blind(report: Report) -> Iterator[str]:
    """What a run that finds nothing would not have seen; nobody may take it for clean."""
    if not any(tally.read for tally in report.tallies):
        yield "No record of any evidence was read."
    if not report.queries:
        yield "No query is known to have run."
    if report.interrupted:
        yield f"The run was interrupted: {_number(report.unread, 'file')} not read whole."
    lost = sum(tally.found - tally.read for tally in report.tallies)
    if report.problems:
        records = f", {lost:,} records among it" if lost else ""
        yield f"Part of the evidence could not be read{records}: {_number(report.problems, 'problem')}, listed below."
    for said in limits(report):
        yield f"{said[0].upper()}{said[1:]}."
    if report.coverage is not None:
        for line in _coverage.summary(report.coverage):
            yield f"{line.plain.replace(' (hunt coverage)', ', listed below')}."
    limited = sum(query.status is Status.RAN and bool(query.reason) for query in report.queries)
    if limited:
        yield f"{limited} more queries ran with limits, told below." if limited > 1 else "1 query ran with limits."
    hidden = sum(report.hidden.values())
    if hidden:
        yield f"Filters of this run hide {_count(hidden, 'more finding')}."
    if report.left_out:
        yield f"{_count(report.left_out, 'rule')} left out by --level, --status or --tag."
    if report.skipped:
        yield f"{_number(report.skipped, 'file')} of other formats skipped."
    if report.unparsed:
        yield f"{_count(report.unparsed, 'value')} did not fit the type of their field."


def _number(things: Iterable[object], name: str) -> str:
    return _count(len(tuple(things)), name)


def _count(count: int, name: str) -> str:
    return f"{count:,} {name}" if count == 1 else f"{count:,} {name}s"
