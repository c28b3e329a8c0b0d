"""What `hunt run` and `hunt eql` share: read, hunt, write, and say how it went."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from hunt import options, registry
from hunt.commands._ends import (
    BAD_REQUEST,
    DAMAGED,
    FOUND,
    INTERRUPTED,
    OK,
    check_format,
    check_out,
    named,
    printing,
    writing,
)
from hunt.filters import Filters
from hunt.model import Report, Settings, Severity
from hunt.options import Choice, Intake, Place, Results, say


def hunt(
    evidence: tuple[Path, ...],
    raw: tuple[Path, ...],
    results: Results,
    settings: Settings,
    filters: Filters,
    intake: Intake,
    choice: Choice,
    query: str | None,
    place: Place,
) -> None:
    """Read, hunt, write, and end with the exit code that says how it went.

    `query`: EQL that was typed; `place`: who does it, in what memory.
    """
    from hunt import allow as allowlist
    from hunt import interrupts, pipeline
    from hunt import log as log_file
    from hunt.output._progress import bar
    from hunt.watcher import Both

    started = datetime.now(UTC)
    check_format(results.shown)
    read = named((*evidence, *raw), intake.cases, " or --carve FILE")
    check_out(results.out, read)
    request = pipeline.Request(
        evidence,
        choice.queries,
        settings,
        results.out,
        intake.jobs,
        {
            "csv": results.cells,
            **options.given(),
            "evidence": [str(path) for path in evidence],
            "carve": [str(path) for path in raw],
            "cases": options.shown_cases(intake.cases),
            "allow": str(results.allow) if results.allow else None,
        },
        filters,
        intake.bounds,
        intake.opening,
        intake.slack,
        raw,
        allowlist.load(results.allow, started) if results.allow else allowlist.Allowlist(),
        stories=getattr(registry.output(results.shown), "TELLS_STORIES", False),
        rules=choice.rules,
        eql=query,
        cases=intake.cases,
        cluster=place.cluster,
        room=place.room,
    )
    journal = log_file.begin(intake.log, read, request.options)
    with interrupts.listening() as stop, journal:
        with bar(intake.quiet, intake.debug) as shown_bar:
            report = pipeline.run(request, Both(shown_bar, journal))
        with stop.whole():  # what was found is written, whoever asks for the end
            if results.out:
                _write_files(report, results.out, started)
            with printing() as stdout:
                registry.output(results.shown).write(report, stdout)
            code = finish(report, bool(choice.queries or query), results.fail_on)
    journal.close(exit_code=code, findings=report.findings.height, problems=len(report.problems))
    sys.exit(code)


def _write_files(report: Report, out: Path, started: datetime) -> None:
    from hunt.output import _files

    with writing(out):
        _files.write_folder(report, out, started)


_REASONS = 3  # queries that could not run whose reasons the last line tells


def finish(report: Report, named: bool, fail_on: Severity | None) -> int:
    """The last line on stderr, which names all that applies; the exit code: 130 before 2 before 3 before 1."""
    from hunt.output._summary import counted, limits

    known = report.findings["suppressed"].is_not_null()
    alarming = [s for s in report.findings["severity"].filter(~known) if fail_on and Severity(s).rank >= fail_on.rank]
    notes, codes = [counted(report)], []
    if report.interrupted:
        notes.append(f"interrupted, {len(report.unread)} of {len(report.tallies)} files not read whole")
        codes.append(INTERRUPTED)
    if named and not any(q.status.able for q in report.queries):
        told = [f"{q.query}: {q.reason}" for q in report.queries[:_REASONS]]
        rest = len(report.queries) - len(told)
        more = [f"{rest} more (queries.csv with -o)"] if rest else []
        notes.append(f"no named query could run ({'; '.join((*told, *more))})")
        codes.append(BAD_REQUEST)
    else:
        notes += limits(report)
    if report.problems:
        notes.append("part of the evidence could not be read (problems.csv with -o)")
        codes.append(DAMAGED)
    if alarming:
        notes.append(f"{len(alarming)} at or above {fail_on}")
        codes.append(FOUND)
    say(f"hunt: {'; '.join(notes)}")
    return codes[0] if codes else OK
