"""Spans, gaps, silences and new beginnings of logs."""

from __future__ import annotations

from typing import Any

import pytest

from hunt.coverage.logs import LISTED
from hunt.model import SYSMON
from tests.helpers import Row, event
from tests.hunt.coverage.cover import cover, of_kind

HOUR = 3600


def record(number: int, at: float, event_id: int = 5, **columns: Any) -> Row:
    return event(event_id, at, record_id=str(number), record_number=str(number), **columns)


def log(*numbers: int, step: float = 1, start: float = 0, **columns: Any) -> list[Row]:
    """Records with these ids, `step` seconds apart."""
    return [record(number, start + step * place, **columns) for place, number in enumerate(numbers)]


def test_a_channel_is_told_with_its_span_records_and_event_ids() -> None:
    told = cover(
        *log(5, 6),
        record(7, 9, 22),
        record(8, 4, 1102, channel="Security", source="s.evtx"),
        record(1, 0, 5, host="WS02", source="b.evtx"),
    )
    sysmon, security, other = of_kind("channel", told)
    assert sysmon == {
        "host": "WS01", "channel": SYSMON, "start": 0, "end": 9, "count": 3,
        "detail": "2 event ids; record ids 5 to 7", "source": "sysmon.evtx",
    }  # fmt: skip
    assert (security["channel"], security["count"], other["host"]) == ("Security", 1, "WS02")
    ids = [(fact["channel"], fact["event_id"], fact["count"], fact["start"]) for fact in of_kind("event", told)]
    assert ids == [(SYSMON, 5, 2, 0), (SYSMON, 22, 1, 9), ("Security", 1102, 1, 4), (SYSMON, 5, 1, 0)]


def test_hosts_and_channels_in_another_case_are_the_same() -> None:
    told = cover(*log(1, 2), *log(3, 4, start=2, host="ws01", channel=SYSMON.upper()))
    (channel,) = of_kind("channel", told)
    assert channel["count"] == 4


def test_missing_record_ids_are_a_gap_with_the_times_around_it() -> None:
    told = cover(*log(1, 2, 3, 10, 11, 13))
    assert [(g["start"], g["end"], g["count"], g["detail"]) for g in of_kind("gap", told)] == [
        (2, 3, 6, "record ids 4 to 9 are missing"),
        (4, 5, 1, "record id 12 is missing"),
    ]


def test_a_log_that_lacks_nothing_has_no_gap_whatever_order_it_stands_in() -> None:
    rows = log(*range(1, 50))
    assert of_kind("gap", cover(*reversed(rows), batches=7)) == []


def test_what_an_archived_copy_holds_is_no_gap() -> None:
    live = log(1, 2, 8, 9)
    archived = [record(n, n, source="archive.evtx") for n in range(2, 9)]
    assert of_kind("gap", cover(*live)) != []
    assert of_kind("gap", cover(*live, *archived)) == []


def test_gaps_of_an_export_are_told_as_what_a_filter_may_have_left_out() -> None:
    rows = [record(number, at) | {"record_number": str(at + 1)} for at, number in enumerate((700, 701, 750))]
    (gap,) = of_kind("gap", cover(*rows))
    assert gap["count"] == 48
    assert gap["detail"].endswith("; an exported or forwarded log, which a filter may have thinned out")


def test_forwarded_events_of_several_hosts_have_no_gaps() -> None:
    rows = [
        record(number, at, host=host, source="ForwardedEvents.evtx")
        for at in range(20)
        for host, number in (("WS01", 100 + 7 * at), ("WS02", 9000 + 3 * at))
    ]
    told = cover(*rows)
    assert of_kind("gap", told) == []
    (collected,) = of_kind("collected", told)
    assert (collected["source"], collected["count"]) == ("ForwardedEvents.evtx", 40)
    assert collected["detail"].startswith("2 hosts and 1 channel in one log")


def test_several_channels_in_one_log_were_chosen() -> None:
    told = cover(*log(1, 9), *log(500, 900, channel="Security"))
    assert of_kind("gap", told) == []
    assert len(of_kind("collected", told)) == 1


def test_a_host_that_was_given_another_name_keeps_its_log() -> None:
    told = cover(*log(1, 2, 3, host="WIN-SETUP"), *log(4, 5, 9, start=3, host="WS01"))
    assert of_kind("collected", told) == []
    assert [(gap["host"], gap["count"]) for gap in of_kind("gap", told)] == [("WS01", 3)]
    back = cover(*log(1, 2, 3, start=500, host="WIN-SETUP"), *log(4, 5, start=0, host="WS01"), record(9, 900))
    assert of_kind("collected", back) == []


def test_many_gaps_are_listed_largest_first_and_the_rest_counted() -> None:
    numbers = [n * n for n in range(1, 60)]
    gaps = of_kind("gap", cover(*log(*numbers)))
    assert len(gaps) == LISTED + 1
    assert sum(gap["count"] for gap in gaps) == 59 * 59 - 59
    (rest,) = (gap for gap in gaps if "not listed" in gap["detail"])
    assert rest["detail"].startswith(f"at most {58 - LISTED} more breaks")


@pytest.mark.parametrize(("pause", "silent"), [(HOUR - 1, False), (HOUR, True), (30 * HOUR, True)])
def test_a_pause_of_an_hour_or_more_is_a_silence_in_a_busy_log(pause: int, silent: bool) -> None:
    told = cover(*log(*range(1, 201)), *log(*range(201, 401), start=199 + pause))
    silences = of_kind("silence", told)
    assert [(s["start"], s["end"]) for s in silences] == ([(199, 199 + pause)] if silent else [])
    assert of_kind("gap", told) == []


def test_the_pauses_of_a_log_that_seldom_speaks_are_no_silences() -> None:
    assert of_kind("silence", cover(*log(1, 2, 3, 4, 5, step=24 * HOUR))) == []
    weekly = [*log(*range(1, 101), step=24 * HOUR), *log(101, 102, start=99 * 24 * HOUR + 60 * 24 * HOUR)]
    assert len(of_kind("silence", cover(*weekly))) == 1


def test_a_silence_says_whether_the_rest_of_the_host_went_on() -> None:
    busy = [*log(*range(1, 101)), *log(*range(101, 201), start=10 * HOUR)]
    (alone,) = of_kind("silence", cover(*busy))
    assert alone["detail"] == "10.0 h without a record; no other log of the host went on"
    other = log(*range(1, 300), start=HOUR, step=60, channel="Security", source="security.evtx")
    sysmon = [s for s in of_kind("silence", cover(*busy, *other)) if s["channel"] == SYSMON]
    assert "meanwhile Security went on" in sysmon[0]["detail"]
    elsewhere = log(*range(1, 300), start=HOUR, step=60, host="WS02", source="b.evtx")
    assert "no other log" in of_kind("silence", cover(*busy, *elsewhere))[0]["detail"]


def test_a_log_that_falls_silent_for_good_while_others_go_on_is_told() -> None:
    busy = log(*range(1, 101))
    other = log(*range(1, 300), step=300, channel="Security", source="security.evtx")
    (silence,) = of_kind("silence", cover(*busy, *other))
    assert (silence["channel"], silence["start"], silence["end"]) == (SYSMON, 99, 298 * 300)
    assert silence["detail"] == ("24.8 h without a record, to the end of the host's logs; meanwhile Security went on")
    seldom = log(*range(1, 5))  # too few to know how often it speaks
    assert of_kind("silence", cover(*seldom, *other)) == []


def test_a_machine_that_was_shut_down_has_no_log_that_went_on() -> None:
    busy = [*log(*range(1, 101)), *log(*range(101, 201), start=10 * HOUR)]
    other = [
        *log(*range(1, 111), channel="Security", source="s.evtx"),
        *log(*range(111, 201), start=10 * HOUR - 30, channel="Security", source="s.evtx"),
    ]
    assert all("no other log of the host went on" in s["detail"] for s in of_kind("silence", cover(*busy, *other)))


def test_a_clock_that_was_set_back_is_told_and_is_no_gap() -> None:
    told = cover(*log(1, 2, 3, start=1000), *log(4, 5, start=400))
    (step,) = of_kind("time_backwards", told)
    assert (step["start"], step["end"]) == (400, 1002)
    assert step["detail"] == "record id 4 was written 10 min before record id 3"
    assert of_kind("gap", told) == of_kind("restart", told) == []


def test_events_a_second_out_of_order_are_no_clock_set_back() -> None:
    assert of_kind("time_backwards", cover(record(1, 10), record(2, 9), record(3, 11))) == []


@pytest.mark.parametrize("later", [1000, 5000])
def test_a_log_that_began_anew_is_told_and_its_own_gaps_still_are(later: int) -> None:
    old = log(*range(1, 101), source="old.evtx")
    new = log(1, 2, 3, 7, 8, start=later, source="new.evtx")
    told = cover(*old, *new)
    (restart,) = of_kind("restart", told)
    assert (restart["start"], restart["end"], restart["count"]) == (99, later, 1)
    assert restart["detail"] == "record ids begin again at 1 after 100: the log was made anew, or its clock was set"
    assert [gap["count"] for gap in of_kind("gap", told)] == [3]


def test_facts_do_not_depend_on_how_the_evidence_was_cut() -> None:
    rows = [*log(1, 2, 5, 6, 9), *log(20, 21, start=9000), *log(1, 2, host="WS02", start=7)]
    whole = cover(*rows)
    assert all(cover(*rows, batches=parts) == whole for parts in (2, 3, 9))
    assert cover(*reversed(rows), batches=4) == whole
