"""The chain of custody: evidence is only read, and the manifest says what was read, with what, and what came of it."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hunt import registry
from hunt.cli import main
from samples.evtx_writer import sysmon_process, write_log
from tests.helpers import OUTLOOK, POWERSHELL, ROOT, quickly


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Two logs, one of them damaged, and a foreign file."""
    folder = tmp_path / "logs"
    folder.mkdir()
    parent = sysmon_process(Image=POWERSHELL, time="2026-03-02 08:15:00", host="WS01", record_id=10)
    child = sysmon_process(Image=OUTLOOK, time="2026-03-02 08:15:02", host="WS01", parent=parent)
    write_log(folder / "a.evtx", [parent, child])
    content = bytearray((folder / "a.evtx").read_bytes())
    content[4096:4104] = bytes(8)
    (folder / "b.evtx").write_bytes(content)
    (folder / "notes.txt").write_text("hello")
    os.utime(folder / "a.evtx", ns=(10**18, 1_772_439_300_123_456_789))
    return folder


def hunt(*arguments: object, every: bool = False) -> Result:
    result = CliRunner().invoke(main, quickly(arguments, every))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def manifest(out: Path) -> dict[str, Any]:
    return json.loads((out / "manifest.json").read_text())  # type: ignore[no-any-return]


def test_each_file_stands_there_with_hash_size_time_and_counts(logs: Path, tmp_path: Path) -> None:
    hunt("run", logs, "-o", tmp_path / "out")
    first, second = manifest(tmp_path / "out")["evidence"]
    content = (logs / "a.evtx").read_bytes()
    assert first == {
        "source": "a.evtx",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "modified": "2026-03-02T08:15:00.123456+00:00",
        "parser": "evtx",
        "records_found": 2,
        "records_read": 2,
        "problems": 0,
    }
    assert (second["source"], second["problems"] > 0) == ("b.evtx", True)


def test_tool_libraries_python_and_platform_are_named(logs: Path, tmp_path: Path) -> None:
    hunt("run", logs, "-o", tmp_path / "out")
    told = manifest(tmp_path / "out")
    assert told["tool"]["name"] == "evtx-hunt"
    assert told["libraries"]["polars"] == metadata.version("polars")
    assert {"click", "lxml", "numpy", "pyarrow", "python-evtx", "rich"} <= told["libraries"].keys()
    assert "pytest" not in told["libraries"]
    assert platform.python_version() in told["python"]
    assert told["platform"] == platform.platform()


def test_rules_are_named_by_the_hash_of_their_file(logs: Path, tmp_path: Path) -> None:
    hunt("run", logs, "-o", tmp_path / "out", every=True)
    told = manifest(tmp_path / "out")["queries"]
    assert [query["query"] for query in told] == [query.hunt.id for query in registry.select(())]
    (query,) = [query for query in told if query["query"] == "outlook-script-host"]
    source = (ROOT / "queries" / "outlook_script_host.py").read_bytes()
    assert query["sha256"] == hashlib.sha256(source).hexdigest()


def test_options_stand_there_as_given_without_secrets(logs: Path, tmp_path: Path) -> None:
    given = ("--window", "30", "--since", "2026-03-01", "--host", "WS*", "--jobs", "1", "--password", "hunter2")
    hunt("run", logs, "-o", tmp_path / "out", *given, "--file-timeout", "90", "--fail-on", "high", "--max-memory", "2G")
    text = (tmp_path / "out" / "manifest.json").read_text()
    told = json.loads(text)["options"]
    assert (told["window_s"], told["since"], told["hosts"]) == (30.0, "2026-03-01T00:00:00Z", ["WS*"])
    assert (told["jobs"], told["file_timeout"], told["fail_on"], told["max_memory"]) == (1, 90.0, "high", 2 << 30)
    assert told["evidence"] == [str(logs)]
    assert "hunter2" not in text


def test_what_was_skipped_and_what_failed_is_counted(logs: Path, tmp_path: Path) -> None:
    hunt("run", logs, "-o", tmp_path / "out")
    told = manifest(tmp_path / "out")
    assert (told["skipped"], told["skipped_files"]) == (["notes.txt"], 1)
    assert told["problems"] == sum(told["problems_by_kind"].values()) > 0
    assert (told["complete"], told["not_read"]) == (True, [])


def test_outputs_are_named_by_their_hashes_and_all_of_them_are(logs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    hunt("run", logs, "-o", out)
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.iterdir()}
    del files["manifest.json"]
    assert manifest(out)["outputs"] == files


def test_two_runs_give_the_same_bytes_but_for_the_clock(logs: Path, tmp_path: Path) -> None:
    begin = datetime.now(UTC)
    for name in ("one", "two"):
        hunt("run", logs, "-o", tmp_path / name)
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "two").iterdir())
    for name in names:
        one, two = ((tmp_path / run / name).read_bytes() for run in ("one", "two"))
        if name == "manifest.json":
            told = [json.loads(text) for text in (one, two)]
            clocks = [entry.pop("clock") for entry in told]
            one, two = (json.dumps(entry).encode() for entry in told)
        assert one == two, name
    started, finished = (datetime.fromisoformat(clocks[0][key]) for key in ("started", "finished"))
    assert begin <= started <= finished <= datetime.now(UTC)
    assert {"collect", "read", "query outlook-script-host", "details"} <= clocks[0]["steps"].keys()


def test_evidence_that_can_not_be_written_is_read_and_left_as_it_was(logs: Path, tmp_path: Path) -> None:
    paths = [*logs.iterdir(), logs]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = [_state(path) for path in paths]
    result = hunt("run", logs, "-o", tmp_path / "out")
    assert len(result.stdout.splitlines()) == 2
    assert [_state(path) for path in paths] == before
    logs.chmod(0o755)


def _state(path: Path) -> tuple[object, ...]:
    """All that must stay: also the time of the last change of its attributes."""
    told = path.stat()
    content = path.read_bytes() if path.is_file() else sorted(path.iterdir())
    return told.st_mtime_ns, told.st_ctime_ns, told.st_mode, told.st_size, content


# Every file that Python opens, and everything else it does to paths, is heard by an audit hook.
_AUDITED = """
import os, sys
folder = os.path.realpath(sys.argv[1])
heard = []

def hook(event, arguments):
    paths = [a for a in arguments if isinstance(a, (str, bytes, os.PathLike))]
    for path in paths:
        if event.partition(".")[0] in ("open", "os", "shutil", "pathlib") and \
                os.path.abspath(os.fsdecode(path)).startswith(folder):
            heard.append((event, arguments[1:]))

sys.addaudithook(hook)
sys.argv = ["hunt", "run", sys.argv[1], "-o", sys.argv[2]]
from hunt import cli
try:
    cli.main(sys.argv[1:])
except SystemExit:
    pass
opened = [arguments for event, arguments in heard if event == "open"]
writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
assert len(opened) >= 4, heard
assert all(mode in ("r", "rb", None) and not flags & writing for mode, flags in opened), opened
others = {event for event, _ in heard} - {"open", "os.listdir", "os.scandir", "os.walk"}
assert not others, others
print("only read")
"""


def test_evidence_is_never_opened_but_for_reading(logs: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _AUDITED, str(logs), str(tmp_path / "out")],
        capture_output=True, cwd=ROOT, check=False, text=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1:] == ["only read"], done.stderr


def test_a_folder_that_can_not_be_finished_has_no_manifest_and_no_halves(
    logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    hunt("run", logs, "-o", out)
    opened = Path.open

    def full(path: Path, mode: str = "r", *rest: Any, **named: Any) -> Any:
        if path.name.startswith("queries") and "w" in mode:
            with opened(path, mode) as file:
                file.write(b"query,tit")
            raise OSError(28, "No space left on device")
        return opened(path, mode, *rest, **named)

    monkeypatch.setattr(Path, "open", full)
    result = hunt("run", logs, "-o", out)
    assert (result.exit_code, result.stderr) == (2, f"hunt: {out}: can't write results: No space left on device\n")
    left = {path.name for path in out.iterdir()}
    assert left == {"findings.csv", "events.csv", "story.csv", "queries.csv", "problems.csv", "coverage.csv"}
