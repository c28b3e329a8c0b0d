"""Mail of Google Workspace was opened to others: forwarded out of the domain, routed, or delegated (Reports API).

Why it matters: forwarding sends all further mail away, whatever becomes of the password (T1114.003); a delegate reads
the mailbox with an account of his own (T1098.002).
Looks alike, is harmless: assistants, shared mailboxes, users who forward to a second address of theirs if they may.
Blind when: the export was made of other applications (user_accounts or login, admin, gmail) or days.
How: one row for each event. Forwarding out of the domain is medium, as is a delegation; a route or forwarding that an
administrator set for others is high.
Next: ask the owner of the mailbox. If he knows nothing of it, remove the forwarding or the delegate, reset his sign-in
cookies, password and second step, and revoke applications' tokens; look for filters that hide mail. If an
administrator's account did it, suspend that first. Search the mail log for what went to the address since; forbid
automatic forwarding to outside.
See: https://attack.mitre.org/techniques/T1114/003/, https://attack.mitre.org/techniques/T1098/002/
"""

from __future__ import annotations

import polars as pl

from hunt import workspace
from hunt.findings import TEXTS
from hunt.model import Case, Hunt, Severity

from ._exchange import Sign
from ._workspace import activities, findings

_TO = ("email_forwarding_destination_address", "USER_EMAIL", "SETTING_NAME", "NEW_VALUE", "delegate", "DELEGATE")
_USERS = workspace.need(workspace.USER_ACCOUNTS, *_TO)
_LOGIN = workspace.need(workspace.LOGIN, *_TO)
_ADMIN = workspace.need(workspace.ADMIN, *_TO)
_GMAIL = workspace.need(workspace.GMAIL, *_TO)
_NAMES = (
    r"email_forwarding|mail_?forward|mail_routing|email_route|email_delegat|mail_?delegat|add_delegate|create_delegate"
)
# Settings of Gmail that an administrator makes or changes are told by one name; which it is says SETTING_NAME.
_SETTING = r"^(?:create|change)_(?:gmail|email)_setting$"
_OPENS = r"email_route|message_security_rule|routing|forward|delegat|journal"


def find(case: Case) -> pl.LazyFrame:
    """One row for each event that opens mail to others."""
    ids = [need.event_id for need in (_USERS, _LOGIN, _ADMIN, _GMAIL)]
    setting = pl.col("name").str.contains(_SETTING)
    opens = pl.col("SETTING_NAME").str.to_lowercase().str.contains(_OPENS).fill_null(value=False)
    off = pl.col("NEW_VALUE").str.to_lowercase().is_in(["false", "off", "disabled", "0"]).fill_null(value=False)
    rows = activities(case, ids, f"{_NAMES}|{_SETTING}", _TO).filter(
        ~pl.col("name").str.contains("remove|delete|disable"), ~setting | (opens & ~off)
    )
    admin = pl.col("event_id") == workspace.ADMIN
    to = pl.coalesce("email_forwarding_destination_address", "delegate", "DELEGATE", "NEW_VALUE")
    said = pl.concat_str("name", pl.when(setting).then(pl.format(" {}", "SETTING_NAME")), ignore_nulls=True)
    delegation = said.str.to_lowercase().str.contains("delegat")
    signs = [Sign("by an administrator", admin & ~delegation, "an administrator set it for others", 3)]
    what = pl.format(
        "mail of {} ({}) to {}",
        pl.coalesce("USER_EMAIL", "user").fill_null("a user"), said, to.fill_null("an address that is not told"),
    )  # fmt: skip
    techniques = pl.when(delegation).then(pl.lit(["T1098.002"], TEXTS)).otherwise(pl.lit(["T1114.003"], TEXTS))
    return findings(rows, 2, signs, what, pl.coalesce("USER_EMAIL", "user"), techniques=techniques)


HUNT = Hunt(
    id="workspace-mail-access",
    title="Mail of Google Workspace forwarded or delegated",
    severity=Severity.MEDIUM,
    risk_score=47,
    attack=("T1114.003", "T1098.002"),
    needs=(),
    any_of=(workspace.basic(_USERS, _LOGIN, _ADMIN, _GMAIL),),
    reads=(
        _USERS,
        _LOGIN,
        _ADMIN,
        _GMAIL,
    ),
    find=find,
)
