"""Whole folders of a mailbox were taken (unified audit log, MailItemsAccessed of the kind Sync).

Why it matters: a synchronised folder is a copy of all its mails on the other side (T1114.002); which of them were read
there, no log tells, so all of them are lost to whoever it was.
Looks alike, is harmless: it is what Outlook for Windows and Mac does all day, for its user and for those whose mailbox
is open to him.
Blind when: the licence of the mailbox has no such records; records were throttled (nothing is recorded for 24 hours
then, and coverage says so); the export was made of other users or days.
How: one row for each user, mailbox, address and application, with the folders. Informational: the owner, with a desktop
Outlook; low: an address that the user was first seen with, a day or more after others; medium: another's mailbox, an
application, throttled records; high: a client that does not synchronise (a program, a browser, EWS), access as
administrator.
Next: compare address and application with what the user has. If they are not his, revoke his sessions, renew password
and second factor, remove the device and the grant of the application, and block old protocols. Count all mail that lay
in the named folders then as taken; export the mailbox as it is now, and tell those whose data it holds.
See: https://attack.mitre.org/techniques/T1114/002/
"""

from __future__ import annotations

import polars as pl

from hunt import audit
from hunt.findings import NAMED
from hunt.model import Case, Hunt, Severity

from ._audit import MANY_EVENTS, MORE, addresses, is_fresh, told_together
from ._audit_mails import ALSO, NEED, PATHS, SYNCED, accesses
from ._exchange import Sign, weighed

_BY = ("host_key", "user_key", "box", "client_ip", "app")
# Outlook for Windows (RPC over HTTP, MAPI over HTTP) and for Mac; ActiveSync on phones.
_SYNCS = r"(?i)^client=(?:msexchangerpc|mapihttp|outlook|activesync|airsync|tba)|^microsoft office|outlook"
_FOLDERS = 20  # that are named


def find(case: Case) -> pl.LazyFrame:
    """One row for each user, mailbox, address and application."""
    new = addresses(case, (NEED, ALSO)).collect()
    rows = accesses(case, "sync").join(new, on=["host_key", "user_key", "client_ip"], how="left", maintain_order="left")
    marked = rows.lazy().with_columns(
        folder=pl.coalesce(SYNCED, PATHS),
        fresh=is_fresh(),
        others=audit.in_others(),
        admin=audit.by_admin(),
        by_app=audit.by_application(),
        odd=(audit.programmatic() | ~pl.col("client").str.contains(_SYNCS)).fill_null(value=False),
        event=audit.event().cast(NAMED),
    )
    grouped = marked.group_by(*_BY, maintain_order=True).agg(
        pl.col("host", "user", "mailbox", "client", "session").first(),
        pl.col("time").min().alias("start"),
        pl.col("time").max().alias("end"),
        pl.col("fresh", "others", "admin", "by_app", "odd", "throttled").any(),
        pl.col("folder").drop_nulls().unique(maintain_order=True).alias("folders"),
        pl.len().alias("records"),
        pl.col("event").head(MANY_EVENTS).alias("events"),
    )
    told_of = grouped.with_columns(attempt=pl.lit(value=False), outcome=pl.lit(""), error=pl.lit(None, pl.String))
    signs = [
        Sign("first seen address", pl.col("fresh"), "from an address that the user was not seen with before", 1),
        Sign("another's mailbox", pl.col("others") & ~pl.col("by_app"), "it is another's mailbox", 2),
        Sign("application", pl.col("by_app"), "by an application, without a user", 2),
        Sign("throttled", pl.col("throttled"), "records were throttled: there were more", 2),
        Sign("unusual client", pl.col("odd") & ~pl.col("by_app"), "such a client does not synchronise", 3),
        Sign("administrator", pl.col("admin"), "as an administrator", 3),
        MORE,
    ]
    named = pl.col("folders").list.head(_FOLDERS).list.join(", ")
    what = pl.format(
        "{} of {} synchronised: {}",
        pl.when(pl.col("folders").list.len() == 1).then(pl.lit("a folder")).otherwise(pl.lit("folders")),
        pl.col("box").fill_null("a mailbox"),
        pl.when(named != "").then(named).otherwise(pl.lit("which, the records do not tell")),
    )
    return told_together(
        weighed(told_of, 0, signs),
        what,
        pl.coalesce("mailbox", "box"),
        pl.lit("MailItemsAccessed"),
    )


HUNT = Hunt(
    id="mail-audit-folder-sync",
    title="Folders of a mailbox synchronised",
    severity=Severity.INFORMATIONAL,
    risk_score=10,
    attack=("T1114.002",),
    needs=(),
    any_of=(audit.basic(NEED),),
    reads=(
        NEED,
        ALSO,
    ),
    find=find,
)
