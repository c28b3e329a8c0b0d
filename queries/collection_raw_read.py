"""A disk was read past its file system by a program that is neither the kernel nor a service (Sysmon 9).

Why it matters: a locked .ost, as any file, is copied so without opening it: no other event names the file (T1114.001,
T1006).
Looks alike, is harmless: backup, encryption, defragmentation, which run as services from folders of administrators and
are left out for that as long as they are not known to be unsigned, as is the kernel (process 4, which all of the file
system goes through); forensic tools, imaging.
Blind when: Sysmon's configuration leaves RawAccessRead out, as most do; the event names the volume and no file.
How: one row for each process and day. Informational by other programs in folders of administrators, for much of Windows
reads so; medium by a program in a folder that users write to; high by a script host or an unsigned program, and where
the command line names a mail store or a shadow copy.
Next: find out whether backup or forensics ran. If not, keep the program and the host's memory, then isolate it: a raw
read takes any file, registry hives and a domain controller's database too, so renew the credentials of all who log on
there. Look for what the process wrote and sent afterwards; that is all that tells which files it was after.
See: https://attack.mitre.org/techniques/T1114/001/, https://attack.mitre.org/techniques/T1006/
"""

from __future__ import annotations

import polars as pl

from hunt.model import Case, Hunt, Severity

from ._collection import (
    ACT_COLUMNS,
    ACTOR_SIGNS,
    READS,
    acting,
    acts,
    by_process,
    is_protected,
    is_service,
    named,
    need,
    told,
    weighed,
)
from ._exchange import Sign

_NAMES_MAIL = Sign(
    "names mail",
    pl.col("command_line").str.contains(r"(?i)\.(?:pst|ost|nst)\b|outlook|\\olk\b|shadowcopy").fill_null(value=False),
    "its command line names mail or a shadow copy",
    3,
)


def find(case: Case) -> pl.LazyFrame:
    """One row for each process that read devices on a day."""
    met = acting(case, by_process(acts(case, 9, "Device", pl.lit(value=True))))
    kernel = ((pl.col("pid") == 4) & ~pl.col("image").str.contains(r"[\\/]")).fill_null(value=False)
    rows = met.filter(~(is_service() | kernel) | _NAMES_MAIL.when)
    usual = pl.when(is_protected()).then(0).otherwise(1)
    return told(
        weighed(rows, usual, (_NAMES_MAIL, *ACTOR_SIGNS)), "read past the file system", pl.format("read {}", named())
    )


HUNT = Hunt(
    id="collection-raw-read",
    title="Disk read past the file system",
    severity=Severity.LOW,
    risk_score=21,
    attack=("T1114.001", "T1006"),
    needs=(need(9, f"{ACT_COLUMNS} Device", "Image"),),
    find=find,
    reads=READS,
)
