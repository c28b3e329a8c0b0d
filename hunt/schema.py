"""Columns and types of event frames: the core columns, the System ones, and which fields are numbers, times or GUIDs.

Every parser delivers these, whatever it reads from: text inputs carry no types, so a field has another type than
String only where `KINDS` lists it for its provider.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from functools import cache, lru_cache

import polars as pl

from hunt import arrays, runs

TIME = pl.Datetime("ns", "UTC")
TEXTS = pl.List(pl.String)

# Every frame begins with these. `time` is when it happened (Sysmon's UtcTime, else TimeCreated), `logged` TimeCreated;
# `record_number` stands in the record's header and differs from `record_id` in forwarded logs; `source` and `offset`
# (bytes) lead back to the evidence; `unparsed` is a JSON object of the texts that did not fit their column's type;
# `recovered`: out of slack or raw data, no live record.
CORE: Mapping[str, pl.DataType] = {
    "time": TIME,
    "logged": TIME,
    "host": pl.String(),
    "channel": pl.String(),
    "provider": pl.String(),
    "event_id": pl.UInt32(),
    "record_id": pl.UInt64(),
    "record_number": pl.UInt64(),
    "source": pl.String(),
    "offset": pl.UInt64(),
    "unparsed": pl.String(),
    "recovered": pl.Boolean(),
}

# What else the System element holds. The prefix keeps it apart from event data of the same names.
SYSTEM: Mapping[str, pl.DataType] = {
    "System.ProviderGuid": pl.String(),
    "System.EventSourceName": pl.String(),
    "System.Qualifiers": pl.UInt32(),
    "System.Version": pl.UInt32(),
    "System.Level": pl.UInt32(),
    "System.Task": pl.UInt32(),
    "System.Opcode": pl.UInt32(),
    "System.Keywords": pl.UInt64(),
    "System.ActivityID": pl.String(),
    "System.RelatedActivityID": pl.String(),
    "System.ProcessID": pl.UInt32(),
    "System.ThreadID": pl.UInt32(),
    "System.UserID": pl.String(),
}

# What is known of every record, decoded or not: how many there are of each kind per file, the earliest and the latest
# TimeCreated, how many have another EventRecordID than their header has a number (in logs that were forwarded or saved
# from a viewer; null where there is no header). `runs` tells which EventRecordIDs there are of the row's source, host
# and channel, and when: once, in the first of their rows. Headers are not asked: an export counts anew, and its headers
# hold no times.
CENSUS_KEYS = ("source", "host", "channel", "provider", "event_id")
CENSUS: Mapping[str, pl.DataType] = {
    "source": pl.String(),
    "host": pl.String(),
    "channel": pl.String(),
    "provider": pl.String(),
    "event_id": pl.UInt32(),
    "records": pl.UInt64(),
    "start": TIME,
    "end": TIME,
    "renumbered": pl.UInt64(),
    "runs": pl.List(runs.RUN),
}
LOG = ("source", "host", "channel")  # whose records make runs

DATA = "Data"  # unnamed Data elements, in their order: List(String)
# The last three are names of our own while duplicates are looked for.
RESERVED = frozenset({*CORE, *SYSTEM, DATA, "sources", "_row", "_host", "_payload"})

NULL_GUID = "{00000000-0000-0000-0000-000000000000}"


class Kind(Enum):
    """What a listed field holds, and how its text is read."""

    U32 = "number"
    U64 = "64-bit number"
    HEX = "hexadecimal id"
    TIME = "UTC time"
    GUID = "GUID"

    @property
    def dtype(self) -> pl.DataType:
        return _DTYPES[self]


_DTYPES: Mapping[Kind, pl.DataType] = {
    Kind.U32: pl.UInt32(),
    Kind.U64: pl.UInt64(),
    Kind.HEX: pl.UInt64(),
    Kind.TIME: TIME,
    Kind.GUID: pl.String(),
}


def _kinds(**fields: str) -> dict[str, Kind]:
    return {name: Kind[kind] for kind, names in fields.items() for name in names.split()}


# By provider, then by event id (None: all of the provider's events), then by field. Sources: Sysmon's schema 4.x as
# `sysmon -s` prints it, and the templates of Microsoft-Windows-Security-Auditing and Microsoft-Windows-PowerShell.
KINDS: Mapping[str, Mapping[int | None, Mapping[str, Kind]]] = {
    "Microsoft-Windows-Sysmon": {
        None: _kinds(
            TIME="UtcTime CreationUtcTime PreviousCreationUtcTime",
            U32="ProcessId ParentProcessId SourceProcessId TargetProcessId SourceThreadId NewThreadId "
            "TerminalSessionId Session SourcePort DestinationPort",
            HEX="LogonId GrantedAccess",
            GUID="ProcessGuid ParentProcessGuid LogonGuid SourceProcessGuid SourceProcessGUID "
            "TargetProcessGuid TargetProcessGUID",
        ),
    },
    "Microsoft-Windows-Security-Auditing": {
        None: _kinds(
            HEX="SubjectLogonId TargetLogonId TargetLinkedLogonId NewProcessId ProcessId CallerProcessId",
            GUID="LogonGuid TargetLogonGuid",
        ),
        4624: _kinds(U32="LogonType"),
        4625: _kinds(U32="LogonType"),
        4634: _kinds(U32="LogonType"),
    },
    "Microsoft-Windows-PowerShell": {
        4104: _kinds(U32="MessageNumber MessageTotal"),
    },
}

# Whose events a channel of KINDS holds, for frames in which none was met.
PROVIDERS: Mapping[str, str] = {
    "microsoft-windows-sysmon/operational": "Microsoft-Windows-Sysmon",
    "security": "Microsoft-Windows-Security-Auditing",
    "microsoft-windows-powershell/operational": "Microsoft-Windows-PowerShell",
}

_CORE_KINDS = {
    "logged": Kind.TIME,
    "record_id": Kind.U64,
    "record_number": Kind.U64,
    "offset": Kind.U64,
    "event_id": Kind.U32,
    **{name: Kind.U32 for name, dtype in SYSTEM.items() if dtype == pl.UInt32()},
    "System.Keywords": Kind.HEX,
    "System.ProviderGuid": Kind.GUID,
    "System.ActivityID": Kind.GUID,
    "System.RelatedActivityID": Kind.GUID,
}


def kinds(providers: Iterable[str | None], event_id: int) -> dict[str, Kind]:
    """Which fields of an event type are not plain text, by column name."""
    found = dict(_CORE_KINDS)
    for provider in sorted({p for p in providers if p}):
        listed = KINDS.get(provider, {})
        found |= {**listed.get(None, {}), **listed.get(event_id, {})}
    return found


def column_name(field: str) -> str:
    """The column of a field of the event's own; one named like a column of ours gets the prefix `data.`."""
    return f"data.{field}" if field in RESERVED else field


def conform(
    frame: pl.DataFrame,
    event_id: int,
    providers: Iterable[str | None] = (),
    ready: Collection[str] = (),
    own: Iterable[str | None] | None = None,
) -> pl.DataFrame:
    """Events of one type as text to the columns and types of this module: CORE, SYSTEM, then the frame's own fields.

    What is typed already stays. A text that does not fit its column becomes null there and stays in `unparsed`; "" in
    a column that is not text is null. `providers`: others whose events will stand in the same frame;
    `ready`: text columns that are as they should be; `own`: the frame's providers, where they are known.
    """
    if own is None:
        own = frame["provider"].unique() if "provider" in frame.columns else ()
    by_kind = kinds((*own, *providers), event_id)
    # A number that was read as another provider's kind is read again: frames of both must agree.
    types = dtypes(frame)
    strange = [c for c, dtype in types.items() if c in by_kind and dtype.is_integer() and dtype != by_kind[c].dtype]
    if strange:
        types |= dict.fromkeys(strange, pl.String())
        frame = frame.with_columns(pl.col(c).cast(pl.String) for c in strange)
    texts = {c: by_kind[c] for c, dtype in types.items() if c in by_kind and c not in ready and dtype == pl.String}
    parsed = frame
    if texts:
        parsed = frame.with_columns(_read(pl.col(c), kind).alias(c) for c, kind in texts.items())
        misfits = _misfits(frame, parsed, texts)
        if misfits is not None:
            parsed = parsed.with_columns(_merged(frame, misfits))
    # Series by series: an expression for each of some forty columns costs more than all the rest.
    columns = {column.name: column for column in parsed.get_columns()}
    columns["time"] = _event_time(columns, by_kind, frame.height)
    columns.setdefault("recovered", pl.Series("recovered", [False]).new_from_index(0, frame.height))
    typed = [_typed(columns.pop(name, None), name, dtype, frame.height) for name, dtype in {**CORE, **SYSTEM}.items()]
    return pl.DataFrame([*typed, *columns.values()])


def _typed(column: pl.Series | None, name: str, dtype: pl.DataType, height: int) -> pl.Series:
    if column is None:
        return pl.Series(name, [None], dtype=dtype).new_from_index(0, height)
    return column if column.dtype == dtype else column.cast(dtype)


def _event_time(columns: Mapping[str, pl.Series], by_kind: Mapping[str, Kind], height: int) -> pl.Series:
    """Sysmon's own clock reading where there is one: TimeCreated is when the event was written."""
    logged = _typed(columns.get("logged"), "logged", TIME, height)
    own = columns.get("UtcTime")
    if own is None or by_kind.get("UtcTime") is not Kind.TIME:
        return logged.alias("time")
    return (own if not own.null_count() else own.to_frame().select(pl.coalesce("UtcTime", logged))[:, 0]).alias("time")


def _read(text: pl.Expr, kind: Kind) -> pl.Expr:
    """A text column as its kind; null where it does not fit."""
    match kind:
        case Kind.TIME:
            return _read_time(text)
        case Kind.GUID:
            return _read_guid(text)
        case _:
            return _read_number(text).cast(kind.dtype, strict=False)


def _read_number(text: pl.Expr) -> pl.Expr:
    """Decimal, or hexadecimal with 0x as Windows prints it."""
    digits = text.str.slice(2)
    hexadecimal = pl.when(digits.str.contains(r"^[0-9A-Fa-f]{1,16}$")).then(digits)
    decimal = pl.when(text.str.contains(r"^[0-9]{1,20}$")).then(text)
    return (
        pl.when(text.str.starts_with("0x") | text.str.starts_with("0X"))
        .then(hexadecimal.str.to_integer(base=16, dtype=pl.UInt64, strict=False))
        .otherwise(decimal.cast(pl.UInt64, strict=False))
    )


def _read_time(text: pl.Expr) -> pl.Expr:
    """`2026-03-02 08:15:00.123` or `2026-03-02T08:15:00.1234567Z`, both UTC, up to nine decimals."""
    shape = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z?$"
    # Nanoseconds in 64 bits span 1677-09-21 to 2262-04-11; beyond, Polars wraps around without a word.
    year = text.str.slice(0, 4).cast(pl.Int32, strict=False)
    fits = text.str.contains(shape) & year.is_between(1678, 2261)
    plain = text.str.replace("T", " ", literal=True).str.strip_chars_end("Z")
    return (
        pl.when(fits).then(plain).str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="ns", time_zone="UTC", strict=False)
    )


def _read_guid(text: pl.Expr) -> pl.Expr:
    """As Sysmon prints it: upper case, in braces. The null GUID names nothing: null. Other text stays."""
    shape = r"^\{?[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}\}?$"
    printed = pl.concat_str(pl.lit("{"), text.str.strip_chars("{}").str.to_uppercase(), pl.lit("}"))
    guid = pl.when(text.str.contains(shape)).then(printed).otherwise(text)
    return pl.when(guid != NULL_GUID).then(guid)


def _misfits(text: pl.DataFrame, parsed: pl.DataFrame, kinds_read: Mapping[str, Kind]) -> pl.Series | None:
    """The column `unparsed`: per row a JSON object of column -> text that did not fit; None if all did."""
    parts = []
    for name, kind in kinds_read.items():
        if kind is Kind.GUID:
            continue
        lost = parsed[name].is_null() & text[name].is_not_null() & (text[name] != "")
        if lost.any():
            # json_encode gives {"x":"..."}; its value is cut out, so that Polars does the escaping.
            encoded = text.select(pl.struct(pl.col(name).alias("x")).struct.json_encode())[:, 0].str.slice(5)
            pair = pl.lit(json.dumps(name) + ":") + encoded.str.head(-1)
            parts.append(text.select(pl.when(lost).then(pair))[:, 0].alias(name))
    if not parts:
        return None
    joined = pl.DataFrame(parts).select(pl.concat_str(pl.all(), separator=",", ignore_nulls=True).alias("unparsed"))
    return joined.select(pl.when(pl.col("unparsed") != "").then("{" + pl.col("unparsed") + "}"))[:, 0].alias("unparsed")


def _merged(frame: pl.DataFrame, misfits: pl.Series) -> pl.Series:
    """Two JSON objects a row as one."""
    if "unparsed" not in frame.columns:
        return misfits
    before, now = frame["unparsed"].alias("before").to_frame().with_columns(misfits).get_columns()
    both = pl.concat_str(pl.col("before").str.head(-1), pl.lit(","), pl.col("unparsed").str.slice(1))
    return pl.DataFrame([before, now]).select(pl.coalesce(both, "before", "unparsed").alias("unparsed"))[:, 0]


def dtypes(frame: pl.DataFrame) -> dict[str, pl.DataType]:
    """The types of a frame's columns. Its `schema` is checked anew, column by column, each time it is asked for."""
    return dict(zip(frame.columns, frame.dtypes, strict=True))


def size(frame: pl.DataFrame) -> int:
    """Bytes that a frame takes in memory."""
    return sum(size_of(column) for column in frame.get_columns())


_VIEW = 16  # bytes: https://arrow.apache.org/docs/format/Columnar.html#variable-size-binary-view-layout


def size_of(column: pl.Series) -> int:
    """Bytes that a column takes in memory. Polars' own estimate counts letters, not what each text, null or not, takes
    besides."""
    views = _texts(column.dtype) * len(column)
    if isinstance(column.dtype, pl.List):
        views = _texts(column.dtype.inner) * int(column.list.len().sum() or 0)
    return int(column.estimated_size()) + _VIEW * views


def _texts(dtype: object) -> int:
    """Columns of texts that a column of this type consists of."""
    if isinstance(dtype, pl.Struct):
        return sum(_texts(field.dtype) for field in dtype.fields)
    return int(dtype == pl.String)


def compact(frame: pl.DataFrame) -> pl.DataFrame:
    """With texts of its own: decoded ones point into what was decoded, and would keep all of it in memory."""
    texts = [c for c, dtype in dtypes(frame).items() if dtype in (pl.String, TEXTS)]
    return frame.with_columns(arrays.series(frame[c].to_arrow()).alias(c) for c in texts)


def census(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """CENSUS of frames that hold all records there are.

    They need the columns CENSUS_KEYS, and as far as they are known `record_id`, `record_number` and `logged`: parsers
    that decode only what is wanted may pass a frame of these for all they have read.
    """
    needed = {**{key: CENSUS[key] for key in CENSUS_KEYS}, **{c: CORE[c] for c in ("record_id", "logged")}}
    parts = [_counted(frame, needed) for frame in frames]
    records = pl.concat([pl.DataFrame(schema={**needed, "renumbered": pl.UInt64}), *parts])
    counts = records.group_by(CENSUS_KEYS, maintain_order=True).agg(
        pl.len().cast(pl.UInt64).alias("records"),
        pl.col("logged").min().alias("start"),
        pl.col("logged").max().alias("end"),
        pl.when(pl.col("renumbered").is_not_null().any()).then(pl.col("renumbered").sum()).alias("renumbered"),
    )
    return with_runs(counts, runs.of_records(records, LOG))


def _counted(frame: pl.DataFrame, needed: Mapping[str, pl.DataType]) -> pl.DataFrame:
    numbered = {"record_number", "record_id"} <= set(frame.columns)
    other = pl.col("record_number").ne_missing(pl.col("record_id")) if numbered else pl.lit(None)
    return frame.select(
        *((pl.col(c) if c in frame.columns else pl.lit(None)).cast(dtype).alias(c) for c, dtype in needed.items()),
        other.cast(pl.UInt64).alias("renumbered"),
    )


def with_runs(counts: pl.DataFrame, of_logs: pl.DataFrame) -> pl.DataFrame:
    """CENSUS out of its other columns and the runs of each log (LOG and the fields of a run)."""
    listed = of_logs.group_by(LOG, maintain_order=True).agg(pl.struct(runs.FIELDS).alias("runs"))
    whole = counts.join(listed, on=LOG, how="left", nulls_equal=True, maintain_order="left")
    first = pl.struct(LOG).is_first_distinct()
    return whole.with_columns(pl.when(first).then("runs")).select(pl.col(c).cast(d) for c, d in CENSUS.items())


def empty(channel: str, event_id: int, columns: Iterable[str] = ()) -> pl.DataFrame:
    """A frame of no events with the core and System columns and `columns`, typed as the channel's events have them."""
    return _empty(channel.lower(), event_id, tuple(columns)).clone()


@lru_cache(1024)  # hunts ask for the same few of each evidence
def _empty(channel: str, event_id: int, columns: tuple[str, ...]) -> pl.DataFrame:
    by_kind = kinds((PROVIDERS.get(channel),), event_id)
    known, no_text = _no_events()
    # Series that are there already: a frame of a schema alone makes each anew, which takes ten times as long.
    fields = (pl.Series(c, [], dtype=by_kind[c].dtype) if c in by_kind else no_text.alias(c) for c in columns)
    return pl.DataFrame([*known.get_columns(), *fields])


@cache
def _no_events() -> tuple[pl.DataFrame, pl.Series]:
    return pl.DataFrame(schema={**CORE, **SYSTEM}), pl.Series([], dtype=pl.String)


def time_text(column: pl.Expr) -> pl.Expr:
    """A time as results show it: ISO 8601, UTC, microseconds."""
    return column.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")


def hex_text(column: pl.Expr) -> pl.Expr:
    """A hexadecimal id as Windows prints it: 0x3e7."""
    return pl.when(column.is_not_null()).then(
        pl.lit("0x") + column.map_elements(lambda v: format(v, "x"), return_dtype=pl.String)
    )


def seconds(duration: pl.Expr) -> pl.Expr:
    """A duration in seconds, to the nanosecond as exact as a float can be, and the same on every run."""
    nanoseconds = duration.dt.total_nanoseconds()
    # Polars divides by a literal by its reciprocal, except for the last rows of a buffer: 60.5 s may be
    # 60.50000000000001 s, or not, by where the buffer lies. A column divides as IEEE 754 says.
    return nanoseconds.cast(pl.Float64) / (nanoseconds * 0 + 1_000_000_000).cast(pl.Float64)
