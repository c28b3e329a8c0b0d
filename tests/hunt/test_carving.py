"""`hunt carve`, and hunts in what was recovered: `hunt run --carve` and `--slack`."""

from __future__ import annotations

import struct
from pathlib import Path

import polars as pl
import pytest

from hunt.model import SYSMON
from samples.evtx_writer import log_bytes, sysmon_event, sysmon_process, write_log
from tests.helpers import OUTLOOK, POWERSHELL
from tests.hunt.test_cli import hunt, last, refused
from tests.parsers.logs import summed
from tests.parsers.raw_data import chunks, junk, record

TIME = "2026-03-02 08:15:00"
parent = sysmon_process(Image=POWERSHELL, time=TIME)
child = sysmon_process(Image=OUTLOOK, time="2026-03-02 08:15:05", parent=parent)
PAIR = log_bytes([parent, child, sysmon_event(5, time=TIME)])


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    path = tmp_path / "disk.raw"
    path.write_bytes(junk(4097) + chunks(PAIR)[0] + junk(100) + chunks(PAIR)[0] + junk(9))
    return path


def findings(out: Path) -> pl.DataFrame:
    return pl.read_csv(out / "findings.csv")


def stale(log: bytes, live: int = 1) -> bytes:
    """A log in whose only chunk the first records were written anew: the others stand behind them, in slack."""
    content = bytearray(log)
    end = 512 + sum(len(record(log, number)) for number in range(1, live + 1))
    struct.pack_into("<QQQQ", content, 4096 + 8, 1, live, 1, live)
    struct.pack_into("<II", content, 4096 + 44, 512, end)
    return summed(bytes(content))


# carve


def test_each_event_is_written_once_with_every_place_it_was_found_in(raw: Path, tmp_path: Path) -> None:
    result = hunt("carve", raw, "-o", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (0, f"{SYSMON}:1\t2\n{SYSMON}:5\t1\n")
    assert last(result) == "hunt: 3 events carved out of 1 files, 2 types"
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert [name.rsplit(".", 2)[-2:] for name in files] == [["1", "parquet"], ["5", "parquet"], ["problems", "csv"]]
    starts = pl.read_parquet(tmp_path / "out" / files[0])
    assert starts["Image"].to_list() == [POWERSHELL, OUTLOOK]
    assert starts["recovered"].to_list() == [True, True]
    assert [[at["path"] for at in sources] for sources in starts["sources"].to_list()] == [["disk.raw"] * 2] * 2
    assert (tmp_path / "out" / "problems.csv").read_text() == "source,channel,offset,record_id,kind,reason\n"


def test_live_events_are_not_repeated(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "live.evtx").write_bytes(stale(PAIR, 2))
    result = hunt("carve", raw, "--live", tmp_path / "logs", "-o", tmp_path / "out")
    assert last(result) == "hunt: 1 events carved out of 1 files, 1 types; 2 more are live"
    (found,) = (tmp_path / "out").glob("*.parquet")
    assert found.name.endswith(".5.parquet")


def test_live_logs_tell_what_single_records_mean(tmp_path: Path) -> None:
    write_log(tmp_path / "live.evtx", [parent])
    (tmp_path / "page.sys").write_bytes(junk(50) + record(PAIR, 2) + junk(50))
    assert hunt("carve", tmp_path / "page.sys", "-o", tmp_path / "one").exit_code == 3
    result = hunt("carve", tmp_path / "page.sys", "--live", tmp_path / "live.evtx", "-o", tmp_path / "two")
    assert last(result) == "hunt: 1 events carved out of 1 files, 1 types; 0 more are live"


def test_records_that_can_not_be_read_stand_in_problems_csv(tmp_path: Path) -> None:
    (tmp_path / "page.sys").write_bytes(junk(50) + record(PAIR, 2))
    result = hunt("carve", tmp_path / "page.sys", "-o", tmp_path / "out")
    assert result.exit_code == 3
    assert last(result) == (
        "hunt: 0 events carved out of 1 files, 0 types; part of the evidence could not be read "
        "(1 problems: problems.csv)"
    )
    (row,) = pl.read_csv(tmp_path / "out" / "problems.csv").iter_rows(named=True)
    assert (row["source"], row["offset"], row["record_id"], row["kind"]) == ("page.sys", 50, 2, "record")
    assert "template not found" in row["reason"] and "written 2026-03-02T08:15:05" in row["reason"]


def test_the_same_raw_data_give_the_same_bytes(raw: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        hunt("carve", raw, "-o", tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert [(tmp_path / "one" / name).read_bytes() for name in files] == [
        (tmp_path / "two" / name).read_bytes() for name in files
    ]


def test_raw_data_are_left_as_they_are(raw: Path, tmp_path: Path) -> None:
    before = raw.read_bytes(), raw.stat().st_mtime_ns, sorted(path.name for path in tmp_path.iterdir())
    hunt("carve", raw, "-o", tmp_path / "out")
    hunt("run", "--carve", raw)
    (tmp_path / "out").rename(tmp_path.parent / f"{tmp_path.name}-out")
    assert (raw.read_bytes(), raw.stat().st_mtime_ns, sorted(path.name for path in tmp_path.iterdir())) == before


def test_what_can_not_be_carved_is_refused(raw: Path, tmp_path: Path) -> None:
    assert "no such file" in refused("carve", tmp_path / "nowhere", "-o", tmp_path / "out")
    assert "is no file or disk" in refused("carve", tmp_path, "-o", tmp_path / "out")
    assert "is a file" in refused("carve", raw, "-o", raw)
    assert "is needed" in refused("run")


# run


def test_hunts_run_over_what_was_carved_and_findings_say_so(raw: Path, tmp_path: Path) -> None:
    result = hunt("run", "--carve", raw, "-o", tmp_path / "out")
    assert result.exit_code == 0
    (row,) = findings(tmp_path / "out").iter_rows(named=True)
    assert row["confidence"] == "medium"
    assert row["reason"].endswith("; 2 of its 2 events recovered, not live (step 1, 2)")
    assert row["evidence"] == '["ParentProcessGuid", "recovered"]'
    assert row["sources"] == '["disk.raw"]'
    events = pl.read_csv(tmp_path / "out" / "events.csv")
    assert POWERSHELL.replace("\\", "\\\\") in events["fields"][0]
    assert "IntegrityLevel" in events["fields"][0]


def test_a_finding_is_the_same_whether_its_events_are_live_carved_or_both(raw: Path, tmp_path: Path) -> None:
    live = tmp_path / "live.evtx"
    live.write_bytes(PAIR)
    said = {}
    for name, arguments in {"live": [live], "carved": ["--carve", raw], "both": [live, "--carve", raw]}.items():
        hunt("run", *arguments, "-o", tmp_path / name)
        (said[name],) = findings(tmp_path / name).iter_rows(named=True)
    assert {row["finding_id"] for row in said.values()} == {said["live"]["finding_id"]}
    changed = {c for c, value in said["live"].items() if said["both"][c] != value}
    assert changed == {"sources"}
    assert said["both"]["sources"] == '["disk.raw", "live.evtx"]'


def test_raw_data_and_a_log_of_the_same_name_are_told_apart(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "disk.raw").write_bytes(PAIR)
    hunt("run", tmp_path / "logs", "--carve", raw, "-o", tmp_path / "out")
    assert findings(tmp_path / "out")["sources"].to_list() == ['["disk.raw", "disk.raw#2"]']


def test_stale_records_join_the_hunts_when_asked_for(tmp_path: Path) -> None:
    log = tmp_path / "log.evtx"
    log.write_bytes(stale(PAIR))
    hunt("run", log, "-o", tmp_path / "live")
    assert findings(tmp_path / "live")["start_source"].to_list() == []
    hunt("run", log, "--slack", "-o", tmp_path / "slack")
    (row,) = findings(tmp_path / "slack").iter_rows(named=True)
    assert row["confidence"] == "medium"
    assert row["reason"].endswith("; 1 of its 2 events recovered, not live (step 2)")


def test_a_host_of_which_stale_records_alone_are_left_is_hunted_in(tmp_path: Path) -> None:
    """They are in no census: a query must not be taken for one that could not run there, nor for one that saw all."""
    log = tmp_path / "log.evtx"
    log.write_bytes(stale(log_bytes([sysmon_event(5, time=TIME), parent, child])))
    result = hunt("run", log, "--slack", "-q", "outlook-script-host", "-o", tmp_path / "out")
    assert result.exit_code == 0
    assert findings(tmp_path / "out").height == 1
    query = pl.read_csv(tmp_path / "out" / "queries.csv")
    assert query["status"].to_list() == ["partly"]
    assert query["reason"].item().startswith(f"event 1 of {SYSMON} was only recovered: most are missing")
    told = hunt("coverage", log, "--slack", "-q", "outlook-script-host", "--format", "csv").stdout
    assert told == (tmp_path / "out" / "coverage.csv").read_text(encoding="utf-8")
    assert "could have fired" in told


# frame


def test_stale_records_that_are_live_elsewhere_are_not_repeated(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "a.evtx").write_bytes(stale(PAIR))
    (logs / "b.evtx").write_bytes(stale(PAIR))
    shown = {}
    for name in ("apart", "with the live log"):
        hunt("frame", logs, "-e", "sysmon:1", "--slack", "-o", tmp_path / "out.parquet")
        found = pl.read_parquet(tmp_path / "out.parquet")
        shown[name] = found.select("source", "record_id", "recovered").rows()
        (logs / "c.evtx").write_bytes(PAIR)
    live = [("a.evtx", 1, False), ("b.evtx", 1, False)]
    assert shown["apart"] == [*live, ("a.evtx", 2, True)]
    assert shown["with the live log"] == [*live, ("c.evtx", 1, False), ("c.evtx", 2, False)]
