"""Who names what a broker was asked for: in the command line, in a PowerShell script, in a WMI call.

Both sides get terms: a child the ones that a request for it would hold (`outlook.application`, its CLSID), an act the
ones it holds. What shares a term, and the time, goes together. A script may wait for hours before it does what its text
says: as long as its process lives, no time is too long; the latest of such come first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from hunt.lineage import crowds
from hunt.lineage.brokered import COM, COM_MARKER, SCM, SHELL, SURROGATE, TASK, TASK_OR_SERVICE, WMI
from hunt.lineage.drivers import other_driver, script_host
from hunt.lineage.keys import keyed
from hunt.lineage.kinds import FOREVER, NEVER, UNKNOWN, Flags, Ints, Small
from hunt.lineage.needs import POWERSHELL, WMI_ACTIVITY
from hunt.lineage.numbers import filled, hashes
from hunt.lineage.parts import Logged
from hunt.lineage.windows import clock as clocked
from hunt.lineage.windows import distinct, places, timeline
from hunt.processes import base_name
from hunt.schema import TIME

# What kind of act it is; bits of candidates' flags.
LINE, BLOCK, PIPELINE, CALL, HAND_OVER = 1, 2, 4, 8, 16
MAYBE = 16384  # a block or a pipeline of its process id, which may have been another's by then

_CLSID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
# Requests that name no program: a term of ours for each, and what asks for it (in lower case).
_REQUESTS = {
    WMI: r"(?s)process\s+call\s+create|win32_process\b.{0,400}create|create.{0,400}win32_process\b|"
    r"wmicimv2/win32_process",
    SCM: r"\bsc(?:\.exe)?\"?\s+(?:\\\\\S+\s+)?start\s+\S|\bnet1?(?:\.exe)?\"?\s+start\s+\S|\b(?:re)?start-service\b",
    TASK: r"(?s)\bschtasks(?:\.exe)?\"?\s.{0,400}/run\b|\bstart-scheduledtask\b",
    SHELL: r"\bshell\.application\b|\bshell(?:browser)?windows?\b|9ba05972-f6a8-11cf-a442-00a0c90a8f39|"
    r"c08afd90-f2a1-11d1-8455-00a0c91f3880",
}
_NAMED = rf"\b[a-z0-9]{{1,40}}\.application\b|{_CLSID}"  # a ProgID or a CLSID
# A cheap look for any of these.
_MAY_ASK = (
    r"(?i)call\s+create|win32_process|\bstart|schtasks|\.application|shell(?:browser)?window|"
    r"\{?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-"
)
# ProgIDs that begin otherwise than the file's name, and CLSIDs of servers whose command line has none.
_ALIASES = {
    "outlook.exe": ["outlook.application", "0006f03a-0000-0000-c000-000000000046"],
    "mmc.exe": ["mmc20.application"],
    "iexplore.exe": ["internetexplorer.application"],
    "winword.exe": ["word.application"],
    "powerpnt.exe": ["powerpoint.application"],
    "msaccess.exe": ["access.application"],
}
# `explorer.exe TARGET` starts no shell: it hands its target to one that COM starts, of whatever logon the desktop has.
_HANDS_OVER = r"(?i)^\s*\"?(?:[^\"]*\\)?explorer(?:\.exe)?\"?\s+\S"
_FACTORY = r"(?i)/factory,"
_EXPLORER, _EXPLORER_IMAGE = "hand over", r"(?i-u:(?:^|[\\/])explorer\.exe$)"

# How long after the start of a child a record of the request may come (ns): a command line comes before; a script block
# is logged before it runs; a pipeline, or a failed call, when it has ended.
_LATE = {LINE: 0, HAND_OVER: 0, BLOCK: 1_000_000_000, PIPELINE: 10_000_000_000, CALL: 10_000_000_000}
_AT_ONCE, _SOON = (SCM, TASK), 10_000_000_000  # `sc start` does nothing before, and ends; ns
_HOLD = (LINE, BLOCK, PIPELINE)  # for as long as the process lives
_EVER = 1 << 62  # ns: 146 years
_MOST = 16  # for a child, of each kind
_SCANNED, _LEAST_SCANNED = (
    4_000_000,
    256,
)  # of all that name the same, looked at for all children, and for each at least
_SKEW = 250_000_000  # ns by which an end may be logged early
_LIST = pl.List(pl.String)


@dataclass(frozen=True, slots=True)
class Requested:
    """Children (rows), the processes that name what was asked for, and how (a bit); for each child how many more."""

    child: Ints
    requester: Ints
    kind: Ints


def requested(case: Logged, known: pl.DataFrame, children: pl.DataFrame, window: int) -> Requested:
    """Who asked for each child, by their own words: said at most `window` ns before it started, or in a process that
    still lived then."""
    shells = children.filter(pl.col("command_line").str.contains(_FACTORY)).height > 0
    told = pl.concat([_lines(known, shells), _contents(case, known)])
    # Few hosts have any of them, and making a child's terms is dear.
    near = children.filter(pl.col("host_key").is_in(told["host_key"].unique().implode()))
    asked = _asked(near).with_columns(pl.col("term").is_in(_AT_ONCE).alias("at_once"))
    told = told.filter(pl.col("term").is_in(asked["term"].unique().implode()))
    asked, told = _with_identity(asked, known), _with_identity(told, known)
    found = [
        _near(asked.filter(at_once=at_once), told.filter(kind=kind), _recent(kind, at_once, window), kind, at_once)
        for kind in _LATE
        for at_once in (False, True)
    ]
    joined = [np.concatenate([part[n] for part in found]) for n in range(3)]
    return Requested(*joined)


def _recent(kind: int, at_once: bool, window: int) -> int:
    """How long before the child (ns) what was said counts by itself."""
    return min(window, _SOON) if at_once and kind == LINE else window


def _with_identity(rows: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """With `end` and `user`, `logon_id` and `logon_guid` of the processes."""
    who = known.select("end", pl.col("user").str.to_lowercase(), "logon_id", "logon_guid")[rows["row"]]
    return rows.with_columns(who)


def _near(asked: pl.DataFrame, told: pl.DataFrame, recent: int, kind: int, at_once: bool) -> tuple[Ints, Ints, Ints]:
    if asked.is_empty() or told.is_empty():
        return _NOBODY
    parts, times = zip(*(
        (hashes(rows, "host_key", "term"), filled(rows["time"].to_physical(), NEVER)) for rows in (asked, told)
    ), strict=True)  # fmt: skip
    child, requester = filled(asked["row"], UNKNOWN), filled(told["row"], UNKNOWN)
    end = filled(told["end"].to_physical(), FOREVER)
    names = [[hashes(rows, *columns) for rows in (asked, told)] for columns in (["user"], ["logon_id"], ["logon_guid"])]

    def able(left: Ints, right: Small) -> Flags:
        """Another one that lived then, of the same user or logon as far as that is known."""
        user, *logons = [(ours[left], theirs[right]) for ours, theirs in names]
        akin = (user[0] == user[1]) | (user[0] == UNKNOWN) | (user[1] == UNKNOWN) | at_once
        for ours, theirs in logons:
            akin |= (ours == theirs) & (ours != UNKNOWN)
        return np.asarray(akin & (end[right] >= times[0][left] - _SKEW) & (child[left] != requester[right]), bool)

    some = distinct(parts[0][parts[0] != UNKNOWN])
    line = timeline(places(some, parts[1]), clocked(times[1]))
    before = _EVER if kind in _HOLD and not at_once else recent
    met = line.near(places(some, parts[0]), times[0], before, _LATE[kind])
    scanned = max(_SCANNED // max(int((met.found > _MOST).sum()), 1), _LEAST_SCANNED)
    near = crowds.latest(met, np.full(met.placed.size, _MOST), np.full(met.placed.size, scanned), able)
    left, right = near.left, near.right
    # What was said long ago tells of those alone who still live.
    counts = (times[1][right] >= times[0][left] - recent) | able(left, right)
    left, right = left[counts], right[counts]
    kinds = np.where(told["sure"].to_numpy(), kind, MAYBE)
    other = child[left] != requester[right]
    return child[left][other], requester[right][other], kinds[right][other]


_NOBODY = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))


def _asked(children: pl.DataFrame) -> pl.DataFrame:
    """Rows host_key, row, time, term: what a request for each child would hold."""
    line = pl.col("command_line").fill_null("").str.to_lowercase()
    name = base_name("image").fill_null("")
    own = pl.concat_list(name.str.replace(r"\.exe$", ".application"), line.str.extract_all(_CLSID))
    aliases = name.replace_strict(_ALIASES, default=[], return_dtype=_LIST)
    factory = pl.when((name == "explorer.exe") & line.str.contains(_FACTORY)).then(pl.lit([_EXPLORER], _LIST))
    surrogate = pl.col("parent_command_line").fill_null("").str.to_lowercase().str.extract_all(_CLSID)
    mechanism = pl.col("mechanism")
    terms = (
        pl.when(mechanism == COM)
        .then(pl.concat_list(own, aliases, factory.fill_null([])))
        .when(mechanism == SURROGATE)
        .then(surrogate)
        .otherwise(pl.concat_list(mechanism.replace({TASK_OR_SERVICE: TASK})))
    )
    return (
        children.select("host_key", "row", pl.col("start").alias("time"), terms.alias("term"))
        .explode("term")
        .filter(pl.col("term").is_not_null(), pl.col("time").is_not_null(), pl.col("host_key").is_not_null())
        .unique(maintain_order=True)
    )


def _terms(text: str) -> pl.Expr:
    """The terms that a text holds."""
    lower = pl.col(text).str.to_lowercase()
    requests = [
        pl.when(lower.str.contains(pattern)).then(pl.lit([term], _LIST)).otherwise(pl.lit([], _LIST))
        for term, pattern in _REQUESTS.items()
    ]
    return pl.concat_list(lower.str.extract_all(_NAMED), *requests)


_TOLD: Mapping[str, pl.DataType] = {
    "host_key": pl.String(),
    "row": pl.UInt32(),
    "time": TIME,
    "term": pl.String(),
    "kind": pl.Int64(),
    "sure": pl.Boolean(),  # it is that process's own: a process id may be given on
}


def _lines(known: pl.DataFrame, shells: bool) -> pl.DataFrame:
    """What command lines ask for, at the start of their processes. `shells`: also who hands over to such."""
    own = known.select("host_key", "row", "image", pl.col("start").alias("time"), "command_line")
    # What COM itself has started carries a CLSID, too: its own.
    may = own.filter(pl.col("command_line").str.contains(_MAY_ASK))
    may = may.filter(~pl.col("command_line").str.contains(COM_MARKER)).with_columns(
        _terms("command_line").alias("term")
    )
    told = may.explode("term").with_columns(pl.lit(LINE).alias("kind"), pl.lit(value=True).alias("sure"))
    if not shells:
        return _told(told)
    explorers = own.filter(pl.col("image").str.contains(_EXPLORER_IMAGE)).filter(
        pl.col("command_line").str.contains(_HANDS_OVER), ~pl.col("command_line").str.contains(_FACTORY)
    )
    handed = explorers.with_columns(
        pl.lit(_EXPLORER).alias("term"), pl.lit(HAND_OVER).alias("kind"), pl.lit(value=True).alias("sure")
    )
    return pl.concat([_told(told), _told(handed)])


def _told(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("term").is_not_null()).select(pl.col(c).cast(dtype) for c, dtype in _TOLD.items())


def _contents(case: Logged, known: pl.DataFrame) -> pl.DataFrame:
    """What PowerShell's scripts and pipelines, and failed WMI calls, ask for."""
    parts = []
    for channel in POWERSHELL:
        parts.append(_logged(case, channel, 4104, ["ScriptBlockText"], "System.ProcessID", BLOCK))
        parts.append(_logged(case, channel, 4103, ["Payload", "ContextInfo"], "System.ProcessID", PIPELINE))
    parts.append(_logged(case, WMI_ACTIVITY, 5858, ["Operation"], "ClientProcessId", CALL))
    return _told(_by_pid(pl.concat(parts), known))


def _logged(case: Logged, channel: str, event_id: int, texts: list[str], pid: str, kind: int) -> pl.DataFrame:
    """host_key, pid, time, term, kind of events that hold terms."""
    frame = case.frame(channel, event_id)
    there = set(frame.collect_schema())
    number = pl.col(pid).cast(pl.UInt32, strict=False) if pid in there else pl.lit(None, pl.UInt32)
    text = pl.concat_str([pl.col(c).cast(pl.String) for c in texts if c in there] or [pl.lit("")], ignore_nulls=True)
    may = frame.select("host", "time", number.alias("pid"), text.alias("text"))
    found = may.filter(pl.col("text").str.contains(_MAY_ASK)).collect()
    if found.is_empty():
        return pl.DataFrame(schema=_EVENT)
    return (
        keyed(found)
        .with_columns(_terms("text").alias("term"), pl.lit(kind, pl.Int64).alias("kind"))
        .explode("term")
        .select(*_EVENT)
    )


_EVENT = {**{c: _TOLD[c] for c in ("host_key", "time", "term", "kind")}, "pid": pl.UInt32()}


def _by_pid(told: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """With `row`: the process that had this id on that host at the time; and `sure`.

    Where that process's end is not known, the id may have been given on to one whose start was not logged: then a
    script is surely its own only if it is of a kind that runs such.
    """
    by = ["host_key", "pid"]
    asked = told.filter(pl.col("term").is_not_null()).drop_nulls(["host_key", "pid", "time"]).sort("time")
    if not asked.height:
        return pl.DataFrame(schema=_TOLD)
    few = known.filter(pl.col("pid").is_in(asked["pid"].unique().implode()))
    began = few.select(*by, "row", "start", "end", (script_host() | other_driver()).alias("runs_scripts"))
    met = asked.join_asof(
        began.drop_nulls([*by, "start"]).sort("start", "row"),
        left_on="time", right_on="start", by=by, strategy="backward", check_sortedness=False,
    )  # fmt: skip
    alive = pl.col("end").is_null() | (pl.col("end") + _WRITTEN >= pl.col("time"))
    own = pl.col("end").is_not_null() | pl.col("runs_scripts") | (pl.col("kind") == CALL)
    return met.filter(pl.col("row").is_not_null() & alive).with_columns(own.alias("sure"))


# A record may come a little after its process has ended: 250 ms as for Sysmon 5, and the time that writing takes.
_WRITTEN = pl.duration(seconds=5, time_unit="ns")
