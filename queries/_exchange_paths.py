r"""Where a mailbox is exported to, and what is unusual in that.

The cmdlet takes UNC paths alone, so that a path is one tells nothing; `\\127.0.0.1\c$\...` is a folder of the server.
"""

from __future__ import annotations

import polars as pl

from hunt.cmdlet_parameters import CUT

from ._exchange import Sign

_SELF = r"^(localhost|\.|127\.[0-9.]+|\[?::1\]?|0-*0*-*1\.ipv6-literal\.net|--1\.ipv6-literal\.net)$"
_ADMIN = r"^([a-z]|admin|print|ipc)\$$"
_WEB = r"\\(inetpub|wwwroot|aspnet_client|httpproxy|clientaccess|owa|ecp)(\\|$)"
_PASSING = r"\\(programdata|te?mp|perflogs|\$recycle\.bin|users\\public|windows\\(tasks|debug|tracing))(\\|$)"
# What IIS runs or shows, of a file that is no mailbox: a web shell.
_SCRIPTS = ("aspx", "ashx", "asmx", "asp", "cshtml", "soap", "svc", "php", "jsp", "config", "cer", "shtml")


def placed(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Rows with `path` (as it was logged) and `share`: `host|share`, in lower case; null where it is none."""
    machine = pl.col("_path").str.extract(r"^\\\\([^\\]+)")
    share = pl.col("_path").str.extract(r"^\\\\[^\\]+\\([^\\]+)")
    parted = rows.with_columns(_path=pl.when(pl.col("path") != "").then(_folded())).with_columns(
        _machine=machine, _share=share
    )
    return parted.with_columns(share=pl.concat_str("_machine", "_share", separator="|"))


def _folded() -> pl.Expr:
    r"""In lower case, with `\` between folders and without the prefix `\\?\UNC\`."""
    text = pl.col("path").str.to_lowercase().str.replace_all("/", "\\", literal=True)
    return text.str.replace(r"^\\\\[?.]\\unc\\", r"\\").str.replace(r"^\\\\[?.]\\", "")


def signs() -> list[Sign]:
    """What is unusual in a path; of rows that are `placed`."""
    path, machine, share = pl.col("_path"), pl.col("_machine"), pl.col("_share")
    name = machine.str.extract("^([^@]*)")
    short = pl.col("host_key").str.extract(r"^([^.]*)")
    here = name.str.contains(_SELF) | (name == pl.col("host_key")) | (name == short) | path.str.contains("^[a-z]:")
    cut = path.str.ends_with(CUT)
    # Windows drops dots and blanks at the end of a name; a stream's name follows a colon.
    file = path.str.extract(r"([^\\]*)$").str.replace(r":.*$", "").str.strip_chars_end(". ")
    kind = file.str.extract(r"\.([^.]*)$").fill_null("")
    script = kind.is_in(_SCRIPTS) & ~cut
    other = (kind != "pst") & ~kind.is_in(_SCRIPTS) & ~cut
    web = machine.str.contains("@") | (share == "davwwwroot")
    address = name.str.contains(r"^[0-9]{1,3}(\.[0-9]{1,3}){3}$|\.ipv6-literal\.net$") & ~here
    to_admin = pl.format("to the administrative share {}", share)
    return [
        Sign("server itself", _sure(here), "to the server itself", 3),
        Sign("administrative share", _sure(share.str.contains(_ADMIN)), to_admin, 3),
        Sign("web root", _sure(path.str.contains(_WEB)), "into a folder that the web server shows", 3),
        Sign("passing folder", _sure(path.str.contains(_PASSING)), "into a folder for what passes through", 3),
        Sign("over HTTP", _sure(web), pl.format("to {} over HTTP (WebDAV)", name), 3),
        Sign("script", _sure(script), pl.format("as a .{} file, which a web server runs", kind), 4),
        Sign("no .pst", _sure(other), "to a file that does not end in .pst", 3),
        Sign("path cut off", _sure(cut), "the end of its long path was not logged", 2),
        Sign("address", _sure(address), pl.format("to an address instead of a name, {}", name), 2),
    ]  # fmt: skip


def _sure(condition: pl.Expr) -> pl.Expr:
    return condition.fill_null(value=False)
