"""Mail is passed on by itself: a mailbox forwards, an inbox or transport rule copies, redirects or hides (Exchange).

Why it matters: whoever sets it gets all further mail without touching the mailbox again (T1114.003), and it stays after
the password was changed; a rule that deletes or moves mail hides the answers (T1564.008).
Looks alike, is harmless: forwarding for those who left, to shared mailboxes, ticket systems and archives; journal
rules; rules of users that sort their mail, which are not listed unless they delete, or move to a folder that nobody
reads.
Blind when: the cmdlet ran without role-based access control (a local snap-in: event 3, which is not logged by default);
the rule was made in Outlook or OWA, which write no cmdlet unless OWA's options page did; only the first 200 characters
of a value are logged.
How: one row for each cmdlet, failed attempts too, one step lower. An address outside of the domains that the same event
and server name is told as such: which domains are the organisation's own is not in this log. High if such mail does not
reach its owner any more. Forwarding that is taken away again (null) is no finding.
Next: export the rule or setting with its times, then remove it and end the sessions of the mailbox's owner, whose
password and second factor are to be renewed: rules outlive both. Trace what was sent to the address since, look for the
same address in other mailboxes, and forbid forwarding to outside.
See: https://attack.mitre.org/techniques/T1114/003/, https://attack.mitre.org/techniques/T1564/008/
"""

from __future__ import annotations

import polars as pl

from hunt.cmdlet_parameters import value
from hunt.model import Case, Hunt, Severity

from ._exchange import (
    HELPS,
    INSTEAD,
    NEEDS,
    READS,
    Sign,
    commands,
    is_cmdlet,
    reason,
    said_any,
    told,
    true,
    weighed,
)

# The parameters of each cmdlet that name who gets the mail.
_TO = {
    "Set-Mailbox": ("ForwardingSmtpAddress", "ForwardingAddress"),
    "Set-MailUser": ("ForwardingAddress",),
    "New-InboxRule": ("ForwardTo", "RedirectTo", "ForwardAsAttachmentTo", "SendTextMessageNotificationTo"),
    "Set-InboxRule": ("ForwardTo", "RedirectTo", "ForwardAsAttachmentTo", "SendTextMessageNotificationTo"),
    "New-TransportRule": ("BlindCopyTo", "CopyTo", "RedirectMessageTo", "AddToRecipients", "AddManagerAsRecipientType"),
    "Set-TransportRule": ("BlindCopyTo", "CopyTo", "RedirectMessageTo", "AddToRecipients", "AddManagerAsRecipientType"),
    "New-JournalRule": ("JournalEmailAddress",),
    "Set-JournalRule": ("JournalEmailAddress",),
    "Set-TransportConfig": ("JournalingReportNdrTo",),
}
_HIDING = ("New-InboxRule", "Set-InboxRule", "New-SweepRule")
_DOMAINS = ("Set-RemoteDomain", "New-RemoteDomain")  # whether anything may be forwarded there at all

CMDLETS = (*_TO, *_HIDING, *_DOMAINS)
MENTIONS = "(?i)forward|redirect|copyto|recipient|notificationto|journal|movetofolder|deletemessage"

# Folders that are there and nobody opens, as Outlook's English names them.
_UNREAD = r"(rss|conversation history|archive|junk|deleted items|sync issues|notes)[^\\:]*$"
# One character or none that tells anything: names that are chosen not to be seen.
_NAMELESS = r"^[\s.,;:_-]*.?$"


def find(case: Case) -> pl.LazyFrame:
    """One row for each cmdlet that passes mail on, hides it, or allows that."""
    return found(commands(case, *CMDLETS, mentions=MENTIONS))


def found(named: pl.LazyFrame) -> pl.LazyFrame:
    """The findings in these cmdlets."""
    rows = named.with_columns(target=_target(), mailbox=_mailbox())
    allows = is_cmdlet(*_DOMAINS) & true("AutoForwardEnabled")
    done = rows.with_columns(hides=_hides(), allows=allows).filter(
        pl.col("target").is_not_null() | pl.col("hides") | pl.col("allows")
    )
    known = done.with_columns(outside=_outside()).with_columns(lost=_lost())
    base = pl.when("allows").then(1).when(pl.col("outside") & pl.col("lost")).then(3).otherwise(2)
    judged = weighed(known, base, _signs())
    what = (
        pl.when(pl.col("target").is_not_null())
        .then(pl.format("mail of {} is passed on to {}", _of_whom(), "target"))
        .when("allows")
        .then(pl.lit("automatic forwarding to another domain is allowed"))
        .otherwise(pl.format("mail of {} is hidden by a rule", _of_whom()))
    )
    passed = pl.when(pl.col("target").is_not_null() | pl.col("allows")).then(pl.lit("T1114.003"))
    hidden = pl.when("hides").then(pl.lit("T1564.008"))
    return told(
        judged,
        pl.coalesce("mailbox", "target"),
        reason(what),
        techniques=pl.concat_list(passed, hidden).list.drop_nulls(),
    )


def _target() -> pl.Expr:
    """Who gets the mail: of all parameters that may say so; null if none does."""
    names = sorted({name for named in _TO.values() for name in named})
    said = pl.concat_str(*map(value, names), separator=", ", ignore_nulls=True)
    return pl.when(said != "").then(said)


def _mailbox() -> pl.Expr:
    """Whose mail it is; null for what is done to that of all, and where a rule's own name is all there is."""
    rule = is_cmdlet("New-InboxRule", "Set-InboxRule", "New-SweepRule")
    box = is_cmdlet("Set-Mailbox", "Set-MailUser")
    of_rule = pl.coalesce(value("Mailbox"), value("Identity").str.extract(r"^(.+)\\[^\\]*$"), "user")
    return pl.when(rule).then(of_rule).when(box).then(value("Identity")).otherwise(value("SentTo"))


def _of_whom() -> pl.Expr:
    return pl.col("mailbox").fill_null("all or some in the organisation")


def _hides() -> pl.Expr:
    """A rule that deletes, or moves to where nobody looks, and says on what: a user sorts by more than that."""
    away = true("DeleteMessage") | true("SoftDeleteMessage") | said_any("MoveToFolder", _UNREAD)
    return is_cmdlet(*_HIDING) & away


def _outside() -> pl.Expr:
    """Whether an address is of a domain that neither the server, the mailbox nor the caller is of."""
    domains = pl.col("target").str.to_lowercase().str.extract_all(r"@[^\s,;>\")\]]+")
    own = pl.concat_list(
        pl.format("@{}", pl.col("host_key").str.extract(r"^[^.]*\.(.+)$")),
        pl.col("mailbox").str.to_lowercase().str.extract("(@[^@]+)$"),
        pl.format("@{}", pl.col("user").str.to_lowercase().str.extract("^([^/]*[.][^/]*)/")),
        pl.col("user").str.to_lowercase().str.extract("(@[^@/]+)$"),
    )
    return (domains.list.set_difference(own).list.len() > 0).fill_null(value=False)


def _lost() -> pl.Expr:
    """Whether the mail that is passed on does not reach its owner, or not to be seen."""
    redirected = value("RedirectTo").is_not_null() | value("RedirectMessageTo").is_not_null()
    forwarded = is_cmdlet("Set-Mailbox") & ~true("DeliverToMailboxAndForward")
    return pl.col("target").is_not_null() & (forwarded | redirected | pl.col("hides"))


def _signs() -> list[Sign]:
    nameless = pl.col("hides") & value("Name").str.contains(_NAMELESS).fill_null(value=False)
    return [
        Sign("outside address", pl.col("outside"), "to an address outside of the domains that the event names", 2),
        Sign("owner does not get it", pl.col("lost"), "its owner does not get it, or not to see", 2),
        Sign("hiding rule", pl.col("hides"), "the rule deletes or moves away what it meets", 2),
        Sign("name that hides", nameless, "the rule's name says nothing", 3),
    ]  # fmt: skip


HUNT = Hunt(
    id="exchange-forwarding",
    title="Exchange passes mail on or hides it",
    severity=Severity.MEDIUM,
    risk_score=47,
    attack=("T1114.003", "T1564.008"),
    needs=NEEDS,
    find=find,
    helps=HELPS,
    reads=READS,
    instead=INSTEAD,
)
