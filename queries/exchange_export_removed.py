"""A mailbox was exported to PST, and the request removed again by the same caller (Exchange Management log).

Why it matters: how mailboxes are stolen from an Exchange server: New-MailboxExportRequest writes one to a share, and
Remove-MailboxExportRequest deletes what the server knows of it (T1114.002, T1070.008). With a path on the server itself
and a script's extension it leaves a web shell (ProxyShell).
Looks alike, is harmless: archiving of the mailboxes of those who left and migrations, whose scripts remove completed
requests; put their account and path on the allowlist (`actor` and `object`).
Blind when: the cmdlets ran without role-based access control (a local snap-in: event 3, not logged by default); request
and removal lie on two servers of which one's log is missing; the request removed itself (CompletedRequestAgeLimit), or
expired; only the first 200 characters of a value are logged.
How: one row for each request and its removal up to 24 hours later (`--window` changes it). They belong together by
mailbox and name (confidence high), by a name of its own if the mailbox is written otherwise (medium), or because the
same caller removed something without being asked (-Confirm False) that matches no request (low). Medium; high where the
path leads to the server itself, an administrative share, a web root or a temporary folder, does not end in .pst, or the
caller was given the right shortly before; critical for scripts. Failed requests are attempts, one step lower. The same
caller is who has the same SID, on any server of the organisation.
Next: take the PST file into custody, or the share's and firewall's logs if it is gone, and find who read that path;
look for web shells where the path lies on the server. Disable the caller, take Mailbox Import Export away from him, and
tell those whose duty it is that the whole mailbox was read.
See: https://attack.mitre.org/techniques/T1114/002/, https://attack.mitre.org/techniques/T1070/008/
"""

from __future__ import annotations

import polars as pl

from hunt.findings import REFERENCE, reference
from hunt.model import Case, Hunt, Severity
from hunt.schema import seconds

from ._exchange import HELPS, INSTEAD, NEEDS, READS, line, reason, told, weighed
from ._exchange_exports import exports, pairs, removals, signs, what
from ._exchange_roles import grants

_EVENT = ("host", "channel", "event_id", "record_id", "time")


def find(case: Case) -> pl.LazyFrame:
    """One row for each request that was removed."""
    given, removed = grants(case), removals(case)
    made = exports(case, given)
    both = made.join(pairs(case, made, removed), on="row", maintain_order="left")
    told_of = {f"{c}_removed": pl.col(c) for c in (*_EVENT, "attempt", "outcome")}
    last = removed.select(other="row", _line=line(), **told_of)
    before = given.select(grant="row", **{f"{c}_grant": pl.col(c) for c in _EVENT})
    rows = both.join(last, on="other", how="left", maintain_order="left").join(
        before, on="grant", how="left", maintain_order="left"
    )
    judged = weighed(rows.lazy(), 2, signs())
    return told(
        judged,
        pl.coalesce("path", "mailbox"),
        reason(pl.concat_str(what(), _how(), separator="; ")),
        end=pl.col("time_removed"),
        span_seconds=seconds(pl.col("time_removed") - pl.col("time")),
        action=pl.format("{}, Remove-MailboxExportRequest", "cmdlet"),
        target_command_line=pl.col("_line"),
        confidence=_confidence(),
        events=_events(),
    )


def _how() -> pl.Expr:
    matched = {
        "identity": "its request was removed by the same caller",
        "name": "a request of the same name was removed by the same caller, the mailbox written otherwise",
        "none": "the same caller removed a request that matches none, or can't be compared",
    }
    told_ = pl.col("sure").replace_strict(matched, return_dtype=pl.String)
    tried = pl.when("attempt_removed").then(pl.format("; the removal {}", "outcome_removed")).otherwise(pl.lit(""))
    other = pl.col("host").str.to_lowercase() != pl.col("host_removed").str.to_lowercase()
    where = pl.when(other.fill_null(value=False)).then(pl.format(", on {}", "host_removed")).otherwise(pl.lit(""))
    return pl.concat_str(told_, where, tried)


def _confidence() -> pl.Expr:
    sure = pl.col("sure").replace_strict({"identity": "high", "name": "medium", "none": "low"}, return_dtype=pl.String)
    return pl.when(pl.col("caller").is_null()).then(pl.lit("low")).otherwise(sure)


def _events() -> pl.Expr:
    """The grant, where there is one, the request and its removal."""
    granted = pl.concat_list(reference(1, "_grant"), reference(2), reference(3, "_removed"))
    alone = pl.concat_list(reference(1), reference(2, "_removed"))
    return pl.when(pl.col("grant").is_not_null()).then(granted).otherwise(alone).cast(pl.List(REFERENCE))


HUNT = Hunt(
    id="exchange-export-removed",
    title="Mailbox exported to PST, request removed",
    severity=Severity.MEDIUM,
    risk_score=47,
    attack=("T1114.002", "T1070.008"),
    needs=NEEDS,
    find=find,
    across_hosts=True,  # an organisation has several servers
    helps=HELPS,
    reads=READS,
    instead=INSTEAD,
)
