"""The other hunts on Outlook: every start by COM, long-lived, unusual and renamed requesters; and without Sysmon."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import polars as pl
import pytest

from hunt import coverage
from hunt.events import Events
from hunt.hunting import gather
from hunt.model import SYSMON
from hunt.parts import Together
from hunt.registry import queries
from tests.helpers import NULL_GUID, OUTLOOK, POWERSHELL, Row, case, event, guid, start
from tests.hunt.lineage.test_security import created
from tests.hunt.lineage.test_security import ended as exited
from tests.queries.activations import SERVICE, SVCHOST, activated, client, found, hunt, made, program, proven, unsigned

CSCRIPT = r"C:\Windows\System32\cscript.exe"
WORD = r"C:\Program Files\Microsoft Office\root\Office16\WINWORD.EXE"

# Every start by COM.


def activations(*rows: Row) -> list[dict[str, Any]]:
    return found("outlook-com-activation", *rows)


def test_every_start_by_com_is_listed_requester_or_not() -> None:
    markers = ("-Embedding", "/automation", "-embedding", "/Automation /x")
    rows = activations(
        *(
            activated(at, CommandLine=f'"{OUTLOOK}" {marker}')
            for at, marker in zip((0, 100, 200, 300), markers, strict=True)
        )
    )
    assert tuple(row["target_command_line"].partition('" ')[2] for row in rows) == markers
    assert {(row["severity"], row["grade"], row["image"]) for row in rows} == {("low", None, None)}
    assert all("requester unknown" in row["reason"] for row in rows)


def test_a_start_that_com_did_not_make_is_not_listed() -> None:
    desktop = start(OUTLOOK, 2, CommandLine=f'"{OUTLOOK}" -Embedding')
    assert activations(desktop, activated(3, CommandLine=OUTLOOK), program(WORD)) == []


def test_exactly_one_script_host_is_for_review() -> None:
    (row,) = activations(program(CSCRIPT), program(WORD, 1), activated(2))
    assert (row["severity"], row["grade"], row["image"]) == ("medium", "D", CSCRIPT)
    assert "for review: exactly one script host fits" in row["reason"]


def test_two_script_hosts_are_a_list_entry() -> None:
    (row,) = activations(program(CSCRIPT), program(POWERSHELL, 1), activated(2))
    assert (row["severity"], row["grade"], row["ambiguous"]) == ("low", "D", True)


class Crowded:
    """A case of which lineage says that it did not look at three candidates."""

    def __init__(self, of: Events) -> None:
        self._of = of

    def __getattr__(self, name: str) -> Any:
        return getattr(self._of, name)

    def for_hunts(self, hunts: Any) -> Any:
        yield self, hunts

    @property
    def lineage(self) -> pl.LazyFrame:
        return self._of.lineage.with_columns(left_over=pl.lit(3, pl.UInt32))


def test_what_was_not_looked_at_is_said_and_never_exactly_one() -> None:
    crowded = Crowded(case(SERVICE, program(CSCRIPT), activated(2)))
    (row,) = gather(crowded, [hunt("outlook-com-activation")])[0].iter_rows(named=True)  # type: ignore[arg-type]
    assert (row["severity"], "exactly one" in row["reason"]) == ("low", False)
    assert "3 of these started in time and were not looked at" in row["reason"]


def test_who_asked_is_unknown_and_not_absent() -> None:
    (row,) = activations(activated(2))
    assert "of what is known to have started in the 60 s before none fits; it may have started earlier" in row["reason"]


def test_a_start_has_the_same_id_whoever_asked_for_it() -> None:
    outlook = activated(2)
    ids = {activations(*rows, outlook)[0]["finding_id"] for rows in ([], [program(CSCRIPT)], [program(POWERSHELL)])}
    assert len(ids) == 1


def logon(kind: int, address: str) -> Row:
    provider = {"channel": "Security", "provider": "Microsoft-Windows-Security-Auditing"}
    return event(4624, 0, **provider, TargetLogonId="0x777", LogonType=str(kind), IpAddress=address)


def test_a_start_for_another_machine_is_for_review_and_blames_nobody_here() -> None:
    remote = activated(2, LogonId="0x777", User=r"CONTOSO\bob", TerminalSessionId="0")
    (row,) = activations(program(POWERSHELL), logon(3, "198.51.100.77"), remote)
    assert (row["severity"], row["locality"], row["source_ip"], row["image"]) == (
        "medium",
        "remote",
        "198.51.100.77",
        None,
    )
    assert "asked for from another machine, 198.51.100.77" in row["reason"]
    assert found("outlook-script-host", program(POWERSHELL), logon(3, "198.51.100.77"), remote) == []


# Long-lived requesters.


def longlived(*rows: Row, window_s: float | None = None) -> list[dict[str, Any]]:
    return found("outlook-com-longlived", *rows, window_s=window_s)


def test_a_proven_script_host_is_reported_hours_later() -> None:
    script, outlook = program(POWERSHELL), activated(7200)
    (row,) = longlived(script, outlook, *proven(script, outlook, 7200))
    assert (row["grade"], row["image"], row["span_seconds"], row["severity"]) == ("A", POWERSHELL, 7200.0, "high")


def test_a_long_lived_parent_is_reported() -> None:
    script = program(POWERSHELL)
    (row,) = longlived(script, start(OUTLOOK, 61, parent=script))
    assert row["grade"] == "direct"


def test_what_the_strict_hunt_reports_is_not_reported_twice() -> None:
    script = program(POWERSHELL)
    assert longlived(script, start(OUTLOOK, 60, parent=script)) == []
    assert longlived(script, start(OUTLOOK, 61, parent=script), window_s=61) == []
    assert longlived(script, start(OUTLOOK, 30, parent=script), window_s=5) == []  # nobody is long-lived at 30 s
    unlogged = {"ProcessGuid": guid(9, 0), "ProcessId": "4", "Image": POWERSHELL, "CommandLine": "x"}
    assert longlived(start(OUTLOOK, 60.5, parent=unlogged)) == []
    assert len(longlived(start(OUTLOOK, 61, parent=unlogged))) == 1


def test_what_is_neither_proven_nor_named_is_not_reported_hours_later() -> None:
    script = program(POWERSHELL)
    assert longlived(script, client(script, 1), activated(7200)) == []


def test_a_proven_program_that_was_unsigned_and_new_is_reported_hours_later() -> None:
    implant, outlook = program(r"C:\ProgramData\sync.exe"), activated(7200)
    told = (implant, outlook, *proven(implant, outlook, 7200))
    assert longlived(*told) == []
    assert len(longlived(*told, made(implant, -5), unsigned(implant, 0.1))) == 1


# Renamed script hosts.


def renamed(*rows: Row) -> list[dict[str, Any]]:
    return found("outlook-renamed-script-host", *rows)


# What a file says of itself: OriginalFileName, Description; and whether that is a script host.
ABOUT = [
    ("PowerShell.EXE", "Windows PowerShell", True),
    ("Cmd.Exe", None, True),
    ("cmd.exe.mui", None, True),
    ("pwsh.dll", "pwsh", True),
    (None, "Windows Command Processor", True),
    ("-", "Microsoft ® Console Based Script Host", True),
    ("", "microsoft (r) html application host", True),
    ("updater.exe", "Windows PowerShell", False),  # the original name goes before
    ("notepad.exe", "Notepad", False),
    (None, None, False),
    ("?", "?", False),
]


def test_a_script_host_under_another_name_is_known_by_what_its_file_says() -> None:
    rows = []
    for number, (original, description, _) in enumerate(ABOUT):
        about = {"OriginalFileName": original, "Description": description, "host": f"WS{number:02}"}
        parent = program(r"C:\ProgramData\updater.exe", **about)
        rows += [parent, start(OUTLOOK, 2, parent=parent, host=f"WS{number:02}")]
    reported = {row["host"] for row in renamed(*rows)}
    assert [f"WS{number:02}" in reported for number in range(len(ABOUT))] == [expected for *_, expected in ABOUT]
    assert found("outlook-script-host", *rows) == []


def test_a_script_host_under_its_own_name_is_not_renamed() -> None:
    parent = program(POWERSHELL, OriginalFileName="PowerShell.EXE")
    assert renamed(parent, start(OUTLOOK, 2, parent=parent)) == []


def test_a_renamed_requester_is_graded_and_bound_by_the_window() -> None:
    copy, outlook = program(r"C:\ProgramData\svc.exe", OriginalFileName="wscript.exe"), activated(2)
    assert [row["grade"] for row in renamed(copy, outlook)] == ["D"]
    assert [row["grade"] for row in renamed(copy, outlook, *proven(copy, outlook, 2))] == ["A"]
    assert renamed(copy, activated(61)) == []


# Unusual requesters.


def unusual(*rows: Row) -> list[dict[str, Any]]:
    return found("outlook-unusual-requester", *rows)


NOT_LISTED = {
    r"C:\Windows\System32\wsmprovhost.exe": "medium",
    r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell_ise.exe": "medium",
    r"C:\Windows\System32\inetsrv\w3wp.exe": "medium",
    r"C:\Windows\System32\wbem\WmiPrvSE.exe": "medium",
    WORD: "medium",
    r"C:\Program Files\Contoso CRM\crm.exe": "low",
    r"C:\Users\alice\explorer.exe": "low",
    r"C:\Users\alice\Office16\OUTLOOK.EXE": "low",
}
LISTED = [
    r"C:\Windows\explorer.exe",
    r"D:\Windows\Explorer.EXE",
    r"\\?\C:\Windows\explorer.exe",
    r"C:\Windows\System32\userinit.exe",
    r"C:\Windows\SystemApps\Microsoft.Windows.StartMenuExperienceHost_cw5n1h2txyewy\StartMenuExperienceHost.exe",
    r"C:\Program Files\Microsoft Office\root\Office16\OUTLOOK.EXE",
    r"C:\Program Files\Common Files\Microsoft Shared\ClickToRun\OfficeClickToRun.exe",
]


def by_host(images: Iterable[str], **signed: str) -> tuple[list[Row], list[str]]:
    """(Outlook started by each of these, on a host of its own; the hosts). `signed`: fields of its image load."""
    rows, hosts = [], []
    for number, image in enumerate(images):
        hosts.append(f"WS{number:02}")
        parent = program(image, host=hosts[-1])
        rows += [parent, start(OUTLOOK, 3600, parent=parent, host=hosts[-1], CommandLine=OUTLOOK)]
        rows += [unsigned(parent, 0.1) | signed] if signed else []
    return rows, hosts


def test_programs_that_are_not_listed_are_reported() -> None:
    rows, hosts = by_host(NOT_LISTED)
    told = {row["host"]: row for row in unusual(*rows)}
    assert [(told[host]["image"], told[host]["severity"]) for host in hosts] == list(NOT_LISTED.items())
    assert {row["grade"] for row in told.values()} == {"direct"}


def test_what_starts_outlook_on_every_desktop_is_listed_by_path_and_signer() -> None:
    good = {"Signed": "true", "SignatureStatus": "Valid", "Signature": "Microsoft Windows"}
    assert unusual(*by_host(LISTED)[0]) == []
    assert unusual(*by_host(LISTED, **good)[0]) == []
    assert len(unusual(*by_host(LISTED, **good | {"Signature": "Contoso Ltd."})[0])) == len(LISTED)
    assert len(unusual(*by_host(LISTED, Signed="false")[0])) == len(LISTED)


def test_script_hosts_are_told_by_their_own_hunts() -> None:
    script, outlook = program(POWERSHELL), activated(2)
    assert unusual(script, start(OUTLOOK, 3600, parent=script)) == []
    assert unusual(script, outlook, *proven(script, outlook, 2)) == []


def test_a_requester_through_com_is_reported_from_grade_c_on() -> None:
    word, outlook = program(WORD), activated(2)
    assert unusual(word, outlook) == []
    assert [(r["grade"], r["severity"]) for r in unusual(word, client(word, 1), outlook)] == [("C", "medium")]
    assert [(r["grade"], r["severity"]) for r in unusual(word, outlook, *proven(word, outlook, 2))] == [("A", "high")]


def test_a_broker_is_named_where_nobody_is_known_to_have_asked_it() -> None:
    task = start(SVCHOST, -2000, CommandLine=f"{SVCHOST} -k netsvcs -p -s Schedule", LogonId="0x3e7")
    outlook = start(OUTLOOK, 3, parent=task, LogonId="0x777")
    (row,) = unusual(task, outlook)
    assert "on behalf of somebody unknown (task)" in row["reason"]
    asked = program(r"C:\tools\run.exe", 1, CommandLine="run schtasks /run /tn Mail")
    assert [row["image"] for row in unusual(task, asked, outlook)] == [r"C:\tools\run.exe"]


def test_a_listed_program_hides_no_other_one() -> None:
    tool, broker = program(r"C:\Users\alice\AppData\sync.exe"), program(r"C:\Windows\System32\RuntimeBroker.exe", 1)
    clients = client(tool, 0.5), client(broker, 1.2)
    (row,) = unusual(tool, broker, *clients, activated(2))
    assert (row["image"], row["grade"], row["competitors"]) == (tool["Image"], "C", 1)
    assert unusual(broker, clients[1], activated(2)) == []


def test_who_fits_less_than_a_script_host_is_no_requester_of_its_own() -> None:
    script, word = program(POWERSHELL, CommandLine="powershell New-Object -Com Outlook.Application"), program(WORD, 1)
    assert unusual(script, word, client(word, 1.1), activated(2)) == []


def test_a_service_that_starts_outlook_does_so_for_somebody_unknown() -> None:
    service = start(SVCHOST, -2000, CommandLine=f"{SVCHOST} -k LocalService", LogonId="0x3e5")
    (row,) = unusual(service, start(OUTLOOK, 3, parent=service))
    assert row["reason"].startswith("svchost.exe, on behalf of somebody unknown (a service), started Outlook")
    assert row["locality"] == "unknown"


def test_what_a_broker_starts_is_not_local_for_the_broker_being_so() -> None:
    wmi = start(r"C:\Windows\System32\wbem\WmiPrvSE.exe", -500, LogonId="0x3e7", TerminalSessionId="0")
    outlook = start(OUTLOOK, 1, parent=wmi, LogonId="0x777", TerminalSessionId="0")
    (row,) = unusual(wmi, logon(3, "198.51.100.77"), outlook)
    assert (row["locality"], row["source_ip"]) == ("remote", "198.51.100.77")


# Without Sysmon.


def security(name: str, *rows: Row) -> list[dict[str, Any]]:
    return list(gather(case(*rows), [hunt(name)])[0].iter_rows(named=True))


def test_security_4688_feeds_the_same_hunt_with_lower_confidence() -> None:
    shell = created(POWERSHELL, 0, pid=8, CommandLine="powershell -File a.ps1")
    outlook = created(OUTLOOK, 2, pid=12, creator=8)
    (row,) = security("outlook-script-host", shell, outlook)
    assert (row["grade"], row["confidence"], row["pid"], row["target_pid"]) == ("direct", "low", 8, 12)
    assert (row["command_line"], row["span_seconds"], row["process_guid"]) == ("powershell -File a.ps1", 2.0, None)
    assert "known from Security 4688 alone" in row["reason"]


def test_a_creator_that_had_ended_or_is_too_old_is_not_reported() -> None:
    shell, outlook = created(POWERSHELL, 0, pid=8), created(OUTLOOK, 61, pid=12, creator=8)
    assert security("outlook-script-host", shell, outlook) == []
    assert len(security("outlook-com-longlived", shell, outlook)) == 1
    early = created(OUTLOOK, 30, pid=12, creator=8)
    assert security("outlook-script-host", shell, exited(5, pid=8), early) == []


def test_a_creator_whose_start_is_not_in_the_log_is_uncertain() -> None:
    (row,) = security("outlook-script-host", created(OUTLOOK, 2, pid=12, creator=8, ParentProcessName=POWERSHELL))
    assert (row["confidence"], row["image"], row["span_seconds"]) == ("uncertain", POWERSHELL, None)
    assert row["start"] == row["end"]


def test_com_is_seen_in_the_security_log_by_logon_and_time() -> None:
    service = created(SVCHOST, -3000, pid=912, CommandLine=f"{SVCHOST} -k DcomLaunch", SubjectLogonId="0x3e7")
    target = {"TargetLogonId": "0x53ca2", "TargetUserName": "alice", "TargetDomainName": "CONTOSO"}
    outlook = created(
        OUTLOOK, 3, pid=12, creator=912, CommandLine=f"{OUTLOOK} -Embedding", SubjectLogonId="0x3e7", **target
    )
    rows = (service, created(POWERSHELL, 0, pid=8), outlook)
    (row,) = security("outlook-script-host", *rows)
    assert (row["grade"], row["confidence"], row["image"]) == ("D", "low", POWERSHELL)
    (row,) = security("outlook-com-activation", *rows)
    assert (row["confidence"], row["severity"]) == ("low", "medium")


def test_a_start_by_svchost_without_a_command_line_is_listed() -> None:
    (row,) = security("outlook-com-activation", created(OUTLOOK, 3, pid=12, creator=912, ParentProcessName=SVCHOST))
    assert "its command line was not logged" in row["reason"]
    assert row["confidence"] == "low"


# Windows logs no command lines unless it is told to.
BARE = {"ParentProcessName": SVCHOST, "TargetLogonId": "0x53ca2", "TargetUserName": "alice", "SubjectLogonId": "0x3e7"}


def test_without_command_lines_the_requester_is_looked_for_as_well() -> None:
    rows = (created(POWERSHELL, 0, pid=8), created(OUTLOOK, 3, pid=12, creator=912, **BARE))
    (row,) = security("outlook-script-host", *rows)
    assert (row["grade"], row["confidence"], row["image"]) == ("D", "low", POWERSHELL)
    assert [row["image"] for row in security("outlook-com-activation", *rows)] == [POWERSHELL]
    assert security("outlook-unusual-requester", *rows) == []


def test_without_command_lines_a_remote_start_is_for_review() -> None:
    rows = (logon(3, "198.51.100.77"), created(OUTLOOK, 3, pid=12, creator=912, **BARE | {"TargetLogonId": "0x777"}))
    (row,) = security("outlook-com-activation", *rows)
    assert (row["severity"], row["locality"], row["source_ip"]) == ("medium", "remote", "198.51.100.77")


def unnamed(*rows: Row) -> list[tuple[str, str, int]]:
    """(channel, what is said, how many) of starts of Outlook that a hunt could not judge."""
    query = [query for query in queries() if query.hunt.id == "outlook-com-longlived"]
    return [(fact.channel, fact.detail, fact.count or 0) for fact in coverage.unknown(Together(case(*rows)), query)]


def test_a_start_whose_creator_nobody_tells_is_counted() -> None:
    (fact,) = unnamed(
        created(POWERSHELL, 0, pid=8), created(OUTLOOK, 3, pid=12, creator=912), created(OUTLOOK, creator=8)
    )
    assert (fact[0], fact[2]) == ("Security", 1)
    assert "the creator of Outlook is not named and its start was not logged" in fact[1]
    assert unnamed(created(OUTLOOK, 3, creator=912, **BARE)) == []
    sysmon = {"ParentProcessGuid": NULL_GUID, "ParentImage": "-"}
    assert [(channel, count) for channel, _, count in unnamed(start(OUTLOOK, **sysmon))] == [(SYSMON, 1)]
    assert unnamed(start(OUTLOOK), start(OUTLOOK, **sysmon, CommandLine=f"{OUTLOOK} -Embedding")) == []


def test_a_pair_that_both_logs_tell_of_is_one_finding() -> None:
    shell = start(POWERSHELL, 0, ProcessId="8")
    outlook = start(OUTLOOK, 2, parent=shell, ProcessId="12")
    copies = created(POWERSHELL, 0.01, pid=8), created(OUTLOOK, 2.01, pid=12, creator=8)
    (row,) = security("outlook-script-host", shell, outlook, *copies)
    assert row["confidence"] == "high"


def test_a_start_that_sysmon_left_out_is_found_in_the_security_log() -> None:
    shell = start(POWERSHELL, 0, ProcessId="8")
    copies = created(POWERSHELL, 0.01, pid=8), created(OUTLOOK, 2.01, pid=12, creator=8)
    (row,) = security("outlook-script-host", shell, *copies)
    assert (row["confidence"], row["target_pid"]) == ("low", 12)


# All of them.


_OF_STARTS = {
    "outlook-script-host", "outlook-com-activation", "outlook-com-longlived", "outlook-renamed-script-host",
    "outlook-unusual-requester",
}  # fmt: skip


@pytest.mark.parametrize(
    "query", [query for query in queries() if query.hunt.id in _OF_STARTS], ids=lambda query: query.hunt.id
)
def test_every_hunt_on_starts_says_what_it_can_not_tell_without(query: Any) -> None:
    assert {need.event_type.event_id for need in query.hunt.needs} == {1}
    assert {(h.channel, h.event_id) for h in query.hunt.helps} >= {
        (SYSMON, 5),
        (SYSMON, 7),
        (SYSMON, 10),
        ("Security", 4624),
    }
