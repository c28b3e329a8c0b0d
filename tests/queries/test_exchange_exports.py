"""Mailboxes exported to PST: what is unusual, and which request was removed by whom (Exchange)."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from hunt import allow
from hunt.pipeline import Request, run
from queries.exchange_export_removed import HUNT
from tests.helpers import Row, case
from tests.queries.cmdlets import ALICE, BACKUP, found, ran

SHARE = r"\\SRV-FILES\pst$\bob.pst"
DAY = 86_400


def export(
    path: str = SHARE, at: float = 0, *, box: str = "bob", name: str = "", more: str = "", **columns: Any
) -> Row:
    named = f' -Name "{name}"' if name else ""
    return ran("New-MailboxExportRequest", f'-Mailbox "{box}" -FilePath "{path}"{named}{more}', at, **columns)


def remove(identity: str, at: float, more: str = ' -Confirm "False"', **columns: Any) -> Row:
    return ran("Remove-MailboxExportRequest", f'-Identity "{identity}"{more}', at, **columns)


def pairs(*rows: Row, window_s: float | None = None) -> list[dict[str, Any]]:
    return found("exchange-export-removed", *rows, window_s=window_s)


def alone(*rows: Row, window_s: float | None = None) -> list[dict[str, Any]]:
    return found("exchange-mailbox-export", *rows, window_s=window_s)


# Request and removal.


SID = ALICE.rpartition("-")[0]


def test_a_request_and_its_removal_are_one_finding() -> None:
    rows = export(), remove(r"contoso.example/Users/bob\MailboxExport", 600)
    (row,) = pairs(*rows)
    assert (row["severity"], row["confidence"], row["span_seconds"], row["events"]) == ("medium", "high", 600.0, 2)
    assert (row["actor"], row["object"], row["user"]) == (ALICE, SHARE, "contoso.example/Users/alice")
    assert row["action"] == "New-MailboxExportRequest, Remove-MailboxExportRequest"
    assert row["command_line"].startswith("New-MailboxExportRequest -Mailbox")
    assert row["target_command_line"].startswith("Remove-MailboxExportRequest -Identity")
    assert alone(*rows) == []


SPELLINGS = [
    ("bob@contoso.example", "", r"bob\MailboxExport1", True),
    (r"CONTOSO\bob", "q1", r"bob@contoso.example\Q1", True),
    ("contoso.example/Users/bob", "a b", r"BOB\A B", True),
    ("CN=bob,OU=Users,DC=contoso,DC=example", "", r"smtp:bob@contoso.example\MailboxExport", True),
    ("bob", "q1", r"bob\q2", False),
    ("bob", "", r"bobby\MailboxExport", False),
    ("bob", "", "bob", False),
]


def test_a_removal_is_known_however_the_mailbox_is_written() -> None:
    rows: list[Row] = []
    for number, (box, name, identity, _) in enumerate(SPELLINGS):
        caller = f"{SID}-{5000 + number}"
        rows += [export(box=box, name=name, by=caller), remove(identity, 60, more="", by=caller)]
    sure = {row["actor"] for row in pairs(*rows) if row["confidence"] == "high"}
    assert [f"{SID}-{5000 + number}" in sure for number in range(len(SPELLINGS))] == [known for *_, known in SPELLINGS]


def test_the_window_is_inclusive_and_begins_with_the_request() -> None:
    gaps = (0, 60, 60.001, DAY, DAY + 0.001, -1)
    rows: list[Row] = []
    for number, gap in enumerate(gaps):
        by = f"{SID}-{5000 + number}"
        rows += [export(at=2, by=by), remove(r"bob\MailboxExport", 2 + gap, by=by)]
    assert {row["span_seconds"] for row in pairs(*rows)} == {0, 60, 60.001, DAY}
    assert {row["span_seconds"] for row in pairs(*rows, window_s=60)} == {0, 60}


def test_somebody_elses_removal_is_none_of_the_callers() -> None:
    rows = export(), remove(r"bob\MailboxExport", 60, by=BACKUP)
    assert pairs(*rows) == []
    (row,) = alone(*rows)
    assert row["severity"] == "low"
    assert row["reason"].endswith(f"its request was removed by {BACKUP} at 2026-03-02T08:16:00.000000Z")


def test_a_removal_through_another_server_of_the_organisation_counts() -> None:
    (row,) = pairs(export(), remove(r"bob\MailboxExport", 60, host="SRV-EX02.contoso.example"))
    assert row["host"] == "SRV-EX01.contoso.example"
    assert "by the same caller, on SRV-EX02.contoso.example" in row["reason"]


def test_an_account_of_the_machine_itself_is_another_one_on_another_server() -> None:
    system = "S-1-5-18"
    rows = export(by=system), remove(r"bob\MailboxExport", 60, by=system, host="SRV-EX02.contoso.example")
    assert pairs(*rows) == []
    assert len(pairs(export(by=system), remove(r"bob\MailboxExport", 60, by=system))) == 1


def test_of_two_requests_of_one_mailbox_each_has_its_own_removal() -> None:
    rows = (
        export(at=0, name="one"), export(at=10, name="two"),
        remove(r"bob\two", 20), remove(r"bob\one", 30),
    )  # fmt: skip
    assert sorted(row["span_seconds"] for row in pairs(*rows)) == [10.0, 30.0]


def test_a_name_of_its_own_is_enough_if_the_mailbox_is_written_otherwise() -> None:
    (row,) = pairs(export(name="q1-dump"), remove(r"contoso.example/Users/Bob Miller\q1-dump", 60, more=""))
    assert row["confidence"] == "medium"


def test_the_usual_name_of_another_mailbox_is_not_enough() -> None:
    rows = export(), remove(r"contoso.example/Users/Carol\MailboxExport", 60, more="")
    assert pairs(*rows) == []


def test_a_removal_that_can_not_be_compared_is_the_last_requests_with_low_confidence() -> None:
    rows: list[Row] = []
    for number, removal in enumerate(
        (
            r'-Identity "contoso.example/Users/Bob Miller\MailboxExport" -Confirm "False"',
            '-Identity "8d3ab6e5-1f0a-4a3c-9d0c-2d1f6f5c7a11"',
            '-RequestGuid "8d3ab6e5-1f0a-4a3c-9d0c-2d1f6f5c7a11" -RequestQueue "DB01"',
        )
    ):
        by = f"{SID}-{5000 + number}"
        rows += [
            export(box="carol", by=by),
            export(at=10, by=by),
            ran("Remove-MailboxExportRequest", removal, 60, by=by),
        ]
    assert [(row["confidence"], row["span_seconds"]) for row in pairs(*rows)] == [("low", 50.0)] * 3
    assert len(alone(*rows)) == 6  # not sure enough to leave the requests out


def test_a_removal_that_belongs_to_an_older_request_is_not_lent_to_another() -> None:
    rows = export(at=-3 * DAY, box="carol"), export(at=0), remove(r"carol\MailboxExport", 60)
    assert pairs(*rows) == []


def test_a_failed_removal_gives_way_to_the_one_that_worked() -> None:
    failed = remove(r"bob\MailboxExport", 10, outcome=6)
    (row,) = pairs(export(), failed, remove(r"bob\MailboxExport", 60))
    assert row["span_seconds"] == 60.0
    (row,) = pairs(export(), failed)
    assert "the removal failed" in row["reason"]


def test_a_request_that_failed_is_an_attempt() -> None:
    (row,) = alone(
        export(r"\\127.0.0.1\c$\x.pst", outcome=6, error="System.UnauthorizedAccessException: denied\r\n  at X")
    )
    assert row["severity"] == "medium"  # one below high
    assert "an attempt: it failed: System.UnauthorizedAccessException: denied at X" in row["reason"]


def test_the_removal_of_an_unknown_request_is_told() -> None:
    (row,) = alone(remove(r"contoso.example/Users/bob\MailboxExport", 5))
    assert (row["severity"], row["object"]) == ("low", r"contoso.example/Users/bob\MailboxExport")


def test_other_cmdlets_are_no_exports() -> None:
    rows = (
        ran("Get-MailboxExportRequest", "", outcome=2),
        ran("New-MailboxImportRequest", f'-Mailbox "bob" -FilePath "{SHARE}"'),
        ran("Get-Mailbox", '-Identity "bob"', 5, outcome=2),
        ran("Remove-MoveRequest", r'-Identity "bob" -Confirm "False"', 9),
    )
    assert alone(*rows) == pairs(*rows) == []


# What is unusual in a path.


def test_a_web_shell_is_critical() -> None:
    shell = r"\\127.0.0.1\C$\inetpub\wwwroot\aspnet_client\x.aspx"
    (row,) = pairs(export(shell), remove(r"bob\MailboxExport", 5))
    assert (row["severity"], row["risk_score"]) == ("critical", 99)
    assert row["evidence"] == ["server itself", "administrative share", "web root", "script"]


def test_what_a_request_tells() -> None:
    told = {
        """ -ContentFilter "Body -like '*password*'\"""": ["content filter"],
        ' -CompletedRequestAgeLimit "00:00:00"': ["removes itself"],
        ' -CompletedRequestAgeLimit "0"': ["removes itself"],
        ' -CompletedRequestAgeLimit "30.00:00:00"': [],
        " -ContentFilter $null": [],
    }
    rows = alone(*(export(at=n, more=more) for n, more in enumerate(told)))
    assert [row["evidence"] for row in rows] == [*told.values()]


def test_a_share_is_new_if_earlier_exports_went_elsewhere() -> None:
    rows = [export(at=n) for n in range(3)]
    rows += [export(r"\\OTHER\x\a.pst", 10), export(r"\\other\X\b.pst", 20)]
    assert [row["evidence"] for row in alone(*rows)] == [[], [], [], ["first share"], []]


def test_many_mailboxes_by_one_caller_are_told_of_each() -> None:
    four = [export(at=n, box=f"user{n}") for n in range(4)]
    assert {row["severity"] for row in alone(*four)} == {"informational"}
    for at, many in ((DAY, True), (DAY + 3, True), (DAY + 4, False)):
        rows = alone(*four, export(at=at, box="user4"))
        assert rows[4]["evidence"] == (["many mailboxes"] if at == DAY else [])
        assert rows[3]["evidence"] == (["many mailboxes"] if many else [])
    again = [*four, export(at=50, box="USER0@contoso.example")]
    assert {row["severity"] for row in alone(*again)} == {"informational"}
    others = [*four, export(at=50, box="user4", by=BACKUP)]
    assert {row["severity"] for row in alone(*others)} == {"informational"}


def test_the_right_to_export_given_shortly_before_makes_it_high() -> None:
    """Who gave what to whom when, seconds before the request; and whether that counts."""
    day = "Mailbox Import Export"
    cases: list[tuple[Row, bool]] = []
    rows: list[Row] = []
    for number, (before, to, role, other, outcome, counts) in enumerate(
        [
            (100, "{}", day, False, 1, True), (100, "{}", day, True, 1, True), (100, "svc", day, False, 1, True),
            (DAY, "CONTOSO\\{}", day, True, 1, True), (-1, "{}", day, False, 1, False),
            (DAY + 1, "{}", day, False, 1, False), (100, "{}", day, False, 6, False),
            (100, "{}", "Mail Recipients", False, 1, False), (100, "somebody", day, True, 1, False),
            (100, "{}", "ApplicationImpersonation", False, 1, False),
        ]
    ):  # fmt: skip
        name, by = f"user{number}", f"{SID}-{5000 + number}"
        request = export(at=0, by=by, name=name)
        request["Data"][2] = f"contoso.example/Users/{name}"
        giver = f"{SID}-{6000 + number}" if other else by
        given = f'-Role "{role}" -User "{to.format(name)}"'
        rows += [ran("New-ManagementRoleAssignment", given, -before, by=giver, outcome=outcome), request]
        rows.append(remove(rf"bob\{name}", 200, by=by))
        cases.append((request, counts))
    found_ = {row["actor"]: row for row in pairs(*rows)}
    for request, counts in cases:
        row = found_[request["Data"][4]]
        assert (row["severity"], row["events"]) == (("high", 3) if counts else ("medium", 2)), request["Data"][2]


def test_without_a_caller_the_server_stands_for_him_with_low_confidence() -> None:
    def sentence(row: Row) -> Row:
        text = f"Cmdlet suceeded. Cmdlet {row['Data'][0]}, parameters {row['Data'][1]}."
        return {k: v for k, v in row.items() if k != "Data"} | {"RenderingInfo.Message": text}

    (row,) = pairs(sentence(export()), sentence(remove(r"bob\MailboxExport", 60)))
    assert (row["confidence"], row["actor"], row["object"]) == ("low", None, SHARE)


# The rule once more, as loops that follow its words.

_BOXES = ("bob", "carol@contoso.example", r"CONTOSO\dave")
_REQUESTS = ("", "q1", "q2")


def _same(one: str, other: str) -> bool:
    return one.rpartition("\\")[2].partition("@")[0] == other.rpartition("\\")[2].partition("@")[0]


def _by_loops(made: list[Row], removed: list[Row]) -> dict[str, tuple[str, str]]:
    """Of each request, by its record: the record of its removal, and how sure that is."""
    told: dict[str, tuple[str, str]] = {}
    for one in made:
        levels: list[list[Row]] = [[], [], [], []]
        for other in removed:
            gap = other["at"] - one["at"]
            if other["by"] != one["by"] or not 0 <= gap <= DAY or other["name"] != one["name"]:
                continue
            if _same(one["box"], other["box"]):
                levels[0 if other["ok"] else 1].append(other)
            elif one["name"]:
                levels[2 if other["ok"] else 3].append(other)
        for level, met in enumerate(levels):
            if met:
                told[one["id"]] = (min(met, key=lambda o: o["at"])["id"], "high" if level < 2 else "medium")
                break
    taken = {other for other, _ in told.values()}
    for other in sorted(removed, key=lambda o: o["at"]):
        known = any(
            o["by"] == other["by"] and o["name"] == other["name"] and _same(o["box"], other["box"]) for o in made
        )
        if other["id"] in taken or not other["unasked"] or known:
            continue
        before = [o for o in made if o["ok"] and o["by"] == other["by"] and 0 <= other["at"] - o["at"] <= DAY]
        before = [o for o in before if told.get(o["id"], ("", "low"))[1] == "low"]
        if before:
            told.setdefault(max(before, key=lambda o: o["at"])["id"], (other["id"], "low"))
    return told


@pytest.mark.parametrize("seed", range(3))
def test_requests_and_removals_are_paired_as_loops_pair_them(seed: int) -> None:
    draw = random.Random(seed)
    made, removed, rows = [], [], []
    times = draw.sample(range(4 * DAY), 160)
    for number, at in enumerate(times):
        by, box, name = f"{SID}-{5000 + draw.randrange(4)}", draw.choice(_BOXES), draw.choice(_REQUESTS)
        ok, unasked = draw.random() < 0.8, draw.random() < 0.5
        outcome = 1 if ok else 6
        if number % 2:
            row = export(box=box, name=name, at=at, by=by, outcome=outcome)
        else:
            identity = f"{box}\\{name or 'MailboxExport'}"
            row = remove(identity, at, ' -Confirm "False"' if unasked else "", by=by, outcome=outcome)
        told = {"by": by, "box": box, "name": name, "at": at, "ok": ok, "unasked": unasked, "id": row["record_id"]}
        (made if number % 2 else removed).append(told)
        rows.append(row)
    query = HUNT.find(case(*rows)).collect()
    ends = query.select(
        pl.col("events").list.first().struct.field("record_id").cast(pl.String),
        pl.col("events").list.last().struct.field("record_id").cast(pl.String).alias("end"),
        "confidence",
    )
    assert {one: (end, sure) for one, end, sure in ends.iter_rows()} == _by_loops(made, removed)


# Housekeeping.


def test_an_archive_account_is_suppressed_by_its_sid_and_its_folder(samples: Path) -> None:
    allowed = allow.load(samples / "allow-archive-account.yml", datetime(2026, 4, 1, tzinfo=UTC))
    hunts = ["exchange-export-removed", "exchange-mailbox-export"]
    report = run(Request([samples / "logs" / "exchange-export.evtx"], hunts, allowed=allowed))
    found_ = report.findings.select("actor", "object", pl.col("suppressed").is_not_null())
    assert found_.filter("suppressed").rows() == [(BACKUP, r"\\SRV-FILES\pst$\left\left01.pst", True)]
    assert found_.height == 6
