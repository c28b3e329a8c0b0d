"""The progress bar: bytes, records, findings, time left; and what people are told past it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from hunt.model import Problem
from hunt.output import _progress
from hunt.watcher import Both, Watcher
from tests.helpers import ROOT


class Stderr(io.StringIO):
    """A stream that may be a terminal."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def shown(monkeypatch: pytest.MonkeyPatch, terminal: bool, hidden: bool = False, debug: bool = False) -> str:
    """All that a run prints to stderr on the way."""
    out = Stderr(terminal)
    monkeypatch.setattr("sys.stderr", out)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("TERM", "xterm")
    with _progress.bar(hidden, debug) as bar:
        bar.begin(3, 4_000_000)
        bar.at("deep/\x1b[2Jsysmon.evtx", 2_000_000, 1234)
        if isinstance(bar, _progress.Bar):
            bar.shown.refresh()
        bar.hunting("outlook-script-host", 1, 7, 5)
        if isinstance(bar, _progress.Bar):
            bar.shown.refresh()
        bar.note("odd\x1b[31m")
        bar.fault("Traceback:\n  \x1b]0;x")
    return out.getvalue()


def test_a_terminal_sees_bytes_records_findings_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    output = click.unstyle(shown(monkeypatch, terminal=True))
    assert "2.0/4.0 MB" in output
    assert "1234 records" in output
    assert "outlook-script-host (2 of 7)" in output
    assert "1234 records, 5 findings" in output
    assert "-:--:--" in output or "0:00:" in output
    assert r"\x1b[2Jsysmon.evtx" in output
    assert r"hunt: odd\x1b[31m" in output
    assert "\x1b]0;x" not in output


@pytest.mark.parametrize(("terminal", "hidden"), [(False, False), (True, True)])
def test_a_pipe_and_who_wants_quiet_see_only_what_matters(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, hidden: bool
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as GitHub's runners set it
    assert shown(monkeypatch, terminal, hidden).strip("\n") == r"hunt: odd\x1b[31m"


def test_tracebacks_are_shown_to_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert r"  \x1b]0;x" in shown(monkeypatch, terminal=False, debug=True)


@pytest.mark.parametrize("command", [("run",), ("frame", "-e", "sysmon:1", "-o", "starts.csv"), ("coverage",)])
def test_who_wants_quiet_does_not_wait_for_what_draws(command: tuple[str, ...], tmp_path: Path) -> None:
    arguments = [command[0], str(ROOT / "samples" / "logs" / "clone-a.evtx"), *command[1:], "--quiet"]
    program = (
        "import sys\n"
        "from hunt import cli\n"
        "try:\n"
        "    cli.main(sys.argv[1:])\n"
        "finally:\n"
        "    assert not {'rich', 'psutil', 'dissect'} & set(sys.modules)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, cwd=tmp_path, env=environment, text=True
    )
    assert done.returncode == 0, done.stderr


def test_both_of_two_watchers_hear_everything() -> None:
    class Ear(Watcher):
        def __init__(self) -> None:
            self.heard: list[str] = []

        def __getattribute__(self, name: str) -> object:
            if name not in ("heard", "__class__"):
                self.heard.append(name)
            return super().__getattribute__(name)

    ears = Ear(), Ear()
    both = Both(*ears)
    both.begin(1, 2)
    both.at("a", 1, 2)
    both.problem(Problem("a", "file", "b"))
    both.hunting("q", 0, 1, 2)
    both.note("n")
    both.fault("f")
    both.timing("s", 1.0)
    assert ears[0].heard == ears[1].heard == ["begin", "at", "problem", "hunting", "note", "fault", "timing"]
    assert {name for name in vars(Watcher) if not name.startswith("_")} == {*ears[0].heard, "tally"}
