"""The command line. Results go to stdout, everything else to stderr; HuntErrors become one line here and only here."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import click

from hunt import __version__, options, pulse, registry
from hunt.errors import HuntError
from hunt.filters import Filters
from hunt.model import EventType, Opening, Problem, Report, Settings, Severity
from hunt.options import Choice, Intake, Results, say
from hunt.output import safe
from hunt.rules.choose import RuleFilter

OK, FOUND, BAD_REQUEST, DAMAGED, INTERRUPTED = 0, 1, 2, 3, 130
PIPE_CLOSED = 141  # as shells tell of SIGPIPE


# Commands whose reading may be ended by what they read.
_WATCHED = frozenset({"run", "eql", "frame", "coverage", "lineage", "show-finding"})


class _Group(click.Group):
    """Turns what can't be served into one line and exit code 2; our own bugs stay tracebacks."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **named: Any) -> Any:
        _open_missing()
        if args is None and sys.argv[1:2] and sys.argv[1] in _WATCHED:  # as a command of its own, not as a function
            from hunt import supervisor

            supervisor.watch()
        try:
            return super().main(args, *rest, **named)
        finally:
            pulse.finish()

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except HuntError as error:
            say(f"hunt: {error}")
            ctx.exit(BAD_REQUEST)
        except KeyboardInterrupt:
            say("hunt: interrupted")
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:  # `hunt ... | head`: whoever read has seen enough
            _drop_stdout()
            ctx.exit(PIPE_CLOSED)


def _open_missing() -> None:
    """Streams that were closed by who started us (`hunt ... >&-`) lead nowhere.

    Else the next file that is opened would get their number, and all that is printed.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 - as long as we live


@contextmanager
def _printing() -> Iterator[TextIO]:
    """Where results are printed. Raises HuntError if that can't be written: `hunt ... >FILE` on a full disk."""
    try:
        yield sys.stdout
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _drop_stdout()
        raise HuntError(f"stdout: can't write: {error.strerror or error}") from None


def _drop_stdout() -> None:
    """So that leaving does not fail again."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123


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


@main.command(epilog="Example: hunt run samples/logs -o out")
@options.EVIDENCE_IF_ANY
@options.choosing
@options.resulting
@options.window("Longest time between the events of a match, inclusive; default: the query's own, 60 for Outlook.")
@options.narrowing
@options.CARVE
@options.reading
def run(
    evidence: tuple[Path, ...],
    raw: tuple[Path, ...],
    choice: Choice,
    results: Results,
    window: float | None,
    filters: Filters,
    intake: Intake,
) -> None:
    """Read EVIDENCE (event logs, folders, archives), run the queries, show what they find.

    Queries are ours (`hunt queries`), or rules in files of yours: Elastic's, Sigma's.
    """
    _hunt(evidence, raw, results, Settings(window, filters.min_grade), filters, intake, choice, None)


@main.command(epilog="Example: hunt eql 'process where process.name : \"outlook.exe\"' samples/logs")
@click.argument("query", metavar="EQL")
@options.EVIDENCE_IF_ANY
@options.resulting
@options.narrowing
@options.CARVE
@options.reading
def eql(
    query: str,
    evidence: tuple[Path, ...],
    raw: tuple[Path, ...],
    results: Results,
    filters: Filters,
    intake: Intake,
) -> None:
    """Ask EVIDENCE one question in EQL: events that meet a condition, or sequences of them.

    `hunt explain EQL` says what is read for it, and why it can't be answered if that is so.
    """
    _hunt(evidence, raw, results, Settings(None, filters.min_grade), filters, intake, _NO_CHOICE, query)


_NO_CHOICE = Choice((), RuleFilter())


def _hunt(
    evidence: tuple[Path, ...],
    raw: tuple[Path, ...],
    results: Results,
    settings: Settings,
    filters: Filters,
    intake: Intake,
    choice: Choice,
    query: str | None,
) -> None:
    """Read, hunt, write, and end with the exit code that says how it went; `query`: EQL that was typed."""
    from hunt import allow as allowlist
    from hunt import interrupts, pipeline
    from hunt import log as log_file
    from hunt.output._progress import bar
    from hunt.watcher import Both

    started = datetime.now(UTC)
    if not (evidence or raw):
        raise HuntError("EVIDENCE or --carve FILE is needed")
    _check_out(results.out, (*evidence, *raw))
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
            "allow": str(results.allow) if results.allow else None,
        },
        filters,
        intake.bounds,
        intake.opening,
        intake.slack,
        raw,
        allowlist.load(results.allow, started) if results.allow else allowlist.Allowlist(),
        rules=choice.rules,
        eql=query,
    )
    journal = log_file.begin(intake.log, (*evidence, *raw), request.options)
    with interrupts.listening() as stop, journal:
        with bar(intake.quiet, intake.debug) as shown_bar:
            report = pipeline.run(request, Both(shown_bar, journal))
        with stop.whole():  # what was found is written, whoever asks for the end
            if results.out:
                _write_files(report, results.out, started)
            with _printing() as stdout:
                registry.output(results.shown).write(report, stdout)
            code = _finish(report, bool(choice.queries or query), results.fail_on)
    journal.close(exit_code=code, findings=report.findings.height, problems=len(report.problems))
    sys.exit(code)


def _check_out(out: Path | None, evidence: tuple[Path, ...], folder: bool = True, ours: str | None = None) -> None:
    """`ours`: what a command writes that is no run, whose results it must not mix with its own."""
    if out is None:
        return
    if ours and (out / "manifest.json").exists():
        raise HuntError(f"{out}: holds the results of a run; name another folder for {ours}")
    if folder and out.exists() and not out.is_dir():
        raise HuntError(f"{out}: is a file; -o names a folder")
    # Path.exists raises where nobody may look.
    if out.exists() and any(os.path.exists(path) and path.samefile(out) for path in evidence):  # noqa: PTH110
        raise HuntError(f"{out}: is evidence; results are never written into it")


def _write_files(report: Report, out: Path, started: datetime) -> None:
    from hunt.output import _files

    try:
        _files.write_folder(report, out, started)
    except OSError as error:
        raise HuntError(f"{out}: can't write results: {error.strerror or error}") from None


_REASONS = 3  # queries that could not run whose reasons the last line tells


def _finish(report: Report, named: bool, fail_on: Severity | None) -> int:
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


def _event_type(named: str) -> EventType:
    """CHANNEL:ID, with short names for channels that are asked for often."""
    channel, _, event_id = named.rpartition(":")
    if not channel or not event_id.isdecimal() or len(event_id) > 9:
        raise HuntError(f"{named}: an event type is CHANNEL:ID, such as Security:4688 or sysmon:1")
    return EventType(options.CHANNELS.get(channel.lower(), channel), int(event_id))


@main.command(epilog="Example: hunt frame samples/logs -e sysmon:1 -o starts.parquet")
@options.EVIDENCE
@click.option("-e", "--event", metavar="CHANNEL:ID", help="The event type wanted, such as Security:4688 or sysmon:1.")
@click.option("--all", "everything", is_flag=True, help="All event types, a Parquet file each; -o names a folder.")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="FILE.parquet or FILE.csv; a folder.")
@options.reading
def frame(
    evidence: tuple[Path, ...],
    event: str | None,
    everything: bool,
    out: Path,
    intake: Intake,
) -> None:
    """Write the events of EVIDENCE as they are, with all their fields, to Parquet or CSV.

    Every record is a row, also those that stand in several logs; `source` and `offset` tell where.
    """
    from hunt import export, frames
    from hunt import log as log_file
    from hunt.output._progress import bar
    from hunt.watcher import Both

    if everything == bool(event):
        raise HuntError("one of -e CHANNEL:ID and --all is needed")
    _check_out(out, evidence, folder=everything)
    kind = None if everything else _event_type(event or "")
    journal = log_file.begin(intake.log, evidence, {**options.given(), "evidence": [str(path) for path in evidence]})
    try:
        with journal, bar(intake.quiet, intake.debug) as shown:
            exported = frames.export(
                frames.Asked(evidence, out, intake.jobs, intake.bounds, intake.opening, intake.slack),
                lambda: export.export_one(kind, out) if kind else export.export_all(out),
                Both(shown, journal),
            )
    except OSError as error:
        raise HuntError(f"{out}: can't write: {error.strerror or error}") from None
    _problems(exported.problems)
    read, found = (sum(getattr(tally, what) for tally in exported.tallies) for what in ("read", "found"))
    said = (
        f"{exported.target.rows} rows in {exported.target.files} files; "
        f"{read} of {found} records read in {len(exported.tallies)} logs"
    )
    late = f"; interrupted, {len(exported.unread)} files not read whole" if exported.interrupted else ""
    say(f"hunt: {said}{late}{_UNREAD if exported.problems else ''}")
    code = INTERRUPTED if exported.interrupted else DAMAGED if exported.problems else OK
    journal.close(exit_code=code)
    sys.exit(code)


_UNREAD = "; part of the evidence could not be read"
_SHOWN = 20  # problems that are printed where no file takes them all


def _problems(problems: Sequence[Problem]) -> None:
    for problem in problems[:_SHOWN]:
        place = "" if problem.offset is None else f" at {problem.offset}"
        record = "" if problem.record_id is None else f", record {problem.record_id}"
        say(f"{problem.source}{place}{record}: {problem.reason}")
    if len(problems) > _SHOWN:
        say(f"and {len(problems) - _SHOWN} more problems")


@main.command(epilog="Example: hunt coverage samples/logs -o seen")
@options.EVIDENCE
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

    _check_out(out, evidence, ours="coverage.csv")
    journal = log_file.begin(intake.log, evidence, {**options.given(), "evidence": [str(path) for path in evidence]})
    request = pipeline.Request(
        evidence, choice.queries, out=out, jobs=intake.jobs, bounds=intake.bounds, opening=intake.opening,
        slack=intake.slack, rules=choice.rules,
    )  # fmt: skip
    with journal:
        with bar(intake.quiet, intake.debug) as shown_bar:
            covered = pipeline.cover(request, Both(shown_bar, journal))
        if out:
            try:
                _files.write_coverage(covered.facts, out)
                _files.write_evaluated(covered.queries, out)
                _files.write_problems(covered.problems, out)
            except OSError as error:
                raise HuntError(f"{out}: can't write results: {error.strerror or error}") from None
        with _printing() as stdout:
            _facts.write(covered.facts, shown, stdout)
    _problems(() if out else covered.problems)
    read, found = (sum(getattr(tally, what) for tally in covered.tallies) for what in ("read", "found"))
    late = f"; interrupted, {len(covered.unread)} files not read whole" if covered.interrupted else ""
    where = f"{counted(len(covered.tallies), 'file')} of {counted(len(covered.hosts), 'host')}"
    other = f"; {counted(len(covered.skipped), 'file')} of other formats skipped" if covered.skipped else ""
    said = f"{read} of {found} records read in {where}{other}"
    say(f"hunt: {said}{late}{_UNREAD if covered.problems else ''}")
    code = INTERRUPTED if covered.interrupted else DAMAGED if covered.problems else OK
    journal.close(exit_code=code)
    sys.exit(code)


@main.command(epilog="Example: hunt lineage samples/logs -o who")
@options.EVIDENCE
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

    _check_out(out, evidence, ours="lineage.csv")
    journal = log_file.begin(intake.log, evidence, {**options.given(), "evidence": [str(path) for path in evidence]})
    request = pipeline.Request(
        evidence, (), Settings(window_s=window), out, intake.jobs, {}, filters, intake.bounds, intake.opening,
        intake.slack,
    )  # fmt: skip
    with journal:
        with bar(intake.quiet, intake.debug) as shown_bar:
            traced = trace(request, Both(shown_bar, journal))
        try:
            tables = traced.lineage.select(LINEAGE_CSV), traced.candidates.select(CANDIDATES_CSV)
            _files.write_lineage(*tables, out, raw=cells == "raw")
            _files.write_problems(traced.problems, out)
        except OSError as error:
            raise HuntError(f"{out}: can't write results: {error.strerror or error}") from None
        with _printing():
            for cells_of_row in counts(traced.lineage):
                click.echo("\t".join(cells_of_row))
    found, read = (sum(getattr(tally, what) for tally in traced.tallies) for what in ("found", "read"))
    hidden = f", {traced.hidden} more outside --since, --until, --host" if traced.hidden else ""
    said = f"{traced.lineage.height} processes started by brokers{hidden}; {read} of {found} records read"
    late = f"; interrupted, {len(traced.unread)} files not read whole" if traced.interrupted else ""
    told = traced.told
    if told.reason:
        say(f"hunt: {told.reason}")
    blind = "" if told.hosts_ran else "; nothing could be told: no host logged process starts"
    say(f"hunt: {said}{blind}{late}{_UNREAD if traced.problems else ''}")
    code = INTERRUPTED if traced.interrupted else BAD_REQUEST if blind else DAMAGED if traced.problems else OK
    journal.close(exit_code=code)
    sys.exit(code)


@main.command(epilog="Example: hunt carve samples/logs/clone-a.evtx -o out")
@click.argument("raw", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--live", multiple=True, type=click.Path(path_type=Path), metavar="EVIDENCE",
    help="Logs of the same machine: their events are not repeated, their templates tell what single records mean; "
    "again for more.",
)  # fmt: skip
@options.out("Folder for the events.", required=True)
@options.unpacking
@options.JOBS
@options.QUIET
def carve(raw: tuple[Path, ...], live: tuple[Path, ...], out: Path, opening: Opening, jobs: int, quiet: bool) -> None:
    """Find event logs in raw data: images, page files, memory dumps, free space.

    Whole and torn chunks, what stands in their slack, and single records, at any offset; each event once, a Parquet
    file for each event type (stdout lists them), and problems.csv with every record that was found and could not be
    read. To hunt in what is carved: `hunt run EVIDENCE --carve FILE`.
    """
    from hunt import carving
    from hunt.output._progress import bar
    from hunt.reading import collect

    _check_out(out, (*raw, *live))
    try:
        with collect(live, opening, out, hashed=False) as collected, bar(quiet) as watcher:
            carved = carving.carve(raw, collected, out, jobs, watcher)
    except OSError as error:
        raise HuntError(f"{out}: can't write: {error.strerror or error}") from None
    with _printing():
        for kind, count in carved.types.items():
            click.echo(f"{safe(kind.channel)}:{kind.event_id}\t{count}")
    said = f"{carved.events} events carved out of {len(carved.tallies)} files, {len(carved.types)} types"
    if live:
        said += f"; {carved.live} more are live"
    if carved.problems:
        said += f"{_UNREAD} ({len(carved.problems)} problems: problems.csv)"
    say(f"hunt: {said}")
    sys.exit(DAMAGED if carved.problems else OK)


@main.command(epilog="Example: hunt verify samples/logs/forwarded.evtx")
@options.EVIDENCE
@options.unpacking
@click.option("--quiet", is_flag=True, help="No list of the differences that known faults explain.")
def verify(evidence: tuple[Path, ...], quiet: bool, opening: Opening) -> None:
    """Read EVIDENCE with two parsers that share little code, and print every difference.

    The second one is slow: some hundred records a second. Exit code 1 if there is a difference that is not one of its
    known faults, 3 if part of the evidence could not be read at all.
    """
    from hunt.model import Reading
    from hunt.reading import collect
    from hunt.verify import compare, unexplained

    comparisons = []
    with collect(evidence, opening, hashed=False) as collected:
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
    say(f"hunt: {said}{_UNREAD if unread else ''}")
    sys.exit(DAMAGED if unread else FOUND if bad else OK)


@main.command("queries", epilog="Example: hunt queries")
@options.formats(["table", "jsonl"])
def list_queries(shown: str) -> None:
    """Show what is covered: the ATT&CK matrix, and each query with the evidence that it needs."""
    from hunt.output import _catalogue

    with _printing() as stdout:
        _catalogue.write([query.hunt for query in registry.queries()], shown, stdout)


@main.command(epilog="Example: hunt show outlook-script-host")
@click.argument("query")
def show(query: str) -> None:
    """Show what QUERY looks for, what looks alike, and when it is blind: an id, a rule file, a folder of them."""
    from hunt.output import _rules
    from hunt.rules.choose import choose

    with _printing() as stdout:
        _rules.show(choose([query]), stdout)


@main.command(epilog="Example: hunt explain 'process where process.name : \"outlook.exe\"'")
@click.argument("query")
def explain(query: str) -> None:
    """Explain how QUERY is run: an id of ours, a rule file, a folder of them, or a query in EQL.

    Which events and fields are read, what every step asks of them, what can't be told; or why it can't be run. Exit
    code 2 if no part of it can be.
    """
    from hunt.output import _rules
    from hunt.rules.choose import explained

    chosen = explained(query)
    with _printing() as stdout:
        _rules.explain(chosen, stdout)
    sys.exit(OK if chosen.queries else BAD_REQUEST)


@main.command("show-finding", epilog="Example: hunt show-finding f267b335559e4ea7 samples/logs/sysmon-others.evtx")
@click.argument("finding", metavar="ID")
@options.EVIDENCE_IF_ANY
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), metavar="OUT",
    help="The folder that `hunt run EVIDENCE -o OUT` has written; EVIDENCE is not needed then.",
)  # fmt: skip
@options.unpacking
@options.JOBS
@options.QUIET
def show_finding(
    finding: str, evidence: tuple[Path, ...], out: Path | None, jobs: int, quiet: bool, opening: Opening
) -> None:
    """Tell the story of a finding, out of a former run or of EVIDENCE; the beginning of its ID will do.

    Who started whom, how the user had logged on, what the process, its descendants and Outlook connected to, asked for
    and wrote, what PowerShell ran, what else was found; and what nobody logged.
    """
    from hunt.output import _story

    if bool(evidence) == bool(out):
        raise HuntError("one of EVIDENCE and -o OUT is needed")
    if out:
        told = _story.read(out, finding)
        for name in _story.altered(out):
            say(f"hunt: {out / name} is not what the run wrote, by its manifest.json")
        with _printing() as stdout:
            _story.write(told, stdout)
        return
    from hunt import pipeline
    from hunt.output._progress import bar

    with bar(quiet) as shown_bar:
        report = pipeline.run(pipeline.Request(evidence, jobs=jobs, opening=opening, stories=True), shown_bar)
    with _printing() as stdout:
        code = _finish(
            report, False, None
        )  # before an id that is not there is said: it may be in what could not be read
        _story.write(_story.of_report(report, finding), stdout)
    sys.exit(code)


if __name__ == "__main__":
    main()
