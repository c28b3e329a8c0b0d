"""`hunt queries`."""

from __future__ import annotations

import click

from hunt import options, registry
from hunt.commands._ends import printing


@click.command(epilog="Example: hunt queries")
@options.formats(["table", "jsonl"])
def queries(shown: str) -> None:
    """Show what is covered: the ATT&CK matrix, and each query with the evidence that it needs."""
    from hunt.output import _catalogue

    with printing() as stdout:
        _catalogue.write([query.hunt for query in registry.queries()], shown, stdout)
