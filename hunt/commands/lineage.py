"""`hunt lineage`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hunt import options
from hunt.commands._ends import BAD_REQUEST, DAMAGED, INTERRUPTED, OK, UNREAD, check_out, named, printing, writing
from hunt.filters import Filters
from hunt.model import Settings
from hunt.options import Intake, say


@click.command(epilog="Example: hunt lineage samples/logs -o who")
@options.EVIDENCE_IF_ANY
@options.out("Folder for lineage.csv and others.", required=True)
@options.window("Longest time from the start of a requester, or its request, to that of the process; default: 60.")
@options.CSV
@options.narrowing_processes
@options.reading
def lineage(
    evidence: tuple[Path, ...],
    out: Path,
    window: float | None,
    cells: str,
    filters: Filters,
    intake: Intake,
) -> None:
    """Say who requested each process that a broker started: COM, WMI, the service manager, a task, WinRM.

    OUT gets lineage.csv, one row for each such process with its likeliest requester, graded from A (proven) to F (only
    the time fits); candidates.csv, who else could have been, and who could not and why; problems.csv. stdout gets the
    counts by mechanism and grade.
    """
    from hunt import log as log_file
    from hunt import pipeline
    from hunt.lineage import CANDIDATES_CSV, LINEAGE_CSV, counts
    from hunt.lineage.run import trace
    from hunt.output import _files
    from hunt.output._progress import bar
    from hunt.watcher import Both

    read = named(evidence, intake.cases)
    check_out(out, read, ours="lineage.csv")
    journal = log_file.begin(intake.log, read, options.told(evidence, intake.cases))
    request = pipeline.Request(
        evidence, (), Settings(window_s=window), out, intake.jobs, {}, filters, intake.bounds, intake.opening,
        intake.slack, cases=intake.cases,
    )  # fmt: skip
    with journal:
        with bar(intake.quiet, intake.debug) as shown_bar:
            traced = trace(request, Both(shown_bar, journal))
        with writing(out):
            tables = traced.lineage.select(LINEAGE_CSV), traced.candidates.select(CANDIDATES_CSV)
            _files.write_lineage(*tables, out, raw=cells == "raw")
            _files.write_problems(traced.problems, out)
        with printing():
            for cells_of_row in counts(traced.lineage):
                click.echo("\t".join(cells_of_row))
    found, count = (sum(getattr(tally, what) for tally in traced.tallies) for what in ("found", "read"))
    hidden = f", {traced.hidden} more outside --since, --until, --host" if traced.hidden else ""
    said = f"{traced.lineage.height} processes started by brokers{hidden}; {count} of {found} records read"
    late = f"; interrupted, {len(traced.unread)} files not read whole" if traced.interrupted else ""
    told = traced.told
    if told.reason:
        say(f"hunt: {told.reason}")
    blind = "" if told.hosts_ran else "; nothing could be told: no host logged process starts"
    say(f"hunt: {said}{blind}{late}{UNREAD if traced.problems else ''}")
    code = INTERRUPTED if traced.interrupted else BAD_REQUEST if blind else DAMAGED if traced.problems else OK
    journal.close(exit_code=code)
    sys.exit(code)
