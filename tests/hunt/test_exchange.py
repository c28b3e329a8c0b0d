"""The Exchange Management log as columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hunt.events import Events
from hunt.exchange import CHANNEL, COLUMNS, MESSAGE, NEEDS, READS, cmdlets
from hunt.model import Batch, Reading
from hunt.pipeline import Request, run
from parsers.evtx import PARSER
from tests.helpers import Row, batch, event, evidence
from tests.queries.cmdlets import ALICE, EX01, ran


def rows(*events: Row, names: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    case = Events((*NEEDS, *READS))
    if events:
        case.add(batch(*events))
    found = cmdlets(case, names).sort("record_id").collect()
    assert dict(found.schema) == dict(COLUMNS)
    return list(found.iter_rows(named=True))


def test_a_cmdlet_is_told_column_by_column() -> None:
    (row,) = rows(ran("Set-Mailbox", '-Identity "bob"', Data=None) | {"Data": _full()})
    assert row["host"] == EX01
    assert row["host_key"] == "srv-ex01.contoso.example"
    told = (
        "cmdlet", "arguments", "caller", "caller_key", "user", "logon_sid", "application", "process", "pid", "outcome",
        "error", "outputs", "activity_id", "client_request_id",
    )  # fmt: skip
    assert [row[name] for name in told] == [
        "Set-Mailbox", '-Identity "bob"', "S-1-5-21-9-9-9-1104", "s-1-5-21-9-9-9-1104", "contoso.example/Users/alice",
        "S-1-5-21-9-9-9-1200", "Remote-ManagementShell-Unknown", "w3wp#MSExchangePowerShellAppPool", 5668, "succeeded",
        None, 3, "a3591746-a27b-447a-b8be-ff54ae3a46f1", "req-1",
    ]  # fmt: skip
    assert row["parameters"] == [{"name": "Identity", "value": "bob"}]


def _full() -> list[str]:
    data = [""] * 27
    data[:7] = (
        "Set-Mailbox", '-Identity "bob"', "contoso.example/Users/alice", "S-1-5-21-9-9-9-1200", "S-1-5-21-9-9-9-1104",
        "Remote-ManagementShell-Unknown", "5668 w3wp#MSExchangePowerShellAppPool",
    )  # fmt: skip
    data[22:27] = "3", "ActivityId: a3591746-a27b-447a-b8be-ff54ae3a46f1", "ServicePlan:;", "req-1", "en-US"
    return data


def test_the_caller_is_a_name_where_no_sid_is_told() -> None:
    data = _full()
    data[3] = data[4] = ""
    (row,) = rows(ran("x", Data=data))
    assert (row["caller"], row["logon_sid"]) == ("contoso.example/Users/alice", None)


def test_the_outcome_is_that_of_the_event_id() -> None:
    outcomes = [row["outcome"] for row in rows(*(ran("X", outcome=n) for n in range(1, 8)))]
    assert outcomes == ["succeeded"] * 3 + ["stopped", "cancelled", "failed", "failed"]


def test_an_unhandled_exception_has_a_layout_of_its_own() -> None:
    (row,) = rows(event(8, channel=CHANNEL, Data=["12460", "9", "Test-WebServicesConnectivity", "System.Exception: x"]))
    assert (row["cmdlet"], row["pid"], row["outcome"]) == ("Test-WebServicesConnectivity", 12460, "failed")
    assert (row["error"], row["caller"], row["parameters"]) == ("System.Exception: x", None, [])


def test_an_event_of_exchange_2010_has_fewer_data() -> None:
    data = [
        "Add-X",
        "{MailboxServer=M2, Identity=DAG1}",
        "d.example/Users/adm",
        ALICE,
        ALICE,
        "ServerRemoteHost-EMC",
        "2084",
    ]
    (row,) = rows(ran("x", Data=[*data, "", "38", "00:00:02", "...", "System.Exception: y", "Context", ""], outcome=6))
    assert (row["cmdlet"], row["pid"], row["process"], row["error"]) == ("Add-X", 2084, None, "System.Exception: y")
    assert [one["value"] for one in row["parameters"]] == ["M2", "DAG1"]
    assert (row["outputs"], row["activity_id"], row["client_request_id"]) == (None, None, None)


@pytest.mark.parametrize("data", [[], [""], ["", "", ""], ["Set-X"], ["a\0b", '-A "'], ["x"] * 300])
def test_a_list_of_any_length_is_no_error(data: list[str]) -> None:
    assert len(rows(ran("x", Data=data))) == 1


def test_the_sentence_alone_tells_cmdlet_and_parameters() -> None:
    said = (
        'Cmdlet suceeded. Cmdlet Set-Oab, parameters -ExternalUrl "http://x/a, parameters b." -Identity "O".',
        'Cmdlet failed. Cmdlet New-X, parameters -A "1\n2".\n',
        "Cmdlet stopped. Cmdlet New-Y, parameters .",
        "something else",
    )
    told = rows(*(event(1, channel=CHANNEL, **{MESSAGE: text}) for text in said))
    assert [row["cmdlet"] for row in told] == ["Set-Oab", "New-X", "New-Y", None]
    assert [[one["value"] for one in row["parameters"]] for row in told] == [
        ["http://x/a, parameters b.", "O"], ["1\n2"], [], [],
    ]  # fmt: skip
    assert {row["caller"] for row in told} == {None}


def test_only_the_cmdlets_asked_for_are_told_in_any_case_and_without_their_module() -> None:
    found = rows(ran("Set-Mailbox"), ran(r"Microsoft.Exchange\set-mailbox"), ran("Get-Mailbox"), names=("SET-MAILBOX",))
    assert [row["cmdlet"] for row in found] == ["Set-Mailbox", "set-mailbox"]


def test_nothing_is_told_of_nothing() -> None:
    assert rows() == []


# Real logs: a forwarded event, header number 1 and EventRecordID 3229.


@pytest.mark.parametrize("log", ["MSExchange_Management_wec.evtx", "issue_201.evtx"])
def test_the_forwarding_of_a_forwarded_log_is_told_as_of_its_origin(real_evidence: Path, log: str) -> None:
    case = Events((*NEEDS, *READS))
    for part in PARSER.read([evidence(real_evidence / "quirks" / log)], Reading(case.wants())):
        if isinstance(part, Batch):
            case.add(part)
    (row,) = cmdlets(case).collect().iter_rows(named=True)
    assert (row["host"], row["record_id"], row["cmdlet"]) == ("WEC.ave.local", 3229, "Set-Mailbox")
    assert row["caller"] == row["logon_sid"] == "S-1-5-21-186559946-3925841745-111227986-500"
    assert (row["user"], row["pid"], row["outputs"]) == ("ave.local/Users/Administrateur", 5668, 0)
    assert [(one["name"], one["value"]) for one in row["parameters"]] == [
        ("Identity", "Administrateur"),
        ("DeliverToMailboxAndForward", "False"),
        ("ForwardingSmtpAddress", "smtp:test2@example.com"),
    ]


def test_the_forwarding_of_a_forwarded_log_is_found(real_evidence: Path) -> None:
    logs = [real_evidence / "quirks" / name for name in ("MSExchange_Management_wec.evtx", "issue_201.evtx")]
    report = run(Request(logs))
    (row,) = report.findings.iter_rows(named=True)
    assert (row["query"], row["host"], row["severity"]) == ("exchange-forwarding", "WEC.ave.local", "high")
    assert (row["actor"], row["object"]) == ("S-1-5-21-186559946-3925841745-111227986-500", "Administrateur")
    assert "passed on to smtp:test2@example.com" in row["reason"]
    assert row["sources"] == ["MSExchange_Management_wec.evtx", "issue_201.evtx"]


# What can't be told is said.


def test_a_shippers_sentences_are_enough_and_nothing_is_not(tmp_path: Path) -> None:
    head = '{"EventTime":"2026-03-02 08:00:00","EventReceivedTime":"2026-03-02 08:00:01",'
    head += '"SourceName":"MSExchange CmdletLogs",'
    mid = '"Channel":"MSExchange Management","Hostname":"%s","EventID":%d,"RecordNumber":%d%s}\n'
    said = r',"Message":"Cmdlet suceeded. Cmdlet Set-Mailbox, parameters -Identity \"bob\" -AuditEnabled \"False\"."'
    lines = [(1, "EX1", said), (1, "EX2", ""), (6, "EX3", said)]
    text = "".join(head + mid % (host, kind, n, more) for n, (kind, host, more) in enumerate(lines, 1))
    (tmp_path / "nxlog.jsonl").write_text(text)
    report = run(Request([tmp_path], ["exchange-audit-off"]))
    told = report.findings.select("host", "severity", "confidence", "actor").rows()
    assert told == [("EX1", "medium", "medium", None), ("EX3", "low", "medium", None)]  # the latter an attempt
    (result,) = report.queries
    assert (result.hosts_ran, result.hosts_not_evaluable) == (
        ("EX1", "EX3"),
        ("EX2",),
    )  # EX3 has the log, in which 1 is written whenever there is one
    assert "no Data in event 1 of MSExchange Management" in result.reason
