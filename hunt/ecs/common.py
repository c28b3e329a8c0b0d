"""Fields of every event, whatever its channel."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import polars as pl

from hunt.ecs.fields import Field, FieldInfo, constant, made
from hunt.ecs.values import number, text
from hunt.model import EventType

# Rendered by who collected or forwarded the event; no log of a machine's own holds it.
MESSAGE = "RenderingInfo.Message"


def _text_of(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.String)


def _lower(column: str) -> pl.Expr:
    return text(column).str.to_lowercase()


def _time(column: str) -> Field:
    return Field(FieldInfo("time"), lambda: pl.col(column))


def common(kind: EventType, module: str, dataset: str) -> Iterator[tuple[str, Field]]:
    """Name and field. `host.id` and `agent.id` are the host's name, which Windows compares without case: lower case."""
    code = constant(str(kind.event_id))
    yield "event.code", code
    yield "winlog.event_id", code
    yield "winlog.channel", constant(kind.channel)
    if dataset:
        yield "event.module", constant(module)
        yield "event.dataset", constant(dataset)
        yield "data_stream.dataset", constant(dataset)
    yield from _alike()


@cache
def _alike() -> tuple[tuple[str, Field], ...]:
    """What is the same for all event types, of which there are hundreds."""
    return tuple(_of_any())


def _of_any() -> Iterator[tuple[str, Field]]:
    yield "@timestamp", _time("time")
    yield "event.created", _time("logged")
    yield "event.kind", constant("event")
    yield "data_stream.namespace", constant("default")
    yield "data_stream.type", constant("logs")
    for name in ("host.os.type", "host.os.family", "host.os.platform"):
        yield name, constant("windows")
    for name in ("host.name", "host.hostname", "winlog.computer_name", "agent.name"):
        yield name, made(text, "host")
    for name in ("host.id", "agent.id"):
        yield name, made(_lower, "host")
    yield "message", made(text, MESSAGE)
    yield "event.provider", made(text, "provider")
    yield "winlog.provider_name", made(text, "provider")
    yield "winlog.provider_guid", made(text, "System.ProviderGuid")
    yield "winlog.record_id", made(_text_of, "record_id")
    yield "winlog.process.pid", made(number, "System.ProcessID", type="number")
    yield "winlog.process.thread.id", made(number, "System.ThreadID", type="number")
    yield "winlog.user.identifier", made(text, "System.UserID")
    yield "winlog.activity_id", made(text, "System.ActivityID")
    yield "winlog.related_activity_id", made(text, "System.RelatedActivityID")
    yield "winlog.version", made(number, "System.Version", type="number")
