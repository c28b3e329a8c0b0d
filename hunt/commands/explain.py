"""`hunt explain`."""

from __future__ import annotations

import sys

import click

from hunt import options
from hunt.commands._ends import BAD_REQUEST, OK, printing


@click.command(epilog="Example: hunt explain 'process where process.name : \"outlook.exe\"'")
@click.argument("query", shell_complete=options.ids)
def explain(query: str) -> None:
    """Explain how QUERY is run: an id of ours, a rule file, a folder of them, or a query in EQL.

    Which events and fields are read, what every step asks of them, what can't be told; or why it can't be run. Exit
    code 2 if no part of it can be.
    """
    from hunt.output import _rules
    from hunt.rules.choose import explained

    chosen = explained(query)
    with printing() as stdout:
        _rules.explain(chosen, stdout)
    sys.exit(OK if chosen.queries else BAD_REQUEST)
