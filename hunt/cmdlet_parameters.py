"""The parameters of an Exchange cmdlet, out of the one text that Exchange logs them as.

Exchange 2013 and later write `-Name value -Name value`; a value is `"text"`, `$null`, a list `("a","b")`, a table
`@{add="x";remove=("a","b")}` or, for bytes, bare Base64. Exchange 2010 writes `{Name=value, Name=value}`. Texts are cut
off after 200 characters and then end in `[...]`; no quote in them is escaped. So a text may contain what looks like
another parameter: it is taken for one, beside those that are real, and none of those is lost.
Source: TaskVerboseStringHelper.FormatUserSpecifiedParameters of Exchange 2013 to 2019; events of Exchange 2010.
"""

from __future__ import annotations

import polars as pl

PARAMETER = pl.Struct({"name": pl.String, "value": pl.String})
PARAMETERS = pl.List(PARAMETER)
CUT = "[...]"  # how a text ends of which the rest was not logged

_MARK = "\0"  # before each name; what stands in the evidence is replaced first
# What a value ends with: `"` `("a")` `@{a="b"}` `@{a=("b")}` `("a",$null)` `()` `@{}`; `$null` alone is told as bare
# ones are. A name alone is no parameter within a text: "budget (draft) -final version".
_END = r'"[)}]*|\$null[)}]+|\(\)\}?|@\{\}'
# Nothing before, nothing after is looked at, so that a text of any kind is read in one pass.
_NAMES = rf"({_END})\s+-([A-Za-z]\w*)"
_NAMES_2010 = r",\s+([A-Za-z]\w*)="


def parse(texts: pl.Series) -> pl.Series:
    """For each text its parameters, in their order: PARAMETERS.

    A list is its texts, joined by ", "; a table as it stands there; `$null` is null; a switch without a value is "".
    What stands before the first name is a parameter without a name. Time and memory grow with the length alone.
    """
    once = texts.drop_nulls().unique(maintain_order=True).alias("text").to_frame().filter(pl.col("text") != "")
    pieces = (
        once.lazy()
        .with_row_index("row")
        .with_columns(old=pl.col("text").str.contains(r"^\{(?s:.*)\}$"))
        .select("row", "old", piece=_marked().str.split(_MARK))
        .explode("piece")
        .with_columns(first=pl.col("row").is_first_distinct())
    )
    told = pl.concat([_new(pieces.filter(~pl.col("old"))), _old(pieces.filter("old"))])
    lists = (
        told.filter(~pl.col("name").eq("") | pl.col("value").fill_null("").ne(""))
        .group_by("row", maintain_order=True)
        .agg(pl.struct("name", "value").alias("parameters"))
        .collect()
    )
    known = once.with_row_index("row").join(lists, on="row", how="left", maintain_order="left")
    joined = texts.alias("text").to_frame().join(known, on="text", how="left", maintain_order="left")
    return joined.select(pl.col("parameters").cast(PARAMETERS).fill_null([])).to_series().alias(texts.name)


def _marked() -> pl.Expr:
    """A text with a mark before each name."""
    text = pl.col("text").str.replace_all(_MARK, "�", literal=True)
    # A value's end is put before the first name, so that it is one as the others are.
    new = (pl.lit('" ') + text).str.replace_all(_NAMES, f"${{1}}{_MARK}${{2}}")
    old = (pl.lit(", ") + text.str.head(-1).str.slice(1)).str.replace_all(_NAMES_2010, f"{_MARK}${{1}}=")
    return pl.when("old").then(old).otherwise(new)


def _old(pieces: pl.LazyFrame) -> pl.LazyFrame:
    """`Name=value`."""
    parts = pl.col("piece").str.splitn("=", 2)
    name, value = parts.struct.field("field_0"), parts.struct.field("field_1")
    nameless = pl.col("first")
    return pieces.select(
        "row",
        name=pl.when(nameless).then(pl.lit("")).otherwise(name),
        value=pl.when(nameless).then(pl.col("piece").str.strip_prefix(", ")).otherwise(value),
    )


def _new(pieces: pl.LazyFrame) -> pl.LazyFrame:
    """`Name value`, or several of which all but the last have a bare value or none: `Name -Name bare -Name value`."""
    head = pl.col("piece").str.extract(r'^([^"(@]*)')
    parted = pieces.with_columns(
        tail=pl.col("piece").str.slice(head.str.len_chars()),
        token=pl.when("first").then(pl.lit([""], pl.List(pl.String))).otherwise(head.str.split(r"\s-", literal=False)),
    )
    last = pl.col("_piece").ne_missing(pl.col("_piece").shift(-1))
    tokens = parted.with_row_index("_piece").explode("token").with_columns(_last=last)
    nameless = pl.col("first")
    name = pl.col("token").str.extract(r"^(\w*)")
    bare = pl.col("token").str.slice(name.str.len_chars()).str.strip_chars()
    whole = pl.when("_last").then(bare + pl.col("tail").str.strip_chars_end()).otherwise(bare)
    return tokens.select(
        "row",
        name=pl.when(nameless).then(pl.lit("")).otherwise(name),
        # The quote that was put before it.
        value=pl.when(nameless).then(pl.col("tail").str.strip_prefix('"').str.strip_chars()).otherwise(_plain(whole)),
    )


def _plain(value: pl.Expr) -> pl.Expr:
    """What is meant by a value as it is written."""
    quoted = value.str.strip_prefix('"').str.strip_suffix('"')
    listed = value.str.strip_prefix("(").str.strip_suffix(")")
    items = listed.str.strip_prefix('"').str.strip_suffix('"').str.replace_all('","', ", ", literal=True)
    return (
        pl.when(value == "$null")
        .then(None)
        .when(value == '"')  # cut off behind the quote
        .then(pl.lit(""))
        .when(value.str.starts_with('"'))
        .then(quoted)
        .when(value.str.starts_with("("))
        .then(items)
        .otherwise(value)
    )


def values(name: str) -> pl.Expr:
    """What a parameter of the column `parameters` says, each time that it stands there: List(String)."""
    mine = pl.element().struct.field("name").str.to_lowercase() == name.lower()
    return pl.col("parameters").list.eval(pl.element().filter(mine).struct.field("value"))


def value(name: str) -> pl.Expr:
    """What a parameter says; null if it is absent or null. Of several of a name, all."""
    said = values(name).list.drop_nulls()
    return pl.when(said.list.len() > 0).then(said.list.join(", "))


def has(name: str) -> pl.Expr:
    """Whether there is a parameter of that name, null or not."""
    return values(name).list.len() > 0
