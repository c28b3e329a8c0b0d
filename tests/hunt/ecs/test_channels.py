"""ECS fields of the Security, PowerShell and System channels, and any field of any event under its own name."""

from __future__ import annotations

import re

import pytest

from hunt import ecs
from hunt.model import EventType
from tests.helpers import Row, event
from tests.hunt.ecs.built import seen

AUDIT = "Microsoft-Windows-Security-Auditing"
POWERSHELL = "Microsoft-Windows-PowerShell/Operational"
SUCCESS, FAILURE = "0x8020000000000000", "0x8010000000000000"
SUBJECT = {
    "SubjectUserSid": "S-1-5-21-1-2-3-1001",
    "SubjectUserName": "alice",
    "SubjectDomainName": "CORP",
    "SubjectLogonId": "0x53ca2",
}
TARGET = {"TargetUserName": "bob", "TargetDomainName": "CORP", "TargetSid": "S-1-5-21-1-2-3-1002"}


def security(event_id: int, **columns: str | None) -> Row:
    own = {"provider": AUDIT, "System.Keywords": SUCCESS}
    return event(event_id, 1, channel="Security", **(own | SUBJECT | TARGET | columns))


def test_a_logon() -> None:
    row = seen(
        security(
            4624,
            TargetUserSid="S-1-5-21-1-2-3-1002",
            LogonType="3",
            IpAddress="::ffff:192.0.2.9",
            IpPort="49200",
            WorkstationName="WS02",
            ProcessId="0x1f4",
            ProcessName=r"C:\Windows\System32\lsass.exe",
        )
    )
    assert row["event.category"] == ["authentication"]
    assert row["event.type"] == ["start"]
    assert row["event.action"] == ["logged-in", "Logon"]
    assert row["event.outcome"] == "success"
    assert (row["user.id"], row["user.name"], row["user.domain"]) == ("S-1-5-21-1-2-3-1002", "bob", "CORP")
    assert (row["source.ip"], row["source.port"], row["source.domain"]) == ("192.0.2.9", 49200, "WS02")
    assert (row["process.pid"], row["process.name"]) == (500, "lsass.exe")
    assert (row["winlog.logon.type"], row["winlog.logon.id"]) == ("Network", "0x53ca2")
    assert (row["data_stream.dataset"], row["event.code"]) == ("system.security", "4624")
    own = seen(security(4624, LogonType="10"), "winlog.event_data.LogonType", "winlog.event_data.SubjectUserName")
    assert own == {"winlog.event_data.LogonType": "10", "winlog.event_data.SubjectUserName": "alice"}


def test_a_logon_from_nowhere_has_no_address() -> None:
    row = seen(
        security(4624, IpAddress="-", IpPort="-", WorkstationName="-"), "source.ip", "source.port", "source.domain"
    )
    assert [*row.values()] == [None, None, None]


@pytest.mark.parametrize(
    ("event_id", "keywords", "outcome"),
    [
        (4624, SUCCESS, "success"),
        (4769, SUCCESS, "success"),
        (4769, FAILURE, "failure"),
        (4769, None, None),
        (4625, None, "failure"),  # written on failures alone
        (4688, None, "success"),
    ],
)
def test_outcomes(event_id: int, keywords: str | None, outcome: str | None) -> None:
    assert seen(security(event_id, **{"System.Keywords": keywords}), "event.outcome")["event.outcome"] == outcome


def test_a_process_start() -> None:
    row = seen(
        security(
            4688,
            NewProcessId="0x12d7",
            NewProcessName=r"C:\Windows\System32\cmd.exe",
            ProcessId="0x4",
            ParentProcessName=r"C:\Windows\explorer.exe",
            CommandLine='cmd.exe /c "a b"',
            MandatoryLabel="S-1-16-12288",
            TargetUserName="bob",
            TargetUserSid="S-1-0-0",
        )
    )
    assert (row["event.category"], row["event.type"]) == (["process"], ["start"])
    assert "created-process" in list(row["event.action"])  # type: ignore[call-overload]
    assert (row["process.pid"], row["process.name"]) == (4823, "cmd.exe")
    assert row["process.executable"] == r"C:\Windows\System32\cmd.exe"
    assert (row["process.parent.pid"], row["process.parent.name"]) == (4, "explorer.exe")
    assert (row["process.args"], row["process.args_count"]) == (["cmd.exe", "/c", "a b"], 3)
    assert row["process.Ext.token.integrity_level_name"] == "high"
    assert (row["user.name"], row["user.effective.name"]) == ("alice", "bob")


# By event id: what Elastic's pipeline makes of it.
KINDS: dict[int, tuple[str, str, str]] = {
    1102: ("iam", "admin change", "audit-log-cleared"),
    4625: ("authentication", "start", "logon-failed"),
    4648: ("authentication", "start", "logged-in-explicit"),
    4672: ("iam", "admin", "logged-in-special"),
    4689: ("process", "end", "exited-process"),
    4697: ("iam configuration", "admin change", "service-installed"),
    4698: ("iam configuration", "creation admin", "scheduled-task-created"),
    4702: ("iam configuration", "change admin", "scheduled-task-updated"),
    4719: ("iam configuration", "admin change", "changed-audit-config"),
    4720: ("iam", "user creation", "added-user-account"),
    4728: ("iam", "group change", "added-member-to-group"),
    4732: ("iam", "group change", "added-member-to-group"),
    4738: ("iam", "user change", "modified-user-account"),
    4741: ("iam", "creation admin", "added-computer-account"),
    4768: ("authentication", "start", "kerberos-authentication-ticket-requested"),
    4769: ("authentication", "start", "kerberos-service-ticket-requested"),
    4771: ("authentication", "start", "kerberos-preauth-failed"),
    4776: ("authentication", "start", "credential-validated"),
    4781: ("iam", "user change", "renamed-user-account"),
    5136: ("iam configuration", "admin change", "directory-service-object-modified"),
    5140: ("network file", "info access", "network-share-object-accessed"),
    5145: ("network file", "info access", "network-share-object-access-checked"),
}


@pytest.mark.parametrize("event_id", KINDS)
def test_what_kind_of_audit_event_each_is(event_id: int) -> None:
    category, types, action = KINDS[event_id]
    infos = [ecs.describe(EventType("Security", event_id), f"event.{name}") for name in ("category", "type", "action")]
    told = [set(info.constant or ()) if info else set() for info in infos]
    assert (told[0], told[1]) == (set(category.split()), set(types.split()))
    assert action in told[2]


def test_accounts_that_were_changed_stand_beside_who_changed_them() -> None:
    names = ("user.name", "user.id", "user.target.name", "user.target.id")
    row = seen(security(4720), *names)
    assert [*row.values()] == ["alice", "S-1-5-21-1-2-3-1001", "bob", "S-1-5-21-1-2-3-1002"]
    member = security(4728, TargetUserName="Admins", MemberName=r"CN=Doe\, Jane,OU=x,DC=corp")
    names = ("group.name", "group.id", "user.name", "user.target.name")
    assert [*seen(member, *names).values()] == ["Admins", "S-1-5-21-1-2-3-1002", "alice", r"Doe\, Jane"]
    assert seen(security(4741), "winlog.computerObject.name")["winlog.computerObject.name"] == "bob"


def test_kerberos_names_are_without_their_realm() -> None:
    assert seen(security(4769, TargetUserName="alice@CORP.EXAMPLE"), "user.name")["user.name"] == "alice"


def test_files_on_shares() -> None:
    share = security(5145, ShareName=r"\\*\C$", ShareLocalPath=r"\??\C:", RelativeTargetName=r"Temp\x.dll")
    names = ("file.name", "file.extension", "file.path", "file.target_path")
    assert [*seen(share, *names).values()] == [r"Temp\x.dll", "dll", r"\??\C:\Temp\x.dll", r"\\*\C$\Temp\x.dll"]


def test_lists_are_there_whole_and_word_by_word() -> None:
    rights = "SeDebugPrivilege\n\t\t\tSeBackupPrivilege"
    name = "winlog.event_data.PrivilegeList"
    assert seen(security(4672, PrivilegeList=rights), name)[name] == [rights, "SeDebugPrivilege", "SeBackupPrivilege"]
    name = "winlog.event_data.AccessList"
    assert seen(security(5145, AccessList="%%4416 %%4417"), name)[name] == [
        "%%4416 %%4417",
        "%%4416",
        "%%4417",
        "4416",
        "4417",
    ]
    assert seen(security(5145, AccessList="-"), name)[name] is None


def test_flags_are_spelled_out() -> None:
    name = "winlog.event_data.NewUACList"
    assert seen(security(4738, NewUacValue="0x10010"), name)[name] == [
        "USER_NORMAL_ACCOUNT",
        "USER_DONT_REQUIRE_PREAUTH",
    ]
    assert seen(security(4738, NewUacValue="-"), name)[name] is None
    name = "winlog.event_data.TicketOptionsDescription"
    assert seen(security(4769, TicketOptions="0x40810000"), name)[name] == [
        "Forwardable",
        "Renewable",
        "Name-canonicalize",
    ]
    name = "winlog.event_data.AccessMaskDescription"
    assert seen(security(4662, AccessMask="0x100"), name)[name] == ["Control Access"]
    name = "winlog.event_data.TicketEncryptionTypeDescription"
    assert seen(security(4769, TicketEncryptionType="0x17"), name)[name] == "RC4-HMAC"


def test_what_elastic_makes_up_is_no_field_of_an_event() -> None:
    kind = EventType("Security", 4719)
    assert ecs.describe(kind, "winlog.event_data.SubCategory") is None
    assert ecs.describe(kind, "winlog.event_data.NewUACList") is None
    assert ecs.describe(kind, "winlog.event_data.SubcategoryGuid")


def test_any_field_of_any_event_of_the_channels_has_its_name_exactly() -> None:
    service = event(
        7045, 1, channel="System", ServiceName="x", ImagePath=r"C:\x.exe", provider="Service Control Manager"
    )
    row = seen(service, "winlog.event_data.ImagePath", "event.code", "event.provider", "data_stream.dataset")
    assert [*row.values()] == [r"C:\x.exe", "7045", "Service Control Manager", "system.system"]
    assert seen(service, "winlog.event_data.imagepath")["winlog.event_data.imagepath"] is None
    assert ecs.describe(EventType("System", 7045), "event.category") is None
    cleared = event(1102, 1, channel="Security", provider="Microsoft-Windows-Eventlog", SubjectUserName="alice")
    assert seen(cleared, "winlog.user_data.SubjectUserName", "user.name") == {
        "winlog.user_data.SubjectUserName": "alice",
        "user.name": "alice",
    }


def test_unnamed_data_is_numbered() -> None:
    row = event(6008, 1, channel="System", provider="EventLog", Data=["10:00", "", "x"])
    names = [f"winlog.event_data.param{n}" for n in (1, 2, 3, 4)]
    assert [*seen(row, *names).values()] == ["10:00", None, "x", None]
    named = event(7036, 1, channel="System", provider="Service Control Manager", param1="spooler")
    assert seen(named, names[0])[names[0]] == "spooler"


def test_events_that_rules_name_by_code_can_be_asked_for() -> None:
    kinds = ecs.event_types([4703, 9999])
    assert EventType("Security", 9999) in kinds
    assert EventType("System", 9999) in kinds
    assert EventType("Security", 9999) not in ecs.event_types()
    assert list(kinds) == sorted(set(kinds))
    info = ecs.describe(EventType("System", 9999), "winlog.event_data.param12")
    assert info
    assert info.columns == {"param12", "Data"}


def test_a_script_block() -> None:
    text = 'Get-ChildItem "C:\\" -Recurse'
    row = seen(
        event(
            4104,
            1,
            channel=POWERSHELL,
            provider="Microsoft-Windows-PowerShell",
            ScriptBlockText=text,
            ScriptBlockId="7",
            MessageNumber="1",
            MessageTotal="2",
            Path=r"C:\x\run.ps1",
            **{"System.UserID": "S-1-5-21-1"},
        )
    )
    assert row["powershell.file.script_block_text"] == row.get("winlog.event_data.ScriptBlockText", text) == text
    assert (row["powershell.sequence"], row["powershell.total"]) == (1, 2)
    assert (row["file.name"], row["file.directory"], row["file.extension"]) == ("run.ps1", r"C:\x", "ps1")
    assert (row["user.id"], row["event.category"], row["event.type"]) == ("S-1-5-21-1", ["process"], ["info"])


CONTEXT = """        Severity = Informational
        Host Name = ConsoleHost
        Host Version = 5.1
        Host ID = 79f1
        Host Application = powershell.exe -File "a b.ps1"
        Engine Version = 5.1
        Pipeline ID = 3
        Command Name = Get-Item
        Script Name = C:\\x\\run.ps1
        User = CORP\\alice
        Connected User = """


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_module_event_tells_its_host(ending: str) -> None:
    context = CONTEXT.replace("\n", ending)
    row = seen(event(4103, 1, channel=POWERSHELL, provider="Microsoft-Windows-PowerShell", ContextInfo=context))
    assert row["process.command_line"] == 'powershell.exe -File "a b.ps1"'
    assert row["process.args"] == ["powershell.exe", "-File", "a b.ps1"]
    assert (row["process.title"], row["powershell.command.name"]) == ("ConsoleHost", "Get-Item")
    assert (row["user.domain"], row["user.name"], row["file.name"]) == ("CORP", "alice", "run.ps1")
    assert row["process.entity_id"] == "ws01/79f1"


DETAILS = "\r\n".join(
    (
        "\tNewEngineState=Available",
        "\tPreviousEngineState=None",
        "",
        "\tHostApplication=powershell -c x",
        "\tUserId=CORP\\al",
    )
)


def test_the_classic_log_keeps_its_details_in_its_third_text_or_in_the_message() -> None:
    own = {"channel": "Windows PowerShell", "provider": "PowerShell"}
    names = ("process.args", "powershell.engine.new_state", "event.type", "winlog.event_data.param2")
    kept = event(400, 1, **own, Data=["Available", "None", DETAILS])
    assert [*seen(kept, *names).values()] == [["powershell", "-c", "x"], "Available", ["start"], "None"]
    rendered = event(
        400, 1, **own, **{"RenderingInfo.Message": f"Engine state is changed.\r\n\r\nDetails:\r\n{DETAILS}"}
    )
    assert [*seen(rendered, *names).values()] == [["powershell", "-c", "x"], "Available", ["start"], None]


def test_ids_of_a_table_are_met_once() -> None:
    from hunt.ecs import security_events

    listed = re.findall(r"\b\d{4}\b", security_events._TABLE)
    assert len(listed) == len(set(listed))
    assert set(map(int, listed)) <= security_events.EVENTS.keys()
