"""Somebody was given the right to export, search or impersonate mailboxes (Exchange Management log).

Why it matters: nobody has the role Mailbox Import Export unless it is given; ApplicationImpersonation opens all
mailboxes at once through EWS. MailSniper's Invoke-GlobalMailSearch gives itself that role and takes it away at its end
(T1098.002, T1114.002).
Looks alike, is harmless: the first setup of archiving, backup, migration, room systems and CRM; a new member of those
who do discovery. Those roles are given once and stay.
Blind when: the cmdlet ran without role-based access control (a local snap-in: event 3, not logged by default); somebody
was put into a role group in Active Directory (Security 4728, 4756); only the first 200 characters of a value are
logged.
How: one row for each assignment of Mailbox Import Export, ApplicationImpersonation or Mailbox Search, by these names or
by those of copies and groups that were made in the same evidence, and for each member of a group that has them
(Discovery Management). Medium; high if the same caller took it away again within 24 hours (`--window`), or gave it to
himself. Copies of such a role, which alone give nothing, are low. Failed attempts are one step lower.
Next: remove the assignment and the caller's other roles until it is explained; list what its holder did from then on:
New-MailboxExportRequest, Search-Mailbox, EWS sign-ins with impersonation. Renew the credentials of both accounts; where
a role was taken away again, take it for theft until the contrary is shown.
See: https://attack.mitre.org/techniques/T1098/002/, https://attack.mitre.org/techniques/T1114/002/
"""

from __future__ import annotations

import polars as pl

from hunt.findings import REFERENCE, reference
from hunt.model import Case, Hunt, Severity
from hunt.schema import seconds

from ._exchange import HELPS, INSTEAD, NEEDS, READS, Sign, is_cmdlet, leaf, line, reason, told, weighed
from ._exchange_roles import grants, removals

_EVENT = ("host", "channel", "event_id", "record_id", "time")


def find(case: Case) -> pl.LazyFrame:
    """One row for each cmdlet that gives such a right, with the one that takes it away again, where there is one."""
    last = removals(case).select(taken="row", **{f"{c}_taken": pl.col(c) for c in _EVENT}, _line=line())
    rows = grants(case).join(last, on="taken", how="left", maintain_order="left")
    copied = is_cmdlet("New-ManagementRole")
    judged = weighed(rows.lazy(), pl.when(copied).then(1).otherwise(2), _signs())
    what = (
        pl.when(copied)
        .then(pl.format("a copy of the role {} was made: {}", "role", pl.col("name").fill_null("unknown")))
        .otherwise(pl.format("{} was given {}", pl.col("assignee").fill_null("somebody"), "role"))
    )
    again = pl.col("taken").is_not_null()
    both = pl.concat_list(reference(1), reference(2, "_taken"))
    return told(
        judged,
        pl.coalesce("assignee", "name"),
        reason(what),
        end=pl.coalesce("time_taken", "time"),
        span_seconds=seconds(pl.col("time_taken") - pl.col("time")),
        target_command_line=pl.col("_line"),
        events=pl.when(again).then(both).otherwise(pl.concat_list(reference(1))).cast(pl.List(REFERENCE)),
    )


def _signs() -> list[Sign]:
    himself = leaf(pl.col("assignee")) == leaf(pl.col("user"))
    return [
        Sign("taken away again", pl.col("taken").is_not_null(), "and it was taken away again by the same caller", 3),
        Sign("given to himself", himself.fill_null(value=False), "the caller gave it to himself", 3),
    ]  # fmt: skip


HUNT = Hunt(
    id="exchange-mail-role",
    title="Right to export, search or impersonate mailboxes given",
    severity=Severity.MEDIUM,
    risk_score=47,
    attack=("T1098.002", "T1114.002"),
    needs=NEEDS,
    find=find,
    across_hosts=True,  # an organisation has several servers
    helps=HELPS,
    reads=READS,
    instead=INSTEAD,
)
