"""The command line. Results go to stdout, everything else to stderr; HuntErrors become one line here and only here."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from hunt import __version__, pulse, registry
from hunt.errors import HuntError
from hunt.filters import GRADES, Filters, Moment, moment
from hunt.model import SYSMON, EventType, Limits, Opening, Problem, Report, Settings, Severity, Status
from hunt.output import safe

if TYPE_CHECKING:
    from hunt.isolation import Bounds

F = TypeVar("F", bound=Callable[..., None])

OK, FOUND, BAD_REQUEST, DAMAGED, INTERRUPTED = 0, 1, 2, 3, 130
PIPE_CLOSED = 141  # as shells tell of SIGPIPE


# Commands whose reading may be ended by what they read.
_WATCHED = frozenset({"run", "frame", "coverage", "lineage", "show-finding"})


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
            _say(f"hunt: {error}")
            ctx.exit(BAD_REQUEST)
        except KeyboardInterrupt:
            _say("hunt: interrupted")
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


class _Size(click.ParamType):  # type: ignore[type-arg]  # later versions of click have types of values
    """Bytes, as 4096, 500M, 8G or 8GiB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"([0-9]{1,15})(?:([KMGT])(?:i?B)?)?", str(value).strip(), re.IGNORECASE)
        if not found:
            self.fail(f"{value!r} is no size in bytes, such as 500M or 8G", param, ctx)
        return int(found[1]) << {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}[(found[2] or "").upper()]


_BOUNDS = (
    click.option(
        "--file-timeout", type=click.FloatRange(min=0, min_open=True, max=10**9), metavar="SECONDS",
        callback=lambda *given: _number(given[-1]),
        help="Stop reading a file that takes longer; default: 300 and one more for each 256 KiB of it.",
    ),
    click.option(
        "--max-memory", type=_Size(), metavar="SIZE",
        help="Stop reading what would take more memory, such as 8G; default: four fifths of the machine's.",
    ),
    click.option("--debug", is_flag=True, help="Print tracebacks of our own bugs that a file has met."),
    click.option("--log", type=click.Path(path_type=Path), help="Append what was read, problems, timings to a file."),
)  # fmt: skip


def _bounded(command: F) -> F:
    """With the options of what reading may take, and of who is told about it."""
    for option in reversed(_BOUNDS):
        command = option(command)
    return command


def _bounds(file_timeout: float | None, max_memory: int | None) -> Bounds:
    from hunt.isolation import LEAST_MEMORY, Bounds

    if max_memory is not None and max_memory < LEAST_MEMORY:
        raise HuntError(f"--max-memory: {LEAST_MEMORY >> 20}M is the least that reading takes")
    return Bounds(file_timeout, max_memory)


_LIMITS = Limits()
_UNPACKING = (
    click.option(
        "--password", envvar="HUNT_PASSWORD", metavar="TEXT",
        help="Opens encrypted archives; HUNT_PASSWORD in the environment does, too.",
    ),
    click.option(
        "--max-unpacked", type=_Size(), default=_LIMITS.unpacked, metavar="SIZE",
        help=f"Most to read out of archives, such as 500G; default: {_LIMITS.unpacked >> 30}G.",
    ),
    click.option(
        "--max-ratio", type=click.IntRange(1, 10**9), default=_LIMITS.ratio, show_default=True, metavar="N",
        help="Most bytes out of an archive for each byte of it.",
    ),
    click.option(
        "--max-members", type=click.IntRange(1, 10**9), default=_LIMITS.members, show_default=True, metavar="N",
        help="Most files in archives.",
    ),
    click.option(
        "--max-depth", type=click.IntRange(1, 64), default=_LIMITS.depth, show_default=True, metavar="N",
        help="Most archives in one another.",
    ),
)  # fmt: skip


def _unpacking(command: Callable[..., None]) -> Callable[..., None]:
    """With the options of how archives are opened, which the command gets as one `opening`."""

    @wraps(command)
    def opening(
        password: str | None, max_unpacked: int, max_ratio: int, max_members: int, max_depth: int, **given: Any
    ) -> None:
        command(**given, opening=Opening(password, Limits(max_unpacked, max_ratio, max_members, max_depth)))

    for option in reversed(_UNPACKING):
        opening = option(opening)
    return opening


def _moment(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        found: Moment = moment(value, end=param.name == "until")
    except HuntError as error:
        raise HuntError(f"--{param.name}: {error}") from None
    if found.assumed:
        _say(f"hunt: --{param.name} {value} names no zone: taken as {found.at.isoformat().replace('+00:00', 'Z')}")
    return found.at


# Where results and what is said of them go, how it looks: not what was asked of the evidence.
_UNTOLD = frozenset(
    {"out", "log", "debug", "quiet", "shown", "password", "evidence", "raw", "queries", "window", "cells", "allow"}
)


def _given() -> dict[str, object]:
    """The options as they were given, for the manifest: without secrets, and without those it has under other names."""
    params: Mapping[str, Any] = click.get_current_context().params
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in params.items()
        if name not in _UNTOLD and isinstance(value, str | int | float | bool | tuple | None)
    }


@main.command(epilog="Example: hunt run samples/logs -o out")
@click.argument("evidence", nargs=-1, type=click.Path(path_type=Path))
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
@click.option(
    "--since", callback=_moment, metavar="TIME",
    help="Only findings with an event at or after this time, ISO 8601: 2026-03-02T08:15:00Z. Without a zone: UTC.",
)  # fmt: skip
@click.option(
    "--until", callback=_moment, metavar="TIME",
    help="Only findings with an event at or before this time. A date alone is all of that day.",
)  # fmt: skip
@click.option(
    "--host", "hosts", multiple=True, metavar="NAME",
    help="Only findings on this host; again for more. Without the domain, or with * and ?, if you like.",
)  # fmt: skip
@click.option(
    "--channel", "channels", multiple=True, metavar="NAME",
    help="Decode only this channel, such as Security or sysmon; again for more. Queries that need others can't run.",
)  # fmt: skip
@click.option(
    "--allow", type=click.Path(path_type=Path), metavar="FILE",
    help="YAML list of what is known to be harmless: such findings stay, marked, and don't count for --fail-on.",
)  # fmt: skip
@click.option(
    "--min-grade", type=click.Choice(GRADES, case_sensitive=False),
    help="Only findings whose requester is known this surely; those without a grade are shown, too.",
)  # fmt: skip
@_SLACK
@click.option(
    "--carve", "raw", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
    help="Raw data (an image, a page file, memory): what is carved out of it is evidence, too; again for more.",
)  # fmt: skip
@_bounded
@_unpacking
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
    since: datetime | None,
    until: datetime | None,
    hosts: tuple[str, ...],
    channels: tuple[str, ...],
    allow: Path | None,
    min_grade: str | None,
    slack: bool,
    raw: tuple[Path, ...],
    file_timeout: float | None,
    max_memory: int | None,
    debug: bool,
    log: Path | None,
    jobs: int,
    quiet: bool,
    opening: Opening,
) -> None:
    """Read EVIDENCE (event logs, folders, archives), run the queries, show what they find."""
    from hunt import allow as allowlist
    from hunt import interrupts, pipeline
    from hunt import log as log_file
    from hunt.output._progress import bar
    from hunt.watcher import Both

    started = datetime.now(UTC)
    if not (evidence or raw):
        raise HuntError("EVIDENCE or --carve FILE is needed")
    _check_out(out, (*evidence, *raw))
    channels = tuple(_CHANNELS.get(name.lower(), name) for name in channels)
    request = pipeline.Request(
        evidence,
        queries,
        Settings(window_s=window),
        out,
        jobs,
        {
            "csv": cells,
            **_given(),
            "evidence": [str(path) for path in evidence],
            "carve": [str(path) for path in raw],
            "allow": str(allow) if allow else None,
        },
        Filters(since, until, hosts, channels, min_grade),
        _bounds(file_timeout, max_memory),
        opening,
        slack,
        raw,
        allowlist.load(allow, started) if allow else allowlist.Allowlist(),
    )
    journal = log_file.begin(log, (*evidence, *raw), request.options)
    with interrupts.listening() as stop, journal:
        with bar(quiet, debug) as shown_bar:
            report = pipeline.run(request, Both(shown_bar, journal))
        with stop.whole():  # what was found is written, whoever asks for the end
            if out:
                _write_files(report, out, started)
            with _printing() as stdout:
                registry.output(shown).write(report, stdout)
            code = _finish(report, queries, Severity(fail_on) if fail_on else None)
    journal.close(exit_code=code, findings=report.findings.height, problems=len(report.problems))
    sys.exit(code)


def _number(seconds: float | None) -> float | None:
    if seconds is not None and math.isnan(seconds):  # lies in no range and passes them all
        raise click.BadParameter("nan is no number of seconds")
    return seconds


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


def _finish(report: Report, named: tuple[str, ...], fail_on: Severity | None) -> int:
    """The last line on stderr, which names all that applies; the exit code: 130 before 2 before 3 before 1."""
    from hunt.output._summary import counted, limits

    known = report.findings["suppressed"].is_not_null()
    alarming = [s for s in report.findings["severity"].filter(~known) if fail_on and Severity(s).rank >= fail_on.rank]
    notes, codes = [counted(report)], []
    if report.interrupted:
        notes.append(f"interrupted, {len(report.unread)} of {len(report.tallies)} files not read whole")
        codes.append(INTERRUPTED)
    if named and all(q.status is Status.NOT_EVALUABLE for q in report.queries):
        reasons = "; ".join(f"{q.query}: {q.reason}" for q in report.queries)
        notes.append(f"no named query could run ({reasons})")
        codes.append(BAD_REQUEST)
    else:
        notes += limits(report)
    if report.problems:
        notes.append("part of the evidence could not be read (problems.csv with -o)")
        codes.append(DAMAGED)
    if alarming:
        notes.append(f"{len(alarming)} at or above {fail_on}")
        codes.append(FOUND)
    _say(f"hunt: {'; '.join(notes)}")
    return codes[0] if codes else OK


_CHANNELS = {"sysmon": SYSMON, "powershell": "Microsoft-Windows-PowerShell/Operational"}


def _event_type(named: str) -> EventType:
    """CHANNEL:ID, with short names for channels that are asked for often."""
    channel, _, event_id = named.rpartition(":")
    if not channel or not event_id.isdecimal() or len(event_id) > 9:
        raise HuntError(f"{named}: an event type is CHANNEL:ID, such as Security:4688 or sysmon:1")
    return EventType(_CHANNELS.get(channel.lower(), channel), int(event_id))


@main.command(epilog="Example: hunt frame samples/logs -e sysmon:1 -o starts.parquet")
@_EVIDENCE
@click.option("-e", "--event", metavar="CHANNEL:ID", help="The event type wanted, such as Security:4688 or sysmon:1.")
@click.option("--all", "everything", is_flag=True, help="All event types, a Parquet file each; -o names a folder.")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="FILE.parquet or FILE.csv; a folder.")
@_SLACK
@_bounded
@_unpacking
@_JOBS
@click.option("--quiet", is_flag=True, help="No progress bar.")
def frame(
    evidence: tuple[Path, ...],
    event: str | None,
    everything: bool,
    out: Path,
    slack: bool,
    file_timeout: float | None,
    max_memory: int | None,
    debug: bool,
    log: Path | None,
    jobs: int,
    quiet: bool,
    opening: Opening,
) -> None:
    """Write the events of EVIDENCE as they are, with all their fields, to Parquet or CSV.

    Every record is a row, also those that stand in several logs; `source` and `offset` tell where.
    """
    from hunt import export, pipeline
    from hunt import log as log_file
    from hunt.output._progress import bar
    from hunt.watcher import Both

    if everything == bool(event):
        raise HuntError("one of -e CHANNEL:ID and --all is needed")
    _check_out(out, evidence, folder=everything)
    kind = None if everything else _event_type(event or "")
    journal = log_file.begin(log, evidence, {**_given(), "evidence": [str(path) for path in evidence]})
    try:
        with journal, bar(quiet, debug) as shown:
            exported = pipeline.export(
                pipeline.Request(
                    evidence, out=out, jobs=jobs, bounds=_bounds(file_timeout, max_memory), opening=opening
                ),
                lambda: export.export_one(kind, out) if kind else export.export_all(out),
                slack,
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
    _say(f"hunt: {said}{late}{_UNREAD if exported.problems else ''}")
    code = INTERRUPTED if exported.interrupted else DAMAGED if exported.problems else OK
    journal.close(exit_code=code)
    sys.exit(code)


_UNREAD = "; part of the evidence could not be read"
_SHOWN = 20  # problems that are printed where no file takes them all


def _problems(problems: Sequence[Problem]) -> None:
    for problem in problems[:_SHOWN]:
        place = "" if problem.offset is None else f" at {problem.offset}"
        record = "" if problem.record_id is None else f", record {problem.record_id}"
        _say(f"{problem.source}{place}{record}: {problem.reason}")
    if len(problems) > _SHOWN:
        _say(f"and {len(problems) - _SHOWN} more problems")


@main.command(epilog="Example: hunt coverage samples/logs -o seen")
@_EVIDENCE
@click.option("-q", "--query", "queries", multiple=True, metavar="QUERY", help="A query's id; again for more.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Folder for coverage.csv and problems.csv.")
@click.option(
    "--format", "shown", type=click.Choice(["table", "csv", "jsonl"]), default="table", show_default=True,
    help="What stdout gets.",
)  # fmt: skip
@_SLACK
@_bounded
@_unpacking
@_JOBS
@click.option("--quiet", is_flag=True, help="No progress bar.")
def coverage(
    evidence: tuple[Path, ...],
    queries: tuple[str, ...],
    out: Path | None,
    shown: str,
    slack: bool,
    file_timeout: float | None,
    max_memory: int | None,
    debug: bool,
    log: Path | None,
    jobs: int,
    quiet: bool,
    opening: Opening,
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
    journal = log_file.begin(log, evidence, {**_given(), "evidence": [str(path) for path in evidence]})
    bounds = _bounds(file_timeout, max_memory)
    request = pipeline.Request(evidence, queries, out=out, jobs=jobs, bounds=bounds, opening=opening, slack=slack)
    with journal:
        with bar(quiet, debug) as shown_bar:
            covered = pipeline.cover(request, Both(shown_bar, journal))
        if out:
            try:
                _files.write_coverage(covered.facts, out)
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
    _say(f"hunt: {said}{late}{_UNREAD if covered.problems else ''}")
    code = INTERRUPTED if covered.interrupted else DAMAGED if covered.problems else OK
    journal.close(exit_code=code)
    sys.exit(code)


@main.command(epilog="Example: hunt lineage samples/logs -o who")
@_EVIDENCE
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Folder for lineage.csv and others.")
@click.option(
    "--window", type=click.FloatRange(min=0, max=10**9), metavar="SECONDS", callback=lambda *given: _number(given[-1]),
    help="Longest time from the start of a requester, or its request, to that of the process; default: 60.",
)  # fmt: skip
@click.option(
    "--csv", "cells", type=click.Choice(["safe", "raw"]), default="safe", show_default=True,
    help="safe: control characters shown, formulas disarmed; raw: cells exactly as the evidence has them.",
)  # fmt: skip
@click.option(
    "--since", callback=_moment, metavar="TIME",
    help="Only processes started at or after this time, ISO 8601: 2026-03-02T08:15:00Z. Without a zone: UTC.",
)  # fmt: skip
@click.option("--until", callback=_moment, metavar="TIME", help="Only processes started at or before this time.")
@click.option(
    "--host", "hosts", multiple=True, metavar="NAME",
    help="Only processes of this host; again for more. Without the domain, or with * and ?, if you like.",
)  # fmt: skip
@_SLACK
@_bounded
@_unpacking
@_JOBS
@click.option("--quiet", is_flag=True, help="No progress bar.")
def lineage(
    evidence: tuple[Path, ...],
    out: Path,
    window: float | None,
    cells: str,
    since: datetime | None,
    until: datetime | None,
    hosts: tuple[str, ...],
    slack: bool,
    file_timeout: float | None,
    max_memory: int | None,
    debug: bool,
    log: Path | None,
    jobs: int,
    quiet: bool,
    opening: Opening,
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
    journal = log_file.begin(log, evidence, {**_given(), "evidence": [str(path) for path in evidence]})
    request = pipeline.Request(
        evidence, (), Settings(window_s=window), out, jobs, {}, Filters(since, until, hosts),
        _bounds(file_timeout, max_memory), opening, slack,
    )  # fmt: skip
    with journal:
        with bar(quiet, debug) as shown_bar:
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
        _say(f"hunt: {told.reason}")
    blind = "" if told.hosts_ran else "; nothing could be told: no host logged process starts"
    _say(f"hunt: {said}{blind}{late}{_UNREAD if traced.problems else ''}")
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
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Folder for the events.")
@_unpacking
@_JOBS
@click.option("--quiet", is_flag=True, help="No progress bar.")
def carve(raw: tuple[Path, ...], live: tuple[Path, ...], out: Path, opening: Opening, jobs: int, quiet: bool) -> None:
    """Find event logs in raw data: images, page files, memory dumps, free space.

    Whole and torn chunks, what stands in their slack, and single records, at any offset; each event once, a Parquet
    file for each event type (stdout lists them), and problems.csv with every record that was found and could not be
    read. To hunt in what is carved: `hunt run EVIDENCE --carve FILE`.
    """
    from hunt import carving, pipeline
    from hunt.output._progress import bar

    _check_out(out, (*raw, *live))
    try:
        with pipeline.collect(live, opening, out, hashed=False) as collected, bar(quiet) as watcher:
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
    _say(f"hunt: {said}")
    sys.exit(DAMAGED if carved.problems else OK)


@main.command(epilog="Example: hunt verify samples/logs")
@_EVIDENCE
@_unpacking
@click.option("--quiet", is_flag=True, help="No list of the differences that known faults explain.")
def verify(evidence: tuple[Path, ...], quiet: bool, opening: Opening) -> None:
    """Read EVIDENCE with two parsers that share little code, and print every difference.

    The second one is slow: some hundred records a second. Exit code 1 if there is a difference that is not one of its
    known faults, 3 if part of the evidence could not be read at all.
    """
    from hunt.model import Reading
    from hunt.pipeline import collect
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


@main.command("show-finding", epilog="Example: hunt show-finding f267b335559e4ea7 samples/logs/sysmon-others.evtx")
@click.argument("finding", metavar="ID")
@click.argument("evidence", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), metavar="OUT",
    help="The folder that `hunt run EVIDENCE -o OUT` has written; EVIDENCE is not needed then.",
)  # fmt: skip
@_unpacking
@_JOBS
@click.option("--quiet", is_flag=True, help="No progress bar.")
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
            _say(f"hunt: {out / name} is not what the run wrote, by its manifest.json")
        with _printing() as stdout:
            _story.write(told, stdout)
        return
    from hunt import pipeline
    from hunt.output._progress import bar

    with bar(quiet) as shown_bar:
        report = pipeline.run(pipeline.Request(evidence, jobs=jobs, opening=opening, stories=True), shown_bar)
    with _printing() as stdout:
        code = _finish(report, (), None)  # before an id that is not there is said: it may be in what could not be read
        _story.write(_story.of_report(report, finding), stdout)
    sys.exit(code)


if __name__ == "__main__":
    main()
