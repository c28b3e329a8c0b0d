"""Records of Microsoft 365's unified audit log, as its exports have them, and the hunts run over them."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hunt.events import Events
from hunt.hunting import gather
from hunt.model import Batch, Parser, Reading, Settings
from hunt.registry import select
from parsers.google_audit import PARSER as GOOGLE
from parsers.unified_audit import PARSER as UNIFIED
from tests.helpers import T0, evidence

TENANT = "b662313f-14fc-43a2-9a7a-d2e27f4f3478"
ALICE, BOB = "alice@contoso.example", "bob@contoso.example"
OWA = "Client=OWA;Action=ViaProxy"
Record = dict[str, Any]


def at(seconds: float) -> str:
    return f"{datetime.fromtimestamp(T0, UTC) + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}"


def record(operation: str, kind: int, seconds: float = 0, **fields: Any) -> Record:
    """A record, `seconds` after T0; its Id tells of the rest."""
    own = {
        "CreationTime": at(seconds),
        "Operation": operation,
        "OrganizationId": TENANT,
        "RecordType": kind,
        "ResultStatus": "Succeeded",
        "UserType": 0,
        "Workload": "Exchange",
        "UserId": ALICE,
    } | fields
    return {"Id": f"{hashlib.md5(json.dumps(own, sort_keys=True).encode(), usedforsecurity=False).hexdigest()}", **own}


def pairs(**values: str) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in values.items()]


def cmdlet(name: str, seconds: float = 0, user: str = ALICE, parameters: Mapping[str, str] | None = None) -> Record:
    return record(name, 1, seconds, UserId=user, ResultStatus="True", Parameters=pairs(**(parameters or {})))


def access(*mails: str, seconds: float = 0, kind: str = "Bind", throttled: bool = False, **fields: Any) -> Record:
    """Mails that were opened; `count` if the record says another number than it names."""
    count = fields.pop("count", len(mails))
    own = {
        "ClientIPAddress": "203.0.113.7",
        "ClientInfoString": OWA,
        "LogonType": 0,
        "MailboxOwnerUPN": ALICE,
        "SessionId": "s1",
        "OperationProperties": pairs(MailAccessType=kind, IsThrottled=str(throttled)),
        "Folders": [{"FolderItems": [{"InternetMessageId": mail} for mail in mails], "Path": "\\Inbox"}],
        "OperationCount": count,
    }
    return record("MailItemsAccessed", 50, seconds, **(own | fields))


def found(
    name: str, *records: Record, settings: Settings | None = None, parser: Parser = UNIFIED
) -> list[dict[str, Any]]:
    """The findings of a hunt in an export of these records; `n_events`: how many events each lists."""
    (query,) = select([name])
    events = Events(query.hunt.wanted, settings)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "export.jsonl"
        path.write_bytes(b"".join(json.dumps(item).encode() + b"\n" for item in records))
        for part in parser.read([evidence(path)], Reading(events.wants())):
            if isinstance(part, Batch):
                events.add(part)
    findings, of_findings = gather(events, [query.hunt])
    counts = dict(of_findings.group_by("finding_id").len().iter_rows())
    return [row | {"n_events": counts[row["finding_id"]]} for row in findings.iter_rows(named=True)]


def each(name: str, *cases: Sequence[Record]) -> list[list[dict[str, Any]]]:
    """The findings of each of these cases, all evaluated at once: each is an organisation of its own."""
    told = found(name, *(item | {"OrganizationId": f"org{n}"} for n, own in enumerate(cases) for item in own))
    return [[row for row in told if row["host"] == f"org{n}"] for n in range(len(cases))]


def activity(application: str, name: str, user: str = ALICE, /, **parameters: Any) -> Record:
    """An activity of Google Workspace with one event."""
    own = [{"name": key, "multiValue" if isinstance(v, list) else "value": v} for key, v in parameters.items()]
    return {
        "kind": "admin#reports#activity",
        "id": {
            "time": "2026-03-02T08:15:00.123Z",
            "uniqueQualifier": hashlib.md5(
                repr((application, name, user, parameters)).encode(), usedforsecurity=False
            ).hexdigest(),
            "applicationName": application,
            "customerId": "C01abc",
        },
        "actor": {"email": user},
        "ipAddress": "203.0.113.7",
        "events": [{"type": "x", "name": name, "parameters": own}],
    }


def found_in_google(name: str, *activities: Record) -> list[dict[str, Any]]:
    return found(name, *activities, parser=GOOGLE)
