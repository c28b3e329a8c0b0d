"""Copies are told in one row: nothing is lost, and nothing taken for another."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hunt import copies, duplicates, memory
from hunt.places import SOURCES
from tests.helpers import OUTLOOK, batch, event, start


def one(*rows: dict[str, Any]) -> pl.DataFrame:
    """The only frame of some events."""
    (frame,) = batch(*rows).frames.values()
    return frame


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["1", "2", None]), st.sampled_from(["A", "a"]), st.sampled_from(["x", "y", ""]),
        st.booleans(), st.sampled_from([None, ["p"], ["p", ""]]), st.sampled_from(["b", "a"]),
    ),
    min_size=1, max_size=14,
)  # fmt: skip


@settings(max_examples=30)
@given(ROWS)
def test_copies_become_one_row_and_every_record_is_told(drawn: list[tuple[Any, ...]]) -> None:
    frame = one(
        *(
            event(
                1, record_id=id_, record_number="1", host=host, Image=image, Data=data,
                source=source, offset=str(place), logged="2026-03-02 08:15:00",
            )
            for place, (id_, host, image, _, data, source) in enumerate(drawn)
        )
    )  # fmt: skip
    frame = frame.with_columns(pl.Series("recovered", [row[3] for row in drawn]))
    told = copies.collapsed(frame)
    payload = [c for c in frame.columns if c not in ("source", "offset")]
    places: dict[str, list[tuple[str, int]]] = {}
    alone = Counter[str]()
    for row in frame.rows(named=True):
        key = repr([row[c] for c in payload])
        if row["record_id"] is None or row["recovered"]:
            alone[key] += 1
        else:
            places.setdefault(key, []).append((row["source"], row["offset"]))
    for row in told.rows(named=True):
        key = repr([row[c] for c in payload])
        if key in places:
            expected = sorted(places.pop(key))
            own = [{"path": path, "offset": offset} for path, offset in expected]
            assert row["sources"] == (own if len(own) > 1 else None)
            assert (row["source"], row["offset"]) == expected[0]
        else:
            alone[key] -= 1
            assert row["sources"] is None
    assert not places and not +alone
    assert told.schema["sources"] == SOURCES


def test_hashes_that_collide_make_no_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "_hashes", lambda columns: np.zeros(len(columns[0]), np.uint64))
    same = {"record_id": "1", "record_number": "1", "ProcessGuid": None}
    rows = [start(OUTLOOK, **same, offset=str(n), CommandLine=str(n // 2)) for n in range(6)]
    assert copies.collapsed(one(*rows))["sources"].list.len().to_list() == [2, 2, 2]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere memory that was freed need not go back to the system")
def test_copies_of_copies_keep_nothing_of_what_they_were_before() -> None:
    row = start(OUTLOOK, record_id="1", record_number="1", source="folder/with-a-name/Sysmon.evtx")
    one_row = one(row | {"offset": "0"})
    places, rounds = 30_000, 24
    more = pl.concat([one_row] * places)
    told = one_row.with_columns(pl.lit(None, SOURCES).alias("sources"))
    sizes = []
    for number in range(rounds):
        offsets = pl.int_range(places * number + 1, places * (number + 1) + 1, dtype=pl.UInt64)
        told = copies.collapsed(pl.concat([told, more.with_columns(offset=offsets)], how="diagonal"))
        memory.give_back()
        sizes.append(memory.own())
    assert told["sources"].list.len().to_list() == [places * rounds + 1]
    # A place takes 24 bytes: 16 MiB in the end, and 200 if each round kept the one before.
    assert sizes[-1] - sizes[2] < 100 << 20
