"""Acts on mail in events, and what hunts find in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hunt.hunting import gather
from hunt.registry import select
from tests.helpers import Row, case, event, moment

SECURITY = "Security"
POWERSHELL_LOG = "Microsoft-Windows-PowerShell/Operational"
SYSTEM = {"User": r"NT AUTHORITY\SYSTEM", "IntegrityLevel": "System", "LogonId": "0x3e7", "TerminalSessionId": "0"}


def did(event_id: int, of: Row, at: float, **columns: Any) -> Row:
    """A Sysmon event of a process."""
    own = {name: of[name] for name in ("ProcessGuid", "ProcessId", "Image", "User")}
    return event(event_id, at, host=of["host"], UtcTime=moment(at), **(own | columns))


def wrote(of: Row, path: str, at: float = 5) -> Row:
    return did(11, of, at, TargetFilename=path)


def loaded(of: Row, path: str, at: float = 1, *, signed: bool | None = None) -> Row:
    own = {True: ("true", "Valid"), False: ("false", "Unavailable"), None: ("", "")}[signed]
    return did(
        7, of, at, ImageLoaded=path, Signed=own[0], SignatureStatus=own[1], Signature="Somebody" if signed else ""
    )


def setting(of: Row, key: str, value: str, at: float = 5) -> Row:
    return did(13, of, at, EventType="SetValue", TargetObject=key, Details=value)


def spoke(of: Row, address: str, at: float, **columns: Any) -> Row:
    return did(3, of, at, **({"Initiated": "true", "DestinationIp": address, "DestinationPort": "443"} | columns))


def block(
    text: str, at: float = 5, *, part: int = 1, of: int = 1, block_id: str = "b1", pid: str = "77", **columns: Any
) -> Row:
    own = {"ScriptBlockText": text, "ScriptBlockId": block_id, "MessageNumber": str(part), "MessageTotal": str(of)}
    told = {"provider": "Microsoft-Windows-PowerShell", "System.ProcessID": pid}
    return event(4104, at, channel=POWERSHELL_LOG, **(own | told | columns))


def audited(event_id: int, at: float = 5, **columns: Any) -> Row:
    told = {
        "provider": "Microsoft-Windows-Security-Auditing",
        "SubjectUserName": "alice",
        "SubjectDomainName": "CONTOSO",
    }
    return event(event_id, at, channel=SECURITY, **(told | columns))


def found(name: str, *rows: Row, also: tuple[str, ...] = (), window_s: float | None = None) -> list[dict[str, Any]]:
    """The findings of a hunt in these events; `also`: other hunts that are run before it."""
    hunts = sorted((query.hunt for query in select([name, *also])), key=lambda hunt: hunt.stage)
    findings, events = gather(case(*rows, window_s=window_s), hunts)
    counts = dict(events.group_by("finding_id").len().rows())
    rows_ = findings.filter(query=name).iter_rows(named=True)
    return [row | {"events": counts[row["finding_id"]]} for row in rows_]


def severities(name: str, *rows: Row, **more: Any) -> list[str]:
    return [row["severity"] for row in found(name, *rows, **more)]


def apart(name: str, *cases: Sequence[Row], also: tuple[str, ...] = ()) -> list[list[dict[str, Any]]]:
    """The findings of each case, as `found` has them: all at once, each case on hosts of its own."""
    rows = [row | {"host": f"H{n:03}.{row['host']}"} for n, own in enumerate(cases) for row in own]
    told = found(name, *rows, also=also)
    return [[row for row in told if row["host"].startswith(f"H{n:03}.")] for n in range(len(cases))]


def check(name: str, *cases: tuple[list[Row], str | None]) -> None:
    """Each case on a host of its own, all at once: the severity of its finding there; None: there is none."""
    rows = [row | {"host": f"H{n:03}"} for n, (own, _) in enumerate(cases) for row in own]
    told = [(row["host"], row["severity"]) for row in found(name, *rows)]
    wanted = [(f"H{n:03}", severity) for n, (_, severity) in enumerate(cases) if severity]
    assert sorted(told) == wanted
