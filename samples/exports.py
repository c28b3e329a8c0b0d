"""Exports of cloud audit logs, written from exports.yml: the content of each by its path below samples/."""

from __future__ import annotations

import csv
import io
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from samples import safe_yaml

HERE = Path(__file__).parent
_MINUTE = timedelta(minutes=1)
Record = dict[str, Any]


def scenarios() -> list[dict[str, Any]]:
    """What exports.yml holds: one export each."""
    return list(safe_yaml.read(HERE / "exports.yml"))


def build(loaded: Sequence[Mapping[str, Any]]) -> dict[str, bytes]:
    """Every file's content by its path below samples/."""
    return {f"exports/{one['file']}": _FORMS[one["form"]]([*_records(one)]).encode() for one in loaded}


def _records(export: Mapping[str, Any]) -> Iterator[Record]:
    of_google = export["form"] == "page"
    for place, given in enumerate(export["records"]):
        begin = _moment(export["begin"]) + place * _MINUTE
        known = {**export["defaults"], **given}
        every, twice = timedelta(seconds=known.pop("every", 0)), known.pop("twice", False)
        for number in range(known.pop("repeat", 1)):
            when = begin + number * every
            id_ = uuid.uuid5(uuid.NAMESPACE_URL, f"{export['file']}/{place}/{number}")
            one = _activity(known, when, id_) if of_google else _record(known, when, id_, number)
            yield from [one] * (2 if twice else 1)


def _moment(written: object) -> datetime:
    return datetime.fromisoformat(str(written)).replace(tzinfo=None)


def _record(known: Mapping[str, Any], when: datetime, id_: uuid.UUID, number: int) -> Record:
    own = {name: value for name, value in known.items() if name not in ("mails", "same")}
    record = {"CreationTime": f"{when:%Y-%m-%dT%H:%M:%S}", "Id": str(id_), **own}
    if "mails" in known:
        first = 0 if known.get("same") else number * known["mails"]
        items = [
            {"InternetMessageId": f"<{known['SessionId']}.{first + n}@contoso.example>"} for n in range(known["mails"])
        ]
        record |= {"Folders": [{"FolderItems": items, "Path": "\\Inbox"}], "OperationCount": len(items)}
    return record


def _activity(known: Mapping[str, Any], when: datetime, id_: uuid.UUID) -> Record:
    parameters = [
        {"name": name, "multiValue" if isinstance(value, list) else "value": value}
        for name, value in known.get("parameters", {}).items()
    ]
    return {
        "kind": "admin#reports#activity",
        "id": {
            "time": f"{when:%Y-%m-%dT%H:%M:%S}.000Z",
            "uniqueQualifier": str(id_.int % 10**18),
            "applicationName": known["application"],
            "customerId": known["customer"],
        },
        "actor": {"email": known["actor"]},
        "ipAddress": known["ipAddress"],
        "events": [{"type": known["application"], "name": known["name"], "parameters": parameters}],
    }


def _lines(records: Sequence[Record]) -> str:
    return "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records)


def _csv(records: Sequence[Record]) -> str:
    """As the portal writes it: with a mark, and quotes around what needs them."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(["RecordId", "CreationDate", "RecordType", "Operation", "UserId", "AuditData"])
    for record in records:
        names = ("Id", "CreationTime", "RecordType", "Operation", "UserId")
        writer.writerow([*(record[name] for name in names), json.dumps(record, separators=(",", ":"))])
    return "\ufeff" + out.getvalue()


def _page(records: Sequence[Record]) -> str:
    return json.dumps({"kind": "admin#reports#activities", "etag": '"x"', "items": list(records)}, indent=1) + "\n"


_FORMS: Mapping[str, Callable[[Sequence[Record]], str]] = {"lines": _lines, "csv": _csv, "page": _page}
