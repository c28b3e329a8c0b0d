"""Mailboxes exported to PST, the removal of such requests, and which belong together (Exchange)."""

from __future__ import annotations

import polars as pl

from hunt.cmdlet_parameters import has, value
from hunt.model import Case

from ._exchange import MANY_SAID, Sign, around, commands, false, is_cmdlet, leaf, nearest, who, window
from ._exchange_paths import placed
from ._exchange_paths import signs as path_signs

_EXPORT = ("New-MailboxExportRequest", "Export-Mailbox")
_REMOVE = "Remove-MailboxExportRequest"
# A request without a name is called MailboxExport, the next one of the mailbox MailboxExport1.
_DEFAULT = r"^mailboxexport[0-9]?$"
_GUID = r"^[{(]?[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}[)}]?$"
MANY = 5  # mailboxes that one caller exports within the window


def exports(case: Case, given: pl.DataFrame) -> pl.DataFrame:
    """One row for each request to export, attempts too: columns of `commands` and of `placed`, and

    row, who, mailbox, box and name (by which a removal names it), first_share, many (mailboxes of one caller around
    the same time, null if few), grant: the row of `given` that gave the caller the right before, within the window.
    """
    rows = commands(case, *_EXPORT).with_columns(
        mailbox=pl.coalesce(value("Mailbox"), value("Identity")),
        path=pl.coalesce(value("FilePath"), value("PSTFolderPath")),
        name=_name(pl.coalesce(value("Name"), pl.lit("mailboxexport"))),
        who=who(),
    )
    # Export-Mailbox of 2007 also moves mail between mailboxes.
    known = placed(rows.filter(is_cmdlet(_EXPORT[0]) | pl.col("path").is_not_null())).with_columns(
        box=leaf(pl.col("mailbox"))
    )
    met = known.collect().with_row_index("row")
    first = (pl.col("share").is_first_distinct() & pl.col("share").is_not_null()) & (pl.col("row") > 0)
    told = met.with_columns(first_share=first).join(
        around(case, met, "who", "box", MANY), on="row", how="left", maintain_order="left"
    )
    return told.join(_granted(case, met, given), on="row", how="left", maintain_order="left")


def removals(case: Case) -> pl.DataFrame:
    """One row for each removal of a request, attempts too: columns of `commands`, and row, who, box, name."""
    identity = value("Identity")
    rows = commands(case, _REMOVE).with_columns(
        identity=identity,
        box=leaf(identity.str.extract(r"^(?s:(.*))\\[^\\]*$")),
        name=_name(identity.str.extract(r"\\([^\\]*)$")),
        who=who(),
        unasked=false("Confirm"),
        # What names it otherwise can't be compared.
        blind=identity.str.to_lowercase().str.contains(_GUID).fill_null(value=True) | has("RequestGuid"),
    )
    return rows.collect().with_row_index("row")


def pairs(case: Case, made: pl.DataFrame, removed: pl.DataFrame) -> pl.DataFrame:
    """row (of `made`), other (of `removed`), sure: a request and its removal by the same caller, within the window.

    `sure`: identity (mailbox and name), name (the mailbox is written otherwise), or none: the caller is the same,
    and the removal asked nobody, or names what can't be compared.
    """
    within = window(case)
    found: list[pl.DataFrame] = []
    custom = ~pl.col("name").str.contains(_DEFAULT)
    by = (("identity", ["who", "box", "name"], pl.lit(value=True)), ("name", ["who", "name"], custom))
    for sure, keys, of in by:
        # What did work counts before what was tried.
        for tried in (~pl.col("attempt"), pl.col("attempt")):
            met = nearest(made.filter(of), removed.filter(of, tried), keys, within)
            found.append(met.with_columns(sure=pl.lit(sure)))
    known = pl.concat(found).unique("row", keep="first", maintain_order=True)
    rest = removed.filter(pl.col("unasked") | pl.col("blind")).join(known, left_on="row", right_on="other", how="anti")
    named = rest.join(made, on=["who", "box", "name"], how="anti", nulls_equal=False)
    alone = made.filter(~pl.col("attempt")).join(known, on="row", how="anti")
    before = nearest(named, alone, ["who"], within, "backward").select(row="other", other="row", sure=pl.lit("none"))
    return pl.concat([known, before]).unique("row", keep="first", maintain_order=True)


def signs() -> list[Sign]:
    """What is unusual in a request; of rows of `exports`."""
    age = value("CompletedRequestAgeLimit").str.contains(r"^0*([.:]?0+)*$").fill_null(value=False)
    return [
        *path_signs(),
        Sign("role granted before", pl.col("grant").is_not_null(), "its caller was given the right shortly before", 3),
        Sign("content filter", value("ContentFilter").is_not_null(), "only what a filter chooses", 2),
        Sign("first share", pl.col("first_share"), "to a share that none of the earlier exports went to", 2),
        Sign("many mailboxes", pl.col("many").is_not_null(), MANY_SAID, 2),
        Sign("removes itself", age, "its request is removed as soon as it is done", 2),
    ]  # fmt: skip


def what() -> pl.Expr:
    """What a request asks for."""
    to = pl.when(pl.col("path").is_not_null()).then(pl.format(" to {}", "path")).otherwise(pl.lit(""))
    return pl.format("mailbox {} exported{}", pl.col("mailbox").fill_null("unknown"), to)


def _name(text: pl.Expr) -> pl.Expr:
    return text.str.to_lowercase().str.strip_chars().str.replace(_DEFAULT, "mailboxexport")


def _granted(case: Case, met: pl.DataFrame, every: pl.DataFrame) -> pl.DataFrame:
    """row, grant: the last time before that the caller gave somebody the right to export, or was given it."""
    given = every.filter(~pl.col("attempt"), pl.col("role") == "Mailbox Import Export")
    within = window(case)
    known = met.with_columns(user_leaf=leaf(pl.col("user")))
    to = given.with_columns(user_leaf=leaf(pl.col("assignee")))
    found = [
        nearest(known, given, ["who"], within, "backward"),
        nearest(known, to, ["user_leaf"], within, "backward"),
    ]
    return pl.concat(found).unique("row", keep="first", maintain_order=True).rename({"other": "grant"})
