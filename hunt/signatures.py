"""Whether a process's file is signed, and how old it was when it started: what Sysmon's neighbours of a start tell.

Both are three-valued. Where the telemetry is absent the answer is unknown, which is neither signed nor unsigned,
neither old nor new.
"""

from __future__ import annotations

import polars as pl

from hunt import processes
from hunt.model import SYSMON, Case, Help, Need
from hunt.schema import seconds

MAX_AGE_S = 500  # process.Ext.relative_file_creation_time <= 500 in Elastic's rule, inclusive

_LOAD = "ProcessGuid Image ImageLoaded Hashes Signed Signature SignatureStatus"
NEEDS = (
    Need(SYSMON, 2, frozenset({"TargetFilename"})),
    Need(SYSMON, 7, frozenset(_LOAD.split())),
    Need(SYSMON, 11, frozenset({"TargetFilename"})),
    Need(SYSMON, 15, frozenset({"TargetFilename"})),
    Need(SYSMON, 29, frozenset({"TargetFilename"})),
)
# What `unknown` reads.
COUNTED = (Need(SYSMON, 1, frozenset({"ProcessGuid", "Image", "Hashes"})), *NEEDS)
HELPS = (
    Help(SYSMON, 7, "whether files are signed is not known, the unsigned and new branch was not evaluable"),
    Help(SYSMON, 11, "how old files are is not known, the unsigned and new branch was not evaluable"),
)

# Of two judgements of the same file the first of these holds: a signature that was verified once is there.
_BEST_FIRST = ("valid", "invalid", "unsigned")
# Events that tell of a file that was made; of two kinds the lower number counts where both are known.
_MADE = {11: 0, 29: 0, 15: 1}
_FACTS = ("signature", "signer", "file_age_s", "timestomped")
_NANOSECONDS = 1_000_000_000


def known(case: Case, started: pl.LazyFrame, few: bool = False) -> pl.LazyFrame:
    """Processes with what is known of their files.

    `few`: so few that it is worth while to look for their names first among what may be millions of files.

    `started` has the columns host, guid, image, start, sha256 (of `case.processes`) and keeps all it has; added are
    `signature` (valid, invalid: signed and not trusted, unsigned, unknown), `signer` (null unknown), `file_age_s`
    (seconds from the file's last creation to the start, null unknown), `timestomped` (its creation time was changed)
    and `unsigned_and_new` (null unknown).
    """
    numbered = started.drop(*_FACTS, "unsigned_and_new", strict=False).with_row_index("_row")
    keyed = numbered.select(
        "_row", "guid", "start", pl.col("sha256").str.to_lowercase(), *_place("host", "image")
    )  # the keys alone go through the joins
    told = (
        _signed(case, keyed)
        .join(_aged(case, keyed, _names(keyed) if few else None), on="_row", how="left")
        .join(_stomped(case, keyed), on="_row", how="left")
        .with_columns(pl.col("timestomped").fill_null(value=False))
    )
    return (
        numbered.join(told, on="_row", how="left", maintain_order="left")
        .with_columns(_unsigned_and_new())
        .with_columns(seconds(pl.col("_age")).alias("file_age_s"))
        .drop("_row", "_age")
    )


def unknown(case: Case) -> pl.LazyFrame:
    """How many starts of each host (Sysmon 1) can't be told unsigned and new from not: host, unknown, total."""
    everything = case.frame(SYSMON, 1)
    # The common case, and the one of many starts.
    if not (any_known(case) or any(_there(case, event_id) for event_id in _MADE)):
        return _by_host(everything.select("host", pl.lit(None, pl.Boolean).alias("unsigned_and_new")))
    starts = everything.select(
        "host",
        pl.col("ProcessGuid").alias("guid"),
        pl.col("Image").alias("image"),
        pl.col("time").alias("start"),
        processes.sha256("Hashes").alias("sha256"),
    )
    return _by_host(known(case, starts).select("host", "unsigned_and_new"))


def any_known(case: Case) -> bool:
    """Whether anything at all may be known to be signed, or not to be."""
    elsewhere = case.signed_elsewhere is not None and case.signed_elsewhere.height > 0
    return elsewhere or _there(case, 7)


def _there(case: Case, event_id: int) -> bool:
    return bool(case.frame(SYSMON, event_id).limit(1).select(pl.len()).collect().item())


def _by_host(judged: pl.LazyFrame) -> pl.LazyFrame:
    return (
        judged.group_by(pl.col("host").str.to_lowercase().alias("_key"))
        .agg(
            pl.col("host").min(),
            pl.col("unsigned_and_new").is_null().sum().cast(pl.UInt64).alias("unknown"),
            pl.len().cast(pl.UInt64).alias("total"),
        )
        .sort("_key")
        .drop("_key")
    )


def _unsigned_and_new() -> pl.Expr:
    """Both must be known, unless one of them is known to be false."""
    bad = pl.when(pl.col("signature") != "unknown").then(pl.col("signature").is_in(["unsigned", "invalid"]))
    # In whole nanoseconds: 500 s are inside, a nanosecond more is not.
    new = pl.col("_age").dt.total_nanoseconds() <= MAX_AGE_S * _NANOSECONDS
    return (bad & new).alias("unsigned_and_new")


def _place(host: str, path: str) -> list[pl.Expr]:
    """Keys of a file: its host and its path, as Windows compares them."""
    return [pl.col(host).str.to_lowercase().alias("_host"), normal_path(pl.col(path)).alias("_path")]


def normal_path(path: pl.Expr) -> pl.Expr:
    r"""A path to compare by: lower case, backslashes, without the prefixes `\\?\`, `\??\` and `\\.\`.

    8.3 names, device paths and links stay what they are: they equal none, and what they would tell is unknown.
    """
    return (
        path.str.to_lowercase()
        .str.replace_all("/", "\\", literal=True)
        .str.replace(r"^\\(?:\\[?.]|\?\?)\\(unc\\)?", "$1")
        .str.replace(r"^unc\\", r"\\")
    )


def _signed(case: Case, keyed: pl.LazyFrame) -> pl.LazyFrame:
    """_row, signature, signer: as the process's own image was judged when it was loaded, else the same content."""
    loads = judged(case.frame(SYSMON, 7)).select(
        pl.col("host").str.to_lowercase().alias("_host"),
        pl.col("ProcessGuid").alias("guid"),
        normal_path(pl.col("Image")).alias("_path"),
        normal_path(pl.col("ImageLoaded")).alias("_loaded"),
        *_SIGNED,
    )
    own = best(loads.filter(pl.col("_loaded") == pl.col("_path")).join(
        keyed.select("_row", "_host", "guid"), on=["_host", "guid"]
    ), "_row")  # fmt: skip
    # The content is the same wherever it lies, and so is its signature.
    anywhere = loads.select(_SIGNED)
    if case.signed_elsewhere is not None:
        anywhere = pl.concat([anywhere, case.signed_elsewhere.lazy()])
    alike = best(anywhere.join(keyed.select("sha256"), on="sha256", how="semi"), "sha256")
    return (
        keyed.select("_row", "_host", "guid", "sha256", "_path", "start")
        .join(own, on="_row", how="left")
        .join(alike, on="sha256", how="left", suffix="_alike")
        .select(
            "_row",
            pl.coalesce("signature", "signature_alike", pl.lit("unknown")).alias("signature"),
            pl.when(pl.col("signature").is_not_null()).then("signer").otherwise("signer_alike").alias("signer"),
        )
    )


_SIGNED = ("sha256", "signature", "signer")


def judged(loads: pl.LazyFrame) -> pl.LazyFrame:
    """Image loads (Sysmon 7) that tell whether the file is signed, with sha256, signature and signer."""
    told = loads.with_columns(processes.sha256("Hashes").alias("sha256"), *load_judged())
    return told.filter(pl.col("signature").is_not_null())


def load_judged() -> list[pl.Expr]:
    """signature and signer of an image load (Sysmon 7); null where Sysmon could not tell either.

    Seen in real logs: true with Valid, false with Unavailable. `Signed` false with another status, and true with
    Unavailable (the check did not come to an end) tell nothing.
    """
    signed, status = pl.col("Signed").str.to_lowercase(), pl.col("SignatureStatus").str.to_lowercase()
    judgement = (
        pl.when((signed == "true") & (status == "valid"))
        .then(pl.lit("valid"))
        .when((signed == "true") & ~status.is_in(["", "-", "?", "unavailable"]))
        .then(pl.lit("invalid"))  # expired, revoked, untrusted ...
        .when((signed == "false") & (status == "unavailable"))
        .then(pl.lit("unsigned"))
    )
    signer = pl.when(~pl.col("Signature").is_in(["", "-", "?"])).then(pl.col("Signature"))
    return [judgement.alias("signature"), signer.alias("signer")]


def best(judged: pl.LazyFrame, key: str) -> pl.LazyFrame:
    """One judgement for each key: the first of _BEST_FIRST, whatever the order of the events."""
    rank = pl.col("signature").replace_strict({name: n for n, name in enumerate(_BEST_FIRST)}, return_dtype=pl.UInt8)
    ranked = judged.filter(pl.col(key).is_not_null()).select(key, "signature", "signer", rank.alias("_rank"))
    return ranked.sort("_rank", "signer", nulls_last=True).unique(key, keep="first", maintain_order=True).drop("_rank")


_MOST_NAMES = 1000  # that are looked for at once


def _names(keyed: pl.LazyFrame) -> list[str] | None:
    """The file names of some processes; None: too many, or of letters that only Unicode knows in both cases."""
    named = keyed.select(pl.col("_path").str.extract(r"([^\\]+)$").unique()).collect()
    last = named["_path"].drop_nulls().sort().to_list()
    return last if len(last) <= _MOST_NAMES and all(name.isascii() for name in last) else None


def _aged(case: Case, keyed: pl.LazyFrame, names: list[str] | None = None) -> pl.LazyFrame:
    """_row and `_age`: from the last time that the file was made before the start; `names`: of the files, if few.

    The event's time, rather than the CreationUtcTime in it, which whoever made the file can set. Sysmon 11 tells of
    files that were made or written anew, 29 of executables; 15 of a stream that was added (a download's mark, say),
    and counts where neither is known. There is no event for a file that was renamed: its age is unknown.
    """
    wanted = keyed.filter(pl.col("_path").is_not_null(), pl.col("start").is_not_null()).select(
        "_row", "_host", "_path", "start"
    )
    made = pl.concat(
        _named(case.frame(SYSMON, event_id), names).select(
            "time", *_place("host", "TargetFilename"), pl.lit(n).alias("_rank")
        )
        for event_id, n in _MADE.items()
    ).with_columns(pl.col("_path").str.replace(r"^(..[^:]*):.*$", "$1"))  # without a stream's name
    return (
        wanted.join(made, on=["_host", "_path"])
        .filter(pl.col("time") <= pl.col("start"))
        .group_by("_row", "_rank")
        .agg((pl.col("start") - pl.col("time")).min().alias("_age"))
        .sort("_row", "_rank")
        .unique("_row", keep="first", maintain_order=True)
        .drop("_rank")
    )


def _named(files: pl.LazyFrame, names: list[str] | None) -> pl.LazyFrame:
    """Events of files that may have these names: cheaper than to make a path of each to compare by."""
    if names is None:
        return files
    if not names:
        return files.limit(0)
    there = pl.col("TargetFilename").str.contains_any(names, ascii_case_insensitive=True)
    return files.filter(there).collect().lazy()


def _stomped(case: Case, keyed: pl.LazyFrame) -> pl.LazyFrame:
    """_row and `timestomped`, true: of processes on whose file a Sysmon 2 changed the time of creation."""
    changed = case.frame(SYSMON, 2).select(_place("host", "TargetFilename"))
    return keyed.join(changed, on=["_host", "_path"], how="semi").select(
        "_row", pl.lit(value=True).alias("timestomped")
    )
