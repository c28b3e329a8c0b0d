"""`hunt tree`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hunt import options
from hunt.commands._ends import DAMAGED, INTERRUPTED, OK, UNREAD, named, printing, tell_problems
from hunt.errors import HuntError
from hunt.filters import Filters
from hunt.options import Intake, say


@click.command(epilog="Example: hunt tree samples/logs/mail-theft.evtx --pid 6128")
@options.EVIDENCE_IF_ANY
@click.option("--guid", metavar="GUID", help="The process with this ProcessGuid.")
@click.option("--pid", type=click.IntRange(0, 2**32 - 1), metavar="N", help="Processes with this id; see --host.")
@click.option("--finding", metavar="ID", help="The process that a finding tells of, by its id or the beginning of it.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), metavar="OUT",
    help="Where --finding is looked up: what `hunt run EVIDENCE -o OUT` has written; else the queries run anew.",
)  # fmt: skip
@options.on_hosts
@options.reading
def tree(
    evidence: tuple[Path, ...],
    guid: str | None,
    pid: int | None,
    finding: str | None,
    out: Path | None,
    filters: Filters,
    intake: Intake,
) -> None:
    """Show the tree of processes around one: who started it, what it started, when, as whom.

    Where COM, WMI, a task or another broker started a process, it stands below who had asked for it, if that is known
    by grade C or better; the line above it tells the grade and the parent that was logged.
    """
    from hunt import log as log_file
    from hunt import trees
    from hunt.output import _queries, _tree
    from hunt.output._progress import bar
    from hunt.pipeline import Request
    from hunt.watcher import Both

    if sum(given is not None for given in (guid, pid, finding)) != 1:
        raise HuntError("one of --guid, --pid and --finding is needed")
    if out and finding is None:
        raise HuntError("-o OUT is where --finding is looked up")
    read = named(evidence, intake.cases)
    request = Request(
        evidence, jobs=intake.jobs, bounds=intake.bounds, opening=intake.opening, slack=intake.slack, cases=intake.cases
    )
    journal = log_file.begin(intake.log, read, options.told(evidence, intake.cases))
    with journal, bar(intake.quiet, intake.debug) as shown_bar:
        watcher = Both(shown_bar, journal)
        asked = trees.Asked(guid, pid, filters=filters)
        if finding is not None:
            asked = trees.of_finding(finding, out, request, watcher)
        grown = trees.grow(request, asked, watcher)
    with printing() as stdout:
        _tree.write(grown.trees, stdout)
    tell_problems(grown.problems)
    if grown.reason:
        say(f"hunt: {_queries.brief(grown.reason, 'hunt coverage')}")
    found, count = (sum(getattr(tally, what) for tally in grown.tallies) for what in ("found", "read"))
    left = f" of {grown.found}: --host and --guid narrow" if grown.found > len(grown.trees) else ""
    late = f"; interrupted, {len(grown.unread)} files not read whole" if grown.interrupted else ""
    many = f"{len(grown.trees)} tree{'s' * (len(grown.trees) != 1)}{left}"
    say(f"hunt: {many}; {count} of {found} records read{late}{UNREAD if grown.problems else ''}")
    code = INTERRUPTED if grown.interrupted else DAMAGED if grown.problems else OK
    journal.close(exit_code=code)
    sys.exit(code)
