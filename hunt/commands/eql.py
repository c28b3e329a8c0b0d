"""`hunt eql`."""

from __future__ import annotations

from pathlib import Path

import click

from hunt import options
from hunt.commands._hunting import hunt
from hunt.filters import Filters
from hunt.model import Settings
from hunt.options import Choice, Intake, Place, Results
from hunt.rules.choose import RuleFilter

_NO_CHOICE = Choice((), RuleFilter())


@click.command(epilog="Example: hunt eql 'process where process.name : \"outlook.exe\"' samples/logs")
@click.argument("query", metavar="EQL")
@options.EVIDENCE_IF_ANY
@options.resulting
@options.narrowing
@options.CARVE
@options.reading
@options.placing
def eql(
    query: str,
    evidence: tuple[Path, ...],
    raw: tuple[Path, ...],
    results: Results,
    filters: Filters,
    intake: Intake,
    place: Place,
) -> None:
    """Ask EVIDENCE one question in EQL: events that meet a condition, or sequences of them.

    `hunt explain EQL` says what is read for it, and why it can't be answered if that is so.
    """
    hunt(evidence, raw, results, Settings(None, filters.min_grade), filters, intake, _NO_CHOICE, query, place)
