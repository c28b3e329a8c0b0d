"""A script host, or an unsigned and new program, started Outlook or had it started (Sysmon 1 and its neighbours).

Why it matters: mail of the logged-on user can be searched, copied and sent through Outlook without any password
(T1114.001, T1559.001). Mail thieves drive it from rundll32, mshta, PowerShell, cmd, regsvr32, cscript or wscript, or
from a program of their own: one whose file is unsigned or not validly signed and was made at most 500 s before.
Looks alike, is harmless: logon scripts and shortcuts that start Outlook with cmd, inventory agents that run PowerShell,
backup and CRM add-ins, installers that were just unpacked; compare the command line, the user and how often it happens
on other hosts.
Blind when: Outlook runs already (GetActiveObject starts nothing; New-Object hands over: `attached`); the script host
was renamed (see outlook-renamed-script-host), is none of the eight (outlook-unusual-requester) or is older than the
window (outlook-com-longlived); Sysmon's configuration leaves out process starts. Without EID 7 and 11 signature and age
of a file are unknown, and unknown is not unsigned: queries.csv counts the processes that could not be told, and the
starts of Outlook whose creator is named nowhere.
How: a requester is the process in Outlook's ParentProcessGuid (grade direct), or, where COM, WMI, a task or another
broker started Outlook, the process that asked for it, inferred from Sysmon 1, 5, 7, 10, PowerShell's and WMI's logs: A:
RPCSS opened the requester and Outlook in the same thread; B: a command line or script names the act, or RPCSS did so
for one whose logon is not known; C: a COM client of the same logon; D: the same logon and time; E: the same user,
session and time; F: time alone. `competitors` says how many others fit as well as it. Grades A and B are alerts, C is
for review, D to F are leads. The starts of both lie at most `--window` seconds apart (60 unless told, inclusive). If
the requester's start was not logged, its second is read from its ProcessGuid: `start_source` is then `guid`, and
`confidence` is `uncertain` where the rest of that second decides. So it is where Outlook's own start names a script
host as its parent and the time between can't be told: the parent's GUID is empty, tells no second, or has a later one.
Hosts without Sysmon are judged by Security 4688 and 4689, process ids in the place of GUIDs: confidence low.
Next: read the command line, the script and the story (`hunt show-finding`, `hunt tree`); from grade C on, or if nobody
knows the script, isolate the host and keep its memory. Secure the script, PST files and archives it wrote, block the
addresses it spoke to, renew the user's credentials and look for the same hash or line elsewhere.
See: https://attack.mitre.org/techniques/T1114/001/, https://attack.mitre.org/techniques/T1559/001/
"""

from __future__ import annotations

import polars as pl

from hunt import signatures
from hunt.model import SYSMON, Case, Help, Hunt, Severity, Unknown

from ._outlook import INSTEAD, NEEDS, READS, helps
from ._outlook_requests import requests
from ._outlook_told import likeliest, not_disproved, told
from ._outlook_unnamed import UNNAMED
from ._outlook_window import inside, window


def find(case: Case) -> pl.LazyFrame:
    """One row for each start of Outlook with its likeliest script host, or unsigned and new program, in the window."""
    longest = window(case)
    suspects = pl.col("script_host") | pl.col("unsigned_and_new").fill_null(value=False)
    rows = requests(case).filter(suspects, inside(longest), not_disproved())
    what = pl.when("script_host").then(pl.lit("a script host")).otherwise(pl.lit("an unsigned and new program"))
    named = pl.when("script_host").then(pl.lit("the script host")).otherwise(pl.lit("the program"))
    return told(likeliest(rows), what, longest, named)


HUNT = Hunt(
    id="outlook-script-host",
    title="Outlook started by a script host",
    severity=Severity.MEDIUM,
    risk_score=47,
    attack=("T1114.001", "T1559.001"),
    needs=NEEDS,
    find=find,
    helps=helps(
        Help(SYSMON, 5, "how long Outlook ran is not known, and while it runs a script host need not start it"),
        *signatures.HELPS,
    ),
    reads=READS,
    instead=INSTEAD,
    unknowns=(
        *UNNAMED,
        Unknown(
            "signature or age of the file unknown, the unsigned and new branch not evaluable",
            signatures.unknown,
            signatures.COUNTED,
        ),
    ),
)
