"""Event types in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hunt.model import ANY_CHANNEL, ANY_ID, EventType, Help, Hunt, Need


def event(kind: Need | Help | EventType) -> str:
    return f"event {kind.event_id} of {_channel(kind.channel)}" if kind.event_id != ANY_ID else _any(kind.channel)


def _channel(name: str) -> str:
    return "any channel" if name == ANY_CHANNEL else name


def _any(channel: str) -> str:
    return f"event of {_channel(channel)}"


def named(needs: Iterable[Need]) -> str:
    return ", ".join(map(event, needs))


def one_of(needs: Iterable[Need]) -> str:
    """`event 12, 13 or 14 of Microsoft-Windows-Sysmon/Operational or event 4657 of Security`."""
    ids: dict[str, set[int]] = {}
    for need in needs:
        ids.setdefault(need.channel, set()).add(need.event_id)
    told = (
        _any(c) if ANY_ID in n else f"event {_either([*map(str, sorted(n))])} of {_channel(c)}" for c, n in ids.items()
    )
    return " or ".join(told)


def _either(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def in_its_place(hunt: Hunt) -> str:
    same = {need.event_type.key for need in hunt.needs} == {need.event_type.key for need in hunt.instead}
    fields = sorted({field for need in hunt.instead for field in need.keys})
    return f"{', '.join(fields) if same else named(hunt.instead)} in its place, with lower confidence"
