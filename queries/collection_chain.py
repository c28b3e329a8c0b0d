r"""The acts of one user or host that make a theft of mail, in order of time, as one finding.

Why it matters: a single finding is often harmless; a script host, then Outlook or a mailbox, then stores or archives, a
connection to somewhere new and a cleared log are not (T1114, T1560, T1041, T1070).
Looks alike, is harmless: administrators who export mailboxes as asked, on a day on which other queries find something
of theirs; what the allowlist suppresses has no part in a chain.
Blind when: the queries it builds on are (`reason` in queries.csv says which phases could not have been seen); the acts
lie further apart than the window; they were done as several users on several hosts.
How: run after all other queries, of which those that are not run it asks for itself. Phases: entry (a script host as
Outlook's child, persistence, guards lowered, an administrator's unusual logon), access (Outlook driven or read, rights
on mailboxes), collection, archive, connection out, cleanup; archives that were written, mail and archives that were
deleted (Sysmon 11, 23, 26) and cleared logs (1102, 104) count where a finding is near, and not without one. A user is
the same on all hosts, by SID (as 4624 names its account) or by DOMAIN\user; what Windows' own accounts did belongs to
the user who acted on the same host next to it, else to the host. Acts follow each other within six hours (`--window`:
other seconds); archive, connection and cleanup count from the first access or collection on, an entry before the last
one. At least two phases, one of them access or collection, out of at least two findings or facts. Medium; high from
three phases, critical from four; one lower if no finding in it is medium or higher. Informational findings do not
count.
Next: read the steps in order (`hunt show-finding`, `hunt timeline`) and check the first and the last of them by hand.
If it holds, isolate every host in the chain with its power on, keep its memory, block where the mail went, end the
user's sessions and renew his credentials. Look before the first step for the way in, after the last for what else was
touched; what was packed tells whose mail is lost.
See: https://attack.mitre.org/techniques/T1114/, https://attack.mitre.org/techniques/T1070/001/
"""

from __future__ import annotations

import polars as pl

from hunt import audit, exchange, logons, workspace
from hunt.findings import NAMED, TEXTS
from hunt.lineage.needs import POWERSHELL
from hunt.logons import SECURITY
from hunt.model import ANY_ID, SYSMON, Case, EventType, Help, Hunt, Need, Severity
from hunt.schema import seconds, time_text

from ._chain_steps import ARCHIVED, CLEANUP, CORE, ENTRY, OUT, PHASES, facts, steps
from ._collection import ACT_COLUMNS, PROGRAMS, need

WINDOW_S = 21_600.0  # six hours: exports of large mailboxes and a lunch break lie within, most nights do not
MOST_STEPS = 20  # of one phase that a chain names

_WEIGHED = {str(n): severity for n, severity in enumerate(Severity)}
_RISKS = {"informational": 10, "low": 21, "medium": 47, "high": 73, "critical": 99}


def find(case: Case) -> pl.LazyFrame:
    """One row for each chain."""
    told = steps(case)
    whole = _owned(case, pl.concat([told, facts(case, told)]))
    return _chains(_numbered(whole, _gap(case))).lazy()


def _gap(case: Case) -> pl.Expr:
    window_s = WINDOW_S if case.settings.window_s is None else case.settings.window_s
    return pl.duration(nanoseconds=round(window_s * 1_000_000_000), time_unit="ns")


_ORDER = ("start", "phase", "step")


def _owned(case: Case, rows: pl.DataFrame) -> pl.DataFrame:
    """With `owner` of every row: what is nobody's is the next user's on the host within the window, or the host's."""
    sure = rows.filter(pl.col("owner").is_not_null())
    rest = rows.filter(pl.col("owner").is_null()).drop("owner").sort(_ORDER)
    # A fact of a user who is in no finding is nobody's act in this.
    users = sure.filter(pl.col("severity").is_not_null()).select("host_key", "start", "owner").sort("start", "owner")
    window_s = WINDOW_S if case.settings.window_s is None else case.settings.window_s
    near = rest.join_asof(
        users, on="start", by="host_key", strategy="nearest", tolerance=f"{round(window_s * 1_000_000_000)}ns",
        check_sortedness=False,
    )  # fmt: skip
    own = near.with_columns(owner=pl.coalesce("owner", pl.format("host {}", "host_key")), lent=pl.lit(value=True))
    return pl.concat([sure.with_columns(lent=pl.lit(value=False)), own.select(*sure.columns, "lent")])


def _numbered(rows: pl.DataFrame, gap: pl.Expr) -> pl.DataFrame:
    """With `chain`: a number for each run of acts of an owner that follow each other within the window."""
    ordered = rows.sort("owner", *_ORDER)
    before = pl.col("end").cum_max().shift(1).over("owner")
    begins = (before.is_null() | (pl.col("start") > before + gap)).cast(pl.UInt32)
    return ordered.with_columns(chain=begins.cum_sum())


def _chains(rows: pl.DataFrame) -> pl.DataFrame:
    core = pl.col("phase").is_in(CORE) & pl.col("severity").is_not_null()
    first = pl.col("start").filter(core).min().over("chain")
    last = pl.col("end").filter(core).max().over("chain")
    late = pl.col("phase").is_in([ARCHIVED, OUT, CLEANUP]) & (pl.col("end") < first)
    early = (pl.col("phase") == ENTRY) & (pl.col("start") > last)
    timely = rows.filter(first.is_not_null(), ~late.fill_null(value=True), ~early.fill_null(value=True))
    whole = timely.filter(
        pl.col("phase").n_unique().over("chain") >= 2,
        pl.col("step").n_unique().over("chain") >= 2,
    )
    few = whole.filter(pl.int_range(pl.len()).over("chain", "phase") < MOST_STEPS)
    numbered = few.with_columns(number=(pl.col("start").rank("dense").over("chain")).cast(pl.UInt32))
    counts = whole.group_by("chain").agg(
        pl.col("phase").n_unique().alias("phases"),
        pl.col("step").n_unique().alias("total"),
        _rank().max().alias("worst"),
        pl.col("end").max().alias("end"),
    )
    made = numbered.group_by("chain", maintain_order=True).agg(
        pl.col("owner").first(),
        pl.col("host").drop_nulls().first(),
        pl.col("user").filter(~pl.col("lent")).drop_nulls().first(),
        pl.col("lent").any(),
        *(
            pl.col(c).filter(pl.col("process_guid").is_not_null()).first()
            for c in ("process_guid", "pid", "image", "command_line")
        ),
        pl.col("object").filter(pl.col("phase") != ENTRY).drop_nulls().first(),
        pl.col("host").unique(maintain_order=True).alias("hosts"),
        pl.col("start").min(),
        pl.col("phase").unique().sort().alias("order"),
        _line().alias("lines"),
        pl.col("step").n_unique().alias("named"),
        pl.col("techniques").explode().drop_nulls().unique().sort(),
    )
    return _told(made.join(counts, on="chain", how="left", maintain_order="left"), numbered)


def _rank() -> pl.Expr:
    return pl.col("severity").replace_strict({s.value: s.rank for s in Severity}, default=None, return_dtype=pl.Int64)


def _line() -> pl.Expr:
    phase = pl.col("phase").replace_strict(dict(enumerate(PHASES)), return_dtype=pl.String)
    return pl.format("{} {} on {}: {}", time_text(pl.col("start")), phase, pl.col("host").fill_null("?"), "said")


def _told(made: pl.DataFrame, numbered: pl.DataFrame) -> pl.DataFrame:
    of_user = ~pl.col("owner").str.starts_with("host ")
    weight = (
        1 + (pl.col("phases") - 1).clip(1, 3) - (pl.col("worst").fill_null(0) < Severity.MEDIUM.rank).cast(pl.Int64)
    ).cast(pl.String)
    severity = weight.replace_strict({k: v.value for k, v in _WEIGHED.items()}, return_dtype=pl.String)
    left = pl.col("total") - pl.col("named")
    names = pl.col("order").list.eval(pl.element().replace_strict(dict(enumerate(PHASES)), return_dtype=pl.String))
    who = pl.when(of_user).then(pl.format("one user ({})", pl.coalesce("user", "owner"))).otherwise(pl.lit("one host"))
    where = pl.when(pl.col("hosts").list.len() > 1).then(pl.format(", on {} hosts", pl.col("hosts").list.len()))
    lent = pl.when(of_user & pl.col("lent")).then(pl.lit(" and of Windows' own accounts beside"))
    reason = pl.concat_str(
        pl.concat_str(pl.format("{} phases of {}", "phases", who), lent, where, ignore_nulls=True),
        pl.col("lines").list.join("; "),
        pl.when(left > 0).then(pl.format("and {} more", left)),
        separator="; ",
        ignore_nulls=True,
    )
    events = (
        numbered.select("chain", "number", "events")
        .explode("events")
        .select(
            "chain", pl.col("events").struct.with_fields(pl.col("number").cast(pl.UInt32).alias("step")).alias("events")
        )
        .with_columns(_same=_identity())
        .unique(["chain", "_same"], keep="first", maintain_order=True)
        .group_by("chain", maintain_order=True)
        .agg(pl.col("events").cast(NAMED))
    )
    told = made.join(events, on="chain", how="left", maintain_order="left")
    return told.with_columns(severity=severity).select(
        "host", "user", "start", "end", "process_guid", "pid", "image", "command_line", "object",
        "techniques", "severity",
        pl.col("severity").replace_strict(_RISKS, return_dtype=pl.Int64).alias("risk_score"),
        pl.when(of_user).then(pl.lit("medium")).otherwise(pl.lit("low")).alias("confidence"),
        seconds(pl.col("end") - pl.col("start")).alias("span_seconds"),
        pl.when(of_user).then(pl.coalesce("user", "owner")).alias("actor"),
        names.list.join(", ").alias("action"),
        reason.alias("reason"),
        pl.col("lines").cast(TEXTS).alias("evidence"),
        "events",
    )  # fmt: skip


def _identity() -> pl.Expr:
    named = pl.col("events").struct.field
    return pl.struct(named(f.name) for f in NAMED.fields if f.name != "step")


def _help(phase: str, first: EventType, *others: EventType) -> Help:
    return Help(*first, f"the phase {phase} could not have been seen", others=others)


_START, _MADE, _SET = EventType(SYSMON, 1), EventType(SYSMON, 11), EventType(SYSMON, 13)
_AUDITED = EventType(SECURITY, 4688)
_BLOCKS = tuple(EventType(channel, 4104) for channel in POWERSHELL)
_EXCHANGE = EventType(exchange.CHANNEL, 1)
_CLOUD = (EventType(audit.CHANNEL, ANY_ID), EventType(workspace.CHANNEL, ANY_ID))
_HELPS = (
    _help("entry", _START, _AUDITED, _SET),
    _help("access", _START, _AUDITED, *_BLOCKS, _EXCHANGE, *_CLOUD),
    _help(
        "collection", _MADE, _START, _AUDITED, EventType(SECURITY, 4663), EventType(SECURITY, 5145), _EXCHANGE, *_CLOUD
    ),
    _help("archive", _MADE, _START, _AUDITED),
    _help("connection out", EventType(SYSMON, 3), EventType(SYSMON, 22), _EXCHANGE, *_CLOUD),
    _help(
        "cleanup",
        EventType(SECURITY, ANY_ID),
        EventType("System", ANY_ID),
        EventType(SYSMON, 23),
        EventType(SYSMON, 26),
        _EXCHANGE,
    ),
)
_FILES = f"{ACT_COLUMNS} TargetFilename"
_SUBJECT = frozenset({"SubjectUserName", "SubjectDomainName"})
_READS = (
    need(11, _FILES), need(23, _FILES), need(26, _FILES), logons.NEED,
    Need(SECURITY, 1102, _SUBJECT), Need("System", 104, _SUBJECT | {"Channel"}),
)  # fmt: skip
HUNT = Hunt(
    id="collection-chain",
    title="Mail theft in several phases",
    severity=Severity.HIGH,
    risk_score=73,
    attack=("T1114", "T1560", "T1041", "T1070"),
    needs=(),
    any_of=(
        (
            *PROGRAMS,
            need(11, _FILES, "TargetFilename"),
            *(Need(*kind, frozenset({"ScriptBlockText"}), frozenset({"ScriptBlockText"})) for kind in _BLOCKS),
            *exchange.NEEDS,
            *audit.basic(*(audit.need(kind) for kind in (audit.ADMIN, audit.ITEM, audit.AGGREGATED))),
            *workspace.basic(*map(workspace.need, (workspace.ADMIN, workspace.TAKEOUT, workspace.VAULT))),
        ),
    ),
    find=find,
    across_hosts=True,  # one person on several machines
    everywhere=(logons.NEED,),
    reads=_READS,
    helps=_HELPS,
    stage=3,
)
