"""What the hunts on mail that is taken from a host share: mail stores, who acts, how acts become findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from hunt import lineage, signatures
from hunt.findings import TEXTS, reference
from hunt.lineage import security
from hunt.model import SYSMON, Case, Need
from hunt.processes import base_name
from hunt.schema import hex_text, seconds

from ._exchange import Sign, risk_score, severity

# Outlook's own stores: .pst (archive), .ost (cache of Exchange), .nst (cache of groups); a copy may have one more
# extension. And the new Outlook's folder, %LOCALAPPDATA%\Microsoft\Olk.
STORE = r"(?i)\.(?:pst|ost|nst)(?:\.[a-z0-9_~]{1,8})?$"
CACHE = r"(?i)\.(?:ost|nst)(?:\.[a-z0-9_~]{1,8})?$"
OLK = r"(?i)\\olk(?:\\|$)"
ARCHIVE = r"(?i)\.(?:zip|7z|rar|cab|gz|tgz|tar|bz2|xz|arj|ace|iso|wim)(?:\.[0-9]{3})?$"

SCRIPT_HOSTS = (
    "powershell.exe", "pwsh.exe", "cmd.exe", "wscript.exe", "cscript.exe", "mshta.exe", "rundll32.exe", "regsvr32.exe",
    "powershell_ise.exe", "wmic.exe", "msbuild.exe", "installutil.exe", "regasm.exe", "regsvcs.exe", "python.exe",
    "pythonw.exe", "node.exe",
)  # fmt: skip

# Folders into which only administrators write, as Windows sets them up; those below Windows that everybody may.
_PROTECTED = r"^[a-z]:\\(?:windows|program files|program files \(x86\)|programdata\\microsoft\\windows defender)\\"
_OPEN = r"^[a-z]:\\windows\\(?:temp|tasks|tracing|debug\\wia|system32\\(?:tasks|spool|com\\dmp))\\"
_ODD_PLACE = (
    r"^[a-z]:\\(?:programdata|perflogs|users\\public|windows\\temp|temp|\$recycle\.bin|inetpub|intel)\\"
    r"|\\appdata\\local\\temp\\|^\\\\|^[a-z]:\\[^\\]+$"
)
_OUTLOOK_PLACE = r"^[a-z]:\\program files(?: \(x86\))?\\(?:microsoft office|windowsapps\\microsoft\.[^\\]*)\\(?:.*\\)?"
_NEW_PLACE = r"^[a-z]:\\program files\\windowsapps\\microsoft\.outlookforwindows_[^\\]*\\(?:.*\\)?"
_WEBVIEW = (
    r"^[a-z]:\\(?:program files(?: \(x86\))?\\microsoft\\edge(?:webview|core)"
    r"|windows\\system32\\microsoft-edge-webview)[^\\]*\\"
)
# Office is installed elsewhere at times, but not where users write.
_OFFICE = r"\\office1[0-9]\\outlook\.exe$"
_USERS = r"\\users\\|\\documents and settings\\"

MOST = 50  # events of one finding
SAID = 3  # of many files that a reason names

# What `acting` reads beside the acts themselves.
READS = (*lineage.NEEDS, *lineage.READS, *signatures.NEEDS)


def low(column: str) -> pl.Expr:
    """A path to compare by."""
    return signatures.normal_path(pl.col(column))


def is_outlook(image: str = "image") -> pl.Expr:
    """Outlook where Office is installed, or may be; one of that name where users write is none."""
    path = low(image)
    elsewhere = path.str.contains(_OFFICE) & ~path.str.contains(_USERS) & ~path.str.contains(_ODD_PLACE)
    return (path.str.contains(_OUTLOOK_PLACE + r"outlook\.exe$") | elsewhere).fill_null(value=False)


def is_new_outlook(image: str = "image") -> pl.Expr:
    """olk.exe or its browser where they are installed."""
    own = low(image).str.contains(_NEW_PLACE + r"(?:olk|olkbg)\.exe$")
    return (own | low(image).str.contains(_WEBVIEW)).fill_null(value=False)


def is_office(image: str = "image") -> pl.Expr:
    """A program of Office where it is installed."""
    return low(image).str.contains(_OUTLOOK_PLACE + r"[^\\]+\.exe$").fill_null(value=False)


def is_protected(path: str = "image") -> pl.Expr:
    """Whether it lies where only administrators write."""
    return (low(path).str.contains(_PROTECTED) & ~low(path).str.contains(_OPEN)).fill_null(value=False)


def is_odd_place(path: str) -> pl.Expr:
    """A place for what is to be carried off: shared by all users, temporary, the root of a drive, a share."""
    return low(path).str.contains(_ODD_PLACE).fill_null(value=False)


def is_script_host(image: str = "image") -> pl.Expr:
    return base_name(image).is_in(SCRIPT_HOSTS).fill_null(value=False)


def is_system() -> pl.Expr:
    """An account of Windows itself: what services run as. `integrity` and `user`, of which one may be unknown."""
    named = pl.col("user").str.contains(r"(?i)^(?:[^\\]*[ -])?nt(?:[ -][^\\]*)?\\|^(?:system|s-1-5-(?:18|19|20))$|\$$")
    return (pl.col("integrity") == "System").fill_null(value=False) | named.fill_null(value=False)


def is_service() -> pl.Expr:
    """What backup, antivirus and search have in common: an account of Windows, a folder of administrators, and a file
    that is not known to be unsigned."""
    bad = pl.col("signature").is_in(["unsigned", "invalid"]).fill_null(value=False)
    return is_system() & is_protected() & ~bad & ~is_script_host()


@dataclass(frozen=True, slots=True)
class Calm:
    """What makes an act less unusual: `when` it holds, it weighs `at_most` so much, and that is `said`."""

    name: str
    when: pl.Expr
    said: str
    at_most: int


# Of the process that acts, whatever it does.
ACTOR_SIGNS = (
    Sign("script host", is_script_host(), "by a script host", 3),
    Sign(
        "outlook elsewhere",
        base_name("image").is_in(["outlook.exe", "olk.exe"]) & ~is_outlook() & ~is_new_outlook(),
        "by a program that is named as Outlook and lies elsewhere",
        3,
    ),
    Sign(
        "unsigned",
        pl.col("signature").is_in(["unsigned", "invalid"]).fill_null(value=False),
        "by a program without a valid signature",
        3,
    ),
    Sign(
        "new file",
        pl.col("unsigned_and_new").fill_null(value=False),
        "by an unsigned program whose file was just made",
        3,
    ),
    Sign(
        "user's folder",
        (~is_protected() & low("image").str.contains(r"^[a-z]:\\")).fill_null(value=False),
        "by a program in a folder that users write to",
        2,
    ),
)
# Windows' search reads mail as the user whose it is: its helpers are started by the service, and lie where it does.
INDEXER = Calm(
    "search",
    (
        low("parent_image").str.contains(r"^[a-z]:\\windows\\system32\\searchindexer\.exe$")
        & low("image").str.contains(r"^[a-z]:\\windows\\system32\\[^\\]+$")
        & ~is_script_host()
        & ~pl.col("signature").is_in(["unsigned", "invalid"])
    ).fill_null(value=False),
    "started by Windows' search",
    0,
)
SERVICE = Calm("service", is_service(), "by a service in a folder of administrators, as backup and search are", 0)


def weighed(rows: pl.LazyFrame, base: pl.Expr | int, signs: Sequence[Sign], calms: Sequence[Calm] = ()) -> pl.LazyFrame:
    """With `weight`, `signs` and what they `said`: the heaviest of `base` and the signs, no more than calms allow."""
    first = base if isinstance(base, pl.Expr) else pl.lit(base)
    raised = pl.max_horizontal(first, *(pl.when(s.when).then(s.weight) for s in signs)).cast(pl.Int64)
    whole = pl.min_horizontal(raised, *(pl.when(c.when).then(c.at_most) for c in calms)).cast(pl.Int64)
    every: list[Sign | Calm] = [*signs, *calms]
    texts = [pl.when(s.when).then(pl.lit(s.said) if isinstance(s.said, str) else s.said) for s in every]
    names = [pl.when(s.when).then(pl.lit(s.name)) for s in every]
    return rows.with_columns(
        weight=whole,
        signs=pl.concat_list(pl.lit(None, pl.String), *names).list.drop_nulls(),
        said=pl.concat_str(pl.lit(None, pl.String), *texts, separator="; ", ignore_nulls=True),
    )


# A row an act: what `acts` makes of an event; `object`: the file, key or text that it is about.
ACT: Mapping[str, pl.DataType] = {
    "host": pl.String(),
    "guid": pl.String(),
    "pid": pl.UInt32(),
    "image": pl.String(),
    "user": pl.String(),
    "object": pl.String(),
}


def acts(case: Case, event_id: int, object_: str, wanted: pl.Expr, also: pl.Expr | None = None) -> pl.LazyFrame:
    """Acts of processes that Sysmon tells by their GUID: ACT and the event's reference; as few as `wanted`, and `also`.

    There may be millions: `wanted` should be one cheap look at the event's own columns; `also`, at those of ACT, is
    asked of what is left.
    """
    few = (
        case.frame(SYSMON, event_id)
        .filter(wanted.fill_null(value=False))
        .select(
            *_REFERENCE,
            pl.col("ProcessGuid").alias("guid"),
            pl.col("ProcessId").alias("pid"),
            pl.col("Image").alias("image"),
            pl.col("User").alias("user"),
            pl.col(object_).alias("object"),
        )
        .collect()  # else Polars asks both of every row
        .lazy()
    )
    return few if also is None else few.filter(also)


_REFERENCE = ("host", "time", "channel", "event_id", "record_id")
ACT_COLUMNS = "ProcessGuid ProcessId Image User"


def need(event_id: int, columns: str, *keys: str, channel: str = SYSMON) -> Need:
    return Need(channel, event_id, frozenset(columns.split()), keys=frozenset(keys))


def by_process(rows: pl.LazyFrame, kept: Sequence[str] = (), **flags: pl.Expr) -> pl.DataFrame:
    """Acts of one process on one day as one row: ACT, start, end, `objects` (distinct, in order), `count`, `events`.

    `kept`: columns of which the first value is kept; `flags`: whether any act has it. Of very many events the first
    MOST are kept.
    """
    day = pl.col("time").dt.truncate("1d")
    keys = {
        "host_key": pl.col("host").str.to_lowercase(),
        "_who": pl.coalesce("guid", pl.concat_str(pl.col("pid").cast(pl.String), low("image"), ignore_nulls=True)),
        "_day": day,
    }
    ordered = rows.with_columns(**keys, **flags).sort("time", "channel", "event_id", "record_id", nulls_last=True)
    firsts = [pl.col(c).drop_nulls().first() for c in ("host", "guid", "pid", "image", "user", *kept)]
    extra = [pl.col(name).any() for name in flags]
    return (
        ordered.group_by(*keys, maintain_order=True)
        .agg(
            *firsts,
            *extra,
            pl.col("time").min().alias("start"),
            pl.col("time").max().alias("end"),
            pl.col("object").drop_nulls().unique(maintain_order=True).head(MOST).alias("objects"),
            pl.col("object").n_unique().alias("count"),
            reference(1).head(MOST).alias("events"),
        )
        .drop("_who", "_day")
        .sort("start", "host_key", "guid", "pid", nulls_last=True)
        .collect()
    )


# Of the process that acts, out of `case.processes`.
_FACTS = (
    *("command_line", "integrity", "session", "logon_id", "parent_image", "parent_command_line", "sha256"),
    *("parent_guid", "parent_pid"),
)


def acting(case: Case, rows: pl.DataFrame) -> pl.LazyFrame:
    """The rows (host_key, guid, pid, image, user, start) with what is known of the process and of its file.

    Added: _FACTS, `signature`, `signer`, `unsigned_and_new`. By GUID; without one by the process id that was held then.
    """
    if not rows.height:
        none = {**dict.fromkeys(_FACTS, pl.String), "signature": pl.String, "signer": pl.String}
        types = none | {
            "session": pl.UInt32,
            "logon_id": pl.UInt64,
            "parent_pid": pl.UInt32,
            "unsigned_and_new": pl.Boolean,
        }
        return rows.with_columns(pl.lit(None, t).alias(c) for c, t in types.items()).lazy()
    numbered = rows.with_row_index("_at")
    nameless = rows.filter(pl.col("guid").is_null())["pid"].drop_nulls().unique()
    known = case.processes.join(numbered.lazy().select("host_key").unique(), on="host_key", how="semi").filter(
        pl.col("guid").is_in(rows["guid"].drop_nulls().unique().implode()) | pl.col("pid").is_in(nameless.implode())
    )
    few = known.select("host_key", "guid", "pid", "start", "end", "image", "user", *_FACTS).collect()
    whole = _joined(numbered, few)
    files = whole.select("_at", "host", "guid", "image", "sha256", pl.coalesce("_began", "start").alias("start"))
    judged = signatures.known(case, files.lazy(), few=True).select("_at", "signature", "signer", "unsigned_and_new")
    return whole.drop("_began").lazy().join(judged, on="_at", how="left", maintain_order="left").drop("_at")


def _joined(rows: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    facts = known.rename({"start": "_began", "user": "_user", "image": "_image", "end": "_end"})
    by_guid = (
        facts.drop_nulls("guid").unique(["host_key", "guid"], keep="first", maintain_order=True).drop("pid", "_end")
    )
    named = rows.filter(pl.col("guid").is_not_null()).join(
        by_guid, on=["host_key", "guid"], how="left", maintain_order="left"
    )
    held = facts.drop("guid").drop_nulls(["pid", "_began"]).sort("_began")
    rest = rows.filter(pl.col("guid").is_null())
    timed = rest.drop_nulls(["pid", "start"]).sort("start")
    met = timed.join_asof(
        held, left_on="start", right_on="_began", by=["host_key", "pid"], strategy="backward",
        check_sortedness=False, coalesce=False,
    )  # fmt: skip
    own = (base_name("_image") == base_name("image")).fill_null(value=True) | pl.col("image").is_null()
    alive = pl.col("_end").is_null() | (pl.col("_end") + _LATE >= pl.col("start"))
    told = [c for c in by_guid.columns if c not in ("host_key", "guid")]
    met = met.with_columns(pl.when(own & alive).then(pl.col(c)).alias(c) for c in told).drop("_end")
    without = rest.join(met.select("_at"), on="_at", how="anti")
    both = pl.concat([named, met, without], how="diagonal").sort("_at")
    return both.with_columns(
        pl.coalesce("user", "_user").alias("user"), pl.coalesce("image", "_image").alias("image")
    ).drop("_user", "_image")


_LATE = pl.duration(seconds=2, time_unit="ns")


def named(count: str = "count", objects: str = "objects") -> pl.Expr:
    """The first of some files, and how many more."""
    some = pl.col(objects).list.eval(pl.element().str.slice(0, 200)).list.head(SAID).list.join(", ")
    return pl.when(pl.col(count) > SAID).then(pl.format("{} and {} more", some, pl.col(count) - SAID)).otherwise(some)


def told(rows: pl.LazyFrame, action: str | pl.Expr, what: pl.Expr, **others: pl.Expr) -> pl.LazyFrame:
    """The columns of findings out of `weighed` rows of `acting`; `others`: columns told otherwise."""
    said = pl.when(pl.col("said") != "").then("said")
    own = {
        "process_guid": pl.col("guid"),
        "span_seconds": seconds(pl.col("end") - pl.col("start")),
        "logon_id": hex_text(pl.col("logon_id")),
        "actor": pl.col("user"),
        "object": pl.col("objects").list.first(),
        "action": pl.lit(action) if isinstance(action, str) else action,
        "reason": pl.concat_str(what, said, separator="; ", ignore_nulls=True),
        "severity": severity(),
        "risk_score": risk_score(),
        "confidence": pl.lit("medium"),
        "evidence": pl.col("signs").cast(TEXTS),
        **others,
    }
    as_they_are = (
        *("host", "user", "start", "end", "pid", "image", "command_line", "parent_image", "parent_command_line"),
        *("sha256", "signer", "integrity", "session", "events"),
    )
    return rows.select(*as_they_are, *(value.alias(name) for name, value in own.items()))


def _audited(*keys: str) -> Need:
    return Need(security.SECURITY, 4688, security.NEEDS[0].columns, keys=frozenset(keys))


# Starts for those who ask for the program, for what it was started by, and for its command line.
PROGRAMS = (need(1, "Image ProcessGuid", "Image", "ProcessGuid"), _audited("NewProcessName"))
CHILDREN = (need(1, "Image ParentImage CommandLine", "Image", "ParentImage"), _audited("NewProcessName"))
LINES = (need(1, "Image CommandLine", "CommandLine"), _audited("CommandLine"))

_OF_STARTS = (
    "row",
    "host",
    "host_key",
    "guid",
    "pid",
    "image",
    "user",
    "start",
    "channel",
    "event_id",
    "record_id",
    "end",
)


def starts(case: Case, wanted: pl.Expr, also: pl.Expr | None = None) -> pl.LazyFrame:
    """Process starts that were logged (Sysmon 1, Security 4688), as rows for `told`; as few as `wanted`, and `also`.

    As `acting` has them, with `objects` (the command line), `count` and `events`. `wanted` should be one cheap look.
    """
    met = case.processes.filter(pl.col("event_id").is_not_null() & wanted.fill_null(value=False))
    few = met.select(*_OF_STARTS, *_FACTS).collect()
    rows = (few if also is None else few.filter(also)).sort("start", "host_key", "record_id", nulls_last=True)
    files = rows.select("row", "host", "guid", "image", "sha256", "start").lazy()
    judged = signatures.known(case, files, few=True).select("row", "signature", "signer", "unsigned_and_new")
    return (
        rows.lazy()
        .join(judged, on="row", how="left", maintain_order="left")
        .with_columns(
            end=pl.col("start"),
            objects=pl.concat_list("command_line"),
            count=pl.lit(1, pl.UInt32),
            events=pl.concat_list(start_reference(1)),
        )
    )


def start_reference(step: int) -> pl.Expr:
    """The event of a process start, of rows that name its time `start`."""
    kept = [pl.col(c) for c in ("host", "channel", "event_id", "record_id")]
    return pl.struct(pl.lit(step, pl.UInt32).alias("step"), *kept, pl.col("start").alias("time"))
