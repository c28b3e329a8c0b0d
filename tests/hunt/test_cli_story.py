"""`hunt run -o OUT` keeps stories, `hunt show-finding` tells one of them without the evidence."""

from __future__ import annotations

import csv
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hunt import pipeline
from hunt.cli import main
from hunt.output import _files
from samples.evtx_writer import Event, sysmon_event, sysmon_process, write_log
from tests.helpers import OUTLOOK, POWERSHELL, quickly

HOST = "WS01.contoso.example"


def hunt(*arguments: object, every: bool = False) -> Result:
    result = CliRunner().invoke(main, quickly(arguments, every))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def theft() -> list[Event]:
    user = {"host": HOST, "User": r"CONTOSO\alice", "LogonId": 0x53CA2}
    parent = sysmon_process(
        Image=POWERSHELL, time="2026-03-02 08:15:00", CommandLine="powershell.exe \x1b[31m=x", ProcessId=4244, **user
    )
    outlook = sysmon_process(Image=OUTLOOK, time="2026-03-02 08:15:02", parent=parent, ProcessId=5120, **user)
    of_outlook = {"host": HOST, "Image": OUTLOOK, "ProcessGuid": outlook.field("ProcessGuid"), "ProcessId": 5120}
    return [
        parent,
        outlook,
        sysmon_event(11, time="2026-03-02 08:15:30", TargetFilename=r"C:\t\mail.pst", **of_outlook),
        sysmon_event(22, time="2026-03-02 08:15:31", QueryName="drop.example", QueryStatus="0", **of_outlook),
        sysmon_event(
            3, time="2026-03-02 08:15:32", Initiated=True, SourceIp="10.0.0.1", DestinationIp="203.0.113.66",
            DestinationPort=443, Protocol="tcp", **of_outlook,
        ),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run wrote; its evidence is gone."""
    folder = tmp_path_factory.mktemp("run")
    write_log(folder / "sysmon.evtx", theft())
    assert hunt("run", folder / "sysmon.evtx", "-q", "outlook-script-host", "-o", folder / "out").exit_code == 0
    (folder / "sysmon.evtx").unlink()
    return folder / "out"


@pytest.fixture
def out(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "out"))


def finding_id(out: Path) -> str:
    with (out / "findings.csv").open(encoding="utf-8", newline="") as file:
        return next(csv.DictReader(file))["finding_id"]


def test_the_story_stands_in_story_csv_with_all_fields_of_its_events(out: Path) -> None:
    with (out / "story.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["finding_id"] for row in rows} == {finding_id(out)}
    (network,) = [row for row in rows if row["step"] == "network"]
    assert (network["subject"], network["pid"], network["event_id"]) == ("target", "5120", "3")
    fields = json.loads(network["fields"])
    assert (fields["DestinationIp"], fields["Protocol"], fields["SourceIp"]) == ("203.0.113.66", "tcp", "10.0.0.1")
    (place,) = json.loads(network["sources"])
    assert place["path"] == "sysmon.evtx"


def test_show_finding_tells_it_from_the_beginning_of_its_id(out: Path) -> None:
    result = hunt("show-finding", finding_id(out)[:6].upper(), "-o", out)
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"{finding_id(out)}: Outlook started by a script host" in result.stdout
    for line in (
        "OUTLOOK.EXE (5120) connected to 203.0.113.66 port 443 tcp",
        "OUTLOOK.EXE (5120) asked for drop.example: no answer",
        r"OUTLOOK.EXE (5120) wrote C:\t\mail.pst",
        "  no event 4624 of Security on this host: from where the user came is not known",
        "the Sysmon log of this host ends at",
    ):
        assert line in result.stdout


def test_what_is_printed_is_harmless(out: Path) -> None:
    shown = hunt("show-finding", finding_id(out), "-o", out).stdout
    assert "\x1b" not in shown
    assert r"powershell.exe \x1b[31m=x" in shown


def test_the_same_evidence_gives_the_same_story(out: Path, tmp_path: Path) -> None:
    write_log(tmp_path / "sysmon.evtx", theft())
    hunt("run", tmp_path / "sysmon.evtx", "-q", "outlook-script-host", "-o", tmp_path / "again")
    assert (out / "story.csv").read_bytes() == (tmp_path / "again" / "story.csv").read_bytes()


@pytest.mark.parametrize("named", ["ffff0000ffff", "", "x\x1b"])
def test_a_finding_that_is_not_there_is_a_bad_request(out: Path, named: str) -> None:
    result = hunt("show-finding", named, "-o", out)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no finding is called" in result.stderr
    assert "\x1b" not in result.stderr


def test_a_folder_without_results_is_a_bad_request(tmp_path: Path) -> None:
    result = hunt("show-finding", "abc", "-o", tmp_path)
    assert result.exit_code == 2
    assert result.stderr == (
        f"hunt: {tmp_path / 'findings.csv'}: no such file; `hunt run EVIDENCE -o {tmp_path}` writes it\n"
    )


def test_results_that_were_changed_are_told_and_say_so(out: Path) -> None:
    path = out / "story.csv"
    path.write_bytes(path.read_bytes().replace(b"203.0.113.66", b"10.0.0.66"))
    result = hunt("show-finding", finding_id(out), "-o", out)
    assert result.exit_code == 0
    assert result.stderr == f"hunt: {path} is not what the run wrote, by its manifest.json\n"


def test_an_id_that_means_several_is_refused(out: Path) -> None:
    path = out / "findings.csv"
    first, row = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join((first, row, row.replace(finding_id(out), finding_id(out)[:8] + "0" * 8))) + "\n")
    result = hunt("show-finding", finding_id(out)[:8], "-o", out)
    assert result.exit_code == 2
    assert "2 findings begin with" in result.stderr


def test_without_findings_story_csv_is_a_header(tmp_path: Path) -> None:
    write_log(tmp_path / "sysmon.evtx", theft()[:1])
    hunt("run", tmp_path / "sysmon.evtx", "-q", "outlook-script-host", "-o", tmp_path / "out")
    assert (tmp_path / "out" / "story.csv").read_text(encoding="utf-8").startswith("finding_id,number,step,status,time")


def test_evidence_tells_what_a_run_has_written(out: Path, tmp_path: Path) -> None:
    write_log(tmp_path / "sysmon.evtx", theft())
    result = hunt("show-finding", finding_id(out), tmp_path / "sysmon.evtx")
    assert result.exit_code == 0
    hunt("run", tmp_path / "sysmon.evtx", "-o", tmp_path / "all", every=True)  # what else was found is told, too
    assert result.stdout == hunt("show-finding", finding_id(out), "-o", tmp_path / "all").stdout
    assert "findings; 5 records read" in result.stderr


def test_one_of_evidence_and_a_folder_is_needed(out: Path) -> None:
    for arguments in ([], [out / "findings.csv", "-o", out]):
        result = hunt("show-finding", "abc", *arguments)
        assert (result.exit_code, result.stderr) == (2, "hunt: one of EVIDENCE (or --case DIR) and -o OUT is needed\n")


def test_a_run_that_was_interrupted_leaves_no_stories_of_another(out: Path, tmp_path: Path) -> None:
    write_log(tmp_path / "sysmon.evtx", theft())
    report = pipeline.run(pipeline.Request([tmp_path / "sysmon.evtx"], ["outlook-script-host"]))
    assert report.story is None
    _files.write_folder(report, out, datetime.now(UTC))
    assert not (out / "story.csv").exists()
