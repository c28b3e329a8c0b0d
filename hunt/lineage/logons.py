"""How the logon sessions of processes came about: over the network, by a task, as a service (Security 4624)."""

from __future__ import annotations

import polars as pl

from hunt.lineage.parts import Logged
from hunt.lineage.security import SECURITY
from hunt.logons import SKEW, last_before

# LogonType of 4624: Microsoft, "4624(S): An account was successfully logged on".
NETWORK, BATCH, SERVICE, REMOTE_INTERACTIVE = 3, 4, 5, 10
_LOCAL = (2, 7, 11, 12, 13)  # at the machine: interactive, unlocked, cached
_LOOPBACK = r"(?i)^(?:::ffff:)?127\.|^::1$|^0:0:0:0:0:0:0:1$"
_LINK_LOCAL = r"(?i)^fe[89ab][0-9a-f]:"  # of any machine on the same wire, this one too
_NOBODY = ("-", "")


def logons(case: Logged, of: pl.DataFrame) -> pl.DataFrame:
    """`row`, `logon_type`, `source_address`, `origin` (local, remote or null) of processes.

    `of`: host_key, row, start, logon_id, user. Logon ids are used again after a restart: the last 4624 before the start
    counts, if it is not another user's. A logon over the network from the machine itself is local; one that names no
    other machine, neither by address nor by name, has no origin.
    """
    met = case.frame(SECURITY, 4624).select(
        pl.col("host").str.to_lowercase().alias("host_key"),
        pl.col("TargetLogonId").alias("_luid"),
        "time",
        "TargetUserName",
        pl.col("LogonType").cast(pl.UInt32).alias("logon_type"),
        pl.when(~pl.col("IpAddress").is_in(_NOBODY)).then("IpAddress").alias("source_address"),
        pl.when(~pl.col("WorkstationName").is_in(_NOBODY)).then("WorkstationName").alias("_workstation"),
        "record_id",
    )
    sessions = met.drop_nulls(["host_key", "_luid", "time"]).sort("time", "record_id").collect()
    asked = of.select(
        pl.col("row").alias("_row"), "host_key", pl.col("logon_id").alias("_luid"), "user",
        (pl.col("start") + SKEW).alias("time"),
    )  # fmt: skip
    # By the name alone: a domain has several.
    own = (_account("user") == _account("TargetUserName")).fill_null(value=True)
    told = last_before(asked, sessions).filter(own, pl.col("logon_type").is_not_null())
    return told.select(pl.col("_row").alias("row"), "logon_type", "source_address", _origin()).sort("row")


def _account(column: str) -> pl.Expr:
    r"""The name in `DOMAIN\name` or `name@domain`."""
    return pl.col(column).str.to_lowercase().str.extract(r"([^\\]*)$").str.extract(r"^([^@]*)")


def _origin() -> pl.Expr:
    kind, address = pl.col("logon_type"), pl.col("source_address")
    network, loopback = kind.is_in([NETWORK, REMOTE_INTERACTIVE]), address.str.contains(_LOOPBACK)
    here = pl.col("_workstation").str.to_lowercase().str.strip_prefix("\\\\") == (
        pl.col("host_key").str.extract(r"^([^.]*)")
    )
    # A client writes what it likes for its name: it makes no address of another machine local.
    perhaps_here = address.str.contains(_LINK_LOCAL) & here.fill_null(value=False)
    elsewhere = pl.coalesce(~loopback & ~perhaps_here, ~here, kind == REMOTE_INTERACTIVE)
    return (
        pl.when(network & elsewhere)
        .then(pl.lit("remote"))
        .when(kind.is_in(_LOCAL) | (network & loopback))
        .then(pl.lit("local"))
        .alias("origin")
    )
