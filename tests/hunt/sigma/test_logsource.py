"""Which events a log source means, and that one rule reads Sysmon's words in Security's."""

from __future__ import annotations

from pathlib import Path

import pytest

from hunt import coverage, hunting, registry
from hunt.events import Events
from hunt.model import SYSMON, Status
from hunt.rules.model import Loaded, RuleError, Unusable
from hunt.sigma.document import Logsource
from hunt.sigma.logsource import CATEGORIES, SERVICES, sources
from tests.helpers import Row, batch, event, start
from tests.hunt.sigma.given import events, found, loaded, matched, rule, selection

AUDITING = "Microsoft-Windows-Security-Auditing"


def audited(event_id: int, at: int = 0, **fields: str) -> Row:
    return event(event_id, at, channel="Security", provider=AUDITING, **fields)


def started(at: int = 0, **fields: str) -> Row:
    likely = {
        "SubjectUserSid": "S-1-5-21-1-2-3-1001",
        "SubjectUserName": "alice",
        "SubjectDomainName": "CONTOSO",
        "SubjectLogonId": "0x53ca2",
        "NewProcessId": "0x1267",
        "NewProcessName": "C:\\Windows\\System32\\cmd.exe",
        "ProcessId": "0xc30",
        "ParentProcessName": "C:\\Windows\\explorer.exe",
        "CommandLine": "cmd /c dir",
        "MandatoryLabel": "S-1-16-12288",
        "TargetUserSid": "S-1-0-0",
        "TargetUserName": "-",
        "TargetDomainName": "-",
        "TargetLogonId": "0x0",
    }
    return audited(4688, at, **likely | fields)


def test_a_process_start_of_the_security_log_reads_like_sysmons(tmp_path: Path) -> None:
    matches = {
        "Image|endswith: '\\CMD.exe'": True,
        "ParentImage|endswith: '\\explorer.exe'": True,
        "CommandLine|contains: /c": True,
        "User: 'contoso\\alice'": True,
        "IntegrityLevel: High": True,
        "IntegrityLevel: 'S-1-16-12288'": True,
        "IntegrityLevel: System": False,
        "ProcessId: 4711": True,
        "ParentProcessId: 3120": True,
        "LogonId: '0x53ca2'": True,
        "OriginalFileName: null": True,
    }
    assert met(tmp_path, [rule(selection(line)) for line in matches], [started()]) == [
        [0] * m for m in matches.values()
    ]


def met(folder: Path, rules: list[str], rows: list[Row]) -> list[list[int]]:
    """Which of some events each of some rules matches."""
    parts = loaded(folder, *rules)
    case = events(rows, parts)
    return [found(part, case, rows) for part in parts]


@pytest.mark.parametrize(
    ("fields", "user"),
    [
        ({"SubjectUserSid": "S-1-5-18", "SubjectUserName": "WS01$"}, "NT AUTHORITY\\SYSTEM"),
        ({"TargetUserSid": "S-1-5-19", "TargetUserName": "LOCAL SERVICE"}, "NT AUTHORITY\\LOCAL SERVICE"),
        ({"TargetUserSid": "S-1-5-21-9", "TargetUserName": "bob", "TargetDomainName": "FABRIKAM"}, "FABRIKAM\\bob"),
        ({"SubjectDomainName": "-"}, "alice"),
    ],
)
def test_the_user_is_whose_the_new_process_is(fields: dict[str, str], user: str, tmp_path: Path) -> None:
    assert matched(tmp_path, rule(selection(f"User: '{user}'")), started(**fields)) == [0]


def test_a_rule_on_fields_that_only_sysmon_has_does_not_ask_for_the_security_log(tmp_path: Path) -> None:
    both, one = loaded(
        tmp_path, rule(selection("CommandLine|contains: x")), rule(selection("OriginalFileName: cmd.exe", "Image: x"))
    )
    assert _kinds(both) == [(SYSMON, 1), ("Security", 4688)]
    assert _kinds(one) == [(SYSMON, 1)]


def test_what_the_security_log_never_tells_is_said_where_it_is_read(tmp_path: Path) -> None:
    (part,) = loaded(
        tmp_path,
        rule(
            "a: {Image|endswith: cmd.exe}\nb: {OriginalFileName: cmd.exe}\nnull_: {Product: null}\n"
            "but: {ParentCommandLine|contains: good, ParentUser: null, User: x}\n",
            condition="(a or b or null_) and not but",
        ),
    )
    assert isinstance(part, Loaded)
    sysmon, security = part.hunt.any_of[0]
    assert sysmon.excludes == {"ParentCommandLine", "ParentUser", "User"}
    # What lacks a field meets `null`: an exclusion by that leaves out too much, a selection finds too much.
    assert {"OriginalFileName", "ParentUser"} <= security.columns - security.excludes
    assert {"ParentCommandLine", "Product"} <= security.excludes

    rows = [
        started(0),
        start("C:\\cmd.exe", 1, host="WS02", ParentCommandLine="bad"),
        start("C:\\cmd.exe", 2, host="WS02", ParentCommandLine="good", User="x"),
    ]
    case, seen = Events(part.hunt.wanted), coverage.Seen(Events(part.hunt.wanted).wants())
    seen.before(case.add)(batch(*rows))
    reason = coverage.evaluate(case, seen, registry.Query(part.hunt, "a.yml", ours=False)).reason
    never = "ParentCommandLine, Product"
    assert f"no {never} in event 4688 of Security on 1 of 2 hosts: what the rule leaves out by them is not" in reason
    assert "no OriginalFileName, ParentUser in event 4688 of Security on 1 of 2 hosts: what they tell is not" in reason
    told = hunting.gather(case, [part.hunt])[0].sort("host")
    assert told["host"].to_list() == ["WS01", "WS02"]
    assert told["reason"][0] == f"A rule; event 4688 of Security never tells {never}, by which the rule leaves some out"
    assert told["reason"][1] == "A rule"


def _kinds(part: Loaded | Unusable) -> list[tuple[str, int]]:
    assert isinstance(part, Loaded)
    return [(need.channel, need.event_id) for group in part.hunt.any_of for need in group]


def test_a_need_says_without_which_fields_nothing_can_match(tmp_path: Path) -> None:
    text = rule(
        "a: {Image|endswith: x, CommandLine|contains: [y, z]}\nb: {Image: q}\nbut: {User: null}\n",
        condition="(a or b) and not but",
    )
    (part,) = loaded(tmp_path, text)
    assert isinstance(part, Loaded)
    sysmon = part.hunt.any_of[0][0]
    assert sysmon.columns == {"Image", "CommandLine", "User"}
    assert sysmon.keys == {"Image", "User"}


REGISTRY = [
    event(12, 0, EventType="CreateKey", TargetObject="HKLM\\a"),
    event(12, 1, EventType="DeleteKey", TargetObject="HKLM\\a"),
    event(12, 2, EventType="DeleteValue", TargetObject="HKLM\\a"),
    event(13, 3, EventType="SetValue", TargetObject="HKLM\\a", Details="DWORD (0x00000001)"),
    event(14, 4, EventType="RenameKey", TargetObject="HKLM\\a", NewName="HKLM\\b"),
    audited(
        4657, 5, ObjectName="\\REGISTRY\\MACHINE\\SYSTEM\\ControlSet001\\Services\\x", ObjectValueName="Start",
        OperationType="%%1905", NewValueType="%%1876", NewValue="4", ProcessName="C:\\Windows\\regedit.exe",
    ),
    audited(4657, 6, ObjectName="\\REGISTRY\\USER\\S-1-5-21\\a", ObjectValueName="v", OperationType="%%1906"),
]  # fmt: skip


def test_registry_events_by_what_they_do(tmp_path: Path) -> None:
    places = {
        ("registry_add", "TargetObject|startswith: HKLM"): [0],
        ("registry_delete", "TargetObject|startswith: HK"): [1, 2, 6],
        ("registry_set", "TargetObject|startswith: HK"): [3, 5],
        ("registry_event", "TargetObject|startswith: HK"): [0, 1, 2, 3, 4, 5, 6],
        ("registry_rename", "NewName|endswith: b"): [4],
        ("registry_set", "EventType: DeleteValue"): [6],
        ("registry_set", "Details: DWORD (0x00000004)"): [5],
        ("registry_set", "Image|endswith: '\\regedit.exe'"): [5],
        ("registry_set", "TargetObject: 'HKLM\\SYSTEM\\CurrentControlSet\\Services\\x\\Start'"): [5],
        ("registry_event", "TargetObject: 'HKU\\S-1-5-21\\a\\v'"): [6],
    }
    rules = [rule(selection(line), f"category: {category}") for category, line in places]
    assert met(tmp_path, rules, REGISTRY) == [*places.values()]


def test_a_connection_of_the_filtering_platform_reads_like_sysmons(tmp_path: Path) -> None:
    row = audited(
        5156, 0, Application="\\device\\harddiskvolume1\\windows\\system32\\nc.exe", Direction="%%14593",
        SourceAddress="10.0.0.1", DestAddress="10.9.8.7", DestPort="4444", Protocol="6", ProcessID="4711",
    ) | {"System.ProcessID": "4"}  # fmt: skip
    lines = (
        "Image|endswith: '\\nc.exe'",
        "Initiated: 'true'",
        "DestinationIp|cidr: 10.9.0.0/16",
        "DestinationPort: 4444",
        "Protocol: tcp",
        "ProcessId: 4711",
    )
    assert matched(tmp_path, rule(selection(*lines), "category: network_connection"), row) == [0]


@pytest.mark.parametrize("told", ["Data", "RenderingInfo.Message"])
def test_classic_powershell_tells_its_fields_in_one_text(told: str, tmp_path: Path) -> None:
    lines = ("NewEngineState=Available", "HostName=ConsoleHost", "HostApplication=powershell -enc ZQ==")
    text = "".join(f"\t{line}\r\n\r\n" for line in (*lines, "EngineVersion=2.0"))
    row = event(400, 0, channel="Windows PowerShell", **{told: ["Available", "None", text] if told == "Data" else text})
    starts = "category: ps_classic_start"
    assert matched(
        tmp_path, rule(selection("HostApplication|contains: ' -enc '", "EngineVersion|startswith: '2.'"), starts), row
    ) == [0]
    assert matched(
        tmp_path, rule(selection("Data|contains|all: ['HostApplication=powershell', 'EngineVersion=2']"), starts), row
    ) == [0]
    assert matched(tmp_path, rule(selection("HostName: Other"), starts), row) == []


def test_both_powershells_are_read(tmp_path: Path) -> None:
    rows = [
        event(4104, n, channel=channel, provider=channel.partition("/")[0], ScriptBlockText="Invoke-It")
        for n, channel in enumerate(("Microsoft-Windows-PowerShell/Operational", "PowerShellCore/Operational"))
    ]
    assert matched(tmp_path, rule(selection("ScriptBlockText|contains: invoke-it"), "category: ps_script"), *rows) == [
        0,
        1,
    ]


def test_hashes_are_fields_of_their_own(tmp_path: Path) -> None:
    rows = [
        event(7, 0, ImageLoaded="a", Hashes="SHA256=AB12,IMPHASH=CD34"),
        event(15, 1, TargetFilename="b", Hash="MD5=EF,IMPHASH=CD34"),
    ]
    assert matched(tmp_path, rule(selection("Imphash: cd34"), "category: image_load"), *rows) == [0]
    assert matched(
        tmp_path, rule(selection("Hashes|contains: 'IMPHASH=CD34'"), "category: create_stream_hash"), *rows
    ) == [1]
    assert matched(tmp_path, rule(selection("sha256: ab1"), "category: image_load"), *rows) == []


def test_defenders_fields_have_names_of_several_words(tmp_path: Path) -> None:
    row = event(
        1116, 0, channel="Microsoft-Windows-Windows Defender/Operational", **{"Threat Name": "EICAR", "Path": "x"}
    )
    assert matched(
        tmp_path, rule(selection("ThreatName|contains: eicar", "EventID: 1116"), "service: windefend"), row
    ) == [0]


def test_what_defender_found_is_told_by_rules_for_any_antivirus(tmp_path: Path) -> None:
    channel = "Microsoft-Windows-Windows Defender/Operational"
    rows = [
        event(1116, 0, channel=channel, **{"Threat Name": "HackTool:Win32/Mimikatz", "Path": "file:_C:\\x\\m.exe"}),
        event(5001, 1, channel=channel, **{"Threat Name": "HackTool:Win32/Mimikatz"}),
    ]
    text = rule(selection("Signature|contains: mimikatz", "Filename|endswith: '.exe'"), "category: antivirus")
    assert matched(tmp_path, text.replace("  product: windows\n", ""), *rows) == [0]


def test_what_every_event_has_goes_by_several_names(tmp_path: Path) -> None:
    row = event(7, 0, channel="System", provider="disk", host="WS01.contoso.example", **{"System.Level": "2"})
    for line in (
        "Provider_Name: DISK",
        "SourceName: disk",
        "Computer|startswith: ws01",
        "Level: 2",
        "Channel: system",
        "EventID: '7'",
    ):
        assert matched(tmp_path, rule(selection(line), "service: system"), row) == [0], line
    own = event(8, 1, channel="System", provider="disk", Level="high")
    assert matched(tmp_path, rule(selection("Level: high"), "service: system"), row, own) == [1]


def test_a_rule_may_choose_channels_itself(tmp_path: Path) -> None:
    rows = [event(5, n, channel=channel, A="x") for n, channel in enumerate(("One", "Two", "Three"))]
    assert matched(tmp_path, rule(selection("Channel: [one, Three]", "A: x"), ""), *rows) == [0, 2]
    assert matched(
        tmp_path, rule("selection: {A: x}\nbut: {Channel: Two}\n", "", condition="selection and not but"), *rows
    ) == [0, 2]
    (part,) = loaded(tmp_path, rule(selection("Channel: One", "EventID: 5"), ""))
    assert _kinds(part) == [("One", 5)]
    assert found(part, events(rows, [part]), rows) == [0]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (Logsource("process_creation", "linux"), "no Windows event log"),
        (Logsource(None, "windows", "nope"), "service nope"),
        (Logsource("nope", "windows"), "category nope"),
        (Logsource("process_creation", "windows", "system"), "no event is known"),
    ],
)
def test_a_log_source_that_no_windows_log_has_is_not_supported(asked: Logsource, says: str) -> None:
    with pytest.raises(RuleError, match=says) as raised:
        sources(asked)
    assert raised.value.status is Status.UNSUPPORTED


def test_a_rule_that_no_event_can_meet_is_not_evaluable(tmp_path: Path) -> None:
    (part,) = loaded(tmp_path, rule(selection("EventID: 5"), "category: process_creation"))
    assert isinstance(part, Unusable)
    assert part.error.status is Status.NOT_EVALUABLE


def test_every_log_source_names_a_channel() -> None:
    assert all(channel for channels in SERVICES.values() for channel in channels)
    assert all(source.channel and source.event_ids for of in CATEGORIES.values() for source in of)
