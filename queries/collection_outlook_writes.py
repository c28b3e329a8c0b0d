r"""Outlook wrote mail or attachments outside its own folders soon after it was driven from outside (Sysmon 11).

Why it matters: out of process, COM has Outlook itself write what a script saves: the .pst, .msg and attachments are
OUTLOOK.EXE's, and nothing else names the script's files (T1114.001, T1074.001).
Looks alike, is harmless: the user saves an attachment by hand in the same minutes; archives that a user's add-in keeps.
Blind when: no query found what drove Outlook (outlook-com-activation, outlook-script-host, outlook-object-model and
their like: this one is run after them); Sysmon logs no FileCreate for these files.
How: one row for each Outlook and day, of what it wrote within ten minutes of such a finding on the same host by the
same user, as far as both are known; findings that the allowlist suppresses do not count. Low for attachments, medium
for .msg and .eml, high for a .pst, for twenty or more files, and in a place for what is to be carried off.
Next: ask the user whether he saved these files himself. If not, secure them where they lie before anybody tidies up,
and look whether they were packed, copied or sent since. What drove Outlook is in the other finding: stop that process
or task and isolate the host. The names of the files tell which mail was taken, and who is to be told.
See: https://attack.mitre.org/techniques/T1114/001/, https://attack.mitre.org/techniques/T1559/001/
"""

from __future__ import annotations

import polars as pl

from hunt.findings import known
from hunt.lineage.needs import POWERSHELL
from hunt.logons import SECURITY
from hunt.model import SYSMON, Case, EventType, Help, Hunt, Severity
from hunt.processes import base_name

from ._collection import (
    ACT_COLUMNS,
    MOST,
    READS,
    STORE,
    acting,
    acts,
    by_process,
    is_odd_place,
    named,
    need,
    told,
    weighed,
)
from ._exchange import Sign

WITHIN = "10m"
# Queries that tell of Outlook being driven.
DRIVEN = r"^outlook-(?:com-|script-host|renamed-script-host|unusual-requester|object-model)"
_MAIL = r"(?i)\.(?:msg|eml|oft|mht|mhtml|emlx)$"
_ATTACHMENT = (
    r"(?i)\.(?:docx?m?|xls[xmb]?|pptx?m?|pdf|zip|7z|rar|txt|csv|rtf|jpe?g|png|tiff?|vsdx?|one|htm|html|ics|vcf|kdbx|key"
    r"|pem|pfx|p12|rdp|ovpn|xml|json|sql|mdb|accdb)$"
)
# Where Outlook keeps stores, what it opens, templates, signatures and rules of its own.
_OWN_FOLDER = (
    r"(?i)\\appdata\\(?:local|roaming)\\microsoft\\(?:outlook|templates|signatures|forms|office|olk|addins|stationery"
    r"|windows\\(?:inetcache|temporary internet files|webcache|recent))\\"
    r"|\\content\.outlook\\|\\temporary internet files\\"
)

_SIGNS = (
    Sign("store", pl.col("store"), "a store", 3),
    Sign("mail", pl.col("mail"), "mail as files", 2),
    Sign("many", pl.col("count") >= 20, pl.format("{} files", "count"), 3),
    Sign("odd place", pl.col("odd"), "in a place for what is to be carried off", 3),
)


def find(case: Case) -> pl.LazyFrame:
    """One row for each Outlook that wrote such files on a day."""
    driven = _driven(case)
    path = pl.col("TargetFilename")
    shape = path.str.contains(f"{STORE}|{_MAIL}|{_ATTACHMENT}")
    own = (base_name("image") == "outlook.exe") & ~pl.col("object").str.contains(_OWN_FOLDER)
    named_so = pl.col("Image").str.contains(r"(?i)outlook\.exe$")
    rows = acts(case, 11, "TargetFilename", named_so & shape if driven.height else pl.lit(value=False), own).collect()
    near = _after(rows.with_row_index("_at"), driven)
    flags = {
        "store": pl.col("object").str.contains(STORE),
        "mail": pl.col("object").str.contains(_MAIL),
        "odd": is_odd_place("object"),
    }
    grouped = by_process(
        near.lazy(), ["query", "finding_id"], **{k: v.fill_null(value=False) for k, v in flags.items()}
    )
    what = pl.format("Outlook wrote {} within ten minutes of {} (finding {})", named(), "query", "finding_id")
    return told(weighed(acting(case, grouped), 1, _SIGNS), "write", what)


def _driven(case: Case) -> pl.DataFrame:
    """When Outlook was driven: host_key, guid (of the Outlook, if known), user, time, query, finding_id."""
    of = known(case).filter(pl.col("query").str.contains(DRIVEN), pl.col("suppressed").is_null())
    user = pl.col("user").str.to_lowercase()
    times = of.select(
        pl.col("host").str.to_lowercase().alias("host_key"),
        pl.col("target_process_guid").alias("guid"),
        # Sysmon has names: who is known by a SID alone may be any of them.
        pl.when(~user.str.starts_with("s-1-")).then(user).alias("_user"),
        _times().alias("time"),
        "query",
        "finding_id",
    )
    return times.explode("time").drop_nulls(["host_key", "time"]).sort("time", "finding_id")


def _times() -> pl.Expr:
    """When a finding had Outlook driven: at its end; by scripts, whose pipelines of a day are one, at each event."""
    end = pl.coalesce("end", "start")
    each = pl.col("events").list.eval(pl.element().struct.field("time"))
    last = each.list.max().fill_null(end)
    # Of very many events the first are listed: then all of the time until the end.
    scripted = pl.col("query") == "outlook-object-model"
    cut = scripted & (each.list.len() >= MOST)
    begin = pl.max_horizontal(pl.min_horizontal(last, end), end - pl.duration(days=1, time_unit="ns"))
    rest = pl.datetime_ranges(pl.when(cut).then(begin).otherwise(end), end, WITHIN)
    return pl.when(scripted).then(pl.concat_list(each, rest, end)).otherwise(pl.concat_list(end))


def _after(rows: pl.DataFrame, driven: pl.DataFrame) -> pl.DataFrame:
    """The acts that lie within WITHIN after a finding of the same Outlook or user, or where he is unknown."""
    keyed = rows.with_columns(
        host_key=pl.col("host").str.to_lowercase(),
        _user=pl.col("user").str.to_lowercase(),
        _nobody=pl.when(pl.col("user").is_null()).then(pl.lit(value=True)),  # before Sysmon 13 it is not logged
    )
    met = []
    for by, of in (
        (["host_key", "guid"], driven.drop("_user").drop_nulls("guid")),
        (["host_key", "_user"], driven.drop("guid").drop_nulls("_user")),
        (["host_key"], driven.filter(pl.col("_user").is_null()).drop("_user", "guid")),
        (["host_key", "_nobody"], driven.with_columns(_nobody=pl.lit(value=True)).drop("_user", "guid")),
    ):
        # Sorted as a whole on both sides, which Polars can't check within groups.
        met.append(
            keyed.drop_nulls([*by, "time"]).sort("time", "_at").join_asof(
                of, on="time", by=by, strategy="backward", tolerance=WITHIN, check_sortedness=False
            ).drop_nulls("finding_id").select("_at", "query", "finding_id")
        )  # fmt: skip
    best = pl.concat(met).unique("_at", keep="first", maintain_order=True)
    return rows.join(best, on="_at", how="inner", maintain_order="left").drop("_at")


HUNT = Hunt(
    id="collection-outlook-writes",
    title="Outlook wrote mail outside its folders after it was driven",
    severity=Severity.MEDIUM,
    risk_score=47,
    attack=("T1114.001", "T1074.001", "T1559.001"),
    needs=(need(11, f"{ACT_COLUMNS} TargetFilename", "TargetFilename", "Image"),),
    find=find,
    reads=READS,
    helps=(
        Help(
            SYSMON,
            1,
            "what drove Outlook could not have been found",
            others=(EventType(SECURITY, 4688), *(EventType(channel, 4104) for channel in POWERSHELL)),
        ),
    ),
    stage=2,
)
