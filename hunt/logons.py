"""Whose logon session a finding's process ran in: SIDs out of logon ids (Security 4624)."""

from __future__ import annotations

import polars as pl

from hunt.model import Case, Need

SECURITY = "Security"
NEED = Need(SECURITY, 4624, frozenset(["TargetLogonId", "TargetUserSid", "TargetUserName", "TargetDomainName"]))

# Logon sessions that every Windows has under these ids ([MS-DTYP] 2.4.2.4, ntifs.h: SYSTEM_LUID and the like).
WELL_KNOWN = {0x3E7: "S-1-5-18", 0x3E4: "S-1-5-20", 0x3E5: "S-1-5-19", 0x3E6: "S-1-5-7"}

# TokenTimestamps of 4624 and the first process of a session lie this close, in either order.
SKEW = pl.duration(seconds=5, time_unit="ns")


def luid(column: str) -> pl.Expr:
    """A logon id as findings have it (0x3e7) as a number; null where it is none."""
    return pl.col(column).str.strip_prefix("0x").str.to_integer(base=16, strict=False, dtype=pl.UInt64)


def sids(findings: pl.DataFrame, case: Case) -> pl.Series:
    """The SID that each finding's process ran under, as printed; null where the evidence does not tell.

    A logon id is used again after a restart: the last logon before the process counts, if it is the same user's. Of
    those that every Windows has, none is a user's of a domain or machine, whatever an event says.
    """
    asked = findings.select(
        pl.int_range(pl.len()).alias("_row"),
        pl.col("host").str.to_lowercase().alias("host_key"),
        luid("logon_id").alias("_luid"),
        (pl.coalesce("start", "end") + SKEW).alias("time"),
        "user",
    )
    known = last_before(asked, _logons(case)).sort("_row")
    own = pl.when(pl.col("user").str.contains(r"(?i)^S-1-[0-9-]+$")).then("user")
    fixed = pl.col("_luid").replace_strict(WELL_KNOWN, default=None, return_dtype=pl.String)
    system = pl.col("user").is_null() | pl.col("user").str.contains(_SYSTEM)
    found = pl.coalesce(own, pl.when(system).then(fixed), pl.when(same_user("user")).then("TargetUserSid"))
    return known.select(found.alias("sid"))["sid"]


# `NT AUTHORITY\\SYSTEM` in any language (`NT-AUTORITAET`, `AUTORITE NT`), or the machine's own account, as 4688 has it.
_SYSTEM = r"(?i)^(?:[^\\]*[ -])?nt(?:[ -][^\\]*)?\\|\$$"


def same_user(column: str) -> pl.Expr:
    r"""Whether `DOMAIN\name` is the user of a 4624. A domain's two names (CORP, contoso.example) need not be alike."""
    user = pl.col(column).str.to_lowercase()
    name, domain = user.str.extract(r"([^\\]*)$"), user.str.extract(r"^(.*)\\")
    theirs = pl.col("TargetDomainName").str.to_lowercase()
    comparable = domain.str.contains(".", literal=True) == theirs.str.contains(".", literal=True)
    alike = (theirs == domain) | ~comparable | theirs.is_in(["-", ""])
    return ((pl.col("TargetUserName").str.to_lowercase() == name) & alike.fill_null(value=True)).fill_null(value=False)


def _logons(case: Case) -> pl.DataFrame:
    logons = case.frame(SECURITY, 4624).select(
        pl.col("host").str.to_lowercase().alias("host_key"),
        pl.col("TargetLogonId").alias("_luid"),
        "time",
        "TargetUserName",
        "TargetDomainName",
        "TargetUserSid",
        "record_id",
    )
    return logons.drop_nulls(["host_key", "_luid", "time"]).sort("time", "record_id").collect()


def last_before(asked: pl.DataFrame, logons: pl.DataFrame) -> pl.DataFrame:
    """`asked`, each with the last of `logons` of its `host_key` and `_luid` before `time`; nulls without one.

    A logon id is used again after a restart: whether it is the one meant, the user tells. `time` of `asked` is that
    of a process, and SKEW; `logons` are in order of time. `_row` of `asked` is a number each; the order is not kept.
    """
    timed = asked.drop_nulls(["host_key", "_luid", "time"]).sort("time")
    # join_asof warns that it can't check the order within groups; both sides are sorted as a whole.
    met = timed.join_asof(logons, on="time", by=["host_key", "_luid"], strategy="backward", check_sortedness=False)
    rest = asked.join(timed.select("_row"), on="_row", how="anti")
    return pl.concat([met, rest], how="diagonal")
