"""Channels besides Sysmon's: Security, PowerShell's, System and others that Elastic's agents collect.

Any field of any of their events is there under its own name (`winlog.event_data.*`, `winlog.user_data.*`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from hunt import schema
from hunt.ecs import audit_lists, powershell, security, security_events
from hunt.ecs.common import common
from hunt.ecs.event_data import PREFIX, of_column
from hunt.ecs.fields import Field, FieldInfo, Fields, constant, made
from hunt.ecs.security import outcome
from hunt.ecs.sysmon_events import Event
from hunt.ecs.values import present
from hunt.model import EventType

_USER_DATA = "winlog.user_data."
_PARAMETER = re.compile(r"param([1-9][0-9]{0,2})")
_NONE = Event((), (), ())


def _nothing(event_id: int) -> Fields:
    return {}


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel, what Elastic calls its data, and what is known of its events."""

    name: str
    dataset: str = ""  # "": what collects it has no name for it
    events: Mapping[int, Event] | tuple[int, ...] = ()
    fields: Callable[[int], Fields] = _nothing

    @property
    def module(self) -> str:
        return self.dataset.partition(".")[0]


_SYSTEM = (104, 1001, 1074, 6005, 6006, 6008, 7000, 7009, 7023, 7024, 7030, 7031, 7034, 7035, 7036, 7040, 7045, 10016)
_APPLOCKER = "Microsoft-Windows-AppLocker/"
_ALL = (
    Channel("Security", "system.security", security_events.EVENTS, security.fields),
    Channel("System", "system.system", _SYSTEM),
    Channel("Application", "system.application"),
    Channel("Windows PowerShell", "windows.powershell", powershell.CLASSIC, powershell.classic),
    *(
        Channel(name, "windows.powershell_operational", powershell.OPERATIONAL, powershell.operational)
        for name in ("Microsoft-Windows-PowerShell/Operational", "PowerShellCore/Operational")
    ),
    Channel("Microsoft-Windows-Windows Defender/Operational", "windows.windows_defender"),
    Channel(f"{_APPLOCKER}EXE and DLL", "windows.applocker_exe_and_dll"),
    Channel(f"{_APPLOCKER}MSI and Script", "windows.applocker_msi_and_script"),
    Channel(f"{_APPLOCKER}Packaged app-Deployment", "windows.applocker_packaged_app_deployment"),
    Channel(f"{_APPLOCKER}Packaged app-Execution", "windows.applocker_packaged_app_execution"),
    Channel("Microsoft-Windows-TaskScheduler/Operational"),
    Channel("Microsoft-Windows-WMI-Activity/Operational"),
    Channel("Microsoft-Windows-TerminalServices-LocalSessionManager/Operational"),
    Channel("Microsoft-Windows-TerminalServices-RemoteConnectionManager/Operational"),
    Channel("Microsoft-Windows-Bits-Client/Operational"),
    Channel("Microsoft-Windows-Windows Firewall With Advanced Security/Firewall"),
)
CHANNELS: tuple[str, ...] = tuple(one.name for one in _ALL)
_BY_KEY = {one.name.lower(): one for one in _ALL}


def listed() -> Iterator[EventType]:
    """Event types of which more is known than their own fields' names, or that rules often ask for."""
    for one in _ALL:
        yield from (EventType(one.name, event_id) for event_id in one.events)


def fields(channel: str, event_id: int) -> Fields:
    """By ECS name, of an event of a channel in lower case; empty for another channel."""
    one = _BY_KEY.get(channel)
    if one is None:
        return {}
    found = dict(common(EventType(one.name, event_id), one.module, one.dataset))
    found["event.outcome"] = made(lambda column: outcome(None, column), "System.Keywords")
    event = one.events.get(event_id, _NONE) if isinstance(one.events, Mapping) else _NONE
    for name, values in (("category", event.category), ("type", event.type), ("action", event.action)):
        if values:
            found[f"event.{name}"] = constant(*values, many=True)
    found.update(one.fields(event_id))
    if one.name == "Security":
        found.update(audit_lists.fields(event_id))
    return found


def generic(channel: str, event_id: int, name: str) -> Field | None:
    """A field of an event under its own name; None for other names, and for what Elastic's pipelines make up."""
    one = _BY_KEY.get(channel)
    if one is None or name in audit_lists.NOT_OWN:
        return None
    kind = EventType(one.name, event_id)
    for prefix in (PREFIX, _USER_DATA):
        if name.startswith(prefix) and len(name) > len(prefix):
            own = name.removeprefix(prefix)
            return _parameter(kind, own) or of_column(kind, own)
    return None


def _parameter(kind: EventType, field: str) -> Field | None:
    """param1 ...: as agents call unnamed Data, unless the event itself has a field of that name."""
    match = _PARAMETER.fullmatch(field)
    if match is None:
        return None
    at = int(match[1]) - 1

    def make() -> pl.Expr:
        unnamed = present(pl.col(schema.DATA).list.get(at, null_on_oob=True))
        return pl.coalesce(present(pl.col(field)), unnamed)

    return Field(FieldInfo("text", columns=frozenset({field, schema.DATA})), make)
