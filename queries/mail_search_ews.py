"""A script host or an unsigned program opened Exchange's web services: their DLL, their hosts (Sysmon 7, 3, 22).

Why it matters: mail of Exchange and Microsoft 365 is read over EWS and Graph by scripts as MailSniper (T1114.002),
which load Microsoft's managed API or speak HTTP themselves.
Looks alike, is harmless: administrators' scripts and modules (Connect-ExchangeOnline, Microsoft Graph), monitoring, and
Exchange's own processes, which are signed and no script hosts.
Blind when: Sysmon's configuration leaves out image loads, connections or DNS of these programs; the connection went
through a proxy, whose name it has then; names of a server of one's own are known only by autodiscover, ews, owa and
exchange in them.
How: one row for each process, its events joined by host and ProcessGuid. The DLL loaded by a script host: medium, with
a connection or DNS query of such a host: high; by an unsigned program: medium, by one in a folder that users write to
(a script host that was renamed, a program that a user installed): low. No DLL: informational for PowerShell
that asks for Microsoft's hosts, low for Autodiscover and servers of one's own; medium for other script hosts (wscript,
mshta, rundll32 ...), which have no module for that.
Next: read what started the process, and its script (4104). If it is no administrator's, isolate the host, keep its
memory for tokens and passwords, and renew the credentials of the account that it used, which need not be the one logged
on. Exchange's own records (MailItemsAccessed, IIS logs with their user agents) tell which mailboxes it opened; restrict
EWS to applications you know.
See: https://attack.mitre.org/techniques/T1114/002/
"""

from __future__ import annotations

import polars as pl

from hunt import signatures
from hunt.findings import TEXTS, reference
from hunt.model import SYSMON, Case, Hunt, Need, Severity
from hunt.processes import base_name

from ._collection import is_protected
from ._exchange import Sign, reason, risk_score, severity, weighed

_DLL = r"(?i)\\microsoft\.exchange\.webservices(?:\.auth)?(?:\.ni)?\.dll$"
_SHELLS = ("powershell.exe", "pwsh.exe", "powershell_ise.exe")
_HOSTS = (
    "wscript.exe",
    "cscript.exe",
    "mshta.exe",
    "rundll32.exe",
    "regsvr32.exe",
    "cmd.exe",
    "msbuild.exe",
    "installutil.exe",
)
_PYTHON = r"^python(?:w|[0-9.]*)?\.exe$"
_CLOUD = (
    r"^(?:outlook|outlook-sdf)\.office(?:365)?\.(?:com|de|us)$|^(?:[a-z0-9-]+\.)?outlook\.(?:com|office\.com)$"
    r"|^graph\.microsoft\.(?:com|us|de)$|^(?:ps\.)?outlook\.com$|^outlook\.office365\.us$|^partner\.outlook\.cn$"
)
_OWN = r"^(?:autodiscover|autodiscover-s|ews|owa|exchange|exch[0-9]*|mail[0-9]*-?ex[0-9]*)\."
_MOST = 50  # events of one kind that a finding lists

_LOAD = "ProcessGuid ProcessId Image ImageLoaded Hashes User Signed Signature SignatureStatus"
_LOADED = Need(SYSMON, 7, frozenset(_LOAD.split()), keys=frozenset({"ImageLoaded"}))
_CONNECTED = Need(
    SYSMON,
    3,
    frozenset(["ProcessGuid", "ProcessId", "Image", "User", "DestinationHostname", "DestinationIp", "DestinationPort"]),
    keys=frozenset({"DestinationHostname"}),
)
_ASKED = Need(
    SYSMON, 22, frozenset(["ProcessGuid", "ProcessId", "Image", "User", "QueryName"]), keys=frozenset({"QueryName"})
)


def find(case: Case) -> pl.LazyFrame:
    """One row for each process that opened Exchange's web services."""
    name = base_name("Image")
    loads = _kind(case, 7, pl.lit(None, pl.String)).filter(pl.col("loaded"))
    talks = pl.concat(
        [
            _kind(case, 3, pl.col("DestinationHostname")),
            _kind(case, 22, pl.col("QueryName")),
        ]
    ).filter(pl.col("cloud") | pl.col("own_server"))
    rows = pl.concat([loads, talks]).with_columns(
        shell=name.is_in(list(_SHELLS)), script_host=name.is_in(list(_HOSTS)) | name.str.contains(_PYTHON)
    )
    keyed = rows.with_columns(_keys()).filter(pl.col("_key").is_not_null())
    marked = keyed.join(_unsigned(case), on=["_host", "_key"], how="left", maintain_order="left")
    grouped = (
        marked.with_columns(pl.col("unsigned").fill_null(value=False))
        .sort("time", "record_id", maintain_order=True)
        .group_by("_host", "_key", maintain_order=True)
        .agg(
            pl.col("host", "Image", "ProcessId", "ProcessGuid").first(),
            pl.col("User").drop_nulls().first(),
            pl.col("time").min().alias("start"),
            pl.col("time").max().alias("end"),
            pl.col("shell", "script_host", "loaded", "cloud", "own_server", "unsigned").any(),
            pl.col("peer").drop_nulls().unique(maintain_order=True).alias("peers"),
            pl.col("event").head(_MOST).alias("events"),
        )
    )
    # A signed script host that was copied and renamed lies where its user may write.
    marked_ = grouped.with_columns(loose=~is_protected("Image") & pl.col("Image").str.contains(r"[\\/]"))
    by_program = pl.col("loaded") & (pl.col("unsigned") | pl.col("loose"))
    return _told(marked_.filter(pl.col("shell") | pl.col("script_host") | by_program))


def _keys() -> list[pl.Expr]:
    """By what a process is known: one without a GUID by its image and id, which is given anew to others alone."""
    named = pl.concat_str(pl.col("ProcessId").cast(pl.String), pl.lit(" "), pl.col("Image"))
    return [
        pl.col("host").str.to_lowercase().alias("_host"),
        pl.coalesce(pl.col("ProcessGuid"), named).alias("_key"),
    ]


def _unsigned(case: Case) -> pl.LazyFrame:
    """_host, _key, unsigned (true): the processes whose own image was loaded without a signature that holds."""
    own = signatures.normal_path(pl.col("ImageLoaded")) == signatures.normal_path(pl.col("Image"))
    judged, _ = signatures.load_judged()
    met = case.frame(SYSMON, 7).filter(own).with_columns(*_keys(), judged)
    bad = met.filter(pl.col("signature").is_in(["unsigned", "invalid"]) & pl.col("_key").is_not_null())
    return bad.select("_host", "_key", pl.lit(value=True).alias("unsigned")).unique()


def _kind(case: Case, event_id: int, peer: pl.Expr) -> pl.LazyFrame:
    met = case.frame(SYSMON, event_id)
    low = peer.str.strip_chars().str.to_lowercase().str.strip_chars_end(".")
    loaded = pl.col("ImageLoaded").str.contains(_DLL).fill_null(value=False) if event_id == 7 else pl.lit(value=False)
    return met.select(
        *("host", "time", "channel", "event_id", "record_id", "Image", "ProcessId", "ProcessGuid", "User"),
        loaded=loaded,
        peer=low,
        cloud=low.str.contains(_CLOUD).fill_null(value=False),
        own_server=low.str.contains(_OWN).fill_null(value=False),
        event=reference(1),
    )


def _told(rows: pl.LazyFrame) -> pl.LazyFrame:
    talked = pl.col("cloud") | pl.col("own_server")
    scripted = pl.col("shell") | pl.col("script_host")
    loaded = pl.when(scripted | pl.col("unsigned")).then(2).otherwise(1)
    base = pl.when("loaded").then(loaded).when("script_host").then(2).when("own_server").then(1).otherwise(0)
    signs = [
        Sign(
            "DLL and connection", pl.col("loaded") & talked & scripted, "it loaded the DLL and asked for such a host", 3
        ),
        Sign("no module for that", pl.col("script_host") & talked, "this script host has no module for that", 2),
        Sign("unsigned", pl.col("unsigned") & ~scripted, "the program is not signed", 2),
        Sign("user's folder", pl.col("loose") & ~scripted, "the program lies in a folder that users write to", 1),
    ]
    judged = weighed(
        rows.with_columns(attempt=pl.lit(value=False), outcome=pl.lit(""), error=pl.lit(None, pl.String)), base, signs
    )
    hosts = pl.col("peers").list.head(8).list.join(", ")
    what = pl.concat_str(
        pl.when("loaded").then(pl.lit("the DLL of Exchange's web services was loaded")),
        pl.when(talked).then(pl.format("it asked for {}", hosts)),
        separator="; ",
        ignore_nulls=True,
    )
    return judged.select(
        "host",
        pl.col("User").alias("user"),
        "start",
        "end",
        process_guid=pl.col("ProcessGuid"),
        pid=pl.col("ProcessId"),
        image=pl.col("Image"),
        object=hosts,
        reason=reason(what),
        severity=severity(),
        risk_score=risk_score(),
        confidence=pl.lit("medium"),
        evidence=pl.col("signs").cast(TEXTS),
        events=pl.col("events").list.eval(
            pl.element().struct.with_fields(step=pl.int_range(1, pl.len() + 1, dtype=pl.UInt32))
        ),
    )


HUNT = Hunt(
    id="mail-search-ews",
    title="Exchange's web services opened by a script host or an unsigned program",
    severity=Severity.MEDIUM,
    risk_score=47,
    attack=("T1114.002",),
    needs=(),
    any_of=((_LOADED, _CONNECTED, _ASKED),),
    find=find,
)
