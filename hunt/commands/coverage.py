"""`hunt coverage`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hunt import options
from hunt.commands._ends import DAMAGED, INTERRUPTED, OK, UNREAD, check_out, named, printing, tell_problems, writing
from hunt.options import Choice, Intake, say


@click.command(epilog="Example: hunt coverage samples/logs -o seen")
@options.EVIDENCE_IF_ANY
@options.choosing
@options.out("Folder for coverage.csv, queries.csv and problems.csv.")
@options.formats(["table", "csv", "jsonl"])
@options.reading
def coverage(
    evidence: tuple[Path, ...],
    choice: Choice,
    out: Path | None,
    shown: str,
    intake: Intake,
) -> None:
    """Say what EVIDENCE could have shown, and what it could not: no query is run.

    For each host and channel its span, event ids, gaps, silences, cleared logs, clocks, damage; when Outlook ran; for
    each query whether it could have fired, when, and what it lacked.
    """
    from hunt import log as log_file
    from hunt import pipeline
    from hunt.coverage.facts import counted
    from hunt.output import _facts, _files
    from hunt.output._progress import bar
    from hunt.watcher import Both

    read = named(evidence, intake.cases)
    check_out(out, read, ours="coverage.csv")
    journal = log_file.begin(intake.log, read, options.told(evidence, intake.cases))
    request = pipeline.Request(
        evidence, choice.queries, out=out, jobs=intake.jobs, bounds=intake.bounds, opening=intake.opening,
        slack=intake.slack, rules=choice.rules, cases=intake.cases,
    )  # fmt: skip
    with journal:
        with bar(intake.quiet, intake.debug) as shown_bar:
            covered = pipeline.cover(request, Both(shown_bar, journal))
        if out:
            with writing(out):
                _files.write_coverage(covered.facts, out)
                _files.write_evaluated(covered.queries, out)
                _files.write_problems(covered.problems, out)
        with printing() as stdout:
            _facts.write(covered.facts, shown, stdout)
    tell_problems(() if out else covered.problems)
    count, found = (sum(getattr(tally, what) for tally in covered.tallies) for what in ("read", "found"))
    late = f"; interrupted, {len(covered.unread)} files not read whole" if covered.interrupted else ""
    where = f"{counted(len(covered.tallies), 'file')} of {counted(len(covered.hosts), 'host')}"
    other = f"; {counted(len(covered.skipped), 'file')} of other formats skipped" if covered.skipped else ""
    said = f"{count} of {found} records read in {where}{other}"
    say(f"hunt: {said}{late}{UNREAD if covered.problems else ''}")
    code = INTERRUPTED if covered.interrupted else DAMAGED if covered.problems else OK
    journal.close(exit_code=code)
    sys.exit(code)
