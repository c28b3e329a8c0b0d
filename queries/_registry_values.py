"""Registry values that were set, as Sysmon (13), Security (4657) and command lines tell of them."""

from __future__ import annotations

import polars as pl

from hunt.findings import reference
from hunt.logons import SECURITY
from hunt.model import SYSMON, Case, Need

from ._collection import ACT_COLUMNS, acting, is_outlook, need, starts

NEEDS = (
    need(13, f"{ACT_COLUMNS} EventType TargetObject Details", "TargetObject"),
    Need(
        SECURITY,
        4657,
        frozenset({"ObjectName", "ObjectValueName", "NewValue", "ProcessId", "ProcessName", "SubjectUserName"})
        | {"SubjectDomainName", "SubjectUserSid"},
        keys=frozenset({"ObjectValueName"}),
    ),
)  # fmt: skip

_REFERENCE = ("host", "time", "channel", "event_id", "record_id")


def values(case: Case, key: str, line: str = "") -> pl.LazyFrame:
    """Rows for `told`, as `acting` has them, one a value that was set; `key`: a pattern of whole names in lower case.

    `key` and `value` (both in lower case; `number` where it is one), `by_line`: a command line that matches `line`.
    """
    direct = pl.concat([_sysmon(case, key), _security(case, key)]).with_columns(by_line=pl.lit(value=False))
    rows = direct.sort("start", "host_key", "record_id", nulls_last=True).collect()
    parts = [acting(case, rows)]
    if line:  # what a registry event tells of the same process is not told again
        told = rows.select("host_key", "guid").drop_nulls().unique().lazy()
        parts.append(_lines(case, line).join(told, on=["host_key", "guid"], how="anti", maintain_order="left"))
    number = pl.coalesce(
        pl.col("value")
        .str.extract(r"^(?:[dq]word \()?0x(?:0x)?0*([0-9a-f]{1,8})\)?$")
        .str.to_integer(base=16, strict=False),
        pl.col("value").str.extract(r"^([0-9]{1,9})$").str.to_integer(strict=False),
    )
    return pl.concat(parts, how="diagonal").with_columns(number=number)


def _sysmon(case: Case, key: str) -> pl.LazyFrame:
    lower = pl.col("TargetObject").str.to_lowercase()
    return (
        case.frame(SYSMON, 13)
        .filter(pl.col("TargetObject").str.contains(r"(?i)\\outlook\\"))
        .collect()  # else Polars asks both of every row
        .lazy()
        .filter(lower.str.contains(key))
        .select(
            *_row(),
            pl.col("ProcessGuid").alias("guid"),
            pl.col("ProcessId").alias("pid"),
            pl.col("Image").alias("image"),
            pl.col("User").alias("user"),
            lower.alias("key"),
            pl.col("Details").str.to_lowercase().alias("value"),
            pl.concat_list("TargetObject").alias("objects"),
        )
    )


def _security(case: Case, key: str) -> pl.LazyFrame:
    whole = pl.concat_str("ObjectName", pl.lit("\\"), "ObjectValueName")
    return (
        case.frame(SECURITY, 4657)
        .filter(whole.str.contains(r"(?i)outlook"), whole.str.to_lowercase().str.contains(key))
        .select(
            *_row(),
            pl.lit(None, pl.String).alias("guid"),
            pl.col("ProcessId").cast(pl.UInt32, strict=False).alias("pid"),
            pl.col("ProcessName").alias("image"),
            pl.concat_str("SubjectDomainName", "SubjectUserName", separator="\\").alias("user"),
            whole.str.to_lowercase().alias("key"),
            pl.col("NewValue").str.to_lowercase().alias("value"),
            pl.concat_list(whole).alias("objects"),
        )
    )


def _row() -> list[pl.Expr]:
    return [
        pl.col("host"),
        pl.col("host").str.to_lowercase().alias("host_key"),
        pl.col("time").alias("start"),
        pl.col("time").alias("end"),
        pl.col("record_id"),
        pl.lit(1, pl.UInt32).alias("count"),
        pl.concat_list(reference(1)).alias("events"),
    ]


def _lines(case: Case, line: str) -> pl.LazyFrame:
    """`reg add KEY /v NAME /d VALUE` and PowerShell's Set-ItemProperty, New-ItemProperty: what they name."""
    text = pl.col("command_line")
    also = text.str.contains(line) & text.str.contains(_SETS) & ~is_outlook()
    lower = text.str.to_lowercase()
    return starts(case, text.str.contains(r"(?i)\\outlook\b"), also).with_columns(
        key=lower.str.replace_all("\"", "", literal=True),
        value=lower.str.extract(r"(?:/d|-value)[\s:]+[\"']?([^\s\"']+)"),
        by_line=pl.lit(value=True),
    )  # fmt: skip


_SETS = r"(?i)\badd\b|itemproperty|\bsp\b|\.setvalue|regwrite|\bimport\b"
