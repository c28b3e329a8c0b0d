"""`hunt frame`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hunt import options
from hunt.commands._ends import DAMAGED, INTERRUPTED, OK, UNREAD, check_out, named, tell_problems, writing
from hunt.errors import HuntError
from hunt.model import EventType
from hunt.options import Intake, say


@click.command(epilog="Example: hunt frame samples/logs -e sysmon:1 -o starts.parquet")
@options.EVIDENCE_IF_ANY
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
    from hunt import helpers

    helpers.prepare(evidence, intake.jobs)  # before we import more
    from hunt import export, frames
    from hunt import log as log_file
    from hunt.output._progress import bar
    from hunt.watcher import Both

    if everything == bool(event):
        raise HuntError("one of -e CHANNEL:ID and --all is needed")
    read = named(evidence, intake.cases)
    check_out(out, read, folder=everything)
    kind = None if everything else _event_type(event or "")
    journal = log_file.begin(intake.log, read, options.told(evidence, intake.cases))
    with writing(out, ""), journal, bar(intake.quiet, intake.debug) as shown:
        exported = frames.export(
            frames.Asked(evidence, out, intake.jobs, intake.bounds, intake.opening, intake.slack, intake.cases),
            lambda: export.export_one(kind, out) if kind else export.export_all(out),
            Both(shown, journal),
        )
    tell_problems(exported.problems)
    count, found = (sum(getattr(tally, what) for tally in exported.tallies) for what in ("read", "found"))
    said = (
        f"{exported.target.rows} rows in {exported.target.files} files; "
        f"{count} of {found} records read in {len(exported.tallies)} logs"
    )
    late = f"; interrupted, {len(exported.unread)} files not read whole" if exported.interrupted else ""
    say(f"hunt: {said}{late}{UNREAD if exported.problems else ''}")
    code = INTERRUPTED if exported.interrupted else DAMAGED if exported.problems else OK
    journal.close(exit_code=code)
    sys.exit(code)


def _event_type(named: str) -> EventType:
    """CHANNEL:ID, with short names for channels that are asked for often."""
    channel, _, event_id = named.rpartition(":")
    if not channel or not event_id.isdecimal() or len(event_id) > 9:
        raise HuntError(f"{named}: an event type is CHANNEL:ID, such as Security:4688 or sysmon:1")
    return EventType(options.CHANNELS.get(channel.lower(), channel), int(event_id))
