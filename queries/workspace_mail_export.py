"""Mail of Google Workspace was exported: by a user's Takeout, or out of Vault for any user (Reports API).

Why it matters: Takeout gives a user's whole mailbox as one archive, and whoever holds his session can ask for it; a
Vault export holds the mail of many users, and leaves no trace in their mailboxes (T1114.002).
Looks alike, is harmless: users who leave take their own data along, if they may; the law department's matters.
Blind when: the export was made of other applications (takeout, vault) or days; the administrator's own export tool was
used (told as CUSTOMER_TAKEOUT in the log of the admin application).
How: one row for each event. Takeout: informational if mail is not among the products; medium when it was started or
completed; high if it goes to another store (Dropbox, OneDrive, Box), was asked for by another than the user, or was
downloaded; one lower if it failed. Vault: low for searches and views; medium for exports; high for their download. An
export of all of the organisation's data is high.
Next: ask the user, or the law department for the matter. If neither asked for it, suspend the account that did, reset
its cookies and second step, delete a Vault export that nobody has downloaded yet, and stop transfers to another store.
Once downloaded, count all of that mail as lost. Keep the matter and the log of its downloads; allow Takeout and Vault
exports to those who need them.
See: https://attack.mitre.org/techniques/T1114/002/, https://attack.mitre.org/techniques/T1537/
"""

from __future__ import annotations

import polars as pl

from hunt import workspace
from hunt.model import Case, Hunt, Severity

from ._exchange import Sign
from ._workspace import activities, findings

_OF_TAKEOUT = ("PRODUCTS_REQUESTED", "TAKEOUT_DESTINATION", "INITIATED_BY", "USER_EMAIL", "TAKEOUT_STATUS")
_OF_VAULT = ("query", "matter_id", "resource_name", "target_user", "additional_details")
_TAKEOUT = workspace.need(workspace.TAKEOUT, *_OF_TAKEOUT)
_VAULT = workspace.need(workspace.VAULT, *_OF_VAULT)
_ADMIN = workspace.need(workspace.ADMIN, "EMAIL_EXPORT_PACKAGE_CONTENT", "USER_EMAIL")


def find(case: Case) -> pl.LazyFrame:
    """One row for each Takeout, and for each act in Vault."""
    return pl.concat([_takeouts(case), _vault(case), _everything(case)], how="diagonal_relaxed")


def _takeouts(case: Case) -> pl.LazyFrame:
    ended = pl.col("TAKEOUT_STATUS").str.to_lowercase()
    vain = ended.is_in(["failed", "canceled", "cancelled"]).fill_null(value=False)
    rows = activities(case, [workspace.TAKEOUT], r"takeout", _OF_TAKEOUT).with_columns(attempt=vain, outcome=ended)
    products = pl.col("PRODUCTS_REQUESTED").str.to_lowercase()
    other = pl.col("TAKEOUT_DESTINATION").str.to_lowercase()
    user = pl.coalesce("USER_EMAIL", "user")
    asked_by = pl.coalesce("INITIATED_BY", "user").str.to_lowercase()
    another = asked_by.str.contains("@", literal=True) & (asked_by != user.str.to_lowercase())
    mail = (products.str.contains("gmail|mail|all")).fill_null(value=True)  # which products is not always told
    signs = [
        Sign(
            "other store",
            mail & other.is_in(["dropbox", "onedrive", "box"]),
            pl.format("to {}", "TAKEOUT_DESTINATION"),
            3,
        ),
        Sign(
            "asked by another", (mail & another).fill_null(value=False), pl.format("asked for by {}", "INITIATED_BY"), 3
        ),
        Sign("downloaded", mail & pl.col("name").str.contains("download"), "it was downloaded", 3),
    ]
    what = pl.format(
        "Takeout of {} ({}): {}",
        user.fill_null("a user"),
        "name",
        pl.col("PRODUCTS_REQUESTED").fill_null("not told of what"),
    )
    return findings(rows, pl.when(mail).then(2).otherwise(0), signs, what, user)


def _vault(case: Case) -> pl.LazyFrame:
    rows = activities(case, [workspace.VAULT], r"export|search|view_.*(?:message|content)|download|preview", _OF_VAULT)
    export = pl.col("name").str.contains("export|download")
    signs = [Sign("downloaded", pl.col("name").str.contains("download"), "the export was downloaded", 3)]
    whose = pl.coalesce("target_user", "resource_name", "matter_id")
    what = pl.format(
        "{} in Vault: {}",
        "name",
        pl.coalesce("query", "resource_name", "additional_details").str.slice(0, 200).fill_null("not told of what"),
    )
    return findings(rows, pl.when(export).then(2).otherwise(1), signs, what, whose)


def _everything(case: Case) -> pl.LazyFrame:
    rows = activities(case, [workspace.ADMIN], r"customer_takeout|email_export|request_email_export|email_monitor")
    signs = [Sign("by an administrator", pl.col("name").is_not_null(), "an administrator took it for others", 3)]
    return findings(rows, 3, signs, pl.format("{} in the admin console", "name"), pl.lit(None, pl.String))


HUNT = Hunt(
    id="workspace-mail-export",
    title="Mail of Google Workspace exported",
    severity=Severity.MEDIUM,
    risk_score=47,
    attack=("T1114.002", "T1537"),
    needs=(),
    any_of=(workspace.basic(_TAKEOUT, _VAULT, _ADMIN),),
    reads=(
        _TAKEOUT,
        _VAULT,
        _ADMIN,
    ),
    find=find,
)
