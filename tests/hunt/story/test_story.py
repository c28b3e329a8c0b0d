from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import polars as pl
import pytest

from hunt import story
from hunt.events import Events
from hunt.findings import COLUMNS
from hunt.story import cast as story_cast
from hunt.story.traces import outside
from tests.helpers import OUTLOOK, POWERSHELL, Row, batch, event, guid, moment, start
from tests.hunt.lineage.world import DCOM_LAUNCH, SVCHOST

CMD = r"C:\Windows\System32\cmd.exe"
PS = "Microsoft-Windows-PowerShell/Operational"
SECURITY = {"channel": "Security", "provider": "Microsoft-Windows-Security-Auditing"}


def at(seconds: float) -> datetime:
    return datetime.fromisoformat(f"{moment(seconds)[:26]}+00:00")


def finding(process: Row | None, target: Row | None, **columns: Any) -> dict[str, Any]:
    """A row of findings.csv that accuses a process of having started another."""
    first, last = process or target, target or process
    assert first is not None
    assert last is not None
    row: dict[str, Any] = {"query": "outlook-script-host", "title": "t", "severity": "medium", "grade": "direct"}
    row |= {"finding_id": "f1", "host": first["host"], "user": first["User"], "suppressed": None}
    row |= {"start": datetime.fromisoformat(first["UtcTime"][:26] + "+00:00")}
    row |= {"end": datetime.fromisoformat(last["UtcTime"][:26] + "+00:00")}
    for prefix, of in (("", process), ("target_", target)):
        if of is not None:
            row |= {f"{prefix}process_guid": of["ProcessGuid"], f"{prefix}pid": int(of["ProcessId"])}
            row |= {f"{prefix}image": of["Image"], f"{prefix}command_line": of["CommandLine"]}
    return row | columns


def tell(rows: list[Row], *findings: dict[str, Any]) -> pl.DataFrame:
    case = Events(story.NEEDS)
    if rows:
        case.add(batch(*rows))
    found = pl.DataFrame([{c: row.get(c) for c in COLUMNS} for row in findings], schema=COLUMNS)
    return story.tell(found, found, lambda keys: [case], lambda events: events)


def texts(told: pl.DataFrame, step: str, status: str = "seen") -> list[str]:
    return list(told.filter(step=step, status=status)["text"])


def names(told: pl.DataFrame, step: str) -> list[str]:
    """The images of a step's processes, without their folders."""
    return [image.rsplit("\\", 1)[-1].lower() for image in told.filter(step=step)["image"]]


def pair() -> tuple[Row, Row]:
    """PowerShell starts Outlook two seconds later."""
    process = start(POWERSHELL, 0, ProcessId="1000", CommandLine="powershell.exe -File x.ps1")
    return process, start(OUTLOOK, 2, parent=process, ProcessId="2000")


def act(event_id: int, seconds: float, of: Row, **fields: Any) -> Row:
    """Something a process did, as Sysmon tells it."""
    own = {"UtcTime": moment(seconds), "ProcessGuid": of["ProcessGuid"], "ProcessId": of["ProcessId"]}
    return event(event_id, seconds, **(own | {"Image": of["Image"]} | fields))


def connection(seconds: float, of: Row, address: str, **fields: Any) -> Row:
    ends = {"Initiated": "true", "SourceIp": "10.0.0.5", "DestinationIp": address, "DestinationPort": "443"}
    return act(3, seconds, of, **(ends | fields))


def script(seconds: float, of: Row, text: str, **fields: Any) -> Row:
    place = {"channel": PS, "provider": "Microsoft-Windows-PowerShell", "System.ProcessID": of["ProcessId"]}
    return event(4104, seconds, **(place | {"ScriptBlockText": text} | fields))


# Who is in it.


def test_the_accused_and_what_it_started_come_first() -> None:
    process, outlook = pair()
    told = tell([process, outlook], finding(process, outlook))
    assert list(told["number"]) == list(range(1, told.height + 1))
    assert list(told["step"][:3]) == ["process", "image", "target"]
    (one,) = texts(told, "process")
    assert one.startswith(f"{POWERSHELL}, CONTOSO\\alice")
    assert one.endswith("no end logged, $ powershell.exe -File x.ps1")
    row = told.row(0, named=True)
    assert (row["pid"], row["event_id"], row["record_id"]) == (1000, 1, int(process["record_id"]))
    assert row["sources"] == [{"path": "sysmon.evtx", "offset": int(process["offset"])}]
    assert json.loads(row["fields"])["logon_id"] == "0x53ca2"


def test_ancestors_are_followed_upwards_and_descendants_downwards() -> None:
    root = start(r"C:\Windows\explorer.exe", -50)
    word = start(r"C:\Office\WINWORD.EXE", -20, parent=root)
    process = start(POWERSHELL, 0, parent=word)
    child = start(CMD, 1, parent=process)
    grandchild = start(r"C:\x\zip.exe", 5, parent=child)
    late = start(r"C:\x\late.exe", 700, parent=child)
    outlook = start(OUTLOOK, 2)
    told = tell([root, word, process, child, grandchild, late, outlook], finding(process, outlook))
    assert names(told, "ancestor") == ["winword.exe", "explorer.exe", "explorer.exe"]
    assert names(told, "descendant") == ["cmd.exe", "zip.exe"]
    parents = [json.loads(fields)["parent_guid"] for fields in told.filter(step="descendant")["fields"]]
    assert parents == [process["ProcessGuid"], child["ProcessGuid"]]  # whoever draws a tree needs them


def test_logs_that_go_in_circles_come_to_an_end() -> None:
    one = start(CMD, 0)
    other = start(POWERSHELL, 0, parent=one)
    one |= {"ParentProcessGuid": other["ProcessGuid"], "ParentProcessId": other["ProcessId"]}
    told = tell([one, other], finding(one, None))
    assert names(told, "ancestor") == ["powershell.exe"]
    assert texts(told, "descendant") == []


def test_another_hosts_processes_are_not_in_it() -> None:
    process, outlook = pair()
    clone = start(CMD, 1, parent=process, host="WS02")
    told = tell([process, outlook, clone], finding(process, outlook))
    assert texts(told, "descendant") == []


def test_what_is_left_out_for_its_number_is_counted() -> None:
    process, outlook = pair()
    children = [start(CMD, 1 + n / 1000, parent=process) for n in range(130)]
    told = tell([process, outlook, *children], finding(process, outlook))
    assert len(texts(told, "descendant")) == 100
    assert texts(told, "descendant", "more") == ["and 30 more that are not told here"]


def test_without_guids_process_ids_tell_within_their_lifetime() -> None:
    def started(pid: int, parent: int, seconds: float, image: str) -> Row:
        fields = {"NewProcessId": hex(pid), "ProcessId": hex(parent), "NewProcessName": image}
        return event(4688, seconds, **SECURITY, SubjectUserName="alice", SubjectLogonId="0x53ca2", **fields)

    old = started(0x10, 0x4, -100, r"C:\old.exe")
    parent = started(0x10, 0x4, -50, r"C:\parent.exe")
    process = started(0x20, 0x10, 0, POWERSHELL)
    row = {"finding_id": "f1", "query": "q", "severity": "low", "host": "WS01", "start": at(0), "end": at(1)}
    told = tell([old, parent, process], row | {"pid": 0x20, "image": POWERSHELL})
    assert names(told, "ancestor") == ["parent.exe"]
    assert texts(told, "process")[0].startswith(f"{POWERSHELL}, ")


def test_a_process_that_no_event_tells_of_is_told_as_the_finding_has_it() -> None:
    ghost = {"finding_id": "f1", "query": "q", "severity": "low", "host": "WS01", "start": at(0), "end": at(0)}
    told = tell([], ghost | {"process_guid": guid(9), "image": CMD, "pid": 7})
    assert texts(told, "process") == [f"{CMD}, start not known, no end logged"]


def test_the_story_of_a_hand_off_goes_on_in_the_live_outlook() -> None:
    live = start(OUTLOOK, -3600, ProcessId="3000")
    process, outlook = pair()
    mail = connection(30, live, "203.0.113.9")
    handed = finding(process, outlook, attached=True)
    told = tell([live, process, outlook, mail], handed)
    (row,) = told.filter(step="attached").iter_rows(named=True)
    assert (row["pid"], row["process_guid"]) == (3000, live["ProcessGuid"])
    assert told.filter(step="network")["subject"].to_list() == ["attached"]
    assert texts(tell([live, process, outlook, mail], handed | {"attached": False}), "network") == []


# What they did.


def test_connections_go_outside_first_and_then_by_time() -> None:
    process, outlook = pair()
    rows = [
        connection(3, process, "10.1.1.1"),
        connection(9, outlook, "203.0.113.7", DestinationHostname="drop.example"),
        connection(6, process, "198.51.100.2"),
        connection(4, process, "10.0.0.5", SourceIp="203.0.113.8", Initiated="false"),
        connection(603, outlook, "203.0.113.99"),
    ]
    told = tell([process, outlook, *rows], finding(process, outlook))
    assert texts(told, "network") == [
        "203.0.113.8 connected to its port 443 at 10.0.0.5",
        "connected to 198.51.100.2 port 443",
        "connected to 203.0.113.7 (drop.example) port 443",
        "connected to 10.1.1.1 port 443",
    ]
    assert told.filter(step="network")["subject"].to_list() == ["process", "process", "target", "process"]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", True), ("203.0.113.1", True), ("2001:4860:4860::8888", True), ("not an address", True),
        ("10.0.0.1", False), ("172.16.0.1", False), ("172.32.0.1", True), ("192.168.1.1", False), ("127.0.0.1", False),
        ("169.254.1.1", False), ("100.64.0.1", False), ("224.0.0.251", False), ("::1", False), ("fe80::1%4", False),
        ("fd00::1", False), ("::ffff:10.0.0.1", False), ("::ffff:8.8.8.8", True), ("", False), ("-", False),
        (None, False),
    ],
)  # fmt: skip
def test_which_addresses_are_outside(address: str | None, expected: bool) -> None:
    assert outside(address) is expected


def test_an_outside_address_is_told_however_many_others_there_are() -> None:
    process, outlook = pair()
    many = [connection(3 + n / 100, process, "10.0.0.9") for n in range(150)]
    told = tell([process, outlook, *many, connection(400, outlook, "203.0.113.7")], finding(process, outlook))
    assert texts(told, "network")[0] == "connected to 203.0.113.7 port 443"
    assert len(texts(told, "network")) == 100
    assert texts(told, "network", "more") == ["and 51 more that are not told here"]


def test_names_and_files_of_all_actors_are_told_mail_and_archives_first() -> None:
    process, outlook = pair()
    child = start(CMD, 3, parent=process)
    rows = [
        act(22, 3, process, QueryName="mail.example", QueryStatus="0", QueryResults="203.0.113.7;"),
        act(22, 4, outlook, QueryName="gone.example", QueryStatus="9003"),
        act(11, 3, process, TargetFilename=r"C:\t\a.tmp"),
        act(11, 5, outlook, TargetFilename=r"C:\t\box.PST"),
        act(11, 6, child, TargetFilename=r"C:\t\out.zip"),
    ]
    told = tell([process, outlook, child, *rows], finding(process, outlook))
    assert texts(told, "dns") == [
        "asked for mail.example: 203.0.113.7;",
        "asked for gone.example: no answer (status 9003)",
    ]
    assert texts(told, "file") == [r"wrote C:\t\box.PST", r"wrote C:\t\out.zip", r"wrote C:\t\a.tmp"]


def test_an_event_that_stands_in_two_logs_is_told_once() -> None:
    process, outlook = pair()
    one = connection(3, process, "203.0.113.7")
    told = tell([process, outlook, one, one | {"source": "copy.evtx"}], finding(process, outlook))
    (row,) = told.filter(step="network").iter_rows(named=True)
    assert sorted(place["path"] for place in row["sources"]) == ["copy.evtx", "sysmon.evtx"]


def test_scripts_are_joined_from_their_parts_and_outlooks_come_first() -> None:
    process, outlook = pair()

    def block(seconds: float, text: str, number: int, total: int, block_id: str, pid: str = "1000") -> Row:
        fields = {"ScriptBlockText": text, "MessageNumber": str(number), "MessageTotal": str(total)}
        place = {"channel": PS, "provider": "Microsoft-Windows-PowerShell", "System.ProcessID": pid}
        return event(4104, seconds, **place, ScriptBlockId=block_id, Path=r"C:\x.ps1", **fields)

    rows = [
        block(1, "Get-Date", 1, 1, "a"),
        block(1.2, "$o = New-Object -ComObject Outlook.Appl", 1, 3, "b"),
        block(1.3, "ication; $o", 2, 3, "b"),
        block(1, "other process", 1, 1, "c", pid="77"),
        block(5000, "same id, hours later", 1, 1, "d"),
    ]
    told = tell([process, outlook, *rows], finding(process, outlook))
    assert texts(told, "script") == [
        r"script (from C:\x.ps1; 2 of 3 parts): $o = New-Object -ComObject Outlook.Application; $o "
        "[part 3 of 3 not in the evidence]",
        r"script (from C:\x.ps1): Get-Date",
    ]


def test_engines_are_known_by_their_command_line() -> None:
    process, outlook = pair()

    def engine(line: str) -> Row:
        said = ["Available", "None", f"\tHostName=ConsoleHost\r\n\tHostApplication={line}\r\n\tEngineVersion=5.1\r\n"]
        return event(400, 1, channel="Windows PowerShell", provider="PowerShell", Data=said)

    told = tell(
        [process, outlook, engine("POWERSHELL.EXE   -File x.ps1"), engine("powershell.exe -File other.ps1")],
        finding(process, outlook),
    )
    (text,) = texts(told, "script")
    assert text == "PowerShell: HostName ConsoleHost, EngineVersion 5.1, HostApplication POWERSHELL.EXE   -File x.ps1"


def test_what_outlook_office_and_com_wrote_at_the_time() -> None:
    process, outlook = pair()
    clsid = "{0006F03A-0000-0000-C000-000000000046}"
    com = {"channel": "System", "provider": "Microsoft-Windows-DistributedCOM"}
    rows = [
        event(45, 3, channel="Application", provider="Outlook", Data=["Outlook loaded add-in", "x"]),
        event(45, 3, channel="Application", provider="SomeoneElse", Data=["no"]),
        event(300, 4, channel="OAlerts", provider="Microsoft Office 16 Alerts", Data=["A program is trying", "P1"]),
        event(10016, 1, **com, param1="machine", param4="{OTHER}", param7="bob"),
        event(10010, 5, **com, param1=clsid),
        event(10010, 5000, **com, param1=clsid),
    ]
    told = tell([process, outlook, *rows], finding(process, outlook))
    assert texts(told, "log") == [
        "Outlook started, its add-ins: Outlook loaded add-in; x",
        "Office showed: A program is trying; P1",
        f"COM: the server {clsid} did not register in time",
        "COM: bob lacks permission (machine  ) for {OTHER}",
    ]


def test_the_logon_is_the_last_one_with_that_id_before_the_process() -> None:
    process, outlook = pair()

    def logon(seconds: float, kind: str, address: str, **fields: Any) -> Row:
        own = {"TargetLogonId": "0x53ca2", "TargetUserName": "alice", "TargetDomainName": "CONTOSO"}
        return event(4624, seconds, **SECURITY, **(own | {"LogonType": kind, "IpAddress": address} | fields))

    rows = [
        logon(-9000, "2", "127.0.0.1"),
        logon(-100, "10", "203.0.113.50", WorkstationName="ATTACKER"),
        logon(-50, "3", "10.0.0.1", TargetLogonId="0x99"),
        logon(100, "2", "127.0.0.1"),
    ]
    told = tell([process, outlook, *rows], finding(process, outlook))
    assert texts(told, "logon") == [
        r"CONTOSO\alice logged on, type 10 (remote interactive) from 203.0.113.50 (ATTACKER)"
    ]


def test_without_a_logon_id_no_logon_is_claimed() -> None:
    process, outlook = pair()
    for row in (process, outlook):
        row["LogonId"] = None
    rows = [event(4624, -10, **SECURITY, TargetLogonId="0x0", LogonType="0")]
    told = tell([process, outlook, *rows], finding(process, outlook))
    assert texts(told, "logon") == []
    assert texts(told, "logon", "none")[0].startswith("no event 4624 of Security for this finding; the host has some")


# The image, the others.


def test_the_image_is_told_with_what_is_not_known_of_it() -> None:
    process, outlook = pair()
    process["Hashes"] = f"SHA256={'AB' * 32}"
    (text,) = texts(tell([process, outlook], finding(process, outlook)), "image")
    assert text.startswith("signature not known (no Sysmon 7 of this image), age not known (no Sysmon 11 of this file)")
    assert text.endswith(f"SHA256={'ab' * 32}")
    signed = {"ImageLoaded": POWERSHELL, "Signed": "false", "SignatureStatus": "Unavailable"}
    rows = [act(7, 0.1, process, **signed), act(11, -12, process, TargetFilename=POWERSHELL)]
    (text,) = texts(tell([process, outlook, *rows], finding(process, outlook)), "image")
    assert text.startswith("signature unsigned, written 12.0 s before it started")


def test_who_else_competed_is_told() -> None:
    same = {"LogonGuid": "{B2796A13-0000-0000-0020-000000000001}"}
    dcom = start(r"C:\Windows\System32\svchost.exe", -900, CommandLine="svchost.exe -k DcomLaunch -p")
    process = start(POWERSHELL, 0, **same)
    rival = start(CMD, 1, **same)
    outlook = start(OUTLOOK, 2, parent=dcom, CommandLine=f'"{OUTLOOK}" -Embedding', **same)
    told = tell([dcom, process, rival, outlook], finding(process, outlook, grade="D"))
    competitors = told.filter(step="competitor")
    assert [row["image"] for row in competitors.iter_rows(named=True)] == [CMD]
    assert texts(told, "competitor")[0].startswith(f"{CMD}, grade D, 1.0 s before")
    assert competitors["time"].to_list() == [at(1)]


def test_other_findings_on_the_host_and_of_the_user_within_an_hour() -> None:
    process, outlook = pair()
    own = finding(process, outlook)

    def other(finding_id: str, seconds: float, **columns: Any) -> dict[str, Any]:
        return own | {"finding_id": finding_id, "query": "q2", "start": at(seconds), "end": at(seconds)} | columns

    near, edge = other("near", 100, user=r"contoso\ALICE", host="ws01"), other("edge", 3602)
    far, bobs, elsewhere = other("far", 3602.001), other("bobs", 1, user="bob"), other("elsewhere", 1, host="WS02")
    told = tell([process, outlook], own, near, edge, far, bobs, elsewhere).filter(finding_id="f1")
    assert [text.split()[-1] for text in texts(told, "other")] == ["near", "edge"]


def test_on_a_busy_host_the_nearest_are_told_and_the_rest_counted() -> None:
    process, outlook = pair()
    own = finding(process, outlook)
    many = [own | {"finding_id": f"m{n:03}", "start": at(n), "end": at(n)} for n in range(1, 200)]
    told = tell([process, outlook], own, *many).filter(finding_id="f1")
    assert [text.split()[-1] for text in texts(told, "other")] == [f"m{n:03}" for n in range(1, 21)]
    assert texts(told, "other", "more") == ["and 179 more that are not told here"]


def test_a_finding_whose_user_is_not_known_may_be_anybodys() -> None:
    process, outlook = pair()
    own = finding(process, outlook)
    other = own | {"finding_id": "f2", "user": None, "suppressed": "known"}
    told = tell([process, outlook], own, other)
    assert texts(told.filter(finding_id="f1"), "other")[0].endswith("finding f2; suppressed: known")
    assert texts(told.filter(finding_id="f2"), "other")[0].endswith("finding f1")


def test_the_hour_counts_from_what_was_done_not_from_the_start_of_an_old_process() -> None:
    process, outlook = start(POWERSHELL, 0), start(OUTLOOK, 10_800)
    own = finding(process, outlook)
    later = own | {"finding_id": "later", "start": at(11_400), "end": at(11_400)}
    told = tell([process, outlook], own, later).filter(finding_id="f1")
    assert texts(told, "other")[0].endswith("finding later")


def test_of_many_connections_those_around_the_act_are_told() -> None:
    process, outlook = start(POWERSHELL, 0), start(OUTLOOK, 10_800)
    beacons = [connection(60 * n, process, "203.0.113.1") for n in range(1, 180)]
    there = connection(10_830, process, "203.0.113.99")
    told = tell([process, outlook, *beacons, there], finding(process, outlook))
    assert "connected to 203.0.113.99 port 443" in texts(told, "network")
    assert texts(told, "network", "more") == ["and 80 more that are not told here"]


def test_what_descendants_beyond_those_listed_did_is_told() -> None:
    process, outlook = pair()
    children = [start(CMD, 1 + n / 1000, parent=process) for n in range(130)]
    line = [start(CMD, 4, parent=children[0])]
    for n in range(40):
        line.append(start(CMD, 4 + n / 100, parent=line[-1]))
    rows = [connection(6, children[125], "203.0.113.1"), connection(6, line[-1], "203.0.113.2")]
    told = tell([process, outlook, *children, *line, *rows], finding(process, outlook))
    assert len(texts(told, "network")) == 2


def test_generations_without_end_are_cut_and_nothing_is_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story_cast, "_DEEPEST", 5)
    process, outlook = pair()
    above, below = [start(CMD, -100)], [start(CMD, 3, parent=process)]
    for n in range(10):
        above.append(start(CMD, -99 + n, parent=above[-1]))
        below.append(start(CMD, 3 + n, parent=below[-1]))
    process |= {"ParentProcessGuid": above[-1]["ProcessGuid"], "ParentProcessId": above[-1]["ProcessId"]}
    elsewhere = connection(6, start(CMD, 4), "203.0.113.2")
    told = tell([*above, process, outlook, *below, elsewhere], finding(process, outlook))
    assert texts(told, "ancestor", "more") == ["and 1 more that are not told here"]
    assert texts(told, "descendant", "more") == ["and 1 more that are not told here"]
    assert texts(told, "network", "absent")[0].endswith("; not all of its descendants were looked at")


def test_what_another_process_with_the_same_id_did_later_is_not_told() -> None:
    """Sysmon 5 is often filtered: then the next start with that id is the end of the last one."""
    process, outlook = pair()
    next_one = start(POWERSHELL, 10, ProcessId=process["ProcessId"])
    nameless = connection(12, process, "203.0.113.5", ProcessGuid=None)
    rows = [script(5, process, "outlook"), script(12, process, "mapi"), nameless]
    told = tell([process, outlook, next_one, *rows], finding(process, outlook))
    assert texts(told, "script") == ["script: outlook"]
    assert texts(told, "network") == []


def test_a_long_script_is_one_and_what_is_missing_of_it_is_marked() -> None:
    process, outlook = pair()
    parts = [
        script(3, process, f"<{n}>", ScriptBlockId="x", MessageNumber=str(n), MessageTotal="300") for n in range(1, 301)
    ]
    told = tell([process, outlook, *parts[:149], *parts[151:299]], finding(process, outlook))
    assert texts(told, "script")[0].startswith("script (297 of 300 parts): <1><2>")
    (text,) = (json.loads(fields)["ScriptBlockText"] for fields in told.filter(step="script", status="seen")["fields"])
    assert "<149> [part 150 to 151 of 300 not in the evidence] <152>" in text
    assert text.strip().endswith("<299> [part 300 of 300 not in the evidence]")
    assert texts(told, "script", "more") == []


def test_another_users_logon_of_the_same_id_is_not_the_users() -> None:
    process, outlook = pair()
    bobs = event(4624, -86_400, **SECURITY, TargetLogonId=process["LogonId"], TargetUserName="bob", LogonType="10")
    told = tell([process, outlook, bobs], finding(process, outlook))
    assert texts(told, "logon") == []
    elsewhere = bobs | {"TargetUserName": "alice", "TargetDomainName": "WS01"}
    assert texts(tell([process, outlook, elsewhere], finding(process, outlook)), "logon") == []


def test_who_was_excluded_is_told_where_nobody_is_known_to_have_asked() -> None:
    process, broker = pair()[0], start(SVCHOST, -100, CommandLine=DCOM_LAUNCH, LogonId="0x3e7")
    outlook = start(OUTLOOK, 5, parent=broker, CommandLine="OUTLOOK.EXE -Embedding")
    ended = act(5, 2, process)
    unknown = finding(None, outlook, grade=None)
    told = tell([broker, process, ended, outlook], unknown)
    assert any(text.endswith("excluded: ended before") for text in texts(told, "competitor"))


@pytest.mark.parametrize("seconds", [-86_400, 86_400])
def test_events_of_another_day_clear_nobody(seconds: float) -> None:
    process, outlook = pair()
    told = tell([process, outlook, connection(seconds, start(CMD), "203.0.113.2")], finding(process, outlook))
    assert texts(told, "network", "none") == []
    assert texts(told, "network", "absent")[0].startswith("no event 3 of Microsoft-Windows-Sysmon/Operational at this")


# What is not known.


def test_what_nobody_logged_is_said_and_differs_from_what_did_not_happen() -> None:
    process, outlook = pair()
    others = start(CMD, 4)
    told = tell([process, outlook, others, connection(5, others, "203.0.113.7")], finding(process, outlook))
    assert texts(told, "network", "none") == [
        "no event 3 of Microsoft-Windows-Sysmon/Operational for this finding; the host has some from "
        "2026-03-02T08:15:05.000000Z to 2026-03-02T08:15:05.000000Z"
    ]
    assert texts(told, "dns", "absent") == [
        "no event 22 of Microsoft-Windows-Sysmon/Operational on this host: which names they asked for is not known"
    ]
    steps = {"logon", "dns", "file", "script", "log", "telemetry"}
    assert set(told.filter(status="absent")["step"]) == steps
    assert texts(told, "telemetry", "absent") == [
        "the Sysmon log of this host ends at 2026-03-02T08:15:05.000000Z, "
        "before the ten minutes after the finding are over"
    ]


def test_a_channel_that_was_not_read_is_not_said_to_be_empty() -> None:
    process, outlook = pair()
    case = Events(story.NEEDS)
    case.add(batch(process, outlook))
    found = pl.DataFrame([{c: finding(process, outlook).get(c) for c in COLUMNS}], schema=COLUMNS)
    told = story.tell(found, found, lambda keys: [case], lambda events: events, lambda channel: channel != "Security")
    assert texts(told, "logon", "absent") == ["Security hidden by --channel: from where the user came is not known"]


def test_a_finding_without_processes_or_times_has_a_story_too() -> None:
    told = tell([], {"finding_id": "f1", "query": "q", "severity": "low", "host": None})
    assert set(told["status"]) == {"absent"}


def test_no_findings_no_stories() -> None:
    assert tell([]).height == 0
    assert tell([]).columns == list(story.COLUMNS)


def test_stories_do_not_depend_on_the_order_of_evidence() -> None:
    process, outlook = pair()
    rows = [process, outlook, *(connection(3, process, f"203.0.113.{n}") for n in range(9))]
    for number, row in enumerate(rows):
        row["offset"] = str(5000 - number)  # in another log they may stand in another order
    one = tell(rows, finding(process, outlook))
    other = tell(rows[::-1], finding(process, outlook))
    assert one.equals(other)


def test_an_organisation_of_a_cloud_is_no_computer_that_lacks_logs() -> None:
    there = event(50, channel="Office365.UnifiedAudit", provider="Exchange", host="tenant")
    row = {"query": "mail-audit-mass-access", "severity": "medium", "finding_id": "f1", "host": "tenant"}
    row |= {"start": at(0), "end": at(1)}
    told = tell([there], row)
    assert told.filter(pl.col("status").is_in(["none", "absent"])).height == 0
    both = tell([there, start(OUTLOOK, 0, host="tenant")], row)
    assert texts(both, "logon", "absent")
