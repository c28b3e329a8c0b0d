"""Which event types are mapped, and which fields each has."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from hunt.ecs import channels, sysmon
from hunt.ecs.fields import Field, FieldInfo, Fields
from hunt.ecs.sysmon_events import EVENTS
from hunt.model import SYSMON, EventType


def event_types(codes: Iterable[int] = ()) -> tuple[EventType, ...]:
    """All that are mapped, sorted.

    Of channels other than Sysmon's any event may be asked for by its code: with `codes`, these are there as well.
    """
    every = {
        *(EventType(SYSMON, event_id) for event_id in EVENTS),
        *channels.listed(),
        *(EventType(channel, code) for channel in channels.CHANNELS for code in codes),
    }
    return tuple(sorted(every))


def describe(kind: EventType, name: str) -> FieldInfo | None:
    """What a field of an event type is; None if the type has no such field. Names are exact."""
    found = field(kind, name)
    return None if found is None else found.info


def names(kind: EventType) -> tuple[str, ...]:
    """The fields of an event type, sorted; channels other than Sysmon's have any `winlog.event_data.*` besides."""
    return tuple(sorted(_fields(*kind.key)))


def field(kind: EventType, name: str) -> Field | None:
    """As `describe`, with the expression."""
    return _fields(*kind.key).get(name) or _generic(*kind.key, name)


@cache
def _fields(channel: str, event_id: int) -> Fields:
    if channel == SYSMON.lower():
        return sysmon.fields(event_id)
    return channels.fields(channel, event_id)


@cache
def _generic(channel: str, event_id: int, name: str) -> Field | None:
    return None if channel == SYSMON.lower() else channels.generic(channel, event_id, name)
