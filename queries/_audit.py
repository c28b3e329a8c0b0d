"""What the hunts on Microsoft 365's unified audit log share: what they read, how a record becomes a finding."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from hunt import audit, cmdlet_parameters
from hunt.cmdlet_parameters import PARAMETERS
from hunt.findings import TEXTS
from hunt.model import Case, Need
from hunt.schema import seconds

from ._exchange import Sign, reason, risk_score, severity

# Of cmdlets: the parameters that hunts ask for, each in a column of its own. Others are in none.
NAMES = (
    "AccessRights", "ActionType", "AddManagerAsRecipientType", "AddToRecipients", "AdminAuditLogAgeLimit",
    "AdminAuditLogCmdlets", "AdminAuditLogEnabled", "AdminAuditLogExcludedCmdlets", "AdminAuditLogParameters",
    "AuditAdmin", "AuditBypassEnabled", "AuditDelegate", "AuditDisabled", "AuditEnabled", "AuditLogAgeLimit",
    "AuditOwner", "AutoForwardEnabled", "AutoMapping", "BlindCopyTo", "Computer", "ContentFilter",
    "ContentMatchQuery", "CopyTo", "Delegate", "DeleteContent", "DeleteMessage", "DeliverToMailboxAndForward", "Deny",
    "Enabled", "EstimateOnly", "EstimateResultOnly", "ExchangeLocation", "Export", "ExtendedRights",
    "ForwardAsAttachmentTo", "ForwardTo", "ForwardingAddress", "ForwardingSmtpAddress", "GrantSendOnBehalfTo",
    "Identity", "JournalEmailAddress", "JournalingReportNdrTo", "Level", "LogOnly", "Mailbox", "Member", "Members",
    "MoveToFolder", "Name", "Owner", "Parent", "Policy", "Purge", "PurgeType", "RedirectMessageTo", "RedirectTo",
    "Report", "Role", "Roles", "SearchName", "SearchQuery", "SecurityGroup", "SendTextMessageNotificationTo",
    "SentTo", "SoftDeleteMessage", "SourceMailboxes", "SourceStoreMailbox", "TargetFolder", "TargetMailbox",
    "Trustee", "User",
)  # fmt: skip
_PARAMETERS = ("Parameters", *(f"Parameters.{name}" for name in NAMES))

CMDLETS = audit.need(audit.ADMIN, *_PARAMETERS)
COMPLIANCE = audit.need(audit.COMPLIANCE, *_PARAMETERS)

# What is true of all of these hunts, for their documentation and `limits`.
BLIND = "the export was made of other record types, users or days: it tells of no others"


def window(case: Case, default_s: float) -> int:
    """How far apart records may be that belong together, in ns, inclusive."""
    window_s = default_s if case.settings.window_s is None else case.settings.window_s
    return round(window_s * 1_000_000_000)


def cmdlets(case: Case, names: Sequence[str], mentions: str = "", ids: Sequence[int] = (audit.ADMIN,)) -> pl.LazyFrame:
    """These cmdlets as `_exchange.commands` has those of a server of one's own, with the columns of `audit.records`.

    A parameter that is empty is null, as Exchange's own log has it.
    """
    rows = audit.records(case, ids, [name.lower() for name in names], _PARAMETERS)
    told = [
        pl.when(pl.col(f"Parameters.{name}").is_not_null()).then(
            pl.struct(pl.lit(name).alias("name"), pl.col(f"Parameters.{name}").alias("value"))
        )
        for name in NAMES
    ]
    # Of the compliance centre's cmdlets (RecordType 18) they are one text, as in Exchange's own log.
    written = pl.when(pl.col("Parameters").str.contains(r"^\s*-[A-Za-z]")).then("Parameters")
    parsed = written.map_batches(cmdlet_parameters.parse, return_dtype=PARAMETERS, is_elementwise=True)
    known = rows.with_columns(
        cmdlet=pl.col("operation"),
        arguments=pl.col("Parameters").str.slice(0, 4000),
        parameters=pl.concat_list(pl.concat_list(told).list.drop_nulls().cast(PARAMETERS), parsed.fill_null([])),
        caller=pl.col("user"),
        caller_key=pl.col("user").str.to_lowercase(),
        pid=pl.lit(None, pl.UInt32),
        outcome=pl.when(audit.failed()).then(pl.lit("failed")).otherwise(pl.lit("succeeded")),
        error=pl.lit(None, pl.String),
        attempt=audit.failed(),
    )
    if mentions:
        known = known.filter(pl.col("Parameters").fill_null("").str.contains(mentions))
    return known.drop(*_PARAMETERS).collect().lazy()


def judged(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Rows of `audit.records` with what `_exchange.weighed` and `reason` ask of cmdlets."""
    return rows.with_columns(
        attempt=audit.failed(), outcome=pl.lit("failed"), error=pl.lit(None, pl.String), caller=pl.col("user")
    )


MANY_EVENTS = 500  # records that one finding lists; how many there are it says


_FIRST = pl.format("the first {} of {} records are listed", pl.lit(MANY_EVENTS), "records")
MORE = Sign("more records", pl.col("records") > MANY_EVENTS, _FIRST, 0)


def told(rows: pl.LazyFrame, what: pl.Expr, object_: pl.Expr, action: pl.Expr, **others: pl.Expr) -> pl.LazyFrame:
    """The columns of findings out of `weighed` rows of one record each; `others`: columns told otherwise."""
    own = {
        "start": pl.col("time"),
        "end": pl.col("time"),
        "actor": pl.col("user"),
        "object": object_,
        "action": action,
        "source_ip": pl.col("client_ip"),
        "reason": reason(what),
        "severity": severity(),
        "risk_score": risk_score(),
        "confidence": pl.lit("high"),
        "evidence": pl.col("signs").cast(TEXTS),
        "events": pl.concat_list(audit.event()),
        **others,
    }
    return rows.select("host", "user", *(value.alias(name) for name, value in own.items()))


def told_together(
    rows: pl.LazyFrame, what: pl.Expr, object_: pl.Expr, action: pl.Expr, **others: pl.Expr
) -> pl.LazyFrame:
    """As `told`, out of rows of many records each, which have `start`, `end` and `events`."""
    span = {"start": pl.col("start"), "end": pl.col("end"), "span_seconds": seconds(pl.col("end") - pl.col("start"))}
    own = {**span, "evidence": _signs_and_client(), "events": pl.col("events")}
    return told(rows, what, object_, action, **own, **others)


def _signs_and_client() -> pl.Expr:
    """The signs, and by what the client is known."""
    client = [pl.format(f"{name} {{}}", pl.col(name).str.slice(0, 200)) for name in ("client", "app", "session")]
    return pl.concat_list(pl.col("signs"), *client).list.drop_nulls().cast(TEXTS)


def addresses(case: Case, needs: Sequence[Need], apart_h: float = 24) -> pl.LazyFrame:
    """host_key, user_key, client_ip: the addresses of each user, `since` when he was seen with each, and whether that
    is `late`: a day or more after the evidence's first record of him. Before that every address is the first.
    """
    parts = [audit.addresses(case, need.event_id) for need in needs]
    by = ("host_key", "user_key")
    met = (
        pl.concat(parts)
        .group_by(*by, "client_ip")
        .agg(since=pl.col("time").min())
        .with_columns(begin=pl.col("since").min().over(by))
    )
    late = pl.col("since") - pl.col("begin") >= pl.duration(hours=apart_h)
    return met.filter(pl.col("client_ip").is_not_null()).select(*by, "client_ip", "since", late=late)


def is_fresh() -> pl.Expr:
    """Whether a record is of the first day of an address that the user was not seen with before; of `first_seen`."""
    return (pl.col("late") & (pl.col("time") - pl.col("since") < pl.duration(hours=24))).fill_null(value=False)


def is_familiar() -> pl.Expr:
    """Whether the user was seen with a record's address a day or more before it."""
    return (pl.col("time") - pl.col("since") >= pl.duration(hours=24)).fill_null(value=False)
