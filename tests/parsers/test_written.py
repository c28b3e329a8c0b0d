"""What text exports write, as EVTX would have it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parsers.written import braced, shifted, text, unsigned, utc, zone


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("", ""),
        (None, ""),
        (True, "true"),
        (False, "false"),
        (-5, "-5"),
        (1 << 70, str(1 << 70)),
        (0.1, "0.1"),
        ([1], "[1]"),
    ],
)
def test_values_of_json_are_texts(value: object, shown: str) -> None:
    assert text(value) == shown


@given(st.integers(0, (1 << 64) - 1))
def test_a_mask_is_the_same_number_signed_or_not(mask: int) -> None:
    signed = mask - (1 << 64) if mask >> 63 else mask
    assert unsigned(signed) == unsigned(str(signed)) == str(mask)


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-03-02T08:15:00.1234567Z", "2026-03-02T08:15:00.1234567Z"),
        ("2026-03-02T00:15:00.1234567+02:00", "2026-03-01 22:15:00.1234567Z"),
        ("2026-03-02 23:45:00,5 -0530", "2026-03-03 05:15:00.5Z"),
        ("2026-03-02 08:15:00", None),
        ("2026-02-30T08:15:00+01:00", None),
        ("0001-01-01T00:00:00+01:00", None),
        ("yesterday", None),
    ],
)
def test_moments_with_a_zone_are_turned_into_utc(written: str, moment: str | None) -> None:
    assert utc(written) == moment


def test_a_moment_without_a_zone_is_moved() -> None:
    assert shifted("2026-03-02 01:15:00.25", timedelta(hours=-2)) == "2026-03-01 23:15:00.25Z"
    assert shifted("soon", timedelta()) is None


@pytest.mark.parametrize(
    ("local", "in_utc", "hours"),
    [
        ("2026-03-02 17:45:42", "2026-03-02T21:45:42.739Z", -4.0),
        ("2026-03-02 13:31:00", "2026-03-02 08:00:00.000", 5.5),
        ("2026-03-02 08:00:00", "2026-03-02 08:00:01", 0.0),
        ("2026-03-02 08:07:00", "2026-03-02 08:00:00", None),
        ("2026-03-02 08:00:00", "2026-03-03 08:00:00", None),
        ("now", "2026-03-02 08:00:00", None),
        ("2026-03-02T08:00:00Z", "2026-03-02", None),
    ],
)
def test_two_readings_tell_the_zone_or_none(local: str, in_utc: str, hours: float | None) -> None:
    found = zone(local, in_utc)
    assert (found.total_seconds() / 3600 if found is not None else None) == hours


def test_guids_get_braces_only_where_the_writer_leaves_them_out() -> None:
    guid = "5770385F-C22A-43E0-BF4C-06F5698FFBD9"
    assert braced({"System.ProviderGuid": guid, "A": guid})["A"] == f"{{{guid}}}"
    assert braced({"System.ProviderGuid": f"{{{guid}}}", "A": guid})["A"] == guid
