"""`hunt sql`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hunt import options
from hunt.commands._ends import DAMAGED, OK, UNREAD, printing, tell_problems, writing
from hunt.errors import HuntError
from hunt.options import say


@click.command(epilog="Example: hunt sql 'SELECT time, host, Image FROM sysmon_1' --case case")
@click.argument("query", metavar="SELECT")
@click.option("--case", "case", required=True, metavar="DIR", help="What `hunt ingest` made: a folder or a URL.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), metavar="FILE",
    help="Write the rows to FILE.parquet, FILE.csv or FILE.jsonl, not to stdout.",
)  # fmt: skip
@options.formats(["table", "csv", "jsonl", "parquet"])
@options.CSV
def sql(query: str, case: str, out: Path | None, shown: str, cells: str) -> None:
    """Ask a case one question in SQL, as Polars speaks it; 'SHOW TABLES' tells what there is.

    A table for each event type: sysmon_1, security_4688, powershell_4104. A row is an event as one lot of the case has
    it: of copies in one lot there is one row, and its column `sources` tells all their places. Tables of everything:
    events (the columns that all have), evidence, census, problems. Names with other signs than letters, digits and _
    stand in double quotes: "System.Level". docs/case.md has examples. Nothing but the case is read, nothing written.
    """
    from hunt import sql as asked
    from hunt.output import _answer

    if out and out.suffix.lower() not in _answer.SUFFIXES:
        raise HuntError(f"{out}: can write {', '.join(_answer.SUFFIXES)} only")
    if not out and shown == "parquet" and sys.stdout.isatty():
        raise HuntError("--format parquet is no text: name a file with -o")
    answer = asked.ask(query, case)
    if out:
        with writing(out):
            _answer.save(answer.rows, out, raw=cells == "raw")
    else:
        with printing() as stdout:
            _answer.write(answer.rows, shown, cells == "raw", stdout)
    tell_problems(answer.lost)
    unread = bool(answer.stored or answer.lost)
    known = f": the table problems tells of {answer.stored}" if answer.stored else ""
    say(f"hunt: {answer.rows.height} rows{UNREAD if unread else ''}{known}")
    sys.exit(DAMAGED if unread else OK)
