"""Chains: which findings and facts belong together, how heavy they are, and what makes none."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from hunt import schema
from hunt.findings import FOUND, finding_id
from hunt.model import SYSMON, Status
from hunt.pipeline import Request, cover
from hunt.pipeline import run as run_pipeline
from hunt.registry import select
from samples import safe_yaml
from tests.helpers import T0, Row, case, event, moment

HOUR = 3600
_SECOND = 1_000_000_000


def finding(query: str, at: float, *, host: str = "WS01", lasting: float = 0, **columns: Any) -> dict[str, Any]:
    """A finding of another query, at so many seconds after T0."""
    start = round((T0 + at) * _SECOND)
    events = [
        {"step": 1, "host": host, "channel": SYSMON, "event_id": 1, "record_id": round(at * 10) + 1, "time": start}
    ]
    told = {"query": query, "finding_id": finding_id(query, events), "severity": "medium", "host": host, "start": start}
    own = {
        "end": start + round(lasting * _SECOND),
        "user": r"CONTOSO\alice",
        "techniques": ["T1114.001"],
        "events": events,
    }
    return told | own | columns


def chains(*found: dict[str, Any], events: tuple[Row, ...] = (), window_s: float | None = None) -> list[dict[str, Any]]:
    """The chains of these findings."""
    known = case(*events, window_s=window_s)
    known.findings = pl.DataFrame([{c: row.get(c) for c in FOUND} for row in found], schema=FOUND)
    (query,) = select(["collection-chain"])
    return query.hunt.find(known).collect().rows(named=True)


def each(*cases: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The chains of each of these cases, all looked for at once: days lie between them."""

    def later(of: dict[str, Any], number: int) -> dict[str, Any]:
        by = number * 10 * 24 * HOUR * _SECOND
        moved = [event_ | {"time": event_["time"] + by} for event_ in of["events"]]
        return of | {"start": of["start"] + by, "end": of["end"] + by, "events": moved}

    told = chains(*(later(of, number) for number, case_ in enumerate(cases) for of in case_))
    numbers = [(row["start"].timestamp() - T0 + 5 * 24 * HOUR) // (10 * 24 * HOUR) for row in told]
    return [[row for row, n in zip(told, numbers, strict=True) if n == number] for number in range(len(cases))]


ACCESS = finding("outlook-script-host", 0)
COLLECTION = finding("collection-mail-file-written", 60)
PACKED = finding("collection-mail-command", 120, action="pack")
OUT = finding("collection-new-destination", 180)
ENTRY = finding("outlook-child", -60)


def test_more_phases_weigh_more() -> None:
    steps = [ACCESS, COLLECTION, PACKED, OUT, ENTRY]
    told = [[row["severity"] for row in rows] for rows in each(*(steps[:n] for n in range(1, 6)))]
    assert told == [[], ["medium"], ["high"], ["critical"], ["critical"]]
    (row,) = chains(*steps)
    assert row["action"] == "entry, access, collection, archive, connection out"
    assert [line.split(": ")[1].split(" (")[0] for line in row["evidence"]] == [
        "outlook-child", "outlook-script-host", "collection-mail-file-written", "collection-mail-command",
        "collection-new-destination",
    ]  # fmt: skip
    assert [event_["step"] for event_ in row["events"]] == [1, 2, 3, 4, 5]
    assert row["reason"].startswith(r"5 phases of one user (CONTOSO\alice); 2026-03-02T08:14:00.000000Z entry on WS01:")


def test_two_findings_of_the_same_phase_are_no_chain() -> None:
    two_phases_of_one = [finding("exchange-export-removed", 0, lasting=600)]
    assert each([ACCESS, finding("outlook-com-activation", 5)], two_phases_of_one) == [[], []]


def test_without_access_or_collection_there_is_no_mail_in_it() -> None:
    assert chains(ENTRY, OUT) == []


def test_low_findings_make_a_lower_chain_and_informational_ones_none() -> None:
    low = [row | {"severity": "low"} for row in (ACCESS, COLLECTION, OUT)]
    (of_low, of_none) = each(low, [ACCESS, *(row | {"severity": "informational"} for row in (COLLECTION, OUT))])
    assert [row["severity"] for row in of_low] == ["medium"]
    assert of_none == []


def test_what_is_suppressed_has_no_part_in_a_chain() -> None:
    assert each([ACCESS, COLLECTION | {"suppressed": "backup"}], [ACCESS | {"suppressed": "known"}, OUT]) == [[], []]


def test_acts_follow_each_other_within_the_window() -> None:
    late = finding("collection-mail-file-written", 6 * HOUR)
    told = each(
        [ACCESS, late],
        [ACCESS, finding("collection-mail-file-written", 6 * HOUR + 1)],
        [ACCESS | {"end": late["start"]}, finding("collection-mail-file-written", 12 * HOUR)],
    )
    assert [len(rows) for rows in told] == [1, 0, 1]
    assert chains(ACCESS, COLLECTION, window_s=59) == []
    assert len(chains(ACCESS, COLLECTION, window_s=60)) == 1


def test_what_comes_too_early_or_too_late_is_left_out() -> None:
    others = (("collection-new-destination", -60), ("exchange-audit-off", -60), ("outlook-persistence", 60))
    assert each(*([ACCESS, finding(query, at)] for query, at in others)) == [[], [], []]


def test_users_are_the_same_by_account_on_all_hosts_and_by_sid_where_logons_name_it() -> None:
    sid = "S-1-5-21-1-2-3-1104"
    server = finding("exchange-mail-search", 60, host="EX01", user="contoso.example/Users/Alice Smith", actor=sid)
    logon = event(4624, -60, channel="Security", provider="Microsoft-Windows-Security-Auditing", host="EX01",
                  TargetUserSid=sid, TargetUserName="alice", TargetDomainName="CONTOSO")  # fmt: skip
    assert chains(ACCESS, server) == []
    (row,) = chains(ACCESS, server, events=(logon,))
    assert "on 2 hosts" in row["reason"]
    told = each(
        [ACCESS, finding("exchange-mail-search", 60, host="EX01", user="contoso.example/Users/alice")],
        [ACCESS, finding("mail-audit-mass-access", 60, host="contoso.example", user="alice@contoso.example")],
        [ACCESS, COLLECTION | {"user": r"CONTOSO\bob"}],
        [ACCESS, COLLECTION | {"user": r"FABRIKAM\alice"}],
    )
    assert [len(rows) for rows in told] == [1, 1, 0, 0]


def test_what_windows_own_accounts_do_is_the_users_beside_them_or_the_hosts() -> None:
    system = COLLECTION | {"user": r"NT AUTHORITY\SYSTEM"}
    (beside,), elsewhere, (row,) = each(
        [ACCESS, system], [ACCESS, system | {"host": "WS02"}], [ACCESS | {"user": None}, system]
    )
    assert "of Windows' own accounts beside" in beside["reason"]
    assert elsewhere == []
    assert (row["confidence"], row["actor"]) == ("low", None)
    assert row["reason"].startswith("2 phases of one host;")


def test_nobody_is_beside_an_application_in_the_cloud() -> None:
    def cloud(query: str, at: float, user: str | None) -> dict[str, Any]:
        of = finding(query, at, host="b662", user=user)
        return of | {"events": [event_ | {"channel": "Office365.UnifiedAudit"} for event_ in of["events"]]}

    given = cloud("mail-audit-permission", 0, "alice@contoso.example")
    (_,), none, (row,) = each(
        [given, cloud("mail-audit-mass-access", 60, "alice@contoso.example")],
        [given, cloud("mail-audit-mass-access", 60, "b3d1-app"), cloud("mail-audit-sending", 90, None)],
        [cloud("mail-audit-consent", 0, "B3D1-app"), cloud("mail-audit-mass-access", 60, "b3d1-app")],
    )
    assert none == []
    assert row["actor"] == "B3D1-app"


# Facts.


def test_a_cleared_log_is_the_cleanup_of_who_is_near() -> None:
    own = {"SubjectUserName": "alice", "SubjectDomainName": "CONTOSO", "provider": "Microsoft-Windows-Eventlog"}
    cleared = event(1102, 300, channel="Security", **own)
    (row,) = chains(ACCESS, events=(cleared,))
    assert (row["severity"], row["action"]) == ("medium", "access, cleanup")
    assert row["reason"].endswith("log Security cleared")
    assert [event_["event_id"] for event_ in row["events"]] == [1, 1102]
    system = event(
        104,
        300,
        channel="System",
        Channel="Application",
        **own | {"SubjectUserName": "SYSTEM", "SubjectDomainName": "NT AUTHORITY"},
    )
    (row,) = chains(ACCESS, events=(system,))
    assert row["reason"].endswith("log Application cleared")
    assert chains(ACCESS, events=(cleared | {"host": "WS02"},)) == []
    assert chains(ACCESS, events=(event(1102, -300, channel="Security", **own),)) == []
    assert chains(ACCESS, events=(event(1102, 300, channel="Security", **own | {"SubjectUserName": "bob"}),)) == []
    assert chains(events=(cleared,)) == []


def test_archives_and_deleted_mail_count_beside_a_finding() -> None:
    def file(event_id: int, path: str, image: str, at: float = 300, **columns: str) -> Row:
        own = {"UtcTime": moment(at), "Image": image, "User": r"CONTOSO\alice", "TargetFilename": path}
        return event(event_id, at, **(own | columns))

    zipped = file(11, r"D:\m.zip", r"C:\Program Files\7-Zip\7z.exe")
    deleted = file(23, r"D:\m.zip", r"C:\Windows\explorer.exe", 400)
    assert [row["action"] for row in chains(ACCESS, events=(zipped,))] == ["access, archive"]
    assert [row["action"] for row in chains(ACCESS, events=(zipped, deleted))] == ["access, archive, cleanup"]
    update = file(23, r"C:\Windows\Temp\u.cab", r"C:\Windows\System32\svchost.exe", User=r"NT AUTHORITY\SYSTEM")
    assert chains(ACCESS, events=(update,)) == []
    assert len(chains(ACCESS, events=(update | {"TargetFilename": r"C:\Windows\Temp\u.pst"},))) == 1
    assert chains(ACCESS, events=(file(11, r"D:\m.zip", r"C:\Program Files\Browser\b.exe"),)) == []
    assert chains(ACCESS, events=(file(23, r"D:\a.tmp", r"C:\Windows\explorer.exe"),)) == []


# Rules, bounds, order.


def test_rules_count_if_they_tell_of_collected_mail() -> None:
    rule = finding("a-rule", 60, techniques=["T1114"])
    (told,), others = each([OUT, rule], [ACCESS, finding("a-rule", 60, techniques=["T1059"])])
    assert (told["action"], others) == ("collection, connection out", [])


def test_fifty_thousand_findings_take_seconds_and_the_chain_stays_short() -> None:
    base = pl.DataFrame([{c: row.get(c) for c in FOUND} for row in (ACCESS, COLLECTION)], schema=FOUND)
    number = pl.int_range(pl.len())
    later = pl.duration(seconds=number // 100, time_unit="ns")
    many = base[[n % 2 for n in range(50_000)]].with_columns(
        finding_id=number.cast(pl.String),
        user=pl.concat_str(pl.lit("CONTOSO\\u"), (number % 50).cast(pl.String)),
        start=pl.col("start") + later,
        end=pl.col("end") + later,
    )
    known = case()
    known.findings = many
    (query,) = select(["collection-chain"])
    began = time.process_time()
    found = query.hunt.find(known).collect()
    assert time.process_time() - began < 15  # about half a second; quadratic would be hours
    assert found.height == 0  # each user has one phase alone
    known.findings = many.with_columns(user=pl.lit("CONTOSO\\u"))
    (row,) = query.hunt.find(known).collect().rows(named=True)
    assert "and 49960 more" in row["reason"]
    assert len(row["events"]) <= 40
    assert len(row["reason"]) < 20_000


def test_the_order_of_findings_changes_nothing() -> None:
    rows = [ACCESS, COLLECTION, PACKED, OUT, ENTRY, COLLECTION | {"user": r"NT AUTHORITY\SYSTEM", "finding_id": "x"}]
    shuffled = random.Random(7).sample(rows, len(rows))
    assert chains(*rows) == chains(*shuffled)


def test_chains_are_looked_for_after_all_others() -> None:
    hunts = [query.hunt for query in select(())]
    (last,) = (hunt for hunt in hunts if hunt.stage == max(hunt.stage for hunt in hunts))
    assert last.id == "collection-chain"
    assert chains() == []


# Samples and coverage.


def _promised(samples: Path, *logs: str) -> list[tuple[str, int]]:
    expected = safe_yaml.read(samples / "expected.yml")
    told = [f for log in logs for f in expected[f"logs/{log}.evtx"]["findings"] if f["query"] == "collection-chain"]
    return sorted((f["host"], f["record"]) for f in told)


def _found(samples: Path, *logs: str) -> tuple[list[tuple[str, int]], set[str]]:
    """(host and last record of each chain, which queries found something) in some sample logs."""
    report = run_pipeline(Request([samples / "logs" / f"{log}.evtx" for log in logs], queries=("collection-chain",)))
    last = report.events.sort("step").group_by("finding_id", maintain_order=True).last()
    found = report.findings.filter(query="collection-chain").join(last, on="finding_id", suffix="_last")
    return sorted(found.select("host", "record_id").rows()), {*report.findings["query"]}


def test_samples_have_the_chains_that_are_promised_and_it_brings_along_what_it_builds_on(samples: Path) -> None:
    logs = "collection-local", "exchange-export", "exchange-logons", "mail-theft"  # of different users
    found, queries = _found(samples, *logs)
    assert found == _promised(samples, *logs)
    assert len(found) == 3
    assert {"outlook-script-host", "collection-outlook-writes"} <= queries


def test_its_status_says_which_phases_could_not_have_been_seen(samples: Path) -> None:
    for log, unseen, seen in (
        ("exchange-export", ["entry", "archive"], ["access", "collection", "connection out", "cleanup"]),
        ("powershell", ["entry", "collection", "archive", "connection out", "cleanup"], ["access"]),
    ):
        covered = cover(Request([samples / "logs" / f"{log}.evtx"], queries=["collection-chain"]))
        (result,) = (result for result in covered.queries if result.query == "collection-chain")
        assert result.status == Status.RAN
        assert [p for p in (*unseen, *seen) if f"the phase {p} could not have been seen" in result.reason] == unseen


def test_times_stay_in_utc() -> None:
    (row,) = chains(ACCESS, COLLECTION)
    assert row["start"].isoformat() == "2026-03-02T08:15:00+00:00"
    assert pl.Datetime("ns", "UTC") == schema.TIME
