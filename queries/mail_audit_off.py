"""Exchange Online stopped recording what is done in mailboxes, for all or for some (unified audit log).

Why it matters: what happens in mailboxes is known from their audit records alone; switched off before mail is read,
none are left (T1562.008).
Looks alike, is harmless: service accounts (archive, backup) are excluded from auditing to save space.
Blind when: the export was made of other record types, users or days; the licence was changed, which ends some kinds of
records too.
How: one row for each cmdlet, judged as exchange-audit-off judges those of a server of one's own: high for the
organisation (Set-AdminAuditLogConfig -UnifiedAuditLogIngestionEnabled or -AdminAuditLogEnabled False,
Set-OrganizationConfig -AuditDisabled), the bypass of an account, the caller's own mailbox; medium for auditing of one
mailbox or fewer kinds of acts. Failed attempts are one step lower.
Next: switch auditing on again and take accounts off the bypass before anything else, note from when to when it was off,
and ask the caller for the reason. If there is none, disable his account, end its sessions and go through all it did
before and after. For the dark span use what records elsewhere: sign-ins, message traces, network. A clean mailbox log
proves nothing then.
See: https://attack.mitre.org/techniques/T1562/008/
"""

from __future__ import annotations

import polars as pl

from hunt import audit
from hunt.model import Case, Hunt, Severity

from . import exchange_audit_off
from ._audit import CMDLETS, cmdlets, judged, told
from ._exchange import Sign, weighed

_INGESTION = "Parameters.UnifiedAuditLogIngestionEnabled"
_NEEDS = audit.need(audit.ADMIN, _INGESTION)


def find(case: Case) -> pl.LazyFrame:
    """One row for each cmdlet that switches auditing off or narrows it."""
    named = cmdlets(case, exchange_audit_off.CMDLETS, exchange_audit_off.MENTIONS)
    met = judged(audit.records(case, [audit.ADMIN], ["set-adminauditlogconfig"], [_INGESTION]))
    off = met.filter(pl.col(_INGESTION).str.to_lowercase().is_in(["false", "$false", "0"]))
    signs = [Sign("unified audit log off", pl.lit(value=True), "nothing more reaches the unified audit log", 3)]
    ended = told(weighed(off, 3, signs), pl.col("operation"), pl.lit("the organisation"), pl.col("operation"))
    return pl.concat([exchange_audit_off.found(named), ended], how="diagonal_relaxed")


HUNT = Hunt(
    id="mail-audit-off",
    title="Auditing switched off in Exchange Online",
    severity=Severity.HIGH,
    risk_score=73,
    attack=("T1562.008",),
    needs=(),
    any_of=(audit.basic(CMDLETS),),
    reads=(
        CMDLETS,
        _NEEDS,
    ),
    find=find,
)
