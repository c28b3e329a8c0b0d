"""Four readers that others wrote see in every sample what the writer was given."""

from __future__ import annotations

import pytest

from samples.build import HERE, path_of, scenarios
from samples.event import Event
from samples.scenario import Log
from tests.samples.foreign import READERS, Row
from tests.samples.written import UNREAD, Owed, body_of, same, shown, system_of

LOGS = {path_of(log): log for scenario in scenarios() for log in scenario.logs}
GOOD = [log for log in LOGS.values() if not log.damage]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("log", GOOD, ids=lambda log: log.file)
def test_a_reader_sees_what_was_written(log: Log, reader: str) -> None:
    rows = READERS[reader](HERE / path_of(log))
    owed = [event for event in log.events if not (event.rendered and (reader, log.file) in UNREAD)]
    assert len(log.events) - len(owed) == UNREAD.get((reader, log.file), 0)
    assert [row.record_id for row in rows] == [event.record_id for event in owed]
    for row, event in zip(rows, owed, strict=True):
        compare(reader, row, event)


def compare(reader: str, row: Row, event: Event) -> None:
    system = system_of(event, row.record_id)
    assert sorted(row.system) == sorted(name for name, _, _ in system)
    assert differences(reader, system, [(name, row.system[name]) for name, _, _ in system]) == []
    body = shown(reader, event, body_of(event))
    assert [name for name, _ in row.body] == [name for name, _, _ in body]
    assert differences(reader, body, row.body) == []


def differences(reader: str, owed: list[Owed], found: list[tuple[str, str]]) -> list[tuple[str, str, str]]:
    return [
        (name, text, seen)
        for (name, kind, text), (_, seen) in zip(owed, found, strict=True)
        if not same(reader, kind, text, seen)
    ]


@pytest.mark.parametrize("log", [log for log in LOGS.values() if log.damage], ids=lambda log: log.file)
def test_damaged_samples_are_damaged_as_described(log: Log) -> None:
    """The best of the four reads what is owed and none more than there is; PyPI evtx notices every damage."""
    at_least, at_best = log.expect["records"]
    counts = {reader: len(read(HERE / path_of(log))) for reader, read in READERS.items()}
    assert max(counts.values()) >= at_least
    assert max(counts.values()) <= at_best
    assert counts["evtx"] < len(log.events)


@pytest.mark.parametrize("log", [log for log in LOGS.values() if log.damage], ids=lambda log: log.file)
def test_the_pair_of_a_damaged_sample_can_still_be_read(log: Log) -> None:
    readable = {row.record_id for row in READERS["evtx"](HERE / path_of(log))}
    for entry in log.expect["must_find"]:
        child = log.events[log.labels[entry["child"]]]
        parents = {event.record_id for event in log.events if _is_parent(event, child)}
        assert {child.record_id} | parents <= readable


def _is_parent(event: Event, child: Event) -> bool:
    return event.field("ProcessGuid") == child.field("ParentProcessGuid")
