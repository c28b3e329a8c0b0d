"""What those in a story did, as logs tell: connections, names asked for, files, scripts, what Outlook and COM wrote."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import polars as pl

from hunt import globs, logons, schema
from hunt.events import Events, printed
from hunt.lineage.needs import POWERSHELL
from hunt.model import SYSMON, EventType, Need
from hunt.story.cast import AFTER
from hunt.story.columns import MOST
from hunt.story.within import within

APPLICATION, SYSTEM, OALERTS, ENGINE = "Application", "System", "OAlerts", "Windows PowerShell"

# The class that COM starts Outlook by: Outlook.Application.
_OUTLOOK_CLASS = "{0006f03a-0000-0000-c000-000000000046}"

# A 4104 or an engine's start may be logged somewhat after the process's end, its start somewhat before.
_LEEWAY = pl.duration(seconds=2, time_unit="ns")

_MAIL_FILE = r"(?i)\.(?:pst|ost|nst|msg|eml|mbox|oft)$"
_ARCHIVE = r"(?i)\.(?:zip|7z|rar|cab|gz|tgz|tar|bz2|xz|arj|ace|iso|wim)$"


@dataclass(frozen=True, slots=True)
class Trace:
    """One event type and how it belongs to a story. `by`: guid, pid, host or logon."""

    step: str
    channel: str
    event_id: int
    columns: str  # what is read of it to find and rank events: all else is read of those that are told
    by: str
    provider: str = ""  # what its name begins with
    first: Callable[[pl.DataFrame], pl.DataFrame] = field(default=lambda frame: _none_first(frame))
    most: int = MOST  # events of one finding that are read again

    @property
    def need(self) -> Need:
        return Need(self.channel, self.event_id, frozenset(self.columns.split()))


def _none_first(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.lit(value=False).alias("_first"))


# Networks that no address of somebody else's lies in: RFC 1918, 6598, 3927, 1122, 5771, 919; RFC 4193, 4291.
_INSIDE = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "127.0.0.0/8"),
        *("0.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32", "::/128", "::1/128", "fc00::/7", "fe80::/10", "ff00::/8"),
    )
)


def outside(address: str | None) -> bool:
    """Whether an address lies outside of every private and local network; what is none might, too."""
    if not address or address == "-":
        return False
    try:
        ip = ipaddress.ip_address(address.strip().strip("[]").partition("%")[0])
    except ValueError:
        return True
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return not any(ip.version == network.version and ip in network for network in _INSIDE)


def _outside_first(frame: pl.DataFrame) -> pl.DataFrame:
    """The other side of a connection: who was called, or who called."""
    called = pl.col("Initiated").cast(pl.String).str.to_lowercase() != "false"
    other = frame.select(pl.when(called.fill_null(value=True)).then("DestinationIp").otherwise("SourceIp").alias("ip"))
    known = {ip: outside(ip) for ip in other["ip"].unique().to_list()}
    flags = other["ip"].replace_strict(known, default=False, return_dtype=pl.Boolean)
    return frame.with_columns(flags.alias("_first"))


def _mail_first(frame: pl.DataFrame) -> pl.DataFrame:
    name = pl.col("TargetFilename")
    return frame.with_columns((name.str.contains(_MAIL_FILE) | name.str.contains(_ARCHIVE)).alias("_first"))


def _telling_first(frame: pl.DataFrame) -> pl.DataFrame:
    """Scripts that name Outlook or MAPI, or that PowerShell itself warns of (level 3)."""
    named = pl.col("ScriptBlockText").str.contains(r"(?i)outlook|mapi")
    return frame.with_columns((named | (pl.col("System.Level") == 3)).alias("_first"))


def _all_first(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.lit(value=True).alias("_first"))


def _outlook_first(frame: pl.DataFrame) -> pl.DataFrame:
    """What COM had to say of Outlook; of other servers every host has some errors each day."""
    named = pl.any_horizontal(
        pl.col(c).cast(pl.String).str.to_lowercase() == _OUTLOOK_CLASS for c in ("param1", "param4", "param5")
    )
    return frame.with_columns(named.alias("_first"))


_DCOM = "Microsoft-Windows-DistributedCOM"  # its provider

TRACES = (
    Trace("logon", logons.SECURITY, 4624, "TargetLogonId TargetUserName TargetDomainName", "logon"),
    Trace("network", SYSMON, 3, "ProcessGuid ProcessId DestinationIp SourceIp Initiated", "guid", first=_outside_first),
    Trace("dns", SYSMON, 22, "ProcessGuid ProcessId", "guid"),
    Trace("file", SYSMON, 11, "ProcessGuid ProcessId TargetFilename", "guid", first=_mail_first),
    *(
        Trace(
            "script",
            channel,
            4104,
            "System.ProcessID System.Level ScriptBlockText",
            "pid",
            first=_telling_first,
            most=20 * MOST,  # a long script is logged in hundreds of parts
        )
        for channel in POWERSHELL
    ),
    *(Trace("script", ENGINE, event_id, "Data System.ProcessID", "engine") for event_id in (400, 600)),
    Trace("log", APPLICATION, 45, "", "host", "Outlook", _all_first),
    Trace("log", OALERTS, 300, "", "host", "Microsoft Office", _all_first),
    *(
        Trace("log", SYSTEM, event_id, "param1 param4 param5", "host", _DCOM, _outlook_first)
        for event_id in (10010, 10016)
    ),
)

# Who acts: their connections, files and scripts are told.
ACTORS = ("process", "target", "attached", "descendant")

_LINK = ("finding_id", "subject", "pid", "guid", "image")


@dataclass(frozen=True, slots=True)
class Found:
    """Of one trace: `links`, a row a finding and event (_LINK, `_event`, `_first`); `events`, each once (`_event`,
    its place, `fields`); `more`, how many are not told: finding_id, count."""

    trace: Trace
    links: pl.DataFrame
    events: pl.DataFrame
    more: pl.DataFrame


def find(cast: pl.DataFrame, spans: pl.DataFrame, case: Events) -> Iterator[Found]:
    """What there is of each trace, in the order of TRACES."""
    met = {kind.key for kind in case.types()}
    for trace in TRACES:
        if EventType(trace.channel, trace.event_id).key in met:
            yield _found(trace, cast, spans, case)


def _found(trace: Trace, cast: pl.DataFrame, spans: pl.DataFrame, case: Events) -> Found:
    asked = _asked(trace, cast, spans)
    lazy = case.frame(trace.channel, trace.event_id).filter(_possible(trace, asked))
    own = lazy.with_columns(pl.col("host").str.to_lowercase().alias("host_key")).collect()
    frame = trace.first(own).with_columns(pl.col("_first").fill_null(value=False)).with_row_index("_event")
    if trace.by == "logon":
        pairs, counts = _last(asked, frame)
    else:
        pairs, counts = _joined(trace, asked, frame)
    links = pairs.join(asked.select("_span", *_LINK), on="_span").drop("_span")
    # Another process's id may have been given anew: one event is told once.
    links = links.unique(["finding_id", "_event"], keep="first", maintain_order=True)
    far = (pl.col("time") - pl.col("at")).abs()
    few = (
        links.join(spans.select("finding_id", act()), on="finding_id", how="left", maintain_order="left")
        .sort("finding_id", ~pl.col("_first"), far, "_event", nulls_last=True)
        .filter(pl.int_range(pl.len()).over("finding_id") < trace.most)
        .drop("time", "at")
    )
    more = _more(trace.most, links, counts.join(asked.select("_span", "finding_id"), on="_span"))
    return Found(trace, few, _events(trace, frame, few), more)


def _more(most: int, links: pl.DataFrame, counts: pl.DataFrame) -> pl.DataFrame:
    """finding_id, count: how many events of each finding are not told, at most where two spans may share some."""
    whole = counts.group_by("finding_id").agg(pl.col("count").sum(), (pl.col("count") > most).any().alias("_cut"))
    met = links.group_by("finding_id").agg(pl.len().cast(pl.Int64).alias("_met"))
    total = pl.when("_cut").then("count").otherwise("_met")
    told = pl.min_horizontal("_met", pl.lit(most, pl.Int64))
    return whole.join(met, on="finding_id").select("finding_id", (total - told).alias("count"))


def _possible(trace: Trace, asked: pl.DataFrame) -> pl.Expr:
    """Events that may be among those asked for: all others need not be copied."""
    near = pl.col("time") <= pl.lit(asked["until"].max(), schema.TIME)
    if trace.by == "logon":
        return near & pl.col("TargetLogonId").is_in(asked["logon_id"].unique().implode())
    near &= pl.col("time") >= pl.lit(asked["since"].min(), schema.TIME)
    if trace.provider:
        near &= pl.col("provider").fill_null("").str.starts_with(trace.provider)
    pids = asked["pid"].unique().implode()
    if trace.by == "pid":
        near &= pl.col("System.ProcessID").is_in(pids)
    if trace.by == "guid":
        near &= pl.col("ProcessGuid").is_in(asked["guid"].unique().implode()) | pl.col("ProcessId").is_in(pids)
    return near


def _asked(trace: Trace, cast: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """_LINK, keys, since, until: whose events are looked for, and when."""
    if trace.by == "host":
        nobody = {"subject": pl.String, "pid": pl.UInt32, "guid": pl.String, "image": pl.String}
        hosts = spans.with_columns(act(), *(pl.lit(None, dtype).alias(c) for c, dtype in nobody.items()))
        return hosts.with_row_index("_span")
    if trace.by == "logon":
        named = cast.filter(pl.col("subject").is_in(["process", "target"])).drop_nulls("logon_id")
        own = named.unique("finding_id", keep="first", maintain_order=True)
        return own.with_columns((pl.coalesce("start", "since") + logons.SKEW).alias("until")).with_row_index("_span")
    actors = cast.filter(pl.col("subject").is_in(ACTORS))
    return actors.with_columns(
        act(),
        pl.max_horizontal("since", pl.col("start") - _LEEWAY).alias("since"),
        pl.min_horizontal("until", pl.col("end") + _LEEWAY).alias("until"),
    ).with_row_index("_span")


def act() -> pl.Expr:
    """`at`: when a finding's last event was, what it is about; of very many others, those around it are told."""
    return (pl.col("until") - AFTER).alias("at")


def _joined(trace: Trace, asked: pl.DataFrame, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(_span, _event, _first, time; _span, count), what comes first apart from the rest so that it is not cut off."""
    columns = ["_event", "time", "_first", "host_key"]
    joins: list[tuple[pl.DataFrame, pl.DataFrame, list[str]]] = []
    # A process id is a process's until the next one has it, whether the end was logged or not.
    own = asked.with_columns(pl.min_horizontal("until", "gone").alias("until")) if "gone" in asked.columns else asked
    if trace.by == "host":
        joins.append((asked, frame.select(columns), ["host_key"]))
    elif trace.by == "guid":
        keyed = frame.select(*columns, pl.col("ProcessGuid").alias("guid"), pl.col("ProcessId").alias("pid"))
        joins.append((asked, keyed.drop("pid"), ["host_key", "guid"]))
        # Where one side has no GUID, the process id must do.
        joins.append((own.filter(pl.col("guid").is_null()), keyed.drop("guid"), ["host_key", "pid"]))
        unnamed = keyed.filter(pl.col("guid").is_null()).drop("guid")
        joins.append((own.filter(pl.col("guid").is_not_null()), unnamed, ["host_key", "pid"]))
    elif trace.by == "pid":
        joins.append((own, frame.select(*columns, pl.col("System.ProcessID").alias("pid")), ["host_key", "pid"]))
    else:
        hosted = frame.with_columns(_application()).select(*columns, "line")
        lines = asked.with_columns(_line(asked["command_line"]).alias("line"))
        joins.append((lines, hosted, ["host_key", "line"]))
    pairs, counts = [], []
    for spans, events, by in joins:
        for first in (True, False):
            told, count = within(spans, events.filter(pl.col("_first") == first), by, trace.most)
            pairs.append(told.select("_span", "_event", "_first", "time"))
            counts.append(count)
    return pl.concat(pairs), pl.concat(counts)


def _last(asked: pl.DataFrame, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The last logon of the id before the process, if it is the same user's: ids are used again after a restart."""
    names = ["TargetUserName", "TargetDomainName"]
    keyed = frame.select("_event", "time", "_first", "host_key", pl.col("TargetLogonId").alias("logon_id"), *names)
    met = (
        asked.select("_span", "host_key", "logon_id", "until", "user")
        .drop_nulls(["host_key", "logon_id", "until"])
        .sort("until")
        .join_asof(
            keyed.drop_nulls(["time", "logon_id"]).sort("time"),
            left_on="until",
            right_on="time",
            by=["host_key", "logon_id"],
            strategy="backward",
            coalesce=False,
            check_sortedness=False,  # both sides are in order within each key
        )
        .drop_nulls("_event")
        .filter(pl.col("user").is_null() | logons.same_user("user"))
    )
    return met.select("_span", "_event", "_first", "time"), met.select("_span", pl.lit(1, pl.Int64).alias("count"))


def _application() -> pl.Expr:
    """`line`: the command line in what an engine wrote of itself, as `_line` has it."""
    text = pl.col("Data").cast(pl.List(pl.String)).list.join("\n")
    return _bare(text.str.extract(r"(?m)^[ \t]*HostApplication=(.*?)\r?$")).alias("line")


def _line(command_lines: pl.Series) -> pl.Series:
    return globs.folded(command_lines).to_frame("line").select(_bare(pl.col("line")))["line"]


def _bare(text: pl.Expr) -> pl.Expr:
    """A command line without quotes and repeated blanks: an engine joins its arguments anew. Null if none is left."""
    bare = text.str.to_lowercase().str.replace_all('"', "", literal=True).str.replace_all(r"\s+", " ")
    return pl.when(bare.str.strip_chars() != "").then(bare.str.strip_chars())


def _events(trace: Trace, frame: pl.DataFrame, links: pl.DataFrame) -> pl.DataFrame:
    told = frame.join(links.select("_event").unique(), on="_event", how="semi")
    rows = told.drop("_event", "_first", "host_key")
    fields = [json.dumps(row, ensure_ascii=False) for row in printed(rows, trace.event_id)]
    return told.select(
        "_event", "time", "host", "channel", "event_id", "record_id", "sources",
        pl.Series("fields", fields, dtype=pl.String),
    )  # fmt: skip
