"""Which events a log source of Sigma's stands for, and what its fields are called there.

Sources: Sysmon's event ids (`sysmon -s`), Sigma's taxonomy (sigma-specification, appendix taxonomy) and the channels of
Windows' providers. A category that Sysmon logs is also read from the Security log where that tells the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from hunt import schema
from hunt.model import ANY_CHANNEL, SYSMON, Status
from hunt.rules.model import RuleError
from hunt.sigma.derived import CLASSIC_FIELDS
from hunt.sigma.document import Logsource
from hunt.sigma.tree import Leaf, Node, Text

SECURITY, SYSTEM = "Security", "System"
POWERSHELL = ("Microsoft-Windows-PowerShell/Operational", "PowerShellCore/Operational")
CLASSIC = "Windows PowerShell"
# A trace, seldom kept: then nothing else tells of files that are read or renamed.
_KERNEL_FILE = "Microsoft-Windows-Kernel-File/Analytic"
_MICROSOFT = "Microsoft-Windows-"
_DEFENDER = f"{_MICROSOFT}Windows Defender/Operational"
# Of Defender those that name a threat or a path (Microsoft: event IDs of Defender Antivirus).
_THREATS = (1006, 1007, 1008, 1009, 1010, 1011, 1012, 1017, 1018, 1019, 1115, 1116, 1117, 1118, 1119)


@dataclass(frozen=True, slots=True)
class Source:
    """Events of one channel. `fields`: Sigma's name -> a column, or a derived one (`derived`), whose name has a =."""

    channel: str
    event_ids: tuple[int, ...] = ()  # none: all of the channel
    fields: Mapping[str, str] = field(default_factory=dict)
    where: Node | None = None  # of these only, unless a rule itself asks for the field
    only: frozenset[str] | None = None  # all columns that such events can have, where that is known


def _words(text: str) -> frozenset[str]:
    return frozenset((*text.split(), *schema.CORE, *schema.SYSTEM, "RenderingInfo.Message"))


_SUBJECT = "SubjectUserSid SubjectUserName SubjectDomainName SubjectLogonId "
_OF_STARTED = _words(
    _SUBJECT + "NewProcessId NewProcessName TokenElevationType ProcessId CommandLine TargetUserSid TargetUserName "
    "TargetDomainName TargetLogonId ParentProcessName MandatoryLabel"
)
_OF_AUDITED = _words(
    _SUBJECT + "ObjectName ObjectValueName HandleId OperationType OldValueType OldValue NewValueType NewValue "
    "ProcessId ProcessName"
)
_OF_FILTERED = _words(
    "ProcessID ProcessId Application Direction SourceAddress SourcePort DestAddress DestPort Protocol FilterRTID "
    "LayerName LayerRTID RemoteUserID RemoteMachineID FilterOrigin OriginalProfile CurrentProfile InterfaceIndex"
)
_STARTED = {  # Security 4688
    "Image": "NewProcessName",
    "ParentImage": "ParentProcessName",
    "User": "=started.user",
    "IntegrityLevel": "=started.integrity",
    "ProcessId": "=started.pid",
    "ParentProcessId": "=started.ppid",
    "LogonId": "=started.logon",
}
_AUDITED = {  # Security 4657
    "TargetObject": "=value.target",
    "Details": "=value.details",
    "EventType": "=value.event",
    "Image": "ProcessName",
    "User": "=subject.user",
}
_FILTERED = {  # Security 5156
    "Image": "Application",
    "ProcessId": "ProcessID",
    "SourceIp": "SourceAddress",
    "DestinationIp": "DestAddress",
    "DestinationPort": "DestPort",
    "Initiated": "=filtered.initiated",
    "Protocol": "=filtered.protocol",
}
_DEFENDED = {"Signature": "Threat Name", "Filename": "Path"}  # Windows Defender
_CLASSIC = {name: f"=classic.{name}" for name in CLASSIC_FIELDS}


def _kind(*values: str) -> Node:
    return Leaf("EventType", Text("equals", values))


def _sysmon(*event_ids: int, where: Node | None = None, **fields: str) -> tuple[Source, ...]:
    return tuple(Source(SYSMON, (event_id,), fields, where) for event_id in event_ids)


_SET = Source(SECURITY, (4657,), _AUDITED, _kind("SetValue"), _OF_AUDITED)
_DELETED = Source(SECURITY, (4657,), _AUDITED, _kind("DeleteValue"), _OF_AUDITED)

CATEGORIES: Mapping[str, tuple[Source, ...]] = {
    "process_creation": (*_sysmon(1), Source(SECURITY, (4688,), _STARTED, only=_OF_STARTED)),
    "file_change": _sysmon(2),
    "network_connection": (*_sysmon(3), Source(SECURITY, (5156,), _FILTERED, only=_OF_FILTERED)),
    "sysmon_status": _sysmon(4, 16),
    "process_termination": (*_sysmon(5), Source(SECURITY, (4689,), {"Image": "ProcessName", "User": "=subject.user"})),
    "driver_load": _sysmon(6),
    "image_load": _sysmon(7),
    "create_remote_thread": _sysmon(8),
    "raw_access_thread": _sysmon(9),
    "raw_access_read": _sysmon(9),
    "process_access": _sysmon(10),
    "file_event": _sysmon(11),
    "file_creation": _sysmon(11),
    "registry_add": _sysmon(12, where=_kind("CreateKey", "AddKey")),
    "registry_delete": (*_sysmon(12, where=_kind("DeleteKey", "DeleteValue")), _DELETED),
    "registry_set": (*_sysmon(13), _SET),
    "registry_rename": _sysmon(14),
    "registry_event": (*_sysmon(12, 13, 14), Source(SECURITY, (4657,), _AUDITED, only=_OF_AUDITED)),
    "create_stream_hash": _sysmon(15, Hashes="Hash"),
    "pipe_created": _sysmon(17, 18),
    "wmi_event": _sysmon(19, 20, 21),
    "dns_query": _sysmon(22),
    "file_delete": _sysmon(23, 26),
    "clipboard_capture": _sysmon(24),
    "clipboard_change": _sysmon(24),
    "process_tampering": _sysmon(25),
    "file_delete_detected": _sysmon(26),
    "file_block_executable": _sysmon(27),
    "file_block_shredding": _sysmon(28),
    "file_executable_detected": _sysmon(29),
    "sysmon_error": _sysmon(255),
    "file_access": (Source(_KERNEL_FILE, (12, 30)),),
    "file_rename": (Source(_KERNEL_FILE, (19, 27)),),
    "ps_script": tuple(Source(channel, (4104,)) for channel in POWERSHELL),
    "ps_module": tuple(Source(channel, (4103,)) for channel in POWERSHELL),
    "ps_classic_start": (Source(CLASSIC, (400,), _CLASSIC),),
    "ps_classic_provider_start": (Source(CLASSIC, (600,), _CLASSIC),),
    "ps_classic_script": (Source(CLASSIC, (800,), _CLASSIC),),
    "antivirus": tuple(Source(_DEFENDER, (event_id,), _DEFENDED) for event_id in _THREATS),
}

# Channels by service. Where two names are given, the channel has had both, or rules mean both.
SERVICES: Mapping[str, tuple[str, ...]] = {
    "application": ("Application",),
    "application-experience": (
        f"{_MICROSOFT}Application-Experience/Program-Telemetry",
        f"{_MICROSOFT}Application-Experience/Program-Compatibility-Assistant",
    ),
    "applocker": tuple(
        f"{_MICROSOFT}AppLocker/{log}"
        for log in ("EXE and DLL", "MSI and Script", "Packaged app-Deployment", "Packaged app-Execution")
    ),
    "appmodel-runtime": (f"{_MICROSOFT}AppModel-Runtime/Admin",),
    "appxdeployment-server": (f"{_MICROSOFT}AppXDeploymentServer/Operational",),
    "appxpackaging-om": (f"{_MICROSOFT}AppxPackaging/Operational",),
    "audit-cve": ("Application",),
    "bitlocker": (f"{_MICROSOFT}BitLocker/BitLocker Management",),
    "bits-client": (f"{_MICROSOFT}Bits-Client/Operational",),
    "capi2": (f"{_MICROSOFT}CAPI2/Operational",),
    "certificateservicesclient-lifecycle-system": (
        f"{_MICROSOFT}CertificateServicesClient-Lifecycle-System/Operational",
    ),
    "codeintegrity-operational": (f"{_MICROSOFT}CodeIntegrity/Operational",),
    "dhcp": (f"{_MICROSOFT}DHCP-Server/Operational",),
    "diagnosis-scripted": (f"{_MICROSOFT}Diagnosis-Scripted/Operational",),
    "dns-client": (f"{_MICROSOFT}DNS-Client/Operational", f"{_MICROSOFT}DNS Client Events/Operational"),
    "dns-server": ("DNS Server",),
    "dns-server-analytic": (f"{_MICROSOFT}DNSServer/Analytical", f"{_MICROSOFT}DNS-Server/Analytical"),
    "dns-server-audit": (f"{_MICROSOFT}DNSServer/Audit", f"{_MICROSOFT}DNS-Server/Audit"),
    "driver-framework": (f"{_MICROSOFT}DriverFrameworks-UserMode/Operational",),
    "firewall-as": (f"{_MICROSOFT}Windows Firewall With Advanced Security/Firewall",),
    "hyper-v-worker": (f"{_MICROSOFT}Hyper-V-Worker-Admin", f"{_MICROSOFT}Hyper-V-Worker-Operational"),
    "iis-configuration": ("Microsoft-IIS-Configuration/Operational", "Microsoft-IIS-Configuration/Administrative"),
    "kernel-event-tracing": (
        f"{_MICROSOFT}Kernel-EventTracing/Admin",
        f"{_MICROSOFT}Kernel-EventTracing/Analytic",
    ),
    "kernel-shimengine": (
        f"{_MICROSOFT}Kernel-ShimEngine/Operational",
        f"{_MICROSOFT}Kernel-ShimEngine/Diagnostic",
    ),
    "ldap": (f"{_MICROSOFT}LDAP-Client/Debug",),
    "ldap_debug": (f"{_MICROSOFT}LDAP-Client/Debug",),
    "lsa-server": (f"{_MICROSOFT}LSA/Operational",),
    "microsoft-servicebus-client": (
        "Microsoft-ServiceBus-Client",
        "Microsoft-ServiceBus-Client/Admin",
        "Microsoft-ServiceBus-Client/Operational",
    ),
    "msexchange-management": ("MSExchange Management",),
    "ntfs": (f"{_MICROSOFT}Ntfs/Operational",),
    "ntlm": (f"{_MICROSOFT}NTLM/Operational",),
    "openssh": ("OpenSSH/Operational",),
    "powershell": POWERSHELL,
    "powershell-classic": (CLASSIC,),
    "printservice-admin": (f"{_MICROSOFT}PrintService/Admin",),
    "printservice-operational": (f"{_MICROSOFT}PrintService/Operational",),
    "security": (SECURITY,),
    "security-mitigations": (
        f"{_MICROSOFT}Security-Mitigations/KernelMode",
        f"{_MICROSOFT}Security-Mitigations/UserMode",
        f"{_MICROSOFT}Security-Mitigations/Kernel Mode",
        f"{_MICROSOFT}Security-Mitigations/User Mode",
    ),
    "sense": (f"{_MICROSOFT}SENSE/Operational",),
    "servicebus-client": ("Microsoft-ServiceBus-Client", "Microsoft-ServiceBus-Client/Admin"),
    "shell-core": (f"{_MICROSOFT}Shell-Core/Operational",),
    "smbclient-connectivity": (f"{_MICROSOFT}SmbClient/Connectivity",),
    "smbclient-security": (f"{_MICROSOFT}SmbClient/Security",),
    "smbserver-connectivity": (f"{_MICROSOFT}SMBServer/Connectivity",),
    "sysmon": (SYSMON,),
    "system": (SYSTEM,),
    "taskscheduler": (f"{_MICROSOFT}TaskScheduler/Operational",),
    "terminalservices-localsessionmanager": (f"{_MICROSOFT}TerminalServices-LocalSessionManager/Operational",),
    "terminalservices-remoteconnectionmanager": (f"{_MICROSOFT}TerminalServices-RemoteConnectionManager/Operational",),
    "vhdmp": (f"{_MICROSOFT}VHDMP-Operational", f"{_MICROSOFT}VHDMP/Operational"),
    "windefend": (_DEFENDER,),
    "winrm": (f"{_MICROSOFT}WinRM/Operational",),
    "wmi": (f"{_MICROSOFT}WMI-Activity/Operational",),
}

# What every event says of itself, by the names that rules have for it, in lower case: columns of ours.
_SYSTEM = {
    "provider_name": "provider",
    "providername": "provider",
    "computer": "host",
    "computername": "host",
    "hostname": "host",
    "eventrecordid": "record_id",
    "recordid": "record_id",
    "execution_processid": "System.ProcessID",
    "execution_threadid": "System.ThreadID",
    "security_userid": "System.UserID",
    "timecreated": "logged",
    "systemtime": "logged",
}
# The same, but only where the event has no such field of its own.
_ELSE_SYSTEM = {
    "provider": "provider",
    "source": "provider",
    "sourcename": "provider",
    "level": "System.Level",
    "task": "System.Task",
    "opcode": "System.Opcode",
    "keywords": "System.Keywords",
    "version": "System.Version",
    "userid": "System.UserID",
    "processid": "System.ProcessID",
    "message": "RenderingInfo.Message",
}
# Unnamed data, a field of that name, or what an export has left of either.
_DATA = f"{schema.DATA}|{schema.column_name(schema.DATA)}|RenderingInfo.Message"
_HASHES = {name: f"=hash.{name}" for name in ("md5", "sha1", "sha256", "imphash")}
# Sysmon has had both spellings.
_SPELT = {
    "sourceprocessguid": "SourceProcessGuid|SourceProcessGUID",
    "targetprocessguid": "TargetProcessGuid|TargetProcessGUID",
}
EVENT_ID, CHANNEL = "event_id", "channel"
# Whose fields have names of several words (Threat Name), which rules write as one.
_SPACED = frozenset(channel.lower() for channel in SERVICES["windefend"])


def sources(asked: Logsource) -> tuple[Source, ...]:
    """The events that a log source stands for. Raises RuleError (UNSUPPORTED) for those that no Windows log has."""
    if asked.product not in (None, "windows"):
        raise RuleError(Status.UNSUPPORTED, f"its log source is no Windows event log ({asked})")
    channels = SERVICES.get(asked.service) if asked.service else None
    if asked.service and channels is None:
        raise RuleError(Status.UNSUPPORTED, f"no channel is known for the service {asked.service}")
    if not asked.category:
        return tuple(Source(channel) for channel in channels or (ANY_CHANNEL,))
    of_category = CATEGORIES.get(asked.category)
    if of_category is None:
        raise RuleError(Status.UNSUPPORTED, f"no event is known for the category {asked.category}")
    found = tuple(source for source in of_category if channels is None or source.channel in channels)
    if not found:
        raise RuleError(Status.UNSUPPORTED, f"no event is known for {asked}")
    return found


def column(name: str, source: Source) -> str:
    """Where a field stands: a column, several of which the first with a value counts (A|B), or a derived one (=...)."""
    own = schema.column_name(name)
    lower = name.lower()
    if name in source.fields:
        return source.fields[name]
    if lower == "eventid":
        return EVENT_ID
    if lower == "channel":
        return CHANNEL
    if lower == "data":
        return _DATA
    if source.channel.lower() in _SPACED and (spaced := re.sub(r"(?<=[a-z])(?=[A-Z])", " ", own)) != own:
        return f"{own}|{spaced}"
    if lower in _SYSTEM:
        return _SYSTEM[lower]
    if lower in _HASHES and source.channel.lower() in (SYSMON.lower(), ANY_CHANNEL):
        return _HASHES[lower]
    if lower in _SPELT:
        return _SPELT[lower]
    if lower in _ELSE_SYSTEM:
        return f"{own}|{_ELSE_SYSTEM[lower]}"
    return own.replace("=", "").replace("|", "") if own.startswith("=") else own
