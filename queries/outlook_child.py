r"""Outlook started a script host, or a program out of an attachment or from afar (Sysmon 1, Security 4688).

Why it matters: a rule, a form or a home page that Ruler put into the mailbox runs as Outlook's child (T1137.005,
T1137.003), and so does an attachment that a user opens (T1566.001): either way mail is where it begins.
Looks alike, is harmless: dialogs for printing and "open with", which are rundll32.exe with Windows' own shell libraries
and low for it; add-ins that call cmd.exe; scripts that users mail to each other on purpose.
Blind when: the payload runs inside Outlook, or through COM, WMI or a task (their parent is not Outlook).
How: one row for each start. Medium; high where the program lies on a share, in Outlook's folder of attachments, or
where its command line hides or fetches something; low for the shell's own dialogs.
Next: secure the program and the message or rule that brought it; isolate the host. Look for the same attachment in all
mailboxes, and purge it. Where no message fits, look in the mailbox itself for rules, forms and home pages (MFCMAPI,
Exchange's export of rules) and remove them there: a new computer brings them back. Then renew the user's password and
end his sessions.
See: https://attack.mitre.org/techniques/T1137/005/, https://attack.mitre.org/techniques/T1566/001/
"""

from __future__ import annotations

import polars as pl

from hunt.model import Case, Hunt, Severity
from hunt.processes import base_name

from ._collection import CHILDREN, READS, SCRIPT_HOSTS, Calm, low, starts, told, weighed
from ._exchange import Sign

# Besides script hosts what runs or fetches others' code and comes with Windows (lolbas-project.github.io).
_OTHERS = (
    "certutil.exe", "bitsadmin.exe", "schtasks.exe", "msdt.exe", "hh.exe", "forfiles.exe", "scriptrunner.exe",
    "control.exe", "bash.exe", "wsl.exe", "curl.exe", "msiexec.exe", "odbcconf.exe", "cmstp.exe", "ieexec.exe",
)  # fmt: skip
_ATTACHMENT = r"\\content\.outlook\\|\\olkattach|\\appdata\\local\\temp\\(?:temp1_|rar\$|7z)"
_REMOTE = r"^\\\\"
_HIDES = (
    r"(?i)\s[-/]e(?:c|nc?o?d?e?d?c?o?m?m?a?n?d?)?\s+[\"']?[a-z0-9+/=]{20}|frombase64"
    r"|hidden|\biex\b|invoke-expression|download|https?://"
    r"|javascript:|vbscript:|\\\\[a-z0-9.@_-]+\\|-urlcache|scrobj"
)
_DIALOG = (
    r"(?i)rundll32(?:\.exe)?\"?\s+\"?(?:[a-z]:\\windows\\system32\\)?(?:shell32\.dll,(?:openas_rundll"
    r"|control_rundll|shhelpshortcuts_rundll)|printui\.dll|photoviewer\.dll|ndfapi\.dll|dfshim\.dll"
    r"|cryptext\.dll,cryptext|davclnt\.dll|inetcpl\.cpl)"
)

_line = pl.col("command_line")
_SIGNS = (
    Sign(
        "attachment",
        low("image").str.contains(_ATTACHMENT).fill_null(value=False)
        | _line.str.contains(f"(?i){_ATTACHMENT}").fill_null(value=False),
        "out of an attachment",
        3,
    ),
    Sign("remote", low("image").str.contains(_REMOTE).fill_null(value=False), "from a share", 3),
    Sign("hides", _line.str.contains(_HIDES).fill_null(value=False), "its command line hides or fetches something", 3),
    Sign(
        "new file", pl.col("unsigned_and_new").fill_null(value=False), "an unsigned program whose file was just made", 3
    ),
)
_DIALOGS = Calm(
    "dialog",
    (base_name("image") == "rundll32.exe") & _line.str.contains(_DIALOG).fill_null(value=False),
    "one of the shell's own dialogs",
    1,
)


def find(case: Case) -> pl.LazyFrame:
    """One row for each such start."""
    of_outlook = base_name("parent_image").is_in(["outlook.exe", "olk.exe"])
    named = base_name("image").is_in([*SCRIPT_HOSTS, *_OTHERS])
    strange = low("image").str.contains(f"{_ATTACHMENT}|{_REMOTE}")
    rows = starts(
        case, pl.col("parent_image").str.contains(r"(?i)(?:outlook|olk)\.exe$"), of_outlook & (named | strange)
    ).collect()
    what = pl.format("Outlook started {}", base_name("image"))
    # A dialog that fetches something is one no more.
    calm = Calm(
        _DIALOGS.name, _DIALOGS.when & ~pl.any_horizontal(s.when for s in _SIGNS), _DIALOGS.said, _DIALOGS.at_most
    )
    return told(weighed(rows.lazy(), 2, _SIGNS, (calm,)), "start", what)


HUNT = Hunt(
    id="outlook-child",
    title="Outlook started a script host",
    severity=Severity.MEDIUM,
    risk_score=47,
    attack=("T1137.005", "T1137.003", "T1566.001", "T1204.002"),
    needs=(),
    any_of=(CHILDREN,),
    find=find,
    reads=READS,
)
