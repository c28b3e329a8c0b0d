"""What a chain is made of: findings of other queries and facts of the logs, each with its phase and its user."""

from __future__ import annotations

import polars as pl

from hunt import audit, logons, workspace
from hunt.findings import NAMED, REFERENCE, TEXTS, known, reference
from hunt.logons import SECURITY
from hunt.model import SYSMON, Case
from hunt.processes import base_name

from ._collection import ARCHIVE, SCRIPT_HOSTS, STORE
from ._exchange_admins import key_of

PHASES = ("entry", "access", "collection", "archive", "connection out", "cleanup")
ENTRY, ACCESS, COLLECTION, ARCHIVED, OUT, CLEANUP = range(6)
CORE = (ACCESS, COLLECTION)  # without one of these there is no mail in it

# Queries of ours by their ids, the first that fits; those of other families, and rules, by their techniques.
_QUERIES: tuple[tuple[str, tuple[int, ...]], ...] = (
    (r"^outlook-(?:child|persistence|security-lowered)$|^exchange-admin-logon$", (ENTRY,)),
    (r"^outlook-|^exchange-(?:mail-role|mailbox-access)$", (ACCESS,)),
    (r"^mail-audit-(?:permission|consent)$|^workspace-oauth-grant$", (ACCESS,)),
    (r"^(?:exchange|mail)-audit-off$", (CLEANUP,)),
    (r"^exchange-export-removed$", (COLLECTION, CLEANUP)),
    (r"^exchange-forwarding$|^mail-audit-(?:forwarding|sending)$|^collection-new-destination$", (OUT,)),
    (r"^exchange-", (COLLECTION,)),
)
_COMMANDS = {"pack": (ARCHIVED,), "send": (OUT,)}
_OURS = r"^(?:collection|mail|workspace)-"
_TECHNIQUES: tuple[tuple[str, int], ...] = (
    (r"^T1114\.003$|^T1041$|^T1048|^T1567|^T1537$", OUT),
    (r"^T1070|^T1562", CLEANUP),
    (r"^T1114|^T1213|^T1530$|^T1005$|^T1074", COLLECTION),
    (r"^T1098|^T1528$|^T1550|^T1078", ACCESS),
)

STEP = {
    "host": pl.String(),
    "host_key": pl.String(),
    "user": pl.String(),
    "owner": pl.String(),  # as `key_of`; null: nobody's, or Windows' own
    "start": pl.Datetime("ns", "UTC"),
    "end": pl.Datetime("ns", "UTC"),
    "phase": pl.Int64(),
    "step": pl.String(),  # the finding's id, or what makes a fact one
    "said": pl.String(),
    "severity": pl.String(),  # null of facts
    "techniques": TEXTS,
    "process_guid": pl.String(),
    "pid": pl.UInt32(),
    "image": pl.String(),
    "command_line": pl.String(),
    "object": pl.String(),
    "events": pl.List(NAMED),
}
MOST_EVENTS = 5  # of one step


def steps(case: Case) -> pl.DataFrame:
    """STEP, one row a finding and phase; those that are suppressed or informational aside. In order of time."""
    found = known(case).filter(pl.col("suppressed").is_null(), pl.col("severity") != "informational")
    phased = found.with_columns(phase=_phases()).filter(pl.col("phase").list.len() > 0)
    sids = logons.sids(phased, case).alias("_sid") if phased.height else pl.Series("_sid", [], pl.String)
    owned = phased.with_columns(sids).with_columns(owner=_owner(case)).with_columns(owner=_in_cloud())
    rows = owned.explode("phase").with_columns(
        host_key=pl.col("host").fill_null("").str.to_lowercase(),
        start=pl.coalesce("start", "end"),
        end=pl.coalesce("end", "start"),
        step=pl.col("finding_id"),
        said=pl.format("{} ({})", "query", "finding_id"),
        events=pl.col("events").list.head(MOST_EVENTS),
    )
    return _shaped(rows)


def _placeless() -> pl.Expr:
    """`events` of facts, which have record ids, as those of findings, of which some have none."""
    there = pl.element().struct.field
    kept = {field.name for field in REFERENCE.fields}
    values = (there(f.name) if f.name in kept else pl.lit(None, f.dtype).alias(f.name) for f in NAMED.fields)
    return pl.col("events").list.eval(pl.struct(*values))


def _shaped(rows: pl.DataFrame) -> pl.DataFrame:
    told = rows.select(
        (pl.col(c) if c in rows.columns else pl.lit(None)).cast(dtype).alias(c) for c, dtype in STEP.items()
    )
    return told.drop_nulls(["host_key", "start"])


def _phases() -> pl.Expr:
    """The phases that a finding shows; none if it has no part in this."""
    kind = pl.List(pl.Int64)
    by_query = [pl.when(pl.col("query").str.contains(p)).then(pl.lit(list(of), kind)) for p, of in _QUERIES]
    command = pl.col("query") == "collection-mail-command"
    by_act = [
        pl.when(command & (pl.col("action") == act)).then(pl.lit(list(of), kind)) for act, of in _COMMANDS.items()
    ]
    local = pl.when(pl.col("query").str.contains("^collection-")).then(pl.lit([COLLECTION], kind))
    ours = pl.col("query").str.contains(_OURS)
    named = [pl.when(ours & _has(pattern)).then(pl.lit([phase], kind)) for pattern, phase in _TECHNIQUES]
    rules = pl.when(_has("^T1114")).then(pl.lit([COLLECTION], kind))
    # Reading a disk is no more than a lead, unless something else speaks for it.
    lead = pl.when((pl.col("query") == "collection-raw-read") & (pl.col("severity") == "low")).then(pl.lit([], kind))
    return pl.coalesce(lead, *by_query, *by_act, local, *named, rules, pl.lit([], kind))


def _has(pattern: str) -> pl.Expr:
    return pl.col("techniques").list.eval(pl.element().str.contains(pattern)).list.any().fill_null(value=False)


_NOBODY = (
    r"(?i)^(?:[^\\]*[ -])?nt(?:[ -][^\\]*)?\\|^(?:system|s-1-5-(?:7|18|19|20))$|\$$|^(?:window manager"
    r"|font driver host)\\"
)


def user_key(user: pl.Expr) -> pl.Expr:
    r"""`alice|contoso` of CONTOSO\alice, contoso.example/Users/alice, alice@contoso.example; null of Windows' own."""
    name = user.str.extract(r"([^\\/]*)$")
    mailed = name.str.contains("@", literal=True)
    domain = pl.when(mailed).then(name.str.extract(r"@(.*)$")).otherwise(user.str.extract(r"^([^\\/]*)[\\/]"))
    rows = pl.struct(name.alias("_name"), domain.alias("_domain"))
    user_part = rows.struct.field("_name").str.to_lowercase().str.extract(r"^([^@]*)")
    label = rows.struct.field("_domain").str.to_lowercase().str.extract(r"^([^.]*)")
    return pl.when(~user.str.contains(_NOBODY), user_part != "").then(pl.concat_str(user_part, pl.lit("|"), label))


def _owner(case: Case) -> pl.Expr:
    """By the SID, as far as logons (4624) name its account, else by the account that the finding names."""
    sid = pl.coalesce("_sid", pl.when(pl.col("actor").str.contains(r"^S-1-5-21-")).then("actor")).str.to_lowercase()
    named = accounts(case)
    by_sid = sid.replace_strict(named, default=None, return_dtype=pl.String) if named else pl.lit(None, pl.String)
    actor = pl.when(~pl.col("actor").str.contains("^S-1-")).then("actor")
    own = pl.when(sid.str.starts_with("s-1-5-21-")).then(sid)
    return pl.coalesce(by_sid, user_key(pl.col("user")), user_key(actor), own)


def _in_cloud() -> pl.Expr:
    """`owner`; of an organisation's records that name no account an owner of their own: nobody is beside them there."""
    cloud = pl.col("events").list.first().struct.field("channel").is_in([audit.CHANNEL, workspace.CHANNEL])
    own = pl.coalesce(pl.col("user").str.to_lowercase(), pl.format("host {}", pl.col("host").str.to_lowercase()))
    return pl.coalesce("owner", pl.when(cloud).then(own))


def accounts(case: Case) -> dict[str, str]:
    """The account of each SID of a domain or machine, by logons (4624); the first by name where there are several."""
    rows = case.frame(SECURITY, 4624).select(
        pl.col("TargetUserSid").str.to_lowercase().alias("sid"),
        key_of("TargetUserName", "TargetDomainName").alias("key"),
    )
    own = rows.filter(
        pl.col("sid").str.starts_with("s-1-5-21-"), ~pl.col("key").str.contains(r"^\||\$\||\|$")
    ).drop_nulls()
    return dict(own.unique().collect().sort("sid", "key").unique("sid", keep="first", maintain_order=True).iter_rows())


# Facts: they have no query of their own, for without a finding they tell of nothing.

_ARCHIVERS = (
    "7z.exe", "7za.exe", "7zg.exe", "7zr.exe", "rar.exe", "winrar.exe", "tar.exe", "makecab.exe", "zip.exe",
    "winzip32.exe", "winzip64.exe", "wbadmin.exe", "bandizip.exe", "peazip.exe",
)  # fmt: skip
_MAIL_FILE = r"(?i)\.(?:msg|eml)$"
_CLEARED = {1102: SECURITY, 104: "System"}


def facts(case: Case, of: pl.DataFrame) -> pl.DataFrame:
    """STEP of what is no finding by itself, on the hosts of the steps `of`: archives, deleted mail, cleared logs."""
    if not of.height:
        return of
    hosts = of.select("host_key").unique()
    guids = of["process_guid"].drop_nulls().unique()
    path = pl.col("TargetFilename")
    by_them = pl.col("ProcessGuid").is_in(guids.implode()) | base_name("Image").is_in([*_ARCHIVERS, *SCRIPT_HOSTS])
    mail = path.str.contains(f"{STORE}|{ARCHIVE}|{_MAIL_FILE}")
    # Windows deletes archives of its own all day: updates.
    somebody = ~pl.col("User").str.contains(_NOBODY).fill_null(value=False) | by_them
    whose = path.str.contains(f"{STORE}|{_MAIL_FILE}") | somebody
    parts = [_files(case, 11, path.str.contains(ARCHIVE), by_them, hosts, ARCHIVED, "archive written")]
    parts += [_files(case, event_id, mail, whose, hosts, CLEANUP, "file deleted") for event_id in (23, 26)]
    parts += [_cleared(case, event_id, hosts) for event_id in _CLEARED]
    return pl.concat(parts)


def _files(
    case: Case, event_id: int, wanted: pl.Expr, also: pl.Expr, hosts: pl.DataFrame, phase: int, what: str
) -> pl.DataFrame:
    """One row for each process and hour; `wanted` is a cheap look, `also` is asked of what is left."""
    few = case.frame(SYSMON, event_id).filter(wanted.fill_null(value=False)).collect()
    keyed = few.lazy().filter(also.fill_null(value=False)).with_columns(host_key=pl.col("host").str.to_lowercase())
    met = keyed.join(hosts.lazy(), on="host_key", how="semi")
    who = pl.coalesce("ProcessGuid", "Image", pl.lit("?"))
    day = pl.col("time").dt.truncate("1h")
    rows = (
        met.sort("time", "record_id", nulls_last=True)
        .group_by("host_key", who.alias("_who"), day.alias("_hour"), maintain_order=True)
        .agg(
            pl.col("host").first(),
            *(pl.col(c).drop_nulls().first().alias(name) for c, name in _OF_FILE.items()),
            pl.col("time").min().alias("start"),
            pl.col("time").max().alias("end"),
            pl.col("TargetFilename").n_unique().alias("_count"),
            reference(1).head(MOST_EVENTS).alias("events"),
        )
        .sort("start", "host_key", "_who", nulls_last=True)
        .collect()
    )
    more = pl.when(pl.col("_count") > 1).then(pl.format(" and {} more", pl.col("_count") - 1))
    return _shaped(
        rows.with_columns(
            owner=user_key(pl.col("user")),
            phase=pl.lit(phase, pl.Int64),
            step=pl.concat_str(
                pl.lit(f"{event_id}|"), "host_key", "_who", pl.col("_hour").cast(pl.String), separator="|"
            ),
            events=_placeless(),
            said=pl.concat_str(pl.format(f"{what}: {{}}", pl.col("object").str.slice(0, 200)), more, ignore_nulls=True),
        )
    )


_OF_FILE = {
    "User": "user",
    "ProcessGuid": "process_guid",
    "ProcessId": "pid",
    "Image": "image",
    "TargetFilename": "object",
}


def _cleared(case: Case, event_id: int, hosts: pl.DataFrame) -> pl.DataFrame:
    log = pl.lit("Security") if event_id == 1102 else pl.col("Channel").fill_null("?")
    rows = (
        case.frame(_CLEARED[event_id], event_id)
        .filter(pl.col("provider").str.to_lowercase().str.contains("eventlog"))
        .with_columns(host_key=pl.col("host").str.to_lowercase())
        .join(hosts.lazy(), on="host_key", how="semi")
        .select(
            "host",
            "host_key",
            pl.concat_str("SubjectDomainName", "SubjectUserName", separator="\\").alias("user"),
            pl.col("time").alias("start"),
            pl.col("time").alias("end"),
            log.alias("object"),
            pl.concat_list(reference(1)).alias("events"),
            pl.col("record_id"),
        )
        .sort("start", "host_key", "record_id", nulls_last=True)
        .collect()
    )
    number = pl.col("record_id").cast(pl.String).fill_null("?")
    return _shaped(
        rows.with_columns(
            owner=user_key(pl.col("user")),
            phase=pl.lit(CLEANUP, pl.Int64),
            step=pl.concat_str(
                pl.lit(f"{event_id}"), "host_key", number, pl.col("start").cast(pl.String), separator="|"
            ),
            events=_placeless(),
            said=pl.format("log {} cleared", "object"),
        )
    )
