"""Exports of Microsoft 365's unified audit log: what Purview's portal, Search-UnifiedAuditLog, the Management Activity
API and Graph give.

JSON: AuditData objects, or rows that hold one in `AuditData` (as text or as object), as lines, arrays or pages. CSV:
the portal's and Export-Csv's, see `audit_csv`. The row's own columns repeat what AuditData says, and are left out.

Channel `Office365.UnifiedAudit`; `event_id` is RecordType; `host` is the organisation (OrganizationId, which all of its
records have, else OrganizationName); `time` is CreationTime, in UTC; there is no `record_id`: `Id` tells records apart.
Source: Office 365 Management Activity API schema, Common schema and AuditLogRecordType; Microsoft Graph,
auditLogRecord.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from hunt.model import Batch, Evidence, Problem, Progress, Reading

from . import audit_csv, json_pages
from .audit_files import first_object, is_timed, read
from .audit_records import as_text, columns
from .event_xml import Row
from .gathered import Gathered
from .json_values import Broken, Json, Value, decode
from .jsonl import PARSER as EVENTS
from .text_files import TextFile
from .written import utc

CHANNEL = "Office365.UnifiedAudit"

# AuditLogRecordType, where an export names it: those that hunts read, and their neighbours. Others are of event id 0.
RECORD_TYPES: Mapping[str, int] = {
    "exchangeadmin": 1,
    "exchangeitem": 2,
    "exchangeitemgroup": 3,
    "sharepoint": 4,
    "sharepointfileoperation": 6,
    "onedrive": 7,
    "azureactivedirectory": 8,
    "azureactivedirectoryaccountlogon": 9,
    "datacentersecuritycmdlet": 10,
    "sharepointsharingoperation": 14,
    "azureactivedirectorystslogon": 15,
    "securitycompliancecentereopcmdlet": 18,
    "exchangeaggregatedoperation": 19,
    "discovery": 24,
    "microsoftteams": 25,
    "threatintelligence": 28,
    "mailsubmission": 29,
    "microsoftflow": 30,
    "aed": 31,
    "securitycompliancealerts": 40,
    "exchangeitemaggregated": 50,
}
_DATE = re.compile(r"/Date\((-?[0-9]{1,15})\)/")  # as ConvertTo-Json of Windows PowerShell writes a DateTime


class UnifiedAudit:
    """Records of the unified audit log. See `hunt.model.Parser`."""

    name = "unified-audit"

    def accepts(self, head: bytes) -> bool:
        if audit_csv.accepts(head):
            return True
        found, body = first_object(head)
        known = _record(found) is not None if found is not None else _looks(body)
        return known and not EVENTS.accepts(head)

    def read(self, files: Sequence[Evidence], reading: Reading) -> Iterator[Batch | Problem | Progress]:
        yield from read(files, reading, _records, _add)

    def records(self, evidence: Evidence, offsets: Sequence[int]) -> Batch:
        gathered = Gathered(evidence, Reading().wants)
        with TextFile(evidence.path) as file:
            header = audit_csv.header(file)
        for offset in sorted(set(offsets)):
            with TextFile(evidence.path, offset) as file:
                steps = audit_csv.rows(file, header) if header else json_pages.values(file, lines=False)
                found = next(steps, None)
            if isinstance(found, Value) and found.offset == offset:
                try:
                    _add(gathered, offset, found.content)
                except ValueError:
                    continue
        return gathered.whole()


def _records(file: TextFile) -> Iterator[Value | Broken]:
    header = audit_csv.header(file)
    return audit_csv.rows(file, header) if header else json_pages.values(file)


# What the beginning of an object has to hold if it is longer than the head: of an AuditData, of a row that holds one.
_NAMES = tuple(
    re.compile(rb'\\?"' + name + rb'\\?"\s*:', re.IGNORECASE)
    for name in (b"(?:CreationTime|CreationDate|createdDateTime)", b"Operations?", b"(?:RecordType|auditLogRecordType)")
)
_HOLDER = re.compile(rb'"AuditData"\s*:', re.IGNORECASE)


def _looks(body: bytes) -> bool:
    return all(name.search(body) for name in _NAMES) or (
        _HOLDER.search(body) is not None and any(name.search(body) for name in _NAMES)
    )


def _record(found: Json) -> Json | None:
    """AuditData of an object, in a row or by itself; None for what is neither. Raises ValueError if it is damaged."""
    for name in ("AuditData", "auditData"):
        if name in found:
            held = found[name]
            if isinstance(held, str):
                try:
                    held = decode(held.encode("utf-8", "replace"))[0]
                except ValueError as error:
                    raise ValueError(f"AuditData is {error}") from None
            if not isinstance(held, dict) or not held:
                raise ValueError("AuditData is empty")
            # Graph's holds what the row does not.
            own = {ours: found[theirs] for theirs, ours in _GRAPH.items() if theirs in found and ours not in held}
            return own | held if own else held
    known = "Operation" in found and "RecordType" in found and ("CreationTime" in found or "Workload" in found)
    return found if known else None


_GRAPH = {
    "createdDateTime": "CreationTime",
    "id": "Id",
    "operation": "Operation",
    "organizationId": "OrganizationId",
    "auditLogRecordType": "RecordType",
    "userId": "UserId",
    "clientIp": "ClientIP",
    "service": "Workload",
    "objectId": "ObjectId",
}


def _add(gathered: Gathered, offset: int, found: Json) -> bool:
    record = _record(found)
    if record is None:
        raise ValueError("no record of the unified audit log")
    head = _head(record)
    gathered.add(offset, head, lambda wanted: columns(record, wanted))
    return is_timed(head)


def _head(record: Json) -> Row:
    row: Row = {"channel": CHANNEL, "provider": CHANNEL, "event_id": _number(as_text(record.get("RecordType")).strip())}
    organisation = record.get("OrganizationId") or record.get("OrganizationName")
    if isinstance(organisation, str):
        row["host"] = organisation
    written = record.get("CreationTime")
    if written is not None:
        row["logged"] = _time(as_text(written))
    return row


@lru_cache(1024)
def _number(name: str) -> str:
    """The event id of a record type, which may be a name."""
    if name.isascii() and name.isdecimal() and len(name) < 10:
        return str(int(name))
    if "\n" in name:  # as `json_values` has what stands twice
        raise ValueError("a record of two record types")
    return str(RECORD_TYPES.get(name.lower(), 0))


def _time(written: str) -> str:
    """In UTC; what names no zone is that already."""
    if len(written) == 19 and written[10] == "T":  # as the log itself writes it
        return written
    since = _DATE.fullmatch(written)
    if since:
        try:
            moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(since[1]))
        except OverflowError:
            return written
        return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"
    return utc(written) or written


PARSER = UnifiedAudit()
