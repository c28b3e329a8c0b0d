"""Where a mailbox is exported to: what a path tells of itself."""

from __future__ import annotations

import polars as pl

from queries._exchange import severity, weighed
from queries._exchange_paths import placed, signs

PATHS = {
    r"\\SRV-FILES\pst$\bob.pst": ("informational", []),
    r"\\localhost\pst\bob.pst": ("high", ["server itself"]),
    r"\\127.0.0.1\share\bob.pst": ("high", ["server itself"]),
    r"\\srv-ex01\share\bob.pst": ("high", ["server itself"]),
    r"\\SRV-EX01.contoso.example\share\bob.pst": ("high", ["server itself"]),
    r"\\SRV-EX011\share\bob.pst": ("informational", []),
    r"\\127001\share\bob.pst": ("informational", []),
    r"//localhost/share/bob.pst": ("high", ["server itself"]),
    r"\\?\UNC\localhost\share\bob.pst": ("high", ["server itself"]),
    r"\\.\UNC\localhost\share\bob.pst": ("high", ["server itself"]),
    r"C:\out\bob.pst": ("high", ["server itself"]),
    r"\\SRV-FILES\D$\bob.pst": ("high", ["administrative share"]),
    r"\\SRV-FILES\admin$\bob.pst": ("high", ["administrative share"]),
    r"\\SRV-FILES\pst\inetpub\wwwroot\bob.pst": ("high", ["web root"]),
    r"\\SRV-FILES\pst\TEMP\bob.pst": ("high", ["passing folder"]),
    r"\\SRV-FILES\attempts\bob.pst": ("informational", []),
    r"\\drop.example@SSL@443\DavWWWRoot\bob.pst": ("high", ["over HTTP"]),
    r"\\SRV-FILES\pst\bob.PST": ("informational", []),
    r"\\SRV-FILES\pst\bob.zip": ("high", ["no .pst"]),
    r"\\SRV-FILES\pst\bob": ("high", ["no .pst"]),
    r"\\SRV-FILES\pst\bob.pst.ashx": ("critical", ["script"]),
    r"\\SRV-FILES\pst\bob.aspx. ": ("critical", ["script"]),
    r"\\SRV-FILES\pst\bob.aspx::$DATA": ("critical", ["script"]),
    r"\\SRV-FILES\pst\aaaa[...]": ("medium", ["path cut off"]),
    r"\\198.51.100.7\pst\bob.pst": ("medium", ["address"]),
    "": ("informational", []),
    None: ("informational", []),
}


def test_what_a_path_tells() -> None:
    rows = pl.LazyFrame({"path": list(PATHS)}, schema={"path": pl.String})
    asked = rows.with_columns(host_key=pl.lit("srv-ex01.contoso.example"), attempt=False)
    told = weighed(placed(asked), 0, signs()).select("path", severity(), "signs").collect()
    assert {path: (said, found) for path, said, found in told.iter_rows()} == PATHS
