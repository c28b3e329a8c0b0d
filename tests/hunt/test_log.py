"""--log: what a run did, line by line, harmless to print, never beside evidence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hunt import log
from hunt.cli import main
from hunt.errors import HuntError
from hunt.model import Problem
from samples.evtx_writer import sysmon_process, write_log
from tests.helpers import OUTLOOK, POWERSHELL, quickly


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    parent = sysmon_process(Image=POWERSHELL, time="2026-03-02 08:15:00", host="WS01", record_id=10)
    child = sysmon_process(Image=OUTLOOK, time="2026-03-02 08:15:02", host="WS01", parent=parent)
    write_log(folder / "a.evtx", [parent, child])
    return folder


def hunt(*arguments: object) -> Result:
    result = CliRunner().invoke(main, quickly(arguments))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_what_was_read_and_hunted_stands_there_in_order(logs: Path, tmp_path: Path) -> None:
    (logs / "empty.evtx").touch()
    hunt("run", logs, "--log", tmp_path / "run.log")
    said = lines(tmp_path / "run.log")
    events = [line["event"] for line in said]
    assert events[0] == "begin"
    assert events[-1] == "end"
    assert events.index("evidence") < events.index("reading") < events.index("read") < events.index("query")
    (read,) = [line for line in said if line["event"] == "read"]
    assert (read["source"], read["records_read"], len(read["sha256"])) == ("a.evtx", 2, 64)
    (problem,) = [line for line in said if line["event"] == "problem"]
    assert (problem["source"], problem["reason"]) == ("empty.evtx", "is empty")
    steps = {line["step"] for line in said if line["event"] == "done"}
    assert {"collect", "read", "query outlook-script-host", "details"} <= steps
    assert (said[-1]["exit_code"], said[-1]["findings"], said[-1]["problems"]) == (3, 1, 1)
    assert [line["seconds"] for line in said] == sorted(line["seconds"] for line in said)


def test_a_request_that_fails_ends_the_log_too(logs: Path, tmp_path: Path) -> None:
    hunt("run", logs / "nowhere", "--log", tmp_path / "run.log")
    assert lines(tmp_path / "run.log")[-1]["ended_by"] == "EvidenceError"


@pytest.mark.parametrize("command", [("frame", "-e", "sysmon:1", "-o", "starts.parquet"), ("coverage",)])
def test_other_commands_that_fail_end_it_too(logs: Path, tmp_path: Path, command: tuple[str, ...]) -> None:
    hunt(command[0], logs / "nowhere", *command[1:], "--log", tmp_path / "run.log")
    assert lines(tmp_path / "run.log")[-1]["ended_by"] == "EvidenceError"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_log_that_can_not_be_written_any_more_does_not_end_the_run(
    logs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123
        said = log.Log(full, Path("run.log"))
        said.note("one")
        said.note("two")
        said.close()
    assert capsys.readouterr().err == (
        "hunt: run.log: can't write the log: No space left on device; the run goes on without it\n"
    )


def test_a_log_is_added_to_and_never_overwritten(logs: Path, tmp_path: Path) -> None:
    (tmp_path / "run.log").write_text('{"event": "mine"}\n')
    hunt("run", logs, "--log", tmp_path / "run.log")
    assert lines(tmp_path / "run.log")[0] == {"event": "mine"}


def test_names_out_of_evidence_are_harmless(tmp_path: Path) -> None:
    said = log.begin(tmp_path / "run.log", [], {})
    said.problem(Problem("a\x1b[31m\u202e\n.evtx\udcff", "file", "\x9b"))
    said.close()
    content = (tmp_path / "run.log").read_text(encoding="utf-8")
    assert content.isascii()
    assert len(content.splitlines()) == 3
    assert lines(tmp_path / "run.log")[1]["source"] == "a\x1b[31m\u202e\n.evtx\udcff"


@pytest.mark.parametrize("place", ["logs/run.log", "logs/deep/run.log", "logs/a.evtx", "link/run.log"])
def test_beside_evidence_nothing_is_written(logs: Path, tmp_path: Path, place: str) -> None:
    (logs / "deep").mkdir()
    (tmp_path / "link").symlink_to(logs, target_is_directory=True)
    before = (logs / "a.evtx").read_bytes()
    for evidence in (logs, logs / "a.evtx"):
        if evidence == logs or place != "logs/deep/run.log":
            result = hunt("run", evidence, "--log", tmp_path / place)
            assert (result.exit_code, "lies beside evidence" in result.stderr) == (2, True)
    assert sorted(path.name for path in logs.iterdir()) == ["a.evtx", "deep"]
    assert (logs / "a.evtx").read_bytes() == before


def test_where_no_file_can_be_written_is_refused(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere" / "run.log"):
        with pytest.raises(HuntError):
            log.begin(place, [], {})


def test_without_a_file_nothing_is_said() -> None:
    said = log.begin(None, [], {})
    said.say("x")
    said.close()
