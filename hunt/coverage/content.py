"""What events say about logs themselves: cleared logs, Sysmon's state and configuration, its errors, clocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from hunt.coverage.facts import Fact, span
from hunt.coverage.seen import SECURITY, Seen
from hunt.model import SYSMON


def facts(seen: Seen) -> Iterator[Fact]:
    """Facts of the kinds cleared, sysmon_state, sysmon_config, sysmon_error and clock_step."""
    for row in _rows(seen, SECURITY, 1102):
        yield _fact("cleared", row, 1102, f"cleared by {_user(row)}")
    for row in _rows(seen, "System", 104):
        cleared = str(row["Channel"] or "a log that is not named")
        backup = f"; saved as {row['BackupPath']}" if row["BackupPath"] else ""
        yield _fact("cleared", row | {"channel": cleared}, 104, f"{cleared} cleared by {_user(row)}{backup}")
    for row in _rows(seen, SYSMON, 4):
        versions = f"version {row['Version'] or '?'}, schema {row['SchemaVersion'] or '?'}"
        yield _fact("sysmon_state", row, 4, f"Sysmon {str(row['State'] or 'in an unknown state').lower()} ({versions})")
    for row in _rows(seen, SYSMON, 16):
        digest = f" ({row['ConfigurationFileHash']})" if row["ConfigurationFileHash"] else ""
        yield _fact("sysmon_config", row, 16, f"configuration changed: {row['Configuration'] or 'not named'}{digest}")
    for row in _rows(seen, SYSMON, 255):
        yield _fact("sysmon_error", row, 255, f"{row['ID'] or 'error'}: {row['Description'] or 'not described'}")
    yield from _clocks(seen)


def _rows(seen: Seen, channel: str, event_id: int) -> list[dict[str, Any]]:
    met = seen.events(channel, event_id)
    return list(met.with_columns(pl.col("logged").cast(pl.Int64)).iter_rows(named=True))


def _fact(kind: str, row: Mapping[str, Any], event_id: int, detail: str) -> Fact:
    host, channel = row["host"] or "", row["channel"] or ""
    when = row["logged"]
    return Fact(kind, host, channel, "", event_id, when, when, 1, None, detail, row["source"])


def _user(row: Mapping[str, Any]) -> str:
    return "\\".join(part for part in (row["SubjectDomainName"], row["SubjectUserName"]) if part) or "an unknown user"


def _clocks(seen: Seen) -> Iterator[Fact]:
    told = seen.clocks().with_columns(pl.col("start", "end").cast(pl.Int64))
    for row in told.iter_rows(named=True):
        side = "after" if row["late"] else "before"
        why = "events were written late, or the clock was set forward" if row["late"] else "the clock was set back"
        detail = f"TimeCreated is up to {span(row['most'])} {side} UtcTime: {why}"
        yield Fact(
            "clock_step", row["host"] or "", SYSMON, "", row["event_id"], row["start"], row["end"], row["count"],
            None, detail, row["source"],
        )  # fmt: skip
