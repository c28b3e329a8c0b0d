"""Event XML to rows: where each part goes, what is refused, and that no character is lost."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from hunt import schema
from parsers import event_xml

NAMESPACE = "http://schemas.microsoft.com/win/2004/08/events/event"
SYSTEM = (
    "<System><Provider Name='Contoso' Guid='{0e2bc1b7-5d4b-4e2f-9c5f-1f1b1b0a0f01}' EventSourceName='Src'/>"
    "<EventID Qualifiers='16384'>7</EventID><Version>1</Version><Level>4</Level><Task>2</Task><Opcode>3</Opcode>"
    "<Keywords>0x8000000000000000</Keywords><TimeCreated SystemTime='2026-03-02T08:15:00.1234567Z'/>"
    "<EventRecordID>99</EventRecordID><Correlation ActivityID='{a}' RelatedActivityID='{b}'/>"
    "<Execution ProcessID='12' ThreadID='34'/><Channel>Contoso/Debug</Channel><Computer>WS01</Computer>"
    "<Security UserID='S-1-5-18'/></System>"
)


def parse(body: str, system: str = SYSTEM) -> event_xml.Row:
    return event_xml.parse(f"<Event xmlns='{NAMESPACE}'>{system}{body}</Event>")


def fields(body: str) -> event_xml.Row:
    """What `body` adds to the row."""
    return {name: value for name, value in parse(body).items() if name not in parse("")}


def test_all_of_system_has_its_column() -> None:
    assert parse("") == {
        "provider": "Contoso",
        "System.ProviderGuid": "{0e2bc1b7-5d4b-4e2f-9c5f-1f1b1b0a0f01}",
        "System.EventSourceName": "Src",
        "event_id": "7",
        "System.Qualifiers": "16384",
        "System.Version": "1",
        "System.Level": "4",
        "System.Task": "2",
        "System.Opcode": "3",
        "System.Keywords": "0x8000000000000000",
        "logged": "2026-03-02T08:15:00.1234567Z",
        "record_id": "99",
        "System.ActivityID": "{a}",
        "System.RelatedActivityID": "{b}",
        "System.ProcessID": "12",
        "System.ThreadID": "34",
        "channel": "Contoso/Debug",
        "host": "WS01",
        "System.UserID": "S-1-5-18",
    }


def test_named_data_are_columns_and_unnamed_data_one_list_with_its_blanks() -> None:
    assert fields("<EventData><Data Name='Image'>a</Data><Data Name='Blank'/></EventData>") == {
        "Image": "a",
        "Blank": "",
    }
    assert fields("<EventData><Data>a</Data><Data/><Data>c</Data></EventData>") == {"Data": ["a", "", "c"]}


def test_data_with_and_without_names_in_one_event_keep_apart() -> None:
    body = "<EventData><Data>a</Data><Data Name='N'>b</Data><Data>c</Data><Binary>00FF</Binary></EventData>"
    assert fields(body) == {"Data": ["a", "c"], "N": "b", "Binary": "00FF"}


def test_data_named_data_is_not_mistaken_for_the_unnamed() -> None:
    body = "<EventData><Data Name='Data'>x</Data><Data>y</Data></EventData>"
    assert fields(body) == {"data.Data": "x", "Data": ["y"]}


def test_a_name_that_stands_twice_gives_both_texts() -> None:
    assert fields("<EventData><Data Name='N'>a</Data><Data Name='N'>b</Data></EventData>") == {"N": "a\nb"}


@pytest.mark.parametrize("name", sorted(schema.RESERVED - {"Data"}))
def test_a_field_named_like_a_column_of_ours_gets_a_prefix(name: str) -> None:
    row = parse(f"<EventData><Data Name='{name}'>theirs</Data></EventData>")
    assert row[f"data.{name}"] == "theirs"
    assert row.get(name) == parse("").get(name)


def test_the_name_of_event_data_itself_is_kept() -> None:
    assert fields("<EventData Name='TMP'><Data Name='a'>1</Data></EventData>") == {"a": "1", "EventData.Name": "TMP"}


def test_user_data_are_columns_by_leaf_name() -> None:
    body = "<UserData><Outer xmlns='urn:x'><Reason>r</Reason><Sub><Code>5</Code></Sub></Outer></UserData>"
    assert fields(body) == {"Reason": "r", "Code": "5"}


def test_ambiguous_leaves_of_user_data_are_told_by_their_paths() -> None:
    body = "<UserData><O><A><Id>1</Id></A><B><Id>2</Id></B><Only>3</Only></O></UserData>"
    assert fields(body) == {"O.A.Id": "1", "O.B.Id": "2", "Only": "3"}


def test_a_leaf_that_stands_twice_at_one_place_gives_both_texts() -> None:
    assert fields("<UserData><O><Id>1</Id><Id>2</Id></O></UserData>") == {"Id": "1\n2"}


def test_attributes_in_user_data_are_leaves_too() -> None:
    assert fields("<UserData><O Kind='k'><A Unit='s'>5</A></O></UserData>") == {"Kind": "k", "Unit": "s", "A": "5"}


def test_other_sections_put_their_name_in_front() -> None:
    body = (
        "<EventData><Data Name='Message'>own</Data></EventData>"
        "<RenderingInfo Culture='de-DE'><Message>rendered</Message>"
        "<Keywords><Keyword>a</Keyword><Keyword>b</Keyword></Keywords></RenderingInfo>"
        "<ProcessingErrorData><ErrorCode>15005</ErrorCode></ProcessingErrorData>"
    )
    assert fields(body) == {
        "Message": "own",
        "RenderingInfo.Message": "rendered",
        "RenderingInfo.Keyword": "a\nb",
        "ProcessingErrorData.ErrorCode": "15005",
    }


@pytest.mark.parametrize(
    ("system", "reason"),
    [
        ("", "without System"),
        ("<System/>", "without a number as EventID"),
        ("<System><EventID/></System>", "without a number as EventID"),
        ("<System><EventID>seven</EventID></System>", "without a number as EventID"),
        ("<System><EventID>-1</EventID></System>", "without a number as EventID"),
        ("<System><EventID>\u0667</EventID></System>", "without a number as EventID"),
        (f"<System><EventID>{'9' * 5000}</EventID></System>", "without a number as EventID"),
    ],
)
def test_what_is_no_event_is_refused_by_name(system: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse("", system)


@pytest.mark.parametrize("xml", ["", "<Event>", "no XML", "<Event></Evnt>", "<a/><b/>", "\0"])
def test_text_that_is_no_xml_is_refused(xml: str) -> None:
    with pytest.raises(ValueError, match="not well-formed"):
        event_xml.parse(xml)


def test_entities_are_not_expanded() -> None:
    bomb = "<!DOCTYPE Event [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]>"
    body = "<EventData><Data Name='N'>&b;</Data></EventData>"
    try:
        row = event_xml.parse(f"{bomb}<Event>{SYSTEM}{body}</Event>")
    except ValueError:
        return
    assert "aaaa" not in str(row["N"])


def test_a_local_file_is_not_read_through_an_entity(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret")
    doctype = f"<!DOCTYPE Event [<!ENTITY x SYSTEM '{secret.as_uri()}'>]>"
    body = "<EventData><Data Name='N'>&x;</Data></EventData>"
    try:
        row = event_xml.parse(f"{doctype}<Event>{SYSTEM}{body}</Event>")
    except ValueError:
        return
    assert "secret" not in str(row)


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """(address, paths asked for) of a web server on this machine."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}", asked
        finally:
            running.shutdown()
            thread.join()


def test_nothing_is_fetched(server: tuple[str, list[str]]) -> None:
    address, asked = server
    for doctype in (
        f"<!DOCTYPE Event SYSTEM '{address}/a.dtd'>",
        f"<!DOCTYPE Event [<!ENTITY % p SYSTEM '{address}/p.dtd'> %p;]>",
        f"<!DOCTYPE Event [<!ENTITY x SYSTEM '{address}/x'>]>",
    ):
        for body in ("", "<EventData><Data Name='N'>&x;</Data></EventData>"):
            try:
                event_xml.parse(f"{doctype}<Event>{SYSTEM}{body}</Event>")
            except ValueError:
                continue
    assert asked == []


def test_comments_and_instructions_are_not_content() -> None:
    assert fields("<EventData><!-- x --><?pi y?><Data Name='N'>a<!-- b -->c</Data></EventData>") == {"N": "ac"}


_ANY = st.text(st.characters() | st.sampled_from("\0\x01\x1b\x7f\x85\u2028\ufffe\uffff\r\n\t&<>\"'\U00100000]"))


@given(_ANY)
def test_every_character_comes_back_from_content_and_attributes(text: str) -> None:
    escaped = event_xml.escape(text)
    body = f'<EventData><Data Name="{escaped}">{escaped}</Data></EventData>'
    row = parse(body)
    assert row[schema.column_name(text)] == text


@given(_ANY)
def test_escaped_text_is_well_formed_and_can_add_no_element(text: str) -> None:
    root = etree.fromstring(f'<a b="{event_xml.escape(text)}">{event_xml.escape(text)}</a>'.encode())
    assert len(root) == 0
    assert list(root.attrib) == ["b"]


def test_rows_of_one_type_become_one_frame_with_null_where_a_row_lacks_a_field() -> None:
    rows = [
        {**parse("<EventData><Data Name='A'>1</Data></EventData>"), "record_number": 5, "offset": 4608, "source": "x"},
        {**parse("<EventData><Data>b</Data></EventData>"), "record_number": 6, "offset": 5000, "source": "x"},
    ]
    frame = event_xml.frame(rows, 7)
    assert frame.columns[: len(schema.CORE)] == list(schema.CORE)
    assert frame.select("A", "Data", "record_number").rows() == [("1", None, 5), (None, ["b"], 6)]
