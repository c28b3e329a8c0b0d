"""The shape of a story: one row a thing that is known, or not, about a finding."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from hunt import schema
from hunt.places import SOURCES

# The steps in the order of telling, and what people read above each. `process` is the accused, `target` what it
# started; `attached` the Outlook that took over.
TITLES: Mapping[str, str] = {
    "process": "The process",
    "image": "Its image",
    "target": "What it started, or had started",
    "attached": "The Outlook that took over",
    "ancestor": "Ancestors, its parent first",
    "descendant": "Descendants",
    "competitor": "Who else may have asked for it",
    "logon": "The user's logon",
    "network": "Connections, outside addresses first",
    "dns": "Names asked for",
    "file": "Files, mail and archives first",
    "script": "PowerShell, scripts that name Outlook first",
    "log": "Outlook, Office and COM at the time",
    "other": "What else was found on this host and user within an hour",
    "telemetry": "Limits",
}
STEPS = tuple(TITLES)

SEEN = "seen"  # it is in the evidence
NONE = "none"  # such events were logged on the host, and none of these processes at this time
ABSENT = "absent"  # the host has no such events: nothing is known
MORE = "more"  # so many more than are told
STATUSES = (SEEN, MORE, NONE, ABSENT)

# story.csv. `number` counts from 1 within a finding; `subject`: whose act it is (process, target, attached,
# descendant), with `pid`, `process_guid`, `image`; `fields`: JSON, all fields of the event, or what is known of a
# process; `channel`, `event_id`, `record_id`, `sources`: the event, empty where there is none.
COLUMNS: Mapping[str, pl.DataType] = {
    "finding_id": pl.String(),
    "number": pl.UInt32(),
    "step": pl.String(),
    "status": pl.String(),
    "time": schema.TIME,
    "host": pl.String(),
    "subject": pl.String(),
    "pid": pl.UInt32(),
    "process_guid": pl.String(),
    "image": pl.String(),
    "text": pl.String(),
    "fields": pl.String(),
    "channel": pl.String(),
    "event_id": pl.UInt32(),
    "record_id": pl.UInt64(),
    "sources": SOURCES,
}
# Rows as the parts of a story give them: without number, with `_first` (they come before the others of their step).
PART = {**{c: dtype for c, dtype in COLUMNS.items() if c != "number"}, "_first": pl.Boolean()}

MOST = 100  # rows of one step of one finding
MOST_FINDINGS = 10_000  # that are told of
MOST_EACH = 500  # of them of one query: a rule that is met so often tells the same story again and again


def part(frame: pl.DataFrame, **constants: str) -> pl.DataFrame:
    """Rows with the columns of PART; those that are absent are null, or what is given."""
    given = {name: pl.lit(value) for name, value in constants.items()}
    return frame.select(
        (pl.col(c) if c in frame.columns else given.get(c, pl.lit(None))).cast(dtype).alias(c)
        for c, dtype in PART.items()
    )
