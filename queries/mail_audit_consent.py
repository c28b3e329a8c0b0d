"""An application was given a right to read mail by a user or an administrator (unified audit log, Entra ID).

Why it matters: with Mail.Read, full_access_as_app or EWS.AccessAsUser.All an application reads mail over Graph or EWS
with tokens of its own, whatever becomes of passwords and second factors (T1528, T1550.001, T1114.002).
Looks alike, is harmless: mail programs, archives and phone apps that users or the IT allow; look up the application's
id and publisher, and who consented.
Blind when: the export was made of other record types, users or days; consent was given before it begins; the right was
written in another way (a new secret for an application that has it already: look at "Add service principal credentials"
by hand).
How: one row for each record that names such a scope or role. Medium: one user's consent to read his own mail; high: for
everybody (AllPrincipals, an administrator's consent, an application's role), full access, or the right to send as well
as to read; low: rights that touch no mail bodies (Mail.ReadBasic). Failed attempts are one step lower.
Next: ask who consented what the application is for. If nobody knows it, disable it in the tenant rather than delete it,
for its records are evidence; revoke its grants and the tokens of the users, and remove its secrets. Look in sign-ins of
service principals and MailItemsAccessed under its id for what it read. Let users consent to verified publishers only,
or not at all.
See: https://attack.mitre.org/techniques/T1528/, https://attack.mitre.org/techniques/T1114/002/
"""

from __future__ import annotations

import polars as pl

from hunt import audit
from hunt.model import Case, Hunt, Severity

from ._audit import judged, told
from ._exchange import Sign, weighed

_COLUMNS = ("ModifiedProperties", "ExtendedProperties", "Target", "Actor")
_DIRECTORY = audit.need(audit.DIRECTORY, *_COLUMNS)
_ACTS = (
    "consent to application",
    "consent to application.",
    "add oauth2permissiongrant",
    "add oauth2permissiongrant.",
    "add delegated permission grant",
    "add delegated permission grant.",
    "update delegated permission grant",
    "update delegated permission grant.",
    "add app role assignment to service principal",
    "add app role assignment to service principal.",
    "add app role assignment grant to user",
    "add app role assignment grant to user.",
    "set delegated permission grant.",
)
_OLD = r'"OldValue":"(?:[^"\\]|\\.)*"'  # what was there before is not given anew
_SCOPE = (
    r"(?i)\b(mail\.(?:read|readwrite|send)(?:\.shared|\.all)?|mail\.readbasic(?:\.all)?|full_access_as_app"
    r"|ews\.accessasuser\.all|imap\.accessas(?:user\.all|app)|pop\.accessas(?:user\.all|app)"
    r"|mailboxsettings\.readwrite|full_access_as_user|exchange\.manageasapp(?:v2)?|mailboxitem\.\w+(?:\.all)?)(?:\b|$)"
)


def find(case: Case) -> pl.LazyFrame:
    """One row for each record that gives a right on mail."""
    rows = judged(audit.records(case, [audit.DIRECTORY], _ACTS, _COLUMNS)).with_columns(
        said=pl.concat_str(
            pl.col("ModifiedProperties").str.replace_all(_OLD, ""),
            "ExtendedProperties",
            separator=" ",
            ignore_nulls=True,
        )
    )
    scopes = pl.col("said").str.extract_all(_SCOPE).list.unique(maintain_order=True)
    given = rows.with_columns(scopes=scopes, properties="said").filter(pl.col("scopes").list.len() > 0).drop("said")
    low = pl.col("scopes").list.eval(pl.element().str.to_lowercase())
    only_basic = low.list.eval(pl.element().str.starts_with("mail.readbasic")).list.all()
    app = pl.coalesce("object", "app")
    text = pl.col("properties").str.to_lowercase()
    everybody = text.str.contains(r"allprincipals|isadminconsent\W{1,5}newvalue\W{1,20}true")
    role = pl.col("operation").str.to_lowercase().str.contains("app role assignment")
    reads = low.list.eval(pl.element().str.contains(r"^mail\.read")).list.any()
    sends = low.list.eval(pl.element().str.contains(r"^mail\.send")).list.any()
    full = low.list.eval(pl.element().str.contains("full_access|accessasapp|manageasapp")).list.any()
    signs = [
        Sign("everybody", everybody.fill_null(value=False), "for every user of the organisation", 3),
        Sign("application", role & ~only_basic, "the application has it by itself, in every mailbox", 3),
        Sign("full access", full, "that is full access", 3),
        Sign("reads and sends", reads & sends, "it may read and send", 3),
    ]
    what = pl.format(
        "{} was given {} by {}", app.fill_null("an application"), pl.col("scopes").list.join(", "),
        pl.col("user").fill_null("unknown"),
    )  # fmt: skip
    base = pl.when(only_basic).then(1).otherwise(2)
    return told(weighed(given, base, signs), what, app, pl.col("operation"))


HUNT = Hunt(
    id="mail-audit-consent",
    title="Application given a right on mail",
    severity=Severity.MEDIUM,
    risk_score=47,
    attack=("T1528", "T1550.001", "T1114.002"),
    needs=(),
    any_of=(audit.basic(_DIRECTORY),),
    reads=(_DIRECTORY,),
    find=find,
)
