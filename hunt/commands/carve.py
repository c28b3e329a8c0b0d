"""`hunt carve`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hunt import options
from hunt.commands._ends import DAMAGED, OK, UNREAD, check_out, printing, writing
from hunt.model import Opening
from hunt.options import say
from hunt.output import safe


@click.command(epilog="Example: hunt carve samples/logs/clone-a.evtx -o out")
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

    check_out(out, (*raw, *live))
    with (
        writing(out, ""),
        collect(live, opening, out, hashed=False) as collected,
        bar(quiet) as watcher,
    ):
        carved = carving.carve(raw, collected, out, jobs, watcher)
    with printing():
        for kind, count in carved.types.items():
            click.echo(f"{safe(kind.channel)}:{kind.event_id}\t{count}")
    said = f"{carved.events} events carved out of {len(carved.tallies)} files, {len(carved.types)} types"
    if live:
        said += f"; {carved.live} more are live"
    if carved.problems:
        said += f"{UNREAD} ({len(carved.problems)} problems: problems.csv)"
    say(f"hunt: {said}")
    sys.exit(DAMAGED if carved.problems else OK)
