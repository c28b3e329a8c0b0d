r"""Accounts as Sysmon names them (`DOMAIN\name`) as domain, name and id.

Sysmon's own SecurityID is that of its service, always S-1-5-18: as `user.id` it would make rules on it dead. What a
name tells of the SID stands there instead. Well-known accounts have their SID, by their name in the languages of
Windows or, in Sysmon 1, by their logon. Of every other account the SID is not logged; it gets a stand-in of the
kind's prefix and the name (`S-1-5-21-contoso\alice`), for rules say what they mean by prefixes (`user.id :
"S-1-5-21-*"`, an ordinary account) and by what it is not (`user.id != "S-1-5-18"`), and join by it: absent, the first
would be silent and no sequence would join. A rule that asks for the end of a SID ("*-500") can't match one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import polars as pl

from hunt.ecs.values import present, text

SYSTEM, LOCAL_SERVICE, NETWORK_SERVICE = "S-1-5-18", "S-1-5-19", "S-1-5-20"

# winnt.h: SYSTEM_LUID, LOCALSERVICE_LUID, NETWORKSERVICE_LUID; the same in all languages.
_BY_LOGON = {0x3E7: SYSTEM, 0x3E5: LOCAL_SERVICE, 0x3E4: NETWORK_SERVICE}

# NT AUTHORITY, and the three accounts. Sources: Microsoft's table of localised service names for SQL Server (German,
# French, Italian, Spanish, Russian); Microsoft's sample databases
# script that looks for the network service (the other languages); accounts as tools on such systems print them.
_AUTHORITIES = (
    "nt authority",
    "nt-autorität",  # de
    "autorite nt",  # fr
    "autoridade nt",  # pt-BR
    "zarządzanie nt",  # pl
    "nt-myndighet",  # no
    "nt instans",  # sv
    "nt-hallinta",  # fi
)
_NAMES: Mapping[str, tuple[str, ...]] = {
    SYSTEM: ("system", "système", "sistema", "система"),
    LOCAL_SERVICE: (
        "local service",
        "lokaler dienst",
        "service local",
        "servizio locale",
        "servicio loc",
        "servicio local",
        "serviço local",
        "usługa lokalna",
    ),
    NETWORK_SERVICE: (
        "network service",
        "netzwerkdienst",
        "service réseau",
        "servizio di rete",
        "servicio de red",
        "serviço de rede",
        "usługa sieciowa",
        "hálózati szolgáltatás",
        "netværkstjeneste",
        "netwerkservice",
        "verkkopalvelu",
        "nettverkstjeneste",
    ),
    "S-1-5-7": ("anonymous logon",),
    "S-1-5-17": ("iusr",),
}

# By domain, what the SIDs of its accounts begin with: [MS-DTYP] 2.4.2.4; and S-1-12-1 of accounts of Entra ID.
_KINDS = {
    **dict.fromkeys(_AUTHORITIES, "S-1-5-"),
    "nt service": "S-1-5-80-",
    "iis apppool": "S-1-5-82-",
    "nt virtual machine": "S-1-5-83-",
    "window manager": "S-1-5-90-",
    "font driver host": "S-1-5-96-",
    "azuread": "S-1-12-1-",
}
_ORDINARY = "S-1-5-21-"


def _well_known() -> Iterator[tuple[str, str]]:
    for sid, names in _NAMES.items():
        for authority in _AUTHORITIES:
            yield from ((f"{authority}\\{name}", sid) for name in names)


_BY_NAME = dict(_well_known())


def domain(user: str) -> pl.Expr:
    return domain_of(text(user))


def name(user: str) -> pl.Expr:
    return name_of(text(user))


def domain_of(account: pl.Expr) -> pl.Expr:
    return account.str.extract(r"(?s)^([^\\]+)\\")


def name_of(account: pl.Expr) -> pl.Expr:
    return present(account.str.replace(r"^[^\\]*\\", ""))


def identifier(user: str, logon: str | None = None) -> pl.Expr:
    """A SID or its stand-in; `logon`: the column of the logon id, where there is one."""
    account = text(user).str.to_lowercase()
    kind = account.str.extract(r"(?s)^([^\\]+)\\").replace_strict(_KINDS, default=_ORDINARY, return_dtype=pl.String)
    stand_in = pl.concat_str(kind, account)
    by_name = account.replace_strict(_BY_NAME, default=None, return_dtype=pl.String)
    if logon is None:
        return pl.coalesce(by_name, stand_in)
    by_logon = pl.col(logon).replace_strict(_BY_LOGON, default=None, return_dtype=pl.String)
    return pl.coalesce(by_name, by_logon, stand_in)
