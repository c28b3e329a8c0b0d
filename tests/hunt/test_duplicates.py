"""Copies of events: found wherever they stand, however many there are, and never taken for something else."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hunt import copies, duplicates, schema
from hunt.model import SYSMON
from hunt.places import SOURCES
from tests.helpers import OUTLOOK, Row, event, moment, start, texts


def frame(*rows: Row) -> pl.DataFrame:
    """Events of one type as `Events` hands them on: by source and offset."""
    marks = pl.Series("recovered", [bool(row.get("recovered")) for row in rows])
    met = schema.conform(texts([{k: v for k, v in row.items() if k != "recovered"} for row in rows]), 1)
    return met.with_columns(marks).sort("source", "offset", maintain_order=True)


def once(frame: pl.DataFrame) -> pl.DataFrame:
    """Each event once, with the `sources` of all."""
    left, stand = duplicates.once(frame)
    return left.with_columns(stand.of())


def places(found: pl.DataFrame) -> list[list[tuple[str, int]]]:
    return [[(at["path"], at["offset"]) for at in sources] for sources in found["sources"].to_list()]


def test_of_copies_the_live_one_stays_and_every_place_is_kept_live_ones_first() -> None:
    row = start(OUTLOOK)
    copies = [
        row | {"source": "a.raw", "offset": "70", "recovered": True},
        row | {"source": "b.evtx", "offset": "5", "host": "ws01"},
        row | {"source": "b.evtx", "offset": "1", "recovered": True},
        row | {"source": "c.evtx", "offset": "9"},
    ]
    found = once(frame(*copies))
    assert found["recovered"].to_list() == [False]
    assert found["source"].to_list() == ["b.evtx"]
    assert places(found) == [[("b.evtx", 5), ("c.evtx", 9), ("a.raw", 70), ("b.evtx", 1)]]


def test_recovered_copies_alone_count_once() -> None:
    row = start(OUTLOOK) | {"recovered": True, "source": "raw"}
    found = once(frame(row | {"offset": "1"}, row | {"offset": "2"}))
    assert found["recovered"].to_list() == [True]
    assert places(found) == [[("raw", 1), ("raw", 2)]]


@pytest.mark.parametrize("exact", ["a", "b"])
@pytest.mark.parametrize("printed", ["0.123456", "0.123"])
def test_a_copy_of_an_export_that_prints_fewer_decimals_is_one_and_the_exact_time_stays(
    exact: str, printed: str
) -> None:
    row = event(1, A="x")
    export = row | {"logged": moment(printed), "source": "b" if exact == "a" else "a"}
    found = once(frame(row | {"logged": moment("0.1234567"), "source": exact}, export))
    assert found["source"].to_list() == [exact]
    assert [path for path, _ in places(found)[0]] == ["a", "b"]
    assert found["logged"].dt.nanosecond().to_list() == [123_456_700]


def test_without_record_ids_times_are_compared_as_they_are() -> None:
    row = {name: value for name, value in event(1, A="x").items() if name != "record_id"}
    rows = [row | {"logged": moment(at), "source": source} for at, source in (("0.1234567", "a"), ("0.123", "b"))]
    assert once(frame(*rows)).height == 2


def test_a_recovered_event_that_differs_from_the_live_one_stays_beside_it() -> None:
    row = start(OUTLOOK)
    torn = row | {"CommandLine": "tor", "recovered": True, "source": "raw"}
    assert once(frame(row, torn))["recovered"].to_list() == [True, False]


def test_the_channel_is_compared_without_case() -> None:
    row = start(OUTLOOK, source="a")
    assert once(frame(row, row | {"source": "b", "channel": SYSMON.upper()})).height == 1


def test_without_record_ids_an_event_of_one_source_is_no_copy_of_another_there() -> None:
    """Two equal lines of a text export are two events; the same export given twice is the same two."""
    row = {name: value for name, value in event(1, A="x").items() if name != "record_id"}
    rows = [row | {"source": source, "offset": str(at)} for source in ("a", "b") for at in (1, 2)]
    third = row | {"source": "c", "offset": "7"}
    assert places(once(frame(*rows))) == [[("a", 1), ("b", 1)], [("a", 2), ("b", 2)]]
    assert places(once(frame(*rows, third))) == [[("a", 1), ("b", 1), ("c", 7)], [("a", 2), ("b", 2)]]


def test_events_without_a_host_or_a_time_are_compared_too() -> None:
    row = event(1, host=None, logged=None, A="x")
    found = once(frame(row | {"source": "a"}, row | {"source": "b"}, row | {"source": "c", "A": "y"}))
    assert found.height == 2


values = st.sampled_from([None, "", "a", "b"])
rows = st.lists(
    st.fixed_dictionaries(
        {
            "host": st.sampled_from([None, "WS01", "ws01", "WS02"]),
            "record_id": st.sampled_from([None, "1", "2"]),
            "source": st.sampled_from(["x", "y"]),
            "recovered": st.booleans(),
            "A": values,
            "Data": st.sampled_from([None, ["a"], ["a", ""], [None]]),
        }
    ),
    min_size=1,
    max_size=14,
)


def naive(found: pl.DataFrame) -> list[tuple[int, list[int]]]:
    """By comparing each row with each: the row that is kept and the places of all that are equal to it."""
    groups: dict[Any, list[dict[str, Any]]] = {}
    met: dict[Any, int] = {}
    for row in sorted(found.rows(named=True), key=lambda r: (r["recovered"], r["source"], r["offset"])):
        data = None if row["Data"] is None else tuple(row["Data"])
        key: tuple[Any, ...] = ((row["host"] or "").lower(), row["host"] is None, row["record_id"], row["A"], data)
        if row["record_id"] is None:
            met[key, row["source"]] = met.get((key, row["source"]), 0) + 1
            key = (*key, met[key, row["source"]])
        groups.setdefault(key, []).append(row)
    return sorted((group[0]["offset"], [row["offset"] for row in group]) for group in groups.values())


@pytest.mark.parametrize("hashes", ["as they are", "all alike"])
@settings(max_examples=40)
@given(given_rows=rows)
def test_the_same_copies_are_found_as_by_comparing_each_with_each(hashes: str, given_rows: list[Row]) -> None:
    """Also if all hashes collide, as evidence may be made to do: then values alone decide."""
    met = [
        event(1, logged="2026-03-02 08:15:00", offset=str(at), **{k: v for k, v in row.items() if k != "host"})
        | {"host": row["host"]}
        for at, row in enumerate(given_rows)
    ]
    together = frame(*met)
    with pytest.MonkeyPatch.context() as patch:
        if hashes == "all alike":
            patch.setattr(duplicates, "_hashes", lambda columns: np.zeros(len(columns[0]), np.uint64))
        found = once(together)
    assert sorted((row["offset"], [at["offset"] for at in row["sources"]]) for row in found.rows(named=True)) == naive(
        together
    )
    assert found.select("source", "offset").rows() == found.select("source", "offset").sort("source", "offset").rows()


def test_a_thousand_copies_of_many_events_are_no_more_work_than_as_many_events() -> None:
    one = frame(*(start(OUTLOOK, source="a") for _ in range(200)))
    many = pl.concat([one.with_columns(pl.lit(f"log{n:04}").alias("source")) for n in range(500)])
    found = once(many)
    assert found.height == 200
    assert set(found["sources"].list.len()) == {500}


def collapsed(lot: pl.DataFrame) -> pl.DataFrame:
    """A lot as a case has it: live rows with record ids that are alike but for their places are one row of them all."""
    told = lot.with_columns(pl.col("time", "logged").cast(pl.Int64)).rows(named=True)  # Python's times lack decimals
    alike: dict[Any, list[int]] = {}
    for number, row in enumerate(told):
        alone = row["record_id"] is None or row["recovered"]
        same = [str(value) for name, value in row.items() if name not in ("source", "offset")]
        alike.setdefault((number if alone else None, *same), []).append(number)
    places = [[{"path": told[n]["source"], "offset": told[n]["offset"]} for n in group] for group in alike.values()]
    sources = [group if len(group) > 1 else None for group in places]
    firsts = lot[[group[0] for group in alike.values()]]
    return firsts.with_columns(pl.Series("sources", sources, dtype=SOURCES))


seen = st.fixed_dictionaries(
    {
        "host": st.sampled_from([None, "WS01", "ws01"]),
        "record_id": st.sampled_from([None, "1", "1", "2"]),
        "record_number": st.sampled_from(["1", "2"]),
        "logged": st.sampled_from([moment("0.123"), moment("0.1234"), moment("0.1234567"), moment("0.5")]),
        "source": st.sampled_from(["x", "y", "z"]),
        "recovered": st.sampled_from([False, False, True]),
        "A": st.sampled_from([None, "a"]),
        "RenderingInfo.Level": st.sampled_from([None, "high"]),
        "lot": st.integers(0, 2),
    }
)
# Most are copies of one event: what else is alike would hardly ever meet.
usual = seen.map(lambda row: row | {"host": "WS01", "record_id": "1", "record_number": "1", "logged": moment("0.1234"),
                                    "recovered": False, "A": "a", "RenderingInfo.Level": None})  # fmt: skip


@settings(max_examples=60)
@given(given_rows=st.lists(st.one_of(usual, usual, seen), min_size=1, max_size=14))
def test_rows_of_several_places_give_what_a_row_for_each_place_gives(given_rows: list[Row]) -> None:
    """However the files are dealt out to lots, within each of which what is alike is one row already."""
    met = [
        event(1, **{k: v for k, v in row.items() if k not in ("host", "lot")}, offset=str(at)) | {"host": row["host"]}
        for at, row in enumerate(given_rows)
    ]
    whole = frame(*met)
    lot = pl.Series([given_rows[at]["lot"] for at in whole["offset"]])
    lots = [collapsed(whole.filter(lot == number)) for number in range(3)]
    together = pl.concat(lots).sort("source", "offset", maintain_order=True)
    assert once(together).equals(once(whole))
    assert once(pl.concat(lots)).equals(once(whole))  # in whatever order they are read
    _, stand = duplicates.once(together)
    for numbers in ([], [0], range(0, once(whole).height, 2), range(once(whole).height)):  # those alone that are asked
        asked = pl.Series(numbers, dtype=pl.UInt32)
        assert stand.of(asked).to_list() == once(whole)["sources"].gather(asked).to_list()
    again = copies.collapsed(pl.concat(lots)).sort("source", "offset")  # as a run with little memory does it
    assert again.equals(collapsed(whole).sort("source", "offset"))
