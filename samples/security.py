"""Windows' own audit of logons and processes (Security 4624, 4688, 4689), with its field names, orders and types."""

from __future__ import annotations

import zlib

from samples.event import Event, Field
from samples.sysmon import HOST
from samples.values import Moment, Value, guid, hex32, hex64, sid, size_t, to_filetime, u32

PROVIDER = "Microsoft-Windows-Security-Auditing"
PROVIDER_GUID = "{54849625-5478-4994-A5BA-3E3B0328C30D}"
_DOMAIN = "S-1-5-21-1004336348-1177238915-682003330"
_NOBODY = "S-1-0-0"
_LABELS = {"Low": 4096, "Medium": 8192, "High": 12288, "System": 16384}
_TASKS = {4624: 12544, 4688: 13312, 4689: 13313}
_VERSIONS = {4624: 2, 4688: 2, 4689: 0}


def security_process(
    *,
    NewProcessName: str,  # noqa: N803 - Windows' own spelling, as that of all fields
    time: Moment,
    host: str = HOST,
    record_id: int | None = None,
    parent: Event | None = None,
    user: str = r"CONTOSO\alice",
    run_as: str | None = None,
    logon_id: int = 0x4B1F7,
    run_as_logon_id: int = 0,
    pid: int | None = None,
    CommandLine: str = "",  # noqa: N803
    ParentProcessName: str | None = None,  # noqa: N803
    integrity: str = "Medium",
) -> Event:
    """A process start (4688, version 2). `parent`: its creator, a process of this function, else an explorer.exe.

    `user`, `logon_id`: who created it; `run_as`, `run_as_logon_id`: whom it runs as, where that is somebody else.
    Command lines are empty unless a policy turns them on. `ParentProcessName` "" stands for versions that lack it.
    """
    ticks = to_filetime(time)
    own = 4000 + 4 * (zlib.crc32(f"{NewProcessName}{ticks}".encode()) % 3000) if pid is None else pid
    creator = parent.field("NewProcessName") if parent else r"C:\Windows\explorer.exe"
    data: list[Field] = [
        *_account("Subject", user, logon_id),
        ("NewProcessId", size_t(own)),
        ("NewProcessName", NewProcessName),
        ("TokenElevationType", "%%1936"),
        ("ProcessId", size_t(int(parent.field("NewProcessId"), 16) if parent else 3120)),
        ("CommandLine", CommandLine),
        *_account("Target", run_as, run_as_logon_id),
        ("ParentProcessName", creator if ParentProcessName is None else ParentProcessName),
        ("MandatoryLabel", sid(f"S-1-16-{_LABELS[integrity]}")),
    ]
    return _event(4688, ticks, host, record_id, data)


def security_exit(process: Event, *, time: Moment, record_id: int | None = None) -> Event:
    """The end (4689) of a process of `security_process`."""
    subject = [(name, value) for name, value in process.data or () if name.startswith("Subject")]
    pid = size_t(int(process.field("NewProcessId"), 16))
    data: list[Field] = [
        *subject,
        ("Status", hex32(0)),
        ("ProcessId", pid),
        ("ProcessName", process.field("NewProcessName")),
    ]
    return _event(4689, to_filetime(time), process.computer, record_id, data)


def logon(
    *,
    kind: int,
    time: Moment,
    host: str = HOST,
    record_id: int | None = None,
    user: str = r"CONTOSO\alice",
    logon_id: int = 0x4B1F7,
    address: str = "-",
    workstation: str = "-",
) -> Event:
    """A logon (4624) of a type: 2 interactive, 3 network, 4 batch, 5 service, 10 remote interactive."""
    data: list[Field] = [
        *_account("Subject", None, 0),
        *_account("Target", user, logon_id),
        ("LogonType", u32(kind)),
        ("LogonProcessName", "Kerberos"),
        ("AuthenticationPackageName", "Kerberos"),
        ("WorkstationName", workstation),
        ("LogonGuid", guid("{00000000-0000-0000-0000-000000000000}")),
        ("TransmittedServices", "-"),
        ("LmPackageName", "-"),
        ("KeyLength", u32(0)),
        ("ProcessId", size_t(0)),
        ("ProcessName", "-"),
        ("IpAddress", address),
        ("IpPort", "49741" if address != "-" else "-"),
        ("ImpersonationLevel", "%%1833"),
        ("RestrictedAdminMode", "-"),
        ("TargetOutboundUserName", "-"),
        ("TargetOutboundDomainName", "-"),
        ("VirtualAccount", "%%1843"),
        ("TargetLinkedLogonId", hex64(0)),
        ("ElevatedToken", "%%1843"),
    ]
    return _event(4624, to_filetime(time), host, record_id, data)


def _account(side: str, user: str | None, logon_id: int) -> list[Field]:
    domain, _, name = (user or "-\\-").partition("\\")
    return [
        (f"{side}UserSid", _sid(user)),
        (f"{side}UserName", name),
        (f"{side}DomainName", domain),
        (f"{side}LogonId", hex64(logon_id)),
    ]


def _sid(user: str | None) -> Value:
    if user is None:
        return sid(_NOBODY)
    if user.upper().endswith("SYSTEM"):
        return sid("S-1-5-18")
    return sid(f"{_DOMAIN}-{1100 + zlib.crc32(user.lower().encode()) % 800}")


def _event(event_id: int, ticks: int, host: str, record_id: int | None, data: list[Field]) -> Event:
    return Event(
        provider=PROVIDER,
        provider_guid=PROVIDER_GUID,
        event_id=event_id,
        channel="Security",
        computer=host,
        time=ticks,
        record_id=record_id,
        version=_VERSIONS[event_id],
        level=0,
        task=_TASKS[event_id],
        keywords=0x8020000000000000,
        process_id=4,
        thread_id=292,
        data=data,
    )
