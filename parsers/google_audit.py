"""Google Workspace's audit log, as the Admin SDK's Reports API gives it (`activities.list`): pages, lines, arrays.

An activity may hold several events: each is a row, and a record. Channel `GoogleWorkspace.Audit`; `host` is the
customer (`id.customerId`, else `ownerDomain`); `time` is `id.time`; there is no `record_id`: `id.uniqueQualifier` and
`id.time` tell activities apart. Google numbers no events: `event_id` is one number for each application, see
APPLICATIONS. Columns: `id.*`, `actor.*`, `ipAddress`, ... by their paths; `type` and `name` of the event;
`parameters.NAME` for each of its parameters, several values a line each, messages in JSON.

`offset` of the first event is that of its activity, of each further one a byte more (two in UTF-16).
Source: Admin SDK Reports API v1, resource Activity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial

from hunt import schema
from hunt.model import Batch, Evidence, Problem, Progress, Reading

from . import json_pages
from .audit_files import first_object, is_timed, read
from .audit_records import as_text, columns, is_wanted_of
from .event_xml import Row
from .gathered import Gathered
from .json_values import Json, Value
from .jsonl import PARSER as EVENTS
from .text_files import TextFile
from .unified_audit import PARSER as UNIFIED
from .written import utc

CHANNEL = "GoogleWorkspace.Audit"
# By `id.applicationName`: our numbers. Others are of event id 0.
APPLICATIONS: Mapping[str, int] = {
    name: number
    for number, name in enumerate(
        (
            "admin",
            "drive",
            "gmail",
            "login",
            "token",
            "takeout",
            "vault",
            "user_accounts",
            "groups",
            "groups_enterprise",
            "calendar",
            "mobile",
            "saml",
            "rules",
            "chat",
            "meet",
            "context_aware_access",
            "access_transparency",
            "data_studio",
            "keep",
            "chrome",
            "gcp",
            "jamboard",
        ),
        start=1,
    )
}
_VALUES = ("value", "intValue", "boolValue", "multiValue", "multiIntValue", "multiBoolValue")
_MESSAGES = ("messageValue", "multiMessageValue")
_MOST = 4096  # events of one activity: bytes that are looked back for its beginning


class GoogleAudit:
    """Activities of Google Workspace. See `hunt.model.Parser`."""

    name = "google-audit"

    def accepts(self, head: bytes) -> bool:
        found, body = first_object(head)
        known = _is_activity(found) if found is not None else _looks(body)
        return known and not EVENTS.accepts(head) and not UNIFIED.accepts(head)

    def read(self, files: Sequence[Evidence], reading: Reading) -> Iterator[Batch | Problem | Progress]:
        for evidence in files:
            with_step = _Adder()
            yield from read([evidence], reading, with_step.values, with_step.add)

    def records(self, evidence: Evidence, offsets: Sequence[int]) -> Batch:
        gathered = Gathered(evidence, Reading().wants)
        for offset in sorted(set(offsets)):
            found = _back(evidence, offset)
            if found is not None:
                activity, number = found
                try:
                    gathered.add(offset, _head(activity), _rests(activity)[number])
                except ValueError:
                    continue
        return gathered.whole()


def _step(file: TextFile) -> int:
    return 1 if file.encoding == "utf-8" else 2


def _back(evidence: Evidence, offset: int) -> tuple[Json, int] | None:
    """The activity that an event at this offset belongs to, and which of its events that is."""
    with evidence.path.open("rb") as raw:
        begin = max(0, offset - 2 * _MOST)
        raw.seek(begin)
        before = raw.read(offset - begin + 2)
    with TextFile(evidence.path) as file:
        step = _step(file)
    for number in range(_MOST):
        at = offset - number * step
        if at < begin:
            return None
        if b"{" in before[at - begin : at - begin + step]:
            with TextFile(evidence.path, at) as file:
                found = next(json_pages.values(file, lines=False), None)
            if isinstance(found, Value) and found.offset == at and _is_activity(found.content):
                return (found.content, number) if number < len(_events(found.content)) else None
    return None


def _is_activity(found: Json) -> bool:
    own = found.get("id")
    return isinstance(own, dict) and "applicationName" in own and isinstance(found.get("events"), list)


def _looks(body: bytes) -> bool:
    return b'"applicationName"' in body and (b"admin#reports#activity" in body or b'"uniqueQualifier"' in body)


def _events(activity: Json) -> list[Json]:
    """Its events; an activity without one is told as an event of nothing."""
    listed = activity.get("events")
    found: list[Json] = []
    if isinstance(listed, list):
        found = [item if isinstance(item, dict) else {} for item in listed]
    return found or [{}]


class _Adder:
    """Takes the activities of one file in, each event of them by itself."""

    step = 1

    def values(self, file: TextFile) -> Iterator[Value]:
        self.step = _step(file)
        yield from json_pages.values(file)  # type: ignore[misc]

    def add(self, gathered: Gathered, offset: int, found: Json) -> bool:
        if not _is_activity(found):
            raise ValueError("no activity of the Reports API")
        rests = _rests(found)
        if len(rests) > _MOST:
            raise ValueError(f"an activity with {len(rests)} events")
        head = _head(found)
        for number, rest in enumerate(rests):
            gathered.add(offset + number * self.step, dict(head), rest)
        return is_timed(head)


def _rests(activity: Json) -> list[Callable[[frozenset[str]], Row]]:
    """What each event of an activity has besides the head; what they share is made once."""
    record = {name: value for name, value in activity.items() if name != "events"}
    shared = cache(partial(columns, record))
    return [partial(_rest, event, shared) for event in _events(activity)]


def _head(activity: Json) -> Row:
    own = activity["id"]
    assert isinstance(own, dict)
    name = as_text(own.get("applicationName")).lower()
    row: Row = {"channel": CHANNEL, "provider": CHANNEL, "event_id": str(APPLICATIONS.get(name, 0))}
    customer = own.get("customerId") or activity.get("ownerDomain")
    if isinstance(customer, str):
        row["host"] = customer
    if own.get("time") is not None:
        written = as_text(own["time"])
        row["logged"] = utc(written) or written
    return row


def _rest(event: Json, shared: Callable[[frozenset[str]], Row], wanted: frozenset[str]) -> Row:
    row = dict(shared(wanted))
    for name, value in event.items():
        if name == "parameters" and isinstance(value, list):
            row |= _parameters(value, wanted)
        elif value is not None and is_wanted_of(schema.column_name(name), wanted):
            row[schema.column_name(name)] = as_text(value)
    return row


def _parameters(items: list[object], wanted: frozenset[str]) -> Row:
    found: dict[str, list[str]] = {}
    for item in items:
        if not isinstance(item, dict) or not isinstance(name := item.get("name"), str):
            continue
        column = f"parameters.{name}"
        if not is_wanted_of(column, wanted):
            continue
        found.setdefault(column, []).append(_value(item))
    return {column: "\n".join(told) for column, told in found.items()}


def _value(item: Json) -> str:
    for name in _VALUES:
        value = item.get(name)
        if isinstance(value, list):
            return "\n".join(as_text(one) for one in value)
        if value is not None:
            return as_text(value)
    return next((as_text(item[name]) for name in _MESSAGES if item.get(name) is not None), "")


PARSER = GoogleAudit()
