"""The flagship where COM or another broker started Outlook: grades, who competes, who is out of it."""

from __future__ import annotations

from typing import Any

from hunt.model import Severity
from queries._outlook_told import SEVERITY
from queries.outlook_script_host import HUNT
from tests.helpers import OUTLOOK, POWERSHELL, Row, case, event, guid, moment, start
from tests.queries.activations import SERVICE, SVCHOST, activated, client, ended, found, made, program, proven, unsigned

CSCRIPT = r"C:\Windows\System32\cscript.exe"
EXPLORER = r"C:\Windows\explorer.exe"
PROGRAM = r"C:\Windows\notepad.exe"
WORD = r"C:\Program Files\Microsoft Office\root\Office16\WINWORD.EXE"


def flagship(*rows: Row, window_s: float | None = None) -> list[dict[str, Any]]:
    return found("outlook-script-host", *rows, window_s=window_s)


def test_a_script_host_that_rpcss_opened_in_the_same_thread_is_an_alert() -> None:
    script, outlook = program(POWERSHELL), activated(2)
    (row,) = flagship(script, outlook, *proven(script, outlook, 2))
    assert (row["grade"], row["severity"], row["risk_score"], row["confidence"]) == ("A", "high", 73, "high")
    assert (row["image"], row["process_guid"]) == (POWERSHELL, script["ProcessGuid"])
    assert row["target_process_guid"] == outlook["ProcessGuid"]
    assert row["reason"].startswith("a script host asked for Outlook through COM; grade A")
    assert (row["span_seconds"], row["start_source"], row["locality"]) == (2.0, "event", "local")


def test_a_com_client_of_the_same_logon_is_for_review() -> None:
    script = program(CSCRIPT)
    (row,) = flagship(script, client(script, 0.5), activated(2))
    assert (row["grade"], row["severity"], row["confidence"]) == ("C", "medium", "medium")


def test_a_script_of_a_process_id_that_may_have_been_given_on_is_said_to_be_that() -> None:
    old, outlook = program(PROGRAM), activated(2)
    text = {"ScriptBlockText": "New-Object -ComObject Outlook.Application", "System.ProcessID": old["ProcessId"]}
    place = {"channel": "Microsoft-Windows-PowerShell/Operational", "provider": "Microsoft-Windows-PowerShell"}
    (row,) = found("outlook-unusual-requester", old, event(4104, 1, **place, **text), outlook)
    assert row["grade"] == "C"
    assert "the id may have been given on" in row["reason"]
    assert "COM client" not in row["reason"]


def test_with_process_starts_alone_a_script_host_is_a_lead() -> None:
    (row,) = flagship(program(CSCRIPT), activated(2))
    assert (row["grade"], row["severity"], row["confidence"], row["competitors"]) == ("D", "low", "low", 0)


def test_a_command_line_that_names_the_act_is_an_alert() -> None:
    task = start(SVCHOST, -2000, CommandLine=f"{SVCHOST} -k netsvcs -p -s Schedule", LogonId="0x3e7")
    shell = program(r"C:\Windows\System32\cmd.exe", CommandLine="cmd /c schtasks /run /tn Mail")
    (row,) = flagship(task, shell, start(OUTLOOK, 3, parent=task, LogonId="0x777"))
    assert (row["grade"], row["severity"]) == ("B", "high")
    assert "through a scheduled task" in row["reason"]


def test_severity_never_rises_as_the_grade_falls() -> None:
    ranks = [(Severity(SEVERITY[grade][0]).rank, SEVERITY[grade][1]) for grade in "ABCDEF"]
    assert ranks == sorted(ranks, reverse=True)


def test_the_window_binds_brokered_starts_too() -> None:
    gaps = {"A": 0, "B": 60, "C": 60.001, "D": 3600, "E": -0.001, "F": -1}
    rows = []
    for host, gap in gaps.items():
        script, outlook = program(POWERSHELL, 10, host=host), activated(10 + gap, host=host)
        rows += [script, outlook, *proven(script, outlook, 10 + gap)]
    assert sorted(row["host"] for row in flagship(*rows)) == ["A", "B"]


def test_another_window_binds_them_too() -> None:
    rows = (program(POWERSHELL), activated(20))
    assert flagship(*rows, window_s=19.9) == []
    assert len(flagship(*rows, window_s=20)) == 1
    assert len(flagship(program(POWERSHELL), activated(300), window_s=300)) == 1


def test_the_dead_and_other_logons_are_no_requesters() -> None:
    script = program(POWERSHELL)
    assert flagship(script, ended(script, 1), activated(2)) == []
    assert flagship(program(POWERSHELL, LogonId="0x999", User=r"CONTOSO\bob"), activated(2)) == []


def test_a_script_host_beside_a_proven_requester_is_cleared() -> None:
    script, word, outlook = program(POWERSHELL), program(WORD, 0.5), activated(2)
    assert flagship(script, word, outlook, *proven(word, outlook, 2)) == []


def test_a_script_host_that_names_the_act_is_not_cleared_by_another_one_in_the_thread() -> None:
    script = program(POWERSHELL, CommandLine="powershell -c New-Object -ComObject Outlook.Application")
    zoom, outlook = program(r"C:\Users\alice\AppData\Roaming\Zoom\bin\Zoom.exe", 1.5), activated(2)
    (row,) = flagship(script, zoom, outlook, *proven(zoom, outlook, 2))
    assert (row["image"], row["grade"], row["severity"]) == (POWERSHELL, "B", "high")
    assert "another process fits better: grade A" in row["reason"]


def test_the_reason_says_what_makes_the_grade_and_not_what_else_might() -> None:
    own = {"ProcessGuid": guid(55, 0), "ProcessId": "900", "Image": POWERSHELL, "User": r"CONTOSO\alice"}
    seen = event(3, 1, UtcTime=moment(1), **own)
    (row,) = flagship(seen, activated(2))
    assert "grade E: same user; its logon session is not known, and the time fits, no more is known" in row["reason"]
    outlook = activated(2)
    (row,) = flagship(seen, outlook, *proven({**own, "host": "WS01"}, outlook, 2))
    assert row["grade"] == "B"
    assert "grade B: RPCSS opened it in the thread that started the child (Sysmon 10)" in row["reason"]
    assert "names the" not in row["reason"]


def test_an_explorer_that_a_script_host_has_open_outlook_is_its_tool() -> None:
    factory = r"C:\Windows\explorer.exe /factory,{75dff2b7-6936-4c06-a8bb-676a7b00b24b} -Embedding"
    desktop = start(EXPLORER, 1.5, parent=SERVICE, TerminalSessionId="1", CommandLine=factory)
    script = program(POWERSHELL)
    for line, grade in ((rf'explorer.exe "{OUTLOOK}"', "B"), (r"explorer.exe C:\Temp", "D")):
        tool = program(EXPLORER, 1, parent=script, CommandLine=line)
        outlook = start(OUTLOOK, 2, parent=desktop, TerminalSessionId="1")
        (row,) = flagship(script, tool, desktop, outlook)
        assert (row["image"], row["grade"]) == (POWERSHELL, grade)
    direct = program(EXPLORER, 1, CommandLine=rf'explorer.exe "{OUTLOOK}"')
    (row,) = flagship(script, direct, desktop, start(OUTLOOK, 2, parent=desktop, TerminalSessionId="1"))
    assert row["grade"] == "D"


def test_a_script_host_that_fits_less_than_an_unproven_other_stays_a_lead() -> None:
    script, word = program(POWERSHELL), program(WORD, 0.5)
    (row,) = flagship(script, word, client(word, 1), activated(2))
    assert (row["image"], row["grade"]) == (POWERSHELL, "D")
    assert "another process fits better: grade C" in row["reason"]


def test_who_fits_as_well_is_counted() -> None:
    rows = [program(POWERSHELL), program(WORD, 0.5), program(r"C:\Windows\System32\notepad.exe", 1)]
    (row,) = flagship(*rows, activated(2))
    assert (row["image"], row["competitors"], row["ambiguous"]) == (POWERSHELL, 2, True)
    assert "2 other processes fit as well" in row["reason"]


def test_a_finding_and_lineage_count_the_same_competitors() -> None:
    crowd = [program(r"C:\Program Files\Git\git.exe", 1 + n / 100) for n in range(70)]
    rows = (program(POWERSHELL), *crowd, activated(9))
    (row,) = flagship(*rows)
    (traced,) = case(SERVICE, *rows).lineage.select("competitors", "ambiguous", "left_over").collect().to_dicts()
    assert (row["competitors"], row["ambiguous"]) == (traced["competitors"], traced["ambiguous"]) == (70, True)
    assert ("not looked at" in row["reason"]) is (traced["left_over"] > 0)


def test_each_start_is_one_finding_however_many_script_hosts_fit() -> None:
    rows = [program(POWERSHELL), program(CSCRIPT, 1)]
    first, second = flagship(*rows, activated(2), activated(5))
    assert first["target_process_guid"] != second["target_process_guid"]


def test_the_order_of_events_changes_nothing() -> None:
    script, other, outlook = program(POWERSHELL), program(CSCRIPT, 1), activated(2)
    rows = [script, other, outlook, client(script, 0.5), *proven(script, outlook, 2)]
    one, two = ([{**row, "sources": None} for row in flagship(*order)] for order in (rows, rows[::-1]))
    assert one == two


def test_a_requester_whose_start_was_not_logged_is_timed_by_its_guid() -> None:
    own = {"ProcessGuid": guid(55, 0), "ProcessId": "900", "Image": POWERSHELL, "User": r"CONTOSO\alice"}
    (row,) = flagship(event(3, 1, UtcTime=moment(1), **own), activated(5.5))
    assert (row["start_source"], row["process_guid"], row["span_seconds"]) == ("guid", guid(55, 0), 5.5)
    assert row["grade"] in ("E", "F")


def test_a_hand_over_to_a_running_outlook_is_marked() -> None:
    running, script, outlook = program(OUTLOOK, -600), program(POWERSHELL), activated(2)
    (row,) = flagship(running, script, outlook, ended(outlook, 3))
    assert row["attached"] is True
    assert "handed over to an Outlook that was running already" in row["reason"]


def test_the_events_of_a_finding_are_both_starts() -> None:
    script, outlook = program(POWERSHELL), activated(2)
    (row,) = flagship(script, outlook)
    assert row["finding_id"] == flagship(script, outlook, client(script, 0.5))[0]["finding_id"]
    events = HUNT.find(case(SERVICE, script, outlook)).collect()["events"].to_list()[0]
    assert [(e["step"], e["record_id"]) for e in events] == [
        (n, int(r["record_id"])) for n, r in ((1, script), (2, outlook))
    ]


def test_hosts_never_mix() -> None:
    assert flagship(program(POWERSHELL, host="WS02"), activated(2)) == []


# The second branch: unsigned and new.

TOOL = r"C:\Users\alice\Downloads\tool.exe"


def tool(at: float = 0, **columns: Any) -> Row:
    return program(TOOL, at, **columns)


def test_an_unsigned_and_new_parent_is_a_finding() -> None:
    parent = tool()
    (row,) = flagship(parent, made(parent, -12), unsigned(parent, 0.1), start(OUTLOOK, 2, parent=parent))
    assert (row["grade"], row["image"], row["signer"]) == ("direct", TOOL, None)
    assert row["reason"].startswith("an unsigned and new program started Outlook; ")
    assert "its file is unsigned; its file was made 12.0 s before it started" in row["reason"]
    assert {"unsigned", "new file"} <= set(row["evidence"])


def test_an_unsigned_and_new_requester_is_a_finding() -> None:
    requester, outlook = tool(), activated(2)
    rows = (requester, made(requester, -12), unsigned(requester, 0.1), outlook)
    assert [row["grade"] for row in flagship(*rows)] == ["D"]
    assert [row["grade"] for row in flagship(*rows, *proven(requester, outlook, 2))] == ["A"]


def test_unless_both_are_known_nothing_fires() -> None:
    rows = []
    for host, known in enumerate([[], ["made"], ["unsigned"], ["older", "unsigned"], ["made", "signed"]]):
        parent = tool(host=f"WS{host}")
        told = {
            "made": made(parent, -12),
            "older": made(parent, -500.001),
            "unsigned": unsigned(parent, 0.1),
            "signed": unsigned(parent, 0.1) | {"Signed": "true", "SignatureStatus": "Valid"},
        }
        rows += [parent, start(OUTLOOK, 2, parent=parent, host=f"WS{host}"), *(told[name] for name in known)]
    assert flagship(*rows) == []


def test_a_changed_creation_time_is_noted() -> None:
    parent = tool()
    changed = event(2, -3, TargetFilename=TOOL)
    rows = (parent, made(parent, -12), unsigned(parent, 0.1), changed, start(OUTLOOK, 2, parent=parent))
    (row,) = flagship(*rows)
    assert "timestomped" in row["evidence"]
    assert "EID 2" in row["reason"]


def test_the_service_itself_is_never_the_requester() -> None:
    assert flagship(SERVICE, activated(2)) == []
