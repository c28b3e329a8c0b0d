r"""A command line names a mail store, or Outlook's files in a shadow copy (Sysmon 1, Security 4688).

Why it matters: Outlook's files are found, copied (esentutl /y /vss and shadow copies get at a locked .ost), packed and
sent with what every Windows has; the command says which (T1114.001, T1560.001).
Looks alike, is harmless: backup scripts, moves of profiles, repairs (scanpst), mounts of an archive, a search for large
files. What a service in a folder of administrators runs is low at most; the allowlist takes `command_line`.
Blind when: 4688 is logged without command lines; a script names the files itself (outlook-object-model tells of
Outlook's object model alone); names are put together or stand in a list.
How: one row for each start. Low if the store is named only or looked for, medium if it is copied, high if it is packed,
sent away, or taken out of a shadow copy or past a lock; so is the folder of Outlook's stores as a whole, if more is
done than to name it or to look there. Quotes and carets within an extension do not hide it.
Next: ask the owner of the script or the account. If nobody knows it, isolate the host and look for what was written:
the copy, the archive, its size, and whether it left (connections, shares, removable disks). Keep the copy as evidence
and shadow copies as they are. Who has the file has the mailbox: treat all mail in it as lost, passwords and links in it
as known.
See: https://attack.mitre.org/techniques/T1114/001/, https://attack.mitre.org/techniques/T1560/001/
"""

from __future__ import annotations

import polars as pl

from hunt.findings import TEXTS
from hunt.model import Case, Hunt, Severity

from ._collection import ACTOR_SIGNS, LINES, READS, SERVICE, Calm, is_outlook, starts, told, weighed
from ._exchange import Sign

_NOISE = r"""["'^`]*"""
_STORE = (
    rf"(?i)\.{_NOISE}(?:p{_NOISE}s|o{_NOISE}s|n{_NOISE}s){_NOISE}t(?:[^a-z0-9_.-]|\.[a-z0-9]{{1,4}}(?:[^a-z0-9]|$)|$)"
)
_OLK = r"(?i)\\microsoft\\olk(?:[\\/\"' *]|$)"
# Its other folders are below Roaming; only who copies or packs this one is told: much is opened in it by name.
_FOLDER = r"(?i)(?:\\appdata\\local|localappdata[%})]?)[\"']?\\microsoft\\outlook(?:[\\/\"' *;,)]|$)"
_SHADOW = r"(?i)harddiskvolumeshadowcopy.{0,400}(?:outlook|\.(?:pst|ost|nst)|\\olk|\\appdata)"

_SENT = (
    r"(?i)\b(?:curl|rclone|scp|pscp|sftp|winscp|ftp|bitsadmin|megacmd|mega-put|gsutil|azcopy|aws)(?:\.exe)?\b"
    r"|-method\s+(?:put|post)|uploadfile|-infile\b|\bnet\s+use\b|certreq.{0,40}-post"
)
_PACKED = (
    r"(?i)\b(?:7z[ar]?|7zg|rar|winrar|tar|makecab|zip|winzip(?:32|64)?|peazip|wbadmin)(?:\.exe)?\"?\s+"
    r"|compress-archive|createfromdirectory|compact-archive"
)
_LOCKED = (
    r"(?i)esentutl(?:\.exe)?\"?\s.{0,400}[/-](?:y|vss)|harddiskvolumeshadowcopy|\b(?:rawcopy|ninjacopy"
    r"|hobocopy|invoke-ninjacopy)|[/-]vss\b|diskshadow|vssadmin"
)
_COPIED = (
    r"(?i)\b(?:copy|xcopy|robocopy|move|cp|mv|copy-item|move-item|cpi|copyfile|copyto|esentutl|expand|extrac32"
    r"|makecab|ntbackup|teracopy|fastcopy)\b|\bcertutil(?:\.exe)?\"?\s.{0,40}[/-]encode|\btype\s.{0,300}>"
    r"|\bprint(?:\.exe)?\"?\s+/d:"
)
_SOUGHT = r"(?i)\b(?:dir|where|forfiles|findstr|find|get-childitem|gci|ls|tree|fsutil|icacls|attrib)\b"
_AWAY = (
    r"(?i)[a-z]:\\(?:programdata|perflogs|users\\public|windows\\temp|temp|\$recycle\.bin|inetpub)\\"
    r"|\\\\[a-z0-9_.-]+\\[^\\\s]+\\?"
)

_line = pl.col("command_line")


def _does(pattern: str) -> pl.Expr:
    return _line.str.contains(pattern).fill_null(value=False)


_ACT = (
    pl.when(_does(_SENT))
    .then(pl.lit("send"))
    .when(_does(_LOCKED))
    .then(pl.lit("copy past the lock"))
    .when(_does(_PACKED))
    .then(pl.lit("pack"))
    .when(_does(_COPIED))
    .then(pl.lit("copy"))
    .when(_does(_SOUGHT))
    .then(pl.lit("look for"))
    .otherwise(pl.lit("name"))
)
_WEIGHTS = {"send": 3, "copy past the lock": 3, "pack": 3, "copy": 2, "look for": 1, "name": 1}
_TECHNIQUES = {"send": ["T1114.001", "T1048"], "pack": ["T1114.001", "T1560.001"]}

_HARMLESS = ("look for", "name")
_SAID = {
    "send": "a mail store is sent away",
    "copy past the lock": "a mail store is copied past its lock or out of a shadow copy",
    "pack": "a mail store is packed",
    "copy": "a mail store is copied",
    "look for": "a mail store is looked for",
    "name": "a command line names a mail store",
}
_HOST, *_OTHERS = ACTOR_SIGNS
_SIGNS = (
    Sign("odd place", _does(_AWAY) & pl.col("act").is_in(["copy", "pack"]), "to or from a place that others reach", 3),
    *_OTHERS,
)
# Scripts of administrators run so, and so does a thief with their rights.
_CALMS = (Calm(SERVICE.name, SERVICE.when, SERVICE.said, 1),)


def find(case: Case) -> pl.LazyFrame:
    """One row for each start that names a store."""
    named = _does(f"{_STORE}|{_OLK}|{_SHADOW}")
    met = starts(case, named | _does(_FOLDER), ~is_outlook())
    rows = met.with_columns(act=_ACT).with_columns(action=pl.col("act")).filter(named | ~pl.col("act").is_in(_HARMLESS))
    weight = pl.col("act").replace_strict(_WEIGHTS, return_dtype=pl.Int64)
    said = pl.col("act").replace_strict(_SAID, return_dtype=pl.String)
    why = [pl.when(pl.col("act") == act).then(pl.lit(own, TEXTS)) for act, own in _TECHNIQUES.items()]
    techniques = pl.coalesce(*why, pl.lit(["T1114.001"], TEXTS))
    return told(weighed(rows, weight, _SIGNS, _CALMS), pl.col("act"), said, techniques=techniques)


HUNT = Hunt(
    id="collection-mail-command",
    title="Mail store named in a command line",
    severity=Severity.MEDIUM,
    risk_score=47,
    attack=("T1114.001", "T1560.001", "T1048"),
    needs=(),
    any_of=(LINES,),
    find=find,
    reads=READS,
)
