"""Who requested what a broker started: a rule each."""

from __future__ import annotations

from typing import Any

import pytest

from hunt.lineage import CANDIDATES, LINEAGE
from tests.helpers import OUTLOOK, POWERSHELL, Row, case, event, guid, moment
from tests.hunt.lineage.world import (
    ASKED,
    DCOM,
    LOGON,
    OTHER_LOGON,
    SYSTEM,
    brokered,
    by,
    loads,
    logon,
    opens,
    over,
    pair,
    run,
    script,
)

NO_CONTACT = "had no contact with the COM service, which Sysmon 10 would tell"
WMI, WMI_LINE = f"{SYSTEM}wbem\\WmiPrvSE.exe", "wmiprvse.exe -secured -Embedding"


def lineage(*rows: Row, window_s: float | None = None) -> list[dict[str, Any]]:
    return list(case(*rows, window_s=window_s).lineage.collect().iter_rows(named=True))


def answer(child: Row, *rows: Row, window_s: float | None = None) -> dict[str, Any]:
    """What lineage says of a child."""
    (row,) = [r for r in lineage(child, *rows, window_s=window_s) if r["child_guid"] == child["ProcessGuid"]]
    return row


def named(child: Row, *rows: Row) -> tuple[str | None, str | None]:
    """(grade, the requester's GUID)."""
    row = answer(child, *rows)
    return row["grade"], row["requester_guid"]


def excluded(child: Row, *rows: Row) -> dict[str, str | None]:
    """Why candidates are none, by GUID."""
    met = case(child, *rows).candidates.collect().iter_rows(named=True)
    return {r["candidate_guid"]: r["excluded_because"] for r in met if r["child_guid"] == child["ProcessGuid"]}


def test_the_same_thread_opens_the_requester_and_what_it_starts_for_it() -> None:
    asker, idle, child = run(at=0), run(at=1), brokered(at=2)
    assert named(child, asker, idle, *pair(asker, child, 2)) == ("A", asker["ProcessGuid"])


@pytest.mark.parametrize(
    "difference", [{"thread": 8}, {"source": guid(77)}, {"access": "0x100000"}, {"CallTrace": "x"}]
)
def test_other_handles_are_no_pair(difference: dict[str, Any]) -> None:
    asker, child = run(), brokered()
    handle = {"at": 1.99} | difference
    grade, _ = named(child, asker, opens(asker, **handle), opens(child, 2, "0x1fffff"))
    assert grade != "A"


@pytest.mark.parametrize(("apart", "grade"), [(0.25, "A"), (0.2501, "C")])
def test_both_handles_lie_at_most_a_quarter_of_a_second_apart(apart: float, grade: str) -> None:
    asker, child = run(), brokered()
    assert named(child, asker, *pair(asker, child, 2, apart))[0] == grade


def test_of_two_pairs_the_closer_one_is_better_and_both_count() -> None:
    near, far, child = run(at=0), run(at=1), brokered(at=2)
    row = answer(child, near, far, *pair(near, child, 2, 0.01), opens(far, 1.9))
    assert (row["requester_guid"], row["grade"]) == (near["ProcessGuid"], "A")
    assert (row["competitors"], row["ambiguous"]) == (1, True)


def test_a_pair_with_one_whose_start_was_not_logged_names_it_without_proof_of_identity() -> None:
    unlogged = {"ProcessGuid": guid(500, -7200), "ProcessId": "42", "Image": POWERSHELL, "host": "WS01"}
    child = brokered()
    row = answer(child, *pair(unlogged, child, 2))
    assert (row["grade"], row["requester_guid"], row["start_source"]) == ("B", unlogged["ProcessGuid"], "guid")


def test_a_pair_needs_the_same_identity() -> None:
    asker, child = run(LogonGuid=OTHER_LOGON, LogonId="0x99", TerminalSessionId="2"), brokered()
    assert named(child, asker, *pair(asker, child, 2)) == (None, None)


@pytest.mark.parametrize(
    "line",
    ["powershell -c \"$o = New-Object -ComObject 'Outlook.Application.16'\"", "x 0006F03A-0000-0000-C000-000000000046"],
)
def test_a_command_line_names_what_is_asked_for(line: str) -> None:
    asker, idle, child = run(CommandLine=line), run(at=1), brokered()
    assert named(child, asker, idle) == ("B", asker["ProcessGuid"])


@pytest.mark.parametrize("line", ["powershell -c 'Excel.Application'", "powershell -c 'outlook'"])
def test_other_words_name_nothing(line: str) -> None:
    assert named(brokered(), run(CommandLine=line))[0] == "D"


def test_a_server_of_the_same_class_asks_for_nothing() -> None:
    line = "DllHost.exe /Processid:{3E5FC7F9-9A51-4367-9063-A120244FBEC7}"
    server = f"{SYSTEM}dllhost.exe"
    assert named(brokered(server, line=line), brokered(server, 1, line))[0] == "D"


@pytest.mark.parametrize(
    ("broker", "parent_line", "line"),
    [
        (WMI, WMI_LINE, "wmic process call create calc"),
        (WMI, WMI_LINE, "powershell Invoke-CimMethod -ClassName Win32_Process -MethodName Create"),
        (WMI, WMI_LINE, "cscript winrm.vbs i c wmicimv2/Win32_Process @{CommandLine='calc'}"),
        (f"{SYSTEM}services.exe", "services.exe", "sc.exe start Evil"),
        (f"{SYSTEM}services.exe", "services.exe", "net1 start Evil"),
        (f"{SYSTEM}services.exe", "services.exe", "powershell Start-Service Evil"),
        (f"{SYSTEM}svchost.exe", "svchost.exe -k netsvcs -p -s Schedule", 'schtasks.exe /run /tn "Evil"'),
        (f"{SYSTEM}taskeng.exe", "taskeng.exe {x}", "powershell Start-ScheduledTask Evil"),
    ],
)
def test_requests_to_other_brokers_are_named_too(broker: str, parent_line: str, line: str) -> None:
    asker, idle = run(f"{SYSTEM}x.exe", CommandLine=line), run(at=1)
    assert named(by(broker, parent_line), asker, idle) == ("B", asker["ProcessGuid"])


@pytest.mark.parametrize(("at", "grade"), [(10, "B"), (10.001, "F")])
def test_a_command_that_starts_a_service_does_it_at_once(at: float, grade: str) -> None:
    asker = run(f"{SYSTEM}sc.exe", CommandLine="sc start Evil")
    assert named(by(f"{SYSTEM}services.exe", "services.exe", at=at), asker)[0] == grade


def test_a_script_names_what_is_asked_for_however_old_its_process_is() -> None:
    asker, idle, child = run(at=-5000, ProcessId="700"), run(at=1, ProcessId="701"), brokered(at=2)
    assert named(child, asker, idle, script(asker, 1.5, "GetObject('', 'Outlook.Application')"))[0] == "B"
    assert named(child, asker, idle, script(asker, -4000, "sleep; Outlook.Application"))[0] == "B"
    assert named(child, asker, idle, script(asker, 3.1, "Outlook.Application"))[0] == "D"  # too late


def test_a_script_of_a_pid_that_was_given_on_is_not_the_former_ones() -> None:
    asker, later, child = run(at=-50, ProcessId="700"), run(at=0, ProcessId="700"), brokered(at=2)
    assert named(child, asker, later, script(later, 1, "Outlook.Application")) == ("B", later["ProcessGuid"])


def test_a_com_client_is_likelier_than_a_younger_process() -> None:
    asker, idle, child = run(at=0), run(at=1), brokered()
    assert named(child, asker, idle, loads(asker, 0.5)) == ("C", asker["ProcessGuid"])
    assert named(child, asker, idle, opens(asker, 0.5)) == ("C", asker["ProcessGuid"])
    assert named(child, asker, idle, loads(asker, 2.3))[0] == "D"  # it became one after the start


def test_the_same_logon_and_time_is_a_lead() -> None:
    asker, child = run(), brokered(at=60)
    assert named(child, asker) == ("D", asker["ProcessGuid"])
    assert named(brokered(at=60.001), asker) == (None, None)


def test_the_window_is_the_users() -> None:
    assert answer(brokered(at=100), run(), window_s=100)["grade"] == "D"


def test_what_began_later_requested_nothing() -> None:
    assert named(brokered(at=2), run(at=2.001)) == (None, None)


@pytest.mark.parametrize(("end", "grade"), [(1.75, "D"), (1.7499, None)])
def test_the_dead_request_nothing(end: float, grade: str | None) -> None:
    asker, child = run(), brokered()
    assert named(child, asker, over(asker, end))[0] == grade
    if grade is None:
        assert excluded(child, asker, over(asker, end))[asker["ProcessGuid"]] == "ended before"


def test_an_unknown_end_proves_nothing() -> None:
    other = run(at=-20)
    assert named(brokered(), run(), over(other, -10), other)[0] == "D"


def test_outlook_takes_no_requests_of_another_logon_session_and_other_servers_do_elevated() -> None:
    elevated = {"LogonGuid": OTHER_LOGON, "LogonId": "0x99", "IntegrityLevel": "High"}
    asker = run()
    assert excluded(brokered(**elevated), asker)[asker["ProcessGuid"]] == "other logon session"
    server = brokered(f"{SYSTEM}dllhost.exe", line="DllHost.exe /Processid:{3E5FC7F9-9A51-4367-9063-A120244FBEC7}")
    assert named(server | elevated, asker) == ("E", asker["ProcessGuid"])


@pytest.mark.parametrize("other", [{"User": r"CONTOSO\bob"}, {"TerminalSessionId": "2"}, {"TerminalSessionId": "0"}])
def test_elevation_stays_with_the_user_and_the_session(other: dict[str, str]) -> None:
    server = brokered(f"{SYSTEM}dllhost.exe", line="DllHost.exe /Processid:{3E5FC7F9-9A51-4367-9063-A120244FBEC7}")
    asker = run(**({"LogonGuid": OTHER_LOGON, "LogonId": "0x99"} | other))
    same_session_0 = {"TerminalSessionId": "0"} if other.get("TerminalSessionId") == "0" else {}
    assert named(server | same_session_0, asker) == (None, None)


def test_where_handles_are_logged_one_without_contact_is_cleared() -> None:
    asker, idle, child = run(at=0), run(at=1), brokered()
    rows = [asker, idle, *pair(asker, child, 2), opens(child, 2.1), opens(idle, 1.1, source=guid(55))]
    assert excluded(child, *rows)[idle["ProcessGuid"]] == NO_CONTACT
    # Nobody opened it: Sysmon 10 does not tell of this process at all.
    assert excluded(child, *rows[:-1])[idle["ProcessGuid"]] is None
    # Nor of what is opened so: its creator has all rights in every log.
    assert excluded(child, *rows[:-1], opens(idle, 1.1, "0x1fffff", source=guid(55)))[idle["ProcessGuid"]] is None
    # What COM starts contacts it as well: where that is not logged, contacts are filtered.
    assert excluded(child, *rows[:-2], rows[-1])[idle["ProcessGuid"]] is None


def test_a_configuration_that_logs_lsass_alone_clears_nobody() -> None:
    asker, child = run(), brokered()
    lsass = run(f"{SYSTEM}lsass.exe", -3000, LogonGuid=OTHER_LOGON, LogonId="0x3e7", TerminalSessionId="0")
    rows = [asker, lsass, opens(lsass, -2900), opens(child, 2, "0x1fffff"), opens(asker, 1, "0x1fffff", source=guid(5))]
    assert excluded(child, *rows)[asker["ProcessGuid"]] is None


def test_who_names_the_act_is_not_cleared_by_what_is_missing() -> None:
    asker, client, child = run(CommandLine="powershell Outlook.Application"), run(at=1), brokered()
    handles = [*pair(client, child, 2), opens(child, 2.1), opens(asker, 1.1, source=guid(55))]
    dlls = [loads(asker, 0.1, dll) for dll in WHOLE] + [loads(child, 2.1, dll) for dll in (*WHOLE, "clbcatq.dll")]
    reasons = excluded(child, asker, client, *handles, *dlls)
    assert reasons[asker["ProcessGuid"]] is None


def test_where_handles_of_com_are_filtered_nobody_is_cleared() -> None:
    asker, child = run(), brokered()
    assert excluded(child, asker, opens(asker, 1, "0x1fffff", source=guid(55)))[asker["ProcessGuid"]] is None


WHOLE = ("ntdll.dll", "kernel32.dll", *(f"{n}.dll" for n in range(6)))


def _whole(process: Row, *more: str) -> list[Row]:
    return [loads(process, 2.1, dll) for dll in (*WHOLE, *more)]


def test_where_dlls_are_logged_one_without_com_is_cleared() -> None:
    asker, child = run(), brokered()
    reasons = excluded(child, asker, *_whole(asker), *_whole(child, "clbcatq.dll"))
    assert reasons[asker["ProcessGuid"]] == "did not load clbcatq.dll, which Sysmon 7 would tell: no COM client"


@pytest.mark.parametrize("missing", ["ntdll.dll", "kernel32.dll", "5.dll"])
def test_where_some_dlls_are_not_logged_nobody_is_cleared(missing: str) -> None:
    asker, child = run(), brokered()
    few = [row for row in _whole(asker) if not row["ImageLoaded"].endswith(missing)]
    assert excluded(child, asker, *few, *_whole(child, "clbcatq.dll"))[asker["ProcessGuid"]] is None


@pytest.mark.parametrize("of_server", [(), ("clbcatq.dll",)])
def test_where_no_server_of_com_shows_that_its_dlls_are_logged_nobody_is_cleared(of_server: tuple[str, ...]) -> None:
    asker, child = run(), brokered()
    told = _whole(child) if not of_server else [loads(child, 2.1, dll) for dll in of_server]
    assert excluded(child, asker, *_whole(asker), *told)[asker["ProcessGuid"]] is None


def test_of_what_began_before_the_log_not_all_dlls_are_logged() -> None:
    old = {"ProcessGuid": guid(600, 0), "ProcessId": "42", "Image": POWERSHELL, "host": "WS01"}
    child = brokered()
    assert excluded(child, *_whole(old), *_whole(child, "clbcatq.dll"))[guid(600, 0)] is None


def test_brokers_and_console_hosts_request_nothing() -> None:
    asker = run()
    console = run(f"{SYSTEM}conhost.exe", 1)
    broker = run(f"{SYSTEM}svchost.exe", 1, ProcessGuid=DCOM, CommandLine="svchost.exe -k DcomLaunch")
    reasons = excluded(brokered(), asker, console, broker)
    assert reasons[console["ProcessGuid"]] == "a console host requests nothing"
    assert reasons[DCOM] == "it is the broker"


def test_a_wrapper_is_dropped_for_what_it_started() -> None:
    wrapper = run(f"{SYSTEM}cmd.exe", 0)
    script_host = run(f"{SYSTEM}wscript.exe", 0.5, ParentProcessGuid=wrapper["ProcessGuid"])
    row = answer(brokered(), wrapper, script_host)
    assert row["requester_guid"] == script_host["ProcessGuid"]
    assert (row["competitors"], row["ambiguous"]) == (1, False)


def test_two_of_a_grade_are_ambiguous_and_the_younger_one_is_first() -> None:
    old, young = run(at=0), run(at=1)
    row = answer(brokered(), old, young)
    assert (row["requester_guid"], row["competitors"], row["ambiguous"]) == (young["ProcessGuid"], 1, True)


def test_the_service_manager_opens_who_asks_in_the_thread_that_starts_the_service() -> None:
    manager = guid(901, -3600)
    asker, idle = run(at=-500), run(at=1)
    child = by(f"{SYSTEM}services.exe", "services.exe", LogonId="0x3e7", User="NT AUTHORITY\\SYSTEM")
    handles = [
        opens(asker, 1.99, source=manager, CallTrace=ASKED),
        opens(child, 2, "0x1fffff", source=manager, CallTrace="x"),
    ]
    assert named(child, asker, idle, *handles) == ("B", asker["ProcessGuid"])
    assert named(child, asker, idle, handles[0] | {"CallTrace": "x"}, handles[1]) == ("F", idle["ProcessGuid"])


def test_what_com_starts_for_somebody_acts_for_him() -> None:
    asker = run()
    surrogate = brokered(f"{SYSTEM}dllhost.exe", 1, "DllHost.exe /Processid:{3E5FC7F9-9A51-4367-9063-A120244FBEC7}")
    child = run(f"{SYSTEM}cmd.exe", 2, parent=None, ParentProcessGuid=surrogate["ProcessGuid"],
                ParentImage=surrogate["Image"], ParentCommandLine=surrogate["CommandLine"])  # fmt: skip
    row = answer(child, asker, surrogate, *pair(asker, surrogate, 1))
    assert (row["mechanism"], row["grade"], row["requester_guid"]) == ("com_surrogate", "A", asker["ProcessGuid"])


def test_explorer_hands_its_target_to_a_shell_of_whatever_logon() -> None:
    asker = run("C:\\Windows\\explorer.exe", CommandLine="explorer.exe shell:::{769f9427-3cc6-4b62-be14-2a705115b7ab}",
                LogonGuid=OTHER_LOGON, LogonId="0x99", TerminalSessionId="0")  # fmt: skip
    shell = brokered("C:\\Windows\\explorer.exe", line="C:\\Windows\\explorer.exe /factory,{75dff2b7} -Embedding")
    assert named(shell, asker) == ("B", asker["ProcessGuid"])
    assert named(shell, asker | {"User": r"CONTOSO\bob"}) == (None, None)
    assert named(shell, asker | {"CommandLine": "C:\\Windows\\Explorer.EXE"}) == (None, None)


def test_hosts_are_told_apart_and_compared_without_case() -> None:
    asker, child = run(host="WS01"), brokered(host="ws01")
    assert named(child, asker)[0] == "D"
    assert named(child, asker | {"host": "WS02"}) == (None, None)


def test_clones_share_guids_and_no_requesters() -> None:
    asker, child = run(host="WS01"), brokered(host="WS01")
    other = child | {"host": "WS02", "record_id": "77"}
    rows = lineage(asker, child, other)
    assert [(r["host"], r["grade"]) for r in rows] == [("WS01", "D"), ("WS02", None)]


@pytest.mark.parametrize(
    ("kind", "address", "locality", "origin"),
    [
        (3, "10.1.2.3", "remote", "remote"),
        (3, "127.0.0.1", "unknown", "local"),
        (3, "::1", "unknown", "local"),
        (3, "-", "unknown", None),
        (10, "-", "unknown", "remote"),
        (10, "10.1.2.3", "unknown", "remote"),
        (4, "-", "task", None),
        (5, "-", "service", None),
        (2, "-", "unknown", "local"),
    ],
)
def test_without_a_requester_here_the_logon_tells(kind: int, address: str, locality: str, origin: str | None) -> None:
    row = answer(brokered(TerminalSessionId="0"), logon(kind, address=address))
    assert (row["locality"], row["origin"]) == (locality, origin)
    assert row["source_address"] == (None if address == "-" else address)


@pytest.mark.parametrize(
    ("address", "workstation", "origin"),
    [
        ("-", "WS09", "remote"),
        ("-", "ws01", None),
        ("fe80::1%4", "WS01", None),
        ("fe80::1%4", "WS09", "remote"),
        ("fe80::1%4", "-", "remote"),
        ("10.1.2.3", "WS01", "remote"),  # its client writes what it likes
    ],
)
def test_another_machine_has_another_address_or_name(address: str, workstation: str, origin: str | None) -> None:
    child = brokered(TerminalSessionId="0", host="WS01.contoso.example")
    met = logon(3, address=address) | {"WorkstationName": workstation, "host": "WS01.contoso.example"}
    assert answer(child, met)["origin"] == origin


@pytest.mark.parametrize(("late", "locality"), [(4.9, "remote"), (5.1, "unknown")])
def test_a_logon_may_be_logged_a_little_after_what_it_started(late: float, locality: str) -> None:
    child = brokered(TerminalSessionId="0")
    assert answer(child, logon(3, 2 + late, "10.1.2.3"))["locality"] == locality


def test_a_logon_of_another_user_is_of_another_session() -> None:
    child = brokered(TerminalSessionId="0")
    met = logon(3, address="10.1.2.3")
    assert answer(child, met | {"TargetUserName": "bob"})["locality"] == "unknown"
    assert answer(child, met | {"TargetUserName": "alice@contoso.example"})["locality"] == "remote"


def test_a_requester_of_the_same_logon_is_local_wherever_the_logon_came_from() -> None:
    row = answer(brokered(TerminalSessionId="0"), run(TerminalSessionId="0"), logon(3, address="10.1.2.3"))
    assert (row["grade"], row["locality"], row["origin"], row["source_address"]) == ("D", "local", "remote", "10.1.2.3")


def test_a_sibling_of_the_same_broker_makes_no_start_local() -> None:
    first = by(WMI, WMI_LINE, at=1, TerminalSessionId="0")
    row = answer(by(WMI, WMI_LINE, at=2, TerminalSessionId="0"), first, logon(3, address="10.1.2.3"))
    assert (row["grade"], row["locality"]) == ("D", "remote")


def test_a_logon_id_is_used_again_after_a_restart() -> None:
    row = answer(brokered(), logon(3, -9000, "10.1.2.3"), logon(2, -60), logon(3, 50, "10.9.9.9"))
    assert row["origin"] == "local"


def test_nobody_here_is_named_for_the_time_alone_if_the_logon_came_over_the_network() -> None:
    nameless = event(3, 1, UtcTime=moment(1), ProcessGuid=guid(600, 0), ProcessId="1", Image=f"{SYSTEM}x.exe")
    child = brokered(TerminalSessionId="0")
    assert named(child, nameless) == ("F", guid(600, 0))
    assert named(child, nameless, logon(3, address="10.1.2.3")) == (None, None)


def test_unknown_is_said() -> None:
    row = answer(brokered())
    assert (row["grade"], row["requester_guid"], row["competitors"]) == (None, None, 0)
    assert row["evidence"] == ["requester unknown"]


@pytest.mark.parametrize(
    ("first_end", "second_end", "attached"),
    [(None, 5, True), (90, 5, True), (None, 70, False), (4, 5, False), (None, None, False)],
)
def test_a_second_outlook_hands_over_and_ends(
    first_end: float | None, second_end: float | None, attached: bool
) -> None:
    first, second = run(OUTLOOK, -300), brokered(at=2)
    ends = [over(process, end) for process, end in ((first, first_end), (second, second_end)) if end]
    assert answer(second, first, *ends)["attached"] is attached


def test_an_outlook_of_another_user_takes_nothing_over() -> None:
    first, second = run(OUTLOOK, -300, User=r"CONTOSO\bob"), brokered(at=2)
    assert answer(second, first, over(second, 5))["attached"] is False


def test_bounds_leave_candidates_out_and_say_so() -> None:
    crowd = [run(at=n / 10) for n in range(70)]
    row = answer(brokered(at=8), *crowd)
    assert (row["competitors"], row["ambiguous"]) == (69, True)
    assert row["evidence"] == ["same logon session", "6 more started in time and were not looked at"]
    assert row["left_over"] == 6


GIT, WHOAMI = "C:\\Program Files\\Git\\git.exe", f"{SYSTEM}whoami.exe"


@pytest.mark.parametrize("count", [63, 64, 65, 300, 2000])
def test_the_dead_displace_nobody(count: int) -> None:
    asker, crowd = run(), [run(WHOAMI, 10 + n / 100) for n in range(count)]
    row = answer(brokered(at=40), asker, *crowd, *(over(p, 39) for p in crowd))
    assert (row["requester_guid"], row["grade"], row["competitors"], row["left_over"]) == (
        asker["ProcessGuid"], "D", 0, 0,
    )  # fmt: skip


@pytest.mark.parametrize("count", [70, 500])
@pytest.mark.parametrize(
    "own",
    [
        {"image": POWERSHELL},
        {"image": f"{SYSTEM}svc.exe", "OriginalFileName": "PowerShell.EXE"},
        {"image": f"{SYSTEM}wbem\\wmic.exe"},
        {"image": "C:\\Users\\alice\\x.exe"},
    ],
)
def test_what_can_drive_com_is_not_crowded_out_by_what_can_not(count: int, own: dict[str, str]) -> None:
    asker, crowd = run(**own), [run(GIT, 10 + n / 100) for n in range(count)]
    child = brokered(at=40)
    row = answer(child, asker, *crowd)
    assert (row["grade"], row["competitors"], row["left_over"]) == ("D", count, count - 64)
    assert excluded(child, asker, *crowd)[asker["ProcessGuid"]] is None


def test_a_crowd_of_copies_hides_no_script_host() -> None:
    asker, crowd = run(), [run("C:\\Users\\alice\\x.exe", 10 + n / 100) for n in range(200)]
    child = brokered(at=40)
    assert excluded(child, asker, *crowd)[asker["ProcessGuid"]] is None


def test_a_host_that_starts_much_through_com_hides_nobody_behind_it() -> None:
    line = "DllHost.exe /Processid:{AB8902B4-09CA-4BB6-B78D-A8F59079A8D5}"
    servers = [brokered(f"{SYSTEM}dllhost.exe", 1 + n / 1000, line) for n in range(2600)]
    asker, child = run(at=5), brokered(at=20)
    crowd = [run(GIT, 6 + n) for n in range(9)]
    assert excluded(child, asker, *servers, *crowd)[asker["ProcessGuid"]] is None


def test_a_start_known_to_the_second_may_lie_within_the_window() -> None:
    asker = guid(600, 0)
    met = event(3, 1, UtcTime=moment(1), ProcessGuid=asker, ProcessId="1", Image=POWERSHELL, User=r"CONTOSO\alice")
    assert named(brokered(at=60.9), met) == ("E", asker)
    assert named(brokered(at=61.1), met) == (None, None)
    assert named(brokered(at=60.9), met, run(at=0.8, User="x", LogonGuid=OTHER_LOGON, LogonId="0x9")) == ("E", asker)
    assert asker in excluded(brokered(at=60.9), met, run())
    assert named(brokered(at=60.9), run(at=0.8))[0] is None


@pytest.mark.parametrize(("end", "grade"), [(None, "B"), (5000, "B"), (3000, None)])
def test_a_command_line_counts_as_long_as_its_process_lives(end: float | None, grade: str | None) -> None:
    asker = run(CommandLine="powershell Start-Sleep 3500; New-Object -ComObject Outlook.Application")
    ends = [over(asker, end)] if end else []
    assert named(brokered(at=3501), asker, *ends)[0] == grade


def test_what_others_said_long_ago_crowds_nobody_out() -> None:
    line = "powershell New-Object -ComObject Outlook.Application"
    asker = run(at=0, CommandLine=line)
    dead = [run(at=10 + n, CommandLine=line) for n in range(40)]
    strangers = [run(at=60 + n, CommandLine=line, User="x", LogonGuid=OTHER_LOGON, LogonId="0x9") for n in range(40)]
    ends = [over(p, 3000) for p in dead]
    assert named(brokered(at=3501), asker, *dead, *ends, *strangers) == ("B", asker["ProcessGuid"])


def test_a_service_is_started_by_what_was_said_of_late() -> None:
    asker = run(CommandLine="powershell Start-Service Evil")
    assert named(by(f"{SYSTEM}services.exe", "services.exe", at=61), asker) == (None, None)


@pytest.mark.parametrize(
    ("image", "end", "grade"),
    [(f"{SYSTEM}notepad.exe", None, "C"), (f"{SYSTEM}notepad.exe", 9, "B"), (f"{SYSTEM}rundll32.exe", None, "B"),
     ("C:\\Users\\alice\\x.exe", None, "B")],
)  # fmt: skip
def test_a_process_id_may_have_been_given_on_to_one_that_runs_scripts(
    image: str, end: float | None, grade: str
) -> None:
    other = run(image, -90_000, ProcessId="700")
    rows = [script(other, 1, "Outlook.Application"), *([over(other, end)] if end else [])]
    row = answer(brokered(), other, *rows)
    assert (row["grade"], row["requester_guid"]) == (grade, other["ProcessGuid"])


@pytest.mark.parametrize("line", ["svchost.exe -k netsvcs", "svchost.exe -k netsvcs -p"])
def test_a_task_or_another_service_is_named_by_words_alone(line: str) -> None:
    asker, idle = run(f"{SYSTEM}schtasks.exe", CommandLine="schtasks /run /tn Mail"), run(at=1)
    child = by(f"{SYSTEM}svchost.exe", line)
    assert named(child, asker, idle) == ("B", asker["ProcessGuid"])
    assert named(child, idle)[0] == "F"
    assert answer(child, idle)["mechanism"] == "task_or_service"
    assert "started by a task or another service: they share one svchost.exe" in answer(child)["evidence"]


def test_a_com_client_is_not_crowded_out() -> None:
    asker, crowd = run(at=0), [run(at=1 + n / 100) for n in range(200)]
    assert named(brokered(at=8), asker, *crowd, loads(asker, 0.1)) == ("C", asker["ProcessGuid"])


def test_frames_have_their_columns_with_and_without_events() -> None:
    for made in (case(), case(run(), brokered())):
        assert dict(made.lineage.collect_schema()) == dict(LINEAGE)
        assert dict(made.candidates.collect_schema()) == dict(CANDIDATES)


def test_duplicates_and_disorder_change_nothing() -> None:
    asker, child = run(), brokered()
    rows = [asker, child, *pair(asker, child, 2), over(asker, 9)]
    again = [row | {"record_id": str(9_000 + n)} for n, row in enumerate(rows)]
    one, other = lineage(*rows), lineage(*reversed(again), *rows)
    wanted = ("child_guid", "requester_guid", "grade", "competitors")
    assert [[r[c] for c in wanted] for r in one] == [[r[c] for c in wanted] for r in other]
    assert asker["LogonGuid"] == LOGON
