"""Exchange cmdlets in events of the Exchange Management log, as Exchange 2013 and later write them."""

from __future__ import annotations

from typing import Any

from hunt.exchange import CHANNEL
from hunt.hunting import gather
from hunt.registry import select
from tests.helpers import Row, case, event, moment

DOMAIN = "S-1-5-21-186559946-3925841745-111227986"
ALICE, BACKUP = f"{DOMAIN}-1104", f"{DOMAIN}-1150"
NAMES = {ALICE: "contoso.example/Users/alice", BACKUP: "contoso.example/Service/svc-archive"}
EX01 = "SRV-EX01.contoso.example"


def ran(
    cmdlet: str,
    arguments: str = "",
    at: float = 0,
    *,
    by: str = ALICE,
    host: str = EX01,
    outcome: int = 1,
    error: str = "",
    **columns: Any,
) -> Row:
    """A cmdlet, `at` seconds after T0."""
    data = [""] * 27
    data[0], data[1], data[2], data[3], data[4] = cmdlet, arguments, NAMES.get(by, "contoso.example/Users/bob"), by, by
    data[5], data[6] = "Remote-ManagementShell-Unknown", "5668 w3wp#MSExchangePowerShellAppPool"
    data[8], data[9], data[11], data[17] = "5", "00:00:00.4843750", error, "False"
    data[22], data[23], data[26] = "0", "ActivityId: a3591746-a27b-447a-b8be-ff54ae3a46f1", "en-US"
    own = {"provider": "MSExchange CmdletLogs", "source": "exchange.evtx", "logged": moment(at), "Data": data}
    return event(outcome, at, channel=CHANNEL, host=host, **(own | columns))


def found(name: str, *rows: Row, window_s: float | None = None) -> list[dict[str, Any]]:
    """The findings of a hunt in these events."""
    (query,) = select([name])
    findings, events = gather(case(*rows, window_s=window_s), [query.hunt])
    steps = events.group_by("finding_id").len().rows()
    counts = dict(steps)
    return [row | {"events": counts[row["finding_id"]]} for row in findings.iter_rows(named=True)]
