"""Who administers Exchange, as far as the evidence tells."""

from __future__ import annotations

import polars as pl

from hunt import exchange
from hunt.cmdlet_parameters import value
from hunt.logons import SECURITY
from hunt.model import Case, Need

GROUP_EVENTS = tuple(
    Need(SECURITY, event_id, frozenset({"TargetUserName", "MemberSid", "MemberName"}))
    for event_id in (4728, 4732, 4756)
)
_LOGON = ["TargetUserSid", "TargetUserName", "TargetDomainName"]

# Groups that Exchange's setup makes in Active Directory, and their translations are none: they are English everywhere.
_GROUPS = (
    r"(?i)^(?:organization management|recipient management|discovery management|server management|hygiene management"
    r"|public folder management|records management|compliance management|view-only organization management"
    r"|exchange (?:trusted subsystem|windows permissions|servers|organization administrators|recipient administrators"
    r"|server administrators))$"
)
# By which users keep their own mailbox, in Outlook on the web and its options: they administer nothing.
_OWN = (
    r"(?i)^(?:get-|test-|(?:set|new|remove|enable|disable)-(?:inboxrule|mailboxautoreply|mailboxmessage|mailboxcalendar"
    r"|calendarprocessing|calendarnotification|mailboxregional|mailboxspelling|mailboxjunk|mailboxfolderpermission|userphoto"
    r"|textmessaging|messageclassification|mobiledevice|activesyncdevice|smimeconfig|sweeprule|app$|consumer"
    r"|mailboxsearch$|messagecategory|user$|clutter|focusedinbox))"
)


def key_of(name: str, domain: str) -> pl.Expr:
    """`alice|contoso` of alice, CONTOSO, of alice@CONTOSO.EXAMPLE, contoso.example: what logs have in common."""
    user = pl.col(name).str.to_lowercase().str.extract(r"^([^@]*)")
    label = pl.col(domain).str.to_lowercase().str.extract(r"^([^.]*)")
    return pl.concat_str(user, pl.lit("|"), label.fill_null(""))


def admins(case: Case) -> pl.DataFrame:
    """key (as `key_of`), `caller` (their SID or name in lower case, as cmdlets have it) and `because`; a key once."""
    ran = exchange.cmdlets(case).filter(
        pl.col("outcome") == "succeeded", ~pl.col("cmdlet").str.contains(_OWN), pl.col("caller").is_not_null()
    )
    callers = ran.select("caller_key", "user").unique().collect()
    sids = callers.filter(pl.col("caller_key").str.starts_with("s-1-5-21-"))
    by_name = callers.filter(pl.col("user").str.contains(r"^[^/\\]+/.+[^/\\]$")).select(
        # contoso.example/Users/alice: the domain and, mostly, the name of the account.
        pl.concat_str(
            pl.col("user").str.to_lowercase().str.extract(r"([^/]*)$"), pl.lit("|"),
            pl.col("user").str.to_lowercase().str.extract(r"^([^./]*)"),
        ).alias("key"),
        pl.col("caller_key").alias("caller"),
        because=pl.lit("runs its cmdlets"),
    )  # fmt: skip
    members = pl.concat([_members(case, need.event_id) for need in GROUP_EVENTS]).unique().collect()
    known = pl.concat(
        [
            sids.select("caller_key", because=pl.lit("runs its cmdlets")),
            members.select("caller_key", because=pl.lit("is in its groups")),
        ]
    ).unique("caller_key", keep="first", maintain_order=True)
    named = (
        case.frame(SECURITY, 4624)
        .select(pl.col("TargetUserSid").str.to_lowercase().alias("caller_key"), *_LOGON[1:])
        .filter(pl.col("caller_key").is_in(known["caller_key"].implode()))
        .select("caller_key", key_of("TargetUserName", "TargetDomainName").alias("key"))
        .unique()
        .collect()
    )
    by_sid = named.join(known, on="caller_key").select("key", pl.col("caller_key").alias("caller"), "because")
    rows = pl.concat([by_sid, by_name, _added(case)]).filter(~pl.col("key").str.contains(r"^\||\$\|"))
    return rows.sort("key", "because", "caller", descending=[False, True, False], nulls_last=True).unique(
        "key", keep="first", maintain_order=True
    )


def _members(case: Case, event_id: int) -> pl.LazyFrame:
    added = case.frame(SECURITY, event_id).filter(pl.col("TargetUserName").str.contains(_GROUPS))
    return added.select(pl.col("MemberSid").str.to_lowercase().alias("caller_key")).filter(
        pl.col("caller_key").str.starts_with("s-1-5-21-")
    )


def _added(case: Case) -> pl.DataFrame:
    """Who was added by Exchange's own cmdlet, where the name tells the domain."""
    rows = exchange.cmdlets(case, ["Add-RoleGroupMember"]).filter(pl.col("outcome") == "succeeded")
    member = value("Member").str.to_lowercase()
    domain = pl.coalesce(
        member.str.extract(r"^([^\\./]+)[\\./]"), pl.col("host").str.to_lowercase().str.extract(r"^[^.]+\.([^.]+)")
    )
    name = member.str.extract(r"([^\\/]*)$").str.extract("^([^@]*)")
    return rows.select(
        pl.concat_str(name, pl.lit("|"), domain).alias("key"),
        caller=pl.lit(None, pl.String),
        because=pl.lit("is in its groups"),
    ).drop_nulls("key").collect()  # fmt: skip
