"""Something else than a script host started Outlook or had it started: an extension of outlook-script-host.

Why it matters: the technique needs no script host. PowerShell remoting (wsmprovhost), powershell_ise, macros in Word
or Excel, WmiPrvSE, msbuild, installutil, python, a web server's worker (w3wp), sqlservr: whatever can use COM can read
mail.
Looks alike, is harmless: presence add-ins (Teams, Skype, Zoom), send-to-mail of Office and PDF makers, CRM and document
management, backup and sync of mailboxes, mail archives, antivirus; the same on many hosts, signed, below Program Files.
Not listed are those that start Outlook on every desktop, by path and signer: explorer.exe, Windows' own shell, search
and logon, Office's own updater and Outlook itself. A path alone does not count if the file is known to be unsigned.
Blind when: Outlook runs already; the requester is known by grade D or below only (see outlook-com-activation); a listed
program is misused from within (an add-in in Outlook, code in explorer.exe).
How: the direct parent, of any age, or the likeliest requester of grade A, B or C that is not listed. Where a broker
(WMI, WinRM, a task, a service, a COM surrogate) started Outlook and nobody is known to have asked it to, the broker is
named.
Next: find out what the program is (signer, path, how many hosts have it) and who runs it; of what is known to be in
order make an entry of an allowlist. Of a macro, a build tool or a web server's worker take the document or project that
it ran, isolate the host, and look for what came before it.
See: https://attack.mitre.org/techniques/T1114/001/, https://attack.mitre.org/techniques/T1559/001/
"""

from __future__ import annotations

import polars as pl

from hunt.model import SYSMON, Case, Help, Hunt, Severity
from hunt.processes import base_name

from ._outlook import CHILD, INSTEAD, NEEDS, READS, grade_order, helps
from ._outlook_requests import brokers, requests
from ._outlook_told import likeliest, not_disproved, told
from ._outlook_unnamed import UNNAMED

# Known to run what others wrote: more than the rest they deserve a look.
_RUN = (
    "wsmprovhost powershell_ise winword excel powerpnt msaccess mspub visio onenote wmiprvse msbuild installutil "
    "regasm regsvcs csc python pythonw w3wp sqlservr sqlagent java javaw node wmic dllhost hh msiexec forfiles"
)
_HOSTS_OF_CODE = frozenset(f"{name}.exe" for name in _RUN.split())


_FOR_OTHERS = ("wmi", "scm", "task", "task_or_service", "com_surrogate", "com_shell")


def find(case: Case) -> pl.LazyFrame:
    """One row for each start of Outlook whose requester is no script host, neither listed nor told by other hunts."""
    known = requests(case).filter(pl.col("grade").is_in(["direct", "A", "B", "C"]), not_disproved())
    through = brokers(case).rename({"mechanism": "_through", **{c: f"_{c}" for c in _WHENCE}})
    asked = known.join(through, on=CHILD, how="left", nulls_equal=True).filter(_asked())
    named = ~pl.col("r_image").fill_null("-").is_in(["", "-", "?"])
    elsewhere = pl.col("script_host") | pl.col("renamed") | pl.col("unsigned_and_new").fill_null(value=False)
    # A listed program clears nobody; a script host that fits better does, and its own hunt tells of it.
    suspects = asked.filter(named, ~pl.col("listed")).with_columns(grade_order().alias("_grade"))
    best = pl.col("_grade") == pl.col("_grade").min().over(CHILD)
    rows = likeliest(suspects.filter(best).filter(~elsewhere)).with_columns(_of_broker(c) for c in _WHENCE)
    service = _svchost() & pl.col("_through").is_null()
    broker = (pl.col("grade") == "direct") & (pl.col("_through").is_in(_FOR_OTHERS) | service)
    how = pl.when(service).then(pl.lit("a service")).otherwise("_through")
    what = (
        pl.when(broker)
        .then(pl.format("{}, on behalf of somebody unknown ({}),", base_name("r_image"), how))
        .otherwise(pl.format("{}, which does not usually start Outlook,", base_name("r_image")))
    )
    return _weighed(told(rows, what, named=pl.lit("the process")))


_WHENCE = ("locality", "origin", "source_ip")


def _of_broker(column: str) -> pl.Expr:
    """For whom a broker started Outlook is not told by the broker being its parent."""
    broker = (pl.col("grade") == "direct") & pl.col("_through").is_in(_FOR_OTHERS)
    return pl.when(broker).then(f"_{column}").otherwise(column).alias(column)


def _svchost() -> pl.Expr:
    return base_name("r_image") == "svchost.exe"


def _asked() -> pl.Expr:
    """Requesters: those whom lineage found, and parents. Parents that are brokers only where nobody else was found."""
    direct, broker = pl.col("grade") == "direct", pl.col("_through").is_not_null()
    found = (~direct).any().over(CHILD)
    # wsmprovhost.exe is the remote session's shell itself, svchost.exe never asks for anything.
    alone = (pl.col("_through") == "winrm") | (~pl.col("_through").is_in(["com", "com_elevated"]) & ~found)
    # Without a command line a start by svchost.exe is taken for one by COM: outlook-com-activation lists it.
    by_com = _svchost() & (pl.col("source") == "security") & pl.col("c_command_line").is_null()
    return pl.when(direct & broker).then(alone).otherwise(~(direct & by_com).fill_null(value=False))


def _weighed(found: pl.LazyFrame) -> pl.LazyFrame:
    """Programs that run what others wrote weigh as script hosts do, the others less."""
    hosts = base_name("image").is_in(_HOSTS_OF_CODE)
    less = {"high": "medium", "medium": "low", "low": "informational"}
    risk = pl.col("risk_score")
    return found.with_columns(
        severity=pl.when(hosts).then("severity").otherwise(pl.col("severity").replace(less)),
        risk_score=pl.when(hosts).then(risk).otherwise(risk - 26),  # 73 becomes 47, 47 becomes 21
    )


HUNT = Hunt(
    id="outlook-unusual-requester",
    title="Outlook started by an unusual program",
    severity=Severity.LOW,
    risk_score=21,
    attack=("T1114.001", "T1559.001"),
    needs=NEEDS,
    find=find,
    helps=helps(Help(SYSMON, 7, "listed programs are told by their paths alone")),
    reads=READS,
    instead=INSTEAD,
    unknowns=UNNAMED,
)
