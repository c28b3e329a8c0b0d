"""Processes out of Security 4688 and 4689: ids in the place of GUIDs, and what they mean when; against loops."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hunt.events import Events
from hunt.lineage import security
from hunt.lineage.processes import COLUMNS, DERIVED
from hunt.model import SYSMON, Need
from tests.helpers import OUTLOOK, POWERSHELL, Row, batch, event, start
from tests.helpers import case as full

NEEDS = (*security.NEEDS, *security.READS, Need(SYSMON, 1, frozenset({"ProcessId", "Image"})))


def created(image: str, at: float = 0, pid: int = 100, creator: int = 4, **columns: Any) -> Row:
    """A process start in the Security log (4688)."""
    own = {
        "NewProcessName": image,
        "NewProcessId": hex(pid),
        "ProcessId": hex(creator),
        "SubjectUserName": "alice",
        "SubjectDomainName": "CONTOSO",
        "SubjectLogonId": "0x53ca2",
        "TargetUserName": "-",
        "TargetDomainName": "-",
        "TargetLogonId": "0x0",
        "CommandLine": "",
    }
    provider = "Microsoft-Windows-Security-Auditing"
    return event(4688, at, channel="Security", **({"provider": provider} | own | columns))


def ended(at: float, pid: int = 100, **columns: Any) -> Row:
    """Its end (4689)."""
    provider = "Microsoft-Windows-Security-Auditing"
    return event(4689, at, channel="Security", **({"provider": provider, "ProcessId": hex(pid)} | columns))


def case(*rows: Row) -> Events:
    events = Events(NEEDS)
    events.add(batch(*rows))
    return events


def started(*rows: Row) -> list[dict[str, Any]]:
    return security.started(case(*rows)).sort("start", "record_id").collect().to_dicts()


def test_a_start_has_the_columns_of_processes_and_no_guids() -> None:
    (row,) = security.processes(case(created(POWERSHELL, CommandLine="powershell -File a.ps1"))).collect().to_dicts()
    assert set(row) <= {*COLUMNS, *DERIVED}
    assert (row["source"], row["start_source"], row["event_id"]) == ("security", "event", 4688)
    assert (row["pid"], row["parent_pid"], row["image"]) == (100, 4, POWERSHELL)
    assert (row["command_line"], row["user"], row["logon_id"]) == ("powershell -File a.ps1", r"CONTOSO\alice", 0x53CA2)
    assert row["guid"] is row["parent_guid"] is row["logon_guid"] is row["session"] is None


def test_a_process_belongs_to_whom_it_runs_as_rather_than_to_whom_started_it() -> None:
    other = {"TargetUserName": "bob", "TargetDomainName": "CONTOSO", "TargetLogonId": "0x9f"}
    (row,) = started(created(POWERSHELL, **other))
    assert (row["user"], row["logon_id"]) == (r"CONTOSO\bob", 0x9F)


@pytest.mark.parametrize(("label", "level"), [("S-1-16-8192", "Medium"), ("S-1-16-12288", "High"), ("S-1-5-18", None)])
def test_a_mandatory_label_is_an_integrity_level(label: str, level: str | None) -> None:
    assert started(created(POWERSHELL, MandatoryLabel=label))[0]["integrity"] == level


def test_fields_that_older_versions_lack_are_unknown() -> None:
    bare = dict.fromkeys(("CommandLine", "TargetUserName", "TargetDomainName", "TargetLogonId"))
    (row,) = started(created(POWERSHELL, **bare))
    assert (row["user"], row["logon_id"], row["command_line"]) == (r"CONTOSO\alice", 0x53CA2, None)
    assert row["parent_image"] is row["integrity"] is None


def test_a_creator_is_the_process_that_had_the_id_then() -> None:
    shell = created(POWERSHELL, 0, pid=8, CommandLine="powershell")
    _, child = started(shell, created(OUTLOOK, 2, pid=12, creator=8))
    assert (child["parent_image"], child["parent_command_line"]) == (POWERSHELL, "powershell")
    assert child["creator_record_id"] == int(shell["record_id"])


def test_an_id_that_was_given_on_means_the_later_process() -> None:
    *_, child = started(
        created(POWERSHELL, 0, pid=8), created(r"C:\notepad.exe", 5, pid=8), created(OUTLOOK, 9, pid=12, creator=8)
    )
    assert child["parent_image"] == r"C:\notepad.exe"


def test_a_process_that_had_ended_creates_nothing() -> None:
    *_, child = started(created(POWERSHELL, 0, pid=8), ended(5, pid=8), created(OUTLOOK, 9, pid=12, creator=8))
    assert (child["creator_start"], child["parent_image"]) == (None, None)


def test_an_end_may_be_logged_a_little_early() -> None:
    *_, child = started(created(POWERSHELL, 0, pid=8), ended(8.8, pid=8), created(OUTLOOK, 9, pid=12, creator=8))
    assert child["parent_image"] == POWERSHELL


def test_a_creator_of_another_name_than_the_event_tells_was_not_logged() -> None:
    shell = created(POWERSHELL, 0, pid=8)
    named = created(OUTLOOK, 9, pid=12, creator=8, ParentProcessName=r"C:\Windows\explorer.exe")
    *_, child = started(shell, named)
    assert (child["parent_image"], child["creator_start"]) == (r"C:\Windows\explorer.exe", None)


def test_hosts_never_mix() -> None:
    *_, child = started(created(POWERSHELL, 0, pid=8, host="WS02"), created(OUTLOOK, 9, pid=12, creator=8))
    assert child["creator_start"] is None
    *_, child = started(created(POWERSHELL, 0, pid=8, host="ws01"), created(OUTLOOK, 9, pid=12, creator=8))
    assert child["creator_start"] is not None


def test_an_end_belongs_to_the_process_that_had_the_id_then() -> None:
    first, second = started(created(POWERSHELL, 0, pid=8), created(OUTLOOK, 9, pid=8), ended(20, pid=8))
    assert first["end"] is None
    assert (second["end"] - second["start"]).total_seconds() == 11


def test_ids_beyond_32_bits_and_missing_times_are_no_reason_to_lose_a_start() -> None:
    odd = created(OUTLOOK, 9, pid=0xFFFFFFFF1)
    undated = created(OUTLOOK, 9) | {"logged": "never"}
    assert [row["image"] for row in started(odd, undated, created(OUTLOOK, 3, host=None))] == [OUTLOOK] * 3


def test_what_sysmon_logged_as_well_is_told_once() -> None:
    sysmon = start(POWERSHELL, 0, ProcessId="100")
    same = created(POWERSHELL.upper(), 0.02, pid=100)
    later, other = created(POWERSHELL, 90, pid=100), created(OUTLOOK, 0.02, pid=100)
    images = security.processes(case(sysmon, same, later, other)).collect().sort("start")["image"].to_list()
    assert images == [OUTLOOK, POWERSHELL]


# Outlook, where nothing but names and ids is logged.

SVCHOST = r"C:\Windows\System32\svchost.exe"
ALICE = {
    "TargetLogonId": "0x53ca2",
    "TargetUserName": "alice",
    "TargetDomainName": "CONTOSO",
    "SubjectLogonId": "0x3e7",
}


def outlook(**columns: Any) -> Row:
    return created(OUTLOOK, 3, pid=12, creator=912, **columns)


def traced(*rows: Row) -> dict[str, Any]:
    """What lineage says of Outlook's start."""
    (row,) = [r for r in full(*rows).lineage.collect().to_dicts() if r["child_image"] == OUTLOOK]
    return row


def test_what_svchost_starts_is_taken_for_com_and_its_requester_is_looked_for() -> None:
    service = created(SVCHOST, -3000, pid=912, SubjectLogonId="0x3e7")
    row = traced(service, created(POWERSHELL, 0, pid=8), outlook(ParentProcessName=SVCHOST, **ALICE))
    assert (row["mechanism"], row["grade"], row["requester_image"]) == ("com", "D", POWERSHELL)
    assert row["evidence"][-1] == "taken for COM: svchost.exe started Outlook, its command line was not logged"


@pytest.mark.parametrize("columns", [{"CommandLine": f"{OUTLOOK} /recycle"}, {"NewProcessName": r"C:\x.exe"}])
def test_what_else_svchost_starts_without_a_mark_is_direct(columns: dict[str, str]) -> None:
    assert full(outlook(ParentProcessName=SVCHOST, **(ALICE | columns))).lineage.collect().height == 0


def test_a_service_that_is_not_com_s_starts_outlook_for_a_task() -> None:
    service = created(SVCHOST, -3000, pid=912, CommandLine="svchost.exe -k netsvcs -p -s Schedule")
    assert traced(service, outlook(ParentProcessName=SVCHOST, **ALICE))["mechanism"] == "task"


def test_the_logon_of_what_svchost_starts_tells_a_remote_one() -> None:
    remote = {
        "TargetLogonId": "0x53ca2", "TargetUserName": "alice", "LogonType": "3", "IpAddress": "10.9.9.9",
        "WorkstationName": "-",
    }  # fmt: skip
    met = event(4624, 2, channel="Security", provider="Microsoft-Windows-Security-Auditing", **remote)
    row = traced(met, outlook(ParentProcessName=SVCHOST, **ALICE))
    assert (row["locality"], row["source_address"]) == ("remote", "10.9.9.9")


def test_of_an_unknown_creator_who_may_have_asked_is_a_lead() -> None:
    row = traced(created(POWERSHELL, 0, pid=8, CommandLine="powershell Outlook.Application"), outlook())
    assert (row["mechanism"], row["grade"], row["requester_image"]) == ("unknown", "D", POWERSHELL)
    assert row["evidence"][-1] == "how it was started is not known: its creator was not logged"


def test_a_creator_that_sysmon_alone_knows_is_a_lead() -> None:
    shell = start(POWERSHELL, 0, ProcessId="912", TerminalSessionId="1")
    assert traced(shell, outlook())["requester_image"] == POWERSHELL


def test_before_version_2_outlook_that_system_creates_is_anybodys() -> None:
    old = dict.fromkeys(("TargetUserName", "TargetDomainName", "TargetLogonId"))
    for named in ({"ParentProcessName": SVCHOST}, {}):
        child = outlook(SubjectLogonId="0x3e7", SubjectUserName="WS01$", **old, **named)
        row = traced(created(POWERSHELL, 0, pid=8), child)
        assert (row["grade"], row["requester_image"]) == ("F", POWERSHELL)


# Once more, as loops.

_HOSTS, _PIDS, _IMAGES = ("A", "a", "B"), (8, 12), (POWERSHELL, OUTLOOK)
_TIMES = st.integers(0, 12).map(lambda n: n * 100)  # ms, around the skew of 250
_STARTS = st.tuples(
    _TIMES, st.sampled_from(_HOSTS), st.sampled_from(_PIDS), st.sampled_from(_PIDS), st.sampled_from(_IMAGES)
)
_ENDS = st.tuples(_TIMES, st.sampled_from(_HOSTS), st.sampled_from(_PIDS))


def _end(which: Any, starts: Any, ends: Any) -> int | None:
    at, host, pid = which[:3]
    next_start = min((t for t, h, p, *_ in starts if (h.lower(), p) == (host.lower(), pid) and t > at), default=None)
    end = min((t for t, h, p in ends if (h.lower(), p) == (host.lower(), pid) and t >= at), default=None)
    return None if end is None or (next_start is not None and end > next_start) else end


@settings(max_examples=30)
@given(
    st.lists(_STARTS, min_size=1, max_size=7, unique_by=lambda s: (s[0], s[1].lower(), s[2])),
    st.lists(_ENDS, max_size=5),
)
def test_ends_and_creators_are_those_that_loops_find(starts: Any, ends: Any) -> None:
    rows = [created(image, at / 1000, pid, creator, host=host) for at, host, pid, creator, image in starts]
    rows += [ended(at / 1000, pid, host=host) for at, host, pid in ends]
    found = {
        (r["start"].microsecond // 1000 + r["start"].second * 1000, r["host_key"], r["pid"]): r for r in started(*rows)
    }
    for which in starts:
        at, host, pid, creator, _ = which
        row = found[at, host.lower(), pid]
        end = _end(which, starts, ends)
        told = row["end"] and round((row["end"] - row["start"]).total_seconds() * 1000) + at
        assert told == end
        before = [s for s in starts if (s[1].lower(), s[2]) == (host.lower(), creator) and s[0] <= at]
        last = max(before, default=None)
        alive = last is not None and pid != creator and ((e := _end(last, starts, ends)) is None or e + 250 >= at)
        assert (row["parent_image"] if row["creator_start"] else None) == (last[4] if last and alive else None)
