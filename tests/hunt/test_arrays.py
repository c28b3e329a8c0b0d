"""The same as numpy and Polars give, without what they import for it."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from hunt import arrays


@pytest.mark.parametrize("seed", range(20))
def test_groups_are_those_of_numpy(seed: int) -> None:
    chance = random.Random(seed)
    numbers = np.array(chance.choices(range(-3, chance.randrange(1, 9)), k=chance.randrange(40)), np.int64)
    values, firsts, which = np.unique(numbers, return_index=True, return_inverse=True)
    found = arrays.grouped(numbers)
    assert (found.values.tolist(), found.firsts.tolist(), found.which.tolist()) == (
        values.tolist(),
        firsts.tolist(),
        which.tolist(),
    )


@pytest.mark.parametrize("column", [[1, None], ["a", None, "b" * 30], [["x"], None, []]])
def test_a_series_holds_what_the_arrow_array_holds(column: list[object]) -> None:
    given = pl.Series(column)
    assert arrays.series(given.to_arrow()).to_list() == column


def test_reading_a_log_imports_nothing_that_costs_more_than_it_gives(tmp_path: object) -> None:
    out = f"{tmp_path}/x.parquet"
    code = f"""
import sys
from hunt.cli import main
sys.argv = ["hunt", "frame", "samples/logs/application.evtx", "-e", "Application:1000", "-o", {out!r}, "--quiet"]
try:
    main()
finally:
    print(*sorted({{"pyarrow.compute", "Evtx", "dissect", "py7zr", "rich"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    "values",
    [np.arange(5, dtype=np.uint32), np.arange(9)[::2], np.empty(0, np.uint64), np.array([True, False] * 9)],
    ids=["numbers", "with gaps", "none", "truth values"],
)
def test_a_column_holds_what_the_array_held(values: np.ndarray[tuple[int], np.dtype[np.generic]]) -> None:
    column = arrays.numbers("n", values)
    expected = values.tolist()
    values[:] = 0
    assert column.name == "n"
    assert column.to_list() == expected


def test_nobody_waits_for_ever_for_a_column_of_an_array_to_be_let_go_of() -> None:
    """`DataFrame.serialize` lets a thread of Polars' align the chunks of columns, and keeps the interpreter's lock."""
    code = """
import pickle
import numpy as np, polars as pl
from hunt import arrays
for _ in range(10):
    parts = [pl.DataFrame([arrays.numbers(name, np.arange(1000)) for name in "xy"]) for _ in range(8)]
    frame = pl.concat(parts, rechunk=False).with_columns(pl.Series("z", range(8000)))
    assert pickle.loads(pickle.dumps(frame)).equals(frame)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
