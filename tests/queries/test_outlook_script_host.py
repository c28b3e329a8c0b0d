"""Which starts of Outlook are findings, at every edge of the rule, and against a loop that follows its words."""

from __future__ import annotations

from decimal import Decimal
from itertools import permutations, product

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hunt.events import Events
from hunt.hunting import gather
from hunt.model import Settings
from queries.outlook_script_host import HUNT
from tests.helpers import NULL_GUID, OUTLOOK, POWERSHELL, Row, batch, case, event, guid, moment, start

SCRIPT_HOSTS = ["rundll32", "mshta", "powershell", "pwsh", "cmd", "regsvr32", "cscript", "wscript"]


def found(*rows: Row, window_s: float | None = None) -> pl.DataFrame:
    return gather(case(*rows, window_s=window_s), [HUNT])[0]


def pair(gap: str | int, name: str = "cmd.exe", **child: object) -> tuple[Row, Row]:
    """A process and the Outlook it starts `gap` seconds later."""
    parent = start(rf"C:\Windows\System32\{name}")
    return parent, start(OUTLOOK, gap, parent=parent, **child)


def orphan(gap: str | int, second_at: int = 0, image: str = r"C:\Windows\System32\cmd.exe") -> Row:
    """An Outlook whose parent's start was not logged: its GUID says `second_at`, the child starts `gap` later."""
    unlogged = {"ProcessGuid": guid(77, second_at), "ProcessId": "900", "Image": image, "CommandLine": "cmd /c x"}
    return start(OUTLOOK, Decimal(second_at) + Decimal(gap), parent=unlogged)


@pytest.mark.parametrize("name", SCRIPT_HOSTS)
def test_each_script_host_that_starts_outlook_is_reported(name: str) -> None:
    parent, child = pair("2.5", f"{name}.exe")
    (row,) = found(parent, child).iter_rows(named=True)
    assert row["image"] == parent["Image"]
    assert row["process_guid"] == parent["ProcessGuid"]
    assert row["target_process_guid"] == child["ProcessGuid"]
    assert row["target_image"] == OUTLOOK
    assert (row["start_source"], row["confidence"], row["span_seconds"]) == ("event", "high", 2.5)
    assert (row["severity"], row["risk_score"], row["techniques"]) == ("medium", 47, ["T1114.001", "T1559.001"])


@pytest.mark.parametrize(
    "image",
    [
        r"C:\Windows\explorer.exe",
        r"C:\Windows\System32\notcmd.exe",
        r"C:\Windows\System32\cmd.exe.exe",
        r"C:\Windows\System32\cmd.com",
        r"C:\Windows\System32\cmd",
        r"C:\cmd.exe\launcher.exe",
        r"C:\Windows\System32\powershell_ise.exe",
        r"C:\Windows\System32\cmd.exe ",
        "",
    ],
)
def test_a_parent_that_only_resembles_a_script_host_is_not_reported(image: str) -> None:
    parent = start(image)
    assert found(parent, start(OUTLOOK, 1, parent=parent)).is_empty()


@pytest.mark.parametrize(
    "image",
    [r"C:\NOTOUTLOOK.EXE", r"C:\OUTLOOK.EXE\other.exe", r"C:\OUTLOOK.EXE.exe", r"C:\OUTLOOK", r"C:\olk.exe"],
)
def test_a_child_that_only_resembles_outlook_is_not_reported(image: str) -> None:
    parent = start(POWERSHELL)
    assert found(parent, start(image, 1, parent=parent)).is_empty()


@pytest.mark.parametrize(
    ("parent_image", "child_image"),
    [
        (r"c:\windows\SYSTEM32\CMD.EXE", r"C:\Office\outlook.exe"),
        (r"\\?\C:\Windows\System32\Cmd.Exe", r"\??\C:\Office\Outlook.Exe"),
        ("C:/Windows/System32/cmd.exe", r"\Device\HarddiskVolume3\Office\OUTLOOK.EXE"),
        ("cmd.exe", "OUTLOOK.EXE"),
        (r"\\server\share\cmd.exe", r"C:\PROGRA~1\OUTLOOK.EXE"),
    ],
)
def test_names_match_in_any_case_and_any_kind_of_path(parent_image: str, child_image: str) -> None:
    parent = start(parent_image)
    assert found(parent, start(child_image, 1, parent=parent)).height == 1


@pytest.mark.parametrize(
    ("gap", "reported"),
    [
        ("0", True),
        ("0.000000001", True),
        ("60", True),
        ("60.000000001", False),
        ("60.001", False),
        ("3600", False),
    ],
)
def test_the_sixty_seconds_include_both_ends(gap: str, reported: bool) -> None:
    assert found(*pair(gap)).height == reported


@pytest.mark.parametrize(
    ("window", "gap", "reported"),
    [
        (0, "0", True),
        (0, "0.000000001", False),
        (1.001, "1.001", True),
        (0.1, "0.1", True),
        (4.35, "4.35", True),
        (4.35, "4.350000001", False),
        (86400, "86400", True),
        (10**9, "86400", True),
    ],
)
def test_another_window_is_inclusive_too(window: float, gap: str, reported: bool) -> None:
    assert found(*pair(gap), window_s=window).height == reported


def only(*rows: Row) -> dict[str, object]:
    """The one finding, which is uncertain."""
    (row,) = found(*rows).iter_rows(named=True)
    assert (row["grade"], row["confidence"]) == ("direct", "uncertain")
    return row


@pytest.mark.parametrize("late", ["0.001", "0.2", "3600"])
def test_a_parent_that_is_told_to_have_started_after_its_child_is_uncertain(late: str) -> None:
    parent = start(POWERSHELL, 3600)
    row = only(parent, start(OUTLOOK, 3600 - Decimal(late), parent=parent))
    assert row["span_seconds"] == -float(late)
    assert "told to have started after Outlook, as if a clock had been set" in str(row["reason"])


def test_a_parent_that_was_logged_before_and_after_its_child_is_certain() -> None:
    parent, child = pair("2")
    again = parent | {"UtcTime": moment("2.2"), "record_id": "90001"}
    (row,) = found(parent, again, child).iter_rows(named=True)
    assert (row["confidence"], row["span_seconds"]) == ("high", 2.0)


@pytest.mark.parametrize("none", [NULL_GUID, None])
def test_an_empty_guid_joins_nothing_and_its_child_still_names_a_script_host(none: str | None) -> None:
    parent = start(r"C:\Windows\System32\mshta.exe", ProcessGuid=none)
    row = only(parent, start(OUTLOOK, 1, ParentProcessGuid=none, ParentImage=POWERSHELL))
    assert (row["image"], row["process_guid"], row["span_seconds"]) == (POWERSHELL, None, None)
    assert "its start is not in the evidence" in str(row["reason"])


def by_pid(at: float, **parent: object) -> tuple[Row, Row]:
    """A process and an Outlook that names it by process id and name alone."""
    own = start(POWERSHELL, 0, **{"ProcessId": "777", "CommandLine": "powershell -File a.ps1"} | parent)
    return own, start(OUTLOOK, at, ParentProcessGuid=NULL_GUID, ParentProcessId="777", ParentImage=POWERSHELL)


def test_without_a_guid_the_process_id_tells_when_the_parent_started() -> None:
    row = only(*by_pid(2))
    assert (row["command_line"], row["span_seconds"]) == ("powershell -File a.ps1", 2.0)
    assert "known by process id and name alone" in str(row["reason"])
    assert found(*by_pid(61)).is_empty()


def test_a_process_id_means_another_process_after_the_end_under_another_name_or_on_another_host() -> None:
    parent, child = by_pid(61)
    end = event(5, 5, UtcTime=moment(5), ProcessGuid=parent["ProcessGuid"], ProcessId="777", Image=POWERSHELL)
    for rows in ((parent, end, child), by_pid(61, Image=OUTLOOK), by_pid(61, host="WS02")):
        assert only(*rows)["span_seconds"] is None


def test_the_same_guid_on_another_host_is_another_process() -> None:
    parent = start(POWERSHELL, host="WS01", ProcessGuid=guid(5))
    elsewhere = start(OUTLOOK, 1, host="WS02", ParentProcessGuid=guid(5))
    assert found(parent, elsewhere).is_empty()


def test_hosts_compare_without_case_and_print_as_found() -> None:
    parent = start(POWERSHELL, host="ws01.Contoso.example")
    child = start(OUTLOOK, 1, host="WS01.contoso.EXAMPLE", parent=parent)
    assert found(parent, child)["host"].to_list() == ["WS01.contoso.EXAMPLE"]


def test_guids_compare_without_case_and_braces() -> None:
    parent = start(POWERSHELL, ProcessGuid=guid(5).lower())
    child = start(OUTLOOK, 1, ParentProcessGuid=guid(5).strip("{}"), ParentImage=POWERSHELL)
    (row,) = found(parent, child).iter_rows(named=True)
    assert row["process_guid"] == guid(5)


def test_copies_in_overlapping_logs_are_one_finding_that_names_all_logs() -> None:
    parent, child = pair(1)
    copies = [row | {"source": "archive.evtx", "offset": "9999"} for row in (parent, child)]
    (row,) = found(parent, child, *copies).iter_rows(named=True)
    assert row["sources"] == ["archive.evtx", "sysmon.evtx"]


def test_a_start_that_was_logged_twice_is_one_finding() -> None:
    parent, child = pair(1)
    again = child | {"record_id": "90001", "offset": "77", "logged": moment(5)}
    assert found(parent, child, again).height == 1


def test_a_start_logged_twice_has_the_same_finding_id_whatever_log_is_read_first() -> None:
    parent, child = pair(1)
    again = child | {"record_id": "90001", "offset": "77"}
    one = found(parent, child | {"source": "a.evtx"}, again | {"source": "b.evtx"})
    other = found(parent, child | {"source": "b.evtx"}, again | {"source": "a.evtx"})
    assert one["finding_id"].to_list() == other["finding_id"].to_list()


def test_the_order_of_events_changes_nothing() -> None:
    parent, child = pair("59.5")
    rows = [parent, child, start(OUTLOOK, 7, parent=parent)]
    results = [found(*order).drop("sources") for order in permutations(rows)]
    assert results[0].height == 2
    assert all(result.equals(results[0]) for result in results)


def test_of_two_starts_with_the_parents_guid_the_later_one_is_the_parent() -> None:
    early = start(POWERSHELL, 0, ProcessGuid=guid(5))
    late = start(r"C:\Windows\System32\cmd.exe", 10, ProcessGuid=guid(5))
    after = start(POWERSHELL, 30, ProcessGuid=guid(5))
    child = start(OUTLOOK, 20, parent=late)
    (row,) = found(early, late, after, child).iter_rows(named=True)
    assert (row["image"], row["span_seconds"]) == (late["Image"], 10.0)


@pytest.mark.parametrize(
    ("gap", "confidence"),
    [
        ("-1", "uncertain"),
        ("0", "medium"),
        ("59.999", "medium"),
        ("60", "medium"),
        ("60.001", "uncertain"),
        ("60.999999999", "uncertain"),
        ("61", None),
        ("61.001", None),
    ],
)
def test_a_parent_not_in_the_evidence_is_timed_by_the_second_in_its_guid(gap: str, confidence: str | None) -> None:
    rows = found(orphan(gap))
    assert rows["confidence"].to_list() == ([confidence] if confidence else [])
    assert rows["start_source"].to_list() == (["guid"] if confidence else [])


@pytest.mark.parametrize(
    ("window", "gap", "confidence"),
    [(0, "0", "medium"), (0, "0.5", "uncertain"), (0, "1", None), (5, "5.5", "uncertain"), (5, "6", None)],
)
def test_another_window_holds_for_unlogged_parents_too(window: float, gap: str, confidence: str | None) -> None:
    assert found(orphan(gap), window_s=window)["confidence"].to_list() == ([confidence] if confidence else [])


def test_a_finding_without_the_parents_start_says_what_the_child_knows_of_it() -> None:
    child = orphan("2.5")
    (row,) = found(child).iter_rows(named=True)
    assert (row["image"], row["pid"], row["command_line"]) == (r"C:\Windows\System32\cmd.exe", 900, "cmd /c x")
    assert row["span_seconds"] == 2.5
    assert row["target_process_guid"] == child["ProcessGuid"]
    assert row["parent_image"] is None


def test_an_unlogged_parent_that_is_no_script_host_is_not_reported() -> None:
    assert found(orphan("1", image=r"C:\Windows\explorer.exe")).is_empty()


def test_a_logged_parent_outside_the_window_is_not_asked_for_its_guid_as_well() -> None:
    parent = start(POWERSHELL, 0, ProcessGuid=guid(5, 30))  # the GUID claims a later second than its event
    assert found(parent, start(OUTLOOK, 61, parent=parent)).is_empty()


def test_a_parent_logged_on_another_host_only_counts_as_not_logged() -> None:
    parent = start(POWERSHELL, 0, host="WS02", ProcessGuid=guid(5, 0))
    child = start(OUTLOOK, 1, host="WS01", parent=parent)
    assert found(parent, child)["start_source"].to_list() == ["guid"]


def test_a_guid_that_is_none_tells_no_second_and_ends_nothing() -> None:
    row = only(start(OUTLOOK, 1, ParentProcessGuid="not a GUID", ParentImage=POWERSHELL))
    assert "its start is not in the evidence" in str(row["reason"])


def test_other_sysmon_events_are_no_starts() -> None:
    parent, child = pair(1)
    assert found(child | {"event_id": "5"}, parent | {"event_id": "5"}, event(3)).is_empty()


def test_a_start_without_a_time_is_uncertain() -> None:
    parent, child = pair(1)
    row = only(parent, child | {"UtcTime": "yesterday", "logged": "never"})
    assert "when Outlook started is not known" in str(row["reason"])


@pytest.mark.parametrize(("ended", "attached"), [(62, True), (62.1, False), (None, False)])
def test_a_second_outlook_that_hands_over_and_ends_is_attached(ended: float | None, attached: bool) -> None:
    running, (parent, child) = start(OUTLOOK, -600), pair(2)
    end = {"ProcessGuid": child["ProcessGuid"], "Image": OUTLOOK, "User": child["User"]}
    ends = [event(5, ended, UtcTime=moment(ended), **end)] if ended else []
    (row,) = found(running, parent, child, *ends).iter_rows(named=True)
    assert bool(row["attached"]) is attached
    assert ("handed over to an Outlook that was running already" in row["reason"]) is attached


# The rule once more, as two nested loops that follow its words, on whole nanoseconds.

_HOSTS = ("WS01", "ws01", "WS02")
_IMAGES = (OUTLOOK, r"C:\x\outlook.exe", POWERSHELL, r"C:\Windows\system32\CMD.exe", r"C:\Windows\explorer.exe")
_SECOND = 10**9

_GAPS = st.one_of(
    st.sampled_from([0, 1, _SECOND - 1, _SECOND, 60 * _SECOND - 1, 60 * _SECOND, 60 * _SECOND + 1]),
    st.sampled_from([60_999_999_999, 61 * _SECOND, 61 * _SECOND + 1, 120 * _SECOND]),
    st.integers(0, 130 * _SECOND),
)
_GUIDS = st.sampled_from([guid(1, 0), guid(2, 0), guid(3, 59), guid(3, 59).lower(), NULL_GUID, None])


@st.composite
def _starts(draw: st.DrawFn) -> Row:
    at = draw(_GAPS)
    return start(
        draw(st.sampled_from(_IMAGES)),
        Decimal(at) / _SECOND,
        host=draw(st.sampled_from(_HOSTS)),
        ProcessGuid=draw(_GUIDS),
        ParentProcessGuid=draw(_GUIDS),
        ParentImage=draw(st.sampled_from(_IMAGES)),
        at_ns=str(at),
    )


def _base(image: str) -> str:
    return image.replace("/", "\\").split("\\")[-1].upper()


def _canonical(text: str | None) -> str | None:
    return None if text in (None, NULL_GUID) else str(text).upper()


def _second_in(text: str) -> int:
    groups = text.strip("{}").split("-")
    return int(groups[2] + groups[1], 16)


_Match = tuple[str, str | None, str | None, int, str]


def _by_loops(rows: list[Row], window: int) -> set[_Match]:
    """(host, parent's GUID, child's GUID, child's time, confidence) of every match."""
    hosts = {f"{name}.EXE" for name in map(str.upper, SCRIPT_HOSTS)}
    matches: set[_Match] = set()
    for child in rows:
        parent_guid = _canonical(child["ParentProcessGuid"])
        if _base(child["Image"]) != "OUTLOOK.EXE":
            continue
        key = (child["host"].lower(), parent_guid, _canonical(child["ProcessGuid"]), int(child["at_ns"]))
        if parent_guid is None:
            if _base(child["ParentImage"]) in hosts:
                matches.add((*key, "uncertain"))
            continue
        logged, gaps = False, set()
        for parent in rows:
            same_host = parent["host"].lower() == child["host"].lower()
            if not same_host or _canonical(parent["ProcessGuid"]) != parent_guid:
                continue
            logged = True
            gap = int(child["at_ns"]) - int(parent["at_ns"])
            gaps.add((gap, _base(parent["Image"]) in hosts))
        if any(host and 0 <= gap <= window for gap, host in gaps):
            matches.add((*key, "high"))
        elif all(gap < 0 for gap, _ in gaps) and any(host for _, host in gaps):
            matches.add((*key, "uncertain"))
        if not logged and _base(child["ParentImage"]) in hosts:
            gap = int(child["at_ns"]) - (_second_in(parent_guid) - _T0) * _SECOND
            if 0 <= gap <= window:
                matches.add((*key, "medium"))
            elif gap < 0 or window < gap < window + _SECOND:
                matches.add((*key, "uncertain"))
    return matches


_T0 = _second_in(guid(0, 0))


def _by_query(rows: list[Row], window_s: float | None) -> set[_Match]:
    events = Events(HUNT.wanted, Settings(window_s=window_s))
    for part in (rows[::2], rows[1::2]):
        if part:
            events.add(batch(*({k: v for k, v in row.items() if k != "at_ns"} for row in part)))
    result = HUNT.find(events).collect()
    ends = result["end"].dt.timestamp("ns")
    return {
        (row["host"].lower(), row["process_guid"], row["target_process_guid"], end - _T0 * _SECOND, row["confidence"])
        for row, end in zip(result.iter_rows(named=True), ends, strict=True)
    }


@settings(max_examples=20)
@given(st.lists(_starts(), min_size=1, max_size=12), st.sampled_from([None, 0, 60, 61]))
def test_the_query_finds_what_two_loops_find(rows: list[Row], window_s: float | None) -> None:
    rows = _one_process_per_start(rows)
    window = 60 * _SECOND if window_s is None else int(window_s) * _SECOND
    assert _by_query(rows, window_s) == _by_loops(rows, window)


def _one_process_per_start(rows: list[Row]) -> list[Row]:
    """Without starts that share host, GUID and time but differ else: which of them is meant is anyone's guess."""
    kept: dict[object, Row] = {}
    for index, row in enumerate(rows):
        own = _canonical(row["ProcessGuid"])
        kept.setdefault((row["host"].lower(), own, row["at_ns"]) if own else index, row)
    return [*kept.values(), *list(kept.values())[:2]]  # and two of them twice


def test_every_combination_of_host_and_guid_around_the_boundary_agrees_with_the_loops() -> None:
    rows = [
        start(image, Decimal(at) / _SECOND, host=host, ProcessGuid=guid(at), ParentProcessGuid=of, at_ns=str(at))
        | {"ParentImage": POWERSHELL}
        for image, host, of, at in product(
            (OUTLOOK, POWERSHELL), ("A", "B"), (guid(0), guid(9)), (0, _SECOND, 60 * _SECOND, 60 * _SECOND + 1)
        )
    ]
    assert _by_query(_one_process_per_start(rows), None) == _by_loops(_one_process_per_start(rows), 60 * _SECOND)
