"""The two rules of ours in Sigma's words: what they see in the sample that was made for them, and what they do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from hunt import registry
from hunt.model import SYSMON
from hunt.registry import Query
from tests.helpers import OUTLOOK, POWERSHELL, Row, case, event, moment, start


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path))


def query(name: str) -> Query:
    (found,) = registry.select([name])
    return found


def found(name: str, *rows: Row) -> list[list[int]]:
    """The events of each finding, by their place."""
    places = {int(row["record_id"]): place for place, row in enumerate(rows)}
    findings = query(name).hunt.find(case(*rows)).collect()
    return [[places[one["record_id"]] for one in events] for events in findings["events"].to_list()]


def named(host: str) -> Row:
    return start(f"C:\\Windows\\System32\\{host}", CommandLine=f"{host} x")


@pytest.mark.parametrize(
    "host",
    [
        "rundll32.exe",
        "mshta.exe",
        "PowerShell.exe",
        "pwsh.exe",
        "cmd.exe",
        "regsvr32.exe",
        "cscript.exe",
        "wscript.exe",
    ],
)
def test_each_script_host_that_starts_outlook_is_found(host: str) -> None:
    assert found("outlook-com-scripting-host", named(host), start(OUTLOOK, parent=named(host))) == [[1]]


@pytest.mark.parametrize(
    "command_line",
    [
        "powershell -c New-Object -ComObject outlook.application",
        "powershell Add-Type -AssemblyName Microsoft.Office.Interop.Outlook",
        "powershell [Activator]::CreateInstance([Type]::GetTypeFromCLSID('0006f03a-0000-0000-c000-000000000046'))",
    ],
)
def test_a_script_host_that_names_outlooks_object_is_found(command_line: str) -> None:
    assert found("outlook-com-scripting-host", start(POWERSHELL, CommandLine=command_line)) == [[0]]


def test_near_misses_of_script_hosts() -> None:
    rows = (
        start(OUTLOOK),  # from the desktop
        start(OUTLOOK, parent=named("xcmd.exe")),
        start("C:\\x\\NOTOUTLOOK.EXE", parent=named("cmd.exe")),
        start(POWERSHELL, CommandLine="powershell -c Get-Process outlook"),
        start("C:\\x\\csc.exe", CommandLine="csc /r:Microsoft.Office.Interop.Outlook.dll"),
    )
    assert found("outlook-com-scripting-host", *rows) == []


def test_a_start_that_only_the_security_log_has_is_found() -> None:
    row = event(
        4688, channel="Security", provider="Microsoft-Windows-Security-Auditing", NewProcessName=OUTLOOK,
        ParentProcessName="C:\\Windows\\System32\\mshta.exe",
    )  # fmt: skip
    assert found("outlook-com-scripting-host", row) == [[0]]


PROGRAM = "C:\\Users\\alice\\Downloads\\Viewer.exe"


def new_program(written: float, started: float, **changed: str) -> tuple[Row, Row]:
    file = event(11, written, UtcTime=moment(written), TargetFilename=PROGRAM, Image="C:\\edge.exe")
    return file, start(OUTLOOK, started, ParentImage=PROGRAM.lower()) | changed


@pytest.mark.parametrize(
    ("written", "started", "fires"), [(0, 120, True), (0, 500, True), (0, 500.001, False), (120, 0, False)]
)
def test_a_program_that_was_just_written_starts_outlook(written: float, started: float, fires: bool) -> None:
    assert found("outlook-com-new-process", *new_program(written, started)) == ([[0, 1]] if fires else [])


def test_near_misses_of_new_programs() -> None:
    assert found("outlook-com-new-process", *new_program(0, 9, host="WS02")) == []
    assert found("outlook-com-new-process", *new_program(0, 9, ParentImage="C:\\other.exe")) == []
    assert found("outlook-com-new-process", *new_program(0, 9, Image="C:\\x\\winword.exe")) == []


def test_they_say_what_they_need_and_run_on_request() -> None:
    written, started = query("outlook-com-new-process").hunt.any_of
    assert [need.event_type for need in written] == [(SYSMON, 11)]
    assert [need.event_type for need in started] == [(SYSMON, 1), ("Security", 4688)]
    titles = [query(name).hunt.title for name in ("outlook-com-scripting-host", "outlook-com-new-process")]
    assert titles == ["Suspicious Outlook COM abuse by Scripting Host", "Suspicious Outlook COM abuse by New Process"]
    assert {one.hunt.id for one in registry.select([])}.isdisjoint(
        {"outlook-com-scripting-host", "outlook-com-new-process"}
    )


def test_the_sample_shows_three_of_them(samples: Path) -> None:
    from hunt import pipeline

    names = ("outlook-com-new-process", "outlook-com-scripting-host")
    report = pipeline.run(pipeline.Request([samples / "logs" / "com-automation.evtx"], names))
    told = report.findings.select("query", "host", "image", "span_seconds").rows()
    powershell = "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe"
    edge = "C:\\Program Files (x86)\\Microsoft\\Edge\\Application\\msedge.exe"
    assert told == [
        ("outlook-com-scripting-host", "WS-AUTO.contoso.example", powershell, None),
        ("outlook-com-new-process", "WS-NEW.contoso.example", edge, 120.0),
        ("outlook-com-scripting-host", "WS-AUTO.contoso.example", OUTLOOK, None),
    ]
