"""The command line. Results go to stdout, everything else to stderr; HuntErrors become one line here and only here."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from hunt import __version__, registry
from hunt.errors import HuntError, QueryError
from hunt.model import SYSMON, EventType, Problem, Report, Settings, Severity, Status
from hunt.output import safe

OK, FOUND, BAD_REQUEST, DAMAGED, INTERRUPTED = 0, 1, 2, 3, 130
PIPE_CLOSED = 141  # as shells tell of SIGPIPE


class _Group(click.Group):
    """Turns what can't be served into one line and exit code 2; our own bugs stay tracebacks."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except HuntError as error:
            _say(f"hunt: {error}")
            ctx.exit(BAD_REQUEST)
        except KeyboardInterrupt:
            _say("hunt: interrupted")
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:  # `hunt ... | head`: whoever read has seen enough
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - so that leaving does not fail again
            ctx.exit(PIPE_CLOSED)


def _say(line: str) -> None:
    click.echo(safe(line), err=True)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="evtx-hunt")
def main() -> None:
    """Hunt offline in Windows event logs: which script hosts started Outlook, and whatever else the queries ask.

    Exit codes: 0 done, 1 findings at or above --fail-on, 2 bad request, 3 part of the evidence was unreadable,
    130 interrupted.
    """
    for stream in (sys.stdout, sys.stderr):  # a narrow code page shows \\u4e2d rather than failing
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure:
            reconfigure(errors="backslashreplace")


_SLACK = click.option(
    "--slack", is_flag=True, help="Also stale records in what chunks leave free; their column `recovered` says so."
)
_JOBS = click.option(
    "--jobs", type=click.IntRange(1, 1024), default=os.cpu_count() or 1, metavar="N",
    help="Parts of evidence that are read at the same time; default: one per processor.",
)  # fmt: skip


_EVIDENCE = click.argument("evidence", nargs=-1, required=True, type=click.Path(path_type=Path))


@main.command(epilog="Example: hunt run samples/logs -o out")
@_EVIDENCE
@click.option("-q", "--query", "queries", multiple=True, metavar="QUERY", help="A query's id; again for more.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Folder for findings.csv and the other files.")
@click.option(
    "--format", "shown", type=click.Choice(registry.formats()), default="table", show_default=True,
    help="What stdout gets.",
)  # fmt: skip
@click.option(
    "--window", type=click.FloatRange(min=0, max=10**9), metavar="SECONDS", callback=lambda *given: _number(given[-1]),
    help="Longest time between the events of a match, inclusive; default: the query's own, 60 for Outlook.",
)  # fmt: skip
@click.option(
    "--csv", "cells", type=click.Choice(["safe", "raw"]), default="safe", show_default=True,
    help="safe: control characters shown, formulas disarmed; raw: cells exactly as the evidence has them.",
)  # fmt: skip
@click.option(
    "--fail-on", type=click.Choice([s.value for s in Severity]), metavar="LEVEL",
    help="Exit with 1 if a finding has this severity or more.",
)  # fmt: skip
@_JOBS
@click.option("--quiet", is_flag=True, help="No progress bar.")
def run(
    evidence: tuple[Path, ...],
    queries: tuple[str, ...],
    out: Path | None,
    shown: str,
    window: float | None,
    cells: str,
    fail_on: str | None,
    jobs: int,
    quiet: bool,
) -> None:
    """Read EVIDENCE (event logs or folders of them), run the queries, show what they find."""
    from hunt import pipeline
    from hunt.output._progress import bar

    started = datetime.now(UTC)
    _check_out(out, evidence)
    request = pipeline.Request(evidence, queries, Settings(window_s=window), out, jobs, {"csv": cells})
    with bar(hidden=quiet) as watcher:
        report = pipeline.run(request, watcher)
    if out:
        _write_files(report, out, started)
    registry.output(shown).write(report, sys.stdout)
    sys.stdout.flush()
    _finish(report, queries, Severity(fail_on) if fail_on else None)


def _number(seconds: float | None) -> float | None:
    if seconds is not None and math.isnan(seconds):  # lies in no range and passes them all
        raise click.BadParameter("nan is no number of seconds")
    return seconds


def _check_out(out: Path | None, evidence: tuple[Path, ...], folder: bool = True) -> None:
    if out is None:
        return
    if folder and out.exists() and not out.is_dir():
        raise HuntError(f"{out}: is a file; -o names a folder")
    if any(path.exists() and out.exists() and path.samefile(out) for path in evidence):
        raise HuntError(f"{out}: is evidence; results are never written into it")


def _write_files(report: Report, out: Path, started: datetime) -> None:
    from hunt.output import _files

    try:
        _files.write_folder(report, out, started)
    except OSError as error:
        raise HuntError(f"{out}: can't write results: {error.strerror or error}") from None


def _finish(report: Report, named: tuple[str, ...], fail_on: Severity | None) -> None:
    """The last line on stderr, which names all that applies, and the exit code: 2 before 3 before 1."""
    from hunt.output._summary import counted

    if named and all(q.status is Status.NOT_EVALUABLE for q in report.queries):
        reasons = "; ".join(f"{q.query}: {q.reason}" for q in report.queries)
        raise QueryError(f"{counted(report)}; no named query could run ({reasons})")
    alarming = [s for s in report.findings["severity"] if fail_on and Severity(s).rank >= fail_on.rank]
    notes = [counted(report)]
    if report.problems:
        notes.append("part of the evidence could not be read (problems.csv with -o)")
    if alarming:
        notes.append(f"{len(alarming)} at or above {fail_on}")
    _say(f"hunt: {'; '.join(notes)}")
    sys.exit(DAMAGED if report.problems else FOUND if alarming else OK)


_EVENT_TYPES = {"sysmon": SYSMON, "powershell": "Microsoft-Windows-PowerShell/Operational"}


def _event_type(named: str) -> EventType:
    """CHANNEL:ID, with short names for channels that are asked for often."""
    channel, _, event_id = named.rpartition(":")
    if not channel or not event_id.isdecimal() or len(event_id) > 9:
        raise HuntError(f"{named}: an event type is CHANNEL:ID, such as Security:4688 or sysmon:1")
    return EventType(_EVENT_TYPES.get(channel.lower(), channel), int(event_id))


@main.command(epilog="Example: hunt frame samples/logs -e sysmon:1 -o starts.parquet")
@_EVIDENCE
@click.option("-e", "--event", metavar="CHANNEL:ID", help="The event type wanted, such as Security:4688 or sysmon:1.")
@click.option("--all", "everything", is_flag=True, help="All event types, a Parquet file each; -o names a folder.")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="FILE.parquet or FILE.csv; a folder.")
@_SLACK
@_JOBS
@click.option("--quiet", is_flag=True, help="No progress bar.")
def frame(
    evidence: tuple[Path, ...],
    event: str | None,
    everything: bool,
    out: Path,
    slack: bool,
    jobs: int,
    quiet: bool,
) -> None:
    """Write the events of EVIDENCE as they are, with all their fields, to Parquet or CSV.

    Every record is a row, also those that stand in several logs; `source` and `offset` tell where.
    """
    from hunt import export, pipeline
    from hunt.evidence import collect
    from hunt.model import Reading
    from hunt.output._progress import bar

    if everything == bool(event):
        raise HuntError("one of -e CHANNEL:ID and --all is needed")
    _check_out(out, evidence, folder=everything)
    collected = collect(evidence, registry.parsers(), leave_out=out, hashed=False)
    target = export.export_all(out) if everything else export.export_one(_event_type(event or ""), out)
    try:
        with target, bar(hidden=quiet) as watcher:
            reading = Reading(target.wants(), jobs, slack)
            tallies, problems = pipeline.read(collected, reading, target.add, watcher)
    except OSError as error:
        raise HuntError(f"{out}: can't write: {error.strerror or error}") from None
    _problems((*collected.problems, *problems))
    read, found = (sum(getattr(tally, what) for tally in tallies) for what in ("read", "found"))
    damaged = bool(collected.problems or problems)
    said = f"{target.rows} rows in {target.files} files; {read} of {found} records read in {len(tallies)} logs"
    _say(f"hunt: {said}{_UNREAD if damaged else ''}")
    sys.exit(DAMAGED if damaged else OK)


_UNREAD = "; part of the evidence could not be read"
_SHOWN = 20  # problems that are printed where no file takes them all


def _problems(problems: Sequence[Problem]) -> None:
    for problem in problems[:_SHOWN]:
        place = "" if problem.offset is None else f" at {problem.offset}"
        record = "" if problem.record_id is None else f", record {problem.record_id}"
        _say(f"{problem.source}{place}{record}: {problem.reason}")
    if len(problems) > _SHOWN:
        _say(f"and {len(problems) - _SHOWN} more problems")


@main.command(epilog="Example: hunt verify samples/logs")
@_EVIDENCE
@click.option("--quiet", is_flag=True, help="No list of the differences that known faults explain.")
def verify(evidence: tuple[Path, ...], quiet: bool) -> None:
    """Read EVIDENCE with two parsers that share little code, and print every difference.

    The second one is slow: some hundred records a second. Exit code 1 if there is a difference that is not one of its
    known faults, 3 if part of the evidence could not be read at all.
    """
    from hunt.evidence import collect
    from hunt.model import Reading
    from hunt.verify import compare, unexplained

    collected = collect(evidence, registry.parsers(), hashed=False)
    comparisons = []
    for item, parser in collected.files:
        comparison = compare(item, parser, registry.reference(parser.name), Reading())
        comparisons.append(comparison)
        for difference in comparison.differences:
            if not (difference.known and quiet):
                said = f"{difference.source}\t{difference.offset}\t{difference.what}"
                click.echo(safe(f"{said}{' (explained)' if difference.known else ''}".replace("\t", " | ")))
    unread = (*collected.problems, *(problem for comparison in comparisons for problem in comparison.problems))
    _problems(unread)
    bad = unexplained(comparisons)
    known = sum(len(comparison.differences) for comparison in comparisons) - bad
    records = sum(comparison.records for comparison in comparisons)
    said = f"{bad} differences in {records} records of {len(comparisons)} logs; {known} more are known faults"
    _say(f"hunt: {said}{_UNREAD if unread else ''}")
    sys.exit(DAMAGED if unread else FOUND if bad else OK)


@main.command("queries", epilog="Example: hunt queries")
def list_queries() -> None:
    """List the queries: id, severity, techniques, title."""
    for query in registry.queries():
        found = query.hunt
        click.echo(f"{found.id}\t{found.severity}\t{','.join(found.attack)}\t{found.title}")


@main.command(epilog="Example: hunt show outlook-script-host")
@click.argument("query")
def show(query: str) -> None:
    """Show what QUERY looks for, what looks alike, and when it is blind."""
    (selected,) = registry.select([query])
    found = selected.hunt
    click.echo(f"{found.id}: {found.title}\nseverity {found.severity}, risk {found.risk_score}\n\n{found.doc}")


if __name__ == "__main__":
    main()
