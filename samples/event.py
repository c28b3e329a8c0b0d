"""What the writer takes: an event, with typed values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from samples.values import Moment, Value, string

Field = tuple[str, Value | str]


@dataclass(frozen=True, slots=True)
class UserData:
    """The body of events that bring their own XML: <UserData><name xmlns=namespace><field>...</field></name>."""

    name: str
    fields: Sequence[Field]
    namespace: str = "http://manifests.contoso.example/events"


@dataclass(frozen=True, slots=True)
class Event:
    """One event. At most one of `data`, `unnamed` (each with or without `binary`) and `user_data` is its body.

    Without `provider_guid` the provider is a classic one, as most of the Application log: provider, channel and
    EventID's surroundings are literals of the template, and Version, Opcode, Correlation and Execution are absent.
    """

    provider: str
    event_id: int
    channel: str
    computer: str
    time: Moment  # System/TimeCreated
    record_id: int | None = None  # None: one more than the event before
    provider_guid: str | None = None
    version: int = 0
    level: int = 4  # information
    task: int = 0
    opcode: int = 0
    keywords: int = 0x8000000000000000
    qualifiers: int | None = None
    process_id: int = 0
    thread_id: int = 0
    user_sid: str | None = None
    activity_id: str | None = None
    related_activity_id: str | None = None
    data: Sequence[Field] | None = None  # named Data, in order; a plain str is a string
    unnamed: Sequence[str] | None = None  # Data without names
    binary: bytes | None = None
    user_data: UserData | None = None
    optional: bool = False  # Data by optional (0x0e) instead of normal (0x0d) substitutions
    literal_event_id: bool = False  # EventID written into the template, as some classic providers do
    rendered: bool = False  # no template, every value text: what event forwarding writes
    header_id: int | None = None  # the record header's own number, where it differs: forwarded events

    def field(self, name: str) -> str:
        """The text of a named Data or UserData field. Raises KeyError."""
        fields = self.user_data.fields if self.user_data else self.data or ()
        return dict(as_values(fields))[name].text


def as_values(fields: Sequence[Field]) -> list[tuple[str, Value]]:
    """Fields with plain text turned into string values."""
    return [(name, string(value) if isinstance(value, str) else value) for name, value in fields]


def check(event: Event) -> None:
    """Raise ValueError for events that have no form in an event log."""
    bodies = [body for body in (event.data, event.unnamed, event.user_data) if body is not None]
    if len(bodies) > 1 or (event.user_data is not None and event.binary is not None):
        raise ValueError("an event has one body: data, unnamed or user_data")
    if event.rendered and event.record_id is None:
        raise ValueError("a forwarded event brings its record_id along")
