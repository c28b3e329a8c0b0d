"""The command line: what it prints, where, and how it ends."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import re
import shlex
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len

from hunt import __version__, findings, pipeline
from hunt.cli import main
from samples.evtx_writer import Event, log_bytes, sysmon_event, sysmon_process, write_log
from tests.helpers import OUTLOOK, POWERSHELL, ROOT, quickly

DATA = ROOT / "tests" / "data"
FILES = ["coverage.csv", "events.csv", "findings.csv", "manifest.json", "problems.csv", "queries.csv", "story.csv"]


def pair(host: str = "WS01.contoso.example", seconds: str = "02.500", line: str = "outlook.exe") -> list[Event]:
    parent = sysmon_process(
        Image=POWERSHELL,
        time="2026-03-02 08:15:00",
        host=host,
        record_id=10,
        CommandLine="powershell.exe -File report.ps1",
        User=r"CONTOSO\alice",
        ProcessId=4244,
        LogonId=0x53CA2,
    )
    child = sysmon_process(
        Image=OUTLOOK,
        time=f"2026-03-02 08:15:{seconds}",
        host=host,
        parent=parent,
        CommandLine=line,
        User=r"CONTOSO\alice",
        ProcessId=5120,
        LogonId=0x53CA2,
    )
    return [parent, child]


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A folder with one log and one finding in it."""
    folder = tmp_path / "logs"
    folder.mkdir()
    write_log(folder / "sysmon.evtx", pair())
    return folder


def hunt(*arguments: object, every: bool = False) -> Result:
    result = CliRunner().invoke(main, quickly(arguments, every))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def last(result: Result) -> str:
    """The last line on stderr."""
    return result.stderr.splitlines()[-1]


def damage(path: Path) -> None:
    """Overwrite the inside of a log's second record."""
    content = bytearray(path.read_bytes())
    second = 4608 + struct.unpack_from("<I", content, 4608 + 4)[0]
    size = struct.unpack_from("<I", content, second + 4)[0]
    content[second + 24 : second + size - 4] = b"\xee" * (size - 28)
    path.write_bytes(content)


def two_hosts(folder: Path) -> None:
    """A second finding, a host without process starts, a damaged log and a foreign file."""
    write_log(folder / "b.evtx", pair("WS02.contoso.example", "59.000", "outlook.exe \x1b[31m[red]=1+1"))
    write_log(folder / "c.evtx", [sysmon_event(5, time="2026-03-02 08:15:00", host="WS03.contoso.example")])
    write_log(folder / "d.evtx", pair("WS04.contoso.example"))
    damage(folder / "d.evtx")
    (folder / "notes.txt").write_text("hello")


# Golden files: what stdout gets, to the byte.


@pytest.mark.parametrize("shown", ["table", "csv", "jsonl"])
def test_what_a_pipe_gets(logs: Path, shown: str) -> None:
    two_hosts(logs)
    result = hunt("run", logs, "--format", shown)
    assert result.stdout == (DATA / f"run.{shown}.txt").read_text(encoding="utf-8")
    assert result.exit_code == 3


def test_what_hunt_queries_lists() -> None:
    result = hunt("queries")
    assert "outlook-script-host\tmedium\tT1114.001,T1559.001\tOutlook started by a script host\n" in result.stdout
    assert (result.exit_code, result.stderr) == (0, "")


def test_what_hunt_show_says() -> None:
    result = hunt("show", "outlook-script-host")
    assert result.stdout == (DATA / "show.txt").read_text(encoding="utf-8")


# How it ends.


def test_a_finding_alone_is_no_failure(logs: Path) -> None:
    result = hunt("run", logs)
    assert result.exit_code == 0
    assert result.stderr.startswith("hunt: 1 finding; 2 records read in 1 file of 1 host")


@pytest.mark.parametrize(
    ("level", "code"), [("informational", 1), ("low", 1), ("medium", 1), ("high", 0), ("critical", 0)]
)
def test_findings_at_or_above_fail_on_exit_with_1(logs: Path, level: str, code: int) -> None:
    result = hunt("run", logs, "--fail-on", level)
    assert result.exit_code == code
    assert (f"1 at or above {level}" in last(result)) == bool(code)


def test_part_of_the_evidence_unreadable_exits_with_3(logs: Path) -> None:
    (logs / "text.evtx").write_text("text")
    result = hunt("run", logs)
    assert result.exit_code == 3
    assert "; 1 problem; " in last(result)
    assert "; part of the evidence could not be read" in last(result)
    assert len(result.stdout.splitlines()) == 2


def test_3_comes_before_1_and_the_last_line_names_both(logs: Path) -> None:
    (logs / "text.evtx").write_text("text")
    result = hunt("run", logs, "--fail-on", "low")
    assert result.exit_code == 3
    assert "could not be read" in last(result)
    assert "1 at or above low" in last(result)


def test_no_named_query_could_run_exits_with_2_before_3(tmp_path: Path) -> None:
    write_log(tmp_path / "a.evtx", [sysmon_event(5, time="2026-03-02 08:15:00")])
    (tmp_path / "text.evtx").write_text("text")
    result = hunt("run", tmp_path, "-q", "outlook-script-host")
    assert result.exit_code == 2
    assert "no named query could run (outlook-script-host: no event 1 of" in last(result)
    assert "1 problem" in last(result)


def test_queries_that_were_not_named_may_be_unable_to_run(tmp_path: Path) -> None:
    write_log(tmp_path / "a.evtx", [sysmon_event(5, time="2026-03-02 08:15:00")])
    assert hunt("run", tmp_path, every=True).exit_code == 0


def test_interrupted_exits_with_130(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "run", interrupted)
    result = hunt("run", logs)
    assert (result.exit_code, last(result)) == (130, "hunt: interrupted")


def test_our_own_bugs_are_tracebacks(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(pipeline, "run", broken)
    with pytest.raises(ZeroDivisionError):
        hunt("run", logs)


# Bad requests: one line on stderr that names the thing, nothing on stdout, exit code 2.


def refused(*arguments: object) -> str:
    result = hunt(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("hunt: ")
    return line


def test_a_missing_path_is_refused(logs: Path) -> None:
    assert "nowhere: no such file or folder" in refused("run", logs, logs / "nowhere")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    assert f"no event log found in {tmp_path}" in refused("run", tmp_path)


def test_a_text_named_evtx_alone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.evtx").write_text("text")
    assert "text.evtx: no parser knows this format" in refused("run", tmp_path / "text.evtx")


def test_an_empty_log_alone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.evtx").touch()
    assert "empty.evtx: is empty" in refused("run", tmp_path)


def test_an_unknown_query_is_refused(logs: Path) -> None:
    assert "no query is called 'nope', nor is a rule file or a folder of them (have: " in refused(
        "run", logs, "-q", "nope"
    )
    assert "no query is called 'nope'" in refused("show", "nope")


def test_results_into_a_file_are_refused(logs: Path, tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    assert "out: is a file; -o names a folder" in refused("run", logs, "-o", tmp_path / "out")


def test_results_into_the_evidence_itself_are_refused(logs: Path) -> None:
    assert "is evidence; results are never written into it" in refused("run", logs, "-o", logs)
    assert sorted(path.name for path in logs.iterdir()) == ["sysmon.evtx"]


def test_results_below_a_file_are_refused(logs: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = hunt("run", logs, "-o", tmp_path / "file" / "out")
    assert result.exit_code == 2
    assert "can't write results" in last(result)


@pytest.mark.parametrize("window", ["-1", "nan", "inf", "1e10", "soon", ""])
def test_a_window_that_is_no_time_is_refused(logs: Path, window: str) -> None:
    result = hunt("run", logs, "--window", window)
    assert result.exit_code == 2
    assert "window" in result.stderr
    assert result.stdout == ""


def test_a_hostile_name_does_nothing_to_the_terminal(tmp_path: Path) -> None:
    line = refused("run", tmp_path / "no\x1b[31mwhere\u202e")
    assert r"no\x1b[31mwhere\u202e" in line


def test_no_evidence_is_refused() -> None:
    result = hunt("run")
    assert result.exit_code == 2
    assert "EVIDENCE" in result.stderr


# Options.


@pytest.mark.parametrize(("window", "found"), [("0", 0), ("2.499", 0), ("2.5", 1), ("60", 1), ("1000000000", 1)])
def test_window_changes_what_is_found(logs: Path, window: str, found: int) -> None:
    assert len(hunt("run", logs, "--window", window).stdout.splitlines()) == 1 + found


def test_csv_on_stdout_is_findings_csv(logs: Path, tmp_path: Path) -> None:
    result = hunt("run", logs, "--format", "csv", "-o", tmp_path / "out")
    assert result.stdout == (tmp_path / "out" / "findings.csv").read_text()


def test_raw_csv_has_cells_as_the_evidence_has_them(tmp_path: Path) -> None:
    line = "=1+1\x1b[31m\r\n\u202e"
    write_log(tmp_path / "a.evtx", pair(line=line))
    for cells, expected in (("raw", line), ("safe", r"'=1+1\x1b[31m\r\n\u202e")):
        hunt("run", tmp_path / "a.evtx", "--csv", cells, "-o", tmp_path / cells)
        with (tmp_path / cells / "findings.csv").open(encoding="utf-8", newline="") as file:
            (row,) = csv.DictReader(file)
        assert row["target_command_line"] == expected
        assert row["target_image"] == OUTLOOK


def test_json_lines_are_exact_whatever_csv_is(tmp_path: Path) -> None:
    line = "=1+1\x1b[31m\r\n\u202e"
    write_log(tmp_path / "a.evtx", pair(line=line))
    (found,) = hunt("run", tmp_path, "--format", "jsonl").stdout.splitlines()
    assert json.loads(found)["target_command_line"] == line


def test_a_query_named_twice_runs_once(logs: Path) -> None:
    query = ("-q", "outlook-script-host")
    assert len(hunt("run", logs, *query, *query).stdout.splitlines()) == 2


def test_version_and_help() -> None:
    assert __version__ in hunt("--version").stdout
    assert "Exit codes: 0 done" in hunt("-h").stdout


# Files.


def test_the_folder_of_results_holds_six_files_and_their_hashes(logs: Path, tmp_path: Path) -> None:
    two_hosts(logs)
    out = tmp_path / "a" / "b" / "out"
    hunt("run", logs, "-o", out)
    assert sorted(path.name for path in out.iterdir()) == FILES
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["outputs"] == {
        name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in FILES if name.endswith(".csv")
    }
    assert manifest["skipped"] == ["notes.txt"]
    assert manifest["findings"] == len((out / "findings.csv").read_text().splitlines()) - 1
    assert manifest["records_found"] == 7
    with (out / "problems.csv").open() as file:
        lost = sum(row["kind"] == "record" for row in csv.DictReader(file))
    assert manifest["records_found"] - manifest["records_read"] == lost > 0
    assert [entry["source"] for entry in manifest["evidence"]] == ["b.evtx", "c.evtx", "d.evtx", "sysmon.evtx"]
    log = logs / "sysmon.evtx"
    entry = manifest["evidence"][-1]
    assert (entry["size"], entry["sha256"]) == (log.stat().st_size, hashlib.sha256(log.read_bytes()).hexdigest())


def test_findings_csv_has_the_columns_of_the_contract(logs: Path, tmp_path: Path) -> None:
    hunt("run", logs, "-o", tmp_path / "out")
    header = (tmp_path / "out" / "findings.csv").read_text().splitlines()[0]
    assert header.split(",") == list(findings.COLUMNS)


def test_events_csv_names_paths_relative_to_the_argument(logs: Path, tmp_path: Path) -> None:
    (logs / "deep").mkdir()
    (logs / "sysmon.evtx").rename(logs / "deep" / "moved.evtx")
    hunt("run", logs, "-o", tmp_path / "out")
    with (tmp_path / "out" / "events.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["1", "2"]
    assert [json.loads(row["sources"])[0]["path"] for row in rows] == ["deep/moved.evtx"] * 2
    assert json.loads(rows[1]["fields"])["CommandLine"] == "outlook.exe"


def test_queries_csv_says_on_which_hosts_a_query_ran(logs: Path, tmp_path: Path) -> None:
    two_hosts(logs)
    hunt("run", logs, "-o", tmp_path / "out", "-q", "outlook-script-host")
    with (tmp_path / "out" / "queries.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["status"] == "partly"
    assert json.loads(row["hosts_not_evaluable"]) == ["WS03.contoso.example"]
    assert row["file"] == "queries/outlook_script_host.py"


def test_a_second_run_gives_the_same_bytes_but_for_the_clocks(logs: Path, tmp_path: Path) -> None:
    two_hosts(logs)
    results = [hunt("run", logs, "-o", tmp_path / name) for name in ("one", "two")]
    assert results[0].stdout == results[1].stdout
    for name in FILES:
        one, two = ((tmp_path / run / name).read_text() for run in ("one", "two"))
        if name == "manifest.json":
            one, two = (json.dumps(json.loads(text) | {"clock": None}) for text in (one, two))
        assert one == two


def test_a_second_run_into_the_same_folder_replaces_the_first(logs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    hunt("run", logs, "-o", out)
    hunt("run", logs, "-o", out, "--window", "0")
    assert len((out / "findings.csv").read_text().splitlines()) == 1
    assert sorted(path.name for path in out.iterdir()) == FILES


def test_results_inside_the_evidence_are_not_evidence_the_next_time(logs: Path) -> None:
    out = logs / "out"
    one, two = (hunt("run", logs, "-o", out) for _ in range(2))
    assert one.stdout == two.stdout
    assert one.stderr == two.stderr


def test_the_evidence_is_left_as_it_was(logs: Path, tmp_path: Path) -> None:
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in logs.rglob("*")}
    hunt("run", logs, "-o", tmp_path / "out")
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in logs.rglob("*")} == before


# As its own process: in a pipe, on a terminal.


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "hunt.cli", *map(str, arguments)]


def test_a_pipe_gets_plain_text_and_no_progress_bar(logs: Path) -> None:
    done = subprocess.run(command("run", logs), capture_output=True, cwd=ROOT, check=False)
    assert done.returncode == 0
    assert b"\x1b" not in done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(b"hunt: 1 finding; 2 records read in 1 file of 1 host")


def test_output_in_a_narrow_code_page_is_escaped_and_does_not_fail(tmp_path: Path) -> None:
    write_log(tmp_path / "a.evtx", pair(line="外 zoë"))
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(command("run", tmp_path), capture_output=True, cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0
    assert rb"\u5916 zo\xeb" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("width", [80, 200])
def test_a_terminal_gets_a_table_no_wider_than_itself(logs: Path, width: int) -> None:
    two_hosts(logs)
    output = _on_a_terminal(command("run", logs), width)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output).replace("\r", "\n").split("\n")
    assert any("OUTLOOK.EXE" in line for line in lines)
    assert any("(unknown is not clean)" in line for line in lines)
    # The last line on stderr is one line, whatever its length.
    assert all(cell_len(line) <= width for line in lines if not line.startswith("hunt: "))


def _on_a_terminal(arguments: list[str], width: int) -> str:
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
    process = subprocess.Popen(
        arguments, stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT, env=environment | {"TERM": "xterm"}
    )
    os.close(theirs)
    output = b""
    with contextlib.suppress(OSError):  # Linux: the terminal is gone when the process is
        while part := os.read(ours, 65536):
            output += part
    os.close(ours)
    process.wait()
    return output.decode()


# Examples.


def _commands() -> list[tuple[str, click.Command]]:
    context = click.Context(main)
    return [(name, command) for name in main.list_commands(context) if (command := main.get_command(context, name))]


@pytest.mark.parametrize(("name", "command"), _commands(), ids=[name for name, _ in _commands()])
def test_the_example_in_every_commands_help_works(
    name: str, command: click.Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command.epilog and command.epilog.startswith(f"Example: hunt {name}")
    assert command.epilog in hunt(name, "--help").stdout
    (tmp_path / "samples").symlink_to(ROOT / "samples", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    if name == "findings":  # of an earlier run
        hunt("run", "samples/logs/com-grades.evtx", "-o", "out")
    if name == "sql":
        hunt("ingest", "samples/logs/com-grades.evtx", "--case", "case")
    arguments = shlex.split(command.epilog.removeprefix("Example: "))
    result = hunt(*arguments[1:])
    assert result.exit_code in (0, 3)
    written = [option for option in arguments if option.endswith((".parquet", ".csv"))]
    assert all((tmp_path / name).is_file() for name in written)
    assert result.stdout or written or (tmp_path / "case" / "case.json").is_file()


def test_a_log_of_one_event_is_as_good_as_any(tmp_path: Path) -> None:
    (tmp_path / "a.evtx").write_bytes(log_bytes(pair()[:1]))
    assert hunt("run", tmp_path).stderr.startswith("hunt: 0 findings; 1 record read in 1 file of 1 host")
