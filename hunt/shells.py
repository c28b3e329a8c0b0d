"""Completion of commands, options and queries in a shell: click's for bash, zsh and fish, ours for PowerShell."""

from __future__ import annotations

import os
from typing import ClassVar

import click
from click.shell_completion import CompletionItem, ShellComplete, add_completion_class, get_completion_class

SHELLS = ("bash", "fish", "powershell", "zsh")
_PROGRAM, _VARIABLE = "hunt", "_HUNT_COMPLETE"

# Windows PowerShell 5.1 and PowerShell 7. A native completer that gives nothing leaves file names to the shell.
# See: https://learn.microsoft.com/powershell/module/microsoft.powershell.core/register-argumentcompleter
_SCRIPT = r"""Register-ArgumentCompleter -Native -CommandName %(prog_name)s, %(prog_name)s.exe -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $before = @($commandAst.CommandElements |
        Where-Object { $_.Extent.EndOffset -lt $cursorPosition } |
        ForEach-Object { $_.Extent.Text -replace '[\r\n]+', ' ' })
    $env:COMP_WORDS = $before -join "`n"
    $env:COMP_CWORD = "$wordToComplete"
    $env:%(complete_var)s = 'powershell_complete'
    try { $found = @(& %(prog_name)s) }
    finally { Remove-Item Env:COMP_WORDS, Env:COMP_CWORD, Env:%(complete_var)s -ErrorAction SilentlyContinue }
    foreach ($line in $found) {
        $kind, $value, $help = $line -split "`t", 3
        if ($kind -eq 'plain' -and $value) {
            if (-not $help) { $help = $value }
            [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $help)
        }
    }
}
"""


class PowerShell(ShellComplete):
    """The words before the cursor come one a line in COMP_WORDS, the program's name first; the word begun, if any, in
    COMP_CWORD. Each completion goes back as a line: kind, value and help, with tabs between."""

    name: ClassVar[str] = "powershell"
    source_template: ClassVar[str] = _SCRIPT

    def get_completion_args(self) -> tuple[list[str], str]:
        words = os.environ.get("COMP_WORDS", "").split("\n")[1:]
        return [_bare(word) for word in words], _bare(os.environ.get("COMP_CWORD", ""))

    def format_completion(self, item: CompletionItem) -> str:
        told = " ".join((item.help or "").split())
        return f"{item.type}\t{item.value}\t{told}"


def _bare(word: str) -> str:
    """Without the quotes that PowerShell leaves around words."""
    quoted = len(word) > 1 and word[0] in "'\"" and word[-1] == word[0]
    return word[1:-1] if quoted else word


def register() -> None:
    """So that click knows all of SHELLS."""
    add_completion_class(PowerShell)


def script(main: click.Command, shell: str) -> str:
    """What a shell has to run at its start."""
    register()
    found = get_completion_class(shell)
    assert found is not None
    # Not source(), which runs bash to warn of old ones: the script may be meant for another machine.
    made = found(main, {}, _PROGRAM, _VARIABLE)
    return found.source_template % made.source_vars()
