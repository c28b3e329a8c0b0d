"""An administrator of Exchange logged on from a new address or in a new way (Security 4624, 4648, 4769).

Why it matters: with stolen credentials of such an account all mailboxes are open (T1114.002, T1078.002); ATT&CK names
unusual logons of Exchange administrators as a source of data for it.
Looks alike, is harmless: a new computer, an address that DHCP gave anew, travel, the first task of a new job.
Blind when: nobody is known to administer Exchange (who runs its cmdlets, or was put into its groups, as far as the
evidence goes back); logons that no log of the evidence holds; the thief uses the administrator's own computer.
How: administrators are callers of Exchange cmdlets other than those by which users keep their own mailbox, and who was
added to Exchange's groups (4728, 4732, 4756, Add-RoleGroupMember). An address is new if none of their logons in the
evidence came from it before, a way (logon type, package, encryption of tickets, explicit credentials) if they did not
log on so on this host; what was the first at all is not new. Low; medium after a baseline of a week, or if the account
ran an Exchange cmdlet within the hour after; high from an address outside of private networks. One lower, and said,
after less than a day.
Next: ask the administrator, by telephone and not by mail, whether it was him. If not, disable the account, end its
sessions, renew its password and Kerberos tickets, and isolate the computer that the address belongs to. Then list all
cmdlets that it ran since: exports, rights, rules and auditing. Give administrators accounts and computers for that work
alone.
See: https://attack.mitre.org/techniques/T1114/002/, https://attack.mitre.org/techniques/T1078/002/
"""

from __future__ import annotations

import polars as pl

from hunt import exchange
from hunt.findings import TEXTS, reference
from hunt.logons import SECURITY
from hunt.model import Case, Help, Hunt, Need, Severity, Unknown
from hunt.processes import base_name
from hunt.schema import time_text
from hunt.story.traces import outside

from ._collection import weighed
from ._exchange import Sign, risk_score, severity
from ._exchange_admins import GROUP_EVENTS, admins, key_of

_ACCOUNT = "TargetUserName TargetDomainName"
_LOGON = Need(
    SECURITY, 4624, frozenset(f"{_ACCOUNT} TargetUserSid LogonType AuthenticationPackageName IpAddress".split())
)
_EXPLICIT = Need(SECURITY, 4648, frozenset(f"{_ACCOUNT} TargetServerName IpAddress ProcessName".split()))
_TICKET = Need(SECURITY, 4769, frozenset(f"{_ACCOUNT} IpAddress TicketEncryptionType Status ServiceName".split()))

_WEEK = pl.duration(days=7, time_unit="ns")
_DAY = pl.duration(days=1, time_unit="ns")
_HERE = r"^(?:-|::1|127\..*|0\.0\.0\.0|localhost|local)?$"


def find(case: Case) -> pl.LazyFrame:
    """One row for each logon that is the first of its kind."""
    accounts = admins(case)
    rows = _rows(case, accounts["key"]).collect()
    met = _first(rows).join(accounts, on="key", how="left", maintain_order="left")
    judged = {a: outside(a) for a in met["address"].drop_nulls().unique().to_list()}
    far = met["address"].replace_strict(judged, default=False, return_dtype=pl.Boolean)
    told = met.with_columns(outside=far.fill_null(value=False), followed=_followed(case, met))
    signs = (
        Sign("new address", pl.col("new_address"), pl.format("the address {} was not met before", "address"), 1),
        Sign("new way", pl.col("new_method"), pl.format("the way was not met before: {}", "method"), 1),
        Sign("outside", pl.col("outside") & pl.col("new_address"), "an address outside of private networks", 3),
        Sign("long baseline", pl.col("start") - pl.col("began") >= _WEEK, "known for a week or longer", 2),
        Sign("cmdlet after", pl.col("followed"), "it ran an Exchange cmdlet within the hour after", 2),
    )
    short = pl.col("start") - pl.col("began") < _DAY
    weight = weighed(told.lazy(), 1, signs).with_columns(weight=(pl.col("weight") - short.cast(pl.Int64)).clip(0))
    since = pl.format("its logons are known since {}", time_text(pl.col("began")))
    what = pl.format("{}, who administers Exchange ({}), logged on", "user", "because")
    brief = pl.when(short).then(pl.lit("less than a day, too short to know what is usual"))
    return weight.select(
        "host", "user", "start", "end", "events",
        severity().alias("severity"),
        risk_score().alias("risk_score"),
        pl.lit("medium").alias("confidence"),
        pl.col("address").alias("source_ip"),
        pl.col("user").alias("actor"),
        pl.col("object"),
        pl.col("method").alias("action"),
        pl.col("signs").cast(TEXTS).alias("evidence"),
        pl.concat_str(what, "said", since, brief, separator="; ", ignore_nulls=True).alias("reason"),
    )  # fmt: skip


def _rows(case: Case, keys: pl.Series) -> pl.LazyFrame:
    """Logons of these accounts: key, user, address, method, object, in order of time."""
    few = pl.col("key").is_in(keys.implode())
    kind = pl.col("LogonType").cast(pl.String)
    logon = _shaped(
        case,
        4624,
        pl.format("logon type {} by {}", kind, pl.col("AuthenticationPackageName").fill_null("?")),
        pl.lit(None),
    )
    explicit = _shaped(
        case,
        4648,
        pl.format("explicit credentials in {}", base_name("ProcessName").fill_null("?")),
        pl.col("TargetServerName"),
    )
    worked = pl.col("Status").fill_null("0x0").str.contains("^0x0+$")
    ticket = _shaped(
        case, 4769, pl.format("Kerberos ticket with encryption {}", pl.col("TicketEncryptionType").fill_null("?")),
        pl.col("ServiceName"), worked,
    )  # fmt: skip
    return pl.concat([logon, explicit, ticket]).filter(few).sort("time", "host_key", "record_id", nulls_last=True)


def _shaped(
    case: Case, event_id: int, method: pl.Expr, object_: pl.Expr, wanted: pl.Expr | None = None
) -> pl.LazyFrame:
    address = pl.col("IpAddress").str.to_lowercase().str.strip_prefix("::ffff:")
    return (
        case.frame(SECURITY, event_id)
        .filter(pl.lit(value=True) if wanted is None else wanted)
        .select(
            *("host", "time", "channel", "event_id", "record_id"),
            pl.col("host").str.to_lowercase().alias("host_key"),
            key_of("TargetUserName", "TargetDomainName").alias("key"),
            pl.concat_str(
                "TargetDomainName", pl.col("TargetUserName").str.replace("@.*$", ""), separator="\\", ignore_nulls=True
            ).alias("user"),
            pl.when(~address.str.contains(_HERE)).then(address).alias("address"),
            method.alias("method"),
            object_.cast(pl.String).alias("object"),
        )
        .filter(pl.col("time").is_not_null())
    )


def _first(rows: pl.DataFrame) -> pl.DataFrame:
    """Those that are the first from an address, or in a way, of an account that logged on before."""
    asked = rows.with_columns(
        new_address=(pl.col("time") == pl.col("time").min().over("key", "address")) & pl.col("address").is_not_null(),
        _before=pl.col("time").min().over("key", "host_key", "event_id"),
        new_method=pl.col("time") == pl.col("time").min().over("key", "host_key", "method"),
        _here=pl.col("time").min().over("key", "host_key"),
        # Without an address before, on whichever host, no log told of any.
        _told=pl.when(pl.col("address").is_not_null()).then("time").min().over("key"),
    )
    fresh = (
        asked.with_columns(
            new_address=pl.col("new_address") & (pl.col("_told") < pl.col("time")).fill_null(value=False),
            new_method=pl.col("new_method") & (pl.col("_before") < pl.col("time")),
        )
        .with_columns(began=pl.when("new_address").then("_told").otherwise("_here"))
        .filter(pl.col("new_address") | pl.col("new_method"))
    )
    once = fresh.unique(["key", "host_key", "time", "address", "method"], keep="first", maintain_order=True)
    return once.with_columns(
        start=pl.col("time"), end=pl.col("time"), events=pl.concat_list(reference(1))
    ).drop("_before", "_told", "_here")  # fmt: skip


def _followed(case: Case, met: pl.DataFrame) -> pl.Series:
    """Whether the account ran an Exchange cmdlet within the hour after."""
    ran = (
        exchange.cmdlets(case).select("caller_key", "time").drop_nulls().sort("time").collect() if met.height else None
    )
    if ran is None:
        return pl.Series([], dtype=pl.Boolean)
    asked = met.with_row_index("_at").sort("time").with_columns(caller_key=pl.col("caller"))
    near = asked.drop_nulls("caller_key").join_asof(
        ran.with_columns(_ran=pl.col("time")), on="time", by="caller_key", strategy="forward", tolerance="1h",
        check_sortedness=False,
    )  # fmt: skip
    there = near.filter(pl.col("_ran").is_not_null())["_at"]
    return met.with_row_index("_at").select(pl.col("_at").is_in(there.implode()))["_at"]


def _unknown(case: Case) -> pl.LazyFrame:
    """host, unknown, total: logons that nobody can judge, for no administrator is known."""
    logons = pl.concat([case.frame(SECURITY, event_id).select("host") for event_id in (4624, 4648, 4769)])
    counted = logons.drop_nulls().group_by("host").agg(pl.len().cast(pl.UInt64).alias("total")).sort("host")
    none = admins(case).height == 0
    return counted.select("host", (pl.col("total") if none else pl.lit(0, pl.UInt64)).alias("unknown"), "total")


_SAID = "nobody is known to administer Exchange (no cmdlet of an administrator, no change of its groups)"
_GROUPS = tuple(need.event_type for need in GROUP_EVENTS)
HUNT = Hunt(
    id="exchange-admin-logon",
    title="Exchange administrator logged on from a new address or in a new way",
    severity=Severity.LOW,
    risk_score=21,
    attack=("T1078.002", "T1114.002"),
    needs=(),
    any_of=((_LOGON, _EXPLICIT, _TICKET),),
    find=find,
    across_hosts=True,  # an administrator of Exchange logs on elsewhere
    reads=(*exchange.READS, *GROUP_EVENTS),
    helps=(Help(exchange.CHANNEL, 1, "who administers Exchange must be known from another host", others=_GROUPS),),
    unknowns=(
        Unknown(_SAID, _unknown, (_LOGON, _EXPLICIT, _TICKET, *exchange.READS, *GROUP_EVENTS), vital=True, of="logon"),
    ),
)
