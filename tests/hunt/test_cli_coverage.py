"""`hunt coverage`, and what a run says of what it could not see."""

from __future__ import annotations

import csv
import io
import json
import zlib
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len
from rich.console import Console

from hunt.cli import main
from hunt.coverage import FACTS
from hunt.model import SYSMON
from hunt.output import _coverage
from samples import damage
from samples.evtx_writer import Event, log_bytes, sysmon_event, sysmon_process, write_log
from tests.helpers import OUTLOOK, POWERSHELL, ROOT

HOST = "WS01.contoso.example"
FLAGSHIP = "outlook-script-host"


def hunt(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def events() -> list[Event]:
    """A start of Outlook by a script host, then a gap of ten records and a silence."""
    parent = sysmon_process(Image=POWERSHELL, time="2026-03-02 08:15:00", record_id=10)
    child = sysmon_process(Image=OUTLOOK, time="2026-03-02 08:15:02", parent=parent)
    later = [sysmon_event(5, time=f"2026-03-02 08:16:{n:02d}", record_id=22 + n) for n in range(60)]
    last = sysmon_event(5, time="2026-03-02 20:16:59")
    return [parent, child, *later, last]


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    write_log(folder / "sysmon.evtx", events())
    return folder


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def of_kind(kind: str, told: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    return [row for row in told if row["kind"] == kind]


def flagship(told: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """What is told of one query."""
    return [row for row in told if row["query"] == "outlook-script-host"]


def test_every_format_gets_the_same_facts(logs: Path, tmp_path: Path) -> None:
    result = hunt("coverage", logs, "--format", "csv", "-o", tmp_path / "out")
    assert result.exit_code == 0
    assert (tmp_path / "out" / "coverage.csv").read_text(encoding="utf-8") == result.stdout
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["coverage.csv", "problems.csv", "queries.csv"]
    told = rows(result.stdout)
    assert list(told[0]) == list(FACTS)
    lines = [json.loads(line) for line in hunt("coverage", logs, "--format", "jsonl").stdout.splitlines()]
    assert [{c: "" if v is None else str(v) for c, v in line.items()} for line in lines] == told
    header, *table = [line.split("\t") for line in hunt("coverage", logs).stdout.splitlines()]
    assert [dict(zip(header, cells, strict=True)) for cells in table] == told
    assert result.stderr == "hunt: 63 of 63 records read in 1 file of 1 host\n"


def test_the_holes_of_a_log_are_named(logs: Path) -> None:
    told = rows(hunt("coverage", logs, "--format", "csv").stdout)
    (gap,) = of_kind("gap", told)
    assert (gap["host"], gap["count"], gap["detail"]) == (HOST, "10", "record ids 12 to 21 are missing")
    assert (gap["start"][:19], gap["end"][:19]) == ("2026-03-02T08:15:02", "2026-03-02T08:16:00")
    (silence,) = of_kind("silence", told)
    assert silence["detail"].startswith("12.0 h without a record")
    (alive,) = of_kind("outlook_alive", told)
    assert "open-ended: no end in the evidence" in alive["detail"]
    missing = [row["event_id"] for row in flagship(of_kind("query_missing", told)) if row["channel"] == SYSMON]
    assert missing == ["7", "10", "11"]
    (unknown,) = of_kind("not_evaluable", told)
    assert (unknown["host"], unknown["query"], unknown["count"]) == (HOST, FLAGSHIP, "2")
    assert "the unsigned and new branch not evaluable: 2 of 2 process starts" in unknown["detail"]


def test_damage_is_told_and_exits_with_3(logs: Path) -> None:
    content = log_bytes(events())
    (logs / "bad.evtx").write_bytes(damage.overwrite_records(content, 0, [3]))
    (logs / "sum.evtx").write_bytes(content[:4096] + bytes([*content[4096:4216], 0, 0, 0, 0, *content[4220:]]))
    (logs / "cut.evtx").write_bytes(damage.cut(content, 0, 5))
    result = hunt("coverage", logs, "--format", "csv")
    assert result.exit_code == 3
    told = rows(result.stdout)
    bad = [row for row in of_kind("damage", told) if row["source"] == "bad.evtx"]
    assert [(row["host"], row["count"]) for row in bad] == [(HOST, "1")]
    assert int(bad[0]["bytes"]) > 100
    assert {row["source"] for row in of_kind("damage", told)} == {"bad.evtx", "cut.evtx"}
    assert {row["source"] for row in of_kind("checksum", told)} >= {"bad.evtx"}


def test_a_run_writes_coverage_too_the_same_bytes_each_time(logs: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert hunt("run", logs, "-o", tmp_path / name, "--quiet").exit_code == 0
    first, second = ((tmp_path / name / "coverage.csv").read_bytes() for name in ("a", "b"))
    assert first == second
    assert first.decode() == hunt("coverage", logs, "--format", "csv").stdout
    (query,) = flagship(rows((tmp_path / "a" / "queries.csv").read_text(encoding="utf-8")))
    assert query["status"] == "ran"
    assert "Sysmon/Operational: brokered grade A cannot be reached" in query["reason"]
    assert query["reason"].endswith("the unsigned and new branch not evaluable: 2 process starts")


def test_hostile_names_are_harmless_in_every_format(tmp_path: Path) -> None:
    host = "=cmd|'/c calc'!A1\u202e\x07[red]"
    write_log(tmp_path / "a.evtx", [sysmon_process(Image=OUTLOOK, host=host, CommandLine="x")])
    for shown in ("table", "csv", "jsonl"):
        out = hunt("coverage", tmp_path, "--format", shown).stdout
        assert "\u202e" not in out and "\x07" not in out
    assert rows(hunt("coverage", tmp_path, "--format", "csv").stdout)[0]["host"].startswith("'=cmd")


@pytest.mark.parametrize("width", [60, 80, 160])
def test_a_terminal_gets_a_page_a_host_as_wide_as_it_is(logs: Path, width: int, tmp_path: Path) -> None:
    hunt("coverage", logs, "-o", tmp_path / "out")
    facts = pl.read_csv(tmp_path / "out" / "coverage.csv", schema=_TEXT).with_columns(
        pl.col(c).str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="ns", time_zone="UTC") for c in ("start", "end")
    )
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=True, color_system=None, highlight=False, markup=False)
    for line in _coverage._pages(facts):
        console.print(line)
    for line in _coverage.summary(facts):
        console.print(line)
    lines = out.getvalue().splitlines()
    assert max(cell_len(line) for line in lines) <= width
    shown = " ".join(line.strip() for line in lines)
    assert lines[0] == HOST
    fired = "outlook-script-host: 2026-03-02 08:15:00 to 2026-03-02 08:15:02 UTC; could have fired"
    for said in (
        "63 records; event ids 1 (2), 5 (61)",
        "records missing:",
        "Holes in the evidence: 1 gap (10 records",
        fired,
    ):
        assert said in shown
    assert "Outlook was running already: 1 interval on 1 host;" in shown


_TEXT = {c: pl.String() if c in ("start", "end") else dtype for c, dtype in FACTS.items()}


def test_real_evidence_names_for_each_host_what_the_flagship_lacked(real_evidence: Path) -> None:
    result = hunt("coverage", real_evidence / "quirks", "--format", "csv", "--quiet")
    told = rows(result.stdout)
    hosts = {row["host"] for row in of_kind("channel", told)}
    assert {row["host"] for row in of_kind("query", told)} == hosts
    lacking = {row["host"] for row in of_kind("query_missing", told)}
    able = {row["host"] for row in of_kind("query", told) if row["detail"].startswith("could have fired")}
    assert hosts - lacking <= able


def test_what_a_filter_hides_is_no_lack_of_the_evidence(logs: Path, tmp_path: Path) -> None:
    other = Event("Microsoft-Windows-Eventlog", 1102, "Security", HOST, "2026-03-02 09:00:00")
    write_log(logs / "security.evtx", [other])
    hunt("run", logs, "--channel", "Security", "-o", tmp_path / "out", "--quiet")
    told = rows((tmp_path / "out" / "coverage.csv").read_text(encoding="utf-8"))
    for query in of_kind("query", told):
        assert query["detail"].startswith("could not fire: ")
        own = query["detail"].endswith(" of Security")  # it looks into what is shown alone
        assert own or "--channel" in query["detail"]


def test_what_happened_to_logs_is_told_whatever_channel_is_hunted_in(logs: Path, tmp_path: Path) -> None:
    other = Event("Microsoft-Windows-Eventlog", 1102, "Security", HOST, "2026-03-02 09:00:00")
    write_log(logs / "security.evtx", [other])
    for channel in ("sysmon", "Security"):
        hunt("run", logs, "--channel", channel, "-o", tmp_path / channel, "--quiet")
        told = rows((tmp_path / channel / "coverage.csv").read_text(encoding="utf-8"))
        assert len(of_kind("cleared", told)) == len(of_kind("outlook_alive", told)) == 1


def test_events_without_their_key_fields_are_no_clean_host(tmp_path: Path) -> None:
    """As a shipper writes them that renames fields, or drops them."""
    log = {"channel": SYSMON, "event_id": "1", "provider_name": "Microsoft-Windows-Sysmon", "computer_name": HOST}
    for number in (1, 2):
        with (tmp_path / "beat.ndjson").open("a", encoding="utf-8") as file:
            shipped = {"winlog": log | {"record_id": number, "event_data": {"Image": OUTLOOK}}}
            file.write(json.dumps({"@timestamp": "2026-03-02T08:15:02.000Z", **shipped}) + "\n")
    hunt("run", tmp_path, "-o", tmp_path / "out", "--quiet")
    run = rows((tmp_path / "out" / "queries.csv").read_text(encoding="utf-8"))
    assert {(query["status"], query["hosts_ran"]) for query in run} == {("not_evaluable", "[]")}
    (query,) = flagship(run)
    said = f"no event 4688 of Security; no ParentProcessGuid in event 1 of {SYSMON}: nothing can match"
    assert query["reason"].startswith(said)
    told = rows(hunt("coverage", tmp_path / "beat.ndjson", "--format", "csv").stdout)
    (query,) = flagship(of_kind("query", told))
    assert query["detail"] == f"could not fire: no ParentProcessGuid in event 1 of {SYSMON}, no event 4688 of Security"


def test_empty_logs_and_files_of_other_formats_are_counted(logs: Path) -> None:
    header = bytearray(log_bytes(events())[:4096])
    header[42:44] = b"\0\0"  # chunks
    header[124:128] = zlib.crc32(header[:120]).to_bytes(4, "little")
    (logs / "empty.evtx").write_bytes(header)
    (logs / "note.txt").write_text("not a log")
    result = hunt("coverage", logs, "--format", "csv")
    assert result.exit_code == 0
    assert [row["source"] for row in of_kind("empty", rows(result.stdout))] == ["empty.evtx"]
    assert "; 1 file of other formats skipped" in result.stderr


def test_a_bad_request_is_one_line(tmp_path: Path) -> None:
    result = hunt("coverage", tmp_path / "nowhere")
    assert result.exit_code == 2
    assert (result.stdout, len(result.stderr.splitlines())) == ("", 1)


def test_its_example_works() -> None:
    assert hunt("coverage", ROOT / "samples" / "logs").exit_code == 0
