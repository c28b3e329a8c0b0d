"""Processes as Sysmon tells them: names out of paths, starts, what a ProcessGuid says."""

from __future__ import annotations

import polars as pl


def base_name(column: str) -> pl.Expr:
    """The file name at the end of a Windows path, in lower case: compared whole, so NOTOUTLOOK.EXE is no match."""
    # The Kelvin sign is no k on Windows, though its lower case is.
    return pl.col(column).str.replace_all("\u212a", "?", literal=True).str.to_lowercase().str.extract(r"([^\\/]*)$")


def distinct_starts(starts: pl.LazyFrame) -> pl.LazyFrame:
    """Process starts (Sysmon 1), each once, with `host_key` to join by: hosts compare without case.

    The same start may have been logged again under another record id; its host, ProcessGuid and time tell. Starts
    without a GUID stay.
    """
    keyed = starts.with_columns(pl.col("host").str.to_lowercase().alias("host_key"))
    identified = keyed.filter(pl.col("ProcessGuid").is_not_null())
    # The lowest record id, not the log read first: findings must not depend on the names of logs.
    once = identified.sort("record_id").unique(["host_key", "ProcessGuid", "time"], keep="first", maintain_order=True)
    return pl.concat([once, keyed.filter(pl.col("ProcessGuid").is_null())])


def start_second(guid: pl.Expr) -> pl.Expr:
    """When a process started, to the second, from its ProcessGuid (`{MMMMMMMM-LLLL-HHHH-...}`): UTC, ns.

    The second group is the low, the third the high half of the UNIX time in seconds, as in 1,411 of 1,411 starts
    that were compared with their UtcTime. Null where the text is no such GUID.
    """
    groups = guid.str.extract_groups(r"^\{[0-9A-F]{8}-([0-9A-F]{4})-([0-9A-F]{4})-").struct
    seconds = pl.concat_str(groups.field("2"), groups.field("1")).str.to_integer(base=16, strict=False)
    return (seconds * 1_000_000_000).cast(pl.Datetime("ns", "UTC"))


def sha256(column: str) -> pl.Expr:
    """The SHA-256 out of Sysmon's Hashes (`SHA1=...,MD5=...,SHA256=...`), lower case; null if it was not logged."""
    return pl.col(column).str.extract(r"(?i)(?:^|,)SHA256=([0-9a-f]{64})(?:,|$)").str.to_lowercase()
