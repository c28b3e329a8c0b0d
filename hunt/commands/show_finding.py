"""`hunt show-finding`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hunt import options
from hunt.commands._ends import printing
from hunt.commands._hunting import finish
from hunt.errors import HuntError
from hunt.model import Opening
from hunt.options import say


@click.command(epilog="Example: hunt show-finding f267b335559e4ea7 samples/logs/sysmon-others.evtx")
@click.argument("finding", metavar="ID")
@options.EVIDENCE_IF_ANY
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), metavar="OUT",
    help="The folder that `hunt run EVIDENCE -o OUT` has written; EVIDENCE is not needed then.",
)  # fmt: skip
@options.CASES
@options.unpacking
@options.JOBS
@options.QUIET
def show_finding(
    finding: str,
    evidence: tuple[Path, ...],
    cases: tuple[str, ...],
    out: Path | None,
    jobs: int,
    quiet: bool,
    opening: Opening,
) -> None:
    """Tell the story of a finding, out of a former run or of EVIDENCE; the beginning of its ID will do.

    Who started whom, how the user had logged on, what the process, its descendants and Outlook connected to, asked for
    and wrote, what PowerShell ran, what else was found; and what nobody logged.
    """
    from hunt.output import _story

    if bool(evidence or cases) == bool(out):
        raise HuntError("one of EVIDENCE (or --case DIR) and -o OUT is needed")
    if out:
        told = _story.read(out, finding)
        for name in _story.altered(out):
            say(f"hunt: {out / name} is not what the run wrote, by its manifest.json")
        with printing() as stdout:
            _story.write(told, stdout)
        return
    from hunt import pipeline
    from hunt.output._progress import bar

    request = pipeline.Request(evidence, jobs=jobs, opening=opening, stories=True, cases=cases)
    with bar(quiet) as shown_bar:
        report = pipeline.run(request, shown_bar)
    with printing() as stdout:
        code = finish(
            report, False, None
        )  # before an id that is not there is said: it may be in what could not be read
        _story.write(_story.of_report(report, finding), stdout)
    sys.exit(code)
