"""The census that comes with decoding: the same as that of all rows read, wanted or not, whatever the log holds."""

from __future__ import annotations

from dataclasses import replace
from functools import partialmethod
from pathlib import Path

import polars as pl
import pytest

from hunt import runs, schema
from hunt.model import Reading, Wants
from parsers import census
from parsers.evtx import PARSER
from samples.evtx_writer import Event, log_bytes, sysmon_event, sysmon_process
from tests.helpers import ROOT, evidence, gather, gather_bytes

SAMPLES = sorted(ROOT.glob("samples/*/*.evtx"))
NOTHING = Reading(Wants({}))


def whole(found: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Counts and runs of a census, sorted."""
    keys = list(schema.CENSUS_KEYS)
    told = found.select(*schema.LOG, "runs").explode("runs").unnest("runs").drop_nulls("more")
    return found.drop("runs").sort(keys, nulls_last=True), runs.union(told, schema.LOG)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_it_is_that_of_all_rows_whether_they_were_wanted_or_not(path: Path) -> None:
    everything = gather(PARSER, [evidence(path)])
    counted = whole(schema.census(everything.frames.values()))
    for reading in (Reading(), NOTHING):
        found = whole(gather(PARSER, [evidence(path)], reading).census)
        assert all(one.equals(other) for one, other in zip(found, counted, strict=True))


def test_real_logs_have_the_census_of_their_rows(real_evidence: Path) -> None:
    paths = sorted(real_evidence.glob("quirks/*.evtx"))[:8]
    files = [evidence(path) for path in paths if path.stat().st_size < 3 << 20]
    counted = whole(schema.census(gather(PARSER, files).frames.values()))
    found = whole(gather(PARSER, files, NOTHING).census)
    assert all(one.equals(other) for one, other in zip(found, counted, strict=True))


def test_the_event_record_id_counts_and_not_the_header_of_an_export(tmp_path: Path) -> None:
    log = [
        sysmon_event(5, time=f"2026-03-02 08:00:{n:02d}", record_id=700 + n, logged=f"2026-03-02 08:00:{n:02d}")
        for n in (0, 1, 2, 5, 6)
    ]
    renumbered = [_with_header(event, n + 1) for n, event in enumerate(log)]
    (row,) = gather_bytes(PARSER, tmp_path, log_bytes(renumbered), NOTHING).census.to_dicts()
    assert [(run["first"], run["last"]) for run in row["runs"]] == [(700, 702), (705, 706)]
    assert (row["records"], row["renumbered"]) == (5, 5)
    assert (str(row["start"]), str(row["end"])) == ("2026-03-02 08:00:00+00:00", "2026-03-02 08:00:06+00:00")


def _with_header(event: Event, number: int) -> Event:
    return replace(event, header_id=number)


def test_runs_are_told_once_for_a_log_of_many_event_ids(tmp_path: Path) -> None:
    log = [sysmon_process(Image="a.exe"), *(sysmon_event(n, time="2026-03-02 08:15:01") for n in (5, 22))]
    found = gather_bytes(PARSER, tmp_path, log_bytes(log), NOTHING).census
    assert found["event_id"].to_list() == [1, 5, 22]
    assert [None if told is None else len(told) for told in found["runs"].to_list()] == [1, None, None]


def test_records_of_another_layout_are_read_one_by_one_and_beyond_a_number_counted_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = [sysmon_event(5, time=f"2026-03-02 08:00:{n:02d}", record_id=10 + n) for n in range(6)]
    usual = gather_bytes(PARSER, tmp_path, log_bytes(log), NOTHING).census
    monkeypatch.setattr(census, "_UINT64", 0x08)  # no record has such an id
    assert gather_bytes(PARSER, tmp_path, log_bytes(log), NOTHING).census.equals(usual)
    monkeypatch.setattr(census.Census, "__init__", partialmethod(census.Census.__init__, _left=2))
    (row,) = gather_bytes(PARSER, tmp_path, log_bytes(log), NOTHING).census.to_dicts()
    assert row["records"] == 6
    assert [(run["first"], run["last"]) for run in row["runs"]] == [(None, None), (10, 11)]


def test_too_many_names_for_one_number_are_counted_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_bytes([sysmon_event(5, time=n, host=f"WS{n % 3}", record_id=10 + n) for n in range(9)])
    usual = gather_bytes(PARSER, tmp_path, log, NOTHING).census
    monkeypatch.setattr(census.math, "prod", lambda sizes: 1 << 62)
    assert gather_bytes(PARSER, tmp_path, log, NOTHING).census.equals(usual)
