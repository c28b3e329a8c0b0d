"""A script host under another name started Outlook or had it started: an extension of outlook-script-host.

Why it matters: a copy of PowerShell called svc.exe passes by rules that go by names. Its version information keeps what
it was: OriginalFileName, or, in older schemas of Sysmon, Description. Elastic's rule goes by names alone; these
findings are counted apart from it.
Looks alike, is harmless: software that brings a renamed cmd.exe or cscript.exe of its own; rare.
Blind when: the file's version information was changed as well; Sysmon's schema has neither field; the start of the
requester was not logged; hosts that have Security 4688 alone.
How: as outlook-script-host, with the same grades and the same window.
Next: secure the renamed file and its hash, and look for it on all hosts: renaming is done to pass by rules. Isolate the
host, find what dropped it and what starts it, and treat the mail of the user as read; renew his credentials.
See: https://attack.mitre.org/techniques/T1036/003/, https://attack.mitre.org/techniques/T1114/001/
"""

from __future__ import annotations

import polars as pl

from hunt.model import Case, Hunt, Severity

from ._outlook import NEEDS, READS, helps
from ._outlook_requests import requests
from ._outlook_told import likeliest, not_disproved, told
from ._outlook_window import inside, window


def find(case: Case) -> pl.LazyFrame:
    """One row for each start of Outlook with its likeliest renamed script host in the window."""
    longest = window(case)
    rows = requests(case).filter("renamed", inside(longest), not_disproved())
    original = pl.coalesce("r_original_file_name", "r_description")
    what = pl.format("a script host under another name (it says it is {})", original)
    return told(likeliest(rows), what, longest, pl.lit("the process"))


HUNT = Hunt(
    id="outlook-renamed-script-host",
    title="Outlook started by a renamed script host",
    severity=Severity.MEDIUM,
    risk_score=47,
    attack=("T1036.003", "T1114.001", "T1559.001"),
    needs=NEEDS,
    find=find,
    helps=helps(),
    reads=READS,
)
