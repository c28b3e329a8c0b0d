"""`hunt run --allow`: what is suppressed stays, is marked and counted, and alarms nobody."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hunt.cli import main
from samples.evtx_writer import Event, sysmon_process, write_log
from tests.helpers import OUTLOOK, POWERSHELL, ROOT

SAMPLE = ROOT / "samples" / "allow-inventory-agent.yml"
FILE = r"C:\Program Files\Contoso Inventory\scripts\office.ps1"
SCRIPT = f'powershell.exe -NoProfile -ExecutionPolicy AllSigned -File "{FILE}"'
SYSTEM = {"User": r"NT-AUTORITÄT\SYSTEM", "LogonId": 0x3E7, "TerminalSessionId": 0}


def hunt(*arguments: object) -> Result:
    named = [str(argument) for argument in arguments]
    result = CliRunner().invoke(main, [*named, "-q", "outlook-script-host"])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def morning(script: str = SCRIPT, agent: str = r"C:\Program Files\Contoso Inventory\agent.exe") -> list[Event]:
    """The agent runs its script under SYSTEM; COM starts Outlook for it two seconds later."""
    svchost = r"C:\Windows\System32\svchost.exe"
    dcom = sysmon_process(
        Image=svchost, CommandLine=f"{svchost} -k DcomLaunch -p", time="2026-03-02 08:00:00", ProcessId=900, **SYSTEM
    )
    service = sysmon_process(Image=agent, time="2026-03-02 08:00:05", ProcessId=1000, **SYSTEM)
    shell = sysmon_process(
        Image=POWERSHELL, CommandLine=script, time="2026-03-02 08:50:00", ProcessId=2000, parent=service, **SYSTEM
    )
    outlook = sysmon_process(
        Image=OUTLOOK, CommandLine=f'"{OUTLOOK}" -Embedding', time="2026-03-02 08:50:02", ProcessId=3000, parent=dcom,
        **SYSTEM,
    )  # fmt: skip
    return [dcom, service, shell, outlook]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    write_log(tmp_path / "sysmon.evtx", morning())
    return tmp_path / "sysmon.evtx"


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "findings.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_inventory_agent_of_the_samples_is_suppressed_and_stays(log: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = hunt("run", log, "--allow", SAMPLE, "-o", out, "--fail-on", "informational")
    assert result.exit_code == 0
    (row,) = rows(out)
    reason = "Contoso Inventory reads Outlook's version through COM (change 2026-0117)"
    assert (row["target_image"], row["suppressed"]) == (OUTLOOK, reason)
    assert "1 finding (1 suppressed by the allowlist)" in result.stderr
    assert result.stdout.rstrip("\n").endswith(reason)
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["allowlist"]["sha256"] == hashlib.sha256(SAMPLE.read_bytes()).hexdigest()
    assert [entry["suppressed"] for entry in manifest["allowlist"]["entries"]] == [1, 0]
    assert (manifest["findings"], manifest["findings_suppressed"]) == (1, 1)
    assert manifest["options"]["allow"] == str(SAMPLE)


@pytest.mark.parametrize(
    "other",
    [
        {"script": SCRIPT.replace("office.ps1", "evil.ps1")},
        {"script": f"{SCRIPT}; Get-Mail"},
        {"agent": r"C:\Users\Public\Contoso Inventory\agent.exe"},
    ],
)
def test_what_only_resembles_the_agent_alarms(tmp_path: Path, other: dict[str, str]) -> None:
    write_log(tmp_path / "sysmon.evtx", morning(**other))
    result = hunt("run", tmp_path / "sysmon.evtx", "--allow", SAMPLE, "--fail-on", "informational")
    assert result.exit_code == 1
    assert "suppressed" not in result.stderr


def test_without_an_allowlist_it_alarms(log: Path) -> None:
    assert hunt("run", log, "--fail-on", "informational").exit_code == 1


@pytest.mark.parametrize("shown", ["table", "csv", "jsonl"])
def test_every_output_marks_what_is_suppressed(log: Path, shown: str) -> None:
    result = hunt("run", log, "--allow", SAMPLE, "--format", shown)
    assert "reads Outlook's version through COM (change 2026-0117)" in result.stdout


def test_an_entry_that_expired_is_said(log: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.yml"
    old.write_text(SAMPLE.read_text(encoding="utf-8").replace("2031-12-31", "2026-01-31"), encoding="utf-8")
    result = hunt("run", log, "--allow", old, "--fail-on", "informational")
    assert result.exit_code == 1
    assert "old.yml: entry 1 expired on 2026-01-31 and does nothing" in result.stderr


def test_a_name_alone_is_refused_before_anything_is_read(log: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yml"
    bad.write_text("- image: agent.exe\n  reason: trust me\n", encoding="utf-8")
    result = hunt("run", log, "--allow", bad, "-o", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"hunt: {bad}: entry 1 (line 1): matches image alone")
    assert not (tmp_path / "out").exists()
