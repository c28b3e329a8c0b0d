"""`hunt timeline`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hunt import options
from hunt.commands._ends import DAMAGED, INTERRUPTED, OK, UNREAD, named, printing, tell_problems
from hunt.errors import HuntError
from hunt.filters import Filters
from hunt.options import Intake, say

if TYPE_CHECKING:
    import polars as pl


@click.command(epilog="Example: hunt timeline samples/logs --event-id 1 --contains outlook.exe")
@options.EVIDENCE_IF_ANY
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), metavar="OUT",
    help="The events of the findings in the folder that `hunt run EVIDENCE -o OUT` has written, without EVIDENCE.",
)  # fmt: skip
@options.narrowing_events
@click.option(
    "--event-id", "event_ids", multiple=True, type=click.IntRange(0, 2**32 - 1), metavar="ID",
    help="Only events of this id; again for more.",
)  # fmt: skip
@click.option(
    "--user",
    "users",
    multiple=True,
    metavar="TEXT",
    help="Only events that name a user with this text; again for more.",
)
@click.option(
    "--contains",
    multiple=True,
    metavar="TEXT",
    help="Only events with this text in any field, without case; again: all.",
)
@options.formats(["table", "csv", "jsonl"])
@options.CSV
@options.reading
def timeline(
    evidence: tuple[Path, ...],
    out: Path | None,
    filters: Filters,
    event_ids: tuple[int, ...],
    users: tuple[str, ...],
    contains: tuple[str, ...],
    shown: str,
    cells: str,
    intake: Intake,
) -> None:
    """Print the events of EVIDENCE, of all channels and hosts, in the order of time: one line each.

    Each event once, however many logs it stands in; what has no time comes last. On a terminal lines are cut to its
    width, and in every format a field's text after 1,000 characters of an event: `hunt frame` has all.
    """
    from hunt import log as log_file
    from hunt import pipeline
    from hunt import timeline as lines
    from hunt.coverage.facts import counted
    from hunt.output import _timeline
    from hunt.output._progress import bar
    from hunt.watcher import Both

    if bool(evidence or intake.cases) == bool(out):
        raise HuntError("one of EVIDENCE (or --case DIR) and -o OUT is needed")
    asked = lines.Asked(filters, event_ids, users, contains)

    def take(parts: Iterator[pl.DataFrame]) -> int:
        with printing() as stdout:
            return _timeline.write(parts, shown, cells == "raw", stdout)

    if out:
        count, notes = lines.of_run(out, asked, take)
        told_of = f"{counted(count, 'event')} of findings"
        say(f"hunt: {'; '.join((told_of, *notes))}")
        return
    read = named(evidence, intake.cases)
    journal = log_file.begin(intake.log, read, options.told(evidence, intake.cases))
    request = pipeline.Request(
        evidence, jobs=intake.jobs, bounds=intake.bounds, opening=intake.opening, slack=intake.slack, cases=intake.cases
    )
    with journal, bar(intake.quiet, intake.debug) as shown_bar:
        told = lines.tell(request, asked, take, Both(shown_bar, journal))
    tell_problems(told.problems)
    found, count = (sum(getattr(tally, what) for tally in told.tallies) for what in ("found", "read"))
    late = f"; interrupted, {len(told.unread)} files not read whole" if told.interrupted else ""
    say(f"hunt: {counted(told.rows, 'event')}; {count} of {found} records read{late}{UNREAD if told.problems else ''}")
    code = INTERRUPTED if told.interrupted else DAMAGED if told.problems else OK
    journal.close(exit_code=code)
    sys.exit(code)
