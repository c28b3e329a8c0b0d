"""XML as Windows and dumpers export it gives the frames that the EVTX file gives."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from hunt import pipeline, schema
from hunt.model import SYSMON, Reading, Wants
from parsers import text_files
from parsers.evtx import PARSER as EVTX
from parsers.xml import PARSER
from samples.evtx_writer import log_bytes, sysmon_event, sysmon_process
from tests.helpers import ROOT, Result, differences, evidence, gather
from tests.parsers.exports import without, xmls
from tests.parsers.logs import START, event

LOGS = sorted((ROOT / "samples" / "logs").glob("*.evtx"))

# All that PyPI evtx can't tell: FILETIME and SYSTEMTIME values below a microsecond, null from an empty text.
NOT_CARRIED = {
    "value-types.evtx": ("FileTime", "SystemTime", "Nothing"),
    "application.evtx": ("Binary",),
    "exchange-admin.evtx": ("Binary",),
    "exchange-export.evtx": ("Binary",),
    "exchange-logons.evtx": ("Binary",),
}

# As EvtRender writes an event, which wevtutil and Event Viewer do: apostrophes, no declaration, no line breaks.
WINDOWS = (
    "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>"
    "<Provider Name='Microsoft-Windows-Sysmon' Guid='{5770385f-c22a-43e0-bf4c-06f5698ffbd9}'/><EventID>1</EventID>"
    "<Version>5</Version><Level>4</Level><Task>1</Task><Opcode>0</Opcode><Keywords>0x8000000000000000</Keywords>"
    "<TimeCreated SystemTime='2026-03-02T08:15:00.1234567Z'/><EventRecordID>{n}</EventRecordID><Correlation/>"
    "<Execution ProcessID='2840' ThreadID='3912'/><Channel>Microsoft-Windows-Sysmon/Operational</Channel>"
    "<Computer>WS01</Computer><Security UserID='S-1-5-18'/></System><EventData><Data Name='RuleName'>-</Data>"
    "<Data Name='UtcTime'>2026-03-02 08:15:00.001</Data>"
    "<Data Name='ProcessGuid'>{790b3175-5190-69a5-6c0c-000000000102}</Data><Data Name='ProcessId'>4711</Data>"
    "<Data Name='Image'>C:\\zoë &amp; Söhne\\a.exe</Data><Data Name='LogonId'>0x4b1f7</Data>"
    "<Data Name='User'></Data></EventData></Event>"
)


def windows(count: int = 2) -> list[str]:
    return [WINDOWS.replace("{n}", str(n)) for n in range(1, count + 1)]


def given(folder: Path, content: bytes | str, reading: Reading | None = None) -> Result:
    content = content.encode() if isinstance(content, str) else content
    path = folder / "log.xml"
    path.write_bytes(content)
    assert PARSER.accepts(content[:8192])
    return gather(PARSER, [evidence(path)], reading)


def rows(found: Result) -> list[dict[str, Any]]:
    return [row for frame in found.frames.values() for row in frame.iter_rows(named=True)]


def by_evtx(path: Path) -> Result:
    return gather(EVTX, [evidence(path)])


# The same frames.


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.name)
def test_what_pypi_evtx_writes_gives_the_frames_of_the_log(path: Path, tmp_path: Path) -> None:
    found = given(tmp_path, "".join(xmls(path)))
    assert found.problems == []
    hidden = NOT_CARRIED.get(path.name, ())
    assert differences(without(found.frames, *hidden), without(by_evtx(path).frames, *hidden)) == []


SHAPES = {
    "wevtutil": lambda events: "\r\n".join(events).encode(),
    "wevtutil /e:Events": lambda events: ("<Events>\r\n" + "\r\n".join(events) + "\r\n</Events>").encode(),
    "Event Viewer": lambda events: (
        '<?xml version="1.0" encoding="utf-8" standalone="yes"?>\r\n<Events>' + "".join(events) + "</Events>"
    ).encode(),
    "redirected by PowerShell": lambda events: ("\r\n".join(events) + "\r\n").encode("utf-16"),
    "big endian": lambda events: b"\xfe\xff" + "".join(events).encode("utf-16-be"),
    "without a mark": lambda events: "".join(events).encode("utf-16-le"),
    "utf-8 with a mark": lambda events: b"\xef\xbb\xbf" + "".join(events).encode(),
    "evtx_dump": lambda events: "".join(
        f'Record {n}\n<?xml version="1.0" encoding="utf-8"?>\n{text}\n' for n, text in enumerate(events, 1)
    ).encode(),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_however_events_are_laid_out_they_are_the_same(shape: str, tmp_path: Path) -> None:
    found = given(tmp_path, SHAPES[shape](windows()))
    assert found.problems == []
    (frame,) = found.frames.values()
    assert frame["record_id"].to_list() == [1, 2]
    (row, _) = rows(found)
    assert (row["Image"], row["User"]) == ("C:\\zoë & Söhne\\a.exe", "")
    assert (row["ProcessId"], row["LogonId"], row["time"].microsecond) == (4711, 0x4B1F7, 1000)
    assert row["ProcessGuid"] == "{790B3175-5190-69A5-6C0C-000000000102}"
    assert frame["logged"].dt.nanosecond().to_list() == [123456700] * 2


@pytest.mark.parametrize("shape", SHAPES)
def test_an_offset_is_where_the_element_begins_and_reads_it_again(shape: str, tmp_path: Path) -> None:
    content = SHAPES[shape](windows(3))
    found = given(tmp_path, content)
    begin = "<Event x".encode("utf-16-le" if content[1:2] == b"\0" or content[:2] == b"\xff\xfe" else "utf-8")
    begin = "<Event x".encode("utf-16-be") if content[:2] == b"\xfe\xff" else begin
    assert [row["offset"] for row in rows(found)] == [m.start() for m in re.finditer(re.escape(begin), content)]
    file = evidence(tmp_path / "log.xml")
    again = PARSER.records(file, [row["offset"] for row in rows(found)])
    assert differences(dict(again.frames), found.frames) == []
    assert PARSER.records(file, [rows(found)[1]["offset"] + 2, 1 << 40]).frames == {}


def test_rendered_texts_get_a_prefix(tmp_path: Path) -> None:
    rendered = (
        "<RenderingInfo Culture='en-US'><Message>Process Create:\r\nRuleName: -</Message><Level>Information</Level>"
        "<Keywords><Keyword>A</Keyword><Keyword>B</Keyword></Keywords></RenderingInfo></Event>"
    )
    (row,) = rows(given(tmp_path, windows(1)[0].replace("</Event>", rendered)))
    assert row["RenderingInfo.Message"] == "Process Create:\r\nRuleName: -"
    assert (row["RenderingInfo.Level"], row["System.Level"], row["RenderingInfo.Keyword"]) == ("Information", 4, "A\nB")


def test_an_export_gives_the_findings_of_the_log(tmp_path: Path) -> None:
    log = ROOT / "samples" / "logs" / "script-hosts.evtx"
    export = tmp_path / "export.xml"
    export.write_text("<Events>" + "".join(text.partition("?>")[2] for text in xmls(log)) + "</Events>")
    expected, found = (
        pipeline.run(pipeline.Request([path], ["outlook-script-host"])).findings["finding_id"] for path in (log, export)
    )
    assert expected.len() and found.sort().equals(expected.sort())


# Which files are ours.


@pytest.mark.parametrize(
    "content", ["<Events></Events>", '<?xml version="1.0"?>\r\n<Events/>', "\ufeff<Events>\n</Events>\n"]
)
def test_the_export_of_an_empty_log_is_ours_and_holds_nothing(content: str, tmp_path: Path) -> None:
    found = given(tmp_path, content)
    assert (found.frames, found.problems, found.records) == ({}, [], 0)


@pytest.mark.parametrize(
    "content",
    ["<Events><Event id='5'/></Events>", "<Event><Name/></Event>", "<html>", "<?xml version='1.0'?><Eventful><System/>",
     "<Events>", "x<Event><System>", "<EventLog><System>"],
)  # fmt: skip
def test_other_xml_is_not_ours(content: str) -> None:
    assert not PARSER.accepts(content.encode())


# Texts that XML can't hold, and what others do about it.


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("\x1b[2J", "\x1b[2J"),
        ("&#27;&#x1B;&#0;", "\x1b\x1b\0"),
        ("a\r\nb\rc\nd\te", "a\r\nb\rc\nd\te"),
        ("&#13;&#10;&#x9;", "\r\n\t"),
        ("&lt;Event&gt;&amp;lt;", "<Event>&lt;"),
        (" blanks ", " blanks "),
        ("<![CDATA[<Event></Event>]]>", "<Event></Event>"),
        ("a<!-- </Event> <Event><System> -->b", "ab"),
        ("\U00100000", "\U00100000"),
        ("&#x110000;", "\ufffd"),
        ("&#xd800;", "\ufffd"),
    ],
)
def test_every_text_comes_as_it_was_meant(written: str, shown: str, tmp_path: Path) -> None:
    found = given(tmp_path, windows(1)[0].replace("a.exe", written))
    assert found.problems == []
    assert rows(found)[0]["Image"] == "C:\\zoë & Söhne\\" + shown


def test_an_element_of_the_same_name_inside_an_event_does_not_end_it(tmp_path: Path) -> None:
    nested = "<UserData><Thing><Event a='1'><Event/>inner</Event></Thing></UserData></Event>"
    found = given(tmp_path, [windows(1)[0].replace("</Event>", nested), *windows(1)][0] + windows(2)[1])
    assert (found.problems, found.records) == ([], 2)


def test_a_console_code_page_is_replaced_and_it_is_said(tmp_path: Path) -> None:
    found = given(tmp_path, "".join(windows()).encode("cp850"))
    assert rows(found)[0]["Image"] == "C:\\zo\ufffd & S\ufffdhne\\a.exe"
    assert [(p.kind, p.reason[:37]) for p in found.problems] == [("file", "2 events hold bytes that are no UTF-8")]


# Damage.


def damaged(folder: Path, *parts: str | bytes) -> Result:
    return given(folder, b"".join(part.encode() if isinstance(part, str) else part for part in parts))


@pytest.mark.parametrize(
    "broken",
    [
        WINDOWS[:400],
        WINDOWS[:-8],
        WINDOWS.replace("<System>", "<System><System>"),
        WINDOWS.replace("<Event ", "<Ev\0nt ", 1),
        WINDOWS.replace("<EventID>1", "<EventID>one"),
        WINDOWS.replace("</Data>", "</Dat>", 1),
        WINDOWS.replace("a.exe", "&undefined;"),
        "<Event><System>" + "<a>" * 100_000 + "</Event>",
        "\0" * 5000,
        "no event at all",
    ],
    ids=["cut", "cut at its end", "unclosed", "its begin", "id", "tag", "entity", "deep", "zeros", "text"],
)
@pytest.mark.parametrize("where", ["between", "last"])
def test_a_broken_event_is_a_problem_with_its_offset_and_the_others_are_read(
    broken: str, where: str, tmp_path: Path
) -> None:
    first, second, third = windows(3)
    found = damaged(tmp_path, "<Events>", first, second, broken, third if where == "between" else "")
    assert [row["record_id"] for row in rows(found)] == [1, 2, 3][: 3 if where == "between" else 2]
    offset = len(("<Events>" + first + second).encode())
    assert [(p.kind, p.offset) for p in found.problems] == [("record", offset)]


def test_two_broken_events_are_two_problems(tmp_path: Path) -> None:
    bad = WINDOWS.replace("<Event ", "<Ev\0nt ", 1)
    found = damaged(tmp_path, *windows(1), bad, bad, *windows(1), bad)
    assert (found.records, len(found.problems)) == (2, 3)


@pytest.mark.parametrize("broken", ["<!-- c --{>", "<!-- c -", "<!--"])
def test_a_comment_without_its_end_hides_no_other_event(broken: str, tmp_path: Path) -> None:
    """Two hyphens can be nothing but its end: the comment of a later event is none of it."""
    commented = [item.replace("</EventData>", "<!-- c --></EventData>") for item in windows(4)]
    commented[1] = commented[1].replace("<!-- c -->", broken)
    found = damaged(tmp_path, *commented)
    assert [row["record_id"] for row in rows(found)] == [1, 3, 4]
    assert [p.kind for p in found.problems] == ["record"]


def test_a_text_that_is_longer_than_a_block_hides_tags_as_a_short_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_files, "_BLOCK", 1 << 12)
    text = "</Event><Event><System>" * 1000
    found = damaged(tmp_path, windows(1)[0].replace("a.exe", f"<![CDATA[{text}]]>"), *windows(1))
    assert (found.problems, [row["Image"][-len(text) :] == text for row in rows(found)]) == ([], [True, False])


def test_a_file_cut_in_its_middle_loses_one_event(tmp_path: Path) -> None:
    content = ("<Events>" + "".join(windows(9))).encode()
    found = given(tmp_path, content[: len(content) * 2 // 3])
    assert (found.records, [p.reason for p in found.problems]) == (5, ["cut off"])


# Hostile.


def test_entities_are_neither_expanded_nor_fetched(tmp_path: Path) -> None:
    laughs = "<!DOCTYPE x [<!ENTITY a 'ha'><!ENTITY b '&a;&a;'><!ENTITY f SYSTEM 'file:///etc/passwd'>]>"
    for reference in ("&b;", "&f;"):
        found = damaged(tmp_path, *windows(1), laughs, windows(1)[0].replace("a.exe", reference), *windows(1))
        assert found.records == 2
        assert len(found.problems) == 2
        assert "root:" not in str(rows(found))


def test_an_event_without_an_end_is_given_up_and_the_next_one_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parsers.xml_elements.LONGEST", 1 << 16)
    monkeypatch.setattr(text_files, "_BLOCK", 1 << 12)
    for endless in ("x" * 300_000, "<a>" * 100_000, "<Event>" * 40_000, "<!--" * 70_000):
        found = damaged(tmp_path, *windows(1), WINDOWS[:-16], endless, *windows(1))
        assert found.records == 2
        assert [p.offset for p in found.problems] == [len(windows(1)[0].encode())]


@pytest.mark.parametrize("begin", ["<!--", "<![CDATA["])
def test_comments_without_an_end_in_each_event_cost_no_more_than_one(begin: str, tmp_path: Path) -> None:
    began = time.process_time()
    found = damaged(tmp_path, *windows(1), f"<Event><System>{begin}</System></Event>\n" * 10_000, *windows(1))
    assert (found.records, len(found.problems)) == (2, 10_000)
    assert time.process_time() - began < 3  # looking through the rest of the file for each takes five times as long


@pytest.mark.parametrize("block", [1, 500])
@pytest.mark.parametrize("shape", ["wevtutil", "redirected by PowerShell"])
def test_sizes_of_blocks_change_nothing(
    block: int, shape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = SHAPES[shape]([*windows(3), "garbage 🎈", *windows(2), WINDOWS[:300]])
    whole = given(tmp_path, content)
    monkeypatch.setattr(text_files, "_BLOCK", block * 2)
    monkeypatch.setattr("parsers.xml_elements._SLACK", 600)
    monkeypatch.setattr(text_files, "_OVERLAP", 600)
    again = given(tmp_path, content)
    assert differences(again.frames, whole.frames) == []
    assert (again.problems, len(again.problems)) == (whole.problems, 2)


# As every parser.


def test_only_wanted_event_types_and_columns_come_out_and_all_are_counted(tmp_path: Path) -> None:
    log = log_bytes([sysmon_process(Image=r"C:\a.exe", time=START), *(sysmon_event(n, time=START) for n in (3, 5, 5))])
    found = given(tmp_path, "".join(xmls(log)), Reading(Wants({(SYSMON.lower(), 1): frozenset({"Image"})})))
    ((kind, frame),) = found.frames.items()
    assert (kind, set(frame.columns)) == ((SYSMON, 1), {*schema.CORE, *schema.SYSTEM, "Image", "UtcTime"})
    counts = found.census.group_by("event_id").agg(pl.col("records").sum())
    assert dict(counts.iter_rows()) == {1: 1, 3: 1, 5: 2}


def test_batches_of_any_size_hold_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = "".join(xmls(log_bytes(event(data=[("A", str(n))]) for n in range(10))))
    whole = given(tmp_path, content)
    monkeypatch.setattr("parsers.gathered._RECORDS", 3)
    again = given(tmp_path, content)
    assert differences(again.frames, whole.frames) == []
    assert (again.records, len(again.progress), sum(p.size for p in again.progress)) == (10, 4, len(content.encode()))


def test_a_file_that_went_away_is_a_problem_and_the_others_are_read(tmp_path: Path) -> None:
    files = []
    for name in ("a", "gone", "z"):
        (tmp_path / name).write_text("".join(windows()))
        files.append(evidence(tmp_path / name))
    (tmp_path / "gone").unlink()
    found = gather(PARSER, files)
    assert [(p.source, p.kind) for p in found.problems] == [("gone", "file")]
    assert found.records == 4
