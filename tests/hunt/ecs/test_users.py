r"""Who Sysmon says it was: `DOMAIN\name` as domain, name and id."""

from __future__ import annotations

import pytest

from tests.hunt.ecs.built import of_sysmon, seen, sysmon


@pytest.mark.parametrize(
    ("user", "sid"),
    [
        (r"NT AUTHORITY\SYSTEM", "S-1-5-18"),
        (r"nt authority\system", "S-1-5-18"),
        (r"NT-AUTORITÄT\SYSTEM", "S-1-5-18"),
        (r"AUTORITE NT\Système", "S-1-5-18"),
        (r"NT AUTHORITY\СИСТЕМА", "S-1-5-18"),
        (r"AUTORIDADE NT\SISTEMA", "S-1-5-18"),
        (r"NT AUTHORITY\LOCAL SERVICE", "S-1-5-19"),
        (r"NT-AUTORITÄT\Lokaler Dienst", "S-1-5-19"),
        (r"NT AUTHORITY\NETWORK SERVICE", "S-1-5-20"),
        (r"AUTORITE NT\SERVICE RÉSEAU", "S-1-5-20"),
        (r"ZARZĄDZANIE NT\USŁUGA SIECIOWA", "S-1-5-20"),
        (r"NT AUTHORITY\ANONYMOUS LOGON", "S-1-5-7"),
        # No SID was logged: a stand-in of the kind, so that prefixes and joins hold.
        (r"CONTOSO\Alice", r"S-1-5-21-contoso\alice"),
        (r"CONTOSO\SYSTEM", r"S-1-5-21-contoso\system"),
        ("alice", "S-1-5-21-alice"),
        (r"AzureAD\Alice", r"S-1-12-1-azuread\alice"),
        (r"Window Manager\DWM-1", r"S-1-5-90-window manager\dwm-1"),
        (r"NT SERVICE\MSSQL", r"S-1-5-80-nt service\mssql"),
        (r"NT AUTHORITY\SOMETHING", r"S-1-5-nt authority\something"),
    ],
)
def test_ids(user: str, sid: str) -> None:
    assert of_sysmon(11, "user.id", User=user) == sid


@pytest.mark.parametrize(
    ("logon", "sid"), [("0x3e7", "S-1-5-18"), ("0x3e5", "S-1-5-19"), ("0x3e4", "S-1-5-20"), ("0x53ca2", None)]
)
def test_at_a_start_the_logon_tells_of_services_in_any_language(logon: str, sid: str | None) -> None:
    user = r"AUTHORITY IN NO LANGUAGE\SOMEBODY"
    assert of_sysmon(1, "user.id", User=user, LogonId=logon) == (sid or f"S-1-5-21-{user.lower()}")


@pytest.mark.parametrize(
    ("user", "domain", "name"),
    [(r"A\b", "A", "b"), ("b", None, "b"), (r"A\b\c", "A", r"b\c"), (r"\b", None, "b"), ("A\\", "A", None)],
)
def test_domains_and_names(user: str, domain: object, name: object) -> None:
    assert [*seen(sysmon(3, User=user), "user.domain", "user.name").values()] == [domain, name]
