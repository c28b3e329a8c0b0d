"""A script host, or a program that was unsigned and new at its start, drove Outlook long after its own start.

Why it matters: an implant is hours old by the time it turns to the mail; the window of outlook-script-host, 60 s, is
that of a macro or a dropper. Only requesters that are proven or named are told here: direct, grade A or B.
Looks alike, is harmless: a command window that was left open and from which somebody starts Outlook; agents and
schedulers that run scripts in a PowerShell process of their own all day; compare the command line and other hosts.
Blind when: grade A can't be reached (no EID 10) and no command line or script names the act; Outlook runs already; the
requester is none of the eight script hosts, neither unsigned nor new (see outlook-unusual-requester).
How: as outlook-script-host, of any age above 60 s (above `--window` seconds if that is more). A start that was not
logged is read from the ProcessGuid.
Next: keep the memory of the requester before it is ended, then isolate the host; take its file, its parent and what
starts it again (task, service, Run key). Look for the same hash and address on other hosts, for archives and PST files
it has written, and renew the user's credentials: his mail is to be taken for read.
See: https://attack.mitre.org/techniques/T1114/001/, https://attack.mitre.org/techniques/T1559/001/
"""

from __future__ import annotations

import polars as pl

from hunt import signatures
from hunt.model import Case, Hunt, Severity

from ._outlook import INSTEAD, NEEDS, READS, helps
from ._outlook_requests import requests
from ._outlook_told import likeliest, not_disproved, told
from ._outlook_unnamed import UNNAMED
from ._outlook_window import long_ago, outside


def find(case: Case) -> pl.LazyFrame:
    """One row for each start of Outlook with its surest suspect that started before the window."""
    suspects = pl.col("script_host") | pl.col("renamed") | pl.col("unsigned_and_new").fill_null(value=False)
    sure = pl.col("grade").is_in(["direct", "A", "B"])
    rows = requests(case).filter(suspects, sure, outside(long_ago(case)), not_disproved())
    what = (
        pl.when("script_host")
        .then(pl.lit("a long-lived script host"))
        .when("renamed")
        .then(pl.lit("a long-lived script host under another name"))
        .otherwise(pl.lit("a long-lived program, unsigned and new when it began,"))
    )
    return told(likeliest(rows), what, named=pl.lit("the process"))


HUNT = Hunt(
    id="outlook-com-longlived",
    title="Outlook driven by a long-lived script host",
    severity=Severity.MEDIUM,
    risk_score=47,
    attack=("T1114.001", "T1559.001"),
    needs=NEEDS,
    find=find,
    helps=helps(*signatures.HELPS),
    reads=READS,
    instead=INSTEAD,
    unknowns=UNNAMED,
)
