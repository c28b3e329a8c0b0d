"""An application was given access to mail of Google Workspace, by a user or for a whole domain (Reports API).

Why it matters: with a scope on Gmail an application reads mail with tokens of its own, whatever becomes of passwords
and second factors (T1528, T1550.001); with domain-wide delegation it does so as any user (T1114.002).
Looks alike, is harmless: mail programs, phones, archives and add-ons; look up the client id, and who else uses it.
Blind when: the export was made of other applications (token, admin) or days; the grant is older than it.
How: one row for each grant that names such a scope. Low: scopes that touch no mail bodies (metadata, labels, send);
medium: reading or all of Gmail, by a user; high: by an administrator for the whole domain.
Next: ask who granted it what it is for. If nobody knows, block the client id, revoke its tokens for all users, and take
domain-wide delegation away; rotate the keys of its service account if it is yours. The token and Gmail logs under that
id tell what it called and read since. Look who else granted it, and let unknown applications have no Gmail scopes.
See: https://attack.mitre.org/techniques/T1528/, https://attack.mitre.org/techniques/T1114/002/
"""

from __future__ import annotations

import polars as pl

from hunt import workspace
from hunt.model import Case, Hunt, Severity

from ._exchange import Sign
from ._workspace import activities, findings

_OF_TOKEN = ("scope", "app_name", "client_id", "scope_data")
_OF_ADMIN = ("API_SCOPES", "API_CLIENT_NAME", "DOMAIN_NAME")
_TOKEN = workspace.need(workspace.TOKEN, *_OF_TOKEN)
_ADMIN = workspace.need(workspace.ADMIN, *_OF_ADMIN)
_MAIL = r"https://mail\.google\.com|auth/gmail|googlemail|auth/apps\.groups\.migration|email\.migration|\bgmail\b"
_READS = r"https://mail\.google\.com|auth/gmail\.(?:readonly|modify)|feed/atom|gmail\.insert|migration"


def find(case: Case) -> pl.LazyFrame:
    """One row for each grant."""
    of_users = activities(case, [workspace.TOKEN], r"^authorize$|^request$|grant", _OF_TOKEN).with_columns(
        scopes=pl.coalesce("scope", "scope_data"), app=pl.coalesce("app_name", "client_id"), wide=pl.lit(value=False)
    )
    of_domain = activities(
        case, [workspace.ADMIN], r"authorize_api_client|add_trusted|domain_wide_delegation", _OF_ADMIN
    ).with_columns(scopes=pl.col("API_SCOPES"), app=pl.col("API_CLIENT_NAME"), wide=pl.lit(value=True))
    rows = pl.concat([of_users, of_domain], how="diagonal_relaxed").filter(
        pl.col("scopes").str.to_lowercase().str.contains(_MAIL)
    )
    reads = pl.col("scopes").str.to_lowercase().str.contains(_READS)
    signs = [Sign("whole domain", pl.col("wide"), "for every user of the domain", 3)]
    what = pl.format(
        "{} may use {} by {}", pl.col("app").fill_null("an application"),
        pl.col("scopes").str.replace_all("\n", ", ").str.slice(0, 300), pl.col("user").fill_null("unknown"),
    )  # fmt: skip
    return findings(rows, pl.when(reads).then(2).otherwise(1), signs, what, pl.col("app"))


HUNT = Hunt(
    id="workspace-oauth-grant",
    title="Application given access to mail of Google Workspace",
    severity=Severity.MEDIUM,
    risk_score=47,
    attack=("T1528", "T1550.001", "T1114.002"),
    needs=(),
    any_of=(workspace.basic(_TOKEN, _ADMIN),),
    reads=(
        _TOKEN,
        _ADMIN,
    ),
    find=find,
)
