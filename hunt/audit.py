"""Microsoft 365's unified audit log, as hunts see it: who did what in which mailbox, from where, with which client.

Channel `Office365.UnifiedAudit`, event ids by RecordType (see parsers/unified_audit.py). An export holds what whoever
made it asked for: a record type that it lacks tells nothing, and so do days before its first record.
Source: Office 365 Management Activity API schema; Microsoft Purview, "Use MailItemsAccessed to investigate compromised
accounts".
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from hunt.findings import named
from hunt.model import Case, Need

CHANNEL = "Office365.UnifiedAudit"
# Record types: cmdlets of Exchange; what users do to mail, item by item, in groups, in sums; Entra ID; eDiscovery.
ADMIN, ITEM, GROUP, AGGREGATED = 1, 2, 3, 50
DIRECTORY, COMPLIANCE, DISCOVERY, AED = 8, 18, 24, 31
THROTTLED_H = 24  # hours that nothing is recorded of a mailbox after its records became too many

# Ours, and the fields that may hold them, the first that is there.
_FIELDS = {
    "id": ("Id",),
    "operation": ("Operation",),
    "user": ("UserId",),
    "user_type": ("UserType",),
    "result": ("ResultStatus",),
    "client_ip": ("ClientIPAddress", "ClientIP", "ActorIpAddress"),
    "client": ("ClientInfoString", "UserAgent"),
    "app": ("AppId", "ClientAppId", "ApplicationId"),
    "session": ("SessionId", "AppAccessContext.AADSessionId"),
    "mailbox": ("MailboxOwnerUPN",),
    "mailbox_guid": ("MailboxGuid",),
    "logon": ("LogonType",),
    "external": ("ExternalAccess",),
    "object": ("ObjectId",),
}
_COMMON = frozenset(name for names in _FIELDS.values() for name in names)
CORE = ("host", "time", "channel", "event_id", "record_id", "source", "offset")


def need(event_id: int, *columns: str) -> Need:
    """What is read of a record type: what all of its records may have, and these columns."""
    return Need(CHANNEL, event_id, _COMMON | set(columns), keys=frozenset({"Operation"}))


def basic(*needs: Need) -> tuple[Need, ...]:
    """What the same record types have to have: many of the other columns are another's place for the same."""
    return tuple(
        Need(CHANNEL, of.event_id, frozenset({"Operation", "UserId"}), keys=frozenset({"Operation"})) for of in needs
    )


def records(
    case: Case, event_ids: Sequence[int], operations: Sequence[str], columns: Sequence[str] = ()
) -> pl.LazyFrame:
    """One row a record of these operations (in lower case): CORE, those of `_FIELDS`, `host_key`, and `columns`.

    A record that an export holds twice, as searches in pages give them, counts once. In order of time.
    """
    met = pl.concat([_of(case, event_id, operations, columns) for event_id in event_ids], how="vertical")
    told = met.with_columns(_address("client_ip"), host_key=pl.col("host").str.to_lowercase())
    known = ("host_key", "event_id", "id", "time", "operation")
    once = pl.struct(known).is_first_distinct() | pl.col("id").is_null()
    return told.sort("time", "host_key", "id", "source", "offset", maintain_order=True).filter(once)


def addresses(case: Case, event_id: int) -> pl.LazyFrame:
    """host_key, user_key, client_ip, time of all records of a type that name a user, whatever they tell of."""
    met = case.frame(CHANNEL, event_id)
    there = set(met.collect_schema())
    held = [pl.col(name) for name in _FIELDS["client_ip"] if name in there]
    user = pl.col("UserId").str.to_lowercase() if "UserId" in there else pl.lit(None, pl.String)
    told = met.select(
        pl.col("host").str.to_lowercase().alias("host_key"),
        user.alias("user_key"),
        pl.coalesce(*(pl.when(c != "").then(c) for c in held), pl.lit(None, pl.String)).alias("client_ip"),
        "time",
    )
    return told.filter(pl.col("user_key").is_not_null()).with_columns(_address("client_ip"))


def _of(case: Case, event_id: int, operations: Sequence[str], columns: Sequence[str]) -> pl.LazyFrame:
    met = case.frame(CHANNEL, event_id)
    there = set(met.collect_schema())

    def text(name: str) -> pl.Expr:
        held = pl.col(name) if name in there else pl.lit(None, pl.String)
        return pl.when(held != "").then(held)

    own = {ours: pl.coalesce(*map(text, names)) for ours, names in _FIELDS.items()}
    wanted = text("Operation").str.strip_chars().str.to_lowercase().is_in(list(operations))
    return met.filter(wanted).select(
        *CORE,
        *(value.alias(ours) for ours, value in own.items()),
        *(text(name).alias(name) for name in columns),
    )


def _address(column: str) -> pl.Expr:
    """An address without port and brackets, in lower case."""
    bare = (
        pl.col(column)
        .str.strip_chars()
        .str.to_lowercase()
        .str.replace(r"^\[([0-9a-f:.%]+)\](?::[0-9]+)?$", "$1")
        .str.replace(r"^([0-9]{1,3}(?:\.[0-9]{1,3}){3}):[0-9]+$", "$1")
        .str.replace(r"^::ffff:([0-9]{1,3}(?:\.[0-9]{1,3}){3})$", "$1")
    )
    return pl.when(bare != "").then(bare).alias(column)


def failed() -> pl.Expr:
    """Whether a record tells of what was tried in vain."""
    return pl.col("result").str.to_lowercase().is_in(["failed", "failure", "false"]).fill_null(value=False)


def event(step: int = 1) -> pl.Expr:
    """The event that a row of `records` stands for: `findings.NAMED`."""
    return named(step, "id")


def box() -> pl.Expr:
    """By what a mailbox is known again, in lower case; of records that name none, the user's own."""
    return pl.coalesce("mailbox", "mailbox_guid", "user").str.to_lowercase()


def in_others() -> pl.Expr:
    """Whether a mailbox is another's than the user's; unknown is not told as such."""
    delegated = pl.col("logon").is_in(["1", "2", "Admin", "Delegated"])
    different = pl.col("mailbox").str.to_lowercase() != pl.col("user").str.to_lowercase()
    return (delegated | (different & pl.col("user").str.contains("@", literal=True))).fill_null(value=False)


def by_admin() -> pl.Expr:
    return pl.col("logon").is_in(["1", "Admin"]).fill_null(value=False)


def by_application() -> pl.Expr:
    """Whether an application acted by itself, without a user: UserType 5 (application) and 6 (service principal)."""
    kind = pl.col("user_type").str.to_lowercase().is_in(["5", "6", "application", "serviceprincipal"])
    nameless = ~pl.col("user").str.contains("@", literal=True) & pl.col("app").is_not_null()
    return (kind | nameless).fill_null(value=False)


# Outlook on the desktop, in the browser, on phones, and Exchange's own assistants; what users read mail with.
_USUAL = (
    r"^client=(?:msexchangerpc|mapihttp|owa|outlookservice;(?:outlook-|client=)|hub transport|cafe|activesync|airsync"
    r"|substratesearch|teamsmiddletier|tba)|^microsoft office|outlook-(?:ios|android)|^mozilla/"
)
_PROGRAM = (
    r"python|powershell|curl|wget|go-http|axios|java/|okhttp|ruby|perl|libwww|\bews|mailsniper|roadtools|aadinternals"
)


def programmatic() -> pl.Expr:
    """Whether the client is none of those that users read mail with: EWS, REST, IMAP, POP, scripts."""
    client = pl.col("client").str.to_lowercase()
    return (client.str.contains(_PROGRAM) | ~client.str.contains(_USUAL)).fill_null(value=False)
