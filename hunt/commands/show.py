"""`hunt show`."""

from __future__ import annotations

import click

from hunt import options
from hunt.commands._ends import printing


@click.command(epilog="Example: hunt show outlook-script-host")
@click.argument("query", shell_complete=options.ids)
def show(query: str) -> None:
    """Show what QUERY looks for, what looks alike, when it is blind, and what to do next.

    QUERY is an id of ours, a rule file or a folder of them.
    """
    from hunt.output import _rules
    from hunt.rules.choose import choose

    with printing() as stdout:
        _rules.show(choose([query]), stdout)
