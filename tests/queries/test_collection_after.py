"""Hunts that build on what others found: what a driven Outlook writes, where hunted processes connect to."""

from __future__ import annotations

from hunt.hunting import gather
from hunt.registry import select
from tests.helpers import OUTLOOK, POWERSHELL, Row, case, event, start
from tests.queries.activations import SERVICE, activated
from tests.queries.collected import apart, found, spoke, wrote

COM = ("outlook-com-activation",)
DAY = 86_400
HOST = start(POWERSHELL, 0, TerminalSessionId="1")
DRIVEN = activated(1)
USERS = start(OUTLOOK, -600)
SAVED = r"C:\Users\alice\Desktop\a.msg"


def writes(*cases: list[Row], also: tuple[str, ...] = COM) -> list[list[tuple[str, str]]]:
    with_service = [[SERVICE, *rows] for rows in cases]
    found_ = apart("collection-outlook-writes", *with_service, also=also)
    return [[(row["object"], row["severity"]) for row in rows] for rows in found_]


def test_what_a_driven_outlook_writes_within_ten_minutes_is_told() -> None:
    told = [(r"C:\x\a.pst", "high"), (SAVED, "medium"), (r"C:\Users\alice\Desktop\a.pdf", "low")]
    other = start(OUTLOOK, -600, User=r"CONTOSO\bob")
    assert writes(
        *([HOST, DRIVEN, wrote(DRIVEN, path, 601)] for path, _ in told),
        [HOST, DRIVEN, wrote(DRIVEN, SAVED, 601.5)],
        [HOST, DRIVEN, wrote(DRIVEN, SAVED, 0.5)],
        [USERS, HOST, DRIVEN, wrote(USERS, SAVED, 30)],  # the Outlook of the same user that took over
        [other, HOST, DRIVEN, wrote(other, SAVED, 30)],
        [USERS, HOST, DRIVEN, wrote(USERS, SAVED, 30) | {"host": "WS02"}],
        [USERS, HOST, DRIVEN, wrote(USERS, SAVED, 30) | {"User": None}],  # before Sysmon 13
        [other, HOST, DRIVEN, wrote(other, SAVED, 30) | {"User": None}],
    ) == [*([one] for one in told), [], [], [(SAVED, "medium")], [], [], [(SAVED, "medium")], [(SAVED, "medium")]]


def test_outlooks_own_folders_other_programs_and_undriven_outlooks_are_left_alone() -> None:
    own = r"C:\Users\alice\AppData\Local\Microsoft\Windows\INetCache\Content.Outlook\A1\a.docx"
    first = [HOST, DRIVEN, wrote(DRIVEN, own, 30), wrote(HOST, SAVED, 30)]
    assert writes(first, [USERS, wrote(USERS, SAVED, 30)]) == [[], []]
    assert writes([HOST, DRIVEN, wrote(DRIVEN, SAVED, 30)], also=()) == [[]]  # nobody looked who drove it


def test_scripts_of_a_day_drive_outlook_at_each_of_their_pipelines() -> None:
    payload = {"Payload": 'ParameterBinding(New-Object): name="ComObject"; value="Outlook.Application"'}
    who = {"System.ProcessID": "77", "System.UserID": "S-1-5-21-1-2-3-1104"}
    told = who | {"provider": "Microsoft-Windows-PowerShell"}
    log = "Microsoft-Windows-PowerShell/Operational"
    # Pipelines of a day are one finding, Outlook is driven at each; beyond the fiftieth they are not listed.
    script = [event(4103, at, channel=log, **payload, **told) for at in range(0, 1200, 15)] + [
        event(4103, 9000, channel=log, **payload, **told)
    ]
    files = [wrote(USERS, rf"C:\x\{at}.msg", at) for at in (-5, 30, 1500, 9100, 9700)]
    rows = found("collection-outlook-writes", USERS, *script, *files, also=("outlook-object-model",))
    assert [row["events"] for row in rows] == [3]


def test_what_the_allowlist_suppresses_drives_nothing() -> None:
    events = case(SERVICE, HOST, DRIVEN, wrote(DRIVEN, SAVED, 30))
    hunts = [query.hunt for query in select([*COM, "collection-outlook-writes"])]
    ordered = sorted(hunts, key=lambda hunt: hunt.stage)
    shown, _ = gather(events, ordered)
    assert sorted(shown["query"]) == ["collection-outlook-writes", *COM]
    kept, _ = gather(events, ordered, mark=lambda found: found.with_columns(suppressed=found["query"]))
    assert sorted(kept["query"]) == [*COM]


# Connections.


def goes(*cases: list[Row]) -> list[list[tuple[str, str]]]:
    found_ = apart("collection-new-destination", *cases, also=("outlook-child", "collection-mail-command"))
    return [[(row["object"], row["severity"]) for row in rows] for rows in found_]


LOG = spoke(USERS, "10.0.0.1", -2 * DAY)  # the host's connections are known for two days
CHILD = start(POWERSHELL, 0, parent=USERS, CommandLine="powershell -w hidden")
PLAIN = start(POWERSHELL, 0, parent=USERS, CommandLine="powershell")
OUT = "203.0.113.1 port 443"


def test_the_first_connection_of_a_host_to_somewhere_is_told_if_a_hunted_process_makes_it() -> None:
    goes_out, before = spoke(CHILD, "203.0.113.1", 60), spoke(USERS, "203.0.113.1", -DAY)
    assert goes(
        [USERS, CHILD, LOG, goes_out],
        [USERS, PLAIN, LOG, spoke(PLAIN, "203.0.113.1", 60)],
        [USERS, CHILD, LOG, spoke(CHILD, "10.0.0.9", 60)],
        # What the host spoke to before is not new, whoever did.
        [USERS, CHILD, LOG, before, goes_out],
        [USERS, CHILD, LOG, before | {"host": "WS02"}, goes_out],
    ) == [[(OUT, "high")], [(OUT, "medium")], [("10.0.0.9 port 443", "low")], [], [(OUT, "high")]]


def test_a_short_baseline_is_said_and_counts_less() -> None:
    (row,) = found("collection-new-destination", USERS, CHILD, spoke(CHILD, "203.0.113.1", 60), also=("outlook-child",))
    assert row["severity"] == "medium"
    assert "too short to know what is usual" in row["reason"]
    assert "first seen 2026-03-02T08:16:00" in row["reason"]


def test_who_is_no_hunted_process_what_is_late_and_what_is_no_host_is_left_alone() -> None:
    child = start(r"C:\Windows\System32\curl.exe", 30, parent=CHILD)
    other = start(r"C:\Windows\System32\curl.exe", 30)
    elsewhere = start(POWERSHELL, 0, host="WS02", ProcessGuid=CHILD["ProcessGuid"], parent=None)
    nobody = ("127.0.0.1", "0:0:0:0:0:0:0:1", "224.0.0.252", "255.255.255.255", "ff02::fb")
    told = goes(
        [USERS, CHILD, child, LOG, spoke(child, "203.0.113.1", 60)],  # a descendant
        [USERS, CHILD, other, LOG, spoke(other, "203.0.113.1", 60)],
        [USERS, CHILD, LOG, spoke(CHILD, "203.0.113.1", 601)],
        [USERS, CHILD, LOG, *(spoke(CHILD, address, 60) for address in nobody)],
        [USERS, CHILD, elsewhere, LOG, spoke(elsewhere, "203.0.113.1", 60)],
    )
    assert told == [[(OUT, "high")], [], [], [], []]
