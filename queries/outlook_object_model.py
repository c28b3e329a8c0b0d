"""A PowerShell script used Outlook's object model, or MAPI by it (4104, 4103, 800).

Why it matters: the script says what is done with the mail: which folders are read, what is saved, forwarded or deleted
(T1114.001, T1059.001). It is seen whether Outlook ran already or not, for GetActiveObject starts nothing.
Looks alike, is harmless: reports that are sent by mail, signatures, calendars and archives that administrators keep by
script; the allowlist takes `object` (the script's path) and `actor`. What is signed by nobody can't be told from theft.
Blind when: neither script blocks nor modules are logged (PowerShell logs blocks that it thinks suspicious anyway);
other script hosts and programs (outlook-script-host, outlook-com-activation); words put together by -f, from characters
or base64, unless PowerShell logs what it runs of them; script text in PowerShell 2.
How: one row for each script block, whole, however many parts it was logged in; of pipelines (4103, 800) one for each
process and day, if no block of the same process says it. Cut words count: case, backticks, 'Out'+'look'. Low if Outlook
is only created or sends, medium if folders are read, high if mail is saved or exported, a store is added, attachments
are taken, traces are deleted, or addresses are gathered.
Next: read the whole script and the line that started it: folders, search words and the path it saves to say what was
taken. If no administrator owns it, isolate the host, secure the script and what it wrote, remove the task or rule that
runs it, and renew the user's credentials. Mail that it sent or deleted is to be had from Exchange's tracking and
recoverable items.
See: https://attack.mitre.org/techniques/T1114/001/, https://attack.mitre.org/techniques/T1059/001/
"""

from __future__ import annotations

import polars as pl

from hunt.model import Case, Hunt, Severity

from . import _script_blocks as scripts
from ._collection import READS, acting, told, weighed
from ._exchange import Sign

_CLASS = "0006f03a-0000-0000-c000-000000000046"  # CLSID of Outlook.Application
_LOOSE = scripts.loosely("outlook.application", "interop.outlook", "0006f03a", "mapi")
_OWN = rf"outlook\.application|microsoft\.office\.interop\.outlook|{_CLASS}"
_SESSION = r"getnamespace\W{0,8}mapi\b"

_READS = (
    r"getdefaultfolder|getsharedefaultfolder|getshareddefaultfolder|\.folders\b|\.items\b|\.restrict\s*\("
    r"|advancedsearch|getfirst|getitemfromid|\.stores\b|senton|receivedtime"
)
_TAKES = (
    r"\.saveas(?:file)?\b|addstore|\.attachments\b|exporttopst|\.copyto\b|export-csv|export-clixml|out-file"
    r"|add-content|set-content|writealltext|upload(?:file|string|data)|-method\W+post"
)
_HIDES = r"deleteaftersubmit|\.permanentdelete|\.delete\s*\("
_ADDRESSES = r"globaladdresslist|addressentries|getexchangeuser|addresslists"
_SENDS = r"createitem\b|\.send\s*\(|\.forward\s*\("
_RUNNING = r"getactiveobject"

_plain = pl.col("plain")


def _says(pattern: str) -> pl.Expr:
    return _plain.str.contains(pattern)


_SIGNS = (
    Sign("sends", _says(_SENDS), "it sends or makes items", 1),
    Sign("running", _says(_RUNNING), "it takes the Outlook that runs already", 2),
    Sign("reads", _says(_READS), "it reads folders", 2),
    Sign(
        "takes",
        _says(_TAKES) & (_says(_READS) | _says(_SESSION) | _says("addstore")),
        "it saves or sends off what it reads",
        3,
    ),
    Sign("addresses", _says(_ADDRESSES), "it gathers addresses", 3),
    Sign("hides", _says(_HIDES), "it deletes items or its own traces", 3),
    Sign("cut", ~pl.col("as_written"), "its words are cut up so that they are not found", 3),
)


def find(case: Case) -> pl.LazyFrame:
    """One row for each script block; for pipelines one for each process and day."""
    met = scripts.texts(case, _LOOSE).with_columns(plain=scripts.plain(pl.col("text")))
    used = met.filter(_says(_OWN) | _says(_SESSION))
    as_written = pl.col("text").str.to_lowercase().str.contains(_OWN) | ~_says(_OWN)
    rows = _once(used.with_columns(as_written=as_written))
    known = acting(
        case,
        rows.with_columns(guid=pl.lit(None, pl.String), image=pl.lit(None, pl.String), user=pl.lit(None, pl.String)),
    )
    lost = pl.when(pl.col("parts") < pl.col("total")).then(
        pl.format("only {} of {} parts of the script are in the evidence", "parts", "total")
    )
    what = pl.concat_str(
        pl.lit("a PowerShell script used Outlook's object model"), lost, separator="; ", ignore_nulls=True
    )
    weight = weighed(known.with_columns(objects=pl.concat_list("path")), 1, _SIGNS)
    ours = weight.with_columns(user=pl.coalesce("user", pl.col("sid")))
    return told(ours, "script", what, object=pl.coalesce("path", pl.col("text").str.slice(0, 300)))


def _once(used: pl.DataFrame) -> pl.DataFrame:
    """Pipelines of one process and day as one row, without those of a process whose script block tells of it."""
    block = pl.col("events").list.first().struct.field("event_id") == 4104
    blocks, others = used.filter(block), used.filter(~block)
    keys = ["host_key", "channel", "pid", "_day"]
    same = blocks.select("host_key", "channel", "pid", pl.col("start").dt.truncate("1d").alias("_day")).unique()
    # The classic log names no process: there the host and the hour after a block must do.
    rest = others.with_columns(_day=pl.col("start").dt.truncate("1d")).join(same, on=keys, how="anti")
    told_of = blocks.select("host_key", "start", _block=pl.col("start")).drop_nulls().sort("start")
    named = rest.filter(pl.col("pid").is_not_null())
    nameless = (
        rest.filter(pl.col("pid").is_null())
        .sort("start")
        .join_asof(told_of, on="start", by="host_key", strategy="backward", tolerance="1h", check_sortedness=False)
        .filter(pl.col("_block").is_null())
        .drop("_block")
    )
    grouped = pl.concat([named, nameless]).sort("start", "host_key", "text").group_by(keys, maintain_order=True).agg(
        pl.col("host").first(),
        pl.col("start").min(),
        pl.col("end").max(),
        pl.col("sid").drop_nulls().first(),
        pl.col("text").head(scripts.MOST).str.join("\n"),
        pl.col("path").drop_nulls().first(),
        pl.col("parts").first(),
        pl.col("total").first(),
        pl.col("events").list.explode().head(scripts.MOST),
        pl.col("plain").head(scripts.MOST).str.join("\n"),
        pl.col("as_written").all(),
    )  # fmt: skip
    return pl.concat([blocks, grouped.select(blocks.columns)])


HUNT = Hunt(
    id="outlook-object-model",
    title="PowerShell used Outlook's object model",
    severity=Severity.MEDIUM,
    risk_score=47,
    attack=("T1114.001", "T1059.001"),
    needs=(),
    any_of=(scripts.NEEDS,),
    find=find,
    reads=READS,
)
