"""Completion in shells, and how soon help is there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete
from click.testing import CliRunner

from hunt import registry, shells
from hunt.cli import commands, main
from tests.helpers import ROOT


def completed(shell: str, words: str, begun: str) -> list[str]:
    """What a shell gets that asks by its own protocol."""
    asked = {"_HUNT_COMPLETE": f"{shell}_complete", "COMP_WORDS": words, "COMP_CWORD": begun}
    return CliRunner().invoke(main, [], prog_name="hunt", env=asked).stdout.splitlines()


@pytest.mark.parametrize(("shell", "known"), [("bash", BashComplete), ("zsh", ZshComplete), ("fish", FishComplete)])
def test_the_script_is_that_of_clicks(shell: str, known: type[ShellComplete]) -> None:
    made = known(main, {}, "hunt", "_HUNT_COMPLETE")
    assert CliRunner().invoke(main, ["completion", shell]).stdout == known.source_template % made.source_vars()


def test_another_shell_is_refused() -> None:
    assert CliRunner().invoke(main, ["completion", "cmd"]).exit_code == 2


def test_commands_are_completed() -> None:
    assert completed("bash", "hunt ti", "1") == ["plain,timeline"]
    assert completed("fish", "hunt ti", "ti")[0].startswith("plain")


def test_queries_formats_and_files_are_completed() -> None:
    assert completed("bash", "hunt show outlook-scr", "2")[0] == "plain,outlook-script-host"
    assert {"plain,xlsx", "plain,navigator"} <= set(completed("bash", "hunt run --format ", "3"))
    assert completed("bash", "hunt run -q rul", "3") == ["file,rul"]
    assert completed("bash", "hunt completion ", "2") == [f"plain,{shell}" for shell in shells.SHELLS]


def test_bash_completes(tmp_path: Path) -> None:
    program, bash = Path(sys.executable).with_name("hunt"), shutil.which("bash")
    if not program.exists() or not bash:
        pytest.skip("no bash, or hunt is not installed beside this interpreter")
    (tmp_path / "hunt.sh").write_text(CliRunner().invoke(main, ["completion", "bash"]).stdout)
    script = 'source hunt.sh; COMP_WORDS=(hunt tim); COMP_CWORD=1; _hunt_completion "$0"; echo "${COMPREPLY[@]}"'
    done = subprocess.run([bash, "-c", script, program], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.stdout, done.stderr) == ("timeline\n", "")


# PowerShell: what its script sends, and what it expects.


def test_powershell_gets_kind_value_and_help_with_tabs_between() -> None:
    (line,) = completed("powershell", "hunt", "timel")
    kind, value, told = line.split("\t")
    assert (kind, value) == ("plain", "timeline") and told.startswith("Print the events")


def test_powershell_sends_the_words_before_the_cursor_a_line_each() -> None:
    assert completed("powershell", "hunt\nshow", "outlook-scr")[0] == "plain\toutlook-script-host\t"
    quoted = completed("powershell", "hunt\nrun\n'C:\\my logs'\n--format", '"xl"')
    assert quoted == ["plain\txlsx\t"]
    everything = completed("powershell", "hunt\nshow", "")
    assert [line.split("\t")[1] for line in everything if line.startswith("plain")] == list(registry.ids())


def test_the_script_for_powershell_is_whole() -> None:
    script = CliRunner().invoke(main, ["completion", "powershell"]).stdout
    assert script.startswith("Register-ArgumentCompleter -Native -CommandName hunt, hunt.exe -ScriptBlock {")
    assert "%(" not in script and script.isascii()
    assert all(script.count(a) == script.count(b) for a, b in ("{}", "()", "[]"))
    for name in ("COMP_WORDS", "COMP_CWORD", "_HUNT_COMPLETE"):
        assert f"$env:{name} = " in script and f"Env:{name}" in script  # set, and removed


# Help.


def test_help_imports_nothing_heavy() -> None:
    heavy = ("polars", "numpy", "pyarrow", "rich", "lxml", "lark", "sigma", "xlsxwriter", "Evtx")
    script = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from hunt.cli import commands, main\n"
        "for name in ('', *commands()):\n"
        "    assert CliRunner().invoke(main, [*([name] if name else []), '--help']).exit_code == 0, name\n"
        f"    met = [module for module in {heavy} if module in sys.modules]\n"
        "    assert not met, (name, met)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


def test_each_module_of_commands_offers_the_command_of_its_name() -> None:
    context = click.Context(main)
    assert main.list_commands(context) == sorted(commands())
    for name in commands():
        command = main.get_command(context, name)
        assert command is not None and command.name == name
    assert main.get_command(context, "os") is None
    assert "No such command 'nope'" in CliRunner().invoke(main, ["nope"]).stderr


# Streams that can't show everything.

ENCODINGS = {"cp437": "a -> b", "cp1252": "a -> b", "cp866": "a -> b", "ascii": "a -> b", "utf-8": "a → b"}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_arrows_are_plain_where_a_code_page_has_none(encoding: str) -> None:
    from hunt import legible

    shown = "a → b … 外\u202e".encode(encoding, errors=legible.ERRORS).decode(encoding)
    assert shown.startswith(ENCODINGS[encoding])
    assert shown.endswith("外\u202e" if encoding == "utf-8" else "\\u5916\\u202e")
    assert " … " in shown or " ... " in shown


@pytest.mark.parametrize("encoding", ["cp866"])
def test_a_tree_in_a_code_page_is_legible(encoding: str) -> None:
    command = [sys.executable, "-m", "hunt.cli", "tree", "samples/logs/mail-theft.evtx", "--pid", "6128"]
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = subprocess.run(command, capture_output=True, cwd=ROOT, env=environment, check=False)
    text = done.stdout.decode(encoding)
    assert done.returncode == 0, done.stderr
    assert "OUTLOOK.EXE (6636)" in text and "\\u" not in text
