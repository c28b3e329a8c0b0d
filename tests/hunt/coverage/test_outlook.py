"""When Outlook ran, and hosts that have only the new one."""

from __future__ import annotations

from typing import Any

from tests.helpers import OUTLOOK, Row, event, guid, start
from tests.hunt.coverage.cover import cover, of_kind

OLK = r"C:\Program Files\WindowsApps\Microsoft.OutlookForWindows_1.0_x64\olk.exe"


def end(image: str, at: float, number: int, **columns: Any) -> Row:
    return event(5, at, UtcTime=None, Image=image, ProcessGuid=guid(number), ProcessId="4711", **columns)


def outlook(at: float, number: int = 50, **columns: Any) -> Row:
    return start(OUTLOOK, at, ProcessGuid=guid(number), TerminalSessionId="2", **columns)


def test_outlook_was_alive_from_its_start_to_its_end_in_its_session() -> None:
    told = cover(outlook(10), end(OUTLOOK, 500, 50), end("C:\\other.exe", 60, 9))
    (alive,) = of_kind("outlook_alive", told)
    assert (alive["start"], alive["end"], alive["host"]) == (10, 500, "WS01")
    assert alive["detail"] == f"session 2; pid 4711; {OUTLOOK}"


def test_without_an_end_it_is_open_ended_and_says_why() -> None:
    (alive,) = of_kind("outlook_alive", cover(outlook(10)))
    assert "end" not in alive
    assert "open-ended: ends are not logged (no event 5)" in alive["detail"]
    (logged,) = of_kind("outlook_alive", cover(outlook(10), end("C:\\other.exe", 60, 9)))
    assert "open-ended: no end in the evidence" in logged["detail"]


def test_without_a_start_it_was_alive_before() -> None:
    (alive,) = of_kind("outlook_alive", cover(end(OUTLOOK, 500, 50)))
    assert (alive["end"], "start" in alive) == (500, False)
    assert "its start was not logged" in alive["detail"]


def test_each_process_and_each_host_has_its_own_interval() -> None:
    told = cover(
        outlook(10, 50), outlook(20, 51), outlook(30, 50, host="WS02"), end(OUTLOOK, 90, 50), end(OUTLOOK, 95, 51)
    )
    alive = [(fact["host"], fact["start"], fact.get("end")) for fact in of_kind("outlook_alive", told)]
    assert alive == [("WS01", 10, 90), ("WS01", 20, 95), ("WS02", 30, None)]


def test_the_name_is_compared_whole_and_without_case() -> None:
    assert of_kind("outlook_alive", cover(start(r"C:\NOTOUTLOOK.EXE"), start(r"C:\outlook.exe.exe"))) == []
    assert len(of_kind("outlook_alive", cover(start(r"D:\x\oUtLoOk.ExE"), start("outlook.exe")))) == 2


def test_security_tells_it_by_process_id() -> None:
    def security(event_id: int, at: float, **columns: Any) -> Row:
        return event(event_id, at, channel="Security", provider="Microsoft-Windows-Security-Auditing", **columns)

    told = cover(
        security(4688, 10, NewProcessName=OUTLOOK, NewProcessId="0x1a4"),
        security(4689, 90, ProcessName=OUTLOOK, ProcessId="0x1a4"),
        security(4688, 200, NewProcessName=OUTLOOK, NewProcessId="0x1a4"),
    )
    alive = [(fact["start"], fact.get("end"), fact["channel"]) for fact in of_kind("outlook_alive", told)]
    assert alive == [(10, 90, "Security"), (200, None, "Security")]
    both = cover(
        security(4688, 10.2, NewProcessName=OUTLOOK, NewProcessId="0x1267"),
        outlook(10),  # 4711 is 0x1267
    )
    assert len(of_kind("outlook_alive", both)) == 1


def test_a_host_with_only_the_new_outlook_is_named() -> None:
    told = cover(
        start(OLK, 5, host="WS01"), start(OLK, 9, host="ws01"), start(OLK, host="WS02"), outlook(9, host="WS02")
    )
    (new,) = of_kind("new_outlook_only", told)
    assert (new["host"].upper(), new["start"], new["end"], new["count"]) == ("WS01", 5, 9, 2)


def test_a_query_on_starts_says_that_it_is_blind_where_outlook_ran() -> None:
    (query,) = of_kind("query", cover(outlook(10)))
    assert query["detail"] == "could have fired; blind where Outlook ran already (1 interval known)"
