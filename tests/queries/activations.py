"""Outlook through COM, in events: the service that starts it, who asks for it, and what Sysmon tells of that."""

from __future__ import annotations

from typing import Any

from hunt.hunting import gather
from hunt.model import Hunt
from hunt.registry import queries
from tests.helpers import OUTLOOK, Row, case, event, guid, moment, start

SVCHOST = r"C:\Windows\System32\svchost.exe"
SERVICE = start(
    SVCHOST,
    -3000,
    ProcessGuid=guid(7, -3000),
    ProcessId="912",
    CommandLine=f"{SVCHOST} -k DcomLaunch -p",
    User=r"NT AUTHORITY\SYSTEM",
    LogonId="0x3e7",
    TerminalSessionId="0",
)
_RPCSS = r"C:\Windows\SYSTEM32\ntdll.dll+9d4c4|c:\windows\system32\rpcss.dll+1a3f5"


def activated(at: float, *, host: str = "WS01", **columns: Any) -> Row:
    """Outlook, started by COM."""
    line = {"CommandLine": f'"{OUTLOOK}" -Embedding', "TerminalSessionId": "1"}
    return start(OUTLOOK, at, parent=SERVICE, host=host, **(line | columns))


def program(image: str, at: float = 0, **columns: Any) -> Row:
    """A process of the session in which Outlook is started."""
    return start(image, at, **({"TerminalSessionId": "1"} | columns))


def proven(client: Row, outlook: Row, at: float, thread: str = "1412") -> list[Row]:
    """What RPCSS leaves in Sysmon 10 when it starts Outlook for a client: grade A."""
    opened = ((client, "0x1000", 0.02), (outlook, "0x1fffff", 0.004))
    return [
        event(
            10,
            at - early,
            host=of["host"],
            UtcTime=moment(round(at - early, 3)),
            SourceProcessGUID=SERVICE["ProcessGuid"],
            TargetProcessGUID=of["ProcessGuid"],
            SourceThreadId=thread,
            GrantedAccess=access,
            CallTrace=_RPCSS,
        )
        for of, access, early in opened
    ]


def client(of: Row, at: float) -> Row:
    """Sysmon 7: it loads the COM catalogue: grade C."""
    dll = r"C:\Windows\System32\clbcatq.dll"
    return event(7, at, host=of["host"], ProcessGuid=of["ProcessGuid"], Image=of["Image"], ImageLoaded=dll)


def ended(of: Row, at: float) -> Row:
    return event(5, at, host=of["host"], UtcTime=moment(at), ProcessGuid=of["ProcessGuid"], Image=of["Image"])


def unsigned(of: Row, at: float) -> Row:
    """Sysmon 7: its own image, without a signature."""
    own = {"ProcessGuid": of["ProcessGuid"], "Image": of["Image"], "ImageLoaded": of["Image"]}
    return event(7, at, host=of["host"], **own, Signed="false", Signature="-", SignatureStatus="Unavailable")


def made(of: Row, at: float) -> Row:
    """Sysmon 11: its file."""
    return event(11, at, host=of["host"], UtcTime=moment(at), TargetFilename=of["Image"])


def hunt(name: str) -> Hunt:
    (found,) = (query.hunt for query in queries() if query.hunt.id == name)
    return found


def found(name: str, *rows: Row, window_s: float | None = None) -> list[dict[str, Any]]:
    """The findings of a hunt in these events, COM's service among them."""
    return list(gather(case(SERVICE, *rows, window_s=window_s), [hunt(name)])[0].iter_rows(named=True))
