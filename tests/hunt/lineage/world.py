"""Events about COM and its neighbours, in few words, for the tests of lineage."""

from __future__ import annotations

from typing import Any

from tests.helpers import OUTLOOK, POWERSHELL, Row, event, guid, moment, start

SYSTEM = "C:\\Windows\\System32\\"
SVCHOST = f"{SYSTEM}svchost.exe"
DCOM_LAUNCH = f"{SVCHOST} -k DcomLaunch -p"
DCOM = guid(900, -3600)
LOGON, OTHER_LOGON = "{B2796A13-0000-69A5-0000-00000000AAAA}", "{B2796A13-0000-69A5-0000-00000000BBBB}"
RPCSS = f"{SYSTEM}ntdll.dll+9d|{SYSTEM}KERNELBASE.dll+2c|{SYSTEM}rpcss.dll+47d62|{SYSTEM}RPCRT4.dll+76a63"
ASKED = f"{SYSTEM}ntdll.dll+9d|{SYSTEM}KERNELBASE.dll+2c13e|{SYSTEM}services.exe+363ab|{SYSTEM}RPCRT4.dll+796e3"
POWERSHELL_LOG = "Microsoft-Windows-PowerShell/Operational"

_USER = {"LogonGuid": LOGON, "LogonId": "0x53ca2", "TerminalSessionId": "1", "IntegrityLevel": "Medium"}


def run(image: str = POWERSHELL, at: float = 0, **columns: Any) -> Row:
    """A process that the user started."""
    return start(image, at, **(_USER | columns))


def brokered(image: str = OUTLOOK, at: float = 2, line: str = "OUTLOOK.EXE -Embedding", **columns: Any) -> Row:
    """A process that COM's service started for somebody."""
    own = {
        "CommandLine": line,
        "ParentProcessGuid": DCOM,
        "ParentProcessId": "936",
        "ParentImage": SVCHOST,
        "ParentCommandLine": DCOM_LAUNCH,
    }
    return run(image, at, **(own | columns))


def by(broker: str, line: str, image: str = f"{SYSTEM}cmd.exe", at: float = 2, **columns: Any) -> Row:
    """A process that another broker started."""
    own = {"ParentProcessGuid": guid(901, -3600), "ParentProcessId": "1500", "ParentImage": broker}
    return run(image, at, **(own | {"ParentCommandLine": line} | columns))


def over(process: Row, at: float, **columns: Any) -> Row:
    """Its end."""
    told = {"ProcessGuid": process["ProcessGuid"], "ProcessId": process["ProcessId"], "Image": process["Image"]}
    return event(5, at, **({"UtcTime": moment(at), "host": process["host"]} | told | columns))


def opens(target: Row, at: float, access: str = "0x1000", thread: int = 7, source: str = DCOM, **columns: Any) -> Row:
    """A broker opens a process (Sysmon 10)."""
    told = {
        "UtcTime": moment(at),
        "SourceProcessGUID": source,
        "SourceProcessId": "936",
        "SourceThreadId": str(thread),
        "SourceImage": SVCHOST,
        "TargetProcessGUID": target["ProcessGuid"],
        "TargetProcessId": target["ProcessId"],
        "TargetImage": target["Image"],
        "GrantedAccess": access,
        "CallTrace": RPCSS,
        "host": target["host"],
    }
    return event(10, at, **(told | columns))


def pair(requester: Row, child: Row, at: float, apart: float = 0.01, thread: int = 7) -> list[Row]:
    """RPCSS opens the requester, and in the same thread what it starts for it."""
    return [opens(requester, at - apart, thread=thread), opens(child, at, "0x1fffff", thread)]


def loads(process: Row, at: float, dll: str = "clbcatq.dll") -> Row:
    """A process loads a DLL (Sysmon 7)."""
    told = {"ProcessGuid": process["ProcessGuid"], "ProcessId": process["ProcessId"], "Image": process["Image"]}
    return event(7, at, UtcTime=moment(at), ImageLoaded=f"{SYSTEM}{dll}", host=process["host"], **told)


def script(process: Row, at: float, text: str) -> Row:
    """A script block of a process (PowerShell 4104)."""
    pid = {"System.ProcessID": process["ProcessId"]}
    return event(4104, at, channel=POWERSHELL_LOG, ScriptBlockText=text, host=process["host"], **pid)


def logon(kind: int, at: float = -60, address: str = "-", luid: str = "0x53ca2") -> Row:
    """A logon (Security 4624)."""
    own = {"TargetLogonId": luid, "LogonType": str(kind), "IpAddress": address}
    return event(4624, at, channel="Security", provider="Microsoft-Windows-Security-Auditing", **own)
