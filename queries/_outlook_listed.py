"""What starts Outlook on a healthy desktop, by path and signer."""

from __future__ import annotations

import polars as pl

from hunt.signatures import normal_path

# By its whole path, any drive.
_LISTED = (
    r"^[a-z]:\\windows\\explorer\.exe$",
    r"^[a-z]:\\windows\\system32\\(userinit|sihost|runtimebroker|searchprotocolhost|searchindexer)\.exe$",
    r"^[a-z]:\\windows\\system32\\applicationframehost\.exe$",
    r"^[a-z]:\\windows\\systemapps\\[^\\]+\\[^\\]+\.exe$",
    r"^[a-z]:\\program files( \(x86\))?\\microsoft office\\([^\\]+\\){0,2}office1[0-9]\\outlook\.exe$",
    r"^[a-z]:\\program files( \(x86\))?\\common files\\microsoft shared\\clicktorun\\officec[^\\]*\.exe$",
)
_SIGNERS = ("Microsoft Windows", "Microsoft Corporation")


def listed(image: str) -> pl.Expr:
    """`listed`: whether a process is one of these; needs `signature` and `signer` of `hunt.signatures`."""
    right = (pl.col("signature") == "valid") & pl.col("signer").is_in(_SIGNERS)
    by_path = normal_path(pl.col(image)).str.contains("|".join(_LISTED))
    return (by_path & (right | (pl.col("signature") == "unknown"))).fill_null(value=False).alias("listed")
