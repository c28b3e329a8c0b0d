"""Google Workspace's audit log, as hunts see it: who did what in which application, from where.

Channel `GoogleWorkspace.Audit`, an event id for each application (parsers/google_audit.py has the numbers). An export
holds the applications that were asked for: one that it lacks tells nothing.
Source: Admin SDK Reports API v1, Activity, and its appendices on the events of each application.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from hunt.findings import named
from hunt.model import Case, Need

CHANNEL = "GoogleWorkspace.Audit"
ADMIN, GMAIL, LOGIN, TOKEN, TAKEOUT, VAULT, USER_ACCOUNTS = 1, 3, 4, 5, 6, 7, 8

_COMMON = ("name", "id.uniqueQualifier", "id.time", "actor.email", "actor.key", "actor.callerType", "ipAddress")
_CORE = ("host", "time", "channel", "event_id", "record_id", "source", "offset")


def need(event_id: int, *parameters: str) -> Need:
    """What is read of an application: what all of its events have, and these parameters."""
    columns = frozenset({*_COMMON, *(f"parameters.{name}" for name in parameters)})
    return Need(CHANNEL, event_id, columns, keys=frozenset({"name"}))


def basic(*needs: Need) -> tuple[Need, ...]:
    """What the same applications' events have to have."""
    return tuple(Need(CHANNEL, of.event_id, frozenset({"name"}), keys=frozenset({"name"})) for of in needs)


def activities(case: Case, event_ids: Sequence[int], names: str, parameters: Sequence[str] = ()) -> pl.LazyFrame:
    """One row an event whose name, in lower case, matches `names`, once: in order of time.

    Columns: the core ones, `host_key`, id, name (lower case), user, client_ip, and the parameters by their names.
    """
    met = pl.concat([_of(case, event_id, parameters) for event_id in event_ids], how="vertical_relaxed")
    found = met.filter(pl.col("name").str.contains(names)).with_columns(host_key=pl.col("host").str.to_lowercase())
    once = pl.struct("host_key", "event_id", "id", "name", *parameters).is_first_distinct() | pl.col("id").is_null()
    told = found.sort("time", "host_key", "id", *parameters, "source", "offset", maintain_order=True).filter(once)
    # Of the events of one activity several may have the same name.
    number = pl.int_range(pl.len()).over("host_key", "event_id", "id")
    own = pl.when(number > 0).then(pl.format("{}#{}", "id", number)).otherwise("id")
    return told.with_columns(id=pl.when(pl.col("id").is_not_null()).then(own))


def _of(case: Case, event_id: int, parameters: Sequence[str]) -> pl.LazyFrame:
    met = case.frame(CHANNEL, event_id)
    there = set(met.collect_schema())

    def text(name: str) -> pl.Expr:
        held = pl.col(name) if name in there else pl.lit(None, pl.String)
        return pl.when(held != "").then(held)

    key = pl.concat_str(text("id.uniqueQualifier"), pl.lit("/"), text("id.time"), pl.lit("/"), text("name"))
    return met.select(
        *_CORE,
        id=key,
        name=text("name").str.strip_chars().str.to_lowercase(),
        user=pl.coalesce(text("actor.email"), text("actor.key")),
        client_ip=text("ipAddress"),
        **{name: text(f"parameters.{name}") for name in parameters},
    )


def event(step: int = 1) -> pl.Expr:
    """The event that a row of `activities` stands for: `findings.NAMED`."""
    return named(step, "id")
