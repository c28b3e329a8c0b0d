"""`hunt completion`."""

from __future__ import annotations

import click

from hunt import shells
from hunt.commands._ends import printing


@click.command(epilog="Example: hunt completion bash")
@click.argument("shell", type=click.Choice(shells.SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script by which SHELL completes commands, options and queries.

    \b
    bash        eval "$(hunt completion bash)"             in ~/.bashrc
    zsh         eval "$(hunt completion zsh)"              in ~/.zshrc
    fish        hunt completion fish | source              in ~/.config/fish/config.fish
    powershell  hunt completion powershell | Out-String | Invoke-Expression    in $PROFILE
    """
    with printing() as stdout:
        stdout.write(shells.script(ctx.find_root().command, shell))
