"""What lineage reads: event types and columns, and what can't be told where they are absent.

A hunt on `case.processes`, `case.lineage` or `case.candidates` takes NEEDS, READS and HELPS into its own.
"""

from __future__ import annotations

from hunt.lineage import security
from hunt.lineage.security import SECURITY
from hunt.model import SYSMON, EventType, Help, Need

POWERSHELL = ("Microsoft-Windows-PowerShell/Operational", "PowerShellCore/Operational")
WMI_ACTIVITY = "Microsoft-Windows-WMI-Activity/Operational"

_START = (
    "ProcessGuid ProcessId Image CommandLine User LogonGuid LogonId TerminalSessionId IntegrityLevel Hashes "
    "OriginalFileName Description ParentProcessGuid ParentProcessId ParentImage ParentCommandLine ParentUser"
)
_OWN = "ProcessGuid ProcessId Image User"
_PAIR = (
    "SourceProcessGuid SourceProcessGUID SourceProcessId SourceImage SourceUser "
    "TargetProcessGuid TargetProcessGUID TargetProcessId TargetImage TargetUser"
)

# Sysmon's events that name the process they tell of by its ProcessGuid, besides 1, 5 and 7.
CARRIERS = (2, 3, 9, 11, 12, 13, 14, 15, 17, 18, 22, 23, 24, 25, 26, 27, 28, 29)


def _need(channel: str, event_id: int, columns: str) -> Need:
    return Need(channel, event_id, frozenset(columns.split()))


# Without these there is no lineage.
NEEDS: tuple[Need, ...] = (_need(SYSMON, 1, _START),)

# What is read where there is any.
READS: tuple[Need, ...] = (
    _need(SYSMON, 5, _OWN),
    _need(SYSMON, 7, f"{_OWN} ImageLoaded"),
    _need(SYSMON, 8, _PAIR),
    _need(SYSMON, 10, f"{_PAIR} SourceThreadId GrantedAccess CallTrace"),
    *(_need(SYSMON, event_id, _OWN) for event_id in CARRIERS),
    *security.NEEDS,
    *security.READS,
    _need(SECURITY, 4624, "TargetLogonId TargetUserName LogonType IpAddress WorkstationName"),
    *(_need(channel, 4103, "ContextInfo Payload System.ProcessID") for channel in POWERSHELL),
    *(_need(channel, 4104, "ScriptBlockText System.ProcessID") for channel in POWERSHELL),
    _need(WMI_ACTIVITY, 5858, "ClientProcessId ClientMachine Operation"),
)

HELPS: tuple[Help, ...] = (
    Help(
        SYSMON,
        5,
        "how long processes ran is not known: dead ones may be named as requesters",
        instead=EventType(SECURITY, 4689),
    ),
    Help(SYSMON, 7, "COM clients can't be told by what they load (brokered grade C)"),
    Help(SYSMON, 10, "brokered grade A cannot be reached"),
    Help(SECURITY, 4624, "remote requesters can't be told from local ones"),
    Help(POWERSHELL[0], 4104, "what PowerShell scripts asked for is not known (brokered grade B)"),
)
