"""The Python interface gives what the command line gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import hunt
from hunt.errors import EvidenceError, QueryError
from samples.evtx_writer import Event, sysmon_process, write_log
from tests.helpers import OUTLOOK, POWERSHELL, ROOT


@pytest.fixture
def log(tmp_path: Path) -> Path:
    parent = sysmon_process(Image=POWERSHELL, time="2026-03-02 08:15:00", host="WS01")
    child = sysmon_process(Image=OUTLOOK, time="2026-03-02 08:15:02", host="WS01", parent=parent)
    logon = Event("Microsoft-Windows-Security-Auditing", 4624, "Security", "WS02", "2026-03-02 08:00:00")
    return write_log(tmp_path / "a.evtx", [parent, child, logon])


def test_types_hosts_and_frames_are_those_of_the_evidence(log: Path) -> None:
    case = hunt.open(log)
    assert case.types().select("channel", "event_id", "records", "hosts").rows() == [
        ("Microsoft-Windows-Sysmon/Operational", 1, 2, 1),
        ("Security", 4624, 1, 1),
    ]
    assert case.hosts() == ("WS01", "WS02")
    assert case.problems() == ()
    for channel in ("sysmon", "MICROSOFT-WINDOWS-SYSMON/OPERATIONAL"):
        assert case.frame(channel, 1).collect()["Image"].to_list() == [POWERSHELL, OUTLOOK]
    assert case.frame("Security", 4688).collect().height == 0


def test_processes_and_lineage_are_read_once_for_both(log: Path) -> None:
    case = hunt.open(log)
    assert {POWERSHELL, OUTLOOK} <= set(case.processes.collect()["image"])
    log.unlink()
    assert case.lineage.collect().height == 0


def test_runs_are_those_of_the_command_line(log: Path) -> None:
    case = hunt.open(log, jobs=1)
    report = case.run("outlook-script-host")
    assert report.findings.select("image", "target_image").rows() == [(POWERSHELL, OUTLOOK)]
    assert case.run("outlook-script-host", window_s=1).findings.height == 0
    assert case.eql('process where process.name : "outlook.exe"').findings.height == 1
    assert case.coverage("outlook-script-host").hosts == ("WS01", "WS02")


def test_damage_is_told(log: Path) -> None:
    log.write_bytes(log.read_bytes()[:4608] + b"\0" * 60928)
    assert {problem.kind for problem in hunt.open(log).problems()} == {"chunk", "record"}


def test_what_is_not_there_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="no such file or folder"):
        hunt.open(tmp_path / "none")
    with pytest.raises(EvidenceError, match="no evidence named"):
        hunt.open()


def test_what_is_no_query_is_an_error(log: Path) -> None:
    with pytest.raises(QueryError, match="no query is called"):
        hunt.open(log).run("nothing")


def test_importing_the_package_imports_no_polars() -> None:
    code = "import hunt, sys; sys.exit('polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_names_that_are_not_there_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        hunt.nothing  # noqa: B018 - asked for, to see it fail
