"""`process.Ext.effective_parent.*`: who had a process started without doing it, out of lineage.

It is the best candidate. Absent for direct starts, as in Elastic's own data, where nobody here is known to have asked
(a start from the network, say), and where the candidate's grade is lower than wanted. What else lineage says of it -
grade, competitors, whether the logon came from elsewhere - has names of ours under the same prefix, for findings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import polars as pl

from hunt import lineage
from hunt.ecs.fields import Field, FieldInfo, Part, Type
from hunt.ecs.values import name_of, present, qualified
from hunt.model import Case, EventType

PREFIX = "process.Ext.effective_parent."
MIN_GRADE = "C"  # a COM client of the same logon; D and below are leads
_TOLD = (
    *("requester_guid", "requester_pid", "requester_image", "grade", "competitors", "ambiguous", "locality"),
    *("origin", "source_address", "mechanism", "attached", "start_source", "evidence"),
)
_NAMES = {name: f"_parent_{name}" for name in _TOLD}
_KEYS = ("_host", "_guid", "_pid", "_time")
_ALSO = (*lineage.NEEDS, *lineage.READS)


def _column(name: str) -> pl.Expr:
    return pl.col(_NAMES[name])


# What findings.csv says of a requester: its column, and the field that tells it.
FINDING_COLUMNS: Mapping[str, str] = {
    name: PREFIX + name
    for name in ("grade", "competitors", "ambiguous", "locality", "origin", "attached", "start_source", "evidence")
} | {"source_ip": f"{PREFIX}source_address"}

# By name below the prefix: type, expression, whether it is a list.
_FIELDS: Mapping[str, tuple[Type, Callable[[], pl.Expr], bool]] = {
    "entity_id": ("text", lambda: qualified(pl.col("host"), present(_column("requester_guid"))), False),
    "pid": ("number", lambda: _column("requester_pid"), False),
    "executable": ("text", lambda: present(_column("requester_image")), False),
    "name": ("text", lambda: name_of(present(_column("requester_image"))), False),
    "grade": ("text", lambda: _column("grade"), False),
    "competitors": ("number", lambda: _column("competitors"), False),
    "ambiguous": ("boolean", lambda: _column("ambiguous"), False),
    "locality": ("text", lambda: _column("locality"), False),
    "origin": ("text", lambda: _column("origin"), False),
    "source_address": ("ip", lambda: _column("source_address"), False),
    "mechanism": ("text", lambda: _column("mechanism"), False),
    "attached": ("boolean", lambda: _column("attached"), False),
    "start_source": ("text", lambda: _column("start_source"), False),
    "evidence": ("text", lambda: _column("evidence"), True),
}


def of_start(pid: str, guid: str | None = None) -> Mapping[str, Field]:
    """Of an event that tells of a process's start, by the columns of its id and GUID; without GUIDs, no entity_id."""
    columns = frozenset({pid, *([guid] if guid else ())})
    return {
        PREFIX + name: Field(FieldInfo(kind, many, columns, also=_ALSO, conditional=True), make, Part.PARENT)
        for name, (kind, make, many) in _FIELDS.items()
        if guid or name != "entity_id"
    }


def known(case: Case, kind: EventType, starts: pl.LazyFrame) -> pl.LazyFrame:
    """Starts (Sysmon 1, Security 4688) in their order, with what lineage knows of their requesters."""
    worst = case.settings.min_grade or MIN_GRADE
    child = (pl.col("host_key"), pl.col("child_guid"), pl.col("child_pid"), pl.col("time"))
    told = (
        case.lineage.filter(pl.col("grade") <= worst)  # the letters are in their order
        .select(*_named(child), *(pl.col(name).alias(ours) for name, ours in _NAMES.items()))
        .unique(_KEYS, keep="first", maintain_order=True)
    )
    own = (
        pl.col("host").str.to_lowercase(),
        pl.col("ProcessGuid") if kind.event_id == 1 else pl.lit(None, pl.String),
        pl.col("ProcessId" if kind.event_id == 1 else "NewProcessId").cast(pl.UInt32, strict=False),
        pl.col("time"),
    )
    keyed = starts.with_columns(_named(own))
    return keyed.join(told, on=_KEYS, how="left", nulls_equal=True, maintain_order="left").drop(_KEYS)


def _named(keys: Sequence[pl.Expr]) -> list[pl.Expr]:
    return [key.alias(name) for key, name in zip(keys, _KEYS, strict=True)]
