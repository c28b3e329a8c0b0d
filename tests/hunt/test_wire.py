"""What helpers leave arrives as it was, as frames and as tables."""

from __future__ import annotations

import pickle
from pathlib import Path

import polars as pl
import pytest

from hunt.export import export_all
from hunt.isolation import Part
from hunt.model import SYSMON, Batch, EventType, Problem
from hunt.wire import Arrived, packed, unpacked
from tests.helpers import OUTLOOK, POWERSHELL, batch, event, start


def sent(result: list[Part], tables: bool = False) -> list[Part]:
    buffers: list[memoryview] = []
    content = packed(result, buffers)
    return unpacked(content, [memoryview(bytes(buffer)) for buffer in buffers], tables)


def the_same(one: Batch, other: Batch) -> bool:
    return (
        list(one.frames) == list(other.frames)
        and all(one.frames[kind].equals(other.frames[kind], null_equal=True) for kind in one.frames)
        and one.census.equals(other.census)
    )


ONE = batch(start(POWERSHELL, CommandLine="ü" * 40), start(OUTLOOK, 1, CommandLine=None))
TWO = batch(start(POWERSHELL), event(5, 2, Image=POWERSHELL))


@pytest.mark.parametrize("tables", [True, False])
@pytest.mark.parametrize("given", [ONE, TWO, Batch({}, ONE.census)], ids=["one type", "two types", "none"])
def test_what_arrives_is_what_was_sent(given: Batch, tables: bool) -> None:
    problem = Problem("a.evtx", "chunk", "damaged")
    arrived, told = sent([given, problem], tables)
    assert isinstance(arrived, Batch) and the_same(given, arrived)
    assert told == problem


@pytest.mark.parametrize(
    ("given", "tables"), [(ONE, False), (TWO, False), (TWO, True)], ids=["one type", "frames", "tables"]
)
def test_what_arrives_is_written_as_what_was_decoded_here(given: Batch, tables: bool, tmp_path: Path) -> None:
    (arrived,) = sent([given], tables)
    assert isinstance(arrived, Batch)
    assert isinstance(arrived.frames, Arrived) == (tables or given is ONE)
    written = []
    for name, own in (("here", given), ("there", arrived)):
        with export_all(tmp_path / name) as target:
            target.add(own)
            target.add(given)  # both kinds in one file
        written.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert written[0] == written[1]
    assert pl.read_parquet(tmp_path / "there" / "*sysmon*.1.parquet").height == 2 * given.frames[STARTS].height


STARTS = EventType(SYSMON, 1)


def test_a_batch_of_one_type_has_no_other() -> None:
    (arrived,) = sent([ONE])
    assert isinstance(arrived, Batch)
    assert arrived.frames.get(EventType(SYSMON, 3)) is None
    assert len(arrived.frames) == 1


def test_columns_of_other_lengths_than_were_said_are_refused() -> None:
    buffers: list[memoryview] = []
    (((kind, height, columns),), census) = pickle.loads(packed([ONE], buffers), buffers=buffers)[0]
    content = pickle.dumps([([(kind, height + 1, columns)], census)])
    with pytest.raises(ValueError, match="rows, not 3"):
        unpacked(content, [])
