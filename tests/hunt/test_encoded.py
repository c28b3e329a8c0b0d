"""Columns with dictionaries tell what they told without; files written of them are the same to their readers."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hunt import encoded, export, native, schema
from hunt.model import Batch, EventType

built = pytest.mark.skipif(native.kernels is None, reason="the kernels are not built here: see setup.py")
STARTS = EventType("Microsoft-Windows-Sysmon/Operational", 1)


@pytest.fixture(autouse=True, scope="module")
def small_columns() -> Iterator[None]:
    """Dictionaries for columns of fewer rows than it is worth."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoded, "_LEAST", 64)
        yield


def texts(rows: int, distinct: int, seed: int = 0) -> pl.Series:
    """Texts of all lengths around that of a view, some of them null; those that are the same, in the same place."""
    chance = random.Random(seed)
    some = pl.Series("t", [None, "", *("é" * n + f"{n}" for n in range(distinct - 1))], dtype=pl.String)
    return some.gather([chance.randrange(len(some)) for _ in range(rows)])


def is_encoded(array: pa.Array) -> bool:
    return pa.types.is_dictionary(array.type)


@built
@pytest.mark.parametrize("rows", [64, 65, 1000])
def test_a_column_of_few_texts_has_a_dictionary_and_tells_the_same(rows: int) -> None:
    series = texts(rows, 8)
    found = encoded.column(series)
    assert is_encoded(found)
    assert len(found.dictionary) <= 9
    assert found.to_pylist() == series.to_list()
    assert encoded.plain(found).equals(series.to_arrow())


@given(st.lists(st.none() | st.sampled_from(["", "a", "b" * 12, "c" * 13, "é" * 30]), min_size=64, max_size=300))
def test_whatever_repeats_is_told_the_same(given_texts: list[str | None]) -> None:
    series = pl.Series("t", given_texts, dtype=pl.String)
    assert encoded.plain(encoded.column(series)).to_pylist() == given_texts


@pytest.mark.parametrize(
    "series",
    [
        pl.Series("different", [f"text number {n}" for n in range(500)]),
        pl.Series("few", ["x"] * 5),
        pl.Series("numbers", [1] * 500),
        pl.Series("lists", [["a"]] * 500),
        pl.Series("none", [], dtype=pl.String),
        pl.Series("chunks", ["a"] * 300).append(pl.Series("chunks", ["b"] * 300)),
    ],
    ids=lambda series: series.name,
)
def test_other_columns_are_as_arrow_has_them(series: pl.Series) -> None:
    found = encoded.column(series)
    assert not is_encoded(found)
    assert found.equals(series.to_arrow())


def test_a_part_of_a_column_tells_its_own_rows() -> None:
    whole = texts(1000, 5)
    for begin, size in ((0, 500), (1, 500), (7, 640), (500, 500), (999, 1)):
        part = whole.slice(begin, size)
        assert encoded.plain(encoded.column(part)).to_pylist() == part.to_list()


@built
def test_columns_of_nothing_but_nulls_are_told() -> None:
    series = pl.Series("t", [None] * 200, dtype=pl.String)
    assert encoded.plain(encoded.column(series)).to_pylist() == [None] * 200


def frames() -> list[pl.DataFrame]:
    """Of one event type: few texts and many in turn in the same column, columns that some lack, lists, other orders."""
    found = []
    for number, rows in enumerate([200, 100, 40_000, 300, 70]):
        columns = {
            "host": texts(rows, 3, number),
            "CommandLine": pl.Series([f"{number} {n}" if number % 2 else "same" for n in range(rows)]),
            "record_id": pl.Series(range(rows), dtype=pl.UInt64),
            "Data": pl.Series([["a", "b"], None] * (rows // 2), dtype=schema.TEXTS),
        }
        if number in (1, 3):
            columns["Late"] = pl.Series(["late"] * rows)
        names = list(columns) if number != 3 else list(reversed(columns))
        found.append(pl.DataFrame({name: columns[name] for name in names}))
    return found


def test_tables_one_after_the_other_keep_all_rows_and_columns() -> None:
    some = frames()
    whole = encoded.together([encoded.table(frame) for frame in some])
    expected = pl.concat(some, how="diagonal")
    for name in expected.columns:
        chunks = [encoded.plain(chunk).to_pylist() for chunk in whole[name].chunks]
        assert [value for chunk in chunks for value in chunk] == expected[name].to_list()


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
@pytest.mark.parametrize("by_kernels", [True, False])
def test_a_file_is_the_same_with_dictionaries_and_without(
    suffix: str, by_kernels: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not by_kernels:
        monkeypatch.setattr(native, "kernels", None)
    path = tmp_path / f"out.{suffix}"
    with export.export_one(STARTS, path) as target:
        for frame in frames():
            target.add(Batch({STARTS: frame}, schema.census([])))
    expected = pl.concat(frames(), how="diagonal")
    if suffix == "csv":
        read = pl.read_csv(path, infer_schema=False)
        assert read["host"].to_list() == expected["host"].to_list()
        assert read["CommandLine"].to_list() == expected["CommandLine"].to_list()
        return
    read = pl.read_parquet(path)
    assert {name: read.schema[name] for name in expected.columns} == dict(expected.schema)
    assert read.select(expected.columns).equals(expected, null_equal=True)
    assert not any(pa.types.is_dictionary(kind) for kind in pq.read_schema(path).types)
