"""Written times, many at once: the same as one by one, and as datetime reads them."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hunt.schema import conform
from parsers import times


def read(*texts: str) -> list[int] | None:
    found = times.read(np.array([[ord(c) for c in text] for text in texts], np.uint16))
    return None if found is None else found.tolist()


@given(st.lists(st.datetimes(datetime(1678, 1, 1), datetime(2261, 12, 31, 23, 59, 59)), min_size=1, max_size=5))
def test_every_time_is_the_number_that_datetime_gives(moments: list[datetime]) -> None:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    milli = [at.replace(microsecond=at.microsecond // 1000 * 1000, tzinfo=UTC) for at in moments]
    since = [(at - epoch).days * 86_400_000_000_000 + (at - epoch).seconds * 1_000_000_000 for at in milli]
    expected = [seconds + at.microsecond * 1000 for seconds, at in zip(since, milli, strict=True)]
    assert read(*(f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}".rjust(23, "0") for at in milli)) == expected


GOOD = "2026-03-02 08:15:00.123"


@given(st.integers(0, 22), st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]))
def test_a_time_with_any_other_character_is_read_as_the_schema_reads_it_or_left_to_it(at: int, other: str) -> None:
    text = GOOD[:at] + other + GOOD[at + 1 :]
    row = {"provider": ["Microsoft-Windows-Sysmon"], "UtcTime": [text]}
    (expected,) = conform(pl.DataFrame(row), 1)["UtcTime"].dt.epoch("ns")
    found = read(text)
    assert found is None or found == [expected]
    assert (found is None) == (expected is None)


_NONE = [
    "2025-02-29 00:00:00.000", "1900-02-29 00:00:00.000", "1677-12-31 00:00:00.000", "2262-01-01 00:00:00.000",
    "2026-00-01 00:00:00.000", "2026-04-31 00:00:00.000", "2026-01-01 24:00:00.000", "2026-01-01 00:60:00.000",
    "2026-01-01 00:00:60.000",
]  # fmt: skip


@pytest.mark.parametrize("text", _NONE)
def test_one_time_that_is_none_leaves_all_to_the_schema(text: str) -> None:
    assert read(GOOD, text, GOOD) is None


def test_leap_days_are_days() -> None:
    days = [86_400_000_000_000 * day for day in (11_016, 19_782)]
    assert read("2000-02-29 00:00:00.000", "2024-02-29 00:00:00.000") == days
