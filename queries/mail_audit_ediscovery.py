"""Mail was searched, exported or purged with eDiscovery or a compliance search (unified audit log).

Why it matters: one search reads every mailbox of the organisation, one export takes what it found out of it, without a
trace in the mailboxes (T1114.002); a purge takes away what would have told of the attack (T1070.008).
Looks alike, is harmless: the law department's cases; purging of phishing mail by those who answer incidents.
Blind when: the export was made of other record types (Discovery, SecurityComplianceCenterEOPCmdlet), users or days.
How: one row for each act. Low: a search was made or changed, its results looked at; medium: exported, or purged; high:
results were downloaded (SearchExportDownloaded, ViewedSearchExported), or the query asks for credentials. Cmdlets of
Exchange Online (Search-Mailbox, New-ComplianceSearchAction ...) are judged as exchange-mail-search judges those of a
server of one's own. Failed attempts are one step lower.
Next: ask the law department for the case. If there is none, disable the caller's account, end his sessions and take his
compliance roles, so that nothing more is downloaded; keep search and export rather than delete them, for query,
mailboxes and results say exactly whose mail was taken. After a purge put the mailboxes on hold at once, for purged mail
can be recovered for some days only.
See: https://attack.mitre.org/techniques/T1114/002/, https://attack.mitre.org/techniques/T1070/008/
"""

from __future__ import annotations

import polars as pl

from hunt import audit
from hunt.findings import TEXTS
from hunt.model import Case, Hunt, Severity

from . import exchange_mail_search
from ._audit import CMDLETS, COMPLIANCE, cmdlets, judged, told
from ._exchange import Sign, weighed

_COLUMNS = ("Query", "ExchangeLocations", "Case", "Name", "SharepointLocations", "Parameters.ContentMatchQuery")
_DISCOVERY = audit.need(audit.DISCOVERY, *_COLUMNS)
_AED = audit.need(audit.AED, *_COLUMNS)

_WEIGHTS = {
    "searchcreated": 1,
    "searchupdated": 1,
    "searchstarted": 1,
    "searchpreviewed": 1,
    "searchresultspreviewed": 1,
    "previewitemdownloaded": 2,
    "searchexported": 2,
    "searchreportexported": 2,
    "searchexportdownloaded": 3,
    "viewedsearchexported": 3,
    "exportjob": 2,
    "downloadedexport": 3,
    "downloaddocument": 2,
    "searchpurged": 2,
    "purgesearchresults": 2,
    "searchresultspurged": 2,
}
_PURGES = ("searchpurged", "purgesearchresults", "searchresultspurged")
_CREDENTIALS = r"passw|credential|secret|\bvpn\b|\bpwd\b|пароль|kennwort|mot de passe|contrase"


def find(case: Case) -> pl.LazyFrame:
    """One row for each search, export or purge."""
    ids = (audit.ADMIN, audit.COMPLIANCE)
    named = cmdlets(case, exchange_mail_search.CMDLETS, ids=ids)
    return pl.concat([exchange_mail_search.found(named), _discovery(case)], how="diagonal_relaxed")


def _discovery(case: Case) -> pl.LazyFrame:
    met = judged(audit.records(case, [audit.DISCOVERY, audit.AED], [*_WEIGHTS], _COLUMNS))
    act = pl.col("operation").str.strip_chars().str.to_lowercase()
    base = act.replace_strict(_WEIGHTS, default=1, return_dtype=pl.Int64)
    query = pl.coalesce("Query", "Parameters.ContentMatchQuery")
    credentials = query.str.to_lowercase().str.contains(_CREDENTIALS).fill_null(value=False)
    everywhere = pl.col("ExchangeLocations").str.to_lowercase().str.contains(r"^\W*all\W*$").fill_null(value=False)
    signs = [
        Sign("credentials", credentials, "the query asks for credentials", 3),
        Sign("all mailboxes", everywhere & (base > 1), "of all mailboxes", 2),
    ]
    name = pl.coalesce("object", "Name", "Case")
    what = pl.format(
        "{} of the search {}: {}", "operation", name.fill_null("without a name"), query.str.slice(0, 200).fill_null("")
    )
    purged = act.is_in(list(_PURGES))
    techniques = pl.when(purged).then(pl.lit(["T1070.008"], TEXTS)).otherwise(pl.lit(["T1114.002"], TEXTS))
    return told(weighed(met, base, signs), what, name, pl.col("operation"), techniques=techniques)


HUNT = Hunt(
    id="mail-audit-ediscovery",
    title="Mail searched, exported or purged by eDiscovery",
    severity=Severity.MEDIUM,
    risk_score=47,
    attack=("T1114.002", "T1070.008"),
    needs=(),
    any_of=(audit.basic(_DISCOVERY, COMPLIANCE, CMDLETS, _AED),),
    reads=(
        _DISCOVERY,
        COMPLIANCE,
        CMDLETS,
        _AED,
    ),
    find=find,
)
