"""What events say about logs themselves: cleared logs, Sysmon's state and configuration, its errors, clocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from hunt.coverage.facts import Fact, span
from hunt.coverage.seen import SECURITY, THROTTLED, Seen
from hunt.model import SYSMON


def facts(seen: Seen) -> Iterator[Fact]:
    """Facts of the kinds cleared, sysmon_state, sysmon_config, sysmon_error, audit_throttled and clock_step."""
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
    yield from _throttled(seen)
    yield from _clocks(seen)


_DAY = 86_400 * 1_000_000_000  # ns: so long nothing is recorded of a mailbox that had too many records


def _throttled(seen: Seen) -> Iterator[Fact]:
    """Of each mailbox the stretches in which MailItemsAccessed was not recorded; those that overlap are one.

    Source: Microsoft Purview, "Use MailItemsAccessed to investigate compromised accounts".
    """
    stretches: dict[tuple[str, str], list[list[int]]] = {}
    hosts: dict[tuple[str, str], dict[str, Any]] = {}
    for row in sorted(_rows(seen, *THROTTLED), key=lambda row: row["logged"] or 0):
        mailbox = str(row["MailboxOwnerUPN"] or row["MailboxGuid"] or row["UserId"] or "a mailbox that is not named")
        place = ((row["host"] or "").lower(), mailbox.lower())
        hosts.setdefault(place, row | {"mailbox": mailbox})
        known, when = stretches.setdefault(place, []), row["logged"] or 0
        if known and when <= known[-1][1]:
            known[-1][1:] = [max(known[-1][1], when + _DAY), known[-1][2] + 1]
        else:
            known.append([when, when + _DAY, 1])
    for place, known in stretches.items():
        row = hosts[place]
        detail = (
            f"{row['mailbox']}: MailItemsAccessed was throttled; what is counted is a floor, and for 24 hours nothing "
            "of it is recorded"
        )
        for start, end, count in known:
            yield Fact(
                "audit_throttled", row["host"] or "", THROTTLED.channel, "", THROTTLED.event_id, start, end, count,
                None, detail, row["source"],
            )  # fmt: skip


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
