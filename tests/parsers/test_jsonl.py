"""JSON as dumpers and shippers write it gives the frames of the EVTX file, but for what its layout can't tell."""

from __future__ import annotations

import json
import re
import time
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as for_all
from hypothesis import strategies as st

from hunt import pipeline, schema
from hunt.events import Events
from hunt.model import SYSMON, Batch, EventType, Reading, Wants
from hunt.schema import TIME
from parsers import text_files
from parsers.evtx import PARSER as EVTX
from parsers.jsonl import PARSER
from samples.evtx_writer import log_bytes, sysmon_event, sysmon_process
from tests.helpers import ROOT, Result, differences, evidence, gather
from tests.parsers import exports
from tests.parsers.exports import compact, events, lines, without
from tests.parsers.logs import START, event

LOGS = sorted((ROOT / "samples" / "logs").glob("*.evtx"))
FEW = [path for path in LOGS if path.stem in ("odd-case", "hostile-text")]
STARTS = [
    path for path in LOGS if path.stem in ("script-hosts", "odd-case", "non-ascii", "window-edges", "hostile-text")
]

# All that PyPI evtx can't tell: it prints FILETIME and SYSTEMTIME values with six decimals, however many they have, and
# null as an empty text. (Of a named Data that stands twice it keeps the last, which no sample has.)
NOT_CARRIED = {"value-types.evtx": ("FileTime", "SystemTime", "Nothing")}


def given(folder: Path, content: bytes, reading: Reading | None = None) -> Result:
    path = folder / "log.json"
    path.write_bytes(content)
    assert PARSER.accepts(content[:8192])
    return gather(PARSER, [evidence(path)], reading)


def by_evtx(path: Path) -> Result:
    return gather(EVTX, [evidence(path)])


def rows(found: Result) -> list[dict[str, Any]]:
    return [row for frame in found.frames.values() for row in frame.iter_rows(named=True)]


def one(folder: Path, *objects: object) -> dict[str, Any]:
    found = given(folder, lines(objects))
    assert found.problems == []
    (row,) = rows(found)
    return row


def sample() -> dict[str, Any]:
    return events(log_bytes([sysmon_process(Image=r"C:\a.exe", time=START)]))[0]


# The same frames.


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.name)
def test_what_pypi_evtx_writes_gives_the_frames_of_the_log(path: Path, tmp_path: Path) -> None:
    found = given(tmp_path, lines(events(path)))
    assert found.problems == []
    hidden = NOT_CARRIED.get(path.name, ())
    assert differences(without(found.frames, *hidden), without(by_evtx(path).frames, *hidden)) == []


@pytest.mark.parametrize("path", FEW, ids=lambda path: path.name)
@pytest.mark.parametrize("shape", ["pretty", "array", "pretty array", "wrapped", "beside", "Record", "utf-16", "mark"])
def test_however_the_objects_are_laid_out_they_are_the_same(path: Path, shape: str, tmp_path: Path) -> None:
    objects = events(path)
    content = {
        "pretty": lambda: "\n".join(json.dumps(item, indent=2) for item in objects).encode(),
        "array": lambda: compact(objects),
        "pretty array": lambda: json.dumps(objects, indent=4).encode(),
        "wrapped": lambda: lines(exports.wrapped(path)),
        "beside": lambda: lines(beside(item) for item in objects),
        "Record": lambda: b"".join(b"Record %d\r\n" % n + json.dumps(o, indent=2).encode() + b"\r\n"
                                   for n, o in enumerate(objects)),
        "utf-16": lambda: lines(objects).decode().encode("utf-16"),
        "mark": lambda: b"\xef\xbb\xbf" + lines(objects),
    }[shape]()  # fmt: skip
    found = given(tmp_path, content)
    assert found.problems == []
    assert differences(without(found.frames), without(by_evtx(path).frames)) == []


def beside(item: Any) -> Any:
    """Attributes as Name_attributes beside Name, as chainsaw and evtx_dump --separate-json-attributes write them."""
    if not isinstance(item, dict):
        return item
    found = {}
    for name, value in item.items():
        if isinstance(value, dict) and "#attributes" in value:
            found[f"{name}_attributes"] = value["#attributes"]
            value = {k: v for k, v in value.items() if k != "#attributes"} or None
            value = value["#text"] if value and set(value) == {"#text"} else value
        found[name] = beside(value)
    return found


# What winlogbeat leaves out: empty texts, Level, Task, Opcode and Keywords as numbers; 6 has no times below a
# millisecond either.
def _emptied(frame: pl.DataFrame) -> pl.DataFrame:
    texts = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    return frame.with_columns(pl.when(pl.col(texts) != "").then(pl.col(texts)))


BEATS = (
    "System.Keywords",
    "System.Level",
    "System.Task",
    "System.Opcode",
    "System.EventSourceName",
    "System.Qualifiers",
)
_NOT_BEATS = ("user-data", "value-types", "application", "powershell", "collection-local")  # UserData and such
BEATS_LOGS = [path for path in LOGS if path.stem not in _NOT_BEATS]


@pytest.mark.parametrize("path", BEATS_LOGS, ids=lambda path: path.name)
def test_what_winlogbeat_writes_gives_the_frames_of_the_log(path: Path, tmp_path: Path) -> None:
    found = given(tmp_path, lines(map(exports.winlogbeat, events(path))))
    assert found.problems == []
    expected = without(by_evtx(path).frames, *BEATS, adapt=_emptied)
    assert differences(without(found.frames, *BEATS), expected) == []


@pytest.mark.parametrize("path", FEW, ids=lambda path: path.name)
@pytest.mark.parametrize("shape", ["six", "elasticsearch", "dotted"])
def test_older_winlogbeat_and_elasticsearch_give_the_same_but_for_fine_times(
    path: Path, shape: str, tmp_path: Path
) -> None:
    written = [
        {
            "six": exports.winlogbeat6,
            "elasticsearch": lambda item: {"_index": "winlogbeat", "_source": exports.winlogbeat(item)},
            "dotted": lambda item: flat(exports.winlogbeat(item)),
        }[shape](item)
        for item in events(path)
    ]
    found = given(tmp_path, lines(written))
    hidden = (*BEATS, "System.Version", *(("logged",) if shape == "six" else ()))
    expected = without(by_evtx(path).frames, *hidden, adapt=_emptied)
    assert differences(without(found.frames, *hidden), expected) == []


def flat(item: Any, above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in item.items():
        found |= flat(value, f"{above}{name}.") if isinstance(value, dict) else {f"{above}{name}": value}
    return found


def test_what_the_sysmon_module_of_winlogbeat_renamed_gets_its_name_back(tmp_path: Path) -> None:
    shipped = exports.winlogbeat(sample())
    fields = shipped["winlog"].pop("event_data")
    shipped |= {
        "@timestamp": fields["UtcTime"].replace(" ", "T") + "Z",
        "process": {
            "entity_id": fields["ProcessGuid"],
            "pid": int(fields["ProcessId"]),
            "executable": fields["Image"],
            "command_line": fields["CommandLine"],
            "parent": {"executable": fields["ParentImage"], "entity_id": fields["ParentProcessGuid"]},
            "hash": {"sha256": "ab" * 32, "md5": "cd" * 16},
        },
        "user": {"domain": "CONTOSO", "name": "alice"},
    }
    row = one(tmp_path, shipped)
    (expected,) = rows(given(tmp_path, lines([sample()])))
    for name in (
        "time",
        "ProcessGuid",
        "ProcessId",
        "Image",
        "CommandLine",
        "ParentImage",
        "ParentProcessGuid",
        "User",
    ):
        assert row[name] == expected[name], name
    assert row["Hashes"] == f"MD5={'CD' * 16},SHA256={'AB' * 32}"


# NXLog has no Level, and times in whole seconds of its own zone.
NXLOG = ("System.Level", "logged")


@pytest.mark.parametrize("path", STARTS, ids=lambda path: path.name)
def test_what_nxlog_writes_gives_the_frames_of_the_log(path: Path, tmp_path: Path) -> None:
    found = given(tmp_path, lines(map(exports.nxlog, events(path))))
    assert found.problems == []
    expected = by_evtx(path).frames
    assert differences(without(found.frames, *NXLOG), without(expected, *NXLOG)) == []
    for kind, frame in found.frames.items():
        seconds = pl.col("logged").dt.truncate("1s")
        assert frame.select(seconds).equals(expected[kind].select(seconds))


def test_an_export_beside_its_log_repeats_no_event_though_it_prints_fewer_decimals(tmp_path: Path) -> None:
    log, export = tmp_path / "log.evtx", tmp_path / "log.json"
    log.write_bytes(log_bytes(sysmon_process(Image=r"C:\a.exe", time=START, logged=START + n) for n in range(123, 129)))
    export.write_bytes(lines(events(log)))
    met = Events()
    for parser, path in ((EVTX, log), (PARSER, export)):
        for part in parser.read([evidence(path)], Reading()):
            if isinstance(part, Batch):
                met.add(part)
    found = met.frame(SYSMON, 1).collect()
    assert found["sources"].list.len().to_list() == [2] * 6
    assert found["logged"].dt.nanosecond().to_list() == [n * 100 for n in range(123, 129)]


@pytest.mark.parametrize("shape", ["evtx", "winlogbeat", "nxlog"])
def test_an_export_gives_the_findings_of_the_log(shape: str, tmp_path: Path) -> None:
    log = ROOT / "samples" / "logs" / "script-hosts.evtx"
    write = {"evtx": lambda item: item, "winlogbeat": exports.winlogbeat, "nxlog": exports.nxlog}[shape]
    export = tmp_path / "export.json"
    export.write_bytes(lines(map(write, events(log))))
    expected, found = (
        pipeline.run(pipeline.Request([path], ["outlook-script-host"])).findings["finding_id"] for path in (log, export)
    )
    assert expected.len() and found.sort().equals(expected.sort())


# Texts and types.


def with_fields(provider: str, event_id: int, **fields: object) -> dict[str, Any]:
    system = {
        "Provider": {"#attributes": {"Name": provider}},
        "EventID": event_id,
        "Channel": "C",
        "TimeCreated": {"#attributes": {"SystemTime": "2026-03-02T08:15:00.1234567Z"}},
    }
    return {"Event": {"System": system, "EventData": fields}}


def test_values_become_the_texts_of_windows_or_what_the_schema_says(tmp_path: Path) -> None:
    row = one(
        tmp_path,
        with_fields(
            "Microsoft-Windows-Sysmon", 10, SourceProcessId=4711, GrantedAccess="0x1410",
            UtcTime="2026-03-02 08:15:00.001", Number=4096, Real=0.5, Yes=True, No=False, Nothing=None,
            Hex="0x1000", Empty="",
        ),
    )  # fmt: skip
    assert (row["SourceProcessId"], row["GrantedAccess"]) == (4711, 0x1410)
    assert row["time"].microsecond == 1000
    texts = [row[name] for name in ("Number", "Real", "Yes", "No", "Nothing", "Hex", "Empty")]
    assert texts == ["4096", "0.5", "true", "false", "", "0x1000", ""]


def test_times_keep_100_ns(tmp_path: Path) -> None:
    found = given(tmp_path, lines([with_fields("P", 1)]))
    (frame,) = found.frames.values()
    assert frame["logged"].dtype == TIME
    assert frame["logged"].dt.nanosecond().to_list() == [123456700]


def test_what_does_not_fit_its_column_stays_as_text(tmp_path: Path) -> None:
    row = one(tmp_path, with_fields("Microsoft-Windows-Sysmon", 1, ProcessId="many", ParentProcessId=-1))
    assert (row["ProcessId"], row["ParentProcessId"]) == (None, None)
    assert json.loads(row["unparsed"]) == {"ProcessId": "many", "ParentProcessId": "-1"}


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("18446744073709551616", "18446744073709551616"),
        ("1e999999", "1e999999"),
        ("1.10", "1.10"),
        ("-0", "-0"),
        ("NaN", "NaN"),
        (r'"\ud800!"', "\ufffd!"),
        (r'"\ud83d\ude00"', "\U0001f600"),
        (r'"a\u0000b"', "a\0b"),
        (r'"a\/b"', "a/b"),
    ],
)
def test_numbers_and_texts_come_as_they_stand(written: str, shown: str, tmp_path: Path) -> None:
    content = compact(with_fields("P", 1, A="@")).replace(b'"@"', written.encode())
    (row,) = rows(given(tmp_path, content))
    assert row["A"] == shown


def test_a_name_that_stands_twice_keeps_both_values(tmp_path: Path) -> None:
    content = compact(with_fields("P", 1, A="evil")).replace(b'"A":"evil"', b'"A":"evil","A":"harmless"')
    (row,) = rows(given(tmp_path, content))
    assert row["A"] == "evil\nharmless"


def test_an_event_with_two_ids_is_a_problem_and_not_one_of_them(tmp_path: Path) -> None:
    content = lines([with_fields("P", 5), with_fields("P", 1)]).replace(b'"EventID":1', b'"EventID":1,"EventID":5')
    found = given(tmp_path, content)
    assert (found.records, [problem.kind for problem in found.problems]) == (1, ["record"])


def test_unnamed_data_named_data_and_names_like_ours_are_told_apart(tmp_path: Path) -> None:
    fields = {"Data": {"#text": ["a", ""]}, "time": "now", "Binary": None}
    row = one(tmp_path, with_fields("P", 1, **fields))
    assert (row["Data"], row["data.time"], "Binary" in row) == (["a", ""], "now", False)
    assert one(tmp_path, with_fields("P", 1, Data="named"))["data.Data"] == "named"


def test_user_data_is_told_by_its_leaves(tmp_path: Path) -> None:
    item = with_fields("P", 1)
    nested = {"#attributes": {"xmlns": "x", "Code": 5}, "A": {"Name": "one"}, "B": {"Name": "two", "List": [1, 2]}}
    item["Event"] |= {"EventData": None, "UserData": {"Thing": nested}}
    row = one(tmp_path, item)
    assert (row["Code"], row["Thing.A.Name"], row["Thing.B.Name"], row["List"]) == ("5", "one", "two", "1\n2")


# NXLog: whose field is whose, and what time it is.


def flat_event(**fields: object) -> dict[str, Any]:
    return {
        "EventID": 1,
        "SourceName": "P",
        "Channel": "C",
        "Hostname": "H",
        "SourceModuleType": "im_msvistalog",
    } | fields


def test_own_fields_of_nxlog_are_no_fields_of_the_event(tmp_path: Path) -> None:
    item = flat_event(
        EventTime="2026-03-02T10:00:00+02:00", EventType="INFO", AccountName="SYSTEM", Domain="NT AUTHORITY",
        Severity="INFO", SeverityValue=2, Keywords=-9223372036854775808, ProcessID=7, ThreadID=8, Version=2,
        Field="text",
    )  # fmt: skip
    row = one(tmp_path, item)
    own = {name for name in row if name not in {*schema.CORE, *schema.SYSTEM} and not name.startswith("RenderingInfo.")}
    assert own == {"Field"}
    numbers = [row[f"System.{name}"] for name in ("Keywords", "ProcessID", "ThreadID", "Version")]
    assert numbers == [0x8000000000000000, 7, 8, 2]


def test_an_events_own_fields_win_where_nxlog_has_one_of_that_name(tmp_path: Path) -> None:
    item = flat_event(EventTime="2026-03-02T10:00:00Z", EventType="SetValue", ProcessID="3304", ExecutionProcessID=4)
    row = one(tmp_path, item)
    assert (row["EventType"], row["ProcessID"], row["System.ProcessID"]) == ("SetValue", "3304", 4)


@pytest.mark.parametrize(
    "times",
    [
        {"EventTime": "2026-03-02T10:15:00+02:00"},
        {"EventTime": "2026-03-02T08:15:00Z"},
        {"EventTime": "2026-03-02 02:45:00", "EventReceivedTime": "2026-03-02 02:45:09",
         "@timestamp": "2026-03-02T08:15:10.5Z"},
        {"EventTime": "2026-03-02 10:15:00", "UtcTime": "2026-03-02 08:14:59.900",
         "SourceName": "Microsoft-Windows-Sysmon"},
        {"TimeCreated": "2026-03-02T08:15:00.000Z"},
    ],
    ids=["zone", "utc", "received", "sysmon", "script"],
)  # fmt: skip
def test_local_times_are_turned_into_utc_by_what_tells_their_zone(times: dict[str, str], tmp_path: Path) -> None:
    assert one(tmp_path, flat_event(**times))["logged"].isoformat() == "2026-03-02T08:15:00+00:00"


def test_a_time_of_no_known_zone_is_read_as_other_events_of_the_file_show_and_it_is_said(tmp_path: Path) -> None:
    alone = flat_event(EventTime="2026-03-02 10:15:00")
    sysmon = flat_event(
        EventTime="2026-03-02 10:20:00", UtcTime="2026-03-02 08:20:00.000", SourceName="Microsoft-Windows-Sysmon"
    )
    found = given(tmp_path, lines([alone, alone, sysmon]))
    assert sorted(row["logged"].isoformat()[11:16] for row in rows(found)) == ["08:15", "08:15", "08:20"]
    assert [(p.kind, p.reason) for p in found.problems] == [
        ("file", "2 events have local times without a zone: taken as +2 hours from UTC, as other events show")
    ]
    unknown = given(tmp_path, lines([alone]))
    assert [row["logged"].hour for row in rows(unknown)] == [10]
    assert [p.reason for p in unknown.problems] == ["1 events have local times without a zone: taken as UTC"]


@pytest.mark.parametrize("wrap", [{"EventXML": "@"}, {"event": {"original": "@"}}], ids=["nxlog", "winlogbeat"])
def test_the_xml_of_an_event_that_came_along_is_believed_rather_than_its_fields(
    wrap: dict[str, Any], tmp_path: Path
) -> None:
    log = log_bytes([event(data=[("A", " kept "), ("B", "")])])
    shipped: dict[str, Any] = (
        exports.nxlog(events(log)[0]) if "EventXML" in wrap else exports.winlogbeat(events(log)[0])
    )
    shipped |= json.loads(json.dumps(wrap).replace('"@"', json.dumps(exports.xmls(log)[0])))
    row = one(tmp_path, shipped)
    assert (row["A"], row["B"], row["System.Level"]) == (" kept ", "", 4)


# Real telemetry.


def test_real_telemetry_is_read_whole_and_lands_in_typed_columns(real_evidence: Path, tmp_path: Path) -> None:
    for name in ("cmd_mshta_javascript_getobject_sct", "psh_cmstp_execution_bypassuac", "covenant_psremoting_command"):
        with zipfile.ZipFile(real_evidence / "jsonl" / f"{name}.zip") as archive:
            content = archive.read(archive.namelist()[0])
        found = given(tmp_path, content)
        assert found.records == sum(1 for line in content.splitlines() if line.strip())
        assert found.problems == []
        starts = found.frames[EventType(SYSMON, 1)]
        assert starts["unparsed"].null_count() == starts.height
        for column in ("time", "logged", "host", "Image", "ProcessId", "ProcessGuid", "ParentProcessGuid", "LogonId"):
            assert starts[column].null_count() == 0, column
        assert set(starts.columns) & {"SourceModuleType", "port", "tags", "@version"} == set()


# Which files are ours.


@pytest.mark.parametrize(
    "content",
    [
        b"{}", b"[]", b'{"a": 1}\n{"b": 2}\n', b'[{"id": 5, "name": "x"}]',
        b'{"Event": "party"}', b'{"Event": {"System": 5}}',
        b'{"EventID": 5, "Channel": "x"}\n', b'{"winlog": 5}\n', b"{" * 8192, b'{"name": "package", "System": {}}',
        b"\xff\xfe\xff\xfe", b'"Event"', b'{"Records":[{"eventID": "1", "eventSource": "s3.amazonaws.com"}]}',
    ],
)  # fmt: skip
def test_other_json_is_not_ours(content: bytes) -> None:
    assert not PARSER.accepts(content[:8192])


def test_an_event_longer_than_the_head_is_ours() -> None:
    item = with_fields("P", 1, Long="x" * 20_000)
    item["Event"]["System"]["EventRecordID"] = 1
    assert PARSER.accepts(compact(item)[:8192])
    assert PARSER.accepts(compact([exports.winlogbeat(sample()) | {"message": "x" * 20_000}])[:8192])


def test_a_file_that_begins_with_a_broken_line_is_ours_all_the_same() -> None:
    assert PARSER.accepts((b'{"Event": {"Sys\n' + lines([sample()]))[:8192])


# Damage.


def test_a_broken_line_is_a_problem_with_its_offset_and_the_others_are_read(tmp_path: Path) -> None:
    good = compact(sample())
    broken = [
        good[:-20],
        b"\0" * 50,
        b"[5]",
        b'"text"',
        b"{}",
        good[:100] + b"\x01" + good[100:],
        b"{" * 300,
        b'{"a":' * 90_000,
    ]
    content = b"\n".join([good, *(part for line in broken for part in (line, good))]) + b"\n"
    found = given(tmp_path, content)
    assert found.records == 1 + len(broken)
    offsets = [content.index(b"\n" + line + b"\n") + 1 for line in broken]
    offsets[2] += 1  # an array that may hold events is gone into
    assert [(p.kind, p.offset) for p in found.problems] == [("record", offset) for offset in offsets]
    for row in rows(found):
        assert content[row["offset"] :].startswith(good)


def test_a_cut_object_among_pretty_ones_costs_itself(tmp_path: Path) -> None:
    pretty = [json.dumps(item, indent=2) for item in events(log_bytes(event(data=[("A", str(n))]) for n in range(5)))]
    pretty[2] = pretty[2][:300]
    for content in ("\n".join(pretty), "[\n" + ",\n".join(pretty) + "\n]"):
        found = given(tmp_path, content.encode())
        assert [row["A"] for row in rows(found)] == ["0", "1", "3", "4"]
        before = content.index(pretty[1]) + len(pretty[1])
        assert [(p.kind, p.offset) for p in found.problems] == [("record", content.index("{", before))]


def test_a_cut_object_in_an_array_on_one_line_costs_itself(tmp_path: Path) -> None:
    parts = [compact(item) for item in events(log_bytes(event(data=[("A", str(n))]) for n in range(5)))]
    parts[2] = parts[2].replace(b'"EventData"', b'"EventData', 1)
    found = given(tmp_path, b"[" + b",".join(parts) + b"]")
    assert [row["A"] for row in rows(found)] == ["0", "1", "3", "4"]
    assert len(found.problems) == 1


LAID_OUT = {
    "lines": lambda parts: b"\n".join(parts),
    "one line": lambda parts: b"[" + b",".join(parts) + b"]",
    "end to end": lambda parts: b"".join(parts),
    "indented": lambda parts: b"[" + b",\n  ".join(parts) + b"]",
    "pretty": lambda parts: b"\n".join(json.dumps(json.loads(part), indent=2).encode() for part in parts),
    "braces on one line": lambda parts: (
        b"[" + b",".join(json.dumps(json.loads(part), indent=2).encode() for part in parts) + b"]"
    ),
}


@pytest.mark.parametrize("shape", LAID_OUT)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@for_all(drawn=st.data())
def test_wherever_bytes_are_damaged_only_the_event_they_belong_to_is_lost(
    shape: str, tmp_path: Path, drawn: st.DataObject
) -> None:
    parts = [compact(with_fields("P", 1, n=str(n), text='"{zoë}]\\', L=[{"x": 1}, {"y": 2}])) for n in range(5)]
    content = LAID_OUT[shape](parts)
    at = drawn.draw(st.integers(10, len(content) - 3))  # not before the file can be told to be JSON
    length = drawn.draw(st.integers(0, 30))
    damage = drawn.draw(st.sampled_from([b"", b"{", b"}", b'"', b"\\", b"[", b"\n", b"\n{", b"\0" * 30, b'"},{']))
    damaged = content[:at] + damage + content[at + length :]
    # Which events that may touch: from where the last one before it begins to where the first one behind it begins.
    starts = [match.start() for match in re.finditer(rb'\{\s*"Event"', content)]
    touched = {n for n, start in enumerate(starts) if start <= at + length and [*starts, len(content)][n + 1] >= at}
    found = damaged_read(tmp_path, damaged)
    assert {row.get("n") for row in rows(found)} >= {str(n) for n in range(5) if n not in touched}
    assert found.records + len(found.problems) >= 5 - len(touched) + 1


def damaged_read(folder: Path, content: bytes) -> Result:
    path = folder / "log.json"
    path.write_bytes(content)
    return gather(PARSER, [evidence(path)])


def test_damage_costs_no_more_where_there_is_much_of_it(tmp_path: Path) -> None:
    parts = [compact(sample())] * 3000
    cut = [part[:-3] if n % 3 == 0 else part for n, part in enumerate(parts)]
    found = given(tmp_path, b"[" + b",".join([parts[0], *cut]) + b"]")
    assert (found.records, len(found.problems)) == (2001, 1000)


def test_bytes_that_are_no_utf_8_are_replaced_and_it_is_said(tmp_path: Path) -> None:
    found = given(tmp_path, compact(with_fields("P", 1, A="m@ller")).replace(b"@", b"\xfc"))
    assert rows(found)[0]["A"] == "m\ufffdller"
    assert [(p.kind, p.reason[:37]) for p in found.problems] == [("file", "1 events hold bytes that are no UTF-8")]


def test_what_is_no_event_of_ours_between_events_is_a_problem(tmp_path: Path) -> None:
    found = given(tmp_path, lines([sample(), {"other": 1}, with_fields("P", 1 << 33), sample()]))
    assert (found.records, [p.kind for p in found.problems]) == (2, ["record", "record"])


# Hostile sizes: nothing is kept that has no bound.


def test_an_object_without_an_end_is_given_up_and_the_next_line_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parsers.json_values.LONGEST", 1 << 16)
    monkeypatch.setattr(text_files, "_BLOCK", 1 << 12)
    good = compact(sample())
    for endless in (
        b'{"a":"' + b"x" * 300_000,
        b'{"a":[' + b"1," * 150_000,
        b"x" * 300_000,
        b'{"a":"' + b'\\"' * 150_000,
    ):
        found = given(tmp_path, good + b"\n" + endless + b"\n" + good)
        assert (found.records, [p.offset for p in found.problems]) == (2, [len(good) + 1])


def test_an_event_with_too_many_fields_is_refused(tmp_path: Path) -> None:
    found = given(tmp_path, lines([sample(), with_fields("P", 1, **{f"F{n}": "" for n in range(5000)})]))
    assert (found.records, [p.reason[:18] for p in found.problems]) == (1, ["an event with 5004"])


def test_problems_without_number_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parsers.gathered.MOST_PROBLEMS", 10)
    found = given(tmp_path, compact(sample()) + b"\n" + b"{}\n" * 25)
    assert [p.reason for p in found.problems[10:]] == ["15 more events can't be read"]


@pytest.mark.parametrize("block", [1, 61])
@pytest.mark.parametrize("shape", ["lines", "array", "pretty", "utf-16"])
def test_sizes_of_blocks_change_nothing(
    block: int, shape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = events(log_bytes(event(data=[("A", f'"{{zoë🎈]\\{n}')]) for n in range(3)))
    content = {
        "lines": lines(objects) + b"garbage\n" + lines(objects),
        "array": compact(objects),
        "pretty": b"Record 1\n"
        + json.dumps(objects[0], indent=2, ensure_ascii=False).encode()
        + b"\nRecord 2\n"
        + json.dumps(objects[1:], indent=2).encode(),
        "utf-16": lines(objects).decode().encode("utf-16"),
    }[shape]
    whole = given(tmp_path, content)
    monkeypatch.setattr(text_files, "_BLOCK", block)
    again = given(tmp_path, content)
    assert differences(again.frames, whole.frames) == []
    assert again.problems == whole.problems
    assert sum(part.size for part in again.progress) == len(content)


@pytest.mark.parametrize(
    "rubbish",
    [
        b"{\n" * 400_000,
        b"{},\n" * 200_000,
        b"{}," * 250_000,
        b'{"a":1}\n' * 100_000,
        b'{"a":\n' * 150_000,
        b'{"a":' * 160_000,
        b'{"Event":' * 90_000,
        b'{"Event":[' * 80_000,
        b'{"Event":{' * 199 + b'"' + b"x" * 600_000 + b'" x' + b"}" * 398,
    ],
    ids=lambda rubbish: rubbish[:9].decode(),
)
def test_pieces_that_are_no_events_cost_no_more_than_events(rubbish: bytes, tmp_path: Path) -> None:
    good = compact(sample()) + b"\n"
    began = time.process_time()
    found = given(tmp_path, good + rubbish + b"\n" + good)
    assert time.process_time() - began < 2  # one by one, they would take ten times as long
    assert found.records == 2
    assert found.problems


def test_events_between_thousands_of_pieces_that_are_none_are_read(tmp_path: Path) -> None:
    good = compact(sample())
    for piece in (b"{},", b"{\n", b'{"a":'):
        found = given(tmp_path, (good + b"\n" + piece * 5000 + b"\n") * 3 + good)
        assert found.records == 4


def test_a_text_full_of_braces_is_a_text(tmp_path: Path) -> None:
    texts = ["{" * 5000, "{}," * 5000, '{"a":' * 5000, "{\n" * 5000]
    written = lines([sample() for _ in range(300)] + [with_fields("P", 1, A=text) for text in texts * 256])
    found = given(tmp_path, written)
    assert (found.records, found.problems) == (300 + 4 * 256, [])


def test_an_event_on_a_line_with_all_others_is_read_again_without_them(tmp_path: Path) -> None:
    parts = [compact(with_fields("P", 1, n=str(n))) for n in range(50)]
    path = tmp_path / "log.json"
    path.write_bytes(b"[" + b",".join(parts) + b"," + b" " * (20 << 20) + b"]")
    offsets = [row["offset"] for row in rows(gather(PARSER, [evidence(path)]))]
    began = time.process_time()
    again = PARSER.records(evidence(path), offsets)
    assert [row["n"] for frame in again.frames.values() for row in frame.iter_rows(named=True)] == list(
        map(str, range(50))
    )
    assert time.process_time() - began < 1


def test_texts_numbered_from_nowhere_do_not_fill_the_memory(tmp_path: Path) -> None:
    few = {"winlog": {"event_id": 1, "channel": "c", "provider_name": "p", "event_data": {"param3": "x"}}}
    many = {"winlog": {"event_id": 1, "channel": "c", "provider_name": "p", "event_data": {"param9999": "x"}}}
    met = rows(given(tmp_path, lines([few, many])))
    assert [row["Data"] for row in met] == [["", "", "x"], None]
    assert met[1]["param9999"] == "x"


def test_text_beside_the_elements_of_a_section_is_no_event_lost(tmp_path: Path) -> None:
    item = sample()
    item["Event"]["UserData"] = {"#text": "beside", "A": "x"}
    assert one(tmp_path, item)["A"] == "x"


# As every parser.


def test_only_wanted_event_types_and_columns_come_out_and_all_are_counted(tmp_path: Path) -> None:
    log = log_bytes([sysmon_process(Image=r"C:\a.exe", time=START), *(sysmon_event(n, time=START) for n in (3, 5, 5))])
    wants = Wants({(SYSMON.lower(), 1): frozenset({"Image", "NoSuchField"})})
    found = given(tmp_path, lines(events(log)), Reading(wants))
    ((kind, frame),) = found.frames.items()
    assert (kind, set(frame.columns)) == ((SYSMON, 1), {*schema.CORE, *schema.SYSTEM, "Image", "UtcTime"})
    counts = found.census.group_by("event_id").agg(pl.col("records").sum())
    assert dict(counts.iter_rows()) == {1: 1, 3: 1, 5: 2}


@pytest.mark.parametrize("shape", ["lines", "pretty", "utf-16", "zoneless"])
def test_records_read_again_by_their_offsets_are_the_same_rows(shape: str, tmp_path: Path) -> None:
    objects = events(LOGS[0]) if shape != "zoneless" else [flat_event(EventTime="2026-03-02 10:15:00")]
    content = {
        "lines": lines(objects),
        "pretty": json.dumps(objects, indent=2).encode(),
        "utf-16": lines(objects).decode().encode("utf-16"),
        "zoneless": lines(objects),
    }[shape]
    found = given(tmp_path, content)
    file = evidence(tmp_path / "log.json")
    offsets = sorted(row["offset"] for row in rows(found))
    again = PARSER.records(file, offsets)
    assert differences(dict(again.frames), found.frames) == []
    assert PARSER.records(file, [offsets[-1] + 1, 1 << 40]).frames == {}


def test_a_file_that_went_away_is_a_problem_and_the_others_are_read(tmp_path: Path) -> None:
    files = []
    for name in ("a", "gone", "z"):
        (tmp_path / name).write_bytes(lines([sample()]))
        files.append(evidence(tmp_path / name))
    (tmp_path / "gone").unlink()
    found = gather(PARSER, files)
    assert [(p.source, p.kind) for p in found.problems] == [("gone", "file")]
    assert found.records == 2
