"""`hunt verify`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hunt import options, registry
from hunt.commands._ends import DAMAGED, FOUND, OK, UNREAD, tell_problems
from hunt.errors import HuntError
from hunt.model import Opening
from hunt.options import say
from hunt.output import safe


@click.command(epilog="Example: hunt verify samples/logs/forwarded.evtx")
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
    from hunt.store.parser import Stored
    from hunt.verify import compare, unexplained

    comparisons = []
    with collect(evidence, opening, hashed=False) as collected:
        if any(isinstance(parser, Stored) for _, parser in collected.files):
            raise HuntError("a case holds no logs, only what was read of them: name the logs themselves")
        for item, parser in collected.files:
            comparison = compare(item, parser, registry.reference(parser.name), Reading())
            comparisons.append(comparison)
            for difference in comparison.differences:
                if not (difference.known and quiet):
                    said = f"{difference.source}\t{difference.offset}\t{difference.what}"
                    click.echo(safe(f"{said}{' (explained)' if difference.known else ''}".replace("\t", " | ")))
    unread = (*collected.problems, *(problem for comparison in comparisons for problem in comparison.problems))
    tell_problems(unread)
    bad = unexplained(comparisons)
    known = sum(len(comparison.differences) for comparison in comparisons) - bad
    records = sum(comparison.records for comparison in comparisons)
    said = f"{bad} differences in {records} records of {len(comparisons)} logs; {known} more are known faults"
    say(f"hunt: {said}{UNREAD if unread else ''}")
    sys.exit(DAMAGED if unread else FOUND if bad else OK)
