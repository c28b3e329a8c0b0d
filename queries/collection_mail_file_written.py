"""A mail store (.pst, .ost, .nst, the new Outlook's folder) was written by a program other than Outlook (Sysmon 11).

Why it matters: whoever copies Outlook's files has all mail of a mailbox and needs neither password nor Outlook
(T1114.001); the copy is written by another program, whatever it is called, before it is carried off (T1074.001).
Looks alike, is harmless: backup, profile migration, antivirus quarantine, a user who moves an archive by hand. A
service in a folder of administrators without a bad signature is informational, a user's own explorer.exe low: by what
they are, not by their name; the allowlist takes `image` and `object`.
Blind when: Sysmon's configuration leaves .pst and .ost out of FileCreate, as many do; the copy has another name (a
shadow copy as a whole, an archive that was written directly: see collection-mail-command); renaming makes no event.
How: one row for each process and day, with the files it wrote. Medium, high where a script host or an unsigned program
did it, where a cache (.ost, .nst, which nobody needs elsewhere) was copied, or where the copy lies in a folder of
everybody, a temporary one, on a share or in the root of a drive.
Next: secure the copy with its times, look what else that process wrote and where it connected to (`hunt show-finding`).
If no backup or move explains it, isolate the host, block the addresses, take the copy from the share or disk where it
lies, and treat all mail of that mailbox as lost: renew what passwords stand in it. Look for the same program and folder
on other hosts.
See: https://attack.mitre.org/techniques/T1114/001/, https://attack.mitre.org/techniques/T1074/001/
"""

from __future__ import annotations

import polars as pl

from hunt.model import SYSMON, Case, Help, Hunt, Severity
from hunt.processes import base_name

from ._collection import (
    ACT_COLUMNS,
    ACTOR_SIGNS,
    CACHE,
    INDEXER,
    OLK,
    READS,
    SERVICE,
    STORE,
    Calm,
    acting,
    acts,
    by_process,
    is_new_outlook,
    is_odd_place,
    is_outlook,
    is_protected,
    named,
    need,
    told,
    weighed,
)
from ._exchange import Sign

# Outlook's own folder of stores, and the one that users know.
_OWN_FOLDER = r"(?i)\\(?:appdata\\local\\microsoft\\(?:outlook|olk)|outlook files|outlook-dateien|fichiers outlook)\\"

_SIGNS = (
    Sign("odd place", pl.col("odd"), "to a place for what is to be carried off", 3),
    Sign("cache", pl.col("cache") & pl.col("away"), "a cache, of no use elsewhere, outside Outlook's folder", 3),
    Sign("many", pl.col("count") >= 5, pl.format("{} stores", "count"), 3),
    *ACTOR_SIGNS,
)
_DESKTOP = Calm(
    "desktop",
    (base_name("image") == "explorer.exe") & is_protected() & ~pl.col("cache") & (pl.col("count") < 5),
    "by the desktop, as a user who moves an archive does",
    1,
)


def find(case: Case) -> pl.LazyFrame:
    """One row for each process that wrote stores on a day."""
    path = pl.col("TargetFilename")
    new = is_new_outlook() & ~pl.col("object").str.contains(STORE)
    rows = acts(case, 11, "TargetFilename", path.str.contains(f"{STORE}|{OLK}"), ~is_outlook() & ~new)
    flags = {
        "odd": is_odd_place("object"),
        "cache": pl.col("object").str.contains(CACHE) | pl.col("object").str.contains(OLK),
        "away": ~pl.col("object").str.contains(_OWN_FOLDER),
    }
    met = acting(case, by_process(rows, (), **{k: v.fill_null(value=False) for k, v in flags.items()}))
    return told(weighed(met, 2, _SIGNS, (SERVICE, INDEXER, _DESKTOP)), "write", pl.format("wrote {}", named()))


HUNT = Hunt(
    id="collection-mail-file-written",
    title="Mail store written by another program than Outlook",
    severity=Severity.MEDIUM,
    risk_score=47,
    attack=("T1114.001", "T1074.001"),
    needs=(need(11, f"{ACT_COLUMNS} TargetFilename", "TargetFilename", "Image"),),
    find=find,
    reads=READS,
    helps=(Help(SYSMON, 7, "whether the program is signed is not known"),),
)
