"""Options that several commands have, in blocks: a command gets what a block says as one value."""

from __future__ import annotations

import inspect
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hunt import registry
from hunt.errors import HuntError
from hunt.filters import GRADES, Filters, Moment, moment
from hunt.model import SYSMON, Limits, Opening, Severity
from hunt.output import safe

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from hunt.isolation import Bounds
    from hunt.room import Room
    from hunt.rules.choose import RuleFilter

Command = Callable[..., None]
Option = Callable[[Command], Command]


def say(line: str) -> None:
    """A line for people: on stderr, harmless."""
    click.echo(safe(line), err=True)


def _block(name: str, make: Callable[..., object], *options: Option) -> Callable[[Command], Command]:
    """Adds options to a command, which gets what `make` makes of them, called by their names, as its `name`."""
    own = tuple(inspect.signature(make).parameters)

    def decorate(command: Command) -> Command:
        @wraps(command)
        def called(**given: Any) -> None:
            made = make(**{option: given.pop(option) for option in own})
            command(**given, **{name: made})

        decorated: Command = called
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


def _number(ctx: click.Context, param: click.Parameter, seconds: float | None) -> float | None:
    if seconds is not None and math.isnan(seconds):  # lies in no range and passes them all
        raise click.BadParameter("nan is no number of seconds")
    return seconds


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


EVIDENCE = click.argument("evidence", nargs=-1, required=True, type=click.Path(path_type=Path))
EVIDENCE_IF_ANY = click.argument("evidence", nargs=-1, type=click.Path(path_type=Path))
SLACK = click.option(
    "--slack", is_flag=True, help="Also stale records in what chunks leave free; their column `recovered` says so."
)
JOBS = click.option(
    "--jobs", type=click.IntRange(1, 1024), default=os.cpu_count() or 1, metavar="N",
    help="Parts of evidence that are read at the same time; default: one per processor.",
)  # fmt: skip
CASES = click.option(
    "--case", "cases", multiple=True, metavar="DIR",
    help="A case that `hunt ingest` made, a folder or a URL: read as the evidence it was made from; again for more.",
)  # fmt: skip
CLUSTER = click.option(
    "--cluster", metavar="WHERE",
    help="Read and hunt on several processes, local:N, or on the workers of a Dask scheduler, tcp://HOST:PORT or "
    "tls://HOST:PORT.",
)  # fmt: skip
_MEMORY = click.option(
    "--memory", type=_Size(), metavar="SIZE",
    help="Most memory to take, such as 4G: what has no room waits in the temporary folder, and hosts are looked at one "
    "after the other. Default: half of the machine's.",
)  # fmt: skip
QUIET = click.option("--quiet", is_flag=True, help="No progress bar.")
CARVE = click.option(
    "--carve", "raw", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
    help="Raw data (an image, a page file, memory): what is carved out of it is evidence, too; again for more.",
)  # fmt: skip
CSV = click.option(
    "--csv", "cells", type=click.Choice(["safe", "raw"]), default="safe", show_default=True,
    help="safe: control characters shown, formulas disarmed; raw: cells exactly as the evidence has them.",
)  # fmt: skip


def out(what: str, required: bool = False) -> Option:
    """`-o`."""
    return click.option("-o", "--out", type=click.Path(path_type=Path), required=required, help=what)


def formats(names: list[str]) -> Option:
    """`--format`, as `shown`."""
    return click.option(
        "--format", "shown", type=click.Choice(names), default="table", show_default=True, help="What stdout gets."
    )


def window(what: str) -> Option:
    """`--window`."""
    seconds = click.FloatRange(min=0, max=10**9)
    return click.option("--window", type=seconds, metavar="SECONDS", callback=_number, help=what)


THRESHOLD = click.option(
    "--threshold", type=click.IntRange(1, 10**9), metavar="N",
    help="So many mails within the window are many, where a query counts them; default: 50 within 300 seconds.",
)  # fmt: skip


# How evidence is read.

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


def _opening(password: str | None, max_unpacked: int, max_ratio: int, max_members: int, max_depth: int) -> Opening:
    return Opening(password, Limits(max_unpacked, max_ratio, max_members, max_depth))


unpacking = _block("opening", _opening, *_UNPACKING)  # how archives are opened: an Opening


@dataclass(frozen=True, slots=True)
class Intake:
    """How evidence is read, and who is told about it."""

    bounds: Bounds
    opening: Opening
    slack: bool
    jobs: int
    quiet: bool
    debug: bool
    log: Path | None
    cases: tuple[str, ...] = ()


def _intake(
    cases: tuple[str, ...], slack: bool, file_timeout: float | None, max_memory: int | None, debug: bool,
    log: Path | None, password: str | None, max_unpacked: int, max_ratio: int, max_members: int, max_depth: int,
    jobs: int, quiet: bool,
) -> Intake:  # fmt: skip
    from hunt.isolation import LEAST_MEMORY, Bounds

    if max_memory is not None and max_memory < LEAST_MEMORY:
        raise HuntError(f"--max-memory: {LEAST_MEMORY >> 20}M is the least that reading takes")
    opening = _opening(password, max_unpacked, max_ratio, max_members, max_depth)
    return Intake(Bounds(file_timeout, max_memory), opening, slack, jobs, quiet, debug, log, cases)


_READING = (
    SLACK,
    click.option(
        "--file-timeout", type=click.FloatRange(min=0, min_open=True, max=10**9), metavar="SECONDS", callback=_number,
        help="Stop reading a file that takes longer; default: 300 and one more for each 256 KiB of it.",
    ),
    click.option(
        "--max-memory", type=_Size(), metavar="SIZE",
        help="Stop reading what would take more memory, such as 8G; default: four fifths of the machine's.",
    ),
    click.option("--debug", is_flag=True, help="Print tracebacks of our own bugs that a file has met."),
    click.option("--log", type=click.Path(path_type=Path), help="Append what was read, problems, timings to a file."),
    *_UNPACKING,
    JOBS,
    QUIET,
)  # fmt: skip
reading = _block("intake", _intake, CASES, *_READING)
ingesting = _block("intake", partial(_intake, ()), *_READING)  # a case is what is written


@dataclass(frozen=True, slots=True)
class Place:
    """Who hunts, and in what memory. None: this process, half of the machine's."""

    cluster: str | None
    room: Room | None


def _place(cluster: str | None, memory: int | None) -> Place:
    from hunt.room import Room

    return Place(cluster, None if memory is None else Room.of(memory))


placing = _block("place", _place, CLUSTER, _MEMORY)


# Which findings are shown.

CHANNELS = {"sysmon": SYSMON, "powershell": "Microsoft-Windows-PowerShell/Operational"}  # that are asked for often


def _moment(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        found: Moment = moment(value, end=param.name == "until")
    except HuntError as error:
        raise HuntError(f"--{param.name}: {error}") from None
    if found.assumed:
        say(f"hunt: --{param.name} {value} names no zone: taken as {found.at.isoformat().replace('+00:00', 'Z')}")
    return found.at


def _times_and_hosts(where: str, at: str) -> tuple[Option, ...]:
    return (
        click.option(
            "--since", callback=_moment, metavar="TIME",
            help=f"Only {at} at or after this time, ISO 8601: 2026-03-02T08:15:00Z. Without a zone: UTC.",
        ),
        click.option(
            "--until", callback=_moment, metavar="TIME",
            help=f"Only {at} at or before this time. A date alone is all of that day.",
        ),
        click.option(
            "--host", "hosts", multiple=True, metavar="NAME",
            help=f"Only {where} this host; again for more. Without the domain, or with * and ?, if you like.",
        ),
    )  # fmt: skip


def _filters(
    since: datetime | None,
    until: datetime | None,
    hosts: tuple[str, ...],
    channels: tuple[str, ...] = (),
    min_grade: str | None = None,
) -> Filters:
    return Filters(since, until, hosts, tuple(CHANNELS.get(name.lower(), name) for name in channels), min_grade)


narrowing = _block(  # which findings are shown: Filters
    "filters",
    _filters,
    *_times_and_hosts("findings on", "findings with an event"),
    click.option(
        "--channel", "channels", multiple=True, metavar="NAME",
        help="Decode only this channel, such as Security or sysmon; again for more. Queries that need others can't "
        "run.",
    ),
    click.option(
        "--min-grade", type=click.Choice(GRADES, case_sensitive=False),
        help="Only findings whose requester is known this surely; those without a grade are shown, too.",
    ),
)  # fmt: skip


def _of_events(
    since: datetime | None, until: datetime | None, hosts: tuple[str, ...], channels: tuple[str, ...]
) -> Filters:
    return _filters(since, until, hosts, channels)


def _of_hosts(hosts: tuple[str, ...]) -> Filters:
    return Filters(hosts=hosts)


def _of_run(since: datetime | None, until: datetime | None, hosts: tuple[str, ...], min_grade: str | None) -> Filters:
    return Filters(since, until, hosts, min_grade=min_grade)


def _of_processes(since: datetime | None, until: datetime | None, hosts: tuple[str, ...]) -> Filters:
    return Filters(since, until, hosts)


browsing = _block(
    "filters",
    _of_run,
    *_times_and_hosts("findings on", "findings that begin or end"),
    click.option(
        "--min-grade", type=click.Choice(GRADES, case_sensitive=False),
        help="Only findings whose requester is known this surely; those without a grade are shown, too.",
    ),
)  # fmt: skip
narrowing_events = _block(
    "filters",
    _of_events,
    *_times_and_hosts("events of", "events"),
    click.option(
        "--channel", "channels", multiple=True, metavar="NAME",
        help="Only events of this channel, such as Security or sysmon; again for more. With * and ?, if you like.",
    ),
)  # fmt: skip
on_hosts = _block("filters", _of_hosts, _times_and_hosts("processes of", "")[2])
narrowing_processes = _block("filters", _of_processes, *_times_and_hosts("processes of", "processes started"))


# What is looked for.


def ids(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """For a shell: our queries, and what else may be named: files."""
    from click.shell_completion import CompletionItem

    own = [CompletionItem(name) for name in registry.ids() if name.startswith(incomplete)]
    return [*own, CompletionItem(incomplete, type="file")]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which queries, and which rules of files."""

    queries: tuple[str, ...]
    rules: RuleFilter


def _choice(
    queries: tuple[str, ...], levels: tuple[str, ...], statuses: tuple[str, ...], tags: tuple[str, ...]
) -> Choice:
    from hunt.rules.choose import RuleFilter  # which commands that only read need not import

    return Choice(queries, RuleFilter(levels, statuses, tags))


choosing = _block(
    "choice",
    _choice,
    click.option(
        "-q", "--query", "queries", multiple=True, metavar="QUERY", shell_complete=ids,
        help="A query's id, a rule file (.eql, Sigma's .yml, Elastic's .toml) or a folder of them; again for more.",
    ),
    click.option(
        "--level", "levels", multiple=True, type=click.Choice([s.value for s in Severity], case_sensitive=False),
        help="Of the rules in files only those of this level (Elastic's severity); again for more.",
    ),
    click.option(
        "--status", "statuses", multiple=True, metavar="STATUS",
        help="Of the rules in files only those of this status (stable, test; Elastic's maturity); again for more.",
    ),
    click.option(
        "--tag", "tags", multiple=True, metavar="TAG",
        help="Of the rules in files only those with this tag, such as attack.t1059 or 'attack.t1059*'; again for more.",
    ),
)  # fmt: skip


# Where results go.


@dataclass(frozen=True, slots=True)
class Results:
    """What is written where, and what counts as alarming."""

    out: Path | None
    shown: str
    cells: str
    allow: Path | None
    fail_on: Severity | None


def _results(out: Path | None, shown: str, cells: str, allow: Path | None, fail_on: str | None) -> Results:
    return Results(out, shown, cells, allow, Severity(fail_on) if fail_on else None)


resulting = _block(
    "results",
    _results,
    out("Folder for findings.csv and the other files."),
    formats(registry.formats()),
    CSV,
    click.option(
        "--fail-on", type=click.Choice([s.value for s in Severity]), metavar="LEVEL",
        help="Exit with 1 if a finding has this severity or more.",
    ),
    click.option(
        "--allow", type=click.Path(path_type=Path), metavar="FILE",
        help="YAML list of what is known to be harmless: such findings stay, marked, and don't count for --fail-on.",
    ),
)  # fmt: skip


# Where results and what is said of them go, how it looks: not what was asked of the evidence.
_UNTOLD = frozenset(
    {
        "out",
        "log",
        "debug",
        "quiet",
        "shown",
        "password",
        "evidence",
        "raw",
        "queries",
        "window",
        "threshold",
        "cells",
        "allow",
        "cases",
    }
)


def shown_cases(cases: Sequence[str]) -> list[str]:
    """Cases as the manifest and the log name them: without passwords that URLs hold."""
    from hunt.store import folders

    return [folders.folder(case).name for case in cases]


def told(evidence: Sequence[Path], cases: Sequence[str]) -> dict[str, object]:
    """`given`, and what is read."""
    return {**given(), "evidence": [str(path) for path in evidence], "cases": shown_cases(cases)}


def given() -> dict[str, object]:
    """The options as they were given, for the manifest: without secrets, and without those it has under other names."""
    params: Mapping[str, Any] = click.get_current_context().params
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in params.items()
        if name not in _UNTOLD and isinstance(value, str | int | float | bool | tuple | None)
    }
