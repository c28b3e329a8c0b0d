"""`hunt run`."""

from __future__ import annotations

from pathlib import Path

import click

from hunt import options
from hunt.commands._hunting import hunt
from hunt.filters import Filters
from hunt.model import Settings
from hunt.options import Choice, Intake, Place, Results


@click.command(epilog="Example: hunt run samples/logs -o out")
@options.EVIDENCE_IF_ANY
@options.choosing
@options.resulting
@options.window("Longest time between the events of a match, inclusive; default: the query's own, 60 for Outlook.")
@options.THRESHOLD
@options.narrowing
@options.CARVE
@options.reading
@options.placing
def run(
    evidence: tuple[Path, ...],
    raw: tuple[Path, ...],
    choice: Choice,
    results: Results,
    window: float | None,
    threshold: int | None,
    filters: Filters,
    intake: Intake,
    place: Place,
) -> None:
    """Read EVIDENCE (event logs, folders, archives), run the queries, show what they find.

    Queries are ours (`hunt queries`), or rules in files of yours: Elastic's, Sigma's.
    """
    settings = Settings(window, filters.min_grade, threshold)
    hunt(evidence, raw, results, settings, filters, intake, choice, None, place)
