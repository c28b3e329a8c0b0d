"""Logons of Exchange's administrators: what is new, against which baseline, and who is none of them."""

from __future__ import annotations

from typing import Any

from hunt import coverage
from hunt.hunting import gather
from hunt.parts import Together
from hunt.registry import select
from tests.helpers import Row, case, event
from tests.queries.cmdlets import ALICE, DOMAIN, EX01, ran
from tests.queries.collected import found

DAY = 86_400
BOB = f"{DOMAIN}-1120"
RAN = ran("New-Mailbox", '-Name "x"', 0)


def logon(at: float, address: str, *, kind: str = "3", sid: str = ALICE, name: str = "alice", **columns: Any) -> Row:
    own = {"TargetUserSid": sid, "TargetUserName": name, "TargetDomainName": "CONTOSO", "IpAddress": address}
    how = {"LogonType": kind, "AuthenticationPackageName": "Kerberos"}
    told = {"provider": "Microsoft-Windows-Security-Auditing", "host": EX01}
    return event(4624, at, channel="Security", **(own | how | told | columns))


def told(*rows: Row) -> list[tuple[str, str | None, str]]:
    return [(row["action"], row["source_ip"], row["severity"]) for row in found("exchange-admin-logon", *rows)]


def told_each(*cases: list[Row]) -> list[list[tuple[str, str | None, str]]]:
    """The same of each case, all looked at once: Alice is another administrator in each of them."""

    def of(value: Any, number: int) -> Any:
        if isinstance(value, list):
            return [of(item, number) for item in value]
        return value.replace(ALICE, f"{DOMAIN}-9{number}").replace("alice", f"alice{number}")

    rows = [{c: of(value, number) for c, value in row.items()} for number, own in enumerate(cases) for row in own]
    met = found("exchange-admin-logon", *rows)
    named = [[row for row in met if row["user"] == rf"CONTOSO\alice{number}"] for number in range(len(cases))]
    assert sum(map(len, named)) == len(met)
    return [[(row["action"], row["source_ip"], row["severity"]) for row in own] for own in named]


USUAL = [logon(n * DAY, "10.0.0.5") for n in range(9)]


def test_a_new_address_is_told_by_how_long_the_account_is_known() -> None:
    other = logon(9 * DAY, "203.0.113.6") | {"host": "SRV-EX02"}  # where no log tells of earlier logons
    way = "logon type 3 by Kerberos"
    assert told_each(
        [RAN, *USUAL, logon(9 * DAY, "10.0.0.6")],
        [RAN, *USUAL[:3], logon(4 * DAY, "10.0.0.6")],
        [RAN, *USUAL, logon(9 * DAY, "203.0.113.6")],
        [RAN, *USUAL, other],
        [RAN, *USUAL, logon(9 * DAY, "10.0.0.5") | {"host": "SRV-EX02"}],
    ) == [
        [(way, "10.0.0.6", "medium")],
        [(way, "10.0.0.6", "low")],
        [(way, "203.0.113.6", "high")],
        [(way, "203.0.113.6", "high")],
        [],
    ]
    (row,) = found("exchange-admin-logon", RAN, USUAL[0], logon(3600, "10.0.0.6"))
    assert row["severity"] == "informational"
    assert "too short to know what is usual" in row["reason"]


def test_a_new_way_is_told_and_a_cmdlet_after_it_is_said() -> None:
    (row,) = found(
        "exchange-admin-logon",
        RAN,
        *USUAL[:3],
        logon(4 * DAY, "10.0.0.5", kind="10"),
        ran("Set-Mailbox", "", 4 * DAY + 600),
    )
    assert (row["severity"], row["action"]) == ("medium", "logon type 10 by Kerberos")
    assert "the way was not met before" in row["reason"]
    assert "ran an Exchange cmdlet within the hour after" in row["reason"]


def test_first_logons_usual_ones_and_those_of_other_people_are_not_told() -> None:
    usual = [logon(10 * DAY, "::ffff:10.0.0.5"), logon(11 * DAY, "-"), logon(11 * DAY, "127.0.0.1")]
    assert told_each([RAN, logon(0, "10.0.0.5")], [RAN, *USUAL, *usual]) == [[], []]
    bob = {"sid": BOB, "name": "bob"}
    assert told(RAN, logon(0, "10.0.0.7", **bob), logon(9 * DAY, "203.0.113.7", **bob)) == []


def test_who_keeps_his_own_mailbox_administers_nothing() -> None:
    own = ran("Set-MailboxAutoReplyConfiguration", '-Identity "alice"')
    assert told(own, *USUAL, logon(9 * DAY, "203.0.113.6")) == []


def test_members_of_exchanges_groups_are_administrators() -> None:
    added = {"TargetUserName": "Organization Management", "MemberSid": BOB, "MemberName": "CN=bob"}
    member = event(4756, 0, channel="Security", provider="Microsoft-Windows-Security-Auditing", host="DC01", **added)
    other = member | {"TargetUserName": "Print Operators", "record_id": "99"}
    bob = [logon(0, "10.0.0.7", sid=BOB, name="bob"), logon(9 * DAY, "10.0.0.8", sid=BOB, name="bob")]
    assert [severity for _, _, severity in told(member, *bob)] == ["medium"]
    assert told(other, *bob) == []


def test_tickets_and_explicit_credentials_are_known_by_the_accounts_name() -> None:
    ticket = {
        "TargetUserName": "alice@CONTOSO.EXAMPLE",
        "TargetDomainName": "CONTOSO.EXAMPLE",
        "Status": "0x0",
        "ServiceName": "SRV-EX01$",
    }
    own = {"channel": "Security", "provider": "Microsoft-Windows-Security-Auditing", "host": "DC01"}
    asked = [
        event(4769, at, **own, **ticket, IpAddress="::ffff:10.0.0.5", TicketEncryptionType=kind)
        for at, kind in ((0, "0x12"), (DAY, "0x12"), (9 * DAY, "0x17"))
    ]
    assert told(RAN, *asked) == [("Kerberos ticket with encryption 0x17", "10.0.0.5", "medium")]
    failed = [row | {"Status": "0x1b"} if row is asked[2] else row for row in asked]
    assert told(RAN, *failed) == []


def test_without_administrators_it_is_said_that_nobody_could_be_judged() -> None:
    (query,) = select(["exchange-admin-logon"])
    (part,) = query.hunt.unknowns
    assert part.counts(case(*USUAL)).collect().rows() == [(EX01, 9, 9)]
    assert part.counts(case(RAN, *USUAL)).collect().rows() == [(EX01, 0, 9)]
    (fact,) = coverage.unknown(Together(case(*USUAL)), [query])
    assert fact.detail.endswith(": 9 of 9 logons")
    assert [*coverage.unknown(Together(case(RAN, *USUAL)), [query])] == []


def test_the_order_of_events_changes_nothing() -> None:
    rows = [RAN, *USUAL, logon(9 * DAY, "10.0.0.6"), logon(9 * DAY, "10.0.0.6", kind="10")]
    (query,) = select(["exchange-admin-logon"])
    one, two = (gather(case(*given), [query.hunt])[0].drop("sources") for given in (rows, rows[::-1]))
    assert one.equals(two)
    assert one.height == 2
