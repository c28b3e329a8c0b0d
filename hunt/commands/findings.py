"""`hunt findings`."""

from __future__ import annotations

from pathlib import Path

import click

from hunt import options, registry
from hunt.commands._ends import check_format, printing
from hunt.filters import Filters
from hunt.model import Severity
from hunt.options import say

_WHOLE = frozenset({"html", "navigator", "xlsx"})  # formats that also tell what the run could not see


@click.command(epilog="Example: hunt findings out --severity high")
@click.argument("folder", metavar="OUT", type=click.Path(path_type=Path))
@click.argument("finding", metavar="[ID]", required=False)
@click.option(
    "--severity", type=click.Choice([s.value for s in Severity]), help="Only findings of this severity or more."
)
@click.option("-q", "--query", "queries", multiple=True, help="Only what this query found, by id; again for more.")
@click.option("--user", "users", multiple=True, metavar="NAME", help="Only findings of this user; again for more.")
@click.option("--contains", metavar="TEXT", help="Only findings with this text in any column, without case.")
@click.option("--unsuppressed", is_flag=True, help="Not what the run's allowlist suppresses.")
@options.browsing
@options.formats(registry.formats())
def findings(
    folder: Path,
    finding: str | None,
    severity: str | None,
    queries: tuple[str, ...],
    users: tuple[str, ...],
    contains: str | None,
    unsuppressed: bool,
    filters: Filters,
    shown: str,
) -> None:
    """Browse what an earlier run found: the folder OUT of `hunt run EVIDENCE -o OUT`; no evidence is read.

    With an ID (its beginning will do) all that is known of that finding and its events; `hunt show-finding ID -o OUT`
    tells its story. Names may hold * and ?. --format html makes the report of what is chosen. The last line says what
    the run could not see.
    """
    from hunt import browse, earlier

    check_format(shown)
    known = earlier.read(folder)
    if finding is not None:
        with printing() as stdout:
            browse.detail(known, earlier.one(known, finding), stdout)
    else:
        wanted = browse.Wanted(
            Severity(severity) if severity else None, queries, users, contains, unsuppressed, filters
        )
        kept = browse.choose(known.findings, wanted)
        if shown in _WHOLE:
            from hunt import retold

            told = retold.report(known, kept)
        else:
            told = browse.report(known, kept)
        with printing() as stdout:
            registry.output(shown).write(told, stdout)
        say(f"hunt: {'; '.join((f'{kept.height} of {known.findings.height} findings', *known.notes))}")
