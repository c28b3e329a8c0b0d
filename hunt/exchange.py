"""The Exchange Management log: who ran which cmdlet with what, and what became of it.

Channel `MSExchange Management`, provider `MSExchange CmdletLogs`, event ids 1 to 8, each with 27 unnamed Data (of
Exchange 2010 fewer, the first eleven of the same meaning), 8 with four. Ids 2, 3 and 7 (Get-*, cmdlets that run without
role-based access control, as in a local snap-in, and small errors) are not logged unless somebody raises the level.
Source: CmdletIterationEventModule and TaskEventLogConstants of Exchange 2013 to 2019; events of 2010 and of 2019.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from hunt import cmdlet_parameters
from hunt.model import Case, Need
from hunt.schema import DATA, TEXTS, TIME

CHANNEL = "MSExchange Management"
# Shippers that pass on no Data leave the sentence that Windows makes of it: the cmdlet and its parameters, no caller.
MESSAGE = "RenderingInfo.Message"
SUCCEEDED, FAILED = (1, 2, 3), (6, 7, 8)
OUTCOMES: Mapping[int, str] = {
    **dict.fromkeys(SUCCEEDED, "succeeded"),
    4: "stopped",
    5: "cancelled",
    **dict.fromkeys(FAILED, "failed"),
}
_UNHANDLED = 8  # Data: process id, thread, cmdlet, exception

READS = tuple(Need(CHANNEL, event_id, frozenset({DATA, MESSAGE})) for event_id in OUTCOMES)
NEEDS = (Need(CHANNEL, 1, frozenset({DATA}), keys=frozenset({DATA})),)
INSTEAD = (Need(CHANNEL, 1, frozenset({MESSAGE}), keys=frozenset({MESSAGE})),)

COLUMNS: Mapping[str, pl.DataType] = {
    "host": pl.String(),  # Computer: the Exchange server, also in forwarded logs
    "host_key": pl.String(),  # in lower case
    "time": TIME,
    "channel": pl.String(),
    "event_id": pl.UInt32(),
    "record_id": pl.UInt64(),
    "cmdlet": pl.String(),
    "arguments": pl.String(),  # the parameters as they were logged
    "parameters": cmdlet_parameters.PARAMETERS,
    "caller": pl.String(),  # the SID of the executing user, else its name
    "caller_key": pl.String(),  # in lower case; unknown callers have none
    "user": pl.String(),  # the executing user, as contoso.example/Users/alice
    "logon_sid": pl.String(),
    "application": pl.String(),  # Remote-ManagementShell-Unknown, Local-ConsoleHost-Unknown, ECP
    "process": pl.String(),  # w3wp#MSExchangePowerShellAppPool
    "pid": pl.UInt32(),
    "outcome": pl.String(),  # of OUTCOMES
    "error": pl.String(),
    "outputs": pl.UInt32(),  # objects that the cmdlet gave back
    "activity_id": pl.String(),
    "client_request_id": pl.String(),
}


def cmdlets(case: Case, names: Iterable[str] = (), mentions: str = "") -> pl.LazyFrame:
    """One row an event: COLUMNS, in no order. What an event does not tell is null; no parameters are an empty list.

    `names`: only these cmdlets; `mentions`: only those whose parameters, as text, match this pattern. No more of the
    others is read.
    """
    asked = sorted({name.lower() for name in names})
    wanted = pl.col("cmdlet").str.to_lowercase().is_in(asked) if asked else pl.lit(value=True)
    if mentions:
        wanted &= pl.col("arguments").str.contains(mentions)
    one = pl.concat([_met(case, event_id) for event_id in OUTCOMES if event_id != _UNHANDLED])
    told = pl.concat([_told(one, _iteration(), wanted), _told(_met(case, _UNHANDLED), _unhandled(), wanted)])
    parsed = pl.col("arguments").map_batches(
        cmdlet_parameters.parse, return_dtype=cmdlet_parameters.PARAMETERS, is_elementwise=True
    )
    return told.with_columns(parameters=parsed).select(pl.col(c).cast(dtype) for c, dtype in COLUMNS.items())


_CORE = ("host", "time", "channel", "event_id", "record_id")


def _met(case: Case, event_id: int) -> pl.LazyFrame:
    """The events of one id: _CORE, DATA and MESSAGE."""
    met = case.frame(CHANNEL, event_id)
    known = met.collect_schema()
    data = pl.col(DATA) if known.get(DATA) == TEXTS else pl.lit(None, TEXTS)
    sentence = pl.col(MESSAGE) if MESSAGE in known else pl.lit(None, pl.String)
    return met.select(*_CORE, data.alias(DATA), sentence.alias(MESSAGE))


def _told(met: pl.LazyFrame, own: Mapping[str, pl.Expr], wanted: pl.Expr) -> pl.LazyFrame:
    """Events without their parameters."""
    asked = ("cmdlet", "arguments")
    few = met.with_columns(own[name].alias(name) for name in asked).filter(wanted)
    return few.select(
        *_CORE,
        *asked,
        pl.col("host").str.to_lowercase().alias("host_key"),
        pl.col("event_id").replace_strict(OUTCOMES, return_dtype=pl.String).alias("outcome"),
        *(value.alias(name) for name, value in own.items() if name not in asked),
    )


def _iteration() -> dict[str, pl.Expr]:
    user, sid = _at(2), _sid(4)
    caller = pl.coalesce(sid, user)
    process = _at(6)
    # Where the list is shorter, of an older Exchange, other things stand in these places.
    activity = _at(23).str.extract(r"(?i)^ActivityId: *(\S*)")
    whole = activity.is_not_null()
    return {
        "cmdlet": _cmdlet(pl.coalesce(_at(0), _said(1))),
        "arguments": pl.coalesce(_at(1), _said(2)),
        "caller": caller,
        "caller_key": caller.str.to_lowercase(),
        "user": user,
        "logon_sid": _sid(3),
        "application": _at(5),
        "process": process.str.extract(r"^[0-9]+\s+(?s:(.+))$"),
        "pid": process.str.extract("^([0-9]+)").cast(pl.UInt32, strict=False),
        "error": _at(11),
        "outputs": pl.when(whole).then(_at(22)).cast(pl.UInt32, strict=False),
        "activity_id": pl.when(activity != "").then(activity),
        "client_request_id": pl.when(whole).then(_at(25)),
    }


def _unhandled() -> dict[str, pl.Expr]:
    nothing = dict.fromkeys(_iteration(), pl.lit(None, pl.String))
    return nothing | {
        "cmdlet": _cmdlet(_at(2)),
        "pid": _at(0).cast(pl.UInt32, strict=False),
        "outputs": pl.lit(None, pl.UInt32),
        "error": _at(3),
    }


def _at(place: int) -> pl.Expr:
    text = pl.col(DATA).list.get(place, null_on_oob=True)
    return pl.when(text != "").then(text)


def _sid(place: int) -> pl.Expr:
    text = _at(place)
    return pl.when(text.str.contains("^S-1-[0-9-]+$")).then(text)


def _said(group: int) -> pl.Expr:
    """`Cmdlet suceeded. Cmdlet NAME, parameters TEXT.` (so spelt)."""
    return pl.col(MESSAGE).str.extract(r"(?s)^\s*Cmdlet [a-z ]+\. Cmdlet ([A-Za-z-]+), parameters (.*?)\.?\s*$", group)


def _cmdlet(text: pl.Expr) -> pl.Expr:
    """The name without its module."""
    return text.str.strip_chars().str.extract(r"([^\\]*)$")
