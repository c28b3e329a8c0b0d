"""`hunt frame` and `hunt verify`: the events themselves, and whether two parsers agree on them."""

from __future__ import annotations

import struct
from pathlib import Path

import polars as pl
import pytest

from hunt.model import SYSMON
from samples.evtx_writer import log_bytes, sysmon_event, sysmon_process, write_log
from tests.helpers import OUTLOOK, ROOT
from tests.hunt.test_cli import damage, hunt, last, refused

SAMPLES = ROOT / "samples" / "logs"
TIME = "2026-03-02 08:15:00"


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    write_log(folder / "a.evtx", [sysmon_process(Image=OUTLOOK, time=TIME), sysmon_event(5, time=TIME)])
    write_log(folder / "b.evtx", [sysmon_process(Image=rf"C:\{n}.exe", time=TIME) for n in range(3)])
    return folder


# frame


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize("named", ["sysmon:1", f"{SYSMON}:1", f"{SYSMON.upper()}:01"])
def test_the_events_of_one_type_become_a_file(named: str, suffix: str, logs: Path, tmp_path: Path) -> None:
    out = tmp_path / f"out{suffix}"
    result = hunt("frame", logs, "-e", named, "-o", out)
    assert (result.exit_code, result.stdout) == (0, "")
    assert last(result) == "hunt: 4 rows in 1 files; 5 of 5 records read in 2 logs"
    found = pl.read_parquet(out) if suffix == ".parquet" else pl.read_csv(out)
    assert found["Image"].to_list() == [OUTLOOK, *(rf"C:\{n}.exe" for n in range(3))]
    assert found["source"].to_list() == ["a.evtx"] + ["b.evtx"] * 3


def test_an_event_type_that_was_not_met_is_a_file_of_no_rows(logs: Path, tmp_path: Path) -> None:
    result = hunt("frame", logs, "-e", "Security:4688", "-o", tmp_path / "out.parquet")
    assert result.exit_code == 0
    found = pl.read_parquet(tmp_path / "out.parquet")
    assert found.height == 0
    assert {"time", "host", "source"} <= set(found.columns)


def test_all_event_types_become_a_file_each(logs: Path, tmp_path: Path) -> None:
    assert hunt("frame", logs, "--all", "-o", tmp_path / "out").exit_code == 0
    heights = {path.name: pl.read_parquet(path).height for path in (tmp_path / "out").iterdir()}
    assert list(heights.values()).count(4) == 1
    assert sum(heights.values()) == 5
    assert len(heights) == 2


@pytest.mark.parametrize("jobs", [1, 2, 7])
def test_how_many_jobs_read_changes_not_a_byte(jobs: int, tmp_path: Path) -> None:
    for name, count in (("one", 1), ("more", jobs)):
        hunt("frame", SAMPLES, "-e", "sysmon:1", "-o", tmp_path / f"{name}.csv", "--jobs", count)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "more.csv").read_bytes()


def test_slack_brings_stale_records(logs: Path, tmp_path: Path) -> None:
    content = bytearray((logs / "b.evtx").read_bytes())
    first = struct.unpack_from("<I", content, 4608 + 4)[0]
    struct.pack_into("<QQQQ", content, 4096 + 8, 1, 1, 1, 1)
    struct.pack_into("<II", content, 4096 + 44, 512, 512 + first)
    content[4096 + 120] |= 4  # no checksums
    (logs / "b.evtx").write_bytes(content)
    recovered = []
    for option in ([], ["--slack"]):
        hunt("frame", logs / "b.evtx", "-e", "sysmon:1", "-o", tmp_path / "out.parquet", *option)
        recovered.append(pl.read_parquet(tmp_path / "out.parquet")["recovered"].to_list())
    assert recovered == [[False], [False, True, True]]


def test_what_can_not_be_read_is_told_and_the_rest_written(logs: Path, tmp_path: Path) -> None:
    damage(logs / "b.evtx")
    result = hunt("frame", logs, "-e", "sysmon:1", "-o", tmp_path / "out.parquet")
    assert result.exit_code == 3
    assert "b.evtx at " in result.stderr
    assert "3 rows in 1 files; 4 of 5 records read" in last(result)
    assert pl.read_parquet(tmp_path / "out.parquet").height == 3


@pytest.mark.parametrize("named", ["sysmon", "sysmon:", ":1", "sysmon:x", "sysmon:-1", "sysmon:9999999999"])
def test_what_is_no_event_type_is_refused(named: str, logs: Path, tmp_path: Path) -> None:
    assert "an event type is CHANNEL:ID" in refused("frame", logs, "-e", named, "-o", tmp_path / "out.csv")


def test_one_of_an_event_type_and_all_is_needed(logs: Path, tmp_path: Path) -> None:
    assert "is needed" in refused("frame", logs, "-o", tmp_path / "out.csv")
    assert "is needed" in refused("frame", logs, "-e", "sysmon:1", "--all", "-o", tmp_path / "out.csv")


def test_files_that_can_not_be_written_are_refused(logs: Path, tmp_path: Path) -> None:
    assert "can write .parquet and .csv only" in refused("frame", logs, "-e", "sysmon:1", "-o", tmp_path / "out.txt")
    assert "can't write" in refused("frame", logs, "-e", "sysmon:1", "-o", tmp_path / "no" / "out.csv")
    (tmp_path / "file").touch()
    assert "is a file" in refused("frame", logs, "--all", "-o", tmp_path / "file")
    assert "is evidence" in refused("frame", logs, "--all", "-o", logs)


def test_evidence_is_never_replaced_by_results(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_bytes(log_bytes([sysmon_process(Image=OUTLOOK, time=TIME)]))
    before = log.read_bytes()
    result = hunt("frame", log, "-e", "sysmon:1", "-o", log)
    assert result.exit_code == 2
    assert log.read_bytes() == before


# verify


def test_parsers_that_agree_end_with_0(logs: Path) -> None:
    result = hunt("verify", logs)
    assert (result.exit_code, result.stdout) == (0, "")
    assert last(result) == "hunt: 0 differences in 5 records of 2 logs; 0 more are known faults"


def test_known_faults_are_explained_and_no_failure() -> None:
    result = hunt("verify", SAMPLES / "forwarded.evtx")
    assert result.exit_code == 0
    assert [line.endswith("(explained)") for line in result.stdout.splitlines()] == [True, True]
    assert last(result) == "hunt: 0 differences in 5 records of 1 logs; 2 more are known faults"
    assert hunt("verify", SAMPLES / "forwarded.evtx", "--quiet").stdout == ""


def test_a_difference_is_told_with_its_place_and_ends_with_1(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hunt.parsers import event_xml, evtx_reference

    parse = event_xml.parse

    def wrong(xml: str) -> event_xml.Row:
        row = parse(xml)
        return row | {"Image": "other\x1b[31m"} if row.get("Image") == r"C:\1.exe" else row

    monkeypatch.setattr(evtx_reference.event_xml, "parse", wrong)
    result = hunt("verify", logs)
    assert result.exit_code == 1
    (line,) = result.stdout.splitlines()
    assert line.startswith("b.evtx | ")
    assert r"C:\\1.exe" in line and "other" in line
    assert "\x1b" not in line
    assert last(result).startswith("hunt: 1 differences in 5 records of 2 logs")


def test_evidence_that_can_not_be_read_ends_with_3(logs: Path) -> None:
    damage(logs / "b.evtx")
    assert hunt("verify", logs).exit_code == 3
