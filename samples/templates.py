"""The templates Windows writes events with: one for the System part, one nested in it for the body.

Indices, optional substitutions and dependencies are those of real logs: 18 values for providers with a manifest,
20 for classic ones, whose provider and channel are literals. Computer is a literal of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from samples.binxml import NO_DEPENDENCY, Element, Instance, Layout, Slot
from samples.event import Event, UserData, as_values
from samples.values import (
    BINARY,
    BINXML,
    FILETIME,
    GUID,
    HEX64,
    NULL,
    SID,
    SIZE_T,
    STRING,
    STRINGS,
    UINT8,
    UINT16,
    UINT32,
    UINT64,
    Value,
    binary,
    filetime,
    guid,
    hex64,
    null,
    sid,
    string,
    strings,
    u8,
    u16,
    u32,
    u64,
)

NAMESPACE = "http://schemas.microsoft.com/win/2004/08/events/event"


def instance(event: Event, record_id: int, layout: Layout) -> Instance:
    """The event as a template with values: the System part, and the body as BinXML nested in it."""
    classic = event.provider_guid is None
    body = _body(event, layout)
    last = 19 if classic else 17
    # Leftovers are what a 64-bit Windows 10 leaves in the two values it reserves without filling.
    stale = not layout.exported and not classic
    values: list[Value | Instance] = [
        u8(event.level),
        u8(event.opcode),
        u16(event.task),
        u16(event.event_id),
        _absent(b"\1\0" if stale else b"") if event.qualifiers is None else u16(event.qualifiers),
        hex64(event.keywords),
        filetime(event.time),
        _absent(bytes(range(16)) if stale else b"") if event.activity_id is None else guid(event.activity_id),
        u32(event.process_id),
        u32(event.thread_id),
        u64(record_id),
        u8(event.version),
        null() if event.user_sid is None else sid(event.user_sid),
    ]
    related = null() if event.related_activity_id is None else guid(event.related_activity_id)
    if classic:
        values += [null()] * 5 + [related]
    else:
        values += [related, string(event.provider), guid(str(event.provider_guid)), string(event.channel)]
    values.append(null() if body is None else body)
    return Instance(_outer(event, last), tuple(values))


def _absent(leftover: bytes) -> Value:
    """A null value; bytes of whatever lay there before may stand in its place."""
    return Value(NULL, leftover, "")


def _outer(event: Event, last: int) -> Element:
    content: list[Element | Slot | str] = [_system(event)]
    depends_on = NO_DEPENDENCY
    if event.user_data is not None:
        content.append(Element("UserData", (), (Slot(last, BINXML),), depends_on=last))
    elif not _is_empty(event):
        content.append(Slot(last, BINXML))
        depends_on = last
    return Element("Event", (("xmlns", NAMESPACE),), tuple(content), depends_on)


def _is_empty(event: Event) -> bool:
    return event.data is None and event.unnamed is None and event.binary is None and event.user_data is None


def _system(event: Event) -> Element:
    classic = event.provider_guid is None
    event_id: Slot | str = str(event.event_id) if event.literal_event_id else Slot(3, UINT16)
    parts = [
        _provider(event),
        Element("EventID", (("Qualifiers", Slot(4, UINT16)),), (event_id,), depends_on=3),
        _slot("Version", 11, UINT8),
        _slot("Level", 0, UINT8),
        _slot("Task", 2, UINT16),
        _slot("Opcode", 1, UINT8),
        _slot("Keywords", 5, HEX64),
        Element("TimeCreated", (("SystemTime", Slot(6, FILETIME)),)),
        _slot("EventRecordID", 10, UINT64),
        Element(
            "Correlation", (("ActivityID", Slot(7, GUID)), ("RelatedActivityID", Slot(18 if classic else 13, GUID)))
        ),
        Element("Execution", (("ProcessID", Slot(8, UINT32)), ("ThreadID", Slot(9, UINT32)))),
        Element("Channel", (), (event.channel,)) if classic else _slot("Channel", 16, STRING),
        Element("Computer", (), (event.computer,)),
        Element("Security", (("UserID", Slot(12, SID)),)),
    ]
    left_out = ("Version", "Opcode", "Correlation", "Execution") if classic else ()
    return Element("System", (), tuple(part for part in parts if part.name not in left_out))


def _provider(event: Event) -> Element:
    if event.provider_guid is None:
        return Element("Provider", (("Name", event.provider),))
    return Element("Provider", (("Name", Slot(14, STRING)), ("Guid", Slot(15, GUID))))


def _slot(name: str, index: int, kind: int) -> Element:
    return Element(name, (), (Slot(index, kind),), depends_on=index)


def _body(event: Event, layout: Layout) -> Instance | None:
    if event.user_data is not None:
        return _user_data(event.user_data, event.optional, layout)
    if event.unnamed is not None:
        return _unnamed(event.unnamed, event.binary)
    if _is_empty(event):
        return None
    fields = as_values(event.data or ())
    parts = [
        Element("Data", (("Name", name),), (_declared(index, value, event.optional),))
        for index, (name, value) in enumerate(fields)
    ]
    values = [stored(value, layout) for _, value in fields]
    if event.binary is not None:
        # Windows keeps a size in front of the binary value, itself shown nowhere.
        parts.append(Element("Binary", (), (Slot(len(values) + 1, BINARY, event.optional),)))
        values += [u32(len(event.binary)), binary(event.binary)]
    return Instance(Element("EventData", (), tuple(parts)), tuple(values))


def _unnamed(texts: Sequence[str], extra: bytes | None) -> Instance:
    template = Element(
        "EventData",
        (),
        (
            Element("Data", (), (Slot(0, STRINGS),), depends_on=0),
            Element("Binary", (), (Slot(2, BINARY),), depends_on=2),
        ),
    )
    return Instance(
        template,
        (strings(texts), u32(len(extra or b"")), null() if extra is None else binary(extra)),
    )


def _user_data(body: UserData, optional: bool, layout: Layout) -> Instance:
    fields = as_values(body.fields)
    parts = tuple(Element(name, (), (_declared(index, value, optional),)) for index, (name, value) in enumerate(fields))
    template = Element(body.name, (("xmlns", body.namespace),), parts)
    return Instance(template, tuple(stored(value, layout) for _, value in fields))


def stored(value: Value, layout: Layout) -> Value:
    """The value as this kind of file stores it (see Layout)."""
    if layout.exported and value.kind == SIZE_T:
        return replace(value, kind=HEX64)
    if not layout.exported and value.kind == STRING:
        return replace(value, data=value.data + b"\0\0")
    return value


def _declared(index: int, value: Value, optional: bool) -> Slot:
    return Slot(index, STRING if value.kind == NULL else value.kind, optional)


def rendered(event: Event, record_id: int) -> Element:
    """The event as elements with text in place of every value."""
    whole = instance(event, record_id, Layout())
    (root,) = _fill(whole.template, whole.values)
    assert isinstance(root, Element)
    return root


def _fill(part: Element | Slot | str, values: Sequence[Value | Instance]) -> list[Element | str]:
    """What stands in the place of `part`: nothing for null values, several elements for an array of strings."""
    if isinstance(part, str):
        return [part]
    if isinstance(part, Slot):
        return _fill_slot(values[part.index])
    if part.depends_on != NO_DEPENDENCY and _is_null(values[part.depends_on]):
        return []
    attributes = tuple((name, text) for name, slot in part.attributes for text in _fill(slot, values) if text != "")
    contents = [_fill(child, values) for child in part.content]
    if len(contents) == 1 and part.content[0] == Slot(0, STRINGS):
        return [Element(part.name, (), (text,) if text else ()) for text in contents[0]]
    return [Element(part.name, _texts(attributes), tuple(piece for pieces in contents for piece in pieces))]


def _fill_slot(value: Value | Instance) -> list[Element | str]:
    if isinstance(value, Instance):
        return _fill(value.template, value.values)
    if value.kind == STRINGS:
        return [*value.data.decode("utf-16-le").split("\0")[:-1]]
    return [value.text] if value.text else []


def _is_null(value: Value | Instance) -> bool:
    return isinstance(value, Value) and value.kind == NULL


def _texts(attributes: Sequence[tuple[str, Element | str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, text) for name, text in attributes if isinstance(text, str))
