"""What tells a COM client, and the one that a broker acted for: handles of the broker (Sysmon 10), DLLs (Sysmon 7).

The COM service (RPCSS, in `svchost -k DcomLaunch`) opens each process that contacts it once, with 0x1000, and the
server that it starts with 0x1fffff: if both are done by the same thread at the same time, it did the one for the other.
The broker is known by its GUID, which is the ParentProcessGuid of what it started: rpcss.dll also stands in the call
traces of svchost -k RPCSS. In real logs both were there for 57 of 57 starts, and 48 of 48 such pairs were right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from hunt.lineage.brokered import COM, DCOM_LAUNCH, SCM
from hunt.lineage.keys import Index, index, keyed
from hunt.lineage.kinds import FOREVER, Flags, Ints
from hunt.lineage.numbers import filled, hashes
from hunt.lineage.parts import Logged
from hunt.lineage.windows import pairs
from hunt.model import SYSMON
from hunt.processes import base_name

_QUERY, _ALL = 0x1000, 0x1FFFFF  # PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_ALL_ACCESS
_RPCSS = r"(?i)\\rpcss\.dll\+"
# The service manager looks up who asks for a start: OpenProcess, called by services.exe itself.
_ASKED = r"(?i)\\kernelbase\.dll\+[0-9a-f]+(?:\([^)]*\))?\|[^|]*\\services\.exe\+"
_SAME_MOMENT = 250_000_000  # ns between the two
_MOST = 16  # processes that one thread opened within that time
_CLIENT_DLL = r"(?i-u:\\clbcatq\.dll$)"  # the COM catalogue: 57 of 60 requesters loaded it
# DLLs from which on those of a process are taken to be logged without a filter, if these two, which all load first, are
# among them.
_COMPLETE, _FIRST = 8, {"ntdll.dll", "kernel32.dll"}
# What COM started is its client, too: in real logs 27 of 27 servers (packaged apps aside) left both footprints where
# Sysmon 10 was logged whole, and 24 of 24 loaded clbcatq.dll where Sysmon 7 was. What a configuration leaves out shows
# there: on hosts where fewer do, and where there is none, what is missing of others clears nobody.
_NEARLY_ALL = 0.9
_PACKAGED = r"(?i)-servername:"  # apps are started in another way


@dataclass(frozen=True, slots=True)
class Traces:
    """What Sysmon 7 and 10 tell, by row of `case.processes`; times in ns, FOREVER: not met.

    `child`, `client`, `gap`: pairs of a row that a broker started and one that it opened in the same thread, and the
    time between both.
    """

    contact: Ints  # when RPCSS first opened it
    catalogue: Ints  # when it loaded clbcatq.dll
    opened: Flags  # somebody opened it as RPCSS does: Sysmon 10 tells of that, where it is done to this process
    unfiltered: Flags  # Sysmon 10 of its host is not filtered
    complete: Flags  # its DLLs are logged, and clbcatq.dll would be
    child: Ints
    client: Ints
    gap: Ints


def traces(case: Logged, frame: pl.DataFrame, children: pl.DataFrame) -> Traces:
    """Of the processes of a frame; `children`: those of `brokered`."""
    opened, loads, rows = _opened(case), _loads(case), frame.height
    none, no = np.empty(0, np.int64), np.zeros(rows, bool)
    never = np.broadcast_to(np.int64(FOREVER), rows)
    if not opened.height and not loads.height:
        return Traces(never, never, no, no, no, none, none, none)
    known = index(frame)
    catalogue, complete = _loaded(loads, known, children)
    if not opened.height:
        return Traces(never, catalogue, no, no, complete, none, none, none)
    starts, contacts = _footprints(opened, known, children)
    contact = _first(contacts, rows)
    targets = np.zeros(rows, bool)
    targets[known.find(opened.filter(pl.col("access") == _QUERY).select("host_key", "guid").unique())[1]] = True
    child, client, gap = _pairs(starts, contacts)
    return Traces(
        contact, catalogue, targets, _unfiltered(known, children, starts, contact), complete, child, client, gap
    )


def _opened(case: Logged) -> pl.DataFrame:
    """Sysmon 10: host_key, time, source, thread, guid (of the target), access, trace."""
    frame = case.frame(SYSMON, 10)
    there = set(frame.collect_schema())

    def guid(side: str) -> pl.Expr:
        names = [c for c in (f"{side}ProcessGUID", f"{side}ProcessGuid") if c in there]
        return pl.coalesce([pl.col(c) for c in names] or [pl.lit(None, pl.String)])

    return keyed(
        frame.select(
            "host",
            "time",
            guid("Source").alias("source"),
            pl.col("SourceThreadId").alias("thread"),
            guid("Target").alias("guid"),
            pl.col("GrantedAccess").alias("access"),
            pl.col("CallTrace").alias("trace"),
        ).collect()
    )


def _footprints(opened: pl.DataFrame, known: Index, children: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(starts, contacts): host_key, time, source, thread, `row` of what was opened, and `mechanism`."""
    named = known.frame.filter(pl.col("guid").is_not_null() & pl.col("command_line").str.contains(DCOM_LAUNCH)).select(
        "host_key", pl.col("guid").alias("source"), pl.lit(COM).alias("mechanism")
    )
    started = children.filter(pl.col("mechanism").is_in([COM, SCM]), pl.col("parent_guid").is_not_null()).select(
        "host_key", pl.col("parent_guid").alias("source"), "mechanism"
    )
    brokers = pl.concat([started, named]).unique(["host_key", "source"], keep="first", maintain_order=True)
    near = opened.filter(pl.col("access").is_in([_QUERY, _ALL])).join(
        brokers, on=["host_key", "source"], maintain_order="left"
    )
    rpcss, asked = pl.col("trace").str.contains(_RPCSS), pl.col("trace").str.contains(_ASKED)
    com, scm = pl.col("mechanism") == COM, pl.col("mechanism") == SCM
    met = known.located(near.filter((com & rpcss) | (scm & (asked | (pl.col("access") == _ALL)))))
    own = children.select("row", pl.col("parent_guid").alias("source"))
    starts = met.filter(pl.col("access") == _ALL).join(own, on=["row", "source"], maintain_order="left")
    return starts, met.filter((pl.col("access") == _QUERY) & (com | asked))


def _first(contacts: pl.DataFrame, rows: int) -> Ints:
    """When RPCSS first opened each process."""
    first = np.full(rows, FOREVER)
    com = contacts.filter(pl.col("mechanism") == COM)
    np.minimum.at(first, com["row"].to_numpy(), filled(com["time"].to_physical(), FOREVER))
    return first


def _pairs(starts: pl.DataFrame, contacts: pl.DataFrame) -> tuple[Ints, Ints, Ints]:
    sides = [
        (hashes(met, "host_key", "source", "thread"), filled(met["time"].to_physical(), FOREVER))
        for met in (starts, contacts)
    ]
    near = pairs(sides[0], sides[1], _SAME_MOMENT, _SAME_MOMENT, _MOST)
    child = filled(starts["row"], -1)[near.left]
    client = filled(contacts["row"], -1)[near.right]
    gap = np.abs(sides[0][1][near.left] - sides[1][1][near.right])
    other = child != client  # what was started contacts the service as well
    return child[other], client[other], gap[other]


def _unfiltered(known: Index, children: pl.DataFrame, starts: pl.DataFrame, contact: Ints) -> Flags:
    """Whether Sysmon 10 of a process's host tells of nearly all that COM started there, by both handles."""
    begun = pl.col("row").is_in(starts["row"].implode())
    return _on(known, _servers(children).with_columns((begun & _of_row(contact < FOREVER)).alias("seen")))


def _servers(children: pl.DataFrame) -> pl.DataFrame:
    """What COM started: host_key, row."""
    unpackaged = ~pl.col("command_line").str.contains(_PACKAGED).fill_null(value=False)
    return children.filter(
        (pl.col("mechanism") == COM) & unpackaged & pl.col("parent_guid").is_not_null()
    ).select("host_key", "row")  # fmt: skip


def _of_row(flags: Flags) -> pl.Expr:
    return pl.lit(pl.Series(flags)).gather(pl.col("row"))


def _on(known: Index, servers: pl.DataFrame) -> Flags:
    """Whether nearly all servers of a process's host are `seen`, of one at least."""
    share = servers.group_by("host_key").agg(pl.col("seen").mean())
    hosts = share.filter(pl.col("seen") >= _NEARLY_ALL)["host_key"]
    return known.frame.select(pl.col("host_key").is_in(hosts.implode()).fill_null(value=False))["host_key"].to_numpy()


def _loads(case: Logged) -> pl.DataFrame:
    """Sysmon 7: host_key, time, guid (of the process), ImageLoaded."""
    return keyed(
        case.frame(SYSMON, 7).select("host", "time", "ImageLoaded", pl.col("ProcessGuid").alias("guid")).collect()
    )


def _loaded(loads: pl.DataFrame, known: Index, children: pl.DataFrame) -> tuple[Ints, Flags]:
    """(when each process loaded the COM catalogue, whether its DLLs are logged, from its start on)."""
    rows = known.frame.height
    catalogue, complete = np.full(rows, FOREVER), np.zeros(rows, bool)
    if not loads.height:
        return catalogue, complete
    met = known.located(loads.filter(pl.col("ImageLoaded").str.contains(_CLIENT_DLL)))
    np.minimum.at(catalogue, met["row"].to_numpy(), filled(met["time"].to_physical(), FOREVER))
    first = pl.when(base_name("ImageLoaded").is_in(_FIRST)).then(base_name("ImageLoaded"))
    counted = loads.with_columns(first.alias("first")).group_by("host_key", "guid").agg(
        pl.col("ImageLoaded").n_unique(), pl.col("first").drop_nulls().n_unique()
    )  # fmt: skip
    whole = counted.filter(pl.col("ImageLoaded") >= _COMPLETE, pl.col("first") == len(_FIRST))
    complete[known.find(whole)[1]] = True
    complete &= known.frame["event_id"].is_not_null().to_numpy()
    servers = _servers(children).filter(_of_row(complete)).with_columns(_of_row(catalogue < FOREVER).alias("seen"))
    return catalogue, complete & _on(known, servers)
