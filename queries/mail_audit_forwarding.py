"""Mail is passed on by itself, or hidden, in Exchange Online (unified audit log: cmdlets, rules that clients make).

Why it matters: whoever sets it gets all further mail without touching the mailbox again (T1114.003), and it stays after
the password was changed; a rule that deletes or moves mail hides the answers (T1564.008).
Looks alike, is harmless: forwarding for those who left, to shared mailboxes and ticket systems; rules of users that
sort their mail, which are not listed unless they delete, or move to a folder that nobody reads.
Blind when: the export was made of other record types, users or days; the rule is a hidden one, made over MAPI.
How: cmdlets (New-InboxRule, Set-Mailbox -ForwardingSmtpAddress, transport rules ...) are judged as exchange-forwarding
judges those of a server of one's own; rules that Outlook made are told by UpdateInboxRules, whose RuleActions say what
they do. An address outside of the domains of the caller and the mailbox is told as such. High if such mail does not
reach its owner any more. Failed attempts are one step lower.
Next: export the rule or setting with its times, remove it, then revoke the sessions of its maker and renew password and
second factor, or it will come back. Trace messages to the address since it was set: they are what was lost. Look for
that address and the caller's IP in other mailboxes, and have outbound spam policy refuse forwarding to outside.
See: https://attack.mitre.org/techniques/T1114/003/, https://attack.mitre.org/techniques/T1564/008/
"""

from __future__ import annotations

import polars as pl

from hunt import audit
from hunt.findings import TEXTS
from hunt.model import Case, Hunt, Severity

from . import exchange_forwarding
from ._audit import CMDLETS, cmdlets, judged, told
from ._exchange import Sign, weighed

_ACTIONS, _NAME, _CONDITION = (f"OperationProperties.{name}" for name in ("RuleActions", "RuleName", "RuleCondition"))
_RULES = audit.need(audit.ITEM, _ACTIONS, _NAME, _CONDITION, "OperationProperties.RuleOperation")
_PASSED = r"forward|redirect|\bcopyto"
_HIDDEN = r'"?actiontype"?\s*:?\s*"?(?:softdelete|permanentdelete|delete)\b|\bdelete(?:message)?\b'
_UNREAD = r"rss|conversation history|archive|junk|deleted items"


def find(case: Case) -> pl.LazyFrame:
    """One row for each cmdlet or rule that passes mail on, or hides it."""
    named = cmdlets(case, exchange_forwarding.CMDLETS, exchange_forwarding.MENTIONS)
    return pl.concat([exchange_forwarding.found(named), _made_by_clients(case)], how="diagonal_relaxed")


def _made_by_clients(case: Case) -> pl.LazyFrame:
    met = judged(audit.records(case, [audit.ITEM], ["updateinboxrules"], [_ACTIONS, _NAME, _CONDITION]))
    says = pl.col(_ACTIONS).str.to_lowercase()
    domain = pl.col("user").str.to_lowercase().str.extract("(@[^@]+)$")
    named = pl.concat_list(says.str.extract_all(r"@[a-z0-9.-]+\.[a-z]{2,}"))
    rows = met.with_columns(
        passed=says.str.contains(_PASSED).fill_null(value=False),
        hides=(says.str.contains(_HIDDEN) | (says.str.contains("move") & says.str.contains(_UNREAD))).fill_null(
            value=False
        ),
        outside=(named.list.set_difference(pl.concat_list(domain)).list.len() > 0).fill_null(value=False),
    ).filter(pl.col("passed") | pl.col("hides"))
    nameless = pl.col(_NAME).str.contains(r"^[\s.,;:_-]*.?$").fill_null(value=False)
    signs = [
        Sign("outside address", pl.col("passed") & pl.col("outside"), "to an address outside of the user's domain", 2),
        Sign("owner does not get it", pl.col("passed") & pl.col("hides"), "its owner does not get it to see", 3),
        Sign("name that hides", pl.col("hides") & nameless, "the rule's name says nothing", 3),
    ]
    what = (
        pl.when("passed")
        .then(pl.format("mail of {} is passed on by a rule: {}", audit.box(), pl.col(_ACTIONS).str.slice(0, 300)))
        .otherwise(pl.format("mail of {} is hidden by a rule: {}", audit.box(), pl.col(_ACTIONS).str.slice(0, 300)))
    )
    passed = pl.when("passed").then(pl.lit("T1114.003"))
    hidden = pl.when("hides").then(pl.lit("T1564.008"))
    return told(
        weighed(rows, 2, signs),
        what,
        audit.box(),
        pl.col("operation"),
        techniques=pl.concat_list(passed, hidden).list.drop_nulls().cast(TEXTS),
    )


HUNT = Hunt(
    id="mail-audit-forwarding",
    title="Exchange Online passes mail on or hides it",
    severity=Severity.MEDIUM,
    risk_score=47,
    attack=("T1114.003", "T1564.008"),
    needs=(),
    any_of=(audit.basic(CMDLETS, _RULES),),
    reads=(
        CMDLETS,
        _RULES,
    ),
    find=find,
)
