"""Texts looked up together, in columns of any size and shape."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hunt import schema
from hunt.sigma import columns, literals
from hunt.sigma.columns import column
from hunt.sigma.literals import Literals


def found(values: list[str | None], asked: list[tuple[str, str]]) -> dict[int, list[int]]:
    """By place of what is asked (text, how), the rows that have it."""
    own = Literals()
    for number, (text, op) in enumerate(asked):
        own.add(text, op, number)
    texts = column(pl.DataFrame({"x": pl.Series(values, dtype=pl.String)}), "x", {})
    return {test: texts.rows(texts.flags(codes), None).tolist() for test, codes in own.found(texts).items()}


def test_all_texts_that_stand_in_a_value_are_found_however_they_overlap() -> None:
    asked = [("abc", "contains"), ("bcd", "contains"), ("abcd", "contains"), ("bc", "contains"), ("zzz", "contains")]
    assert found(["xABCDx", None, "abc", ""], asked) == {0: [0, 2], 1: [0], 2: [0], 3: [0, 2]}


def test_one_text_may_be_asked_for_in_several_ways() -> None:
    asked = [("abc", op) for op in ("contains", "equals", "startswith", "endswith")]
    assert found(["abc", "abcx", "xabc", "xabcx", "abcabc"], asked) == {
        0: [0, 1, 2, 3, 4],
        1: [0],
        2: [0, 1, 4],
        3: [0, 2, 4],
    }


@pytest.mark.parametrize("distinct", [1, 500])
def test_a_column_is_searched_in_portions(distinct: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(literals, "_LEAST", 64)
    monkeypatch.setattr(literals, "_MOST", 128)
    monkeypatch.setattr(columns, "WHOLE", 100)
    values = [f"value {n % distinct:05} of many" for n in range(600)]
    values[17] = "x" * 1000 + "a needle" + "y" * 1000  # longer than a portion, and cut where the needle stands
    values[471] = "z" * 126 + "a needle"
    assert found(values, [("needle", "contains"), ("a needle", "endswith"), ("value 00000 of many", "equals")]) == {
        0: [17, 471],
        1: [471],
        2: [n for n in range(600) if n % distinct == 0 and n not in (17, 471)],
    }


def test_texts_that_end_with_each_other_are_given_less_room() -> None:
    nested = Literals()
    for length in range(3, 150):
        nested.add("a" * length, "contains", length)
    assert nested._most < literals._MOST // 50
    hostile = column(pl.DataFrame({"x": ["a" * 2_000]}), "x", {})
    assert len(nested.found(hostile)) == 147


def test_columns_of_numbers_times_and_lists_are_texts_once_for_each_value() -> None:
    frame = pl.DataFrame(
        {
            "hex": pl.Series([16, None, 255], dtype=pl.UInt64),
            "time": pl.Series([0, None, 1_500_000_000], dtype=pl.Int64).cast(schema.TIME),
            "list": [["a", "b"], [], ["c"]],
        }
    )
    kinds = {"hex": schema.Kind.HEX}
    assert _texts(frame, "hex", kinds) == [["0x10"], [], ["0xff"]]
    assert _texts(frame, "time", kinds) == [["1970-01-01 00:00:00.000"], [], ["1970-01-01 00:00:01.500"]]
    assert _texts(frame, "list", kinds) == [["a", "b"], [], ["c"]]
    assert _texts(frame, "nowhere|hex", kinds) == [["0x10"], [], ["0xff"]]
    assert _texts(frame, "list|hex", kinds) == [["a", "b"], [], ["c"]]
    assert _texts(frame, "nowhere", kinds) == [[], [], []]


def test_lists_that_read_alike_put_together_are_told_apart() -> None:
    frame = pl.DataFrame({"list": [["ab", "c"], ["a", "bc"], ["abc"], ["ab", "c"], [None, "x"]]})
    assert _texts(frame, "list", {}) == [["ab", "c"], ["a", "bc"], ["abc"], ["ab", "c"], ["x"]]


def _texts(frame: pl.DataFrame, name: str, kinds: dict[str, schema.Kind]) -> list[list[str]]:
    """What a column holds, row by row."""
    own = column(frame, name, kinds)
    found = []
    for code in own.codes:
        places, _ = own.texts_of(np.array([code], np.int64)) if code >= 0 else (np.empty(0, np.int64), None)
        found.append(own.values.gather(places).to_list())
    return found
