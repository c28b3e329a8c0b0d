"""Scenarios: YAML that says what happened on which host, as the logs that would tell of it.

A file holds `title`, `shows` and `logs`. A log holds `file`, `shows`, optionally `exported`, `defaults` (for every
event of it), `first_record`, and `events`, each of one of these forms:

    process: NAME     a Sysmon process start; `parent: NAME`, `time`, and Sysmon's fields by name
    sysmon: 3         another Sysmon event; `of: NAME` (EID 10: also `target: NAME`) fills in that process's fields
    started: NAME     a process start in the Security log (4688); `parent: NAME`, `time`, see `security_process`
    ended: NAME       its end (4689); `time`
    cmdlet: NAME      an Exchange cmdlet (MSExchange Management); `label`, see `exchange.cmdlet`
    logon: 3          a logon of that type (4624); see `security.logon`
    event_id: 4624    any event: the arguments of `Event`; `data` and `user_data` by field name; `label: NAME`
    copy_of: FILE     all events of another log of the scenario, or its `records: [first, last]`

`repeat: 40` and `every: 1.5` (seconds) turn one process start into many. Values of other types than string are tagged:
!u32 5, !hex64 0x3e7, !sid S-1-5-18; see `_TAGS`.

`must_find` and `must_not_find` name processes or labels; a finding is of `query` and `grade`, unless told the direct
one of the flagship. `records` and `problems` count what a reader of a damaged log owes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from samples import exchange, security, values
from samples.event import Event, UserData
from samples.evtx_writer import log_bytes, numbered
from samples.safe_yaml import LOADER
from samples.sysmon import field_names, sysmon_event, sysmon_process
from samples.values import Value, to_filetime

_TAGS: dict[str, Callable[[str], Value]] = {
    "i8": lambda text: values.i8(int(text, 0)),
    "u8": lambda text: values.u8(int(text, 0)),
    "i16": lambda text: values.i16(int(text, 0)),
    "u16": lambda text: values.u16(int(text, 0)),
    "i32": lambda text: values.i32(int(text, 0)),
    "u32": lambda text: values.u32(int(text, 0)),
    "i64": lambda text: values.i64(int(text, 0)),
    "u64": lambda text: values.u64(int(text, 0)),
    "hex32": lambda text: values.hex32(int(text, 0)),
    "hex64": lambda text: values.hex64(int(text, 0)),
    "size_t": lambda text: values.size_t(int(text, 0)),
    "float32": lambda text: values.float32(float(text)),
    "float64": lambda text: values.float64(float(text)),
    "bool": lambda text: values.boolean(text == "true"),
    "hex": lambda text: values.binary(bytes.fromhex(text)),
    "guid": values.guid,
    "sid": values.sid,
    "filetime": values.filetime,
    "systemtime": values.systemtime,
    "null": lambda _: values.null(),
}
_OF_PROCESS = ("ProcessGuid", "ProcessId", "Image", "User")


class _Loader(LOADER):  # type: ignore[misc]  # one of two
    """Safe YAML with the tags above, and with times left as text: their 100 ns don't fit a datetime."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _constructor(make: Callable[[str], Value]) -> Callable[[_Loader, yaml.ScalarNode], Value]:
    return lambda _, node: make(node.value)


for _name, _make in _TAGS.items():
    _Loader.add_constructor(f"!{_name}", _constructor(_make))


@dataclass(frozen=True, slots=True)
class Log:
    """One log of a scenario, with what it is expected to show (still as the scenario's own words)."""

    file: str
    shows: str
    events: Sequence[Event]
    labels: Mapping[str, int]  # process name: index in events
    exported: bool = True
    damage: Sequence[Mapping[str, Any]] = ()
    expect: Mapping[str, Any] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        """The undamaged bytes."""
        return log_bytes(self.events, exported=self.exported)


@dataclass(frozen=True, slots=True)
class Scenario:
    """What one YAML file holds."""

    title: str
    shows: str
    logs: Sequence[Log]


def load(path: Path) -> Scenario:
    """Read a scenario. Raises ValueError or KeyError for one that is not made as described above."""
    text = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    logs: dict[str, Log] = {}
    processes: dict[str, Event] = {}
    for given in text["logs"]:
        log = _log(given, processes, logs)
        logs[log.file] = log
    return Scenario(text["title"], text["shows"], list(logs.values()))


def _log(given: dict[str, Any], processes: dict[str, Event], logs: Mapping[str, Log]) -> Log:
    events: list[Event] = []
    labels: dict[str, int] = {}
    for entry in given["events"]:
        entry = {**given.get("defaults", {}), **entry}
        name = entry.get("process") or entry.get("started") or entry.pop("label", None)
        added = _events(entry, processes, logs)
        if name:
            labels[name] = len(events)
        elif "copy_of" in entry:
            labels |= _labels_of(logs[entry["copy_of"]], added, len(events))
        events += added
    first = given.get("first_record")
    if first is not None:
        events[0] = replace(events[0], record_id=first)
    with_ids = [replace(event, record_id=number) for event, number in numbered(events)]
    return Log(
        file=given["file"],
        shows=given["shows"],
        events=with_ids,
        labels=labels,
        exported=given.get("exported", True),
        damage=given.get("damage", ()),
        expect={key: given[key] for key in ("must_find", "must_not_find", "records", "problems") if key in given},
    )


def _events(entry: dict[str, Any], processes: dict[str, Event], logs: Mapping[str, Log]) -> list[Event]:
    if "copy_of" in entry:
        return _copies(entry, logs)
    storage = {name: entry.pop(name) for name in ("header_id", "rendered") if name in entry}
    if "process" in entry:
        events = _processes(entry, processes)
    elif "started" in entry:
        events = _started(entry, processes)
    elif "ended" in entry:
        events = [security.security_exit(processes[entry["ended"]], time=entry["time"])]
    elif "cmdlet" in entry:
        events = [exchange.cmdlet(entry.pop("cmdlet"), computer=entry.pop("host"), **entry)]
    elif "logon" in entry:
        events = [security.logon(kind=entry.pop("logon"), **entry)]
    elif "sysmon" in entry:
        events = [_sysmon(entry, processes)]
    else:
        events = [_event(entry)]
    return [replace(event, **storage) for event in events]


def _copies(entry: Mapping[str, Any], logs: Mapping[str, Log]) -> list[Event]:
    events = logs[entry["copy_of"]].events
    first, last = entry.get("records", (events[0].record_id, events[-1].record_id))
    return [event for event in events if event.record_id is not None and first <= event.record_id <= last]


def _labels_of(log: Log, copies: Sequence[Event], start: int) -> dict[str, int]:
    """The labels of the copied events, where they will stand."""
    places = {event.record_id: start + index for index, event in enumerate(copies)}
    named = {name: log.events[index].record_id for name, index in log.labels.items()}
    return {name: places[record_id] for name, record_id in named.items() if record_id in places}


def _processes(entry: dict[str, Any], processes: dict[str, Event]) -> list[Event]:
    name, parent = entry.pop("process"), entry.pop("parent", None)
    known = processes[parent] if parent else None
    events = [sysmon_process(time=time, parent=known, **entry) for time in _times(entry)]
    processes[name] = events[0]
    return events


def _times(entry: dict[str, Any]) -> list[int]:
    """When a start, and its repetitions, took place; takes these out of the entry."""
    count, every, start = entry.pop("repeat", 1), float(entry.pop("every", 0)), to_filetime(entry.pop("time"))
    return [start + round(10_000_000 * every) * step for step in range(count)]


def _started(entry: dict[str, Any], processes: dict[str, Event]) -> list[Event]:
    name, parent = entry.pop("started"), entry.pop("parent", None)
    known = processes[parent] if parent else None
    events = [security.security_process(time=time, parent=known, **entry) for time in _times(entry)]
    processes[name] = events[0]
    return events


def _sysmon(entry: dict[str, Any], processes: Mapping[str, Event]) -> Event:
    event_id, of, target = entry.pop("sysmon"), entry.pop("of", None), entry.pop("target", None)
    if event_id == 10:
        known = _ends("Source", processes[of]) | _ends("Target", processes[target])
    else:
        known = {name: processes[of].field(name) for name in _OF_PROCESS} if of else {}
    names = field_names(event_id, entry.get("fields", "new"))
    return sysmon_event(event_id, **{name: text for name, text in known.items() if name in names} | entry)


def _ends(side: str, process: Event) -> dict[str, str]:
    names = {"ProcessGUID": "ProcessGuid", "ProcessId": "ProcessId", "Image": "Image", "User": "User"}
    return {side + name: process.field(field) for name, field in names.items()}


def _event(entry: dict[str, Any]) -> Event:
    if "data" in entry:
        entry["data"] = list(entry["data"].items())
    if "user_data" in entry:
        body = entry["user_data"]
        entry["user_data"] = UserData(**{**body, "fields": list(body["fields"].items())})
    if "binary" in entry:
        entry["binary"] = bytes.fromhex(entry["binary"])
    entry["computer"] = entry.pop("host")
    return Event(**entry)
