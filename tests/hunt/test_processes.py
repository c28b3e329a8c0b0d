"""What Sysmon's fields say of processes."""

from __future__ import annotations

import polars as pl
import pytest

from hunt import processes
from hunt.model import SYSMON
from tests.helpers import OUTLOOK, Row, case, start


def of(text: str | None, expression: pl.Expr) -> object:
    return pl.DataFrame({"x": [text]}, schema={"x": pl.String}).select(expression)[0, 0]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (r"C:\Windows\System32\CMD.exe", "cmd.exe"),
        ("cmd.exe", "cmd.exe"),
        ("C:/Windows/cmd.exe", "cmd.exe"),
        (r"\\?\C:\a\B.EXE", "b.exe"),
        (r"\\server\share\b.exe", "b.exe"),
        ("C:\\dir.exe\\", ""),
        ("C:\\Ä\\ÄÖ.EXE", "äö.exe"),
        ("C:\\a\nb\\c.exe", "c.exe"),
        ("", ""),
        (None, None),
    ],
)
def test_the_base_name_is_what_follows_the_last_slash(path: str | None, name: str | None) -> None:
    assert of(path, processes.base_name("x")) == name


@pytest.mark.parametrize(
    ("guid", "seconds"),
    [
        ("{365ABB72-7ACC-5CC4-0000-0010B2470300}", 0x5CC47ACC),  # an explorer.exe of 2019-04-27
        ("{00000000-FFFF-7FFF-0000-000000000000}", 0x7FFFFFFF),
        ("{00000000-FFFF-FFFF-0000-000000000000}", 0xFFFFFFFF),
        ("{00000000-0000-0000-0000-000000000001}", 0),
    ],
)
def test_a_process_guid_tells_the_second_of_the_start(guid: str, seconds: int) -> None:
    frame = pl.DataFrame({"x": [guid]}).select(processes.start_second(pl.col("x")).dt.timestamp("ms"))
    assert frame[0, 0] == seconds * 1000


@pytest.mark.parametrize("guid", [None, "", "-", "{}", "{365ABB72-7ACC}", "{365ABB72-7ACZ-5CC4-0000-0010B2470300}"])
def test_what_is_no_guid_tells_nothing(guid: str | None) -> None:
    assert of(guid, processes.start_second(pl.col("x"))) is None


_SHA = "aB" * 32


@pytest.mark.parametrize(
    ("hashes", "sha256"),
    [
        (f"SHA1=11,MD5=22,SHA256={_SHA},IMPHASH=33", _SHA.lower()),
        (f"SHA256={_SHA}", _SHA.lower()),
        (f"sha256={_SHA}", _SHA.lower()),
        (f"NOTSHA256={_SHA}", None),
        (f"SHA256={_SHA}0", None),
        (f"SHA256={_SHA[1:]}", None),
        ("SHA1=11", None),
        ("", None),
        (None, None),
    ],
)
def test_the_sha256_is_taken_out_of_hashes(hashes: str | None, sha256: str | None) -> None:
    assert of(hashes, processes.sha256("x")) == sha256


def distinct(*rows: Row) -> pl.DataFrame:
    return processes.distinct_starts(case(*rows).frame(SYSMON, 1)).collect()


def test_a_start_logged_under_two_record_ids_is_one_and_keeps_the_lower() -> None:
    row = start(OUTLOOK, record_id="70", source="a.evtx")
    again = row | {"record_id": "5", "source": "b.evtx"}
    assert distinct(row, again)["record_id"].to_list() == [5]
    assert distinct(row | {"source": "c.evtx"}, again)["record_id"].to_list() == [5]


@pytest.mark.parametrize("change", [{"host": "WS02"}, {"UtcTime": "2026-03-02 08:15:00.001"}])
def test_a_guid_on_another_host_or_at_another_time_is_another_start(change: Row) -> None:
    row = start(OUTLOOK)
    assert distinct(row, row | {"record_id": "70"} | change).height == 2


def test_starts_without_a_guid_all_stay() -> None:
    row = start(OUTLOOK, ProcessGuid=None)
    assert distinct(row, row | {"record_id": "70"}).height == 2


def test_host_key_is_the_host_without_case() -> None:
    assert distinct(start(OUTLOOK, host="Ws01.X"))["host_key"].to_list() == ["ws01.x"]
