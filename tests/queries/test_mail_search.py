"""Mail searched from a host: scripts that PowerShell wrote down, and what Sysmon saw of Exchange's web services."""

from __future__ import annotations

from typing import Any

import pytest

from tests.helpers import POWERSHELL, Row, event, guid
from tests.queries.cmdlets import found

OPERATIONAL = "Microsoft-Windows-PowerShell/Operational"
EWS = "New-Object Microsoft.Exchange.WebServices.Data.ExchangeService"
HOST_ID = "HostId=0b7a1d6e-3f0f-4b1e-8a55-0b7a1d6e3f0f"


def block(text: str, number: int = 1, total: int = 1, name: str = "a", **columns: Any) -> Row:
    own = {"ScriptBlockText": text, "ScriptBlockId": name, "MessageNumber": str(number), "MessageTotal": str(total)}
    return event(4104, number, channel=OPERATIONAL, provider="Microsoft-Windows-PowerShell", **own, **columns)


SCRIPTS: dict[str, str | None] = {
    "Invoke-SelfSearch -Mailbox alice@contoso.example": "high",
    "iNv`OkE-gLoBaLmAiLsEaRcH": "high",
    "& ('Invoke-Self' + 'Search')": "high",
    f"$s = {EWS}; $s.FindItems('Inbox', [Microsoft.Exchange.WebServices.Data.ItemView]::new(9))": "medium",
    f"$s = {EWS}; $s.ImpersonatedUserId = $u; $s.FindItems('Inbox', $v)": "high",
    f"$s = {EWS}; $s.FindItems('Inbox', $v) | ? {{ $_.Attachments }} | % {{ [FileAttachment]$_ }}": "high",
    f"$s = {EWS}; $s.AutodiscoverUrl('probe@contoso.example'); 'EWS answers'": "informational",
    "Get-Mailbox -ResultSize Unlimited | % { Search-Mailbox $_ -TargetMailbox alice -SearchQuery vpn }": "medium",
    "Search-Mailbox bob -EstimateResultOnly -SearchQuery spam": "low",
    "Invoke-RestMethod https://graph.microsoft.com/v1.0/me/messages": "medium",
    'foreach ($u in $users) { irm "https://graph.microsoft.com/v1.0/users/$u/messages" }': "high",
    '$g = "https://graph.microsoft.com/beta"; irm "$g/me/mailFolders/inbox"': "medium",
    '$b = @{entityTypes = @("message")}; irm https://graph.microsoft.com/v1.0/search/query -Body $b': "medium",
    "irm https://outlook.office.com/api/v2.0/me/messages": "medium",
    "irm https://graph.microsoft.com/v1.0/me/calendar": None,
    'irm "https://graph.microsoft.com/v1.0/search/query" -Body @{entityTypes = @("driveItem")}': None,
    "Get-GlobalAddressList | Export-Csv gal.csv": "low",
    "Get-MailboxStatistics bob | select TotalItemSize": None,
    "Get-ChildItem C:\\": None,
}


def test_each_script_has_its_weight() -> None:
    rows = found("mail-search-script", *(block(text, name=str(n)) for n, text in enumerate(SCRIPTS)))
    assert {row["command_line"]: row["severity"] for row in rows} == {k: v for k, v in SCRIPTS.items() if v}


def test_parts_of_a_script_are_one_text() -> None:
    (row,) = found("mail-search-script", block("x; Invoke-Glob", 1, 2), block("alMailSearch", 2, 2))
    assert (row["severity"], row["events"]) == ("high", 2)
    assert found("mail-search-script", block("Invoke-Glob", 1, 2), block("alMailSearch", 2, 2, name="b")) == []


def test_what_lies_among_exchanges_own_scripts_is_informational_unless_it_is_mailsniper() -> None:
    own = r"C:\Program Files\Microsoft\Exchange Server\V15\Scripts\Test.ps1"
    text = f"{EWS}; $s.ImpersonatedUserId = $u; $s.FindItems($i)"
    assert [row["severity"] for row in found("mail-search-script", block(text, Path=own))] == ["informational"]
    assert [row["severity"] for row in found("mail-search-script", block("Invoke-SelfSearch", Path=own))] == ["high"]


def test_pipelines_of_one_host_are_one_finding() -> None:
    rows = [
        event(
            800,
            n,
            channel="Windows PowerShell",
            provider="PowerShell",
            Data=["Invoke-SelfSearch -Mailbox x", HOST_ID, ""],
        )
        for n in range(3)
    ]
    (row,) = found("mail-search-script", *rows)
    assert (row["severity"], row["events"]) == ("high", 3)


def load(image: str, process: str, dll: str = "Microsoft.Exchange.WebServices.dll", **columns: Any) -> Row:
    own = {
        "Image": image,
        "ProcessGuid": process,
        "ProcessId": "7",
        "ImageLoaded": dll if "\\" in dll else rf"C:\t\{dll}",
    }
    return event(7, 1, **(own | columns))


def ask(image: str, process: str, name: str, **columns: Any) -> Row:
    return event(22, 2, Image=image, ProcessGuid=process, ProcessId="7", QueryName=name, **columns)


WSCRIPT, TOOL = r"C:\Windows\System32\wscript.exe", r"C:\Users\alice\tool.exe"
A, B = guid(1), guid(2)
EWS_CASES: list[tuple[list[Row], list[str]]] = [
    ([load(POWERSHELL, A)], ["medium"]),
    ([load(POWERSHELL, A), ask(POWERSHELL, A, "outlook.office365.com")], ["high"]),
    ([load(POWERSHELL, A), ask(POWERSHELL, B, "outlook.office365.com")], ["medium", "informational"]),
    ([load(POWERSHELL, A), ask(POWERSHELL, A, "outlook.office365.com", host="WS02")], ["medium", "informational"]),
    ([ask(POWERSHELL, A, "autodiscover.contoso.example")], ["low"]),
    ([ask(WSCRIPT, A, "graph.microsoft.com")], ["medium"]),
    ([ask(POWERSHELL, A, "www.contoso.example")], []),
    ([ask(r"C:\Program Files\x\OUTLOOK.EXE", A, "outlook.office365.com")], []),
    ([load(TOOL, A)], ["low"]),
    ([load(r"C:\Program Files\x\tool.exe", A)], []),
    ([load(TOOL, A), load(TOOL, A, TOOL, Signed="false", SignatureStatus="Unavailable")], ["medium"]),
    ([load(POWERSHELL, A, "System.dll")], []),
]


@pytest.mark.parametrize(("rows", "owed"), EWS_CASES, ids=range(len(EWS_CASES)))
def test_exchanges_web_services_by_script_hosts(rows: list[Row], owed: list[str]) -> None:
    assert sorted(row["severity"] for row in found("mail-search-ews", *rows)) == sorted(owed)
