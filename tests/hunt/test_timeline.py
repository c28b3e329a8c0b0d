"""`hunt timeline`: the events of all logs in one order of time."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len

from hunt import schema, timeline
from hunt.cli import main
from hunt.errors import HuntError
from hunt.filters import Filters
from hunt.output import _timeline
from hunt.pipeline import Request
from hunt.timeline import Asked
from samples.evtx_writer import Event, sysmon_event, sysmon_process, write_log
from tests.helpers import OUTLOOK, POWERSHELL

HEADER = "time\thost\tchannel\tevent_id\tuser\tsummary"


def told(*arguments: object) -> Result:
    result = CliRunner().invoke(main, ["timeline", "--quiet", *map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def lines(*arguments: object) -> list[list[str]]:
    header, *rows = told(*arguments).stdout.splitlines()
    assert header == HEADER
    return [row.split("\t") for row in rows]


def process(
    minute: int, image: str = POWERSHELL, host: str = "WS01", user: str = r"CONTOSO\alice", **more: Any
) -> Event:
    return sysmon_process(
        Image=image, time=f"2026-03-02 08:{minute:02}:00", host=host, record_id=100 + minute, User=user, **more
    )


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Two hosts' logs, which overlap: five events in seven records."""
    one = [process(1), process(3, OUTLOOK, CommandLine="outlook.exe \x1b[31m /secret"), process(5)]
    two = [process(2, host="WS02", user=r"CONTOSO\bob"), sysmon_event(5, time="2026-03-02 08:04:00", host="WS02")]
    folder = tmp_path / "logs"
    folder.mkdir()
    write_log(folder / "a.evtx", one)
    write_log(folder / "b.evtx", two)
    write_log(folder / "c.evtx", one[:2])
    return folder


def minutes(*arguments: object) -> list[str]:
    return [row[0][14:16] for row in lines(*arguments)]


def test_events_of_all_logs_come_in_the_order_of_time_each_once(logs: Path) -> None:
    rows = lines(logs)
    assert [row[0] for row in rows] == [f"2026-03-02T08:0{minute}:00.000000Z" for minute in range(1, 6)]
    assert [row[1] for row in rows] == ["WS01", "WS02", "WS01", "WS02", "WS01"]
    assert rows[0][4] == r"CONTOSO\alice"
    assert rows[0][5].startswith(f"Image={POWERSHELL} CommandLine=")


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (("--host", "ws02"), ["02", "04"]),
        (("--since", "2026-03-02T08:03:00Z", "--until", "2026-03-02T08:04:00Z"), ["03", "04"]),
        (("--event-id", "5"), ["04"]),
        (("--event-id", "5", "--event-id", "1"), ["01", "02", "03", "04", "05"]),
        (("--channel", "sysmon", "--user", "BOB"), ["02"]),
        (("--contains", "OUTLOOK.EXE", "--contains", "/SECRET"), ["03"]),
        (("--contains", "nothing has this"), []),
    ],
)
def test_what_is_asked_for_is_shown(logs: Path, options: tuple[str, ...], shown: list[str]) -> None:
    assert minutes(logs, *options) == shown


def test_a_host_that_is_not_there_is_refused(logs: Path) -> None:
    result = told(logs, "--host", "WS99")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no host of the evidence is --host WS99" in result.stderr


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_terminal_gets_lines_of_its_width_with_the_programs_name_first(
    logs: Path, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", str(width))
    out = Terminal()
    asked = Asked(contains=("/secret",))
    timeline.tell(Request([logs]), asked, lambda parts: _timeline.write(parts, "table", False, out))
    (line,) = out.getvalue().splitlines()
    assert line.startswith("2026-03-02 08:03:00.000 WS01 Sysmon 1"[: width - 1])
    assert cell_len(line) <= width and line.endswith("…")
    assert width < 80 or "Sysmon 1  OUTLOOK.EXE CommandLine=outlook.exe" in line


def test_hidden_characters_are_shown(logs: Path) -> None:
    assert r"outlook.exe \x1b[31m /secret" in told(logs).stdout


def test_csv_and_json_lines_hold_the_same_rows(logs: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(told(logs, "--format", "csv", "--csv", "raw").stdout, newline="")))
    objects = [json.loads(line) for line in told(logs, "--format", "jsonl").stdout.splitlines()]
    assert [row["summary"] for row in rows] == [row["summary"] for row in objects]
    assert list(rows[0]) == list(objects[0]) == list(timeline.COLUMNS)
    assert told(logs, "--format", "csv", "--contains", "no such").stdout.splitlines() == [",".join(timeline.COLUMNS)]


def test_damage_is_told_and_ends_with_3(logs: Path) -> None:
    (logs / "text.evtx").write_text("text")
    result = told(logs)
    assert result.exit_code == 3
    assert "text.evtx" in result.stderr and "could not be read" in result.stderr.splitlines()[-1]


def test_more_rows_than_are_sorted_at_once_come_in_order_all_the_same(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = told(logs).stdout
    monkeypatch.setattr(timeline, "_AT_ONCE", 2)
    assert told(logs).stdout == whole


def frame(times: list[str | None], **columns: list[object]) -> pl.DataFrame:
    count = len(times)
    rows = pl.DataFrame(
        {"host": ["WS"] * count, "channel": ["C"] * count, "event_id": [1] * count, "source": ["a"] * count}
        | {"record_id": [None] * count, "offset": list(range(count)), "recovered": [False] * count}
        | {"summary": ["x"] * count, "user": [None] * count, "_hash": [1] * count}
        | columns
    )
    at = pl.Series("time", times, dtype=pl.String).str.to_datetime(time_unit="ns", time_zone="UTC", strict=False)
    return rows.with_columns(at).select(*(pl.col(c).cast(d) for c, d in timeline.COLUMNS.items()), "_hash")


def test_what_has_no_time_comes_last_and_what_has_no_record_id_is_no_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "_AT_ONCE", 2)
    with timeline._Spool() as spool:
        for times in (["2026-03-02T08:01:00Z", None], ["2026-03-02T08:01:00Z", "2026-03-02T08:00:00Z"]):
            spool.add(frame(times).with_columns(pl.lit("b" if None not in times else "a").alias("source")))
        rows = pl.concat(timeline._once(spool.sorted()))
    assert rows.height == 4
    assert [str(time) for time in rows["time"].dt.minute()] == ["0", "1", "1", "None"]


def test_of_copies_the_live_one_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = frame(["2026-03-02T08:01:00Z"] * 2, record_id=[7, 7], recovered=[True, False], source=["a", "b"])
    (row,) = pl.concat(timeline._once(iter([twice]))).iter_rows(named=True)
    assert (row["recovered"], row["source"]) == (False, "b")


def test_a_long_event_is_cut_and_searched_whole(tmp_path: Path) -> None:
    write_log(tmp_path / "a.evtx", [process(1, CommandLine="x" * 5000 + " needle")])
    (row,) = lines(tmp_path, "--contains", "NEEDLE")
    assert re.search(r"x… \([0-9]+ characters\)$", row[5])
    assert len(row[5]) < 1_100


# Of the findings of an earlier run.


def test_the_events_of_findings_come_out_of_a_runs_folder(tmp_path: Path) -> None:
    parent = process(1, ProcessId=4244, LogonId=0x53CA2)
    child = sysmon_process(
        Image=OUTLOOK, time="2026-03-02 08:01:01", host="WS01", parent=parent, record_id=102, User=r"CONTOSO\alice",
        CommandLine="=outlook", ProcessId=5120, LogonId=0x53CA2,
    )  # fmt: skip
    write_log(tmp_path / "a.evtx", [process(0), parent, child])
    CliRunner().invoke(main, ["run", str(tmp_path), "-q", "outlook-script-host", "-o", str(tmp_path / "out")])
    rows = lines("-o", tmp_path / "out")
    assert [row[0][14:19] for row in rows] == ["01:00", "01:01"]
    assert "CommandLine==outlook" in rows[1][5]
    assert minutes("-o", tmp_path / "out", "--contains", "=outlook", "--user", "alice") == ["01"]
    assert "1 event of findings" in told("-o", tmp_path / "out", "--contains", "=outlook").stderr


def test_evidence_or_a_folder_is_needed_not_both(logs: Path) -> None:
    for arguments in ((), (logs, "-o", logs)):
        assert "one of EVIDENCE (or --case DIR) and -o OUT is needed" in told(*arguments).stderr


def test_a_name_that_holds_a_pattern_of_the_evidence_is_no_trouble(tmp_path: Path) -> None:
    write_log(tmp_path / "a.evtx", [process(1, host="[WS*")])
    with pytest.raises(HuntError):
        timeline.tell(Request([tmp_path]), Asked(Filters(hosts=("other",))), lambda parts: sum(p.height for p in parts))
    assert timeline.COLUMNS["time"] == schema.TIME
