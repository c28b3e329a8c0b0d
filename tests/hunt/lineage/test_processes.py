"""Which processes there were, and how long they lived."""

from __future__ import annotations

from typing import Any

import pytest

from hunt.lineage.processes import COLUMNS, DERIVED
from tests.helpers import NULL_GUID, OUTLOOK, POWERSHELL, Row, case, event, guid, moment, start
from tests.hunt.lineage.world import POWERSHELL_LOG, loads, opens, over, run


def processes(*rows: Row) -> list[dict[str, Any]]:
    return list(case(*rows).processes.collect().iter_rows(named=True))


def only(*rows: Row, image: str = POWERSHELL) -> dict[str, Any]:
    (met,) = [process for process in processes(*rows) if process["image"] == image]
    return met


def life(process: dict[str, Any]) -> float | None:
    """Seconds."""
    return None if process["end"] is None else (process["end"] - process["start"]).total_seconds()


def test_a_start_tells_what_there_is_of_a_process() -> None:
    logged = run(
        Hashes=f"MD5=1,SHA256={'Ab' * 32}", OriginalFileName="PowerShell.EXE", Description="Windows PowerShell"
    )
    met = only(logged)
    assert {c: met[c] for c in ("guid", "start_source", "source", "session", "logon_id", "user", "integrity")} == {
        "guid": logged["ProcessGuid"],
        "start_source": "event",
        "source": "sysmon",
        "session": 1,
        "logon_id": 0x53CA2,
        "user": r"CONTOSO\alice",
        "integrity": "Medium",
    }
    assert met["sha256"] == "ab" * 32
    assert (met["record_id"], met["event_id"]) == (int(logged["record_id"]), 1)


def test_every_column_is_there_without_events() -> None:
    assert dict(case().processes.drop(*DERIVED).collect_schema()) == dict(COLUMNS)


@pytest.mark.parametrize("event_id", [3, 5, 7, 11, 13, 22, 23, 29])
def test_any_event_with_a_guid_tells_of_a_process(event_id: int) -> None:
    named = {"ProcessGuid": guid(5, -7200), "ProcessId": "99", "Image": POWERSHELL}
    met = only(event(event_id, 3, UtcTime=moment(3), **named))
    assert (met["guid"], met["pid"], met["start_source"], met["event_id"]) == (guid(5, -7200), 99, "guid", None)
    assert met["start"].timestamp() == 1_772_439_300 - 7200


@pytest.mark.parametrize("side", ["Source", "Target"])
@pytest.mark.parametrize("spelling", ["GUID", "Guid"])
def test_both_sides_of_an_access_are_processes(side: str, spelling: str) -> None:
    named = {f"{side}Process{spelling}": guid(5, -10), f"{side}ProcessId": "99", f"{side}Image": POWERSHELL}
    assert only(event(8 if spelling == "Guid" else 10, 3, UtcTime=moment(3), **named))["pid"] == 99


def test_a_parent_that_was_not_logged_has_the_command_line_that_its_child_tells() -> None:
    parent = {"ParentProcessGuid": guid(5, -10), "ParentImage": POWERSHELL, "ParentCommandLine": "powershell -enc x"}
    met = only(start(OUTLOOK, **parent))
    assert (met["command_line"], met["start_source"]) == ("powershell -enc x", "guid")


def test_a_process_is_one_however_many_events_name_it() -> None:
    process = run()
    rows = [process, loads(process, 1), opens(process, 1), over(process, 2), start(OUTLOOK, 1, parent=process)]
    assert only(*rows)["start_source"] == "event"


def test_the_image_of_the_start_counts() -> None:
    process = run()
    other = event(11, 1, UtcTime=moment(1), ProcessGuid=process["ProcessGuid"], ProcessId="1", Image="C:\\x.exe")
    assert [p["image"] for p in processes(process, other) if p["guid"] == process["ProcessGuid"]] == [POWERSHELL]


@pytest.mark.parametrize("named", [NULL_GUID, None])
def test_no_guid_names_no_process(named: str | None) -> None:
    assert processes(event(3, 1, UtcTime=moment(1), ProcessGuid=named, ProcessId="1", Image="C:\\x.exe")) == []


def test_the_same_start_logged_twice_is_one_and_the_lowest_record_tells() -> None:
    process = run(record_id="50")
    assert only(process, process | {"record_id": "40"})["record_id"] == 40


def test_the_same_guid_at_another_time_or_host_is_another_process() -> None:
    process = run()
    clone = process | {"host": "WS02"}
    again = process | {"UtcTime": moment(5), "record_id": "9"}
    assert len([p for p in processes(process, clone, again) if p["image"] == POWERSHELL]) == 3


def test_hosts_and_guids_compare_without_case() -> None:
    process = run()
    lower = over(process, 5, host="ws01", ProcessGuid=process["ProcessGuid"].lower().strip("{}"))
    assert life(only(process, lower)) == 5


@pytest.mark.parametrize(("at", "lived"), [(15, 5), (10, 0), (9.756, 0), (9.7, None), (-3590, None)])
def test_no_lifetime_is_negative_and_of_a_clock_that_was_set_none_is_known(at: float, lived: float | None) -> None:
    process = run(at=10)
    assert life(only(process, over(process, at))) == lived


def test_without_an_end_it_is_unknown() -> None:
    assert life(only(run(), over(run(OUTLOOK), 5))) is None


def test_an_end_without_a_guid_is_that_of_the_last_process_of_its_pid_and_image() -> None:
    old, new, other = run(at=0, ProcessId="7"), run(at=10, ProcessId="7"), run(OUTLOOK, 12, ProcessId="7")
    end = over(new, 20, ProcessGuid=NULL_GUID, Image=POWERSHELL.upper())
    lived = {p["guid"]: life(p) for p in processes(old, new, other, end) if p["event_id"]}
    assert lived == {old["ProcessGuid"]: None, new["ProcessGuid"]: 10, other["ProcessGuid"]: None}


def test_a_start_without_a_guid_ends_with_its_pid_and_image() -> None:
    process = run(ProcessGuid=NULL_GUID, ProcessId="7")
    lived = [life(p) for p in processes(process, over(process, 20, ProcessGuid=guid(8, 0))) if p["guid"] is None]
    assert lived == [20]


def test_what_only_security_tells_is_a_process_too() -> None:
    told = {
        "NewProcessId": "0x7", "NewProcessName": POWERSHELL, "ProcessId": "0x3", "SubjectLogonId": "0x53ca2",
        "CommandLine": "powershell", "ParentProcessName": "C:\\Windows\\explorer.exe",
    }  # fmt: skip
    met = only(event(4688, 1, channel="Security", provider="Microsoft-Windows-Security-Auditing", **told))
    assert (met["source"], met["pid"], met["guid"], met["logon_id"]) == ("security", 7, None, 0x53CA2)


def created(at: float, **columns: str) -> Row:
    own = {"NewProcessId": "0x7", "NewProcessName": POWERSHELL, "ProcessId": "0x3", "SubjectLogonId": "0x53ca2"}
    provider = "Microsoft-Windows-Security-Auditing"
    return event(
        4688, at, channel="Security", **({"provider": provider, "CommandLine": "powershell -c x"} | own | columns)
    )


@pytest.mark.parametrize(
    ("other", "processes_"),
    [({}, 1), ({"NewProcessId": "0x8"}, 2), ({"host": "WS02"}, 2), ({"NewProcessName": OUTLOOK}, 2)],
)
def test_one_that_sysmon_names_and_security_tells_is_one(other: dict[str, str], processes_: int) -> None:
    named = event(3, 9, UtcTime=moment(9), ProcessGuid=guid(5, 3), ProcessId="7", Image=POWERSHELL)
    met = processes(named, created(3.4, **other))
    assert len(met) == processes_
    if processes_ == 1:
        told = {c: met[0][c] for c in ("guid", "start_source", "source", "event_id", "logon_id", "command_line")}
        assert told == {
            "guid": guid(5, 3), "start_source": "event", "source": "security", "event_id": 4688, "logon_id": 0x53CA2,
            "command_line": "powershell -c x",
        }  # fmt: skip


def test_a_later_process_of_the_same_id_is_another_one() -> None:
    named = event(3, 9, UtcTime=moment(9), ProcessGuid=guid(5, 3), ProcessId="7", Image=POWERSHELL)
    met = processes(named, created(3.4), created(60))
    assert sorted(p["guid"] or "" for p in met) == ["", guid(5, 3)]
    assert len(processes(named, created(60))) == 2


def test_powershells_log_names_no_process() -> None:
    assert processes(event(4104, 1, channel=POWERSHELL_LOG, ScriptBlockText="x")) == []
