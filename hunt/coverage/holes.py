"""When what a query needs was logged on a host, and what makes the query partly blind there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hunt.coverage.able import Needs, Way
from hunt.coverage.configured import is_configured
from hunt.coverage.facts import Fact, counted, key
from hunt.coverage.logs import LISTED, Census
from hunt.model import ANY_ID, SYSMON, Need

# Event types that tell of starts: a query that needs one of them does not see a process that runs already.
_STARTS = frozenset({(key(SYSMON), 1), ("security", 4688)})

_HOLES = {
    "gap": "gap",
    "silence": "silence",
    "restart": "new beginning",
    "cleared": "clearing",
    "damage": "damaged part",
    "sysmon_stopped": "Sysmon stop",
    "sysmon_error": "Sysmon error",
    "clock_step": "clock step",
    "time_backwards": "clock setback",
    "audit_throttled": "throttled day",
}


class Holes:
    """What facts tell of holes in the evidence, by host."""

    def __init__(self, told: Sequence[Fact], census: Census) -> None:
        self._own: dict[str, list[tuple[str, str]]] = {}  # by host: channels, by their keys, and kinds
        for fact in told:
            stopped = fact.kind == "sysmon_state" and "stopped" in fact.detail
            kind = "sysmon_stopped" if stopped else fact.kind
            # A damaged log may hold several hosts and channels: any of them may have been in what is lost.
            logs = census.logs_of(fact.source) if kind == "damage" else ((key(fact.host), key(fact.channel)),)
            for host, channel in logs:
                self._own.setdefault(host, []).append((channel, kind))

    def notes(self, way: Way, host: str, timed: bool) -> list[str]:
        """What makes a query partly blind where it could have fired; `timed`: it is known when it could."""
        own = self._own.get(key(host), [])
        channels = {key(need.channel) for need in way.used}
        notes = [] if timed else ["but it is not known when, or what it needs was never logged at the same time"]
        counts = Counter(kind for channel, kind in own if channel in channels)
        for kind, name in _HOLES.items():
            if number := counts[kind]:
                told = counted(number, name) if number <= LISTED else f"more than {LISTED} {name}s"
                notes.append(f"{told} in its logs")
        alive = sum(kind == "outlook_alive" for _, kind in own)
        if alive and any(need.event_type.key in _STARTS for need in way.used):
            notes.append(f"blind where Outlook ran already ({counted(alive, 'interval')} known)")
        return notes


def span(way: Way, host: str, census: Census) -> tuple[int | None, int | None]:
    """When all that a query needs was logged; (None, None) if never at the same time, or at times unknown."""
    spans = [_span((need,), host, census) for need in way.all_of] + [_span(met, host, census) for met in way.met]
    starts, ends = [s for s, _ in spans if s is not None], [e for _, e in spans if e is not None]
    if not starts or not ends or max(starts) > min(ends):
        return None, None
    return max(starts), min(ends)


def _span(needs: Needs, host: str, census: Census) -> tuple[int | None, int | None]:
    """From the first to the last event of any of these types; of their logs, where those would have had them."""
    spans = [_of(need, host, census) for need in needs]
    starts, ends = [s for s, _ in spans if s is not None], [e for _, e in spans if e is not None]
    return (min(starts) if starts else None), (max(ends) if ends else None)


def _of(need: Need, host: str, census: Census) -> tuple[int | None, int | None]:
    log = census.channels.get((key(host), key(need.channel)))
    if log is not None and (need.event_id == ANY_ID or not is_configured(need.event_type)):
        return log.start, log.end
    return census.span(host, need.channel, need.event_id) or (None, None)
