"""Lineage in plain loops, from the rules alone: slow, and written without a look at the other one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from tests.helpers import Row

SKEW, MOMENT = Decimal("0.25"), Decimal("0.25")
GRADES = "ABCDEF"
STRANGERS = 8  # of other sessions, so many of the latest are listed
RUNS_SCRIPTS = ("powershell.exe", "cmd.exe", "dllhost.exe")  # of those that the worlds have


@dataclass(eq=False)
class Process:
    row: Row
    host: str
    guid: str
    start: Decimal
    end: Decimal | None = None
    contact: Decimal | None = None
    catalogue: Decimal | None = None
    opened: bool = False
    scripts: list[tuple[Decimal, str]] = field(default_factory=list)

    def __getitem__(self, name: str) -> str:
        return str(self.row.get(name) or "")

    @property
    def name(self) -> str:
        return self["Image"].rsplit("\\", 1)[-1].lower()


@dataclass
class Answer:
    grade: str | None
    requester: str | None
    competitors: int
    ambiguous: bool
    reasons: dict[str, str | None]  # by candidate; None: it is one


def seconds(text: str) -> Decimal:
    """Since midnight: all happens within a day."""
    hours, minutes, rest = text.split(" ")[1].split(":")
    return (int(hours) * 60 + int(minutes)) * 60 + Decimal(rest)


def answers(rows: Iterable[Row], window: Decimal = Decimal(60)) -> dict[str, Answer]:
    """By the child's GUID. Knows Sysmon 1, 5, 7, 10 and PowerShell 4104."""
    rows = list(rows)
    known = [
        Process(r, r["host"].lower(), r["ProcessGuid"], seconds(r["UtcTime"])) for r in rows if r["event_id"] == "1"
    ]
    handles = [r for r in rows if r["event_id"] == "10"]
    brokers = {p["ParentProcessGuid"] for p in known if mechanism(p) == "com"}
    for r in rows:
        host, at = r["host"].lower(), seconds(r.get("UtcTime") or r["logged"])
        for p in known:
            if p.host != host:
                continue
            if r["event_id"] == "5" and r["ProcessGuid"] == p.guid:
                p.end = max(at, p.start, p.end or at)
            if r["event_id"] == "7" and r["ProcessGuid"] == p.guid and r["ImageLoaded"].endswith("clbcatq.dll"):
                p.catalogue = min(at, p.catalogue or at)
            if r["event_id"] == "10" and (r["TargetProcessGUID"], r["GrantedAccess"]) == (p.guid, "0x1000"):
                p.opened = True
                if r["SourceProcessGUID"] in brokers:
                    p.contact = min(at, p.contact or at)
    for r in rows:
        if r["event_id"] == "4104":
            at = seconds(r["logged"])
            owners = [
                p for p in known
                if p.host == r["host"].lower() and p["ProcessId"] == r["System.ProcessID"] and p.start <= at
            ]  # fmt: skip
            if owners:
                owner = max(owners, key=lambda p: p.start)
                if owner.end is None or owner.end + 5 >= at:
                    owner.scripts.append((at, r["ScriptBlockText"].lower()))
    return {p.guid: _answer(p, known, handles, window) for p in known if mechanism(p)}


def mechanism(p: Process) -> str | None:
    parent, line = p["ParentImage"].rsplit("\\", 1)[-1].lower(), p["ParentCommandLine"]
    if parent == "svchost.exe" and "DcomLaunch" in line and re.search("-Embedding|/Processid:", p["CommandLine"]):
        return "com"
    return {"wmiprvse.exe": "wmi", "services.exe": "scm"}.get(parent)


def _answer(child: Process, known: list[Process], handles: list[Row], window: Decimal) -> Answer:
    kind = mechanism(child)
    reasons: dict[str, str | None] = {}
    graded: list[tuple[str, Decimal, Process]] = []
    near = [p for p in known if p.host == child.host and 0 <= child.start - p.start <= window]
    latest = sorted(near, key=lambda p: p.start)[-STRANGERS:]
    for other in known:
        if other.host != child.host or other is child or other.start > child.start:
            continue
        gap = _pair(child, other, handles) if kind == "com" else None
        said = _says(child, other, window)
        if gap is None and not said and child.start - other.start > window:
            continue
        seat = child["TerminalSessionId"] == other["TerminalSessionId"] != "0"
        akin = kind == "scm" or seat or child["LogonGuid"] == other["LogonGuid"]
        if not (akin or said or gap is not None or other in latest):
            continue
        reason, grade = _judge(child, other, known, kind, gap, said)
        reasons[other.guid] = reason
        if reason is None:
            graded.append((grade, Decimal(9) if gap is None else gap, other))
    if not graded:
        return Answer(None, None, 0, False, reasons)
    grade = min(g for g, _, _ in graded)
    equal = [(gap, p) for g, gap, p in graded if g == grade]
    wrappers = {p["ParentProcessGuid"] for _, p in equal}
    best = min(equal, key=lambda e: (e[0], e[1].guid in wrappers, -e[1].start))[1]
    leaves = [p for _, p in equal if p.guid not in wrappers]
    return Answer(grade, best.guid, len(equal) - 1, len(leaves) > 1, reasons)


def _judge(
    child: Process,
    other: Process,
    known: list[Process],
    kind: str | None,
    gap: Decimal | None,
    said: str | None,
) -> tuple[str | None, str]:
    identity = kind != "scm"
    logon = child["LogonGuid"] == other["LogonGuid"]
    session = (
        child["User"].lower() == other["User"].lower()
        and child["TerminalSessionId"] == other["TerminalSessionId"] != "0"
    )
    contact = identity and other.contact is not None and other.contact <= child.start + SKEW
    catalogue = identity and other.catalogue is not None and other.catalogue <= child.start + SKEW
    if other.guid == child["ParentProcessGuid"]:
        return "it is the broker", ""
    if other.name == "conhost.exe":
        return "a console host requests nothing", ""
    if other.end is not None and other.end + SKEW < child.start:
        return "ended before", ""
    if identity and not logon and (not session or child.name == "outlook.exe"):
        return "other logon session", ""
    if identity and _unfiltered(child.host, known) and other.opened and not contact and gap is None and not said:
        return "had no contact with the COM service, which Sysmon 10 would tell", ""
    if not identity:
        return None, "B" if said == "surely" else "F"
    if gap is not None:
        return None, "A"
    if said == "surely":
        return None, "B"
    if logon:
        return None, "C" if contact or catalogue or said else "D"
    return None, "E"


def _pair(child: Process, other: Process, handles: list[Row]) -> Decimal | None:
    """The time between both handles of a thread, if there are such."""
    gaps = [
        abs(seconds(a["UtcTime"]) - seconds(b["UtcTime"]))
        for a in handles
        for b in handles
        if a["host"].lower() == b["host"].lower() == child.host
        and a["SourceProcessGUID"] == b["SourceProcessGUID"] == child["ParentProcessGuid"]
        and a["SourceThreadId"] == b["SourceThreadId"]
        and (a["TargetProcessGUID"], a["GrantedAccess"]) == (child.guid, "0x1fffff")
        and (b["TargetProcessGUID"], b["GrantedAccess"]) == (other.guid, "0x1000")
    ]
    return min((gap for gap in gaps if gap <= MOMENT), default=None)


def _says(child: Process, other: Process, window: Decimal) -> str | None:
    """Whether it names the request: of late, or long ago if it is somebody's who still lives, of the same user.

    "maybe": in a script that may be another one's, to whom its process id was given on.
    """
    kind = mechanism(child)
    pattern = {
        "com": re.escape(child.name.removesuffix(".exe") + ".application"),
        "wmi": "process call create",
        "scm": r"\bsc start ",
    }[str(kind)]
    soon = min(window, Decimal(10)) if kind == "scm" else window
    alive = other.end is None or other.end + SKEW >= child.start
    akin = child["User"].lower() == other["User"].lower() or child["LogonGuid"] == other["LogonGuid"]
    ever = kind != "scm" and alive and akin
    line = bool(re.search(pattern, other["CommandLine"].lower())) and (ever or child.start - other.start <= soon)
    script = any(
        re.search(pattern, text) and at <= child.start + 1 and (ever or child.start - window <= at)
        for at, text in other.scripts
    )
    if line or (script and (other.end is not None or other.name in RUNS_SCRIPTS)):
        return "surely"
    return "maybe" if script else None


def _unfiltered(host: str, known: list[Process]) -> bool:
    servers = [p for p in known if p.host == host and mechanism(p) == "com"]
    seen = [p for p in servers if p.row.get("_seen") and p.contact is not None]
    return bool(servers) and len(seen) >= Decimal("0.9") * len(servers)


def mark_seen(rows: list[Row]) -> None:
    """Notes at each start whether its broker's handle on it was logged."""
    handles = {
        (r["host"].lower(), r["SourceProcessGUID"], r["TargetProcessGUID"])
        for r in rows
        if r["event_id"] == "10" and r["GrantedAccess"] == "0x1fffff"
    }
    for r in rows:
        if r["event_id"] == "1":
            r["_seen"] = (r["host"].lower(), r["ParentProcessGuid"], r["ProcessGuid"]) in handles
