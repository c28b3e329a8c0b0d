"""Somebody was given access to another's mailbox, or a right over all of them, in Exchange Online (unified audit log).

Why it matters: FullAccess lets its holder read all mail with a client of his own, without the owner's password
(T1098.002, T1114.002); ApplicationImpersonation and the right to export or search hold for every mailbox. Rights on
folders (Inbox, or Top of Information Store for Default) do the same, less visibly.
Looks alike, is harmless: shared mailboxes, deputies, assistants, calendars; helpdesks do it every day.
Blind when: the export was made of other record types, users or days.
How: cmdlets are judged as exchange-mailbox-access judges those of a server of one's own; folders that were shared by a
client (AddFolderPermissions, UpdateFolderPermissions) are low, medium if that is everybody (Default, Anonymous); roles
(New-ManagementRoleAssignment, Add-RoleGroupMember) medium, high if the caller gave them to himself. Failed attempts are
one step lower.
Next: ask the owner of the mailbox, or of the role, whether that was wanted. If not, export the permission, then take it
away, and disable both who gave and who got it, ending their sessions. Look from then on for MailItemsAccessed and
SendAs by its holder, which say what was read; list all further rights that the caller gave, and go through the role
groups.
See: https://attack.mitre.org/techniques/T1098/002/, https://attack.mitre.org/techniques/T1114/002/
"""

from __future__ import annotations

import polars as pl

from hunt import audit
from hunt.model import Case, Hunt, Severity

from . import _exchange_roles as roles
from . import exchange_mailbox_access
from ._audit import CMDLETS, cmdlets, judged, told
from ._exchange import Sign, is_cmdlet, leaf, reason, weighed
from ._exchange import told as told_of_cmdlets

_MEMBER, _UPN, _RIGHTS, _PATH = (
    f"Item.ParentFolder.{name}" for name in ("MemberSid", "MemberUpn", "MemberRights", "Path")
)
_SHARED = ("addfolderpermissions", "updatefolderpermissions", "modifyfolderpermissions")
_ITEMS = audit.need(audit.ITEM, _MEMBER, _UPN, _RIGHTS, _PATH)
_NO_MAIL = r"calendar|contacts|tasks|kalender|kontakte|aufgaben|calendrier|contactos|calendario|календарь|контакты"


def find(case: Case) -> pl.LazyFrame:
    """One row for each cmdlet or act that gives access."""
    boxes = cmdlets(case, exchange_mailbox_access.CMDLETS, exchange_mailbox_access.MENTIONS)
    parts = [exchange_mailbox_access.found(case, boxes), _roles(case), _folders(case)]
    return pl.concat(parts, how="diagonal_relaxed")


def _roles(case: Case) -> pl.LazyFrame:
    rows = roles.given(cmdlets(case, roles.GIVEN).collect()).lazy()
    himself = (leaf(pl.col("assignee")) == leaf(pl.col("user"))).fill_null(value=False)
    signs = [Sign("given to himself", himself, "the caller gave it to himself", 3)]
    what = pl.format("{} was given {}", pl.col("assignee").fill_null("somebody"), "role")
    copied = is_cmdlet("New-ManagementRole")
    judged_ = weighed(rows, pl.when(copied).then(1).otherwise(2), signs)
    return told_of_cmdlets(judged_, pl.coalesce("assignee", "name"), reason(what))


def _folders(case: Case) -> pl.LazyFrame:
    met = judged(audit.records(case, [audit.ITEM], _SHARED, [_MEMBER, _UPN, _RIGHTS, _PATH]))
    member = pl.coalesce(_UPN, _MEMBER)
    mail = ~pl.col(_PATH).str.to_lowercase().str.contains(_NO_MAIL).fill_null(value=False)
    gives = pl.col(_RIGHTS).str.to_lowercase().str.contains("readany|detailed|all|owner|editor|author|reviewer")
    everybody = member.str.to_lowercase().str.contains(r"^(default|anonymous|everyone)$").fill_null(value=False)
    rows = met.filter(mail & gives.fill_null(value=True))
    signs = [
        Sign("everybody", everybody, "that is everybody", 2),
        Sign("whole mailbox", pl.col(_PATH).str.contains(r"^\\?$|Top of Information Store"), "the whole mailbox", 2),
    ]
    shared = pl.format(
        "{} was given {} on {} of {}", member.fill_null("somebody"), pl.col(_RIGHTS).fill_null("rights"),
        pl.col(_PATH).fill_null("a folder"), audit.box(),
    )  # fmt: skip
    return told(weighed(rows, 1, signs), shared, audit.box(), pl.col("operation"))


HUNT = Hunt(
    id="mail-audit-permission",
    title="Access to mail given in Exchange Online",
    severity=Severity.MEDIUM,
    risk_score=47,
    attack=("T1098.002", "T1114.002"),
    needs=(),
    any_of=(audit.basic(CMDLETS, _ITEMS),),
    reads=(
        CMDLETS,
        _ITEMS,
    ),
    find=find,
    across_hosts=True,  # roles are known by their names
)
