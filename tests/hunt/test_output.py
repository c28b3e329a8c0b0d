"""Evidence is hostile text: harmless on terminals and in spreadsheets, exact for machines."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
import unicodedata
from collections.abc import Iterable

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from hunt import coverage, findings, registry
from hunt.hunting import gather
from hunt.model import Problem, QueryResult, Report, Status
from hunt.output import _deed, _rows, _safe, _summary, _terminal, safe, table
from hunt.output._console import Page
from hunt.output.csv import encode
from queries.outlook_script_host import HUNT
from tests.helpers import OUTLOOK, POWERSHELL, case, event, start
from tests.hunt.coverage.cover import seen_of

HOSTILE = {
    "markup": "[red]x[/red] [/] [bold [link=file:///c]x[/link]",
    "escape": "\x1b[31m\x1b]0;title\x07\x1b[2J",
    "c1": "\x9b31m\x85\x90",
    "bidi": "a\u202eexe.txt\u2066b\u2069\u200f",
    "zero-width": "po\u200bwer\u2060shell\ufeff",
    "newlines": "a\nb\r\nc\u2028d\u2029e",
    "tabs": "a\tb",
    "nul": "a\0b",
    "delete": "a\x7fb",
    "private": "a\ue000b",
}
FORMULAS = ["=cmd|' /C calc'!A0", "+1", "-1+1", "@SUM(1)", "\uff1d1", "\uff0b1", "\uff0d1", "\uff201"]

# What any text may be that a frame can hold; with a liking for what hurts.
_HURTFUL = st.sampled_from("\x1b\x7f\x9b\u202e\0\r\n\t=+-@,;\"'[]\uff1d")
TEXT = st.text(st.characters(exclude_categories=["Cs"]) | _HURTFUL)


def harmless(text: str) -> bool:
    return not any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"} for c in text)


def report(*texts: str, raw: bool = False, limited: bool = False) -> Report:
    """A report with one finding for each text, which stands in its command lines and its user."""
    rows = []
    for number, text in enumerate(texts):
        parent = start(POWERSHELL, number, CommandLine=text, User=text)
        rows += [parent, start(OUTLOOK, number + 1, parent=parent, CommandLine=text)]
    other = [event(5, host="WS02")] if limited else []
    events = case(*rows, *other)
    found, of_findings = gather(events, [HUNT])
    (query,) = (query for query in registry.queries() if query.hunt.id == HUNT.id)
    return Report(
        findings=found,
        events=of_findings,
        queries=tuple(coverage.count([coverage.evaluate(events, seen_of(events, query.hunt.needs), query)], found)),
        problems=(Problem("a\x1b.evtx", "record", "=odd\n", offset=7, record_id=9),),
        tallies=(),
        skipped=(),
        hosts=events.hosts(),
        unparsed=0,
        options={"csv": "raw" if raw else "safe"},
    )


def written(name: str, *texts: str, raw: bool = False) -> str:
    out = io.StringIO()
    registry.output(name).write(report(*texts, raw=raw), out)
    return out.getvalue()


def shown(width: int, *texts: str, limited: bool = False) -> str:
    """What a terminal of this width gets."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(width))
        patch.setenv("LINES", "40")
        patch.setenv("TERM", "xterm-256color")
        patch.delenv("NO_COLOR", raising=False)
        table.write(report(*texts, limited=limited), out)
    return out.getvalue()


def plain(text: str) -> str:
    """Without the terminal's own colours (SGR sequences)."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@given(TEXT)
def test_safe_text_is_harmless_and_keeps_all_that_is_not_hidden(text: str) -> None:
    assert harmless(safe(text))
    assert [c for c in text if harmless(c)] == [c for c in text if c in safe(text) and harmless(c)]
    if harmless(text):
        assert safe(text) == text


@pytest.mark.parametrize(
    ("text", "visible"),
    [
        ("\x1b[0m", r"\x1b[0m"),
        ("\u202e", r"\u202e"),
        ("\U000e0041", r"\U000e0041"),
        ("\n\r\t", r"\n\r\t"),
        ("\0", r"\x00"),
        ("\x9b", r"\x9b"),
        ("\ud800", r"\ud800"),
        ("Ünïcode 中文 📎", "Ünïcode 中文 📎"),
    ],
)
def test_hidden_characters_become_escapes(text: str, visible: str) -> None:
    assert safe(text) == visible


def test_the_pattern_for_frames_hides_what_safe_hides() -> None:
    every = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    frame = pl.DataFrame({"c": every})
    hidden = set(frame.filter(pl.col("c").str.contains(_safe.HIDDEN_PATTERN))["c"])
    by_python = {c for c in every if not harmless(c)}
    newer = hidden ^ by_python  # characters that one side's Unicode version has and the other's has not yet
    assert all(unicodedata.category(c) == "Cn" for c in newer)


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_pipe_gets_one_harmless_line_a_finding(kind: str) -> None:
    lines = written("table", HOSTILE[kind]).splitlines()
    assert len(lines) == 2
    assert all(harmless(line.replace("\t", "")) for line in lines)
    assert [line.count("\t") for line in lines] == [len(table.PLAIN) - 1] * 2


@pytest.mark.parametrize("width", [80, 119, 120, 200])
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_terminal_gets_nothing_but_text_and_our_colours(width: int, kind: str) -> None:
    output = shown(width, HOSTILE[kind])
    assert all(harmless(line) for line in plain(output).split("\n"))
    if kind == "markup":
        assert "[red]x[/red]" in plain(output).replace("\n", "")


@pytest.mark.parametrize("width", [40, 80, 119, 120, 200])
def test_a_table_is_never_wider_than_the_terminal(width: int) -> None:
    texts = [*HOSTILE.values(), "x" * 5000, "中" * 300, "a b " * 200]
    for line in plain(shown(width, *texts, limited=True)).split("\n"):
        assert cell_len(line) <= width


def test_a_table_says_who_started_what_and_which_query_was_blind() -> None:
    output = plain(shown(200, "powershell -enc AAAA", limited=True))
    assert "powershell.exe (4711)" in output
    assert "OUTLOOK.EXE (4711)" in output
    assert "powershell -enc AAAA" in output
    assert "outlook-script-host could run on 1 of 2 hosts" in output


def test_a_table_says_who_did_what_where_no_process_is_told() -> None:
    told = dict.fromkeys(findings.COLUMNS) | {"pid": 5668, "action": "Set-Mailbox", "object": "bob" * 999}
    (who, style), colon, what = _deed.deed({**told, "actor": "S-1-5-21-1\x1b"})
    assert (who, style, colon) == (r"S-1-5-21-1\x1b", "bold", ": ")
    assert what.startswith("Set-Mailbox: bobbob") and what.endswith("… (2997 characters)")


@pytest.mark.parametrize("width", [80, 200])
def test_a_table_ends_with_counts_and_names_each_finding(width: int) -> None:
    output = plain(shown(width, "a", "b", limited=True))
    assert "2 findings: 2 medium; on 1 host; by grade: 2 direct" in output
    assert len(re.findall(r"^ *[0-9a-f]{16} *$", output, re.MULTILINE)) == 2  # the ids
    assert "after 1 s, direct, confidence " in output


def test_no_color_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm-256color")
    coloured = re.compile(r"\x1b\[(?:[0-9]+;)*[34][0-7][;m]")
    for value, expected in (("", True), ("1", False)):
        monkeypatch.setenv("NO_COLOR", value)
        out = Terminal()
        table.write(report("a"), out)
        assert bool(coloured.search(out.getvalue())) == expected


def test_queries_that_are_limited_alike_are_told_together(monkeypatch: pytest.MonkeyPatch) -> None:
    reason = "; ".join(f"part {number}" for number in range(9))
    half = QueryResult("a\x1b", "", "", Status.PARTLY, reason, ("x",), ("y",), 0)
    given = dataclasses.replace(report("a"), queries=(half, dataclasses.replace(half, query="b")))
    monkeypatch.setenv("COLUMNS", "200")
    out = io.StringIO()
    _terminal.write(given, out)
    (line,) = (line for line in out.getvalue().splitlines() if "could run on" in line)
    assert line.startswith(
        r"a\x1b, b could run on 1 of 2 hosts: part 0; part 1; part 2; part 3; and 5 more (queries.csv"
    )
    assert line.endswith("(unknown is not clean)")


def test_a_name_after_a_hidden_character_is_whole() -> None:
    assert _deed.name({"image": "C:\\a\x1bb.exe", "pid": 7}, "image", "pid") == r"a\x1bb.exe (7)"


def test_a_table_says_what_a_rule_says_of_its_findings() -> None:
    row = dict.fromkeys(findings.COLUMNS) | {"reason": "A rule", "query": "x"}
    told = _terminal._what(row | {"evidence": '["recovered", "tag: a.b", "tag: c", "false positive: d \\u001b"]'})
    plain_row = _terminal._what(row | {"evidence": '["recovered"]'}).plain.splitlines()
    assert [line for line in told.plain.splitlines() if line not in plain_row] == [
        r"tags: a.b, c; false positives: d \x1b"
    ]


def test_a_table_without_findings_says_so() -> None:
    assert "No findings." in shown(80)


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_cell_that_a_spreadsheet_would_run_is_disarmed(formula: str) -> None:
    (row,) = csv.DictReader(io.StringIO(written("csv", formula)))
    assert row["command_line"] == "'" + formula
    assert row["user"] == "'" + formula


@pytest.mark.parametrize("kind", HOSTILE)
def test_csv_cells_are_harmless_unless_they_are_wanted_raw(kind: str) -> None:
    text = HOSTILE[kind]
    (row,) = csv.DictReader(io.StringIO(written("csv", text)))
    assert row["command_line"] == safe(text)
    out = encode(_rows.flat(report(text).findings), raw=True).decode()
    (exact,) = csv.DictReader(io.StringIO(out, newline=""))
    assert exact["command_line"] == text


def _cells(texts: Iterable[str | None]) -> pl.DataFrame:
    return pl.DataFrame({"a": list(texts), "b": ["end"] * len(list(texts))}, schema={"a": pl.String, "b": pl.String})


@given(st.lists(TEXT, min_size=1, max_size=5))
def test_raw_csv_reads_back_exactly(texts: list[str]) -> None:
    content = encode(_cells(texts), raw=True).decode()
    rows = list(csv.reader(io.StringIO(content, newline="")))
    assert rows == [["a", "b"], *([text, "end"] for text in texts)]


@given(st.lists(TEXT, min_size=1, max_size=5))
def test_safe_csv_has_one_line_a_row_and_no_cell_that_acts(texts: list[str]) -> None:
    content = encode(_cells(texts)).decode()
    assert harmless(content.replace("\n", ""))
    rows = list(csv.reader(io.StringIO(content)))
    assert len(rows) == len(texts) + 1
    for (cell, _), text in zip(rows[1:], texts, strict=True):
        assert not cell.startswith(tuple("=+-@\uff1d\uff0b\uff0d\uff20"))
        assert cell in (safe(text), "'" + safe(text))


def test_safe_cells_say_the_same_as_safe_for_every_character() -> None:
    # All planes that have characters of their own; of those for private use, which are all alike, the ends.
    codes = (*range(0xD800), *range(0xE000, 0x40000), *range(0xE0000, 0xE1000), 0xF0000, 0xFFFFD, 0x100000, 0x10FFFD)
    every = [f"x{chr(code)}" for code in codes]
    known = [text for text in every if unicodedata.category(text[1]) != "Cn"]
    assert _rows.safe_cells(pl.Series("c", known)).to_list() == [safe(text) for text in known]


def test_null_and_blank_cells_stay_apart_in_csv() -> None:
    assert encode(_cells([None, ""])) == b'a,b\n,end\n"",end\n'


def test_a_column_of_nulls_or_nothing_is_no_trouble() -> None:
    for values in ([], [None], [None, None]):
        assert _rows.safe_cells(pl.Series("c", values, dtype=pl.String)).to_list() == values


@given(st.lists(TEXT, min_size=1, max_size=3))
def test_json_lines_read_back_exactly_and_print_harmlessly(texts: list[str]) -> None:
    value = {"text": texts, "first": texts[0]}
    line = _safe.exact_json(value)
    assert json.loads(line) == value
    assert harmless(line)
    assert json.loads(_safe.escape_json(json.dumps(value, ensure_ascii=False))) == value


@pytest.mark.parametrize("kind", [*HOSTILE, "formula"])
def test_a_finding_reads_back_exactly_from_json_lines(kind: str) -> None:
    text = HOSTILE.get(kind, "=1+1")
    (line,) = written("jsonl", text).splitlines()
    found = json.loads(line)
    assert list(found) == list(findings.COLUMNS)
    assert (found["command_line"], found["user"]) == (text, text)
    assert harmless(line)
    assert found["start"] == "2026-03-02T08:15:00.000000Z"
    assert found["techniques"] == ["T1114.001", "T1559.001"]


def test_lists_in_csv_are_json_and_times_iso_8601() -> None:
    (row,) = csv.DictReader(io.StringIO(written("csv", "x")))
    assert list(row) == list(findings.COLUMNS)
    assert json.loads(row["techniques"]) == ["T1114.001", "T1559.001"]
    assert json.loads(row["sources"]) == ["sysmon.evtx"]
    assert (row["start"], row["end"]) == ("2026-03-02T08:15:00.000000Z", "2026-03-02T08:15:01.000000Z")
    assert (row["suppressed"], row["signer"], row["span_seconds"]) == ("", "", "1.0")


def test_all_four_tables_are_harmless_and_their_json_exact() -> None:
    text = "".join(HOSTILE.values())
    tables = {name: encode(frame).decode() for name, frame in _rows.tables(report(text)).items()}
    assert list(tables) == ["findings", "events", "queries", "problems"]
    assert all(harmless(content.replace("\n", "")) for content in tables.values())
    first, _ = csv.DictReader(io.StringIO(tables["events"]))
    assert json.loads(first["fields"])["CommandLine"] == text
    assert json.loads(first["sources"])[0]["path"] == "sysmon.evtx"


def test_queries_and_problems_have_the_columns_of_the_contract() -> None:
    tables = _rows.tables(report("x", limited=True))
    hosts = ["hosts_ran", "hosts_not_evaluable"]
    assert tables["queries"].columns == ["query", "title", "file", "status", "reason", *hosts, "findings"]
    (query,) = tables["queries"].iter_rows(named=True)
    assert (query["status"], query["hosts_ran"], query["findings"]) == ("partly", '["WS01"]', 1)
    assert tables["problems"].columns == ["source", "channel", "offset", "record_id", "kind", "reason"]
    safe_problems = encode(tables["problems"]).decode().splitlines()
    assert safe_problems[1] == r"a\x1b.evtx,,7,9,record,'=odd\n"


def test_who_closes_a_pipe_early_ends_it_as_with_other_output() -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):  # rich alone would exit with 1: findings at or above --fail-on
        Page(Closed()).print("x")


@pytest.mark.parametrize(
    ("seconds", "target", "said"),
    [
        (0.8, "a.exe", "after 0.8 s"),
        (0.0, "a.exe", "after 0 s"),
        (0.0, None, ""),
        (180.25, None, "within 180.25 s"),
        (10_561.0, None, "within 2 h 56 min"),
        (1_000_000.0, None, "within 11 d 13 h"),
        (725.0, "a.exe", "after 12 min 5 s"),
        (None, "a.exe", ""),
    ],
)
def test_how_long_it_took_is_told_in_few_words(seconds: float | None, target: str | None, said: str) -> None:
    row = {"span_seconds": seconds, "target_image": target, "target_pid": None, "grade": None}
    assert _deed.elapsed(row) == said


def test_a_reason_that_tells_the_evidence_again_is_unfolded_without_loss() -> None:
    steps = [f"2026-03-02T09:00:0{n}.000000Z did; {n}" for n in range(5)]
    reason = "; ".join(("5 phases", *steps[:4], "and 7 more", "odd"))
    assert _deed.unfolded(reason, steps) == ("5 phases; and 7 more; odd", steps, 0)
    assert _deed.unfolded(reason.removesuffix("; odd"), steps) == ("5 phases", steps, 6)
    assert _deed.unfolded(f"a; {steps[0]}", steps) == (f"a; {steps[0]}", [], 0)
    assert _deed.brief(steps[0]) == "2026-03-02 09:00:00 did; 0"


def test_the_summary_counts_with_the_right_word() -> None:
    said = _summary.counted(report("x"))
    assert said == "1 finding; 0 records read in 0 files of 1 host; 1 problem"
