"""Exchange stopped recording what administrators or mailbox users do, for all or for some (Exchange Management log).

Why it matters: what happens in mailboxes is known from their audit records alone; switched off before mail is read,
none are left (T1562.008).
Looks alike, is harmless: service accounts (archive, backup, antivirus) are excluded from auditing to save space;
migrations switch it off for a night.
Blind when: the cmdlet ran without role-based access control (a local snap-in: event 3, not logged by default); the
setting was changed in Active Directory; only the first 200 characters of a value are logged.
How: one row for each cmdlet that switches off or narrows. High: the administrators' audit log, auditing of the whole
organisation, the bypass of an account, or of the caller's own mailbox; medium: auditing of one mailbox, the kinds of
acts or cmdlets that are recorded, records that are kept for a day or less. Switching it on is no finding. Failed
attempts are one step lower.
Next: ask the caller's owner whether it was a change on record; switch auditing on again and search what the account did
from then on in other logs (IIS, EWS, sign-ins), for mailbox records lack that time. Keep the administrators' audit log
and reset the caller's credentials if nobody knows of it.
See: https://attack.mitre.org/techniques/T1562/008/
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
    false,
    is_cmdlet,
    leaf,
    reason,
    said_any,
    told,
    true,
    weighed,
)

_CONFIG = "Set-AdminAuditLogConfig"
_BYPASS = "Set-MailboxAuditBypassAssociation"
_ORGANISATION = "Set-OrganizationConfig"
_MAILBOX = "Set-Mailbox"
_LEVEL = "Set-EventLogLevel"
CMDLETS = (_CONFIG, _BYPASS, _ORGANISATION, _MAILBOX, _LEVEL)
MENTIONS = "(?i)audit|level"
_ACTS = ("AuditAdmin", "AuditDelegate", "AuditOwner")
# 00:00:00, 0.23:00:00, 1.00:00:00: up to a day.
_SHORT = r"^(0?\.?[0-9]{2}:[0-9]{2}:[0-9]{2}|0?1\.00:00:00|0|1)(\.0+)?$"


def find(case: Case) -> pl.LazyFrame:
    """One row for each cmdlet that switches auditing off or narrows it."""
    return found(commands(case, *CMDLETS, mentions=MENTIONS))


def found(rows: pl.LazyFrame) -> pl.LazyFrame:
    """The findings in these cmdlets."""
    judged = weighed(rows, 0, _signs()).filter(pl.col("signs").list.len() > 0)
    return told(judged, pl.coalesce(value("Identity"), pl.lit("the organisation")), reason(pl.col("cmdlet")))


def _signs() -> list[Sign]:
    config, mailbox = is_cmdlet(_CONFIG), is_cmdlet(_MAILBOX)
    off = mailbox & false("AuditEnabled")
    own = off & (leaf(value("Identity")) == leaf(pl.col("user"))).fill_null(value=False)
    level = is_cmdlet(_LEVEL) & said_any("Identity", "cmdletlogs") & said_any("Level", "^(lowest|expert0|0)$")
    kept = pl.any_horizontal(said_any(name, _SHORT) for name in ("AdminAuditLogAgeLimit", "AuditLogAgeLimit"))
    return [
        Sign("admin audit log off", config & false("AdminAuditLogEnabled"), "the administrators' audit log is off", 3),
        Sign("bypass", is_cmdlet(_BYPASS) & true("AuditBypassEnabled"), "what this account does is not recorded", 3),
        Sign("organisation", is_cmdlet(_ORGANISATION) & true("AuditDisabled"), "mailboxes are not audited at all", 3),
        Sign("mailbox audit off", off, "the mailbox is not audited", 2),
        Sign("own mailbox", own, "it is the caller's own", 3),
        Sign("fewer acts", mailbox & _narrowed(*_ACTS), "fewer kinds of acts are recorded", 2),
        Sign("fewer cmdlets", config & _fewer(), "fewer cmdlets are recorded", 2),
        Sign("kept short", (config | mailbox) & kept, "records are kept for a day or less", 2),
        Sign("log level", level, "the level of this log was set to its lowest", 1),
    ]  # fmt: skip


def _narrowed(*names: str) -> pl.Expr:
    """None, null, or some taken away of what is recorded."""
    return pl.any_horizontal(
        (has(name) & value(name).is_null()) | said_any(name, "^none$|^$|remove=") for name in names
    )


def _fewer() -> pl.Expr:
    """Cmdlets or parameters that are left out, or that alone are recorded (* is all)."""
    some = [has(name) & ~said_any(name, r"^\*$") for name in ("AdminAuditLogCmdlets", "AdminAuditLogParameters")]
    return pl.any_horizontal(*some, value("AdminAuditLogExcludedCmdlets").is_not_null())


HUNT = Hunt(
    id="exchange-audit-off",
    title="Auditing of Exchange switched off or narrowed",
    severity=Severity.MEDIUM,
    risk_score=47,
    attack=("T1562.008",),
    needs=NEEDS,
    find=find,
    helps=HELPS,
    reads=READS,
    instead=INSTEAD,
)
