"""All fields of the events that findings name, however many there are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
import pytest

from hunt import details
from hunt.evidence import Collection
from hunt.findings import EVENT_COLUMNS
from hunt.model import ALL_COLUMNS, Batch, Evidence, Parser, Wants
from tests.helpers import OUTLOOK, Row, batch, event, start

ITEM = Evidence(Path("sysmon.evtx"), "sysmon.evtx", 1, "")
PARSER: Parser = None  # type: ignore[assignment]  # handed on as it is


def named(rows: Sequence[Row]) -> pl.DataFrame:
    """The events as findings name them, without their fields."""
    made = [
        {
            "finding_id": "f", "step": 1, "channel": row["channel"], "event_id": int(row["event_id"]),
            "sources": [{"path": row["source"], "offset": int(row["offset"])}],
        }
        for row in rows
    ]  # fmt: skip
    return pl.DataFrame(made, schema=dict(EVENT_COLUMNS))


def one_by_one(rows: Sequence[Row], asked: list[int]) -> details.Reader:
    def read(parser: Parser, item: Evidence, offsets: Sequence[int]) -> Batch:
        asked.append(len(offsets))
        return batch(*(row for row in rows if int(row["offset"]) in offsets))

    return read


def whole(rows: Sequence[Row], asked: list[Wants], size: int = 1000) -> details.Sweep:
    def sweep(parser: Parser, item: Evidence, wants: Wants) -> Iterator[Batch]:
        asked.append(wants)
        yield from (batch(*rows[begin : begin + size]) for begin in range(0, len(rows), size))

    return sweep


def command_lines(told: pl.DataFrame) -> list[str]:
    return [json.loads(text).get("CommandLine") for text in told["fields"]]


COLLECTED = Collection(((ITEM, PARSER),), (), ())


def test_a_few_events_are_read_one_by_one_in_turns() -> None:
    rows = [start(OUTLOOK, CommandLine=str(number)) for number in range(700)]
    asked: list[int] = []
    swept: list[Wants] = []
    told = details.complete(named(rows[::-1]), COLLECTED, one_by_one(rows, asked), None, whole(rows, swept))
    assert command_lines(told) == [str(number) for number in range(700)][::-1]
    assert (asked, swept) == ([500, 200], [])


def test_an_event_that_many_findings_name_is_read_once() -> None:
    asked: list[int] = []
    rows = [start(OUTLOOK)]
    details.complete(named(rows * 50), COLLECTED, one_by_one(rows, asked))
    assert asked == [1]


def test_for_many_events_their_file_is_decoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(details, "MANY", 10)
    rows = [start(OUTLOOK, CommandLine=str(number)) for number in range(30)]
    others = [event(5), start(OUTLOOK, CommandLine="not asked for")]
    asked: list[int] = []
    swept: list[Wants] = []
    told = details.complete(named(rows), COLLECTED, one_by_one(rows, asked), None, whole([*rows, *others], swept, 7))
    assert command_lines(told) == [str(number) for number in range(30)]
    assert [wants.types for wants in swept] == [{(rows[0]["channel"].lower(), 1): ALL_COLUMNS}]
    assert asked == []


def test_how_a_file_is_cut_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(details, "MANY", 1)
    rows = [start(OUTLOOK, **({"Zeta": "z"} if number % 2 else {"Alpha": "a"})) for number in range(4)]
    swept = [details.complete(named(rows), COLLECTED, one_by_one([], []), None, whole(rows, [], n)) for n in (1, 4)]
    assert swept[0].equals(swept[1])


def test_what_a_sweep_does_not_meet_is_read_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(details, "MANY", 3)
    rows = [start(OUTLOOK, CommandLine=str(number)) for number in range(6)]
    asked: list[int] = []
    told = details.complete(named(rows), COLLECTED, one_by_one(rows, asked), None, whole(rows[:4], []))
    assert command_lines(told) == list("012345")
    assert asked == [2]


def test_what_cannot_be_read_again_keeps_what_was_seen_of_it() -> None:
    rows = [start(OUTLOOK), start(OUTLOOK, source="gone.evtx")]

    def gone(parser: Parser, item: Evidence, offsets: Sequence[int]) -> Batch:
        raise OSError("the share went away")

    def seen(events: pl.DataFrame) -> pl.Series:
        return pl.Series([f'{{"seen":{number}}}' for number in range(events.height)])

    told = details.complete(named(rows), COLLECTED, gone, seen)
    assert told["fields"].to_list() == ['{"seen":0}', '{"seen":1}']
