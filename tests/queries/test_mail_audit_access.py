"""How many mails were opened in a window, which folders were taken: what is reported, its weight, what is not."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import polars as pl
from click.testing import CliRunner
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from hunt import pipeline
from hunt.cli import main
from hunt.model import Settings, Status
from hunt.queries._audit_mails import GROUP, bursts
from hunt.queries._audit_mails import mails as mails_of
from samples.evtx_writer import log_bytes, sysmon_process
from tests.queries.audited import ALICE, BOB, TENANT, Record, access, each, found

MASS, SYNC = "mail-audit-mass-access", "mail-audit-folder-sync"
DAY = 86_400


def many(count: int, first: int = 0) -> list[str]:
    return [f"<{first + n}@contoso.example>" for n in range(count)]


def test_fifty_mails_in_five_minutes_are_many_and_49_are_not() -> None:
    (row,) = found(MASS, access(*many(25)), access(*many(25, 25), seconds=300))
    assert (row["severity"], row["actor"], row["object"], row["action"]) == (
        "medium",
        ALICE,
        ALICE,
        "MailItemsAccessed",
    )
    assert row["reason"].startswith("50 mails of alice@contoso.example opened, 50 of them within 300 s")
    assert (row["source_ip"], row["span_seconds"], row["n_events"]) == ("203.0.113.7", 300.0, 2)
    fewer, later = access(*many(24, 25), seconds=300), access(*many(25, 25), seconds=301)
    assert each(MASS, [access(*many(25)), fewer], [access(*many(25)), later]) == [[], []]


def test_the_same_mail_counts_once_in_a_window_and_the_same_record_once() -> None:
    twice = access(*many(1), count=30, seconds=9)
    told = each(
        MASS,
        [access(*many(49)), access(*many(49), seconds=60)],
        [twice, twice],  # what is only counted is not counted again by a copy
        [twice, twice | {"Id": "other"}],
        [access(count=2**62), access(count=2**62, seconds=1)],
    )
    assert [len(rows) for rows in told] == [0, 0, 1, 1]


def test_what_a_record_only_counts_is_summed() -> None:
    (row,) = found(MASS, access(count=30), access(count=20, seconds=10))
    assert row["reason"].startswith("50 mails")


def test_threshold_and_window_are_options() -> None:
    slow = [access(*many(1, n), seconds=60 * n) for n in range(10)]
    assert found(MASS, *slow) == []
    (row,) = found(MASS, *slow, settings=Settings(window_s=540, threshold=10))
    assert row["n_events"] == 10
    assert found(MASS, *slow, settings=Settings(window_s=539, threshold=10)) == []


def test_mails_of_different_users_and_mailboxes_do_not_add_up() -> None:
    of_bob = access(*many(30, 30), UserId=BOB, MailboxOwnerUPN=BOB)
    in_bobs = access(*many(30, 30), MailboxOwnerUPN=BOB)
    assert each(MASS, [access(*many(30)), of_bob], [access(*many(30)), in_bobs]) == [[], []]


def test_spread_over_addresses_and_sessions_they_do_and_are_told_so() -> None:
    spread = [
        access(*many(2, 2 * n), seconds=n, ClientIPAddress=f"198.51.100.{n}", SessionId=str(n)) for n in range(30)
    ]
    (row,) = found(MASS, *spread)
    assert (row["severity"], row["n_events"]) == ("medium", 30)
    assert "spread over 30 addresses and 30 sessions" in row["reason"]


def test_what_is_unusual_raises() -> None:
    app = {"AppId": "27922004-5251-4030-b22d-91ecd9a37ea4"}
    other = access("<a@b>", seconds=-2 * DAY, ClientIPAddress="198.51.100.1", **app)
    cases = [
        ([access(*many(50), **app)], "medium"),
        ([access(*many(50), **app, LogonType=2, UserId=BOB)], "high"),
        ([access(*many(50), **app, ClientInfoString="Client=WebServices;python-requests/2.31")], "high"),
        ([access(*many(50), **app, throttled=True)], "high"),
        ([access(*many(50), **app, UserId="ServicePrincipal_7a", UserType=5)], "medium"),
        ([access("<a@b>", seconds=-2 * DAY, **app), access(*many(50), **app)], "low"),
        ([other, access(*many(50), **app)], "medium"),
    ]
    told = each(MASS, *(records for records, _ in cases))
    assert [row["severity"] for rows in told for row in rows] == [owed for _, owed in cases]
    assert "first seen address" in told[-1][0]["evidence"]


def test_ports_and_brackets_make_no_other_address() -> None:
    halves = [
        access(*many(25), ClientIPAddress="[2001:DB8::7]:51000"),
        access(*many(25, 25), ClientIPAddress="2001:db8::7"),
    ]
    (row,) = found(MASS, *halves)
    assert row["source_ip"] == "2001:db8::7"


def test_a_synchronised_folder_is_told_by_itself() -> None:
    taken = {"ClientInfoString": "Client=MSExchangeRPC", "Folders": None, "Item": {"ParentFolder": {"Path": "\\Inbox"}}}
    (row,), (by_script,), (by_bob,), none = each(
        SYNC,
        [access(kind="Sync", **taken)],
        [access(kind="Sync", ClientInfoString="Client=WebServices;ExchangeServicesClient/15.00")],
        [access(kind="Sync", **taken, UserId=BOB, LogonType=2)],
        [access("<a@b>")],
    )
    assert (row["severity"], row["object"]) == ("informational", ALICE)
    assert row["reason"].endswith("synchronised: \\Inbox")
    assert [by_script["severity"], by_bob["severity"], none] == ["high", "medium", []]
    assert found(MASS, access(kind="Sync", count=500, **taken)) == []


# The count by a slow and plain reading: every window that ends at a record, a set of what is in it.


def naive(records: list[Record], within: int, threshold: int) -> set[tuple[str, ...]]:
    """Ids of the records in windows with so many mails, windows that share records joined."""
    groups = defaultdict(list)
    for item in {item["Id"]: item for item in records}.values():
        groups[item["SessionId"]].append(item)
    bursts = []
    for own in groups.values():
        windows = []
        for last in own:
            inside = [r for r in own if 0 <= last["second"] - r["second"] <= within]
            mails = {m["InternetMessageId"] for r in inside for m in r["Folders"][0]["FolderItems"]}
            extra = sum(r["OperationCount"] - len(r["Folders"][0]["FolderItems"]) for r in inside)
            if len(mails) + extra >= threshold:
                windows.append((last["second"] - within, last["second"]))
        joined: list[list[int]] = []
        for begin, end in sorted(set(windows)):
            if joined and begin <= joined[-1][1]:
                joined[-1][1] = end
            else:
                joined.append([begin, end])
        bursts += [tuple(sorted(r["Id"] for r in own if b <= r["second"] <= e)) for b, e in joined]
    return set(bursts)


_RECORDS = st.lists(
    st.tuples(
        st.integers(0, 40),
        st.lists(st.integers(0, 6), max_size=3, unique=True),
        st.integers(0, 2),
        st.sampled_from("ab"),
    ),
    min_size=1,
    max_size=12,
)


@given(_RECORDS, st.integers(0, 12), st.integers(1, 6))
@budget(max_examples=20, deadline=None)
def test_the_count_is_that_of_a_plain_reading(drawn: list[Any], within: int, threshold: int) -> None:
    records = []
    for number, (second, mails, extra, session) in enumerate(drawn):
        own = access(
            *(f"m{mail}" for mail in mails),
            seconds=second,
            count=(len(mails) + extra) or 1,
            SessionId=session,
            Number=number,
            MailboxOwnerUPN=f"{session}@contoso.example",
        )
        records.append(own | {"second": second})
    rows = pl.DataFrame(
        {
            "row": pl.Series(range(len(records)), dtype=pl.UInt32),
            "time": pl.Series([r["second"] * 10**9 for r in records]).cast(pl.Datetime("ns", "UTC")),
            **{name: [r["SessionId"] for r in records] for name in GROUP},
            "Folders.FolderItems.InternetMessageId": [
                "\n".join(m["InternetMessageId"] for m in r["Folders"][0]["FolderItems"]) for r in records
            ],
            "Folders.FolderItems.Id": pl.Series([None] * len(records), dtype=pl.String),
            "OperationCount": [str(r["OperationCount"]) for r in records],
        }
    )
    met = bursts(rows, mails_of(rows), GROUP, within * 10**9, threshold)
    told = {tuple(sorted(records[row]["Id"] for row in part["row"])) for _, part in met.group_by("burst")}
    assert told == naive(records, within, threshold)


def test_a_throttled_mailbox_is_blind_for_a_day_and_coverage_says_so(tmp_path: Path) -> None:
    records = [access(f"<{n}>", seconds=n * 3600, throttled=n in (1, 2, 40)) for n in range(41)]
    path = tmp_path / "export.jsonl"
    path.write_text("\n".join(map(json.dumps, records)))
    facts = pipeline.cover(pipeline.Request([path])).facts.filter(kind="audit_throttled")
    told = facts.select(pl.col("start", "end").dt.to_string("%d %H:%M"), "count", "event_id").rows()
    assert told == [("02 09:15", "03 10:15", 2, 50), ("04 00:15", "05 00:15", 1, 50)]
    (detail, *_) = facts["detail"]
    assert detail.startswith(f"{ALICE}: MailItemsAccessed was throttled")


def test_windows_logs_alone_leave_these_hunts_not_evaluable_for_one_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.evtx"
    path.write_bytes(log_bytes([sysmon_process(Image=r"C:\a.exe")]))
    report = pipeline.cover(pipeline.Request([path]))
    own = [query for query in report.queries if query.query.startswith(("mail-audit-", "workspace-"))]
    assert {query.status for query in own} == {Status.NOT_EVALUABLE}
    reasons = {f"no event of {channel}" for channel in ("Office365.UnifiedAudit", "GoogleWorkspace.Audit")}
    assert {query.reason for query in own} == reasons
    assert {query.hosts_not_evaluable for query in own} == {()}  # a computer has no such log
    (path.parent / "b.jsonl").write_text(json.dumps(access("<1>")))
    told = {query.query: query for query in pipeline.cover(pipeline.Request([tmp_path])).queries}
    assert told["outlook-renamed-script-host"].hosts_not_evaluable == ()
    assert (told[MASS].status, told[MASS].hosts_ran) == (Status.RAN, (TENANT,))


def test_the_threshold_is_an_option_of_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "export.jsonl"
    path.write_text(json.dumps(access("<1>", "<2>", "<3>")))
    for threshold, owed in (("3", 1), ("4", 0)):
        asked = ["run", str(path), "-q", MASS, "--threshold", threshold, "--quiet", "--format", "jsonl", "--jobs", "1"]
        result = CliRunner().invoke(main, asked)
        assert (result.exit_code, result.stdout.count('"mail-audit-mass-access"')) == (0, owed)
    assert CliRunner().invoke(main, ["run", str(path), "--threshold", "0"]).exit_code == 2
