"""`hunt findings OUT`: what an earlier run found, read from its folder."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from lxml import html

from hunt import earlier, findings
from hunt.cli import main
from hunt.errors import HuntError
from samples.evtx_writer import Event, sysmon_event, sysmon_process, write_log
from tests.helpers import OUTLOOK, POWERSHELL


def invoked(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def pair(minute: int, host: str, user: str, line: str) -> list[Event]:
    parent = sysmon_process(
        Image=POWERSHELL, time=f"2026-03-02 08:{minute:02}:00", host=host, record_id=10 * minute, User=user,
        CommandLine="powershell.exe -File a.ps1", ProcessId=4244, LogonId=0x53CA2,
    )  # fmt: skip
    child = sysmon_process(
        Image=OUTLOOK, time=f"2026-03-02 08:{minute:02}:02", host=host, parent=parent, User=user, CommandLine=line,
        ProcessId=5120, LogonId=0x53CA2,
    )  # fmt: skip
    return [parent, child]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with two findings, on two hosts by two users, and a host that could not be looked at."""
    folder = tmp_path_factory.mktemp("run")
    write_log(folder / "a.evtx", pair(10, "WS01", r"CONTOSO\alice", "=cmd|' \x1b[31m"))
    write_log(folder / "b.evtx", pair(20, "WS02", r"CONTOSO\bob", "outlook.exe /select needle"))
    write_log(folder / "c.evtx", [sysmon_event(5, time="2026-03-02 08:15:00", host="WS03")])
    invoked("run", folder, "-q", "outlook-script-host", "-o", folder / "out")
    return folder / "out"


@pytest.fixture
def out(run: Path, tmp_path: Path) -> Path:
    """A copy, to be damaged."""
    return Path(shutil.copytree(run, tmp_path / "out"))


def hosts(*arguments: object) -> list[str]:
    result = invoked("findings", *arguments, "--format", "jsonl")
    assert result.exit_code == 0, result.stderr
    return [json.loads(line)["host"] for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ((), ["WS01", "WS02"]),
        (("--severity", "medium"), ["WS01", "WS02"]),
        (("--severity", "high"), []),
        (("--host", "ws02"), ["WS02"]),
        (("--user", "BOB"), ["WS02"]),
        (("--user", r"contoso\*"), ["WS01", "WS02"]),
        (("-q", "outlook-*"), ["WS01", "WS02"]),
        (("--contains", "NEEDLE"), ["WS02"]),
        (("--contains", "=CMD"), ["WS01"]),
        (("--since", "2026-03-02T08:15:00Z"), ["WS02"]),
        (("--until", "2026-03-02T08:15:00Z"), ["WS01"]),
        (("--min-grade", "direct"), ["WS01", "WS02"]),
        (("--unsuppressed",), ["WS01", "WS02"]),
    ],
)
def test_findings_are_filtered(run: Path, options: tuple[str, ...], shown: list[str]) -> None:
    assert hosts(run, *options) == shown


def test_a_name_that_no_finding_has_is_refused(run: Path) -> None:
    for option in (("--user", "carol"), ("--host", "WS09"), ("-q", "nope")):
        result = invoked("findings", run, *option)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "(have: " in result.stderr


def test_csv_comes_out_as_it_went_in(run: Path) -> None:
    assert invoked("findings", run, "--format", "csv").stdout == (run / "findings.csv").read_text(encoding="utf-8")


def test_the_guard_against_formulas_is_undone(run: Path) -> None:
    (first, _) = map(json.loads, invoked("findings", run, "--format", "jsonl").stdout.splitlines())
    assert first["target_command_line"] == "=cmd|' \\x1b[31m"


def test_the_last_line_says_what_the_run_could_not_see(run: Path) -> None:
    line = invoked("findings", run, "--host", "ws01").stderr.splitlines()[-1]
    assert line == "hunt: 1 of 2 findings; 1 of 1 queries could not run on all hosts"


def test_one_finding_in_detail_by_the_beginning_of_its_id(run: Path) -> None:
    with (run / "findings.csv").open(encoding="utf-8", newline="") as file:
        row = next(csv.DictReader(file))
    text = invoked("findings", run, row["finding_id"][:8]).stdout
    for column in ("finding_id", "host", "user", "image", "reason"):
        assert f"{row[column]}\n" in text
    assert text.count("\nevent ") == 2
    assert r'"CommandLine": "=cmd|\' \u001b[31m"'.replace("\\'", "'") in text


@pytest.mark.parametrize("named", ["zzzz", ""])
def test_a_finding_that_is_not_there_is_refused(run: Path, named: str) -> None:
    assert invoked("findings", run, named).exit_code == 2


def replaced(old: bytes, new: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(path.read_bytes().replace(old, new))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "absent": (Path.unlink, "no such file"),
    "empty": (lambda path: path.write_bytes(b""), "is no findings.csv of ours"),
    "foreign": (lambda path: path.write_text("a,b\n1,2\n"), "it has no column finding_id"),
    "binary": (lambda path: path.write_bytes(bytes(range(256)) * 50), "is no findings.csv of ours"),
    "not UTF-8": (
        replaced(b"alice", b"\xff\xfe"),
        "is no findings.csv",
    ),
    "numbers": (replaced(b",4244,", b",many,"), "is no findings.csv"),
    "times": (
        replaced(b"2026-03-02T", b"yesterday "),
        "is no findings",
    ),
    "severities": (replaced(b",medium,", b",\x1bdire,"), "no severity"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_or_foreign_folder_is_one_line(out: Path, kind: str) -> None:
    make, said = DAMAGE[kind]
    make(out / "findings.csv")
    result = invoked("findings", out)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert said in line and line.startswith("hunt: ") and "\x1b" not in line


def test_a_run_that_was_not_finished_or_not_whole_is_told(out: Path) -> None:
    manifest = json.loads((out / "manifest.json").read_text())
    (out / "manifest.json").write_text(json.dumps(manifest | {"complete": False, "problems": 3, "findings_hidden": 2}))
    notes = earlier.read(out).notes
    assert "the run was interrupted: part of the evidence was not read" in notes
    assert any(note.startswith("3 problems") for note in notes)
    assert any(note.startswith("2 more findings were hidden") for note in notes)
    for broken in ("[" * 100_000, "[]", "\0"):
        (out / "manifest.json").write_text(broken)
        assert "no manifest.json" in earlier.read(out).notes[0]
    (out / "queries.csv").unlink()
    assert "what could be looked for is not known" in earlier.read(out).notes[-1]


def test_a_column_that_came_later_is_empty(out: Path) -> None:
    path = out / "findings.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = [{k: v for k, v in row.items() if k != "suppressed"} for row in csv.DictReader(file)]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    found = earlier.read(out).findings
    assert found.columns == list(findings.COLUMNS)
    assert found["suppressed"].null_count() == 2


def page_data(text: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(html.document_fromstring(text).xpath("//script[@id='page-data']")[0].text)
    return told


def test_the_report_of_what_is_chosen_tells_what_the_run_read_and_what_is_left_out(run: Path) -> None:
    done = invoked("findings", run, "--host", "ws01", "--format", "html")
    assert done.exit_code == 0
    told = page_data(done.stdout)
    assert len(told["findings"]["rows"]) == 1 and "outlook-script-host" in told["docs"]
    assert {len(told["tables"][name]["rows"]) for name in ("hosts", "files")} == {3}
    words = " ".join(html.document_fromstring(done.stdout).body.text_content().split())
    assert "Filters of this run hide 1 more finding." in words and "1 query could not run on all hosts." in words
    assert "5 of 5 in 3 files" in words


def test_the_report_of_all_is_that_of_the_run(run: Path) -> None:
    again = page_data(invoked("findings", run, "--format", "html").stdout)
    first = page_data(invoked("run", run.parent, "-q", "outlook-script-host", "--format", "html", "--quiet").stdout)
    for name in ("findings", "marks", "docs", "severities"):
        assert again[name] == first[name]
    for name in ("hosts", "queries", "coverage", "files", "problems"):
        assert again["tables"][name] == first["tables"][name]


@pytest.mark.parametrize("shown", ["xlsx", "navigator", "parquet"])
def test_every_format_is_made_of_a_folder(run: Path, shown: str) -> None:
    assert invoked("findings", run, "--format", shown).exit_code == 0


def test_without_its_other_files_a_report_is_incomplete_and_says_so(out: Path) -> None:
    for path in out.iterdir():
        if path.name not in ("findings.csv", "events.csv"):
            path.unlink()
    text = invoked("findings", out, "--format", "html").stdout
    words = " ".join(html.document_fromstring(text).body.text_content().split())
    for said in ("Incomplete:", "No record of any evidence was read.", "No query is known to have run."):
        assert said in words


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("story.csv", b",process,", b",constructor,"),
        ("story.csv", b"{", b"["),
        ("events.csv", b"{", b"["),
        ("queries.csv", b",partly,", b",fine,"),
        ("coverage.csv", b"2026-", b"never-"),
        ("findings.csv", b",2.0,", b",inf,"),
    ],
)
def test_other_files_that_are_damaged_are_one_line(out: Path, name: str, old: bytes, new: bytes) -> None:
    replaced(old, new)(out / name)
    result = invoked("findings", out, "--format", "html")
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert name in line


def test_a_file_is_no_folder(run: Path) -> None:
    result = invoked("findings", run / "findings.csv")
    assert result.exit_code == 2 and "is no folder" in result.stderr


def test_a_folder_named_like_a_pattern_is_itself(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "o*t[1]")
    assert len(hosts(copy)) == 2
    with pytest.raises(HuntError, match="no such file"):
        earlier.read(tmp_path / "o*")
