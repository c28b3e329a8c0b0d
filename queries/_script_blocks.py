"""What PowerShell wrote down of scripts (4104, 4103, 800), as texts: few of them, and script blocks whole.

The words that are looked for may be cut by backticks, quotes and plus signs, in any case, and by the end of a part.
"""

from __future__ import annotations

import polars as pl

from hunt.findings import reference
from hunt.lineage.needs import POWERSHELL
from hunt.model import Case, Need

ENGINE = "Windows PowerShell"
BLOCKS = tuple(
    Need(channel, 4104, frozenset({"ScriptBlockText", "ScriptBlockId", "MessageNumber", "MessageTotal", "Path",
                                   "System.ProcessID", "System.UserID"}), keys=frozenset({"ScriptBlockText"}))
    for channel in POWERSHELL
)  # fmt: skip
PIPELINES = tuple(
    Need(channel, 4103, frozenset({"ContextInfo", "Payload", "System.ProcessID", "System.UserID"}))
    for channel in POWERSHELL
)
MODULES = Need(ENGINE, 800, frozenset({"Data"}))
NEEDS = (*BLOCKS, *PIPELINES, MODULES)

_NOISE = r"""[`'"+\s]*"""
_SEAM = 80  # characters to either side of the end of a part in which a word may lie
MOST = 50  # parts of one script that a finding names
_REFERENCE = ("host", "time", "channel", "event_id", "record_id")


def loosely(*words: str) -> str:
    """A pattern for any of these words, however they are cut and cased; only letters, digits and dots in them."""
    cut = (_NOISE.join("[.]" if letter == "." else letter for letter in word) for word in words)
    return f"(?i)(?:{'|'.join(cut)})"


def plain(text: pl.Expr) -> pl.Expr:
    """In lower case, without backticks, and with texts that are put together by + as one."""
    bare = text.str.to_lowercase().str.replace_all("`", "", literal=True)
    return bare.str.replace_all(r"""['"]\s*\+\s*['"]""", "")


def texts(case: Case, pattern: str) -> pl.DataFrame:
    """One row for each script block, pipeline or module event that has the pattern (`loosely`), in order of time.

    Columns: host, host_key, start, end, pid, sid, channel, `text` (all parts there are, as they were logged), `path`,
    `parts` (how many of a block are there) and `total`, `events`.
    """
    met = [*(_blocks(case, channel, pattern) for channel in POWERSHELL)]
    met += [_pipelines(case, channel, pattern) for channel in POWERSHELL]
    met.append(_modules(case, pattern))
    return pl.concat(met).sort("start", "host_key", "channel", "pid", "text", nulls_last=True)


def _blocks(case: Case, channel: str, pattern: str) -> pl.DataFrame:
    frame = case.frame(channel, 4104).select(
        *_REFERENCE,
        pl.col("host").str.to_lowercase().alias("host_key"),
        pl.col("ScriptBlockText").alias("text"),
        pl.col("ScriptBlockId").str.to_lowercase().alias("_block"),
        _number("MessageNumber", 1).alias("_number"),
        _number("MessageTotal", 1).alias("_total"),
        pl.col("Path").alias("path"),
        pl.col("System.ProcessID").alias("pid"),
        pl.col("System.UserID").alias("sid"),
    )
    whole = frame.filter(pl.col("text").str.contains(pattern)).collect()
    keys = ["host_key", "_block"]
    named = pl.concat([whole.select(keys), _over_seams(frame, pattern, keys)]).drop_nulls().unique()
    single = whole.filter(pl.any_horizontal(pl.col(c).is_null() for c in keys))
    # Only of blocks that have it are the other parts looked for.
    parts = (
        frame.filter(pl.col("_block").is_in(named["_block"].implode()))
        .join(named.lazy(), on=keys, how="semi")
        .collect()
    )
    ordered = parts.sort("host_key", "_block", "_number", "record_id").unique(
        [*keys, "_number"], keep="first", maintain_order=True
    )
    joined = ordered.group_by(keys, maintain_order=True).agg(
        pl.col("host").first(),
        pl.col("time").min().alias("start"),
        pl.col("time").max().alias("end"),
        pl.col("pid").drop_nulls().first(),
        pl.col("sid").drop_nulls().first(),
        pl.col("channel").first(),
        pl.col("text").str.join(""),
        pl.col("path").drop_nulls().first(),
        pl.len().alias("parts"),
        pl.col("_total").max().alias("total"),
        reference(1).head(MOST).alias("events"),
    )
    return pl.concat([_shaped(joined), _alone(single)])


def _over_seams(frame: pl.LazyFrame, pattern: str, keys: list[str]) -> pl.DataFrame:
    """Blocks that have the pattern over the end of a part: its end and the beginning of the next one."""
    tails = frame.filter(pl.col("_total") > 1).select(
        *keys, "_number", pl.col("text").str.tail(_SEAM).alias("_tail"), pl.col("text").str.head(_SEAM).alias("_head")
    )
    ordered = tails.sort(*keys, "_number")
    over = pl.concat_str("_tail", pl.col("_head").shift(-1).over(keys))
    return ordered.filter(over.str.contains(pattern)).select(keys).collect()


def _pipelines(case: Case, channel: str, pattern: str) -> pl.DataFrame:
    text = pl.concat_str("Payload", pl.col("ContextInfo"), separator="\n", ignore_nulls=True)
    own = pl.col("Payload").str.contains(pattern) | pl.col("ContextInfo").str.contains(pattern)
    met = case.frame(channel, 4103).filter(own.fill_null(value=False))
    return _alone(
        met.select(
            *_REFERENCE,
            text.alias("text"),
            pl.lit(None, pl.String).alias("path"),
            pl.col("System.ProcessID").alias("pid"),
            pl.col("System.UserID").alias("sid"),
        ).collect()
    )


def _modules(case: Case, pattern: str) -> pl.DataFrame:
    """The classic log's: three unnamed Data, of which no one is a process id of the script's."""
    frame = case.frame(ENGINE, 800)
    if frame.collect_schema().get("Data") != pl.List(pl.String):
        frame = frame.with_columns(pl.lit(None, pl.List(pl.String)).alias("Data"))
    rows = frame.select(*_REFERENCE, pl.col("Data").list.join("\n", ignore_nulls=True).alias("text"))
    none = {"path": pl.String, "pid": pl.UInt32, "sid": pl.String}
    met = rows.filter(pl.col("text").str.contains(pattern)).with_columns(
        pl.lit(None, t).alias(c) for c, t in none.items()
    )
    return _alone(met.collect())


def _alone(rows: pl.DataFrame) -> pl.DataFrame:
    """Events that are a whole each."""
    one = pl.lit(1, pl.Int64)
    return _shaped(
        rows.with_columns(
            host_key=pl.col("host").str.to_lowercase(),
            start=pl.col("time"),
            end=pl.col("time"),
            parts=one,
            total=one,
            events=pl.concat_list(reference(1)),
        )
    )


_COLUMNS = ("host", "host_key", "start", "end", "pid", "sid", "channel", "text", "path", "parts", "total", "events")


def _shaped(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(_COLUMNS).cast({"pid": pl.UInt32, "parts": pl.Int64, "total": pl.Int64})


def _number(column: str, otherwise: int) -> pl.Expr:
    """Texts as well: not every provider's fields are typed."""
    return pl.col(column).cast(pl.Int64, strict=False).fill_null(otherwise)
