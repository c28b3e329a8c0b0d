"""Whose logon session it was, by Security 4624."""

from __future__ import annotations

from datetime import datetime

import polars as pl
import pytest

from hunt import logons, schema
from hunt.events import Events
from tests.helpers import batch, event, moment

ALICE = "S-1-5-21-1-2-3-1105"


def sid(user: str | None, logon_id: str = "0x53ca2", **columns: str | None) -> str | None:
    fields = {"TargetLogonId": "0x53ca2", "TargetUserSid": ALICE, "TargetUserName": "alice"} | columns
    case = Events([logons.NEED])
    case.add(batch(event(4624, 0, channel="Security", provider="Microsoft-Windows-Security-Auditing", **fields)))
    at = datetime.fromisoformat(moment(60)[:26] + "+00:00")
    finding = {"host": "ws01", "logon_id": logon_id, "start": at, "end": at, "user": user}
    found: str | None = logons.sids(
        pl.DataFrame([finding], schema_overrides={"user": pl.String, "start": schema.TIME, "end": schema.TIME}), case
    ).item()
    return found


@pytest.mark.parametrize("domain", [None, "-", "CONTOSO", "contoso.example"])
def test_the_same_name_of_the_same_domain_is_the_same_user(domain: str | None) -> None:
    assert sid(r"CONTOSO\Alice", TargetDomainName=domain) == ALICE


@pytest.mark.parametrize(
    ("user", "domain"), [(r"WS01\alice", "CONTOSO"), (r"CONTOSO\bob", "CONTOSO"), (None, "CONTOSO")]
)
def test_another_domain_or_name_is_another_user(user: str | None, domain: str) -> None:
    assert sid(user, TargetDomainName=domain) is None


@pytest.mark.parametrize(
    "user", [r"NT AUTHORITY\SYSTEM", "NT-AUTORIT\u00c4T\\SYSTEM", r"AUTORITE NT\Syst", r"CONTOSO\WS01$", None]
)
def test_the_machines_own_session_is_systems_in_any_language(user: str | None) -> None:
    assert sid(user, "0x3e7") == "S-1-5-18"


@pytest.mark.parametrize("user", [r"CONTOSO\alice", r"NTDOM\alice"])
def test_it_is_no_users_whatever_an_event_says(user: str) -> None:
    assert sid(user, "0x3e7") is None
