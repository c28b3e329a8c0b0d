"""`hunt ingest`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hunt import options
from hunt.commands._ends import DAMAGED, INTERRUPTED, OK, UNREAD, tell_problems
from hunt.errors import HuntError
from hunt.options import Intake, say

if TYPE_CHECKING:
    from hunt.store.ingest import Ingested


@click.command(epilog="Example: hunt ingest samples/logs --case case")
@options.EVIDENCE
@click.option("--case", required=True, metavar="DIR|URL", help="Where the case lies, or is made: a folder, s3://...")
@click.option(
    "--no-wait", is_flag=True, help="Don't wait if another ingest writes into the case: end with exit code 2."
)
@options.ingesting
def ingest(evidence: tuple[Path, ...], case: str, no_wait: bool, intake: Intake) -> None:
    """Decode EVIDENCE once into a case: plain Parquet, which every command reads as the evidence it was made from.

    What is in already is not decoded again. An ingest that was ended goes on where it was; until then the case says
    what it lacks. docs/case.md tells what lies where, for other tools.
    """
    from hunt import helpers

    helpers.prepare(evidence, intake.jobs)  # before we import more
    from hunt import log as log_file
    from hunt.output._progress import bar
    from hunt.store import folders
    from hunt.store import ingest as store
    from hunt.watcher import Both

    asked = store.Asked(evidence, case, intake.jobs, intake.bounds, intake.opening, intake.slack, wait=not no_wait)
    told = {**options.given(), "case": folders.folder(case).name, "evidence": [str(path) for path in evidence]}
    journal = log_file.begin(intake.log, evidence, told)
    with journal, bar(intake.quiet, intake.debug) as shown:
        try:
            done = store.ingest(asked, Both(shown, journal))
        except OSError as error:
            name = folders.folder(case).name
            raise HuntError(f"{name}: can't write: {error.strerror or error}; what is in the case is whole") from None
    tell_problems(done.problems)
    say(f"hunt: {_said(done)}{UNREAD if done.problems else ''}")
    code = INTERRUPTED if done.interrupted else DAMAGED if done.problems else OK
    journal.close(exit_code=code, problems=len(done.problems))
    sys.exit(code)


def _said(done: Ingested) -> str:
    read, found = (sum(getattr(tally, what) for tally in done.tallies) for what in ("read", "found"))
    logs = len({tally.evidence.source for tally in done.tallies})
    parts = [f"{read} of {found} records of {logs} logs brought into {done.name}"] if logs else []
    parts += [f"{done.aliases} logs equal others"] if done.aliases else []
    parts += [f"{done.known} logs were in already"] if done.known else []
    if not done.changed and not done.interrupted:
        parts = [f"{done.name}: nothing new", *parts]
    if done.interrupted:
        parts.append(f"interrupted, {len(done.case.pending)} logs are not in, or not whole: ingest them again")
    return "; ".join(parts or [f"{done.name}: what was met is noted"])
