"""The committed samples are what the scenarios say, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from samples import safe_yaml
from samples.build import HERE, build, main, scenarios
from samples.evtx_writer import Event
from samples.scenario import Log
from samples.values import to_filetime, unix_second

MAX_TOTAL = 3_500_000  # bytes of committed logs
LOGS = [log for scenario in scenarios() for log in scenario.logs]
EXPECTED: dict[str, Any] = safe_yaml.read(HERE / "expected.yml")
AUDITED = {"SRV-AUDIT.contoso.example", "SRV-BARE.contoso.example"}  # without Sysmon: no GUIDs to join by
SCRIPT_HOSTS = {"rundll32", "mshta", "powershell", "pwsh", "cmd", "regsvr32", "cscript", "wscript"}


def test_the_committed_samples_are_rebuilt_byte_for_byte(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0
    assert capsys.readouterr().err == ""


def test_two_builds_are_alike() -> None:
    assert build(scenarios()) == build(scenarios())


def test_check_names_what_differs_and_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--out", str(tmp_path)]) == 0
    (tmp_path / "logs" / "security.evtx").write_bytes(b"other")
    (tmp_path / "logs" / "forwarded.evtx").unlink()
    (tmp_path / "logs" / "stray.evtx").touch()
    assert main(["--check", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "logs/stray.evtx: no scenario writes it",
        "logs/forwarded.evtx: missing",
        "logs/security.evtx: differs",
    ]


def test_the_samples_stay_small() -> None:
    assert sum(path.stat().st_size for path in HERE.glob("*/*.evtx")) < MAX_TOTAL


def test_expected_covers_every_sample() -> None:
    there = {path.relative_to(HERE).as_posix() for path in HERE.glob("*/*.evtx")}
    assert set(EXPECTED) == there


def starts() -> Iterator[tuple[Log, Event]]:
    for log in LOGS:
        for event in log.events:
            if event.provider == "Microsoft-Windows-Sysmon" and event.event_id == 1:
                yield log, event


def test_a_process_guid_holds_the_second_of_the_start() -> None:
    for log, event in starts():
        groups = event.field("ProcessGuid").strip("{}").split("-")
        if int(groups[0], 16):  # not the null GUID
            second = int(groups[2] + groups[1], 16)
            assert second == unix_second(to_filetime(event.field("UtcTime"))), (log.file, event.record_id)


def test_the_rule_itself_finds_what_is_expected_where_both_starts_are_logged() -> None:
    """A naive reading of the rule, over the events as they were given, agrees with expected.yml."""
    parents = {(event.computer.lower(), event.field("ProcessGuid")): event for _, event in starts()}
    found = {(child.computer, child.record_id) for _, child in starts() if is_match(child, parents)}
    owed = {
        (finding["host"], finding["record"])
        for entry in EXPECTED.values()
        for finding in entry["findings"]
        if (finding["query"], finding["grade"], finding["parent_start"]) == ("outlook-script-host", "direct", "event")
        if finding["parent_image"].rpartition("\\")[2].lower()[:-4] in SCRIPT_HOSTS  # not unsigned and new
        if finding["host"] not in AUDITED and finding["verdict"] == "match"
    }
    assert found == owed


def is_match(child: Event, parents: dict[tuple[str, str], Event]) -> bool:
    guid = child.field("ParentProcessGuid")
    parent = parents.get((child.computer.lower(), guid)) if guid.strip("{}0-") else None
    if parent is None or file_name(child) != "outlook.exe" or file_name(parent)[:-4] not in SCRIPT_HOSTS:
        return False
    distance = to_filetime(child.field("UtcTime")) - to_filetime(parent.field("UtcTime"))
    return 0 <= distance <= 60 * 10_000_000


def file_name(event: Event) -> str:
    return event.field("Image").rpartition("\\")[2].lower()


def test_the_readme_names_every_log_and_the_number_of_findings() -> None:
    text = (HERE / "README.md").read_text(encoding="utf-8")
    assert [path for path in EXPECTED if path.partition("/")[2] not in text] == []
    together = {
        (finding["query"], finding["host"], finding["record"], finding["verdict"])
        for path, entry in EXPECTED.items()
        if path.startswith("logs/")
        for finding in entry["findings"]
    }
    uncertain = [verdict for *_, verdict in together].count("uncertain")
    assert f"gives {len(together)} findings, two of them uncertain" in text
    assert uncertain == 2
