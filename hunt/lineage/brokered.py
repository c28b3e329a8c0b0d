"""Which processes were started by a broker on behalf of another one, and by what mechanism.

Sysmon and Windows name the broker as their parent. `svchost -k DcomLaunch` also starts processes of its own: without a
COM marker in the command line such a start is direct. The Security log has no command lines unless a policy turns them
on, and before version 2 of 4688 not even the creator's name: there, Outlook is told by less than other programs.
"""

from __future__ import annotations

import polars as pl

COM, SURROGATE, SHELL, WMI = "com", "com_surrogate", "com_shell", "wmi"
SCM, TASK, WINRM = "scm", "task", "winrm"
# Before Windows 10, 1703 (and with little memory since) the services of `-k netsvcs`, Schedule among them, share one
# process.
TASK_OR_SERVICE = "task_or_service"
UNTOLD = "unknown"  # Outlook, in the Security log: who created it is not known

# What COM puts into the command line of a server that it starts: a CLSID's LocalServer32, surrogates, packaged apps.
COM_MARKER = r"(?i)[-/]embedding\b|[-/]automation\b|-servername:|/processid:\s*\{|shcreatelocalserverrundll"
DCOM_LAUNCH = r"(?i)-k\s+\"?dcomlaunch\b"
_OTHER_SERVICE = r"(?i)-s\s+(?:plugplay|lsm)\b"  # services of the same group that start processes of their own
_SCHEDULE = r"(?i)-s\s+\"?schedule\b"
_NETSVCS, _ONE_SERVICE = r"(?i)-k\s+\"?netsvcs\b", r"(?i)\s-s\s"
_FACTORY = r"(?i)/factory,"


def _named(*names: str) -> str:
    """A pattern for images of these file names, in ASCII: the Kelvin sign is no k."""
    return rf"(?i-u:(?:^|[\\/])(?:{'|'.join(names)})\.exe$)"


_NO_PARENT = ("?", "-", "")  # hidden from Sysmon, or not logged
# Looked at first, since it is cheap and few are brokers.
_BROKERS = _named("svchost", "wmiprvse", "services", "taskeng", "wsmprovhost", "dllhost")


def brokered(known: pl.DataFrame) -> pl.DataFrame:
    """The processes that a broker started, of those whose start was logged: columns of `known` and `mechanism`."""
    parent, line = pl.col("parent_image"), pl.col("parent_command_line")
    unknown = parent.is_null() | parent.is_in(_NO_PARENT)
    may = known.filter(
        pl.col("event_id").is_not_null() & (parent.str.contains(_BROKERS) | unknown | line.str.contains(_FACTORY))
    )
    return may.with_columns(mechanism().alias("mechanism")).filter(pl.col("mechanism").is_not_null())


def mechanism() -> pl.Expr:
    """How a process of `case.processes` was started: COM, WMI, ...; null for those that no broker started."""
    parent, line = pl.col("parent_image").fill_null(""), pl.col("parent_command_line").fill_null("")
    svchost, marked = parent.str.contains(_named("svchost")), pl.col("command_line").str.contains(COM_MARKER)
    # A 4688 names a parent without its command line.
    dcom = svchost & (line.str.contains(DCOM_LAUNCH) | line.is_in(_NO_PARENT)) & ~line.str.contains(_OTHER_SERVICE)
    outlook = (pl.col("event_id") == 4688) & pl.col("image").str.contains(_named("outlook"))
    return (
        pl.when((dcom | parent.is_in(_NO_PARENT)) & marked)
        .then(pl.lit(COM))
        .when(dcom & outlook & pl.col("command_line").is_null())
        .then(pl.lit(COM))
        .when(parent.str.contains(_named("wmiprvse")))
        .then(pl.lit(WMI))
        .when((svchost & line.str.contains(_SCHEDULE)) | parent.str.contains(_named("taskeng")))
        .then(pl.lit(TASK))
        .when(svchost & line.str.contains(_NETSVCS) & ~line.str.contains(_ONE_SERVICE))
        .then(pl.lit(TASK_OR_SERVICE))
        .when(parent.str.contains(_named("services")))
        .then(pl.lit(SCM))
        .when(parent.str.contains(_named("wsmprovhost")))
        .then(pl.lit(WINRM))
        .when(parent.str.contains(_named("dllhost")))
        .then(pl.lit(SURROGATE))
        .when(parent.str.contains(_named("explorer")) & line.str.contains(_FACTORY))
        .then(pl.lit(SHELL))
        .when(outlook & parent.is_in(_NO_PARENT))
        .then(pl.lit(UNTOLD))
    )


def assumed() -> pl.Expr:
    """Of what `brokered` gives: in words, what the mechanism rests on where it was not logged; else null."""
    unmarked = ~pl.col("command_line").str.contains(COM_MARKER).fill_null(value=False)
    return (
        pl.when((pl.col("mechanism") == COM) & unmarked)
        .then(pl.lit("taken for COM: svchost.exe started Outlook, its command line was not logged"))
        .when(pl.col("mechanism") == TASK_OR_SERVICE)
        .then(pl.lit("started by a task or another service: they share one svchost.exe"))
        .when(pl.col("mechanism") == UNTOLD)
        .then(pl.lit("how it was started is not known: its creator was not logged"))
    )
