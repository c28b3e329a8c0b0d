"""A mail store was opened by a program other than Outlook, or over a share (Security 4663, 5145).

Why it matters: what Windows audits of the files themselves: it shows reading, which Sysmon does not (T1114.001), and
who took archives of others from a file server (T1039).
Looks alike, is harmless: backup, search, antivirus, which open every file as a service from a folder of administrators
and are informational for it; Outlook that opens an archive on a share; Exchange's export, which writes to a share as
the computer account of a server (low).
Blind when: 4663 needs an audit rule (SACL) on the files, which they have only if somebody set one; 5145 needs the audit
of detailed file shares, which is off by default. Over a share it is not known which program of the client it was.
How: one row for each process, or user and address, and day. Over a share: low for one store, medium for five or more,
as a user's own archive may lie there, high through an administrative share or for a cache (.ost, .nst).
Next: find out whose store it is and whether the user, or the address it came from, has any business with it. If not,
close the session, disable the account and isolate the client; there look for the program and for a copy, as a share
names no program. Take the rights of others off the folder, leave the audit rule on, and count the other stores that the
same user reached.
See: https://attack.mitre.org/techniques/T1114/001/, https://attack.mitre.org/techniques/T1039/
"""

from __future__ import annotations

import polars as pl

from hunt.findings import TEXTS
from hunt.logons import SECURITY
from hunt.model import Case, Hunt, Severity

from ._collection import (
    ACTOR_SIGNS,
    CACHE,
    INDEXER,
    OLK,
    READS,
    SERVICE,
    STORE,
    acting,
    by_process,
    is_new_outlook,
    is_outlook,
    named,
    need,
    told,
    weighed,
)
from ._exchange import Sign

_LOCAL = need(4663, "ObjectName ProcessName ProcessId SubjectUserSid SubjectUserName SubjectDomainName AccessMask",
              "ObjectName", channel=SECURITY)  # fmt: skip
_SHARE = need(5145, "ShareName RelativeTargetName IpAddress SubjectUserSid SubjectUserName SubjectDomainName "
              "AccessMask",
              "RelativeTargetName", channel=SECURITY)  # fmt: skip

# FILE_READ_DATA, FILE_WRITE_DATA, FILE_APPEND_DATA, DELETE: else the file was only looked at (winnt.h).
_USED = r"(?i)^0x[0-9a-f]*(?:[1-79a-f]|[13579bdf][0-9a-f]{4})$"
_OF_USER = pl.concat_str(
    pl.when(~pl.col("SubjectDomainName").is_in(["", "-"])).then("SubjectDomainName"), "SubjectUserName", separator="\\",
    ignore_nulls=True,
)  # fmt: skip
_REFERENCE = ("host", "time", "channel", "event_id", "record_id")


def _stores(path: str) -> pl.Expr:
    named_so = pl.col(path).str.contains(STORE) | pl.col(path).str.contains(OLK)
    used = pl.col("AccessMask").str.contains(_USED).fill_null(value=True)
    return (named_so & used).fill_null(value=False)


def find(case: Case) -> pl.LazyFrame:
    """One row for each process that opened stores on a day, and for each user and address that did over a share."""
    return pl.concat([_local(case), _shared(case)], how="diagonal")


def _flags() -> dict[str, pl.Expr]:
    cache = pl.col("object").str.contains(CACHE) | pl.col("object").str.contains(OLK)
    return {"cache": cache.fill_null(value=False)}


def _local(case: Case) -> pl.LazyFrame:
    rows = (
        case.frame(SECURITY, 4663)
        .filter(_stores("ObjectName"))
        .select(
            *_REFERENCE,
            pl.lit(None, pl.String).alias("guid"),
            pl.col("ProcessId").cast(pl.UInt32, strict=False).alias("pid"),
            pl.col("ProcessName").alias("image"),
            _OF_USER.alias("user"),
            pl.col("ObjectName").alias("object"),
        )
        .filter(~is_outlook(), ~is_new_outlook())
    )
    met = acting(case, by_process(rows, (), **_flags()))
    signs = (Sign("cache", pl.col("cache"), "a cache, which only Outlook needs", 2), *ACTOR_SIGNS)
    return told(weighed(met, 2, signs, (SERVICE, INDEXER)), "open", pl.format("opened {}", named()))


def _shared(case: Case) -> pl.LazyFrame:
    """`pid` and `image` are those of no process: the client is known by its address."""
    path = pl.concat_str(
        pl.col("ShareName").str.replace(r"^\\\\\*", ""), pl.lit("\\"), "RelativeTargetName", ignore_nulls=True
    )
    rows = (
        case.frame(SECURITY, 5145)
        .filter(_stores("RelativeTargetName"))
        .select(
            *_REFERENCE,
            pl.concat_str(_OF_USER.str.to_lowercase(), pl.col("IpAddress"), separator="|", ignore_nulls=True).alias(
                "guid"
            ),
            pl.lit(None, pl.UInt32).alias("pid"),
            pl.lit(None, pl.String).alias("image"),
            _OF_USER.alias("user"),
            path.alias("object"),
        )
    )
    flags = _flags() | {"admin": pl.col("object").str.contains(r"(?i)^\\?(?:[a-z]|admin)\$\\").fill_null(value=False)}
    met = by_process(rows, (), **flags).with_columns(
        source_ip=pl.col("guid").str.extract(r"\|([^|]*)$").str.strip_prefix("::ffff:"), guid=pl.lit(None, pl.String)
    )
    signs = (
        Sign("many", pl.col("count") >= 5, pl.format("{} stores", "count"), 2),
        Sign("cache", pl.col("cache"), "a cache, of no use to another Outlook", 3),
        Sign("administrative share", pl.col("admin"), "through an administrative share", 3),
        Sign(
            "computer",
            pl.col("user").str.ends_with("$").fill_null(value=False),
            "by a computer account, as Exchange's export writes",
            1,
        ),
    )
    none = ("command_line", "parent_image", "parent_command_line", "sha256", "signer", "integrity")
    empty = met.lazy().with_columns(
        *(pl.lit(None, pl.String).alias(c) for c in none),
        pl.lit(None, pl.UInt32).alias("session"),
        pl.lit(None, pl.UInt64).alias("logon_id"),
    )
    what = pl.format("opened {} over the network from {}", named(), pl.col("source_ip").fill_null("an unknown address"))
    techniques = pl.lit(["T1114.001", "T1039"], TEXTS)
    return told(
        weighed(empty, 1, signs), "open over a share", what, techniques=techniques, source_ip=pl.col("source_ip")
    )


HUNT = Hunt(
    id="collection-mail-file-opened",
    title="Mail store opened by another program than Outlook, or over a share",
    severity=Severity.MEDIUM,
    risk_score=47,
    attack=("T1114.001", "T1039"),
    needs=(),
    any_of=((_LOCAL, _SHARE),),
    find=find,
    reads=READS,
)
