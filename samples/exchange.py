"""Events of the Exchange Management log: one for each cmdlet, as Exchange 2013 to 2019 write them."""

from __future__ import annotations

from samples.event import Event
from samples.values import Moment

PROVIDER = "MSExchange CmdletLogs"
CHANNEL = "MSExchange Management"
_ERROR = 49152  # Qualifiers; of successes 16384
_SERVERS = "View Entire Forest: 'False', Default Scope: '{0}', Configuration Domain Controller: 'DC01.{0}'"


def cmdlet(
    name: str,
    *,
    arguments: str = "",
    time: Moment,
    computer: str,
    user: str,
    sid: str,
    failed: str = "",
    application: str = "Remote-ManagementShell-Unknown",
    record_id: int | None = None,
    header_id: int | None = None,
    rendered: bool = False,
) -> Event:
    """A cmdlet with its parameters (`-Name "value" ...`), run by `user` (contoso.example/Users/alice).

    `failed`: the exception that ended it. All 27 Data are there, most of them empty.
    """
    data = [""] * 27
    data[0:7] = name, arguments, user, sid, sid, application, "5668 w3wp#MSExchangePowerShellAppPool"
    data[8:11] = "21", "00:00:00.4843796", _SERVERS.format(computer.partition(".")[2])
    if failed:
        data[11:13] = failed, "InvalidOperation"
    data[17], data[19] = "False", "0 objects execution has been proxied to remote server."
    data[22:25] = "0", "ActivityId: 5f0c2c5e-6b1e-4a86-9a50-4f3f8b1f7d21", "ServicePlan:;IsAdmin:True;"
    data[26] = "en-US"
    return Event(
        PROVIDER,
        6 if failed else 1,
        CHANNEL,
        computer,
        time,
        record_id=record_id,
        level=2 if failed else 4,
        task=1,
        keywords=0x80000000000000,
        qualifiers=_ERROR if failed else 16384,
        unnamed=data,
        header_id=header_id,
        rendered=rendered,
    )
