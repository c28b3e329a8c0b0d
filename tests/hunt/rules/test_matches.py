"""Matched events as findings: who did what to what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest

from hunt import findings, schema
from hunt.model import ANY_CHANNEL, ANY_ID, SYSMON, Need
from hunt.rules import matches
from hunt.rules.fields import TARGETS, finding_columns
from tests.helpers import OUTLOOK, POWERSHELL, Row, batch, event, guid, start
from tests.helpers import moment as text_moment

SECURITY = "Security"
Hit = tuple[int, int, int, str, int, int]


def told(rows: Sequence[Row], *hits: Hit) -> list[dict[str, Any]]:
    """What is told of hits (rule, match, step, channel, event id, row), without nulls and events."""
    found = frame(rows, *hits).drop("events")
    return [{name: value for name, value in row.items() if value is not None} for row in found.to_dicts()]


def frame(rows: Sequence[Row], *hits: Hit) -> pl.DataFrame:
    from hunt.events import Events

    kinds = {(row["channel"], int(row["event_id"])) for row in rows}
    events = Events(Need(channel, number, finding_columns(channel, number)) for channel, number in kinds)
    events.add(batch(*rows))
    return matches.told(events, pl.DataFrame(hits, schema=dict(matches.HITS), orient="row"))


def of_one(row: Row) -> dict[str, Any]:
    """What is told of an event that alone is a match."""
    (found,) = told([row], (0, 0, 1, row["channel"], int(row["event_id"]), 0))
    return {name: found[name] for name in found if name not in ("rule", "match", "host", "start", "end")}


def test_a_start_tells_of_the_process_its_parent_and_its_user() -> None:
    row = start(POWERSHELL, Hashes=f"MD5=0,SHA256={'AB' * 32}", IntegrityLevel="High", TerminalSessionId="2")
    assert of_one(row) == {
        "process_guid": row["ProcessGuid"],
        "pid": 4711,
        "image": POWERSHELL,
        "command_line": row["CommandLine"],
        "parent_image": row["ParentImage"],
        "parent_command_line": row["ParentCommandLine"],
        "sha256": "ab" * 32,
        "integrity": "High",
        "session": 2,
        "user": r"CONTOSO\alice",
        "logon_id": "0x53ca2",
    }


def test_access_to_a_process_tells_of_both() -> None:
    row = event(
        10, SourceProcessGUID=guid(1), SourceProcessId="7", SourceImage="a.exe", SourceUser="S",
        TargetImage="lsass.exe", TargetProcessGUID=guid(2), TargetProcessId="9",
    )  # fmt: skip
    assert of_one(row) == {
        "process_guid": guid(1),
        "pid": 7,
        "image": "a.exe",
        "user": "S",
        "target_process_guid": guid(2),
        "target_pid": 9,
        "target_image": "lsass.exe",
    }


@pytest.mark.parametrize(
    ("row", "seen"),
    [
        (event(11, Image="a.exe", TargetFilename=r"C:\x.ps1"), {"image": "a.exe", "object": r"C:\x.ps1"}),
        (event(13, EventType="SetValue", TargetObject="HKLM"), {"action": "SetValue", "object": "HKLM"}),
        (event(3, DestinationIp="::1", DestinationPort="443"), {"object": "::1:443"}),
        (event(3, DestinationIp="-", DestinationHostname="h"), {"object": "h"}),
        (event(7, ImageLoaded="a.dll", Signature="ACME"), {"object": "a.dll", "signer": "ACME"}),
        (event(22, QueryName="a.example"), {"object": "a.example"}),
        (
            event(4688, channel=SECURITY, NewProcessId="0x10", NewProcessName="a", SubjectUserName="u"),
            {"pid": 16, "image": "a", "user": "u", "actor": "u"},
        ),
        (
            event(
                4624, channel=SECURITY, TargetUserName="bob", TargetDomainName="D", SubjectUserName="-", IpAddress="::1"
            ),
            {"user": r"D\bob", "object": r"D\bob", "source_ip": "::1"},
        ),
        (event(7045, channel="System", ServiceName="s", ImagePath="c"), {"object": "s", "command_line": "c"}),
        (event(1, channel="Odd/Channel"), {"action": "event 1 of Odd/Channel"}),
        (event(1000, channel="Application", ProcessId="0xzz"), {"action": "event 1000 of Application"}),
    ],
)
def test_what_other_events_tell(row: Row, seen: dict[str, Any]) -> None:
    assert of_one(row) == seen


def test_a_match_of_several_events_has_the_first_ones_process_and_the_last_ones_as_target() -> None:
    first = start(POWERSHELL, 1)
    last = start(OUTLOOK, 3.5, parent=first, User="-")
    written = event(11, 2, Image="b.exe", TargetFilename="f", User="B")
    rows = [first, last, written]
    hits = [(0, 0, 3, SYSMON, 1, 1), (0, 0, 1, SYSMON, 1, 0), (0, 0, 2, SYSMON, 11, 0)]
    (found,) = told(rows, *hits)
    assert (found["image"], found["target_image"]) == (POWERSHELL, OUTLOOK)
    assert found["target_command_line"] == last["CommandLine"]
    assert (found["span_seconds"], found["object"], found["user"]) == (2.5, "f", r"CONTOSO\alice")
    (events,) = frame(rows, *hits)["events"].to_list()
    assert [(e["step"], e["event_id"], e["record_id"]) for e in events] == [
        (1, 1, int(first["record_id"])),
        (2, 11, int(written["record_id"])),
        (3, 1, int(last["record_id"])),
    ]


def test_the_target_of_a_match_is_what_its_last_event_acts_on_if_it_names_that() -> None:
    access = event(10, 2, SourceImage=POWERSHELL, TargetImage="lsass.exe", TargetProcessId="9")
    (found,) = told([start(POWERSHELL), access], (0, 0, 1, SYSMON, 1, 0), (0, 0, 2, SYSMON, 10, 0))
    assert (found["image"], found["target_image"], found["target_pid"]) == (POWERSHELL, "lsass.exe", 9)
    assert "target_command_line" not in found


def test_matches_come_by_rule_and_time_whatever_their_order() -> None:
    rows = [start(OUTLOOK, 9), start(POWERSHELL, 1), event(5, 4, Image="z")]
    hits = [(1, 7, 1, SYSMON, 1, 0), (0, 3, 1, SYSMON, 5, 0), (1, 2, 1, SYSMON, 1, 1), (0, 9, 1, SYSMON, 1, 0)]
    one, two = frame(rows, *hits), frame(rows, *hits[::-1])
    assert one.equals(two)
    assert [(row["rule"], row["match"]) for row in one.to_dicts()] == [(0, 3), (0, 9), (1, 2), (1, 7)]


def test_an_event_without_a_time_or_a_host_is_told_of() -> None:
    row = event(5, Image="z") | {"logged": None, "host": None}
    (found,) = told([row], (0, 0, 1, SYSMON, 5, 0))
    assert found == {"rule": 0, "match": 0, "image": "z"}


def test_no_hits_are_no_findings() -> None:
    found = frame([start(OUTLOOK)])
    assert found.height == 0
    assert dict(found.schema) == dict(matches.TOLD)


def test_what_is_told_are_columns_of_findings() -> None:
    assert set(TARGETS) <= set(findings.COLUMNS)
    assert set(matches.TOLD) - {"rule", "match", "events"} <= set(findings.COLUMNS)


@pytest.mark.parametrize("kind", [(SYSMON, 1), (SECURITY, 4688), ("Odd", 1), (SYSMON, ANY_ID), (ANY_CHANNEL, ANY_ID)])
def test_what_is_read_for_findings_are_fields_of_events(kind: tuple[str, int]) -> None:
    columns = finding_columns(*kind)
    assert columns
    assert not columns & {*schema.CORE, *schema.SYSTEM}
    assert finding_columns(*kind) <= finding_columns(kind[0], ANY_ID)


def test_channels_compare_without_case() -> None:
    assert finding_columns(SYSMON.upper(), 1) == finding_columns(SYSMON, 1)
    row = event(11, channel=SYSMON.upper(), TargetFilename="f")
    assert of_one(row) == {"object": "f"}


def test_the_first_and_the_last_moment_span_a_match() -> None:
    late, early = event(5, 8, Image="l"), event(5, 2, Image="e")
    (found,) = told([late, early], (0, 0, 1, SYSMON, 5, 0), (0, 0, 2, SYSMON, 5, 1))
    assert found["span_seconds"] == 6
    assert f"{found['start']:%Y-%m-%d %H:%M:%S}" == text_moment(2)[:19]
