"""A hunted process, or one that it started, connected to a host that this machine had never spoken to (Sysmon 3, 22).

Why it matters: what was collected leaves the machine, to where nobody went before (T1041, T1567); ATT&CK names new
connections as a source of data for T1114.002.
Looks alike, is harmless: every connection is new once: clouds with many addresses, updates, a log that has just begun.
Outlook's own connections to the outside are low, for it talks to mail servers all day.
Blind when: Sysmon logs no network connections of that process; the way out goes through a proxy or a destination that
is seen every day; another process carries it off later.
How: run after other queries: of each process that they accuse, and its descendants, within ten minutes of the finding
(those that the allowlist suppresses aside; of very many the 10,000 most severe). The baseline is the same evidence:
addresses and names that no process of the host spoke to before; loopback and multicast are no hosts. Medium to the
outside if the finding is medium, high if it is high, low if it is low or to the inside; one lower, and said, where the
log begins less than a day before, for then all is new.
Next: look who the destination belongs to, since when its name exists, and how much went there (proxy, firewall, flow
logs). Block it everywhere before the host is isolated, and look for every other host that spoke to it. What the process
had read or packed until then is what may have left; keep the captures and the archive that it sent.
See: https://attack.mitre.org/techniques/T1041/, https://attack.mitre.org/techniques/T1114/002/
"""

from __future__ import annotations

import ipaddress

import polars as pl

from hunt.findings import known, reference
from hunt.logons import SECURITY
from hunt.model import SYSMON, Case, EventType, Help, Hunt, Severity
from hunt.schema import time_text
from hunt.story.traces import outside

from ._collection import ACT_COLUMNS, MOST, READS, acting, named, need, told, weighed
from ._collection_people import people
from ._exchange import Sign

_SHORT = pl.duration(days=1, time_unit="ns")

_SIGNS = (
    Sign("outside", pl.col("outside") & ~pl.col("outlook") & pl.col("serious"), "outside of private networks", 2),
    Sign(
        "of a severe finding",
        pl.col("outside") & ~pl.col("outlook") & pl.col("severe"),
        "the process is in a finding of high severity",
        3,
    ),
)


def find(case: Case) -> pl.LazyFrame:
    """One row for each process that spoke to new destinations."""
    accused = known(case).filter(pl.col("suppressed").is_null(), pl.col("severity") != "informational")
    there = accused.height and any(_any(case, event_id) for event_id in (3, 22))
    who = people(case, accused if there else accused.clear())
    rows = pl.concat([_new(case, who, 3), _new(case, who, 22)])
    grouped = (
        rows.sort("time", "event_id", "record_id", nulls_last=True)
        .group_by("host_key", "guid", maintain_order=True)
        .agg(
            *(
                pl.col(c).drop_nulls().first()
                for c in ("host", "pid", "image", "user", "subject", "query", "finding_id")
            ),
            *(pl.col(c).any() for c in ("outside", "serious", "severe")),
            (pl.col("subject").is_in(["target", "attached"])).all().alias("outlook"),
            pl.col("began").min(),
            pl.col("time").min().alias("start"),
            pl.col("time").max().alias("end"),
            pl.col("object").unique(maintain_order=True).head(MOST).alias("objects"),
            pl.col("object").n_unique().alias("count"),
            reference(1).head(MOST).alias("events"),
        )
    )
    short = pl.col("start") - pl.col("began") < _SHORT
    judged = weighed(acting(case, grouped), 1, _SIGNS).with_columns(
        weight=(pl.col("weight") - short.cast(pl.Int64)).clip(0),
    )
    kept = judged.filter(pl.col("outside") | ~pl.col("outlook"))
    since = pl.format(
        "first seen {}, the host's connections are known since {}",
        time_text(pl.col("start")),
        time_text(pl.col("began")),
    )
    what = pl.concat_str(
        pl.format("spoke to {}, as nothing on this host did before: {}", named(), since),
        pl.when(short).then(pl.lit("that is less than a day, too short to know what is usual")),
        pl.format("of {} (finding {})", "query", "finding_id"),
        separator="; ",
        ignore_nulls=True,
    )
    return told(kept, "connect", what)


def _any(case: Case, event_id: int) -> bool:
    return bool(case.frame(SYSMON, event_id).limit(1).select(pl.len()).collect().item())


def _new(case: Case, who: pl.DataFrame, event_id: int) -> pl.DataFrame:
    """The first event of each destination on its host, where a hunted process made it."""
    frame = case.frame(SYSMON, event_id)
    place = (pl.col("host").str.to_lowercase().alias("host_key"), _destination(event_id).alias("destination"))
    # Collected before anything is made of it: Polars 2 panics where it does both at once.
    few = frame.filter(pl.col("ProcessGuid").is_in(who["guid"].unique().implode())).collect()
    theirs = few.select(
        *("host", "time", "channel", "event_id", "record_id"),
        *place,
        pl.col("ProcessGuid").alias("guid"),
        pl.col("ProcessId").alias("pid"),
        pl.col("Image").alias("image"),
        (pl.col("User") if event_id == 3 else pl.lit(None, pl.String)).alias("own"),
        (_said() if event_id == 3 else pl.col("QueryName")).alias("object"),
    )
    met = theirs.join(who, on=["host_key", "guid"], how="inner", maintain_order="left")
    inside = met.filter(pl.col("time").is_between("since", "until"), ~pl.col("destination").is_in(["", "-"]))
    inside = inside.filter(~pl.col("destination").is_in([d for d in inside["destination"].unique() if _nobody(d)]))
    made = inside.select(*_KEPT, pl.coalesce("user", "own").alias("user"))
    asked = made.select("host_key", "destination").unique().lazy()
    every = frame.select("time", *place)
    firsts = every.join(asked, on=["host_key", "destination"], how="semi").group_by("host_key", "destination").agg(
        first=pl.col("time").min()
    )  # fmt: skip
    hosts = made.select("host_key").unique().lazy()
    began = every.join(hosts, on="host_key", how="semi").group_by("host_key").agg(began=pl.col("time").min())
    both = made.join(firsts.collect(), on=["host_key", "destination"], maintain_order="left")
    new = both.join(began.collect(), on="host_key", maintain_order="left").filter(pl.col("time") == pl.col("first"))
    return new.with_columns(outside=_outside(new, event_id)).drop("first")


def _nobody(address: str) -> bool:
    """Whether it is an address of this machine alone, or of nobody in particular."""
    try:
        ip = ipaddress.ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        return address == "localhost"
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return ip.is_loopback or ip.is_multicast or ip.is_unspecified or str(ip) == "255.255.255.255"


def _destination(event_id: int) -> pl.Expr:
    return _address() if event_id == 3 else pl.col("QueryName").str.to_lowercase()


_KEPT = (
    *("host", "time", "channel", "event_id", "record_id", "host_key", "guid", "pid", "image", "destination", "object"),
    *("subject", "query", "finding_id", "serious", "severe"),
)


def _called() -> pl.Expr:
    return (pl.col("Initiated").cast(pl.String).str.to_lowercase() != "false").fill_null(value=True)


def _address() -> pl.Expr:
    """The other side: who was called, or who called."""
    return pl.when(_called()).then("DestinationIp").otherwise("SourceIp").str.to_lowercase()


def _said() -> pl.Expr:
    name = pl.when(_called()).then("DestinationHostname").otherwise("SourceHostname")
    port = pl.col("DestinationPort").cast(pl.String)
    return pl.concat_str(
        _address(),
        pl.when(~name.is_in(["", "-"])).then(pl.format(" ({})", name)),
        pl.when(_called()).then(pl.format(" port {}", port)).otherwise(pl.format(" called its port {}", port)),
        ignore_nulls=True,
    )


def _outside(met: pl.DataFrame, event_id: int) -> pl.Series:
    """Addresses by their network; names that are not of the host's own domain, and have one."""
    if event_id == 3:
        addresses = met["destination"].unique().to_list()
        judged = {address: outside(address) for address in addresses}
        return met["destination"].replace_strict(judged, default=False, return_dtype=pl.Boolean)
    domain = pl.col("host_key").str.extract(r"^[^.]*(\..+)$")
    own = pl.col("destination").str.ends_with(domain).fill_null(value=False)
    return met.select(pl.col("destination").str.contains(".", literal=True) & ~own)["destination"]


_NETWORK = "Initiated SourceIp SourceHostname DestinationIp DestinationHostname DestinationPort"
HUNT = Hunt(
    id="collection-new-destination",
    title="Hunted process spoke to a host never seen before",
    severity=Severity.MEDIUM,
    risk_score=47,
    attack=("T1041", "T1567"),
    needs=(),
    any_of=(
        (
            need(3, f"{ACT_COLUMNS} {_NETWORK}", "DestinationIp"),
            need(22, "ProcessGuid ProcessId Image QueryName", "QueryName"),
        ),
    ),
    find=find,
    reads=READS,
    helps=(
        Help(SYSMON, 1, "no process could have been accused by what started it", others=(EventType(SECURITY, 4688),)),
    ),
    stage=2,
)
