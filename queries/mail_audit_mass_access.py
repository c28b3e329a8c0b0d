"""Many mails of a mailbox were opened in a short time (unified audit log, MailItemsAccessed of the kind Bind).

Why it matters: whoever has a user's password or token searches the mailbox for passwords, invoices and plans, by a
script or by hand, and opens what he finds (T1114.002); the content of these mails is known to him.
Looks alike, is harmless: a user who clears up; a new phone or mail program that fetches its first mails; archives,
backups and security products that read mailboxes as applications (put their account on the allowlist, `actor`).
Blind when: the licence of the mailbox has no such records; the client synchronised whole folders (see
mail-audit-folder-sync); records were throttled: nothing is recorded for 24 hours then, and coverage says so; the export
was made of other users or days; mails are read slower than the threshold.
How: records are sums of some minutes; counted are the different mails that they name (InternetMessageId, else Id), and
what they only count (OperationCount), in a sliding window: 50 within 300 seconds, or `--threshold` and `--window`.
Those of one user, mailbox, address, application and session count together; then, if none of these alone has as many,
those of one user and mailbox, spread over addresses or sessions. One row for each burst, with the most in one window
and all in it. Records, and mails in one window, that stand there twice count once. Low: the owner with a usual client,
from an address that he was seen with a day or more before; medium: from any other, or an application; high: another's
mailbox, access as administrator, a client that is a program, throttled records (the count is a floor), ten times the
threshold. An address that he was first seen with, having been seen with others a day or more before, is told.
Next: compare address, client and session with the user's usual ones. If they are not his, revoke his sessions, renew
password and second factor, and the secrets of the application if one did it. The message ids in the records say which
mails were opened: fetch them by eDiscovery, and tell those concerned. Where records were throttled, assume the whole
mailbox.
See: https://attack.mitre.org/techniques/T1114/002/
"""

from __future__ import annotations

import polars as pl

from hunt import audit
from hunt.findings import NAMED
from hunt.model import Case, Hunt, Severity

from ._audit import MANY_EVENTS, MORE, addresses, is_familiar, is_fresh, told_together, window
from ._audit_mails import ALSO, GROUP, NEED, accesses, bursts, mails, sizes
from ._exchange import Sign, weighed

MANY, WINDOW_S = 50, 300.0
_WIDER = ("host_key", "user_key", "box")


def find(case: Case) -> pl.LazyFrame:
    """One row for each burst."""
    every = accesses(case, "bind")
    many = MANY if case.settings.threshold is None else case.settings.threshold
    within = window(case, WINDOW_S)
    # Different mails are no more than all of them: those of few records have to be told apart.
    rows = every.join(bursts(every, sizes(every), _WIDER, within, many).select("row"), on="row", how="semi")
    met = mails(rows)
    exact = bursts(rows, met, GROUP, within, many)
    wide = bursts(rows, met, _WIDER, within, many)
    # Of the wider ones those that no exact one is part of.
    known = wide.join(exact.select("row"), on="row", how="semi")["burst"].unique()
    spread = wide.filter(~pl.col("burst").is_in(known.implode()))
    parts = [
        exact.with_columns(spread=pl.lit(value=False)),
        spread.with_columns(spread=pl.lit(value=True)),
    ]
    listed = rows.join(pl.concat(parts), on="row").sort("spread", "burst", "time", "row")
    return _told(case, listed, many, within)


def _told(case: Case, listed: pl.DataFrame, many: int, within: int) -> pl.LazyFrame:
    new = addresses(case, (NEED, ALSO)).collect()
    marked = listed.join(new, on=["host_key", "user_key", "client_ip"], how="left", maintain_order="left").with_columns(
        fresh=is_fresh(),
        familiar=is_familiar(),
        others=audit.in_others(),
        admin=audit.by_admin(),
        by_app=audit.by_application(),
        program=audit.programmatic(),
        event=audit.event().cast(NAMED),
    )
    by = ("spread", "burst")
    grouped = (
        marked.lazy()
        .group_by(*by, maintain_order=True)
        .agg(
            pl.col("host", "user", "mailbox", "box", "client", "app", "session", "peak", "mails").first(),
            pl.col("client_ip").unique(maintain_order=True).drop_nulls().alias("addresses"),
            pl.col("session").n_unique().alias("sessions"),
            pl.col("time").min().alias("start"),
            pl.col("time").max().alias("end"),
            pl.col("fresh", "others", "admin", "by_app", "program", "throttled").any(),
            pl.col("familiar").all(),
            pl.len().alias("records"),
            pl.col("event").head(MANY_EVENTS).alias("events"),
        )
        .with_columns(attempt=pl.lit(value=False), outcome=pl.lit(""), error=pl.lit(None, pl.String))
    )
    base = pl.when(pl.col("familiar") & ~pl.col("by_app")).then(1).otherwise(2)
    signs = [
        Sign("another's mailbox", pl.col("others") & ~pl.col("by_app"), "it is another's mailbox", 3),
        Sign("administrator", pl.col("admin"), "as an administrator", 3),
        Sign("application", pl.col("by_app"), "by an application, without a user", 2),
        Sign(
            "program",
            pl.col("program") & ~pl.col("by_app"),
            pl.format("the client is no usual one: {}", pl.col("client").str.slice(0, 100)),
            3,
        ),
        Sign("first seen address", pl.col("fresh"), "from an address that the user was not seen with before", 2),
        Sign("throttled", pl.col("throttled"), "records were throttled: there were more", 3),
        Sign("very many", pl.col("peak") >= 10 * many, "that is ten times as many as is unusual", 3),
        Sign(
            "spread",
            pl.col("spread"),
            pl.format("spread over {} addresses and {} sessions", pl.col("addresses").list.len(), "sessions"),
            2,
        ),
        MORE,
    ]
    what = pl.format(
        "{} mails of {} opened, {} of them within {} s",
        "mails",
        pl.col("box").fill_null("a mailbox"),
        "peak",
        pl.lit(f"{within / 1e9:g}"),
    )
    judged = weighed(grouped, base, signs)
    return told_together(
        judged,
        what,
        pl.coalesce("mailbox", "box"),
        pl.lit("MailItemsAccessed"),
        source_ip=pl.when(pl.col("addresses").list.len() > 0).then(pl.col("addresses").list.head(20).list.join(", ")),
    )


HUNT = Hunt(
    id="mail-audit-mass-access",
    title="Many mails opened in a short time",
    severity=Severity.MEDIUM,
    risk_score=47,
    attack=("T1114.002",),
    needs=(),
    any_of=(audit.basic(NEED),),
    reads=(
        NEED,
        ALSO,
    ),
    find=find,
)
