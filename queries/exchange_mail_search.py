"""Mail of many mailboxes was searched, copied out or purged with Exchange's own search (Exchange Management log).

Why it matters: Search-Mailbox copies what it finds to another mailbox, or deletes it; a compliance search exports it
(T1114.002). Purging takes away traces, such as the mail that the attack began with (T1070.008).
Looks alike, is harmless: the law department's discovery; purging of phishing mail by those who answer incidents.
Blind when: the cmdlet ran without role-based access control (a local snap-in: event 3, not logged by default); the
search ran in Microsoft 365, whose unified audit log tells of it; only the first 200 characters of a value are logged.
How: one row for each search, export or purge. Medium: what it finds is copied, exported or deleted, also by
New-MailboxRestoreRequest into another mailbox; low: a search was made, or estimated; high: copied into the caller's own
mailbox, or a query for credentials. Failed attempts are one step lower. Get-*, Start-* of what was told of when it was
made, and changes of a hold are no findings.
Next: find out what the search asked for and where its results lie; secure the target mailbox or folder before anybody
empties it. Purged mail may still be had from recoverable items, a hold or a backup: stop their clean-up first. Ask the
caller, and disable him if nobody ordered it.
See: https://attack.mitre.org/techniques/T1114/002/, https://attack.mitre.org/techniques/T1070/008/
"""

from __future__ import annotations

import polars as pl

from hunt.cmdlet_parameters import has, value
from hunt.model import Case, Hunt, Severity

from ._exchange import (
    HELPS,
    INSTEAD,
    NEEDS,
    READS,
    Sign,
    commands,
    is_cmdlet,
    leaf,
    reason,
    said_any,
    told,
    true,
    weighed,
)

_SEARCHES = ("Search-Mailbox", "New-MailboxSearch", "Set-MailboxSearch", "New-ComplianceSearch", "Set-ComplianceSearch")
_ACTIONS = ("New-ComplianceSearchAction",)
_RESTORES = ("New-MailboxRestoreRequest",)
CMDLETS = (*_SEARCHES, *_ACTIONS, *_RESTORES)
_QUERIES = ("SearchQuery", "ContentMatchQuery", "ContentFilter")
_CREDENTIALS = r"passw|credential|secret|\bvpn\b|\bpwd\b|пароль|kennwort|mot de passe|contrase"


def find(case: Case) -> pl.LazyFrame:
    """One row for each search, export or purge."""
    return found(commands(case, *CMDLETS))


def found(named: pl.LazyFrame) -> pl.LazyFrame:
    """The findings in these cmdlets."""
    rows = named.with_columns(
        target=pl.coalesce(value("TargetMailbox"), value("TargetFolder")),
        source=pl.coalesce(*map(value, ("Identity", "SourceMailboxes", "ExchangeLocation", "SearchName"))),
        exports=_exports(),
        purges=_purges(),
    )
    rows = rows.with_columns(copies=_copies())
    restored = is_cmdlet(*_RESTORES)
    base = pl.when(pl.col("copies") | pl.col("exports") | pl.col("purges") | restored).then(2).otherwise(1)
    collected = pl.when(pl.col("purges") & ~pl.col("copies")).then(None).otherwise(pl.lit("T1114.002"))
    cleared = pl.when("purges").then(pl.lit("T1070.008"))
    return told(
        weighed(rows, base, _signs()),
        pl.coalesce("source", "target", value("Name"), value("SourceStoreMailbox")),
        reason(_what()),
        techniques=pl.concat_list(collected, cleared).list.drop_nulls(),
    )


def _exports() -> pl.Expr:
    return is_cmdlet(*_ACTIONS) & (true("Export") | true("Report") | said_any("ActionType", "export"))


def _purges() -> pl.Expr:
    return true("DeleteContent") | (is_cmdlet(*_ACTIONS) & (true("Purge") | has("PurgeType")))


def _copies() -> pl.Expr:
    """Not merely estimated or written to a log, which Search-Mailbox does with a target as well."""
    found = is_cmdlet("Search-Mailbox", "New-MailboxSearch", "Set-MailboxSearch") & value("TargetMailbox").is_not_null()
    return found & ~true("LogOnly") & ~true("EstimateResultOnly") & ~true("EstimateOnly")


def _what() -> pl.Expr:
    source, target = pl.col("source").fill_null("mailboxes"), pl.col("target").fill_null("a target")
    return (
        pl.when(is_cmdlet(*_RESTORES))
        .then(pl.format("mailbox {} restored into {}", value("SourceStoreMailbox").fill_null("unknown"), target))
        .when(pl.col("copies") & pl.col("purges"))
        .then(pl.format("mail of {} searched, copied to {} and deleted", source, target))
        .when("copies")
        .then(pl.format("mail of {} searched and copied to {}", source, target))
        .when("purges")
        .then(pl.format("mail found in {} deleted", source))
        .when("exports")
        .then(pl.format("results of the search {} exported", source))
        .otherwise(pl.format("mail of {} searched", source))
    )


def _signs() -> list[Sign]:
    own = leaf(pl.col("target")) == leaf(pl.col("user"))
    asked = pl.any_horizontal(said_any(name, _CREDENTIALS) for name in _QUERIES)
    return [
        Sign("own mailbox", own.fill_null(value=False), "into the caller's own mailbox", 3),
        Sign("credentials", asked, "the query asks for credentials", 3),
    ]


HUNT = Hunt(
    id="exchange-mail-search",
    title="Mailboxes searched, copied or purged by Exchange",
    severity=Severity.MEDIUM,
    risk_score=47,
    attack=("T1114.002", "T1070.008"),
    needs=NEEDS,
    find=find,
    helps=HELPS,
    reads=READS,
    instead=INSTEAD,
)
