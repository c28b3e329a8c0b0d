"""`hunt sql`: a case asked in SQL, which reads nothing else and changes nothing."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from hunt.cli import main
from hunt.errors import HuntError
from hunt.sql import ask, table_name
from hunt.store import ingest, lot
from samples.evtx_writer import Event, sysmon_process, write_log
from tests.helpers import OUTLOOK, POWERSHELL, ROOT

HOSTILE = '=cmd|"/c calc"!A1\x1b[2J'


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("sql") / "logs"
    place.mkdir()
    start = sysmon_process(
        Image=POWERSHELL, time="2026-03-02 08:15:00", host="WS01", CommandLine="powershell -enc AAAA "
    )
    child = sysmon_process(Image=OUTLOOK, time="2026-03-02 08:15:02", host="ws02", parent=start, CommandLine=HOSTILE)
    logon = Event(
        "Microsoft-Windows-Security-Auditing",
        4624,
        "Security",
        "WS02",
        "2026-03-02 08:00:00",
        data=[("LogonType", "3")],
    )
    write_log(place / "a.evtx", [start, child, logon])
    write_log(place / "b.evtx", [start, child])
    shutil.copy(place / "a.evtx", place / "c.evtx")
    (place / "d.evtx").write_bytes((place / "a.evtx").read_bytes()[:6000])
    return place


@pytest.fixture(scope="module")
def case(logs: Path) -> str:
    ingest.ingest(ingest.Asked([logs], str(logs.parent / "case")))
    return str(logs.parent / "case")


def rows(query: str, case: str) -> list[tuple[object, ...]]:
    return ask(query, case).rows.rows()


def told(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["sql", *arguments])


@pytest.mark.parametrize(
    ("channel", "event_id", "name"),
    [
        ("Microsoft-Windows-Sysmon/Operational", 1, "sysmon_1"),
        ("Security", 4688, "security_4688"),
        ("Windows PowerShell", 400, "windows_powershell_400"),
        ("Microsoft-Windows-TerminalServices-LocalSessionManager/Operational", 21,
         "terminalservices_localsessionmanager_21"),
        ("Office365.UnifiedAudit", 50, "office365_unifiedaudit_50"),
        ("802.1x", 2, "_802_1x_2"),
        ("", 3, "__3"),
        ("\u65e5\u672c", 4, "__4"),
        ("A" * 100, 5, "a" * 60 + "_af707a64_5"),
    ],
)  # fmt: skip
def test_tables_are_named_by_channel_and_event_id(channel: str, event_id: int, name: str) -> None:
    assert table_name(channel, event_id) == name


def test_each_event_type_is_a_table(case: str) -> None:
    assert rows("SELECT host, Image FROM sysmon_1 WHERE CommandLine LIKE '%-enc %'", case) == [("WS01", POWERSHELL)]
    assert rows("select LogonType from SECURITY_4624", case) == [(3,)]
    listed = ask("show tables;", case).rows
    assert {("sysmon_1", 1), ("security_4624", 4624), ("events", None)} <= set(listed.select("name", "event_id").rows())


def test_copies_are_one_row_that_tells_all_places(case: str) -> None:
    found = ask("SELECT source, sources FROM sysmon_1 WHERE host = 'ws02'", case).rows
    assert [place["path"] for place in found["sources"][0]] == ["a.evtx", "b.evtx"]


def test_the_tables_of_everything(case: str) -> None:
    assert rows("SELECT count(*) FROM events", case) == [(3,)]
    assert rows("SELECT source, named, copy_of FROM evidence WHERE copy_of IS NOT NULL", case) == [
        ("c.evtx", "c.evtx", "a.evtx")
    ]
    assert rows("SELECT sum(records) FROM census WHERE source = 'a.evtx'", case) == [(3,)]
    assert {source for (source,) in rows("SELECT source FROM problems", case)} == {"d.evtx"}
    assert rows("SELECT s.host FROM sysmon_1 s JOIN security_4624 l ON lower(s.host) = lower(l.host)", case) == [
        ("ws02",)
    ]


def test_an_event_type_that_few_events_have_is_a_table_too(
    logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that has no file of its own, since a lot was made to have too many of them."""
    monkeypatch.setattr(lot, "MOST_TYPES", 1)
    where = str(tmp_path / "case")
    ingest.ingest(ingest.Asked([logs / "a.evtx"], where))
    assert rows("SELECT LogonType FROM security_4624", where) == [(3,)]
    assert rows("SELECT count(*) FROM sysmon_1", where) == [(2,)]
    assert rows("SELECT count(*) FROM events", where) == [(3,)]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT * FROM read_csv('/etc/passwd')", "read_csv: files are not read"),
        ("SELECT * FROM Read_Parquet /* */ ('x')", "Read_Parquet: files are not read"),
        ("WITH x AS (SELECT * FROM \"read_json\"('x')) SELECT * FROM x", "read_json: files are not read"),
        ("SELECT * FROM read_csv /* /* */ */ ('x')", "read_csv: files are not read"),
        ("SELECT * FROM read_csv -- (\n ('x')", "read_csv: files are not read"),
        ("SELECT * FROM `read_csv`\u00a0\n('x')", "read_csv: files are not read"),
        ("SELECT * FROM scan_ipc('x')", "scan_ipc: files are not read"),
        ("DROP TABLE events", "nothing in a case can be changed"),
        ("CREATE TABLE t AS SELECT * FROM events", "nothing in a case can be changed"),
        ("COPY events TO 'x.csv'", "nothing in a case can be changed"),
        ("", "one SELECT is served"),
        ("SELECT 1; DROP TABLE events", "one statement"),
        ("SELECT nope FROM sysmon_1", 'unable to find column "nope"'),
        ("SELECT * FROM '/etc/passwd'", "was not found"),
        ("SELECT * FROM nowhere_1", "relation 'nowhere_1' was not found"),
        ("SELECT FROM WHERE", "SQL: "),
        ("SELECT nothing_of_that_name(host) FROM events", "SQL: "),
    ],
)
def test_what_can_not_be_asked_is_said_in_a_line(case: str, query: str, said: str) -> None:
    before = {path: path.read_bytes() for path in Path(case).rglob("*") if path.is_file()}
    result = told(query, "--case", case)
    assert result.exit_code == 2
    assert result.stderr.startswith("hunt: SQL: ")
    assert result.stderr.count("\n") == 1
    assert said.replace("one statement", "statement") in result.stderr
    assert {path: path.read_bytes() for path in Path(case).rglob("*") if path.is_file()} == before


def test_a_text_may_say_what_no_function_may(case: str) -> None:
    assert rows("SELECT count(*) FROM sysmon_1 WHERE (CommandLine LIKE '%read_csv%') OR (host = 'x')", case) == [(0,)]


def test_cells_are_harmless_unless_raw_ones_are_asked_for(case: str) -> None:
    query = "SELECT CommandLine, time FROM sysmon_1 WHERE host = 'ws02'"
    safe, raw = (
        told(query, "--case", case, "--format", "csv"),
        told(query, "--case", case, "--format", "csv", "--csv", "raw"),
    )
    assert safe.stdout.splitlines()[1].startswith("\"'=cmd|")
    assert "\x1b" not in safe.stdout
    assert raw.stdout.splitlines()[1].startswith('"=cmd|')
    assert safe.stdout.splitlines()[1].endswith("2026-03-02T08:15:02.000000000Z")
    table = told(query, "--case", case)
    assert "\x1b" not in table.stdout
    assert table.exit_code == 3  # a log of the case could not be read whole
    assert "part of the evidence could not be read" in table.stderr


def test_answers_go_to_files_and_pipes_in_their_formats(case: str, tmp_path: Path) -> None:
    query = "SELECT time, host, sources, record_id FROM sysmon_1 ORDER BY host DESC"
    line = json.loads(told(query, "--case", case, "--format", "jsonl").stdout.splitlines()[0])
    assert line["host"] == "ws02"
    assert [place["path"] for place in line["sources"]] == ["a.evtx", "b.evtx"]
    for name in ("found.parquet", "found.csv", "found.jsonl"):
        assert told(query, "--case", case, "-o", str(tmp_path / name)).stdout == ""
    assert pl.read_parquet(tmp_path / "found.parquet").schema["time"] == pl.Datetime("ns", "UTC")
    assert pl.read_csv(tmp_path / "found.csv").height == 2
    assert told(query, "--case", case, "-o", str(tmp_path / "found.txt")).exit_code == 2


@pytest.mark.parametrize("how", ["missing", "torn"])
def test_files_that_are_damaged_are_told_and_the_rest_is_answered(logs: Path, tmp_path: Path, how: str) -> None:
    where = tmp_path / "case"
    ingest.ingest(ingest.Asked([logs / "a.evtx"], str(where)))
    file = next((where / "events").rglob("channel=security/**/*.parquet"))
    content = file.read_bytes()
    file.unlink()
    if how == "torn":
        file.write_bytes(content[:50] + bytes(len(content) - 650) + content[-600:])
    result = told("SELECT count(*) FROM events WHERE host IS NOT NULL", "--case", str(where))
    assert result.exit_code == 3
    assert result.stdout.splitlines()[1] == "2"
    assert "1 records of Security 4624 can't be read" in result.stderr
    assert file.name in result.stderr


def test_a_damaged_census_is_told_and_the_rest_is_answered(logs: Path, tmp_path: Path) -> None:
    where = tmp_path / "case"
    ingest.ingest(ingest.Asked([logs / "a.evtx"], str(where)))
    next(where.rglob("census.parquet")).write_bytes(b"PAR1")
    for query in ("SELECT host FROM security_4624", "SELECT host FROM census", "show tables"):
        result = told(query, "--case", str(where))
        assert result.exit_code == 3, result.output
        assert "the counts of 1 logs can't be read: it is not the one that was written" in result.stderr


def test_what_is_no_case_is_said(logs: Path) -> None:
    with pytest.raises(HuntError, match="is no case"):
        ask("SELECT 1", str(logs))


def test_the_example_for_duckdb_runs_as_it_stands(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    duckdb = pytest.importorskip("duckdb")
    page = (ROOT / "docs" / "case.md").read_text(encoding="utf-8")
    example = re.search(r"### DuckDB.*?```sql\n(.*?)```", page, re.DOTALL)
    assert example
    monkeypatch.chdir(Path(case).parent)
    with duckdb.connect() as connection:
        connection.execute("SET autoinstall_known_extensions = false")
        found = pl.DataFrame(connection.sql(example[1]).to_arrow_table())
    assert found.select("host", "Image", "places").rows() == [("WS01", POWERSHELL, 2)]
