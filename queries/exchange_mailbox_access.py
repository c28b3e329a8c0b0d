"""Somebody was given access to another's mailbox or folders (Exchange Management log).

Why it matters: FullAccess lets its holder read all mail with a client of his own, without the owner's password, as long
as it stays (T1098.002, T1114.002). Rights for everybody (Default, Anonymous) open a folder to the organisation.
Looks alike, is harmless: shared mailboxes, deputies, assistants, calendars; helpdesks do it every day.
Blind when: the cmdlet ran without role-based access control (a local snap-in: event 3, not logged by default); the
owner shares a folder in Outlook; rights were written into Active Directory or the store; only the first 200 characters
of a value are logged.
How: one row for each cmdlet. Low: rights on one mailbox for one user, on a folder of mail, or to send in its name;
medium: the mailbox does not show up in the holder's Outlook (AutoMapping False), rights for everybody, the right to
change rights, or one user who got into five or more mailboxes within 24 hours (`--window`); high: the caller gave it to
himself, or Receive-As on a whole database. Calendars, contacts and tasks, and removed or denied rights are no
findings. Failed attempts are one step lower.
Next: ask the mailbox's owner; if he did not want it, remove the right, end the holder's sessions and read the mailbox's
audit records for what the holder opened or sent. Look for other rights of the same holder and from the same caller, and
for rules and forwarding set meanwhile.
See: https://attack.mitre.org/techniques/T1098/002/, https://attack.mitre.org/techniques/T1114/002/
"""

from __future__ import annotations

import polars as pl

from hunt.cmdlet_parameters import value
from hunt.model import Case, Hunt, Severity

from ._exchange import (
    HELPS,
    INSTEAD,
    MANY_SAID,
    NEEDS,
    READS,
    Sign,
    around,
    commands,
    false,
    is_cmdlet,
    leaf,
    reason,
    said_any,
    told,
    true,
    weighed,
    who,
)

_FOLDERS = ("Add-MailboxFolderPermission", "Set-MailboxFolderPermission")
_BOXES = ("Add-MailboxPermission", "Set-MailboxPermission")
_SENDING = ("Add-RecipientPermission",)
_DIRECTORY = ("Add-ADPermission",)
_SET = ("Set-Mailbox",)
MANY = 5  # mailboxes that one user gets into within the window

CMDLETS = (*_FOLDERS, *_BOXES, *_SENDING, *_DIRECTORY, *_SET)
MENTIONS = "(?i)rights|owner|grantsendonbehalfto"

# Folders without mail, as Outlook names them in some languages; others are told of.
_NO_MAIL = (
    r":\\?(calendar|contacts|tasks|kalender|kontakte|aufgaben|calendrier|contactos|calendario|календарь|контакты)"
)
_READS = r"fullaccess|readpermission|externalaccount|owner|editor|author|reviewer|readitems"
_EVERYBODY = r"^(default|anonymous|everyone|authenticated users|nt authority\\(authenticated users|self)|domain users)$"


def find(case: Case) -> pl.LazyFrame:
    """One row for each cmdlet that gives access."""
    return found(case, commands(case, *CMDLETS, mentions=MENTIONS))


def found(case: Case, named: pl.LazyFrame) -> pl.LazyFrame:
    """The findings in these cmdlets."""
    rows = named.with_columns(
        holder=pl.coalesce(value("User"), value("Trustee"), value("Owner"), value("GrantSendOnBehalfTo")),
        rights=pl.coalesce(value("AccessRights"), value("ExtendedRights"), _others()),
        who=who(),
    )
    given = rows.filter(_gives() & ~true("Deny")).with_columns(
        box=leaf(value("Identity").str.extract(r"^([^:]*)")), key=leaf(pl.col("holder"))
    )
    met = given.collect().with_row_index("row")
    counted = met.join(around(case, met, "key", "box", MANY), on="row", how="left", maintain_order="left").lazy()
    what = pl.format(
        "{} was given {} on {}", _named("holder"), _named("rights"), value("Identity").fill_null("mailboxes")
    )
    return told(weighed(counted, 1, _signs()), value("Identity"), reason(what))


def _named(column: str) -> pl.Expr:
    return pl.col(column).fill_null("unknown")


def _others() -> pl.Expr:
    return (
        pl.when(is_cmdlet(*_SET)).then(pl.lit("SendOnBehalf")).when(value("Owner").is_not_null()).then(pl.lit("Owner"))
    )


def _gives() -> pl.Expr:
    folder = is_cmdlet(*_FOLDERS) & said_any("AccessRights", _READS) & ~said_any("Identity", _NO_MAIL)
    box = is_cmdlet(*_BOXES)
    sends = is_cmdlet(*_SENDING)
    directory = is_cmdlet(*_DIRECTORY) & said_any(
        "ExtendedRights", r"receive[ -]as|send[ -]as|impersonation|store-admin"
    )
    # @{remove=...} and null take it away.
    behalf = (
        is_cmdlet(*_SET)
        & value("GrantSendOnBehalfTo").is_not_null()
        & ~said_any("GrantSendOnBehalfTo", r"^@\{remove=[^;]*\}$")
    )
    return folder | box | sends | directory | behalf


def _signs() -> list[Sign]:
    himself = (leaf(pl.col("holder")) == leaf(pl.col("user"))).fill_null(value=False) & ~is_cmdlet(*_SET)
    wide = said_any("ExtendedRights", r"receive[ -]as|impersonation|store-admin")
    everybody = pl.col("holder").str.to_lowercase().str.contains(_EVERYBODY).fill_null(value=False)
    rules = said_any("AccessRights", "changepermission|changeowner") | value("Owner").is_not_null()
    return [
        Sign("given to himself", himself, "the caller gave it to himself", 3),
        Sign("every mailbox", wide, "such a right holds for all mailboxes below, without a trace in them", 3),
        Sign("hidden from Outlook", false("AutoMapping"), "its holder's Outlook does not show it (AutoMapping)", 2),
        Sign("everybody", everybody, "that is everybody", 2),
        Sign("right to change rights", rules, "its holder may give further rights", 2),
        Sign("many mailboxes", pl.col("many").is_not_null(), MANY_SAID, 2),
    ]  # fmt: skip


HUNT = Hunt(
    id="exchange-mailbox-access",
    title="Access to another's mailbox given",
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
