"""Cloud audit logs, however they were exported, give the same records; damage costs what it hits."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hunt import registry
from hunt.model import ALL_COLUMNS, EventType, Reading, Wants
from parsers.audit_records import columns
from parsers.google_audit import PARSER as GOOGLE
from parsers.json_values import decode
from parsers.unified_audit import CHANNEL, PARSER
from tests.helpers import Result, evidence, frame_differences, gather
from tests.queries.audited import access, activity, cmdlet

RECORDS = [
    access("<a@contoso.example>", "<é中@contoso.example>", seconds=1),
    cmdlet("New-InboxRule", 2, parameters={"Name": '"quoted", and\nmore', "ForwardTo": "x@evil.example"}),
    cmdlet("Set-Mailbox", 3, parameters={"Identity": "bob"}),
]


def row_of(record: Any, held: Callable[[Any], Any] = json.dumps) -> dict[str, Any]:
    return {
        "RecordType": "ExchangeAdmin",
        "CreationDate": "/Date(1)/",
        "UserIds": record["UserId"],
        "Operations": record["Operation"],
        "AuditData": held(record),
        "ResultIndex": 1,
    }


def table(records: list[Any], delimiter: str = ",", **how: Any) -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\r\n")
    writer.writerow(["RecordId", "CreationDate", "RecordType", "Operation", "UserId", "AuditData", "More"])
    writer.writerows(
        [r["Id"], "2026", r["RecordType"], r["Operation"], r["UserId"], json.dumps(r, **how), ""] for r in records
    )
    return out.getvalue()


LAYOUTS: dict[str, Callable[[list[Any]], bytes]] = {
    "lines": lambda rs: b"".join(json.dumps(r).encode() + b"\n" for r in rs),
    "compact lines": lambda rs: b"\n".join(
        json.dumps(r, separators=(",", ":"), ensure_ascii=False).encode() for r in rs
    ),
    "array": lambda rs: json.dumps(rs).encode(),
    "pretty array": lambda rs: json.dumps(rs, indent=4).encode("utf-8-sig"),
    "rows": lambda rs: json.dumps([row_of(r) for r in rs], indent=2).encode("utf-16"),
    "rows of objects": lambda rs: b"\n".join(json.dumps(row_of(r, lambda x: x)).encode() for r in rs),
    "page": lambda rs: json.dumps(
        {"@odata.context": "c", "value": [row_of(r) for r in rs], "@odata.nextLink": "n"}
    ).encode(),
    "pretty page": lambda rs: json.dumps({"value": rs, "@odata.count": 3}, indent=1).encode(),
    "csv": lambda rs: table(rs).encode("utf-8-sig"),
    "csv of UTF-16": lambda rs: table(rs, ";", indent=1).encode("utf-16"),
    "csv with tabs": lambda rs: ("#TYPE Selected\r\n" + table(rs, "\t")).encode(),
}


def read(folder: Path, content: bytes, parser: Any = PARSER, reading: Reading | None = None) -> Result:
    path = folder / "export"
    path.write_bytes(content)
    assert [p.name for p in registry.parsers() if p.accepts(content[:8192])] == [parser.name]
    return gather(parser, [evidence(path)], reading)


def without_places(found: Result) -> dict[EventType, Any]:
    return {kind: frame.drop("offset") for kind, frame in found.frames.items()}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_however_records_were_exported_they_are_the_same(layout: str, tmp_path: Path) -> None:
    expected = without_places(read(tmp_path, LAYOUTS["lines"](RECORDS)))
    found = read(tmp_path, LAYOUTS[layout](RECORDS))
    assert (found.problems, found.records) == ([], 3)
    assert {kind: frame_differences(frame, expected[kind]) for kind, frame in without_places(found).items()} == {
        kind: [] for kind in expected
    }
    (places,) = [sorted(o for frame in found.frames.values() for o in frame["offset"])]
    again = PARSER.records(evidence(tmp_path / "export"), places)
    assert sorted(o for frame in again.frames.values() for o in frame["offset"]) == places
    for kind, frame in again.frames.items():
        assert frame["Id"].to_list() == found.frames[kind]["Id"].to_list()


def test_a_record_has_the_columns_of_the_contract(tmp_path: Path) -> None:
    found = read(tmp_path, LAYOUTS["lines"](RECORDS[:1]))
    (row,) = found.frames[EventType(CHANNEL, 50)].to_dicts()
    assert (row["host"], row["record_id"], str(row["time"])) == (
        RECORDS[0]["OrganizationId"],
        None,
        "2026-03-02 08:15:01+00:00",
    )
    assert row["OperationProperties.MailAccessType"] == "Bind"
    assert row["Folders.FolderItems.InternetMessageId"] == "<a@contoso.example>\n<é中@contoso.example>"
    assert json.loads(row["Folders"]) == RECORDS[0]["Folders"]


def test_record_types_may_be_names_and_unknown_ones_are_counted(tmp_path: Path) -> None:
    records = [cmdlet("A") | {"RecordType": "exchangeItemAggregated"}, cmdlet("B") | {"RecordType": "Whatever"}]
    found = read(tmp_path, LAYOUTS["lines"](records))
    assert {kind.event_id for kind in found.frames} == {50, 0}


@pytest.mark.parametrize(
    "zone", ["2026-03-02T08:15:00", "2026-03-02T08:15:00Z", "2026-03-02T10:15:00+02:00", "/Date(1772439300000)/"]
)
def test_times_are_utc_unless_they_say_otherwise(zone: str, tmp_path: Path) -> None:
    found = read(tmp_path, LAYOUTS["lines"]([cmdlet("A") | {"CreationTime": zone}]))
    (frame,) = found.frames.values()
    assert str(frame["time"][0]) == "2026-03-02 08:15:00+00:00"


def test_records_without_a_time_are_kept_and_it_is_said_that_windows_lack_them(tmp_path: Path) -> None:
    times = ["3/2/2026 8:15:00 AM", "", None]
    found = read(tmp_path, LAYOUTS["lines"]([*RECORDS, *(cmdlet("A") | {"CreationTime": time} for time in times)]))
    (problem,) = found.problems
    assert (found.records, problem.kind, problem.reason[:9]) == (6, "file", "3 records")


HOSTILE = {
    "many names": b'{"Operation":"x","RecordType":1,"CreationTime":"t","a":['
    + b",".join(b'{"%d":1}' % n for n in range(3000))
    + b"]}",
    "cut off": b'{"CreationTime":"2026-03-02T08:15:00","Operation":"x","RecordType":1,"Id":"1',
    "deep": b'{"Operation":"x","RecordType":1,"CreationTime":"t","a":' + b"[" * 900 + b"]" * 900 + b"}",
    "deeper": b'{"Operation":"x","RecordType":1,"CreationTime":"t","a":' + b"[" * 90_000 + b"]" * 90_000 + b"}",
    "names twice": b'{"Operation":"x","RecordType":1,"RecordType":2,"CreationTime":"t"}',
    "other": b'{"hello":"world, this is no record at all, whatever it says"}',
    "no AuditData": b'{"RecordType":"ExchangeAdmin","CreationDate":"x","Operations":"y","AuditData":"{\\"Crea"}',
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_damaged_is_one_problem_and_its_neighbours_are_read(kind: str, tmp_path: Path) -> None:
    first, *rest = (json.dumps(record).encode() for record in RECORDS)
    found = read(tmp_path, b"\n".join([first, HOSTILE[kind], *rest]) + b"\n")
    assert found.records == 3
    assert [problem.kind for problem in found.problems] == ["record"]


def test_numbers_of_any_size_and_bad_utf8_stay_as_they_are(tmp_path: Path) -> None:
    big = b'"UserType": 123456789012345678901234567890, "X": 1.50'
    content = LAYOUTS["lines"](RECORDS[2:]).replace(b'"UserType": 0', big)
    found = read(tmp_path, content.replace(b'"bob"', b'"b\xffb"'))
    (row,) = next(iter(found.frames.values())).to_dicts()
    assert (row["UserType"], row["X"]) == ("123456789012345678901234567890", "1.50")
    assert row["Parameters.Identity"] == "b\ufffdb"
    assert [problem.kind for problem in found.problems] == ["file"]


def test_a_row_that_is_cut_in_a_csv_takes_no_other_with_it(tmp_path: Path) -> None:
    lines = table(RECORDS * 4).split("\r\n")
    lines[3] = lines[3][: len(lines[3]) // 2]
    lines[7] = lines[7][: lines[7].index('"{') + 40]
    found = read(tmp_path, "\r\n".join(lines).encode())
    assert found.records == 10
    assert [problem.kind for problem in found.problems] == ["record", "record"]


def test_huge_cells_are_read(tmp_path: Path) -> None:
    many = access(*(f"<{n}@contoso.example>" for n in range(20_000)))
    found = read(tmp_path, table([many, *RECORDS]).encode())
    assert (found.records, found.problems) == (4, [])
    assert (
        found.frames[EventType(CHANNEL, 50)]["Folders.FolderItems.InternetMessageId"].str.count_matches("\n").max()
        == 19_999
    )


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**17) | st.text("ab\n\"'é", max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["Name", "Value", "a", "b", "c"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["Operation", "x", "y", "z"]), _VALUES, max_size=4))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_column_is_the_same_alone_and_among_all(record: dict[str, Any]) -> None:
    every = columns(record, ALL_COLUMNS)
    assert {name: columns(record, frozenset({name})).get(name) for name in every} == every


@given(
    st.dictionaries(
        st.text('ab\\"u0:é', min_size=1, max_size=5),
        _VALUES | st.floats(allow_nan=False, allow_infinity=False),
        max_size=4,
    ),
    st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_json_is_read_as_it_stands_whatever_its_blanks_and_escapes(value: dict[str, Any], ascii_only: bool) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert as_texts(decode(raw)[0]) == as_texts(json.loads(raw, parse_int=str, parse_float=str))


def as_texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: as_texts(item) for name, item in value.items()}
    if isinstance(value, list):
        return [as_texts(item) for item in value]
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


# Google Workspace.

ACTIVITIES = [
    activity("takeout", "COMPLETED_USER_TAKEOUT", PRODUCTS_REQUESTED="Gmail"),
    activity("token", "authorize", scope=["https://mail.google.com/", "openid"]),
]
ACTIVITIES[1]["events"] += [{"type": "auth", "name": "activity", "parameters": [{"name": "n", "intValue": "7"}]}]
PAGES = {
    "lines": lambda rs: LAYOUTS["lines"](rs),
    "page": lambda rs: json.dumps({"kind": "admin#reports#activities", "items": rs, "nextPageToken": "x"}).encode(),
    "pretty pages": lambda rs: b"\n".join(
        json.dumps({"kind": "admin#reports#activities", "etag": "e", "items": [r]}, indent=1).encode() for r in rs
    ),
    "array of UTF-16": lambda rs: json.dumps(rs).encode("utf-16"),
}


@pytest.mark.parametrize("layout", PAGES)
def test_each_event_of_an_activity_is_a_record_that_can_be_read_again(layout: str, tmp_path: Path) -> None:
    found = read(tmp_path, PAGES[layout](ACTIVITIES), GOOGLE)
    assert (found.records, found.problems) == (3, [])
    rows = {row["name"]: row for frame in found.frames.values() for row in frame.to_dicts()}
    assert rows["authorize"]["parameters.scope"] == "https://mail.google.com/\nopenid"
    assert (rows["activity"]["parameters.n"], rows["activity"]["host"]) == ("7", "C01abc")
    for name, row in rows.items():
        again = GOOGLE.records(evidence(tmp_path / "export"), [row["offset"]])
        assert [frame["name"].to_list() for frame in again.frames.values()] == [[name]]


def test_only_what_is_wanted_is_read(tmp_path: Path) -> None:
    wants = Wants({(CHANNEL.lower(), 50): frozenset({"Id"})})
    found = read(tmp_path, LAYOUTS["lines"](RECORDS), reading=Reading(wants))
    assert {kind.event_id for kind in found.frames} == {50}
    assert found.records == 3
