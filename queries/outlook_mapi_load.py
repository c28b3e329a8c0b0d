r"""A program that is none of Office loaded Outlook's MAPI, or its interop assembly (Sysmon 7).

Why it matters: with olmapi32.dll and its kin a program reads mailboxes and stores in its own process, without a start
of Outlook and without its prompts (T1114.001); the interop assembly is .NET's way to Outlook's object model
(T1559.001).
Looks alike, is harmless: Windows' search, antivirus, archiving, CRM, sync of devices and "send to mail": services in a
folder of administrators, and what Windows' search starts, are informational; other programs there are low if they are
validly signed and no script hosts.
Blind when: Sysmon's configuration logs no image loads, as most; a program brings a MAPI of its own (libpff and the
like) or reads the file.
How: one row for each process and day. Medium; high by a script host, an unsigned program, or one that was just made.
mapi32.dll, a stub that much of Windows loads, counts by script hosts alone.
Next: identify the program by signature, hash and publisher, and ask who installed it. If nobody did, isolate the host,
keep the file and its memory, look what it wrote and where it connected to, and remove what starts it again (tasks, Run
keys, services). Reading leaves no trace in the store: count all mailboxes open in that profile as read. Look for the
hash elsewhere.
See: https://attack.mitre.org/techniques/T1114/001/, https://attack.mitre.org/techniques/T1559/001/
"""

from __future__ import annotations

import polars as pl

from hunt.model import SYSMON, Case, Help, Hunt, Severity

from ._collection import (
    ACT_COLUMNS,
    ACTOR_SIGNS,
    INDEXER,
    READS,
    SERVICE,
    Calm,
    acting,
    acts,
    by_process,
    is_new_outlook,
    is_office,
    is_protected,
    is_script_host,
    named,
    need,
    told,
    weighed,
)

# olmapi32: MAPI itself; mspst32: .pst; emsmdb32: Exchange; msmapi32: its older name; redemption: a known wrapper of it.
_MAPI = r"(?i)\\(?:olmapi32|mspst32|emsmdb32|msmapi32|outlmime|redemption(?:64)?)\.dll$"
_INTEROP = r"(?i)\\microsoft\.office\.interop\.outlook(?:\.ni)?\.dll$"
_STUB = r"(?i)\\mapi32\.dll$"

_SIGNED = Calm(
    "signed",
    ((pl.col("signature") == "valid") & is_protected() & ~is_script_host()).fill_null(value=False),
    "by a validly signed program in a folder of administrators",
    1,
)


def find(case: Case) -> pl.LazyFrame:
    """One row for each process that loaded one of them on a day."""
    file = pl.col("ImageLoaded")
    stub = pl.col("object").str.contains(_STUB) & ~is_script_host()
    others = ~stub & ~is_office() & ~is_new_outlook()
    rows = acts(case, 7, "ImageLoaded", file.str.contains(f"{_MAPI}|{_INTEROP}|{_STUB}"), others)
    met = acting(case, by_process(rows))
    return told(weighed(met, 2, ACTOR_SIGNS, (SERVICE, INDEXER, _SIGNED)), "load", pl.format("loaded {}", named()))


HUNT = Hunt(
    id="outlook-mapi-load",
    title="Outlook's MAPI loaded by another program",
    severity=Severity.MEDIUM,
    risk_score=47,
    attack=("T1114.001", "T1559.001"),
    needs=(need(7, f"{ACT_COLUMNS} ImageLoaded", "ImageLoaded", "Image"),),
    find=find,
    reads=READS,
    helps=(Help(SYSMON, 1, "who started the program is not known"),),
)
