"""What events say about logs: cleared ones, Sysmon's state, clocks; and what could not be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from hunt.model import SYSMON, Evidence, Problem, Tally
from tests.helpers import event, moment
from tests.hunt.coverage.cover import cover, of_kind


def test_a_cleared_security_log_is_told_with_who_did_it() -> None:
    row = event(1102, 5, channel="Security", SubjectUserName="mallory", SubjectDomainName="CONTOSO")
    (cleared,) = of_kind("cleared", cover(row))
    assert (cleared["channel"], cleared["event_id"], cleared["start"]) == ("Security", 1102, 5)
    assert cleared["detail"] == r"cleared by CONTOSO\mallory"


def test_another_log_that_was_cleared_stands_under_its_own_name() -> None:
    row = event(104, 5, channel="System", Channel="Windows PowerShell", BackupPath=r"C:\a.evtx", SubjectUserName="m")
    (cleared,) = of_kind("cleared", cover(row))
    assert cleared["channel"] == "Windows PowerShell"
    assert cleared["detail"] == r"Windows PowerShell cleared by m; saved as C:\a.evtx"


def test_a_copy_of_an_event_is_one_fact() -> None:
    row = event(1102, 5, channel="Security", SubjectUserName="m")
    assert len(of_kind("cleared", cover(row, row | {"source": "copy.evtx"}))) == 1


def test_sysmons_state_configuration_and_errors_are_told() -> None:
    told = cover(
        event(4, 1, State="Stopped", Version="15.0", SchemaVersion="4.90"),
        event(16, 2, Configuration="c.xml", ConfigurationFileHash="SHA256=AB"),
        event(255, 3, ID="DriverCommunication", Description="Events dropped"),
    )
    details = [fact["detail"] for kind in ("state", "config", "error") for fact in of_kind(f"sysmon_{kind}", told)]
    assert details == [
        "Sysmon stopped (version 15.0, schema 4.90)",
        "configuration changed: c.xml (SHA256=AB)",
        "DriverCommunication: Events dropped",
    ]


def test_fields_that_are_absent_are_said_to_be() -> None:
    told = cover(event(4), event(16), event(1102, channel="Security"))
    assert [fact["detail"] for fact in told if fact["kind"] in ("cleared", "sysmon_state", "sysmon_config")] == [
        "configuration changed: not named",
        "Sysmon in an unknown state (version ?, schema ?)",
        "cleared by an unknown user",
    ]


@pytest.mark.parametrize(
    ("apart", "said"),
    [
        (3600, "TimeCreated is up to 60 min after UtcTime: events were written late, or the clock was set forward"),
        (-3600, "TimeCreated is up to 60 min before UtcTime: the clock was set back"),
        (4.9, None),
        (-4.9, None),
    ],
)
def test_utc_time_far_from_time_created_is_a_step_of_the_clock(apart: float, said: str | None) -> None:
    rows = [event(5, at + apart, UtcTime=moment(at)) for at in (1, 2, 3)] + [event(5, 4, UtcTime=moment(4))]
    steps = of_kind("clock_step", cover(*rows, batches=3))
    assert [step["detail"] for step in steps] == ([said] if said else [])
    if said:
        assert (steps[0]["event_id"], steps[0]["count"]) == (5, 3)
        assert (steps[0]["start"], steps[0]["end"]) == (1 + apart, 3 + apart)


def test_differences_of_all_sizes_are_summed_up_in_few_facts() -> None:
    rows = [event(5, at + 5 + at, UtcTime=moment(at)) for at in range(1000)]
    assert len(of_kind("clock_step", cover(*rows))) == 8  # 5 to 8 s, to 16, ... to 1004


def test_what_could_not_be_read_is_told_by_file_with_its_bytes() -> None:
    problems = [
        Problem("sysmon.evtx", "chunk", "chunk 3: bad chunk magic", offset=9, size=65536),
        Problem("sysmon.evtx", "chunk", "chunk 1: 8 bytes hold no record", offset=5, size=8),
        Problem("sysmon.evtx", "record", "chunk 1: odd", offset=7, record_id=4, size=500),
        Problem("sysmon.evtx", "chunk", "chunk 2: checksum of the chunk's records is wrong", offset=6),
        Problem("gone.evtx", "file", "can't be opened: Permission denied"),
    ]
    told = cover(event(5), problems=problems)
    damage = [(f.get("host"), f["source"], f["count"], f.get("bytes"), f["detail"]) for f in of_kind("damage", told)]
    assert damage == [
        ("WS01", "sysmon.evtx", 1, 500, "record: chunk 1: odd"),
        ("WS01", "sysmon.evtx", 2, 65544, "chunk: chunk 1: 8 bytes hold no record, and 1 problem more"),
        (None, "gone.evtx", 1, None, "file: can't be opened: Permission denied"),
    ]
    (checksum,) = of_kind("checksum", told)
    assert (checksum["channel"], checksum["count"]) == (SYSMON, 1)


def test_what_another_provider_means_by_the_number_of_a_cleared_log_is_none() -> None:
    assert of_kind("cleared", cover(event(104, channel="System", provider="Netwtw10"))) == []
    assert len(of_kind("cleared", cover(event(104, channel="System", provider="Microsoft-Windows-Eventlog")))) == 1


def test_a_log_without_a_record_is_told() -> None:
    logs = [Evidence(Path(name), name, 69632, "") for name in ("a.evtx", "b.evtx", "c.evtx")]
    tallies = [Tally(logs[0], "evtx", 0, 0, 0), Tally(logs[1], "evtx", 3, 0, 3), Tally(logs[2], "evtx", 3, 1, 2)]
    told = [(fact["source"], fact["detail"]) for fact in of_kind("empty", cover(event(5), tallies=tallies))]
    assert told == [("a.evtx", "it holds no records"), ("b.evtx", "no record in it could be read")]
