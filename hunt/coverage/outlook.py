"""When Outlook was running: a script that drives it then starts nothing, which hunts on starts do not see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from hunt.coverage.facts import Fact, key
from hunt.coverage.logs import Census
from hunt.coverage.seen import NEW_OUTLOOK, OUTLOOK, SECURITY, Seen
from hunt.model import SYSMON

_SECOND = 1_000_000_000
_SAME_S = 5  # two logs tell of the same start, some seconds apart at most


@dataclass(slots=True)
class _Life:
    host: str
    channel: str
    pid: int | None
    start: int | None = None
    end: int | None = None
    session: str | None = None
    image: str = ""
    source: str = ""


def facts(seen: Seen, census: Census) -> Iterator[Fact]:
    """Facts of the kinds outlook_alive and new_outlook_only."""
    lives = list(_by_guid(seen))
    known: dict[tuple[str, int | None], list[_Life]] = {}
    for life in lives:
        known.setdefault((key(life.host), life.pid), []).append(life)
    lives += [
        life
        for life in _by_pid(seen)
        if not any(_same(life, other) for other in known.get((key(life.host), life.pid), ()))
    ]
    for life in lives:
        yield Fact(
            "outlook_alive", life.host, life.channel, start=life.start, end=life.end,
            detail=_said(life, census), source=life.source,
        )  # fmt: skip
    yield from _new_only(seen)


def _rows(seen: Seen, channel: str, event_id: int, image: str) -> list[dict[str, Any]]:
    met = seen.events(channel, event_id)
    if not met.height:  # as in most logs
        return []
    met = met.filter(pl.col("image") == image)
    return list(met.with_columns(pl.col("time").cast(pl.Int64)).sort("time", "record_id").iter_rows(named=True))


def _by_guid(seen: Seen) -> Iterator[_Life]:
    """Sysmon's: a start and an end of the same ProcessGuid."""
    lives: dict[tuple[str, str], _Life] = {}
    for event_id in (1, 5):
        for number, row in enumerate(_rows(seen, SYSMON, event_id, OUTLOOK)):
            name = row["ProcessGuid"] or f"{event_id}, {number}"  # without a GUID it can't be told whose end it is
            life = lives.setdefault((key(row["host"]), name), _life(row, row["ProcessId"]))
            if event_id == 1 and life.start is None:
                life.start, life.session = row["time"], row["TerminalSessionId"]
            elif event_id == 5 and life.end is None:
                life.end = row["time"]
    yield from lives.values()


def _by_pid(seen: Seen) -> Iterator[_Life]:
    """Security's: the next end of the same process id after a start."""
    starts = [(row["time"], 0, row) for row in _rows(seen, SECURITY, 4688, OUTLOOK)]
    ends = [(row["time"], 1, row) for row in _rows(seen, SECURITY, 4689, OUTLOOK)]
    running: dict[tuple[str, str], _Life] = {}
    for time, is_end, row in sorted(starts + ends, key=lambda told: (told[0] or 0, told[1])):
        pid = row["ProcessId" if is_end else "NewProcessId"]
        name = key(row["host"]), str(pid)
        if is_end:
            life = running.pop(name, None) or _life(row, pid)
            life.end = time
            yield life
        else:
            if name in running:  # its end was not logged
                yield running.pop(name)
            running[name] = _life(row, pid)
            running[name].start = time
    yield from running.values()


def _life(row: Mapping[str, Any], pid: str | None) -> _Life:
    image = str(row.get("Image") or row.get("NewProcessName") or row.get("ProcessName") or "")
    number = int(pid) if pid and pid.isdecimal() else None
    return _Life(row["host"] or "", row["channel"] or "", number, image=image, source=row["source"])


def _same(one: _Life, other: _Life) -> bool:
    """Whether both, of one host and process id, are the same process."""
    pairs = ((one.start, other.start), (one.end, other.end))
    known = [abs(a - b) for a, b in pairs if a is not None and b is not None]
    return bool(known) and min(known) <= _SAME_S * _SECOND


def _said(life: _Life, census: Census) -> str:
    session = f"session {life.session}" if life.session else "session unknown"
    said = [session, f"pid {life.pid}" if life.pid is not None else "pid unknown", life.image]
    if life.start is None:
        said.append("its start was not logged: alive already when the log begins, or since an unlogged start")
    if life.end is None:
        ends = 5 if key(life.channel) == key(SYSMON) else 4689
        logged = census.span(life.host, life.channel, ends) is not None
        why = "no end in the evidence" if logged else f"ends are not logged (no event {ends})"
        said.append(f"open-ended: {why}, so it may be alive at the log's end")
    return "; ".join(said)


def _new_only(seen: Seen) -> Iterator[Fact]:
    kinds = ((SYSMON, 1), (SYSMON, 5), (SECURITY, 4688), (SECURITY, 4689))
    old = {key(row["host"]) for kind in kinds for row in _rows(seen, *kind, OUTLOOK)}
    new: dict[str, list[dict[str, Any]]] = {}
    for kind in kinds:
        for row in _rows(seen, *kind, NEW_OUTLOOK):
            new.setdefault(key(row["host"]), []).append(row)
    for host, rows in new.items():
        if host not in old:
            times = [row["time"] for row in rows if row["time"] is not None]
            yield Fact(
                "new_outlook_only", rows[0]["host"] or "", rows[0]["channel"] or "",
                start=min(times, default=None), end=max(times, default=None), count=len(rows),
                detail="only olk.exe, the new Outlook, which cannot be driven through COM; no OUTLOOK.EXE was seen",
            )  # fmt: skip
