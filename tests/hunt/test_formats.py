"""All formats tell the same findings, and each is what its reader expects."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl
import pytest
from openpyxl.utils.escape import unescape

from hunt import findings, pipeline, registry, schema
from hunt.errors import HuntError
from hunt.model import QueryResult, Report, Status
from hunt.output import safe, xlsx
from hunt.output._rows import rearmed, safe_cells
from tests.helpers import ROOT

Row = dict[str, Any]


def written(report: Report, name: str) -> bytes:
    """What a format makes of a report."""
    below = io.BytesIO()
    stream = io.TextIOWrapper(below, encoding="utf-8", newline="")
    registry.output(name).write(report, stream)
    stream.flush()
    return below.getvalue()


@pytest.fixture(scope="module")
def report() -> Report:
    """One run of all the samples."""
    folders = [ROOT / "samples" / name for name in ("logs", "exports")]
    found = pipeline.run(pipeline.Request(folders, options={"csv": "raw"}))
    assert found.findings.height > 150
    return found


@pytest.fixture(scope="module")
def truth(report: Report) -> dict[str, Row]:
    """The findings as they are, by id."""
    times = report.findings.with_columns(schema.time_text(pl.col("start", "end")))
    return {row["finding_id"]: row for row in times.iter_rows(named=True)}


# One run, all formats.

TOLD = ("query", "severity", "grade", "host", "user", "command_line", "start", "end")


def of_csv(content: bytes) -> dict[str, Row]:
    rows = csv.DictReader(io.StringIO(content.decode(), newline=""))
    return {row["finding_id"]: row for row in rows}


def of_lines(content: bytes) -> dict[str, Row]:
    rows = [json.loads(line) for line in content.decode().splitlines()]
    return {row["finding_id"]: row for row in rows}


def of_parquet(content: bytes) -> dict[str, Row]:
    rows = pl.read_parquet(content).with_columns(schema.time_text(pl.col("start", "end")))
    return {row["finding_id"]: row for row in rows.iter_rows(named=True)}


def of_xlsx(content: bytes) -> dict[str, Row]:
    header, *rows = openpyxl.load_workbook(io.BytesIO(content), read_only=True)["Findings"].iter_rows(values_only=True)
    return {str(row[0]): dict(zip(header, row, strict=True)) for row in rows}


def of_ecs(content: bytes) -> dict[str, Row]:
    rows = [json.loads(line) for line in content.decode().splitlines()]
    return {row["event"]["id"]: _plain(row) for row in rows}


def _plain(row: Row) -> Row:
    user = row.get("user", {})
    name = "\\".join(part for part in (user.get("domain"), user.get("name") or user.get("id")) if part)
    return {
        "query": row["rule"]["id"],
        "severity": row["evtx_hunt"]["severity"],
        "grade": row["evtx_hunt"].get("grade"),
        "host": row.get("host", {}).get("name"),
        "user": name,
        "command_line": row.get("process", {}).get("command_line"),
        "start": row["event"].get("start"),
        "end": row["event"].get("end"),
    }


def of_timesketch(rows: list[Row]) -> dict[str, Row]:
    return {
        row["finding_id"]: row
        | {"host": row.get("computer_name"), "start": row.get("finding_start"), "end": row.get("finding_end")}
        for row in rows
    }


def of_html(content: bytes) -> dict[str, Row]:
    (data,) = re.findall(r'<script type="application/json" id="page-data">(.*?)</script>', content.decode(), re.DOTALL)
    page = json.loads(data)
    columns, texts = page["findings"]["columns"], page["texts"]
    rows = [
        {name: texts[cell] if kind == "text" else cell for (name, kind), cell in zip(columns, row, strict=True)}
        for row in page["findings"]["rows"]
    ]
    return {row["finding_id"]: row for row in rows}


READERS: Mapping[str, Callable[[bytes], dict[str, Row]]] = {
    "csv": of_csv,
    "jsonl": of_lines,
    "parquet": of_parquet,
    "xlsx": of_xlsx,
    "ecs": of_ecs,
    "html": of_html,
    "timesketch_csv": lambda content: of_timesketch(timesketch_csv(content)),
    "timesketch_jsonl": lambda content: of_timesketch(timesketch_jsonl(content)),
}


@pytest.mark.parametrize("name", READERS)
def test_every_format_tells_the_same_findings(report: Report, truth: dict[str, Row], name: str) -> None:
    read = READERS[name](written(report, name))
    assert read.keys() == truth.keys()
    for finding_id, row in truth.items():
        told = {column: read[finding_id].get(column) or None for column in TOLD}
        shown = safe if name in ("xlsx", "html") else str  # these show hidden characters
        assert told == {column: shown(row[column]) if row[column] else None for column in TOLD}


def test_no_format_is_left_out_of_these_tests() -> None:
    others = {"table", "navigator"}  # told of elsewhere, and below
    assert set(registry.formats()) == {*READERS, *others}


@pytest.mark.parametrize("name", ["parquet", "xlsx", "ecs", "navigator", "timesketch_csv"])
def test_a_second_time_gives_the_same_bytes(report: Report, name: str) -> None:
    few = _few(report)
    assert written(few, name) == written(few, name)


def _few(report: Report) -> Report:
    some = report.findings.head(5)
    events = report.events.filter(pl.col("finding_id").is_in(some["finding_id"].implode()))
    return Report(
        some, events, report.queries, (), report.tallies, (), report.hosts, 0, {"csv": "raw"},
        techniques=report.techniques,
    )  # fmt: skip


def test_without_findings_every_format_is_empty_and_whole(report: Report) -> None:
    none = Report(report.findings.clear(), report.events.clear(), report.queries, (), (), (), (), 0)
    for name, reader in READERS.items():
        assert reader(written(none, name)) == {}


# Timesketch: the checks of its importer (timesketch/lib/utils.py: read_and_validate_csv, read_and_validate_jsonl).

MANDATORY = {"message", "datetime", "timestamp_desc"}
REMOVED = {"_id", "_type", "_index", "_source", "__ts_timeline_id"}  # fields that it drops


def timesketch_csv(content: bytes) -> list[Row]:
    reader = csv.DictReader(io.StringIO(content.decode(), newline=""))
    assert set(reader.fieldnames or ()) >= MANDATORY
    assert not REMOVED & set(reader.fieldnames or ())
    rows = list(reader)
    for row in rows:
        row["tag"] = json.loads(row["tag"])
    return _imported(rows)


def timesketch_jsonl(content: bytes) -> list[Row]:
    rows = [json.loads(line) for line in content.decode().split("\n") if line]
    assert all(row.keys() >= MANDATORY and not REMOVED & row.keys() for row in rows)
    return _imported(rows)


def _imported(rows: list[Row]) -> list[Row]:
    for row in rows:
        at = datetime.fromisoformat(row["datetime"])  # else the row would be dropped
        assert at.tzinfo is not None
        since = at - datetime(1970, 1, 1, tzinfo=UTC)
        assert int(row["timestamp"]) == (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
        assert row["message"] and row["timestamp_desc"]
        assert isinstance(row["tag"], list) and all(isinstance(tag, str) for tag in row["tag"])
    return rows


def test_timesketch_gets_every_event_of_every_finding(report: Report) -> None:
    for rows in (
        timesketch_csv(written(report, "timesketch_csv")),
        timesketch_jsonl(written(report, "timesketch_jsonl")),
    ):
        assert len(rows) == report.events.height
        assert [row["datetime"] for row in rows] == sorted(row["datetime"] for row in rows)


def test_timesketch_does_not_lose_an_event_without_a_time(report: Report) -> None:
    nowhere = _few(report)
    timeless = Report(
        nowhere.findings.with_columns(pl.lit(None, schema.TIME).alias("start"), pl.lit(None, schema.TIME).alias("end")),
        nowhere.events.with_columns(pl.lit(None, schema.TIME).alias("time")),
        (), (), (), (), (), 0,
    )  # fmt: skip
    rows = timesketch_jsonl(written(timeless, "timesketch_jsonl"))
    assert len(rows) == nowhere.events.height
    assert {row["timestamp_desc"] for row in rows} == {"Not a time"}


# ECS: types as in its field reference, 8.17. Arrays are allowed everywhere, and used where ECS says `array`.

ECS: Mapping[str, type | tuple[type, ...]] = {
    "@timestamp": str,
    "message": str,
    "ecs.version": str,
    **dict.fromkeys(("event.kind", "event.module", "event.dataset", "event.id", "event.reason", "event.action"), str),
    **dict.fromkeys(("event.start", "event.end"), str),
    **dict.fromkeys(("event.severity", "event.duration"), int),
    "event.risk_score": (int, float),
    **dict.fromkeys(("rule.id", "rule.name", "rule.ruleset", "host.name"), str),
    **dict.fromkeys(("user.name", "user.domain", "user.id", "source.ip"), str),
    **dict.fromkeys(("process.entity_id", "process.executable", "process.name", "process.command_line"), str),
    **dict.fromkeys(("process.hash.sha256", "process.code_signature.subject_name"), str),
    **dict.fromkeys(("process.parent.executable", "process.parent.name", "process.parent.command_line"), str),
    "process.pid": int,
    "threat.framework": str,
    **dict.fromkeys(("threat.technique.id", "threat.technique.subtechnique.id", "threat.tactic.name"), list),
}


def leaves(value: Row, above: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, below in value.items():
        found += leaves(below, f"{above}{name}.") if isinstance(below, dict) else [(f"{above}{name}", below)]
    return found


def test_fields_beside_ours_are_of_ecs_and_of_its_types(report: Report) -> None:
    lines = written(report, "ecs").decode().splitlines()
    for line in lines:
        for name, value in leaves(json.loads(line)):
            if not name.startswith("evtx_hunt."):
                assert isinstance(value, ECS[name]) and not isinstance(value, bool), name


def test_nothing_of_a_finding_is_lost_in_ecs(report: Report) -> None:
    lines = written(report, "ecs").decode().splitlines()
    for line, row in zip(lines, report.findings.iter_rows(named=True), strict=True):
        texts = json.dumps(json.loads(line), ensure_ascii=False)
        for column in ("target_command_line", "object", "actor", "source_ip", "signer", "sha256", "suppressed"):
            if row[column]:
                assert json.dumps(row[column], ensure_ascii=False)[1:-1] in texts


# ATT&CK Navigator: the properties of layer format 4.5, as its specification has them.

LAYER: Mapping[str, type] = {
    **dict.fromkeys(("name", "description", "domain"), str),
    "versions": dict, "layout": dict, "gradient": dict, "filters": dict,
    **dict.fromkeys(("techniques", "legendItems", "metadata", "links"), list),
    "sorting": int, "hideDisabled": bool,
}  # fmt: skip
TECHNIQUE: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("techniqueID", "tactic", "comment", "color"), str),
    "score": (int, float), "enabled": bool, "metadata": list, "links": list, "showSubtechniques": bool,
}  # fmt: skip
LAYOUT: Mapping[str, tuple[object, ...]] = {
    "layout": ("side", "flat", "mini"),
    "aggregateFunction": ("average", "min", "max", "sum"),
    "expandedSubtechniques": ("none", "all", "annotated"),
    **dict.fromkeys(("showID", "showName", "showAggregateScores", "countUnscored"), (True, False)),
}
COLOUR = re.compile("#[0-9a-f]{6}")


def checked(content: bytes) -> Row:
    """A layer that keeps to the specification."""
    layer: Row = json.loads(content)
    assert layer.keys() >= {"name", "domain", "versions"}
    assert all(isinstance(value, LAYER[name]) for name, value in layer.items())
    assert layer["domain"] == "enterprise-attack"
    assert layer["versions"]["layer"] == "4.5"
    assert tuple(map(int, layer["versions"]["navigator"].split("."))) >= (4, 9, 0)
    assert layer["sorting"] in range(4)
    assert all(value in LAYOUT[name] for name, value in layer["layout"].items())
    gradient = layer["gradient"]
    assert len(gradient["colors"]) >= 2 and all(COLOUR.fullmatch(colour) for colour in gradient["colors"])
    assert gradient["maxValue"] > gradient["minValue"]
    assert all(item["label"] and COLOUR.fullmatch(item["color"]) for item in layer["legendItems"])
    for technique in layer["techniques"]:
        assert re.fullmatch(r"T[0-9]{4}(\.[0-9]{3})?", technique["techniqueID"])
        assert all(isinstance(value, TECHNIQUE[name]) for name, value in technique.items())
        assert "color" not in technique or COLOUR.fullmatch(technique["color"])
    for pair in (*layer["metadata"], *(pair for t in layer["techniques"] for pair in t["metadata"])):
        assert pair.keys() == {"name", "value"} and all(isinstance(text, str) and text for text in pair.values())
    return layer


def test_a_layer_scores_each_technique_by_its_findings(report: Report) -> None:
    layer = checked(written(report, "navigator"))
    loud = report.findings.filter(pl.col("suppressed").is_null())
    counts = Counter(t for techniques in loud["techniques"].to_list() for t in techniques or ())
    assert {t["techniqueID"]: t["score"] for t in layer["techniques"] if "score" in t} == dict(counts)
    assert layer["gradient"]["maxValue"] == max(counts.values())


def test_a_layer_says_what_could_not_be_looked_for(report: Report) -> None:
    def result(query: str, status: Status) -> QueryResult:
        return QueryResult(query, "", "", status, "no event 1", (), (), 0)

    queries = (
        result("blind", Status.NOT_EVALUABLE),
        result("half", Status.PARTLY),
        result("whole", Status.RAN),
        result("bad\x1b", Status.INVALID),
    )
    techniques = {"blind": ("T1114.001",), "half": ("T1047",), "whole": ("T1059",), "bad\x1b": ("T1047",)}
    none = Report(report.findings.clear(), report.events.clear(), queries, (), (), (), (), 0, techniques=techniques)
    told = {technique["techniqueID"]: technique for technique in checked(written(none, "navigator"))["techniques"]}
    assert len({told[t]["color"] for t in ("T1114.001", "T1047", "T1059")}) == 3
    assert "1 of 1 queries could not run: unknown is not clean" in told["T1114.001"]["comment"]
    assert {"name": r"bad\x1b", "value": "invalid, findings: 0: no event 1"} in told["T1047"]["metadata"]


def test_a_layer_calls_no_technique_clean_whose_findings_filters_hide(report: Report) -> None:
    whole = QueryResult("whole", "title", "file.py", Status.RAN, "", ("WS01",), (), 1)
    none = Report(report.findings.clear(), report.events.clear(), (whole,), (), (), (), (), 0,
                  techniques={"whole": ("T1059",)})  # fmt: skip
    clean, hidden, unknown = (
        json.loads(written(replace(none, hidden=h), "navigator"))["techniques"][0] for h in ({}, {"whole": 2}, {"": 2})
    )
    assert clean["color"] != hidden["color"] == unknown["color"]
    assert "2 more hidden by filters" in hidden["comment"] and "hidden" not in clean["comment"]


# Workbooks.


def book(*lines: str) -> openpyxl.Workbook:
    """A workbook of findings with these command lines, read back."""
    columns = {"finding_id": [f"{n:016x}" for n in range(len(lines))], "command_line": list(lines)}
    given = pl.DataFrame(columns)
    frame = given.select(
        (pl.col(c) if c in columns else pl.lit(None)).cast(dtype).alias(c) for c, dtype in findings.COLUMNS.items()
    )
    events = pl.DataFrame(schema=findings.EVENT_COLUMNS)
    return openpyxl.load_workbook(io.BytesIO(written(Report(frame, events, (), (), (), (), (), 0), "xlsx")))


def cells(opened: openpyxl.Workbook) -> list[Any]:
    sheet = opened["Findings"]
    place = [cell.value for cell in sheet[1]].index("command_line")
    return [row[place] for row in sheet.iter_rows(min_row=2)]


def test_a_workbook_has_a_frozen_header_filters_and_widths(report: Report) -> None:
    opened = openpyxl.load_workbook(io.BytesIO(written(_few(report), "xlsx")))
    assert opened.sheetnames == ["Findings", "Events", "Queries", "Problems"]
    sheet = opened["Findings"]
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == f"A1:{sheet.cell(6, len(findings.COLUMNS)).coordinate}"
    assert sheet["A1"].font.bold
    assert 8 <= sheet.column_dimensions["B"].width <= 61


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "{=1}", "http://x.example/", "mailto:a@b", "", "_x0041_"]
)
def test_a_cell_is_text_whatever_it_looks_like(text: str) -> None:
    (cell,) = cells(book(text))
    assert unescape(cell.value or "") == text
    assert cell.data_type != "f"
    assert cell.hyperlink is None


def test_a_cell_that_no_file_may_hold_is_shown() -> None:
    (cell,) = cells(book("a\0b\x1b[31m\r\n\u202ec\U0010ffff\ufffe"))
    assert cell.value.startswith(r"a\x00b\x1b[31m\r\n\u202ec")


def test_a_cell_longer_than_a_sheet_takes_is_cut_and_says_so() -> None:
    whole, cut, wide = (cell.value for cell in cells(book("a" * 32_767, "b" * 1_000_000, "\U0001f600" * 20_000)))
    assert whole == "a" * 32_767
    assert cut.endswith("… (1000000 characters: the CSV files of `hunt run -o` have all)")
    assert all(len(text.encode("utf-16-le")) // 2 <= 32_767 for text in (cut, wide))


def test_rows_that_a_sheet_has_no_room_for_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "_ROWS", 4)
    rows = list(book("a", "b", "c", "d")["Findings"].iter_rows(min_row=2, max_col=1, values_only=True))
    assert rows[:2] == [("0" * 16,), (f"{1:016x}",)]
    assert rows[2:] == [("and 2 more rows, which no sheet has room for: findings.csv of `hunt run -o` has them all",)]


# Spreadsheets' guard.


def test_the_quote_before_a_formula_can_be_taken_away_again() -> None:
    texts = ["=1", "'=1", "''=1", "'a", "'", "", "a=1", "-", "'-x", "\uff1d1"]
    column = pl.Series("c", texts)
    guarded = safe_cells(column)
    assert not any(text.startswith(tuple("=+-@\uff1d")) for text in guarded)
    assert guarded.to_frame().select(rearmed(pl.col("c")))["c"].to_list() == texts


def test_bytes_are_not_for_a_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from hunt.commands import _hunting
    from hunt.filters import Filters
    from hunt.model import Settings
    from hunt.options import Choice, Results
    from hunt.rules.choose import RuleFilter

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdout", Terminal())
    results = Results(None, "parquet", "safe", None, None)
    nothing: Any = None  # it is refused before anything else is looked at
    choice = Choice((), RuleFilter())
    with pytest.raises(HuntError, match="is no text: send it to a file"):
        _hunting.hunt((tmp_path,), (), results, Settings(), Filters(), nothing, choice, None, nothing)
