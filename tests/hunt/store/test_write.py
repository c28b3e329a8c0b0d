"""Frames are cut by host and sorted: nothing is lost."""

from __future__ import annotations

import io
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from hunt import runs, schema
from hunt.model import SYSMON, EventType
from hunt.store import layout, rest, write
from tests.helpers import OUTLOOK, batch, event, start

KIND = EventType(SYSMON, 1)


def one(*rows: dict[str, Any]) -> pl.DataFrame:
    """The only frame of some events."""
    (frame,) = batch(*rows).frames.values()
    return frame


# Cutting.


def test_rows_are_cut_by_the_bucket_of_their_host_whatever_its_case_and_sorted() -> None:
    hosts = ["WS01", "ws01", "Ws02", None, "İstanbul", "i̇stanbul", *(f"H{n}" for n in range(40))]
    rows = [start(OUTLOOK, at, host=host) for at in (3, 1, 2) for host in hosts]
    frame = one(*rows, start(OUTLOOK, 1, host="WS01", source="a"), start(OUTLOOK, 1, host="WS01", source="z"))
    cut = list(write.cut({KIND: frame}))
    numbers = [number for _, number, _ in cut]
    assert numbers == sorted(set(numbers)) and len(numbers) > 8
    assert pl.concat(part for _, _, part in cut).sort("source", "offset").equals(frame.sort("source", "offset"))
    for kind, number, part in cut:
        assert kind == KIND
        assert {layout.bucket(host) for host in part["host"]} == {number}
        keys = [
            ((row[0] or "").lower(), *row[1:]) for row in part.select("host", "time", "source", "offset").iter_rows()
        ]
        assert keys == sorted(keys)


def test_types_come_in_order_and_those_without_rows_not_at_all() -> None:
    frames = {
        EventType("b", 1): one(event(1, channel="b")),
        EventType("a", 2): one(event(2, channel="a")),
        EventType("a", 1): one(event(1, channel="a")).clear(),
    }
    assert [kind for kind, _, _ in write.cut(frames)] == [("a", 2), ("b", 1)]


@pytest.mark.parametrize(("host", "number"), [(None, 0), ("", 0), ("ws01", 9), ("WS01", 9), ("dc.contoso.com", 13)])
def test_buckets_stay_where_they_are(host: str | None, number: int) -> None:
    """Cases that are written already rely on it: CRC-32, whose values any zip tool confirms."""
    assert layout.bucket(host) == number


# Batches as one frame.


def test_columns_come_in_the_order_of_the_rows_however_they_were_cut() -> None:
    rows = [event(1, B="1"), event(1, B="2", A="3"), event(1, C="4", A="5"), event(1, A="6", D="7")]
    whole = [one(*rows)]
    cuts = [[one(row) for row in rows], [one(*rows[:1]), one(*rows[1:])], [one(*rows[:3]), one(*rows[3:])]]
    expected = write.joined(whole, KIND)
    assert expected.columns[-4:] == ["B", "A", "C", "D"]
    for cut in cuts:
        assert write.joined(cut, KIND).equals(expected)


def test_a_frame_becomes_the_same_bytes_in_groups_that_queries_can_skip() -> None:
    frame = pl.concat([one(start(OUTLOOK, n)) for n in range(3)] * 2)
    long = pl.concat([frame.select(*schema.CORE)] * 15_000, rechunk=False)
    content = write.parquet(long)
    assert content == write.parquet(long.rechunk())
    told = pq.ParquetFile(io.BytesIO(content)).metadata
    assert [told.row_group(n).num_rows for n in range(told.num_row_groups)] == [65536, 90_000 - 65536]
    for name in ("time", "host", "record_id"):
        assert told.row_group(0).column(frame.columns.index(name)).statistics.has_min_max
    assert pl.read_parquet(io.BytesIO(content)).equals(long)


def test_a_field_of_a_megabyte_is_not_told_again_in_statistics() -> None:
    content = write.parquet(pl.DataFrame({"a": ["x" * 1_000_000 + str(n) for n in range(4)]}))
    assert len(content) < 20_000


# Counts.


def test_a_census_is_the_same_however_records_were_counted() -> None:
    rows = [start(OUTLOOK, n, record_id=str(n + 1), host=f"H{n % 2}", source="ab"[n // 10]) for n in range(20)]
    rows += [event(3, 5000, channel="X", host=None, record_id=None, source="b") for _ in range(3)]
    whole = write.census([batch(*rows).census], ["b", "a"])
    parts = write.census([batch(*rows[at : at + 4]).census for at in range(0, 23, 4)], ["b", "a"])
    assert parts.equals(whole)
    assert dict(whole.schema) == dict(schema.CENSUS)
    assert whole["source"].to_list() == ["b"] * 3 + ["a"] * 2
    assert whole["records"].to_list() == [3, 5, 5, 5, 5]
    assert whole["runs"].null_count() == 0
    each = (counted.select(*schema.LOG, "runs").explode("runs") for counted in (whole, batch(*rows).census))
    mine, theirs = (runs.union(own.drop_nulls("runs").unnest("runs"), ["source", "host"]) for own in each)
    assert mine.equals(theirs)


# Types without files of their own.


def test_events_of_many_types_come_back_as_they_were() -> None:
    rows = [
        start(OUTLOOK, 1, UtcTime="nonsense"),
        start(OUTLOOK, 2, host=None),
        event(4688, channel="Security", provider=schema.PROVIDERS["security"], NewProcessId="0xfff", Data=["a", ""]),
        event(7, channel="", Data=["x"], Empty=""),
        event(8, channel="Bare"),
    ]  # fmt: skip
    frames = batch(*rows).frames
    folded = pl.concat(rest.folded(frame) for frame in frames.values())
    assert set(folded.columns) == {*schema.CORE, *schema.SYSTEM, "fields"}
    found = dict(rest.unfolded(pl.read_parquet(io.BytesIO(write.parquet(folded)))))
    assert found.keys() == frames.keys()
    for kind, frame in frames.items():
        met = [c for c in frame.columns if c in (*schema.CORE, *schema.SYSTEM) or frame[c].null_count() < frame.height]
        assert set(found[kind].columns) == set(met)
        assert found[kind].select(met).equals(frame.select(met))
