"""Mail was sent in another's name, or very much of it from one mailbox (unified audit log: Send, SendAs, SendOnBehalf).

Why it matters: a mailbox that was taken over sends the next lure to those who trust its owner (T1534), and mail that
was collected leaves as mail.
Looks alike, is harmless: assistants and shared mailboxes send in others' names every day; newsletters, serial letters.
Blind when: auditing of Send needs a licence, and that of SendAs is on for delegates alone; the export was made of other
record types, users or days; mail that left over SMTP with a relay's account.
How: SendAs and SendOnBehalf: one row for each user, mailbox, address and application; informational, medium from an
address that the user was first seen with (a day or more after others), high if a program sent. Send: one row for each
burst in which a user sent 50 different mails within 300 seconds (`--threshold`, `--window`): medium, high from such an
address or by a program.
Next: ask the owner of the mailbox. If he sent nothing, revoke his sessions, renew password and second factor, and
remove inbox rules that hide the answers. Purge the messages from other mailboxes, warn the recipients inside and
outside, and find who answered, clicked or paid. The first unusual sign-in tells since when the mailbox was in other
hands.
See: https://attack.mitre.org/techniques/T1534/
"""

from __future__ import annotations

import polars as pl

from hunt import audit
from hunt.findings import NAMED
from hunt.model import Case, Hunt, Severity

from ._audit import MANY_EVENTS, MORE, addresses, is_fresh, told_together, window
from ._audit_mails import bursts
from ._exchange import Sign, weighed

_MESSAGE, _SUBJECT = "Item.InternetMessageId", "Item.Subject"
_AS, _FOR = "SendAsUserSmtp", "SendOnBehalfOfUserSmtp"
_NEED = audit.need(audit.ITEM, _MESSAGE, _SUBJECT, _AS, _FOR)
_ACTS = ("send", "sendas", "sendonbehalf")
_GROUP = ("host_key", "user_key", "box", "client_ip", "app")
MANY, WINDOW_S = 50, 300.0


def find(case: Case) -> pl.LazyFrame:
    """One row for each who sends in another's name, and for each burst."""
    met = audit.records(case, [audit.ITEM], _ACTS, [_MESSAGE, _SUBJECT, _AS, _FOR])
    rows = (
        met.filter(~audit.failed())
        .with_columns(
            user_key=pl.col("user").str.to_lowercase(),
            box=pl.coalesce(_AS, _FOR, audit.box()).str.to_lowercase(),
            act=pl.col("operation").str.strip_chars().str.to_lowercase(),
        )
        .collect()
        .with_row_index("row")
    )
    new = addresses(case, (_NEED,)).collect()
    marked = rows.join(new, on=["host_key", "user_key", "client_ip"], how="left", maintain_order="left").with_columns(
        fresh=is_fresh(),
        program=audit.programmatic(),
        event=audit.event().cast(NAMED),
    )
    named = marked.filter(pl.col("act") != "send").with_columns(burst=pl.lit(None, pl.UInt32), peak=pl.lit(0, pl.Int64))
    return pl.concat([_told(named, (*_GROUP, "act"), 0), _told(_many(case, marked), ("burst",), 2)])


def _many(case: Case, marked: pl.DataFrame) -> pl.DataFrame:
    sent = marked.filter(pl.col("act") == "send")
    mails = sent.select("row", mail=pl.coalesce(_MESSAGE, "id"), weight=pl.lit(1, pl.Int64))
    many = MANY if case.settings.threshold is None else case.settings.threshold
    met = bursts(sent, mails, _GROUP, window(case, WINDOW_S), many)
    return sent.join(met.select("row", "burst", "peak"), on="row").sort("burst", "time", "row")


_FIRSTS = ("host", "user", "client", "session", "peak", "act", "box", "client_ip", "app")


def _told(marked: pl.DataFrame, by: tuple[str, ...], base: int) -> pl.LazyFrame:
    grouped = marked.lazy().group_by(*by, maintain_order=True).agg(
        *(pl.col(c).first() for c in _FIRSTS if c not in by),
        pl.col("operation").first(),
        pl.col("time").min().alias("start"),
        pl.col("time").max().alias("end"),
        pl.col("fresh", "program").any(),
        pl.len().alias("records"),
        pl.col("event").head(MANY_EVENTS).alias("events"),
    )  # fmt: skip
    rows = grouped.with_columns(attempt=pl.lit(value=False), outcome=pl.lit(""), error=pl.lit(None, pl.String))
    fresh = 3 if base else 2
    signs = [
        Sign("first seen address", pl.col("fresh"), "from an address that the user was not seen with before", fresh),
        Sign("program", pl.col("program"), "by a client that is no usual one", 3),
        MORE,
    ]
    what = (
        pl.when(pl.col("act") == "send")
        .then(pl.format("{} mails sent in a burst, {} of them within one window", "records", "peak"))
        .otherwise(pl.format("sent in the name of {}: {}", pl.col("box").fill_null("another"), "records"))
    )
    return told_together(
        weighed(rows, base, signs),
        what,
        pl.col("box"),
        pl.col("operation"),
    )


HUNT = Hunt(
    id="mail-audit-sending",
    title="Mail sent in another's name, or in bursts",
    severity=Severity.MEDIUM,
    risk_score=47,
    attack=("T1534",),
    needs=(),
    any_of=(audit.basic(_NEED),),
    reads=(_NEED,),
    find=find,
)
